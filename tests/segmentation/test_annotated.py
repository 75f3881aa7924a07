"""Masks that other programs wrote: labelme, CVAT, YOLO, SAM; and files that only look like theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segnst.errors import InputError, SegnstError, SegnstWarning
from segnst.masks.coco import encode_rle
from segnst.segmentation.alignment import Run
from segnst.segmentation.files import FileSegmenter, open_masks

SIZE = (40, 60)
SQUARE = [[10, 5], [30, 5], [30, 25], [10, 25]]  # 20x20 at (10, 5)
TRUTH = np.zeros(SIZE, bool)
TRUTH[5:25, 10:30] = True
RUN = Run(size=SIZE)


def first(segmenter: FileSegmenter) -> np.ndarray:
    """Probabilities [K,H,W] of the first frame."""
    found, _ = segmenter(torch.zeros(1, 3, *SIZE), None)
    return found[0].numpy()


def names(segmenter: FileSegmenter) -> list[str]:
    return [r.name for r in segmenter.regions]


def is_square(mask: np.ndarray) -> bool:
    return bool((mask > 0.5).sum() > 350 and ((mask > 0.5) & ~TRUTH).sum() < 45)


def labelme(path: Path, *shapes: dict[str, Any], **facts: Any) -> Path:
    content = {"version": "5", "imageHeight": SIZE[0], "imageWidth": SIZE[1], "shapes": list(shapes), **facts}
    path.write_text(json.dumps(content))
    return path


POLYGON = {"label": "Cup", "points": SQUARE, "shape_type": "polygon"}


def test_labelme(tmp_path: Path) -> None:
    box = {"label": "spoon", "points": [[40, 30], [35, 20]], "shape_type": "rectangle"}
    disk = {"label": "plate", "points": [[50, 10], [54, 10]], "shape_type": "circle"}
    line = {"label": "spoon", "points": [[0, 0], [9, 9]], "shape_type": "line"}
    path = labelme(tmp_path / "f.json", POLYGON, box, disk, line)
    with pytest.warns(SegnstWarning, match="1 shapes that are no areas"):
        segmenter = open_masks(path)
    found = first(segmenter)
    assert names(segmenter) == ["background", "cup", "spoon", "plate"]
    assert is_square(found[1])
    assert (found[2] > 0.5).sum() == 50
    assert 40 < (found[3] > 0.5).sum() < 65
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(2):
        labelme(folder / f"{k:04d}.json", *([POLYGON] if k else []))
    segmenter = open_masks(folder, run=Run(count=2))
    empty, carry = segmenter(torch.zeros(1, 3, *SIZE), None)
    square, _ = segmenter(torch.zeros(1, 3, *SIZE), carry)
    assert not (empty[0, 1:] > 0.5).any()
    assert is_square(square[0, 1].numpy())


def points(square: list[list[int]]) -> str:
    return ";".join(f"{x}.00,{y}.00" for x, y in square)


def test_cvat_for_images(tmp_path: Path) -> None:
    runs = ",".join(str(r) for r in (5, 10, 85))  # of a box of 10x10
    path = tmp_path / "annotations.xml"
    path.write_text(f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <image id="0" name="shots/a.png" width="60" height="40">
    <polygon label="Cup" points="{points(SQUARE)}" z_order="0"><attribute name="k">v</attribute></polygon>
    <box label="spoon" xtl="40" ytl="20" xbr="45" ybr="30"/>
    <ellipse label="plate" cx="50" cy="10" rx="4" ry="3"/>
    <mask label="fork" rle="{runs}" left="0" top="30" width="10" height="10"/>
    <points label="cup" points="1,1"/>
  </image>
</annotations>""")
    with pytest.warns(SegnstWarning, match="no areas"):
        segmenter = open_masks(path)
    found = first(segmenter)
    assert names(segmenter) == ["background", "cup", "spoon", "plate", "fork"]
    assert is_square(found[1])
    assert (found[2] > 0.5).sum() == 50
    assert 25 < (found[3] > 0.5).sum() < 50
    assert (found[4] > 0.5).sum() == 10
    assert found[4, 30, 5] == 1 and found[4, 31, 4] == 1 and found[4, 31, 5] == 0
    with pytest.warns(SegnstWarning):
        assert names(open_masks(tmp_path)) == names(segmenter), "the folder of an unpacked task"


def test_cvat_for_video(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    shapes = "".join(
        f'<polygon frame="{k}" outside="{int(k == 2)}" keyframe="1" points="{points(SQUARE)}"/>' for k in range(3)
    )
    path.write_text(
        "<annotations><meta><task><size>4</size><original_size><width>60</width><height>40</height></original_size>"
        f'</task></meta><track id="0" label="cup">{shapes}</track></annotations>'
    )
    segmenter, carry, areas = open_masks(path, run=Run(count=4)), None, []
    for _ in range(4):
        found, carry = segmenter(torch.zeros(1, 3, *SIZE), carry)
        areas.append(int((found[0, 1] > 0.5).sum()))
    assert areas[0] == areas[1] > 350
    assert areas[2:] == [0, 0]


def test_cvat_masks(tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nCup:250,50,83::\nspoon:1,2,3::\n"
    )
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[TRUTH] = (250, 50, 83)
    cv2.imwrite(str(tmp_path / "SegmentationClass/a.png"), picture[..., ::-1])
    segmenter = open_masks(tmp_path)
    assert names(segmenter) == ["background", "cup", "spoon"]
    assert np.array_equal(first(segmenter)[1] > 0.5, TRUTH)
    picture[0, 0] = (9, 9, 9)
    cv2.imwrite(str(tmp_path / "SegmentationClass/a.png"), picture[..., ::-1])
    with pytest.raises(InputError, match=r"the color \(9, 9, 9\)"):
        first(open_masks(tmp_path))
    (tmp_path / "labelmap.txt").write_text("cup 1 2 3")
    with pytest.raises(InputError, match="NAME:R,G,B"):
        open_masks(tmp_path)


YOLO = " ".join(f"{x / SIZE[1]:.6f} {y / SIZE[0]:.6f}" for x, y in SQUARE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "spoon\nCup\n"),
        ("data.yaml", "path: x\nnames: [spoon, 'Cup']\nnc: 2\n"),
        ("data.yaml", "names:\n  0: spoon\n  1: Cup  # the second\ntrain: images\n"),
        ("data.yaml", "names:\n- spoon\n- Cup\n"),
        (None, ""),
    ],
)
def test_yolo(tmp_path: Path, name: str | None, text: str) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "0000.txt").write_text(f"1 {YOLO}\n0 0.75 0.5 0.1 0.25\n")
    if name is not None:
        (tmp_path / name).write_text(text)
    for path in (folder, tmp_path, folder / "0000.txt"):
        segmenter = open_masks(path, run=RUN)
        cup, spoon = ("cup", "spoon") if name is not None else ("class1", "class0")
        assert names(segmenter) == ["background", cup, spoon]
        assert is_square(first(segmenter)[1])
        assert (first(segmenter)[2] > 0.5).sum() == 60
    assert names(open_masks(folder, ["a", "b"], RUN)) == ["background", "b", "a"]
    with pytest.raises(InputError, match="by --masks, beside the input"):
        open_masks(folder)


@pytest.mark.parametrize(
    "line", ["9 0 0 1 0 1 1", "0 0.1 0.2", "0 a b c d", "x", "0 nan 0 1 0 1 1", "0 1e999 0 1 0 1 1"]
)
def test_lines_that_are_not_of_yolo(tmp_path: Path, line: str) -> None:
    (tmp_path / "classes.txt").write_text("cup\n")
    (tmp_path / "a.txt").write_text(f"0 {YOLO}\n{line}\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2"):
        open_masks(tmp_path, run=RUN)


def test_lists_of_sam(tmp_path: Path) -> None:
    small = np.zeros(SIZE, bool)
    small[30:34, 40:50] = True
    masks = [
        {"segmentation": {"size": list(SIZE), "counts": encode_rle(m)}, "area": int(m.sum()), "bbox": [0, 0, 1, 1]}
        for m in (small, TRUTH)
    ]
    path = tmp_path / "a.json"
    for content in (masks, {"image": {"image_id": 1}, "annotations": masks}):
        path.write_text(json.dumps(content))
        segmenter = open_masks(path)
        assert names(segmenter) == ["background", "mask1", "mask2"]
        assert np.array_equal(first(segmenter)[1] > 0.5, TRUTH), "the largest is the first"
        assert np.array_equal(first(segmenter)[2] > 0.5, small)
    path.write_text(json.dumps([masks[0]] * 300))
    with pytest.warns(SegnstWarning, match="47 smallest masks"):
        assert len(open_masks(path).regions) == 254
    masks[0]["segmentation"]["size"] = [9, 9]
    for broken in ([], masks, [{"area": 1}], [{"segmentation": [[1, 2]]}]):
        path.write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"a\.json"):
            open_masks(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotations",
        "<other/>",
        '<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><annotations>&y;</annotations>',
        "<annotations>" + "<a>" * 100 + "</a>" * 100 + "</annotations>",
        '<annotations><image id="0" name="a" width="60" height="40"><polygon points="1,2"/></image></annotations>',
        '<annotations><image id="0" name="a" width="60" height="40"><box label="c" xtl="a"/></image></annotations>',
        '<annotations><image id="0" name="a" width="-6" height="40"><polygon label="c" points="1,2;3,4;5,6"/></image>'
        "</annotations>",
        '<annotations><image id="x" name="a"/></annotations>',
        '<annotations><image id="0" name="a" width="60" height="40"><mask label="c" rle="1,2" left="0" top="0" '
        'width="9" height="9"/></image></annotations>',
        '<annotations><image id="0" name="a" width="60" height="40"><mask label="c" rle="9,9000000" left="50" top="0" '
        'width="3000" height="3000"/></image></annotations>',
        '<annotations><track label="c"><box frame="9999999999" xtl="1" ytl="1" xbr="2" ybr="2"/></track></annotations>',
        '<annotations><track label="c"><box frame="1" xtl="1" ytl="1" xbr="2" ybr="2"/></track></annotations>',
    ],
)
def test_xml_that_is_not_of_cvat(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.xml"):
        first(open_masks(path))


@pytest.mark.parametrize(
    "shape",
    [
        {"label": "", "points": SQUARE},
        {"label": "cup", "points": [["a", 1], [2, 3], [4, 5]]},
        {"label": "cup", "points": [[1], [2, 3], [4, 5]]},
        {"label": "cup", "points": [[1e400, 1], [2, 3], [4, 5]]},
    ],
)
def test_shapes_that_are_not_of_labelme(tmp_path: Path, shape: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"a\.json is not a file of labelme"):
        open_masks(labelme(tmp_path / "a.json", shape))


def test_sizes_and_names_of_labelme_are_checked(tmp_path: Path) -> None:
    for size in (None, 0, -1, 10**9, "x"):
        with pytest.raises(InputError, match=r"a\.json"):
            first(open_masks(labelme(tmp_path / "a.json", POLYGON, imageHeight=size)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["shapes", "label", "points", "segmentation", "size", "counts", "annotations", "image",
                             "imageHeight", "imageWidth", "area"]), inner, max_size=5)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JSON, words=st.text(alphabet='<>&;"= 0123456789.,-abc/!annotationsimagepolygon', max_size=80))
@pytest.mark.filterwarnings("ignore")
def test_any_annotation_is_read_or_refused(tmp_path: Path, content: Any, words: str) -> None:
    for name, text in (("a.json", json.dumps(content)), ("b.xml", f"<annotations>{words}"), ("c.txt", words)):
        path = tmp_path / name
        path.write_text(text)
        try:
            first(open_masks(path, run=RUN))
        except SegnstError as error:
            assert path.name in str(error)
