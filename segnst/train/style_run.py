"""The loop that trains a transformer network: resumable to the iteration, on a CPU, a GPU or several."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from segnst.device import mixed_precision, training_dtype
from segnst.errors import OutputError, SegnstError, UsageError, WeightsError
from segnst.style.conditional import ConditionalTransformer
from segnst.train.curves import draw_curves
from segnst.train.motion import motion_term
from segnst.train.photos import Photos
from segnst.train.style_loss import StyleLoss, StyleSettings

History = dict[str, list[tuple[int, float]]]


@dataclass
class Progress:
    """What a checkpoint holds besides the tensors."""

    iteration: int = 0
    history: History = field(default_factory=dict)

    def record(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.history.setdefault(name, []).append((self.iteration, value))


@dataclass(frozen=True)
class World:
    """The processes that ``torchrun`` started; one when there is no launcher."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def join(device: torch.device) -> World:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return World()
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return World(torch.distributed.get_rank(), size)

    def average_gradients(self, net: torch.nn.Module) -> None:
        """The mean of all processes' gradients, in every process."""
        if self.size == 1:
            return
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        torch.distributed.all_reduce(flat)
        start = 0
        for grad in grads:
            grad.copy_(flat[start : start + grad.numel()].view_as(grad) / self.size)
            start += grad.numel()


def random_of(seed: int, iteration: int) -> Generator:
    """Randomness of one iteration, the same whether the run was interrupted before it or not."""
    return torch.Generator().manual_seed(seed * 1_000_003 + iteration)


def styles_of(iteration: int, batch: int, count: int, seed: int) -> list[int]:
    """Which style each crop of a batch gets: all in turn, in a new order each time round."""
    chosen = []
    for position in range(iteration * batch, (iteration + 1) * batch):
        order = torch.randperm(count, generator=random_of(seed + 17, position // count))
        chosen.append(int(order[position % count]))
    return chosen


class StyleRun:
    """A training of all styles of ``net``: the paintings of ``loss``. Behind them it may have an identity, which
    learns at the end (``teach_identity``): without a norm it would follow a trunk that still changes off to infinity.

    folder  holds the checkpoint, curves and previews; warmup  first iterations that repeat the photo in every style,
    or with a ``teacher``, a wider network of the same styles, what it paints (Hinton 2015, on pixels): a narrow network
    finds its strokes so in a fraction of the time, and the teacher's paint stays one of the terms after them.
    Raises UsageError when the folder holds a run with other settings, WeightsError when its checkpoint is damaged.
    """

    def __init__(
        self,
        net: ConditionalTransformer,
        loss: StyleLoss,
        photos: Photos,
        settings: StyleSettings,
        folder: Path,
        *,
        warmup: int = 0,
        teacher: ConditionalTransformer | None = None,
        restart: bool = False,
    ) -> None:
        self.net, self.loss, self.photos, self.settings = net, loss, photos, settings
        self.folder, self.warmup, self.teacher = folder, warmup, teacher
        self.paintings = len(loss.content)
        self.device = next(net.parameters()).device
        self.world = World.join(self.device)
        owned = [p for n, p in net.named_parameters() if n.endswith(("gamma", "beta")) and p.requires_grad]
        trunk = [p for n, p in net.named_parameters() if not n.endswith(("gamma", "beta")) and p.requires_grad]
        rates = [settings.learning_rate * settings.style_rate] + ([settings.learning_rate] if trunk else [])
        groups = [{"params": owned}] + ([{"params": trunk}] if trunk else [])
        self.optimizer = torch.optim.Adam(groups, settings.learning_rate)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rates, total_steps=settings.iterations, pct_start=0.15
        )
        self.dtype = training_dtype(self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        self.progress = Progress()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename} cannot be made ({error.strerror}).") from error
        if self.checkpoint.exists() and not restart:
            self._load()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "run.pt"

    def _load(self) -> None:
        path = self.checkpoint
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            if saved["settings"] != json.dumps(asdict(self.settings)):
                raise UsageError(f"{path} was written with other settings. Give --restart, or the settings of then.")
            self.net.load_state_dict(saved["net"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
            history = {k: [tuple(p) for p in v] for k, v in saved["history"].items()}
            self.progress = Progress(saved["iteration"], history)
        except SegnstError:
            raise
        except Exception as error:  # a damaged file fails in many ways
            raise WeightsError(f"{path} is not a checkpoint of this training. Give --restart to begin anew.") from error

    def save(self, shown: Sequence[Tensor]) -> None:
        """Checkpoint, curves and previews; each written whole or not at all."""
        if self.world.rank:
            return
        state: dict[str, Any] = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "iteration": self.progress.iteration,
            "history": self.progress.history,
            "settings": json.dumps(asdict(self.settings)),
        }
        torch.save(state, self.checkpoint.with_suffix(".part"))
        self.checkpoint.with_suffix(".part").replace(self.checkpoint)
        draw_curves(self.progress.history, self.folder / "curves.png")
        (self.folder / "curves.json").write_text(json.dumps(self.progress.history))
        self._previews(shown, self.folder / f"preview_{self.progress.iteration:05d}.png")

    def _previews(self, pictures: Sequence[Tensor], path: Path) -> None:
        """A row for each photo, a column for it and for each style."""
        import cv2

        codes = torch.eye(self.net.styles, device=self.device)
        with torch.inference_mode():
            rows = [torch.cat([p[0], *(self.net(p, code[None])[0].clamp(0, 1) for code in codes)], 2) for p in pictures]
        widest = max(r.shape[2] for r in rows)
        sheet = torch.cat([F.pad(r, (0, widest - r.shape[2], 0, 4), value=1.0) for r in rows], 1)
        cv2.imwrite(str(path), (sheet.permute(1, 2, 0).flip(-1).cpu().numpy() * 255).round().astype("uint8"))

    def paint(self, photos: Tensor, code: Tensor, net: ConditionalTransformer | None = None) -> Tensor:
        """Photos [B,3,H,W] in the mixes of code [B,S], by ``net`` or the one that learns, in mixed precision."""
        with mixed_precision(self.device, self.dtype):
            painted: Tensor = (net or self.net)(photos, code)
        return painted.float()

    def terms(self) -> dict[str, Tensor]:
        """The weighted terms of the loss at this iteration, averaged over the batch."""
        s, iteration = self.settings, self.progress.iteration
        # every process its own crops and styles
        generator = random_of(s.seed, iteration * self.world.size + self.world.rank)
        batch = self.photos.crops(s.batch, s.crop, generator, s.plain_share).to(self.device)
        chosen = styles_of(iteration * self.world.size + self.world.rank, s.batch, self.paintings, s.seed)
        which = torch.tensor(chosen, device=self.device)
        code = F.one_hot(which, self.net.styles).float()
        painted = self.paint(batch, code)
        terms: dict[str, Tensor] = {}
        if iteration >= self.warmup:
            terms = {name: values.mean() for name, values in self.loss(painted, batch, which).items()}
        if self.teacher is not None:
            with torch.no_grad():
                target = self.paint(batch, code, self.teacher)
            terms["teacher"] = s.teacher_weight * (painted - target).square().mean()
        elif iteration < self.warmup:
            terms["repeated"] = s.repeat_weight * (painted - batch).square().mean()
        if iteration >= s.temporal_from * s.iterations and s.temporal_weight:
            factor = self.loss.temporal[which]
            moved = motion_term(self.paint, batch, painted, code, generator)
            terms["temporal"] = s.temporal_weight * (factor * moved).mean()
        return terms

    def step(self) -> dict[str, float]:
        """One iteration. Raises UsageError when the loss is no longer finite."""
        terms = self.terms()
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise UsageError(
                f"The loss is no longer finite at iteration {self.progress.iteration}; "
                f"the last good state is {self.checkpoint}. Lower --learning-rate or --style-weight."
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        self.world.average_gradients(self.net)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.progress.iteration += 1
        values = {"total": float(total.detach())} | {k: float(v.detach()) for k, v in terms.items()}
        self.progress.record(values)
        return values

    def _identity(self, count: int) -> Tensor:
        """The code [count,S] of the identity."""
        last = torch.full((count,), self.net.styles - 1, device=self.device)
        return F.one_hot(last, self.net.styles).float()

    @torch.no_grad()
    def _begin_identity(self, anew: bool) -> None:
        """From the mean of all styles, settled on photos; unless ``anew``, only where that repeats them better than
        what the identity is: a trunk that learned may have left it behind."""
        photos = self.photos.crops(8, self.settings.crop, random_of(self.settings.seed, -1)).to(self.device)

        def error() -> float:
            return float((self.net(photos, self._identity(len(photos))) - photos).square().mean())

        before, known = error(), {k: v.clone() for k, v in self.net.state_dict().items()}
        self.net.settle_identity(photos)
        if not anew and before < error():
            self.net.load_state_dict(known)

    def teach_identity(self, steps: int, *, anew: bool, rate: float = 5e-3) -> None:
        """Let the identity learn to repeat photos, on small crops: nothing else of the network changes.

        Cheap beside ``step``: no perceptual network is asked.
        anew  what the identity is was never learned
        """
        self._begin_identity(anew)
        s = self.settings
        rows = [p for n, p in self.net.named_parameters() if n.endswith(("gamma", "beta"))]
        # the code of the identity gives all other rows a gradient of nought, and Adam then leaves them as they are
        optimizer = torch.optim.Adam(rows, rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, steps), pct_start=0.15)
        side = max(32, s.crop // 2)
        for step in range(steps):
            crops = self.photos.crops(4, side, random_of(s.seed + 29, step), plain=0.1).to(self.device)
            optimizer.zero_grad(set_to_none=True)
            (self.net(crops, self._identity(4)) - crops).square().mean().backward()
            optimizer.step()
            schedule.step()

    def go(self, name: str, *, stop_at: int | None, shown: Sequence[Tensor], save_every: float, quiet: bool) -> None:
        """Train to the end, or until ``stop_at`` iterations are done; a checkpoint every ``save_every`` seconds."""
        s, first = self.settings, self.progress.iteration
        began = saved = time.monotonic()
        recent: dict[str, float] = {}
        while self.progress.iteration < min(stop_at or s.iterations, s.iterations):
            values = self.step()
            for key, value in values.items():
                recent[key] = value if key not in recent else 0.95 * recent[key] + 0.05 * value
            now, done = time.monotonic(), self.progress.iteration
            if not quiet and self.world.rank == 0 and (done % 10 == 0 or done == s.iterations):
                pace = (now - began) / (done - first)
                style = sum(v for k, v in recent.items() if k.startswith("style"))
                shapes = recent.get("content", 0.0) + recent.get("structure", 0.0)
                print(
                    f"{name} {done}/{s.iterations}  content {shapes:.3f}  style {style:.3f}"
                    f"  {pace:.2f} s an iteration  {(s.iterations - done) * pace / 60:.0f} min left",
                    file=sys.stderr,
                    flush=True,
                )
            if now - saved > save_every:
                self.save(shown)
                saved = now
        self.save(shown)
