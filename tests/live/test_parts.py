"""Parts of a live run: outputs that are slow or fail, the next style, a plan file that changes, seldom looks."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from segnst.config import Settings
from segnst.live.sinks.base import Runner, Sink, Spec
from segnst.live.sources import find_source
from segnst.live.stylist import PlanWatch, next_styles
from segnst.segmentation.wrappers.seldom import SeldomSegmenter
from tests.clips import HalfSegmenter, panning

SPEC = Spec((16, 8), Fraction(15), None, Settings(styles=("original",)))


class Slow(Sink):
    """Takes pictures only when it may."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.may = threading.Event()
        self.got: list[float] = []

    def picture(self, pixels: np.ndarray, time: float) -> None:
        self.may.wait()
        if time < 0:
            raise OSError(5, "broken")
        self.got.append(time)

    def finish(self) -> None:
        self.got.append(-1)

    def abort(self) -> None:
        self.got.append(-2)


def test_a_slow_output_misses_pictures_and_holds_nobody_up() -> None:
    sink = Slow()
    runner = Runner(sink, SPEC)
    for n in range(40):
        runner.picture(np.zeros((8, 16, 3), np.uint8), float(n))
    assert runner.missed >= 30
    sink.may.set()
    assert runner.finish()
    assert sink.got == [*sorted(sink.got[:-1]), -1]
    assert len(sink.got) - 1 + runner.missed == 40


def test_an_output_that_fails_is_left_and_its_error_kept() -> None:
    sink = Slow()
    sink.may.set()
    runner = Runner(sink, SPEC)
    runner.picture(np.zeros((8, 16, 3), np.uint8), -1.0)
    runner.finish()
    assert isinstance(runner.failed, OSError)
    assert sink.got == [-2]


def test_the_next_style_follows_for_every_painted_region() -> None:
    known = ["a", "b", "c"]
    assert next_styles(["a"], known) == ("b",)
    assert next_styles(["car=c@0.5", "background=a"], known) == ("car=a@0.5", "background=b")
    assert next_styles(["car=mine.pth", "sky=original"], known)[:2] == ("car=a", "sky=original")
    assert next_styles(["0:a,3:b"], known) == ("b",)


def test_a_plan_file_that_changes_is_noticed_once(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("a = 1")
    watch = PlanWatch(plan)
    assert not watch.changed()
    plan.unlink()
    assert not watch.changed(), "an editor replaces it"
    plan.write_text("a = 22")
    assert watch.changed()
    assert not watch.changed()


def test_regions_are_looked_for_in_every_third_frame_and_after_a_cut() -> None:
    asked = []

    class Counted(HalfSegmenter):
        def frame(self, rgb: torch.Tensor, carry: int | None) -> tuple[torch.Tensor, int]:
            asked.append(carry)
            return super().frame(rgb, carry)

    seldom = SeldomSegmenter(Counted(), 3)
    carry = None
    for frame in panning(7).split(1):
        probabilities, carry = seldom(frame, carry)
        assert torch.allclose(probabilities.sum(1), torch.ones(1, 12, 16))
    assert len(asked) == 3
    seldom(panning(1), seldom.after_cut(carry))
    assert len(asked) == 4


def test_a_source_is_recognized_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    kinds = {
        name: find_source(name).kind for name in ("-", "rtsp://a/b", "udp://1.2.3.4:5", str(tmp_path / "clip.mp4"))
    }
    assert list(kinds.values()) == ["pipe", "stream", "stream", "file"]
