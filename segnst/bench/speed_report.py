"""The report of ``segnst bench speed`` as Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segnst.bench.plots import draw_lines
from segnst.bench.speed_run import REFERENCE

HEAD = (
    "mode", "engine", "frames a second", "processor ms", "share of the plain loop", "memory MB", "at half", "start s",
    "first frame s",
)  # fmt: skip


def pixels(size: str) -> int:
    """Pixels of a frame of a size such as ``640x360``."""
    width, height = map(int, size.split("x"))
    return width * height


def name_of(row: dict[str, Any]) -> str:
    """The mode of a row with its engine."""
    return row["mode"] if row["mode"] == REFERENCE else f"{row['mode']}, {row['asked']}"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(r) + " |" for r in (head, ["---"] * len(head), *rows)]


def markdown(report: dict[str, Any]) -> str:
    """Tables: all figures, the stages, and how the cost grows."""
    threads = "one thread" if report["threads"] == 1 else f"{report['threads']} threads"
    lines = [
        f"{report['frames']} frames of {report['clip']} a run, {report['rounds']} rounds, {threads}. Processor times "
        f"are a frame's, over all threads. The plain loop ({REFERENCE}) decodes, runs torchvision's DeepLab "
        "(MobileNetV3) and a pass of the same network for each style, pastes by the hard mask, and encodes.",
    ]
    groups = list(dict.fromkeys((r["size"], r["styles"]) for r in report["rows"]))
    for size, count in groups:
        rows = [r for r in report["rows"] if (r["size"], r["styles"]) == (size, count)]
        lines += ["", f"## {size}, {count} style{'s' if count > 1 else ''}", ""]
        lines += _table(
            HEAD,
            [
                [
                    r["mode"], r["engine"], f"{r['fps']:.2f}", f"{r['processor']:.0f}", f"{r['share']:.2f}",
                    f"{r['memory']:.0f}", f"{r['memory_half']:.0f}", f"{r['start']:.1f}", f"{r['first']:.1f}",
                ]
                for r in rows
            ],
        )  # fmt: skip
        stages = list(dict.fromkeys(k for r in rows for k in r["stages"] if r["mode"] != REFERENCE))
        mine = [r for r in rows if r["mode"] != REFERENCE]
        lines += ["", "Processor ms by stage:", ""]
        lines += _table(
            ("mode", *stages), [[name_of(r), *(f"{r['stages'].get(k, 0):.0f}" for k in stages)] for r in mine]
        )
    lines += ["", "## How the cost grows", "", *_growth(report)]
    lines += ["", "## Start-up", ""]
    lines += _table(("command", "processor seconds"), [[k, f"{v:.2f}"] for k, v in report["startup"].items()])
    return "\n".join(lines) + "\n"


def _growth(report: dict[str, Any]) -> list[str]:
    rows = report["rows"]
    sizes = sorted({r["size"] for r in rows}, key=pixels)
    counts = sorted({r["styles"] for r in rows})
    table = []
    for name in dict.fromkeys(name_of(r) for r in rows):
        mine = {(r["size"], r["styles"]): r for r in rows if name_of(r) == name}
        some, few = counts[len(counts) // 2], counts[0]
        cells = [f"{mine[s, some]['processor'] / mine[sizes[0], some]['processor']:.1f}" for s in sizes]
        cells += [f"{mine[sizes[0], c]['processor'] / mine[sizes[0], few]['processor']:.2f}" for c in counts]
        table.append([name, *cells])
    head = ("", *(f"{s} ({pixels(s) / pixels(sizes[0]):.1f}x the pixels)" for s in sizes))
    return _table((*head, *(f"{c} styles" for c in counts)), table)


def write(report: dict[str, Any], path: Path) -> None:
    """The plot: processor ms of a frame against its pixels, for the middle number of styles. Raises OutputError."""
    counts = sorted({r["styles"] for r in report["rows"]})
    count = counts[len(counts) // 2]
    series: dict[str, list[tuple[float, float]]] = {}
    for row in report["rows"]:
        if row["styles"] == count:
            series.setdefault(name_of(row), []).append((pixels(row["size"]) / 1e6, row["processor"]))
    draw_lines(
        {name: sorted(points) for name, points in series.items()},
        path,
        title=f"processor ms a frame against megapixels, {count} styles (both logarithmic)",
    )
