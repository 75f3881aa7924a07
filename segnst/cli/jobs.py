"""``segnst jobs``: the journals of runs that can be resumed."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.from_settings import option
from segnst.cli.help import GroupedCommand

app = typer.Typer(
    help="List, show or remove the journals of runs that --resume goes on with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Json = Annotated[bool, option("Print the facts as JSON.", "--json")]
Named = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Outputs, or the folders of their journals.")]


@app.command("list", cls=GroupedCommand)
def list_journals(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]…", help="Where to look. Default: here and in results/.")
    ] = None,
    json: Json = False,
) -> None:
    """List the journals in folders: what is done, how large they are, and whether they can be resumed."""
    from segnst.jobs.chunks.listing import find_journals

    found = find_journals(folders or ())
    if json:
        print(json_module.dumps([each.as_dict() for each in found], indent=2))
    else:
        print("\n".join(each.line() for each in found) or "There are no journals here.")


@app.command("show", cls=GroupedCommand)
def show(names: Named, json: Json = False) -> None:
    """Show what a journal is of: its output, its settings and what is done."""
    from segnst.jobs.chunks.listing import journal_named, look_at

    found = [look_at(journal_named(name)) for name in names]
    if json:
        print(json_module.dumps([each.as_dict() for each in found], indent=2))
        return
    for each in found:
        print(each.line())
        print(f"  journal: {each.journal}")
        for name, value in (each.settings or {}).items():
            if value not in (None, [], "", False):
                print(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


@app.command("remove", cls=GroupedCommand)
def remove(names: Named) -> None:
    """Remove journals, and with them what was done."""
    from segnst.jobs.chunks.listing import journal_named, remove_journal

    for journal in [journal_named(name) for name in names]:
        remove_journal(journal)
        print(f"removed {journal}")
