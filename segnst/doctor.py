"""``segnst doctor``: what is missing or slow on this machine."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segnst.errors import SegnstError, SegnstWarning, UsageError, WeightsError
from segnst.untrusted import first_line
from segnst.weights import bundled_dir, home_dir

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``state`` is ok, slow or missing."""

    what: str
    state: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def _packages() -> Iterator[Finding]:
    yield Finding(
        "Python",
        "ok" if sys.version_info >= (3, 11) else "missing",
        f"{platform.python_version()} on {platform.platform()}",
    )
    for name in ("torch", "torchvision", "cv2", "av", "kornia", "safetensors"):
        try:
            module = importlib.import_module(name)
            yield Finding(name, "ok", str(getattr(module, "__version__", "")))
        except ImportError as error:
            advice = ""
            if name == "cv2" and ".so" in str(error):
                advice = "; on Debian: apt install libgl1 libglib2.0-0, or pip install opencv-python-headless"
            yield Finding(name, "missing", f"{error}{advice}")


def _compute() -> Iterator[Finding]:
    import torch

    from segnst.device import fast_dtype

    yield Finding(
        "processor",
        "ok",
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
    )
    if torch.cuda.is_available():
        yield Finding("GPU", "ok", torch.cuda.get_device_name())
    elif torch.backends.mps.is_available():
        yield Finding("GPU", "ok", "MPS")
    else:
        dtype = str(fast_dtype(torch.device("cpu"))).removeprefix("torch.")
        yield Finding(
            "GPU",
            "slow",
            f"none; networks run on the processor in {dtype}, about a second per frame and style at 640x360",
        )


def _engines() -> Iterator[Finding]:
    import torch

    from segnst import registry
    from segnst.engines.base import choose, load

    device = torch.device("cpu")
    for name in registry.ENGINES:
        try:
            yield Finding(f"engine {name}", "ok", str(load(name, device)))
        except UsageError as error:
            yield Finding(f"engine {name}", "slow", str(error))
    yield Finding(
        "engine of videos", "ok", f"{choose('auto', device, frames=None).name}, unless a GPU or --engine is chosen"
    )


ENCODERS = {
    "H.264": ("libx264",),
    "HEVC": ("libx265",),
    "VP9": ("libvpx-vp9",),
    "AV1": ("libsvtav1", "libaom-av1"),
    "AAC": ("aac",),
    "Opus": ("libopus",),
}


def _codecs() -> Iterator[Finding]:
    import av.codec

    for name, encoders in ENCODERS.items():
        found = [e for e in encoders if e in av.codec.codecs_available]
        yield Finding(
            f"{name} encoder",
            "ok" if found else "missing",
            ", ".join(found) or f"PyAV has none of {', '.join(encoders)}",
        )


def _weights() -> Iterator[Finding]:
    from segnst.style.checkpoints import known_styles
    from segnst.weights import read_tensors

    if not (bundled_dir() / "deeplab_street.safetensors").is_file():
        yield Finding(
            "segmenter", "missing", f"{bundled_dir() / 'deeplab_street.safetensors'} is missing; install segnst again"
        )
    damaged = []
    for path in sorted(bundled_dir().glob("*.safetensors")):
        try:
            read_tensors(path)
        except Exception:  # noqa: BLE001 - a file that cannot be read for any reason is damaged
            damaged.append(path.name)
    styles = known_styles()
    state = "missing" if damaged or not styles else "ok"
    yield Finding(
        "bundled weights",
        state,
        f"damaged: {', '.join(damaged)}" if damaged else f"styles {', '.join(styles) or 'none'} in {bundled_dir()}",
    )
    home = home_dir()
    existing = next(p for p in (home, *home.parents) if p.exists())
    writable = os.access(existing, os.W_OK)
    free = shutil.disk_usage(existing).free >> 20
    yield Finding(
        "fetched weights",
        "ok" if writable and free > 500 else "missing",
        f"{home}, {free} MB free" + ("" if writable else "; cannot be written: set SEGNST_HOME to another folder"),
    )


def _speed() -> Iterator[Finding]:
    import torch

    from segnst.style.transformer import TransformerNetwork

    net, picture = TransformerNetwork().eval(), torch.rand(1, 3, 180, 320)
    with torch.inference_mode():
        net(picture)
        began = time.perf_counter()
        net(picture)
    seconds = 4 * (time.perf_counter() - began)
    yield Finding(
        "styling",
        "ok" if seconds < 0.2 else "slow",
        f"about {seconds:.2f} s per frame and style at 640x360 on the processor",
    )


def examine() -> list[Finding]:
    """All findings; a check that raises an error becomes a finding."""
    findings: list[Finding] = []
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_packages, _compute, _engines, _codecs, _weights, _speed)
    for check in checks:
        try:
            findings += check()
        except Exception as error:  # noqa: BLE001 - a failing check must not end the report
            findings.append(Finding(check.__name__.strip("_"), "missing", f"{type(error).__name__}: {error}"))
    if Path(bundled_dir()).name != "models":
        findings.append(Finding("installation", "missing", f"{bundled_dir()} is not a folder of weights"))
    return findings


SIDE, RADIUS, STEP = 256, 60, 4  # px: the built-in picture, the ball in it, and how far the ball's picture moves


def _ball() -> tuple[Tensor, Tensor]:
    """The built-in picture [1,3,H,W], an orange ball on a mottled blue ground, and the ball's mask [1,1,H,W]."""
    import torch
    import torch.nn.functional as F

    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    away = torch.hypot(x - SIDE / 2, y - SIDE / 2)
    mask = (RADIUS - away + 0.5).clamp(0, 1)[None, None]
    coarse = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mottled = 0.3 * F.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    ground = mottled + torch.tensor((0.1, 0.25, 0.5)).view(1, 3, 1, 1)
    ball = torch.tensor((0.95, 0.5, 0.1)).view(1, 3, 1, 1) * (1 - 0.5 * away / SIDE) + 0.5 * (mottled - 0.15)
    return (mask * ball + (1 - mask) * ground).clamp(0, 1), mask


def _segments(name: str) -> str:
    import torch

    from segnst.segmentation.from_settings import load_segmenter

    segmenter = load_segmenter("mask_rcnn" if name.startswith("maskrcnn") else name, torch.device("cpu"))
    found, _ = segmenter(_ball()[0])
    if not torch.isfinite(found).all() or (found.sum(1) - 1).abs().max() > 0.01:
        raise WeightsError("its probabilities are not numbers that sum to 1")
    return f"{len(segmenter.regions)} classes"


def _detects(name: str) -> str:
    from segnst import registry

    detector = registry.get(registry.DETECTORS, name, "detector")(name, device="cpu")
    count = len(detector(_ball()[0], frozenset(r.index for r in detector.regions)))
    return f"{count} objects in the picture"


def _selects(name: str) -> str:
    from segnst import registry
    from segnst.segmentation.base import Prompt

    known = "sam" if name == "mobile_sam" else name
    selector = registry.get(registry.SELECTORS, known, "selector")(known, device="cpu")
    if selector.name == "grabcut":
        raise WeightsError("its weights could not be used")
    picture, true = _ball()
    edge, side = float(SIDE // 2 - RADIUS), float(2 * RADIUS)
    ours, theirs = selector(picture, Prompt((edge, edge, side, side))) > 0.5, true > 0.5
    iou = float((ours & theirs).sum() / (ours | theirs).sum())
    if iou < 0.8:
        raise WeightsError(f"it cuts the ball out with an IoU of {iou:.2f} only")
    return f"cuts the ball out with an IoU of {iou:.2f}"


def _perceives(name: str) -> str:
    import torch

    from segnst.perceptual.encoders import load_encoder

    encoder = load_encoder(name)
    layer = [*encoder.layers][-1]
    features = encoder(_ball()[0], [layer])[layer]
    if not torch.isfinite(features).all() or features.std() == 0:
        raise WeightsError("its features are not numbers that differ")
    return f"{features.shape[1]} channels at {layer}"


def _flows(name: str) -> str:
    import torch

    from segnst import registry

    flow = registry.get(registry.FLOWS, "raft", "optical flow")(device=torch.device("cpu"))
    picture, _ = _ball()
    middle = flow(picture.roll(STEP, -1), picture)[..., 64:-64, 64:-64]
    x, y = (float(v) for v in middle.mean((0, 2, 3)))
    if abs(x + STEP) > 1 or abs(y) > 1:
        raise WeightsError(f"it sees a motion of {x:.1f}, {y:.1f} px where {-STEP}, 0 is true")
    return f"sees a motion of {x:.1f}, {y:.1f} px where {-STEP}, 0 is true"


NETWORKS: dict[str, Callable[[str], str]] = {
    "segmenter": _segments,
    "detector": _detects,
    "selector": _selects,
    "perceptual": _perceives,
    "flow": _flows,
}


def examine_networks(names: Sequence[str] = (), *, quiet: bool = False) -> Iterator[Finding]:
    """Fetch each network that is not bundled, run it on a built-in picture, and yield what came of it.

    names  of ``segnst models list``; none: all of them
    Raises UsageError for a name that is not known.
    """
    import warnings

    from segnst.catalog import REMOTE, fetch_named, remote

    for weights in [remote(name) for name in names] or list(REMOTE):
        began = time.perf_counter()
        try:
            fetch_named(weights.name, quiet=quiet)
            with warnings.catch_warnings():
                warnings.simplefilter("error", SegnstWarning)  # a stand-in that says so is no answer
                said = NETWORKS[weights.kind](weights.name)
        except (SegnstError, SegnstWarning, RuntimeError, ValueError, KeyError) as error:
            yield Finding(weights.name, "missing", f"{weights.kind}: {first_line(error)}")
        else:
            yield Finding(weights.name, "ok", f"{weights.kind}: {said}, {time.perf_counter() - began:.1f} s")
