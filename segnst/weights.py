"""Finding, fetching and reading weights. Nothing in a checkpoint is ever executed.

Looked for in this order: an explicit path, ``models/`` of the package, ``$SEGNST_HOME``, the torch hub cache;
then fetched with a checksum, unless offline.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from segnst.errors import WeightsError
from segnst.files import written_whole

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 20


def bundled_dir() -> Path:
    """Folder of the bundled weights: ``segnst/models`` in an installed wheel, ``models`` in a checkout."""
    package = Path(__file__).parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def home_dir() -> Path:
    """``$SEGNST_HOME`` or ``~/.cache/segnst``: where fetched weights lie."""
    return Path(os.environ.get("SEGNST_HOME") or Path.home() / ".cache" / "segnst")


def _hub_dir() -> Path:
    torch_home = os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch"
    return Path(torch_home) / "hub" / "checkpoints"


def find(filename: str) -> Path | None:
    """Path of a weights file that is already on this machine, or None."""
    for folder in (bundled_dir(), home_dir(), _hub_dir()):
        if (folder / filename).is_file():
            return folder / filename
    return None


def bundled(filename: str) -> Path:
    """Path of a file that comes with segnst. Raises WeightsError when the installation is incomplete."""
    path = bundled_dir() / filename
    if not path.is_file():
        raise WeightsError(f"The bundled weights {path} are missing. Install segnst again, or see `segnst doctor`.")
    return path


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, target: Path, checksum: str, quiet: bool) -> None:
    """Fetch to a temporary name beside ``target``; rename once the checksum has been found right."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, done = hashlib.sha256(), 0
    bar = not quiet and sys.stderr.isatty()
    try:
        with written_whole(target) as temporary:
            with temporary.open("wb") as file, urllib.request.urlopen(url, timeout=30) as response:
                total = int(response.headers.get("Content-Length") or 0)
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if bar:
                        share = f"{100 * done // total:3d} %" if total else f"{done >> 20} MB"
                        print(f"\rfetching {target.name} {share}", end="", file=sys.stderr, flush=True)
            if bar:
                print(file=sys.stderr)
            if total and done != total:
                raise WeightsError(f"{url} ended after {done} of {total} bytes. Try again.")
            if not digest.hexdigest().startswith(checksum):
                raise WeightsError(
                    f"{url} has the checksum {digest.hexdigest()[:16]}…, expected {checksum}…. "
                    "The file was thrown away."
                )
    except (urllib.error.URLError, OSError) as error:
        raise WeightsError(
            f"{url} could not be fetched ({error}). Put the file into {target.parent} by hand."
        ) from error


def fetch(url: str, checksum: str, filename: str | None = None, *, offline: bool = False, quiet: bool = False) -> Path:
    """Path of a weights file, fetched on first use into ``$SEGNST_HOME``.

    checksum  SHA-256 in hex, or its first characters (torchvision's file names carry eight)
    Raises WeightsError when offline, when the server cannot be reached, or when the checksum differs.
    """
    name = filename or url.rsplit("/", 1)[-1]
    found = find(name)
    if found is not None:
        if not sha256(found).startswith(checksum):
            raise WeightsError(f"{found} is damaged (its checksum is not {checksum}…). Delete it and run again.")
        return found
    if offline:
        raise WeightsError(f"{name} is not on this machine and --offline forbids to fetch it from {url}.")
    target = home_dir() / name
    _download(url, target, checksum, quiet)
    return target


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; nothing for files that are none, or missing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return {}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name and metadata of a safetensors file or of a torch checkpoint.

    Torch checkpoints are read with ``weights_only=True``: pickled code is refused, not run. A nested
    ``state_dict`` or ``model`` is unpacked; its siblings that are plain values become metadata.
    Raises WeightsError.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"The weights file {path} does not exist.")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        if path.suffix == ".safetensors":
            raise WeightsError(f"{path} is not a readable safetensors file ({error}).") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}).") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for broken and for hostile files
        raise WeightsError(
            f"{path} is not a checkpoint that can be read safely (broken, or it holds code, which is never run)."
        ) from error
    metadata: dict[str, str] = {}
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            metadata = {k: str(v) for k, v in loaded.items() if isinstance(v, str | int | float)}
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds no table of tensors.")
    tensors = {k: v for k, v in loaded.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors.")
    return tensors, metadata


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], *, half: bool = True) -> None:
    """Write safetensors (fp16 unless ``half`` is false) under its name only when complete."""
    import torch
    from safetensors.torch import save

    tensors = {
        k: v.detach().cpu().to(torch.float16 if half and v.is_floating_point() else v.dtype).contiguous()
        for k, v in tensors.items()
    }
    try:
        with written_whole(path) as temporary:
            # not save_file: it would put a file of its own there, with other permissions and without the lock
            temporary.write_bytes(
                save(tensors, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()})
            )
    except OSError as error:
        raise WeightsError(f"{path} cannot be written ({error.strerror or error}).") from error
