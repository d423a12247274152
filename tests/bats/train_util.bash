# What the tests of dcls train share: small data sets, networks and runs.
# shellcheck shell=bash disable=SC2034,SC2086

# Six pictures of each of three colours, no two alike.
colors() {
  local i
  mkdir -p set/{red,green,blue}
  for i in 0 1 2 3 4 5; do
    ppm 8 8 $((150 + 18 * i)) $((8 * i)) 0 >set/red/$i.ppm
    ppm 8 8 $((5 * i)) $((150 + 18 * i)) 30 >set/green/$i.ppm
    ppm 8 8 10 $((7 * i)) $((150 + 18 * i)) >set/blue/$i.ppm
  done
}

# Scenes of two sizes beside masks: left half class 0, right half class 1, and a corner of class 2.
scenes() {
  local i size
  mkdir -p scenes/{images,masks}
  segmenter >s.json
  for i in 0 1 2 3; do
    size=$((10 + 2 * (i % 2)))
    make scene $size >scenes/images/$i.ppm
    cp scenes/images/$i.ppm $i.ppm
  done
  dcls infer -q -m s.json -o out [0-3].ppm >/dev/null
  for i in 0 1 2 3; do cp out/$i.mask.png scenes/masks/$i.png; done
}

scene() { # SIZE
  local x y
  printf 'P6\n%d %d\n255\n' "$1" "$1"
  for ((y = 0; y < $1; y++)); do
    for ((x = 0; x < $1; x++)); do
      if ((x + y < 5)); then printf '\x10\x20\xe0'; elif ((2 * x < $1)); then printf '\xe0\x10\x20'; else printf '\x20\xe0\x10'; fi
    done
  done
}

# One layer with three classes.
segmentation_graph() {
  printf '{"format": "dcls-model", "version": 1, "model": {"task": "segmentation", "input": {"channels": 3, "height": "any", "width": "any"},
    "nodes": [{"op": "dcls", "name": "d", "inputs": ["input"], "weight": "d.weight", "P": "d.P", "bias": "d.bias", "version": "v1",
      "dilated_kernel_size": 5, "padding": 2, "kernel_count": 3, "out_channels": 3}], "output": "d"}}'
}

net="--arch convmixer --set dim=8 --set depth=1 --set kernel_count=3 --set dilated_kernel_size=5"
small="$net --size 8 --batch 6 --rate 0.02"

# train DIR ARGUMENT..: of the colours, quietly
train() {
  local dir=$1
  shift
  try 0 train -q $small --train set --val set -o "$dir" "$@"
}

# In the background the program itself, so that a signal meets it and not a shell.
exec_dcls() { if ((BASH_SUBSHELL > 0 && BASHPID != $$)); then exec "$DCLS" "$@"; else dcls "$@"; fi; }

# The log without what depends on the clock.
timeless() { sed -E 's/,"(pictures_per_second|elapsed_seconds|val_seconds)":[0-9.]+//g' "$1"; }

same_log() { is log "$(timeless "$1/log.ndjson")" "$(timeless "$2/log.ndjson")"; }
