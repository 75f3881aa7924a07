"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497) from torchvision: boxes of COCO's 80 classes.

There are ``fasterrcnn_resnet50_fpn_v2`` (175 MB, box AP 46.7 on COCO according to torchvision) and the much faster but
less accurate ``fasterrcnn_mobilenet_v3_large_320_fpn`` (77 MB, box AP 22.8). The license is BSD-3-Clause.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segnst.errors import WeightsError
from segnst.masks.coco_classes import coco_regions
from segnst.segmentation.objects.detect import Detection, Detector

SURE = 0.5  # score from which a detection is reported


class FasterRcnn(Detector):
    """A detector that uses a torchvision network with COCO's 91 class numbers."""

    def __init__(self, name: str, network: nn.Module, path: Path | None = None) -> None:
        classes, self.numbers = coco_regions()
        super().__init__(name, classes, path)
        self.network = network.eval()

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, wanted: frozenset[int]) -> list[Detection]:
        like = next(self.network.parameters())
        found: dict[str, Any] = self.network([rgb[0].to(like.device, like.dtype)])[0]
        detections = []
        for label, score, (left, top, right, bottom) in zip(
            found["labels"].tolist(), found["scores"].tolist(), found["boxes"].tolist(), strict=True
        ):
            index = self.numbers.get(label)
            if index in wanted and right > left and bottom > top:
                detections.append(Detection(index, score, (left, top, right - left, bottom - top)))
        return detections


def read(path: Path, name: str) -> nn.Module:
    """Read torchvision's weights of a network by its name. Raises WeightsError."""
    from torchvision.models import detection

    from segnst.weights import read_tensors

    tensors, _ = read_tensors(path)
    build = getattr(detection, name)
    network: nn.Module = build(weights=None, weights_backbone=None, num_classes=91, box_score_thresh=SURE)
    if name == "fasterrcnn_mobilenet_v3_large_320_fpn":
        # The file comes from a network with frozen batch norms. Built without weights, torchvision's network has
        # ordinary batch norms, which compute the same but also expect a count of batches.
        tensors |= {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not hold the weights of {name}.") from error
    return network


def load(name: str, *, device: str | torch.device, offline: bool = False) -> FasterRcnn:
    """Load a detector by torchvision's name. Raises WeightsError."""
    from segnst.catalog import fetch_named

    path = fetch_named(name, offline=offline)
    return FasterRcnn(name, read(path, name).to(device), path)
