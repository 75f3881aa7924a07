"""The benchmark's report: JSON without paths of the machine, Markdown tables and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from segnst import registry
from segnst.assembly import versions
from segnst.bench.clips import BenchClip
from segnst.bench.columns import COLUMNS, base
from segnst.bench.meters import EDGES, OURS, PER_FRAME, SOURCE, Figures
from segnst.bench.metrics import BANDS
from segnst.bench.plots import draw_errors, draw_front
from segnst.bench.stability import Options, Progress, measure_clip
from segnst.errors import OutputError
from segnst.files import write_text
from segnst.plan import parse_plan, short_name

FORMAT = "segnst-stability-1"
Report = dict[str, Any]


def _rounded(value: Any) -> Any:
    """Round to six significant digits, which is finer than any of these measurements and keeps saved files small."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def plan_without_paths(entries: Sequence[str]) -> list[str]:
    """The plan's entries, with the path of each checkpoint replaced by its stem."""
    texts = []
    for entry in parse_plan(entries).entries:
        text = str(entry)
        for term in entry.styles:
            text = text.replace(term.style, short_name(term.style))
        texts.append(text)
    return texts


def about(method: str) -> str:
    """What a method is, in one line: the first line of its docstring."""
    if method == SOURCE:
        return "The unstyled clip: the floor."
    module = import_module(registry.STABILITY_METHODS[method].partition(":")[0])
    return str(module.run.__doc__).strip().splitlines()[0]


def mean_over_clips(clips: Mapping[str, Report]) -> dict[str, Figures]:
    """{method: {figure: mean over the clips that have it}}."""
    means: dict[str, Figures] = {}
    for method in dict.fromkeys(m for clip in clips.values() for m in clip["methods"]):
        rows = [clip["methods"][method] for clip in clips.values() if method in clip["methods"]]
        keys = dict.fromkeys(k for row in rows for k in row)
        means[method] = {k: sum(v) / len(v) for k in keys if (v := [row[k] for row in rows if k in row])}
    return means


def run_benchmark(
    clips: Sequence[BenchClip],
    options: Options,
    *,
    features: tuple[str, str] = ("", ""),
    progress: Progress | None = None,
) -> Report:
    """Measure all clips; ``features`` is (SHA-256, note) of the perceptual network. Raises as ``measure_clip``."""
    measured = {clip.name: measure_clip(clip, options, progress) for clip in clips}
    weights: dict[str, str] = {}
    for result in measured.values():
        weights |= result.pop("weights")
    if features[0]:
        weights["features"] = features[0]
    settings = options.settings
    return {
        "format": FORMAT,
        "plan": plan_without_paths(settings.styles),
        "settings": {
            "stability": settings.stability,
            "flow": settings.flow,
            "segmenter": short_name(settings.segmenter),
            "edge": settings.edge,
            "max_size": settings.max_size,
            "frames": options.frames,
            "device": settings.device,
        },
        "versions": versions(),
        "weights": weights,
        "notes": [features[1]] if features[1] else [],
        "about": {m: about(m) for m in (SOURCE, *options.measured)},
        "columns": {k: {"better": c.better, "about": c.about} for k, c in COLUMNS.items()},
        "clips": _rounded(measured),
        "mean": _rounded(mean_over_clips(measured)),
    }


def _cell(figures: Mapping[str, float | None], key: str, digits: int = 3) -> str:
    value = figures.get(key)
    return "" if value is None else f"{value:.{digits}f}"


_MAIN = (
    ("E_warp x1000", ""),
    ("ratio", "ratio"),
    ("excess", "excess"),
    ("long excess", "long_excess"),
    ("e_stab", "e_stab"),
)
_REST = (
    ("sharpness", "sharpness"),
    ("ghosts", "ghosts"),
    ("pumping", "pumping"),
    ("cut bleed", "cut_bleed"),
    ("mask flicker", "mask_flicker"),
    ("mask IoU", "mask_iou"),
)


def _method_table(methods: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    bands = [f"sharp {b}" for b in BANDS]
    layers = sorted({k for f in methods.values() for k in f if base(k) == "style" and "@" not in k})
    head = ["method", *(n for n, _ in _MAIN), *bands, *(f"style {k[6:-1]}" for k in layers), *(n for n, _ in _REST)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    names = {SOURCE: "source (floor)", PER_FRAME: "per-frame (ceiling)"}
    for name, f in methods.items():
        error = f.get("e_warp")
        cells = [names.get(name, name), "" if error is None else f"{1000 * error:.3f}"]
        cells += [_cell(f, key, 4 if key == "e_stab" else 3) for _, key in _MAIN[1:]]
        cells += [_cell(f, f"sharp[{band}]") for band in BANDS]
        cells += [_cell(f, key) for key in layers] + [_cell(f, key) for _, key in _REST]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _inner_table(methods: Mapping[str, Mapping[str, float | None]], kind: str, title: str) -> list[str]:
    """A table of the figures of one kind, with a column for each name in brackets; empty where there are none."""
    found = {k for f in methods.values() for k in f if base(k) == kind and "[" in k}
    keys = sorted(found, key=lambda k: (EDGES in k, k))
    if not keys:
        return []
    inner = [key.partition("[")[2][:-1] for key in keys]
    head = [title, *("8 px around edges" if name == EDGES else name for name in inner)]
    lines = ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, f in methods.items():
        if name not in (SOURCE, PER_FRAME):
            lines.append("| " + " | ".join([name, *(_cell(f, key) for key in keys)]) + " |")
    return lines


def table(report: Report) -> str:
    """The figures as Markdown: tables for each clip, and one of the means over clips."""
    blocks = [f"Plan: {', '.join(report['plan'])}."]
    blocks += [f"Note: {note}" for note in report["notes"]]
    for name, clip in report["clips"].items():
        width, height = clip["size"]
        cuts = f", cuts at {', '.join(map(str, clip['cuts']))}" if clip["cuts"] else ""
        lines = [
            f"**{name}**: {clip['frames']} frames of {width}x{height}{cuts}; flow to measure with: "
            f"{clip['measured_with']}; mask: {clip['mask']}",
            "",
            *_method_table(clip["methods"]),
            *_inner_table(clip["methods"], "excess", "excess inside"),
            *_inner_table(clip["methods"], "style_distance", "distance to the painting"),
        ]
        ours = clip["methods"].get(OURS, {})
        if "encoded_e_warp" in ours:
            lines += [
                "",
                f"segnst after encoding: E_warp x1000 {1000 * ours['encoded_e_warp']:.3f}, excess "
                f"{_cell(ours, 'encoded_excess') or 'undefined'}, sharpness {_cell(ours, 'encoded_sharpness')}.",
            ]
        lines += [line for note in clip["notes"] for line in ("", f"Note: {note}")]
        blocks.append("\n".join(lines))
    if len(report["clips"]) > 1:
        blocks.append("\n".join(["**mean over clips**", "", *_method_table(report["mean"])]))
    return "\n\n".join(blocks)


@dataclass(frozen=True, slots=True)
class Files:
    """Where a report goes: ``X.json``, ``X.md``, ``X_error.png``, ``X_front.png``."""

    json: Path

    @classmethod
    def at(cls, output: Path) -> Files:
        """The files for ``output``: a name that ends in .json, or a folder, which gets ``stability.json``.

        The folder is created. Raises OutputError where that fails.
        """
        file = output if output.suffix == ".json" else output / "stability.json"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {file.parent} cannot be created ({error.strerror}).") from error
        return cls(file)

    def write(self, report: Report) -> list[Path]:
        """Write all files and replace existing ones; returns what was written. Raises OutputError."""
        stem = self.json.with_suffix("")
        errors, front = (stem.with_name(f"{stem.name}_{kind}.png") for kind in ("error", "front"))
        write_text(self.json, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        write_text(stem.with_suffix(".md"), table(report) + "\n")
        draw_errors({name: clip["error_over_time"] for name, clip in report["clips"].items()}, errors)
        draw_front(report["mean"], front)
        return [p for p in (self.json, stem.with_suffix(".md"), errors, front) if p.is_file()]
