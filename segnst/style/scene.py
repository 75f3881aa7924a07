"""The statistics of a scene: measured when it begins and held, so that paint holds still with what it lies on.

Instance norm measures every frame anew, and whatever enters a frame changes the color of everything else. Here the
statistics of each style are measured on the first frame of a scene and kept. They are measured again only when the
frame looks different as a whole, as in a pan from shade to sun; then they move over to the new ones within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.style.conditional import EPS, ConditionalNetwork
from segnst.style.layer_norm import Measured, Statistics, measure, paint

UNSEEN = 1 / 512  # a layer whose mask is below this everywhere changes no 8-bit pixel
# Distances between the looks of two frames. The blue car that fills 40 % of the bundled street stays below 0.01; light
# that rises and falls in the bundled cuts reaches 0.03; a frame at a third of its brightness is 0.27 away.
CHANGED = 0.02  # statistics are measured again
FAR = 0.1  # the new ones hold at once, because the old ones would make colors that are out of any range
GLIDE = 24  # frames in which statistics move over to new ones
LOOK = 96  # px of the longer side on which looks are compared

Measure = Callable[[ConditionalNetwork, Tensor, Tensor], Measured]
Paint = Callable[[ConditionalNetwork, Tensor, Tensor, Tensor | None, Sequence[Statistics]], Tensor]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is kept of a scene.

    codes  [L,S] the mix of styles of each layer
    held   statistics in use, one for each norm, with a row for each layer
    goal   those that ``held`` moves to within the next ``steps`` frames
    known  for each layer whether it has been measured
    look   the frame on which they were measured: mean and variance of its colors
    """

    codes: Tensor
    held: tuple[Statistics, ...]
    goal: tuple[Statistics, ...]
    steps: int
    known: tuple[bool, ...]
    look: Statistics

    def next(self) -> Scene:
        """The scene one frame later, with its statistics a step nearer to their goal."""
        if not self.steps:
            return self
        held = tuple(h.toward(g, 1 / self.steps) for h, g in zip(self.held, self.goal, strict=True))
        return replace(self, held=held, steps=self.steps - 1)


def look_of(rgb: Tensor) -> Statistics:
    """Mean and variance [3] of the colors of a frame [1,3,H,W], without its finest detail."""
    scale = min(1.0, LOOK / max(rgb.shape[-2:]))
    small = F.interpolate(rgb.float(), scale_factor=scale, mode="area") if scale < 1 else rgb.float()
    variance, mean = torch.var_mean(small, (0, 2, 3), correction=0)
    return Statistics(mean, variance)


def distance(one: Statistics, other: Statistics) -> float:
    """How different two distributions are, from 0 to 1: the squared Hellinger distance of normal distributions with
    these means and variances, averaged over the channels."""
    v, w = one.variance + EPS, other.variance + EPS
    exponent = (one.mean - other.mean).square() / (4 * (v + w)) + 0.5 * ((v + w) / (2 * (v * w).sqrt())).log()
    return float((1 - (-exponent).exp()).mean())


def _with_rows(
    before: Sequence[Statistics] | None, rows: Mapping[int, Sequence[Statistics]], layers: int
) -> tuple[Statistics, ...]:
    """Statistics with the rows of some layers replaced. Where there were none before, layers that are not given get
    the first row that is, because their masks are empty."""
    first = next(iter(rows.values()))

    def row(norm: int, layer: int) -> tuple[Tensor, Tensor]:
        if layer in rows or before is None:
            mine = rows.get(layer, first)[norm]
            return mine.mean[0], mine.variance[0]
        return before[norm].mean[layer], before[norm].variance[layer]

    found = []
    for norm in range(len(first)):
        means, variances = zip(*(row(norm, layer) for layer in range(layers)), strict=True)
        found.append(Statistics(torch.stack(means), torch.stack(variances)))
    return tuple(found)


def paint_scene(
    net: ConditionalNetwork,
    rgb: Tensor,
    codes: Tensor,
    soft: Tensor | None,
    past: Scene | None,
    *,
    measure: Measure = measure,
    paint: Paint = paint,
) -> tuple[Tensor, Scene]:
    """Paint one frame of a scene in one pass, each layer in its own style, with the statistics of the scene.

    rgb [1,3,H,W] in [0,1]; codes [L,S]; soft [1,L,H,W] masks of the painted layers, or None for one layer everywhere.
    ``measure`` and ``paint`` do the work, in one piece or in tiles.

    To measure a style takes a pass of its own. That happens when a scene begins, when a layer is seen for the first
    time, when its mix of styles changes, and when the look of the frame changes.
    Returns the painted frame (range about [0,1], not clamped) and what the next frame needs.
    """
    layers = len(codes)
    soft = soft if layers > 1 else None
    past = past.next() if past is not None and past.codes.shape == codes.shape else None
    seen = [True] * layers if soft is None else [float(m) >= UNSEEN for m in soft[0].amax((1, 2))]
    seen = seen if any(seen) else [True] * layers
    look = look_of(rgb)
    moved = 1.0 if past is None else distance(look, past.look)
    same = [past is not None and past.known[k] and torch.equal(codes[k], past.codes[k]) for k in range(layers)]
    at_once = [seen[k] and (moved > FAR or not same[k]) for k in range(layers)]
    gently = [seen[k] and not at_once[k] and moved > CHANGED for k in range(layers)]
    if past is not None and not any(at_once) and not any(gently):
        return paint(net, rgb, codes, soft, past.held), past
    found: dict[int, Measured] = {}
    for k in range(layers):
        if at_once[k] or gently[k]:
            twin = next((f for j, f in found.items() if torch.equal(codes[j], codes[k])), None)
            found[k] = twin or measure(net, rgb, codes[k : k + 1])
    rows = {k: statistics for k, (_, statistics) in found.items()}
    goal = _with_rows(past.goal if past else None, rows, layers)
    held = goal
    if past is not None and (any(gently) or past.steps):
        sudden = {k: rows[k] for k in rows if at_once[k]}
        held = _with_rows(past.held, sudden, layers) if sudden else past.held
    # layers that are out of sight while the look changes are measured when they come back
    known = tuple(k in rows or (same[k] and moved <= CHANGED) for k in range(layers))
    steps = GLIDE if any(gently) else past.steps if past is not None else 0
    scene = Scene(codes, held, goal, steps, known, look if past is None or moved > CHANGED else past.look)
    return found[0][0] if soft is None and at_once[0] else paint(net, rgb, codes, soft, held), scene


def paint_layers(
    net: ConditionalNetwork, rgb: Tensor, codes: Tensor, soft: Tensor | None, past: Scene | None = None
) -> tuple[Tensor, Scene]:
    """``paint_scene`` with the frame in one piece."""
    return paint_scene(net, rgb, codes, soft, past)
