#!/bin/sh
# lint.sh FILE.c...: runs whichever checkers are installed over the sources, the scripts in $SH_FILES and the manual pages
# in $MAN. $CPPFLAGS is what the compiler would be given. Ends with status 1 if one of them complained.
set -u
status=0
run() { # NAME COMMAND...
  name=$1
  shift
  if ! command -v "$1" >/dev/null; then
    echo "  SKIP  $name: $1 is not installed"
  elif echo "  LINT  $name" && ! "$@"; then
    status=1
  fi
}

# shellcheck disable=SC2086 # the variables are lists of words
{
  run 'format' clang-format --dry-run -Werror "$@"
  run 'cppcheck' cppcheck --quiet --std=c11 --platform=unix64 --error-exitcode=1 --inline-suppr \
    --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective:/usr/include/* --suppress=preprocessorErrorDirective:build/* --suppress=normalCheckLevelMaxBranches \
    --suppress=ctuArrayIndex:lib/simd/vec_winograd.inc --suppress=uninitvar:lib/simd/vec_winograd.inc \
    $CPPFLAGS "$@"
  run 'scripts' shellcheck $SH_FILES
  if [ -n "$MAN" ]; then run 'manual pages' mandoc -Tlint -Wwarning $MAN; fi
  if command -v clang-tidy >/dev/null; then
    echo "  LINT  clang-tidy"
    printf '%s\n' "$@" | xargs -P "$(nproc)" -n 8 sh -c 'clang-tidy --quiet "$@" -- -std=c11 '"$CPPFLAGS"' 2>/dev/null' tidy || status=1
  fi
}
exit $status
