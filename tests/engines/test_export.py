"""Networks as ONNX files: a runtime that knows nothing of segnst computes the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from segnst.export import export_onnx
from segnst.segmentation.networks.deeplab import load_bundled
from segnst.style.checkpoints import load_style
from segnst.style.collection import Member, write_collection
from segnst.style.painter import Painter
from tests.conftest import Run

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def computed(path: Path, **inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: x.numpy() for name, x in inputs.items()})
    return torch.from_numpy(found)


def test_the_segmenter(tmp_path: Path) -> None:
    done = export_onnx("deeplab", tmp_path / "seg.onnx")
    network = load_bundled("deeplab", device="cpu").network
    torch.manual_seed(0)
    for size in ((97, 129), (65, 65)):
        rgb = torch.rand(1, 3, *size)
        with torch.no_grad():
            exact = network(rgb * 2 - 1).softmax(1)
        assert torch.allclose(computed(done.path, rgb=rgb), exact, atol=1e-4)
    assert "vehicle" in json.loads(done.metadata["classes"])


def test_a_painter_with_all_its_styles(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Painter(3, 8, 2, 1, identity=True).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    file = tmp_path / "tiny.safetensors"
    write_collection(file, net, [Member("a"), Member("b")], {})
    done = export_onnx(f"{file}:b", tmp_path / "paint.onnx")
    collection = load_style(f"{file}:b").member.collection  # type: ignore[union-attr]
    assert json.loads(done.metadata["styles"]) == ["a", "b", "identity"]
    for size, shares in (((64, 96), {"a": 1.0}), ((80, 48), {"a": 0.5, "b": 0.3, "identity": 0.2})):
        rgb, code = torch.rand(1, 3, *size), collection.code(shares)[None]
        with torch.no_grad():
            exact = collection.net(rgb, code).clamp(0, 1)
        assert torch.allclose(computed(done.path, rgb=rgb, code=code), exact, atol=1e-3)


def test_the_command(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("export", "onnx", "car_parts", "-o", tmp_path / "parts.onnx", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["opset"] == 17
    assert "16k+1" in facts["inputs"]["rgb"]
    code, _, err = run("export", "onnx", "car_parts", "-o", tmp_path / "parts.onnx")
    assert (code, "--overwrite" in err) == (1, True)
    code, _, err = run("export", "onnx", "kmeans", "-o", tmp_path / "other.onnx")
    assert (code, "cannot be exported" in err) == (2, True)
    code, _, err = run("export", "onnx", "starry_nigth", "-o", tmp_path / "other.onnx")
    assert (code, "starry_night" in err) == (2, True)
    assert [p.name for p in tmp_path.iterdir()] == ["parts.onnx"]
