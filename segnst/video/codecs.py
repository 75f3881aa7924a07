"""Which encoder, which pixel format, which options."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import av

from segnst.errors import OutputError, UsageError, did_you_mean

ALIASES = {
    "h264": ("libx264",),
    "avc": ("libx264",),
    "hevc": ("libx265",),
    "h265": ("libx265",),
    "vp8": ("libvpx",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1", "librav1e"),
    "ffv1": ("ffv1",),
    "prores": ("prores_ks", "prores"),
    "mpeg4": ("mpeg4",),
}
_DEFAULTS = {"webm": "vp9"}
_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast",
    "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
# Presets of x264 as the speed setting of the others; the higher, the faster.
_VPX_SPEED = (8, 7, 6, 5, 5, 4, 3, 2, 1, 0)
_SVT_PRESET = (12, 11, 10, 9, 9, 8, 6, 4, 2, 1)
# Visually close to transparent with each encoder's own scale.
_CRF = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libvpx": 8, "libsvtav1": 24, "libaom-av1": 22}
_CRF_TOP = {"libx264": 51, "libx265": 51}
# Encoders that take odd sides with halved chroma.
# Encoder and container that hold transparency, with what else to tell the encoder for it.
_ALPHA = {
    ("libvpx-vp9", "webm"): {"auto-alt-ref": "0"},
    ("libvpx-vp9", "matroska"): {"auto-alt-ref": "0"},
    ("libvpx", "webm"): {"auto-alt-ref": "0"},
    ("libvpx", "matroska"): {"auto-alt-ref": "0"},
    ("prores_ks", "mov"): {"profile": "4444", "alpha_bits": "16"},
    ("ffv1", "matroska"): {},
}
ODD_SIZES = {"libvpx-vp9", "libvpx", "libaom-av1", "libsvtav1", "ffv1", "prores_ks", "prores", "mpeg4"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the picture is compressed."""

    encoder: str
    pixel_format: str
    options: dict[str, str]
    tag: str | None = None
    bit_rate: int = 0
    warnings: list[str] = field(default_factory=list)
    alpha: bool = False


def available(encoder: str) -> bool:
    """Whether this PyAV can encode with it."""
    try:
        return av.codec.Codec(encoder, "w").type == "video"
    except Exception:  # noqa: BLE001 - unknown names raise several kinds
        return False


def pick_encoder(codec: str | None, container: str) -> str:
    """The encoder for a codec's name (or an encoder's own), else the container's default.

    Raises UsageError for an unknown name and OutputError where this PyAV lacks the encoder.
    """
    name = (codec or _DEFAULTS.get(container, "h264")).lower()
    candidates = ALIASES.get(name, (name,))
    for candidate in candidates:
        if available(candidate):
            return candidate
    known = sorted(word for word, encoders in ALIASES.items() if any(map(available, encoders)))
    if name in ALIASES:
        raise OutputError(
            f"This PyAV has no encoder for {name} ({', '.join(candidates)}); use one of {', '.join(known)}."
        )
    raise UsageError(f"There is no codec '{codec}'.{did_you_mean(name, known)} Known are {', '.join(known)}.")


def choose(
    codec: str | None,
    container: str,
    source_format: str,
    bit_depth: int,
    crf: float | None,
    preset: str | None,
    alpha: bool = False,
) -> Encoding:
    """Decide on encoder, pixel format and options.

    source_format  pixel format of the input; its chroma sampling is kept where the encoder can
    bit_depth      of the input; more than 8 bits are kept where the encoder can
    alpha          the input has transparency; it is kept where encoder and container can
    """
    encoder = pick_encoder(codec, container)
    warnings: list[str] = []
    formats = {each.name for each in av.codec.Codec(encoder, "w").video_formats or ()}
    kept = alpha and (encoder, container) in _ALPHA
    if kept:
        one = encoder.startswith("libvpx")  # lists more formats than it opens with
        formats = {"yuva420p"} if one else {name for name in formats if name.startswith("yuva")}
    elif alpha:
        warnings.append(
            f"The transparency of the input is not kept by {encoder} in {container}; for that, name a .webm, "
            "a .mov with --codec prores, or a .mkv with --codec ffv1."
        )
    pixel_format = _pixel_format(encoder, formats, source_format, bit_depth, kept)
    if bit_depth > 8 and av.VideoFormat(pixel_format).components[0].bits <= 8:
        warnings.append(f"{encoder} writes 8 bits here, so the {bit_depth} bits of the input are reduced.")
    options, bit_rate = _options(encoder, crf, preset, warnings)
    if kept:
        options |= _ALPHA[encoder, container]
    # Apple's players know HEVC in mp4 by this tag only.
    tag = "hvc1" if encoder == "libx265" and container in ("mp4", "mov") else None
    return Encoding(encoder, pixel_format, options, tag, bit_rate, warnings, kept)


def _pixel_format(encoder: str, formats: set[str], source: str, depth: int, alpha: bool) -> str:
    sampling = next((s for s in ("444", "422", "420") if s in source), "420")
    rgb = source.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8"))
    wanted = []
    deeper = [bits for bits in (10, 12, 16) if bits >= depth] or [16]
    depths = ([*deeper, 12, 10] if depth > 8 else []) + [0]
    yuv = "yuva" if alpha else "yuv"
    if encoder == "ffv1" and rgb and not alpha:
        wanted += ["bgr0"] if depth <= 8 else ["gbrp16le"]
    for chroma in dict.fromkeys((sampling, "420", "422", "444")):
        wanted += [f"{yuv}{chroma}p{bits}le" if bits else f"{yuv}{chroma}p" for bits in depths]
        # ProRes has nothing with 8 bits.
        wanted.append(f"{yuv}{chroma}p10le")
    for name in wanted:
        if not formats or name in formats:
            return name
    raise OutputError(f"segnst cannot write any pixel format of {encoder}; choose another --codec.")


def _options(encoder: str, crf: float | None, preset: str | None, warnings: list[str]) -> tuple[dict[str, str], int]:
    options: dict[str, str] = {}
    if encoder in _CRF:
        top = _CRF_TOP.get(encoder, 63)
        if crf is not None and not 0 <= crf <= top:
            raise UsageError(f"--crf must lie between 0 and {top} for {encoder}, not {crf:g}.")
        value = _CRF[encoder] if crf is None else crf
        options["crf"] = f"{value:g}" if encoder in _CRF_TOP else str(round(value))
    elif crf is not None and encoder == "mpeg4":
        options["qmin"] = options["qmax"] = str(min(31, max(1, round(crf / 2))))
    elif crf is not None:
        warnings.append(f"{encoder} has no --crf; it was ignored.")
    step = _preset_step(preset)
    if encoder in ("libx264", "libx265"):
        options["preset"] = _PRESETS[step]
        if encoder == "libx265":
            options["x265-params"] = "log-level=none"  # it writes to stderr by itself
    elif encoder in ("libvpx-vp9", "libvpx"):
        options |= {"deadline": "good", "cpu-used": str(_number(preset) or _VPX_SPEED[step])}
        if encoder == "libvpx-vp9":
            options["row-mt"] = "1"
    elif encoder == "libsvtav1":
        options["preset"] = str(_number(preset) or _SVT_PRESET[step])
        os.environ.setdefault("SVT_LOG", "1")  # errors only; it writes to stderr by itself
    elif encoder == "libaom-av1":
        options["cpu-used"] = str(_number(preset) or _VPX_SPEED[step])
    elif preset is not None:
        warnings.append(f"{encoder} has no --preset; it was ignored.")
    # libvpx means "constant quality" only with no bit rate at all; vp8 needs a generous one.
    return options, 20_000_000 if encoder == "libvpx" else 0


def _number(preset: str | None) -> str | None:
    return preset if preset is not None and preset.isdecimal() else None


def _preset_step(preset: str | None) -> int:
    if preset is None or preset.isdecimal():
        return _PRESETS.index("medium")
    if preset not in _PRESETS:
        raise UsageError(
            f"There is no preset '{preset}'.{did_you_mean(preset, _PRESETS)} Known are {', '.join(_PRESETS)}."
        )
    return _PRESETS.index(preset)
