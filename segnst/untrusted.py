"""Values out of files that somebody else made: bounds before any work, and no exception but segnst's own.

A picture of ten lines can ask for a terabyte, a number can be infinite, a list can be nested a million deep, and a
class can be called ``../../.bashrc``. What reads such files goes through here first.
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

MAX_PIXELS = 1 << 28  # of one picture, 16384x16384; --max-pixels or this variable allow more
MAX_PIXELS_VARIABLE = "SEGNST_MAX_PIXELS"
MAX_PICTURE_BYTES = 1 << 30
MAX_JSON_BYTES = 512 << 20  # the largest annotation file of COCO has 448 MiB
MAX_TOML_BYTES = 1 << 20
MAX_NAME_BYTES = 180  # file systems take 255; temporary names are longer than the final ones


def max_pixels() -> int:
    """How many pixels a picture may have before it is refused. Raises UsageError."""
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or not 0 < len(text) < 16 or not int(text):
        raise UsageError(f"{MAX_PIXELS_VARIABLE} must be a number of pixels, got '{short(text)}'.")
    return int(text)


def check_pixels(width: int, height: int, path: Path) -> None:
    """Raise InputError where a picture is empty or has more pixels than :func:`max_pixels`."""
    if width < 1 or height < 1:
        raise InputError(f"{path} says that it is {width}x{height} pixels, which is no picture.")
    if width * height > max_pixels():
        raise InputError(
            f"{path} is {width}x{height}, more than the {max_pixels()} pixels that are read. "
            f"If that is right, allow it with --max-pixels {width * height}."
        )


def check_regular(path: Path, what: str = "file") -> int:
    """The size in bytes of an ordinary file that may be read.

    Raises InputError for what is missing, a folder, a pipe or a device (opening those could wait for ever), and for
    what may not be read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"The {what} {path} cannot be read: it does not exist.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"The {what} {short(str(path))} cannot be read ({_reason(error)}).") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"The {what} {path} is a folder.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"The {what} {path} is a pipe or a device; give an ordinary file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"The {what} {path} may not be read: permission denied.")
    return status.st_size


def exists(path: Path) -> bool:
    """Whether there is anything of this name; no for names that nothing can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is an ordinary file of this name; no for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a path is a folder that may be looked into. Raises InputError where that cannot be known."""
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
    """An ordinary file, whole. Raises InputError where it cannot be read, is empty, or has more than ``most`` bytes."""
    size = check_regular(path, what)
    if size == 0:
        raise InputError(f"The {what} {path} is empty.")
    if size > most:
        raise InputError(f"The {what} {path} has {size} bytes; more than {most} are not read.")
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(f"The {what} {path} cannot be read ({_reason(error)}).") from error


def parse_json(text: str | bytes) -> Any:
    """JSON in UTF-8, 16 or 32, with or without a byte order mark. Raises ValueError and nothing else."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own limit
        raise ValueError("it holds a number of thousands of digits") from None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file, with or without a byte order mark. Raises InputError where it cannot be read, else ValueError."""
    data = read_bytes(path, MAX_TOML_BYTES, what)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own limit
        raise ValueError("it holds a number of thousands of digits") from None


def whole(value: Any, what: str, least: int = -(1 << 63), most: int = (1 << 63) - 1) -> int:
    """An integer between two bounds, from a number or the text of one. Raises ValueError."""
    if isinstance(value, str) and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():  # infinity and NaN are not
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} should be a whole number, not {short(value)}")
    if not least <= value <= most:
        raise ValueError(f"{what} is out of range: {short(value)}")
    return value


def real(value: Any, what: str) -> float:
    """A finite number. Raises ValueError."""
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
    """A JSON object. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} should be an object, not {short(value)}")
    return value


def rows(value: Any, what: str, most: int = 1 << 24) -> list[dict[str, Any]]:
    """A JSON list of at most ``most`` objects. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError(f"{what} should be a list, not {short(value)}")
    if len(value) > most:
        raise ValueError(f"{what} has {len(value)} entries; more than {most} are not read")
    return [table(entry, f"an entry of {what}") for entry in value]


def short(value: Any) -> str:
    """A value for an error message: cut where it is long or deep."""
    if not isinstance(value, str):
        return reprlib.repr(value)
    return printable(value if len(value) < 160 else f"{value[:120]}…")


def first_line(error: BaseException) -> str:
    """The beginning of an error's text, for a message of one sentence."""
    return short((str(error).splitlines() or [type(error).__name__])[0]).rstrip(".:")


def printable(text: str, most: int = 200) -> str:
    """A text out of a file that a terminal can show: no control characters, not endless."""
    return "".join(c for c in text[:most] if c.isprintable())


_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f\ud800-\udfff]+")


def safe_name(name: str) -> str:
    """A file name that stands for a name out of a file: one part of a path, visible, not too long.

    Separators, control characters and leading dots become ``_``; everything else stays as it is.
    """
    text = _UNSAFE.sub("_", name).strip()
    text = re.sub(r"^\.+", "_", text).rstrip(". ")
    while len(text.encode()) > MAX_NAME_BYTES:
        text = text[:-1]
    return text or "_"


def safe_names(names: Iterable[str]) -> list[str]:
    """:func:`safe_name` of each, all different even where a file system ignores case."""
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
