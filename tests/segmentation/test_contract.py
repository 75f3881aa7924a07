"""Contract of all segmenters (``segnst.segmentation.base.Segmenter``), checked for every registered one, by itself and
inside every wrapper.

New entries of the registry and new wrappers are tested automatically. If this file cannot build one, its tests fail
with a message that says what to add: a line in ``SEGMENTERS`` or in ``WRAPPERS`` below.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import segmentation

from segnst import registry
from segnst.bench.agreement import Agreement
from segnst.bench.samples import RememberingSegmenter
from segnst.flow.dis import DisFlow
from segnst.masks.indexed_png import write_png
from segnst.segmentation import wrappers
from segnst.segmentation.base import AnySegmenter, Prompt, Segmenter, resolve
from segnst.segmentation.files import open_masks
from segnst.segmentation.networks import mask_rcnn
from segnst.segmentation.networks.deeplab import load_bundled
from segnst.segmentation.networks.kmeans import KMeansSegmenter
from segnst.segmentation.networks.torchvision_deeplab import TorchvisionSegmenter
from segnst.segmentation.objects.detect import DetectThenMask
from segnst.segmentation.objects.detect_components import ComponentDetector
from segnst.segmentation.objects.instances import InstanceSegmenter
from segnst.segmentation.objects.tracker import Mark
from segnst.segmentation.objects.tracking import TrackingSegmenter
from segnst.segmentation.wrapped import Wrapped
from segnst.segmentation.wrappers.combined import CombinedSegmenter
from segnst.segmentation.wrappers.override import OverrideSegmenter
from segnst.segmentation.wrappers.seldom import SeldomSegmenter
from segnst.segmentation.wrappers.two_looks import CloserSegmenter
from segnst.types import Motion, Region
from tests.segmentation.objects.test_sam import _Box
from tests.segmentation.scenes import moving_disk
from tests.segmentation.squares import SquareFinder

SIZE = (48, 96)
FRAMES = 3
CUT = 1  # the frame on which a new scene is assumed to begin

# ---------------------------------------------------------------------------------------------------------- segmenters
Make = Callable[[Path], AnySegmenter]


def _files(folder: Path) -> AnySegmenter:
    for k in range(FRAMES + 1):  # one mask too many, which causes a warning
        label = np.zeros(SIZE, np.uint8)
        label[:, 8 * k : 8 * k + 16] = 1
        write_png(folder / f"{k:06d}.png", label)
    return open_masks(folder, ["other", "cup"])


def _torchvision(name: str) -> AnySegmenter:
    torch.manual_seed(0)
    net = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=21, aux_loss=False)
    return TorchvisionSegmenter(name, net)


def _mask_rcnn(folder: Path) -> AnySegmenter:
    torch.manual_seed(0)
    path = folder / "small.safetensors"
    classes = (Region(0, "other"), Region(1, "square"))
    mask_rcnn.save(path, mask_rcnn.build("maskrcnn_small", 2), classes, "maskrcnn_small", {})
    return mask_rcnn.load("mask_rcnn", device="cpu", weights=path)


def _deeplab(name: str = "deeplab") -> Any:
    segmenter = load_bundled(name, device="cpu", offline=True)
    segmenter.long_side = 65  # below what users can choose: contracts do not need good masks
    return segmenter


def _detect() -> AnySegmenter:
    return InstanceSegmenter(DetectThenMask(ComponentDetector("deeplab", _deeplab()), _Box()))


def _tracking() -> AnySegmenter:
    guide = _deeplab()
    return TrackingSegmenter([Mark("cup", 0, (Prompt(box=(22.0, 25.0, 46.0, 23.0)),))], _Box(), guide, DisFlow())


# For each name in the registry: how to build a small one without a download, or which other entry covers it.
SEGMENTERS: dict[str, Make | str] = {
    "deeplab": lambda _: CloserSegmenter(_deeplab()),
    "deeplabv3_mobilenet_v3_large": lambda _: _torchvision("deeplabv3_mobilenet_v3_large"),
    "deeplabv3_resnet50": "the class of deeplabv3_mobilenet_v3_large with a network of 160 MB",
    "deeplabv3_resnet101": "the class of deeplabv3_mobilenet_v3_large with a network of 240 MB",
    "car_parts": lambda _: _deeplab("car_parts"),
    "mask_rcnn": _mask_rcnn,
    "detect_sam": "detect_grabcut with the selector of tests/segmentation/objects/test_sam.py",
    "detect_grabcut": lambda _: _detect(),
    "kmeans": lambda _: KMeansSegmenter(3),
    "files": _files,
}
# Segmenters outside the registry: one that follows what the user points at, and one whose objects are known.
OTHERS: dict[str, Make] = {
    "selection": lambda _: _tracking(),
    "squares": lambda _: InstanceSegmenter(SquareFinder()),
}

# ------------------------------------------------------------------------------------------------------------ wrappers
# For each wrapper: how to wrap any segmenter with it. A wrapper that fits certain segmenters only has a text that says
# where it is tested among the segmenters.
WRAPPERS: dict[type[Wrapped[Any, Any]], Callable[[AnySegmenter], AnySegmenter] | str] = {
    OverrideSegmenter: lambda inner: OverrideSegmenter(inner, {}, {}),
    RememberingSegmenter: RememberingSegmenter,
    Agreement: lambda inner: Agreement(inner, inner),
    CombinedSegmenter: lambda inner: CombinedSegmenter(
        open_masks(PAGES / "spoons", ["background", "spoon"]), inner, [inner.regions[1].name, "spoon"]
    ),
    SeldomSegmenter: lambda inner: SeldomSegmenter(inner, 1),
    CloserSegmenter: "'deeplab' above; it looks closer with the network of a DeepLabSegmenter",
}
SEE_THROUGH = (RememberingSegmenter, Agreement)  # wrappers whose masks are those of the wrapped segmenter
PAGES = Path()


def every_wrapper() -> list[type[Wrapped[Any, Any]]]:
    """All classes of wrappers: those in segmentation/wrappers, and others in modules that this file imports."""
    for module in pkgutil.iter_modules(wrappers.__path__):
        import_module(f"{wrappers.__name__}.{module.name}")
    found, queue = [], [Wrapped]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if not inspect.isabstract(kind) and kind.__module__.startswith("segnst."):
                found.append(kind)
    return sorted(set(found), key=lambda kind: kind.__name__)


ALONE = "alone"
KINDS = [w.__name__ for w in every_wrapper() if not isinstance(WRAPPERS.get(w), str)]
NAMES = [n for n in (*registry.SEGMENTERS, *OTHERS) if not isinstance(SEGMENTERS.get(n), str)]
PAIRS = [(name, kind) for name in NAMES for kind in (ALONE, *KINDS)]


@pytest.fixture(scope="module", autouse=True)
def pages(tmp_path_factory: pytest.TempPathFactory) -> None:
    global PAGES
    PAGES = tmp_path_factory.mktemp("contract")
    (PAGES / "spoons").mkdir()
    _files(PAGES / "spoons")
    plain.cache_clear()
    wrapped.cache_clear()
    ran.cache_clear()


@cache
def plain(name: str) -> AnySegmenter:
    make = {**SEGMENTERS, **OTHERS}.get(name)
    if make is None:
        pytest.fail(
            f"The segmenter '{name}' is registered, and this file does not know how to build it: add a line to "
            f"SEGMENTERS in {Path(__file__).name} that makes it with tiny or bundled weights."
        )
    assert not isinstance(make, str)
    folder = PAGES / name
    folder.mkdir()
    return make(folder)


@cache
def wrapped(name: str, kind: str) -> AnySegmenter:
    inner = plain(name)
    if kind == ALONE:
        return inner
    wrapper = next(w for w in every_wrapper() if w.__name__ == kind)
    if wrapper not in WRAPPERS:
        pytest.fail(
            f"{kind} is a wrapper, and this file does not know how to wrap a segmenter with it: add a line to WRAPPERS "
            f"in {Path(__file__).name}."
        )
    put = WRAPPERS[wrapper]
    assert not isinstance(put, str)
    return put(inner)


@cache
def frames() -> Tensor:
    return torch.cat(moving_disk(FRAMES, SIZE)[0])


@cache
def ran(name: str, kind: str) -> tuple[Tensor, Any, list[Any]]:
    """Segment the clip frame by frame -> (probabilities, the last carry, the carry before each frame)."""
    segmenter, carry = wrapped(name, kind), None
    answers, before = [], []
    for rgb in frames().split(1):
        before.append(carry)
        found, carry = segmenter(rgb, carry)
        answers.append(found)
    assert len({a.shape for a in answers}) == 1, "frames of equal size have probabilities of equal size"
    return torch.cat(answers), carry, before


def inside(carry: Any) -> Any:
    return None if carry is None else carry.inner


every = pytest.mark.parametrize(("name", "kind"), PAIRS)
under_a_wrapper = pytest.mark.parametrize(("name", "kind"), [p for p in PAIRS if p[1] != ALONE])

# ------------------------------------------------------------------------------------------------------------- promises


@pytest.mark.parametrize("name", [n for n, make in SEGMENTERS.items() if isinstance(make, str)])
def test_what_stands_here_under_another_name(name: str) -> None:
    pytest.skip(f"'{name}' is {SEGMENTERS[name]}")


@every
def test_it_is_a_segmenter_with_a_name_and_regions_in_order(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    assert isinstance(segmenter, Segmenter), f"{type(segmenter).__name__} must inherit from Segmenter"
    assert segmenter.name
    assert [r.index for r in segmenter.regions] == list(range(len(segmenter.regions)))
    assert len({r.name for r in segmenter.regions}) == len(segmenter.regions)
    assert isinstance(segmenter.in_order, bool)


@every
def test_answers_are_probabilities(name: str, kind: str) -> None:
    found, _, _ = ran(name, kind)
    assert found.ndim == 4 and found.shape[:2] == (FRAMES, len(wrapped(name, kind).regions))
    assert found.is_floating_point()
    assert float(found.min()) >= -1e-5
    assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-4), "sums to 1 over the regions"


@every
def test_in_pieces_as_in_one(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    alone, _, before = ran(name, kind)
    rest, _ = segmenter(frames()[CUT:], before[CUT])
    assert torch.equal(rest, alone[CUT:]), "several frames at once give the same masks as one by one"


@every
def test_what_takes_a_carry_takes_none(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    assert segmenter.notes(None) == [] and segmenter.confidence(None) == {} and segmenter.colors(None) is None
    again, _ = segmenter(frames()[:1], segmenter.after_cut(None))
    assert torch.equal(again, ran(name, kind)[0][:1]), "a cut before the first frame changes nothing"


@every
def test_a_scene_may_begin(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    found, carry = segmenter(frames()[CUT : CUT + 1], segmenter.after_cut(ran(name, kind)[2][CUT]))
    assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-4)
    assert all(isinstance(note, str) for note in segmenter.notes(carry))


@every
def test_a_frame_may_be_left_out_unless_all_are_needed(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    found, carry, _ = ran(name, kind)
    if segmenter.in_order:
        assert carry is not None, "a segmenter that is in_order must have a carry"
        return
    carry = None
    for _ in range(FRAMES - 1):
        carry = segmenter.skip(carry)
    late, _ = segmenter(frames()[-1:], carry)
    alike = (late.argmax(1) == found[-1:].argmax(1)).float().mean()
    assert float(alike) > 0.95, "the masks depend on earlier frames: set in_order = True"


@every
def test_it_is_told_the_regions_of_a_plan(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    thing = plain(name).regions[1].name
    chosen = segmenter.select([thing])
    assert type(chosen) is type(segmenter)
    assert resolve(thing, chosen.regions)
    found, _ = chosen(frames()[:1])
    assert found.shape[1] == len(chosen.regions)
    assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-4)
    for region in segmenter.regions:
        channels = chosen.channels(region.index) if kind != CombinedSegmenter.__name__ else ()
        assert all(0 <= k < len(chosen.regions) for k in channels)


@every
def test_motion_may_be_told(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    motion = Motion(torch.zeros(1, 2, *SIZE), torch.ones(1, 1, *SIZE))
    assert inside(segmenter.moved(None, motion)) is None or kind != ALONE
    later = frames()[CUT : CUT + 1]
    found, carry = segmenter(later, segmenter.moved(ran(name, kind)[2][CUT], motion))
    assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-4)
    assert (
        segmenter.confidence(carry).keys() == segmenter.confidence(segmenter(later, ran(name, kind)[2][CUT])[1]).keys()
    )


@every
def test_confidence_colors_and_weights_have_their_form(name: str, kind: str) -> None:
    segmenter = wrapped(name, kind)
    _, carry, _ = ran(name, kind)
    sure = segmenter.confidence(carry)
    assert set(sure) <= {r.name for r in segmenter.regions}
    assert all(len(values) == FRAMES and all(0 <= v <= 1 for v in values) for values in sure.values())
    colors = segmenter.colors(carry)
    assert colors is None or (colors.dtype == np.uint8 and colors.shape == (len(segmenter.regions), 3))
    assert all(path.is_file() for path in segmenter.weights.values())
    assert segmenter.path is None or segmenter.path in segmenter.weights.values()


@under_a_wrapper
def test_a_wrapper_drops_nothing(name: str, kind: str) -> None:
    inner, segmenter = plain(name), wrapped(name, kind)
    assert isinstance(segmenter, Wrapped)
    answers, carry, before = ran(name, kind)
    inner = segmenter.inner  # a wrapper may select regions of the segmenter that it was given
    assert segmenter.name == inner.name and segmenter.path == inner.path
    assert segmenter.network is inner.network
    assert segmenter.in_order >= inner.in_order
    assert inner.weights.items() <= segmenter.weights.items()
    assert set(inner.notes(inside(carry))) <= set(segmenter.notes(carry))
    if kind == CombinedSegmenter.__name__:
        return  # it has other regions
    assert segmenter.in_order == inner.in_order
    assert segmenter.confidence(carry) == inner.confidence(inside(carry))
    palettes = [s.colors(c) for s, c in ((segmenter, carry), (inner, inside(carry)))]
    assert np.array_equal(*palettes) if palettes[0] is not None else palettes[1] is None
    if isinstance(segmenter, SEE_THROUGH):
        assert torch.equal(answers, ran(name, ALONE)[0])
    # A scene cut must reach the wrapped segmenter.
    after, inner_after = segmenter.after_cut(before[CUT]), inner.after_cut(inside(before[CUT]))
    later = frames()[CUT : CUT + 1]
    ours, theirs = segmenter(later, after)[1], inner(later, inner_after)[1]
    assert segmenter.notes(ours)[: len(inner.notes(theirs))] == inner.notes(theirs)
    assert segmenter.confidence(ours) == inner.confidence(theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_numbered_object_is_found_through_a_wrapper(kind: str) -> None:
    chosen = wrapped("squares", kind).select(["person:1", "person:2"])
    assert {"person:1", "person:2"} <= {r.name for r in chosen.regions}


@pytest.mark.parametrize("kind", KINDS)
def test_masks_from_files_go_on_behind_a_cut(kind: str) -> None:
    segmenter = wrapped("files", kind)
    whole, _, before = ran("files", kind)
    rest, _ = segmenter(frames()[CUT:], segmenter.after_cut(before[CUT]))
    assert torch.equal(rest, whole[CUT:])


def test_what_must_see_every_frame_says_so() -> None:
    assert KMeansSegmenter(2).in_order
    assert OverrideSegmenter(KMeansSegmenter(2), {}, {}).in_order
    stateless = OverrideSegmenter(_deeplab(), {2: np.full(SIZE, 1, np.uint8)}, {})
    assert not stateless.in_order
    carry = stateless.skip(stateless.skip(None))
    assert (stateless(frames()[:1], carry)[0].argmax(1) == 1).all(), "skipped frames are counted"
