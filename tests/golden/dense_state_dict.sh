#!/bin/sh
# State dicts made dense, against the equations and in PyTorch; skipped where python3-numpy or python3-torch is missing.
set -eu
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
[ -x "$python" ] || { echo "1..1"; echo "ok 1 - dense state dicts # SKIP no python3"; exit 0; }
exec "$python" -B tests/golden/dense_state_dict.py "${DCLS:-./dcls}"
