#!/usr/bin/env bash
# Trains the collection and its encoder for any painting on one GPU, in less than ten minutes with the defaults.
#
#   python recipes/pack_gpu.py ../shared .gpu     # once, where the data is; copy .gpu along with the repository
#   recipes/gpu.sh                                # on the machine with the GPU, in the root of the repository
#   DEVICE=cpu BATCH=2 MINUTES=1 recipes/gpu.sh   # a short trial without a GPU
#
# Writes painter.safetensors with its card, history.json, curves.png and the last preview to $OUT (default work/gpu).
# Needs only torch, torchvision, opencv, typer and safetensors. Measure the result afterwards, on any machine:
#   segnst bench front SHARED/paintings --list recipes/painter.toml --collection $OUT/painter.safetensors …
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-work/gpu}
mkdir -p "$out"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
${PYTHON:-python3} -m segnst train collection .gpu/paintings --list recipes/painter.toml --name painter \
    --data .gpu/photos --free .gpu/paintings --free .gpu/free --free .gpu/free_more --free-share "${FREE:-0.5}" \
    --features .gpu/networks/vgg19_to_relu3_4.safetensors \
    --deep-features .gpu/networks/vgg19_distilled_to_relu4_1.safetensors \
    --minutes "${MINUTES:-8}" --batch "${BATCH:-32}" --crop 256 --cheap "${CHEAP:-300}" --warmup 40 \
    --learning-rate "${RATE:-2e-3}" --style-rate 0.7 --style-weight "${STYLE:-20}" --lattice-weight 2000 --spot-weight 8000 \
    --temporal-weight 3 --temporal-from 0.5 --identity-steps 400 \
    --terms "paintings in the public domain; photos as listed in the card (research and personal use)" \
    --device "${DEVICE:-cuda}" --out "$out" --work "$out/runs" --overwrite "$@"
cp "$out"/runs/painter/history.json "$out"/runs/painter/curves.png "$out"/
cp "$(ls "$out"/runs/painter/preview_*.png | tail -n 1)" "$out"/preview.png
