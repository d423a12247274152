#!/usr/bin/env bats
# dcls inspect: tables for people, JSON, single tensors.

load helper

# fact NAME: the value printed behind a name
fact() { sed -nE "s/^  $1 +(.*)/\1/p" <<<"$output"; }
# squeeze: runs of blanks as one
squeeze() { tr -s ' ' <<<"$1"; }

@test "a model: facts, operations, DCLS layers, totals" {
  dcls_model >m.json
  try 0 inspect m.json --input 4x6
  is "first line" "${lines[0]}" "m.json: features model"
  is file "$(fact file)" "json, 2 tensors, $(wc -c <m.json) B"
  is input "$(fact input)" "[any, 3, any, any]"
  has heading "$output" "Network for an input of [1, 3, 4, 6]"
  local text
  text=$(squeeze "$output")
  has "columns" "$text" " node op output weights P MACs sparse field"
  has "layers" "$text" " layer version D K elements std of P clamped lost taps runs as"
  has "layer" "$text" " d v1 3x3 2 6 "
  is parameters "$(fact parameters)" "18: 6 weights, 12 positions, 0 spreads"
  has memory "$(fact memory)" " of activations at the peak; the plan takes "
}

@test "columns without content are left out" {
  segmenter >m.json
  try 0 inspect m.json
  has columns "$(squeeze "$output")" " node op output weights MACs field"
  [[ $output != *"DCLS layers"* ]]
  has classes "$(fact classes)" "3: red, green, blue"
}

@test "sizes: open ones are chosen, fixed ones are not to be changed" {
  segmenter >m.json
  try 0 inspect m.json
  has heading "$output" "Network for an input of [1, 3, 224, 224] (--input sets another size)"
  try 0 inspect m.json --input 10
  has "one side for all" "$output" "Network for an input of [1, 3, 10, 10]"
  try 0 inspect m.json --input 10,12
  has "with a comma" "$output" "Network for an input of [1, 3, 10, 12]"
  try 0 inspect m.json --input 10x12
  [[ $output == *"Network for an input of [1, 3, 10, 12]"* && $output != *"--input sets"* ]]
  segmenter | sed 's/"height": "any"/"height": 8/' >f.json
  try 0 inspect f.json --input 8x9
  try 2 inspect f.json --input 9x9
  is stderr "$stderr" "dcls: inspect: --input: '9x9' is not the size this model is fixed to"
  local value
  for value in 10x 10x0 -1x5 axb 1x2x3 10X12 ''; do
    try 2 inspect m.json --input "$value"
    is stderr "$stderr" "dcls: inspect: --input: '$value' is not a size such as 224x224"
  done
  segmenter | sed 's/"inputs"/"padding": 0, "stride": 2, "inputs"/; s/"k"}/"k", "dilation": 9}/' >s.json
  try 0 inspect s.json --input 30x30
}

@test "--json: one object with everything" {
  needs jq
  dcls_model >m.json
  try 0 inspect --json m.json --input 4x6
  is kind "$(jq -r .kind <<<"$output")" model
  is tensors "$(jq -c '[.tensors[] | [.name, .dtype, .shape, .bytes]]' <<<"$output")" \
    '[["d.weight","F32",[3,1,2],24],["d.P","F32",[2,3,1,2],48]]'
  is input "$(jq -c '.input, .input_shape' <<<"$output" | paste -sd' ')" '["any",3,"any","any"] [1,3,4,6]'
  is node "$(jq -c '.nodes[0] | [.name, .op, .output_shape, .parameters, .weights, .positions, .spreads]' <<<"$output")" '["d","dcls",[1,3,4,6],18,6,12,0]'
  is layer "$(jq -c '.nodes[0].dcls | [.layer, .version, .dilated_kernel_size, .kernel_count, .elements, .clamped]' <<<"$output")" \
    '["dcls","v1",[3,3],2,6,1]'
  is "nothing to tell" "$(jq -c '.nodes[0].dcls | [.spread_mean, .spread_min, .spread_max, .implied_size]' <<<"$output")" \
    '[null,null,null,[null,null]]'
  is totals "$(jq -c '.totals | [.parameters, .weights, .positions]' <<<"$output")" '[18,6,12]'
  is memory "$(jq '.totals | [.peak_live_bytes, .plan_bytes] | all(type == "number")' <<<"$output")" true
}

@test "--json: what is not known is null" {
  needs jq
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 d.weight '[3, 1, 2]' '[1,2, 1,2, 1,2]')" \
    "$(f32 d.P '[2, 3, 1, 2]' '[0,1, 0,0.5, 0,0, 0,0, 0.5,0, 0,0]')" >s.json
  try 0 inspect s.json --set version=v1 --set dilated_kernel_size=3 --json
  is node "$(jq -c '.nodes[0] | [.output_shape, .parameters, .weights, .positions, .spreads, .macs_dense, .macs_sparse, .receptive_field]' \
    <<<"$output")" '[null,null,null,null,null,null,null,null]'
  # a convolution that needs 5 pixels, and what comes behind it
  model features '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "k"},
    {"op": "resize", "name": "r", "inputs": ["c", "input"]}, {"op": "relu", "name": "a"}' a "$(f32 k '[1, 3, 5, 1]' '[1,2,3,4,5, 1,2,3,4,5, 1,2,3,4,5]')" >m.json
  try 0 inspect m.json --input 4x4 --json
  is shapes "$(jq -c '[.input_shape, [.nodes[].output_shape]]' <<<"$output")" '[[1,3,4,4],[null,null,null]]'
  is fields "$(jq -c '[.nodes[].receptive_field]' <<<"$output")" '[[5,1],null,null]'
  is totals "$(jq -c '.totals | [.parameters, .macs_dense, .macs_sparse, .peak_live_bytes, .plan_bytes]' <<<"$output")" '[15,null,null,null,null]'
  try 0 inspect m.json --input 4x4
  has table "$(squeeze "$output")" $'\n c conv 15 5x1\n r resize -\n a relu -\n'
  [[ $output == *"parameters"* && $output != *"MACs  "* && $output != *"memory"* ]]
  try 0 inspect builtin:resnet-dcls-cifar10 --json
  is bytes "$(jq -c '[has("bytes"), .bytes]' <<<"$output")" '[true,null]'
}

@test "layers with positions along one dimension: the whole window" {
  needs jq
  channels=1 model features '{"op": "dcls", "name": "a", "weight": "w", "P": "P", "layer": "2_1d", "version": "v1",
    "dilated_kernel_size": 5, "padding": [1, 2]}, {"op": "dcls", "name": "b", "weight": "w1", "P": "P1", "layer": "2dK1d",
    "flat_dim": 1, "version": "v1", "dilated_kernel_size": 3, "padding": [0, 1]}' b \
    "$(f32 w '[1, 1, 3, 1]' '[1, 2, 3]'), $(f32 P '[1, 1, 1, 3, 1]' '[0, 1, 2]'),
     $(f32 w1 '[1, 1, 1]' '[1]'), $(f32 P1 '[1, 1, 1, 1]' '[0.5]')" >m.json
  try 0 inspect m.json --input 8x8
  has table "$(squeeze "$output")" $'\n a v1 2_1d 3x5 1 3 0.82 33.3% 0.0% 3 '
  has table "$(squeeze "$output")" $'\n b v1 2dK1d 1x3 1 1 0.00 0.0% 0.0% 2 '
  try 0 inspect --json m.json --input 8x8
  is layers "$(jq -c '[.nodes[].dcls | [.layer, .dilated_kernel_size, .window]]' <<<"$output")" \
    '[["2_1d",[5],[3,5]],["2dK1d",[3],[1,3]]]'
}

@test "tensors without a network" {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 a.weight '[2, 3]' '[1,2,3,4,5,6]')" \
    "$(f32 b '[]' '[7]')" >s.json
  try 0 inspect s.json
  is "first line" "${lines[0]}" "s.json: tensors without a network"
  is values "$(fact values)" 7
  has table "$(squeeze "$output")" $'\n a.weight F32 [2, 3] 6\n b F32 [] 1'
  try 2 inspect s.json --input 4x4
  try 0 inspect --json s.json
  has json "$output" '"kind": "tensors"'
}

@test "--set shows the layers of a state dict, --arch makes a model" {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 d.weight '[3, 1, 2]' '[1,2, 1,2, 1,2]')" \
    "$(f32 d.P '[2, 3, 1, 2]' '[0,1, 0,0.5, 0,0, 0,0, 0.5,0, 0,0]')" >s.json
  try 0 inspect s.json --set version=v1 --set dilated_kernel_size=3
  has table "$(squeeze "$output")" $'\nDCLS layers\n layer version D K elements std of P clamped lost taps\n d v1 3x3 2 6 0.38 0.19 16.7% 0.0% '
  try 2 inspect s.json --set version=v1
  try 0 inspect s.json --set version=v1 --set dilated_kernel_size=3 --json
  has json "$output" '"mass_lost": 0'
  dcls_model | sed 's/"tensors": .*/"tensors": {}}/' >net.json
  try 0 inspect s.json --arch net.json
  is "first line" "${lines[0]}" "s.json: features model"
  try 2 inspect builtin:dclsseg-camvid --set version=v1
  is stderr "$stderr" "dcls: inspect: --set cannot change a built-in model"
}

@test "--tensor: statistics and first values; -n" {
  dcls_model >m.json
  try 0 inspect m.json --tensor d.P
  is text "$output" "m.json: d.P
  F32 [2, 3, 1, 2], 12 values, 48 B
  min 0  max 1  mean 0.1667  std $(awk 'BEGIN { m = 2 / 12; printf "%.4g", sqrt((1 + 0.25 + 0.25) / 12 - m * m) }')
  zeros 9  NaN 0  infinite 0
  first 0 1 0 0.5 0 0 0 0 .."
  try 0 inspect m.json -t d.P -n 2
  is "last line" "${lines[4]}" "  first 0 1 .."
  try 0 inspect m.json -t d.P -n 0
  is "lines" "${#lines[@]}" 4
  try 0 inspect m.json -t d.P -n 1000
  is "last line" "${lines[4]}" "  first 0 1 0 0.5 0 0 0 0 0.5 0 0 0"
}

@test "--tensor --json" {
  needs jq
  npy "2, 2" 0 1 nan 2 >x.npy
  try 0 inspect x.npy --json
  is facts "$(jq -c '[.name, .dtype, .shape, .count, .min, .max, .mean, .nan, .inf, .zero, .first]' <<<"$output")" \
    '["array","F32",[2,2],4,0,2,1,1,0,1,[0,1,"NaN",2]]'
}

@test "a .npy is one tensor" {
  needs jq
  npy "3," 0 1 2 >x.npy
  try 0 inspect x.npy
  is "first lines" "${lines[0]}|${lines[1]}" "x.npy: array|  F32 [3], 3 values, 12 B"
  npy "1," nan >n.npy
  try 0 inspect n.npy
  is "no number" "$output" "n.npy: array
  F32 [1], 1 value, 4 B
  zeros 0  NaN 1  infinite 0
  first nan"
  npy "0," >e.npy
  for x in n e; do
    try 0 inspect $x.npy --json
    is $x "$(jq -c '[.min, .max, .mean, .std]' <<<"$output")" '[null,null,null,null]'
  done
}

@test "an unknown tensor: the nearest name" {
  dcls_model >m.json
  try 2 inspect m.json --tensor d.wieght
  is stderr "$stderr" "dcls: m.json: has no tensor 'd.wieght'; did you mean 'd.weight'?"
  try 2 inspect m.json --tensor xyzzy
  is stderr "$stderr" "dcls: m.json: has no tensor 'xyzzy'"
}

@test "names from files are safe on a terminal" {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s}}' "$(f32 'a\u001b[2Jb' '[1]' '[1]')" >s.json
  try 0 inspect s.json || try 3 inspect s.json
  [[ $output$stderr != *$'\033'* ]]
}

@test "tables fit the terminal" {
  needs script
  script -qec true /dev/null </dev/null >/dev/null || skip "there are no pseudo-terminals"
  dcls_model | sed 's/"name": "d"/"name": "a.very.long.name.of.a.layer.that.does.not.end.soon.because.it.is.deep.block.3.dwconv"/; s/"output": "d"/"output": "a.very.long.name.of.a.layer.that.does.not.end.soon.because.it.is.deep.block.3.dwconv"/' >m.json
  local width
  for width in 80 120; do
    run script -qec "stty cols $width; TERM=dumb '$DCLS' inspect m.json" /dev/null </dev/null
    is status "$status" 0
    is "lines wider than $width" "$(tr -d '\r' <<<"$output" | awk -v w=$width 'length > w')" ""
    has "shortened name" "$output" "~"
  done
  try 0 inspect m.json
  [[ $output != *~* ]]
}

@test "a real model that ships" {
  [[ $(dcls --version) == *dclsseg-camvid* ]] || skip "the program was built without models"
  try 0 inspect builtin:dclsseg-camvid --input 180x240
  has stdout "$output" "builtin:dclsseg-camvid: segmentation model"
  has stdout "$output" "gauss"
  try 0 inspect builtin:dclsseg-camvid --tensor blocks.0.dwconv.P
}

@test "a description without weights is shown with fresh ones" {
  local node='{"op":"dcls","name":"d","weight":"d.weight","P":"d.P","version":"v1","dilated_kernel_size":5,"padding":2,"kernel_count":3,"out_channels":4}'
  local rest='{"op":"global_avg_pool","name":"p","flatten":true},{"op":"linear","name":"h","weight":"h.weight","out_channels":"classes"}'
  local described="{\"task\":\"classification\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},\"nodes\":[$node,$rest]}"
  printf '%s' "$described" >plain.json
  printf '{"format":"dcls-model","version":1,"model":%s}' "$described" >wrapped.json
  for file in plain wrapped; do
    try 0 inspect $file.json --input 8
    is note "$stderr" "dcls: $file.json: a description: shown with fresh weights, and 10 classes where it leaves them open"
    has shape "$(tr -s ' ' <<<"$output")" "h linear 10 40"
    try 0 inspect $file.json --input 8 --set kernel_count=7
    has setting "$(tr -s ' ' <<<"$output")" "d v1 5x5 7 "
    try 2 inspect $file.json --set nothing=7
    try 0 bench -s 0.01 $file.json --input 8
  done
  try 3 infer -m plain.json x.ppm
  has stderr "$stderr" "is a description without weights: 'dcls inspect FILE' shows it"
  printf '{"nodes":[{"op":"nothing"}]}' >bad.json
  try 3 inspect bad.json
  has stderr "$stderr" "dcls: bad.json: "
}

@test "numbers that are not finite are counted" {
  model segmentation '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "k"}' c \
    "$(f32 k '[3, 3, 1, 1]' '["NaN",0,0, 0,"Infinity",0, 0,0,1]')" "$rgb_labels" >m.json
  try 0 inspect m.json
  has warning "$output" "warning: tensor 'k': 2 numbers are not finite"
  classifier >good.json
  try 0 inspect good.json
  [[ $output != *"not finite"* ]]
}
