"""``segnst studio``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.from_settings import with_options
from segnst.errors import UsageError
from segnst.studio.settings import StudioSettings

NEEDED = ("starlette", "uvicorn", "websockets")


@with_options
def studio(
    settings: StudioSettings,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE…]", help="Videos, pictures, or folders that the page may open."),
    ] = None,
) -> None:
    """Choose regions and styles on the picture, in the browser.

    Only the files and folders that are named here, and what is dropped onto the page, can be opened there.

    Example:

    \b
    segnst studio street.mp4
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"The studio needs {' and '.join(missing)}: pip install 'segnst[studio]'")
    from segnst.studio.server import serve

    serve(files or [], settings, _say)
    print("segnst studio has ended.", file=sys.stderr)


def _say(address: str) -> None:
    print(f"segnst studio is at {address}\nStop it with Ctrl-C.", file=sys.stderr, flush=True)
