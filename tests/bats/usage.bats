#!/usr/bin/env bats
# Commands, options, help and usage errors.

load helper

@test "--version prints the version and the built-in models" {
  try 0 --version
  is "first line" "${lines[0]}" "dcls 0.1.0"
  [[ ${#lines[@]} -eq 1 || ${lines[1]} == "built-in models: "* ]]
}

@test "help: list of commands on stdout, on stderr without a command" {
  try 0 --help
  local help=$output
  has help "$help" "  infer "
  has help "$help" "  convert "
  has help "$help" "  inspect "
  try 0 help
  is help "$output" "$help"
  try 2
  is stdout "$output" ""
  is stderr "$stderr" "$help"
}

@test "help COMMAND and COMMAND --help print the same, in lines of at most 79 columns" {
  local command
  for command in infer convert inspect plot eval bench help; do
    try 0 help "$command"
    has help "$output" "Usage: dcls $command "
    has help "$output" "--threads N"
    has help "$output" "-q, --quiet"
    local help=$output
    try 0 "$command" --help
    is help "$output" "$help"
    try 0 "$command" -h
    is help "$output" "$help"
    is "long lines" "$(awk 'length > 79' <<<"$help")" ""
  done
}

@test "help names every option the design fixes" {
  local word
  try 0 infer --help
  for word in '-m,' '--model' '-k,' '--format text|json|csv' '--logits' '-o,' '--algo' '--jobs' '--files0-from'; do
    has help "$output" "$word"
  done
  try 0 convert --help
  for word in '--arch' '--set' '--preprocess' '--labels' '--to'; do has help "$output" "$word"; done
  try 0 inspect --help
  for word in '--tensor' '--json' '--input'; do has help "$output" "$word"; done
}

# usage FRAGMENT ARGUMENT..: exit 2, nothing on stdout, one line on stderr with FRAGMENT
usage() {
  local fragment=$1
  shift
  try 2 "$@" || return 1
  is stdout "$output" "" || return 1
  is "lines on stderr" "${#stderr_lines[@]}" 1 || { echo "$stderr"; return 1; }
  has stderr "$stderr" "$fragment"
}

@test "mistyped commands and options: the nearest name" {
  usage "dcls: unknown command 'infre'; did you mean 'infer'?" infre
  usage "unknown command 'xyzzy'; 'dcls help' lists them" xyzzy
  usage "unknown command 'inspct'; did you mean 'inspect'?" help inspct
  usage "dcls: infer: unknown option '--fromat'; did you mean '--format'?" infer --fromat json x.png
  usage "unknown option '--logit-file'; see 'dcls infer --help'" infer --logit-file=x x.png
  usage "unknown option '-z'; see 'dcls infer --help'" infer -z x.png
  usage "unknown option '--frobnicate' before the command" --frobnicate infer
  usage "unknown option '--jsn'; did you mean '--json'?" inspect --jsn m.bin
}

@test "bad values of options" {
  usage "--format: 'jsn' is not one of text|json|csv; did you mean 'json'?" infer --format jsn x.png
  usage "--format: 'yaml' is not one of text|json|csv" infer --format=yaml x.png
  usage "--algo: 'fft' is not one of auto|construct|im2col|sparse" infer --algo fft x.png
  usage "--format needs a value: text|json|csv" infer x.png --format
  usage "--model needs a value: MODEL" infer x.png -m
  usage "--replace-depthwise needs a value: N; '--train' is an option" train -o run --replace-depthwise --train set
  usage "--format needs a value: text|json|csv; '--top=3' is an option" infer --format --top=3 x.png
  usage "--quiet takes no value" infer --quiet=yes x.png
  usage "option '--m' is ambiguous: --model, --max-pixels, --max-memory, --mmap" infer --m=1 x.png
  usage "--top: '0' is not a whole number from 1 to 1000000" infer -k 0 x.png
  usage "--top: '3.5' is not" infer -k 3.5 x.png
  usage "--top: '99999999999999999999' is not" infer -k 99999999999999999999 x.png
  usage "--alpha: '1.5' is not a number from 0 to 1" infer --alpha 1.5 x.png
  usage "--alpha: 'nan' is not" infer --alpha nan x.png
  usage "--alpha: '0,5' is not" infer --alpha 0,5 x.png
  usage "infer: --alpha is for -o" infer --alpha 0.5 x.png
  usage "infer: --json and --format csv exclude each other" infer --json --format csv x.png
  usage "eval: --worst-count is for --worst" eval -d x --worst-count 3
  usage "inspect: --values is for --tensor" inspect -n 3 x.bin
  usage "explain: '17' is no MODEL: sizes are options, as in -D 17 -K 34" explain 17 34
  usage "--scale is for PNG" plot x.bin -o x.svg --scale 2
  usage "--terminal has the terminal's width" plot x.bin --terminal --width 400
  usage "--max-memory: '5X' is not a number of bytes" infer --max-memory 5X x.png
  usage "--max-memory: '99999999999T' is not" infer --max-memory 99999999999T x.png
  usage "--logits: 'out.bin' does not end in .npy" infer --logits out.bin x.png
}

@test "--threads takes 1 to 1024" {
  local value
  for value in 0 -1 1025 1000000 4x '' ' 2'; do
    usage "--threads: '$value' is not a whole number from 1 to 1024" infer --threads="$value" x.png
  done
}

@test "operands: too few and too many" {
  usage "infer: no input is given; see 'dcls infer --help'" infer
  usage "needs IN OUT" convert
  usage "needs IN OUT" convert a.bin
  usage "'c' is one argument too many" convert a.bin b.bin c
  usage "needs FILE" inspect
  usage "'b' is one argument too many" inspect a b
  usage "'b' is one argument too many" help infer b
}

@test "options may stand after operands, and -- ends them" {
  classifier >m.json
  ppm 2 2 255 0 0 >-red.ppm
  try 0 infer -m m.json -- -red.ppm
  has stdout "$output" "-red.ppm: red 96.5%"
  try 0 infer ./-red.ppm -m m.json -k 1
  is stdout "$output" "./-red.ppm: red 96.5%"
  usage "unknown option '-r'" infer -m m.json -red.ppm
}

@test "an unambiguous beginning of a long option will do" {
  classifier >m.json
  ppm 2 2 255 0 0 >red.ppm
  try 0 infer --mod m.json --form=json --top 1 red.ppm
  has stdout "$output" '"label":"red"'
}

@test "colour only on a terminal that wants it" {
  needs script
  script -qec true /dev/null </dev/null >/dev/null || skip "there are no pseudo-terminals"
  local esc=$'\033'
  on_tty() { script -qec "$*" /dev/null </dev/null; }
  [[ $(TERM=xterm on_tty "$DCLS" help) == *"$esc["* ]]
  [[ $(TERM=xterm NO_COLOR=1 on_tty "$DCLS" help) != *"$esc"* ]]
  [[ $(TERM=dumb on_tty "$DCLS" help) != *"$esc"* ]]
  [[ $(TERM=xterm "$DCLS" help) != *"$esc"* ]]
  [[ $(TERM=xterm on_tty "$DCLS" infer --nope) == *"$esc[1;31mdcls:"* ]]
}

@test "a missing operand is named" {
  dcls_model >m.json
  try 2 convert m.json
  is stderr "$stderr" "dcls: convert: OUT is missing: needs IN OUT; see 'dcls convert --help'"
  try 2 diff m.json
  is stderr "$stderr" "dcls: diff: B is missing: needs A B; see 'dcls diff --help'"
  try 2 diff
  is stderr "$stderr" "dcls: diff: nothing to work on is given: needs A B; see 'dcls diff --help'"
}

@test "a model is named as an operand or by -m, once" {
  dcls_model >m.json
  for command in inspect explain; do
    try 0 $command m.json
    local operand=$output
    try 0 $command -m m.json
    is "$command" "$output" "$operand"
  done
  try 2 inspect m.json -m n.json
  is inspect "$stderr" "dcls: inspect: 'm.json' and -m n.json: give one model"
  try 0 explain m.json d
  local layer=$output
  try 0 explain -m m.json d
  is layer "$output" "$layer"
  try 2 explain m.json layer -m n.json
  is explain "$stderr" "dcls: explain: 'layer' is one argument too many: -m names the model"
  try 2 inspect
  is nothing "$stderr" "dcls: inspect: nothing to work on is given: needs FILE or -m FILE; see 'dcls inspect --help'"
}

@test "DCLS_CPU takes its words alone" {
  DCLS_CPU=mmx try 2 explain -D 9 -K 9
  is stderr "$stderr" "dcls: DCLS_CPU: 'mmx' is not one of scalar, avx2, avx512, amx"
  DCLS_CPU=scalar try 0 explain -D 9 -K 9
  DCLS_CPU='' try 0 explain -D 9 -K 9
}

@test "a network without tensors says what it is" {
  model classification "$mean_nodes" fc '' >net.json
  local command
  for command in inspect 'infer -m' 'plot -o p.png'; do
    # shellcheck disable=SC2086
    try 3 $command net.json ${command:+$([[ $command != infer* ]] || echo x.png)}
    has stderr "$stderr" "this is a network without tensors, to be given to dcls convert --arch together with a state dict"
  done
}

@test "a model without version is a bad file" {
  dcls_model | sed 's/"version": "v1",//' >layer.json
  classifier | sed 's/"version": 1, //' >file.json
  local name
  for name in layer file; do
    try 3 inspect $name.json
    try 3 convert $name.json out.bin
    try 3 infer -m $name.json x.png
  done
}
