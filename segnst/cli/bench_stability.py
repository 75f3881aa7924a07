"""``segnst bench stability``."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from segnst.bench.settings import StabilitySettings
from segnst.cli.from_settings import Only, option, with_options
from segnst.cli.options import Json, Quiet, names_of, tell
from segnst.cli.printer import Printer
from segnst.config import FILES, WHAT, WHERE

MEASURE = "Measuring"


@with_options
def stability(
    settings: Annotated[StabilitySettings, Only("styles", "segmenter", "stability", "max_size", "device", "offline")],
    clips: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CLIP]…",
            help="Videos or folders of frames, which may have NAME_mask.png for each frame. Default: the rendered "
            "clips in videos/.",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        option(
            "Methods to measure, separated by commas. Default: all.", metavar="NAME,…", group=WHAT, complete="method"
        ),
    ] = None,
    mask: Annotated[
        str, option("Region whose mask is measured if the plan names none.", metavar="REGION", group=WHERE)
    ] = "vehicle",
    frames: Annotated[
        int | None, option("Use only so many frames, from the first on.", metavar="N", group=FILES, min=2)
    ] = None,
    raft: Annotated[
        Path | None,
        option(
            "Weights of RAFT small, which measures clips without true flow; fetched by default.",
            metavar="FILE",
            group=MEASURE,
        ),
    ] = None,
    features: Annotated[
        Path | None,
        option("VGG weights to measure style with; VGG19 is fetched by default.", metavar="FILE", group=MEASURE),
    ] = None,
    paintings: Annotated[
        list[str] | None,
        option("Painting of a style. Can be repeated.", "--painting", metavar="STYLE=FILE", group=MEASURE),
    ] = None,
    flow_cache: Annotated[
        Path | None, option("Folder that keeps the flows used for measuring.", metavar="DIR", group=MEASURE)
    ] = None,
    against: Annotated[
        Path | None,
        option("Compare with these saved results; exit with 1 if something got worse.", metavar="FILE", group=MEASURE),
    ] = None,
    tolerance: Annotated[
        float,
        option("Share by which a figure may be worse than the saved one.", metavar="X", group=MEASURE, min=0),
    ] = 0.1,
    force: Annotated[
        bool, option("Compare even if plan, clips, frames or measuring flow differ.", "--force", group=MEASURE)
    ] = False,
    output: Annotated[
        Path | None,
        option(
            "File X.json, to which X.md and plots are added, or a folder for stability.json and so on.",
            "-o",
            "--output",
            metavar="PATH",
            group=FILES,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure flicker, sharpness, style, masks and ghosting of per-frame styling, segnst and known methods."""
    from segnst import registry
    from segnst.bench.against import compare, load_report, refuse_early
    from segnst.bench.clips import gather, read_painting
    from segnst.bench.report import Files, plan_without_paths, run_benchmark, table
    from segnst.bench.stability import Options
    from segnst.bench.style_kept import load_features, paintings_by_layer
    from segnst.errors import UsageError
    from segnst.plan import parse_plan

    # all input is checked before anything is measured or fetched
    plan = parse_plan(settings.styles)
    saved = load_report(against) if against is not None else None
    files = Files.at(output) if output is not None else None
    pictures = {}
    for text in paintings or ():
        name, equals, file = text.partition("=")
        if not equals:
            raise UsageError(f"--painting takes STYLE=FILE, got '{text}'.")
        pictures[name] = read_painting(Path(file))
    paintings_by_layer(pictures, plan)
    chosen = gather(clips or [])
    if saved is not None and not force:
        refuse_early(saved, plan_without_paths(settings.styles), {clip.name: clip.sha256 for clip in chosen})
    encoder, digest, note = load_features(features, offline=settings.offline)
    options = Options(
        settings,
        methods=names_of(methods) if methods is not None else tuple(registry.STABILITY_METHODS),
        frames=frames,
        raft=raft,
        encoder=encoder,
        paintings=pictures,
        mask=mask,
        cache=flow_cache,
    )
    with Printer(quiet) as printer:
        report = run_benchmark(chosen, options, features=(digest, note), progress=printer.progress)
    print(json_module.dumps(report, indent=1, ensure_ascii=False) if json else table(report))
    # if the output is the file compared with, it is replaced only by results that are no worse
    itself = files is not None and against is not None and files.json.resolve() == against.resolve()
    if files is not None and not itself:
        tell(files.write(report), quiet)
    if saved is not None:
        comparison = compare(saved, report, tolerance=tolerance, force=force)
        print(f"\n{comparison}", file=sys.stderr if json else sys.stdout)
        if comparison.worse:
            if itself:
                print(f"{against} was not changed.", file=sys.stderr)
            raise typer.Exit(1)
    if files is not None and itself:
        tell(files.write(report), quiet)
