#!/bin/sh
# Puts the weights of this image's packages below packages/ of the volume, each once: see worker/lifecycle/weights.py.
set -eu
[ -w /weights ] || { echo "weights: user $(id -u) may not write into ULTRA_WEIGHTS_VOLUME: chown it" >&2; exit 1; }
cd /packages
for file in */*.gguf; do
  kept=/weights/packages/$file
  if ! cmp -s "$file" "$kept"; then
    mkdir -p "${kept%/*}"
    cp "$file" "$kept.partial"
    mv "$kept.partial" "$kept"  # it appears when all of it is there
    echo "weights: brought $file"
  fi
done
