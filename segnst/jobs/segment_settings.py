"""The settings of ``segnst segment``. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from segnst.config import FILES, WHAT, Settings
from segnst.setting import check, restated, setting


@dataclass(frozen=True)
class SegmentSettings:
    """How regions are found, and what is written.

    source   settings of the segmenter, selections, masks from files, part and size of the input, device
    formats  keys of ``segnst.jobs.mask_files.FORMATS``
    check    name of another segmenter to compare with: the report gets their agreement, the folder a ``check.png``
    """

    source: Settings = field(default_factory=Settings)
    formats: tuple[str, ...] = setting(
        ("indexed",),
        "indexed (PNG), soft16 (16-bit PNG per region), coco (JSON), overlay (mp4), alpha (mov), alpha-mkv, "
        "alpha-webm. Can be repeated.",
        metavar="NAME",
        group=FILES,
        options=("--format",),
        repeat=True,
        complete="format",
    )
    check: str | None = setting(
        None,
        "Compare with another segmenter: print the agreement, and draw the differences in check.png.",
        metavar="NAME|PATH",
        group=WHAT,
        complete="segmenter",
    )


@dataclass(frozen=True)
class DetectSettings:
    """Which objects are cut out, and how.

    names      names of classes, such as ``("person", "dog")``
    selector   draws the masks: "grabcut" or "sam"
    detector   draws the boxes; None: the best one that is available
    start, end   seconds of a video;  max_size  px, largest long side of a video or still

    Raises UsageError for a value that its field does not allow.
    """

    names: tuple[str, ...]
    selector: str = "grabcut"
    detector: str | None = setting(
        None, "With --detect: the detector that draws the boxes.", metavar="NAME", group=WHAT, complete="detector"
    )
    start: float | None = restated(Settings, "start", None)
    end: float | None = restated(Settings, "end", None)
    max_size: int | None = restated(Settings, "max_size", None)
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)
    deinterlace: bool = restated(Settings, "deinterlace", False)

    def __post_init__(self) -> None:
        check(self)
