"""Information about an input that is found before its frames are read."""

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
    """A short description of one stream of the input."""

    index: int
    type: str
    codec: str | None
    language: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What the container's header says about the film. This can be wrong.

    frames    number of frames, from the index or from duration and rate; None if unknown
    duration  of the video stream in seconds, or None
    end_pts   time at which the last frame ends, in units of the time base, or None
    """

    frames: int | None = None
    duration: float | None = None
    end_pts: int | None = None


@dataclass(frozen=True, slots=True)
class CountedFacts:
    """Results of counting the packets, pictures or files of the film.

    frames    number of frames
    duration  seconds from the first frame to the end of the last one
    parts     seconds to add to the time stamps of each part of a recording whose time stamps restart
              (see :mod:`segnst.video.times`); ``(0,)`` if they never restart
    """

    frames: int
    duration: float
    parts: tuple[Fraction, ...] = (Fraction(0),)


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Information about an input that is found before its frames are read.

    kind            a video file, an animation, one still image, or a folder of frames
    width, height   upright, with square pixels: the input of the networks unless ``max_size`` reduces it
    header          number of frames and duration according to the header
    counted         number of frames and duration as counted; None for most videos, because counting would
                    mean reading them twice
    fps             average frames per second
    time_base       seconds per unit of a frame's pts
    rotation        clockwise angle in degrees by which a player rotates the stored picture
    display_matrix  FFmpeg's nine integers, or None
    sample_aspect_ratio  width : height of a stored pixel (1 if unknown)
    aspect_tagged   whether the file states that ratio
    color           color tags of the file
    bit_depth       bits of the deepest component
    decoder         name of the decoder to use instead of FFmpeg's default, which would lose transparency
    times_by_decoding  presentation times are unusable, so decoding times are used
    first_pts       time of the first frame, in units of the time base
    origin          time in the file, in seconds, that counts as time 0 for the user
    metadata        of the file, as Unicode
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
        """The number of frames: counted, else as the header says."""
        return self.counted.frames if self.counted is not None else self.header.frames

    @property
    def duration(self) -> float | None:
        """The duration in seconds: counted, else as the header says."""
        return self.counted.duration if self.counted is not None else self.header.duration

    def of_type(self, kind: str) -> tuple[StreamSummary, ...]:
        """The streams of one type: audio, subtitle, data, attachment or video."""
        return tuple(stream for stream in self.streams if stream.type == kind)
