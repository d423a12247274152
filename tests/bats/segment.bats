#!/usr/bin/env bats
# dcls infer on segmentation models: masks, overlays, names of files.

load helper

prepare() {
  segmenter >m.json
  # red red / green blue
  printf 'P6\n2 2\n255\n\377\0\0\377\0\0\0\377\0\0\0\377' >a.ppm
}

size_of() { od -An -tu1 -j16 -N8 "$1" | tr -s ' '; }

@test "fractions without -o: no file is written" {
  prepare
  try 0 infer -m m.json a.ppm
  is stdout "$output" "a.ppm: red 50.0%  green 25.0%  blue 25.0%"
  try 0 infer -m m.json --format json a.ppm
  has stdout "$output" '{"input":"a.ppm","task":"segmentation","mask":null,"overlay":null,"classes":[{"index":0,"label":"red","fraction":0.5},{"index":1,"label":"green","fraction":0.25},{"index":2,"label":"blue","fraction":0.25}],"ms":'
  is files "$(echo *)" "a.ppm m.json"
}

@test "CSV of fractions; -k limits all formats" {
  prepare
  try 0 infer -m m.json --format csv a.ppm
  is csv "$output" $'input,item,index,label,fraction\na.ppm,0,0,red,0.5\na.ppm,0,1,green,0.25\na.ppm,0,2,blue,0.25'
  try 0 infer -m m.json --format csv -k 1 a.ppm
  is csv "$output" $'input,item,index,label,fraction\na.ppm,0,0,red,0.5'
  try 0 infer -m m.json -k 1 a.ppm
  is text "$output" "a.ppm: red 50.0%"
}

@test "-o: mask and overlay, named in the JSON line" {
  prepare
  try 0 infer -m m.json -o out --format json a.ppm
  has stdout "$output" '"mask":"out/a.mask.png","overlay":"out/a.overlay.png","classes"'
  is files "$(cd out && echo *)" "a.mask.png a.overlay.png"
  is "mask size" "$(size_of out/a.mask.png)" " 0 0 0 2 0 0 0 2"
  is "palette type" "$(od -An -tu1 -j25 -N1 out/a.mask.png | tr -d ' ')" 3
}

@test "the mask's values are the classes, at the picture's size" {
  /usr/bin/python3 -c 'import PIL' 2>/dev/null || skip "python3-pil is not installed"
  prepare
  ppm 31 17 0 0 255 >b.ppm
  try 0 infer -m m.json -o out a.ppm b.ppm
  is mask "$(/usr/bin/python3 -c '
from PIL import Image
for name in "ab":
    m = Image.open(f"out/{name}.mask.png")
    print(m.mode, m.size, sorted(set(m.getdata())), m.getpalette()[3:6])
o = Image.open("out/b.overlay.png")
print(o.size[0] >= 31, o.size[1] >= 17)')" "P (2, 2) [0, 1, 2] [128, 0, 0]
P (31, 17) [2] [128, 0, 0]
True True"
}

@test "equal stems get a running number" {
  prepare
  mkdir x y
  cp a.ppm x/a.ppm
  cp a.ppm y/a.png
  cp a.ppm a-2.ppm
  try 0 infer -m m.json -o out a.ppm x/a.ppm a-2.ppm y/a.png
  is masks "$(cd out && echo *.mask.png)" "a-2-2.mask.png a-2.mask.png a-3.mask.png a.mask.png"
  try 0 infer -m m.json -o out --format json --jobs 3 a.ppm x/a.ppm a-2.ppm y/a.png
  is "order" "$(grep -o '[^/]*.mask.png' <<<"$output" | paste -sd' ')" "a.mask.png a-2.mask.png a-2-2.mask.png a-3.mask.png"
}

@test "stems: standard input, several dots, hidden, leading dash, batches" {
  prepare
  cp a.ppm b.c.ppm
  cp a.ppm .h
  cp a.ppm ./-d.ppm
  npy "2, 3, 1, 1" 1 0 0 0 1 0 >t.npy
  run --separate-stderr bash -c '"$0" infer -m m.json -o out - b.c.ppm .h ./-d.ppm t.npy <a.ppm' "$DCLS"
  is status "$status" 0
  is masks "$(cd out && LC_ALL=C ls -A | grep mask | paste -sd' ')" \
    "-d.mask.png .h.mask.png b.c.mask.png stdin.mask.png t.0.mask.png t.1.mask.png"
  [[ ! -e out/t.0.overlay.png ]]
}

@test "a tensor has a mask but no overlay" {
  prepare
  npy "1, 3, 1, 2" 1 0 0 1 0 0 >t.npy
  try 0 infer -m m.json -o out --format json t.npy
  has stdout "$output" '"mask":"out/t.mask.png","overlay":null'
  is size "$(size_of out/t.mask.png)" " 0 0 0 2 0 0 0 1"
}

@test "--alpha: 0 leaves the picture, 1 hides it" {
  prepare
  try 0 infer -m m.json -o zero --alpha 0 a.ppm
  try 0 infer -m m.json -o one --alpha 1 a.ppm
  run cmp -s zero/a.overlay.png one/a.overlay.png
  is "overlays differ" "$status" 1
  cmp zero/a.mask.png one/a.mask.png
}

@test "-o with a model that makes no masks is a usage error" {
  prepare
  classifier >c.json
  try 2 infer -m c.json -o out a.ppm
  is stderr "$stderr" "dcls: infer: -o is for segmentation; this is a classification model (-m builtin:unet-dcls-camvid segments)"
  [[ ! -e out ]]
}

@test "-o: a directory that cannot be made or written" {
  prepare
  touch file
  try 4 infer -m m.json -o file a.ppm
  is stderr "$stderr" "dcls: file: is not a directory"
  touch no
  try 4 infer -m m.json -o no/where a.ppm
  has stderr "$stderr" "dcls: no/where: cannot make the directory: Not a directory"
  [[ $(id -u) != 0 ]] || return 0
  mkdir -m 555 locked
  try 4 infer -m m.json -o locked a.ppm
  has stderr "$stderr" "dcls: locked: cannot write: Permission denied"
}

@test "-o: a file that cannot be written is the input's failure, and names the file" {
  prepare
  mkdir -p out/a.mask.png
  try 4 infer -m m.json -o out a.ppm
  is stderr "$stderr" "dcls: a.ppm: out/a.mask.png: cannot write: Is a directory"
  is stdout "$output" ""
}

@test "a failed input leaves no file behind" {
  prepare
  head -c 14 a.ppm >cut.ppm
  try 3 infer -m m.json -o out cut.ppm
  is files "$(ls -A out)" ""
}

@test "-o makes the directories above too" {
  segmenter >m.json
  ppm 2 2 255 0 0 >a.ppm
  try 0 infer -m m.json -o deep/er/out a.ppm
  [ -e deep/er/out/a.mask.png ]
  try 0 infer -m m.json -o "$PWD/abs/olute/" a.ppm
  [ -e abs/olute/a.overlay.png ]
}

@test "answers do not come to lie where inputs are" {
  prepare
  mkdir in
  cp a.ppm in/p.ppm
  try 0 infer -m m.json -o in in
  is files "$(ls in | tr '\n' ' ')" "p.mask.png p.overlay.png p.ppm "
  try 0 infer -m m.json -o in/ in
  is again "$(ls in | tr '\n' ' ')" "p.mask.png p.overlay.png p.ppm "
  has stderr "$stderr" "dcls: in: 2 files left out, answers of an earlier run by their names"
  cp in/p.overlay.png overlay.png
  try 1 infer -m m.json -o in in/p.overlay.png in/p.ppm
  has stderr "$stderr" "dcls: in/p.overlay.png: lies where answers are written and could be replaced"
  try 0 infer -m m.json -o elsewhere in/p.overlay.png in
  cp a.ppm l.npy
  printf 'l.npy\0a.ppm\0' >list
  try 1 infer -m m.json --files0-from=list --logits l.npy
  has stderr "$stderr" "dcls: l.npy: lies where answers are written"
  mkdir kept
  cp in/p.mask.png kept/a.mask.png
  mkdir kept/a.overlay.png
  try 4 infer -m m.json -o kept a.ppm
  [[ -s kept/a.mask.png ]] # it was there before
}

@test "a pipe in a directory is not waited for" {
  prepare
  mkdir in
  mkfifo in/b.png pipe
  ln -s ../pipe in/c.png
  ln -s ../a.ppm in/linked.ppm
  cp a.ppm in/
  try 0 infer -m m.json -k 1 in
  has stdout "$output" "in/a.ppm: "
  has "the linked one" "$output" "in/linked.ppm: "
  rm in/a.ppm in/linked.ppm
  try 3 infer -m m.json in
  has stderr "$stderr" "there is no picture in this directory"
}
