"""The methods of ``segnst bench front``: networks, optimization of the frame itself, and pictures of other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from segnst.bench.front import STYLE_WEIGHT, Method, Picture, Yardstick
from segnst.errors import InputError, UsageError, did_you_mean
from segnst.perceptual.encoders import Encoder
from segnst.style.checkpoints import load_style
from segnst.style.collection import load_collection
from segnst.style.lbfgs import Lbfgs
from segnst.style.optimization import RUINED
from segnst.style.pictures import encoded_row, scaled
from segnst.style.refine import refine_row
from segnst.video.pictures import read_picture


class Networks(Method):
    """Networks that paint in one style each, those of a collection or single ones.

    paint_as  {painting: function that paints a frame [1,3,H,W] after it}
    """

    def __init__(self, name: str, paint_as: dict[str, Callable[[Tensor], Tensor]]) -> None:
        self.name, self.names, self.paintings = name, (name,), tuple(paint_as)
        self._paint_as = paint_as

    @torch.inference_mode()
    def paint(self, frame: Picture, painting: Picture) -> dict[str, Tensor]:
        return {self.name: self._paint_as[painting.name](frame.rgb)}


@dataclass(frozen=True)
class Refinement:
    """For how long rows are improved, on which frames, and by which perceptual network."""

    seconds: float
    frames: Sequence[Picture]
    judge: Encoder


def of_collection(path: Path, paintings: Sequence[str], name: str | None = None) -> Networks:
    """One method from all styles of a collection that have a painting; ``name`` defaults to the file's stem.

    Raises WeightsError, InputError.
    """
    collection = load_collection(path)
    common = [n for n in collection.names if n in paintings]
    if not common:
        raise InputError(
            f"No style of {path} has a painting. It has {', '.join(collection.names)}; the paintings are "
            f"{', '.join(paintings)}."
        )

    def painter(style: str) -> Callable[[Tensor], Tensor]:
        code = collection.code({style: 1.0})[None]
        return lambda rgb: collection.net(rgb, code)

    return Networks(name or path.stem, {style: painter(style) for style in common})


class Encoded(Method):
    """A collection that paints after any picture, by the row that its encoder gives to it.

    With ``refine``, the row is then improved for so many seconds on the frames that are measured, as ``--refine`` does.
    Raises WeightsError where the collection has no encoder.
    """

    def __init__(
        self,
        path: Path,
        paintings: Sequence[Picture],
        name: str | None = None,
        refine: Refinement | None = None,
    ) -> None:
        self.collection, self.refine = load_collection(path), refine
        self.beside = name or path.stem
        self.name = f"{self.beside}, any picture{f', refined {refine.seconds:g} s' if refine else ''}"
        self.names, self.paintings = (self.name,), tuple(p.name for p in paintings)
        self._rows = {p.name: encoded_row(self.collection, scaled(p.rgb)) for p in paintings}
        self._refined: set[str] = set()

    def paint(self, frame: Picture, painting: Picture) -> dict[str, Tensor]:
        net, row = self.collection.net, self._rows[painting.name]
        if self.refine is not None and painting.name not in self._refined:
            frames, judge, seconds = [f.rgb for f in self.refine.frames], self.refine.judge, self.refine.seconds
            row = self._rows[painting.name] = refine_row(net, scaled(painting.rgb), row, frames, judge, seconds).row
            self._refined.add(painting.name)
        with torch.inference_mode():
            return {self.name: net.painted_by(frame.rgb, row[None])}


def of_checkpoints(given: Sequence[tuple[str, str]], name: str, paintings: Sequence[str]) -> Networks:
    """One method from networks of one style each; ``given`` are pairs of painting and checkpoint (``load_style``).

    Raises UsageError for a painting that does not exist or is given twice, WeightsError.
    """
    nets: dict[str, Callable[[Tensor], Tensor]] = {}
    for painting, checkpoint in given:
        check_painting(painting, paintings)
        if painting in nets:
            raise UsageError(
                f"The method '{name}' has two checkpoints for '{painting}'; give each a method: METHOD:{painting}=…"
            )
        nets[painting] = load_style(checkpoint).net
    return Networks(name, nets)


def check_painting(name: str, paintings: Sequence[str]) -> None:
    """Raise UsageError where there is no such painting."""
    if name not in paintings:
        raise UsageError(
            f"There is no painting '{name}'.{did_you_mean(name, paintings)} There are: {', '.join(paintings)}."
        )


class FromPhoto(Method):
    """Minimizes J with L-BFGS from the source frame (Gatys 2016, CVPR); measured after given numbers of steps.

    A step is one evaluation of J and its gradient, and the move that follows. The picture is clamped to [0,1] after
    each step, so that the picture that is optimized is the one that is measured.
    """

    def __init__(self, yardstick: Yardstick, steps: Sequence[int], paintings: Sequence[str]) -> None:
        if not steps or min(steps) < 1:
            raise UsageError("--lbfgs takes numbers of steps from 1 on, such as 20,40,60.")
        self.yardstick, self.steps, self.paintings = yardstick, sorted(set(steps)), tuple(paintings)
        self.names = tuple(f"L-BFGS {n}" for n in self.steps)

    def paint(self, frame: Picture, painting: Picture) -> dict[str, Tensor]:
        picture, descent, found = frame.rgb.clone(), Lbfgs(), {}
        best, best_picture = float("inf"), picture.clone()
        for step in range(1, self.steps[-1] + 1):
            x = picture.clone().requires_grad_(True)
            content, style = self.yardstick.losses(x, frame.name, painting.name)
            total = content + STYLE_WEIGHT * style
            (gradient,) = torch.autograd.grad(total, x)
            loss = float(total.detach())
            if loss < best:
                best = loss
                best_picture.copy_(picture)
            if loss > RUINED * best:  # a line search would have rejected this step
                picture.copy_(best_picture)
                descent.forget()
            else:
                descent.step(picture, gradient)
                picture.clamp_(0, 1)
            if step in self.steps:
                found[f"L-BFGS {step}"] = picture.clone()
        return found


class Painted(Method):
    """Pictures that another program has painted: ``FRAME__PAINTING.png`` in a folder, of the frame's size.

    It has the paintings that the names of its files name. Raises InputError where there are none.
    """

    def __init__(self, name: str, folder: Path, paintings: Sequence[str]) -> None:
        if not folder.is_dir():
            raise InputError(f"The folder of painted pictures {folder} does not exist.")
        there = {p.stem.partition("__")[2] for p in folder.glob("*.png")}
        self.name, self.names, self.folder = name, (name,), folder
        self.paintings = tuple(n for n in paintings if n in there)
        if not self.paintings:
            raise InputError(
                f"{folder} has no picture FRAME__PAINTING.png for any of the paintings {', '.join(paintings)}."
            )

    def paint(self, frame: Picture, painting: Picture) -> dict[str, Tensor]:
        path = self.folder / f"{frame.name}__{painting.name}.png"
        rgb = read_picture(path, what="painted picture")
        if rgb.shape != frame.rgb.shape:
            height, width = frame.rgb.shape[-2:]
            raise InputError(
                f"{path} measures {rgb.shape[-1]}x{rgb.shape[-2]} px; the frame {frame.name} is measured at "
                f"{width}x{height}. Scale it to that."
            )
        return {self.name: rgb}
