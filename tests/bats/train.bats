#!/usr/bin/env bats
# dcls train: runs over small made pictures, going on to the bit, signals, full disks.

load helper
load train_util

@test "a run: it learns, says so, and leaves what the manual lists" {
  needs jq
  colors
  try 0 train $small --train set --val set -o run --epochs 12
  is stdout "$output" ""
  has network "${stderr_lines[0]}" "convmixer, "
  has data "${stderr_lines[0]}" "3 classes; 18 pictures, 18 for validation out of the same; 12 epochs of 3 steps"
  is pixels "${stderr_lines[1]}" "dcls: pixels are not normalised (0 to 1): --preprocess imagenet or cifar10 does it"
  is heading "$(tr -s ' ' <<<"${stderr_lines[2]}")" " epoch loss accuracy val. loss top-1 time"
  is rows "${#stderr_lines[@]}" 15
  [[ $stderr != *$'\033'* && $stderr != *$'\r'* ]]
  is files "$(ls run)" "$(printf '%s\n' best.bin checkpoint.bin log.ndjson model.bin recipe.json)"
  is score "$(jq -s '[.[].val_top1 // 0] | max' run/log.ndjson)" 1
  is start "$(jq -c '[.task, .class_count, .pictures, .val_pictures, .batch, .steps_per_epoch, .epochs]' <<<"$(head -1 run/log.ndjson)")" \
    '["classification",3,18,18,6,3,12]'
  is steps "$(jq -sc '[.[] | select(.loss) | .step] | [first, last, length]' run/log.ndjson)" "[3,36,12]"
  jq -se '[.[] | select(.loss) | .loss] | first > 2 * last' run/log.ndjson >/dev/null
  try 0 eval -m run/best.bin -d set --json
  is eval "$(jq '[.top1, .loss] | map(. * 1e5 | round)' -c <<<"$output")" \
    "$(jq -sc '[.[] | select(.best)] | last | [.val_top1, .val_loss] | map(. * 1e5 | round)' run/log.ndjson)"
}

@test "what is saved tells where it comes from, but not where the data lay" {
  needs jq
  colors
  train run --epochs 2
  try 0 inspect --json run/best.bin
  is metadata "$(jq -r '.metadata | "\(.["dcls.data"]); \(.["dcls.epochs"])"' <<<"$output")" "set, validated on set; 2 of 2"
  has score "$(jq -r '.metadata["dcls.score"]' <<<"$output")" "top-1 "
  is recipe "$(jq -r '.metadata["dcls.recipe"] | fromjson | "\(.schedule.epochs) \(.data.train)"' <<<"$output")" "2 null"
  [[ $(strings -a run/best.bin run/model.bin) != *$PWD* ]]
  try 0 infer -m run/best.bin set/red/5.ppm
  has answer "$output" "red"
}

@test "the log tells cross entropy from what is added to it, and where a model began" {
  needs jq
  colors
  train plain --epochs 2
  is terms "$(jq -s '[.[] | has("cross_entropy")] | any' plain/log.ndjson)" false
  is start "$(jq -s '[.[] | select(.step == 0)] | length' plain/log.ndjson)" 0
  train repelled --epochs 2 --repulsion 10
  jq -se '[.[] | select(.loss) | .loss > .cross_entropy and .cross_entropy > 0] | all' repelled/log.ndjson >/dev/null
  try 0 eval -m plain -d set --json
  local loss
  loss=$(jq '.loss * 1e5 | round' <<<"$output")
  try 0 train -q --model plain --size 8 --batch 6 --rate 0.02 --train set --val set -o more --epochs 1
  is start "$(jq -c 'select(.step == 0) | [.epoch, .best, (.val_loss * 1e5 | round)]' more/log.ndjson)" \
    "[0,false,$loss]"
}

@test "any number of threads gives the same bits" {
  colors
  local n
  for n in 1 2 3; do train t$n --epochs 3 --threads $n --average 0.9 --mixup 0.2 --cutmix 1; done
  cmp t1/model.bin t2/model.bin
  cmp t1/model.bin t3/model.bin
  same_log t1 t2
}

@test "a run killed at any moment goes on to the same bits" {
  colors
  local more="--epochs $((20 * ${KILLS:-6})) --average 0.9 --repulsion 0.01 --record-positions 5 --validate-every 3 --mixup 0.2 --set drop_path=0.1 --momentum 0.8" i process
  train whole $more
  mkdir broken
  for ((i = 0; i < ${KILLS:-6}; i++)); do
    go_on broken $more --save-every 0.01 &
    process=$!
    sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
    kill -9 $process 2>/dev/null || :
    wait $process 2>/dev/null || :
  done
  go_on broken $more --save-every 0.01
  for i in model.bin best.bin positions.npy; do cmp whole/$i broken/$i; done
  same_log whole broken
}

go_on() { # DIR ARGUMENT..: its beginning, or where it was
  local dir=$1
  shift
  if [[ -s $dir/recipe.json ]]; then
    exec_dcls train -q --resume "$dir" --save-every 0.01
  else
    exec_dcls train -q $small --train set --val set -o "$dir" "$@"
  fi
}

@test "a checkpoint taken up in the middle of an epoch, again and again" {
  colors
  local i
  train whole --epochs 3 --share-positions
  train parts --epochs 3 --share-positions --save-every 0
  cmp whole/model.bin parts/model.bin
  cp -r parts again
  rm again/model.bin
  try 0 train -q --resume again
  cmp whole/model.bin again/model.bin
  same_log whole again
}

@test "an interrupt saves, and the run goes on to the same bits" {
  colors
  local signal status process
  train whole --epochs 400
  for signal in INT TERM; do
    rm -rf stopped
    env --default-signal=INT "$DCLS" train $small --train set --val set -o stopped --epochs 400 2>stderr &
    process=$!
    while [[ ! -s stopped/checkpoint.bin ]]; do kill -0 $process; sleep 0.01; done
    kill -$signal $process
    status=0
    wait $process || status=$?
    is "status after $signal" "$status" "$((128 + $(kill -l $signal)))"
    has stderr "$(tail -1 stderr)" "; 'dcls train --resume stopped' goes on"
    [[ ! -e stopped/model.bin ]]
    try 0 train -q --resume stopped
    cmp whole/model.bin stopped/model.bin
    same_log whole stopped
  done
}

@test "more epochs for a run that is finished; nothing else changes" {
  colors
  train run --epochs 2
  cp run/model.bin before.bin
  try 0 train --resume run
  is stderr "$stderr" "dcls: run: finished after 2 epochs; --epochs N goes on to more"
  cp run/recipe.json before.json
  try 2 train --resume run --epochs 1
  is stderr "$stderr" "dcls: train: --epochs 1: run has 2 epochs already"
  cmp before.json run/recipe.json
  cmp run/model.bin before.bin
  try 0 train -q --resume run --epochs 3
  is epochs "$(sed -n 's/.*"epoch":\([0-9]*\),"val_loss.*/\1/p' run/log.ndjson | tr '\n' ' ')" "1 2 3 "
  try 2 train --resume run --batch 3
  is stderr "$stderr" "dcls: train: 'batch' cannot change in a run that goes on: its recipe is that of run"
  try 2 train --resume run -o run
  has stderr "$stderr" "--resume DIR stands for recipe and output folder"
}

@test "a second interrupt ends the run at once" {
  colors
  local process status=0
  env --default-signal=INT "$DCLS" train -q --arch convmixer --set dim=384 --set depth=12 --size 8 --batch 18 --rate 0.001 --train set -o run --threads 1 &
  process=$!
  while [[ ! -s run/log.ndjson ]]; do kill -0 $process; sleep 0.01; done
  kill -INT $process
  sleep 0.02
  kill -INT $process || :
  wait $process || status=$?
  is status "$status" 130
  [[ ! -e run/checkpoint.bin ]] # which the first interrupt alone would have made
}

@test "data that moved are named; others than those of the beginning are refused" {
  colors
  train whole --epochs 4
  train run --epochs 2
  mv set moved
  try 4 train -q --resume run
  has stderr "$stderr" "/set: cannot open"
  try 0 train -q --resume run --train moved --val moved
  cp -r moved set
  mv set/red/1.ppm set/red/001.ppm
  try 3 train -q --resume run --train set --val set --epochs 4
  has stderr "$stderr" "set: is not the data the run began with: pictures have other names now"
  mv set/red/001.ppm set/red/1.ppm
  for i in 6 7 8 9; do cp set/red/1.ppm set/red/$i.ppm; done
  try 3 train -q --resume run --train set --val set --epochs 4
  has stderr "$stderr" "set: is not the data the run began with: it has 22 pictures now"
}

@test "a folder that holds a run is not written over; two processes do not share one" {
  needs flock
  colors
  train run --epochs 1
  cp -r run copy
  try 2 train $small --train set -o run
  is stderr "$stderr" "dcls: run: holds a finished run: --force trains anew in its place"
  rm run/model.bin
  try 2 train $small --train set -o run
  is stderr "$stderr" "dcls: run: holds a run: 'dcls train --resume run' goes on with it, --force begins anew"
  try 4 train $small --train set/none --force -o run # what is wrong is found before anything is removed
  [[ -e run/checkpoint.bin ]]
  for dir in '--resume run' "$small --train set --val set --force -o run"; do
    call_locked train $dir
    is status "$status" 2
    is stderr "$stderr" "dcls: run: another process is training here"
  done
  cmp run/best.bin copy/best.bin
  train run --epochs 2 --force
  is epochs "$(sed -n 's/.*"epoch":\([0-9]*\),"val_loss.*/\1/p' run/log.ndjson | tr '\n' ' ')" "1 2 "
  try 4 train --resume nowhere
  is stderr "$stderr" "dcls: nowhere: holds no run to go on with: there is no recipe.json"
  touch file
  try 4 train $small --train set -o file
  is stderr "$stderr" "dcls: file: is not a directory"
  train deep/er/run --epochs 1
  [[ -s deep/er/run/model.bin ]]
}

@test "a folder without a checkpoint is free again; a recipe alone is somebody's" {
  colors
  mkdir run
  try 0 train -q $small --train set --print-recipe
  printf '%s' "$output" >run/recipe.json
  cp run/recipe.json own
  try 2 train -q run/recipe.json -o run
  has stderr "$stderr" "run: holds a run"
  cmp own run/recipe.json
  printf '{"dcls_version":"0.1.0"}\n{"step":1,"loss":3}\n' >run/log.ndjson # what a run leaves that fails at its first epoch
  train run --epochs 1
  is log "$(grep -c '"dcls_version"' run/log.ndjson) $(grep -c '"loss":3}' run/log.ndjson)" "1 0"
}

@test "the log: epochs that are done, tenths of seconds, a first line where it is missing" {
  needs jq
  colors
  train run --epochs 2
  is epochs "$(jq -sc '[.[] | select(.step) | .epoch]' run/log.ndjson)" "[1,1,2,2]"
  is "no masks" "$(grep -c iou run/log.ndjson)" 0
  has tenths "$(jq -c 'select(.elapsed_seconds) | .elapsed_seconds * 10 == (.elapsed_seconds * 10 | round)' run/log.ndjson)" true
  rm run/log.ndjson
  try 0 train --resume run --epochs 3
  has place "${stderr_lines[0]}" "; 3 epochs of 3 steps; goes on after step 6"
  is header "$(head -1 run/log.ndjson | jq -c '[.class_count, .epochs]')" "[3,3]"
}

@test "pictures of another size than the model's are told of" {
  colors
  try 0 train $small --train set --preprocess imagenet --area 0.5,1 --epochs 1 -o run
  is note "${stderr_lines[1]}" \
    "dcls: trains at 8x8; validation and the saved model take pictures at 224x224, as their preprocessing says"
  try 0 train -q $small --train set --preprocess imagenet --area 0.5,1 --epochs 1 -o quiet
  is quiet "$stderr" ""
  try 0 train $small --train set --ignore 3 --dry-run
  has stderr "$stderr" "train: warning: --ignore is for masks: it has no effect here"
}

call_locked() {
  status=0
  flock run/log.ndjson "$DCLS" "$@" 2>../stderr || status=$?
  stderr=$(<../stderr)
}

@test "a loss that is no number: where, and what stays" {
  colors
  try 3 train -q $small --train set -o run --optimizer sgd --rate 1e6 --epochs 50 --save-every 0
  has stderr "$stderr" "dcls: run: step "
  has stderr "$stderr" "is not finite"
  has stderr "$stderr" "; the last checkpoint stays: '--resume run' with a lower --rate or --clip-norm 1"
  [[ -s run/checkpoint.bin && ! -e run/model.bin ]]
  try 3 train -q --resume run
  try 3 train -q $small --train set -o other --optimizer sgd --rate 1e6 --batch 1
  has stderr "$stderr" "; try a lower --rate or --clip-norm 1"
  train good --epochs 2 --save-every 0
  try 0 train -q --resume good --epochs 3 --rate 0.001 --clip-norm 1
  try 0 train -q --model good/checkpoint.bin --train set --batch 6 --size 8 --epochs 1 --rate 0 -o tuned
  is tensors "$(dcls inspect tuned/model.bin | sed -n 's/.*safetensors, \([0-9]*\) tensors.*/\1/p')" \
    "$(dcls inspect good/model.bin | sed -n 's/.*safetensors, \([0-9]*\) tensors.*/\1/p')"
}

@test "a full disk: the checkpoint of before stays" {
  colors
  train run --epochs 1
  cp run/checkpoint.bin before.bin
  status=0
  (trap '' XFSZ; ulimit -f 2; exec "$DCLS" train -q --resume run --epochs 2) 2>../stderr || status=$?
  is status "$status" 4
  has stderr "$(<../stderr)" "cannot write: File too large"
  cmp run/checkpoint.bin before.bin
  is files "$(ls -A run)" "$(printf '%s\n' best.bin checkpoint.bin log.ndjson model.bin recipe.json)"
  try 0 train -q --resume run --epochs 2
  train whole --epochs 1
  try 0 train -q --resume whole --epochs 2
  cmp run/model.bin whole/model.bin
}

@test "recipes: files, flags, -s, what is printed" {
  needs jq
  colors
  printf '{"model": {"arch": "convmixer", "settings": {"dim": 8, "depth": 1}}, "data": {"train": "set"},\n "batch": 6, "size": 8, "schedule": {"epochs": 1, "rate": 0.5}}' >r.json
  try 0 train r.json --print-recipe --rate 0.25 -s loss.label_smoothing=0.1 --no-flip --freeze 0.weight --freeze '*.bias'
  is values "$(jq -c '[.schedule.rate, .loss.label_smoothing, .augment.flip, .optimizer.freeze, .batch]' <<<"$output")" \
    '[0.25,0.1,false,["0.weight","*.bias"],6]'
  is path "$(jq -r .data.train <<<"$output")" "$PWD/set"
  echo "$output" >whole.json
  try 0 train whole.json --print-recipe
  is again "$output" "$(<whole.json)"
  try 0 train -q r.json -o a
  try 0 train -q r.json -o b -s rate=0.5
  cmp a/model.bin b/model.bin
  mkdir elsewhere
  (cd elsewhere && dcls train -q ../whole.json -o c)
  [[ -s elsewhere/c/model.bin ]]
}

@test "a recipe keeps the name of a built-in model, wherever it is" {
  mkdir sub
  printf '{"model": {"file": "builtin:unet-dcls-camvid"}, "data": {"train": "x"}}' >sub/r.json
  try 0 train sub/r.json --print-recipe
  has file "$output" '"file": "builtin:unet-dcls-camvid"'
  has data "$output" "/sub/x"
}

@test "the recipes that ship are recipes, of no machine in particular" {
  local recipe
  for recipe in "$root"/weights/recipes/*.json; do
    try 0 train "$recipe" --train x --print-recipe
    run ! grep -nE '"(/|~)' "$recipe"
  done
}

@test "a dry run says what there would be and writes nothing" {
  colors
  try 0 train $small --train set --val set --dry-run
  has network "$output" "convmixer, "
  has data "$output" "18 pictures, 18 for validation"
  has steps "$(tr -s ' ' <<<"$output")" "steps 90, 3 an epoch"
  has memory "$output" "MiB"
  has validation "$output" " of it for validation"
  try 0 train $net --batch 6 --size 6x8 --scale 1,1 --train set --dry-run
  has size "$output" "6 pictures of 6x8"
  try 0 train $small --train set --val set --val-limit 5 --rand-ops 2 --rand-magnitude 14 --dry-run
  has data "$output" "18 pictures, 5 for validation"
  is files "$(ls)" set
  train run --epochs 2
  rm run/log.ndjson
  try 0 train --resume run --epochs 4 --dry-run
  has steps "$(tr -s ' ' <<<"$output")" "steps 6, 3 an epoch"
  try 0 train --resume run --print-recipe
  has recipe "$output" '"epochs": 2'
  [[ ! -e run/log.ndjson ]]
}

@test "a picture that is broken is named, and the run before it stays" {
  colors
  printf 'P6\n8 8\n255\nshort' >set/green/3.ppm
  try 3 train -q $small --train set --val set -o run --epochs 4 --save-every 0
  has stderr "$stderr" "set/green/3.ppm"
  ppm 8 8 5 250 30 >set/green/3.ppm
  try 0 train -q --resume run
  train whole --epochs 4
  cmp run/model.bin whole/model.bin
}
