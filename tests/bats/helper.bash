# What the bats files share: the program under test, small models whose answers can be worked out by hand, and pictures
# made with printf.

bats_require_minimum_version 1.5.0

root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
DCLS=${DCLS:-$root/dcls}
shared=${DCLS_SHARED:-$root/../shared}
case $shared in /*) ;; *) shared=$root/$shared ;; esac

# Every test works in an empty directory of its own that goes away.
setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  mkdir work && cd work || return 1
}

dcls() { "$DCLS" "$@"; }

# call ARGUMENT..: runs dcls; $status, $output and $lines (stdout), $stderr and $stderr_lines as bats' run sets them, which
# takes several processes where this takes one.
call() {
  status=0
  "$DCLS" "$@" >../stdout 2>../stderr || status=$?
  mapfile -t lines <../stdout
  mapfile -t stderr_lines <../stderr
  IFS= read -r -d '' output <../stdout || :
  IFS= read -r -d '' stderr <../stderr || :
  output=${output%$'\n'} stderr=${stderr%$'\n'}
}

# try STATUS ARGUMENT..: the same; fails unless dcls exits with STATUS.
try() {
  local expected=$1
  shift
  call "$@"
  [[ $status == "$expected" ]] && return 0
  echo "dcls $*: exit status $status instead of $expected"
  echo "stdout: $output"
  echo "stderr: $stderr"
  return 1
}

# make COMMAND..: runs shell functions without the trap by which bats follows every line: loops are many times faster.
make() {
  (
    trap - DEBUG
    LC_ALL=C
    "$@"
  )
}

# is NAME VALUE EXPECTED
is() {
  [[ $2 == "$3" ]] && return 0
  printf '%s is:\n%s\ninstead of:\n%s\n' "$1" "$2" "$3"
  return 1
}

# has NAME VALUE FRAGMENT
has() {
  [[ $2 == *"$3"* ]] && return 0
  printf '%s is:\n%s\nwhich does not contain:\n%s\n' "$1" "$2" "$3"
  return 1
}

needs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
  done
}

needs_shared() { [[ -e $shared/$1 ]] || skip "$shared/$1 is not there"; }

# ---- pictures and tensors

# ppm WIDTH HEIGHT R G B: all pixels of one colour
ppm() {
  printf 'P6\n%d %d\n255\n' "$1" "$2"
  local pixel
  printf -v pixel '\\x%02x\\x%02x\\x%02x' "$3" "$4" "$5"
  make repeat $(($1 * $2)) "$pixel"
}

repeat() {
  local i
  for ((i = 0; i < $1; i++)); do printf '%b' "$2"; done
}

# grey WIDTH HEIGHT: black, quickly made at any size
grey() {
  printf 'P5\n%d %d\n255\n' "$1" "$2"
  head -c $(($1 * $2)) /dev/zero
}

# npy "SHAPE" VALUE..: float32; SHAPE as Python writes it, such as "1, 3, 1, 1". DESCR=... makes another type of header.
npy() {
  local shape=$1 header value
  shift
  header="{'descr': '${DESCR:-<f4}', 'fortran_order': False, 'shape': ($shape), }"
  printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"
  for value in "$@"; do float32 "$value"; done
}

# The four bytes of a few floats that tests use.
float32() {
  case $1 in
    0) printf '\0\0\0\0' ;;
    1) printf '\0\0\x80\x3f' ;;
    2) printf '\0\0\0\x40' ;;
    -1) printf '\0\0\x80\xbf' ;;
    1.01171875) printf '\0\x80\x81\x3f' ;;
    nan) printf '\0\0\xc0\x7f' ;;
    *) return 1 ;;
  esac
}

# A grey JPEG stored as 16x8 pixels, black left and white right; its EXIF orientation makes it 8x16, black above.
jpeg() {
  base64 -d <<'END'
/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGD
EjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/wAALCAAIABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAABwj/xAAU
EAEAAAAAAAAAAAAAAAAAAAAA/9oACAEBAAA/AD9QD//Z
END
}

# ---- models

# f32 NAME SHAPE DATA: a tensor of a JSON model
f32() { printf '"%s": {"dtype": "F32", "shape": %s, "data": %s}' "$1" "$2" "$3"; }

# model TASK NODES OUTPUT TENSORS [MORE]: a JSON model; MORE are further members of "model".
model() {
  printf '{"format": "dcls-model", "version": 1, "model": {"task": "%s",
  "input": {"channels": %s, "height": "any", "width": "any"}, %s
  "nodes": [%s], "output": "%s"}, "tensors": {%s}}\n' "$1" "${channels:-3}" "${5:+$5,}" "$2" "$3" "$4"
}

rgb_labels='"labels": ["red", "green", "blue"]'
mean_nodes='{"op": "global_avg_pool", "name": "mean", "inputs": ["input"], "flatten": true},
  {"op": "linear", "name": "fc", "inputs": ["mean"], "weight": "w", "bias": "b"}'
mean_tensors="$(f32 w '[3, 3]' '[4,0,0, 0,4,0, 0,0,4]'), $(f32 b '[3]' '[0,0,0]')"

# Logits are four times the mean of each channel: a red picture is red with exp(4) / (exp(4) + 2) = 96.5 %.
classifier() { model classification "$mean_nodes" fc "$mean_tensors" "$rgb_labels"; }
unlabelled() { model classification "$mean_nodes" fc "$mean_tensors"; }
# The class of a pixel is its largest channel.
segmenter() {
  model segmentation '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "k"}' c \
    "$(f32 k '[3, 3, 1, 1]' '[1,0,0, 0,1,0, 0,0,1]')" "$rgb_labels"
}
features() { model features '{"op": "global_avg_pool", "name": "g", "inputs": ["input"], "flatten": true}' g ''; }
# A depthwise DCLS layer with windows of 3x3 and two elements, one of them at the clamp limit.
dcls_model() {
  model features '{"op": "dcls", "name": "d", "inputs": ["input"], "weight": "d.weight", "P": "d.P", "version": "v1",
    "dilated_kernel_size": 3, "padding": 1, "groups": 3}' d \
    "$(f32 d.weight '[3, 1, 2]' '[1,2, 1,2, 1,2]'), $(f32 d.P '[2, 3, 1, 2]' '[0,1, 0,0.5, 0,0, 0,0, 0.5,0, 0,0]')"
}
