#!/usr/bin/env bats
# dcls bench: steps, their costs, algorithms side by side.

load helper

@test "text: every step, totals" {
  dcls_model >m.json
  try 0 bench m.json --input 4x6 -r 5 --threads 1
  has heading "${lines[0]}" "m.json: input [1, 3, 4, 6], 1 thread, peak "
  local text
  text=$(tr -s ' ' <<<"$output")
  has columns "$text" " step op output algorithm ms share GFLOP/s of peak"
  has step "$text" " d dcls 3x4x6 sparse "
  has whole "$text" " auto "
  has runs "$text" ", 5 runs), "
}

@test "--json: what was measured, and that it adds up" {
  needs jq
  dcls_model >m.json
  try 0 bench -m m.json --input 12x14 -b 2 -r 7 --json
  is input "$(jq -c .input_shape <<<"$output")" "[2,3,12,14]"
  is repeats "$(jq '.runs[0].repeats' <<<"$output")" 7
  is output "$(jq -c '.runs[0].steps[0].output_shape' <<<"$output")" "[2,3,12,14]"
  local taps
  taps=$("$DCLS" inspect --json m.json --input 12x14 | jq '[.nodes[].dcls.taps? // empty] | add')
  is macs "$(jq '.runs[0].macs_done' <<<"$output")" "$((taps * 2 * 12 * 14))"
  is order "$(jq '.runs[0] | .min_ms <= .median_ms and .median_ms <= .max_ms' <<<"$output")" true
  is steps "$(jq '[.runs[0].steps[].median_ms] | add > 0' <<<"$output")" true
  is rate "$(jq '.runs[0] | (.items_per_second * .median_ms / 2000 - 1) | fabs < 1e-6' <<<"$output")" true
  is share "$(jq '.runs[0].share_of_peak > 0' <<<"$output")" true
  is speed "$(jq '.runs[0] | (.gflops * .median_ms * 1e6 / .macs_done / 2 - 1) | fabs < 1e-6' <<<"$output")" true
}

@test "--algo all: each algorithm once, auto first" {
  needs jq
  dcls_model >m.json
  try 0 bench -m m.json --input 4x6 -r 3 --algo all --json
  is algorithms "$(jq -r '[.runs[].algo] | join(" ")' <<<"$output")" "auto construct im2col sparse"
  is chosen "$(jq -r '[.runs[].steps[0].algorithm] | .[2:] | join(" ")' <<<"$output")" "interpolated sparse"
  try 0 bench -m m.json --input 4x6 -r 3 --algo all
  has table "$(tr -s ' ' <<<"$output")" " layer output auto chosen construct im2col sparse"
  try 0 bench -m m.json --input 4x6 -r 3 --algo im2col
  has step "$output" interpolated
  [[ $(dcls --version) == *convmixer-dcls-cifar10* ]] || skip "the program was built without models"
  try 0 bench builtin:convmixer-dcls-cifar10 -r 1 --algo all
  has "depthwise layers" "$output" "depthwise layers run as the same list of taps by construct and by sparse"
}

@test "without DCLS layers --tune and --algo all say so, and measure one plan" {
  needs jq
  model features '{"op": "relu", "name": "r", "inputs": ["input"]}' r "" >m.json
  for how in --tune '--algo all'; do # two words
    try 0 bench -m m.json --input 4x6 -r 3 $how
    has "$how" "$output" "no DCLS layers: there is nothing to choose"
    try 0 bench -m m.json --input 4x6 -r 3 $how --json
    is "$how" "$(jq -c '[.runs[].algo, .tune]' <<<"$output")" "$([[ $how == --tune ]] && echo '["auto",[]]' || echo '["auto",null]')"
  done
}

@test "--tune: predictions beside measurements of all that can run" {
  needs jq
  model features '{"op": "dcls", "name": "d", "inputs": ["input"], "weight": "d.weight", "P": "d.P", "version": "v1",
    "dilated_kernel_size": 3, "padding": 1, "groups": 3},
    {"op": "dcls", "name": "own", "inputs": ["d"], "weight": "o.weight", "P": "o.P", "version": "v1", "dilated_kernel_size": 3}' own \
    "$(f32 d.weight '[3, 1, 2]' '[1,2, 1,2, 1,2]'), $(f32 d.P '[2, 3, 1, 2]' '[0,1, 0,0.5, 0,0, 0,0, 0.5,0, 0,0]'),
    $(f32 o.weight '[2, 3, 1]' '[1,2,3, 4,5,6]'), $(f32 o.P '[2, 2, 3, 1]' '[0,1,0.5, 0,0,0, 0,1,0, 0,0,-1]')" >m.json
  try 0 bench -m m.json --input 4x6 -r 3 --tune --json
  is layers "$(jq -c '[.tune[].name]' <<<"$output")" '["d","own"]'
  is algorithms "$(jq -c '[.tune[].algos | keys | join(" ")]' <<<"$output")" '["im2col sparse","sparse"]'
  is chosen "$(jq -c '.tune[0].chosen' <<<"$output")" '"sparse"'
  is measured "$(jq '. as $all | [range(2)] | all(. as $i | $all.tune[$i].algos.sparse.measured_ms == $all.runs[3].steps[$i].median_ms)' \
    <<<"$output")" true
  is predicted "$(jq '[.tune[].algos[].predicted_ms] | min > 0' <<<"$output")" true
  is fastest "$(jq '.tune | all(.fastest as $f | .algos | (map(.measured_ms) | min) == .[$f].measured_ms)' <<<"$output")" true
  try 0 bench -m m.json --input 4x6 -r 3 --tune
  has table "$(tr -s ' ' <<<"$output")" " layer output construct predicted im2col predicted sparse predicted chosen"
  has summary "$output" " of 2 layers would run more than 10% faster otherwise; chosen algorithms take "
  try 2 bench -m m.json --tune --algo sparse
  is stderr "$stderr" "dcls: bench: --tune compares all algorithms: leave --algo sparse out"
}

@test "--precision bf16: full convolutions say so, depthwise ones stay" {
  needs jq
  model features '{"op": "dcls", "name": "d", "inputs": ["input"], "weight": "d.weight", "P": "d.P", "version": "v1",
    "dilated_kernel_size": 3, "padding": 1, "groups": 3}, {"op": "conv", "name": "c", "inputs": ["d"], "weight": "w"},
    {"op": "conv", "name": "e", "inputs": ["c"], "weight": "w"}, {"op": "conv", "name": "s", "inputs": ["e"], "weight": "s", "stride": 2}' s \
    "$(f32 d.weight '[3, 1, 2]' '[1,2, 1,2, 1,2]'), $(f32 d.P '[2, 3, 1, 2]' '[0,1, 0,0.5, 0,0, 0,0, 0.5,0, 0,0]'),
    $(f32 w '[3, 3, 1, 1]' '[1,2,3, 4,5,6, 7,8,9]'), $(f32 s '[1, 3, 2, 2]' '[1,2,3,4, 5,6,7,8, 9,1,2,3]')" >m.json
  try 0 bench -m m.json --input 4x6 -r 3 --precision bf16 --json
  is algorithms "$(jq -c '[.runs[0].steps[].algorithm]' <<<"$output")" '["sparse","fused bf16","dense bf16"]'
  is precision "$(jq -c '[.precision, .peak_bf16_gflops > 0]' <<<"$output")" '["bf16",true]'
  try 0 bench -m m.json --input 4x6 -r 3 --json
  is precision "$(jq -c '[.precision, has("peak_bf16_gflops")]' <<<"$output")" '["fp32",false]'
  try 0 bench -m m.json --input 4x6 -r 3 --precision bf16
  has heading "${lines[0]}" " in bfloat16"
}

# pair BEFORE PIXELS: the algorithm of a pair of pointwise convolutions behind that operation
pair() {
  printf '{"task": "features", "input": {"channels": 192, "height": "any", "width": "any"}, "nodes": [
    {"name": "n", "inputs": ["input"], %s}, {"op": "conv", "name": "a", "inputs": ["n"], "weight": "a", "out_channels": 384, "kernel_size": 1},
    {"op": "gelu", "name": "g", "inputs": ["a"]}, {"op": "conv", "name": "b", "inputs": ["g"], "weight": "b", "out_channels": 128, "kernel_size": 1}],
    "output": "b"}' "$1" >pair.json
  DCLS_CPU=avx2 "$DCLS" bench pair.json --input "$2" -r 3 --json 2>/dev/null | jq -r '.runs[0].steps[-1].algorithm'
}

@test "Strassen's products: behind a layer norm, where pixels are enough" {
  needs jq
  local norm='"op": "layer_norm", "weight": "w", "bias": "v"'
  is "behind a norm" "$(pair "$norm" 14x14)" strassen
  is "an odd number of pixels" "$(pair "$norm" 15x15)" fused
  is "few pixels" "$(pair "$norm" 7x8)" fused
  is "behind something else" "$(pair '"op": "relu"' 14x14)" fused
}

@test "operations without multiply-accumulates have no speed" {
  needs jq
  features >m.json
  try 0 bench -m m.json --input 4x6 -r 3
  has step "$(tr -s ' ' <<<"$output")" " g global_avg_pool 3 0."
  try 0 bench -m m.json --input 4x6 -r 3 --json
  is step "$(jq -c '.runs[0].steps[0] | [.algorithm, .macs_done, .gflops, .share_of_peak]' <<<"$output")" '[null,0,null,null]'
  is run "$(jq -c '.runs[0] | [.macs_done, .gflops, .share_of_peak]' <<<"$output")" '[0,null,null]'
}

@test "usage and bad models" {
  dcls_model >m.json
  try 2 bench m.json n.json
  try 2 bench m.json -m m.json
  is stderr "$stderr" "dcls: bench: 'm.json' and -m m.json: give one model"
  try 2 bench -m m.json --input 4x
  is stderr "$stderr" "dcls: bench: --input: '4x' is not a size such as 224x224"
  try 2 bench -m m.json -r 0
  try 2 bench -m m.json -s 0
  try 2 bench -m m.json --algo fast
  : >empty
  try 3 bench -m empty
  try 4 bench -m absent.bin
  try 2 bench -m builtin:nothing
  is output "$output" ""
}
