"""Names out of files never lead out of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segnst.jobs.segment import segment_to_folder
from segnst.masks.indexed_png import write_png
from segnst.segmentation.files import FileSegmenter
from segnst.types import Region
from segnst.untrusted import printable, safe_name, safe_names, short

EVIL = (
    "../../out",
    "/tmp/out",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a\0b",
    "A_B",
    "x" * 400,
    ".hidden",
    "~",
    "車輛" * 90,
    "\ud800",
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.text(), st.sampled_from(EVIL)), max_size=6))
def test_a_safe_name_is_one_part_of_a_path(names: list[str]) -> None:
    found = safe_names(names)
    assert len({f.lower() for f in found}) == len(names)
    for name in found:
        assert Path("a", name).parent == Path("a") and name not in ("", ".", "..")
        assert not name.startswith(".") and "\0" not in name and len(name.encode()) < 200


def test_names_that_are_fine_stay_as_they_are() -> None:
    for name in ("car", "traffic light", "car:2", "車輛", "a.b-c_d (1)"):
        assert safe_name(name) == name


def test_classes_of_a_file_are_written_below_the_output(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    write_png(tmp_path / "work/photo.png", np.zeros((20, 30), np.uint8))
    names = ("background", *EVIL)
    regions = [Region(k, name) for k, name in enumerate(names)]
    segmenter = FileSegmenter(tmp_path, regions, [lambda: np.zeros((20, 30), np.uint8)])
    before = set(tmp_path.rglob("*"))
    formats = ("indexed", "soft16", "overlay", "alpha")
    segment_to_folder(tmp_path / "work/photo.png", tmp_path / "work/masks", segmenter, formats=formats)
    made = set(tmp_path.rglob("*")) - before
    assert all((tmp_path / "work/masks") in (p, *p.parents) for p in made)
    assert len([p for p in made if p.parent.name == "soft16"]) == len(names)
    assert not Path("/tmp/out").exists()


def test_texts_for_messages_are_short_and_quiet() -> None:
    assert printable("a\x1b[31mb\n") == "a[31mb"
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    assert len(short(deep)) < 100 and len(short("x" * 10_000)) < 200 and len(short(10**4000)) < 100
