#!/usr/bin/env bats
# dcls bench: steps, their costs, algorithms side by side.

load helper

@test "text: every step, totals" {
  dcls_model >m.json
  try 0 bench m.json --input 4x6 -r 5 --threads 1
  has heading "${lines[0]}" "m.json: input [1, 3, 4, 6], 1 thread, peak "
  local text
  text=$(tr -s ' ' <<<"$output")
  has columns "$text" " step op output algorithm ms share GFLOP/s of peak"
  has step "$text" " d dcls 3x4x6 sparse "
  has whole "$text" " auto "
  has runs "$text" ", 5 runs), "
}

@test "--json: what was measured, and that it adds up" {
  needs jq
  dcls_model >m.json
  try 0 bench -m m.json --input 12x14 -b 2 -r 7 --json
  is input "$(jq -c .input <<<"$output")" "[2,3,12,14]"
  is repeats "$(jq '.runs[0].repeats' <<<"$output")" 7
  is output "$(jq -c '.runs[0].steps[0].output' <<<"$output")" "[2,3,12,14]"
  local taps
  taps=$("$DCLS" inspect --json m.json --input 12x14 | jq '[.nodes[].dcls.taps? // empty] | add')
  is macs "$(jq '.runs[0].macs' <<<"$output")" "$((taps * 2 * 12 * 14))"
  is order "$(jq '.runs[0] | .min_ms <= .median_ms and .median_ms <= .max_ms' <<<"$output")" true
  is steps "$(jq '[.runs[0].steps[].median_ms] | add > 0' <<<"$output")" true
  is speed "$(jq '.runs[0] | (.gflops * .median_ms * 1e6 / .macs / 2 - 1) | fabs < 1e-6' <<<"$output")" true
}

@test "--algo all: each algorithm once, auto first" {
  needs jq
  dcls_model >m.json
  try 0 bench -m m.json --input 4x6 -r 3 --algo all --json
  is algorithms "$(jq -r '[.runs[].algo] | join(" ")' <<<"$output")" "auto construct im2col sparse"
  is chosen "$(jq -r '[.runs[].steps[0].algorithm] | .[2:] | join(" ")' <<<"$output")" "interpolated sparse"
  try 0 bench -m m.json --input 4x6 -r 3 --algo all
  has table "$(tr -s ' ' <<<"$output")" " layer output auto chosen construct im2col sparse"
  try 0 bench -m m.json --input 4x6 -r 3 --algo im2col
  has step "$output" interpolated
}

@test "operations without multiply-accumulates have no speed" {
  features >m.json
  try 0 bench -m m.json --input 4x6 -r 3
  has step "$(tr -s ' ' <<<"$output")" " g global_avg_pool 3 0."
}

@test "usage and bad models" {
  dcls_model >m.json
  try 2 bench m.json n.json
  try 2 bench m.json -m m.json
  is stderr "$stderr" "dcls: bench: 'm.json' and -m m.json: give one model"
  try 2 bench -m m.json --input 4
  is stderr "$stderr" "dcls: bench: --input: '4' is not a size such as 224x224"
  try 2 bench -m m.json -r 0
  try 2 bench -m m.json -s 0
  try 2 bench -m m.json --algo fast
  : >empty
  try 3 bench -m empty
  try 4 bench -m absent.bin
  try 2 bench -m builtin:nothing
  is output "$output" ""
}
