#!/usr/bin/env bats
# Where inputs come from: names of every kind, directories, NUL-separated lists, streams that are closed.

load helper

prepare() {
  classifier >m.json
  ppm 1 1 255 0 0 >red.ppm
}

@test "names with spaces, newlines, quotes, dashes, bytes that are not UTF-8" {
  prepare
  local name names=('with space.ppm' $'new\nline.ppm' "quo'te\".ppm" './-dash.ppm' $'latin1-\xe9.ppm' 'ünïcode-😀.ppm'
    "$(printf 'x%.0s' {1..251}).ppm" 'no suffix' '.hidden.ppm' $'esc\033[2J.ppm')
  for name in "${names[@]}"; do cp red.ppm "$name"; done
  try 0 infer -m m.json -k 1 "${names[@]}"
  is "lines" "${#lines[@]}" "${#names[@]}"
  is "a newline is shown" "${lines[1]}" 'new\x0aline.ppm: red 96.5%'
  is "a byte is shown" "${lines[4]}" 'latin1-\xe9.ppm: red 96.5%'
  is "UTF-8 is kept" "${lines[5]}" 'ünïcode-😀.ppm: red 96.5%'
  is "an escape is shown" "${lines[9]}" 'esc\x1b[2J.ppm: red 96.5%'
  try 4 infer -m m.json $'no\nsuch\033file.png'
  is stderr "$stderr" 'dcls: no\x0asuch\x1bfile.png: cannot open: No such file or directory'
}

@test "JSON of names that are not UTF-8 is valid and has the exact bytes" {
  needs jq base64
  prepare
  cp red.ppm $'caf\xe9\n.ppm'
  try 0 infer -m m.json --format json $'caf\xe9\n.ppm' red.ppm
  is input "$(jq -r .input <<<"${lines[0]}")" $'caf\xef\xbf\xbd\n.ppm'
  is bytes "$(jq -r .input_base64 <<<"${lines[0]}" | base64 -d | od -An -tx1)" "$(printf 'caf\xe9\n.ppm' | od -An -tx1)"
  is "plain names have none" "$(jq .input_base64 <<<"${lines[1]}")" null
}

@test "a directory stands for its pictures, sorted by name" {
  prepare
  mkdir -p in/sub.png in/deeper
  local name
  for name in b.ppm a.PNM c.pgm Z.ppm .hidden.ppm deeper/x.ppm; do cp red.ppm in/$name; done
  touch in/notes.txt in/ppm
  try 0 infer -m m.json -k 1 in
  is stdout "$output" $'in/Z.ppm: red 96.5%\nin/a.PNM: red 96.5%\nin/b.ppm: red 96.5%\nin/c.pgm: red 96.5%'
  try 0 infer -m m.json -k 1 in/ red.ppm
  is "first" "${lines[0]}" "in/Z.ppm: red 96.5%"
  is "last" "${lines[4]}" "red.ppm: red 96.5%"
}

@test "directories without pictures, or that cannot be read" {
  prepare
  mkdir empty locked
  try 3 infer -m m.json empty
  is stderr "$stderr" "dcls: empty: there is no picture in this directory"
  mkdir -p above/below
  try 3 infer -m m.json above
  is stderr "$stderr" "dcls: above: there is no picture in this directory, only directories such as 'below'"
  try 1 infer -m m.json -k 1 empty red.ppm
  is stdout "$output" "red.ppm: red 96.5%"
  [[ $(id -u) != 0 ]] || return 0
  chmod 0 locked
  try 4 infer -m m.json locked
  has stderr "$stderr" "dcls: locked: cannot read the directory: Permission denied"
}

@test "--files0-from: a file, standard input, names of every kind" {
  prepare
  cp red.ppm $'a\nb c.ppm'
  printf '%s\0' red.ppm $'a\nb c.ppm' ./red.ppm >list
  try 0 infer -m m.json -k 1 --files0-from list
  local expected=$'red.ppm: red 96.5%\na\\x0ab c.ppm: red 96.5%\n./red.ppm: red 96.5%'
  is stdout "$output" "$expected"
  run --separate-stderr bash -c '"$0" infer -m m.json -k 1 --files0-from=- <list' "$DCLS"
  is stdout "$output" "$expected"
  run --separate-stderr bash -c 'find . -name "red.ppm" -print0 | "$0" infer -m m.json -k 1 --files0-from=-' "$DCLS"
  is stdout "$output" "./red.ppm: red 96.5%"
}

@test "--files0-from: the last name may lack its NUL; an empty list is no error" {
  prepare
  printf 'red.ppm\0red.ppm' >list
  try 0 infer -m m.json -k 1 --files0-from=list
  is "lines" "${#lines[@]}" 2
  : >empty
  try 0 infer -m m.json --files0-from=empty
  is stdout "$output" ""
  is stderr "$stderr" "dcls: there are no inputs"
  try 0 infer -q -m m.json --files0-from=empty
  is stderr "$stderr" ""
}

@test "--files0-from: errors" {
  prepare
  printf 'red.ppm\0\0red.ppm\0' >hole
  try 1 infer -m m.json -k 1 --files0-from=hole
  is stderr "$stderr" "dcls: : a file name is empty"
  is "lines" "${#lines[@]}" 2
  try 2 infer -m m.json --files0-from=hole red.ppm
  is stderr "$stderr" "dcls: infer: 'red.ppm' cannot be given together with --files0-from"
  try 4 infer -m m.json --files0-from=nowhere
  is stderr "$stderr" "dcls: nowhere: cannot open: No such file or directory"
  run --separate-stderr bash -c 'printf -- "-\0" | "$0" infer -m m.json --files0-from=-' "$DCLS"
  is status "$status" 2
  is stderr "$stderr" "dcls: -: standard input is the list of names already"
  try 4 infer -m m.json --files0-from=.
}

@test "results come as soon as each input is done: dcls can serve a stream of names" {
  prepare
  mkfifo names answers
  local server line
  exec 9<>answers
  "$DCLS" infer -m m.json -k 1 --files0-from=names >&9 3>&- &
  server=$!
  exec 8>names
  printf 'red.ppm\0' >&8
  read -r -t 20 line <&9
  is answer "$line" "red.ppm: red 96.5%"
  printf './red.ppm\0' >&8
  read -r -t 20 line <&9
  is answer "$line" "./red.ppm: red 96.5%"
  exec 8>&- 9<&-
  wait $server
}

@test "standard input that is closed, empty or a directory" {
  prepare
  run --separate-stderr bash -c '"$0" infer -m m.json - <&-' "$DCLS"
  is status "$status" 4
  is stderr "$stderr" "dcls: -: standard input is closed"
  run --separate-stderr bash -c '"$0" infer -m m.json --files0-from=- <&-' "$DCLS"
  is status "$status" 4
  run --separate-stderr bash -c ': | "$0" infer -m m.json -' "$DCLS"
  is status "$status" 3
  has stderr "$stderr" "dcls: -: "
  has stderr "$stderr" "empty"
  run --separate-stderr bash -c '"$0" infer -m m.json - <.' "$DCLS"
  is status "$status" 4
}

@test "an input that is read twice: the second one is empty" {
  prepare
  run --separate-stderr bash -c 'cat red.ppm | "$0" infer -m m.json -k 1 - -' "$DCLS"
  is status "$status" 1
  is stdout "$output" "-: red 96.5%"
}

@test "what a directory has besides pictures is counted, with -v listed" {
  classifier >m.json
  mkdir -p in/sub
  ppm 2 2 255 0 0 >in/a.ppm
  touch in/b.webp in/c.txt in/.hidden
  try 0 infer -m m.json -k 1 in
  is answers "$output" "in/a.ppm: red 96.5%"
  is stderr "$stderr" "dcls: in: 2 files left out, not pictures by their suffix (-v lists them)"
  try 0 infer -v -m m.json -k 1 in
  has stderr "$stderr" "dcls: in/b.webp: left out, not a picture by its suffix"
  [[ $stderr != *sub* && $stderr != *hidden* ]]
  try 0 infer -q -m m.json -k 1 in
  is stderr "$stderr" ""
}

@test "a list of lines is told from a list of names" {
  classifier >m.json
  printf 'a.png\nb.png\nc.png\n' >lines
  try 4 infer -m m.json --files0-from=lines
  is stderr "$stderr" "dcls: a.png..: names must be separated by NUL bytes, as find -print0 does it, not by newlines"
  ppm 2 2 255 0 0 >$'two\nlines.ppm'
  printf 'two\nlines.ppm\0' >names
  try 0 infer -m m.json --files0-from=names -k 1
}

@test "a name that JSON cannot hold is there in base64" {
  needs jq base64
  classifier >m.json
  ppm 2 2 255 0 0 >$'b\377.ppm'
  try 0 infer -m m.json --format json $'b\377.ppm'
  is name "$(jq -r .input_base64 <<<"$output" | base64 -d | od -An -c | tr -d ' ')" 'b377.ppm'
}
