"""Still pictures: single ones and folders of frames.

OpenCV reads and writes them, for its 16-bit and alpha support; files are opened by Python, so
that a full disk or a forbidden folder is an exception with a number and not a silent False.
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
from segnst.video.geometry import exif_orientation
from segnst.video.guard import reading

_FRAME_SUFFIXES = PICTURE_SUFFIXES | {".jp2", ".pgm", ".ppm", ".pnm", ".avif"}
MASK_SUFFIX = "_mask.png"
_CODECS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"II*\0": "tiff", b"MM\0*": "tiff", b"BM": "bmp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded still, upright.

    pixels  [H,W,3] or, with alpha, [H,W,4]; uint8, uint16 or float32; RGB(A)
    exif, icc  raw metadata blocks, empty where there are none
    """

    pixels: np.ndarray
    codec: str
    exif: bytes = b""
    icc: bytes = b""

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
        """``[3,H,W]`` (``[4,H,W]`` with alpha) float32 in [0,1]."""
        top = {"uint8": 255.0, "uint16": 65535.0}.get(self.pixels.dtype.name, 1.0)
        planes = np.ascontiguousarray(self.pixels.transpose(2, 0, 1), dtype=np.float32)
        planes /= np.float32(top)
        return np.clip(planes, 0.0, 1.0, out=planes)


def is_still(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a still picture (animations are videos)."""
    if head.startswith(b"\x89PNG"):
        return b"acTL" not in head[: head.find(b"IDAT") if b"IDAT" in head else len(head)]
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return b"ANMF" not in head and not (head[12:16] == b"VP8X" and head[20] & 2)
    return _codec(head) != ""


def _codec(head: bytes) -> str:
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and not (len(head) > 14 and head[6:10] == b"\0\0\0\0"):
        return ""
    if re.match(rb"P[1-6]\s", head):
        return "pnm"
    if head.startswith(b"\0\0\0\x0cjP  "):
        return "jpeg2000"
    if head[4:12] in (b"ftypavif", b"ftypheic"):
        return "avif"
    return next((name for magic, name in _CODECS.items() if head.startswith(magic)), "")


def load(path: Path) -> Picture:
    """Read a still, turned upright as its EXIF asks. Raises InputError."""
    with reading(path):
        data = path.read_bytes()
    if not data:
        raise InputError(f"{path} is empty.")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # what is wrong is said by the exception, not on stderr
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
    icc = kept.get(int(cv2.IMAGE_METADATA_ICCP), b"")
    pixels = _rgb(pixels)
    turn = exif_orientation(exif_tag(exif))
    if turn.transpose:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if turn.vflip else 1, :: -1 if turn.hflip else 1]
    return Picture(np.ascontiguousarray(pixels), _codec(data[:64]) or "image", exif, icc)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's gray, BGR or BGRA as RGB or RGBA."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 2:
        return np.concatenate([np.repeat(pixels[:, :, :1], 3, axis=2), pixels[:, :, 1:]], axis=2)
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return pixels[:, :, order]


def exif_tag(exif: bytes) -> int:
    """The orientation (tag 274) in an EXIF block, 1 where there is none."""
    place = _exif_place(exif)
    if place is None:
        return 1
    return int(struct.unpack_from(place[1] + "H", exif, place[0])[0])


def upright_exif(exif: bytes) -> bytes:
    """The same block with the orientation set to "as stored", for pixels that are turned already."""
    place = _exif_place(exif)
    if place is None:
        return exif
    changed = bytearray(exif)
    struct.pack_into(place[1] + "H", changed, place[0], 1)
    return bytes(changed)


def _exif_place(exif: bytes) -> tuple[int, str] | None:
    """Where the orientation's value stands in an EXIF block, and the byte order."""
    base = 6 if exif.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[base : base + 2])
    if order is None:
        return None
    try:
        table = base + struct.unpack_from(order + "I", exif, base + 4)[0]
        for entry in range(struct.unpack_from(order + "H", exif, table)[0]):
            at = table + 2 + 12 * entry
            if struct.unpack_from(order + "H", exif, at)[0] == 274:
                if len(exif) < at + 12:
                    return None
                return at + 8, order
    except struct.error:
        pass
    return None


def natural_key(path: Path) -> tuple[object, ...]:
    """Sorts ``frame2`` before ``frame10``."""
    # Every second part is a number; "²" is a digit to str.isdigit, but to neither \d nor int.
    parts = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), p) if index % 2 else (0, 0, p.lower()) for index, p in enumerate(parts)), path.name


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order (hidden files left out). Raises InputError."""
    with reading(folder):
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in _FRAME_SUFFIXES and not path.name.startswith(".") and path.is_file()
        ]
    if not files:
        raise InputError(f"The folder {folder} holds no pictures.")
    return sorted(files, key=natural_key)


def apart_from_masks(files: Sequence[Path]) -> tuple[list[Path], dict[str, Path]]:
    """The frames among a folder's pictures, and the masks beside them (NAME_mask.png) by their frames' stems."""
    stems = {path.stem for path in files}
    beside = {
        path.name.removesuffix(MASK_SUFFIX): path
        for path in files
        if path.name.endswith(MASK_SUFFIX) and path.name.removesuffix(MASK_SUFFIX) in stems
    }
    masks = set(beside.values())
    return [path for path in files if path not in masks], beside


def check_sizes(files: list[Path]) -> None:
    """Raise InputError that names two files where the sizes in the headers differ.

    Only headers of PNG and JPEG are looked at, which is cheap; what they do not show (other kinds,
    a picture turned by its EXIF) is found when the frame is read.
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
    """Width and height from a PNG or JPEG header, as stored; None for other kinds."""
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
    """Compress ``[3,H,W]`` or ``[4,H,W]`` floats in [0,1] as the kind that ``suffix`` names.

    ``deep`` asks for 16 bits, which PNG and TIFF hold. Raises cv2.error.
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
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100: lossless
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
        raise ValueError(f"OpenCV could not make a {suffix} picture")
    return data.tobytes()
