"""The settings of a styling run, and the plan file (TOML) that holds them under the same names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from segnst.errors import PlanError, UsageError, did_you_mean
from segnst.setting import check, setting
from segnst.untrusted import first_line, read_toml, short

MAX_NUMBER = 1e12  # largest absolute value of a number in a plan file
WHAT, WHERE, LOOK, STEADINESS = "What", "Where", "Look", "Steadiness"
FILES, RUNNING = "Reading and writing", "Running"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a styling run. The help text of each field describes it (``segnst.setting``).

    ``start`` is included and ``end`` is not, both in seconds. Points and boxes are in pixels of the upright input.
    Raises UsageError for a value that its field does not allow.
    """

    styles: tuple[str, ...] = setting(
        (),
        "Which region gets which style; a STYLE without REGION= is for the whole frame. Can be repeated.",
        metavar="REGION[,REGION]=STYLE[@STRENGTH]",
        group=WHAT,
        options=("-s", "--style"),
        repeat=True,
        complete="plan",
    )
    segmenter: str = setting(
        "deeplab",
        "Segmenter that finds the regions: a name (deeplab, deeplab:PX, mask_rcnn, kmeans:K, files:PATH …), or the "
        "file of one that you trained.",
        metavar="NAME|PATH",
        group=WHERE,
        complete="segmenter",
    )
    box: tuple[str, ...] = setting(
        (),
        "Box in px around an object, which is followed through the clip as region NAME (default: object). Can be "
        "repeated.",
        metavar="[NAME:]X,Y,W,H[@TIME]",
        group=WHERE,
        repeat=True,
    )
    point: tuple[str, ...] = setting(
        (), "Pixel that belongs to the object. Can be repeated.", metavar="[NAME:]X,Y[@TIME]", group=WHERE, repeat=True
    )
    not_point: tuple[str, ...] = setting(
        (),
        "Pixel that does not belong to the object. Can be repeated.",
        metavar="[NAME:]X,Y[@TIME]",
        group=WHERE,
        repeat=True,
    )
    foreground: str | None = setting(
        None,
        "Picture of the frame's shape that marks the object by strokes that are not black.",
        metavar="MASK.png",
        group=WHERE,
    )
    background: str | None = setting(
        None, "The same with strokes that mark what is not the object.", metavar="MASK.png", group=WHERE
    )
    at: str | None = setting(
        None,
        "Time in the clip that points, boxes and strokes refer to: seconds (2.5) or a frame (60f).",
        metavar="TIME",
        group=WHERE,
    )
    masks: str | None = setting(
        None,
        "Masks from files: PNGs, a video, a still, or annotations (COCO, labelme, CVAT, YOLO, SAM).",
        metavar="PATH",
        group=WHERE,
    )
    masks_override: str | None = setting(
        None,
        "Label maps (000012.png for frame 12) that replace the masks of their frames and influence the frames next to "
        "them. In a mask of 0 and 255, 255 is the first region; otherwise the values are the segmenter's classes.",
        metavar="DIR",
        group=WHERE,
    )
    mask_classes: str | None = setting(
        None, "Names of the values in --masks, in their order.", metavar="NAME,NAME…", group=WHERE
    )
    flow: str = setting("dis", "Optical flow: dis or raft.", metavar="NAME", group=STEADINESS, complete="flow")
    edge: str = setting(
        "guided",
        "How the borders between regions are drawn: guided, matte, feather:PX, hard, threshold:X or exact.",
        metavar="HOW",
        group=LOOK,
        complete="edge",
    )
    stabilize: bool = setting(True, "Keep the paint from flickering.", group=STEADINESS)
    stability: float = setting(
        0.9, "How strongly flicker is suppressed; 1 is the steadiest.", metavar="X", group=STEADINESS, min=0, max=1
    )
    fast: bool = setting(
        False,
        "Faster, with less quality: a narrower network for the bundled styles, and segmentation at one scale only.",
        group=RUNNING,
    )
    tile: Literal["off", "exact", "auto"] = setting(
        "off",
        "Paint in tiles, for 4K and above: exact (gives the same picture), auto (faster) or off.",
        group=RUNNING,
    )
    stroke_size: float = setting(
        1.0,
        "Size of the strokes; 1 is the size that they have in a frame of 640 px.",
        metavar="X",
        group=LOOK,
        min=0.25,
        max=8,
    )
    refine: float = setting(
        0.0,
        "For pictures that are used as styles: first improve the style for so long, on frames of the input. It is kept "
        "for later runs.",
        metavar="SECONDS",
        group=LOOK,
        min=0,
        unit="seconds",
    )
    refine_features: str | None = setting(
        None,
        "Perceptual network for --refine: a name or a file. Default: vgg19 if it is on this machine, else small.",
        metavar="NAME|FILE",
        group=LOOK,
        complete="encoder",
    )
    keep_colors: bool = setting(False, "Keep the colors of the input and paint only its luminance.", group=LOOK)
    keep_colors_of: str = setting(
        "", "The same, only for these regions, separated by commas.", metavar="REGION,…", group=LOOK
    )
    start: float | None = setting(
        None, "Time at which to start.", metavar="SECONDS", group=FILES, min=0, unit="seconds"
    )
    end: float | None = setting(
        None, "Time at which to stop; the frame at this time is left out.", metavar="SECONDS", group=FILES
    )
    max_size: int | None = setting(
        None, "Reduce the long side to this size.", metavar="PX", group=FILES, min=16, unit="px"
    )
    fps: float | None = setting(
        None, "Frame rate of a folder of frames. Default: 25.", metavar="N", group=FILES, above=0, max=1000
    )
    codec: str | None = setting(
        None,
        "Video codec: h264, hevc, vp9, av1, ffv1 … or an FFmpeg encoder: h264_nvenc … Default: by the output's suffix.",
        metavar="NAME",
        group=FILES,
        complete="codec",
    )
    crf: int | None = setting(
        None, "Constant rate factor of the encoder; lower is better quality.", metavar="N", group=FILES, min=0, max=63
    )
    bitrate: str | None = setting(
        None,
        "Bits per second of the picture to aim at, such as 8M or 4500k, instead of a constant quality.",
        metavar="RATE",
        group=FILES,
    )
    preset: str | None = setting(
        None, "Speed of the encoder: ultrafast to placebo.", metavar="NAME", group=FILES, complete="preset"
    )
    deinterlace: bool = setting(False, "Make full frames of interlaced ones before anything else (bwdif).", group=FILES)
    format: str | None = setting(
        None,
        "Format of -o - (standard output): y4m (uncompressed, no sound), mpegts, mkv, nut, webm or mp4. Default: y4m.",
        metavar="NAME",
        group=FILES,
    )
    audio: bool = setting(True, "Copy the audio tracks.", group=FILES, options=("--keep-audio/--no-audio",))
    recipe: bool = setting(
        True, "Store plan, settings, versions and the weights' hashes in the output, for --plan OUTPUT.", group=FILES
    )
    device: str = setting(
        "auto", "Where to compute: auto, cpu, cuda, cuda:N or mps.", metavar="NAME", group=RUNNING, complete="device"
    )
    engine: Literal["auto", "torch", "openvino"] = setting(
        "auto",
        "What runs the networks: torch, openvino (about twice as fast on a processor), or auto: openvino for videos of "
        "at least 40 frames on an x86 processor if it is installed, else torch.",
        group=RUNNING,
    )
    offline: bool = setting(False, "Download nothing.", group=RUNNING)

    def __post_init__(self) -> None:
        check(self)
        if self.end is not None and not self.end > (self.start or 0):
            raise UsageError(f"--end ({self.end:g} s) must be later than --start ({self.start or 0:g} s).")
        if self.bitrate is not None and self.crf is not None:
            raise UsageError("--crf asks for a constant quality and --bitrate for a size; leave one out.")
        self.bits()  # so that a wrong one is told before anything is loaded

    def bits(self) -> int | None:
        """``bitrate`` in bits per second, or None. Raises UsageError for what is no such number."""
        if self.bitrate is None:
            return None
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([kKmM]?)", self.bitrate)
        bits = round(float(found[1]) * {"": 1, "k": 1000, "m": 1_000_000}[found[2].lower()]) if found else 0
        if not 1000 <= bits <= 10_000_000_000:
            raise UsageError(f"--bitrate must be bits per second such as 8M, 4500k or 800000, got '{self.bitrate}'.")
        return bits


class Options(TypedDict, total=False):
    """The fields of ``Settings`` as keyword arguments, for type checkers (a test keeps the two the same)."""

    styles: tuple[str, ...]
    segmenter: str
    box: tuple[str, ...]
    point: tuple[str, ...]
    not_point: tuple[str, ...]
    foreground: str | None
    background: str | None
    at: str | None
    masks: str | None
    masks_override: str | None
    mask_classes: str | None
    flow: str
    edge: str
    stabilize: bool
    stability: float
    fast: bool
    tile: Literal["off", "exact", "auto"]
    stroke_size: float
    refine: float
    refine_features: str | None
    keep_colors: bool
    keep_colors_of: str
    start: float | None
    end: float | None
    max_size: int | None
    fps: float | None
    codec: str | None
    crf: int | None
    bitrate: str | None
    preset: str | None
    deinterlace: bool
    format: str | None
    audio: bool
    recipe: bool
    device: str
    engine: Literal["auto", "torch", "openvino"]
    offline: bool


def with_options(settings: Settings | None, plan: str | Sequence[str], options: Mapping[str, Any]) -> Settings:
    """Settings of a call in Python: ``options`` and ``plan`` replace what ``settings`` says. Raises UsageError."""
    unknown = sorted(set(options) - set(Settings.__dataclass_fields__))
    if unknown:
        raise UsageError(
            f"There is no setting '{unknown[0]}'.{did_you_mean(unknown[0], Settings.__dataclass_fields__)}"
        )
    settings = dataclasses.replace(settings or Settings(), **options)
    if plan:
        settings = dataclasses.replace(settings, styles=(plan,) if isinstance(plan, str) else tuple(plan))
    return settings


def read_plan_file(path: Path) -> dict[str, Any]:
    """Return the settings that a TOML file holds, by name.

    Raises InputError (missing or unreadable file), PlanError (unknown or wrong entries).
    """
    try:
        values = read_toml(path, "plan file")
    except ValueError as error:  # not TOML, not UTF-8, or a number with thousands of digits
        raise PlanError(f"The plan file {path} is not TOML: {first_line(error)}.") from error
    return checked_values(values, str(path))


def checked_values(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings that a file holds, with lists as tuples. Raises PlanError for what is unknown or of a wrong kind.

    where  what the messages call the file
    """
    fields = {f.name: f for f in dataclasses.fields(Settings)}
    for key, value in values.items():
        if key not in fields:
            near = did_you_mean(key[:100], fields)
            raise PlanError(f"{where}: there is no setting '{short(key)}'.{near} Known: {', '.join(fields)}.")
        kind = str(fields[key].type)
        if "tuple" in kind:
            good = isinstance(value, list) and all(isinstance(v, str) for v in value)
        elif "bool" in kind:
            good = isinstance(value, bool)
        elif "int" in kind:
            good = isinstance(value, int) and not isinstance(value, bool)
        elif "float" in kind:
            good = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            good = isinstance(value, str)
        if good and isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
            raise PlanError(f"{where}: the setting '{key}' must be a finite number of at most {MAX_NUMBER:g}.")
        if good and any("\0" in text for text in (value if isinstance(value, list) else [str(value)])):
            raise PlanError(f"{where}: the setting '{key}' must not contain a NUL character.")
        if not good:
            raise PlanError(f"{where}: the setting '{key}' must be {kind.replace(' | None', '')}, got {short(value)}.")
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
