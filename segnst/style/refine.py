"""Improving the row of a picture by gradient descent on the row only; the network itself stays as it is.

The loss is that of the training (segnst.perceptual.style_loss), on random crops of frames.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from segnst.catalog import remote
from segnst.device import mixed_precision, training_dtype
from segnst.errors import UsageError
from segnst.perceptual.encoders import SMALL, Encoder, load_encoder
from segnst.perceptual.style_loss import Painting, StyleLoss
from segnst.perceptual.style_terms import StyleTerms
from segnst.style.conditional import ConditionalNetwork
from segnst.weights import find

CROP = 224  # px, side of the crops
LARGEST = 1.7  # the short side of a frame is scaled to between 1 and this many crops, as in the training of networks
RATE = 2e-2  # learning rate of Adam; 6e-2 gains more from a poor row in few steps, but less from a good one
PROBES = 3  # crops on which the row is judged before and after
TERMS = StyleTerms()
DEEP = "relu4_1"  # the style layer for large strokes


@dataclass(frozen=True, slots=True)
class Refined:
    """A row [R] and its loss on crops that are the same before and after; never worse than the row it began as."""

    row: Tensor
    before: float
    after: float
    steps: int


Tell = Callable[[int, float, dict[str, float]], None]  # steps done, seconds left, losses of the step


def best_judge(name: str | None) -> str:
    """The perceptual network for refining: ``name``, or else VGG19 where it is on this machine, or the small one."""
    if name is not None:
        return name
    return "vgg19" if find(remote("vgg19").url.rsplit("/", 1)[-1]) else SMALL


class RowLoss:
    """The loss of a network's rows for one picture [1,3,h,w], by the perceptual network ``judge``."""

    def __init__(self, net: ConditionalNetwork, picture: Tensor, judge: Encoder) -> None:
        self.net, self.device = net, next(net.parameters()).device
        judge = judge.to(self.device).to(memory_format=torch.channels_last)
        terms, deep = TERMS, None
        if DEEP in judge.layers:
            terms = replace(TERMS, style_layers=(*TERMS.style_layers, DEEP), deep_layers=())
        else:
            deep = load_encoder(SMALL).to(self.device)
        self.loss = StyleLoss([Painting("picture", picture.to(self.device))], terms, judge, deep)

    def __call__(self, crops: Tensor, row: Tensor) -> dict[str, Tensor]:
        """The weighted terms, for crops [B,3,H,W] and a row [R]."""
        crops = crops.to(self.device)
        with mixed_precision(self.device, training_dtype(self.device)):
            painted = self.net.painted_by(crops, row.expand(len(crops), -1)).float()
        wanted = self.loss.wanted(torch.zeros(len(crops), dtype=torch.long, device=self.device))
        return {name: values.mean() for name, values in self.loss(painted, crops, wanted).items()}


def crop_of(frames: Sequence[Tensor], generator: Generator) -> Tensor:
    """A random crop [1,3,CROP,CROP] of one of the frames [1,3,H,W]."""
    frame = frames[int(torch.randint(len(frames), (), generator=generator))]
    height, width = frame.shape[-2:]
    short = CROP * (1 + (LARGEST - 1) * float(torch.rand((), generator=generator)))
    scale = short / min(height, width)
    size = (max(CROP, round(height * scale)), max(CROP, round(width * scale)))
    scaled = F.interpolate(frame, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    top, left = (int(torch.randint(n - CROP + 1, (), generator=generator)) for n in size)
    crop = scaled[..., top : top + CROP, left : left + CROP]
    return crop.flip(-1) if float(torch.rand((), generator=generator)) < 0.5 else crop


def refine_row(
    net: ConditionalNetwork,
    picture: Tensor,
    row: Tensor,
    frames: Sequence[Tensor],
    judge: Encoder,
    seconds: float,
    tell: Tell = lambda steps, left, losses: None,
    clock: Callable[[], float] = time.monotonic,
) -> Refined:
    """Improve the row [R] of a picture for some seconds, on crops of frames.

    net      its own rows do not matter
    picture  [1,3,h,w] in [0,1], at the size of its strokes
    frames   [1,3,H,W] in [0,1]
    judge    the perceptual network; where it lacks relu4_1, the bundled small one is used for that layer
    tell     called after every step; what it raises ends the refinement
    clock    gives the time in seconds

    Raises UsageError where the judge lacks a layer, and where the loss is no longer finite.
    """
    loss = RowLoss(net, picture, judge)
    generator = torch.Generator().manual_seed(1)
    probes = torch.cat([crop_of(frames, generator) for _ in range(PROBES)])

    def judged(at: Tensor) -> float:
        with torch.no_grad():
            return float(torch.stack(list(loss(probes, at).values())).sum())

    start = row.to(loss.device)
    before = judged(start)
    mine = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([mine], RATE, betas=(0.9, 0.99))
    began, steps = clock(), 0
    while (spent := clock() - began) < seconds or not steps:
        optimizer.param_groups[0]["lr"] = RATE * (0.02 + 0.98 * math.cos(0.5 * math.pi * min(1.0, spent / seconds)))
        terms = loss(crop_of(frames, generator), mine)
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps += 1
        losses = {"total": float(total.detach()), "content": float(terms["content"].detach())}
        losses["style"] = sum(float(v.detach()) for k, v in terms.items() if k.startswith("style"))
        if not math.isfinite(losses["total"]):
            raise UsageError("Refining the row failed, because its loss is no longer finite. Leave out --refine.")
        tell(steps, max(0.0, seconds - (clock() - began)), losses)
    refined = mine.detach()
    after = judged(refined)
    if not after < before:
        return Refined(row, before, before, steps)
    return Refined(refined.cpu(), before, after, steps)
