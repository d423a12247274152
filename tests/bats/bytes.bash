# Files byte by byte: safetensors, zip archives with pickles in them, PNG. Damage is done through the arguments and a few
# variables. Everything is done by bash itself: starting a program for each of the many rows would take most of the time.
#
# "Text" below is what printf's %b understands: characters and \xHH, \n, \r, \t.

# le BYTES NUMBER, be BYTES NUMBER: an integer as text in $REPLY, low or high byte first
le() {
  local i byte
  REPLY=
  for ((i = 0; i < $1; i++)); do
    printf -v byte '\\x%02x' $(($2 >> 8 * i & 255))
    REPLY+=$byte
  done
}
be() {
  local i byte
  REPLY=
  for ((i = $1 - 1; i >= 0; i--)); do
    printf -v byte '\\x%02x' $(($2 >> 8 * i & 255))
    REPLY+=$byte
  done
}

# bytes TEXT: the values of its bytes in the array BYTES
bytes() {
  local rest=$1 code
  BYTES=()
  while [[ -n $rest ]]; do
    case $rest in
      '\x'*) code=0x${rest:2:2} rest=${rest:4} ;;
      '\n'*) code=10 rest=${rest:2} ;;
      '\r'*) code=13 rest=${rest:2} ;;
      '\t'*) code=9 rest=${rest:2} ;;
      *)
        printf -v code %d "'${rest:0:1}"
        rest=${rest:1}
        ;;
    esac
    BYTES+=($((code)))
  done
}

# crc32: of BYTES, in $REPLY
crc32() {
  local byte i crc=$((0xffffffff))
  if [[ -z ${CRC_TABLE-} ]]; then
    CRC_TABLE=()
    for ((byte = 0; byte < 256; byte++)); do
      local value=$byte
      for ((i = 0; i < 8; i++)); do value=$((value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1)); done
      CRC_TABLE[byte]=$value
    done
  fi
  for byte in "${BYTES[@]}"; do crc=$((crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255])); done
  REPLY=$((crc ^ 0xffffffff))
}

# ---- safetensors

# st HEADER [DATA]
st() {
  le 8 ${#1}
  printf '%b%s%b' "$REPLY" "$1" "${2-}"
}
# st_tensor DTYPE SHAPE OFFSETS [DATA]: one tensor
st_tensor() { st "{\"a\":{\"dtype\":\"$1\",\"shape\":$2,\"data_offsets\":$3}}" "${4-}"; }

# ---- PyTorch checkpoints

# Appends TEXT to the archive in $ZIP / to its central directory in $DIRECTORY.
zip_entry() { # NAME TEXT
  local name=archive/$1 listed=${CENTRAL:-archive}/$1 fields size offset
  bytes "$2"
  crc32
  size=${#BYTES[@]} offset=$ZIP_SIZE
  le 4 "${CRC:-$REPLY}"
  fields=$REPLY
  le 2 "${FLAGS:-0}"
  local common=$REPLY
  le 2 "${METHOD:-0}"
  common+="$REPLY\\x00\\x00\\x00\\x00$fields"
  zip_sizes "$size"
  ZIP+="PK\\x03\\x04\\x14\\x00$common$REPLY"
  le 4 ${#name}
  ZIP+="$REPLY$name$2"
  ZIP_SIZE=$((ZIP_SIZE + 30 + ${#name} + size))
  zip_sizes $((size + ${GROW:-0}))
  DIRECTORY+="PK\\x01\\x02\\x14\\x00\\x14\\x00$common$REPLY"
  le 4 ${#name}
  DIRECTORY+="$REPLY\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
  le 4 "$offset"
  DIRECTORY+="$REPLY$listed"
  DIRECTORY_SIZE=$((DIRECTORY_SIZE + 46 + ${#listed}))
}
zip_sizes() {
  le 4 "$1"
  REPLY+=$REPLY
}

# torch_zip NAME TEXT NAME TEXT ..: entries archive/NAME, stored. FLAGS, METHOD, CENTRAL (folder in the central
# directory), GROW (bytes by which the sizes there are wrong), CRC (a wrong checksum) do damage.
torch_zip() {
  ZIP='' ZIP_SIZE=0 DIRECTORY='' DIRECTORY_SIZE=0
  local count=$(($# / 2)) end='PK\x05\x06\x00\x00\x00\x00'
  while (($# > 0)); do
    zip_entry "$1" "$2"
    shift 2
  done
  le 2 $count
  end+=$REPLY$REPLY
  le 4 $DIRECTORY_SIZE
  end+=$REPLY
  le 4 $ZIP_SIZE
  printf '%b' "$ZIP$DIRECTORY$end$REPLY\\x00\\x00"
}

storage='\x00\x00\x80\x3f\x00\x00\x00\x40' # two floats, 1 and 2
# checkpoint OPCODES: an archive with this pickle and that storage
checkpoint() { torch_zip data.pkl "$1" data/0 "$storage"; }

# Opcodes in $REPLY. word STRING: BINUNICODE; int NUMBER: BININT
word() {
  le 4 ${#1}
  REPLY="X$REPLY$1"
}
int() {
  le 4 "$1"
  REPLY=J$REPLY
}
# tensor ELEMENTS OFFSET SIZE STRIDE [STORAGE]: what torch.save writes for a tensor of one dimension
tensor() {
  local text='ctorch._utils\n_rebuild_tensor_v2\n(('
  word storage
  text+="${REPLY}ctorch\\n${5:-FloatStorage}\\n"
  word 0
  text+=$REPLY
  word cpu
  text+=$REPLY
  int "$1"
  text+="${REPLY}tQ"
  int "$2"
  text+=$REPLY
  int "$3"
  text+="$REPLY\\x85"
  int "$4"
  REPLY="$text$REPLY\\x85\\x89ccollections\\nOrderedDict\\n)RtR"
}
# state TENSOR_ARGUMENTS: a state dict with one tensor
state() {
  tensor "$@"
  REPLY="\\x80\\x02}X\\x01\\x00\\x00\\x00a${REPLY}s."
}
# with_tensor TENSOR_ARGUMENTS: a checkpoint with one tensor
with_tensor() {
  state "$@"
  checkpoint "$REPLY"
}

# ---- PNG

png_signature() { printf '\x89PNG\r\n\x1a\n'; }
# chunk TYPE TEXT
chunk() {
  bytes "$1$2"
  crc32
  be 4 "$REPLY"
  local sum=$REPLY
  be 4 $((${#BYTES[@]} - 4))
  printf '%b' "$REPLY$1$2$sum"
}
# ihdr WIDTH HEIGHT DEPTH COLOUR_TYPE [INTERLACE]
ihdr() {
  local text
  be 4 "$1"
  text=$REPLY
  be 4 "$2"
  text+=$REPLY
  be 1 "$3"
  text+=$REPLY
  be 1 "$4"
  text+="$REPLY\\x00\\x00"
  be 1 "${5:-0}"
  chunk IHDR "$text$REPLY"
}
# idat BYTE BYTE ADLER: two bytes in a stored block with this checksum: of a grey PNG, the filter and one pixel
idat() {
  be 4 "$3"
  chunk IDAT "\\x78\\x01\\x01\\x02\\x00\\xfd\\xff$1$2$REPLY"
}
# png IHDR_ARGUMENTS: signature, IHDR, one black pixel of grey, IEND
png() {
  png_signature
  ihdr "$@"
  idat '\x00' '\x00' $((0x20001))
  chunk IEND ''
}
