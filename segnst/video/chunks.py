"""Writing a film in chunks that are encoded one by one.

A chunk is a session of the encoder of its own, so it begins with a key frame and refers to nothing outside of it. It is
kept as the packets that the encoder returned, one after another in a file, with an index beside them; or as a folder of
PNGs, if the output is one. ``segnst.video.joining`` makes the film of them.
"""

from __future__ import annotations

import io
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from segnst import temporaries
from segnst.errors import UsageError
from segnst.video.encode import VideoSink
from segnst.video.guard import writing
from segnst.video.paths import VIDEO_FORMATS, is_folder_output
from segnst.video.read import Reader
from segnst.video.sinks import FolderSink
from segnst.video.write import Writer


@dataclass(frozen=True, slots=True)
class Encoding:
    """How chunks are encoded: the same for all chunks of a film, because a change could be seen or fail to decode.

    threads   number of threads of the encoder
    bit_rate  bits per second to aim at instead of a constant quality, or None
    recipe    text that travels with the output (``segnst.video.inscription``), or None
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    threads: int = 1
    bit_rate: int | None = None
    recipe: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chunk lies in the film.

    before     number of frames before it
    first_pts  time of the film's first frame in the source
    last       time of the last frame before it in the output, in the encoder's time base, if that is known
    previous   time of that frame in the source, if only this is known
    """

    before: int
    first_pts: int
    last: int = -1
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Packets:
    """The index of a file of packets.

    base       seconds per unit of all times
    packets    (pts, duration, bytes, 1 for a key frame) in the order of decoding
    extradata  what the encoder wrote for the header
    last       time of the last frame in the output
    """

    base: Fraction
    packets: tuple[tuple[int, int, int, int], ...]
    extradata: bytes
    last: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "base": str(self.base),
            "packets": [list(packet) for packet in self.packets],
            "extradata": self.extradata.hex(),
            "last": self.last,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Packets:
        """The reverse of ``as_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        packets = tuple((int(a), int(b), int(c), int(d)) for a, b, c, d in values["packets"])
        return cls(Fraction(values["base"]), packets, bytes.fromhex(values["extradata"]), int(values["last"]))


class PacketSink(VideoSink):
    """Encodes the frames of a chunk into a file of packets. ``index`` is complete after ``finish``."""

    def __init__(self, path: Path, container: str, reader: Reader, how: Encoding, place: Place) -> None:
        self._packets: list[tuple[int, int, int, int]] = []
        self._extradata = b""
        super().__init__(
            path, container, reader, codec=how.codec, crf=how.crf, preset=how.preset, audio=False, threads=how.threads,
            bit_rate=how.bit_rate,
        )  # fmt: skip
        self._shift = self._begin(place.first_pts)
        self._last = place.last
        if place.previous is not None:
            self._last = round((place.previous - self._shift) * reader.info.time_base / self._base)
        if self._encoding.alpha and self._encoding.encoder.startswith("libvpx"):
            self._release()
            raise UsageError(
                "Chunks cannot keep the transparency of a webm. Write a .mov with --codec prores, a .mkv with --codec "
                "ffv1 or a folder of PNGs, or leave out --resume and --workers."
            )
        self._file = path.open("r+b")  # the temporary file itself, because it is locked

    def _try_open(self, audio: str, others: bool) -> None:
        # The muxer decides how the encoder stores its header. Nothing but the header is ever written here.
        self._output = av.open(io.BytesIO(), "w", format=self._format)
        self._add_video(None)
        self._output.start_encoding()
        self._extradata = bytes(self._stream.codec_context.extradata or b"")

    def _mux(self, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts or 0, None) or packet.duration or 1
            pts = round((packet.pts or 0) * packet.time_base / self._base)
            self._file.write(packet)
            self._packets.append((pts, duration, packet.size, int(packet.is_keyframe)))

    @property
    def index(self) -> Packets:
        return Packets(self._base, tuple(self._packets), self._extradata, self._last)

    def finish(self) -> None:
        self._mux(self._stream.encode(None))
        self._file.close()
        self._release()

    def abort(self) -> None:
        with suppress(OSError):
            self._file.close()
        super().abort()


class ChunkWriter(Writer):
    """Writes one chunk, which appears under its name only when it is complete and on the disk."""

    until: int | None = None  # time in the source of the first frame after this chunk, if there is one

    def _last_duration(self, pts: int) -> int:
        return super()._last_duration(pts) if self.until is None else self.until - pts

    def _into_place(self) -> None:
        move_durably(self._temporary, self.path)

    @property
    def index(self) -> Packets | None:
        """The index of the packets, once the writer is closed; None for a folder of PNGs."""
        return self._sink.index if isinstance(self._sink, PacketSink) else None


def move_durably(temporary: Path, path: Path) -> None:
    """Rename something temporary, after its content has reached the disk. What is there is replaced. Raises OSError."""
    for each in sorted(temporary.iterdir()) if temporary.is_dir() else [temporary]:
        with each.open("rb") as file:
            os.fsync(file.fileno())
    if path.is_dir():
        shutil.rmtree(path)
    temporary.replace(path)
    temporaries.remove(temporary)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_chunk_writer(path: Path, output: Path, reader: Reader, how: Encoding, place: Place) -> ChunkWriter:
    """Open a chunk ``path`` of the film ``output``; use the result in a ``with``.

    Raises OutputError, UsageError as ``open_writer`` does.
    """
    folder = is_folder_output(output)
    with writing(path):
        temporary = temporaries.create(path, folder=folder)
    try:
        with writing(path):
            if folder:
                sink: PacketSink | FolderSink = FolderSink(temporary, reader, place.before, how.recipe)
            else:
                sink = PacketSink(temporary, container_of(output), reader, how, place)
    except BaseException:
        temporaries.remove(temporary)
        raise
    return ChunkWriter(path, temporary, sink, reader, threaded=True, overwrite=True)


def container_of(output: Path) -> str:
    """FFmpeg's name for the container of ``output``. Raises UsageError for one that cannot be written in chunks."""
    container = VIDEO_FORMATS.get(output.suffix.lower(), "gif")
    if container == "gif":
        raise UsageError(
            f"{output} cannot be written in chunks: write an mp4, mov, mkv, webm or a folder of PNGs, or leave out "
            "--resume and --workers."
        )
    return container
