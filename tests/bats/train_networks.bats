#!/usr/bin/env bats
# dcls train: networks that are described, whitened, gone on with; masks; what is refused.

load helper
load train_util

@test "masks: the validation is what dcls eval says at full size" {
  needs jq
  scenes
  segmentation_graph >graph.json
  try 0 train -q --graph graph.json --train scenes --val scenes --classes 3 --batch 2 --size 8 --scale 1,1.5 --rate 0.05 \
    --epochs 8 --class-weights balanced -o run
  is score "$(jq -s '[.[].val_mean_iou // 0] | max > 0.6' run/log.ndjson)" true
  try 0 eval -m run/best.bin -d scenes --json
  is miou "$(jq '.mean_iou * 1e5 | round' <<<"$output")" \
    "$(jq -s '[.[] | select(.best)] | last | .val_mean_iou * 1e5 | round' run/log.ndjson)"
  try 0 train --model run/best.bin --train scenes --val scenes --batch 2 --size 8 --scale 1,1 --epochs 1 -o more
  has heading "$(tr -s ' ' <<<"$stderr")" " epoch loss pixels val. loss mIoU time"
  has "the start" "$stderr" "dcls: before training: mIoU $(dcls eval -m run/best.bin -d scenes --json | jq -r '.mean_iou * 10000 | round / 100')"
  try 0 train --model run/best.bin --train scenes --val scenes --batch 2 --size 8 --scale 1,1 --rate 1 --epochs 1 -o worse
  has "the end" "$stderr" "below the model it began with; see --freeze in dcls-train(1)"
}

@test "a description takes other classes than it has labels for; --labels names them" {
  needs jq
  scenes
  segmentation_graph | sed 's/"out_channels": 3/"out_channels": "classes"/; s/"task"/"labels": ["a", "b", "c"], "palette": [[1,2,3],[4,5,6],[7,8,9]], "task"/' >graph.json
  local net="--graph graph.json --train scenes --batch 2 --size 8 --scale 1,1 --epochs 1"
  labels() { dcls convert "$1/model.bin" m.json && jq -c .model.labels m.json; }
  try 0 train -q $net -o three
  is own "$(labels three)" '["a","b","c"]'
  try 0 train -q $net --classes 5 -o five
  is none "$(labels five)" null
  try 0 train -q $net --labels u,v,w,x -o four
  is named "$(labels four)" '["u","v","w","x"]'
  printf 'one name\nan other\nthird\n' >names
  try 0 train -q $net --labels names -o file
  is file "$(labels file)" '["one name","an other","third"]'
  try 0 train $net -s model.labels=k,l,m --print-recipe
  is list "$(jq -c .model.labels <<<"$output")" '["k","l","m"]'
}

@test "teachers: what they answer is learned, without anything of the data where the share is 1" {
  needs jq
  colors
  train teacher --epochs 12
  mkdir wrong # the colours' folders under each other's names
  cp -r set/red wrong/blue
  cp -r set/green wrong/red
  cp -r set/blue wrong/green
  try 0 train $small --train wrong --val set -o taught --epochs 12 --teacher teacher --teacher teacher/model.bin --teacher-share 1 --temperature 2
  has start "$stderr" "2 teachers; 12 epochs"
  is learned "$(jq -s '[.[].val_top1 // 0] | max == 1' taught/log.ndjson)" true
  is parts "$(jq -s '[.[] | select(.loss)] | all(.cross_entropy > 0 and .loss > 0 and .loss != .cross_entropy)' taught/log.ndjson)" true
  is where "$(jq -c '.distill | [.teachers[] | startswith("/")] + [.share, .temperature]' taught/recipe.json)" '[true,true,1,2]'
  is what "$(dcls inspect --json taught/best.bin | jq -r '.metadata["dcls.recipe"]' | jq -c '.distill')" '{"share":1,"temperature":2}'
  is who "$(dcls inspect --json taught/best.bin | jq -r '.metadata["dcls.teachers"]')" "teacher, model.bin"
  is "the log" "$(jq -s '.[0].teachers' taught/log.ndjson)" 2
  try 0 train $small --train set --teacher teacher --dry-run
  has trial "$output" "teachers    teacher"
  train halves --epochs 2 --schedule constant --teacher teacher
  train whole --epochs 3 --schedule constant --teacher teacher
  try 0 train -q --resume halves --epochs 3
  try 0 diff --atol 0 halves/model.bin whole/model.bin
  mv teacher moved
  try 4 train -q --resume halves --epochs 4
  try 0 train --resume halves --epochs 4 --teacher moved
  [[ $stderr != *warning* ]]
  is moved "$(jq -c '.distill.teachers | length' halves/recipe.json)" 1
  try 0 train --resume halves --epochs 5 --teacher taught
  has other "$stderr" "warning: teachers are other ones than when the run began"
  rm -r moved
  try 0 train --resume taught
  has finished "$stderr" "taught: finished after 12 epochs"
  mv whole teacher
  train one --epochs 2 --teacher teacher --threads 1
  train two --epochs 2 --teacher teacher --threads 2
  try 0 diff --atol 0 one/model.bin two/model.bin
}

@test "teachers that do not fit are refused" {
  needs jq
  colors
  scenes
  segmentation_graph >graph.json
  train teacher --epochs 1
  try 4 train $small --train set -o no --teacher nothing.bin
  has missing "$stderr" "nothing.bin"
  try 2 train $small --train set -o no --teacher teacher --preprocess imagenet
  has input "$stderr" "dcls: teacher: the teacher makes tensors of pictures with another mean, std or number of channels"
  mkdir two
  cp -r set/red set/green two
  try 2 train $small --train two -o no --teacher teacher --batch 4 --labels blue,green
  has classes "$stderr" "dcls: teacher: the teacher has 3 classes, the network to train 2"
  try 2 train $small --train set -o no --labels green,blue,red --teacher teacher
  has order "$stderr" "dcls: teacher: the teacher's class 0 is 'blue', that of the network to train 'green'; --labels says its classes in order"
  try 2 train $small --train two -o no --teacher teacher --batch 4 --classes 3 # without labels it has the folders' names
  has folders "$stderr" "dcls: teacher: the teacher's class 0 is 'blue', that of the network to train 'green'"
  train self --epochs 1
  try 2 train $small --train set -o self --force --teacher self
  has self "$stderr" "dcls: self: a run cannot be its own teacher"
  try 2 train $small --train set -o self --force --teacher self/best.bin
  try 2 train $small --train set -o no --teacher - <teacher/best.bin
  try 0 train $small --train set --dry-run --teacher teacher --teacher-share 0
  has useless "$stderr" "warning: teachers have no effect: their share of the loss (--teacher-share) is 0"
  try 0 train $small --train set --dry-run --teacher-share 0.3
  has unused "$stderr" "warning: --teacher-share and --temperature have no effect without --teacher"
  dcls convert -q teacher/best.bin t.json && jq -c '(.tensors[] | select(.dtype == "F32") | .data[0]) = "NaN"' t.json >nan.json
  try 3 train $small --train set -o nan --teacher teacher --teacher nan.json
  has nan "$stderr" "dcls: train: answers of teacher 2 are no numbers"
  try 2 train --graph graph.json --train scenes --classes 3 --batch 2 --size 8 --scale 1,1 -o no --teacher teacher
  has task "$stderr" "dcls: teacher: the teacher and the network to train have other tasks"
  try 2 train $small --train set -o no --teacher teacher --teacher-share 1.5
  has share "$stderr" "'distill.share' is '1.5', must be a number from 0 to 1"
  [[ ! -e no ]]
}

@test "masks: values that are no class are told of, and masks of nothing else refused" {
  scenes
  segmentation_graph | sed 's/"out_channels": 3/"out_channels": "classes"/' >graph.json
  local two="--graph graph.json --train scenes --val scenes --classes 2 --batch 2 --size 8 --scale 1,1 --epochs 1"
  try 0 train $two -o run
  is first "${stderr_lines[0]}" "dcls: scenes: warning: pixels of value 2 do not count: the network has classes 0 to 1"
  is validation "$(grep -c warning <<<"$stderr")" 2
  try 0 train $two --ignore 2 -o meant
  [[ $stderr != *warning* ]]
  try 0 train $two -s data.class_count=2 -o counted
  [[ $stderr != *warning* ]]
  mkdir -p blue/{images,masks}
  for i in 0 1; do
    ppm 8 8 32 16 $((220 + i)) >blue/images/$i.ppm
    cp blue/images/$i.ppm b$i.ppm
  done
  dcls infer -q -m s.json -o out b[01].ppm >/dev/null
  for i in 0 1; do cp out/b$i.mask.png blue/masks/$i.png; done
  try 3 train $two --train blue -o no
  is stderr "$stderr" "dcls: blue: no pixel of the masks is of a class: their values are 2, the network has classes 0 to 1"
  try 3 train $two --train blue --ignore 2 -o no
  is stderr "$stderr" "dcls: blue: no pixel of the masks is of a class: all are ignored"
  try 3 eval run/model.bin -d blue
  is stdout "$output" ""
  has stderr "$stderr" "no pixel of the masks is of a class"
  try 2 train $two --class-weights 0,0 -o no
  has stderr "$stderr" "'loss.class_weights' is '0,0', must be above 0 for a class at least"
  [[ ! -e no ]]
}

@test "a model to go on with: layers replaced, tensors frozen, classes by name" {
  needs jq
  colors
  train run --epochs 6 --set kernel_count=0
  try 0 train -q --model run/model.bin --train set --val set --batch 6 --size 8 --epochs 1 --rate 0 -o same
  is unchanged "$(dcls inspect same/model.bin -t 0.weight | tail -4)" "$(dcls inspect run/model.bin -t 0.weight | tail -4)"
  try 0 train -q --model run/model.bin --train set --batch 6 --size 8 --epochs 1 --replace-depthwise 3 --freeze '*.P' -o dcls
  has layers "$(dcls inspect dcls/model.bin)" "dcls"
  try 0 train --model run/model.bin --train set --val set --batch 6 --size 8 --epochs 1 --replace-depthwise 3 -o random
  has stderr "$stderr" "replaced, with random elements: 'dcls convert --to sparse --kernel-count 3' fits them"
  [[ $stderr != *"below the model it began with"* ]]
  try 2 train -q --model run/model.bin --train set --batch 6 --size 8 --freeze 'nothing*' -o no
  has stderr "$stderr" "--freeze: no tensor's name matches 'nothing*'"
  try 2 train -q --model run/model.bin --train set --batch 6 --size 8 --freeze '*' -o no
  has stderr "$stderr" "there is nothing to learn: all tensors are frozen"
  try 2 train -q --model run/model.bin --train set --batch 6 --size 8 --rate-of 'nothing*=2' -o no
  has stderr "$stderr" "the learning rate of 'nothing*=2': no tensor that learns has such a name"
  try 2 train -q --model run/model.bin --train set --batch 6 --size 8 --rate-of '*.weight=0' -o no
  has stderr "$stderr" "'*.weight=0' is not GLOB=FACTOR"
  try 2 train -q --model run/model.bin --train set --preprocess cifar10 -o no
  has stderr "$stderr" "--preprocess is for new networks"
}

@test "a model to go on with gets a last layer of its own for other classes" {
  needs jq
  colors
  train run --epochs 2 --set kernel_count=0
  fine() { # ARGUMENT..
    rm -rf fine
    try 0 train --model run/model.bin --batch 6 --size 8 --epochs 1 --rate 0 -o fine "$@"
    dcls convert fine/model.bin fine.json 2>/dev/null
    answers=$(jq -c '[.model.labels, .tensors["6.weight"].shape]' fine.json)
  }
  fine --train set
  is kept "$answers" '[["blue","green","red"],[3,8]]'
  [[ $stderr != *anew* ]]
  is weights "$(dcls inspect fine/model.bin -t 6.weight | tail -4)" "$(dcls inspect run/model.bin -t 6.weight | tail -4)"
  fine --train set --classes 5
  is more "$answers" '[null,[5,8]]'
  is note "${stderr_lines[0]}" "dcls: run/model.bin: its last layer '6' is made anew for 5 classes"
  mv set/red set/rot
  fine --train set
  is renamed "$answers" '[["blue","green","rot"],[3,8]]'
  is note "${stderr_lines[0]}" \
    "dcls: run/model.bin: its last layer '6' is made anew for 3 classes, as it does not know the class 'rot'"
  is body "$(dcls inspect fine/model.bin -t 0.weight | tail -4)" "$(dcls inspect run/model.bin -t 0.weight | tail -4)"
  mkdir set/a_fourth
  for i in 1 2 3; do ppm 8 8 9 9 $i >set/a_fourth/$i.ppm; done
  fine --train set --val set
  is fourth "$answers" '[["a_fourth","blue","green","rot"],[4,8]]'
  try 0 eval -m fine/best.bin -d set
  cp -r fine again # what is gone on with is the new network
  try 0 train -q --resume again --epochs 2
  is resumed "$(dcls convert again/model.bin a.json 2>/dev/null && jq -c .model.labels a.json)" '["a_fourth","blue","green","rot"]'
  try 2 train -q --model run/model.bin --train set --classes 2 --batch 6 --size 8 -o no
  is stderr "$stderr" "dcls: set: has 4 classes, the network 2"
  jq '.model.nodes += [{"op": "relu", "name": "r"}] | .model.output = "r"' fine.json >relu.json
  try 3 train -q --model relu.json --train set --classes 6 --batch 6 --size 8 -o no
  has stderr "$stderr" "dcls: relu.json: its output comes from 'r' (relu), which has no weights"
  [[ ! -e no ]]
}

@test "validation data have the classes of the training data, or some of them" {
  colors
  mkdir some
  cp -r set/red some/red
  try 0 train -q $small --train set --val some --epochs 1 -o run
  cp -r set/blue some/navy
  try 2 train -q $small --train set --val some -o no
  is stderr "$stderr" "dcls: some: the training data does not know the class 'navy' (1 of 2 are unknown, the others known)"
}

@test "what cannot be is refused before anything is made" {
  colors
  scenes
  classifier >m.json
  segmentation_graph >graph.json
  refused() { # STATUS WORDS ARGUMENT..
    local words=$2 expected=$1
    shift 2
    try "$expected" train -q -o no "$@"
    has "stderr of $*" "$stderr" "$words"
    is lines "${#stderr_lines[@]}" 1
    [[ ! -e no ]]
  }
  refused 2 "'batch' is '0', must be a whole number" $small --train set --batch 0
  refused 2 "unknown key 'schedule.epoch' (did you mean 'schedule.epochs'?)" $small --train set -s schedule.epoch=3
  refused 2 "-s: 'epochs' is not KEY=VALUE" $small --train set -s epochs
  refused 2 "unknown option '--epoch-s'" $small --epoch-s 3
  refused 2 "unknown option '--lr'; did you mean '--rate'?" --lr 3
  refused 2 "unknown option '--batch-size'; did you mean '--batch'?" --batch-size=3
  refused 2 "unknown option '--resize'; did you mean '--size'?" --resize 3
  refused 2 "one of 'sgd', 'adamw'" $small --train set --optimizer adam
  refused 2 "the training data is missing: data.train, or --train" $small
  mkdir earlier
  echo '{}' >earlier/recipe.json
  refused 2 "'earlier' is the folder of a run, which 'dcls train --resume earlier' goes on with" earlier
  refused 3 "s.json: has weights; model.file (--model) goes on with it" --graph s.json --train set --batch 6
  refused 2 "is needed" --train set
  refused 4 "cannot open" $small --train nothing
  refused 2 "dcls: set: holds 18 pictures, less than a batch of 64 (--batch)" $small --train set --batch 64
  refused 2 "dcls: set: --limit leaves 5 pictures, less than a batch of 6 (--batch)" $small --train set --limit 5
  refused 2 "augment.cutout is 99, more than a side of the pictures, 8 x 8" $small --train set --cutout 99
  refused 2 "augment.crop_padding is 9, more than a side" $small --train set --crop-padding 9
  refused 5 "takes 0.0107 GiB, more than the limit of 0.000977 GiB: make it smaller (--batch, --size), or raise the limit" $small --train set --max-memory 1M --size 400 --area 0.2,1
  refused 2 "dcls: set: is data for classification" --model s.json --train set --batch 6 --size 8
  refused 2 "holds data for segmentation" $small --train set --val scenes
  refused 2 "is 5x6: --scale 0.6,1 takes random parts, --size 10x10 all of it" --graph graph.json --train scenes --classes 3 --batch 2 --size 5,6 --limit 2
  refused 2 "the picture comes out as 8x8 (rows first), the batch is 4x4: --area 0.2,1 takes" $small --train set --size 4
  refused 2 "loss.class_weights has 2 numbers for 3 classes" $small --train set --class-weights 1,2
  refused 2 "the Lovász loss (loss.lovasz) is one of segmentation, this network classifies" $small --train set --lovasz 1
  refused 2 "loss.lovasz and augment.mixup exclude each other" $small --train set --lovasz 1 --mixup 0.2
  refused 2 "--arch and --model: give one network" $small --model s.json --train set
  refused 2 "unknown option '--steps'; did you mean '--epochs'?" --steps 3
  refused 2 "schedule.warmup is not for 'onecycle'" $small --train set --schedule onecycle --warmup 1
  printf '{"loss": {"lovasz": 1}}' >lovasz.json
  refused 2 "dcls: lovasz.json with options: loss.lovasz and augment.mixup exclude" $small --train set lovasz.json --mixup 0.2
  printf '{"model": {"arch": "convmixer", "file": "m.json"}}' >two.json
  refused 2 "only one of a model to go on with (model.file), an architecture (model.arch) and a description (model.graph) may be given" --train set two.json
  refused 2 "--scale 0.8,1 takes random parts" --graph graph.json --train scenes --classes 3 --batch 2 --size 8
  refused 2 "dcls: scenes: is data for segmentation, convmixer is for classification" $small --train scenes
  refused 2 "masks do not say how many classes there are: --classes N" --arch deeplabv3 --train scenes
  refused 2 "'model.arch' is 'graph.json', must be one of 'convmixer', 'convnext_dcls', 'deeplabv3'; a file is model.graph, --graph" --arch graph.json --train set
  refused 3 "m.json" $small --train m.json
  refused 2 "set/red/0.ppm" set/red/0.ppm --train set
  dcls convert m.json m.bin
  refused 2 "m.bin: is a model, not a recipe: --model goes on with it" m.bin --train set
  refused 2 "m.json: is a model, not a recipe: --model goes on with it" m.json --train set
  printf '{"batch": 1,}' >r.json
  refused 2 "dcls: r.json: " r.json --train set
  refused 4 "none.json: cannot open" none.json --train set
  try 2 train $small --train set
  has stderr "$stderr" "where to? -o DIR names the folder of the run"
  printf '{"schedule": {"epochs": "3"}}' >r.json
  refused 2 "r.json: 'schedule.epochs' must be a number, not" r.json --train set
}

@test "a whitened layer: half of its kernels are the others with the other sign, and stay when frozen" {
  needs jq
  colors
  printf '{"task": "classification", "input": {"channels": 3, "height": "any", "width": "any"}, "nodes": [
    {"op": "conv", "name": "stem", "weight": "stem.weight", "bias": "stem.bias", "kernel_size": 3, "out_channels": 6},
    {"op": "gelu", "name": "act"},
    {"op": "dcls", "name": "body", "weight": "body.weight", "P": "body.P", "version": "v1", "dilated_kernel_size": 5, "padding": 2, "kernel_count": 3, "out_channels": 6},
    {"op": "global_avg_pool", "name": "pool", "flatten": true},
    {"op": "linear", "name": "head", "weight": "head.weight", "bias": "head.bias", "out_channels": "classes"}]}' >net.json
  local white="--graph net.json --whiten stem --freeze stem.weight --train set --size 8 --batch 6 --epochs 2"
  try 0 train -v $white -o run
  has stderr "$stderr" "'stem' whitened"
  dcls convert run/model.bin run.json
  is halves "$(jq -c '.tensors["stem.weight"].data | .[:81] == (.[81:] | map(-.))' run.json)" true
  try 0 train -q ${white/--epochs 2/--epochs 1} -o part
  try 0 train -q --resume part --epochs 2
  dcls convert part/model.bin part.json
  is stem "$(jq -c '.tensors["stem.weight"]' part.json)" "$(jq -c '.tensors["stem.weight"]' run.json)"
  try 2 train -q --model run/model.bin --whiten stem --train set --size 8 --batch 6 -o no
  has stderr "$stderr" "model.whiten is for new networks, not for 'run/model.bin'"
  try 2 train -q --graph net.json --whiten body --train set --size 8 --batch 6 -o no
  has stderr "$stderr" "whitening 'body': only an ordinary convolution of the network's input can be whitened"
  [[ ! -e no ]]
}

@test "a softmax at the end is left to the loss" {
  colors
  local nodes='{"op":"dcls","name":"d","weight":"d.weight","P":"d.P","version":"v1","dilated_kernel_size":5,"padding":2,
    "kernel_count":3,"out_channels":4},{"op":"gelu","name":"g"},{"op":"global_avg_pool","name":"p","flatten":true},
    {"op":"linear","name":"h","weight":"h.weight","bias":"h.bias","out_channels":"classes"}' last
  for last in plain:'' soft:',{"op":"softmax","name":"s"},{"op":"identity","name":"i"}'; do
    printf '{"format":"dcls-model","version":1,"model":{"task":"classification","input":{"channels":3,"height":"any","width":"any"},
      "nodes":[%s%s]}}' "$nodes" "${last#*:}" >net.json
    try 0 train -q --graph net.json --size 8 --batch 6 --rate 0.05 --train set --val set --epochs 4 -o "${last%%:*}"
  done
  is log "$(timeless plain/log.ndjson | sed 's/"val_loss":\([0-9]*\.[0-9]\{4\}\)[0-9]*/\1/')" \
    "$(timeless soft/log.ndjson | sed 's/"val_loss":\([0-9]*\.[0-9]\{4\}\)[0-9]*/\1/')"
  printf '{"format":"dcls-model","version":1,"model":{"task":"segmentation","input":{"channels":3,"height":"any","width":"any"},
    "nodes":[{"op":"conv","name":"c","weight":"c.weight","kernel_size":1,"out_channels":"classes"},{"op":"softmax","name":"s"},
    {"op":"resize","name":"r","scale":2}]}}' >net.json
  scenes
  try 3 train -q --graph net.json --classes 3 --train scenes --batch 2 --size 10 -o no
  has stderr "$stderr" "'r' resizes probabilities"
}
