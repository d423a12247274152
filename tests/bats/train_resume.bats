#!/usr/bin/env bats
# dcls train: what a run that goes on must not change, and what it says of itself.

load helper
load train_util

@test "spreads that grow do not change how a layer runs when the run goes on" {
  colors
  printf '%s' '{"format":"dcls-model","version":1,"model":{"task":"classification","input":{"channels":3,"height":"any","width":"any"},
    "nodes":[{"op":"conv","name":"a","weight":"a.weight","bias":"a.bias","out_channels":4,"kernel_size":1},
      {"op":"dcls","name":"d","weight":"d.weight","P":"d.P","SIG":"d.SIG","bias":"d.bias","version":"gauss",
       "dilated_kernel_size":9,"padding":4,"kernel_count":1,"out_channels":128},
      {"op":"gelu","name":"r"},{"op":"global_avg_pool","name":"p","flatten":true},
      {"op":"linear","name":"h","weight":"h.weight","bias":"h.bias","out_channels":"classes"}]}}' >g.json
  local -a run=(train -q --graph g.json --set spread=0.42 --schedule constant --spread-rate 30 --rate 0.02 --size 8 --batch 6 --train set)
  try 0 "${run[@]}" -o whole --epochs 6
  try 0 "${run[@]}" -o parts --epochs 3
  try 0 train -q --resume parts --epochs 6
  try 0 diff --atol 0 whole/model.bin parts/model.bin
}

@test "a model of fewer epochs does not end a run of more" {
  colors
  train run --epochs 1
  cp run/model.bin short.bin
  try 0 train -q --resume run --epochs 3
  cp run/model.bin long.bin
  cp short.bin run/model.bin # as if the disk had been full at the very end
  try 0 train -q --resume run
  try 0 diff --atol 0 run/model.bin long.bin
  try 0 train --resume run
  has stderr "$stderr" "finished after 3 epochs"
}

@test "a run that ends earlier than it was to validates what it has" {
  needs jq
  colors
  exec_dcls train -q $small --train set --val set -o other --epochs 400 --validate-every 1000 &
  while [[ ! -s other/checkpoint.bin ]]; do kill -0 $!; sleep 0.01; done
  kill -9 $! && wait $! || :
  local done
  done=$(dcls inspect --json other/checkpoint.bin | jq -r '.metadata["dcls.training"] | split(" ") | "\(.[0]) \(.[1])"')
  if [[ ${done#* } == 0 ]]; then
    try 0 train -q --resume other --epochs "${done% *}"
    is validations "$(jq -s '[.[] | select(.val_top1)] | length' other/log.ndjson)" 1
    [[ -s other/best.bin && -s other/model.bin ]]
  else
    try 2 train -q --resume other --epochs "${done% *}"
    has stderr "$stderr" "and a part already"
  fi
}

@test "checkpoints do not say of themselves what their best model says" {
  needs jq
  colors
  train run --epochs 3
  is best "$(dcls inspect --json run/best.bin | jq -r '.metadata["dcls.epochs"]' | sed 's/^[123]/N/')" "N of 3"
  is checkpoint "$(dcls inspect --json run/checkpoint.bin | jq -c '.metadata | keys')" '["dcls.training"]'
}

@test "a validation that is no number is never the best" {
  needs jq
  colors
  train run --epochs 1
  dcls convert -q run/model.bin m.json
  jq 'first(.tensors | to_entries[] | select(.key | test("running_var$")) | .key) as $k | .tensors[$k].data[0] = "NaN"' m.json >bad.json
  try 0 train --model bad.json --size 8 --batch 6 --rate 0.0 --train set --val set -o nan --epochs 2
  has stderr "$stderr" "no numbers"
  [[ ! -e nan/best.bin ]]
  is best "$(jq -s '[.[] | select(.best)] | length' nan/log.ndjson)" 0
}

@test "a signal that is ignored stays so; positions rest at a rate of 0" {
  colors
  (trap '' INT; exec "$DCLS" train -q $small --train set -o calm --epochs 300) &
  local process=$!
  while [[ ! -s calm/checkpoint.bin ]]; do kill -0 $process; sleep 0.01; done
  kill -INT $process
  wait $process
  [[ -s calm/model.bin ]]
  try 0 train -q $net --size 8 --batch 6 --rate 0.02 --position-rate 0 --train set -o still --epochs 1 --record-positions 1
  /usr/bin/python3 - still/positions.npy <<'END' || { [[ $? == 77 ]] && skip "no python3"; false; }
import struct, sys
data = open(sys.argv[1], "rb").read()
start = 10 + struct.unpack("<H", data[8:10])[0]
count = eval(data[10:start].decode())["shape"]
rows = [data[start + i * 4 * count[1] + 4:start + (i + 1) * 4 * count[1]] for i in range(count[0])]
sys.exit(len(rows) < 2 or any(r != rows[0] for r in rows))
END
}

@test "links and pipes in the folder of a run are not written through" {
  colors
  train run --epochs 1
  echo precious >victim
  mv run/log.ndjson log
  ln -s ../victim run/log.ndjson
  try 4 train -q --resume run --epochs 2
  is stderr "$stderr" "dcls: run/log.ndjson: cannot write: it is no regular file"
  try 4 train -q $small --train set -o run --force --epochs 1
  rm run/log.ndjson
  mkfifo run/log.ndjson
  try 4 train -q --resume run --epochs 2
  rm run/log.ndjson
  cp log run/log.ndjson
  rm -r run/*
  ln -s ../victim run/positions.npy
  try 0 train -q $small --train set -o run --epochs 1 --record-positions 1 # it is replaced, not followed
  is victim "$(<victim)" precious
}
