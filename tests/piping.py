"""Standard input and output of this process as pipes, while something runs in it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Received:
    """What came out of standard output."""

    data = b""


@contextmanager
def piped(given: bytes | None = None, over: threading.Event | None = None) -> Iterator[Received]:
    """``given`` comes from standard input, and what is written to standard output is received.

    over  when standard input ends; without it, after what was given
    """
    sys.stdout.flush()
    kept = os.dup(0), os.dup(1)
    come_in, go_in = os.pipe()
    come_out, go_out = os.pipe()
    received = Received()

    def feed() -> None:
        with os.fdopen(go_in, "wb") as pipe:
            with suppress(BrokenPipeError):
                pipe.write(given or b"")
                pipe.flush()
            if over is not None:
                over.wait()

    def drain() -> None:
        with os.fdopen(come_out, "rb") as pipe:
            received.data = pipe.read()

    os.dup2(come_in, 0)
    os.dup2(go_out, 1)
    os.close(come_in)
    os.close(go_out)
    threads = [threading.Thread(target=feed), threading.Thread(target=drain)]
    for thread in threads:
        thread.start()
    try:
        yield received
    finally:
        sys.stdout.flush()
        for number, handle in enumerate(kept):
            os.dup2(handle, number)
            os.close(handle)
        for thread in threads:
            thread.join()
