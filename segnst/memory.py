"""Keeping freed memory in the process, because pictures of the same few sizes are allocated again and again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT = 1 << 30  # bytes; larger pieces still go back to the system at once


def keep_freed_memory() -> bool:
    """Let this process keep freed memory, up to a gigabyte, for later tensors. Returns whether the setting worked.

    By default, glibc returns every piece above 32 MB to the system, and fetching and clearing the pages of the next one
    takes a tenth of the time of a frame. Without glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
