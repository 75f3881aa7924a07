from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segnst.errors import InputError
from segnst.masks.indexed_png import encode_png, palette, read_png, write_png


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 33)])
def test_what_is_written_is_read_back_here_and_by_ffmpeg(tmp_path: Path, size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    write_png(tmp_path / "a.png", labels)
    assert (read_png(tmp_path / "a.png") == labels).all()
    colors = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR)[:, :, ::-1]  # an independent reader
    assert (colors == palette()[labels]).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_file_holds_indexes_and_not_colors(tmp_path: Path) -> None:
    labels = np.arange(9, dtype=np.uint8).reshape(3, 3)
    write_png(tmp_path / "a.png", labels)
    with av.open(str(tmp_path / "a.png")) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "pal8"
        assert (np.frombuffer(frame.planes[0], np.uint8).reshape(3, -1)[:, :3] == labels).all()


@pytest.mark.parametrize("filtering", range(5))
def test_gray_pngs_of_other_programs_are_read_whatever_their_filter(tmp_path: Path, filtering: int) -> None:
    labels = (np.add.outer(np.arange(40), np.arange(30)) // 9).astype(np.uint8)
    labels[::3, ::4] += 3
    strategy = [0, 1, 2, 3, 4][filtering]
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), labels, [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy])
    assert (read_png(path) == labels).all()


@pytest.mark.parametrize("filter_name", ["none", "sub", "up", "avg", "paeth", "mixed"])
def test_every_row_filter_is_undone(tmp_path: Path, filter_name: str) -> None:
    labels = np.random.default_rng(1).integers(0, 9, (20, 31), dtype=np.uint8)
    path = tmp_path / "a.png"
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", options={"pred": filter_name})
        stream.width, stream.height, stream.pix_fmt = 31, 20, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(labels, "gray")))
        container.mux(stream.encode())
    assert (read_png(path) == labels).all()


def test_bilevel_pngs_are_read(tmp_path: Path) -> None:
    labels = np.random.default_rng(2).integers(0, 2, (5, 13), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), labels * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert (read_png(tmp_path / "a.png") == labels).all()


def test_color_pictures_and_broken_files_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "color.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "text.png").write_text("no")
    (tmp_path / "cut.png").write_bytes(encode_png(np.zeros((40, 40), np.uint8))[:830])
    for name, words in (
        ("color", "indexed or gray"),
        ("text", "not a PNG"),
        ("cut", "damaged"),
        ("gone", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            read_png(tmp_path / f"{name}.png")
