"""``segnst bench front``."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segnst.cli.from_settings import like, option
from segnst.cli.front_options import collections_of, encoded, networks, numbers, optimized, others, paintings_of
from segnst.cli.options import Features, Offline, Quiet, tell
from segnst.config import FILES, WHAT, Settings

if TYPE_CHECKING:
    from torch import Tensor

    from segnst.bench.front import Picture, Report

MEASURE = "Measuring"
SHEET_WIDTH = 320  # px, width of each picture on the sheet


def front(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[PAINTINGS]", help="Folder of paintings, named by --list or by their files."),
    ] = None,
    listing: Annotated[
        Path | None,
        option("Which file of PAINTINGS is which style (TOML), as for training.", "--list", metavar="FILE", group=WHAT),
    ] = None,
    paintings: Annotated[
        list[str] | None,
        option("Painting to compare with. Can be repeated.", "--painting", metavar="NAME=PATH", group=WHAT),
    ] = None,
    frames: Annotated[
        list[str] | None,
        option(
            "Still, or frame N of a video, which was not trained on. Can be repeated. Default: frame 20 of the three "
            "rendered clips.",
            "--frame",
            metavar="FILE[@N]",
            group=WHAT,
        ),
    ] = None,
    collections: Annotated[
        list[str] | None,
        option(
            "Collection, of which all styles that have a painting are measured. Can be repeated.",
            "--collection",
            metavar="[METHOD=]PATH",
            group=WHAT,
        ),
    ] = None,
    free: Annotated[
        list[Path] | None,
        option(
            "Folder of pictures to paint after without learning them, by the encoder of each collection that has one "
            "(default: the bundled collection). PAINTINGS are then painted after in the same way, beside their trained "
            "rows. Can be repeated.",
            "--pictures",
            metavar="DIR",
            group=WHAT,
        ),
    ] = None,
    checkpoints: Annotated[
        list[str] | None,
        option(
            "Network of one style, for the painting NAME; those of one METHOD share a row of means. Can be repeated.",
            "--checkpoint",
            metavar="[METHOD:]NAME=PATH",
            group=WHAT,
        ),
    ] = None,
    lbfgs: Annotated[
        str | None,
        option(
            "Also optimize each frame, starting from the photo, for each of these numbers of steps.",
            metavar="N,N…",
            group=MEASURE,
        ),
    ] = None,
    lbfgs_on: Annotated[
        str | None, option("Paintings that --lbfgs is used with. Default: all.", metavar="NAME,NAME…", group=MEASURE)
    ] = None,
    refine: Annotated[
        str | None,
        option(
            "With --pictures, also improve each row for each of these numbers of seconds, on the measured frames.",
            metavar="N,N…",
            group=MEASURE,
        ),
    ] = None,
    refine_features: Annotated[str | None, like(Settings, "refine_features", group="Losses")] = None,
    painted: Annotated[
        list[str] | None,
        option(
            "Folder of pictures from another program, named FRAME__PAINTING.png. Can be repeated.",
            "--painted",
            metavar="METHOD=FOLDER",
            group=WHAT,
        ),
    ] = None,
    features: Features = "vgg19",
    deep_features: Annotated[
        str | None,
        option(
            "Perceptual network for relu4_1: a name or a file. Default: that of --features.",
            metavar="NAME|FILE",
            group="Losses",
        ),
    ] = None,
    output: Annotated[
        Path | None, option("Write X.json, X.md and the plot X.png.", "-o", "--output", metavar="X", group=FILES)
    ] = None,
    sheet: Annotated[
        Path | None, option("Also write all painted frames as one picture.", metavar="PNG", group=FILES)
    ] = None,
    overwrite: Annotated[bool, option("Replace outputs that exist.", "--overwrite", group=FILES)] = False,
    offline: Offline = False,
    json: Annotated[bool, option("Print the figures as JSON instead of tables.", "--json", group=FILES)] = False,
    quiet: Quiet = False,
) -> None:
    """Measure content and style losses of frames painted by collections, networks of one style and optimization."""
    from segnst.bench.front import Yardstick, markdown, measure, read_frames
    from segnst.errors import UsageError
    from segnst.perceptual.encoders import load_encoder

    files = _outputs(output, sheet, overwrite)
    pictures = paintings_of(folder, listing, paintings or (), free or ())
    encoder = load_encoder(features, offline=offline)
    deep = load_encoder(deep_features, offline=offline) if deep_features is not None else encoder
    shown = read_frames(frames or ())
    names = [p.name for p in pictures]
    steps = numbers(lbfgs, "--lbfgs", int) if lbfgs is not None else None
    chosen = collections_of(collections or (), default=bool(free))
    methods = networks(chosen, checkpoints or (), names, strict=not free) + others(painted or (), names)
    methods += encoded(chosen, pictures, shown, refine, refine_features, offline) if free else []
    if refine is not None and not free:
        raise UsageError("--refine needs --pictures: it improves the styles that are made of them.")
    yardstick = Yardstick(encoder, deep, shown, pictures)
    methods += optimized(yardstick, steps, lbfgs_on, names)
    looks = _Sheet(shown) if sheet is not None else None
    report = measure(
        methods, yardstick, shown, pictures,
        keep=looks, tell=None if quiet else _say,
    )  # fmt: skip
    print(json_module.dumps(report, indent=1, ensure_ascii=False) if json else markdown(report))
    written = _write(report, files)
    if looks is not None and sheet is not None:
        looks.write(sheet)
        written.append(sheet)
    if written:
        tell(written, quiet)


def _outputs(output: Path | None, sheet: Path | None, overwrite: bool) -> list[Path]:
    """Return the paths X.json, X.md and X.png, after checking them and the sheet. Raises OutputError."""
    from segnst.errors import OutputError
    from segnst.video.pictures import check_png

    files = [] if output is None else [output.with_name(f"{output.name}{end}") for end in (".json", ".md", ".png")]
    if sheet is not None and sheet.resolve() in [f.resolve() for f in files]:
        raise OutputError(f"--sheet and the plot of -o are both {sheet}; give one of them another name.")
    for path in files:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {path.parent} cannot be created ({error.strerror}).") from error
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")
    if sheet is not None:
        check_png(sheet, overwrite=overwrite)
    return files


def _say(row: dict[str, Any]) -> None:
    figures = f"content {row['content']:.3f}, style {row['style']:.4f}, J {row['J']:.2f}"
    print(f"{row['painting']}, {row['method']}: {figures}", file=sys.stderr, flush=True)


class _Sheet:
    """A listener that keeps all painted frames for the sheet, which has a row for each painting and frame."""

    def __init__(self, frames: Sequence[Picture]) -> None:
        self.frames = {f.name: f.rgb for f in frames}
        self.rows: dict[tuple[str, str], list[tuple[str, Tensor]]] = {}

    def __call__(self, painting: str, frame: str, method: str, painted: Tensor) -> None:
        from segnst.bench.front import to_width

        row = self.rows.setdefault((painting, frame), [(f"{painting}, {frame}", self.frames[frame][0])])
        row.append((method, to_width(painted.detach().clamp(0, 1), SHEET_WIDTH)[0]))

    def write(self, path: Path) -> None:
        from segnst.sheet import write_sheet

        write_sheet(path, list(self.rows.values()), SHEET_WIDTH)


def _write(report: Report, files: Sequence[Path]) -> list[Path]:
    """Write the report as JSON, Markdown and a plot; return the files. Raises OutputError."""
    from segnst.bench.front import markdown
    from segnst.bench.plots import draw_content_style
    from segnst.files import write_text

    if not files:
        return []
    data, text, plot = files
    write_text(data, json_module.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_text(text, markdown(report))
    shared = report["common"]
    rows = [row for row in report["rows"] if not shared or row["painting"] in shared]
    which = ", ".join(shared) if 0 < len(shared) <= 4 else f"{len(shared)} paintings" if shared else "own paintings"
    means = report["common_means"] if shared else report["means"]
    draw_content_style(means, rows, plot, weight=report["style_weight"], title=f"means over {which}")
    return list(files)
