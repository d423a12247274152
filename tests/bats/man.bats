#!/usr/bin/env bats
# Man pages: their EXAMPLES are run, every command has one, and every option of --help stands in it.

load helper
load train_util

# The lines after "$ " of a page's EXAMPLES, continuation lines joined.
examples() { # PAGE
  awk '/^\.Sh /{inside = /EXAMPLES/} inside' "$1" |
    sed -n -e 's/^\.Dl \$ /$ /' -e '/^\$ /,/[^e]$/p' |
    sed -e 's/\\e$/\\/' -e 's/\\(dq/"/g' -e 's/\\e/\\/g' -e 's/\\&//g' |
    sed -e ':join' -e '/\\$/{N;s/\\\n *//;b join' -e '}' | sed -n 's/^\$ //p'
}


prepare() {
  mkdir bin
  ln -s "$DCLS" bin/dcls
  PATH=$PWD/bin:$PATH
  dcls convert -q builtin:convmixer-dcls-cifar10 model.bin
  cp "$root"/tests/fixtures/images/good/c2d8.png photo.png
  cp "$shared"/models/convmixer-dcls-cifar10/{checkpoint.pth,labels.txt} .
  data_sets
}

# cifar10/CLASS/*.png, pictures/{train,test}/CLASS/*.png and camvid/{images,masks}
data_sets() {
  local name class
  for name in "$shared"/models/convmixer-dcls-cifar10/images/*; do
    class=${name##*/}
    mkdir -p "cifar10/${class%%-*}"
    ln -s "$name" "cifar10/${class%%-*}/"
  done
  mkdir pictures camvid
  ln -s ../cifar10 pictures/train
  ln -s ../cifar10 pictures/test
  ln -s "$shared"/models/dclsseg-camvid/{images,masks} camvid/
}

run_examples() { # PAGE
  [ -e "$shared/models" ] || skip "no reference models in $shared"
  prepare
  local line count=0
  while IFS= read -r line; do
    run bash -o pipefail -c "$line"
    [ "$status" -eq 0 ] || { echo "$line"; echo "$output"; return 1; }
    count=$((count + 1))
  done < <(examples "$root/man/$1")
  [ "$count" -gt 0 ]
}

@test "examples of dcls(1)" { run_examples dcls.1; }
@test "examples of dcls-infer(1)" { run_examples dcls-infer.1; }
@test "examples of dcls-convert(1)" { run_examples dcls-convert.1; }
@test "examples of dcls-inspect(1)" { run_examples dcls-inspect.1; }
@test "examples of dcls-bench(1)" { run_examples dcls-bench.1; }
@test "examples of dcls-train(1)" { run_examples dcls-train.1; }
@test "examples of dcls-eval(1)" { run_examples dcls-eval.1; }
@test "examples of dcls-plot(1)" { run_examples dcls-plot.1; }
@test "examples of dcls-diff(1)" { run_examples dcls-diff.1; }
@test "examples of dcls-explain(1)" { run_examples dcls-explain.1; }
@test "examples of dcls-help(1)" { run_examples dcls-help.1; }

@test "the example of libdcls(3) compiles" {
  awk '/^\.Sh /{inside = /EXAMPLES/} inside' "$root/man/libdcls.3" | sed -n '/^\.Bd/,/^\.Ed/p' | sed -e '/^\./d' -e 's/\\e/\\/g' >example.c
  ${CC:-gcc} -std=c11 -Wall -Wextra -Werror -I"$root/include" -fsyntax-only example.c
}

@test "every command has a page, and every option stands in it" {
  local command option page
  for command in $("$DCLS" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
    page=$root/man/dcls-$command.1
    [ -e "$page" ] || { echo "no $page"; return 1; }
    for option in $("$DCLS" "$command" --help | sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}--\([a-z0-9-]*\).*/\2/p'); do
      grep -qE -- "Fl (. , )?-$option( |\$)" "$page" "$root/man/dcls.1" ||
        { echo "dcls $command --$option is not in $page"; return 1; }
    done
  done
}

@test "mandoc finds nothing to say" {
  command -v mandoc >/dev/null || skip "mandoc is not installed"
  run mandoc -Tlint -W warning "$root"/man/*.[1-9]
  echo "$output"
  [ -z "$output" ]
}

# ---- JSON

# The fields that a page describes: behind .Li in its part about JSON, or in what it shows literally.
fields() { # PAGE
  awk '/^\.S[sh]/{inside = /JSON|OUTPUT|The log/} inside' "$root/man/$1" |
    sed -nE -e 's/ (No|Ns|Cm|Fl) .*//; s/^\.(Li|Po Li|Pq Li|It Li) //p' -e '/^[{ ]/s/"([a-z0-9_]+)":/\n\1\n/gp' |
    tr ' ' '\n' | grep -xE '[a-z0-9_]+' | sort -u
}

# Every field of JSON stands in the page.
known() { # PAGE, JSON on standard input
  local missing
  # below metadata is what users name themselves; what a description holds stands in dcls-model(5)
  jq -r '((.metadata, (.changes[]? | .a, .b)) | iterables) |= {} | .. | objects | keys[]' | sort -u >keys
  [[ -s keys ]] || { echo "$1: nothing was printed"; return 1; }
  cat keys >>"printed.$1"
  missing=$(fields "$1" | comm -13 - keys)
  [[ -z $missing ]] || { echo "$1 lacks: $missing"; return 1; }
}

# Every field in the page was among them.
all_printed() { # PAGE
  is "fields of $1 that nothing prints" "$(fields "$1" | comm -23 - <(sort -u "printed.$1"))" ""
}

@test "fields of JSON stand in the pages, and what stands there is printed: inspect, explain, convert, diff" {
  needs jq
  dcls_model >m.json
  classifier >c.json
  ppm 5 4 10 20 30 >a.ppm
  mkdir in
  cp a.ppm in/
  dcls convert -q c.json p.bin --preprocess imagenet
  dcls convert -q p.bin p.json
  jq '.model.preprocess.resize = {"height": 256, "width": 300}' p.json >x.json
  for model in m.json c.json p.bin x.json; do dcls inspect --json $model | known dcls-inspect.1; done
  dcls inspect --json m.json -t "$(dcls inspect --json m.json | jq -r '.tensors[0].name')" | known dcls-inspect.1
  all_printed dcls-inspect.1
  dcls explain --json -D 9 -K 4 | known dcls-explain.1
  dcls explain --json m.json "$(dcls inspect --json m.json | jq -r 'first(.nodes[] | select(.dcls)).name')" | known dcls-explain.1
  all_printed dcls-explain.1
  dcls convert --json -q m.json d.bin --prune 0.01 --merge 0.01 --round-positions --fix-unequal | known dcls-convert.1
  dcls convert --json -q builtin:convmixer-dcls-cifar10 e.bin --prune 0 --verify in | known dcls-convert.1
  dcls convert -q m.json dense.bin --to dense
  dcls convert --json -q dense.bin s.bin --to sparse --kernel-count 2 --layers "*" | known dcls-convert.1
  dcls convert --json -q m.json t.bin --to taps | known dcls-convert.1
  all_printed dcls-convert.1
  dcls diff --json -a m.json d.bin | known dcls-diff.1
  for model in c.json p.bin; do
    dcls diff --json m.json $model >different.json || :
    known dcls-diff.1 <different.json
  done
  all_printed dcls-diff.1
}

@test "fields of JSON stand in the pages, and what stands there is printed: bench, eval, infer, the log of train" {
  needs jq
  segmentation_graph | sed 's/"out_channels": 3/"out_channels": 64/; s/"kernel_count": 3/"kernel_count": 25/' >full.json
  for model in full.json builtin:resnet-dcls-cifar10; do
    dcls bench -q --json -r 1 $model --input 32 --tune | known dcls-bench.1
  done
  dcls bench -q --json -r 1 --precision bf16 | known dcls-bench.1
  all_printed dcls-bench.1
  colors
  classifier >c.json
  dcls eval --json -m c.json -d set --worst worst | known dcls-eval.1
  all_printed dcls-eval.1
  scenes
  features >f.json
  npy "2, 3, 1, 1" 0 1 2 2 1 0 >x.npy
  cp 0.ppm $'caf\xe9.ppm'
  dcls infer -q --format json -m c.json $'caf\xe9.ppm' | known dcls-infer.1
  dcls infer -q --format json -m c.json x.npy | known dcls-infer.1
  dcls infer -q --format json -m s.json 0.ppm | known dcls-infer.1
  dcls infer -q --format json -m f.json 0.ppm | known dcls-infer.1
  all_printed dcls-infer.1
  train run --epochs 1 --repulsion 1
  known dcls-train.1 <run/log.ndjson
  train taught --epochs 1 --teacher run
  known dcls-train.1 <taught/log.ndjson
  segmentation_graph >graph.json
  try 0 train -q --graph graph.json --train scenes --val scenes --classes 3 --batch 2 --size 8 --scale 1,1.5 --epochs 1 -o masks
  known dcls-train.1 <masks/log.ndjson
  all_printed dcls-train.1
}
