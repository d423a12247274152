#!/usr/bin/env bash
# make install into an empty directory, a program built against it through pkg-config, make uninstall.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${DCLS_BUILD:?set by tests/run.sh}
cc=${CC:-gcc}
[[ -e $build/libdcls.so.0 ]] || { echo "not installable in this configuration"; exit 77; }
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root

point() { # DESCRIPTION COMMAND...
  local text=$1
  shift
  if "$@" >"$scratch/log" 2>&1; then echo "ok - $text"; else
    echo "not ok - $text"
    sed 's/^/# /' "$scratch/log"
  fi
}

make_it() { make B="$build" CC="$cc" PREFIX=/opt/dcls DESTDIR="$root" "$@"; }
installed() { (cd "$root/opt/dcls" && ls "$@"); }
pc() { PKG_CONFIG_PATH=$root/opt/dcls/lib/pkgconfig pkg-config "$@"; }

# The file is moved: its prefix must follow it.
compile() { # SOURCE PROGRAM [PACKAGE]
  # shellcheck disable=SC2046 # flags are words
  "$cc" -std=c11 -Wall -Wextra -Werror -o "$2" "$1" $(pc --cflags --libs "${3:-dcls}")
}
run_shared() { LD_LIBRARY_PATH=$root/opt/dcls/lib "$@"; }

cat >"$scratch/version.c" <<'END'
#include <dcls.h>
#include <dcls_tools.h>
#include <stdio.h>
int main(void)
{
    return puts(dcls_version()) < 0;
}
END
cat >"$scratch/tools.c" <<'END'
#include <dcls_plot.h>
#include <dcls_recipe.h>
#include <dcls_tools.h>
#include <dcls_train.h>
int main(void)
{
    dcls_context *ctx;
    dcls_recipe *recipe = 0;
    dcls_model *model = 0;
    if (dcls_context_create(&ctx)) return 1;
    int failed = dcls_recipe_create(ctx, &recipe) || dcls_model_create(ctx, &recipe->create, &model) != DCLS_ERR_ARGUMENT;
    if (dcls_builtin_name(0) != 0) failed = failed || dcls_builtin_load(ctx, 0, &model);
    dcls_model_destroy(model);
    dcls_recipe_destroy(recipe);
    dcls_context_destroy(ctx);
    return failed;
}
END
# shellcheck disable=SC2016 # back quotes are Markdown's
sed -n '/^```c$/,/^```$/p' README.md 2>/dev/null | sed '/^```/d' >"$scratch/readme.c"

point "install" make_it install
point "files stand where they belong" installed bin/dcls include/dcls.h include/dcls_tools.h include/dcls_analysis.h include/dcls_train.h include/dcls_plot.h include/dcls_recipe.h lib/libdcls.a \
  lib/libdcls.so lib/libdcls.so.0 lib/libdcls_tools.a lib/pkgconfig/dcls.pc lib/pkgconfig/dcls_tools.pc
point "pkg-config knows the version" test "$(pc --modversion dcls)" = "$(sed -n 's/.*VERSION_STRING *"\(.*\)"/\1/p' include/dcls.h)"
point "a program compiles against the shared library" compile "$scratch/version.c" "$scratch/version"
point "and runs" run_shared "$scratch/version"
point "a program that trains compiles against the static libraries" compile "$scratch/tools.c" "$scratch/tools" dcls_tools
point "and runs" "$scratch/tools"
cxx=${CXX:-g++}
if command -v "$cxx" >/dev/null; then
  point "C++ can include the headers" sh -c "printf '#include <dcls_plot.h>\n#include <dcls_recipe.h>\n' | $cxx -x c++ -Wall -Werror -fsyntax-only -I'$root/opt/dcls/include' -"
else
  echo "ok - C++ can include the headers # SKIP no $cxx"
fi
if [[ -s $scratch/readme.c ]]; then
  point "the README's example compiles" compile "$scratch/readme.c" "$scratch/readme"
else
  echo "ok - the README's example compiles # SKIP no C example in README.md"
fi
point "uninstall" make_it uninstall
point "leaves nothing" test -z "$(find "$root" ! -type d)"
echo "1..11"
