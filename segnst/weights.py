"""Find, download and read weights. Code inside a checkpoint is never executed.

Weights are searched in this order: an explicit path, the folder ``models/`` of the package, ``$SEGNST_HOME``, the
torch hub cache. Weights that are in none of these are downloaded and checked against a checksum, unless offline.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from segnst.errors import InputError, WeightsError
from segnst.files import written_whole
from segnst.untrusted import check_regular, first_line, short

if TYPE_CHECKING:
    from torch import Tensor, nn

CHUNK = 1 << 20
MOST_BYTES = 2 << 30  # the largest download
MOST_SECONDS = 3600  # the longest download
# The prefixes that DataParallel, torch.compile and PyTorch Lightning modules add to the name of every tensor.
WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "generator", "transformer")


def bundled_dir() -> Path:
    """Folder of the bundled weights: ``segnst/models`` in an installed wheel, ``models`` in a checkout."""
    package = Path(__file__).parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def home_dir() -> Path:
    """The folder for downloaded weights: ``$SEGNST_HOME``, else ``~/.cache/segnst``."""
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
    """Path of a weights file that is part of segnst. Raises WeightsError when it is missing."""
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
    """Download to a temporary file in the folder of ``target``, and rename it once its checksum is verified."""
    digest, done, began = hashlib.sha256(), 0, time.monotonic()
    bar = not quiet and sys.stderr.isatty()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as temporary:
            with temporary.open("wb") as file, urllib.request.urlopen(url, timeout=30) as response:
                length = str(response.headers.get("Content-Length") or 0)
                total = int(length) if length.isdecimal() and len(length) < 16 else 0
                # read1 returns as soon as any bytes arrive, so that the time limit also stops a very slow server.
                while chunk := response.read1(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    _check_download(url, target, max(done, total), time.monotonic() - began)
                    if bar:
                        share = f"{100 * done // total:3d} %" if total else f"{done >> 20} MB"
                        print(f"\rfetching {target.name} {share}", end="", file=sys.stderr, flush=True)
            if bar:
                print(file=sys.stderr)
            if total and done != total:
                raise WeightsError(f"{url} ended after {done} of {total} bytes. Try again.")
            if not digest.hexdigest().startswith(checksum):
                raise WeightsError(
                    f"{url} has the checksum {digest.hexdigest()[:16]}…, expected {checksum[:16]}…. "
                    "The file was deleted."
                )
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise WeightsError(
            f"{url} could not be downloaded ({error}). Copy the file into {target.parent} yourself."
        ) from error


def _check_download(url: str, target: Path, size: int, seconds: float) -> None:
    if size > MOST_BYTES:
        raise WeightsError(f"{url} is larger than {MOST_BYTES >> 20} MB; no weights of segnst are that large.")
    if seconds > MOST_SECONDS:
        raise WeightsError(
            f"The download of {url} took more than {MOST_SECONDS // 60} minutes. "
            f"Copy the file into {target.parent} yourself."
        )


def fetch(url: str, checksum: str, filename: str | None = None, *, offline: bool = False, quiet: bool = False) -> Path:
    """Path of a weights file, which is downloaded into ``$SEGNST_HOME`` on first use.

    checksum  SHA-256 in hex, or its first characters
    Raises WeightsError when offline, when the server cannot be reached, or when the checksum differs.
    """
    name = filename or url.rsplit("/", 1)[-1]
    found = find(name)
    if found is not None:
        if not sha256(found).startswith(checksum):
            raise WeightsError(f"{found} is damaged (its checksum is not {checksum[:16]}…). Delete it and run again.")
        return found
    if offline:
        raise WeightsError(f"{name} is not on this machine, and --offline forbids downloading it from {url}.")
    target = home_dir() / name
    _download(url, target, checksum, quiet)
    return target


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; only the header is read. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path, "weights file")
        with safe_open(path, framework="numpy") as file:  # "pt" would import torch
            return dict(file.metadata() or {})
    except InputError as error:
        raise WeightsError(str(error)) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({first_line(error)}).") from error


def holds_tensor(path: Path, name: str) -> bool:
    """Whether a safetensors file has a tensor of this name; only the header is read. Raises WeightsError."""
    from safetensors import safe_open

    safetensors_metadata(path)
    with safe_open(path, framework="numpy") as file:
        return name in file.keys()  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; empty if the file is missing or of another kind."""
    try:
        return safetensors_metadata(path)
    except WeightsError:
        return {}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, and the metadata, of a safetensors file or of a torch checkpoint.

    Torch checkpoints are read with ``weights_only=True``, which refuses pickled code. If the checkpoint has an entry
    ``state_dict``, ``model`` or ``model_state_dict``, the tensors are taken from it, and the plain values next to it
    become metadata. The prefixes that wrappers add to every name (``WRAPPERS``) are removed.
    Raises WeightsError, also if a number is not finite or a tensor is larger than its file.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        size = check_regular(path, "weights file")
    except InputError as error:
        raise WeightsError(str(error)) from error
    try:
        with safe_open(path, framework="pt") as file:
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return _checked(found, path, size), dict(file.metadata() or {})
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError) as error:
        if path.suffix == ".safetensors":
            raise WeightsError(f"{path} is not a readable safetensors file ({short(str(error))}).") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}).") from error
    except RuntimeError as error:
        raise WeightsError(f"{path} holds tensors that do not fit into memory.") from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds of errors for broken and hostile files
        raise WeightsError(
            f"{path} cannot be read safely as a checkpoint: it is broken, or it contains code, which segnst never runs."
        ) from error
    metadata: dict[str, str] = {}
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            metadata = {str(k): str(v) for k, v in loaded.items() if isinstance(v, str | int | float)}
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} does not hold a table of tensors by name.")
    tensors = {k: v for k, v in loaded.items() if isinstance(v, torch.Tensor) and isinstance(k, str)}
    if not tensors:
        raise WeightsError(f"{path} holds no named tensors.")
    return _checked(tensors, path, size), metadata


def _checked(tensors: dict[str, Tensor], path: Path, size: int) -> dict[str, Tensor]:
    """Check the tensors and remove the prefixes of wrappers from their names. Raises WeightsError."""
    import torch

    # Torch files may be compressed, and a tensor that repeats one number (stride 0) takes no room in the file. Without
    # a bound, a small file could therefore ask for any amount of memory.
    room = 64 * size + (1 << 20)
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise WeightsError(f"{path}: {short(name)} is not a plain tensor (but sparse, quantized or complex).")
        room -= tensor.numel() * tensor.element_size()
        if room < 0:
            raise WeightsError(f"{path}: {short(name)} claims to be larger than the file can hold.")
        # A sum needs no extra memory, and NaN or infinity anywhere makes it NaN or infinite. The sum is calculated in
        # float32 or wider because half precision could overflow although all numbers are finite.
        wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        suspect = tensor.is_floating_point() and not tensor.sum(dtype=wide).isfinite()
        if suspect and not tensor.to(wide).isfinite().all():
            raise WeightsError(
                f"{path}: {short(name)} holds numbers that are not finite (NaN or infinity): the training broke down, "
                "or the file is damaged."
            )
    while tensors and (prefix := next(iter(tensors)).partition(".")[0]) in WRAPPERS:
        if not all(name.startswith(f"{prefix}.") for name in tensors):
            break
        tensors = {name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items()}
    return tensors


Network = TypeVar("Network", bound="nn.Module")


def filled(make: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """A network with the tensors of a file, in fp32. Raises RuntimeError if they do not fit the network.

    ``make`` runs on torch's meta device, where a network of any size takes no memory. So the sizes that a file claims
    are compared with its tensors before any memory is allocated for them.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class WithoutInitialValues(TorchFunctionMode):
        """On the meta device, drawing random initial values would first import a compiler, for several seconds."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in drawing or getattr(func, "__module__", "") == "torch.nn.init":
                return args[0] if args else kwargs["tensor"]
            return func(*args, **(kwargs or {}))

    drawing = (torch.Tensor.normal_, torch.Tensor.uniform_)
    with torch.device("meta"), WithoutInitialValues():
        net = make()
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return net


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], *, half: bool = True) -> None:
    """Write safetensors (fp16 unless ``half`` is false); the file appears only when it is complete.

    Raises WeightsError when it cannot be written.
    """
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
