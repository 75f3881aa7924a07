#!/usr/bin/env bash
# Measures what the temporal term of a training brings on video. It trains a light network for three styles from
# scratch, with the term and without it, and measures E_warp of per-frame styling (without the stabilizer) on the
# rendered clips: the row "per-frame" of the tables. The term weakens the style a little, so the training with it has
# higher style weights to make up for that.
#
#   recipes/temporal.sh SHARED     (the folder with paintings/, photos/, segmentation/, networks/)
#
# It took a quarter of an hour on two cores with bf16. It is a record and no longer runs with the current code, which
# has no --deep-weight.
set -euo pipefail
shared=${1:?folder with paintings, photos, segmentation and networks}
vgg="$shared/networks/vgg19_to_relu3_4.safetensors"

train() { # arguments: name, weights of the temporal term, style and deep style
    segnst train collection "$shared/paintings" --list "$(dirname "$0")/temporal.toml" \
        --data "$shared/photos" --data "$shared/segmentation" --name "$1" --iterations 1500 --width 16 --batch 2 \
        --crop 160 --seed 31 --structure-weight 6 --lattice-weight 6000 --style-rate 3 --learning-rate 2e-3 \
        --warmup 100 --identity-steps 1 --temporal-from 0.3 --temporal-weight "$2" --style-weight "$3" \
        --deep-weight "$4" --features "$vgg" \
        --deep-features "$shared/networks/vgg19_distilled_to_relu4_1.safetensors" \
        --out work/temporal --work work/temporal
}
train plain 0 6 4
train steady 700 8.8 5.8
for style in starry_night the_scream wheat_field; do
    for name in plain steady; do
        segnst bench stability -s "work/temporal/$name.safetensors:$style" --frames 12 --methods segnst \
            --features "$vgg" -o "work/temporal/${name}_$style.json"
    done
done
python "$(dirname "$0")/temporal_measure.py" work/temporal --paintings "$shared/paintings" --features "$vgg"
