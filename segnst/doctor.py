"""``segnst doctor``: what is missing or slow on this machine."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from segnst.errors import UsageError
from segnst.weights import bundled_dir, home_dir


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
