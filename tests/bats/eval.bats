#!/usr/bin/env bats
# dcls eval: figures worked out by hand, classes by name, pictures of results, reference models.

load helper

# Pictures of one colour in folders of classes; the classifier takes a picture for its largest channel.
colors() {
  mkdir -p set/{red,green,blue}
  ppm 2 2 255 0 0 >set/red/a.ppm
  ppm 3 2 0 0 255 >set/red/b.ppm
  ppm 2 2 0 255 0 >set/green/a.ppm
  ppm 2 2 0 0 255 >set/blue/a.ppm
  classifier >m.json
}

# Two pictures, of which the right half of the second is not what its mask says.
scenes() {
  mkdir -p pairs/images pairs/masks
  segmenter >s.json
  stripes 255 0 0 0 255 0 >pairs/images/a.ppm
  stripes 255 0 0 0 0 255 >pairs/images/b.ppm
  stripes 255 0 0 0 255 0 >b.ppm
  try 0 infer -q -m s.json -o out pairs/images/a.ppm b.ppm
  cp out/a.mask.png pairs/masks/a.png
  cp out/b.mask.png pairs/masks/b.png
}

# Four pixels of one colour beside four of another.
stripes() {
  printf 'P6\n4 2\n255\n'
  local row color
  for row in 1 2; do
    for color in "$1 $2 $3" "$1 $2 $3" "$4 $5 $6" "$4 $5 $6"; do
      printf '%b' "$(printf '\\x%02x\\x%02x\\x%02x' $color)"
    done
  done
}

# close JQ-EXPRESSION VALUE: of $output
close() {
  jq -e "($1) - ($2) | fabs < 1e-6" <<<"$output" >/dev/null && return 0
  echo "$1 is $(jq "$1" <<<"$output"), not $2"
  return 1
}

@test "classification: folders go by the network's labels, figures by hand" {
  needs jq
  colors
  try 0 eval -m m.json --data set --json
  is stderr "$stderr" ""
  # 96.5 % for each answer: exp(4) / (exp(4) + 2)
  close .top1 0.75
  close .mean_class_accuracy '(0.5 + 1 + 1) / 3'
  close .mean_iou '(0.5 + 1 + 0.5) / 3'
  close .loss '(3 * ((4 | exp) + 2 | log - 4) + ((4 | exp) + 2 | log)) / 4'
  close .calibration_error '(4 | exp) / ((4 | exp) + 2) - 0.75'
  is confusion "$(jq -c .confusion <<<"$output")" "[[1,0,1],[0,1,0],[0,0,1]]"
  is labels "$(jq -c '[.classes[].label]' <<<"$output")" '["red","green","blue"]'
  is counts "$(jq -c '[.pictures, .targets]' <<<"$output")" "[4,4]"
  is recall "$(jq -c '[.classes[].recall]' <<<"$output")" "[0.5,1,1]"
  is precision "$(jq -c '[.classes[].precision]' <<<"$output")" "[1,1,0.5]"
}

@test "classification: the same as text" {
  colors
  try 0 eval m.json -d set
  is first "${lines[0]}" "set: 4 pictures, 3 classes"
  local text
  text=$(tr -s ' ' <<<"$output")
  has top1 "$text" "top-1 accuracy 75.00%"
  has row "$text" "red 2 50.00% 100.00% blue 50.0%"
  has row "$text" "green 1 100.00% 100.00%"
  has square "$text" " 0 red 50.0 . 50.0"
  [[ $text != *top-5* ]]
}

@test "--flip, --scales, --batch, --algo and --threads give the same for pictures of one colour" {
  colors
  local expected
  try 0 eval -m m.json -d set
  expected=$output
  for more in --flip '--scales 1,2' '--flip --scales 0.5,1,2' '--batch 1' '--algo construct' '--threads 3' '--resize 5x4'; do
    try 0 eval -m m.json -d set $more
    is "$more" "$output" "$expected"
  done
}

@test "what is meant by mistakes that are made often" {
  colors
  try 2 eval set
  is stderr "$stderr" "dcls: eval: 'set' is a directory: if it is the data set, write -d set"
  [[ $(dcls --version) == *resnet-dcls* ]] || skip "the program was built without models"
  try 4 infer -m resnet-dcls-cifar10 set/red/1.ppm
  has stderr "$stderr" "there is no such file, but a built-in model: builtin:resnet-dcls-cifar10"
}

@test "classes: in the order that is said; names the network does not know" {
  needs jq
  colors
  mv set/red set/rot
  try 0 eval -m m.json -d set --classes rot,green,blue --json
  close .top1 0.75
  printf 'rot\ngreen\nblue\n' >names
  try 0 eval -m m.json -d set --classes names --json
  close .top1 0.75
  try 2 eval -m m.json -d set # one name more is no order for the rest
  is stdout "$output" ""
  is stderr "$stderr" "dcls: set: the network does not know the class 'rot' (1 of 3 are unknown, the others known)"
  try 2 eval -m m.json -d set --classes red,green,blue
  is stderr "$stderr" "dcls: set: the folder 'rot' is none of the 3 classes"
  unlabelled >u.json
  try 0 eval -m u.json -d set --json
  is labels "$(jq -c '[.classes[].label]' <<<"$output")" '["blue","green","rot"]'
  mkdir other one
  cp -r set/blue other/bleu
  cp -r set/green other/vert
  try 2 eval -m m.json -d other
  is stderr "$stderr" \
    "dcls: other: the network knows none of the 2 classes ('bleu' ..), and has 3: --classes FOLDER=CLASS,.. says which is which"
  try 0 eval -m m.json -d other --classes bleu=blue,vert=green --json
  is right "$(jq -c '[.classes[] | select(.pictures > 0 or .targets > 0) | .label]' <<<"$output")" '["green","blue"]'
  try 0 eval -m m.json -d other --classes vert=green,bleu=blue --json
  close .top1 1
  try 2 eval -m m.json -d other --classes bleu,vert
  is stderr "$stderr" "dcls: eval: --classes: 'bleu' says no class of the network, such as 'red': all 3 in order, or FOLDER=CLASS,.."
  try 2 eval -m m.json -d other --classes vert=green,bleu=green
  is stderr "$stderr" "dcls: eval: --classes: class 'green' is given two folders, 'vert' and 'bleu'"
  try 0 eval -m m.json -d set --classes rot=red # the others go by their labels
  cp -r set equal
  mv equal/rot equal/a=b
  try 0 eval -m u.json -d equal --classes a=b,green,blue
  try 0 eval -m u.json -d equal
  is unnamed "$stderr" "dcls: equal: warning: the network has no names for its classes: folders are taken in the order of theirs, 'a=b' first"
  try 2 eval -m u.json -d other
  is fewer "$stderr" "dcls: other: the network has 3 classes without names, not 2: --classes names all of them in order"
  try 2 eval -m u.json -d other --classes bleu,vert
  is stderr "$stderr" "dcls: eval: --classes: the network has 3 classes without names, not 2: name all of them"
  cp -r set/rot other/zinnober
  try 0 eval -m m.json -d other --json # bleu 0, vert 1, zinnober 2: right is vert
  is stderr "$stderr" "dcls: other: warning: the network knows none of the classes ('bleu' ..): they are taken in the data's order"
  try 0 eval -q -m m.json -d other --json
  is stderr "$stderr" ""
  cp -r set/green one # one class alone is enough where its name is known
  try 0 eval -m m.json -d one --json
  is confusion "$(jq -c .confusion <<<"$output")" "[[0,0,0],[0,1,0],[0,0,0]]"
  mv one/green one/vert
  try 2 eval -m m.json -d one
  has stderr "$stderr" "does not know the class 'vert'"
}

@test "segmentation: masks, ignored values, figures by hand" {
  needs jq
  scenes
  try 0 eval -m s.json -d pairs --json
  is confusion "$(jq -c .confusion <<<"$output")" "[[8,0,0],[0,4,4],[0,0,0]]"
  close .top1 0.75
  close .mean_iou '(1 + 0.5 + 0) / 3'
  close .mean_class_accuracy 0.75
  is iou "$(jq -c '[.classes[].iou]' <<<"$output")" "[1,0.5,0]"
  is nothing "$(jq -c '.classes[2] | [.recall, .targets]' <<<"$output")" "[null,0]"
  try 0 eval -m s.json -d pairs --ignore 1 --json
  is confusion "$(jq -c .confusion <<<"$output")" "[[8,0,0],[0,0,0],[0,0,0]]"
  close .mean_iou 1
  try 0 eval -m s.json -d pairs
  is first "${lines[0]}" "pairs: 2 pictures, 16 pixels, 3 classes"
  has row "$(tr -s ' ' <<<"$output")" "green 50.00% 50.00% 50.00% 100.00% blue 50.0%"
  try 2 eval -m s.json -d pairs --classes green,red,blue
  is names "$stderr" "dcls: eval: --classes: is for folders of classes: masks say their classes by numbers"
}

@test "--limit, CIFAR-10 files" {
  needs jq
  colors
  try 0 eval -m m.json -d set -n 2 --json
  is pictures "$(jq .pictures <<<"$output")" 2
  mkdir c10
  (printf '\3' && head -c 3072 /dev/zero && printf '\7' && head -c 3072 /dev/zero) >c10/test_batch.bin
  try 0 eval -d c10 --kind cifar10 --json
  is targets "$(jq -c '[.classes[] | select(.targets > 0) | .label]' <<<"$output")" '["cat","horse"]'
}

@test "pictures: the confusion matrix and the worst items" {
  needs jq
  colors
  try 0 eval -m m.json -d set --confusion c.svg --worst w --worst-count 2 --json
  is worst "$(jq -c '.worst[0] | [.input, .top1]' <<<"$output")" '["set/red/b.ppm",0]'
  is count "$(jq '.worst | length' <<<"$output")" 2
  is names "$(cd w && echo 01-*)" 01-red-as-blue-b.png
  is files "$(ls w | wc -l)" 3
  is magic "$(head -c 4 w/01-red-as-blue-b.png w/worst.png | tr -cd PNG)" PNGPNG
  is stderr "$stderr" ""
  try 0 eval -m m.json -d set --worst w
  is stderr "$stderr" "dcls: w: warning: the folder is not empty: pictures of an earlier run may stay among the new ones"
  for name in red green blue target answer; do has "$name" "$(<c.svg)" '<svg'; done
  try 0 eval -m m.json -d set --confusion c.pdf
  is magic "$(head -c 5 c.pdf)" %PDF-
  try 0 eval -m m.json -d set --confusion c.png
  cp c.png again.png
  try 0 eval -m m.json -d set --confusion c.png
  cmp c.png again.png
  scenes
  try 0 eval -m s.json -d pairs --worst v --worst-count 1
  is names "$(cd v && echo *)" 01-b.png
}

@test "usage and failures" {
  colors
  scenes
  try 2 eval -m m.json
  is stderr "$stderr" "dcls: eval: --data is missing: the data set to evaluate on; see 'dcls eval --help'"
  try 2 eval m.json -m m.json -d set
  try 2 eval -m m.json -d set --scales 1,two
  try 2 eval -m m.json -d set --scales 0
  try 2 eval -m m.json -d set --resize 5x
  try 2 eval -m m.json -d set --kind photos
  try 2 eval -m m.json -d set --confusion matrix.gif
  try 4 eval -m m.json -d set --confusion nowhere/matrix.png
  is stderr "$stderr" "dcls: nowhere/matrix.png: cannot write: No such file or directory"
  try 4 eval -m m.json -d set --worst m.json/there
  try 2 eval -m m.json -d pairs
  is stderr "$stderr" "dcls: pairs: the network classifies pictures, the data has masks"
  try 2 eval -m s.json -d set
  is stderr "$stderr" "dcls: set: the network makes masks, the data has folders of classes"
  features >f.json
  try 2 eval -m f.json -d set
  is stderr "$stderr" "dcls: f.json: gives features: only networks that classify or segment can be evaluated"
  try 4 eval -m absent.bin -d set
  try 4 eval -m m.json -d absent
  echo no picture >set/red/c.png
  try 3 eval -m m.json -d set
  has stderr "$stderr" "dcls: set/red/c.png: "
  is stdout "$output" ""
}

@test "reference models: PyTorch's own answers as targets" {
  needs jq
  needs_shared models/dclsseg-camvid
  mkdir pairs
  ln -s "$shared"/models/dclsseg-camvid/{images,masks} pairs/
  try 0 eval -m builtin:dclsseg-camvid -d pairs --json
  jq -e '.top1 > 0.9999 and .targets == 8 * 240 * 180' <<<"$output"
}

# data_set NAME: $set is that set where it is unpacked.
data_set() {
  set=${DCLS_DATA_SETS:-$root/../data-sets}/$1
  [[ -d $set ]] || skip "$set is not there"
}

@test "CIFAR-10: 81.3 % as in PyTorch" {
  needs jq
  data_set cifar10/test
  try 0 eval -m builtin:convmixer-dcls-cifar10 -d "$set" --json
  jq -e '.pictures == 10000 and .top1 > 0.810 and .top1 < 0.816' <<<"$output"
}

@test "CamVid: 49.4 % mIoU at 240x180 as in PyTorch" {
  needs jq
  data_set camvid/test
  try 0 eval -m builtin:dclsseg-camvid -d "$set" --resize 180x240 --json
  jq -e '.pictures == 233 and .mean_iou > 0.490 and .mean_iou < 0.500' <<<"$output"
}
