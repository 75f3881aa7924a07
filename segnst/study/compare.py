"""``segnst compare``: a comparative study of several methods on the same pictures with the same measurements.

A method is ``lbfgs`` or ``adam`` (optimization after the painting) or a style: a name or the path of a checkpoint of
any kind that ``segnst style`` takes. Every result is measured on the same encoder, at full size, unweighted and
relative to the target's energy (segnst.perceptual.objective). Style losses compare with one painting, so they are high
for a network that was trained on another painting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst.assembly import build, versions
from segnst.bench.clips import find_clip
from segnst.bench.measure import measuring_flow
from segnst.bench.metrics import masked_mean, squared_difference
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import UsageError
from segnst.files import write_text
from segnst.flow.dis import DisFlow
from segnst.jobs.events import Context, JobReport, Measured
from segnst.jobs.optimize import load_features
from segnst.jobs.optimize_settings import whole_frame
from segnst.jobs.outputs import folder_for
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.loss_weights import LossWeights
from segnst.perceptual.objective import CONTENT_LAYERS, STYLE_LAYERS, Objective, StyleRegion
from segnst.pipeline import Pipeline, State
from segnst.sheet import write_sheet
from segnst.study.compare_report import check_report, markdown
from segnst.study.settings import CompareOptions
from segnst.style.checkpoints import load_style
from segnst.style.optimization import resized
from segnst.style.optimization_settings import OptimizeSettings
from segnst.style.optimization_stylizer import OptimizingStylizer
from segnst.video.pictures import read_picture
from segnst.video.read import open_reader

OPTIMIZERS = ("lbfgs", "adam")


@dataclass
class _Method:
    """A method's name, and functions that build its pipelines for stills and for clips."""

    name: str
    still: Callable[[], Pipeline]
    clip: Callable[[], Pipeline]


def _short(name: str) -> str:
    """A name, or a path without its folder, because the machine's paths do not belong in a report."""
    return Path(name).name


def _told(options: CompareOptions) -> dict[str, Any]:
    told = {k: v.name if isinstance(v, Path) else v for k, v in asdict(options).items()}
    return told | {"features": _short(options.features), "methods": [_short(m) for m in options.methods]}


def _peak_reset() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float | None:
    """Peak memory since the last reset in MB; None where the system does not report it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1024 if found else None


def _method(name: str, options: CompareOptions, encoder: Encoder, painting: Tensor, context: Context) -> _Method:
    """Raises WeightsError for an unknown style, with the nearest name."""
    device = choose_device(options.device)
    if name not in OPTIMIZERS:
        load_style(name)  # reports errors of the checkpoint before anything is computed
        settings = Settings(styles=(name,), device=options.device, offline=options.offline)
        return _Method(
            _short(name), lambda: build(replace(settings, stabilize=False)).pipeline, lambda: build(settings).pipeline
        )
    plan = whole_frame([str(options.painting)])

    def pipeline(steps: int, moving: bool) -> Pipeline:
        settings = OptimizeSettings(steps=steps, optimizer=name)  # type: ignore[arg-type]
        flow = DisFlow() if moving else None
        paintings = {str(options.painting): painting.to(device)}
        stylizer = OptimizingStylizer(
            plan, paintings, encoder, settings, flow=flow, watch=lambda step, picture, losses: context.check()
        )
        return Pipeline(plan, stylizer, device=device)

    return _Method(name, lambda: pipeline(options.steps, False), lambda: pipeline(options.clip_steps, True))


class _Judge:
    """Content and style losses of a picture, by layer."""

    def __init__(self, encoder: Encoder, content: Tensor, painting: Tensor) -> None:
        content_layers = tuple((n, 1.0) for n in CONTENT_LAYERS if n in encoder.layers)
        style_layers = tuple((n, 1.0) for n in (*STYLE_LAYERS, "relu3_4") if n in encoder.layers)
        weights = LossWeights(content_layers=content_layers or ((encoder.layers[-1], 1.0),), style_layers=style_layers)
        scale = max(content.shape[-2:]) / max(painting.shape[-2:])
        size = (round(painting.shape[-2] * scale), round(painting.shape[-1] * scale))
        self.objective = Objective(encoder, weights, content, [StyleRegion([(resized(painting, size), 1.0)])])

    @torch.no_grad()
    def __call__(self, picture: Tensor) -> dict[str, float]:
        _, terms = self.objective(picture)
        return {name: float(value) for name, value in terms.items()}


def _temporal(method: _Method | None, options: CompareOptions, context: Context) -> tuple[float | None, str]:
    """E_warp x1000 over the first frames of the clip (without a method: of the unstyled clip), and the flow's name."""
    assert options.clip is not None
    clip = find_clip(options.clip)
    flow, _ = measuring_flow(clip, options.raft, choose_device(options.device), offline=options.offline)
    pipeline, state, last = method.clip() if method else None, State(), None
    errors: list[float] = []
    with open_reader(clip.path, max_size=options.clip_size) as reader:
        for number, each in enumerate(reader):
            if number == options.clip_frames:
                break
            context.check()
            painted = each.rgb
            if pipeline is not None:
                styled, state = pipeline.frame(each.rgb, state)
                painted = styled.rgb.cpu()
            now = (each.rgb, painted)
            if last is not None:
                pair = flow(number, now[0], last[0])
                error = masked_mean(squared_difference(now[1], last[1], pair.flow), pair.valid)
                errors += [] if error is None else [1000 * error]
            last = now
    return (sum(errors) / len(errors) if errors else None), flow.name


@dataclass
class CompareReport(JobReport):
    """The figures of all methods by name.

    ``files`` (JSON, Markdown, sheet) were written; ``as_dict`` leaves them out, because the machine's paths do not
    belong in a report.
    """

    encoder: str
    pictures: list[str]
    threads: int
    options: dict[str, Any]
    warnings: list[str]
    files: tuple[Path, Path, Path]
    flow: str | None = None
    e_warp_source: float | None = None
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)

    def as_dict(self) -> dict[str, Any]:
        told = super().as_dict()
        last = {name: told.pop(name) for name in ("warnings", "versions", "options")}
        del told["files"]
        return told | last


def compare_files(
    input: Sequence[Path],
    output: str | Path | None,
    settings: CompareOptions,
    *,
    overwrite: bool = False,
    context: Context | None = None,
) -> CompareReport:
    """Run all methods on all pictures; write OUTPUT.json, OUTPUT.md and OUTPUT.png (the sheet).

    output  default ``results/compare``
    Raises UsageError, InputError, OutputError, WeightsError before anything is computed; Cancelled.
    """
    context = context or Context()
    paths = check_report(output, overwrite)
    if not settings.methods or len(set(settings.methods)) < len(settings.methods):
        raise UsageError("--methods takes different methods, separated by commas, such as lbfgs,starry_night.")
    device = choose_device(settings.device)
    context.stage("open the input")
    painting = read_picture(settings.painting, what="painting")
    pictures = {p.name: read_picture(p, settings.max_size, "input") for p in input}
    if len(pictures) < len(input):
        raise UsageError("Two of the pictures have the same name.")
    if settings.clip is not None:
        find_clip(settings.clip)
    with context.loading() as said:
        encoder = load_features(settings.features, offline=settings.offline, device=device)
    methods = [_method(name, settings, encoder, painting, context) for name in settings.methods]
    report = CompareReport(
        encoder.name, list(pictures), torch.get_num_threads(), options=_told(settings), warnings=said, files=paths
    )
    rows = [[("picture", rgb[0])] for rgb in pictures.values()]
    if settings.show_painting:
        rows[0].append(("painting", painting[0]))
        for row in rows[1:]:
            row.append(("", torch.ones_like(painting[0])))
    if settings.clip is not None:
        report.e_warp_source, report.flow = _temporal(None, settings, context)
    for method in methods:
        context.stage(f"paint by {method.name}")
        painted, entry = _paint(method, pictures, encoder, painting.to(device), context)
        for row, picture in zip(rows, painted, strict=True):
            row.append((method.name, picture))
        if settings.clip is not None:
            entry["e_warp"] = _temporal(method, settings, context)[0]
        report.methods[method.name] = entry
        context.tell(Measured(method.name, entry["losses"], entry["seconds"]))
        context.check()
    with folder_for(paths[0]):
        facts = report.as_dict()
        write_sheet(paths[2], rows, width=320)
        write_text(paths[1], markdown(facts, paths[2].name))
        write_text(paths[0], json.dumps(facts, indent=1))
    return report


def _paint(
    method: _Method, pictures: dict[str, Tensor], encoder: Encoder, painting: Tensor, context: Context
) -> tuple[list[Tensor], dict[str, Any]]:
    """All pictures painted by one method, and its mean losses, times and peak memory."""
    _peak_reset()
    wall, cpu, sums, results = 0.0, 0.0, dict[str, float](), []
    for number, rgb in enumerate(pictures.values()):
        pipeline = method.still()
        mark = time.perf_counter(), time.process_time()
        painted = pipeline.frame(rgb, State())[0].rgb
        wall, cpu = wall + time.perf_counter() - mark[0], cpu + time.process_time() - mark[1]
        judge = _Judge(encoder, rgb.to(painting.device), painting)
        for name, value in judge(painted.clone()).items():
            sums[name] = sums.get(name, 0.0) + value / len(pictures)
        results.append(painted[0].cpu())
        context.thumbnail(number, painted)
        context.check()
    count = len(pictures)
    times = {"seconds": wall / count, "cpu_seconds": cpu / count}
    return results, {"losses": sums, **times, "memory_mb": _peak(), "e_warp": None}
