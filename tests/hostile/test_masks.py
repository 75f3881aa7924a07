"""Mask files that are broken or hostile: one sentence, in little time and memory."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segnst.errors import InputError, SegnstError, SegnstWarning
from segnst.masks.coco import read_coco
from segnst.masks.indexed_png import encode_png, read_png, write_png
from segnst.segmentation.files import open_masks, read_classes
from segnst.segmentation.wrappers.override import read_overrides
from segnst.untrusted import MAX_PIXELS_VARIABLE
from tests.hostile.make import SIGNATURE, chunk, coco, interlaced, png, rows

quick = settings(derandomize=True, max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
numbers = st.one_of(
    st.sampled_from([float("nan"), float("inf"), float("-inf"), 10**19, -(10**19), 10**400, 1e300, -1, 0, 1, 2.5]),
    st.none(),
    st.booleans(),
    st.integers(-5, 40),
    st.text(max_size=4),
    st.sampled_from(["1", "9" * 5000, [], {}, [[1]]]),
)
SQUARE = [[4, 4, 14, 4, 14, 14, 4, 14]]


def first(path: Path) -> np.ndarray:
    """The mask of the first frame, [K,20,30]."""
    return open_masks(path)(torch.zeros(1, 3, 20, 30))[0][0].numpy()


def test_pngs_of_more_kinds_are_read(tmp_path: Path) -> None:
    labels = (np.add.outer(np.arange(19), np.arange(23)) // 5).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(interlaced(labels))
    assert (read_png(tmp_path / "a.png") == labels).all()
    deep = labels.astype(np.uint16) * 1000
    (tmp_path / "a.png").write_bytes(png(23, 19, 16, 0, rows(deep)))
    assert (read_png(tmp_path / "a.png") == deep).all()


def test_a_png_inflates_to_no_more_than_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8, 8, 0, bytes(200_000_000)))
    tracemalloc.start()
    assert not read_png(path).any()
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (0, 5), (5, 0), (20_000, 20_000)])
def test_sizes_that_are_no_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(png(*size, 8, 0, b""))
    with pytest.raises(InputError, match=r"not a valid picture|--max-pixels"):
        read_png(tmp_path / "a.png")


def test_the_limit_of_pixels_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "a.png", np.ones((20, 30), np.uint8))
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "599")
    with pytest.raises(InputError, match="--max-pixels 600"):
        read_png(tmp_path / "a.png")
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "600")
    assert read_png(tmp_path / "a.png").all()


def test_nothing_is_said_by_libpng(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = encode_png(np.zeros((20, 30), np.uint8))
    bad_filter = png(30, 20, 8, 0, (b"\x09" + bytes(30)) * 20)
    garbage = SIGNATURE + good[8:33] + chunk(b"IDAT", b"garbage") + chunk(b"IEND", b"")
    for data in (good[:60], bad_filter, garbage, png(30, 20, 8, 0, bytes(9)), SIGNATURE):
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(InputError, match="damaged"):
            read_png(tmp_path / "a.png")
    assert capfd.readouterr().err == ""


@quick
@given(
    st.binary(max_size=40), st.integers(0, 200), st.sampled_from([1, 2, 3, 4, 8, 16]), st.sampled_from([0, 2, 3, 4, 6])
)
def test_any_png_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, depth: int, color: int
) -> None:
    path = tmp_path_factory.mktemp("h") / "a.png"
    data = png(7, 5, depth, color, junk * 20, interlace=at % 2)
    for mutant in (data, data[:at], data[:at] + junk + data[at + len(junk) :]):
        path.write_bytes(mutant)
        for read in (read_png, open_masks):
            try:
                read(path)
            except SegnstError as error:
                assert "a.png" in str(error)


def test_annotations_as_people_have_them(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    coco(path, None, {"segmentation": SQUARE})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a byte order mark
    assert first(path)[1].sum() > 90
    with pytest.warns(SegnstWarning, match="without a category"):
        found = first(coco(path, None, {"segmentation": SQUARE}, {"bbox": [0, 0, 3, 3], "category_id": None}))
    assert found[1].sum() > 90 and found[1, 0, 0] == 0
    with pytest.warns(SegnstWarning, match="without an outline"):
        found = first(coco(path, None, {"segmentation": [[]]}, {"segmentation": SQUARE}))
    assert found[1].sum() > 90
    crowd = {"segmentation": {"size": [20, 30], "counts": [0, 100, 500]}, "iscrowd": 1}
    assert first(coco(path, None, crowd))[1].sum() == 100


def test_names_and_encodings_of_annotations(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", None, {"segmentation": SQUARE}, name="ca\x1b[0mt ")
    assert open_masks(path).regions[1].name == "ca[0mt"
    path.write_text(path.read_text(), encoding="utf-16")
    assert first(path)[1].sum() > 90
    for name in (None, "", "\x1b"):
        with pytest.raises(InputError, match="without a name"):
            open_masks(coco(path, None, name=name))
    write_png(tmp_path / "m.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match="300 classes"):
        open_masks(tmp_path / "m.png", [f"c{k}" for k in range(300)])


def test_a_cut_out_with_a_palette(tmp_path: Path) -> None:
    inside = np.zeros((20, 30), np.uint8)
    inside[5:15, 6:16] = 7
    data = encode_png(inside)
    at = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + chunk(b"tRNS", bytes(7) + b"\xff") + data[at:])
    assert first(tmp_path / "a.png")[1].sum() == 100


@pytest.mark.parametrize(
    "image",
    [
        {"height": 0},
        {"width": -5},
        {"height": 10**19},
        {"height": float("inf")},
        {"width": None},
        {"width": 10**6, "height": 10**6},
    ],
)
def test_images_of_impossible_sizes(tmp_path: Path, image: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"not a valid picture|should|range|--max-pixels"):
        first(coco(tmp_path / "a.json", image, {"segmentation": SQUARE}))


@pytest.mark.parametrize(
    "annotation",
    [
        {"bbox": [0, 0, float("inf"), float("inf")]},
        {"bbox": [0, 0]},
        {"image_id": float("inf"), "bbox": [0, 0, 1, 1]},
        {"segmentation": {"size": [10, 10], "counts": [100]}},
        {"segmentation": {"size": [20, 30], "counts": [10**19, -(10**19), 600]}},
        {"segmentation": {"size": [20, 30], "counts": "o" * 100}},
        {"segmentation": [[float("nan")] * 6]},
        {"segmentation": [["a"] * 6]},
        {"segmentation": 3},
        {},
    ],
)
def test_annotations_that_are_broken(tmp_path: Path, annotation: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"a\.json"):
        first(coco(tmp_path / "a.json", None, annotation))


def test_polygons_far_outside_take_no_time(tmp_path: Path) -> None:
    found = first(
        coco(tmp_path / "a.json", None, {"segmentation": [[-1e15, -1e15, 1e15, -1e15, 1e15, 1e15, -1e15, 1e15]]})
    )
    assert found[1].all()


def test_nesting_numbers_and_crowds_of_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("[" * 200_000, '{"a":' * 200_000, "9" * 10_000, "[]", "null", "", "\xff"):
        path.write_bytes(text.encode("latin1"))
        with pytest.raises(InputError, match=r"a\.json"):
            open_masks(path)
        with pytest.raises(InputError, match=r"a\.json"):
            read_classes(path)
    coco(path, None, *[{"bbox": [0, 0, 2, 2]}] * 10_001)
    with pytest.raises(InputError, match="10001 annotations"):
        open_masks(path)


def test_more_categories_than_label_maps_have_values(tmp_path: Path) -> None:
    path = coco(tmp_path / "a.json", None, {"segmentation": SQUARE, "category_id": 299})
    content = json.loads(path.read_text())
    content["categories"] = [{"id": k, "name": f"c{k}"} for k in range(300)]
    path.write_text(json.dumps(content))
    assert [r.name for r in open_masks(path).regions] == ["background", "c299"]
    content["annotations"] = [{"id": k, "image_id": 1, "category_id": k, "bbox": [0, 0, 2, 2]} for k in range(300)]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="300 categories"):
        open_masks(path)


@quick
@given(
    st.fixed_dictionaries({}, optional={"id": numbers, "width": numbers, "height": numbers, "file_name": numbers}),
    st.fixed_dictionaries(
        {},
        optional={
            "image_id": numbers,
            "category_id": numbers,
            "iscrowd": numbers,
            "bbox": st.one_of(numbers, st.lists(numbers, max_size=5)),
            "segmentation": st.one_of(
                numbers,
                st.lists(st.one_of(numbers, st.lists(numbers, max_size=8)), max_size=3),
                st.fixed_dictionaries(
                    {"counts": st.one_of(numbers, st.lists(numbers, max_size=4), st.text(max_size=9))}
                ),
            ),
        },
    ),
    numbers,
)
def test_any_annotation_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, image: dict[str, Any], annotation: dict[str, Any], name: Any
) -> None:
    folder = tmp_path_factory.mktemp("h")
    write_png(folder / "a.png", np.zeros((20, 30), np.uint8))
    path = coco(folder / "a.json", image, annotation, name=name)
    for read in (lambda: first(path), lambda: [load() for _, load in read_coco(path, ["other", "cat"])]):
        try:
            read()
        except SegnstError as error:
            assert "\n" not in str(error)
        except SegnstWarning:
            pass


@quick
@given(
    st.one_of(
        numbers,
        st.dictionaries(
            st.sampled_from(["classes", "x"]),
            st.lists(st.dictionaries(st.sampled_from(["index", "name"]), numbers), max_size=3),
        ),
    )
)
def test_any_list_of_classes_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.mktemp("h") / "classes.json"
    path.write_text(json.dumps(content))
    try:
        assert all(isinstance(name, str) for name in read_classes(path))
    except SegnstError as error:
        assert "classes.json" in str(error)


def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.json")
    for path in (
        tmp_path / "pipe.png",
        tmp_path / "pipe.json",
        tmp_path / ("x" * 300),
        tmp_path / "none",
        Path("a\0b"),
    ):
        with pytest.raises(InputError):
            open_masks(path)
        with pytest.raises(InputError):
            read_overrides(path, (20, 30))
    with pytest.raises(InputError):
        read_png(tmp_path)


def test_a_header_alone_costs_nothing(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 16000, 16000, 8, 0, 0, 0, 0)
    data = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        read_png(tmp_path / "a.png")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
