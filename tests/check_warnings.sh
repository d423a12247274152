#!/bin/sh
# The compiler had nothing to say: what it said is kept beside each object that belongs to a source file.
set -u
build=${DCLS_BUILD:?set by tests/run.sh}
found=$(find "$build" -name '*.o.log' -size +0 | while read -r log; do
  source=${log#"$build"/}
  if [ -e "${source%.o.log}.c" ]; then cat "$log"; fi
done)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
