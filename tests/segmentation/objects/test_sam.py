from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from kornia.models.sam import Sam, SamConfig
from torch import Tensor

from segnst import catalog, registry
from segnst.errors import SegnstWarning, UsageError, WeightsError
from segnst.segmentation.base import Prompt, Selector
from segnst.segmentation.objects import sam
from segnst.segmentation.objects.clicks import points_of
from segnst.weights import find
from tests.loopback import serve


@pytest.fixture(scope="module")
def tiny() -> sam.SamSelector:
    """SAM with its original parts except for an image encoder of one block, with random weights."""
    torch.manual_seed(0)
    config = SamConfig(
        encoder_embed_dim=16, encoder_depth=1, encoder_num_heads=1, encoder_global_attn_indexes=()
    )  # fmt: skip
    return sam.SamSelector("sam", Sam.from_config(config))


def picture(height: int = 60, width: int = 90) -> Tensor:
    return F.interpolate(torch.rand(1, 3, 6, 9, generator=torch.Generator().manual_seed(1)), (height, width))


def test_boxes_clicks_and_strokes_give_masks_of_the_frames_size(tiny: sam.SamSelector) -> None:
    stroke = torch.zeros(1, 1, 60, 90, dtype=torch.bool)
    stroke[..., 30, 20:40] = True
    for prompt in (
        Prompt(box=(10, 10, 40, 30)),
        Prompt(points=((30, 30, True),)),
        Prompt(points=((30, 30, True), (5, 5, False)), box=(10, 10, 40, 30)),
        Prompt(foreground=stroke, background=~stroke),
    ):
        mask = tiny(picture(), prompt)
        assert mask.shape == (1, 1, 60, 90)
        assert 0 <= float(mask.min()) < float(mask.max()) <= 1


def test_prompts_are_scaled_with_the_frame(tiny: sam.SamSelector) -> None:
    """A frame of 90 x 60 is scaled to 1024 x 683; boxes are given at pixel edges, points at pixel centers."""
    seen: dict[str, object] = {}
    hook = tiny.network.prompt_encoder.register_forward_pre_hook(
        lambda _, __, given: seen.update(given), with_kwargs=True
    )
    try:
        tiny(picture(), Prompt(box=(9, 0, 81, 60), points=((44.5, 0, True), (8.5, 5.5, False))))
    finally:
        hook.remove()
    assert torch.allclose(seen["boxes"], torch.tensor([[102.4, 0.0, 1024.0, 683.0]]), atol=0.01)
    places, belongs = seen["points"]
    assert torch.allclose(places, torch.tensor([[[511.5, 5.19], [101.9, 67.8]]]), atol=0.01)
    assert belongs.tolist() == [[1, 0]]


def test_a_stroke_is_a_few_clicks_along_it() -> None:
    stroke = torch.zeros(1, 1, 60, 90, dtype=torch.bool)
    stroke[..., 30, 20:40] = True
    points = points_of(Prompt(points=((1, 2, False),), foreground=stroke))
    assert points[0] == (1, 2, False)
    assert [p[0] for p in points[1:]] == [20, 23, 25, 28, 31, 34, 36, 39]
    assert {p[1:] for p in points[1:]} == {(30, True)}


def test_prompts_outside_of_the_frame_are_refused(tiny: sam.SamSelector) -> None:
    for prompt, words in (
        (Prompt(box=(100, 10, 10, 10)), "covers no part"),
        (Prompt(box=(10, 10, 0, 10)), "covers no part"),
        (Prompt(points=((90, 10, True),)), "outside"),
        (Prompt(points=((9, 10, False),)), "inside the object"),
    ):
        with pytest.raises(UsageError, match=words):
            tiny(picture(), prompt)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


def test_the_weights_are_fetched_checked_and_filled(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in the form of MobileSAM's file, from a local server."""
    torch.manual_seed(0)
    network = Sam.from_name("mobile_sam")
    torch.save(network.state_dict(), served / "mobile_sam.pt")
    checksum = hashlib.sha256((served / "mobile_sam.pt").read_bytes()).hexdigest()

    def entry(checksum: str) -> tuple[catalog.Weights, ...]:
        return (catalog.Weights("mobile_sam", "selector", f"{server}/mobile_sam.pt", checksum, "none"),)

    monkeypatch.delitem(registry.SELECTORS, "grabcut", raising=False)
    with serve(served) as server:
        monkeypatch.setattr(catalog, "REMOTE", entry("0" * 64))
        with pytest.raises(WeightsError, match="checksum"):
            sam.load("sam", device="cpu")
        assert find("mobile_sam.pt") is None
        monkeypatch.setattr(catalog, "REMOTE", entry(checksum))
        selector = sam.load("sam", device="cpu")
    assert isinstance(selector, sam.SamSelector)
    loaded = selector.network.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in network.state_dict().items())
    with pytest.raises(WeightsError, match="does not hold the weights of vit_b"):
        torch.save({"w": torch.ones(2)}, served / "other.pt")
        sam.read(served / "other.pt", "vit_b")


class _Box(Selector):
    """Replaces GrabCut in the registry, and selects everything in the box."""

    def __init__(self) -> None:
        super().__init__("grabcut")

    def __call__(self, rgb: Tensor, prompt: Prompt) -> Tensor:
        assert prompt.box is not None
        x, y, w, h = (round(v) for v in prompt.box)
        mask = torch.zeros_like(rgb[:, :1])
        mask[..., y : y + h, x : x + w] = 1
        return mask


def load_box(name: str, *, device: object, offline: bool = False) -> _Box:
    return _Box()


def test_grabcut_takes_over_where_the_weights_cannot_be_had(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SELECTORS, "grabcut", f"{__name__}:load_box")
    with pytest.warns(SegnstWarning, match=r"--offline forbids.*GrabCut takes the place of SAM"):
        selector = sam.load("sam", device="cpu", offline=True)
    assert selector.name == "grabcut"
    monkeypatch.delitem(registry.SELECTORS, "grabcut")
    with warnings.catch_warnings(), pytest.raises(WeightsError, match="--offline"):
        sam.load("sam", device="cpu", offline=True)
