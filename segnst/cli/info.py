"""``segnst styles``, ``classes``, ``models`` and ``doctor``, which show what is available."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from segnst.cli.completion import model_names
from segnst.cli.from_settings import like, option
from segnst.cli.help import GroupedCommand
from segnst.cli.printer import Printer
from segnst.config import Settings

models_app = typer.Typer(
    help="List the weights that segnst uses with their terms, or fetch them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Json = Annotated[bool, option("Print the list as JSON.", "--json")]


def _print(facts: Any, json: bool, text: str) -> None:
    print(json_module.dumps(facts, indent=2) if json else text)


def styles(
    photo: Annotated[Path | None, typer.Argument(metavar="[PHOTO]", help="Picture to paint for --sheet.")] = None,
    sheet: Annotated[Path | None, option("Write a sheet that shows PHOTO in every style.", metavar="PNG")] = None,
    style: Annotated[
        list[str] | None,
        option(
            "Also show this style on the sheet, such as a picture of yours. Can be repeated.",
            "-s",
            "--style",
            metavar="STYLE",
        ),
    ] = None,
    fast: Annotated[bool, option("Use the narrower network, which is faster.", "--fast")] = False,
    overwrite: Annotated[bool, option("Replace a sheet that exists.", "--overwrite")] = False,
    json: Json = False,
) -> None:
    """List the styles that can be used by name; with --sheet, also paint a photo in all of them."""
    from segnst.errors import UsageError
    from segnst.style.checkpoints import known_styles, picture_collection

    if style and sheet is None:
        raise UsageError("--style is for the sheet: segnst styles photo.jpg --sheet all.png --style painting.jpg")
    if (photo is None) != (sheet is None):
        raise UsageError("To draw the styles, give both: segnst styles photo.jpg --sheet all.png")
    known = known_styles(fast=fast)
    rows = [
        {
            "name": s.name,
            "title": s.title,
            "width": s.width,
            "collection": s.collection,
            "path": str(s.path),
            "painting": str(s.painting) if s.painting else None,
        }
        for s in known.values()
    ]
    lines = [f"{s.name:24} {s.title}{'' if s.collection else ' (a network of its own)'}" for s in known.values()]
    if photo is not None and sheet is not None:
        from segnst.jobs.preview import styles_sheet

        with Printer() as printer:
            names = list(dict.fromkeys([*known, *(style or ())]))
            styles_sheet(photo, sheet, names, fast=fast, overwrite=overwrite, context=printer.context)
    folders = dict.fromkeys(str(s.painting.parent) for s in known.values() if s.painting)
    lines += [f"\nSmall pictures of the paintings are in {folder}." for folder in folders]
    if folders or picture_collection(fast=fast) is not None:
        lines.append("Any picture can be a style as well: -s car=painting.jpg")
    _print(rows, json, "\n".join(lines) or "no styles are bundled")


def classes(
    segmenter: Annotated[str, like(Settings, "segmenter", group=None)] = "deeplab",
    offline: Annotated[bool, like(Settings, "offline", group=None)] = False,
    json: Json = False,
) -> None:
    """List the classes that a segmenter knows, with all names that are accepted for each."""
    from segnst.device import choose_device
    from segnst.segmentation.from_settings import load_segmenter

    regions = load_segmenter(segmenter, choose_device("cpu"), offline=offline).regions
    rows = [{"index": r.index, "name": r.name, "aliases": list(r.aliases)} for r in regions]
    _print(rows, json, "\n".join(f"{r.index:3} {r.name:14} {', '.join(r.aliases)}" for r in regions))


@models_app.command("list", cls=GroupedCommand)
def models_list(json: Json = False) -> None:
    """List all weights that segnst uses: their paths or sources, and their terms."""
    from segnst.catalog import UNTRIED, catalog

    rows = catalog()
    lines = [
        f"{r['name']:30} {r['kind']:10} {r['path'] or 'not fetched: ' + r['url']}\n{'':30} {'':10} {r['terms']}"
        + ("" if r["tried"] else f"\n{'':30} {'':10} {UNTRIED}")
        for r in rows
    ]
    _print(rows, json, "\n".join(lines))


@models_app.command("pull", cls=GroupedCommand)
def models_pull(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME…",
            help="Names as `segnst models list` shows them, or `all`.",
            autocompletion=model_names,
        ),
    ],
    quiet: Annotated[bool, option("Print no progress.", "-q", "--quiet")] = False,
) -> None:
    """Download weights now, so that later runs need no network."""
    from segnst.catalog import pull

    for path in pull(names, quiet=quiet):
        print(path)


def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]",
            help="With --networks: only these, by their names in `segnst models list`.",
            autocompletion=model_names,
        ),
    ] = None,
    networks: Annotated[
        bool, option("Fetch each network that is not bundled, and run it on a built-in picture.", "--networks")
    ] = False,
    json: Json = False,
) -> None:
    """Say what is missing or slow on this machine."""
    from segnst.doctor import examine, examine_networks
    from segnst.errors import UsageError

    if names and not networks:
        raise UsageError(f"'{names[0]}' is used only with --networks.")
    findings = list(examine_networks(names or ())) if networks else examine()
    marks = {"ok": "ok     ", "slow": "slow   ", "missing": "MISSING"}
    _print([f.as_dict() for f in findings], json, "\n".join(f"{marks[f.state]} {f.what}: {f.detail}" for f in findings))
    if any(f.state == "missing" for f in findings):
        raise typer.Exit(1)
