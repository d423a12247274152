#!/usr/bin/env bash
# The resize against Pillow's over 20 size pairs, with the first Python that has Pillow.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${DCLS_BUILD:-build/gcc}
name="ok 1 - resize, crop and normalisation equal Pillow and torchvision"

library=$build/libdcls.so.0
[[ -e $library ]] || { echo "$name # SKIP no shared library in this build"; exit 0; }
for python in "${PYTHON:-python3}" /usr/bin/python3; do
  "$python" -c 'import numpy, PIL.Image' 2>/dev/null || continue
  if "$python" tests/golden/resize_vs_pillow.py "$library"; then
    echo "$name"
  else
    echo "not $name"
  fi
  exit 0
done
echo "$name # SKIP no Python with Pillow and NumPy"
