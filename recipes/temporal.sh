#!/usr/bin/env bash
# What the temporal term of a training buys on video, stabilising off: a light network trained on with it and
# without it, E_warp of per-frame styling on the rendered clips (row "per-frame" of the tables). The network that
# both begin with knew the term already, so the one without it is the steadier for that.
# The weights of style make up for what the term takes from it.
#
#   recipes/temporal.sh SHARED     (after recipes/collection.sh; an hour and a quarter on one core)
set -euo pipefail
shared=${1:?folder with paintings, photos, segmentation and networks}
vgg="$shared/networks/vgg19_to_relu3_4.safetensors"

train() { # name, temporal, style and deep weight
    segnst train collection "$shared/paintings" --list "$(dirname "$0")/collection.toml" \
        --data "$shared/photos" --data "$shared/segmentation" --name "$1" --iterations 1000 --width 16 --batch 2 \
        --crop 160 --seed 31 --structure-weight 6 --lattice-weight 6000 --style-rate 3 --learning-rate 1e-3 \
        --temporal-from 0 --temporal-weight "$2" --style-weight "$3" --deep-weight "$4" --features "$vgg" \
        --deep-features "$shared/networks/vgg19_distilled_to_relu4_1.safetensors" \
        --init work/light3.safetensors --out work/temporal
}
train plain 0 6 4
train steady 500 8.8 5.8
for style in starry_night the_scream wheat_field; do
    for name in plain steady; do
        segnst bench stability -s "work/temporal/$name.safetensors:$style" --frames 12 --methods segnst \
            --features "$vgg" -o "work/temporal/${name}_$style.json"
    done
done
python "$(dirname "$0")/temporal_measure.py" work/temporal --paintings "$shared/paintings" --features "$vgg"
