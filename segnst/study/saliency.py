"""Which pixels a segmenter's answer depends on: gradients, SmoothGrad, Grad-CAM.

The answer y_c is the mean, over the pixels that are labeled as the class, of the log odds of the class against all
others (Vinogradova 2020, arXiv 2002.11434, eq. 2, with log odds instead of logits). Probabilities and their logarithms
have almost no gradient where the segmenter is certain, so that a clear car would appear darker than one that is hard to
see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.errors import UsageError
from segnst.segmentation.base import AnySegmenter, resolve
from segnst.types import Region

Regions = tuple[Region, ...]


def probabilities(segmenter: AnySegmenter, rgb: Tensor) -> Tensor:
    """[1,3,H,W] -> [1,K,h,w], with gradients."""
    return segmenter.frame(rgb, None)[0]


def choose_class(segmenter: AnySegmenter, rgb: Tensor, name: str | None) -> Regions:
    """The regions that a name means; without a name, the largest one in the picture that is no scenery (sky, road, …).

    Raises PlanError for an unknown name, UsageError where the picture shows no such region.
    """
    with torch.no_grad():
        likeliest = probabilities(segmenter, rgb).argmax(1)
    share = {r.index: float((likeliest == r.index).float().mean()) for r in segmenter.regions}
    if name is not None:
        regions = resolve(name, segmenter.regions)
        if sum(share[r.index] for r in regions) == 0:
            seen = ", ".join(r.name for r in segmenter.regions if share[r.index] > 0.005)
            raise UsageError(f"The segmenter {segmenter.name} finds no '{name}' in the picture. It finds: {seen}.")
        return regions
    wide = {"other", "sky", "road", "pavement", "building", "vegetation"}
    things = [r for r in segmenter.regions if r.name not in wide and share[r.index] > 0.005]
    return (max(things or segmenter.regions, key=lambda r: share[r.index]),)


def _answer(segmenter: AnySegmenter, rgb: Tensor, regions: Regions, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """y_c, and the mask [1,h,w] of the pixels over which it is the mean (by default those labeled as the class)."""
    found = probabilities(segmenter, rgb)
    indices = [r.index for r in regions]
    mine = found[:, indices].sum(1)
    others = found[:, [k for k in range(found.shape[1]) if k not in indices]].sum(1)
    if mask is None:
        mask = torch.stack([found.argmax(1) == r.index for r in regions]).any(0).to(mine.dtype)
    odds = mine.clamp_min(1e-12).log() - others.clamp_min(1e-12).log()
    return (odds * mask).sum() / mask.sum().clamp_min(1), mask


def _gradient(segmenter: AnySegmenter, rgb: Tensor, regions: Regions, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    x = rgb.detach().clone().requires_grad_(True)
    answer, mask = _answer(segmenter, x, regions, mask)
    (gradient,) = torch.autograd.grad(answer, x)
    return gradient.abs().amax(1, keepdim=True), mask.detach()


def gradient_map(segmenter: AnySegmenter, rgb: Tensor, regions: Regions) -> Tensor:
    """|∂y_c/∂rgb|, the largest of the three channels (Simonyan 2013, arXiv 1312.6034): [1,3,H,W] -> [1,1,H,W]."""
    return _gradient(segmenter, rgb, regions, None)[0]


def smooth_grad(
    segmenter: AnySegmenter,
    rgb: Tensor,
    regions: Regions,
    count: int = 12,
    noise: float = 0.1,
    seed: int = 1,
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """Mean gradient map over noisy copies (Smilkov 2017, arXiv 1706.03825), y_c over the mask of the clean picture.

    check  is called before each copy and may raise to stop
    """
    generator = torch.Generator().manual_seed(seed)
    _, mask = _gradient(segmenter, rgb, regions, None)
    total = torch.zeros_like(rgb[:, :1])
    for _ in range(count):
        check()
        noisy = rgb + noise * torch.randn(rgb.shape, generator=generator).to(rgb)
        total += _gradient(segmenter, noisy, regions, mask)[0] / count
    return total


def _last_features(network: nn.Module, run: Callable[[], Any]) -> nn.Module:
    """The last convolution of 64 channels or more at the coarsest resolution: its features decide about the classes."""
    seen: list[tuple[int, nn.Module]] = []

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.shape[1] >= 64 and min(output.shape[-2:]) > 1:
            seen.append((output.shape[-1], module))

    handles = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    coarsest = min(width for width, _ in seen)
    return [module for width, module in seen if width == coarsest][-1]


def grad_cam(segmenter: AnySegmenter, rgb: Tensor, regions: Regions) -> Tensor:
    """Grad-CAM (Selvaraju 2017, arXiv 1610.02391) at the last wide convolution: [1,3,H,W] -> [1,1,H,W], 0 or more.

    Raises UsageError for a segmenter without a network.
    """
    network = segmenter.network
    if network is None:
        raise UsageError(f"The segmenter {segmenter.name} has no network whose features could be drawn.")
    module = _last_features(network, lambda: probabilities(segmenter, rgb))
    kept: list[Tensor] = []
    handle = module.register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        answer, _ = _answer(segmenter, rgb.detach().clone().requires_grad_(True), regions, None)
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(answer, kept[-1])
    cam = F.relu((gradient.mean((2, 3), keepdim=True) * kept[-1]).sum(1, keepdim=True)).detach()
    return F.interpolate(cam.float(), rgb.shape[-2:], mode="bilinear", align_corners=True)
