"""Where live pictures come from: a camera, a stream, a file at its own pace, or a pipe."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import av

from segnst.errors import InputError, did_you_mean
from segnst.files import reason
from segnst.video import pipes
from segnst.video.source import open_input

Kind = Literal["camera", "stream", "file", "pipe"]

PROTOCOLS = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "tcp", "rtp", "srt", "http", "https")
# What a stream may open in turn (a playlist its pieces, RTSP its transport): never a file.
_WHITELIST = "rtsp,rtsps,rtmp,rtmps,rtmpt,ffrtmphttp,udp,tcp,rtp,srtp,srt,http,https,httpproxy,tls,crypto,data"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# FFmpeg's demuxer for cameras, by platform.
_CAMERAS = {"linux": "video4linux2,v4l2", "darwin": "avfoundation", "win32": "dshow"}
_SYSFS = Path("/sys/class/video4linux")
STALL = 5.0  # seconds without anything from a stream, after which it counts as interrupted


@dataclass(frozen=True, slots=True)
class Source:
    """A source that can be opened, and again when it ended.

    name     as the user calls it
    paced    frames come earlier than they are to be shown
    returns  it can be opened again
    """

    name: str
    kind: Kind
    open: Callable[[float], av.container.InputContainer] = field(repr=False)

    @property
    def paced(self) -> bool:
        return self.kind in ("file", "pipe")

    @property
    def returns(self) -> bool:
        return self.kind in ("camera", "stream")


def find_source(text: str, rate: float | None = None) -> Source:
    """The source that ``text`` names; nothing is opened.

    ``open`` of the result takes the longest time to wait in seconds, and raises PyAV's errors.

    rate  frames a second to ask a camera for

    Raises InputError if it is none.
    """
    path = Path(text)
    address = _ADDRESS.match(text)
    if address:
        return _stream(text, address[1].lower())
    if text == pipes.STANDARD or pipes.is_pipe(path):
        return Source(text, "pipe", lambda patience: _open_pipe(path))
    if text.isdecimal() or _is_device(path):
        return _camera(text, rate)
    if path.is_file():
        return Source(text, "file", lambda patience: open_input(path))
    if path.is_dir():
        raise InputError(f"{text} is a folder; `segnst style` takes folders of frames.")
    if text in _camera_names():
        return _camera(text, rate)
    cameras = ", ".join(_camera_names()) or "none was found"
    raise InputError(f"There is no file, camera or stream {text}. Cameras: {cameras}. Streams: {_listed()}.")


def _listed() -> str:
    return ", ".join(f"{name}://" for name in PROTOCOLS)


def _stream(text: str, protocol: str) -> Source:
    if protocol not in PROTOCOLS:
        near = did_you_mean(protocol, PROTOCOLS)
        raise InputError(f"{text} is no stream that can be received.{near} Known are {_listed()}.")
    options = {"protocol_whitelist": _WHITELIST, "fflags": "nobuffer", "analyzeduration": "2000000"}
    if protocol == "udp":
        options |= {"overrun_nonfatal": "1", "fifo_size": "50000"}
    if protocol.startswith("rtsp"):
        options["rtsp_flags"] = "prefer_tcp"

    def open(patience: float) -> av.container.InputContainer:
        return av.open(
            text, "r", options=options, timeout=(max(0.1, patience), STALL), metadata_errors="surrogateescape"
        )

    return Source(text, "stream", open)


def _open_pipe(path: Path) -> av.container.InputContainer:
    pipes.begin(path)
    pipes.release(path)  # it is opened once, so nothing that was played needs to be kept
    return open_input(path)


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _camera_names() -> dict[str, str]:
    """The names of this machine's cameras, and what FFmpeg calls them."""
    if sys.platform == "linux":
        found: dict[str, str] = {}
        for each in sorted(_SYSFS.glob("video*")):
            name = each / "name"
            if name.is_file():
                found.setdefault(name.read_text(errors="replace").strip(), f"/dev/{each.name}")
        return found
    form = _CAMERAS.get(sys.platform)
    if form is None:
        return {}
    try:
        devices: list[Any] = av.device.enumerate_input_devices(form)
    except (av.FFmpegError, ValueError):
        return {}
    video = [d for d in devices if "video" in getattr(d, "media_types", ["video"])]
    return {d.description: d.name if form == "avfoundation" else f"video={d.description}" for d in video}


def _camera(text: str, rate: float | None) -> Source:
    form = _CAMERAS.get(sys.platform)
    if form is None:
        raise InputError(f"segnst does not know how cameras are opened on {sys.platform}; give a stream instead.")
    names = _camera_names()
    target = names.get(text, text)
    if text.isdecimal():
        if sys.platform == "linux":
            target = f"/dev/video{text}"
        elif sys.platform == "win32" and int(text) < len(names):
            target = list(names.values())[int(text)]
    if target.startswith("/dev/") and not Path(target).exists():
        raise InputError(f"There is no camera {text} ({target}). Found: {', '.join(names) or 'none'}.")
    wishes = [{"framerate": f"{rate:g}"}] if rate is not None else []

    def open(patience: float) -> av.container.InputContainer:
        for wish in wishes:
            try:
                return av.open(target, "r", format=form, options=wish, timeout=(patience, STALL))
            except (av.FFmpegError, OSError):
                continue  # cameras refuse what they cannot do; frames are dropped here then
        return av.open(target, "r", format=form, timeout=(patience, STALL))

    return Source(text, "camera", open)


def refusal(source: Source, error: BaseException) -> InputError:
    """What to raise if a source cannot be opened."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, av.error.ProtocolNotFoundError):
        return InputError(f"{source.name}: the FFmpeg that segnst uses lacks this protocol.")
    if isinstance(error, av.error.ExitError | TimeoutError):
        return InputError(f"{source.name} sends nothing.")
    if isinstance(error, av.error.InvalidDataError):
        return InputError(f"{source.name} sends nothing that can be read as video.")
    return InputError(f"{source.name} cannot be opened ({reason(error)}).")
