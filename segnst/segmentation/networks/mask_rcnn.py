"""Mask R-CNN (He et al. 2017, arXiv:1703.06870): single objects of COCO's 80 classes, or of the user's own classes.

This is torchvision's ``maskrcnn_resnet50_fpn_v2``. Its official weights (box AP 47.4, mask AP 41.8 on COCO according to
torchvision) are fetched on first use from PyTorch's server. A file of ``segnst train instances`` can be used instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from segnst.errors import UsageError, WeightsError, did_you_mean
from segnst.masks.coco_classes import coco_regions
from segnst.pixels import size_within
from segnst.segmentation.objects.instances import STILL, Finder, Found, InstanceSegmenter
from segnst.types import Region
from segnst.untrusted import first_line, parse_json, printable, rows, short

OFFICIAL = "maskrcnn_resnet50_fpn_v2"
LONG_SIDE = 640  # px, of the masks; more gains little, since the network predicts each object on 28x28 pixels


class MaskRcnn(Finder):
    """Finds the objects of a frame: rgb ``[1,3,H,W]`` in [0,1], of any size.

    The masks are ``[N,h,w]`` with a long side of at most 640. ``numbers`` maps the network's class numbers to indices
    of regions; without it, the two are equal.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        classes: Sequence[Region],
        numbers: dict[int, int] | None = None,
        path: Path | None = None,
    ) -> None:
        super().__init__(name, classes, path)
        self.network = network.eval()
        self.numbers = numbers or {r.index: r.index for r in self.classes[1:]}

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Found:
        net = cast(Any, self.network)
        like = next(net.parameters())
        size = size_within(rgb.shape[2:], LONG_SIDE, 2)
        # These are the steps of the network's own forward, except that the masks are smaller than the frame: at full
        # size, 50 masks would take 400 MB.
        images, _ = net.transform([rgb[0].to(like.device, like.dtype)])
        features = net.backbone(images.tensors)
        features = {"0": features} if isinstance(features, Tensor) else features
        proposals, _ = net.rpn(images, features)
        boxes, _ = net.roi_heads(features, proposals, images.image_sizes)
        seen = net.transform.postprocess(boxes, images.image_sizes, [size])[0]
        known = [i for i, label in enumerate(seen["labels"].tolist()) if label in self.numbers]
        classes = tuple(self.numbers[int(seen["labels"][i])] for i in known)
        scores = tuple(float(seen["scores"][i]) for i in known)
        return Found(classes, scores, seen["masks"][known, 0].float().reshape(-1, *size))


def _official(classes: int, **options: Any) -> nn.Module:
    from torchvision.models import detection

    build = detection.maskrcnn_resnet50_fpn_v2
    return cast(nn.Module, build(weights=None, weights_backbone=None, num_classes=classes, **options))


def _small(classes: int, **options: Any) -> nn.Module:
    """Mask R-CNN with a tiny backbone of three convolutions (stride 8), to try out data and settings quickly."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor
    from torchvision.ops import MultiScaleRoIAlign

    width = 32
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, width), (width, width)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(4, outputs), nn.ReLU()]
    backbone = nn.Sequential(*layers)
    backbone.out_channels = width  # type: ignore[assignment]
    return cast(
        nn.Module,
        MaskRCNN(
            backbone,
            rpn_anchor_generator=AnchorGenerator(((16, 32, 64, 128),), ((0.5, 1.0, 2.0),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
            box_head=TwoMLPHead(width * 49, 64),
            box_predictor=FastRCNNPredictor(64, classes),
            mask_roi_pool=MultiScaleRoIAlign(["0"], 14, 2),
            mask_head=MaskRCNNHeads(width, (width,), 1),
            mask_predictor=MaskRCNNPredictor(width, width, classes),
            **{"min_size": 128, "max_size": 256, **options},
        ),
    )


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {OFFICIAL: _official, "maskrcnn_small": _small}


def build(architecture: str, classes: int) -> nn.Module:
    """Build one of ``ARCHITECTURES`` with random weights; ``classes`` counts the background. Raises UsageError."""
    if architecture not in ARCHITECTURES:
        near = did_you_mean(architecture, ARCHITECTURES)
        raise UsageError(f"There is no network '{architecture}'.{near} Known: {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[architecture](classes, box_score_thresh=STILL, box_detections_per_img=50)


def _fill(network: nn.Module, tensors: dict[str, Tensor], path: Path, architecture: str) -> nn.Module:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not hold the weights of {architecture}.") from error
    return network


def read(path: Path) -> tuple[nn.Module, tuple[Region, ...], str]:
    """Read a file of ``segnst train instances`` -> (network, its classes, its architecture). Raises WeightsError."""
    from segnst.weights import read_tensors

    tensors, metadata = read_tensors(path)
    architecture = metadata.get("architecture", "an unnamed network")
    if architecture not in ARCHITECTURES:
        raise WeightsError(f"{path} holds '{short(architecture)}', not a Mask R-CNN that segnst trained.")
    try:
        classes = tuple(
            Region(i, printable(str(c["name"])), tuple(printable(str(a)) for a in c["aliases"]))
            for i, c in enumerate(rows(parse_json(metadata["classes"]), "classes", 1000))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"The weights {path} do not say which classes they know ({first_line(error)}).") from error
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    return _fill(build(architecture, len(classes)), tensors, path, architecture), classes, architecture


def save(path: Path, network: nn.Module, classes: Sequence[Region], architecture: str, facts: dict[str, str]) -> None:
    """Write a file for :func:`read`. Weights are fp16; norms and biases stay as they are, for their larger range."""
    from segnst.weights import write_tensors

    names = json.dumps([{"name": r.name, "aliases": list(r.aliases)} for r in classes])
    tensors = {k: v.detach().half() if v.ndim > 1 else v.detach() for k, v in network.state_dict().items()}
    write_tensors(path, tensors, {"architecture": architecture, "classes": names, **facts}, half=False)


def read_official(path: Path) -> nn.Module:
    """Read torchvision's official weights, which have 91 class numbers of COCO. Raises WeightsError."""
    from segnst.weights import read_tensors

    return _fill(build(OFFICIAL, 91), read_tensors(path)[0], path, OFFICIAL)


def load(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> InstanceSegmenter:
    """Load the official network, or ``weights``: a file of ``segnst train instances``. Raises WeightsError."""
    from segnst.catalog import fetch_named

    if weights is not None:
        network, classes, _ = read(weights)
        finder = MaskRcnn(name, network.to(device), classes, path=weights)
    else:
        weights = fetch_named(OFFICIAL, offline=offline)
        classes, numbers = coco_regions()
        finder = MaskRcnn(name, read_official(weights).to(device), classes, numbers, weights)
    return InstanceSegmenter(finder)
