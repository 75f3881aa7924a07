"""torchvision's three DeepLabV3 networks (Chen et al. 2017, arXiv:1706.05587) with official weights for VOC's classes.

The weights were trained on those images of COCO that show VOC's classes. They are fetched on first use from PyTorch's
server. Each file name contains the first characters of the file's SHA-256, which are checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.errors import WeightsError
from segnst.masks.classes import VOC
from segnst.pixels import by_imagenet, scaled_size
from segnst.segmentation.base import Segmenter
from segnst.types import Region

SHORT_SIDE = 520


class TorchvisionSegmenter(Segmenter[None]):
    """A segmenter that runs a torchvision segmentation network on each frame by itself, without a carry.

    rgb ``[T,3,H,W]`` float in [0,1] -> probabilities ``[T,21,h,w]``, whose short side is at most 520.
    """

    network: nn.Module

    def __init__(
        self, name: str, network: nn.Module, regions: tuple[Region, ...] = VOC, path: Path | None = None
    ) -> None:
        super().__init__(name, regions, path)
        self.network = network.eval().to(memory_format=torch.channels_last)

    def frame(self, rgb: Tensor, carry: None) -> tuple[Tensor, None]:
        like = next(self.network.parameters())
        scale = min(1.0, SHORT_SIDE / min(rgb.shape[2:]))
        size = scaled_size(rgb.shape[2:], scale, 16)
        x = rgb.to(like.device).float()
        x = F.interpolate(x, size, mode="bilinear", antialias=True) if scale < 1 else x
        x = by_imagenet(x).to(like.dtype).contiguous(memory_format=torch.channels_last)
        return self.network(x)["out"].float().softmax(1), None


def load(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> TorchvisionSegmenter:
    """Load a network by torchvision's name; ``weights`` is a file to use instead of the official one.

    Raises WeightsError when the weights cannot be fetched, are damaged or belong to another network.
    """
    from torchvision.models import segmentation

    from segnst.catalog import fetch_named
    from segnst.weights import read_tensors

    weights = weights or fetch_named(name, offline=offline)
    tensors, _ = read_tensors(weights)
    build = getattr(segmentation, name)
    network = cast(nn.Module, build(weights=None, weights_backbone=None, num_classes=len(VOC), aux_loss=False))
    tensors = {k: v for k, v in tensors.items() if not k.startswith("aux_classifier.")}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{weights} does not hold the weights of {name}.") from error
    return TorchvisionSegmenter(name, network.to(device), path=weights)
