"""From the names that users type to live outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from segnst.errors import OutputError, UsageError, did_you_mean
from segnst.live.sinks.base import Sink
from segnst.live.sinks.encoded import EncodedSink, FileSink, StandardSink
from segnst.live.sinks.shown import NoSink, VirtualCameraSink, WindowSink, has_display
from segnst.video.paths import STREAM_FORMATS, VIDEO_FORMATS, check_format, check_output, is_stdout

# Outputs by their names, and what follows a colon.
NAMED: dict[str, Callable[[str | None], Sink]] = {
    "window": lambda _: WindowSink(),
    "virtualcam": VirtualCameraSink,
    "none": lambda _: NoSink(),
}
# FFmpeg's muxer for each protocol.
STREAMS = {
    "rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "tcp": "mpegts", "srt": "mpegts", "rtp": "rtp_mpegts",
    "rtsp": "rtsp",
}  # fmt: skip


def find_sinks(names: Sequence[str], source: str, format: str | None, *, overwrite: bool) -> list[Sink]:
    """The outputs that were named; a window where none was. Opens nothing.

    format  of standard output (``STREAM_FORMATS``)

    Raises OutputError, UsageError.
    """
    if not names:
        if not has_display():
            raise OutputError(
                "There is no display for a window, so name an output: -o FILE, -o - (a pipe), -o udp://HOST:PORT, "
                "-o rtmp://…, -o virtualcam or -o none."
            )
        names = ("window",)
    if format is not None and "-" not in names:
        check_format(format, Path(names[0]))
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The output {name} is named twice.")
    return [_sink(name, source, format, overwrite=overwrite) for name in names]


def _sink(name: str, source: str, format: str | None, *, overwrite: bool) -> Sink:
    if is_stdout(name):
        check_format(format, Path(name))
        return StandardSink(STREAM_FORMATS[format or "y4m"])
    word, colon, rest = name.partition(":")
    if word in NAMED and not rest.startswith("//"):
        return NAMED[word](rest if colon else None)
    if rest.startswith("//"):
        muxer = STREAMS.get(word.lower())
        if muxer is None:
            near = did_you_mean(word, STREAMS)
            known = ", ".join(f"{each}://" for each in STREAMS)
            raise OutputError(f"{name} is no stream that can be sent.{near} Known are {known}.")
        return EncodedSink(name, name, muxer)
    suffix = Path(name).suffix.lower()
    if suffix not in VIDEO_FORMATS or suffix == ".gif":
        films = ", ".join(each for each in VIDEO_FORMATS if each != ".gif")
        raise OutputError(
            f"{name} is no live output.{did_you_mean(word, NAMED)} Known are {', '.join(NAMED)}, -, streams "
            f"({', '.join(f'{each}://' for each in STREAMS)}) and files ({films})."
        )
    return FileSink(check_output(name, source, overwrite=overwrite), VIDEO_FORMATS[suffix], overwrite=overwrite)
