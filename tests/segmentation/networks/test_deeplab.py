from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from segnst.errors import WeightsError
from segnst.masks.classes import STREET, regions_from_names
from segnst.segmentation.networks import deeplab
from segnst.segmentation.networks.deeplab_network import DeepLab

SHARED = Path(__file__).parents[4] / "shared" / "networks"


def tiny(classes: int = 3) -> DeepLab:
    torch.manual_seed(0)
    return DeepLab(classes, width=16, atrous=8, detail=8).eval()


def test_logits_lie_on_every_fourth_pixel() -> None:
    with torch.inference_mode():
        assert tiny()(torch.zeros(2, 3, 65, 97)).shape == (2, 3, 17, 25)


def test_a_neutral_start_is_plain_deeplab() -> None:
    net = tiny()
    net.start_neutral()
    x = torch.rand(1, 3, 65, 65) * 2 - 1
    with torch.inference_mode():
        _, features = net.backbone(x)
        whole = F.relu(net.whole(features.mean((2, 3), keepdim=True))).expand_as(net.point(features))
        merge = net.merge.weight[:, :32]
        y = F.relu(F.conv2d(torch.cat([whole, F.relu(net.point(features))], 1), merge, net.merge.bias))
        plain = F.interpolate(net.logits(y), (17, 17), mode="bilinear", align_corners=True)
        assert torch.allclose(net(x), plain, atol=1e-5)


def test_freezing_leaves_the_rest_trainable() -> None:
    net = tiny()
    net.freeze(3)
    assert not net.stem.weight.requires_grad
    assert not any(p.requires_grad for p in net.blocks[2].parameters())
    assert all(p.requires_grad for p in net.blocks[3].parameters())
    net.freeze(0)
    assert all(p.requires_grad for p in net.parameters())


def test_a_saved_segmenter_comes_back(tmp_path: Path) -> None:
    net, path = tiny(9), tmp_path / "a.safetensors"
    deeplab.save(path, net, STREET, {"long_side": "129", "terms": "none"})
    loaded = deeplab.load(str(path), device="cpu")
    assert loaded.regions == STREET
    assert loaded.long_side == 129
    assert load_file(path)["stem.weight"].dtype == torch.float16
    rgb = torch.rand(2, 3, 72, 128)
    p, carry = loaded(rgb, None)
    assert carry is None
    assert p.shape == (2, 9, 17, 33)
    assert torch.allclose(p.sum(1), torch.ones(2, 17, 33), atol=1e-5)


def test_frames_are_looked_at_one_by_one(tmp_path: Path) -> None:
    segmenter = deeplab.DeepLabSegmenter("x", tiny(), regions_from_names(["a", "b", "c"]), 97)
    rgb = torch.rand(3, 3, 54, 96)
    together, _ = segmenter(rgb)
    alone = torch.cat([segmenter(frame[None])[0] for frame in rgb])
    assert torch.equal(together, alone)


class _Trap:
    """Creates a folder when it is unpickled, which reveals that code in the file was executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


def test_a_malicious_checkpoint_is_refused_and_never_executed(tmp_path: Path) -> None:
    from segnst.segmentation.networks import torchvision_deeplab

    mark = tmp_path / "executed"
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps({"stem.weight": _Trap(mark)}))
    torch.save({"x": _Trap(mark)}, tmp_path / "evil.pt")
    for name in ("evil.safetensors", "evil.pt"):
        with pytest.raises(WeightsError):
            deeplab.load(str(tmp_path / name), device="cpu")
        with pytest.raises(WeightsError):
            torchvision_deeplab.load("deeplabv3_mobilenet_v3_large", device="cpu", weights=tmp_path / name)
    assert not mark.exists()


def test_unusable_checkpoints_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="do not exist"):
        deeplab.load(str(tmp_path / "gone.safetensors"), device="cpu")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not a segmenter"):
        deeplab.load(str(tmp_path / "other.safetensors"), device="cpu")
    metadata = {
        "architecture": deeplab.ARCHITECTURE,
        "settings": json.dumps(tiny().settings),
        "classes": json.dumps([{"index": i, "name": str(i), "aliases": []} for i in range(3)]),
    }
    save_file({"stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "part.safetensors", metadata)
    with pytest.raises(WeightsError, match="damaged or incomplete"):
        deeplab.load(str(tmp_path / "part.safetensors"), device="cpu")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
def test_the_published_voc_network_computes_the_same_here() -> None:
    from segnst.train.segmenter_teachers import load_teacher

    sys.path.insert(0, str(SHARED))
    try:
        import reference
    finally:
        sys.path.remove(str(SHARED))
    x = torch.rand(1, 3, 97, 129) * 2 - 1
    with torch.inference_mode():
        theirs = reference.load_deeplab_voc()(x)
        ours = load_teacher(SHARED / "deeplabv3_mobilenet_v2_voc.safetensors").network(x)
    assert torch.allclose(F.interpolate(ours, (97, 129), mode="bilinear", align_corners=True), theirs, atol=1e-3)
