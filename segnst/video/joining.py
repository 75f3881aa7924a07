"""Joining the chunks of a film: its packets are copied, and sound and subtitles come from the source once.

The output is opened as an undivided run does, with an encoder that is never used, so that header, color tags, sound and
subtitles are the same as without chunks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import torch

from segnst import temporaries
from segnst.errors import OutputError
from segnst.video.chunks import Encoding, Packets, container_of
from segnst.video.encode import VideoSink
from segnst.video.guard import writing
from segnst.video.paths import check_output, is_folder_output
from segnst.video.read import Reader
from segnst.video.sinks import FolderSink
from segnst.video.write import Writer


class JoinSink(VideoSink):
    """Writes the packets of chunks into the output, with the copied streams of the source."""

    def write(self, rgb: torch.Tensor, pts: int, duration: int) -> None:
        raise ValueError("a JoinSink takes chunks, not frames")

    def join(self, chunks: Sequence[tuple[Path, Packets]], first_pts: int) -> None:
        """Write all chunks in order. ``first_pts`` is the time of the film's first frame in the source.

        Raises OutputError if a chunk was encoded in another way than the output would be.
        """
        self._begin(first_pts)
        header = parameter_sets(bytes(self._stream.codec_context.extradata or b""))
        for path, index in chunks:
            if parameter_sets(index.extradata) != header or index.base != self._base:
                raise OutputError(
                    f"The chunk {path} was encoded in another way than the output; begin anew (--restart)."
                )
        times = timeline([index for _, index in chunks])
        moment = iter(times)
        for path, index in chunks:
            with path.open("rb") as file:
                for _, duration, size, key in index.packets:
                    packet: av.Packet[Any] = av.Packet(file.read(size))
                    packet.pts, packet.dts = next(moment)
                    packet.duration, packet.time_base = duration, self._base
                    packet.is_keyframe = bool(key)
                    packet.stream = self._stream
                    self._mux([packet])

    def finish(self) -> None:
        if self._companions is not None:
            self._companions.pump(None)
            self.warnings += self._companions.late_warnings
        assert self._output is not None
        self._output.close()
        self._release()


def parameter_sets(extradata: bytes) -> bytes:
    """Extradata without comments of the encoder: x265 names its options and the processor in an SEI message there."""
    if not extradata.startswith((b"\0\0\0\1", b"\0\0\1")):
        return extradata
    units = [unit for unit in extradata.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
    hevc = any((unit[0] >> 1) & 63 in (32, 33, 34) and unit[0] & 0x81 == 0 for unit in units)
    comments = {39, 40} if hevc else {6}
    return b"\0\0\1".join(u for u in units if ((u[0] >> 1) & 63 if hevc else u[0] & 31) not in comments)


def timeline(chunks: Sequence[Packets]) -> list[tuple[int, int]]:
    """(pts, dts) of all packets of a film, in the order of decoding.

    Each encoder session counts decoding times from its own beginning, which would overlap where frames are unevenly
    spaced. So they are derived anew, in the same way as encoders do: the k-th packet is decoded at the time of the
    frame that is shown as many frames earlier as the codec reorders at most.
    """
    pts: list[int] = []
    shown: list[int] = []
    for chunk in chunks:
        mine: dict[int, int] = {}
        for each in sorted(packet[0] for packet in chunk.packets):
            if each not in mine:  # a hidden frame has the time of the one after it
                mine[each] = max(each, shown[-1] + 1) if shown else each
                shown.append(mine[each])
        pts += [mine[packet[0]] for packet in chunk.packets]
    delay = 0
    while any(shown[max(0, k - delay)] > each for k, each in enumerate(pts) if k < len(shown)):
        delay += 1
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    ahead = [shown[0] - step * (delay - k) for k in range(delay)] if shown else []
    decoded = (ahead + shown)[: len(pts)]
    return list(zip(pts, decoded + [shown[-1]] * (len(pts) - len(decoded)), strict=True))


class JoinWriter(Writer):
    """Joins chunks into the output, which appears only when it is complete."""

    _expected = 0

    def _emit_last(self) -> None:
        pass

    def join(self, chunks: Sequence[tuple[Path, Packets | None]], first_pts: int, frames: int) -> None:
        """Write all chunks, which have ``frames`` frames together, and check that these are in the output.

        Raises OutputError, ResourceError.
        """
        with writing(self.path):
            if isinstance(self._sink, JoinSink):
                self._sink.join([(path, index) for path, index in chunks if index is not None], first_pts)
            else:
                _link(sorted(p for path, _ in chunks for p in path.iterdir()), self._temporary)
        self.frames_written = frames
        packets = [len(index.packets) for _, index in chunks if index is not None]
        self._expected = sum(packets) if packets else frames

    def _into_place(self) -> None:
        found = count_frames(self._temporary)
        if found != self._expected:
            raise OutputError(
                f"{self.path} would have {found} frames instead of {self._expected}, so it was not made. Please "
                "report this."
            )
        super()._into_place()


def _link(files: Iterable[Path], folder: Path) -> None:
    """Give files a second name in ``folder``, or copy them where the file system cannot do that."""
    for each in files:
        try:
            os.link(each, folder / each.name)
        except OSError:
            shutil.copyfile(each, folder / each.name)


def count_frames(path: Path) -> int:
    """The number of packets of picture in a video, or of files in a folder."""
    if path.is_dir():
        return sum(1 for _ in path.iterdir())
    with av.open(os.fspath(path.absolute())) as container:
        film = container.streams.video[0]
        return sum(packet.size > 0 for packet in container.demux(film))


def open_join_writer(
    output: Path, reader: Reader, how: Encoding, *, audio: bool = True, overwrite: bool = False
) -> JoinWriter:
    """Open ``output`` for the chunks of ``reader``'s film; use the result in a ``with``. Raises OutputError."""
    path = check_output(output, reader.info.path, overwrite=overwrite)
    folder = is_folder_output(output)
    with writing(path):
        temporary = temporaries.create(path, folder=folder)
    try:
        with writing(path):
            sink: JoinSink | FolderSink
            if folder:
                sink = FolderSink(temporary, reader, recipe=how.recipe)
            else:
                sink = JoinSink(
                    temporary, container_of(output), reader,
                    codec=how.codec, crf=how.crf, preset=how.preset, audio=audio, threads=how.threads,
                    bit_rate=how.bit_rate, recipe=how.recipe,
                )  # fmt: skip
    except BaseException:
        temporaries.remove(temporary)
        raise
    return JoinWriter(path, temporary, sink, reader, threaded=False, overwrite=overwrite)
