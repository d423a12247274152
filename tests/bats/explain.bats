#!/usr/bin/env bats
# dcls explain: what it says of layers made of options and of layers of models.

load helper

squeeze() { tr -s ' ' <<<"$1"; }

@test "one screen: D and K are enough" {
  try 0 explain -D 17 -K 34
  is title "${lines[0]}${lines[1]}" "Dcls2d(96, 96, kernel_count=34, dilated_kernel_size=17, groups=96,    version='v1')"
  local text
  text=$(squeeze "$output")
  has tensors "$text" "tensors weight [96, 1, 34], P [2, 96, 1, 34], bias"
  has reach "$text" "reach 17x17 cells, as a classic 3x3 at dilation 8, 5x5 at 4, 9x9 at 2"
  has padding "$text" "padding 8 = D // 2, which keeps the size"
  # 96 * 34 + 96 and 2 * 96 * 34; 56 * 56 * 96 * 289; 56 * 56 * 96 * 34 * 4; 96 * 289 + 96; 96 * 25 + 96
  has kernel "$text" "kernel K = 34 elements anywhere in a window of D = 17x17 cells"
  has learns "$text" "learns 3,264 weights + 96 biases + 6,528 positions = 9,888"
  has parameters "$text" "this layer 9,888 "
  has construct "$text" " construct 87.0M 108 KiB dense kernel"
  has sparse "$text" " sparse (auto) 40.9M 102 KiB taps"
  has dense "$text" "dense 17x17 27,840 87.0M 108 KiB"
  has dilated "$text" "5x5 at dilation 4 2,496 7.53M "
}

@test "every explanation fits 24 lines of 80 columns" {
  local arguments line
  while read -r arguments; do
    # shellcheck disable=SC2086
    try 0 explain $arguments
    ((${#lines[@]} <= 24)) || { echo "$arguments: ${#lines[@]} lines"; return 1; }
    for line in "${lines[@]}"; do
      ((${#line} <= 80)) || { echo "$arguments: ${#line} columns: $line"; return 1; }
    done
  done <<'END'
-D 17 -K 34
-D 1 -K 9
-D 4,6 -K 9 --in 64 --out 128 --set version=gauss
-D 23 -K 26 -c 768 --set version=gauss --size 14x14
-D 7,7,7 -K 5 --in 16 --out 32 --set version=max
-D 25 -K 1 --dim 1 --set version=gauss --in 700 --out 256
-D 5,9,13 -K 40 --in 256 --out 512 --shared-positions --stride 2 --size 16x64x64
builtin:dclsseg-camvid
builtin:convmixer-dcls-cifar10 5.0.fn.0
END
}

@test "even and unequal windows, one cell" {
  try 0 explain -D 4,6 -K 9 --set version=gauss
  has padding "$output" "none keeps the size, since D is even"
  has even "$output" "* D = 4 is even"
  has unequal "$output" "* Sides differ: gauss "
  has axes "$output" "* P[0] is the column"
  try 0 explain -D 5,7 -K 9 --set version=v0
  has axes "$output" "* P[0] is the row"
  [[ $output != *"Sides differ"* ]]
  try 0 explain -D 1 -K 9
  has cell "$output" "* The window has one cell"
  try 0 explain -D 3 -K 9
  has cells "$output" "* 9 elements in 9 cells"
}

@test "options and settings" {
  needs jq
  try 0 explain --json -D 5,9 -K 7 --in 6 --out 4 --groups 2 --stride 2,1 --padding 0,4 --size 20x30
  is layer "$(jq -c '[.dimensions, .window, .kernel_count, .in_channels, .out_channels, .groups, .stride, .padding, .output_size]' <<<"$output")" \
    '[2,[5,9],7,6,4,2,[2,1],[0,4],[8,30]]'
  is tensors "$(jq -c '[.weight_shape, .position_shape, .parameters, .weights, .biases, .positions, .dense.weights]' <<<"$output")" \
    '[[4,3,7],[2,4,3,7],256,84,4,168,540]'
  is macs "$(jq -c '[.dense.macs, .algos.im2col.macs]' <<<"$output")" "[$((8 * 30 * 540)),null]"
  local with=$output
  try 0 explain --json --set dilated_kernel_size=5,9 --set kernel_count=7 --set in_channels=6 --set out_channels=4 \
    --set groups=2 --set stride=2,1 --set padding=0,4 --size 20x30
  is "the same by settings" "$output" "$with"
  try 0 explain --json -D 9 -K 3 --dim 3 -c 8
  is sizes "$(jq -c '[.input_size, .window, .groups]' <<<"$output")" '[[28,28,28],[9,9,9],8]'
  try 0 explain --json -D 9 -K 3 --in 8
  is channels "$(jq -c '[.in_channels, .out_channels, .groups]' <<<"$output")" '[8,8,1]'
}

@test "a layer of a model has the figures of inspect" {
  needs jq
  try 0 explain --json builtin:convmixer-dcls-cifar10 4.0.fn.0
  local explained
  explained=$(jq -c '[.name, .algos.construct.macs, .algos.sparse.macs, .taps, .positions]' <<<"$output")
  try 0 inspect --json builtin:convmixer-dcls-cifar10
  is figures "$explained" \
    "$(jq -c '.nodes[] | select(.name == "4.0.fn.0") | [.name, .macs_dense, .macs_sparse, .dcls.taps, .positions]' <<<"$output")"
  dcls_model >m.json
  try 0 explain m.json --size 4x6
  has output "$(squeeze "$output")" "output 3 channels of 4x6, from 4x6 at stride 1"
}

@test "errors" {
  try 2 explain
  has stderr "$stderr" "dcls: explain: --dilated-kernel-size is needed, or a MODEL"
  try 2 explain -D 17
  try 2 explain -D 1099511627776 -K 3
  is stderr "$stderr" "dcls: explain: dilated_kernel_size must be from 1 to 1048576, not 1099511627776"
  local arguments
  for arguments in "-D -3 -K 4" "-D 3 -K 0" "-D 3x -K 3" "-D 3,4 -K 3 --dim 3" "-D 3,3,3,3 -K 1" "-D 3 -K 3 --groups 7" \
    "-D 3 -K 3 --padding -1" "-D 3 -K 3 --stride 0" "-D 99 -K 3 --padding 0" "-D 3 -K 3 --set version=v9" "-D 3 -K 1e3" \
    "-D 3 -K 3 --set x=1" "-D 3 -K 3 --set version" "-D 3 -K 3 --size 0x4" "builtin:none" "-D 3 builtin:convmixer-dcls-cifar10"; do
    # shellcheck disable=SC2086
    try 2 explain $arguments
    is "lines of $arguments" "${#stderr_lines[@]}" 1
  done
  classifier >c.json
  try 2 explain c.json
  is stderr "$stderr" "dcls: c.json: there is no DCLS layer"
  try 2 explain builtin:convmixer-dcls-cifar10 x
  has stderr "$stderr" "there is no DCLS layer 'x'; the first one is '3.0.fn.0'"
  try 2 explain builtin:convmixer-dcls-cifar10 4.0.fn.o
  has stderr "$stderr" "there is no DCLS layer '4.0.fn.o'; did you mean '4.0.fn.0'?"
  try 2 explain builtin:convmixer-dcls-cifar10 3.1
  has stderr "$stderr" "'3.1' is no DCLS layer but 'conv'; the first one is '3.0.fn.0'"
  echo rubbish >bad
  try 3 explain bad
  try 4 explain missing
}

@test "what a trained layer learned, in a model and in a bare state dict" {
  dcls_model >m.json
  # P of 6 elements: index 0 holds 0, 1, 0, 0.5, 0, 0 and index 1 0, 0, 0.5, 0, 0, 0; one is at the limit 1
  try 0 explain m.json --size 8x8
  has learned "$output" "std 0.38 0.19 cells; 16.7% at the limit +-1; 0.0% of the mass lost"
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 d.weight '[3, 1, 2]' '[1,2, 1,2, 1,2]')" \
    "$(f32 d.P '[2, 3, 1, 2]' '[0,1, 0,0.5, 0,0, 0,0, 0.5,0, 0,0]')" >s.json
  try 0 explain s.json --set version=v1 --set dilated_kernel_size=3 --size 8x8
  has title "${lines[0]}" "d: Dcls2d(3, 3, kernel_count=2, dilated_kernel_size=3, groups=3,"
  has learned "$output" "std 0.38 0.19 cells; 16.7% at the limit +-1; 0.0% of the mass lost"
  has output "$output" "3 channels of 8x8, from 8x8"
  try 2 explain s.json
  has stderr "$stderr" "set version=v0 or version=v1"
  try 2 explain s.json x --set version=v1 --set dilated_kernel_size=3
  has stderr "$stderr" "there is no DCLS layer 'x'; the first one is 'd'"
  dcls_model | sed 's/"tensors": .*/"tensors": {}}/' >net.json
  try 0 explain s.json --arch net.json --size 8x8
  has learned "$output" "std 0.38 0.19 cells"
  try 2 explain -D 3 -K 2 --arch net.json
}

@test "positions along one dimension" {
  needs jq
  # weight [96, 1, 9, 3], P [1, 96, 1, 9, 3]; 56 * 56 * 96 * 81
  try 0 explain -D 9 -K 3 --set layer=2_1d --json
  is tensors "$(jq -c '[.layer, .weight_shape, .position_shape, .weights, .positions, .dense.macs, .algos.im2col.macs]' <<<"$output")" \
    "[\"2_1d\",[96,1,9,3],[1,96,1,9,3],2592,2592,$((56 * 56 * 96 * 81)),null]"
  is classic "$(jq -c '.dilated | [.kernel_size, .weights]' <<<"$output")" '[[2,2],384]'
  try 0 explain -D 5,5,7 -K 2 -c 4 --set layer=3_1d --json
  is tensors "$(jq -c '[.weight_shape, .position_shape]' <<<"$output")" '[[4,1,5,5,2],[1,4,1,5,5,2]]'
  try 0 explain -D 9 -K 3 --set layer=2dK1d --set flat_dim=1 --json
  is tensors "$(jq -c '[.weight_shape, .position_shape, .window]' <<<"$output")" '[[96,1,3],[1,96,1,3],[1,9]]'
  try 2 explain -D 9 -K 3 --dim 1 --set layer=2_1d
  channels=1 model features '{"op": "dcls", "name": "a", "weight": "w", "P": "P", "layer": "2_1d", "version": "v1",
    "dilated_kernel_size": 5, "padding": [1, 2]}' a "$(f32 w '[1, 1, 3, 1]' '[1, 2, 3]'), $(f32 P '[1, 1, 1, 3, 1]' '[0, 1, 2]')" >m.json
  try 0 explain m.json --size 8x8
  has title "${lines[0]}" "a: Dcls2_1d(1, 1, kernel_count=1, dilated_kernel_size=(3, 5)"
  has learned "$output" "std 0.82 cells; 33.3% at the limit +-2"
}
