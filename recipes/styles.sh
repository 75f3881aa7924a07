#!/usr/bin/env bash
# A record of the commands that trained the single styles, models/*_single.safetensors (each has a card next to it),
# with the data in the folder SHARED:
#
#   recipes/styles.sh SHARED     (the folder with paintings/, photos/, segmentation/, networks/)
#
# It no longer runs with the current code, which has no --deep-weight. The code of that time compared Gram matrices and
# had no structure term. On two cores without bf16 instructions, the first style took about 25 minutes. The others start
# from it and took 6 to 9 minutes each. An interrupted run resumed where it was.
set -euo pipefail
shared=${1:?folder with paintings, photos, segmentation and networks}
terms="painting in the public domain; photos as listed in the card (research and personal use)"

train() { # arguments: name, painting, title, iterations, further options
    segnst train style "$shared/paintings/$2.jpg" --data "$shared/photos" --data "$shared/segmentation" \
        --name "$1" --title "$3" --iterations "$4" --terms "$terms" --seed 1 \
        --features "$shared/networks/vgg19_to_relu3_4.safetensors" \
        --deep-features "$shared/networks/vgg19_distilled_to_relu4_1.safetensors" "${@:5}"
}

# The first run has little weight on content and learns the paint; the second learns both.
van_gogh="Vincent van Gogh, The Starry Night, 1889"
train trunk starry_night "$van_gogh" 340 --stop-at 239 --content-weight 1 --style-weight 15 --deep-weight 5 --out work
train starry_night_single starry_night "$van_gogh" 200 --learning-rate 1e-3 --init work/trunk.safetensors --out models

# The others start from the first style. Smaller crops, and the second encoder instead of VGG19 for relu3_4, halve the
# time.
from=(--init models/starry_night_single.safetensors --learning-rate 1e-3 --crop 176 --out models
    --style-layers relu1_1,relu2_1,relu3_1 --deep-layers relu3_4,relu4_1)
train great_wave_single great_wave "Katsushika Hokusai, The Great Wave off Kanagawa, 1831" 150 "${from[@]}"
train the_scream_single the_scream "Edvard Munch, The Scream, 1893" 120 "${from[@]}" --batch 2
train composition_vii_single composition_vii "Wassily Kandinsky, Composition VII, 1913" 120 "${from[@]}" --batch 2
