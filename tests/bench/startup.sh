#!/usr/bin/env bash
# startup.sh [PICTURE]: what one small picture costs as a whole process, from nothing to the answer: dcls with the embedded classifier
# beside an empty program, one that links the same libraries, and the same network in ONNX Runtime (node) and PyTorch (python3). The
# peers get the picture's pixels as a tensor and need not decode; PyTorch gets dense kernels.
#   RUNS=100       runs of the small programs; the peers get a tenth
#   PEERS=0        without node and python3
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
cc=${CC:-gcc} runs=${RUNS:-100} work=build/bench
picture=${1:-tests/fixtures/images/good/c2d8.png}
echo 'int main(void) { return 0; }' >"$scratch/empty.c"
$cc -O2 -o "$scratch/empty" "$scratch/empty.c"
# shellcheck disable=SC2046 # flags are words
$cc -O2 -o "$scratch/linked" "$scratch/empty.c" -Wl,--no-as-needed $(ldd ./dcls | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p')
$cc -O2 -o "$scratch/bench" tests/bench/bench_startup.c
"$scratch/bench" "$runs" "$scratch/empty" "$scratch/linked" "./dcls infer -q $picture" "./dcls infer -q --threads 1 $picture" \
  "./dcls --version"
[[ ${PEERS:-1} == 1 ]] || exit 0

model=$(find weights -name 'convmixer256-dcls-cifar10*.bin' | head -n 1)
peers=()
if [[ -d $work/node_modules/onnxruntime-node ]]; then
  ./dcls convert -q "$model" "$scratch/model.onnx"
  peers+=("node tests/bench/startup_ort.mjs $(realpath "$work/node_modules/onnxruntime-node") $scratch/model.onnx")
else
  echo "startup.sh: no ONNX Runtime in $work: 'make bench' installs it" >&2
fi
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then
  ./dcls convert -q "$model" "$scratch/dense.bin" --to dense
  peers+=("/usr/bin/python3 tests/bench/startup_torch.py $scratch/dense.bin")
fi
((${#peers[@]} == 0)) || "$scratch/bench" "$(((runs + 9) / 10))" "${peers[@]}"
