"""What ``segnst segment`` may be told. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from segnst.config import FILES, WHAT, Settings
from segnst.setting import check, restated, setting


@dataclass(frozen=True)
class SegmentSettings:
    """What finds the regions, and what is written.

    source   segmenter, what is pointed at, masks from files, part and size of the input, device
    formats  of ``segnst.jobs.mask_files.FORMATS``
    check    another segmenter to compare with: how far the two agree, and a sheet ``check.png``
    """

    source: Settings = field(default_factory=Settings)
    formats: tuple[str, ...] = setting(
        ("indexed",),
        "indexed (PNG), soft16 (16-bit PNG a region), coco (JSON), overlay (mp4), alpha (mov), alpha-webm. Repeat it.",
        metavar="NAME",
        group=FILES,
        options=("--format",),
        repeat=True,
        complete="format",
    )
    check: str | None = setting(
        None,
        "Compare with another segmenter: agreement, and a sheet check.png.",
        metavar="NAME|PATH",
        group=WHAT,
        complete="segmenter",
    )


@dataclass(frozen=True)
class DetectSettings:
    """Which objects are cut out, and how.

    names     of classes, such as ``("person", "dog")``
    selector  what draws the masks: "grabcut" or "sam";  detector  what draws the boxes, or None for the best there is
    start, end   seconds of a video;  max_size  px of a video's or still's long side
    Raises UsageError for a value that its field does not allow.
    """

    names: tuple[str, ...]
    selector: str = "grabcut"
    detector: str | None = setting(
        None, "With --detect: what draws the boxes.", metavar="NAME", group=WHAT, complete="detector"
    )
    start: float | None = restated(Settings, "start", None)
    end: float | None = restated(Settings, "end", None)
    max_size: int | None = restated(Settings, "max_size", None)
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)

    def __post_init__(self) -> None:
        check(self)
