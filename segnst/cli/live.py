"""``segnst live``."""

from __future__ import annotations

import dataclasses
import json as json_lines
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segnst.cli.from_settings import Given, Without, option, with_options
from segnst.cli.options import Overwrite, Quiet
from segnst.config import FILES, RUNNING, WHAT, Settings, read_plan_file
from segnst.jobs.events import Context, Event, Warned
from segnst.live.settings import LiveSettings

if TYPE_CHECKING:
    from segnst.live.status import Live


@with_options
def live(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Camera (0, /dev/video0 or its name), stream (rtsp://…, udp://… …), video file, or - (a pipe).",
        ),
    ],
    given: Annotated[
        Given[Settings],
        Without(
            "box", "point", "not_point", "foreground", "background", "at", "masks", "masks_override", "mask_classes",
            "start", "end", "fps", "tile", "refine", "refine_features",
        ),
    ],
    options: LiveSettings,
    plan: Annotated[
        Path | None,
        option(
            "Plan file (TOML) with settings. When it changes on disk, the new plan is taken up without a gap.",
            metavar="FILE",
            group=WHAT,
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        option(
            "Output: window (default), - (pipe, see --format), a file, udp://…, tcp://…, rtmp://…, srt://…, virtualcam "
            "or none. Can be repeated.",
            "-o",
            "--output",
            metavar="OUTPUT",
            group=FILES,
            stdout=True,
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Annotated[
        bool, option("Print the status and the report as lines of JSON on stderr.", "--json", group=RUNNING)
    ] = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Style a camera or a stream while it runs.

    Example:

    \b
    segnst live 0 -s person=udnie -o window -o evening.mp4
    """

    def settings() -> Settings:
        return given.build(read_plan_file(plan) if plan is not None else None)

    first = settings()

    from segnst.live.keys import HELP
    from segnst.live.run import live as run

    shown = _Shown(quiet, json)
    if not quiet and not json and sys.stdin.isatty() and source != "-":
        print(HELP, file=sys.stderr)
    report = run(
        source, output or [], first, options, plan_file=plan, reread=settings, overwrite=overwrite,
        context=Context(shown),
    )  # fmt: skip
    shown.end()
    if json:
        print(json_lines.dumps({"event": "report", **report.as_dict()}), file=sys.stderr, flush=True)
    elif not quiet:
        print(
            f"{report.ended}: {report.frames} frames in {report.seconds:.1f} s, {report.dropped} dropped, latency "
            f"{1000 * report.latency:.0f} ms (95 %: {1000 * report.latency_95:.0f}, worst: "
            f"{1000 * report.latency_worst:.0f})",
            file=sys.stderr,
        )


class _Shown:
    """Shows the events of a live run on stderr: a line that is overwritten on a terminal, lines elsewhere, or JSON."""

    def __init__(self, quiet: bool, json: bool) -> None:
        self._quiet, self._json, self._terminal = quiet, json, sys.stderr.isatty()
        self._open = False
        self._lines = 0

    def __call__(self, event: Event) -> None:
        name = type(event).__name__.lower()
        if self._json:
            print(
                json_lines.dumps({"event": name, **dataclasses.asdict(event)}, default=str), file=sys.stderr, flush=True
            )
        elif isinstance(event, Warned):
            self.end()
            print(f"segnst: warning: {event.message}", file=sys.stderr, flush=True)
        elif name == "live" and not self._quiet:
            self._status(event)  # type: ignore[arg-type]

    def _status(self, event: Live) -> None:
        text = (
            f"{event.pace:5.1f} frames/s  latency {event.latency:.2f} s (worst {event.worst:.2f})  "
            f"dropped {event.dropped}  {event.size}  {event.plan}{'' if event.view == 'styled' else f' ({event.view})'}"
        )
        if self._terminal:
            self._open = True
            print(f"\r{text[:150]:<110}", end="", file=sys.stderr, flush=True)
            return
        self._lines += 1
        if self._lines % 5 == 1:  # where lines stay, one of five is enough
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the line that is overwritten."""
        if self._open:
            self._open = False
            print(file=sys.stderr)
