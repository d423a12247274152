#!/usr/bin/env bats
# dcls diff: networks, tensors, elements of kernels, exit statuses.

load helper

squeeze() { tr -s ' ' <<<"$1"; }
last() { sed -n "$1p" <<<"$output"; }

# layer K WEIGHTS P [ATTRIBUTES]: one channel, windows of 3x3
layer() {
  channels=1 model features "{\"op\": \"dcls\", \"name\": \"d\", \"inputs\": [\"input\"], \"weight\": \"d.weight\", \"P\": \"d.P\",
    \"version\": \"${version:-v1}\", \"dilated_kernel_size\": 3${4:+, $4}}" d \
    "$(f32 d.weight "[1, 1, $1]" "[$2]"), $(f32 d.P "[2, 1, 1, $1]" "[$3]")"
}
# What layer 2 '1,2' '0,1, 0,0' makes: columns first, so the elements are at cells (1, 1) and (1, 2).
dense() {
  channels=1 model features '{"op": "conv", "name": "d", "inputs": ["input"], "weight": "d.weight"}' d \
    "$(f32 d.weight '[1, 1, 3, 3]' "[0,0,0, 0,1,${1:-2}, 0,0,0]")"
}
# tensors NAME:SHAPE:DATA ..: a safetensors file of floats 0, 1, 2, nan
arrays() {
  local item name shape data header='' at=0 count bytes='' length
  for item in "$@"; do
    IFS=: read -r name shape data <<<"$item"
    count=$(wc -w <<<"$data")
    header+="${header:+,}\"$name\":{\"dtype\":\"F32\",\"shape\":[$shape],\"data_offsets\":[$at,$((at + 4 * count))]}"
    at=$((at + 4 * count)) bytes+=" $data"
  done
  header="{$header}" length=${#header}
  printf "\\x$(printf %02x $((length & 255)))\\x$(printf %02x $((length >> 8)))\\0\\0\\0\\0\\0\\0%s" "$header"
  for item in $bytes; do float32 "$item"; done
}

@test "a model is the same as itself, whatever its format" {
  dcls_model >a.json
  dcls convert -q a.json a.bin
  try 0 diff a.json a.bin
  is output "$output" "A  a.json: features model, 2 tensors
B  a.bin: features model, 2 tensors

same (2 tensors): 2 identical"
  is stderr "$stderr" ""
  try 0 diff - a.bin <a.json
  try 0 diff builtin:convmixer-dcls-cifar10 builtin:convmixer-dcls-cifar10
}

@test "elements are a set: a changed index is no difference, but --strict says it is" {
  layer 3 1,2,3 '0,1,-1, 1,0,0.5' >a.json
  layer 3 3,1,2 '-1,0,1, 0.5,1,0' >b.json
  try 0 diff a.json b.json --atol 0
  has output "$output" "same (2 tensors): 2 identical"
  has output "$output" "moved: 3 elements with another index, which --strict says differ"
  try 1 diff --strict a.json b.json
  has output "$(squeeze "$output")" " d.weight 3 2 1.333 "
}

@test "elements that changed are matched to what they were" {
  layer 3 1,2,3 '0,1,-1, 1,0,0.5' >a.json
  layer 3 3,1,2 '-1,0,0.75, 0.5,1,0' >b.json
  try 1 diff a.json b.json
  # 1 became 0.75 at index [0, 0, 0, 1] of A; |B| = sqrt(1 + 0.5625 + 1 + 0.25)
  has P "$(squeeze "$output")" " d.P elements 1 0.25 0.04167 0.1491 [0, 0, 0, 1]: 1 -> 0.75"
  has kernel "$(squeeze "$output")" " d.weight (kernel) "
  has note "$output" "(kernel): what the elements' differences come to; it does not decide"
  has largest "$output" "largest of kernels: relative "
  has sum "$output" "differ (2 tensors): 1 beyond tolerance, 1 identical"
  try 0 diff a.json b.json --atol 0.25
  has sum "$output" "same within tolerance (2 tensors): 1 within tolerance, 1 identical"
  has sum "$output" "tolerance: |A-B| <= 0.25 + 0 |B|"
}

@test "layers of unlike form are compared by their kernels" {
  layer 2 1,2 '0,1, 0,0' >dcls.json
  dense >same.json
  dense 3 >other.json
  layer 3 '1,1.5,0.5' '0,1,1, 0,0,0' >three.json
  version=v0 layer 2 1,2 '0,0, 0,1' >rows.json
  try 0 diff dcls.json same.json
  has output "$(squeeze "$output")" '~ d op: "dcls" -> "conv" (compared by kernel)'
  try 1 diff --strict dcls.json same.json
  try 1 diff dcls.json other.json
  has output "$(squeeze "$output")" " d.weight kernel 1 1 0.1111 0.3162 [0, 0, 1, 2]: 2 -> 3"
  try 0 diff dcls.json three.json
  try 0 diff --all dcls.json three.json
  has output "$(squeeze "$output")" " d.weight kernel, K 2 -> 3 0 0 0"
  try 0 diff --json dcls.json three.json
  is elements "$(jq -c '.tensors[] | select(.as == "kernel") | [.elements_a, .elements_b]' <<<"$output")" "[2,3]"
  try 0 diff dcls.json rows.json
  has output "$(squeeze "$output")" '~ d version: "v1" -> "v0" (compared by kernel)'
  try 1 diff --strict dcls.json rows.json
  layer 2 1,2 '0,1, 0,0' '"padding": 1' >padded.json
  try 1 diff dcls.json padded.json
  has output "$(squeeze "$output")" "~ d padding: unset -> 1"
  has sum "$output" "differ (2 tensors): 1 change of structure, 2 identical"
}

@test "--kernels: a layer is what its kernel is" {
  layer 2 1,2 '0,1, 0,0' >a.json
  layer 2 2,1 '1,0, 0,0' >b.json
  try 0 diff --kernels --all a.json b.json
  has output "$(squeeze "$output")" " d.weight kernel 0 0 0"
  layer 2 '1,0' '0,1, 0,0' >c.json
  layer 2 '1,0' '0,-1, 0,0' >d.json
  try 1 diff c.json d.json
  try 0 diff --kernels c.json d.json
}

@test "structure: added, removed and changed nodes" {
  classifier >a.json
  sed 's/"name": "mean"/"name": "max"/; s/global_avg_pool/global_max_pool/; s/\["mean"\]/["max"]/; s/"green"/"grün"/' a.json >b.json
  try 1 diff a.json b.json
  local text
  text=$(squeeze "$output")
  has labels "$text" ' ~ (network) labels[1]: "green" -> "grün"'
  has removed "$text" " - mean only in A (global_avg_pool)"
  has added "$text" " + max only in B (global_max_pool)"
  has changed "$text" ' ~ fc inputs[0]: "mean" -> "max"'
  has sum "$output" "differ (2 tensors): 4 changes of structure, 2 identical"
}

@test "tensors: only in one, unlike shapes, NaN" {
  arrays 'x:2:1 2' 'y:2:1 2' 'only:1:0' >a.bin
  arrays 'x:2:1 2' 'y:1,2:1 2' 'z.num_batches_tracked:1:0' >b.bin
  try 1 diff a.bin b.bin
  local text
  text=$(squeeze "$output")
  has only "$text" " only [1] -"
  has shape "$text" " y [2] [1, 2]"
  has sum "$output" "differ (3 tensors): 1 only in A, 1 of unlike shape, 1 identical"
  arrays 'x:3:1 nan 2' >n.bin
  arrays 'x:3:1 0 2' >o.bin
  try 1 diff n.bin n.bin
  has stderr "$stderr" "--equal-nan"
  has output "$(squeeze "$output")" " x 1 1 0 0 0 [1]: nan -> nan"
  has output "$output" "largest: 1 NaN in x"
  try 0 diff --equal-nan n.bin n.bin
  try 1 diff --equal-nan n.bin o.bin
}

@test ".npy: shape, type, figures, the worst place" {
  npy 2,2 0 1 2 2 >a.npy
  npy 2,2 0 1 2 1 >b.npy
  npy 4, 0 1 2 2 >c.npy
  try 1 diff a.npy b.npy
  has output "$(squeeze "$output")" " array 1 1 0.25 0.4082 [1, 1]: 2 -> 1"
  try 1 diff a.npy c.npy
  has output "$(squeeze "$output")" " array [2, 2] [4]"
  try 0 diff a.npy b.npy --rtol 1
  arrays 'x:2,2:0 1 2 2' >x.bin
  try 0 diff a.npy x.bin
  DESCR='<i4' npy 4, >i.npy
  printf '\0\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0' >>i.npy
  try 0 diff c.npy i.npy
  has output "$output" "same (1 tensor): 1 identical, 1 of another type"
  try 1 diff --strict c.npy i.npy
  has output "$(squeeze "$output")" " array F32, I32 "
}

@test "a state dict: elements without settings, kernels with them" {
  layer 2 1,2 '0,1, 0,0' >a.json
  dense >b.json
  arrays 'd.weight:1,1,2:2 1' 'd.P:2,1,1,2:1 0 0 0' >a.bin
  arrays 'd.weight:1,1,3,3:0 0 0 0 1 2 0 0 0' >b.bin
  try 0 diff a.json a.bin
  has output "$output" "moved: 2 elements"
  try 0 diff a.json b.bin
  try 1 diff a.bin b.bin
  has stderr "$stderr" "--set version=v1 --set dilated_kernel_size=17"
  try 0 diff a.bin b.bin --set version=v1 --set dilated_kernel_size=3
  try 2 diff b.bin b.bin --set version=v1
  has stderr "$stderr" "dcls: diff: settings are for DCLS layers"
  try 2 diff a.bin b.bin --set dilated_kernel_size=3
  has stderr "$stderr" "version"
}

@test "order: the largest relative difference first, or as in A" {
  arrays 'a:1:1' 'b:1:2' 'c:1:2' >a.bin
  arrays 'a:1:1' 'b:1:2' 'c:1:1' >b.bin
  arrays 'a:1:2' 'b:1:0' 'c:1:1' >c.bin
  try 1 diff b.bin c.bin
  is order "$(awk '/^  [abc] / {print $1}' <<<"$output" | tr -d '\n')" ba
  try 1 diff --order model b.bin c.bin
  is order "$(awk '/^  [abc] / {print $1}' <<<"$output" | tr -d '\n')" ab
  try 1 diff --all --order model a.bin b.bin
  is order "$(awk '/^  [abc] / {print $1}' <<<"$output" | tr -d '\n')" abc
}

@test "--json: everything" {
  needs jq
  layer 3 1,2,3 '0,1,-1, 1,0,0.5' >a.json
  layer 3 3,1,2 '-1,0,0.75, 0.5,1,0' '"padding": 1' >b.json
  try 1 diff --json a.json b.json
  is differs "$(jq .differs <<<"$output")" true
  is change "$(jq -c '.changes[0]' <<<"$output")" \
    '{"change":"changed","node":"d","attribute":"padding","a":null,"b":1,"decides":true}'
  is rows "$(jq -c '[.tensors[] | [.name, .as, .result, .decides]]' <<<"$output")" \
    '[["d.weight","elements","identical",true],["d.P","elements","different",true],["d.weight","kernel","different",false]]'
  is figures "$(jq -c '.tensors[1] | [.count, .beyond, .max_abs, .worst_at, .worst_a, .worst_b]' <<<"$output")" \
    '[6,1,0.25,[0,0,0,1],1,0.75]'
  is moved "$(jq '.tensors[0].moved' <<<"$output")" 3
  is totals "$(jq -c '.totals | [.change_count, .tensor_count, .identical, .different]' <<<"$output")" '[1,2,1,1]'
  is count "$(jq .a.tensor_count <<<"$output")" 2
  # values of any length are whole, and have their own types
  unlabelled | jq -c '.tensors.w |= (.shape = [99, 3] | .data = [range(297)]) | .tensors.b |= (.shape = [99] | .data = [range(99)])' >m.json
  jq -c '.model.labels = [range(99) | "class number \(.)"]' m.json >c.json
  try 1 diff --json m.json c.json
  is labels "$(jq -c '.changes[] | select(.attribute == "labels") | [.a, (.b | length), .b[98]]' <<<"$output")" '[null,99,"class number 98"]'
  try 1 diff m.json c.json
  has cut "$output" 'labels: unset -> ["class number 0", '
  [[ $output == *" .."* && $output != *"number 98"* ]]
}

@test "--key-a, --key-b: state dicts of one checkpoint" {
  local two=$root/tests/fixtures/pytorch/two_unknown_keys.pth
  try 0 diff "$two" "$two" --key-a critic --key-b critic
  has sum "$output" "same (8 tensors)"
  try 3 diff "$two" "$two" --key-a critic
  dcls convert -q "$two" generator.bin --key generator
  try 0 diff "$two" generator.bin --key-a generator
  try 2 diff "$two" "$two" --key-a critic --key-b absent
  try 2 diff generator.bin generator.bin --key-a generator
}

@test "a set of tensors with no DCLS layer in common gets no hint" {
  arrays 'x:1:1' >a.bin
  layer 2 1,2 '0,1, 0,0' >b.json
  try 1 diff a.bin b.json
  is stderr "$stderr" ""
}

@test "exit statuses and errors" {
  classifier >a.json
  echo rubbish >bad
  : >empty
  mkdir dir
  try 2 diff
  try 2 diff a.json
  try 2 diff a.json a.json a.json
  try 2 diff - -
  try 2 diff --atol -1 a.json a.json
  try 2 diff --atol nan a.json a.json
  try 2 diff --order size a.json a.json
  try 2 diff a.json builtin:none
  try 3 diff a.json bad
  has stderr "$stderr" "dcls: bad: "
  try 3 diff empty a.json
  try 4 diff a.json missing
  is stderr "$stderr" "dcls: missing: cannot open: No such file or directory"
  try 4 diff a.json dir
  is "lines of the error" "${#stderr_lines[@]}" 1
}
