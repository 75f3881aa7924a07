"""The training of a style network: the steps, and the training of the identity style at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.device import mixed_precision
from segnst.perceptual.style_loss import StyleLoss, Wanted
from segnst.style.conditional import ConditionalNetwork
from segnst.train import muon
from segnst.train.free_styles import FreeStyles
from segnst.train.motion import motion_term
from segnst.train.photos import Photos
from segnst.train.settings import StyleSettings
from segnst.train.training import GradientTraining
from segnst.train.world import random_of

RISE = 0.1  # share of the training in which the learning rate rises
LOWEST = (0.04, 1e-4)  # learning rate at the beginning and at the end, as shares of the highest
MOVED = 8  # how many pictures of a batch, at most, the temporal term uses


def styles_of(iteration: int, batch: int, count: int, seed: int) -> list[int]:
    """The style of each crop of a batch: all styles in turn, in a new random order each round."""
    chosen = []
    for position in range(iteration * batch, (iteration + 1) * batch):
        order = torch.randperm(count, generator=random_of(seed + 17, position // count))
        chosen.append(int(order[position % count]))
    return chosen


class StyleTraining(GradientTraining):
    """Trains all styles of ``net``, which are the paintings of ``loss``.

    The network may have an identity style after these. It is trained at the end (``teach_identity``), because it is not
    normalized and would diverge while the trunk still changes.

    sources  names of the paintings; a run is not resumed with others
    shown    photos [1,3,H,W] for the previews
    warmup   number of first iterations without the style loss, in which every style learns to repeat the photo, or to
             paint as the teacher does
    teacher  a wider network of the same styles, whose paintings are a target throughout (Hinton 2015, on pixels); with
             it, a narrow network learns its strokes in a fraction of the time
    free     pictures for training a row encoder (segnst.train.free_styles)
    """

    kind = "style"
    remedy = "Lower --learning-rate or --style-weight."

    def __init__(
        self,
        net: ConditionalNetwork,
        loss: StyleLoss,
        photos: Photos,
        settings: StyleSettings,
        *,
        sources: Sequence[str] = (),
        shown: Sequence[Tensor] = (),
        warmup: int = 0,
        teacher: ConditionalNetwork | None = None,
        free: FreeStyles | None = None,
    ) -> None:
        self.net, self.loss, self.photos, self.options = net, loss, photos, settings
        self.shown, self.warmup, self.teacher, self.free = shown, warmup, teacher, free
        self.paintings = len(loss.content)
        encoder = free.rows.parameters() if free else ()
        optimizer = muon.optimizer(net, settings.learning_rate, settings.style_rate, encoder)
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        known = {
            **asdict(settings),
            "paintings": list(sources),
            "teacher": teacher is not None,
            "free": free is not None,
        }
        super().__init__(net, optimizer, settings.iterations, settings.seed, known, minutes=settings.minutes)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "free": self.free.rows.state_dict() if self.free else {}}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        if self.free:
            self.free.rows.load_state_dict(state["free"])

    def _set_rates(self) -> None:
        """The one-cycle schedule (Smith & Topin 2017, arXiv 1708.07120): the learning rate rises for the share ``RISE``
        of the training, then falls to nearly zero, both along a cosine."""
        low, share = (LOWEST[0], self.done / RISE) if self.done < RISE else (LOWEST[1], (1 - self.done) / (1 - RISE))
        factor = low + (1 - low) * (0.5 - 0.5 * math.cos(math.pi * share))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def preview(self) -> Tensor | None:
        """One row per photo: the photo itself, then its painting in each style."""
        if not self.shown:
            return None
        codes = torch.eye(self.net.styles, device=self.device)
        with torch.inference_mode():
            rows = [torch.cat([p[0], *(self.net(p, c[None])[0].clamp(0, 1) for c in codes)], 2) for p in self.shown]
        widest = max(r.shape[2] for r in rows)
        return torch.cat([F.pad(r, (0, widest - r.shape[2], 0, 4), value=1.0) for r in rows], 1)

    def paint(
        self, photos: Tensor, code: Tensor, rows: Tensor | None = None, net: ConditionalNetwork | None = None
    ) -> Tensor:
        """Paint photos [B,3,H,W] in mixed precision, in the mixes of code [B,S] or by rows [B,R].

        net  the network, if not the one that is being trained; for codes only
        """
        with mixed_precision(self.device, self.dtype):
            painted: Tensor = (net or self.net)(photos, code) if rows is None else self.net.painted_by(photos, rows)
        return painted.float()

    def _freed(self, wanted: Wanted, code: Tensor, turn: int) -> tuple[Wanted, Tensor | None]:
        """The targets and the rows [B,R] of the batch, with some styles replaced by free ones; no rows without any."""
        if self.free is None:
            return wanted, None
        rows, s = code @ self.net.rows(), self.options
        drawn = torch.rand(len(code), generator=random_of(s.seed + 43, turn))
        places = [at for at, value in enumerate(drawn.tolist()) if value < s.free_share]
        pictures = [self.free.at(turn, at, s.seed, self.loss) for at in places]
        if pictures:
            mine = self.free.rows(torch.cat([p.description for p in pictures]))
            rows = rows.index_put((torch.tensor(places, device=rows.device),), mine.to(rows.dtype))
            for at, picture in zip(places, pictures, strict=True):
                wanted = wanted.replaced(at, picture.wanted)
        return wanted, rows

    def terms(self, iteration: int) -> dict[str, Tensor]:
        """The weighted terms of the loss at an iteration, averaged over the batch."""
        s, turn = self.options, self.world.turn(iteration)
        # every process has its own crops and styles
        generator = random_of(s.seed, turn)
        batch = self.photos.crops(s.batch, s.crop, generator, s.plain_share).to(self.device)
        chosen = styles_of(turn, s.batch, self.paintings, s.seed)
        which = torch.tensor(chosen, device=self.device)
        code = F.one_hot(which, self.net.styles).float()
        wanted, rows = self._freed(self.loss.wanted(which), code, turn)
        painted = self.paint(batch, code, rows)
        terms: dict[str, Tensor] = {}
        if iteration >= self.warmup:
            found = self.loss(painted, batch, wanted, cheap=iteration < s.cheap)
            terms = {name: values.mean() for name, values in found.items()}
        if self.teacher is not None:
            with torch.no_grad():
                target = self.paint(batch, code, net=self.teacher)
            terms["teacher"] = s.teacher_weight * (painted - target).square().mean()
        elif iteration < self.warmup:
            terms["repeated"] = s.repeat_weight * (painted - batch).square().mean()
        if self.done >= s.temporal_from and s.temporal_weight:
            few = min(len(batch), MOVED)

            def paint(moved: Tensor, code: Tensor) -> Tensor:
                return self.paint(moved, code, None if rows is None else rows[:few])

            moved = motion_term(paint, batch[:few], painted[:few], code[:few], generator)
            terms["temporal"] = s.temporal_weight * (wanted.temporal[:few] * moved).mean()
        return terms

    def step(self, iteration: int) -> dict[str, float]:
        terms = self.terms(iteration)
        total = torch.stack(list(terms.values())).sum()
        self._set_rates()
        self.descend(total)
        return {"total": float(total.detach())} | {k: float(v.detach()) for k, v in terms.items()}

    def _identity(self, count: int) -> Tensor:
        """The code [count,S] of the identity."""
        last = torch.full((count,), self.net.styles - 1, device=self.device)
        return F.one_hot(last, self.net.styles).float()

    @torch.no_grad()
    def _begin_identity(self, anew: bool) -> None:
        """Initialize the identity on photos (``settle_identity``).

        Unless ``anew``, this is undone if the previous identity repeats the photos better. That need not be so, because
        the trunk has changed since it was trained.
        """
        photos = self.photos.crops(8, self.options.crop, random_of(self.options.seed, -1)).to(self.device)

        def error() -> float:
            return float((self.net(photos, self._identity(len(photos))) - photos).square().mean())

        before, known = error(), {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.settle_identity(photos)
        if not anew and before < error():
            self.net.load_state_dict(known)

    def teach_identity(self, steps: int, *, anew: bool, rate: float = 5e-3) -> None:
        """Train the identity to repeat photos, on small crops; nothing else of the network changes.

        This is cheap compared with ``step``, because it needs no perceptual network.
        anew  whether the identity has never been trained
        """
        self._begin_identity(anew)
        s = self.options
        rows = [p for n, p in self.net.named_parameters() if n.endswith(("gamma", "beta"))]
        # with the identity's code, all other rows have a gradient of zero, so that Adam leaves them unchanged
        optimizer = torch.optim.Adam(rows, rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, steps), pct_start=0.15)
        side = max(32, s.crop // 2)
        for step in range(steps):
            crops = self.photos.crops(4, side, random_of(s.seed + 29, step), plain=0.1).to(self.device)
            optimizer.zero_grad(set_to_none=True)
            (self.net(crops, self._identity(4)) - crops).square().mean().backward()
            optimizer.step()
            schedule.step()
