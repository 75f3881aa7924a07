"""Choosing where to compute."""

from __future__ import annotations

from contextlib import AbstractContextManager

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
    """The number format that networks run in: fp16 on CUDA, bf16 on CPUs that have instructions for it, else fp32.

    Other CPUs emulate bf16, at a fiftieth of the speed of fp32.
    """
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and _cpu_computes_bf16() else torch.float32


def training_dtype(device: torch.device) -> torch.dtype:
    """The number format that networks are trained in: bf16, which has the range of fp32, where the device supports it;
    else fp16 on CUDA (gradients must then be scaled) and fp32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return fast_dtype(device)


def mixed_precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """A context in which convolutions and matrix products run in ``dtype``; for fp32 it changes nothing."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def _cpu_computes_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
