#!/usr/bin/env bash
# peers.sh DCLS: dcls beside ONNX Runtime and PyTorch on the same weights, batch 1, one and two threads, in turns. DCLS kernels are dense
# for the peers, built once. Prints median times, the peers' time over ours (x), the peak memory of each process in MiB, and how much
# faster each is on two threads; then geometric means of the depthwise rows, and what building kernels costs beside the published
# formulas in PyTorch, alone and in a whole network that builds them on every call.
#
# Models, exports and the npm package onnxruntime-node stay in build/bench; the table is build/bench/table, tab-separated in table.tsv.
# Environment:
#   SECONDS_EACH=2    measuring time of each figure; the whole takes about eight minutes with 2
#   MODELS=PATTERN    only the models whose name matches, such as depthwise-v1
#   THREADS='1 2'     numbers of threads
#   PEERS='ort torch' only some of the peers; '' for dcls alone
#   PUBLISHED=0       without the published formulas
#   DCLS_OPTIONS=..   more options of dcls bench, such as '--precision bf16'
set -euo pipefail
cd "$(dirname "$0")/../.."
dcls=$(realpath "${1:-./dcls}")
construct=${2:-build/gcc/tests/bench/bench_construct}
each=${SECONDS_EACH:-2} threads_of=${THREADS:-1 2} peers=${PEERS-ort torch} python=/usr/bin/python3
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
work=build/bench
mkdir -p "$work"

if [[ $peers == *ort* && ! -d $work/node_modules/onnxruntime-node ]]; then
  command -v npm >/dev/null || { echo "peers.sh: npm is needed to install ONNX Runtime" >&2; exit 1; }
  npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" onnxruntime-node >&2
fi
if [[ $peers == *torch* ]] && ! $python -c 'import torch' 2>/dev/null; then
  echo "peers.sh: no PyTorch ($python, Debian's python3-torch): 'sh tools/deps.sh bench' installs it" >&2
  peers=${peers/torch/}
fi
[[ -e $work/models ]] || { $python tests/bench/bench_models.py "$work" >"$work/models.new" && mv "$work/models.new" "$work/models"; }

while read -r name side options; do
  [[ -e $work/$name.bin ]] && continue
  # shellcheck disable=SC2086 # options are words
  "$dcls" convert -q "$work/$name.safetensors" "$work/$name.bin" $options
  "$dcls" convert -q "$work/$name.bin" "$work/$name.onnx"
done <"$work/models"

# Runs a command; behind its output comes the peak memory of its process in MiB.
with_peak() {
  $python - "$@" <<'PYTHON'
import resource, subprocess, sys
print(subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, text=True).stdout.strip(),
      "%.1f" % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
PYTHON
}

ours() { # MODEL SIDE THREADS
  local size=()
  [[ $1 == depthwise-* ]] || size=(--input "$2x$2")
  # shellcheck disable=SC2086,SC2016 # options are words; jq's own variable
  with_peak "$dcls" bench "$work/$1.bin" "${size[@]}" --threads "$3" -s "$each" --json ${DCLS_OPTIONS:-} |
    jq -rn 'reduce inputs as $x ([]; . + [$x]) | "\(.[0].runs[0].median_ms) \(.[1])"'
}
ort() {
  [[ $peers == *ort* ]] || { echo '- -'; return; }
  node tests/bench/peers_ort.mjs "$(realpath "$work/node_modules/onnxruntime-node")" "$3" "$each" "$2" "$work/$1.onnx"
}
pytorch() { # MODEL SIDE THREADS [published]
  [[ $peers == *torch* ]] || { echo '- -'; return; }
  $python tests/bench/peers_torch.py "$3" "$each" "$2" "$work/$1.bin" ${4:+"$4"}
}

# One row of a table; with two threads, behind it how much faster than with one (read from the row before).
row() { # NAME THREADS "MS MIB" "MS MIB" "MS MIB"
  printf '%s\n' "$*" | awk -v OFS='\t' -v tsv="$work/table.tsv" -v before="$(tail -n 1 "$work/table.tsv")" '
    function times(a) { return a == "-" ? "-" : sprintf("%.2f", a / $3) }
    function number(a, form) { return a == "-" ? a : sprintf(form, a) }
    function gain(i, had) { return $i == "-" || had == "-" ? "-" : sprintf("%.2f", had / $i) }
    { printf "%-22s %3d %9.3f %9s %9s %7s %7s %6s %6s %6s", $1, $2, $3, number($5, "%.3f"), number($7, "%.3f"), times($5), times($7),
        number($4, "%.0f"), number($6, "%.0f"), number($8, "%.0f")
      split(before, b)
      if ($2 == 2 && b[1] == $1 && b[2] == 1) printf "  %5s %5s %5s", gain(3, b[3]), gain(5, b[5]), gain(7, b[7])
      printf "\n"
      print $1, $2, $3, $4, $5, $6, $7, $8 >>tsv }'
}

: >"$work/table.tsv"
printf '%-22s %3s %9s %9s %9s %7s %7s %6s %6s %6s  %17s\n' '' '' dcls ORT torch ORT torch dcls ORT torch 'x with 2 threads' \
  model thr ms ms ms x x MiB MiB MiB ' dcls   ORT torch' | tee "$work/table"
while read -r name side options; do
  [[ $name =~ ${MODELS:-.} ]] || continue
  for threads in $threads_of; do
    # shellcheck disable=SC2046 # two numbers each
    row "$name" "$threads" $(ours "$name" "$side" "$threads") $(ort "$name" "$side" "$threads") $(pytorch "$name" "$side" "$threads")
  done
done <"$work/models" | tee -a "$work/table"

awk '$1 ~ /^depthwise-/ { split($1, part, "-"); key = part[2] " " $2; n[key]++
    if ($5 != "-") ort[key] += log($5 / $3)
    if ($7 != "-") torch[key] += log($7 / $3) }
  function mean(sum, n) { return sum ? sprintf("%.2f", exp(sum / n)) : "-" }
  END { for (key in n) { split(key, k, " ")
      printf "depthwise %s, %s thread(s), geometric mean: ORT x %s, torch x %s\n", k[1], k[2], mean(ort[key], n[key]), mean(torch[key], n[key]) } }' \
  "$work/table.tsv" | sort

# ---- kernels built on every call
[[ ${PUBLISHED:-1} == 1 && $peers == *torch* ]] || exit 0
printf '\nbeside the published formulas in PyTorch, evaluated and recorded as the published package does\n%-46s %3s %9s %9s %7s\n' '' thr 'dcls ms' 'torch ms' x
[[ -x $construct ]] || make -s "$construct" >&2
for threads in $threads_of; do
  read -r mine _ <<<"$("$construct" "$threads" "$each")"
  theirs=$($python tests/bench/construct_torch.py "$threads" "$each")
  printf '%s\n' "$mine $theirs" | awk -v t="$threads" '{ printf "%-46s %3d %9.3f %9.1f %7.0f\n", "768 kernels, K=34, D=17", t, $1, $2, $2 / $1 }'
  [[ convnext-t-dcls =~ ${MODELS:-.} ]] || continue
  theirs=$(pytorch convnext-t-dcls 224 "$threads" published)
  awk -v t="$threads" -v theirs="$theirs" '$1 == "convnext-t-dcls" && $2 == t {
    printf "%-46s %3d %9.3f %9.1f %7.1f\n", "convnext-t-dcls, kernels on every call in torch", t, $3, theirs, theirs / $3 }' "$work/table.tsv"
done
