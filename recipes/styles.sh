#!/usr/bin/env bash
# The bundled styles, models/*.safetensors (a card beside each). Two cores without bf16: about 12 minutes for the
# first, 8 for each of the others, which start from it. An interrupted run goes on where it was.
#
#   recipes/styles.sh SHARED     (the folder with paintings/, photos/, segmentation/, networks/)
set -euo pipefail
shared=${1:?folder of paintings, photos, segmentation and networks}
terms="painting in the public domain; photos as in the card of the data (research and personal use)"

train() { # name, title, iterations, further options
    segnst train style "$shared/paintings/$1.jpg" --data "$shared/photos" --data "$shared/segmentation" \
        --name "$1" --title "$2" --iterations "$3" --out models --work work --terms "$terms" \
        --features "$shared/networks/vgg19_to_relu3_4.safetensors" \
        --deep-features "$shared/networks/vgg19_distilled_to_relu4_1.safetensors" --seed 1 "${@:4}"
}

train starry_night "Vincent van Gogh, The Starry Night, 1889" 340
train great_wave "Katsushika Hokusai, The Great Wave off Kanagawa, 1831" 220 --init models/starry_night.safetensors
train the_scream "Edvard Munch, The Scream, 1893" 220 --init models/starry_night.safetensors
train composition_vii "Wassily Kandinsky, Composition VII, 1913" 220 --init models/starry_night.safetensors
