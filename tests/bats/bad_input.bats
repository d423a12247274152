#!/usr/bin/env bats
# The bad input table: damaged, hostile and mistaken files. Each row is made here, must end with its exit status, one
# line on stderr that names the file and says what is wrong, and no output file.

load helper
load bytes

# judge STATUS FRAGMENT OUTPUT COMMAND..
judge() {
  local expected=$1 fragment=$2 left
  left=$3
  shift 3
  call "$@"
  shopt -s nullglob dotglob
  if [[ -d $left ]]; then left=("$left"/*); else left=("$left"*); fi
  shopt -u nullglob dotglob
  if [[ $status != "$expected" || $output != "" || ${#stderr_lines[@]} != 1 || $stderr != "dcls: in"*": "*"$fragment"* ||
    ${#left[@]} != 0 ]]; then
    printf 'row "%s":\n  exit status %s instead of %s\n  stdout: %s\n  stderr: %s\n  files: %s\n' "$fragment" "$status" \
      "$expected" "$output" "$stderr" "${left[*]}"
    return 1
  fi
}

# A row: exit status, what is said, and the command that makes the file.
weights() {
  make "${@:3}" >in
  judge "$1" "$2" out.safetensors convert in out.safetensors
}
graph() {
  make "${@:3}" >in.json
  judge "$1" "$2" out.bin convert in.json out.bin
}
picture() {
  [[ -e m.json ]] || segmenter >m.json
  make "${@:3}" >in
  judge "$1" "$2" out infer -m m.json -o out in
}

# Makers of files. cut LENGTH COMMAND..: only the first bytes (or all but some, where negative)
cut() {
  "${@:2}" | head -c "$1"
}
junk_before() {
  printf 'junkjunk'
  "$@"
}
nothing() { :; }
brackets() { head -c "$1" /dev/zero | tr '\0' '['; }
# parts COMMAND..: their outputs one after the other
parts() {
  local part
  for part; do eval "$part"; done
}
# damage VARIABLE VALUE COMMAND..
damage() {
  local "$1=$2"
  "${@:3}"
}

# ---- safetensors ---------------------------------------------------------------------------------------------------

# claim LENGTH: a header that claims to be so long
claim() {
  le 8 "$1"
  printf '%b{}' "$REPLY"
}

@test "safetensors: header length" {
  weights 3 "header of 100 bytes, but only 2 bytes follow (truncated?)" claim 100
  weights 5 "header of 18446744073709551615 bytes; at most 100000000 are allowed" claim -1
  weights 5 "header of 100000001 bytes; at most 100000000 are allowed" claim 100000001
  weights 3 "header of 54 bytes, but only 22 bytes follow" cut 30 st_tensor F32 '[2]' '[0,8]' xxxx
  weights 3 "not a weights file of a known kind" printf '7 bytes'
}

@test "safetensors: header text" {
  weights 3 "not a weights file of a known kind" st '[]'
  weights 3 "header does not begin with '{'" st ' {}'
  weights 3 "header: JSON text is not valid UTF-8" LC_ALL=C && st $'{"a\xff":1}'
  weights 3 "header: key 'a' appears twice" st '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' x
  weights 3 "header: key 'dtype' appears twice" st '{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}' x
  weights 3 "header: line 1, column 4: \\u0000 is not allowed" st '{"a\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}' x
  weights 3 "metadata 'a' is a number, not a string" st '{"__metadata__":{"a":1}}'
  weights 3 "tensor 'a': 'dtype' is missing" st '{"a":{"shape":[1],"data_offsets":[0,1]}}' x
}

@test "safetensors: holes, overlaps, what follows the data" {
  local two='{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,3]}}'
  # shellcheck disable=SC2059
  weights 3 "tensor 'b' begins at byte 2, but the one before it ends at 1" st "$(printf "$two" 1 2)" xxx
  # shellcheck disable=SC2059
  weights 3 "tensor 'b' begins at byte 0, inside one that ends at 1" st "$(printf "$two" 3 0)" xxx
  weights 3 "2 bytes follow the last tensor" st_tensor U8 '[1]' '[0,1]' xPK
  weights 3 "tensor 'a': ends at byte 8, but there are only 4 (truncated?)" st_tensor F32 '[2]' '[0,8]' xxxx
}

@test "safetensors: shapes, offsets, types" {
  weights 3 "tensor 'a': shape [4294967296, 4294967296] is too large" st_tensor F32 '[4294967296,4294967296]' '[0,0]'
  weights 3 "tensor 'a': shape [9223372036854775807, 2, 0] is too large" st_tensor F32 '[9223372036854775807,2,0]' '[0,0]'
  weights 3 "tensor 'a': shape [2] of F32 does not take the 4 bytes" st_tensor F32 '[2]' '[0,4]' xxxx
  weights 3 "tensor 'a': 'data_offsets' holds -1, which is not a size" st_tensor U8 '[1]' '[-1,0]' x
  weights 3 "tensor 'a': ends at byte 0, before it begins at 1" st_tensor U8 '[1]' '[1,0]' x
  weights 3 "tensor 'a': 'data_offsets' holds 1.5, which is not a size" st_tensor U8 '[1]' '[0,1.5]' x
  weights 3 "tensor 'a': 'shape' holds -1, which is not a size" st_tensor U8 '[-1]' '[0,1]' x
  weights 3 "tensor 'a': more than 8 numbers in 'shape'" st_tensor U8 '[1,1,1,1,1,1,1,1,1]' '[0,1]' x
  weights 3 "tensor 'a': dtype 'F8_E5M2' is not supported" st_tensor F8_E5M2 '[1]' '[0,1]' x
  weights 3 "tensor 'a': dtype 'f32' is not supported" st_tensor f32 '[1]' '[0,4]' xxxx
}

@test "safetensors: cut anywhere" {
  make st_tensor F32 '[2]' '[0,8]' abcdefgh >whole
  local size length
  size=$(wc -c <whole)
  for ((length = 0; length < size; length += 7)); do
    weights 3 "" head -c "$length" whole
  done
  weights 3 "1 bytes follow" parts 'cat whole' 'printf x'
}

# ---- JSON models ---------------------------------------------------------------------------------------------------

json() { printf '{"format":"dcls-model","version":1,%s' "$1"; }
data() { json "\"tensors\":{\"a\":{\"dtype\":\"$1\",\"shape\":$2,\"data\":$3}}}"; }

@test "JSON: syntax" {
  weights 3 "line 1, column 65: brackets nested too deeply" brackets 100000
  weights 3 "key 'tensors' appears twice" json '"tensors":{},"tensors":{}}'
  weights 3 "line 1, column 86: a value is expected, not 'N'" data F32 '[1]' '[NaN]'
  weights 3 "line 1, column 86: number too large" data F32 '[1]' '[1e999]'
  weights 3 "line 1, column 75: number with leading zeros" data F32 '[01]' '[1]'
  weights 3 "line 1, column 48: half of a surrogate pair" json '"tensors":{"\ud800":1}}'
  weights 3 "JSON text is not valid UTF-8" json $'"tensors":{"\xc0\xaf":1}}'
  weights 3 "JSON must not begin with a byte order mark" printf '\xef\xbb\xbf{}'
  weights 3 "line 1, column 49: control character in a string" json $'"tensors":{"a\tb":1}}'
  weights 3 "line 1, column 49: a key in quotes is expected, not '}'" json '"tensors":{},}'
  weights 3 "line 1, column 36: a key in quotes is expected, not '/'" json '/* x */ "tensors":{}}'
  weights 3 "line 1, column 49: something follows the end" json '"tensors":{}}x'
  weights 3 "line 1, column 46: the text ends" json '"tensors":'
}

@test "JSON: tensors and members" {
  weights 3 "tensor 'a': 'data' holds 1e39, which is no value of F32" data F32 '[1]' '[1e39]'
  weights 3 "tensor 'a': 'data' holds 1.5, which is no value of I64" data I64 '[1]' '[1.5]'
  weights 3 "tensor 'a': 'data' holds 300, which is no value of U8" data U8 '[1]' '[300]'
  weights 3 "tensor 'a': the list of 'data' holds fewer values than the 3 the shape says" data F32 '[3]' '[1,2]'
  weights 3 "version 2 of the JSON model format; this program knows 1" printf '{"format":"dcls-model","version":2,"tensors":{}}'
  weights 3 "this JSON is not a model: 'format' is not \"dcls-model\"" printf '{"format":"onnx","version":1}'
  weights 3 "is a description without weights: 'dcls inspect FILE' shows it" printf '{"nodes":[]}'
  weights 3 "unknown key 'tensor'" json '"tensors":{},"tensor":{}}'
}

# ---- other kinds of files ------------------------------------------------------------------------------------------

@test "files of another kind say what they are" {
  weights 3 "this is an empty file" nothing
  weights 3 "this is a Git LFS pointer" printf 'version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n'
  weights 3 "this is an HTML page" printf '<!DOCTYPE html><html></html>'
  weights 3 "this is a PNG picture" png 1 1 8 0
  weights 3 "this is a gzip archive" printf '\x1f\x8b\x08\x00\x00\x00\x00\x00'
  weights 3 "this is a tar archive" printf '%0257dustar\x0000000' 0
  weights 3 "this is a ZIP archive without a PyTorch checkpoint" torch_zip other x
  weights 3 "this is a Python pickle, but not one PyTorch wrote" printf '\x80\x02}.'
  weights 3 "not a weights file of a known kind" head -c 1000 /dev/zero
}

@test ".npy" {
  weights 3 ".npy header of 4294967295 bytes, but only 0 follow" printf '\x93NUMPY\x02\x00\xff\xff\xff\xff'
  weights 3 "shape [4] of F32 takes 16 bytes, but there are 12 (truncated?)" npy "4," 1 1 1
  weights 3 "shape [1] of F32 takes 4 bytes, but there are 8" npy "1," 1 1
  weights 3 "dtype '|O' is not supported" damage DESCR '|O' npy "1," 1
  weights 3 "shape [4294967296, 4294967296] is too large" npy "4294967296, 4294967296" 1
  weights 3 "version 9 of the .npy format" printf '\x93NUMPY\x09\x00\x76\x00'
  weights 3 ".npy header: 'shape' is malformed" npy "-1," 1
  weights 3 ".npy header: 'shape' is no tuple" npy "1" 1
}

# ---- PyTorch checkpoints -------------------------------------------------------------------------------------------

@test "the checkpoint the following rows damage is good" {
  make with_tensor 2 0 2 1 >in
  try 0 inspect in --tensor a
  has values "$output" "first 1 2"
}

@test "pickles: nothing in them is executed" {
  local system
  word 'touch canary'
  system="cposix\\nsystem\\n$REPLY\\x85R"
  weights 3 "no state dict found; the checkpoint holds an object of posix.system" checkpoint "\\x80\\x02$system."
  weights 3 "no state dict found" checkpoint "\\x80\\x02}X\\x01\\x00\\x00\\x00a${system}s."
  weights 3 "pickle opcode" checkpoint '\x80\x02(iposix\nsystem\n.'
  [[ ! -e canary ]]
}

@test "pickles: opcodes" {
  weights 3 "pickle opcode SETITEM at byte 7: a list of 0 cannot be filled" checkpoint '\x80\x02]K\x01K\x02s.'
  weights 3 "pickle opcode APPEND at byte 5: a tuple of 0 cannot be filled" checkpoint '\x80\x02)K\x01a.'
  weights 3 "pickle opcode TUPLE at byte 2: no mark on the stack" checkpoint '\x80\x02t.'
  weights 3 "pickle opcode BINGET at byte 2: memo 5 was never set" checkpoint '\x80\x02h\x05.'
  weights 3 "pickle opcode STOP at byte 2: stack underflow" checkpoint '\x80\x02.'
  weights 3 "the pickle ends without STOP" checkpoint '\x80\x02}'
  weights 3 "0xff at byte 2 is no pickle opcode" checkpoint '\x80\x02\xff.'
  weights 3 "pickle opcode BINUNICODE at byte 2: 4294967295 bytes wanted, 4 left" checkpoint '\x80\x02X\xff\xff\xff\xffabc.'
  weights 3 "pickle opcode LONG_BINPUT at byte 3: memo index 4294967295 is out of range" checkpoint '\x80\x02}r\xff\xff\xff\xff.'
  weights 3 "pickle opcode PROTO at byte 0: pickle protocol 9 is not read" checkpoint '\x80\x09}.'
  weights 3 "no state dict found; the checkpoint holds a list of 1" checkpoint '\x80\x02]q\x00h\x00a.'
  weights 3 "no state dict found; the checkpoint holds an integer" checkpoint '\x80\x02K\x01.'
  weights 3 "no state dict found; the checkpoint holds a list of 1" checkpoint "\\x80\\x02$(printf ']%.0s' {1..2000})$(printf 'a%.0s' {2..2000})."
}

@test "pickles: tensors" {
  weights 3 "tensor 'a': it reaches beyond its storage of 2 elements" with_tensor 2 0 2 2
  weights 3 "tensor 'a': it reaches beyond its storage of 2 elements" with_tensor 2 1 2 1
  weights 3 "tensor 'a': a size or stride of it is not a whole number" with_tensor 2 0 2 -1
  weights 3 "tensor 'a': a size or stride of it is not a whole number" with_tensor 2 0 -2 1
  weights 3 "tensor 'a': its arguments are not those of a tensor" with_tensor 2 -1 2 1
  weights 3 "tensor 'a': storage '0' has 8 bytes where 12 are needed" with_tensor 3 0 3 1
  weights 3 "tensor 'a': storage '0' has 8 bytes where 4 are needed" with_tensor 2 0 2 1 HalfStorage
  weights 3 "tensor 'a': its elements (QInt8Storage) are not supported" with_tensor 2 0 2 1 QInt8Storage
}

@test "zip archives" {
  local good
  state 2 0 2 1
  good=$REPLY
  weights 3 "zip archive: it is cut off or damaged: no end record" cut 300 checkpoint "$good"
  weights 3 "zip archive: it is cut off or damaged: no end record" cut -1 checkpoint "$good"
  weights 3 "zip archive: entry 'archive/data.pkl' is encrypted" damage FLAGS 1 with_tensor 2 0 2 1
  weights 3 "entry 'archive/data.pkl' is compressed" damage METHOD 8 with_tensor 2 0 2 1
  weights 3 "cannot be read: CRC error" damage CRC 1 with_tensor 2 0 2 1
  weights 3 "zip archive: entry 'archivf/data.pkl' differs between local header and central directory" damage CENTRAL archivf with_tensor 2 0 2 1
  weights 3 "zip archive: entry 'archive/data.pkl' is longer than the archive" damage GROW 2000000 with_tensor 2 0 2 1
  weights 3 "zip archive: entry 'archive/data.pkl' occurs twice" torch_zip data.pkl "$good" data.pkl "$good" data/0 "$storage"
  weights 3 "tensor 'a': storage '0' is missing from the archive" torch_zip data.pkl "$good"
  weights 3 "a TorchScript archive (torch.jit.save)" torch_zip data.pkl "$good" data/0 "$storage" constants.pkl x
  weights 3 "not a weights file of a known kind" junk_before checkpoint "$good"
}

# ---- networks ------------------------------------------------------------------------------------------------------

# net NODES OUTPUT [TENSORS]
net() { model features "$1" "$2" "${3-}"; }
# node OP NAME INPUTS [MORE]
node() { printf '{"op":"%s","name":"%s","inputs":[%s]%s}' "$1" "$2" "$3" "${4:+,$4}"; }
# conv ATTRIBUTES: one convolution of 3x3
conv() { net "$(node conv a '"input"' "\"weight\":\"k\",$1")" a "$(f32 k '[3,3,3,3]' "[$(printf '1,%.0s' {1..80})1]")"; }
# dcls_layer ATTRIBUTES [SHAPE_OF_P DATA]
dcls_layer() {
  net "$(node dcls a '"input"' "\"weight\":\"w\",\"P\":\"p\",\"groups\":3,$1")" a \
    "$(f32 w '[3,1,1]' '[1,1,1]'),$(f32 p "${2:-[2,3,1,1]}" "${3:-[0,0,0,0,0,0]}")"
}

@test "graphs: structure" {
  graph 3 "the nodes form a cycle: a -> b -> a" net "$(node relu a '"b"'),$(node relu b '"a"')" b
  graph 3 "the nodes form a cycle: a -> a" net "$(node relu a '"a"')" a
  graph 3 "node 'a' (relu): its input 'nowhere' does not exist" net "$(node relu a '"nowhere"')" a
  graph 3 "two nodes are named 'a'" net "$(node relu a '"input"'),$(node relu a '"input"')" a
  graph 3 "node 'a': unknown op 'rellu' (did you mean 'relu'?)" net "$(node rellu a '"input"')" a
  graph 3 "the output 'z' does not exist" net "$(node relu a '"input"')" z
  graph 3 "node 'a' (relu): it has 2 inputs, can have 1" net "$(node relu a '"input","input"')" a
  graph 3 "node 'a' (relu): 'inputs' must be a list of names" net "$(node relu a '')" a
  graph 3 "the network has no nodes" net '' a
  graph 3 "'task' must be one of" model detection "$(node relu a '"input"')" a ''
  graph 3 "there are 2 labels, but the output 'fc' has 3 channels" model classification "$mean_nodes" fc "$mean_tensors" '"labels":["a","b"]'
  graph 3 "'labels': label 2 is not a string" model classification "$mean_nodes" fc "$mean_tensors" '"labels":["a","b",3]'
  graph 3 "'std' of 'preprocess' is out of range" model classification "$mean_nodes" fc "$mean_tensors" '"preprocess":{"std":[0,1,1]}'
  graph 3 "'input': 'channels' must be a whole number from 1" damage channels -3 net "$(node relu a '"input"')" a
}

@test "graphs: attributes and tensors" {
  graph 3 "node 'a' (conv): unknown attribute 'strid' (did you mean 'stride'?)" conv '"strid":2'
  graph 3 "node 'a' (conv): attribute 'stride' is 0, must be 1 to" conv '"stride":0'
  graph 3 "node 'a' (conv): attribute 'stride' is 1.5, must be a whole number" conv '"stride":1.5'
  graph 3 "node 'a' (conv): attribute 'padding' is 2147483648, must be 0 to" conv '"padding":2147483648'
  graph 3 "node 'a' (conv): attribute 'dilation' is 0, must be 1 to" conv '"dilation":0'
  graph 3 "node 'a' (conv): attribute 'groups' is 0, must be 1 to" conv '"groups":0'
  graph 3 "node 'a' (conv): 2 groups do not divide its 3 output channels" conv '"groups":2'
  graph 3 "node 'a' (conv): its weight, tensor 'w', does not exist" net "$(node conv a '"input"' '"weight":"w"')" a
  graph 3 "node 'a' (conv): tensor 'k' is [3], must be [out, in/groups" net "$(node conv a '"input"' '"weight":"k"')" a "$(f32 k '[3]' '[1,1,1]')"
  graph 3 "it would need their positions beside it, P" net "$(node conv a '"input"' '"weight":"k"')" a "$(f32 k '[1,1,3]' '[1,1,1]')"
  graph 3 "node 'a' (dcls): attribute 'version' is 'v7', must be one of" dcls_layer '"version":"v7","dilated_kernel_size":3'
  graph 3 "node 'a' (dcls): attribute 'dilated_kernel_size' is 0, must be 1 to" dcls_layer '"version":"v1","dilated_kernel_size":0'
  graph 3 "node 'a' (dcls): attribute 'dilated_kernel_size' is 2147483648, must be" dcls_layer '"version":"v1","dilated_kernel_size":2147483648'
  graph 3 "node 'a' (dcls): version gauss needs SIG, which is missing" dcls_layer '"version":"gauss","dilated_kernel_size":3'
  graph 3 "node 'a' (dcls): tensor 'p' is [2, 2, 1, 1], must be [2, 3, 1, 1]" dcls_layer '"version":"v1","dilated_kernel_size":3' '[2,2,1,1]' '[0,0,0,0]'
  graph 3 "layer 'a': its tensors do not tell the window: set dilated_kernel_size" dcls_layer '"version":"v1"'
}

@test "graphs: sizes that only the input shows" {
  grey 2 2 >in.pgm
  conv '"stride":1' >k.json
  judge 3 "node 'a'" none infer -m k.json in.pgm
  net "$(node resize a '"input"' '"scale":1048576')" a >r.json
  judge 5 "" none infer -m r.json in.pgm
  net "$(node max_pool p '"input"' '"kernel_size":2,"stride":2'),$(node add s '"input","p"')" s >s.json
  grey 4 4 >in.pgm
  judge 3 "node 's'" none infer -m s.json in.pgm
}

@test "positions that are huge or not finite are no danger" {
  local position
  for position in 1e30 -1e30 '"NaN"' '"Infinity"' 1e-42; do
    dcls_layer '"version":"v1","dilated_kernel_size":3,"padding":1' '[2,3,1,1]' "[$position,0,0,0,0,0]" >m.json
    grey 3 3 >in.pgm
    try 0 inspect m.json
    try 0 infer -q -m m.json in.pgm
    try 0 convert -q m.json out.bin --to dense
  done
}

# ---- pictures ------------------------------------------------------------------------------------------------------

@test "the PNG the following rows damage is good" {
  segmenter >m.json
  make png 1 1 8 0 >in
  try 0 infer -m m.json in
}

@test "PNG" {
  picture 3 "damaged PNG: IDAT: incorrect data check" parts png_signature 'ihdr 1 1 8 0' "idat '\x00' '\x00' 99" 'chunk IEND ""'
  picture 3 "damaged PNG: IHDR: CRC error" parts png_signature "printf '\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00wxyz'"
  picture 3 "damaged PNG: Image width is zero" png 0 1 8 0
  picture 3 "damaged PNG: Invalid bit depth" png 1 1 3 0
  picture 3 "damaged PNG: Invalid color type" png 1 1 8 5
  picture 3 "damaged PNG: Unknown interlace method" png 1 1 8 0 7
  picture 3 "damaged PNG: IDAT: Missing PLTE" png 1 1 8 3
  picture 3 "damaged PNG: Not enough image data" png 4 4 8 0
  picture 3 "damaged PNG" parts png_signature 'ihdr 1 1 8 0' 'chunk IEND ""'
  picture 3 "damaged PNG: IDAT: Missing IHDR" parts png_signature "idat '\x00' '\x00' 131073"
  picture 3 "damaged PNG" parts png_signature 'ihdr 1 1 8 0' "idat '\x09' '\x00' 1310730" 'chunk IEND ""'
  picture 3 "truncated PNG: the file ends after 55 bytes" cut 55 png 1 1 8 0
  picture 3 "truncated PNG: the file ends after 8 bytes" png_signature
}

@test "pictures over the limit: refused before they take memory" {
  picture 5 "a picture of 2147483647 x 2147483647 pixels is over the limit" png 2147483647 2147483647 8 2
  picture 5 "a picture of 65500 x 65500 pixels is over the limit" png 65500 65500 8 2
  picture 5 "a picture of 65500 x 65500 pixels is over the limit" printf 'P6\n65500 65500\n255\n'
  picture 5 "a picture of 65500 x 65500 pixels is over the limit" printf '\xff\xd8\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0\xff\xd9'
}

@test "JPEG" {
  picture 3 "truncated JPEG: its data end too early" cut 120 jpeg
  picture 3 "truncated JPEG: its data end too early" cut -3 jpeg
  picture 3 "truncated JPEG: its data end too early" printf '\xff\xd8\xff\xe0\0\x10JFIF\0'
  picture 3 "damaged JPEG: Empty JPEG image" printf '\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\0\1\1\x11\0\xff\xd9'
  picture 3 "unsupported JPEG: Unsupported JPEG data precision 12" printf '\xff\xd8\xff\xc1\0\x0b\x0c\0\1\0\1\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0\xff\xd9'
}

@test "PNM" {
  picture 3 "truncated PNM: the file ends after 14 bytes" printf 'P6\n4 4\n255\nabc'
  picture 3 "damaged PNM: its width is over 2147483647" printf 'P6\n99999999999 1\n255\n'
  picture 3 "a picture of 0 x 4 pixels has no content" printf 'P6\n0 4\n255\n'
  picture 3 "damaged PNM: its largest value is 0" printf 'P6\n1 1\n0\nabc'
  picture 3 "damaged PNM: its largest value is over 65535" printf 'P6\n1 1\n70000\nabc'
  picture 3 "damaged PNM: its width is not a number" printf 'P6\n-1 1\n255\nabc'
}

@test "pictures of another kind say what they are" {
  picture 3 "this is a GIF picture" printf 'GIF89a\1\0\1\0'
  picture 3 "this is a WebP picture" printf 'RIFF\0\0\0\0WEBPVP8 '
  picture 3 "this is a BMP picture" printf 'BM\0\0\0\0\0\0\0\0\x36\0\0\0'
  picture 3 "this is a TIFF picture" printf 'II*\0\x08\0\0\0'
  picture 3 "this is an empty file" :
  picture 3 "this is an HTML page" printf '<!DOCTYPE html>'
  picture 3 "this is text" echo hello
  picture 3 "this is a ZIP archive" checkpoint '\x80\x02}.'
}

@test "tensors that do not fit the model" {
  picture 3 "a tensor of F64; the model takes F32" damage DESCR '<f8' npy "1, 3, 1, 1" 0 0 0 0 0 0
  picture 3 "a tensor [3, 1, 1]; the model takes 4 axes" npy "3, 1, 1" 0 0 0
  picture 3 "the model takes an input of shape [any, 3, any, any], not [1, 2, 1, 1]" npy "1, 2, 1, 1" 0 0
  picture 3 "a tensor [0, 3, 1, 1] holds nothing" npy "0, 3, 1, 1"
  picture 3 "shape [1, 3, 1, 1] of F32 takes 12 bytes, but there are 8 (truncated?)" npy "1, 3, 1, 1" 0 0
}

# ---- the file system -----------------------------------------------------------------------------------------------

@test "directories, devices, loops, names that are too long" {
  segmenter >m.json
  mkdir in.d
  judge 4 "is a directory" out.bin convert in.d out.bin
  judge 4 "is a directory" none infer -m in.d m.json
  ln -s in.loop in.loop
  judge 4 "cannot open: Too many levels of symbolic links" out.bin convert in.loop out.bin
  judge 4 "cannot open: Too many levels of symbolic links" out infer -m m.json -o out in.loop
  local long
  long=in$(printf 'x%.0s' {1..300})
  judge 4 "cannot open: File name too long" out.bin convert "$long" out.bin
  judge 4 "cannot open: Not a directory" out infer -m m.json -o out in.loop/../m.json ||
    judge 4 "cannot open: " out infer -m m.json -o out in.loop/../m.json
  run --separate-stderr timeout 20 "$DCLS" convert /dev/zero out.bin
  is "status" "$status" 4
  is "stderr" "$stderr" "dcls: /dev/zero: is a device"
  run --separate-stderr timeout 20 "$DCLS" infer -m m.json /dev/zero
  is "status" "$status" 4
  is "stderr" "$stderr" "dcls: /dev/zero: is a device"
}
