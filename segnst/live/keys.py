"""Keys that are pressed while a live run goes on, on the terminal that it was started from."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HELP = "keys: n next style, m masks, o original, q quit"

try:
    import termios
    import tty
except ImportError:  # Windows has neither; keys work in the window there
    termios = None  # type: ignore[assignment]


@contextmanager
def terminal_keys(wanted: bool) -> Iterator[Callable[[], str]]:
    """Give a function that returns the key pressed since its last call, or nothing. The terminal is put back."""
    if termios is None or not wanted or not sys.stdin.isatty():
        yield lambda: ""
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)

    def key() -> str:
        if not select.select([handle], [], [], 0)[0]:
            return ""
        return os.read(handle, 16).decode(errors="ignore")[-1:]

    try:
        tty.setcbreak(handle)
        yield key
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
