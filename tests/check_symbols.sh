#!/usr/bin/env bash
# What the libraries define and need: names begin with dcls_, the shared library exports the public functions alone, the
# code has no writable globals, and nothing in it prints, exits or depends on process-wide state.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${DCLS_BUILD:?set by tests/run.sh}
so=$build/libdcls.so.0
[[ -e $so ]] || { echo "no shared library in this configuration"; exit 77; }
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

problems=0
complain() { # TEXT LINES: complains if there are lines
  [[ -n $2 ]] || return 0
  echo "$1:"
  printf '  %s\n' "${2//$'\n'/$'\n'  }"
  problems=$((problems + 1))
}

declared() { # functions declared DCLS_API in a header, whose declarations may span lines
  tr '\n' ' ' <"$1" | grep -oE 'DCLS_API [^;{]*;' | grep -oE 'dcls_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u
}

archives=("$build"/libdcls.a "$build"/libdcls_tools.a)
complain "symbols that do not begin with dcls_" \
  "$(nm -g --defined-only -- "${archives[@]}" 2>/dev/null | awk 'NF == 3 && $3 !~ /^dcls_/ {print $3}')"

nm -g --defined-only -- "${archives[@]}" 2>/dev/null | awk 'NF == 3 {print $3}' | sort -u >"$scratch/defined"
cat <(declared include/dcls.h) <(declared include/dcls_tools.h) <(declared include/dcls_analysis.h) <(declared include/dcls_train.h) <(declared include/dcls_plot.h) <(declared include/dcls_recipe.h) | sort -u >"$scratch/declared"
complain "declared in include/ but defined nowhere" "$(comm -13 "$scratch/defined" "$scratch/declared")"

nm -D --defined-only "$so" | awk '{print $3}' | sort -u >"$scratch/exported"
complain "exported but not public" "$(comm -23 "$scratch/exported" "$scratch/declared")"
complain "in dcls.h but not exported" "$(declared include/dcls.h | comm -13 "$scratch/exported" -)"

# one_at_a_time guards OpenBLAS, which has globals of its own; idle_threads wait for the next parallel loop.
complain "writable globals" \
  "$(objdump -t "${archives[@]}" 2>/dev/null | awk 'NF > 2 && $(NF-2) ~ /^\.(data|bss|tdata|tbss)(\.[^r]|$)/ && $NF !~ /^\.(data|bss)|^(one_at_a_time|idle_threads)$/ {print $NF}')"

forbidden='exit|_exit|_Exit|quick_exit|abort|__assert_fail|printf|__printf_chk|vprintf|__vprintf_chk|puts|putchar|perror|stdout|stderr|setlocale|strtok|rand|srand|signal|system'
complain "a library does not use" \
  "$(nm -u -- "${archives[@]}" 2>/dev/null | awk '{print $NF}' | grep -E "^($forbidden)$" | sort -u)"

((problems == 0)) && echo "$(wc -l <"$scratch/exported") functions exported, all public"
((problems == 0))
