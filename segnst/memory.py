"""Memory that the allocator keeps: pictures come and go by the hundred, always in the same few sizes."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT = 1 << 30  # bytes; larger pieces still go back at once


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to a gigabyte, for the next tensor of that size; whether it took.

    glibc gives every piece above 32 MB back to the system, and each page of the next one is then fetched and
    cleared anew: a tenth of the time of a frame. Nothing happens where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
