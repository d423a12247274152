#!/usr/bin/env bash
# ONNX files that dcls writes, in onnx.checker (python3-onnx) and in ONNX Runtime (npm's onnxruntime-node, fetched once
# into build/, or named by ONNXRUNTIME_NODE). What is missing is skipped.
set -u
cd "$(dirname "$0")/../.." || exit 2
python=/usr/bin/python3
[[ -x $python ]] || { echo "1..1"; echo "ok 1 - ONNX export # SKIP no python3"; exit 0; }

runtime=${ONNXRUNTIME_NODE:-$PWD/build/onnxruntime/node_modules/onnxruntime-node}
if [[ ! -d $runtime && -z ${ONNXRUNTIME_NODE:-} ]] && command -v npm node >/dev/null; then
  mkdir -p build
  fetched=$(mktemp -d build/onnxruntime.XXXXXX) || exit 2
  timeout 120 npm install --ignore-scripts --no-audit --no-fund --no-save --fetch-retries=0 --fetch-timeout=20000 \
    --prefix "$fetched" onnxruntime-node@1 >"$fetched/log" 2>&1 && mv -T "$fetched" build/onnxruntime 2>/dev/null
  rm -rf "$fetched"
fi
[[ -d $runtime ]] || runtime=
command -v node >/dev/null || runtime=
exec "$python" -B tests/golden/onnx_export.py "${DCLS:-./dcls}" ${runtime:+"$runtime"}
