#!/bin/sh
# Whole architectures with random weights against PyTorch; skipped where Debian's python3-torch is not installed.
set -eu
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
[ -x "$python" ] || { echo "1..1"; echo "ok 1 - architectures against PyTorch # SKIP no python3"; exit 0; }
exec "$python" tests/golden/torch_models.py "${DCLS:-./dcls}"
