"""Contract of all engines (``segnst.engines.base.Engine``), checked for every registered one on networks of segnst.

A new line in the registry is tested automatically.

The pictures of two engines may differ by rounding: at most 1/255 in the mean.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segnst import registry
from segnst.config import Settings
from segnst.engines import base
from segnst.engines.base import Engine, choose, load
from segnst.errors import UsageError
from segnst.segmentation.networks import deeplab
from segnst.setting import described
from segnst.style.collection import load_collection
from segnst.style.conditional import ConditionalNetwork
from segnst.style.layer_graph import CompiledPaint
from segnst.style.layer_norm import Statistics, measure, paint
from segnst.style.painter import Painter
from segnst.video.read import open_reader
from segnst.weights import bundled, bundled_dir

CPU = torch.device("cpu")
CLOSE = 1 / 255
CLIP = bundled_dir().parent / "videos" / "street.mp4"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A separate cache of compiled networks for the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("SEGNST_HOME", str(folder))
        yield folder


@pytest.fixture(params=list(registry.ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    try:
        return load(request.param, CPU)
    except UsageError as error:
        pytest.skip(str(error))


@cache
def frames(side: int, count: int = 3) -> tuple[Tensor, ...]:
    """The first frames of the bundled clip, each [1,3,H,W]."""
    with open_reader(CLIP, max_size=side, threaded=False) as reader:
        return tuple(clip.rgb for clip, _ in zip(reader, range(count), strict=False))


def disk(like: Tensor) -> Tensor:
    """Two soft masks [1,2,H,W]: a disk, and what is around it."""
    height, width = like.shape[-2:]
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    inside = torch.sigmoid((0.5 - (x.square() + y.square()).sqrt()) * 20)[None, None]
    return torch.cat((inside, 1 - inside), 1)


def styled(net: ConditionalNetwork) -> ConditionalNetwork:
    """The same network with styles that differ."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def difference(one: Tensor, two: Tensor) -> float:
    return float((one - two).detach().abs().mean())


def test_the_setting_offers_every_engine() -> None:
    field = next(f for f in described(Settings) if f.name == "engine")
    assert set(field.choices) == {base.AUTO, *registry.ENGINES}


def test_it_says_what_it_is(engine: Engine) -> None:
    assert engine.name in registry.ENGINES
    assert engine.precision in ("fp32", "bf16", "fp16")
    assert str(engine).startswith(engine.name)
    assert engine.precision in str(engine)


def test_shapes_may_change_and_results_belong_to_the_caller(engine: Engine) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, stride=2)).eval()
    program = engine.prepare(net)
    first = torch.rand(1, 3, 32, 48)
    (one,) = program(first)
    kept = one.clone()
    for size in ((32, 48), (40, 24)):
        later = torch.rand(1, 3, *size)
        (two,) = program(later)
        assert two.dtype == torch.float32
        assert difference(two, net(later)) < 0.01
    assert torch.equal(one, kept)


def test_the_modes_of_the_caller_do_not_matter(engine: Engine) -> None:
    torch.manual_seed(0)
    net, x = (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.Conv2d(8, 2, 3)).eval(),
        torch.rand(1, 3, 20, 24),
    )
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (found,) = engine.prepare(net)(x + 0)
    assert found.dtype == torch.float32
    assert difference(found, net(x)) < 0.01


def test_the_bundled_segmenter_finds_the_same(engine: Engine) -> None:
    name = str(bundled("deeplab_street.safetensors"))
    segmenter = deeplab.load(name, device=CPU)
    for rgb in (frames(640)[0], frames(320)[1]):
        with torch.enable_grad():  # with gradients, the network itself computes, in float32
            exact = segmenter.frame(rgb, None)[0].detach()
        segmenter.use(engine)
        found, _ = segmenter(rgb)
        assert difference(found, exact) < CLOSE
        agree = found.argmax(1) == exact.argmax(1)
        first, second = exact.topk(2, 1).values.unbind(1)
        assert float(agree.float().mean()) > 0.99
        assert float(agree[first - second > 0.1].float().mean()) > 0.999, "they may differ about ties only"


def networks() -> dict[str, ConditionalNetwork]:
    torch.manual_seed(1)
    return {
        "painter": styled(Painter(4, 8, 2, 1, identity=True)),
        "bundled": load_collection(bundled("collection_light.safetensors")).net,
    }


@pytest.mark.parametrize(("kind", "masked"), [("painter", True), ("painter", False), ("bundled", True)])
def test_layers_are_painted_alike(engine: Engine, kind: str, masked: bool) -> None:
    if not engine.compiles:
        pytest.skip("engines that do not compile run the code that this compares with")
    net = networks()[kind]
    compiled = CompiledPaint(net, engine)
    codes = torch.eye(net.styles)[:2] if masked else torch.eye(net.styles)[:1]
    codes = 0.8 * codes + 0.2 * torch.eye(net.styles)[-1:]  # with a share of the identity
    with torch.inference_mode():
        found = [measure(net, frames(160)[0], code)[1] for code in codes.split(1)]
        known = tuple(
            Statistics(torch.cat([r.mean for r in rows]), torch.cat([r.variance for r in rows]))
            for rows in zip(*found, strict=True)
        )
        for rgb in (*frames(160)[:2], frames(128)[0]):  # and another size
            soft = disk(rgb) if masked else None
            exact = paint(net, rgb, codes, soft, known).clamp(0, 1)
            ours = compiled(net, rgb, codes, soft, known).clamp(0, 1)
            assert ours.shape == rgb.shape
            assert difference(ours, exact) < CLOSE


def test_compiled_networks_are_kept(engine: Engine, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not engine.compiles:
        pytest.skip("nothing to keep")
    monkeypatch.setenv("SEGNST_HOME", str(home / "kept"))
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), torch.rand(1, 3, 20, 20)
    (first,) = engine.prepare(net)(x)
    folders = list((home / "kept" / "engines").iterdir())
    assert len(folders) == 1
    with monkeypatch.context() as patch:
        patch.setattr(torch.jit, "trace", None)  # the network is not traced again
        (again,) = load(engine.name, CPU).prepare(net)(x)
    assert torch.equal(first, again)
    with torch.no_grad():
        net[0].bias += 1  # other weights are another network
    (other,) = load(engine.name, CPU).prepare(net)(x)
    assert difference(other, first) > 0.1
    for file in folders[0].glob("model.*"):
        file.write_bytes(b"damaged")
    with torch.no_grad():
        net[0].bias -= 1
    (repaired,) = load(engine.name, CPU).prepare(net)(x)
    assert difference(repaired, first) < 1e-3


def test_a_home_that_cannot_be_written_is_no_error(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "file"))
    net, x = nn.Conv2d(3, 4, 3).eval(), torch.rand(1, 3, 20, 20)
    assert difference(engine.prepare(net)(x)[0], net(x)) < 0.01


def test_auto_compiles_only_for_many_frames() -> None:
    assert choose("auto", CPU, frames=1).name == "torch"
    assert choose("auto", CPU, frames=0).name == "torch"
    assert choose("auto", CPU, frames=None).name in registry.ENGINES
    assert choose("torch", CPU, frames=1000).name == "torch"


def test_an_engine_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match="pip install"):
        load("openvino", CPU)
    assert choose("auto", CPU, frames=None).name == "torch"
    with pytest.raises(UsageError, match="--device cpu"):
        load("openvino", torch.device("meta"))


QUIET = """
import sys
heard = []
def hear(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen"):
        if "ldconfig" not in str(arguments):  # by which ctypes looks for libraries
            heard.append((event, arguments))
sys.addaudithook(hear)
import torch
from segnst.engines.base import load
load("openvino", torch.device("cpu")).prepare(torch.nn.Conv2d(3, 4, 3).eval())(torch.rand(1, 3, 20, 20))
assert "openvino_telemetry" not in sys.modules
assert not heard, heard
"""


def test_openvino_sends_nothing() -> None:
    pytest.importorskip("openvino")
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
