#!/usr/bin/env bash
# A record of the commands that trained the bundled collections, models/collection.safetensors and
# models/collection_light.safetensors, with the data in the folder SHARED:
#
#   recipes/collection.sh SHARED     (the folder with paintings/, photos/, segmentation/, networks/)
#
# It no longer runs with the current code, which has no --deep-weight and trains another network by default
# (--architecture painter). An iteration of width 32 took 3.3 s on one core without bf16 instructions, 1.3 s on two
# such cores, and 0.7 s on two cores with bf16. An interrupted run resumed where it was.
#
# The code also changed while these runs were made, so that running them again with one version would have given other
# weights:
# - The first run compared Gram matrices (--style-weight 12 --deep-weight 8 --structure-weight 5) and was ended at
#   iteration 1299 of 2000. The first two runs had no --lattice-weight.
# - Before the fourth run, the identity was normalized as all styles are, and one crop in seventeen trained it. In the
#   fourth run it was trained in every iteration, together with the styles.
# - Before the fifth run, udnie and edtaonisl had the factors 0.6 (content) and 1.6 (style). Before the sixth,
#   the_scream and udnie had the factors 1 and 0.8 on content.
# - Up to light3, the temporal term zoomed and stretched more, and compressed nothing. Up to light4, single pixels
#   shimmered and the light did not change (segnst/train/motion.py), the term saw half of each batch, and the kernels
#   that halve the picture had a side of 3 px instead of 5.
# - The light network up to light4 was taught by the collection as it was before five of its styles were trained again.
# - Up to the row of seed 63, spots next to highlights of the photo counted as well.
# When the light network was trained further without its teacher (light4), it bleached trees. Therefore the last runs
# use the teacher again.
set -euo pipefail
shared=${1:?folder with paintings, photos, segmentation and networks}

train() { # arguments: name, iterations, further options
    segnst train collection "$shared/paintings" --list "$(dirname "$0")/collection.toml" \
        --data "$shared/photos" --data "$shared/segmentation" --name "$1" --iterations "$2" \
        --batch 2 --temporal-weight 15 \
        --terms "paintings in the public domain; photos as listed in the card (research and personal use)" \
        --features "$shared/networks/vgg19_to_relu3_4.safetensors" "${@:3}"
}
deep=(--deep-features "$shared/networks/vgg19_distilled_to_relu4_1.safetensors")

train trunk16 2000 --spot-weight 0 --stop-at 1299 --crop 176 --seed 1 --lattice-weight 0 "${deep[@]}" \
    --init models/starry_night_single.safetensors --out work
train second 1400 --spot-weight 0 --crop 176 --seed 1 --structure-weight 6 --lattice-weight 0 "${deep[@]}" \
    --init work/trunk16.safetensors --out work
train third 1100 --spot-weight 0 --crop 192 --seed 3 --structure-weight 6 --temporal-from 0.5 "${deep[@]}" \
    --init work/second.safetensors --out work
train fourth 160 --spot-weight 0 --crop 192 --seed 4 --structure-weight 6 --temporal-from 0.3 --learning-rate 3e-4 --style-rate 10 \
    "${deep[@]}" --init work/third.safetensors --out work
train fifth 600 --spot-weight 0 --crop 192 --seed 7 --structure-weight 6 --temporal-from 0.4 --temporal-weight 100 \
    --learning-rate 5e-4 --style-rate 6 "${deep[@]}" --init work/fourth.safetensors --out work
train first_collection 120 --crop 192 --seed 10 --structure-weight 6 --temporal-from 1 --learning-rate 3e-4 \
    --style-rate 6 --plain-share 0.4 --identity-steps 120 "${deep[@]}" --init work/fifth.safetensors --out work
train light 800 --spot-weight 0 --width 16 --warmup 350 --crop 160 --seed 5 --temporal-from 0.7 --learning-rate 2e-3 \
    --identity-steps 150 --teacher work/fourth.safetensors --out work
train light2 420 --spot-weight 0 --width 16 --crop 176 --seed 8 --structure-weight 6 --temporal-from 0.3 --temporal-weight 100 \
    --lattice-weight 6000 --style-rate 3 --identity-steps 150 --teacher work/fifth.safetensors "${deep[@]}" \
    --init work/light.safetensors --out work
train light3 100 --width 16 --crop 192 --seed 11 --structure-weight 6 --temporal-from 1 --learning-rate 5e-4 \
    --style-rate 3 --lattice-weight 6000 --plain-share 0.4 --identity-steps 60 "${deep[@]}" \
    --teacher work/first_collection.safetensors --init work/light2.safetensors --out work

row() { # arguments: collection, painting, name, further options
    segnst train style "$shared/paintings/$2" --name "$3" --into "$1" --overwrite --batch 2 --crop 192 \
        --data "$shared/photos" --data "$shared/segmentation" \
        --terms "painting in the public domain; photos as listed in the card (research and personal use)" \
        --features "$shared/networks/vgg19_to_relu3_4.safetensors" "${deep[@]}" "${@:4}"
}

# arguments: painting, name, iterations, seed, weights of content, structure, style and deep style, learning rate,
# share of plain crops
again() {
    row work/first_collection.safetensors "$1" "$2" --iterations "$3" --seed "$4" --content-weight "$5" \
        --structure-weight "$6" --style-weight "$7" --deep-weight "$8" --learning-rate "$9" --plain-share "${10}" \
        --temporal-weight 15 --work "work/again$4"
}
again udnie.jpg udnie 500 21 1.3 5 12 8 4e-3 0.06
again udnie.jpg udnie 220 22 2.2 8 12 8 2e-3 0.1
again delaunay_1906.jpg metzinger 60 23 1.5 6 6 4 3e-4 0.5
again the_scream.jpg the_scream 150 24 2.2 9 6 4 2e-3 0.1
again starry_night.jpg starry_night 150 31 1.6 7 8 5.5 2e-3 0.1
again great_wave.jpg great_wave 150 32 1.8 9 9 6 2e-3 0.1

# The light network again: first without a teacher, then with the collection as it was at that time; then six of its
# rows against spots.
light=(--width 16 --structure-weight 6 --lattice-weight 6000 --style-rate 3 --temporal-from 0 "${deep[@]}")
train light4 1000 "${light[@]}" --crop 160 --seed 31 --learning-rate 1e-3 --temporal-weight 500 --style-weight 8.8 \
    --deep-weight 5.8 --init work/light3.safetensors --out work
light+=(--crop 192 --temporal-weight 300 --style-weight 8 --deep-weight 5.3 --teacher work/first_collection.safetensors)
train first_light 300 "${light[@]}" --seed 41 --learning-rate 7e-4 --spot-weight 60000 --plain-share 0.35 \
    --identity-steps 80 --init work/light4.safetensors --out work

spots() { # arguments: painting, name, weights of content, style and deep style
    row work/first_light.safetensors "$1" "$2" --iterations 60 --seed 43 --content-weight "$3" \
        --structure-weight 6 --style-weight "$4" --deep-weight "$5" --learning-rate 1e-3 --plain-share 0.5 \
        --spot-weight 150000 --lattice-weight 6000 --temporal-weight 100 --width 16 --work work/spots
}
spots great_wave.jpg great_wave 1.5 11.2 7.4
spots udnie.jpg udnie 1.2 16 10.6
spots delaunay_1906.jpg metzinger 1.5 8 5.3
spots shipwreck.jpg shipwreck 1.2 12.8 8.5
spots tahiti_gauguin.jpg tahitian_women 1.5 8 5.3
spots woman_hat_matisse_1905.jpg woman_with_a_hat 1.5 8 5.3

# Both networks again, with kernels that can blur before they halve the picture, and the temporal term from the first
# iteration on.
last=(--structure-weight 6 --temporal-from 0 --temporal-weight 300 --style-weight 8 --deep-weight 5.3 "${deep[@]}")
train sixth 2600 "${last[@]}" --crop 192 --style-rate 6 --seed 51 --learning-rate 1e-3 --plain-share 0.12 \
    --identity-steps 60 --init work/first_collection.safetensors --out work
train seventh 300 "${last[@]}" --crop 192 --style-rate 6 --seed 52 --learning-rate 4e-4 --plain-share 0.35 \
    --spot-weight 60000 --identity-steps 300 --init work/sixth.safetensors --out work
# arguments: painting, name, iterations, seed, weights of content, structure, style and deep style, learning rate,
# share of plain crops, weight against spots
once_more() {
    row "${into:-work/seventh.safetensors}" "$1" "$2" --iterations "$3" --seed "$4" --content-weight "$5" \
        --structure-weight "$6" --style-weight "$7" --deep-weight "$8" --learning-rate "$9" --plain-share "${10}" \
        --spot-weight "${11}" --temporal-weight 300 --work "work/rows$4"
}
once_more udnie.jpg udnie 150 61 2.4 9.5 13 8.5 2e-3 0.1 60000
once_more the_scream.jpg the_scream 200 62 4 16 6 4 2e-3 0.1 60000
once_more great_wave.jpg great_wave 110 63 1.8 7.5 11 7.4 1.2e-3 0.5 60000
once_more great_wave.jpg great_wave 130 64 1.8 7.5 6 4 2e-3 0.6 500000
once_more udnie.jpg udnie 60 65 2.4 9.5 13 8.5 1e-3 0.5 200000
once_more udnie.jpg udnie 80 69 2.3 9 16 10.6 1.2e-3 0.4 150000
# The identity alone: the learning rate is so small that nothing else changes.
train collection 1 "${deep[@]}" --crop 192 --structure-weight 6 --temporal-weight 0 --seed 70 --learning-rate 1e-12 \
    --identity-steps 900 --init work/seventh.safetensors --out models
into=models/collection.safetensors once_more udnie.jpg udnie 60 71 2.3 9 15 10 1.2e-3 0.5 500000
train collection_light 900 "${last[@]}" --width 16 --crop 160 --style-rate 3 --seed 53 --learning-rate 1e-3 \
    --plain-share 0.2 --spot-weight 60000 --lattice-weight 6000 --identity-steps 200 \
    --teacher models/collection.safetensors --init work/first_light.safetensors --out models
row models/collection_light.safetensors great_wave.jpg great_wave --iterations 100 --seed 67 --content-weight 1.8 \
    --structure-weight 7.5 --style-weight 8 --deep-weight 5.3 --learning-rate 2e-3 --plain-share 0.6 \
    --spot-weight 500000 --lattice-weight 6000 --temporal-weight 300 --width 16 --work work/rows67
row models/collection_light.safetensors great_wave.jpg great_wave --iterations 80 --seed 68 --content-weight 1.8 \
    --structure-weight 7.5 --style-weight 7 --deep-weight 4.6 --learning-rate 2e-3 --plain-share 0.6 \
    --spot-weight 1500000 --lattice-weight 6000 --temporal-weight 300 --width 16 --work work/rows68
