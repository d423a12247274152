#!/usr/bin/env bats
# dcls infer: answers in text, JSON and CSV, logits, algorithms, threads and jobs.

load helper

pictures() {
  classifier >m.json
  ppm 4 2 255 0 0 >red.ppm
  ppm 3 3 0 255 0 >green.ppm
  ppm 1 5 0 0 255 >blue.ppm
}

@test "text: one line an input, the largest class first" {
  pictures
  try 0 infer -m m.json red.ppm green.ppm
  is "line 1" "${lines[0]}" "red.ppm: red 96.5%  green 1.8%  blue 1.8%"
  is "line 2" "${lines[1]}" "green.ppm: green 96.5%  red 1.8%  blue 1.8%"
  is "lines" "${#lines[@]}" 2
  is stderr "$stderr" ""
}

@test "-k: fewer classes; more than there are is all" {
  pictures
  try 0 infer -m m.json -k 1 blue.ppm
  is stdout "$output" "blue.ppm: blue 96.5%"
  try 0 infer -m m.json -k 10 blue.ppm
  is stdout "$output" "blue.ppm: blue 96.5%  red 1.8%  green 1.8%"
}

@test "a model without labels prints indices" {
  pictures
  unlabelled >u.json
  try 0 infer -m u.json -k 2 blue.ppm
  is stdout "$output" "blue.ppm: 2 96.5%  0 1.8%"
  try 0 infer -m u.json -k 1 --format csv blue.ppm
  is "row" "${lines[1]}" "blue.ppm,0,1,2,,0.964663156"
  try 0 infer -m u.json -k 1 --format json blue.ppm
  has stdout "$output" '"top":[{"index":2,"label":null,"prob":0.964663'
}

@test "pictures behind each other on standard input" {
  needs jq
  pictures
  cat red.ppm blue.ppm green.ppm >frames
  try 0 infer -m m.json -k 1 - <frames
  is first "${lines[0]}" "-[0]: red 96.5%"
  is second "${lines[1]}" "-[1]: blue 96.5%"
  is third "${lines[2]}" "-[2]: green 96.5%"
  try 0 infer -m m.json --format json - <frames
  is items "$(jq -r '"\(.item) \(.top[0].label)"' <<<"$output" | paste -sd,)" "0 red,1 blue,2 green"
  try 0 infer -m m.json -k 1 frames # a file has one
  is file "$output" "frames: red 96.5%"
  cat red.ppm >frames
  head -c 15 blue.ppm >>frames
  try 3 infer -m m.json -k 1 - <frames
  has stderr "$stderr" "dcls: -: truncated PNM"
  try 3 infer -m m.json - </dev/null
  has stderr "$stderr" "dcls: -: this is an empty file"
}

@test "JSON: one object a line, in the form scripts rely on" {
  pictures
  try 0 infer -m m.json --format json red.ppm blue.ppm
  is "lines" "${#lines[@]}" 2
  local form='^\{"input":"red.ppm","task":"classification","top":\[\{"index":0,"label":"red","prob":0\.96466[0-9]*\},'
  form+='\{"index":1,"label":"green","prob":0\.0176[0-9]*\},\{"index":2,"label":"blue","prob":0\.0176[0-9]*\}\],"ms":[0-9.e-]+\}$'
  [[ ${lines[0]} =~ $form ]] || { echo "${lines[0]}"; false; }
  [[ ${lines[1]} == '{"input":"blue.ppm",'* ]]
}

@test "JSON is JSON" {
  needs jq
  pictures
  try 0 infer -m m.json --format json red.ppm green.ppm blue.ppm
  is "best labels" "$(jq -r '.top[0].label' <<<"$output" | paste -sd,)" red,green,blue
  is "probabilities sum to 1" "$(jq -s 'map(.top | map(.prob) | add | . > 0.9999 and . < 1.0001) | all' <<<"$output")" true
}

@test "CSV: header, ranks, RFC 4180 quoting" {
  classifier | sed 's/"red"/"re,d \\"1\\""/' >m.json
  ppm 1 1 255 0 0 >'a,b.ppm'
  try 0 infer -m m.json --format csv -k 2 'a,b.ppm'
  is header "${lines[0]}" "input,item,rank,index,label,prob"
  is row "${lines[1]}" '"a,b.ppm",0,1,0,"re,d ""1""",0.964663156'
  is row "${lines[2]}" '"a,b.ppm",0,2,1,green,0.017668422'
}

@test "probabilities stay as they are where the network ends in a softmax" {
  model classification "$mean_nodes, {\"op\": \"softmax\", \"name\": \"s\", \"inputs\": [\"fc\"]}" s "$mean_tensors" \
    "$rgb_labels" >s.json
  ppm 1 1 255 0 0 >red.ppm
  try 0 infer -m s.json red.ppm
  is stdout "$output" "red.ppm: red 96.5%  green 1.8%  blue 1.8%"
}

@test "--mmap: the same answers, of models that can be mapped and of others" {
  pictures
  dcls convert m.json m.bin
  for model in m.bin m.json builtin:resnet-dcls-cifar10; do
    try 0 infer -m "$model" --format csv *.ppm
    local want=$output
    try 0 infer -m "$model" --mmap --format csv *.ppm
    is "$model" "$output" "$want"
  done
  try 0 infer -m <(cat m.bin) --mmap red.ppm
  is pipe "$output" "red.ppm: red 96.5%  green 1.8%  blue 1.8%"
  : >empty.bin
  try 3 infer -m empty.bin --mmap red.ppm
  is empty "$stderr" "dcls: empty.bin: this is an empty file, not a weights file: safetensors, JSON models, PyTorch checkpoints and .npy can be read"
  head -c 100 m.bin >cut.bin
  try 3 infer -m cut.bin --mmap red.ppm
  local said=$stderr
  try 3 infer -m cut.bin red.ppm
  is cut "$said" "$stderr"
  try 4 infer -m nothing.bin --mmap red.ppm
  try 4 infer -m . --mmap red.ppm
}

@test "a picture on standard input" {
  pictures
  run --separate-stderr bash -c '"$0" infer -m m.json -k 1 - <red.ppm' "$DCLS"
  is status "$status" 0
  is stdout "$output" "-: red 96.5%"
  run --separate-stderr bash -c 'cat green.ppm | "$0" infer -m m.json -k 1 red.ppm - blue.ppm' "$DCLS"
  is stdout "$output" $'red.ppm: red 96.5%\n-: green 96.5%\nblue.ppm: blue 96.5%'
}

@test "a model on standard input, pictures from a pipe with a name" {
  pictures
  run --separate-stderr bash -c '"$0" infer -m - -k 1 <(cat red.ppm) <m.json | sed "s|.*: ||"' "$DCLS"
  is stdout "$output" "red 96.5%"
}

@test ".npy tensors skip preprocessing; batches have items" {
  classifier >m.json
  npy "1, 3, 1, 1" 0 1 0 >one.npy
  npy "2, 3, 1, 1" 1 0 0 0 0 1 >two.npy
  cp two.npy disguised.png
  try 0 infer -m m.json -k 1 one.npy two.npy disguised.png
  is stdout "$output" $'one.npy: green 96.5%\ntwo.npy[0]: red 96.5%\ntwo.npy[1]: blue 96.5%
disguised.png[0]: red 96.5%\ndisguised.png[1]: blue 96.5%'
  try 0 infer -m m.json -k 1 --format json one.npy two.npy
  [[ ${lines[0]} != *'"item"'* ]]
  has "line 2" "${lines[1]}" '{"input":"two.npy","item":0,"task"'
  has "line 3" "${lines[2]}" '{"input":"two.npy","item":1,"task"'
  try 0 infer -m m.json -k 1 --format csv two.npy
  is row "${lines[2]}" "two.npy,1,1,2,blue,0.964663156"
}

@test "--logits: outputs of all inputs in one array" {
  pictures
  npy "2, 3, 1, 1" 1 0 0 0 0 2 >two.npy
  try 0 infer -m m.json --logits out.npy red.ppm two.npy
  local expected='{'"'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }"
  has header "$(head -c 120 out.npy | tr -d '\0')" "$expected"
  is values "$(tail -c 36 out.npy | od -An -v -tf4 -w12 | tr -s ' ')" $' 4 0 0\n 4 0 0\n 0 0 8'
}

@test "--logits with unequal shapes: usage error, nothing written" {
  segmenter >m.json
  ppm 2 2 255 0 0 >a.ppm
  ppm 3 2 255 0 0 >b.ppm
  try 2 infer -m m.json --logits out.npy a.ppm b.ppm
  is stderr "$stderr" "dcls: --logits: 'b.ppm' gives [3, 2, 3], the inputs before it [3, 2, 2]: they cannot be one array"
  [[ ! -e out.npy ]]
}

@test "--logits leaves out inputs that fail; none is written when all do" {
  pictures
  echo nonsense >bad.ppm
  try 1 infer -m m.json --logits out.npy red.ppm bad.ppm blue.ppm
  has header "$(head -c 120 out.npy | tr -d '\0')" "'shape': (2, 3)"
  rm out.npy
  try 3 infer -m m.json --logits out.npy bad.ppm
  [[ ! -e out.npy ]]
}

@test "features: shape and first values" {
  features >m.json
  ppm 2 2 255 0 51 >a.ppm
  try 0 infer -m m.json a.ppm
  is stdout "$output" "a.ppm: [3] 1 0 0.2"
  try 0 infer -m m.json -k 2 a.ppm
  is stdout "$output" "a.ppm: [3] 1 0 .."
  try 0 infer -m m.json --format csv a.ppm
  is csv "$output" $'input,item,index,value\na.ppm,0,0,1\na.ppm,0,1,0\na.ppm,0,2,0.200000003'
  try 0 infer -m m.json --format json --logits f.npy a.ppm
  has json "$output" '{"input":"a.ppm","task":"features","shape":[3],"ms":'
  is values "$(tail -c 12 f.npy | od -An -v -tf4 | tr -s ' ')" " 1 0 0.2"
}

@test "a network output that is not finite is a warning" {
  classifier >m.json
  npy "1, 3, 1, 1" nan 0 1 >x.npy
  try 0 infer -m m.json x.npy
  is stderr "$stderr" "dcls: x.npy: warning: the network's output is not finite"
  try 0 infer -q -m m.json --format json x.npy
  is stderr "$stderr" ""
  has stdout "$output" '"prob":"NaN"'
  npy "1, 3, 1, 1" 1 0 0 >good.npy
  npy "1, 3, 1, 1" 0 nan 1 >y.npy
  try 0 infer -m m.json good.npy x.npy y.npy x.npy
  is stderr "$stderr" "dcls: x.npy: warning: the network's output is not finite, nor is that of 2 more of 4 inputs"
}

@test "every algorithm answers" {
  dcls_model >m.json
  ppm 5 4 10 20 30 >a.ppm
  local algo
  for algo in auto construct im2col sparse; do
    try 0 infer -m m.json --algo $algo --logits $algo.npy a.ppm
    is "$algo" "$(tail -c 240 $algo.npy | od -An -v -tf4 -w20 | awk '{ for (i = 1; i <= NF; i++) printf "%.4f ", $i }')" \
      "$(tail -c 240 auto.npy | od -An -v -tf4 -w20 | awk '{ for (i = 1; i <= NF; i++) printf "%.4f ", $i }')"
  done
}

@test "a bad picture among good ones: reported, left out, exit 1" {
  pictures
  echo nonsense >bad.png
  try 1 infer -m m.json -k 1 red.ppm bad.png missing.png blue.ppm
  is stdout "$output" $'red.ppm: red 96.5%\nblue.ppm: blue 96.5%'
  is "lines on stderr" "${#stderr_lines[@]}" 2
  has stderr "${stderr_lines[0]}" "dcls: bad.png: "
  is stderr "${stderr_lines[1]}" "dcls: missing.png: cannot open: No such file or directory"
}

@test "a bad picture alone: 3, or 4 if it cannot be read" {
  pictures
  echo nonsense >bad.png
  try 3 infer -m m.json bad.png
  is stdout "$output" ""
  try 4 infer -m m.json missing.png
  is stderr "$stderr" "dcls: missing.png: cannot open: No such file or directory"
}

@test "--fail-fast stops at the first failure" {
  pictures
  try 1 infer -m m.json -k 1 --fail-fast red.ppm missing.png blue.ppm
  is stdout "$output" "red.ppm: red 96.5%"
  try 1 infer -m m.json -k 1 --fail-fast --jobs 3 red.ppm missing.png blue.ppm
  is stdout "$output" "red.ppm: red 96.5%"
}

@test "--precision bf16 rounds what convolutions multiply, to even" {
  # 1 + 2^-8 lies between 1 and 1 + 2^-7 and becomes 1; 1 + 3 * 2^-8 becomes 1 + 2^-6: 64 and 65 of 64ths.
  channels=1 model features '{"op": "conv", "name": "c", "inputs": ["input"], "weight": "w"}' c \
    "$(f32 w '[1, 1, 1, 1]' '[1.00390625]')" >m.json
  npy "1, 1, 1, 2" 1.01171875 -1 >x.npy
  try 0 infer -m m.json --precision bf16 --logits b.npy x.npy
  is bf16 "$(tail -c 8 b.npy | od -An -tf4 -w8 | tr -s ' ')" ' 1.015625 -1'
  try 0 infer -m m.json --precision fp32 --logits f.npy x.npy
  is fp32 "$(tail -c 8 f.npy | od -An -tf4 -w8 | tr -s ' ')" ' 1.0156708 -1.0039062'
  try 0 infer -m m.json --logits default.npy x.npy
  cmp f.npy default.npy
  try 1 diff f.npy b.npy
  has "largest difference" "$(tr -s " " <<<"$output")" " array 2 0.003906 "
  try 2 infer -m m.json --precision fp16 x.npy
}

@test "--precision bf16: the built-in classifier answers the same" {
  local picture="$root/tests/fixtures/images/good/c2d8.png"
  try 0 infer -q -k 1 --format json "$picture"
  local label
  label=$(jq -r '.top[0].label' <<<"$output")
  try 0 infer -q -k 1 --format json --precision bf16 "$picture"
  is label "$(jq -r '.top[0].label' <<<"$output")" "$label"
}

@test "--quiet silences notes, not errors" {
  pictures
  try 4 infer -q -m m.json missing.png
  is stderr "$stderr" "dcls: missing.png: cannot open: No such file or directory"
}

@test "--verbose tells about plans on stderr, results stay the same" {
  pictures
  try 0 infer -v -m m.json -k 1 --jobs 1 red.ppm red.ppm
  is stdout "$output" $'red.ppm: red 96.5%\nred.ppm: red 96.5%'
  is "plans made" "$(grep -c '^dcls: planned \[1, 3, 2, 4\] in ' <<<"$stderr")" 1
}

@test "same output bits for 1, 2, 3 and 7 threads, and for any number of jobs" {
  dcls_model >m.json
  mkdir in
  local i
  for i in 1 2 3 4 5 6 7 8 9; do
    { printf 'P6\n37 29\n255\n'; head -c $((37 * 29 * 3)) /dev/zero | tr '\0' "\\$((i + 40))"; } >in/$i.ppm
    printf '\x05\x99\xf0' | dd of=in/$i.ppm bs=1 seek=$((100 * i)) conv=notrunc status=none
  done
  try 0 infer -m m.json --threads 1 --logits 1.npy in
  local text=$output n
  for n in 2 3 7; do
    try 0 infer -m m.json --threads $n --logits $n.npy in
    is "text with $n threads" "$output" "$text"
    cmp 1.npy $n.npy
    try 0 infer -m m.json --jobs $n --threads 4 --logits j$n.npy in
    is "text with $n jobs" "$output" "$text"
    cmp 1.npy j$n.npy
  done
}

@test "jobs: errors and results keep the order of the inputs" {
  pictures
  echo nonsense >bad.png
  local files=() i
  for i in {1..20}; do files+=(red.ppm bad.png green.ppm); done
  try 1 infer -m m.json -k 1 --jobs 1 "${files[@]}"
  local expected=$output errors=$stderr
  for i in '--jobs 5' '--threads 3' '--threads 1' ''; do
    # shellcheck disable=SC2086 # words
    try 1 infer -m m.json -k 1 $i "${files[@]}"
    is "stdout with '$i'" "$output" "$expected"
    is "stderr with '$i'" "$stderr" "$errors"
  done
}

@test "limits: --max-pixels and --max-memory" {
  pictures
  try 0 infer -m m.json --max-pixels 8 red.ppm
  try 5 infer -m m.json --max-pixels 7 red.ppm
  has stderr "$stderr" "dcls: red.ppm: "
  has stderr "$stderr" "pixels"
  grey 400 300 >large.ppm
  dcls_model >d.json
  try 5 infer -m d.json --max-memory 1M large.ppm
  has stderr "$stderr" "dcls: large.ppm: "
  try 0 infer -m d.json --max-memory 1G large.ppm
  try 5 infer --max-memory 1 large.ppm
  has "no model given" "$stderr" "dcls: builtin:convmixer256-dcls-cifar10: "
}

@test "limits: --max-memory is one of what is read, too" {
  pictures
  head -c 60000000 /dev/zero >zeros
  try 5 infer -m m.json --max-memory 50M - <zeros
  is stderr "$stderr" "dcls: -: larger than the limit of 52428800 bytes"
  dcls convert -q m.json m.bin
  try 5 infer -m m.bin --max-memory 500 red.ppm
}

@test "models: missing, of another kind, without a network, unknown built-in" {
  pictures
  try 4 infer -m nowhere.bin red.ppm
  is stderr "$stderr" "dcls: nowhere.bin: cannot open: No such file or directory"
  try 3 infer -m red.ppm red.ppm
  is stdout "$output" ""
  has stderr "$stderr" "dcls: red.ppm: "
  npy "1," 1 >t.npy
  try 3 infer -m t.npy red.ppm
  try 2 infer -m builtin:nothing red.ppm
  has stderr "$stderr" "dcls: builtin:nothing: "
}

@test "EXIF orientation is applied unless --no-exif" {
  segmenter >m.json
  jpeg >a.jpg
  try 0 infer -m m.json -o out a.jpg
  is "width and height" "$(od -An -tu1 -j16 -N8 out/a.mask.png | tr -s ' ')" " 0 0 0 8 0 0 0 16"
  try 0 infer -m m.json -o out --no-exif a.jpg
  is "width and height" "$(od -An -tu1 -j16 -N8 out/a.mask.png | tr -s ' ')" " 0 0 0 16 0 0 0 8"
}

@test "--logits replaces nothing that is read, and is refused before work is done" {
  features >m.json
  npy "1, 3, 1, 1" 0 1 2 >x.npy
  cp x.npy kept.npy
  try 2 infer -m m.json x.npy --logits x.npy
  is stderr "$stderr" "dcls: x.npy: is the input itself"
  ln x.npy other.npy
  try 2 infer -m m.json x.npy --logits other.npy
  cmp x.npy kept.npy
  try 4 infer -m m.json x.npy --logits absent/y.npy
  is stderr "$stderr" "dcls: absent/y.npy: cannot write: No such file or directory"
  is output "$output" ""
}

@test "limits: what many layers pack of one weight, and pictures resized beyond reason" {
  local nodes='{"op":"conv","name":"n0","inputs":["input"],"weight":"k","stride":1048576,"padding":1048576}' i
  for i in 1 2 3 4 5 6 7 8; do
    nodes+=",{\"op\":\"conv\",\"name\":\"n$i\",\"inputs\":[\"n$((i - 1))\"],\"weight\":\"k\",\"stride\":1048576,\"padding\":1048576}"
  done
  printf '{"format":"dcls-model","version":1,"model":{"task":"features","input":{"channels":1,"width":"any"},"nodes":[%s],"output":"n8"},"tensors":{%s}}' \
    "$nodes" "$(f32 k "[1, 1, 1]" "[1]")" >many.json
  npy "1, 1, 3" 1 0 1 >x.npy
  try 0 infer -q -m many.json x.npy
  try 5 infer -q -m many.json --max-memory 40M x.npy
  has stderr "$stderr" "packed weights take"
  printf '{"format":"dcls-model","version":1,"model":{"task":"features","input":{"channels":3,"height":8,"width":8},"preprocess":{"resize":{"shorter":1048576},"filter":"nearest","crop":{"height":8,"width":8}},"nodes":[{"op":"global_avg_pool","name":"g","inputs":["input"],"flatten":true}]},"tensors":{}}' >near.json
  ppm 1 4000 1 2 3 >tall.ppm
  try 5 infer -q -m near.json tall.ppm
  has stderr "$stderr" "is too large"
}
