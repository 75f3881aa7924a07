"""Segment Anything (Kirillov et al. 2023, arXiv:2304.02643): a box or clicks -> the mask of one object.

kornia's ``kornia.models.sam`` rather than transformers' SAM 2: kornia is needed anyway, checks its port against
the makers' own code, and runs MobileSAM (Zhang et al. 2023, arXiv:2306.14289; 40 MB), which a computer without a
GPU can bear; SAM 2 is the better network but brings in a package of a hundred times the size of this one, so that it is
an extra, for following objects through a clip (sam2_video.py).

``sam`` is MobileSAM, ``sam_vit_b`` the smallest of the originals (375 MB). Where the weights cannot be had,
GrabCut takes over and says so.
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
SIDE = 1024  # the network's input, padded at the right and the bottom


class SamSelector(Selector):
    """A selector round kornia's ``Sam``.

    Strokes become clicks, evenly spread over them. Several prompts on one frame look at it once.
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
        # one click may mean a wheel or the car: the network then offers three masks, and rates them
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
        """Features of a frame, kept for the next prompt on it."""
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
            raise UsageError(f"The box {x:g},{y:g},{w:g},{h:g} holds nothing of the frame of {width}x{height}.")
    for x, y, _ in points:
        if not (0 <= x < width and 0 <= y < height):
            raise UsageError(f"The point {x:g},{y:g} lies outside of the frame of {width}x{height}.")
    if prompt.box is None and not any(inside for _, _, inside in points):
        raise UsageError("SAM needs a box, or a point or stroke inside the object.")


def read(path: Path, kind: str) -> nn.Module:
    """Read the makers' file into kornia's network; ``kind`` is kornia's name of it. Raises WeightsError."""
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
    """Load SAM; or GrabCut, with a SegnstWarning, where its weights cannot be had.

    Raises WeightsError when there is no GrabCut either.
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
