"""The report of a comparison: its Markdown, and the files that it is written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segnst.errors import OutputError


def _table(report: dict[str, Any]) -> str:
    """A Markdown table with one row for each method."""
    rows = report["methods"]
    layers = [k for k in next(iter(rows.values()))["losses"] if " " in k]
    heads = ["method", "content", "style", *layers, "seconds a picture", "CPU seconds", "memory MB"]
    clip = report["options"]["clip"] is not None
    heads += ["E_warp x1000"] if clip else []
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, row in rows.items():
        cells = [name, *(f"{row['losses'][k]:.3g}" for k in ("content", "style", *layers))]
        cells += [f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}"]
        cells += ["" if row["memory_mb"] is None else f"{row['memory_mb']:.0f}"]
        if clip:
            cells.append("" if row["e_warp"] is None else f"{row['e_warp']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(report: dict[str, Any], sheet: str) -> str:
    """The report as Markdown, with a link to the sheet."""
    options = report["options"]
    text = (
        f"# Comparison: {Path(options['painting']).name}\n\n"
        f"{', '.join(report['pictures'])} at {options['max_size']} px, losses on {report['encoder']}, mean over "
        f"pictures, relative to the target's energy; lower is nearer. Optimization: {options['steps']} steps. Seconds "
        f"are wall-clock time on {report['threads']} thread(s); memory is the peak of the whole process while the "
        "method ran.\n"
    )
    if options["clip"]:
        text += (
            f"\nE_warp (Lai 2018): first {options['clip_frames']} frames of {Path(options['clip']).name} at "
            f"{options['clip_size']} px, flow: {report['flow']}; optimization with {options['clip_steps']} steps for "
            "the first frame and a quarter for each other, networks with `segnst style`'s own stabilizing. The clip "
            f"itself has {report['e_warp_source'] or 0:.2f}.\n"
        )
    return f"{text}\n{_table(report)}\n\n![The pictures]({sheet})\n"


def report_files(out: Path) -> tuple[Path, Path, Path]:
    """X.json, X.md, X.png for X or X.json."""
    stem = out.with_suffix("") if out.suffix in (".json", ".md", ".png") else out
    return stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".md"), stem.with_name(stem.name + ".png")


def check_report(output: str | Path | None, overwrite: bool) -> tuple[Path, Path, Path]:
    """The checked files of a report; only the default's folder may be missing. Raises OutputError."""
    paths = report_files(Path("results/compare" if output is None else output))
    if output is not None and not paths[0].parent.is_dir():
        raise OutputError(f"The folder {paths[0].parent} for the report does not exist; create it first.")
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")
    return paths
