"""Segment Anything (SAM, Kirillov et al. 2023, arXiv:2304.02643): a box or clicks -> the mask of one object.

``sam`` is MobileSAM (Zhang et al. 2023, arXiv:2306.14289; 40 MB), ``sam_vit_b`` the smallest of the original networks
(375 MB). If the weights are not available, GrabCut takes over with a warning.

This uses kornia's ``kornia.models.sam`` rather than transformers' SAM 2. kornia is a dependency anyway, its port is
tested against the original code, and it has MobileSAM, which is fast enough without a GPU. SAM 2 is the better network
but needs a package a hundred times as large as this one, so it is an extra that follows objects through a clip
(sam2_video.py).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst import registry
from segnst.errors import SegnstWarning, UsageError, WeightsError
from segnst.pixels import by_imagenet, scaled_size
from segnst.segmentation.base import Prompt, Selector
from segnst.segmentation.objects.clicks import points_of

WEIGHTS = {"sam": "mobile_sam", "sam_vit_b": "sam_vit_b"}
SIDE = 1024  # px, side of the network's square input, which is padded at the right and the bottom


class SamSelector(Selector):
    """A selector that uses kornia's ``Sam``.

    Strokes are replaced by clicks that are spread evenly over them. A frame is encoded once for all its prompts.
    """

    def __init__(self, name: str, network: nn.Module, path: Path | None = None) -> None:
        super().__init__(name, path)
        self.network = network.eval()
        self._frame: Tensor | None = None
        self._features: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, prompt: Prompt) -> Tensor:
        net: Any = self.network
        height, width = rgb.shape[2:]
        points = points_of(prompt)
        _check(prompt, points, height, width)
        size = scaled_size((height, width), SIDE / max(height, width))
        features = self._look(rgb, size)
        stretch = features.new_tensor((size[1] / width, size[0] / height))
        clicks = boxes = None
        if points:
            places = features.new_tensor([[(x, y) for x, y, _ in points]])  # pixel centers
            belongs = features.new_tensor([[float(inside) for _, _, inside in points]])
            clicks = ((places + 0.5) * stretch - 0.5, belongs)
        if prompt.box is not None:
            x, y, w, h = prompt.box
            boxes = features.new_tensor([[(x, y), (x + w, y + h)]]) * stretch  # pixel edges
            boxes = boxes.reshape(1, 4)
        sparse, dense = net.prompt_encoder(points=clicks, boxes=boxes, masks=None)
        # A single click is ambiguous (a wheel or the whole car), so the network is asked for three masks with ratings.
        unclear = prompt.box is None and len(points) == 1
        logits, ratings = net.mask_decoder(
            image_embeddings=features,
            image_pe=net.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=unclear,
        )
        logits = logits[:, ratings[0].argmax()][:, None].float()
        logits = F.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=False)[..., : size[0], : size[1]]
        logits = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        if not (logits > 0).any():
            raise UsageError("SAM found nothing there. Draw the box closer, or click on the object itself.")
        return logits.sigmoid()

    def _look(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the image features of a frame, and keep them for the next prompt on the same frame."""
        if self._frame is None or self._features is None or not torch.equal(self._frame, rgb):
            like = next(self.network.parameters())
            x = F.interpolate(rgb.to(like.device).float(), size, mode="bilinear", antialias=True)
            x = F.pad(by_imagenet(x), (0, SIDE - size[1], 0, SIDE - size[0]))
            self._features = self.network.image_encoder(x.to(like.dtype))  # type: ignore[operator]
            self._frame = rgb.clone()
        return self._features


def _check(prompt: Prompt, points: list[tuple[float, float, bool]], height: int, width: int) -> None:
    if prompt.box is not None:
        x, y, w, h = prompt.box
        if w <= 0 or h <= 0 or x + w <= 0 or y + h <= 0 or x >= width or y >= height:
            raise UsageError(f"The box {x:g},{y:g},{w:g},{h:g} covers no part of the frame of {width}x{height}.")
    for x, y, _ in points:
        if not (0 <= x < width and 0 <= y < height):
            raise UsageError(f"The point {x:g},{y:g} lies outside of the frame of {width}x{height}.")
    if prompt.box is None and not any(inside for _, _, inside in points):
        raise UsageError("SAM needs a box, or a point or stroke inside the object.")


def read(path: Path, kind: str) -> nn.Module:
    """Read an original file of weights into kornia's network; ``kind`` is kornia's name for it. Raises WeightsError."""
    from kornia.models.sam import Sam

    from segnst.weights import read_tensors

    tensors, _ = read_tensors(path)
    network: nn.Module = Sam.from_name(kind)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not hold the weights of {kind}.") from error
    return network


def load(name: str, *, device: str | torch.device, offline: bool = False) -> Selector:
    """Load SAM, or, if its weights are not available, GrabCut with a SegnstWarning.

    Raises WeightsError when GrabCut is not registered either.
    """
    from segnst.catalog import fetch_named

    kind = WEIGHTS[name]
    try:
        path = fetch_named(kind, offline=offline)
    except WeightsError as error:
        if "grabcut" not in registry.SELECTORS:
            raise
        warnings.warn(f"{error} GrabCut takes the place of SAM.", SegnstWarning, stacklevel=2)
        stand_in: Selector = registry.get(registry.SELECTORS, "grabcut", "selector")(
            "grabcut", device=device, offline=offline
        )
        return stand_in
    return SamSelector(name, read(path, kind).to(device), path)
