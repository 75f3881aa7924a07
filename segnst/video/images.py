"""Read and encode still pictures: single ones and folders of frames.

OpenCV decodes and encodes them because it supports 16 bits and alpha. Python opens the files, because it raises
exceptions for a full disk or a missing permission, where OpenCV only returns False.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segnst.errors import InputError
from segnst.files import PICTURE_SUFFIXES, reason
from segnst.pixels import quantized
from segnst.untrusted import MAX_PICTURE_BYTES, check_pixels, read_bytes
from segnst.video import pipes
from segnst.video.animation import is_animated_webp
from segnst.video.declared import declared_size
from segnst.video.exif import exif_tag, upright_exif
from segnst.video.geometry import Orientation, exif_orientation
from segnst.video.guard import reading
from segnst.video.heif import is_heic, transforms, turned

FRAME_SUFFIXES = PICTURE_SUFFIXES | {".jp2", ".pgm", ".ppm", ".pnm", ".avif"}
MASK_SUFFIX = "_mask.png"
_CODECS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"II*\0": "tiff", b"MM\0*": "tiff", b"BM": "bmp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded still picture, upright.

    pixels     RGB [H,W,3] or RGBA [H,W,4]; uint8, uint16 or float32
    exif, icc  raw metadata blocks, empty if there are none; the color profile is for RGB
    notes      warnings for the user about what was left out
    """

    pixels: np.ndarray
    codec: str
    exif: bytes = b""
    icc: bytes = b""
    notes: tuple[str, ...] = ()

    @property
    def alpha(self) -> bool:
        return bool(self.pixels.shape[2] == 4)

    @property
    def bit_depth(self) -> int:
        return {"uint8": 8, "uint16": 16}.get(self.pixels.dtype.name, 32)

    @property
    def pixel_format(self) -> str:
        return f"rgb{'a' if self.alpha else ''}{self.bit_depth}"

    def planes(self) -> np.ndarray:
        """The pixels as float32 ``[3,H,W]`` (``[4,H,W]`` with alpha) in [0,1]."""
        top = {"uint8": 255.0, "uint16": 65535.0}.get(self.pixels.dtype.name, 1.0)
        planes = np.ascontiguousarray(self.pixels.transpose(2, 0, 1), dtype=np.float32)
        planes /= np.float32(top)
        return np.clip(planes, 0.0, 1.0, out=planes)


def is_still(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a still picture (animations count as videos)."""
    if head.startswith(b"\x89PNG"):
        return b"acTL" not in head[: head.find(b"IDAT") if b"IDAT" in head else len(head)]
    return not is_animated_webp(head) and (_codec(head) != "" or is_heic(head))


def _codec(head: bytes) -> str:
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and not (len(head) > 14 and head[6:10] == b"\0\0\0\0"):
        return ""
    if re.match(rb"P[1-6]\s", head):
        return "pnm"
    if head.startswith(b"\0\0\0\x0cjP  "):
        return "jpeg2000"
    if head[4:12] == b"ftypavif" or (head[4:12] == b"ftypmif1" and b"avif" in head[16:64]):
        return "avif"
    return next((name for magic, name in _CODECS.items() if head.startswith(magic)), "")


def load(path: Path) -> Picture:
    """Read a still picture and rotate it upright, as its EXIF block or the boxes of AVIF say.

    Raises InputError, also for more pixels than ``segnst.untrusted.max_pixels``.
    """
    data = pipes.contents(path, MAX_PICTURE_BYTES)
    if data is None:
        data = read_bytes(path, MAX_PICTURE_BYTES, "picture")
    elif len(data) > MAX_PICTURE_BYTES:
        raise InputError(f"The picture from {path} has more bytes than the limit of {MAX_PICTURE_BYTES}.")
    if is_heic(data[:256]):
        raise InputError(f"{path} is a HEIC picture, which cannot be read here; convert it to JPEG, PNG or AVIF first.")
    size = declared_size(data)
    if size is not None:
        check_pixels(*size, path)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # the exception says what is wrong, so OpenCV need not print it
    try:
        found = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        pixels, kinds, blocks = found
    except cv2.error as error:
        raise InputError(f"The picture {path} cannot be decoded ({reason(error)}).") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise InputError(f"The picture {path} cannot be decoded; it is damaged or of an unknown kind.")
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"The picture {path} has pixels of type {pixels.dtype}; use 8 or 16 bits.")
    kept = {int(kind): bytes(bytearray(block)) for kind, block in zip(kinds, blocks, strict=False)}
    exif = kept.get(int(cv2.IMAGE_METADATA_EXIF), b"")
    # OpenCV converts everything to RGB, so that color profiles for gray or CMYK no longer apply.
    profile = kept.get(int(cv2.IMAGE_METADATA_ICCP), b"")
    icc = profile if profile[16:20] == b"RGB " else b""
    notes = []
    if profile and not icc:
        space = profile[16:20].decode("latin-1").strip()
        notes.append(f"The color profile of {path.name} is for {space}; the picture is styled as RGB without it.")
    codec = _codec(data[:64])
    if codec == "tiff" and (pages := _pages(data)) > 1:
        notes.append(f"{path.name} has {pages} pages, of which only the first is styled.")
    pixels = _rgb(pixels)
    steps = transforms(data) if codec == "avif" else []
    # In AVIF the transforms from the boxes apply. An EXIF orientation only repeats them, so it is ignored then.
    turn = Orientation() if steps else exif_orientation(exif_tag(exif))
    pixels = turned(pixels, steps)
    if turn.transpose:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if turn.vflip else 1, :: -1 if turn.hflip else 1]
    return Picture(np.ascontiguousarray(pixels), codec or "image", exif, icc, tuple(notes))


def _pages(data: bytes) -> int:
    """The number of pictures in a TIFF, counted along its linked list of directories up to the first broken link."""
    order = "<" if data[:2] == b"II" else ">"
    seen: set[int] = set()
    try:
        at = struct.unpack_from(order + "I", data, 4)[0]
        while at and at not in seen:
            entries = struct.unpack_from(order + "H", data, at)[0]
            following = struct.unpack_from(order + "I", data, at + 2 + 12 * entries)[0]
            seen.add(at)
            at = following
    except struct.error:
        pass
    return len(seen)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """Convert OpenCV's gray, gray with alpha, BGR or BGRA to RGB or RGBA."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 2:
        return np.concatenate([np.repeat(pixels[:, :, :1], 3, axis=2), pixels[:, :, 1:]], axis=2)
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return pixels[:, :, order]


def natural_key(path: Path) -> tuple[object, ...]:
    """A key that sorts ``frame2`` before ``frame10``."""
    # Every second part is a number. str.isdigit is not used because it accepts "²", which int does not.
    parts = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), p) if index % 2 else (0, 0, p.lower()) for index, p in enumerate(parts)), path.name


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order, without hidden files. Raises InputError."""
    with reading(folder):
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in FRAME_SUFFIXES and not path.name.startswith(".") and path.is_file()
        ]
    if not files:
        raise InputError(f"The folder {folder} holds no pictures.")
    return sorted(files, key=natural_key)


def apart_from_masks(files: Sequence[Path]) -> tuple[list[Path], dict[str, Path]]:
    """Separate the pictures of a folder into frames and masks (NAME_mask.png for a frame NAME).

    The masks are returned by the stems of their frames.
    """
    stems = {path.stem for path in files}
    beside = {
        path.name.removesuffix(MASK_SUFFIX): path
        for path in files
        if path.name.endswith(MASK_SUFFIX) and path.name.removesuffix(MASK_SUFFIX) in stems
    }
    masks = set(beside.values())
    return [path for path in files if path not in masks], beside


def check_sizes(files: list[Path]) -> None:
    """Raise InputError, which names two of the files, if sizes in the headers differ.

    Only the headers of PNG and JPEG are read, which is fast. Other differences (in other formats, or by a rotation in
    EXIF) are found when the frames are read.
    """
    first: tuple[Path, tuple[int, int]] | None = None
    for path in files:
        with reading(path):
            size = header_size(path)
        if size is None:
            continue
        if first is None:
            first = (path, size)
        elif size != first[1]:
            raise mixed_sizes(first[0], first[1], path, size)


def mixed_sizes(one: Path, size: tuple[int, int], other: Path, other_size: tuple[int, int]) -> InputError:
    return InputError(
        f"The frames of a folder must have one size, but {one.name} is {size[0]}x{size[1]} "
        f"and {other.name} is {other_size[0]}x{other_size[1]}."
    )


def header_size(path: Path) -> tuple[int, int] | None:
    """Width and height, as stored, from a PNG or JPEG header; None for other formats."""
    with path.open("rb") as file:
        head = file.read(24)
        if head.startswith(b"\x89PNG") and len(head) == 24:
            return struct.unpack(">II", head[16:24])
        if not head.startswith(b"\xff\xd8"):
            return None
        file.seek(2)
        while True:
            marker = file.read(4)
            if len(marker) < 4 or marker[0] != 0xFF:
                return None
            length = struct.unpack(">H", marker[2:])[0]
            if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                frame = file.read(5)
                if len(frame) < 5:
                    return None
                height, width = struct.unpack(">HH", frame[1:])
                return width, height
            file.seek(length - 2, 1)


def encode(planes: np.ndarray, suffix: str, *, deep: bool, exif: bytes = b"", icc: bytes = b"") -> bytes:
    """Encode floats ``[3,H,W]`` or ``[4,H,W]`` in [0,1] in the format of ``suffix``.

    deep  write 16 bits, if the format is PNG or TIFF

    EXIF and the color profile are written to PNG, JPEG and WebP only. Raises cv2.error or ValueError.
    """
    suffix = suffix.lower()
    deep = deep and suffix in (".png", ".tif", ".tiff")
    if planes.shape[0] == 4 and suffix in (".jpg", ".jpeg", ".bmp"):
        planes = planes[:3]
    order = [2, 1, 0, 3][: planes.shape[0]]
    pixels = np.ascontiguousarray(quantized(planes[order], deep=deep).transpose(1, 2, 0))
    options = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 means lossless
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
    }.get(suffix, [])
    blocks = [
        (kind, np.frombuffer(data, np.uint8))
        for kind, data in ((cv2.IMAGE_METADATA_EXIF, upright_exif(exif)), (cv2.IMAGE_METADATA_ICCP, icc))
        if data
    ]
    if blocks and suffix in (".png", ".jpg", ".jpeg", ".webp"):
        kinds = [int(kind) for kind, _ in blocks]
        ok, data = cv2.imencodeWithMetadata(suffix, pixels, kinds, [block for _, block in blocks], options)
    else:
        ok, data = cv2.imencode(suffix, pixels, options)
    if not ok:
        raise ValueError(f"OpenCV could not encode a {suffix} picture")
    return data.tobytes()
