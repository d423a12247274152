#!/usr/bin/env bash
# peers.sh DCLS: dcls beside ONNX Runtime on the same exported models, batch 1, one and two threads, in turns. Prints one table; ratio
# is ONNX Runtime's time over ours. Models, exports and the npm package onnxruntime-node stay in build/bench.
#   SECONDS_EACH=2  measuring time of each figure     MODELS=PATTERN  only some of the models
set -euo pipefail
cd "$(dirname "$0")/../.."
dcls=$(realpath "${1:-./dcls}")
each=${SECONDS_EACH:-2}
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
work=build/bench
mkdir -p "$work"

if [[ ! -d $work/node_modules/onnxruntime-node ]]; then
  command -v npm >/dev/null || { echo "peers.sh: npm is needed to install ONNX Runtime" >&2; exit 1; }
  npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" onnxruntime-node >&2
fi
runtime=$(realpath "$work/node_modules/onnxruntime-node")
[[ -e $work/models ]] || { /usr/bin/python3 tests/bench/bench_models.py "$work" >"$work/models.new" && mv "$work/models.new" "$work/models"; }

while read -r name side options; do
  [[ -e $work/$name.bin ]] && continue
  # shellcheck disable=SC2086 # options are words
  "$dcls" convert -q "$work/$name.safetensors" "$work/$name.bin" $options
  "$dcls" convert -q "$work/$name.bin" "$work/$name.onnx"
done <"$work/models"

ours() { # MODEL SIDE THREADS
  local size=()
  [[ $1 == depthwise-* ]] || size=(--input "$2x$2")
  "$dcls" bench "$work/$1.bin" "${size[@]}" --threads "$3" -s "$each" --json | jq '.runs[0].median_ms'
}

printf '%-26s %7s  %9s %9s %6s\n' model threads 'dcls ms' 'ORT ms' ratio
while read -r name side options; do
  [[ $name =~ ${MODELS:-.} ]] || continue
  for threads in 1 2; do
    mine=$(ours "$name" "$side" "$threads")
    theirs=$(node tests/bench/peers_ort.mjs "$runtime" "$threads" "$each" "$side" "$work/$name.onnx")
    awk -v n="$name" -v t="$threads" -v a="$mine" -v b="$theirs" \
      'BEGIN { printf "%-26s %7d  %9.3f %9.3f %6.2f\n", n, t, a, b, b / a }'
  done
done <"$work/models" | tee "$work/table"
awk '$1 ~ /^depthwise-/ { split($1, part, "-"); key = part[2] " " $2; sum[key] += log($5); n[key]++ }
  END { for (key in sum) { split(key, k, " "); printf "depthwise %s, %s thread(s): geometric mean %.2f\n", k[1], k[2], exp(sum[key] / n[key]) } }' \
  "$work/table" | sort
