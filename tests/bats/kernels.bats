#!/usr/bin/env bats
# dcls convert: kernels as elements, taps, and elements changed; each with the error it causes.

load helper

# A depthwise convolution of 2 channels, 5x5. The first kernel is an element of v1 worth 4 at row 0.5, column 1.25 from the
# centre: cells (2, 3) 1.5, (2, 4) 0.5 and the same a row further down; the second one is 2 at the centre cell.
kernels='0,0,0,0,0, 0,0,0,0,0, 0,0,0,1.5,0.5, 0,0,0,1.5,0.5, 0,0,0,0,0,
  0,0,0,0,0, 0,0,0,0,0, 0,0,2,0,0, 0,0,0,0,0, 0,0,0,0,0'
dense_tensor() { f32 c.weight '[2, 1, 5, 5]' "[$kernels]"; }
dense_dict() { printf '{"format": "dcls-model", "version": 1, "tensors": {%s}}\n' "$(dense_tensor)"; }
dense_model() {
  channels=2 model features '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "c.weight", "padding": 2,
    "groups": 2}' c "$(dense_tensor)"
}
# One DCLS layer of 1-D positions: WEIGHTS POSITIONS K, window of 9.
line_dict() {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}\n' \
    "$(f32 a.weight "[1, 1, $3]" "[$1]")" "$(f32 a.P "[1, 1, 1, $3]" "[$2]")"
}
line_settings=(--set version=v1 --set dilated_kernel_size=9)

# values FILE TENSOR: the numbers of a tensor of a JSON file on one line
values() { tr -d '\n' <"$1" | sed -n "s/.*\"$2\": {[^}]*\"data\": \[\([^]]*\)\].*/\1/p" | tr -d ' '; }

@test "--to sparse finds an element again, in a model and in a state dict" {
  dense_model >m.json
  dense_dict >d.json
  try 0 convert m.json s.json --to sparse --kernel-count 1
  has table "$output" "c      v1       5x5  1 "
  has total "$output" "1 layer: 50 parameters before, 6 after (8.33 to 1)"
  has stderr "$stderr" "dcls: s.json: features model, 2 tensors, 6 values"
  [[ $(values s.json c.weight) == 4,2 || $(values s.json c.weight) == 3.99*,2* || $(values s.json c.weight) == 4*,* ]]
  # columns first in v1: 1.25 and 0, then rows: 0.5 and 0
  LC_ALL=C awk -F, 'function near(a, b) { return (a - b) ^ 2 < 1e-6 }
    { exit !(near($1, 1.25) && near($2, 0) && near($3, 0.5) && near($4, 0)) }' <<<"$(values s.json c.P)"
  try 0 inspect s.json
  has inspect "$output" "dcls"
  try 0 convert -q d.json t.json --to sparse --kernel-count 1
  is weights "$(values t.json c.weight)" "$(values s.json c.weight)"
  is positions "$(values t.json c.P)" "$(values s.json c.P)"
}

@test "--to sparse: the same for one seed and any number of threads" {
  dense_model >m.json
  for threads in 1 2 3; do
    try 0 convert -q m.json "$threads.bin" --to sparse --kernel-count 2 --set version=gauss --seed 7 --threads "$threads" \
      --effort 0.3
  done
  cmp 1.bin 2.bin
  cmp 1.bin 3.bin
}

@test "--error chooses the number of elements, --set the version" {
  dense_model >m.json
  try 0 convert -q m.json s.bin --to sparse --error 0.001
  has table "$output" "c      v1       5x5  1 "
  try 0 convert -q m.json s.bin --to sparse --error 0.2 --set 'c:version=max'
  has table "$output" "c      max "
  try 2 convert m.json t.bin --to sparse --error 0.1 --set 'x:version=v1'
  has stderr "$stderr" "no layer's name matches 'x'"
  try 2 convert m.json t.bin --to sparse --error 0.1 --set version=v9
  try 2 convert m.json t.bin --to sparse --error 0.1 --set dilated_kernel_size=9
  has stderr "$stderr" "only the version of fitted layers can be set here"
  [[ ! -e t.bin ]]
}

@test "a DCLS layer refitted with fewer elements" {
  line_dict '2,2,1' '1,1,-3' 3 >a.json
  try 0 convert -q a.json b.json --to sparse --kernel-count 2 "${line_settings[@]}"
  has table "$output" "a      v1       9  3 to 2"
  is weights "$(values b.json a.weight | tr , '\n' | cut -c1-4 | sort | tr '\n' ' ')" "1 4 " ||
    has weights "$(values b.json a.weight)" "3.99"
}

@test "--layers chooses; nothing to choose is an error" {
  dense_model >m.json
  try 2 convert m.json t.bin --to sparse --kernel-count 1 --layers 'x*'
  has stderr "$stderr" "no convolution with more than one cell has a name that matches 'x*'"
  classifier >k.json
  try 2 convert k.json t.bin --to sparse --kernel-count 1
  has stderr "$stderr" "there is no DCLS layer and no depthwise convolution larger than 3: name layers with --layers"
  try 2 convert m.json t.bin --round-positions
  has stderr "$stderr" "there is no DCLS layer"
  segmenter >g.json
  try 2 convert g.json t.bin --to sparse --kernel-count 1 --layers c
  [[ ! -e t.bin ]]
}

@test "--to taps: coordinates and values of the non-zero cells" {
  dense_model >m.json
  try 0 convert m.json t.json --to taps
  has table "$output" "1 layer: 50 parameters before, 5 after"
  is index "$(values t.json c.taps.index)" "0,0,2,3,0,0,2,4,0,0,3,3,0,0,3,4,1,0,2,2"
  is value "$(values t.json c.taps.value)" "1.5,0.5,1.5,0.5,2"
  is shape "$(values t.json c.taps.shape)" "2,1,5,5"
  has stderr "$stderr" "dcls: t.json: taps, 3 tensors"
  try 0 inspect t.json
  has inspect "$output" "tensors without a network"
  # two cells of 0.5 go: sqrt(0.5 / 9)
  try 0 convert -q m.json t.json --to taps --threshold 0.25
  is value "$(values t.json c.taps.value)" "1.5,1.5,2"
  has table "$output" "0.2357"
  # of DCLS layers the constructed kernels
  line_dict '2,1' '0.5,-3' 2 >a.json
  try 0 convert -q a.json u.json --to taps "${line_settings[@]}"
  is index "$(values u.json a.taps.index)" "0,0,1,0,0,4,0,0,5"
  is value "$(values u.json a.taps.value)" "0.9999999,0.9999999,0.9999999" # the kernel's sums are 1 + 1e-7
}

@test "--round-positions: halves to even, with its error" {
  line_dict '1,1,1' '0.5,1.5,-2.5' 3 >a.json
  try 0 convert -q a.json b.json --round-positions "${line_settings[@]}"
  is positions "$(values b.json a.P)" "0,2,-2"
  # cells -3, 0, 1 hold 1, 0.5, 0.5, then 1, 1, 0: sqrt(0.5 / 1.5)
  line_dict '1,1' '0.5,-3' 2 >a.json
  try 0 convert -q a.json b.json --round-positions "${line_settings[@]}"
  has table "$output" "  0.5774  "
}

@test "--prune drops weak elements, --merge joins close ones" {
  line_dict '2,-0.01,1,0.5' '0,3,-3,-2.75' 4 >a.json
  try 0 convert -q a.json b.json --prune 0.1 "${line_settings[@]}"
  is weights "$(values b.json a.weight)" "2,1,0.5"
  has table "$output" "4 to 3"
  try 0 convert -q a.json c.json --merge 0.25 "${line_settings[@]}"
  is weights "$(values c.json a.weight)" "2,-0.01,1.5"
  # (-3 * 1 - 2.75 * 0.5) / 1.5
  [[ $(values c.json a.P) == 0,3,-2.91666* ]]
  try 0 convert -q a.json d.json --merge 0.25 --prune 0.1 --round-positions "${line_settings[@]}"
  is weights "$(values d.json a.weight)" "2,1.5"
  is positions "$(values d.json a.P)" "0,-3"
  has titles "$output" "merged"
  has titles "$output" "rounded"
}

@test "--fix-unequal moves positions by half the difference of the sides" {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}\n' "$(f32 a.weight '[1, 1, 1]' '[1]')" \
    "$(f32 a.P '[2, 1, 1, 1]' '[0, 0]')" >a.json
  # index 0 addresses the columns, of which there are 9, but gets the 5 of the rows: floor(9/2) - floor(5/2) = 2
  try 0 convert -q a.json b.json --fix-unequal --set version=v1 --set dilated_kernel_size=5,9
  is positions "$(values b.json a.P)" "2,-2"
  try 0 convert -q a.json c.json --fix-unequal --set version=v0 --set dilated_kernel_size=5,9
  is positions "$(values c.json a.P)" "0,0"
  try 0 convert -q a.json t.json --fix-unequal --to taps --set version=v1 --set dilated_kernel_size=5,9
  is index "$(values t.json a.taps.index)" "0,0,2,4"
  is "lines of two tables" "${#lines[@]}" 7
}

@test "--verify compares both networks over pictures" {
  mkdir pictures
  ppm 8 8 255 0 0 >pictures/red.ppm
  ppm 8 8 0 0 255 >pictures/blue.ppm
  classifier >m.json
  try 0 convert -q m.json n.bin --verify pictures
  is stdout "$output" "2 pictures: outputs differ by 0 relative, one of them by 0, top-1 agrees for 2 of 2 (100.0%)"
  dcls_model >d.json
  try 0 convert -q d.json e.bin --round-positions --verify pictures
  has stdout "$output" "2 pictures: outputs differ by "
  segmenter >g.json
  try 0 convert -q g.json h.bin --verify pictures
  has stdout "$output" "the class of pixels agrees for 128 of 128 (100.0%)"
  # what cannot be read is known before work begins; a bad picture is told afterwards
  try 4 convert -q m.json o.bin --verify nowhere
  [[ ! -e o.bin ]]
  mkdir empty
  try 3 convert -q m.json o.bin --verify empty
  has stderr "$stderr" "there is no picture in this directory"
  [[ ! -e o.bin ]]
  echo nothing >pictures/zzz.png
  try 1 convert -q m.json o.bin --verify pictures
  has stderr "$stderr" "zzz.png: "
  [[ -e o.bin ]]
}

# Two kernels of three elements: WEIGHTS
two_kernels() {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}\n' "$(f32 a.weight '[2, 1, 3]' "[$1]")" \
    "$(f32 a.P '[1, 2, 1, 3]' '[-3,0,0.25, -3,0,3]')"
}

@test "how many elements are gone, and why K stays" {
  two_kernels '4,2,1, 4,3,0.1' >a.json
  try 0 convert -q a.json b.json --prune 0.1 "${line_settings[@]}"
  has table "$output" "a      v1       9  3   1 of 6  "
  has reason "$output" "K is what the fullest kernel of a layer keeps; elements of weight 0 fill up the others"
  try 0 convert -q a.json b.json --prune 0.1 --merge 0.3 "${line_settings[@]}"
  has table "$output" "a      v1       9  3 to 2   2 of 6  "
  try 0 convert -q a.json b.json --prune 0 "${line_settings[@]}"
  has table "$output" "0 of 6"
  [[ $output != *fullest* ]]
  needs jq
  try 0 convert -q a.json b.json --prune 0.1 --merge 0.3 --json "${line_settings[@]}"
  is counts "$(jq -c '.layers[0] | [.elements_before, .merged, .pruned, .stage_shared, .kernel_count]' <<<"$output")" '[6,1,1,false,2]'
}

@test "--json reports changes and comparison" {
  mkdir pictures
  ppm 8 8 255 0 0 >pictures/red.ppm
  dcls_model >d.json
  try 0 convert -q d.json e.bin --prune 0 --verify pictures --json
  has json "$output" '"name": "d"'
  has json "$output" '"prune_error": 0'
  has json "$output" '"pictures": 1'
  needs jq
  is verify "$(jq -c '.verify | [.relative, .max_abs]' <<<"$output")" '[0,0]'
  dense_model >m.json
  try 0 convert -q m.json t.bin --to taps --layers '*' --json
  is "not for dense kernels" "$(jq -c '.tap_layers[0] | [.version, .kernel_count_before, .kernel_count]' <<<"$output")" '[null,null,null]'
}

@test "convert --json of a plain conversion: its names" {
  needs jq
  dense_model >m.json
  try 0 convert -q m.json t.bin --json
  is json "$(jq -c . <<<"$output")" '{"input":"m.json","output":"t.bin"}'
}

@test "kernel options that do not go together" {
  dense_model >m.json
  local bad
  while read -r -a bad; do
    try 2 convert m.json t.bin "${bad[@]}"
    [[ ! -e t.bin ]]
  done <<'END'
--to sparse
--to sparse --kernel-count 2 --error 0.1
--kernel-count 2
--error 0.1
--seed 1
--effort 2
--threshold 0.1
--to taps --verify .
--layers c
--to sparse --kernel-count 0
--to sparse --error 2
--prune 2
--merge -1
--to spares
END
  try 2 convert m.json t.bin --to sparse --kernel-count 2 --error 0.1
  has stderr "$stderr" "--kernel-count and --error exclude each other"
  try 2 convert m.json t.bin --to sparse --kernel-count 26
  is stderr "$stderr" "dcls: m.json: layer 'c': 26 elements are more than the 25 cells of its window"
  try 0 convert -v m.json v.bin --to sparse --kernel-count 1 --effort 0
  [[ $stderr =~ 'dcls: c: fitted in 0.'[0-9][0-9]' s' ]]
  dense_dict >d.json
  ppm 8 8 255 0 0 >red.ppm
  try 2 convert d.json t.bin --to sparse --kernel-count 1 --verify red.ppm
  has stderr "$stderr" "--verify needs --arch"
}
