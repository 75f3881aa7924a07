"""The integrations as the other programs use them: ComfyUI's nodes, the examples for Gradio, pipes and notebooks."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from segnst.errors import PlanError, UsageError
from segnst.pixels import to_bytes
from segnst.steadier import Steadier
from tests.clips import panning, write_clip
from tests.jobs.every import tiny_style

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "integrations"
FILM = panning(4)
IMAGES = FILM.permute(0, 2, 3, 1).contiguous()  # as ComfyUI has them: [B,H,W,C]
TYPES = {"IMAGE", "MASK", "STRING", "FLOAT", "BOOLEAN", "SEGNST_STATE"}


def _load(name: str, path: Path) -> ModuleType:
    """Load a module or package by its path, as ComfyUI loads its custom nodes."""
    places = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nodes() -> dict[str, type]:
    found: dict[str, type] = _load("custom_nodes_segnst", PLACE / "comfyui/__init__.py").NODE_CLASS_MAPPINGS
    return found


def _execute(node: type, **inputs: Any) -> dict[str, Any]:
    """Call a node as ComfyUI does: an instance, its FUNCTION, keywords; what is not given has its default."""
    kinds: dict[str, Any] = node.INPUT_TYPES()  # type: ignore[attr-defined]
    for name, (_, *more) in kinds["required"].items():
        if name not in inputs:
            inputs[name] = more[0]["default"]
    results = getattr(node(), node.FUNCTION)(**inputs)  # type: ignore[attr-defined]
    assert isinstance(results, tuple) and len(results) == len(node.RETURN_TYPES)  # type: ignore[attr-defined]
    return dict(zip(node.RETURN_NAMES, results, strict=True))  # type: ignore[attr-defined]


def test_every_node_keeps_comfyuis_rules(nodes: dict[str, Any]) -> None:
    assert set(nodes) == {"SegnstSegment", "SegnstStyle", "SegnstStabilize"}
    assert set(sys.modules["custom_nodes_segnst"].NODE_DISPLAY_NAME_MAPPINGS) == set(nodes)
    for node in nodes.values():
        inputs = node.INPUT_TYPES()
        assert set(inputs) <= {"required", "optional", "hidden"}
        given = {**inputs["required"], **inputs.get("optional", {})}
        assert {kind[0] for kind in given.values()} <= TYPES
        assert set(node.RETURN_TYPES) <= TYPES and len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
        assert node.CATEGORY == "segnst" and node.DESCRIPTION
        parameters = inspect.signature(getattr(node, node.FUNCTION)).parameters
        assert set(parameters) - {"self"} == set(given)
        for name in inputs.get("optional", {}):
            assert parameters[name].default is not inspect.Parameter.empty, "ComfyUI leaves it out if it is not given"


def _is_image(value: torch.Tensor, count: int = 4) -> None:
    assert value.shape == (count, 48, 64, 3) and value.dtype == torch.float32
    assert value.min() >= 0 and value.max() <= 1 and not value.is_inference()


def _is_mask(value: torch.Tensor, count: int = 4) -> None:
    assert value.shape == (count, 48, 64) and value.dtype == torch.float32
    assert value.min() >= 0 and value.max() <= 1 and not value.is_inference()


def test_segment(nodes: dict[str, Any]) -> None:
    one = _execute(nodes["SegnstSegment"], images=IMAGES, regions="cluster1", segmenter="kmeans:2")["mask"]
    other = _execute(nodes["SegnstSegment"], images=IMAGES, regions="cluster2", segmenter="kmeans:2")["mask"]
    _is_mask(one)
    assert torch.allclose(one + other, torch.ones_like(one), atol=1e-3)
    with pytest.raises(PlanError, match="no class 'cra'"):
        _execute(nodes["SegnstSegment"], images=IMAGES, regions="cra")


def test_style_with_masks_in_and_out(nodes: dict[str, Any], tmp_path: Path) -> None:
    style = tiny_style(tmp_path)
    mask = torch.zeros(4, 48, 64)
    mask[:, :, :32] = 1
    made = _execute(nodes["SegnstStyle"], images=IMAGES, plan=f"subject={style}\n", mask=mask)
    _is_image(made["images"])
    _is_mask(made["mask"])
    assert (made["mask"][:, :, :24] > 0.9).all() and (made["mask"][:, :, 40:] < 0.1).all()
    changed = (made["images"] - IMAGES).abs()
    assert changed[:, :, 44:].mean() < 0.01 < changed[:, :, :20].mean()
    whole = _execute(nodes["SegnstStyle"], images=IMAGES, plan=str(style))
    _is_image(whole["images"])
    assert (whole["mask"] == 1).all()
    found = _execute(nodes["SegnstStyle"], images=IMAGES, plan=f"cluster1={style}", segmenter="kmeans:2")
    _is_mask(found["mask"])
    again = _execute(nodes["SegnstStyle"], images=IMAGES, plan=str(style))
    assert torch.equal(again["images"], whole["images"]), "a node remembers nothing of its last run"
    photos = _execute(nodes["SegnstStyle"], images=IMAGES, plan=str(style), film=False)
    alone = _execute(nodes["SegnstStyle"], images=IMAGES[3:], plan=str(style))
    assert torch.equal(photos["images"][3:], alone["images"])


def test_stabilize_with_a_state_over_batches(nodes: dict[str, Any]) -> None:
    noise = torch.rand(IMAGES.shape, generator=torch.Generator().manual_seed(0))
    painted = (0.7 * IMAGES + 0.3 * noise).clamp(0, 1)
    whole = _execute(nodes["SegnstStabilize"], painted=painted, source=IMAGES)["images"]
    _is_image(whole)
    first = _execute(nodes["SegnstStabilize"], painted=painted[:2], source=IMAGES[:2])
    kept = first["state"].previous.clone()
    for _ in range(2):  # ComfyUI may run the second node again with the state that it has cached
        second = _execute(nodes["SegnstStabilize"], painted=painted[2:], source=IMAGES[2:], state=first["state"])
        assert torch.equal(torch.cat([first["images"], second["images"]]), whole)
    assert torch.equal(first["state"].previous, kept)
    assert not torch.equal(
        _execute(nodes["SegnstStabilize"], painted=painted[2:], source=IMAGES[2:])["images"], whole[2:]
    )
    before, after = (
        float((frames[1:, :, :-2] - frames[:-1, :, 2:]).square().mean()) for frames in (painted, whole)
    )  # the film pans by 2 px a frame
    assert after < 0.7 * before


def test_a_steadier_takes_what_a_session_takes() -> None:
    frames = np.stack([to_bytes(rgb) for rgb in FILM])
    steadier = Steadier(stability=0.8)
    one = [steadier(frame, frame) for frame in frames]
    steadier.reset()
    assert np.array_equal(steadier(frames, frames), np.stack(one))
    assert all(each.dtype == np.uint8 and each.shape == (48, 64, 3) for each in one)
    with pytest.raises(UsageError, match="must agree, got 1 of 64x48 and 1 of 32x48"):
        steadier(frames[0], frames[0][:, :32])
    with pytest.raises(UsageError, match=r"another size than the ones before; call reset\(\)"):
        steadier(frames[0][:, :32], frames[0][:, :32])
    with pytest.raises(UsageError, match="--stability must lie between 0 and 1"):
        Steadier(stability=2)


def test_the_page_of_gradio_paints() -> None:
    app = _load("segnst_gradio_app", PLACE / "gradio/app.py")
    picture = to_bytes(FILM[0])
    made = app.paint(picture, "udnie", "everything", 1.0)
    assert made.shape == picture.shape and made.dtype == np.uint8
    assert np.abs(made.astype(int) - picture).mean() > 5
    assert np.array_equal(app.paint(picture, "udnie", "everything", 1.0), made)


def test_raw_frames_through_a_pipe(tmp_path: Path) -> None:
    frames = np.stack([to_bytes(rgb) for rgb in FILM])
    done = subprocess.run(
        [sys.executable, str(PLACE / "pipes/paint_pipe.py"), "64x48", str(tiny_style(tmp_path))],
        input=frames.tobytes() + b"a piece", capture_output=True, check=True, timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    made = np.frombuffer(done.stdout, np.uint8).reshape(frames.shape)
    assert np.abs(made.astype(int) - frames).mean() > 5


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((PLACE / "notebook/segnst.ipynb").read_text("utf-8"))
    assert notebook["nbformat"] == 4
    write_clip(tmp_path / "street.mp4", panning(4, 96, 128))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None, "outputs are not part of the repository"
            exec(compile("".join(cell["source"]), "segnst.ipynb", "exec"), names)
    assert names["report"].frames == 3 and (tmp_path / "painted.mp4").exists()
    assert names["car"].shape == (96, 128)
    assert np.array_equal(names["half"][:, 80:], names["frames"][0][:, 80:])
