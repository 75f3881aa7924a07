"""Converted and compiled networks on disk: one folder for each network and kind of input, below ``$SEGNST_HOME``."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from segnst.weights import home_dir

MOST = 24  # folders that are kept; a folder takes some 10 MB for each size of frames


def fingerprint(network: nn.Module) -> str:
    """A hash of a network: its weights, its structure and the source code of its modules that belong to segnst."""
    digest = hashlib.sha256(f"torch {torch.__version__} {network}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    kinds = {type(module) for module in network.modules()}
    files = {inspect.getfile(kind) for kind in kinds if kind.__module__.startswith("segnst.")}
    for file in sorted(files):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def folder(*parts: str) -> Path | None:
    """The folder for what these texts determine, marked as used now; it need not exist. None if none can be made."""
    root = home_dir() / "engines"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    found = root / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    with suppress(OSError):
        os.utime(found)
    return found


def fill(place: Path, write: Callable[[Path], None]) -> None:
    """Create a folder of the cache with what ``write`` puts into it, whole or not at all, and remove the oldest ones.

    A full disk or a folder that may not be written is not an error: the network is then converted again next time.
    """
    with suppress(OSError, RuntimeError):
        scratch = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
        try:
            write(scratch)
            shutil.rmtree(place, ignore_errors=True)  # a damaged one
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _prune(place.parent)


def _prune(root: Path) -> None:
    def used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    for old in sorted(root.iterdir(), key=used, reverse=True)[MOST:]:
        shutil.rmtree(old, ignore_errors=True)
