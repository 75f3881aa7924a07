"""The memory of a process: how much it takes, and keeping what is freed for pictures of the same few sizes."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

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


def largest_memory() -> int | None:
    """The most memory that this process has had so far, in bytes; None where the system does not tell."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> int | None:
    """The memory that new processes can have without swapping, in bytes; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
