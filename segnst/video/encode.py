"""Write mp4, mov, mkv and webm: the styled picture, and the other streams of the source."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from av.container import OutputContainer

from segnst.errors import OutputError
from segnst.files import output_error, reason
from segnst.video import color, stdout
from segnst.video.codecs import ODD_SIZES, choose, device_of, repeatable
from segnst.video.color import FromRGB, matrix_for
from segnst.video.geometry import scaled_matrix
from segnst.video.inscription import with_text
from segnst.video.muxing import muxer_options
from segnst.video.pace import EvenTimes, pace, time_offset
from segnst.video.read import Reader
from segnst.video.source import file_name
from segnst.video.streams import Companions
from segnst.video.tags import container_metadata, output_tags, stream_metadata
from segnst.video.untouched import Restorer, restorable

# Encoders whose bitstream cannot store the pixel aspect ratio.
_NO_ASPECT = {"libvpx-vp9", "libvpx", "libsvtav1", "libaom-av1", "librav1e"}


class VideoSink:
    """Encodes frames and muxes them with the copied streams of the source.

    threads  number of threads of the encoder; 0 lets it choose. With a number, the same frames always give the same
             packets (``repeatable``)
    """

    def __init__(
        self,
        path: Path | stdout.StandardOutput,
        container: str,
        reader: Reader,
        *,
        codec: str | None,
        crf: float | None,
        preset: str | None,
        audio: bool,
        threads: int = 0,
        bit_rate: int | None = None,
        recipe: str | None = None,
        alone: bool = False,
    ) -> None:
        self.warnings: list[str] = []
        self._threads = threads
        self._path = path
        self._format = container
        self._reader = reader
        info = reader.info
        self._metadata = with_text(container_metadata(info, cut=self._is_cut), recipe, container)
        if container == "yuv4mpegpipe" and audio and info.of_type("audio"):
            self.warnings.append("y4m holds no sound; it was dropped. Other formats keep it (.mkv, --format mpegts).")
        depth = info.bit_depth if info.kind == "video" else 8
        self._encoding = choose(codec, container, info.pixel_format, depth, crf, preset, info.has_alpha, bit_rate)
        self.warnings += self._encoding.warnings
        # The size of the encoded picture (in the orientation of the source) and its pixel aspect ratio.
        self._picture, self._aspect = reader.geometry.encoded, info.sample_aspect_ratio
        if self._aspect != 1 and container in ("matroska", "webm") and self._encoding.encoder in _NO_ASPECT:
            # Matroska has a field for the aspect ratio, but PyAV cannot set it.
            self._picture, self._aspect = reader.geometry.square, Fraction(1)
            self.warnings.append(
                f"{self._encoding.encoder} in {container} cannot store the pixel aspect {info.sample_aspect_ratio}: "
                f"the picture was resized to {self._picture[0]}x{self._picture[1]} with square pixels."
            )
        self._size, pad = self._padded()
        self._tags = output_tags(info, self._picture[1])
        self._convert = FromRGB(
            self._encoding.pixel_format,
            self._tags.matrix if self._tags.matrix in color.WEIGHTS else matrix_for(info.color, info.storage_height),
            color.is_full(self._tags, ""),
            self._size,
            pad,
        )
        encoding = self._encoding
        rate, self._base = pace(
            encoding.encoder,
            encoding.pixel_format,
            self._size,
            encoding.options,
            info.fps.limit_denominator(1_000_000),
            info.time_base,
        )
        if container == "yuv4mpegpipe":
            self._base = 1 / rate  # the muxer takes it for the frame rate
        self._rate = rate
        self._last = -1
        self._even = EvenTimes(rate) if container == "yuv4mpegpipe" else None
        self._durations: dict[int, int] = {}
        self._restore = self._restorer(pad)
        self._shift: int | None = None
        self._stream: Any = None
        self._output: OutputContainer | None = None
        self._companions: Companions | None = None
        self._open([("no", False)] if alone else _attempts(audio))

    def _padded(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The encoded size, and how many columns and rows of it are padding."""
        width, height = self._picture
        if self._encoding.encoder in ODD_SIZES:
            return (width, height), (0, 0)
        pad = (
            width % 2 if "420" in self._encoding.pixel_format or "422" in self._encoding.pixel_format else 0,
            height % 2 if "420" in self._encoding.pixel_format else 0,
        )
        if pad != (0, 0):
            lines = " and ".join(word for word, count in (("column", pad[0]), ("row", pad[1])) if count)
            self.warnings.append(
                f"{self._encoding.encoder} needs even sides, so {width}x{height} got a copy of its last {lines}."
            )
        return (width + pad[0], height + pad[1]), pad

    def _restorer(self, pad: tuple[int, int]) -> Restorer | None:
        """A restorer for unchanged pixels, or None if source and output store colors differently."""
        info, geometry = self._reader.info, self._reader.geometry
        alike = (
            info.kind == "video"
            and pad == (0, 0)
            and geometry.storage == self._picture
            and restorable(info.pixel_format, self._encoding.pixel_format)
        )
        if not alike:
            return None
        self._reader.sources.want()
        return Restorer(info.color, info.storage_height, geometry.square)

    def _open(self, attempts: Sequence[tuple[str, bool]]) -> None:
        """Write the header, with as many of the source's other streams as the container supports."""
        problem: Exception | None = None
        # Some streams are refused only when the header is written, and the error does not say which one.
        for sound, others in attempts:
            try:
                self._try_open(sound, others)
                if problem is not None and not (sound != "no" or others):
                    self.warnings.append(f"The container refuses the source's sound and subtitles ({reason(problem)}).")
                elif problem is not None and not others:
                    self.warnings.append(f"The container refuses the source's subtitles ({reason(problem)}).")
                return
            except (av.FFmpegError, ValueError) as error:
                self._release()
                problem = problem or error
                if self._reader.info.kind != "video":
                    break
        assert problem is not None
        device = device_of(self._encoding.encoder)
        if device is not None:
            raise OutputError(
                f"{self._encoding.encoder} needs {device}, and could not be opened here ({reason(problem)}); "
                f"use --codec {self._encoding.encoder.partition('_')[0]} to encode on the CPU."
            ) from problem
        if isinstance(problem, av.error.OSError):
            raise output_error(problem, Path(self._path.name))
        raise OutputError(
            f"{self._encoding.encoder} cannot write {self._size[0]}x{self._size[1]} {self._encoding.pixel_format} "
            f"into {self._format} ({reason(problem)}); try another --codec or suffix."
        ) from problem

    def _try_open(self, audio: str, others: bool) -> None:
        reader, info = self._reader, self._reader.info
        target: Any = file_name(self._path) if isinstance(self._path, Path) else self._path
        options = muxer_options(self._format, info, self._metadata, seekable=target is not self._path)
        output = av.open(target, "w", format=self._format, container_options=options)
        self._output = output
        output.metadata.update(self._metadata)
        warnings: list[str] = []
        companions = None
        if info.kind == "video" and self._format != "yuv4mpegpipe":
            companions = Companions(
                info, output, self._format, audio=audio, others=others, warnings=warnings, cut=self._is_cut
            )
            companions.add_all(self._add_video)
            companions.add_chapters(reader.start or Fraction(0), reader.end)
        else:
            self._add_video(None)
        self._companions = companions
        output.start_encoding()
        self.warnings += warnings

    @property
    def _is_cut(self) -> bool:
        return self._reader.start is not None or self._reader.end is not None

    def _add_video(self, source: av.VideoStream | None) -> None:
        output, info, encoding = self._output, self._reader.info, self._encoding
        assert output is not None
        stream: Any = output.add_stream(
            encoding.encoder,
            rate=self._rate,
            options=encoding.options | (repeatable(encoding.encoder) if self._threads else {}),
            time_base=self._base,
            bit_rate=encoding.bit_rate,
            width=self._size[0],
            height=self._size[1],
        )
        context = stream.codec_context
        context.pix_fmt = encoding.pixel_format
        context.thread_count = self._threads
        context.color_range = self._tags.range
        context.colorspace = self._tags.matrix
        context.color_primaries = self._tags.primaries
        context.color_trc = self._tags.transfer
        if info.aspect_tagged:
            context.sample_aspect_ratio = self._aspect
        if info.variable_rate and self._format in ("mp4", "mov"):
            # mp4 stores differences of decoding times. They equal the durations of frames only without B-frames.
            context.max_b_frames = 0
        if encoding.tag is not None:
            context.codec_tag = encoding.tag
        if info.display_matrix is not None:
            geometry = self._reader.geometry
            stream.set_display_matrix(scaled_matrix(info.display_matrix, geometry.storage, self._picture))
        if source is not None:
            stream.metadata.update(stream_metadata(source, cut=self._is_cut, container=self._format))
            stream.disposition = source.disposition
        self._stream = stream

    def write(self, rgb: torch.Tensor, pts: int, duration: int) -> None:
        source_base, base = self._reader.info.time_base, self._base
        if self._shift is None:
            self._shift = self._begin(pts)
        picture = self._reader.geometry.orientation.stored(rgb if self._encoding.alpha else rgb[:3])
        frame = self._convert(picture.numpy())
        source = self._reader.sources.take(pts)
        if self._restore is not None and source is not None:
            self._restore(frame, picture[:3].numpy(), source)
        self._tag(frame)
        begins, ends = pts - self._shift, pts - self._shift + duration
        if base != source_base:
            begins, ends = (round(time * source_base / base) for time in (begins, ends))
        self._last = max(begins, self._last + 1)  # two frames can round to the same unit of a coarser time base
        frame.pts, frame.time_base = self._last, base
        frame.duration = max(1, ends - self._last)
        self._durations[self._last] = frame.duration
        if self._even is None:
            self._mux(self._stream.encode(frame))
            return
        for time in self._even.times((pts - self._shift) * source_base, duration * source_base):
            frame.pts = round(time / base)
            self._mux(self._stream.encode(frame))

    def _begin(self, pts: int) -> int:
        """Begin to copy the other streams; return the time in the source that becomes 0, in its time base.

        pts  time of the first frame in the source
        """
        offset = time_offset(self._reader, pts)
        if self._companions is not None:
            end = self._reader.end
            self._companions.begin(offset, None if end is None else end + self._reader.info.origin)
        return round(offset / self._reader.info.time_base)

    def _tag(self, frame: av.VideoFrame) -> None:
        """Set the color tags of a frame. Most encoders use those of their context, but ProRes uses the frame's."""
        frame.colorspace = self._tags.matrix
        frame.color_range = self._tags.range
        frame.color_primaries = self._tags.primaries
        frame.color_trc = self._tags.transfer

    def _mux(self, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            # Some encoders lose durations, and that of the last frame cannot be derived from other times.
            duration = self._durations.pop(packet.pts or 0, None)
            if duration is not None:
                packet.duration = duration
            if self._companions is not None and packet.dts is not None:
                self._companions.pump(packet.dts * packet.time_base)
            assert self._output is not None
            self._output.mux_one(packet)

    def finish(self) -> None:
        assert self._output is not None
        if self._even is not None:
            self.warnings += self._even.warnings
        self._mux(self._stream.encode(None))
        if self._companions is not None:
            self._companions.pump(None)
            self.warnings += self._companions.late_warnings
        self._output.close()
        self._release()

    def abort(self) -> None:
        self._release()

    def _release(self) -> None:
        """Close all files. Closing an unfinished output writes a trailer, but the file is deleted afterwards."""
        companions, self._companions = self._companions, None
        output, self._output = self._output, None
        if companions is not None:
            companions.close()
        if output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                output.close()


def _attempts(audio: bool) -> list[tuple[str, bool]]:
    """Ways to handle sound ("copy", "encode" or "no") and whether to keep other streams, in the order to try."""
    if not audio:
        return [("no", True), ("no", False)]
    return [("copy", True), ("encode", True), ("copy", False), ("encode", False), ("no", False)]
