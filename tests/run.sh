#!/usr/bin/env bash
# run.sh BUILD: runs every test against what stands in BUILD and ends with one line "N passed, N failed[, N skipped]".
#
# A test is a program or script that prints TAP (cmocka programs, bats files, *.sh that say "ok .."), or one that prints
# no TAP and speaks through its exit status alone (77: skipped). They run side by side; the log of a failing one is shown.
# RUN=PATTERN runs those whose name matches it. MEMCHECK=1 runs C programs, and dcls wherever a script calls it, under valgrind.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:?usage: run.sh BUILD}
case $build in /*) ;; *) build=$PWD/$build ;; esac

export DCLS_BUILD=$build DCLS=$build/dcls DCLS_SHARED=${DCLS_SHARED:-$PWD/../shared}
export CMOCKA_MESSAGE_OUTPUT=TAP
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
logs=$(mktemp -d) || exit 2
trap 'rm -rf "$logs"' EXIT

memcheck=
if [[ -n ${MEMCHECK:-} ]]; then
  memcheck="valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,possible \
    --errors-for-leak-kinds=definite,possible --suppressions=$PWD/tests/valgrind.supp"
  printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$memcheck" "$DCLS" >"$logs/dcls"
  chmod +x "$logs/dcls"
  DCLS=$logs/dcls
fi

# One line per test: NAME<tab>COMMAND.
list_tests() {
  local program name
  for program in "$build"/tests/unit/test_* "$build"/tests/golden/test_*; do
    [[ -x $program && ${program##*/} != *.* ]] && printf '%s\t%s\n' "${program#"$build"/}" "$memcheck $program"
  done
  for program in "$build"/tests/fuzz/fuzz_*; do
    [[ -x $program && ${program##*/} != *.* ]] || continue
    name=${program##*/fuzz_}
    printf '%s\t%s\n' "tests/fuzz/fuzz_$name" "$memcheck $program tests/fuzz/corpus/$name"
  done
  for program in tests/bats/*.bats; do
    [[ -e $program ]] && printf '%s\t%s\n' "$program" "bats --tap $program"
  done
  for program in tests/check_*.sh tests/golden/*.sh; do
    [[ -x $program ]] && printf '%s\t%s\n' "$program" "$program"
  done
}

run_one() { # NAME COMMAND LOG
  local start=$SECONDS
  bash -c "$2" >"$3" 2>&1 </dev/null
  echo "$? $((SECONDS - start))" >"$3.status"
}

# Prints "PASSED FAILED SKIPPED" of a log and its exit status. A TAP program that ends badly without a failed point, or
# short of its plan, has failed once more.
count_log() { # LOG STATUS
  awk -v status="$2" '
    /^1\.\.[0-9]+/ { plan += substr($1, 4) + 0 }
    /^(not )?ok .*# *[Ss][Kk][Ii][Pp]/ { skipped++; next } # cmocka says "not ok 4 # SKIP name"
    /^ok( |$)/ { passed++ }
    /^not ok( |$)/ { failed++ }
    END {
      seen = passed + failed + skipped
      if (seen == 0 && plan == 0) {
        if (status == 0) passed = 1; else if (status == 77) skipped = 1; else failed = 1
      } else if ((status != 0 && failed == 0) || seen < plan)
        failed++
      print passed + 0, failed + 0, skipped + 0
    }' "$1"
}

mapfile -t tests < <(list_tests | grep -E -- "${RUN:-.}")
jobs=${JOBS:-$(nproc 2>/dev/null || echo 1)}
for i in "${!tests[@]}"; do
  while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
  run_one "${tests[i]%%$'\t'*}" "${tests[i]#*$'\t'}" "$logs/$i" &
done
wait

passed=0 failed=0 skipped=0
for i in "${!tests[@]}"; do
  name=${tests[i]%%$'\t'*}
  read -r status seconds <"$logs/$i.status"
  read -r p f s < <(count_log "$logs/$i" "$status")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '%-4s %-32s %d passed' "$( ((f)) && echo FAIL || echo ok)" "$name" "$p"
  ((f)) && printf ', %d failed' "$f"
  ((s)) && printf ', %d skipped' "$s"
  ((seconds >= 5)) && printf ' (%d s)' "$seconds"
  echo
  if ((f)); then sed 's/^/     | /' "$logs/$i" | tail -n "${LINES_SHOWN:-60}"; fi
  if ((s)); then grep -iE '^(not )?ok.*# *skip' "$logs/$i" | sed 's/^/     | /' | head -n 10; fi
done

if ((skipped)); then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
((failed == 0 && passed > 0))
