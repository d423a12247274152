#!/bin/sh
# deps.sh LIST...: installs the Debian packages of the named lists (build, test, lint, memcheck, bench, browser) that are missing, with sudo where
# not root. Says and does nothing when all are there.
set -eu

build="gcc make libc6-dev libpng-dev libjpeg-dev libcjson-dev libzip-dev libcairo2-dev fonts-dejavu-core libonnx-dev
  libprotobuf-c-dev protobuf-c-compiler"
test="libopenblas-serial-dev libcmocka-dev bats pkgconf git jq mandoc python3-numpy python3-pil python3-onnx librsvg2-bin
  poppler-utils"
lint="clang-format clang-tidy cppcheck shellcheck"
memcheck="valgrind libc6-dbg"
bench="nodejs npm python3-numpy python3-torch"
browser="chromium chromium-driver"

wanted=
for list in "$@"; do
  case $list in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    lint) wanted="$wanted $lint" ;;
    bench) wanted="$wanted $bench" ;;
    memcheck) wanted="$wanted $memcheck" ;;
    browser) wanted="$wanted $browser" ;;
    *) echo "deps.sh: no list '$list' (build, test, lint, memcheck, bench, browser)" >&2; exit 2 ;;
  esac
done

if ! command -v apt-get >/dev/null; then
  echo "deps.sh: no apt-get here; dcls needs what Debian calls:$wanted" >&2
  exit 0
fi

missing=
for package in $wanted; do
  # Node.js of another source brings its npm along, and Debian's would not go beside it.
  case $package in
    nodejs) command -v node >/dev/null && continue ;;
    npm) command -v npm >/dev/null && continue ;;
  esac
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "deps.sh: as root, run: apt-get install$missing" >&2; exit 1; }
  as_root=sudo
fi
echo "installing:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # lists of words
if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
