#!/usr/bin/env bats
# dcls plot of training runs: curves of logs, positions moving.

load helper

# A log of a run of two epochs of three steps each.
log() { # ACCURACY
  printf '{"dcls_version":"0.1.0","task":"classification","class_count":3,"batch":6,"steps_per_epoch":3,"epochs":2}\n'
  printf '{"step":2,"epoch":0,"loss":1.1,"top1":0.4,"rate":0.01,"elapsed_seconds":1}\n'
  printf '{"step":3,"epoch":1,"val_loss":0.9,"val_top1":%s,"val_mean_iou":0.1,"best":true}\n' "$1"
  printf '{"step":6,"epoch":1,"loss":0.7,"top1":0.8,"rate":0.005}\n'
  printf '{"step":6,"epoch":2,"val_loss":"nan","val_top1":0.7,"val_mean_iou":0.9,"best":true}\n'
}

@test "curves: formats, the same bytes for the same log, size" {
  log 0.5 >a.ndjson
  log 0.6 >b.ndjson
  local format
  for format in png svg pdf; do
    try 0 plot a.ndjson -o "a.$format"
    is stderr "$stderr" ""
    try 0 plot a.ndjson -o "again.$format"
    try 0 plot b.ndjson -o "b.$format"
    cmp "a.$format" "again.$format"
    run ! cmp -s "a.$format" "b.$format"
  done
  is size "$(head -c 24 a.png | tail -c 8 | od -An -tx1 | tr -d ' ')" 0000038400000258
  try 0 plot -m a.ndjson -o m.png
  cmp a.png m.png
  try 0 plot a.ndjson -o - --format svg
  is stdout "$output" "$(<a.svg)"
}

@test "curves: several logs, by the name of their folders" {
  mkdir x y
  log 0.5 >x/log.ndjson
  log 0.6 >y/log.ndjson
  try 0 plot x/log.ndjson y/log.ndjson -o both.svg
  try 0 plot y/log.ndjson x/log.ndjson -o turned.svg
  run ! cmp -s both.svg turned.svg
  try 0 plot $(for i in 1 2 3 4 5 6 7 8; do echo x/log.ndjson y/log.ndjson; done) -o many.png
  try 2 plot $(for i in 1 2 3 4 5 6 7 8; do echo x/log.ndjson y/log.ndjson; done) x/log.ndjson -o more.png
  has stderr "$stderr" "a picture shows 1 to 16 logs, not 17"
  try 4 plot x/log.ndjson -o p.png nothing.ndjson
  has stderr "$stderr" "nothing.ndjson: "
}

@test "curves: logs with the names of before 0.1.0" {
  mkdir w
  local task
  for task in classification segmentation; do
    log 0.5 | sed "s/classification/$task/" >a.ndjson
    sed -e 's/"dcls_version"/"dcls"/; s/"class_count"/"classes"/; s/"steps_per_epoch"/"batches"/; s/"top1"/"accuracy"/' \
      -e 's/"elapsed_seconds"/"elapsed"/; s/"val_mean_iou"/"val_miou"/' a.ndjson >w/a.ndjson
    run ! cmp -s a.ndjson w/a.ndjson
    try 0 plot a.ndjson -o $task.svg
    try 0 plot w/a.ndjson -o former.svg
    cmp $task.svg former.svg
  done
  run ! cmp -s classification.svg segmentation.svg
}

@test "curves: logs in the making, of earlier versions, and damaged ones" {
  log 0.5 >a.ndjson
  (cat a.ndjson && printf '{"step":7,"epo') >b.ndjson
  try 0 plot a.ndjson -o a.png
  mkdir w && mv b.ndjson w/a.ndjson
  try 0 plot w/a.ndjson -o b.png
  cmp a.png b.png
  sed 1d a.ndjson >w/a.ndjson # steps of an epoch follow from the validations
  try 0 plot w/a.ndjson -o c.png
  cmp a.png c.png
  printf '{"step":1,"loss":2}\n' >w/a.ndjson
  try 0 plot w/a.ndjson -o d.png
  sed '3s/.*/{"step":3,}/' a.ndjson >bad.ndjson
  try 3 plot bad.ndjson -o e.png
  has stderr "$stderr" "dcls: plot: bad.ndjson: line 3: "
  head -1 a.ndjson >bad.ndjson
  try 3 plot bad.ndjson -o e.png
  is stderr "$stderr" "dcls: plot: bad.ndjson: there is nothing to draw in it yet"
  [[ ! -e e.png ]]
}

# strokes FILE.svg RED%: how many paths have a colour of that red, and how many of them leave the page of 900 x 600
strokes() {
  /usr/bin/python3 - "$1" "$2" <<'END'
import re, sys
paths = [p for p in re.findall(r'<path[^>]*>', open(sys.argv[1]).read()) if 'rgb(' + sys.argv[2] in p.replace(', ', ',')]
def inside(path):
    a, b, c, d, e, f = map(float, (re.findall(r'matrix\(([^)]*)\)', path) or ['1,0,0,1,0,0'])[0].split(','))
    points = re.findall(r'(-?[0-9.]+(?:e[+-]?[0-9]+)?) (-?[0-9.]+(?:e[+-]?[0-9]+)?)', re.search(r' d="([^"]*)"', path)[1])
    return all(0 <= a * float(x) + c * float(y) + e <= 900 and 0 <= b * float(x) + d * float(y) + f <= 600 for x, y in points)
print(len(paths), sum(not inside(p) for p in paths))
END
}

@test "curves: few points are all in sight, as dots too" {
  [[ -x /usr/bin/python3 ]] || skip "no Python"
  log 0.5 | sed 's/"loss":1.1/"loss":2e16/; s/"loss":0.7/"loss":8e31/; s/0.005/4.9e-9/' >a.ndjson
  try 0 plot a.ndjson -o a.svg
  is training "$(strokes a.svg 0%,44)" "10 0" # of loss, right answers, rate: a line and two dots each; the legend
  log 0.5 | head -2 >one.ndjson
  try 0 plot one.ndjson -o one.svg
  is "a dot in each" "$(strokes one.svg 0%,44)" "4 0"
}

@test "curves: runs that are alike or have only begun are told apart" {
  mkdir a b c d
  log 0.5 | tee a/log.ndjson >b/log.ndjson
  log 0.5 | head -1 >c/log.ndjson
  : >d/log.ndjson
  try 0 plot a b -o two.svg
  is stderr "$stderr" ""
  # The first of them is drawn wider (1.4 is the ring): it looks out from under the second.
  is widths "$(grep -o 'stroke-width[=:]"*[0-9.]*[^>]*rgb(0%, *44' two.svg | grep -o '[0-9.]*' | grep -x '[1-9][.][0-9]' | sort -u | tr '\n' ' ')" "1.4 1.9 3.5 4.4 "
  try 0 plot a/log.ndjson c d -o three.svg
  try 3 plot c d -o no.svg
  has stderr "$stderr" "c: there is nothing to draw in it yet"
  [[ ! -e no.svg ]]
}

@test "a folder of a run stands for its log, or for its best model" {
  mkdir run
  classifier >run/model.bin
  log 0.5 >run/log.ndjson
  try 0 plot run -o a.png
  try 0 plot run/log.ndjson -o b.png
  cmp a.png b.png
  try 2 plot run run/model.bin -o c.png
  is stderr "$stderr" "dcls: run/model.bin: is no log of training, which 'run/log.ndjson' is: several are for logs alone"
  ppm 2 2 255 0 0 >red.ppm
  try 0 infer -q -m run red.ppm
  has answer "$output" "red.ppm: red"
  segmenter >run/best.bin
  try 0 inspect run --json
  has best "$output" segmentation
  try 0 convert run out.bin
  try 0 diff run out.bin
  try 0 diff run run/best.bin
  try 1 diff run run/model.bin
  mkdir stopped
  classifier >stopped/checkpoint.bin
  try 0 infer -q -m stopped red.ppm
  has answer "$output" "red.ppm: red"
}

@test "curves: what belongs to models is refused" {
  log 0.5 >a.ndjson
  refused() {
    try 2 plot a.ndjson "${@:2}"
    has stderr "$stderr" "$1"
  }
  refused "a log is drawn as curves" -o a.png --kind density
  refused "--terminal belongs to models" --terminal
  refused "must end in .png, .svg or .pdf" -o a.html
  refused "belong to models" -o a.png --set version=v1
  refused "belong to models" -o a.png --layers x
  cp a.ndjson a.png
  try 2 plot a.png -o a.png
  has stderr "$stderr" "is the input itself"
  classifier >m.json
  try 2 plot m.json a.ndjson -o a.png
  has stderr "$stderr" "'a.ndjson' is one argument too many: several are for logs of training alone"
}

recorded() {
  local color i
  for color in 200,10,10 10,200,10; do
    mkdir -p "set/${color//,/-}"
    for i in 1 2 3; do ppm 8 8 ${color//,/ } >"set/${color//,/-}/$i.ppm"; done
  done
  try 0 train -q --arch convmixer --set dim=8 --set depth=2 --set kernel_count=3 --set dilated_kernel_size=5 \
    --train set --size 8 --batch 3 --epochs 6 --rate 0.05 --record-positions 5 -o run
}

@test "positions: what is recorded" {
  [[ -x /usr/bin/python3 ]] || skip "no Python"
  recorded
  cat >check.py <<'END'
import ast, json, struct
data = open('run/positions.npy', 'rb').read()
assert data[:8] == b'\x93NUMPY\x01\x00'
head = 10 + struct.unpack('<H', data[8:10])[0]
about = ast.literal_eval(data[10:head].decode())
rows, columns = about['shape']
assert about['descr'] == '<f4' and not about['fortran_order'] and len(data) == head + 4 * rows * columns
table = [struct.unpack('<%df' % columns, data[head + 4 * columns * r:][:4 * columns]) for r in range(rows)]
assert [int(row[0]) for row in table] == [0, 5, 10, 12], table
model = open('run/model.bin', 'rb').read()
size = struct.unpack('<Q', model[:8])[0]
header = json.loads(model[8:8 + size])
values = []
for node in json.loads(header['__metadata__']['dcls.model'])['nodes']:
    if node['op'] == 'dcls':
        first, last = header[node['P']]['data_offsets']
        values += struct.unpack('<%df' % ((last - first) // 4), model[8 + size + first:8 + size + last])
assert len(values) == columns - 1 and tuple(values) == table[-1][1:]
assert table[0][1:] != table[1][1:] != table[2][1:]
END
  /usr/bin/python3 check.py
}

@test "positions: elements that begin on a cell leave it" {
  [[ -x /usr/bin/python3 ]] || skip "no Python"
  recorded
  try 0 train -q --arch convmixer --set dim=8 --set depth=1 --set kernel_count=3 --set position_sigma=0 \
    --train set --size 8 --batch 3 --epochs 6 --rate 0.05 --record-positions 1 -o whole
  /usr/bin/python3 - <<'END'
import struct
data = open('whole/positions.npy', 'rb').read()
head = 10 + struct.unpack('<H', data[8:10])[0]
columns = 1 + 2 * 8 * 3
first, last = (struct.unpack('<%df' % columns, data[at:][:4 * columns]) for at in (head, len(data) - 4 * columns))
assert set(first[1:]) == {0}
assert min(map(abs, last[1:])) > 0 and max(map(abs, last[1:])) > 0.1
END
}

@test "positions: an animated PNG that is one" {
  [[ -x /usr/bin/python3 ]] || skip "no Python"
  recorded
  try 0 plot run/positions.npy -o moving.png
  cat >check.py <<'END'
import struct, zlib
data = open('moving.png', 'rb').read()
assert data[:8] == b'\x89PNG\r\n\x1a\n'
at, chunks = 8, []
while at < len(data):
    size, = struct.unpack('>I', data[at:at + 4])
    body, crc = data[at + 4:at + 8 + size], struct.unpack('>I', data[at + 8 + size:at + 12 + size])[0]
    assert zlib.crc32(body) == crc
    chunks.append((body[:4].decode(), body[4:]))
    at += 12 + size
names = [name for name, _ in chunks]
assert names[0] == 'IHDR' and names[1] == 'acTL' and names[-1] == 'IEND'
width, height = struct.unpack('>II', chunks[0][1][:8])
assert struct.unpack('>II', chunks[1][1]) == (4, 0)
sequence, frames = 0, []
for name, body in chunks[2:-1]:
    if name in ('fcTL', 'fdAT'):
        assert struct.unpack('>I', body[:4])[0] == sequence
        sequence += 1
    if name == 'fcTL':
        frames.append([struct.unpack('>IIII', body[4:20]), b''])
    else:
        frames[-1][1] += body[4:] if name == 'fdAT' else body
assert len(frames) == 4 and frames[0][0] == (width, height, 0, 0)
for (w, h, x, y), packed in frames:
    assert w >= 1 and h >= 1 and x + w <= width and y + h <= height
    assert len(zlib.decompress(packed)) == h * (1 + 3 * w)
assert all(w < width for (w, h, x, y), _ in frames[1:])
END
  /usr/bin/python3 check.py
  try 0 infer -q moving.png # any reader of PNG sees the first frame
  try 0 plot run/positions.npy -o one.png --layers '3*' --channels 0-3 --width 500
  [[ $(stat -c %s one.png) -lt $(stat -c %s moving.png) ]]
}

@test "positions: what cannot be" {
  recorded
  try 2 plot run/positions.npy -o moving.svg
  has stderr "$stderr" "must end in .png for a recording"
  try 2 plot run/positions.npy -o moving.png --kind kernels
  has stderr "$stderr" "a recording is drawn as positions moving"
  head -c 300 run/positions.npy >run/cut.npy
  try 3 plot run/cut.npy -o moving.png
  has stderr "$stderr" "run/cut.npy: "
  npy "1, 2" 0 1 >run/other.npy
  try 3 plot run/other.npy -o moving.png
  has stderr "$stderr" "records 1 positions, the network has "
  cp run/positions.npy alone.npy
  try 3 plot alone.npy -o moving.png
  is stderr "$stderr" "dcls: alone.npy: needs the run's model.bin, checkpoint.bin or best.bin beside it"
  try 2 train -q --arch convmixer --set dim=8 --set depth=1 --set kernel_count=0 --train set --size 8 --batch 3 --epochs 1 \
    --record-positions 1 -o dense
  has stderr "$stderr" "the network has no positions to record"
  [[ ! -e moving.png && ! -e dense ]]
}
