#!/usr/bin/env bats
# A window's size stands in no checkpoint: what positions tell when it is wrong, and networks that cannot run.

load helper

# One layer of ten 1-D elements: POSITIONS
line() {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}\n' \
    "$(f32 a.weight "[1, 1, 10]" "[1,1,1,1,1,1,1,1,1,1]")" "$(f32 a.P "[1, 1, 1, 10]" "[$1]")"
}
# As training with dilated_kernel_size 9 leaves them: held back at 4.
trained='4,-4,4,3.5,1.25,-0.3,0.7,2.2,-1.1,-2.6'
line_settings() { echo --set version=v1 --set "dilated_kernel_size=$1"; }

# Elements 5 of 10 lie beyond 2, as far as 4: outside the window 5, all but their share between 2 and 3. v1 puts 1 - r of
# 2 + r into the last cell: 0.8 of 2.2, 0.4 of -2.6, none of the five at 3.5 and 4 (3.5 is one of four).
@test "a window that is too small: convert and plot say what inspect says" {
  line "$trained" >a.json
  local line="layer 'a': 48.0 % of the kernel mass lies outside the window: positions reach 4, which \
dilated_kernel_size 5 does not (9 would)"
  try 0 convert a.json d.json --to dense $(line_settings 5)
  has stderr "$stderr" "dcls: a.json: warning: $line"
  try 0 convert a.json t.json --to taps $(line_settings 5)
  has stderr "$stderr" "warning: $line"
  try 0 plot a.json -o p.png $(line_settings 5)
  has stderr "$stderr" "warning: $line"
  try 0 convert -q a.json d.json --to dense $(line_settings 5)
  is stderr "$stderr" ""
}

@test "plot speaks of the layers that are drawn" {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s, %s, %s}}\n' \
    "$(f32 a.weight "[1, 1, 10]" "[1,1,1,1,1,1,1,1,1,1]")" "$(f32 a.P "[1, 1, 1, 10]" "[$trained]")" \
    "$(f32 b.weight "[1, 1, 10]" "[1,1,1,1,1,1,1,1,1,1]")" "$(f32 b.P "[1, 1, 1, 10]" "[$trained]")" >two.json
  try 0 plot two.json -o p.png $(line_settings 5) --layers b
  has stderr "$stderr" "warning: layer 'b'"
  [[ $stderr != *"layer 'a'"* ]]
  try 0 plot two.json -o p.png $(line_settings 5) --layers '[ab]'
  has stderr "$stderr" "warning: layer 'a'"
  try 0 plot two.json -o p.png --set version=v1 --set dilated_kernel_size=9 --set a:dilated_kernel_size=5 --layers b
  [[ $stderr != *warning* ]]
}

@test "a window that is too large: positions end at the limit of a smaller one" {
  line "$trained" >a.json
  local line="layer 'a': positions end at 4.0 as if dilated_kernel_size were 9, not 17"
  try 0 convert a.json d.json --to dense $(line_settings 17)
  has stderr "$stderr" "dcls: a.json: warning: $line"
  try 0 plot a.json -o p.png $(line_settings 17)
  has stderr "$stderr" "warning: $line"
  try 0 convert a.json d.json --to dense $(line_settings 9)
  [[ $stderr != *warning* ]]
  # twice the same end is chance, whole numbers are rounded positions
  line '4,-4,3.9,3.5,1.25,-0.3,0.7,2.2,-1.1,-2.6' >b.json
  try 0 convert b.json d.json --to dense $(line_settings 17)
  [[ $stderr != *warning* ]]
  line '4,-4,4,3,1,0,1,2.5,-1,-3' >c.json
  try 0 convert c.json d.json --to dense $(line_settings 17)
  [[ $stderr != *warning* ]]
}

# The same layer in a network: WINDOW PADDING
line_network() {
  printf '{"format": "dcls-model", "version": 1, "model": {"task": "features", "input": {"channels": 1, "width": "any"},
    "nodes": [{"op": "dcls", "name": "a", "inputs": ["input"], "weight": "a.weight", "P": "a.P", "version": "v1",
    "dilated_kernel_size": %s, "padding": %s}], "output": "a"}}\n' "$1" "$2"
}

@test "with --arch, and in inspect" {
  line "$trained" >a.json
  line_network 17 8 >net.json
  try 0 convert a.json m.bin --arch net.json --set dilated_kernel_size=17
  has stderr "$stderr" "warning: layer 'a': positions end at 4.0"
  try 0 inspect m.bin --input 64
  has warning "$output" "warning: layer 'a': positions end at 4.0 as if dilated_kernel_size were 9, not 17"
  line_network 9 4 >net.json
  try 0 convert a.json m.bin --arch net.json
  try 0 inspect m.bin --input 64 --json
  is limit "$(tr -d ' \n' <<<"$output" | grep -o '"implied_size":\[[^]]*\]')" '"implied_size":[null]'
}

@test "many elements at the clamp limit: inspect alone" {
  line "$trained" >a.json
  line_network 9 4 >net.json
  try 0 convert a.json m.bin --arch net.json --set dilated_kernel_size=9
  [[ $stderr != *warning* ]]
  try 0 inspect m.bin --input 64
  has warning "$output" "warning: layer 'a': 30.0 % of the elements sit at the clamp limit"
  line '4,-4,0,3.5,1.25,-0.3,0.7,2.2,-1.1,-2.6' >b.json
  try 0 convert b.json m.bin --arch net.json
  try 0 inspect m.bin --input 64
  [[ $output != *warning* ]]
}

@test "many layers: the first warnings, and how many more" {
  local tensors='' i
  for i in 1 2 3 4 5 6; do
    tensors+="${tensors:+, }$(f32 "l$i.weight" '[1, 1, 2]' '[1, 1]'), $(f32 "l$i.P" '[1, 1, 1, 2]' '[5, 0.5]')"
  done
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s}}' "$tensors" >a.json
  try 0 convert a.json d.json --to dense $(line_settings 5)
  has stderr "$stderr" "layer 'l3': "
  [[ $stderr != *"'l4'"* ]]
  has stderr "$stderr" "dcls: a.json: warning: 3 more like these; dcls inspect shows all"
}

# Two rows of the network disagree about the size by the first window's padding.
residual() {
  model features '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "k", "groups": 3},
    {"op": "add", "name": "sum", "inputs": ["input", "c"]}' sum "$(f32 k '[3, 1, 3, 3]' "$(printf '[1%s]' "$(repeat 26 ',1')")")"
}

@test "a network that cannot run is not written" {
  residual >m.json
  try 3 convert m.json out.bin
  has stderr "$stderr" "dcls: m.json: the network cannot run on an input of [1, 3, 224, 224]: node 'sum' (add): "
  [[ ! -e out.bin ]]
  try 3 convert m.json out.onnx
  [[ ! -e out.onnx ]]
  # sizes that only some inputs have
  model features '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "k", "dilation": 150, "groups": 3}' c \
    "$(f32 k '[3, 1, 3, 3]' "$(printf '[1%s]' "$(repeat 26 ',1')")")" >large.json
  try 0 convert large.json out.bin
  model features '{"op": "flatten", "name": "f", "inputs": ["input"]},
    {"op": "linear", "name": "fc", "inputs": ["f"], "weight": "w"}' fc \
    "$(f32 w '[1, 3072]' "$(printf '[1%s]' "$(repeat 3071 ',1')")")" >flat.json
  try 0 convert flat.json out.bin
}
