"""The parts, each alone: geometry, color, threads."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from segnst.video.color import ColorTags, FromRGB, ToRGB, matrix_for, samples
from segnst.video.geometry import Orientation, orientation_of, plan_geometry, scaled_matrix, square_size
from segnst.video.threads import Consumer, Producer

ORIENTATIONS = [Orientation(*flags) for flags in itertools.product((False, True), repeat=3)]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_there_and_back(orientation: Orientation) -> None:
    picture = torch.arange(2 * 3 * 5).reshape(2, 3, 5)
    upright = orientation.upright(picture)
    assert torch.equal(orientation.stored(upright), picture)
    assert (upright.shape[2], upright.shape[1]) == orientation.size((5, 3))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [False, True])
def test_matrices_as_ffmpeg_sets_them(degrees: int, flip: bool) -> None:
    """``av_display_rotation_set`` counts clockwise here; a mirrored picture is mirrored afterwards."""
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 65536
    matrix = [cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30]
    if flip:
        matrix[0], matrix[3] = -matrix[0], -matrix[3]
    picture = torch.arange(6).reshape(2, 3)
    wanted = torch.rot90(picture, -degrees // 90, (0, 1))
    if flip:
        wanted = wanted.flip(1)
    found = orientation_of(tuple(matrix))
    assert found is not None and torch.equal(found.upright(picture), wanted)


def test_odd_angles_are_told() -> None:
    assert orientation_of((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)) is None


def test_translation_of_a_matrix_follows_the_size() -> None:
    matrix = (0, -65536, 0, 65536, 0, 0, 0, 568 * 65536, 1 << 30)
    assert scaled_matrix(matrix, (568, 320), (284, 160))[7] == 284 * 65536
    assert scaled_matrix(matrix, (568, 320), (568, 320)) == matrix


@pytest.mark.parametrize("storage", [(1920, 1080), (1280, 720), (720, 576), (719, 575), (64, 2000), (4096, 2160)])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 15), Fraction(64, 45), Fraction(8, 9)])
@pytest.mark.parametrize("limit", [None, 640, 333, 5000])
def test_sizes(storage, aspect, limit) -> None:
    plan = plan_geometry(storage, aspect, Orientation(transpose=True), limit, even=True)
    assert plan.upright == plan.square[::-1]
    if limit is None or max(square_size(storage, aspect)) <= limit:
        assert plan.encoded == storage
        return
    assert max(plan.square) <= limit and max(plan.square) >= limit - 2
    assert plan.encoded[0] % 2 == plan.encoded[1] % 2 == 0
    shown = Fraction(*plan.encoded) * aspect
    exact = Fraction(*storage) * aspect
    assert abs(shown / exact - 1) <= 1.6 / min(plan.encoded)
    if aspect == 1:
        assert plan.square == plan.encoded


KR_KB = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}


@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
def test_colors_by_the_book(matrix: int, full: bool, bits: int) -> None:
    """Against the formula: the matrix and the range that are asked for take effect, both ways."""
    red, blue = KR_KB[matrix]
    rng = np.random.default_rng(1)
    colors = rng.uniform(0.1, 0.9, (3, 6, 6)).astype(np.float32)
    rgb = np.repeat(np.repeat(colors, 16, 1), 16, 2)  # flat patches: chroma filters do not matter inside
    name = "yuv420p" if bits == 8 else "yuv420p10le"
    frame = FromRGB(name, matrix, full, (96, 96), (0, 0))(rgb)
    luma = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    planes = [luma, (rgb[2] - luma) / 2 / (1 - blue), (rgb[0] - luma) / 2 / (1 - red)]
    unit = 2 ** (bits - 8)
    kind = np.uint8 if bits == 8 else np.uint16
    for index, (plane, wanted) in enumerate(zip(frame.planes, planes, strict=True)):
        got = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].astype(np.float64)
        step = 1 if index == 0 else 2
        inside = wanted[8::16, 8::16]
        got = got[8 // step :: 16 // step, 8 // step :: 16 // step]
        if full:
            code = inside * (2**bits - 1) + (0 if index == 0 else 128 * unit)
        else:
            code = (inside * 219 + 16) * unit if index == 0 else (inside * 224 + 128) * unit
        assert np.abs(got - code).max() <= 0.8
        assert abs((got - code).mean()) <= 0.2
    back = ToRGB(ColorTags(matrix, 2 if full else 1), 96, alpha=False)(frame, 96, 96)
    assert np.abs(back - rgb)[:, 8::16, 8::16].max() <= 2.0 / (255 * unit)


def test_untagged_matrix_goes_by_lines() -> None:
    assert [matrix_for(ColorTags(), lines) for lines in (480, 719, 720, 1080)] == [6, 6, 1, 1]
    assert matrix_for(ColorTags(matrix=5), 1080) == 5


def test_what_is_not_a_number_becomes_black() -> None:
    frame = FromRGB("yuv420p", 1, False, (4, 4), (0, 0))(np.full((3, 4, 4), np.nan, np.float32))
    assert (samples(frame, 0) == 16).all()


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12", "yuyv422", "yuv411p", "yuv440p", "p010le"]
)
@pytest.mark.parametrize("size", [(32, 24), (33, 25)])
def test_smooth_pictures_survive_every_layout(name: str, size: tuple[int, int]) -> None:
    """Through swscale's layout change where this module does not read the format itself."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rgb = np.stack([0.2 + x / width / 2, 0.3 + y / height / 2, 0.7 - x / width / 3])
    base = (
        "yuv420p10le" if name == "p010le" else "yuv420p" if name in ("nv12", "yuyv422", "yuv411p", "yuv440p") else name
    )
    frame = FromRGB(base, 6, False, size, (0, 0))(rgb)
    if base != name:
        frame = frame.reformat(format=name)
    back = ToRGB(ColorTags(6, 1), height, alpha=False)(frame, width, height)
    assert np.abs(back - rgb)[:, 2:-2, 2:-4].max() < (0.03 if name in ("yuv411p", "yuv440p") else 0.018)


def test_chroma_sites_agree_with_swscale() -> None:
    """A color edge must not wander: our reading of 4:2:0 against FFmpeg's own."""
    rgb = np.full((3, 32, 32), 0.5, np.float32)
    rgb[0, :, 16:] = 0.8
    rgb[2, 12:, :] = 0.3
    frame = FromRGB("yuv420p", 6, False, (32, 32), (0, 0))(rgb)
    frame.colorspace, frame.color_range = 6, 1
    theirs = frame.to_ndarray(format="rgb24").transpose(2, 0, 1) / 255
    ours = ToRGB(ColorTags(6, 1), 32, alpha=False)(frame, 32, 32)
    assert np.abs(ours - theirs).mean() < 0.008
    assert np.abs(ours - rgb).mean() < 0.008


def test_white_is_white_and_black_is_black() -> None:
    for full, codes in ((False, (16, 235)), (True, (0, 255))):
        for value, code in zip((0.0, 1.0, 7.0), (*codes, codes[1]), strict=True):
            frame = FromRGB("yuv420p", 1, full, (16, 16), (0, 0))(np.full((3, 16, 16), value, np.float32))
            assert (np.frombuffer(frame.planes[0], np.uint8).reshape(16, -1)[:, :16] == code).all()
            back = ToRGB(ColorTags(1, 2 if full else 1), 16, alpha=False)(frame, 16, 16)
            assert np.allclose(back, min(value, 1.0), atol=1e-4)


def test_gray_and_rgb_frames() -> None:
    gray = av.VideoFrame.from_ndarray(np.full((8, 8), 16, np.uint8), "gray")
    assert np.allclose(ToRGB(ColorTags(), 8, alpha=False)(gray, 8, 8), 16 / 255, atol=1e-4)
    rgb = av.VideoFrame.from_ndarray(np.full((8, 8, 3), 128, np.uint8), "rgb24")
    assert np.allclose(ToRGB(ColorTags(), 8, alpha=False)(rgb, 8, 8), 128 / 255, atol=1e-4)


def numbers(error: type[BaseException] | None = None, made: list[int] | None = None) -> Iterator[int]:
    for number in range(1000):
        if made is not None:
            made.append(number)
        yield number
        if error is not None and number == 5:
            raise error("five")


@pytest.mark.timeout(20)
def test_producer() -> None:
    before = threading.active_count()
    assert list(Producer(numbers())) == list(range(1000))
    seen = []
    with pytest.raises(ValueError, match="five"):
        for number in Producer(numbers(ValueError)):
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4, 5]
    made: list[int] = []
    producer = Producer(numbers(made=made), depth=3)
    assert next(producer) == 0
    time.sleep(0.2)
    assert len(made) <= 5
    producer.close()
    producer.close()
    assert list(producer) == []
    assert threading.active_count() == before


@pytest.mark.timeout(20)
def test_consumer() -> None:
    before = threading.active_count()
    got: list[int] = []
    consumer = Consumer(got.append)
    for number in range(100):
        consumer.put(number)
    consumer.finish()
    assert got == list(range(100))

    def fail(number: int) -> None:
        if number == 3:
            raise ValueError("three")

    consumer = Consumer(fail)
    with pytest.raises(ValueError, match="three"):
        for number in range(100):
            consumer.put(number)
        consumer.finish()
    consumer.abort()

    slow: list[int] = []

    def crawl(number: int) -> None:
        time.sleep(0.05)
        slow.append(number)

    consumer = Consumer(crawl, depth=2)
    for number in range(3):
        consumer.put(number)
    consumer.abort()  # what waits is dropped
    consumer.abort()
    assert len(slow) < 3
    assert threading.active_count() == before
