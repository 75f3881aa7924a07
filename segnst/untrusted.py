"""Checks for values from files that segnst did not write. They run before any expensive work.

A file of ten lines can declare a picture of a terabyte, a number can be infinite, a list can be nested a million levels
deep, and a class can have the name ``../../.bashrc``. Code that reads such files calls these functions first, so that
bad values raise clear errors.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segnst.errors import InputError, UsageError

MAX_PIXELS = 1 << 28  # of one picture (16384x16384), unless --max-pixels or the variable below sets another limit
MAX_PIXELS_VARIABLE = "SEGNST_MAX_PIXELS"
MAX_PICTURE_BYTES = 1 << 30
MAX_JSON_BYTES = 512 << 20  # the largest annotation file of COCO has 448 MiB
MAX_TOML_BYTES = 1 << 20
MAX_NAME_BYTES = 180  # file systems allow 255, but temporary names are longer than final ones


def max_pixels() -> int:
    """The largest number of pixels that a picture may have.

    Raises UsageError if the environment variable holds no positive integer.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or not 0 < len(text) < 16 or not int(text):
        raise UsageError(f"{MAX_PIXELS_VARIABLE} must be a number of pixels, got '{short(text)}'.")
    return int(text)


def check_pixels(width: int, height: int, path: Path) -> None:
    """Raise InputError if a picture has no pixels or more than :func:`max_pixels`."""
    if width < 1 or height < 1:
        raise InputError(f"{path} claims a size of {width}x{height} pixels, which is not a valid picture.")
    if width * height > max_pixels():
        raise InputError(
            f"{path} is {width}x{height}, more than the limit of {max_pixels()} pixels. "
            f"If this size is correct, allow it with --max-pixels {width * height}."
        )


def check_regular(path: Path, what: str = "file") -> int:
    """The size in bytes of a regular file that may be read.

    Raises InputError if the file is missing, is a folder, may not be read, or is a pipe or a device, because opening
    those could block forever.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"The {what} {path} cannot be read: it does not exist.") from None
    except (OSError, ValueError) as error:  # ValueError: the name contains a null byte
        raise InputError(f"The {what} {short(str(path))} cannot be read ({_reason(error)}).") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"The {what} {path} is a folder.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"The {what} {path} is a pipe or a device; give a regular file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"The {what} {path} may not be read: permission denied.")
    return status.st_size


def exists(path: Path) -> bool:
    """Whether this path exists; False for names that the file system does not allow."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether this path is a regular file; False for names that the file system does not allow."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a path is a folder. Raises InputError if it may not be read, or the file system gives no answer."""
    try:
        folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise InputError(f"{short(str(path))} cannot be read ({_reason(error)}).") from error
    if folder and not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"The folder {path} may not be read: permission denied.")
    return folder


def read_bytes(path: Path, most: int, what: str = "file") -> bytes:
    """All bytes of a regular file. Raises InputError if it is unreadable, empty or larger than ``most`` bytes."""
    size = check_regular(path, what)
    if size == 0:
        raise InputError(f"The {what} {path} is empty.")
    if size > most:
        raise InputError(f"The {what} {path} has {size} bytes, more than the limit of {most}.")
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(f"The {what} {path} cannot be read ({_reason(error)}).") from error


def parse_json(text: str | bytes) -> Any:
    """Parse JSON in UTF-8, 16 or 32, with or without a byte order mark. Raises only ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own limit
        raise ValueError("it holds a number of thousands of digits") from None


# A key of many parts, for which the parser of the standard library takes time that grows as their number squared.
_DEEP_KEY = re.compile(rb"""(?:^|[\[{,])\s*(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""", re.MULTILINE)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Parse a TOML file, with or without a byte order mark.

    Raises InputError if the file cannot be read, ValueError if it is not TOML.
    """
    data = read_bytes(path, MAX_TOML_BYTES, what)
    if _DEEP_KEY.search(data):
        raise ValueError("it is nested too deeply")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own limit
        raise ValueError("it holds a number of thousands of digits") from None


def whole(value: Any, what: str, least: int = -(1 << 63), most: int = (1 << 63) - 1) -> int:
    """An integer from ``least`` to ``most``, from a number or its text. Raises ValueError."""
    if isinstance(value, str) and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():  # is_integer is False for infinity and NaN
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} should be a whole number, not {short(value)}")
    if not least <= value <= most:
        raise ValueError(f"{what} is out of range: {short(value)}")
    return value


def real(value: Any, what: str) -> float:
    """A finite float from a number or its text. Raises ValueError."""
    if isinstance(value, str) and len(value) < 30:
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{what} should be a number, not {short(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{what} should be a finite number")
    return number


def table(value: Any, what: str) -> dict[str, Any]:
    """A JSON object (a dict). Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} should be an object, not {short(value)}")
    return value


def rows(value: Any, what: str, most: int = 1 << 24) -> list[dict[str, Any]]:
    """A JSON list (of dicts) of at most ``most`` objects. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError(f"{what} should be a list, not {short(value)}")
    if len(value) > most:
        raise ValueError(f"{what} has {len(value)} entries, more than the limit of {most}")
    return [table(entry, f"an entry of {what}") for entry in value]


def short(value: Any) -> str:
    """A value as text for an error message, shortened if it is long or deeply nested."""
    if not isinstance(value, str):
        return reprlib.repr(value)
    return printable(value if len(value) < 160 else f"{value[:120]}…")


def first_line(error: BaseException) -> str:
    """The first line of an error's text, shortened, for use inside a sentence."""
    return short((str(error).splitlines() or [type(error).__name__])[0]).rstrip(".:")


def printable(text: str, most: int = 200) -> str:
    """A text from a file that is safe to print: at most ``most`` characters, without control characters."""
    return "".join(c for c in text[:most] if c.isprintable())


_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f\ud800-\udfff]+")


def safe_name(name: str) -> str:
    """Turn a name from a file into a file name: a single path component that is not hidden and not too long.

    Path separators, control characters and leading dots become ``_``, and trailing dots and spaces are removed.
    """
    text = _UNSAFE.sub("_", name).strip()
    text = re.sub(r"^\.+", "_", text).rstrip(". ")
    while len(text.encode()) > MAX_NAME_BYTES:
        text = text[:-1]
    return text or "_"


def safe_names(names: Iterable[str]) -> list[str]:
    """:func:`safe_name` of each name, made unique by numbers, also on file systems that ignore case."""
    taken: set[str] = set()
    result = []
    for name in names:
        text = base = safe_name(name)
        count = 1
        while text.lower() in taken:
            count += 1
            text = f"{base}-{count}"
        taken.add(text.lower())
        result.append(text)
    return result


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
