"""Random style pictures, from which a row encoder learns to handle any painting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from segnst.perceptual.encoders import Encoder
from segnst.perceptual.style_loss import StyleLoss, Wanted
from segnst.style.conditional import ConditionalNetwork
from segnst.style.row_encoder import RowEncoder, description
from segnst.train.photos import Photos
from segnst.train.world import random_of

LEAST = 192  # px: the smallest height and width of a style picture
WIDTHS = (224, 448)  # px: how wide pictures are before they are cropped
REUSE = 4  # number of steps that each picture is used in
PATTERNS = 0.05  # share of pictures that are drawn patterns


@dataclass(frozen=True)
class Free:
    """A picture that serves as a style: its description [1,D] and the targets of the loss."""

    description: Tensor
    wanted: Wanted


class FreeStyles:
    """Paintings below some folders, and random patterns. Raises InputError when a folder is missing or all are empty.

    encoder  the perceptual network that describes pictures (segnst.style.row_encoder)
    """

    def __init__(
        self, folders: Sequence[Path], encoder: Encoder, net: ConditionalNetwork, generator: Generator
    ) -> None:
        self.paintings, self.encoder = Photos(folders), encoder
        self.device = device = next(net.parameters()).device
        self._recent: dict[tuple[int, int], Free] = {}
        if device.type == "cuda":
            self.paintings.keep(device, WIDTHS[1])
        found = [self.describe(self.draw(generator)[None].to(device)) for _ in range(64)]
        self.rows = RowEncoder(found[0].shape[1], net.rows().shape[1]).to(device)
        self.rows.settle(torch.cat(found), net.rows()[: net.styles - int(net.identity)].mean(0))

    def draw(self, generator: Generator) -> Tensor:
        """A random style picture [3,H,W]: a pattern, or a painting that is scaled, cropped, mirrored and recolored."""

        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        if uniform(0, 1) < PATTERNS:
            return pattern(generator)
        rgb = self.paintings.picture(round(uniform(*WIDTHS)), LEAST, generator)
        height, width = rgb.shape[1:]
        rows, columns = (max(LEAST, round(n * uniform(0.6, 1))) for n in (height, width))
        top = int(torch.randint(height - rows + 1, (), generator=generator))
        left = int(torch.randint(width - columns + 1, (), generator=generator))
        rgb = rgb[:, top : top + rows, left : left + columns]
        if uniform(0, 1) < 0.5:
            rgb = rgb.flip(-1)
        if uniform(0, 1) < 0.4:  # few paintings have strong colors, so some get other ones
            turn = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0].to(rgb)
            mix = torch.eye(3).to(rgb).lerp(turn.abs() / turn.abs().sum(1, keepdim=True), uniform(0, 1))
            rgb = torch.einsum("ij,jhw->ihw", mix, rgb)
        if uniform(0, 1) < 0.5:
            mean = rgb.mean((1, 2), keepdim=True)
            gray = rgb.mean(0, keepdim=True)
            rgb = gray + uniform(0.6, 1.8) * (rgb - gray)
            rgb = mean + uniform(0.8, 1.5) * (rgb - mean)
        return rgb.clamp(0, 1)

    def at(self, turn: int, place: int, seed: int, loss: StyleLoss) -> Free:
        """The style picture for one place of a batch, and its targets.

        Each picture is used in ``REUSE`` steps, because computing its targets costs as much as painting. The choice
        depends only on seed, turn and place, so that a resumed training gives the same result.
        """
        key = ((turn + place) // REUSE, place)
        if key not in self._recent:
            generator = random_of(seed + 41, 1009 * key[0] + place)
            rgb = self.draw(generator)[None].to(self.device)
            self._recent[key] = Free(self.describe(rgb), loss.wanted_of(rgb))
            for old in [k for k in self._recent if k[1] == place and k != key]:
                del self._recent[old]
        return self._recent[key]

    @torch.no_grad()
    def describe(self, rgb: Tensor) -> Tensor:
        return description(self.encoder, rgb)


def pattern(generator: Generator, side: int = 256) -> Tensor:
    """Stripes, waves, spots and patches in a few colors, [3,side,side].

    Users try such pictures as styles, but paintings rarely look like them.
    """
    colors = torch.rand(4, 3, generator=generator)
    axis = torch.linspace(0, 1, side)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    cells = int(torch.randint(3, 24, (), generator=generator))
    bend = F.interpolate(torch.randn(1, 2, 6, 6, generator=generator), (side, side), mode="bicubic")[0]
    angle = 3.14159 * float(torch.rand((), generator=generator))
    along = cells * (x * torch.cos(torch.tensor(angle)) + y * torch.sin(torch.tensor(angle))) + 0.6 * bend[0]
    across = cells * (y * torch.cos(torch.tensor(angle)) - x * torch.sin(torch.tensor(angle))) + 0.6 * bend[1]
    kind = int(torch.randint(3, (), generator=generator))
    if kind == 0:
        field = torch.sin(6.28318 * along) * 0.5 + 0.5
    elif kind == 1:
        field = (torch.sin(3.14159 * along) * torch.sin(3.14159 * across)) * 0.5 + 0.5
    else:
        noise = torch.randn(1, 1, cells + 2, cells + 2, generator=generator)
        field = F.interpolate(noise, (side, side), mode="bicubic")[0, 0].sigmoid()
    steps = float(torch.rand((), generator=generator)) * 6 + 1
    field = (field * 3).clamp(0, 3)
    sharp = torch.sigmoid(steps * 4 * (field - field.floor() - 0.5)) + field.floor()
    low = sharp.floor().clamp(0, 2).long()
    share = (sharp - low).clamp(0, 1)[..., None]
    picture = colors[low] * (1 - share) + colors[low + 1] * share
    return (picture.permute(2, 0, 1) + 0.03 * torch.randn(3, side, side, generator=generator)).clamp(0, 1)
