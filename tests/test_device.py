"""Where networks run, and in which number format."""

from __future__ import annotations

import pytest
import torch

from segnst.device import choose_device, fast_dtype, mixed_precision, training_dtype
from segnst.errors import UsageError

CPU = torch.device("cpu")


def test_unknown_devices_are_named() -> None:
    assert choose_device("cpu") == CPU
    for name in ("gpu", "cuda:99", "meta"):
        with pytest.raises(UsageError, match=name):
            choose_device(name)


def test_half_precision_only_where_the_cpu_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for computes, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda computes=computes: computes)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert fast_dtype(CPU) == training_dtype(CPU) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mixed_precision_computes_products_and_learns(dtype: torch.dtype) -> None:
    weight, x = torch.randn(4, 4, requires_grad=True), torch.randn(2, 4)
    with mixed_precision(CPU, dtype):
        product = x @ weight
    assert product.dtype == dtype
    product.float().sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
