#!/usr/bin/env bats
# stdout that ends early, is full or closed; stderr; environment.

load helper

prepare() {
  classifier >m.json
  ppm 1 1 255 0 0 >red.ppm
}

# sh COMMAND: runs it in a shell where $0 is dcls; $output, $stderr, $status
sh_() { run --separate-stderr bash -c "$1" "$DCLS"; }

@test "| head: quiet" {
  prepare
  local i files=()
  for i in {1..300}; do files+=(red.ppm); done
  printf '%s\0' "${files[@]}" >list
  sh_ '"$0" infer -m m.json --files0-from=list | head -1; exit ${PIPESTATUS[0]}'
  is stdout "$output" "red.ppm: red 96.5%  green 1.8%  blue 1.8%"
  is stderr "$stderr" ""
  [[ $status == 141 || $status == 0 ]]
  sh_ '"$0" inspect --json m.json | head -c 1 >/dev/null'
  is stderr "$stderr" ""
}

@test "| head where SIGPIPE is ignored: quiet too" {
  prepare
  sh_ 'trap "" PIPE; { sleep 0.2; "$0" infer -m m.json red.ppm; } | true; exit ${PIPESTATUS[0]}'
  is stderr "$stderr" ""
}

@test "stdout full: exit 4 and one line" {
  prepare
  local command
  for command in 'infer -m m.json red.ppm' 'inspect m.json' 'inspect --json m.json' '--version' 'help' 'infer --help'; do
    sh_ "\"\$0\" $command >/dev/full"
    is "status of $command" "$status" 4
    is "stderr of $command" "$stderr" "dcls: standard output: cannot write: No space left on device"
  done
}

@test "stdout full stops the work: no further input is read" {
  prepare
  sh_ '"$0" infer -m m.json red.ppm missing.png >/dev/full'
  is status "$status" 4
  is stderr "$stderr" "dcls: standard output: cannot write: No space left on device"
}

@test "stdout closed: exit 4; commands that print nothing do not care" {
  prepare
  sh_ '"$0" infer -m m.json red.ppm >&-'
  is status "$status" 4
  is stderr "$stderr" "dcls: standard output: cannot write: Bad file descriptor"
  sh_ '"$0" convert m.json m.bin >&-'
  is status "$status" 0
  sh_ '"$0" infer -m m.bin -k 1 red.ppm'
  is stdout "$output" "red.ppm: red 96.5%"
}

@test "closed descriptors are not reused for files" {
  [[ -z ${MEMCHECK:-} ]] || skip "valgrind opens descriptors of its own"
  segmenter >s.json
  ppm 2 2 255 0 0 >red.ppm
  sh_ '"$0" infer -m s.json -o out --logits l.npy red.ppm <&- >&- 2>&-'
  is status "$status" 4
  sh_ '"$0" infer -m s.json red.ppm <&- 2>&-'
  is status "$status" 0
  is stdout "$output" "red.ppm: red 100.0%"
}

@test "stderr closed or full changes nothing" {
  prepare
  sh_ '"$0" infer -m m.json -k 1 red.ppm missing.png 2>/dev/full'
  is status "$status" 1
  is stdout "$output" "red.ppm: red 96.5%"
}

@test "locale and environment do not change numbers" {
  prepare
  local locale
  segmenter >s.json
  "$DCLS" infer -m m.json --format csv red.ppm >expected
  "$DCLS" infer -m s.json --format csv -o masks --alpha 0.5 red.ppm >masked
  for locale in C C.UTF-8 de_DE.UTF-8 tr_TR.UTF-8 xx_XX; do
    LC_ALL=$locale LANG=$locale "$DCLS" infer -m m.json --format csv red.ppm | cmp - expected
    LC_ALL=$locale LANG=$locale "$DCLS" infer -m s.json --format csv -o masks --alpha 0.5 red.ppm | cmp - masked
  done
  env -i "$DCLS" infer -m m.json --format csv red.ppm | cmp - expected
}

@test "progress and notes never reach a stderr that is no terminal" {
  prepare
  sh_ '"$0" infer -m m.json red.ppm red.ppm >/dev/null'
  is stderr "$stderr" ""
}

@test "a pipe as OUT has no size to tell" {
  classifier >m.json
  mkfifo pipe.json
  cat pipe.json >got.json &
  try 0 convert m.json pipe.json
  wait
  is stderr "$stderr" "dcls: pipe.json: classification model, 2 tensors, 12 values"
  try 0 inspect got.json
}

@test "a long network is planned at once" {
  local last=29999
  {
    printf '{"format": "dcls-model", "version": 1, "model": {"task": "features",
      "input": {"channels": 1, "height": 4, "width": 4}, "output": "p%d", "nodes": [' $last
    seq 0 $last | sed 's/.*/{"op": "max_pool", "name": "p&", "kernel_size": 1},/; $s/,$//'
    echo ']}, "tensors": {}}'
  } >long.json
  SECONDS=0
  try 0 inspect long.json
  has memory "$output" "128 B of activations at the peak; the plan takes 128 B"
  ((SECONDS < 10))
}
