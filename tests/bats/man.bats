#!/usr/bin/env bats
# Man pages: their EXAMPLES are run, every command has one, and every option of --help stands in it.

load helper

# The lines after "$ " of a page's EXAMPLES, continuation lines joined.
examples() { # PAGE
  awk '/^\.Sh /{inside = /EXAMPLES/} inside' "$1" |
    sed -n -e 's/^\.Dl \$ /$ /' -e '/^\$ /,/[^e]$/p' |
    sed -e 's/\\e$/\\/' -e 's/\\(dq/"/g' -e 's/\\e/\\/g' -e 's/\\&//g' |
    sed -e ':join' -e '/\\$/{N;s/\\\n *//;b join' -e '}' | sed -n 's/^\$ //p'
}


prepare() {
  mkdir bin
  ln -s "$DCLS" bin/dcls
  PATH=$PWD/bin:$PATH
  dcls convert -q builtin:convmixer-dcls-cifar10 model.bin
  cp "$root"/tests/fixtures/images/good/c2d8.png photo.png
  cp "$shared"/models/convmixer-dcls-cifar10/{checkpoint.pth,labels.txt} .
  data_sets
}

# cifar10/CLASS/*.png, pictures/{train,test}/CLASS/*.png and camvid/{images,masks}
data_sets() {
  local name class
  for name in "$shared"/models/convmixer-dcls-cifar10/images/*; do
    class=${name##*/}
    mkdir -p "cifar10/${class%%-*}"
    ln -s "$name" "cifar10/${class%%-*}/"
  done
  mkdir pictures camvid
  ln -s ../cifar10 pictures/train
  ln -s ../cifar10 pictures/test
  ln -s "$shared"/models/dclsseg-camvid/{images,masks} camvid/
}

run_examples() { # PAGE
  [ -e "$shared/models" ] || skip "no reference models in $shared"
  prepare
  local line count=0
  while IFS= read -r line; do
    run bash -o pipefail -c "$line"
    [ "$status" -eq 0 ] || { echo "$line"; echo "$output"; return 1; }
    count=$((count + 1))
  done < <(examples "$root/man/$1")
  [ "$count" -gt 0 ]
}

@test "examples of dcls(1)" { run_examples dcls.1; }
@test "examples of dcls-infer(1)" { run_examples dcls-infer.1; }
@test "examples of dcls-convert(1)" { run_examples dcls-convert.1; }
@test "examples of dcls-inspect(1)" { run_examples dcls-inspect.1; }
@test "examples of dcls-bench(1)" { run_examples dcls-bench.1; }
@test "examples of dcls-train(1)" { run_examples dcls-train.1; }
@test "examples of dcls-eval(1)" { run_examples dcls-eval.1; }
@test "examples of dcls-plot(1)" { run_examples dcls-plot.1; }
@test "examples of dcls-diff(1)" { run_examples dcls-diff.1; }
@test "examples of dcls-explain(1)" { run_examples dcls-explain.1; }
@test "examples of dcls-help(1)" { run_examples dcls-help.1; }

@test "the example of libdcls(3) compiles" {
  awk '/^\.Sh /{inside = /EXAMPLES/} inside' "$root/man/libdcls.3" | sed -n '/^\.Bd/,/^\.Ed/p' | sed -e '/^\./d' -e 's/\\e/\\/g' >example.c
  ${CC:-gcc} -std=c11 -Wall -Wextra -Werror -I"$root/include" -fsyntax-only example.c
}

@test "every command has a page, and every option stands in it" {
  local command option page
  for command in $("$DCLS" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
    page=$root/man/dcls-$command.1
    [ -e "$page" ] || { echo "no $page"; return 1; }
    for option in $("$DCLS" "$command" --help | sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}--\([a-z0-9-]*\).*/\2/p'); do
      grep -qE -- "Fl (. , )?-$option( |\$)" "$page" "$root/man/dcls.1" ||
        { echo "dcls $command --$option is not in $page"; return 1; }
    done
  done
}

@test "mandoc finds nothing to say" {
  command -v mandoc >/dev/null || skip "mandoc is not installed"
  run mandoc -Tlint -W warning "$root"/man/*.[1-9]
  echo "$output"
  [ -z "$output" ]
}

@test "every key that --json prints stands in its page" {
  needs jq
  dcls_model >m.json
  classifier >c.json
  ppm 5 4 10 20 30 >a.ppm
  mkdir in
  cp a.ppm in/
  known() { # PAGE, JSON on standard input
    local key keys
    # what users name themselves is below metadata
    mapfile -t keys < <(jq -r 'del(.metadata?) | [.. | objects | keys[]] | unique[]')
    ((${#keys[@]} > 1)) || { echo "$1: nothing was printed"; return 1; }
    for key in "${keys[@]}"; do
      grep -Eq "^\.(Li|Po Li|Pq Li|It Li).*\\b$key\\b" "$root/man/$1" || { echo "$1: $key"; return 1; }
    done
  }
  dcls inspect --json m.json | known dcls-inspect.1
  dcls inspect --json m.json -t "$(dcls inspect --json m.json | jq -r '.tensors[0].name')" | known dcls-inspect.1
  dcls inspect --json c.json | known dcls-inspect.1
  dcls explain --json -D 9 -K 4 | known dcls-explain.1
  dcls explain --json m.json "$(dcls inspect --json m.json | jq -r 'first(.nodes[] | select(.dcls)).name')" | known dcls-explain.1
  dcls convert --json -q m.json d.bin --prune 0.01 --merge 0.01 --verify in | known dcls-convert.1
  dcls convert -q m.json dense.bin --to dense
  dcls convert --json -q dense.bin s.bin --to sparse --kernel-count 2 --layers "*" | known dcls-convert.1
  dcls diff --json -a m.json d.bin | known dcls-diff.1
  try 1 diff --json m.json c.json
  echo "$output" >different.json
  known dcls-diff.1 <different.json
}
