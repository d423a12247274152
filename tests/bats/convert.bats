#!/usr/bin/env bats
# dcls convert: formats, models of state dicts, dense kernels, what is refused.

load helper

# state_dict: a JSON file with tensors only, as a classifier without its network would have
state_dict() { printf '{"format": "dcls-model", "version": 1, "tensors": {%s}}\n' "$mean_tensors"; }
# The classifier's network without tensors, for --arch.
network() { model classification "$mean_nodes" fc ''; }

# answers MODEL EXPECTED: what a red picture is
answers() {
  try 0 infer -m "$1" -k 1 red.ppm || return 1
  is "answer of $1" "$output" "$2"
}

@test "- is standard output" {
  dcls_model >m.json
  try 0 convert -q m.json file.bin
  dcls convert m.json - >piped.bin
  cmp file.bin piped.bin
  dcls convert --to dense m.json - | dcls inspect - >out
  has type "$(<out)" " conv "
  is "nothing but the file" "$(dcls convert m.json - --prune 0.001 | dcls convert - - | dcls inspect --json - | jq -r .kind)" model
  try 2 convert m.json - --json --prune 0.1
  has stderr "$stderr" "--json and OUT '-' would both go to standard output"
  touch ./- # a file of that name has a path
  try 2 convert m.json ./-
}

@test "a model between binary and JSON and back, without loss" {
  classifier >m.json
  ppm 2 2 255 0 0 >red.ppm
  try 0 convert m.json a.bin
  has stderr "$stderr" "dcls: a.bin: classification model, 2 tensors, 12 values, "
  is stdout "$output" ""
  try 0 convert -q a.bin b.json
  is stderr "$stderr" ""
  try 0 convert -q b.json c.safetensors
  try 0 convert -q b.json d.bin
  cmp a.bin c.safetensors
  cmp a.bin d.bin
  answers a.bin "red.ppm: red 96.5%"
  answers b.json "red.ppm: red 96.5%"
}

@test "a state dict stays one without --arch" {
  state_dict >s.json
  try 0 convert s.json s.safetensors
  has stderr "$stderr" "dcls: s.safetensors: state dict, 2 tensors, 12 values, "
  try 0 inspect s.safetensors
  has stdout "$output" "s.safetensors: tensors without a network"
  try 0 convert -q s.safetensors t.json
  try 0 convert -q t.json u.bin
  cmp s.safetensors u.bin
}

@test "--arch FILE, --labels and --preprocess make a model of it" {
  state_dict >s.json
  network >net.json
  ppm 32 32 255 0 0 >red.ppm
  printf 'rot\r\ngrün\nblau\n\n' >labels.txt
  try 0 convert s.json m.bin --arch net.json --labels labels.txt --preprocess cifar10
  answers m.bin "red.ppm: rot 100.0%"
  try 0 inspect --json m.bin
  has json "$output" '"labels": ['
  has json "$output" '"grün"'
  has json "$output" '"shorter": 32'
}

@test "--labels and --preprocess change a file that is a model already" {
  classifier >m.json
  ppm 2 2 255 0 0 >red.ppm
  printf 'x\ny\nz' >labels
  try 0 convert -q m.json n.json --labels labels
  answers n.json "red.ppm: x 96.5%"
}

@test "labels: wrong number, empty line, control characters, none" {
  state_dict >s.json
  network >net.json
  local args=(convert s.json m.bin --arch net.json --labels l)
  printf 'a\nb\n' >l
  try 3 "${args[@]}"
  is stderr "$stderr" "dcls: l: there are 2 labels, but the output 'fc' has 3 channels"
  printf 'a\n\nc\n' >l
  try 3 "${args[@]}"
  is stderr "$stderr" "dcls: l: line 2 is empty"
  printf 'a\nb\033\nc\n' >l
  try 3 "${args[@]}"
  is stderr "$stderr" "dcls: l: line 2 is not plain UTF-8 text"
  printf 'a\nb\xff\nc\n' >l
  try 3 "${args[@]}"
  printf '\n\n' >l
  try 3 "${args[@]}"
  is stderr "$stderr" "dcls: l: holds no labels"
  printf 'a\0b\nc\n' >l
  try 3 "${args[@]}"
  is stderr "$stderr" "dcls: l: holds NUL bytes: not a list of labels"
  rm l
  try 4 "${args[@]}"
  is stderr "$stderr" "dcls: l: cannot open: No such file or directory"
  [[ ! -e m.bin ]]
}

@test "OUT's suffix is checked before anything is read" {
  local out
  for out in m.pth m.xyz m m.png; do
    try 2 convert nowhere.bin "$out"
    has stderr "$stderr" "dcls: $out: "
  done
  try 2 convert nowhere.bin m.npy --arch convmixer
  try 4 convert nowhere.bin m.bin
  is stderr "$stderr" "dcls: nowhere.bin: cannot open: No such file or directory"
}

@test "IN and OUT the same file: refused, also by another name" {
  classifier >m.json
  ln -s m.json link.json
  ln m.json hard.json
  mkdir sub
  local sum out
  sum=$(cksum <m.json)
  for out in m.json ./m.json sub/../m.json link.json hard.json "$PWD/m.json"; do
    try 2 convert m.json "$out"
    is stderr "$stderr" "dcls: $out: is the input itself"
  done
  is "the file" "$(cksum <m.json)" "$sum"
}

@test "a failed conversion leaves OUT as it was, and no other file" {
  classifier >good.json
  echo '{"format": "dcls-model", "version": 1, "model": {}, "tensors": {}}' >bad.json
  try 0 convert -q good.json out.bin
  local sum
  sum=$(cksum <out.bin)
  try 3 convert bad.json out.bin
  is "the file" "$(cksum <out.bin)" "$sum"
  is files "$(ls -A | paste -sd' ')" "bad.json good.json out.bin"
}

@test "OUT that cannot be written: exit 4" {
  classifier >m.json
  try 4 convert m.json no/where.bin
  is stderr "$stderr" "dcls: no/where.bin: cannot write: No such file or directory"
  mkdir dir.bin
  try 4 convert m.json dir.bin
  is stderr "$stderr" "dcls: dir.bin: cannot write: Is a directory"
  [[ -z ${MEMCHECK:-} ]] || skip "valgrind writes files of its own"
  run --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 0; "$0" convert m.json - >short' "$DCLS"
  is status "$status" 4
}

@test "a full file system: exit 4, nothing is left" {
  [[ ${DCLS_BUILD:-} != *-cov ]] || skip "what counts coverage writes files of its own"
  state_dict >s.json
  printf '{"format": "dcls-model", "version": 1, "tensors": {"x": {"dtype": "U8", "shape": [8192], "data": [0%s]}}}\n' \
    "$(printf ',0%.0s' {2..8192})" >big.json
  run --separate-stderr bash -c 'ulimit -f 4; "$0" convert big.json out.bin' "$DCLS"
  is status "$status" 4
  is stderr "$stderr" "dcls: out.bin: cannot write: File too large"
  is files "$(ls -A | paste -sd' ')" "big.json s.json"
}

@test ".npy: one tensor in and out" {
  npy "2, 2" 0 1 2 1 >x.npy
  try 0 convert -q x.npy x.safetensors
  try 0 convert -q x.safetensors y.npy
  is values "$(tail -c 16 y.npy | od -An -tf4 | tr -s ' ')" " 0 1 2 1"
  state_dict >s.json
  try 2 convert s.json z.npy
  has stderr "$stderr" "dcls: z.npy: "
}

@test "--to dense: models answer the same, state dicts lose P" {
  dcls_model >m.json
  ppm 5 4 10 20 30 >a.ppm
  try 0 convert -q m.json d.bin --to dense
  try 0 infer -m m.json --logits 1.npy a.ppm
  try 0 infer -m d.bin --logits 2.npy a.ppm
  is outputs "$(tail -c 240 2.npy | od -An -v -tf4 | awk '{ for (i = 1; i <= NF; i++) printf "%.4f ", $i }')" \
    "$(tail -c 240 1.npy | od -An -v -tf4 | awk '{ for (i = 1; i <= NF; i++) printf "%.4f ", $i }')"
  try 0 inspect d.bin
  has stdout "$output" " conv "
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 l.weight '[1, 1, 1]' '[3]')" \
    "$(f32 l.P '[2, 1, 1, 1]' '[0, 1]')" >s.json
  try 0 convert -q s.json t.json --to dense --set version=v1 --set dilated_kernel_size=3
  try 0 inspect t.json
  has stdout "$output" "l.weight  F32   [1, 1, 3, 3]       9"
  [[ $output != *l.P* ]]
}

# one_row: a state dict with one window of weights 3 and 1 at 0.5 and -1 along its one dimension
one_row() {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 l.weight "$1" '[3, 1]')" \
    "$(f32 l.P "$2" '[0.5, -1]')"
}

@test "layers with positions along one dimension become dense" {
  one_row '[1, 1, 2]' '[1, 1, 1, 2]' >s.json
  local args=(convert -q s.json t.json --to dense --set version=v0 --set dilated_kernel_size=3)
  dense() { tr -d ' \n' <t.json | grep -o '"shape":.*'; }
  try 0 "${args[@]}"
  has "1-D" "$(dense)" '"shape":[1,1,3],"data":[1,1.5,1.5]'
  try 0 "${args[@]}" --set layer=2dK1d
  has "2dK1d" "$(dense)" '"shape":[1,1,3,1],"data":[1,1.5,1.5]'
  try 0 "${args[@]}" --set layer=2dK1d --set flat_dim=1
  has "2dK1d" "$(dense)" '"shape":[1,1,1,3],"data":[1,1.5,1.5]'
  try 2 "${args[@]}" --set flat_dim=1
  is stderr "$stderr" "dcls: s.json: layer 'l': flat_dim is for layer=2dK1d alone"
  one_row '[1, 1, 2, 1]' '[1, 1, 1, 2, 1]' >s.json
  try 0 "${args[@]}" --set layer=2_1d
  has "2_1d" "$(dense)" '"shape":[1,1,2,3],"data":[0,1.5,1.5,1,0,0]'
  try 3 "${args[@]}"
  is stderr "$stderr" "dcls: s.json: layer 'l': tensor 'l.weight' is [1, 1, 2, 1], must be [out, in/groups, K] unless layer is 2_1d or 3_1d"
  one_row '[1, 1, 1, 2, 1]' '[1, 1, 1, 1, 2, 1]' >s.json
  try 0 "${args[@]}" --set layer=3_1d
  has "3_1d" "$(dense)" '"shape":[1,1,1,2,3],"data":[0,1.5,1.5,1,0,0]'
}

@test ".onnx: a network, its labels and preprocessing" {
  classifier >m.json
  try 0 convert m.json m.onnx
  has stderr "$stderr" "dcls: m.onnx: classification network as ONNX, "
  is stdout "$output" ""
  local word words
  words=$(strings -n 4 m.onnx)
  for word in input output height width GlobalAveragePool Flatten Gemm transB labels '["red", "green", "blue"]'; do
    has "m.onnx" "$words" "$word"
  done
  try 0 convert -q m.json n.onnx --onnx-preprocess
  has "n.onnx" "$(strings -n 4 n.onnx)" "Transpose"
  has "n.onnx" "$(strings -n 4 n.onnx)" "uint8 NHWC"
  try 3 infer -m m.onnx m.json
  has stderr "$stderr" "dcls: m.onnx: this is an ONNX model (dcls writes ONNX but does not read it)"
}

@test ".onnx: what cannot be one" {
  state_dict >s.json
  dcls_model >d.json
  try 2 convert s.json s.onnx
  is stderr "$stderr" "dcls: s.onnx: an ONNX file holds a network: tensors without one need an architecture"
  try 2 convert s.json s.onnx --to dense --set version=v1
  try 2 convert d.json d.bin --onnx-preprocess
  is stderr "$stderr" "dcls: convert: --onnx-preprocess is for an OUT that ends in .onnx"
  channels=2 features >f.json
  try 2 convert f.json f.onnx --onnx-preprocess
  is stderr "$stderr" "dcls: f.onnx: the network does not take pictures, so it has no preprocessing to include"
  sed 's/"dilated_kernel_size": 3/"dilated_kernel_size": 16384/' d.json >huge.json
  try 5 convert huge.json huge.onnx
  is stderr "$stderr" "dcls: huge.onnx: node 'd' (dcls): the network's tensors take more than the 2 GiB an ONNX file can hold"
  try 4 convert d.json no/where.onnx
  is stderr "$stderr" "dcls: no/where.onnx: cannot write: No such file or directory"
  echo 'not a library' >libprotobuf-c.so.1
  LD_LIBRARY_PATH=$PWD try 3 convert d.json d.onnx
  is stderr "$stderr" "dcls: d.onnx: writing ONNX needs libprotobuf-c (libprotobuf-c.so.1)"
  is files "$(ls -A | paste -sd' ')" "d.json f.json huge.json libprotobuf-c.so.1 s.json"
}

# layer NAME INPUT WEIGHT P
onnx_layer() { printf '{"op": "dcls", "name": "%s", "inputs": ["%s"], "weight": "%s", "P": "%s", "version": "v0",
  "dilated_kernel_size": 3, "padding": 1}' "$@"; }

@test ".onnx: names that run into each other, and an empty one" {
  # two layers whose tensors' names are the same text when joined; 2 and 5 as floats must both be in the file
  channels=1 model features "$(onnx_layer x input 'a b' c), $(onnx_layer y x a 'b c')" y \
    "$(f32 'a b' '[1, 1, 1]' '[2]'), $(f32 c '[2, 1, 1, 1]' '[0, 0]'), $(f32 a '[1, 1, 1]' '[5]'),
     $(f32 'b c' '[2, 1, 1, 1]' '[1, 1]')" >m.json
  try 0 convert m.json m.onnx
  LC_ALL=C grep -qaP '\x00\x00\x00\x40' m.onnx
  LC_ALL=C grep -qaP '\x00\x00\xa0\x40' m.onnx
  channels=1 model features '{"op": "conv", "name": "c", "inputs": ["input"], "weight": ""}' c "$(f32 '' '[1, 1, 1, 1]' '[2]')" >e.json
  try 0 convert e.json e.onnx
  LC_ALL=C grep -qa tensor e.onnx
}

@test "what does not go together is a usage error" {
  state_dict >s.json
  network >net.json
  try 2 convert s.json m.bin --preprocess imagenet
  is stderr "$stderr" "dcls: convert: --preprocess needs --arch: the file holds tensors without a network"
  try 2 convert s.json m.bin --set version=v1
  is stderr "$stderr" "dcls: convert: --set needs --arch or --to dense: the file holds tensors without a network"
  try 2 convert s.json m.bin --to dense --set version=v9 --set dilated_kernel_size=3
  try 2 convert s.json m.bin --arch convmixr
  has stderr "$stderr" "convmixer"
  try 2 convert s.json m.bin --arch net.json --preprocess imagenot
  has stderr "$stderr" "imagenet"
  try 2 convert s.json m.bin --arch net.json --set nonsense
  is files "$(ls -A | paste -sd' ')" "net.json s.json"
}

@test "a state dict that does not have what the network needs: exit 3" {
  npy "2," 1 2 >x.npy
  network >net.json
  try 3 convert x.npy m.bin --arch net.json
  try 3 convert x.npy m.bin --arch convmixer
  is files "$(ls -A | paste -sd' ')" "net.json x.npy"
}

@test "built-in models can be converted, not changed" {
  [[ $(dcls --version) == *built-in* ]] || skip "the program was built without models"
  local name
  name=$(dcls --version | sed -n 's/^built-in models: \([^,]*\).*/\1/p')
  try 0 convert -q "builtin:$name" m.bin
  try 0 convert -q "builtin:$name" d.bin --to dense
  try 2 convert "builtin:$name" m.json --arch convmixer
  is stderr "$stderr" "dcls: convert: --arch cannot change a built-in model"
  try 2 convert builtin:nothing m.bin
  has stderr "$stderr" "dcls: builtin:nothing: "
}

@test "concurrent writers: the last whole file wins" {
  classifier >m.json
  try 0 convert -q m.json expected.bin
  local i
  for i in {1..8}; do "$DCLS" convert -q m.json out.bin & done
  wait
  cmp out.bin expected.bin
  is files "$(ls -A | paste -sd' ')" "expected.bin m.json out.bin"
}

@test "--key: one of several state dicts of a checkpoint" {
  cp "$root/tests/fixtures/pytorch/two_unknown_keys.pth" two.pth
  try 3 convert two.pth out.safetensors
  has "the keys" "$stderr" "'generator' (a dict of 8), 'critic' (a dict of 8)"
  try 0 convert two.pth out.safetensors --key critic
  try 0 inspect two.pth --key generator
  has tensors "$output" "8 tensors"
  try 2 convert two.pth other.safetensors --key absent
  try 2 convert out.safetensors other.safetensors --key critic
  is stderr "$stderr" "dcls: out.safetensors: only PyTorch checkpoints hold state dicts under keys"
  [ ! -e other.safetensors ]
}

@test "--module: a network that a larger module held" {
  ppm 2 2 255 0 0 >red.ppm
  network >net.json
  state_dict | jq -c '.tensors |= (with_entries(.key |= "a.net." + .) + {"a.netty": {"dtype": "F32", "shape": [1], "data": [0]}})' >held.json
  try 3 convert held.json m.bin --arch net.json
  try 0 convert held.json m.bin --arch net.json --module a.net
  answers m.bin "red.ppm: 0 96.5%"
  try 0 inspect held.json --module a.net --arch net.json --json
  is tensors "$(jq -c '[.tensors[].name]' <<<"$output")" "$(state_dict | jq -c '.tensors | keys_unsorted')"
  try 0 diff held.json m.bin --module-a a.net
  try 0 diff m.bin held.json --module-b a.net
  try 1 diff m.bin held.json
  dcls_model | jq -c 'del(.model) | .tensors |= with_entries(.key |= "b." + .)' >layer.json
  try 0 explain layer.json d --module b --set version=v1 --set dilated_kernel_size=3
  try 0 plot layer.json --module b --set version=v1 --set dilated_kernel_size=3 --terminal
  try 0 convert held.json same.bin --arch net.json --module a.net.
  cmp m.bin same.bin
  local wrong
  for wrong in net a.ne a.netty a.net.x b; do
    try 2 convert held.json other.bin --arch net.json --module "$wrong"
    is stderr "$stderr" "dcls: held.json: no tensor belongs to a module '$wrong': there are 'a'"
  done
  try 2 convert held.json other.bin --arch net.json --module ''
  try 2 convert held.json other.bin --arch net.json --module .
  try 2 convert m.bin other.bin --module a.net
  is stderr "$stderr" "dcls: m.bin: holds a network, whose modules cannot be taken alone"
  local command builtin=builtin:convmixer-dcls-cifar10
  for command in "convert $builtin other.bin" "inspect $builtin" "plot $builtin -o x.png" "explain $builtin"; do
    try 2 $command --module a.net
    has stderr "$stderr" "--module cannot change a built-in model"
    try 2 $command --key model
    has stderr "$stderr" "--key cannot change a built-in model"
  done
  [[ ! -e other.bin ]]
}

@test "--drop: tensors that the network does not have" {
  ppm 2 2 255 0 0 >red.ppm
  network >net.json
  state_dict | jq -c '.tensors += ({"aux.a": {"dtype": "F32", "shape": [1], "data": [0]}} | . + {"aux.b": ."aux.a", "x": ."aux.a", "y": ."aux.a"})' >more.json
  try 3 convert more.json m.bin --arch net.json
  is stderr "$stderr" "dcls: more.json with net.json: the network does not use 4 of the tensors: 'aux.a', 'aux.b', 'x', .."
  try 3 convert more.json m.bin --arch net.json --drop 'aux.*'
  is stderr "$stderr" "dcls: more.json with net.json: the network does not use 2 of the tensors: 'x', 'y'"
  try 2 convert more.json m.bin --arch net.json --drop 'aux.*' --drop 'z*'
  is stderr "$stderr" "dcls: more.json: no tensor's name matches 'z*'"
  [[ ! -e m.bin ]]
  try 0 convert more.json m.bin --arch net.json --drop 'aux.*' --drop '[xy]'
  answers m.bin "red.ppm: 0 96.5%"
  try 0 convert more.json left.json --drop 'aux.*'
  is left "$(jq -c '[.tensors | keys[] | select(test("aux"))]' left.json)" "[]"
  try 2 convert m.bin other.bin --drop x
  is stderr "$stderr" "dcls: m.bin: holds a network, whose tensors cannot be left out"
  try 2 convert builtin:convmixer-dcls-cifar10 other.bin --drop x
}

@test "numbers that are not finite are told of" {
  network >net.json
  state_dict | jq -c '.tensors |= (to_entries | .[0].value.data[0] = "NaN" | from_entries)' >bad.json
  try 0 convert bad.json m.bin --arch net.json
  has stderr "$stderr" "1 number not finite"
}

@test "which of several state dicts was taken is said" {
  /usr/bin/python3 -c 'import torch' 2>/dev/null || skip "python3-torch is not installed"
  /usr/bin/python3 -c "
import torch
w = {'w': torch.zeros(2)}
torch.save({'model': w, 'model_ema': {'w': torch.ones(2)}, 'optimizer': {'state': {0: torch.zeros(2)}}, 'epoch': 3}, 'two.pth')
torch.save({'model': w, 'optimizer': {'state': {0: torch.zeros(2)}}}, 'one.pth')"
  try 0 convert two.pth out.json
  has stderr "$stderr" "dcls: two.pth: took 'model' of the state dicts 'model', 'model_ema'; --key takes another"
  try 0 inspect two.pth
  has stderr "$stderr" "took 'model'"
  try 0 convert two.pth out.json --key model_ema
  [[ $stderr != *took* ]]
  try 0 convert one.pth out.json
  [[ $stderr != *took* ]]
}
