"""The command line: ``segnst COMMAND``. Commands import torch only when they run, so that ``--help`` is immediate."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from segnst import interrupts, temporaries
from segnst.cli import (
    bench,
    bench_front,
    bench_speed,
    bench_stability,
    compare,
    evaluate,
    export,
    info,
    inspect,
    jobs,
    live,
    optimize,
    segment,
    streams,
    studio,
    style,
    train,
    train_segmentation,
)
from segnst.cli.help import GroupedCommand
from segnst.errors import SegnstError, SegnstWarning
from segnst.memory import keep_freed_memory
from segnst.untrusted import MAX_PIXELS, MAX_PIXELS_VARIABLE, short
from segnst.video import stdout

INTERRUPTED = 130

app = typer.Typer(
    name="segnst",
    help="Style video per segment: the car in one style, the background in another, without flicker and with sound.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("style", cls=GroupedCommand)(style.style)
app.command("live", cls=GroupedCommand)(live.live)
app.command("optimize", cls=GroupedCommand)(optimize.optimize)
app.command("reconstruct", cls=GroupedCommand)(optimize.reconstruct)
app.command("inspect", cls=GroupedCommand)(inspect.inspect)
app.command("compare", cls=GroupedCommand)(compare.compare)
app.command("segment", cls=GroupedCommand)(segment.segment)
app.command("studio", cls=GroupedCommand)(studio.studio)
for command in (train_segmentation.segmenter, train_segmentation.instances, train_segmentation.features):
    train.app.command(cls=GroupedCommand)(command)
bench.app.command(cls=GroupedCommand)(bench_front.front)
bench.app.command(cls=GroupedCommand)(bench_stability.stability)
bench.app.command(cls=GroupedCommand)(bench_speed.speed)
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(bench.app, name="bench")
app.add_typer(jobs.app, name="jobs")
app.add_typer(export.app, name="export")
app.command("styles", cls=GroupedCommand)(info.styles)
app.command("classes", cls=GroupedCommand)(info.classes)
app.add_typer(info.models_app, name="models")
app.command("doctor", cls=GroupedCommand)(info.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from segnst import __version__

        print(f"segnst {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    max_pixels: int = typer.Option(
        MAX_PIXELS, metavar="N", min=1, help="Refuse pictures and frames with more pixels than this."
    ),
) -> None:
    if max_pixels != MAX_PIXELS:
        before = os.environ.get(MAX_PIXELS_VARIABLE)
        os.environ[MAX_PIXELS_VARIABLE] = str(max_pixels)  # read where a picture is opened, in every process
        context.call_on_close(lambda: _restore(MAX_PIXELS_VARIABLE, before))


def _restore(variable: str, value: str | None) -> None:
    os.environ.pop(variable, None)
    if value is not None:
        os.environ[variable] = value


def _global_options_first(arguments: list[str]) -> list[str]:
    """Move ``--max-pixels N`` in front of the command, where click expects it.

    A user who is told to allow more pixels appends the option to the command: ``segnst style a.png --max-pixels 9``.
    """
    found = next((k for k, a in enumerate(arguments) if a.partition("=")[0] == "--max-pixels"), None)
    if found is None or "--" in arguments[:found]:
        return arguments
    end = found + (1 if "=" in arguments[found] else 2)
    return [*arguments[found:end], *arguments[:found], *arguments[end:]]


def _tell_warnings() -> None:
    """Print warnings of segnst as one line, without the place in the code."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, SegnstWarning):
            print(f"segnst: warning: {message}", file=sys.stderr)
        else:
            usual(message, category, *place, **more)

    warnings.showwarning = show


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failure, 2 wrong usage, 130 after Ctrl-C, SIGTERM or SIGHUP."""
    streams.prepare()
    temporaries.begin()
    interrupts.install(_leave_at_once)
    _tell_warnings()
    keep_freed_memory()
    try:
        code = _run()
        streams.flush()
    except KeyboardInterrupt:
        code = _interrupted()
    except Exception as error:  # noqa: BLE001 - the last line of defense: no traceback for users
        # what a library makes of an interrupt that it met is no failure of its own
        code = _interrupted() if interrupts.received() else _failed(error)
    interrupts.finish()
    stdout.give_stdout_back()
    sys.exit(code)


def _run() -> int:
    code = app(_global_options_first(sys.argv[1:]), standalone_mode=False)
    if code == INTERRUPTED:  # typer turns the interrupt into this exit code
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    """Clean up what is left and say how things stand."""
    left = temporaries.remove_all()
    kept = temporaries.finished()
    journals = temporaries.resumable()
    if left:
        say = f"could not be removed: {_listed(left)}"
    elif journals:
        say = f"what is done is kept in {_listed(journals)}, and the same command with --resume goes on from there"
    elif kept:
        say = f"what was complete by then stays: {_listed(kept)}"
    else:
        say = "nothing was left behind"
    if not interrupts.finished():
        print(f"segnst: interrupted; {say}.", file=sys.stderr, flush=True)
        interrupts.finish()
    return INTERRUPTED


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(str, paths[:3])) + more


def _leave_at_once() -> NoReturn:
    """End without the main thread, which has not come back in time."""
    _interrupted()
    os._exit(INTERRUPTED)


def _failed(error: Exception) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, SegnstError):
        print(f"segnst: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, typer.Abort):
        return _interrupted()
    if isinstance(error, BrokenPipeError):  # the reader of stdout has gone
        streams.silence(sys.stdout)
        return 1
    if isinstance(error, OSError):  # a full disk, a bad name or a missing permission that no command handles
        where = f"{short(str(error.filename))}: " if error.filename else ""
        print(f"segnst: {where}{error.strerror or error}.", file=sys.stderr)
        return 1
    show = getattr(error, "show", None)  # click's usage errors print themselves
    if show is not None:
        show()
        return int(getattr(error, "exit_code", 2))
    if os.environ.get("SEGNST_DEBUG"):
        traceback.print_exc()
    print(
        f"segnst: an unexpected error: {type(error).__name__}: {error}\n"
        "Please report it, together with the traceback that SEGNST_DEBUG=1 prints.",
        file=sys.stderr,
    )
    return 1
