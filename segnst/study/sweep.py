"""Paints one picture for each value of a setting, and draws a grid of the pictures with their loss curves."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from torch import Tensor

from segnst.errors import UsageError, did_you_mean
from segnst.jobs.events import Context, JobReport
from segnst.jobs.optimize import optimize_file
from segnst.jobs.optimize_film import FilmOptions, history
from segnst.jobs.optimize_settings import OptimizeOptions
from segnst.jobs.outputs import default_output, folder_for, output_path
from segnst.perceptual.loss_weights import LossWeights
from segnst.pixels import from_bytes
from segnst.sheet import write_sheet
from segnst.style.optimization_settings import OptimizeSettings
from segnst.train.curves import draw_curves
from segnst.video.pictures import check_png, read_picture, write_picture
from segnst.video.read import open_reader

_LOSSES = ("content_weight", "style_weight", "tv_weight")
_SETTINGS = ("steps", "optimizer", "init", "pooling", "scales", "learning_rate", "style_scale", "seed")


@dataclass(frozen=True)
class Sweep:
    """The name of a setting, and values of that setting's type."""

    name: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """Read ``style_weight=1e3,1e4``. Raises UsageError."""
        name, equals, listed = text.partition("=")
        name = name.strip().replace("-", "_")
        known = (*_LOSSES, *_SETTINGS)
        if name not in known:
            raise UsageError(f"'{name}' cannot be swept.{did_you_mean(name, known)} Known: {', '.join(known)}.")
        words = [w.strip() for w in listed.split(",") if w.strip()]
        if not equals or not words:
            raise UsageError(f"--sweep takes NAME=VALUE,VALUE,…, got '{text}'.")
        if len(words) > 12:
            raise UsageError(f"--sweep takes 12 values at most, got {len(words)}.")
        owner: Any = LossWeights if name in _LOSSES else OptimizeSettings
        kind: Any = {f.name: type(f.default) for f in dataclasses.fields(owner)}[name]
        try:
            return cls(name, tuple(kind(w) for w in words))
        except ValueError:
            raise UsageError(f"The values of {name} in '{text}' must be numbers.") from None

    def apply(self, options: OptimizeOptions, value: Any) -> OptimizeOptions:
        """The options with one of the values set. Raises UsageError where it is out of range."""
        settings = options.settings
        if self.name in _LOSSES:
            settings = replace(settings, losses=replace(settings.losses, **{self.name: value}))
        else:
            settings = replace(settings, **{self.name: value})
        return replace(options, settings=settings)


def _curves(losses: list[dict[str, Any]], folder: Path) -> Tensor:
    named = {n: p for n, p in history(losses).items() if n in ("total", "content", "style")}
    chosen = {f"log10 {n}": [(k, math.log10(v)) for k, v in p if v > 0] for n, p in named.items()}
    draw_curves(chosen, folder / "curves.png", columns=1)
    drawn = cv2.imread(str(folder / "curves.png"))
    assert drawn is not None
    return from_bytes(drawn[..., ::-1])


@dataclass
class SweepReport(JobReport):
    """``runs`` has an entry for each value; ``steps`` and ``seconds`` are totals; other figures are of the last run."""

    output: Path
    sweep: str
    runs: list[dict[str, Any]]
    steps: int
    seconds: float
    features: str
    converged: bool
    losses: list[dict[str, Any]]
    warnings: list[str]
    files: list[str]
    settings: dict[str, Any]


def optimize_sweep(
    input: str | Path,
    output: str | Path | None,
    settings: OptimizeOptions,
    *,
    sweep: Sweep,
    film: FilmOptions = FilmOptions(),  # noqa: B008 - frozen
    overwrite: bool = False,
    context: Context | None = None,
) -> SweepReport:
    """Paint a still, or the first frame of a video, once for each value.

    output  a PNG that shows the pictures above their curves, default ``results/<stem>_<paintings>_sweep.png``
    Raises what ``optimize_file`` raises.
    """
    context = context or Context()
    path, plan = Path(input), settings.plan()
    if film != FilmOptions():
        raise UsageError("--every, --gif, --mp4 and --curves are for one picture, not for a --sweep.")
    likely = default_output(path, plan.styles)
    default = likely.with_name(f"{likely.stem}_sweep.png")
    out = output_path(path, output, plan.styles, overwrite=overwrite, default=default)
    if out.parent.exists():
        check_png(out, overwrite=overwrite)
    each = [sweep.apply(settings, value) for value in sweep.values]
    top: list[tuple[str, Tensor]] = []
    below: list[tuple[str, Tensor]] = []
    runs = []
    with tempfile.TemporaryDirectory(prefix="segnst-sweep-") as name:
        folder = Path(name)
        still = path
        if path.exists():
            with open_reader(path, start=settings.start, end=settings.end, threaded=False) as reader:
                if reader.info.kind != "image":
                    still = folder / f"{path.stem}.png"
                    write_picture(still, next(iter(reader)).rgb)
                    each = [replace(chosen, start=None, end=None) for chosen in each]
        for k, (value, chosen) in enumerate(zip(sweep.values, each, strict=True)):
            context.stage(f"{sweep.name} {value}")
            report = optimize_file(still, folder / f"{k}.png", chosen, context=context)
            last = report.losses[-1]
            top.append((f"{sweep.name} {value}", read_picture(report.output)[0]))
            below.append((f"content {last['content']:.3g}  style {last['style']:.3g}", _curves(report.losses, folder)))
            runs.append({"value": value, "steps": report.steps, "seconds": report.seconds, "losses": report.losses})
        # rows of at most four, each picture above its curves
        rows = [r[k : k + 4] for k in range(0, len(top), 4) for r in (top, below)]
        context.stage("draw the grid")
        with folder_for(out):
            write_sheet(out, rows, width=384)
    return SweepReport(
        output=out,
        sweep=sweep.name,
        runs=runs,
        steps=sum(r["steps"] for r in runs),
        seconds=sum(r["seconds"] for r in runs),
        features=report.features,
        converged=report.converged,
        losses=runs[-1]["losses"],
        warnings=report.warnings,
        files=[],
        settings=asdict(settings),
    )
