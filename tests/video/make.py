"""Tiny clips made on the spot, and a look into files that does not go through segnst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # 90 degrees clockwise


@dataclass
class Recipe:
    """What a test clip is like."""

    size: tuple[int, int] = (64, 48)
    frames: int = 12
    pts: Sequence[int] | None = None  # default: every ``step``
    step: int = 1001
    time_base: Fraction = Fraction(1, 30000)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    tags: dict[str, int] = field(default_factory=dict)
    aspect: Fraction | None = None
    matrix: Sequence[int] | None = None
    audio: Sequence[str] = ()  # codec names, one a track
    subtitles: Sequence[str] = ()
    last_duration: int | None = None
    options: dict[str, str] = field(default_factory=lambda: {"crf": "10", "preset": "veryfast"})
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: bool = False
    second_video: bool = False
    cover: bool = False


def picture(width: int, height: int, index: int) -> np.ndarray:
    """A smooth, colorful, asymmetric picture that moves: [H,W,3] uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 60 + 120 * x / width
    green = 60 + 120 * y / height
    blue = 100 + 40 * np.sin((x + 3 * index) / 9)
    image = np.stack([red, green, blue], -1)
    image[: height // 4, : width // 4] = (200, 60, 50)  # one corner, so that turning is seen
    return image.astype(np.uint8)


def make(path: Path, recipe: Recipe | None = None, **changes: object) -> Path:
    """Encode a clip as the recipe says."""
    recipe = recipe or Recipe(**changes)  # type: ignore[arg-type]
    suffix = path.suffix
    scale = {"video_track_timescale": str(recipe.time_base.denominator), "movie_timescale": "240000"}
    out = av.open(str(path), "w", container_options=scale if suffix in (".mp4", ".mov") else {})
    out.metadata.update(recipe.metadata)
    width, height = recipe.size
    rate = 1 / (recipe.step * recipe.time_base)
    streams = []
    for _ in range(1 + recipe.second_video):
        stream = out.add_stream(
            recipe.codec, rate=rate, time_base=recipe.time_base, width=width, height=height,
            options=dict(recipe.options) if recipe.codec in ("libx264", "libx265", "libvpx-vp9") else {},
        )  # fmt: skip
        stream.codec_context.pix_fmt = recipe.pixel_format
        for name, value in recipe.tags.items():
            setattr(stream.codec_context, name, value)
        if recipe.aspect is not None:
            stream.codec_context.sample_aspect_ratio = recipe.aspect
        if recipe.matrix is not None:
            stream.set_display_matrix(recipe.matrix)
        streams.append(stream)
    sounds = [out.add_stream(codec, rate=48000) for codec in recipe.audio]
    for number, sound in enumerate(sounds):
        sound.codec_context.layout = "stereo"
        sound.metadata["language"] = ("eng", "deu")[number % 2]
    texts = []
    for codec in recipe.subtitles:
        text = out.add_stream(codec)
        text.codec_context.time_base = Fraction(1, 1000)
        text.codec_context.subtitle_header = ASS_HEADER
        text.metadata["language"] = "eng"
        texts.append(text)
    if recipe.chapters:
        out.set_chapters(
            [
                {"id": n, "start": n * 100, "end": n * 100 + 100, "time_base": Fraction(1, 1000),
                 "metadata": {"title": f"part {n}"}}
                for n in range(3)
            ]
        )  # fmt: skip
    out.start_encoding()
    times = list(recipe.pts) if recipe.pts is not None else [n * recipe.step for n in range(recipe.frames)]
    gaps = [b - a for a, b in pairwise(times)] + [recipe.last_duration or recipe.step]
    durations = dict(zip(times, gaps, strict=True))
    full = recipe.tags.get("color_range") == 2
    space = "ITU709" if recipe.tags.get("colorspace") == 1 else "ITU601"

    def put(stream: av.VideoStream, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = durations.get(packet.pts, packet.duration)
            out.mux(packet)

    for number, text in enumerate(texts):
        for packet in subtitle_packets(text, number):
            out.mux(packet)
    for number, sound in enumerate(sounds):
        tone(out, sound, 330.0 * (number + 1), float((times[-1] + gaps[-1]) * recipe.time_base))
    for index, pts in enumerate(times):
        frame = av.VideoFrame.from_ndarray(picture(width, height, index), "rgb24").reformat(
            format=recipe.pixel_format, dst_colorspace=space, src_color_range=2, dst_color_range=2 if full else 1
        )
        frame.pts, frame.time_base = pts, recipe.time_base
        for stream in streams:
            put(stream, stream.encode(frame))
    for stream in streams:
        put(stream, stream.encode(None))
    out.close()
    return path


ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize\r\n"
    b"Style: Default,Arial,16\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Style, Text\r\n"
)


def subtitle_packets(stream: object, number: int) -> list[av.Packet]:
    """Two lines of text as packets of the stream's codec."""
    packets = []
    for index, (start, end) in enumerate([(50, 150), (200, 350)]):
        line = f"line {index} of track {number}".encode()
        if stream.codec_context.name == "mov_text":  # type: ignore[attr-defined]
            line = len(line).to_bytes(2, "big") + line
        packet = av.Packet(line)
        packet.stream = stream  # type: ignore[assignment]
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = start
        packet.duration = end - start
        packets.append(packet)
    return packets


def tone(out: av.container.OutputContainer, stream: av.AudioStream, pitch: float, seconds: float) -> None:
    """A sine of ``seconds`` in both channels."""
    resampler = av.AudioResampler(
        stream.codec_context.format.name, "stereo", 48000, stream.codec_context.frame_size or 1024
    )
    time = np.arange(int(seconds * 48000)) / 48000
    samples = (0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


def add_cover(source: Path, target: Path, font: bytes = b"") -> Path:
    """A copy of ``source`` with a cover picture, and with a font attached where asked (mkv)."""
    image = av.VideoFrame.from_ndarray(picture(32, 32, 0), "rgb24")
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 32, 32, "rgb24", Fraction(1, 25)
    png = b"".join(bytes(p) for p in [*encoder.encode(image), *encoder.encode(None)])
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        lanes = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        cover = None
        if target.suffix == ".mkv":
            new.add_attachment("font.ttf", "font/ttf", font)
            new.add_attachment("cover.png", "image/png", png)
        else:
            cover = new.add_stream("png", rate=1, width=32, height=32)
            cover.codec_context.pix_fmt = "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = lanes[packet.stream_index]
                new.mux(packet)
        if cover is not None:
            packet = av.Packet(png)
            packet.stream, packet.time_base, packet.pts, packet.dts = cover, Fraction(1, 25), 0, 0
            new.mux(packet)
    return target


def cover_streams(path: Path) -> list[bytes]:
    """The cover pictures of a file, compressed as they are."""
    with av.open(str(path)) as file:
        covers = [s for s in file.streams.video if s.disposition & av.stream.Disposition.attached_pic]
        return [bytes(p) for p in file.demux(covers) if p.size] if covers else []


@dataclass
class Look:
    """A file as PyAV alone sees it. Times in seconds."""

    times: list[Fraction]
    end: Fraction | None
    last_duration: Fraction
    size: tuple[int, int]
    tags: tuple[int, int, int, int]
    aspect: Fraction | None
    matrix: tuple[int, ...] | None
    pixel_format: str
    codec: str
    rgb: list[np.ndarray]
    packets: dict[str, list[list[tuple[Fraction, Fraction, bytes]]]]  # by type, one list a stream
    metadata: dict[str, str]
    languages: dict[str, list[str | None]]
    chapters: list[tuple[Fraction, Fraction, str]]


def look(path: Path, *, pixels: bool = True) -> Look:
    """Read everything of a (small) file."""
    packets: dict[int, list[tuple[Fraction, Fraction, bytes]]] = {}
    with av.open(str(path)) as file:
        kinds = [(s.index, s.type, s.metadata.get("language")) for s in file.streams]
        for packet in file.demux():
            if packet.size and packet.pts is not None:
                base = packet.time_base
                packets.setdefault(packet.stream_index, []).append(
                    (packet.pts * base, (packet.duration or 0) * base, bytes(packet))
                )
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        first = frames[0]
        matrix = None
        for data in first.side_data:
            if data.type.name == "DISPLAYMATRIX":
                matrix = tuple(np.frombuffer(bytes(data), np.int32).tolist())
        by_type: dict[str, list[list[tuple[Fraction, Fraction, bytes]]]] = {}
        languages: dict[str, list[str | None]] = {}
        for index, kind, language in kinds:
            by_type.setdefault(kind, []).append(packets.get(index, []))
            languages.setdefault(kind, []).append(language)
        return Look(
            times=[frame.pts * frame.time_base for frame in frames],
            end=None if stream.duration is None else ((stream.start_time or 0) + stream.duration) * stream.time_base,
            last_duration=frames[-1].duration * frames[-1].time_base,
            size=(first.width, first.height),
            tags=(int(first.colorspace), int(first.color_range), int(first.color_primaries), int(first.color_trc)),
            aspect=stream.sample_aspect_ratio,
            matrix=matrix,
            pixel_format=first.format.name,
            codec=stream.codec_context.name,
            rgb=[frame.to_ndarray(format="rgb24") for frame in frames] if pixels else [],
            packets=by_type,
            metadata=dict(file.metadata),
            languages=languages,
            chapters=[
                (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"].get("title", ""))
                for c in file.chapters()
            ],
        )


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))
