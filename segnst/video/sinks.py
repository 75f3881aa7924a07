"""Write stills, folders of PNGs and animated GIFs: upright pictures with square pixels."""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from av.filter import Graph

from segnst.errors import OutputError, UsageError
from segnst.video import images
from segnst.video.color import packed_frame
from segnst.video.inscription import inscribed
from segnst.video.read import Reader
from segnst.video.source import file_name


class StillSink:
    """Writes one picture. 16 bits, alpha, color profile and EXIF are kept if the format supports them."""

    def __init__(self, temporary: Path, path: Path, reader: Reader, recipe: str | None = None) -> None:
        self.warnings: list[str] = []
        self._temporary = temporary
        self._path = path
        self._reader = reader
        self._recipe = recipe
        self._done = False

    def write(self, rgb: torch.Tensor, pts: int, duration: int) -> None:
        del pts, duration
        if self._done:
            raise OutputError(
                f"{self._path} holds one picture, but there are more frames; name a video or a folder instead."
            )
        self._done = True
        info = self._reader.info
        exif, icc = b"", b""
        if info.kind == "image":
            source = images.load(info.path)
            exif, icc = source.exif, source.icc
        suffix = self._path.suffix.lower()
        if rgb.shape[0] == 4 and suffix in (".jpg", ".jpeg", ".bmp"):
            self.warnings.append(f"{suffix[1:]} cannot store transparency; it was dropped.")
        if info.bit_depth > 8 and suffix not in (".png", ".tif", ".tiff"):
            self.warnings.append(f"{suffix[1:]} stores 8 bits; the {info.bit_depth} bits of the input were reduced.")
        data = _encoded(rgb, suffix, info.bit_depth > 8, exif, icc)
        self._temporary.write_bytes(inscribed(data, self._recipe))

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass


class FolderSink:
    """Writes a PNG for each frame, with the names of the input's frames, else ``frame_000001.png`` and so on.

    before  number of frames of the film that come before those that are written here
    """

    def __init__(self, temporary: Path, reader: Reader, before: int = 0, recipe: str | None = None) -> None:
        self.warnings: list[str] = []
        self._folder = temporary
        self._recipe = recipe
        self._deep = reader.info.bit_depth > 8
        self._count = before
        info = reader.info
        stems = [path.stem for path in info.files]
        self._names = stems if info.kind == "frames" and len(set(stems)) == len(stems) else []
        if info.of_type("audio"):
            self.warnings.append("A folder of frames holds no sound; it was dropped.")

    def write(self, rgb: torch.Tensor, pts: int, duration: int) -> None:
        del duration
        self._count += 1
        stem = self._names[pts] if self._names else f"frame_{self._count:06d}"
        data = inscribed(_encoded(rgb, ".png", self._deep, b"", b""), self._recipe)
        (self._folder / f"{stem}.png").write_bytes(data)

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass


def _encoded(rgb: torch.Tensor, suffix: str, deep: bool, exif: bytes, icc: bytes) -> bytes:
    try:
        return images.encode(rgb.numpy(), suffix, deep=deep, exif=exif, icc=icc)
    except cv2.error as error:
        raise ValueError(str(error)) from error


class GifSink:
    """Writes an animated GIF. Each frame has its own palette, so that memory use does not grow with the length."""

    def __init__(self, temporary: Path, reader: Reader, codec: str | None) -> None:
        if codec is not None and codec != "gif":
            raise UsageError(f"A GIF cannot use the codec {codec}; leave out --codec or write an mp4.")
        self.warnings: list[str] = []
        info = reader.info
        if info.of_type("audio"):
            self.warnings.append("A GIF holds no sound; it was dropped.")
        self._base = info.time_base
        self._first: int | None = None
        self._last = -1
        self._crowded = self._dropped = 0
        self._durations: dict[int, int] = {}
        self._alpha = info.has_alpha
        size = (reader.width, reader.height)
        self._graph = _palette_graph(size, self._alpha)
        self._output = av.open(file_name(temporary), "w", format="gif", container_options={"loop": "0"})
        self._stream = self._output.add_stream(
            "gif", rate=info.fps.limit_denominator(1000), time_base=Fraction(1, 100), width=size[0], height=size[1]
        )
        self._stream.codec_context.pix_fmt = "pal8"
        self._output.start_encoding()

    def write(self, rgb: torch.Tensor, pts: int, duration: int) -> None:
        if self._first is None:
            self._first = pts  # a GIF always begins with its first frame
        begins = math.floor((pts - self._first) * self._base * 100 + Fraction(1, 2))
        ends = math.floor((pts + duration - self._first) * self._base * 100 + Fraction(1, 2))
        if begins < self._last:
            # A delay of one unit can be caught up later, but larger delays would make the film longer.
            self._dropped += 1
            return
        if begins == self._last:
            self._crowded += 1
            begins = self._last + 1
        self._last = begins
        self._durations[begins] = max(1, ends - begins)
        planes = rgb.numpy() if self._alpha else rgb[:3].numpy()
        if self._alpha and planes.shape[0] == 3:
            planes = np.concatenate([planes, np.ones_like(planes[:1])])
        frame = packed_frame(planes)
        frame.pts = begins
        frame.time_base = Fraction(1, 100)
        self._graph.push(frame)
        self._drain()

    def _drain(self) -> None:
        while True:
            try:
                frame: Any = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts or 0, packet.duration or 1)
            self._output.mux_one(packet)

    def finish(self) -> None:
        self._graph.push(None)
        self._drain()
        self._mux(self._stream.encode(None))
        self._output.close()
        if self._dropped:
            self.warnings.append(
                f"A GIF counts time in 1/100 s; {self._dropped} frames that were closer together were dropped."
            )
        elif self._crowded:
            self.warnings.append(
                f"A GIF counts time in 1/100 s; {self._crowded} frames are shown later than in the source."
            )

    def abort(self) -> None:
        with suppress(av.FFmpegError, OSError, ValueError):
            self._output.close()


def _palette_graph(size: tuple[int, int], alpha: bool) -> Graph:
    """A filter graph from rgb24 or rgba to pal8: the best 256 colors for each frame, dithered."""
    graph = Graph()
    form: Any = "rgba" if alpha else "rgb24"
    source = graph.add_buffer(width=size[0], height=size[1], format=form, time_base=Fraction(1, 100))
    split = graph.add("split")
    palette = graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(alpha)}")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
