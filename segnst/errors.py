"""Everything that segnst raises on purpose.

    SegnstError
    ├── UsageError        the request contradicts itself (exit 2)
    │   └── PlanError     a plan names something that does not exist, or the same region twice
    ├── InputError        a file or folder cannot be used as asked
    ├── OutputError       the result cannot be written
    ├── WeightsError      a checkpoint is missing, broken, unknown or has the wrong checksum
    ├── ResourceError     memory or disk ran out
    └── Cancelled         the job was cancelled (exit 130)

Messages are whole sentences: what is wrong, with which file, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SegnstError(Exception):
    """Base of all errors that a user can act on; the command line prints it without a traceback."""

    exit_code = 1


class UsageError(SegnstError):
    """The request contradicts itself or a value is out of range."""

    exit_code = 2


class PlanError(UsageError):
    """A plan cannot be read, or names a region or a style that does not exist."""


class InputError(SegnstError):
    """An input file or folder is missing, unreadable, empty or not what it should be."""


class OutputError(SegnstError):
    """The output exists already, is the input, or cannot be written."""


class WeightsError(SegnstError):
    """A checkpoint is missing, damaged, of an unknown kind, or its checksum differs."""


class ResourceError(SegnstError):
    """Memory or disk space ran out."""


class Cancelled(SegnstError):
    """A job was cancelled from outside; it has removed what it had written."""

    exit_code = 130


class SegnstWarning(UserWarning):
    """Something was done differently from what the input would suggest; the run continues."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word.lower(), list(known), n=5, cutoff=0.5)
    # swapped letters are the most common typing error, and difflib rates 'cra' as near to 'cat' as to 'car'
    near.sort(key=lambda name: sorted(name) != sorted(word.lower()))
    return f" Did you mean '{near[0]}'?" if near else ""
