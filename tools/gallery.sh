#!/bin/sh
# gallery.sh DCLS: makes the pictures of the README with that program, from the models that ship.
set -eu
dcls=${1:?usage: gallery.sh DCLS}
to=doc/gallery
mkdir -p "$to"

draw() { # NAME ARGUMENT..
  name=$1
  shift
  "$dcls" plot -q "$@" --width 760 -o "$to/$name.png"
}

draw positions builtin:dclsseg-camvid --layers 'blocks.[05].dwconv' --channels 0-11
draw density builtin:convmixer-dcls-cifar10 --kind density --layers '[357].0.fn.0'
draw kernels builtin:dclsseg-camvid --kind kernels --layers 'blocks.[05].dwconv' --channels 0-11
draw field builtin:dclsseg-camvid --kind field --input 180x240
