#!/usr/bin/env bats
# dcls plot: kinds, formats, standard output, choices, errors, the terminal.

load helper

kinds=(positions density kernels histogram field)

# Three depthwise kernels of K elements, weights rising; NDIM window sizes follow.
layer_model() { # VERSION K D..
  local version=$1 k=$2 weights positions axis
  shift 2
  weights=$(seq -s, $((3 * k)))
  positions=$(for axis in "$@"; do seq -s, $((3 * k)) | awk -v k="$k" -v d="$axis" 'BEGIN { RS = "," } { printf("%s%g", (NR > 1) ? "," : "", ($1 * 7 % (d + 2)) - d / 2) }'; echo; done | paste -sd,)
  local sizes names=("width" "height" "depth") input='"channels": 3'
  sizes=$(IFS=,; echo "$*")
  local n
  for ((n = $#; n > 0; n--)); do input+=", \"${names[n - 1]}\": \"any\""; done
  local sig='' sig_tensor=''
  case $version in max | gauss)
    sig='"SIG": "d.SIG",'
    sig_tensor=", $(f32 d.SIG "[$#, 3, 1, $k]" "[$(for axis in "$@"; do seq -s, $((3 * k)) | sed 's/[0-9]\+/0.&/g'; done | paste -sd,)]")"
    ;;
  esac
  printf '{"format": "dcls-model", "version": 1, "model": {"task": "features", "input": {%s},
    "nodes": [{"op": "dcls", "name": "d", "inputs": ["input"], "weight": "d.weight", "P": "d.P", %s "version": "%s",
    "dilated_kernel_size": [%s], "groups": 3}], "output": "d"}, "tensors": {%s, %s%s}}\n' \
    "$input" "$sig" "$version" "$sizes" "$(f32 d.weight "[3, 1, $k]" "[$weights]")" \
    "$(f32 d.P "[$#, 3, 1, $k]" "[$positions]")" "$sig_tensor"
}

# sized KIND SIZE: the option that gives a field its input
sized() { [[ $1 != field ]] || echo "--input $2"; }

# What the first bytes say a file is.
kind_of() {
  case $(head -c 5 "$1" | tr -d '\0') in
    $'\x89PNG'*) echo png ;;
    '<?xml') echo svg ;;
    '%PDF-') echo pdf ;;
    *) head -c 5 "$1" | od -An -c ;;
  esac
}

# Width and height of a PNG, from its header.
png_size() { od -An -tu1 -j16 -N8 "$1" | awk '{ print $1 * 16777216 + $2 * 65536 + $3 * 256 + $4, $5 * 16777216 + $6 * 65536 + $7 * 256 + $8 }'; }

@test "every kind in every format, one to three dimensions" {
  layer_model gauss 2 9 >one.json
  layer_model v1 3 5 5 >two.json
  layer_model max 2 3 5 7 >three.json
  layer_model v0 2 4 6 >even.json
  local model kind format n=0
  local -A size=([one]=20 [two]=12x14 [three]=6x9x11 [even]=12x12)
  for model in one two three even; do
    for kind in "${kinds[@]}"; do
      for format in $( ((n++ % 2)) && echo png pdf || echo svg); do
        try 0 plot -q $model.json --kind "$kind" $(sized "$kind" ${size[$model]}) -o p.$format
        is "what is said" "$output$stderr" ""
        is "$model $kind" "$(kind_of p.$format)" $format
      done
    done
  done
}

@test "SVG and PDF are valid to other programs" {
  needs rsvg-convert pdftoppm
  layer_model gauss 4 7 7 >m.json
  local kind
  for kind in "${kinds[@]}"; do
    "$DCLS" plot m.json --kind "$kind" $(sized "$kind" 20x20) -o p.svg
    rsvg-convert p.svg -o from-svg.png
    is kind "$(kind_of from-svg.png)" png
    "$DCLS" plot m.json --kind "$kind" $(sized "$kind" 20x20) -o p.pdf
    pdftoppm -r 72 p.pdf page 2>errors
    is "complaints about the PDF" "$(cat errors)" ""
    is pages "$(ls page*.ppm | wc -l)" 1
    rm page*.ppm
  done
}

@test "width and scale" {
  dcls_model >m.json
  try 0 plot m.json -o a.png
  try 0 plot m.json -o b.png --width 480
  try 0 plot m.json -o c.png --width 480 --scale 2
  is width "$(png_size a.png | cut -d' ' -f1)" 960
  read -r width height < <(png_size b.png)
  is width "$width" 480
  is "twice the size" "$(png_size c.png)" "960 $((2 * height))"
  try 2 plot m.json -o d.png --width 10
  try 2 plot m.json -o d.png --scale 0
  [ ! -e d.png ]
}

@test "the same bytes every time, for any number of threads" {
  layer_model gauss 3 5 5 >m.json
  local kind format
  for kind in "${kinds[@]}"; do
    for format in png svg pdf; do
      "$DCLS" plot m.json --kind "$kind" $(sized "$kind" 20x20) -o a.$format --threads 1
      "$DCLS" plot m.json --kind "$kind" $(sized "$kind" 20x20) -o b.$format --threads 3
      cmp a.$format b.$format
    done
  done
}

@test "standard output" {
  dcls_model >m.json
  try 0 plot m.json -o m.svg
  "$DCLS" plot m.json -o - --format svg >out.svg
  cmp m.svg out.svg
  "$DCLS" plot m.json -o - --format png | cat >out.png
  is kind "$(kind_of out.png)" png
  { echo before; "$DCLS" plot m.json -o - --format pdf; } >both
  is "bytes before it stay" "$(head -n 1 both)" before
  try 2 plot m.json -o -
  is stderr "$stderr" "dcls: plot: -o - needs --format png, svg, pdf or html"
  [ ! -e ./- ]
}

# The data of a report: what stands in its script element, as JSON.
report_data() { sed -n 's|.*<script type="application/json" id="data">\(.*\)</script>$|\1|p' "$1"; }

@test "a report: one file, with everything in it" {
  needs jq
  dcls_model >m.json
  try 0 plot m.json --input 4x6 -o r.html
  is title "$(sed -n 's|.*<title>\(.*\)</title>.*|\1|p' r.html)" "m.json: DCLS report"
  run ! grep -qE '(src|href)="?(http|//)|@import|url\(' r.html
  is addresses "$(grep -oE 'https?://[^"'"'"' ]*' r.html | sort -u)" "http://www.w3.org/2000/svg"
  report_data r.html >data.json
  is layer "$(jq -c '.layers[0] | [.name, .version, .window, .K, .total]' data.json)" '["d","v1",[3,3],2,3]'
  # v1: P[0] is the column
  is elements "$(jq -c '.layers[0].kernels[0].elements' data.json)" '[[0,0,1],[0,1,2]]'
  is density "$(jq -c '.layers[0].density | map(.cells | add)' data.json)" "[$(jq '.layers[0].elements' data.json)]"
  is limits "$(jq -c '.layers[0].limits' data.json)" '[[-1,1],[-1,1]]'
  is costs "$(jq -c '[.layers[0].dense, .layers[0].sparse]' data.json)" \
    "$("$DCLS" inspect --json --input 4x6 m.json | jq -c '[.nodes[0].macs_dense, .nodes[0].macs_sparse]')"
  "$DCLS" plot m.json --input 4x6 -o - --format html >again.html
  cmp <(report_data r.html) <(report_data again.html)
  try 0 plot m.json --channels 1 --input 4x6 -o one.html
  is kernels "$(report_data one.html | jq -c '[.layers[0].kernels[].output]')" '[1]'
}

@test "a report: names are text, options that do not fit are refused" {
  needs jq
  dcls_model | sed 's|"name": "d"|"name": "</script>\&<b>"|; s|}\], "output": "d"|}], "output": "</script>\&<b>"|' >x.json
  try 0 plot x.json -o x.html
  is scripts "$(grep -c '</script>' x.html)" 2
  is name "$(report_data x.html | jq -r '.layers[0].name')" '</script>&<b>'
  dcls_model >m.json
  try 2 plot m.json --kind density -o r.html
  is stderr "$stderr" "dcls: plot: --kind belongs to pictures: a report shows all of it"
  classifier >c.json
  try 2 plot c.json -o c.html
  try 4 plot m.json -o absent/r.html
  [ ! -e r.html ] && [ ! -e c.html ]
}

@test "a report: its policy allows its own scripts and styles, nothing else" {
  dcls_model >m.json
  try 0 plot m.json -o r.html
  local policy part digest
  policy=$(sed -n 's|.*http-equiv="Content-Security-Policy" content="\(.*\)">.*|\1|p' r.html)
  has policy "$policy" "default-src 'none'"
  run ! grep -q unsafe <<<"$policy"
  for part in style script; do
    digest=$(awk -v RS="</$part>" -v start="<$part>" 'at = index($0, start) { printf "%s", substr($0, at + length(start)) }' r.html |
      sha256sum | cut -c1-64 | tr a-f A-F | basenc -d --base16 | basenc --base64)
    has policy "$policy" "$part-src 'sha256-$digest'"
  done
}

@test "a report: three dimensions are seen from three sides" {
  needs jq
  layer_model gauss 4 3 5 7 >v.json
  try 0 plot v.json --input 8x8x8 -o v.html
  report_data v.html >data.json
  is sides "$(jq -c '.layers[0].density | map([.rows, .columns])' data.json)" '[[5,7],[3,7],[3,5]]'
  is sums "$(jq -c '.layers[0].density | map(.cells | add | round) | unique | length' data.json)" 1
  is element "$(jq '.layers[0].kernels[0].elements[0] | length' data.json)" 7
}

@test "a report: long windows are counted in groups of cells" {
  needs jq
  layer_model v1 4 301 >l.json
  try 0 plot l.json --input 400 -o l.html
  report_data l.html >data.json
  is density "$(jq -c '.layers[0].density[0] | [.rows, .columns, .column_bin, (.cells | length), (.cells | add)]' data.json)" '[1,101,3,101,12]'
}

@test "a report: a large layer is sampled, and it says how much" {
  needs jq
  # 400 kernels of 400 elements, positions shared by all outputs: 160000 elements, of which 60000 have room
  { printf '{"format":"dcls-model","version":1,"tensors":{"d.weight":{"dtype":"F32","shape":[40,10,400],"data":['
    seq -s, 160000
    printf ']},"d.P":{"dtype":"F32","shape":[2,10,400],"data":['
    seq -s, 8000 | sed 's/[0-9]\+/0/g'
    printf ']}}}'; } >s.json
  try 0 plot s.json --set version=v1 --set dilated_kernel_size=5 -o s.html
  report_data s.html >data.json
  is total "$(jq -c '.layers[0] | [.total, .outputs, .inputs]' data.json)" '[400,40,10]'
  is kernels "$(jq -c '.layers[0].kernels | length <= 150 and length >= 100' data.json)" true
  is grid "$(jq -c '.layers[0].kernels | (map(.output) | unique | length) * (map(.input) | unique | length) == length' data.json)" true
  # an element of output o, input i has the weight (10 o + i) 400 + 1
  is weights "$(jq -c '.layers[0].kernels | all(((10 * .output + .input) * 400 + 1 - .elements[0][2]) | fabs < 50)' data.json)" true
  is density "$(jq -c '.layers[0].density[0].cells | [add, max]' data.json)" '[4000,4000]'
}

@test "a report: what is no number is null" {
  needs jq
  dcls_model | jq -c '.tensors |= with_entries(if .key | endswith("P") then .value.data[0] = "NaN" else .value.data[1] = "Infinity" end)' >n.json
  try 0 plot n.json --input 4x6 -o n.html
  is elements "$(report_data n.html | jq -c '.layers[0].kernels[0].elements')" '[[0,null,1],[0,1,null]]'
}

@test "a report of a state dict has no costs" {
  needs jq
  dcls_model | jq '.tensors' >tensors.json
  printf '{"format":"dcls-model","version":1,"tensors":%s}' "$(cat tensors.json)" >s.json
  try 0 plot s.json --set version=v1 --set dilated_kernel_size=3 -o s.html
  is costs "$(report_data s.html | jq -c '[.layers[0].dense, (.nodes | length)]')" '[0,0]'
}

@test "--format says more than the name" {
  dcls_model >m.json
  try 0 plot m.json -o picture --format pdf
  is kind "$(kind_of picture)" pdf
}

@test "layers and channels" {
  dcls_model >m.json
  try 0 plot m.json -o all.svg
  try 0 plot m.json --layers 'd*' -o same.svg
  cmp all.svg same.svg
  try 0 plot m.json --channels 0-1,2 -o three.svg
  cmp all.svg three.svg
  try 0 plot m.json --channels 1 -o one.svg
  run ! cmp -s all.svg one.svg
  try 2 plot m.json --layers 'e*' -o none.svg
  is stderr "$stderr" "dcls: m.json: no DCLS layer is named 'e*'; the first one is 'd'"
  try 2 plot m.json --channels 3-9 -o none.svg
  is stderr "$stderr" "dcls: m.json: none of these layers has an output channel 3"
  try 2 plot m.json --channels 1-3 -o none.svg
  is stderr "$stderr" "dcls: m.json: there is no output channel 3: these layers have at most 3, from 0"
  sed 's/"d"/"d.0.fn"/g' m.json >named.json
  try 2 plot named.json --layers d.0 -o none.svg
  is stderr "$stderr" "dcls: named.json: no DCLS layer is named 'd.0'; 'd.0*' would match 'd.0.fn'"
  try 2 plot m.json --seed 1 -o none.svg
  is stderr "$stderr" "dcls: plot: --seed belongs to --kind field: nothing else is random"
  try 2 plot m.json --kind field --channels 1 -o none.svg
  local list
  for list in '' a 1- -1 2-1 1,,2 1,; do
    try 2 plot m.json --channels="$list" -o none.svg
    is stderr "$stderr" "dcls: plot: --channels: '$list' is not a list of channels such as 0-7,12"
  done
  [ ! -e none.svg ]
}

@test "wrong usage leaves no file" {
  dcls_model >m.json
  try 2 plot m.json
  is stderr "$stderr" "dcls: plot: -o is needed: the picture to write, or --terminal"
  try 2 plot -o p.png
  is stderr "$stderr" "dcls: plot: MODEL is needed: a file or builtin:NAME"
  try 2 plot m.json -m m.json -o p.png
  try 2 plot m.json -o p.gif
  is stderr "$stderr" "dcls: p.gif: a picture's name must end in .png, .svg, .pdf or .html"
  try 2 plot m.json -o p
  try 2 plot m.json -o svg.d/p
  try 2 plot m.json -o p.png --kind circles
  try 2 plot m.json -o p.png --terminal
  try 2 plot m.json --terminal --kind kernels
  is "files" "$(ls)" m.json
}

@test "models that cannot be drawn" {
  segmenter >none.json
  try 2 plot none.json -o p.png
  is stderr "$stderr" "dcls: none.json: there is no DCLS layer to plot"
  echo nonsense >bad
  try 3 plot bad -o p.png
  try 4 plot missing.json -o p.png
  dcls_model >m.json
  try 4 plot m.json -o no/such/directory/p.png
  has stderr "$stderr" "dcls: no/such/directory/p.png: cannot write"
  for format in svg pdf png; do
    [ -e /dev/full ] || continue
    run -4 bash -c "'$DCLS' plot m.json -o - --format $format >/dev/full"
  done
  is "files" "$(ls | paste -sd" ")" "bad m.json none.json"
  try 5 plot m.json -o p.png --width 4000 --scale 16
  has stderr "$stderr" "a drawing cannot be"
  [ ! -e p.png ]
}

@test "numbers that are not finite are left out" {
  dcls_model | sed 's/\[0,1, 0,0.5,/["NaN",1, 0,"Infinity",/; s/\[1,2, 1,2, 1,2\]/["NaN",2, 1,"-Infinity", 1,2]/' >m.json
  local kind
  for kind in "${kinds[@]}"; do
    try 0 plot m.json --kind "$kind" $(sized "$kind" 9x9) -o p.png
  done
  run ! grep -q nan <("$DCLS" plot m.json -o - --format svg)
}

@test "spreads beyond all bounds are drawn in no time" {
  layer_model max 3 9 9 | sed 's/\("d.SIG": {[^[]*\[[^]]*\][^[]*\[\)[^,]*,/\19.3e18,/' >far.json
  grep -q 9.3e18 far.json
  SECONDS=0
  try 0 plot -q far.json -o p.svg
  ((SECONDS < 10))
}

@test "a state dict needs version and window" {
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 a.weight '[2, 1, 2]' '[1,2,3,4]')" \
    "$(f32 a.P '[2, 2, 1, 2]' '[0,1,0,0,1,0,0,1]')" >s.json
  try 0 plot s.json --set version=v1 --set dilated_kernel_size=5 -o p.png
  try 0 plot s.json --set version=v1 --set 'a:dilated_kernel_size=5' --terminal
  try 2 plot s.json -o q.png
  try 2 plot s.json --set version=v1 --set dilated_kernel_size=5 --layers b -o q.png
  has stderr "$stderr" "no DCLS layer is named 'b'"
  [ ! -e q.png ]
}

@test "a field: which map, which input" {
  layer_model v1 3 5 5 >m.json
  try 0 plot m.json --kind field --input 16x16 -o a.svg
  try 0 plot m.json --kind field --input 16x16 --layers d -o b.svg
  cmp a.svg b.svg
  try 0 plot m.json --kind field --input 16x16 --seed 3 -o b.svg
  try 2 plot m.json --kind field --input 16x16 --layers x -o c.svg
  is stderr "$stderr" "dcls: m.json: no operation is named 'x'"
  try 2 plot m.json --kind field --input 16x -o c.svg
  is stderr "$stderr" "dcls: plot: --input: '16x' is not a size such as 224x224"
  try 2 plot m.json --kind field --input 2x2 -o c.svg
  try 2 plot m.json --input 16x16 -o c.svg
  is stderr "$stderr" "dcls: plot: --input belongs to --kind field and to reports"
  features >pooled.json
  try 2 plot pooled.json --kind field --layers g -o c.svg
  has stderr "$stderr" "is no map of cells"
  npy "3," 0 1 2 >x.npy
  try 2 plot x.npy --kind field -o c.svg
  is stderr "$stderr" "dcls: plot: --kind belongs to models: a recording is drawn as positions moving"
  [ ! -e c.svg ]
}

@test "a field that exceeds the input is not framed as the input" {
  dcls_model >m.json
  dashed() { try 0 plot m.json --kind field --input "$1" -o "$1.svg" && grep -o stroke-dasharray "$1.svg" | wc -l; }
  is inside "$(dashed 20x20)" 4
  is "across one border" "$(dashed 2x20)" 4
  is around "$(dashed 2x2)" 1
}

@test "--terminal: text of the terminal's width, colours only where allowed" {
  layer_model v1 3 9 9 >m.json
  COLUMNS=40 try 0 plot m.json --terminal
  is "first lines" "${lines[0]}|${lines[1]}" "d|v1 9×9"
  [[ $output != *$'\033'* ]]
  has scale "$output" " times an even spread"
  is "lines that are too long" "$(($(LC_ALL=C.UTF-8 wc -L <<<"$output") > 40))" 0
  layer_model v1 3 99 99 >wide.json
  COLUMNS=40 try 0 plot wide.json --terminal
  is "lines that are too long" "$(($(LC_ALL=C.UTF-8 wc -L <<<"$output") > 40))" 0
  layer_model v1 3 9 >one.json
  try 0 plot one.json --terminal
  has bars "$output" █
}

@test "--terminal in a terminal" {
  needs script
  script -qec true /dev/null </dev/null >/dev/null || skip "there are no pseudo-terminals"
  layer_model v1 3 9 9 >m.json
  run script -qec "stty cols 60; TERM=xterm NO_COLOR= '$DCLS' plot m.json --terminal" /dev/null </dev/null
  has colours "$output" $'\033[48;5;'
  run script -qec "stty cols 60; TERM=xterm NO_COLOR=1 '$DCLS' plot m.json --terminal" /dev/null </dev/null
  [[ $output != *$'\033'* ]]
  run script -qec "TERM=xterm '$DCLS' plot m.json -o - --format png" /dev/null </dev/null
  has refusal "$output" "would write a picture to the terminal"
}

@test "models that ship" {
  [[ $(dcls --version) == *dclsseg-camvid* ]] || skip "the program was built without models"
  local kind
  for kind in "${kinds[@]}"; do
    try 0 plot builtin:dclsseg-camvid --kind "$kind" $(sized "$kind" 48x64) -o a.png
    try 0 plot -m builtin:convmixer-dcls-cifar10 --kind "$kind" -o b.svg
  done
  try 2 plot builtin:dclsseg-camvid --set version=v1 -o c.png
  try 2 plot builtin:dclsseg-camvid --arch convmixer -o c.png
}

@test "the model is not replaced by its picture" {
  dcls_model >m.json
  cp m.json kept.json
  try 2 plot m.json -o ./m.json --format png
  is stderr "$stderr" "dcls: ./m.json: is the input itself"
  cmp m.json kept.json
}

@test "positions: light elements of wide windows are no specks" {
  [[ -x /usr/bin/python3 ]] || skip "no Python"
  layer_model v1 2 17 17 | sed -E 's/("d.weight": [^]]*\], *"data": \[)[^]]*/\11,1e-6,1,1e-6,1,1e-6/' >m.json
  try 0 plot m.json -o m.svg
  is "widths of discs" "$(/usr/bin/python3 - <<'END'
import re
discs = [p for p in re.findall(r'<path[^>]*>', open('m.svg').read()) if re.search(r'fill-opacity[:="]+0\.85', p)]
wide = set()
for p in discs:
    x = [float(n) for n in re.findall(r'[MCL ](-?[0-9.]+) -?[0-9.]+', re.search(r' d="([^"]*)"', p)[1])]
    wide.add(round(max(x) - min(x), 1))
print(sorted(wide))
END
)" "[2.2, 8.8]"
}
