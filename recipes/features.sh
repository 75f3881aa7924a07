#!/bin/sh
# Distills models/features_small.safetensors from VGG19, with the data in a folder with photos/ and networks/:
#   sh recipes/features.sh ../shared
set -e
from=${1:?folder with photos/ and networks/}
"${PYTHON:-python}" -m segnst train features --data "$from/photos" -o features_small --out models \
    --teacher "$from/networks/vgg19_to_relu3_4.safetensors" \
    --deep-teacher "$from/networks/vgg19_distilled_to_relu5_1.safetensors" \
    --terms "VGG19: CC BY 4.0 (Oxford VGG, K. Simonyan and A. Zisserman); distilled encoder: MIT (Collaborative-Distillation); photos of BSDS500, ImageNet samples, Urban100, Sun-Hays 80, COCO and clothing-co-parsing. For research and personal use"
