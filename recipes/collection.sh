#!/usr/bin/env bash
# The bundled collection, models/collection.safetensors, with the data lying in SHARED. Two cores without bf16
# instructions: 50 minutes for the first run, 45 for the second. An interrupted run goes on where it was.
#
#   recipes/collection.sh SHARED     (the folder with paintings/, photos/, segmentation/, networks/)
#
# The shipped file's first run compared Gram matrices (--style-weight 12 --deep-weight 8 --structure-weight 5, as the
# code had it before means and covariances) and was ended at iteration 1299 of 2000.
set -euo pipefail
shared=${1:?folder with paintings, photos, segmentation and networks}

train() { # name, iterations, further options
    segnst train collection "$shared/paintings" --list "$(dirname "$0")/collection.toml" \
        --data "$shared/photos" --data "$shared/segmentation" --name "$1" --iterations "$2" \
        --batch 2 --crop 176 --seed 1 --temporal-weight 15 --temporal-from 0.65 \
        --terms "paintings in the public domain; photos as listed in the card (research and personal use)" \
        --features "$shared/networks/vgg19_to_relu3_4.safetensors" \
        --deep-features "$shared/networks/vgg19_distilled_to_relu4_1.safetensors" "${@:3}"
}

train trunk16 2000 --stop-at 1299 --init models/starry_night_single.safetensors --out work
train collection 1400 --init work/trunk16.safetensors --structure-weight 6 --identity-weight 300 --out models
