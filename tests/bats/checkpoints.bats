#!/usr/bin/env bats
# The two PyTorch checkpoints under ../shared: converted and run, they give PyTorch's answers.

load helper

cifar=models/convmixer-dcls-cifar10
camvid=models/dclsseg-camvid

# floats FILE.npy: the values, one a line
floats() { tail -c +$((129)) "$1" | od -An -v -tf4 -w4; }

# worst A.npy B.npy: largest |a - b| / max |b|
worst() {
  paste <(floats "$1") <(floats "$2") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > w) w = d
    v = $2 < 0 ? -$2 : $2; if (v > m) m = v; n++ } END { printf "%d values, %.2e\n", n, w / m; exit !(n > 0 && w <= 1e-4 * m) }'
}

convert_cifar() {
  needs_shared $cifar/checkpoint.pth
  try 0 convert -q "$shared/$cifar/checkpoint.pth" c.bin --arch convmixer --set version=v1 --set dilated_kernel_size=9 \
    --preprocess cifar10 --labels "$shared/$cifar/labels.txt"
}
convert_camvid() {
  needs_shared $camvid/checkpoint.pth
  [[ -e $root/weights/arch/dclsseg-camvid.json ]] || skip "weights/arch/dclsseg-camvid.json is not there"
  try 0 convert -q "$shared/$camvid/checkpoint.pth" s.bin --arch "$root/weights/arch/dclsseg-camvid.json"
}

@test "ConvMixer: logits of the preprocessed tensors within 1e-4 of PyTorch's, with every algorithm" {
  convert_cifar
  local algo
  for algo in auto construct im2col sparse; do
    try 0 infer -m c.bin --algo $algo --logits y.npy "$shared/$cifar/x.npy"
    is "lines" "${#lines[@]}" 64
    worst y.npy "$shared/$cifar/logits.npy"
  done
}

@test "ConvMixer: the pictures' best classes are PyTorch's, 64 of 64" {
  convert_cifar
  try 0 infer -m c.bin --format csv -k 1 "$shared/$cifar/images"
  local ours theirs
  ours=$(awk -F, 'NR > 1 { print $4 }' <<<"$output")
  theirs=$(floats "$shared/$cifar/logits.npy" | awk '{ i = (NR - 1) % 10; if (i == 0 || $1 > best) { best = $1; at = i }
    if (i == 9) print at }')
  is "classes" "$ours" "$theirs"
}

@test "ConvMixer: the same bits for 1, 2, 3 and 7 threads and with jobs" {
  convert_cifar
  try 0 infer -m c.bin --threads 1 --logits 1.npy "$shared/$cifar/images"
  local text=$output n
  for n in 2 3 7; do
    try 0 infer -m c.bin --threads $n --logits n.npy "$shared/$cifar/images"
    is text "$output" "$text"
    cmp 1.npy n.npy
    try 0 infer -m c.bin --jobs $n --logits n.npy "$shared/$cifar/images"
    is text "$output" "$text"
    cmp 1.npy n.npy
  done
}

@test "ConvMixer: JSON and binary models, dense kernels" {
  convert_cifar
  try 0 infer -m c.bin --logits 1.npy "$shared/$cifar/x.npy"
  try 0 convert -q c.bin c.json
  try 0 convert -q c.json d.bin
  cmp c.bin d.bin
  try 0 convert -q c.bin dense.bin --to dense
  try 0 infer -m dense.bin --logits 2.npy "$shared/$cifar/x.npy"
  worst 2.npy 1.npy
}

@test "segmenter: logits within 1e-4 of PyTorch's" {
  convert_camvid
  try 0 infer -m s.bin --logits y.npy "$shared/$camvid/x.npy"
  worst y.npy "$shared/$camvid/logits.npy"
}

@test "segmenter: at least 99.9 % of mask pixels are PyTorch's" {
  /usr/bin/python3 -c 'import PIL' 2>/dev/null || skip "python3-pil is not installed"
  convert_camvid
  try 0 infer -m s.bin -o out "$shared/$camvid/images"
  run /usr/bin/python3 - "$shared/$camvid/masks" <<'END'
import os, sys
from PIL import Image
equal = total = 0
for name in sorted(os.listdir(sys.argv[1])):
    theirs = Image.open(os.path.join(sys.argv[1], name))
    ours = Image.open(os.path.join("out", name[:-4] + ".mask.png"))
    assert ours.size == theirs.size
    pairs = list(zip(ours.getdata(), theirs.getdata()))
    equal += sum(a == b for a, b in pairs)
    total += len(pairs)
print(equal, "of", total)
sys.exit(equal < 0.999 * total)
END
  echo "$output"
  is status "$status" 0
}

@test "the embedded classifier answers without -m, and says what it knows" {
  [[ $(dcls --version) == *convmixer256-dcls* ]] || skip "the program was built without models"
  needs_shared $cifar/images
  try 0 infer -k 1 "$shared/$cifar/images/cat-0000.png"
  has stdout "$output" "cat-0000.png: cat "
  is stderr "$stderr" \
    "dcls: builtin:convmixer256-dcls-cifar10 knows airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"
  try 0 infer -q -k 1 "$shared/$cifar/images/cat-0000.png"
  is stderr "$stderr" ""
  try 0 infer -m builtin:convmixer-dcls-cifar10 -k 1 "$shared/$cifar/images/cat-0000.png"
  is stderr "$stderr" ""
}

@test "the README's way into PyTorch" {
  /usr/bin/python3 -c 'import numpy, torch' 2>/dev/null || skip "python3-torch is not installed"
  printf '{"format": "dcls-model", "version": 1, "tensors": {%s, %s}}' "$(f32 a.weight '[2, 2]' '[1, 2, 3, 4.5]')" \
    '"n": {"dtype": "I64", "shape": [], "data": [7]}' >s.json
  try 0 convert -q s.json dense.bin
  {
    echo 'class net: load_state_dict = staticmethod(lambda s: print(sorted((k, v.tolist()) for k, v in s.items())))'
    sed -n '/^```python/,/^```/p' "$root/README.md" | grep -v '```'
  } >recipe.py
  is state "$(/usr/bin/python3 recipe.py)" "[('a.weight', [[1.0, 2.0], [3.0, 4.5]]), ('n', 7)]"
}
