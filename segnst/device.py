"""Choosing where to compute."""

from __future__ import annotations

import torch

from segnst.errors import UsageError


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Raises UsageError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise UsageError(f"The device '{name}' cannot be used here. Choose auto, cpu, cuda, cuda:N or mps.") from None
    return device


def fast_dtype(device: torch.device) -> torch.dtype:
    """The number format networks run in: fp16 on CUDA, bf16 on CPUs that compute it, else fp32.

    On CPUs without bf16 instructions it is emulated, at a fiftieth of the speed of fp32.
    """
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32
