"""Saving what one frame leaves for the next, exactly: every tensor bit by bit, everything else as JSON beside them.

The file is a safetensors file, so nothing in it is run when it is read. Of classes, only dataclasses and named tuples
of segnst itself are made again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from segnst import temporaries
from segnst.errors import InputError, UsageError
from segnst.files import output_error
from segnst.video.chunks import move_durably

_PLAIN = (bool, int, float, str, type(None))


class _Packing:
    """Takes values apart into JSON and tensors. A tensor that occurs twice is stored once."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._known: dict[int, str] = {}

    def __call__(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if isinstance(value, Tensor):
            last = value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
            here = {"at": self._keep(value), "cpu": value.device.type == "cpu"}
            return here | {"last": True} if last and not value.is_contiguous() else here
        if isinstance(value, np.ndarray | np.generic):
            kept = self._keep(torch.from_numpy(np.ascontiguousarray(value)))
            return {"array": kept, "shape": list(value.shape), "single": isinstance(value, np.generic)}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._made(value, {f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._made(value, dict(zip(value._fields, value, strict=True)))
        if isinstance(value, tuple | list | frozenset | set):
            kind = next(k for k in (tuple, list, frozenset, set) if isinstance(value, k))
            return {kind.__name__: [self(each) for each in value]}
        if isinstance(value, Mapping):
            return {"dict": [[self(key), self(each)] for key, each in value.items()]}
        raise UsageError(f"{type(value).__name__} cannot be put into a journal")

    def _made(self, value: Any, fields: Mapping[str, Any]) -> Any:
        kind = type(value)
        if not kind.__module__.startswith("segnst."):
            raise UsageError(f"{kind.__name__} cannot be put into a journal")
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "fields": {k: self(v) for k, v in fields.items()}}

    def _keep(self, tensor: Tensor) -> str:
        name = self._known.get(id(tensor))
        if name is None:
            name = self._known[id(tensor)] = f"t{len(self.tensors)}"
            # a copy of its own, because tensors that share memory cannot be saved
            self.tensors[name] = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return name


def check_savable(value: Any, what: str) -> None:
    """Raise UsageError if ``value`` holds something that ``save`` cannot keep. ``what`` names it in the message."""
    try:
        _Packing()(value)
    except UsageError as error:
        raise UsageError(f"{what} cannot be resumed ({error}); leave out --resume.") from None


def save(path: Path, value: Any) -> None:
    """Write ``value`` to a file, which appears only when it is complete and on the disk.

    Raises UsageError for values of foreign classes, OutputError, ResourceError.
    """
    pack = _Packing()
    about = json.dumps(pack(value))
    try:
        # safetensors replaces the file that it writes, so it gets a folder of its own, which keeps the lock
        with temporaries.temporary_folder(path) as folder:
            file = folder / "state"
            save_file(pack.tensors, file, {"value": about})
            move_durably(file, path)
    except OSError as error:
        raise output_error(error, path) from error
    except SafetensorError as error:
        raise output_error(_system_error(error), path) from error


def _system_error(error: SafetensorError) -> Exception:
    """The error of the operating system that safetensors only tells in words, such as "(os error 28)"."""
    number = re.search(r"\(os error ([0-9]+)\)", str(error))
    return error if number is None else OSError(int(number[1]), os.strerror(int(number[1])))


def load(path: Path, device: torch.device) -> Any:
    """Read what ``save`` wrote; tensors that were not on the CPU go to ``device``. Raises InputError if damaged."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["value"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        return _made(about, tensors, device, {})
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise InputError(f"{path} is damaged ({error}).") from error


def _made(about: Any, tensors: Mapping[str, Tensor], device: torch.device, known: dict[str, Tensor]) -> Any:
    def again(each: Any) -> Any:
        return _made(each, tensors, device, known)

    if not isinstance(about, dict):
        return about
    if "at" in about:
        name = about["at"]
        if name not in known:
            tensor = tensors[name] if about["cpu"] else tensors[name].to(device)
            known[name] = tensor.contiguous(memory_format=torch.channels_last) if about.get("last") else tensor
        return known[name]
    if "array" in about:
        array = tensors[about["array"]].numpy().reshape(about["shape"])
        return array[()] if about["single"] else array
    if "class" in about:
        module, _, name = about["class"].partition(":")
        kind = getattr(import_module(module), name) if module.startswith("segnst.") else None
        if not (isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, tuple))):
            raise ValueError(f"{about['class']} is not a value")
        return kind(**{field: again(each) for field, each in about["fields"].items()})
    if "dict" in about:
        return {again(key): again(each) for key, each in about["dict"]}
    for plain in (tuple, list, frozenset, set):
        if plain.__name__ in about:
            return plain(again(each) for each in about[plain.__name__])
    raise ValueError("an unknown kind of value")
