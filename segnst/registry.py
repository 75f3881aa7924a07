"""Tables of everything that is chosen by name. To add a method, write a file and add a line here.

The values are ``module:function``; a module is imported only when its name is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from segnst.errors import UsageError, did_you_mean

# load(name, *, device, offline, weights=None) -> Segmenter; name may be NAME:ARGUMENT
SEGMENTERS = {
    "deeplab": "segnst.segmentation.wrappers.two_looks:load",
    "deeplabv3_mobilenet_v3_large": "segnst.segmentation.networks.torchvision_deeplab:load",
    "deeplabv3_resnet50": "segnst.segmentation.networks.torchvision_deeplab:load",
    "deeplabv3_resnet101": "segnst.segmentation.networks.torchvision_deeplab:load",
    "car_parts": "segnst.segmentation.networks.deeplab:load_bundled",
    "mask_rcnn": "segnst.segmentation.networks.mask_rcnn:load",
    "detect_sam": "segnst.segmentation.objects.detect:load_segmenter",
    "detect_grabcut": "segnst.segmentation.objects.detect:load_segmenter",
    "kmeans": "segnst.segmentation.networks.kmeans:load",
    "files": "segnst.segmentation.files:load",
}

# the same function for checkpoint files, by the architecture in their metadata
SEGMENTER_FILES = {
    "deeplabv3-mobilenet_v2": "segnst.segmentation.networks.deeplab:load",
    "maskrcnn_resnet50_fpn_v2": "segnst.segmentation.networks.mask_rcnn:load",
    "maskrcnn_small": "segnst.segmentation.networks.mask_rcnn:load",
}

# load(name, *, device, offline) -> Selector
SELECTORS: dict[str, str] = {
    "grabcut": "segnst.segmentation.objects.grabcut:load",
    "sam": "segnst.segmentation.objects.sam:load",
    "sam_vit_b": "segnst.segmentation.objects.sam:load",
}

# load(name, *, device, offline) -> Tracker that has no marks yet, or None if not available; name may be NAME:FOLDER
TRACKERS = {
    "sam2": "segnst.segmentation.objects.sam2_video:load",
}

# load(name, *, device, offline) -> Detector
DETECTORS = {
    "fasterrcnn_resnet50_fpn_v2": "segnst.segmentation.objects.detect_torchvision:load",
    "fasterrcnn_mobilenet_v3_large_320_fpn": "segnst.segmentation.objects.detect_torchvision:load",
    "deeplab": "segnst.segmentation.objects.detect_components:load",
}

# load(*, device) -> Engine
ENGINES = {
    "torch": "segnst.engines.eager:load",
    "openvino": "segnst.engines.openvino:load",
}

# load(*, device, offline) -> FlowEstimator
FLOWS = {
    "dis": "segnst.flow.dis:load",
    "raft": "segnst.flow.raft:load",
}

# load(tensors, metadata) -> network from RGB [B,3,H,W] in [0,1] to the same, or None if the file is of another kind
STYLE_CHECKPOINTS = {
    "segnst": "segnst.style.transformer_files:load_own",
    "examples": "segnst.style.transformer_files:load_examples",
    "lengstrom": "segnst.style.lengstrom:load",
}

# run(samples, context) -> one picture [1,3,H,W] for each sample, in order (segnst.bench.samples)
STABILITY_METHODS = {
    "per-frame": "segnst.bench.methods.per_frame:run",
    "segnst": "segnst.bench.methods.ours:run",
    "fixed-blend": "segnst.bench.methods.fixed_blend:run",
    "local-weights": "segnst.bench.methods.local_weights:run",
    "frozen-norm": "segnst.bench.methods.frozen_norm:run",
}


def get(table: dict[str, str], name: str, what: str) -> Callable[..., Any]:
    """Return the function that a table holds for ``name``.

    what  the kind of thing that is chosen, for the message
    Raises UsageError, which suggests the most similar name, if the table lacks the name.
    """
    if name not in table:
        raise UsageError(f"There is no {what} '{name}'.{did_you_mean(name, table)} Known: {', '.join(table)}.")
    module, _, function = table[name].partition(":")
    result: Callable[..., Any] = getattr(import_module(module), function)
    return result
