#!/bin/sh
# demo.sh: shows what dcls does on real pictures with the models that ship. The pictures are photographs that come with two
# Debian packages (scikit-image: Chelsea the cat, public domain; scikit-learn: a temple in China, CC BY); they are fetched into
# build/demo, unpacked there and not installed. Without a network, pictures drawn on the spot take their place.
set -eu
cd "$(dirname "$0")/.."
here=build/demo
mkdir -p "$here"
data=usr/lib/python3/dist-packages
cat=$here/cat.png horse=$here/horse.png street=$here/temple.jpg

fetch() { # PACKAGE FILE-IN-IT NAME
  [ -s "$3" ] && return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  echo "demo: fetching Debian's package $1 into $here for the photograph ${2##*/}; it is not installed" >&2
  rm -rf "$here/package"
  mkdir -p "$here/package/root"
  # As root, apt hands downloads to a user of its own, who must be able to write here.
  if (cd "$here/package" && apt-get -o APT::Sandbox::User=root download "$1") >"$here/fetch.log" 2>&1 &&
    dpkg-deb -x "$here/package/$1"_*.deb "$here/package/root"; then
    cp "$here/package/root/$data/$2" "$3"
  fi
  rm -rf "$here/package"
  [ -s "$3" ]
}

# A road under a sky with a house, as plain PPM: W H.
draw() {
  awk -v w="$1" -v h="$2" 'BEGIN {
    print "P3", w, h, 255
    for (y = 0; y < h; y++) for (x = 0; x < w; x++) {
      if (y > h * 0.6 && (x - w / 2) ^ 2 < ((y - h * 0.5) * w / h) ^ 2) print 90, 90, 95
      else if (y > h * 0.6) print 120, 115, 110
      else if (x > w * 0.6 && y > h * 0.2) print 150, 110, 80
      else if (x < w * 0.3 && y > h * 0.3) print 40, 80, 35
      else print 160, 190, 230
    }
  }'
}

run() {
  printf '\n$ dcls %s\n' "$*"
  ./dcls "$@"
}

if ! { fetch python3-skimage skimage/data/chelsea.png "$cat" && fetch python3-skimage skimage/data/horse.png "$horse" &&
  fetch python3-sklearn sklearn/datasets/images/china.jpg "$street"; }; then
  echo "demo: no photographs to be had (see $here/fetch.log); drawing a scene instead" >&2
  cat=$here/drawn.ppm horse=$cat street=$cat
  draw 240 180 >"$cat"
fi

echo "dcls $(./dcls --version | sed -n '1s/^dcls //p'): networks with dilated convolution with learnable spacings"
run infer -q "$cat" "$horse"
run infer -q --format json -k 2 "$cat"
run infer -q -m builtin:unet-dcls-camvid -o "$here" "$street"
run inspect builtin:convmixer256-dcls-cifar10 -q
run convert -q builtin:convmixer256-dcls-cifar10 "$here/model.json"
run convert -q --to dense "$here/model.json" "$here/dense.bin"
run infer -q -m "$here/dense.bin" "$cat"
printf '\nPictures and models are in %s; look at %s/%s.overlay.png.\n' "$here" "$here" "$(basename "${street%.*}")"
