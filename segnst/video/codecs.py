"""Choose encoder, pixel format and encoder options for an output video."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import av
import torch

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
_DEFAULTS = {"webm": "vp9", "yuv4mpegpipe": "wrapped_avframe"}
_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast",
    "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
# The speed settings of other encoders that correspond to the presets of x264, in the order of _PRESETS.
# A higher number is faster.
_VPX_SPEED = (8, 7, 6, 5, 5, 4, 3, 2, 1, 0)
_SVT_PRESET = (12, 11, 10, 9, 9, 8, 6, 4, 2, 1)
# Default quality, on the scale of each encoder: visually almost lossless.
_CRF = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libvpx": 8, "libsvtav1": 24, "libaom-av1": 22}
_CRF_TOP = {"libx264": 51, "libx265": 51}
# Pairs of encoder and container that can hold transparency, with the encoder options that this needs.
_ALPHA = {
    ("libvpx-vp9", "webm"): {"auto-alt-ref": "0"},
    ("libvpx-vp9", "matroska"): {"auto-alt-ref": "0"},
    ("libvpx", "webm"): {"auto-alt-ref": "0"},
    ("libvpx", "matroska"): {"auto-alt-ref": "0"},
    ("prores_ks", "mov"): {"profile": "4444", "alpha_bits": "16"},
    ("ffv1", "matroska"): {},
}
# Families of encoders that need a device: the end of their names, and the device in words.
HARDWARE = {
    "nvenc": "an NVIDIA GPU with its driver",
    "qsv": "an Intel GPU with its driver (oneVPL)",
    "vaapi": "a GPU with a VA-API driver",
    "amf": "an AMD GPU with its driver",
    "videotoolbox": "macOS",
    "v4l2m2m": "a V4L2 encoder device",
    "mf": "Windows",
    "vulkan": "a GPU with Vulkan Video",
}
# Presets of NVENC that correspond to those of x264, in the order of _PRESETS.
_NVENC_PRESET = ("p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7", "p7")
# The options of hardware encoders that set a constant quality, on a scale that resembles crf; and the default.
_QUALITY = {"nvenc": "cq", "qsv": "global_quality"}
_HARDWARE_QUALITY = 20
# Encoders whose size cannot be chosen.
_NO_BIT_RATE = {"ffv1", "prores_ks", "prores"}
# Encoders that accept odd widths and heights with subsampled chroma.
ODD_SIZES = {
    "libvpx-vp9",
    "libvpx",
    "libaom-av1",
    "libsvtav1",
    "ffv1",
    "prores_ks",
    "prores",
    "mpeg4",
    "wrapped_avframe",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the picture is compressed.

    tag       codec tag for the container, or None for the default
    bit_rate  bits per second, or 0 for constant quality
    alpha     whether transparency is kept
    """

    encoder: str
    pixel_format: str
    options: dict[str, str]
    tag: str | None = None
    bit_rate: int = 0
    warnings: list[str] = field(default_factory=list)
    alpha: bool = False


def available(encoder: str) -> bool:
    """Whether this PyAV has the video encoder ``encoder``."""
    try:
        return av.codec.Codec(encoder, "w").type == "video"
    except Exception:  # noqa: BLE001 - unknown names raise several kinds of errors
        return False


def device_of(encoder: str) -> str | None:
    """The device in words that a hardware encoder needs, or None for an encoder that runs on the CPU."""
    return HARDWARE.get(encoder.rpartition("_")[2]) if "_" in encoder else None


def pick_encoder(codec: str | None, container: str) -> str:
    """The encoder for the name of a codec or encoder; for None, the encoder for the container's default codec.

    Raises UsageError for an unknown name and OutputError if this PyAV lacks the encoder.
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
    if device_of(name) is not None:
        raise OutputError(
            f"This PyAV was built without the encoder {name}, which needs {device_of(name)}; "
            f"use --codec {name.partition('_')[0]}."
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
    bit_rate: int | None = None,
) -> Encoding:
    """Decide on encoder, pixel format and options.

    source_format  pixel format of the input; its chroma subsampling is kept if the encoder supports it
    bit_depth      bit depth of the input; more than 8 bits are kept if the encoder supports them
    crf            quality on the scale of the encoder (lower is better), or None for the default
    preset         a preset of x264 or the speed number of the encoder, or None for the default
    alpha          whether the input has transparency; it is kept if encoder and container support it
    bit_rate       bits per second to aim at instead of a constant quality, or None

    Raises UsageError for an unknown codec or preset or a crf that is out of range, and OutputError if no encoder or
    pixel format can be used.
    """
    encoder = pick_encoder(codec, container)
    warnings: list[str] = []
    formats = {each.name for each in av.codec.Codec(encoder, "w").video_formats or ()}
    kept = alpha and (encoder, container) in _ALPHA
    if kept:
        one = encoder.startswith("libvpx")  # it lists more pixel formats than it accepts
        formats = {"yuva420p"} if one else {name for name in formats if name.startswith("yuva")}
    elif alpha:
        warnings.append(
            f"{encoder} in {container} cannot keep the transparency of the input; to keep it, write a .webm, "
            "a .mov with --codec prores, or a .mkv with --codec ffv1."
        )
    pixel_format = _pixel_format(encoder, formats, source_format, bit_depth, kept)
    if bit_depth > 8 and av.VideoFormat(pixel_format).components[0].bits <= 8:
        warnings.append(f"{encoder} writes 8 bits per component, so the {bit_depth} bits of the input are reduced.")
    options, rate = _options(encoder, crf, preset, warnings)
    if bit_rate is not None and encoder in _NO_BIT_RATE:
        warnings.append(f"{encoder} does not support --bitrate; it was ignored.")
    elif bit_rate is not None:
        for name in ("crf", "rc", *_QUALITY.values()):
            options.pop(name, None)
        rate = bit_rate
    if kept:
        options |= _ALPHA[encoder, container]
    # Apple's players play HEVC in mp4 only with this tag.
    tag = "hvc1" if encoder == "libx265" and container in ("mp4", "mov") else None
    return Encoding(encoder, pixel_format, options, tag, rate, warnings, kept)


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
        # ProRes has no pixel format with 8 bits.
        wanted.append(f"{yuv}{chroma}p10le")
    # Some hardware takes the chroma planes interleaved only. H.264 in hardware has 8 bits, whatever the list says.
    if depth > 8 and not encoder.startswith("h264_"):
        wanted.insert(next((k for k, name in enumerate(wanted) if name.endswith("p")), 0), "p010le")
    wanted.append("nv12")
    for name in wanted:
        if not formats or name in formats:
            return name
    if device_of(encoder) is not None:
        raise OutputError(f"{encoder} takes only frames that are in the memory of its device; choose another --codec.")
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
    elif (quality := _QUALITY.get(encoder.rpartition("_")[2])) is not None:
        options[quality] = str(round(_HARDWARE_QUALITY if crf is None else crf))
        if quality == "cq":
            options["rc"] = "vbr"
    elif crf is not None:
        warnings.append(f"{encoder} does not support --crf; it was ignored.")
    step = _preset_step(preset)
    if encoder in ("libx264", "libx265"):
        options["preset"] = _PRESETS[step]
        if encoder == "libx265":
            options["x265-params"] = "log-level=none"  # x265 would print to stderr
    elif encoder in ("libvpx-vp9", "libvpx"):
        options |= {"deadline": "good", "cpu-used": str(_number(preset) or _VPX_SPEED[step])}
        if encoder == "libvpx-vp9":
            options["row-mt"] = "1"
    elif encoder == "libsvtav1":
        options["preset"] = str(_number(preset) or _SVT_PRESET[step])
        os.environ.setdefault("SVT_LOG", "1")  # errors only; SVT-AV1 prints to stderr
    elif encoder == "libaom-av1":
        options["cpu-used"] = str(_number(preset) or _VPX_SPEED[step])
    elif encoder.endswith("_nvenc"):
        options["preset"] = _NVENC_PRESET[step]
    elif encoder.endswith("_qsv"):
        options["preset"] = _PRESETS[min(max(step, _PRESETS.index("veryfast")), _PRESETS.index("veryslow"))]
    elif preset is not None:
        warnings.append(f"{encoder} does not support --preset; it was ignored.")
    # VP9 and NVENC encode at constant quality only if the bit rate is 0. VP8 needs a high bit rate as an upper limit.
    return options, 20_000_000 if encoder == "libvpx" else 0


def repeatable(encoder: str) -> dict[str, str]:
    """Options with which an encoder with a fixed number of threads gives the same packets for the same frames.

    The AVX-512 code of x264 for macroblock trees reads memory that was not set where a row has no multiple of eight
    macroblocks: in 14 encodes of the same 8 frames of 192x144, there were 7 different results, and with AVX2 one.
    """
    if encoder == "libx264" and torch.backends.cpu.get_cpu_capability() == "AVX512":
        return {"x264-params": "asm=AVX2"}
    return {}


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
