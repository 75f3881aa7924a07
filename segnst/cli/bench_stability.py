"""``segnst bench stability``."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.options import Device, Offline, Quiet, names_of, tell
from segnst.cli.printer import Printer


def stability(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CLIP]…",
            help="Videos, folders of frames, or folders with NAME_mask.png beside each frame. Default: the rendered "
            "clips in videos/.",
        ),
    ] = None,
    styles: Annotated[
        list[str] | None,
        typer.Option("-s", "--style", help="The plan, as for `segnst style`. Default: starry_night_single."),
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Which ones, separated by commas. Default: all.")] = None,
    stability: Annotated[float, typer.Option(help="How steady, 0 to 1.")] = 0.9,
    segmenter: Annotated[str, typer.Option(help="A name, or the path of a trained one.")] = "deeplab",
    mask: Annotated[
        str, typer.Option(metavar="REGION", help="Whose mask is measured where the plan names none.")
    ] = "vehicle",
    frames: Annotated[int | None, typer.Option(min=2, help="Only the first so many frames.")] = None,
    max_size: Annotated[int | None, typer.Option(metavar="PX", help="Reduce the long side to this.")] = 640,
    raft: Annotated[
        Path | None, typer.Option(help="RAFT small weights, to measure where there is no truth; fetched otherwise.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="VGG weights, to measure style by; VGG19 is fetched otherwise.")
    ] = None,
    paintings: Annotated[
        list[str] | None, typer.Option("--painting", metavar="STYLE=FILE", help="The painting of a style.")
    ] = None,
    flow_cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep measuring flows here.")] = None,
    device: Device = "auto",
    offline: Offline = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write X.json, X.md and plots, or a folder for stability.json and the like."
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with saved results; exit 1 where something got worse.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share by which a figure may get worse against the saved one.")
    ] = 0.1,
    force: Annotated[
        bool, typer.Option("--force", help="Compare though plan, clips, frames or measuring flow differ.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Figures on stdout as JSON instead of a table.")] = False,
    quiet: Quiet = False,
) -> None:
    """Flicker, sharpness, style, masks and ghosts: per-frame styling, segnst and known methods side by side."""
    from segnst import registry
    from segnst.bench.against import compare, load_report, refuse_early
    from segnst.bench.clips import gather, read_painting
    from segnst.bench.report import Files, plan_without_paths, run_benchmark, table
    from segnst.bench.stability import Options
    from segnst.bench.style_kept import load_features, paintings_by_layer
    from segnst.config import Settings
    from segnst.errors import UsageError
    from segnst.plan import parse_plan

    settings = Settings(
        styles=tuple(styles or ("starry_night_single",)),
        stability=stability,
        segmenter=segmenter,
        max_size=max_size,
        device=device,
        offline=offline,
    )
    # whatever can be wrong is said before anything is measured or fetched
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
    encoder, digest, note = load_features(features, offline=offline)
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
    # saved results that are compared with are replaced only by results that are no worse
    itself = files is not None and against is not None and files.json.resolve() == against.resolve()
    if files is not None and not itself:
        tell(files.write(report), quiet)
    if saved is not None:
        comparison = compare(saved, report, tolerance=tolerance, force=force)
        print(f"\n{comparison}", file=sys.stderr if json else sys.stdout)
        if comparison.worse:
            if itself:
                print(f"{against} was left as it is.", file=sys.stderr)
            raise typer.Exit(1)
    if files is not None and itself:
        tell(files.write(report), quiet)
