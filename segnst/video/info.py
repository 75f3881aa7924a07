"""What is known of an input before it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from segnst.video.color import ColorTags
from segnst.video.geometry import Matrix, Orientation

_UNTAGGED = ColorTags()
_AS_STORED = Orientation()


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream of the input, in one line."""

    index: int
    type: str
    codec: str | None
    language: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What the container says of the film, which may be wrong.

    frames    number of frames, by its index or from duration and rate; None where it says nothing
    duration  seconds of the video stream, or None
    end_pts   when the last frame ends, in units of the time base, or None
    """

    frames: int | None = None
    duration: float | None = None
    end_pts: int | None = None


@dataclass(frozen=True, slots=True)
class CountedFacts:
    """What counting the packets, pictures or files of the film has shown.

    frames    number of frames
    duration  seconds from the first frame to the end of the last one
    parts     seconds to add to the time stamps of each part of a recording whose stamps begin anew
              (see :mod:`segnst.video.times`); ``(0,)`` for one that is in one piece
    """

    frames: int
    duration: float
    parts: tuple[Fraction, ...] = (Fraction(0),)


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known of an input before it is read.

    kind            a video file, an animation, one still image, or a folder of frames
    width, height   upright, with square pixels: what the networks see (before ``max_size``)
    header          what the container claims: number of frames, duration
    counted         the same, counted; None where nothing was counted (most videos: it would mean
                    reading them twice)
    fps             average frames a second; ``time_base``: seconds per unit of a frame's pts
    rotation        degrees clockwise that a player turns the stored picture by
    display_matrix  FFmpeg's nine integers, or None
    sample_aspect_ratio  width : height of a stored pixel (1 where unknown)
    color          the tags as found; ``bit_depth`` of the deepest component
    decoder         name of the decoder to use where FFmpeg's own choice would lose something
    times_by_decoding  the presentation times are unusable; those of decoding count
    metadata        of the file, in Unicode whatever it was stored in
    """

    path: Path
    kind: Literal["video", "animation", "image", "frames"]
    width: int
    height: int
    storage_width: int
    storage_height: int
    header: HeaderFacts
    fps: Fraction
    time_base: Fraction
    codec: str
    container: str
    pixel_format: str
    bit_depth: int
    has_alpha: bool
    counted: CountedFacts | None = None
    color: ColorTags = _UNTAGGED
    display_matrix: Matrix | None = None
    orientation: Orientation = _AS_STORED
    sample_aspect_ratio: Fraction = Fraction(1)
    aspect_tagged: bool = False
    sample_rates: tuple[int, ...] = ()
    variable_rate: bool = False
    times_by_decoding: bool = False
    decoder: str | None = None
    video_index: int = 0
    first_pts: int = 0
    origin: Fraction = Fraction(0)
    streams: tuple[StreamSummary, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int | None:
        """The best known number of frames: counted, else what the header says."""
        return self.counted.frames if self.counted is not None else self.header.frames

    @property
    def duration(self) -> float | None:
        """The best known duration in seconds: counted, else what the header says."""
        return self.counted.duration if self.counted is not None else self.header.duration

    @property
    def rotation(self) -> int:
        o = self.orientation
        if not o.transpose:
            return 180 if o.vflip else 0
        return 90 if o.hflip else 270

    def of_type(self, kind: str) -> tuple[StreamSummary, ...]:
        """The streams of one type: audio, subtitle, data, attachment, video."""
        return tuple(stream for stream in self.streams if stream.type == kind)
