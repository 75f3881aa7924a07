"""Layers laid over each other are the flat result, in every format, straight and premultiplied."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segnst.config import Settings
from segnst.errors import Cancelled, OutputError, UsageError
from segnst.jobs.events import Context, Event, Frames
from segnst.jobs.layers import Alpha
from segnst.jobs.style import style_file
from segnst.video.read import open_reader
from tests.clips import panning, write_clip
from tests.conftest import Run
from tests.jobs.every import tiny_style

FRAMES = 3
NAMES = ["0_source", "1_background", "2_cluster2", "3_cluster1"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", panning(FRAMES))


def _settings(folder: Path, **more: object) -> Settings:
    style = tiny_style(folder)
    return Settings(
        styles=(f"cluster1={style}@0.7", f"cluster2={style}", f"background={style}@0.5"), segmenter="kmeans:4",
        edge="feather:3", device="cpu", **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _pictures(path: Path) -> list[np.ndarray]:
    """RGBA [H,W,4] in [0,1] of each frame of a film or folder."""
    with open_reader(path) as reader:
        found = []
        for frame in reader:
            alpha = np.ones((1, *frame.rgb.shape[-2:]), np.float32) if frame.alpha is None else frame.alpha[0].numpy()
            found.append(np.concatenate([frame.rgb[0].numpy(), alpha]).transpose(1, 2, 0))
    return found


def _exr(path: Path, names: list[str]) -> list[np.ndarray]:
    openexr = pytest.importorskip("OpenEXR")
    channels = openexr.File(str(path), separate_channels=True).channels()
    return [np.stack([channels[f"{n}.{c}"].pixels.astype(np.float32) for c in "RGBA"], -1) for n in names]


def _over(layers: list[np.ndarray], premultiplied: bool) -> np.ndarray:
    """Lay pictures over each other, the first at the bottom."""
    below = np.zeros_like(layers[0][..., :3])
    for layer in layers:
        color, alpha = layer[..., :3], layer[..., 3:]
        below = (color if premultiplied else color * alpha) + below * (1 - alpha)
    return below


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
@pytest.mark.parametrize(("suffix", "worst", "mean"), [("", 3, 1), (".mkv", 3, 1), (".mov", 12, 1), (".exr", 1, 0.3)])
def test_over_each_other_they_are_the_flat_result(
    suffix: str, worst: float, mean: float, alpha: Alpha, clip: Path, tmp_path: Path
) -> None:
    if suffix == ".exr":
        pytest.importorskip("OpenEXR")
    place = tmp_path / f"deep/x{suffix}"
    style_file(clip, tmp_path / "flat", _settings(tmp_path), layers=place, alpha=alpha)
    flat = _pictures(tmp_path / "flat")
    if suffix == ".exr":
        files = sorted((tmp_path / "deep/x").iterdir())
        assert [p.name for p in files] == [f"frame_{k:06d}.exr" for k in range(1, FRAMES + 1)]
        frames = [_exr(file, [n[2:] for n in NAMES]) for file in files]
    else:
        made = [place / n if not suffix else place.with_name(f"x_{n}{suffix}") for n in NAMES]
        assert sorted(made[0].parent.iterdir()) == made
        frames = [list(each) for each in zip(*(_pictures(m) for m in made), strict=True)]
    assert len(frames) == len(flat) == FRAMES
    partial = 0.0
    for layers, result in zip(frames, flat, strict=True):
        difference = np.abs(_over(layers, alpha == "premultiplied") - result[..., :3]) * 255
        assert difference.max() <= worst + 0.5 and difference.mean() <= mean  # the flat one is rounded to 8 bits, too
        partial += float(((layers[3][..., 3] > 0.1) & (layers[3][..., 3] < 0.9)).mean())
    assert partial > 0.01, "the layers have soft edges"


def test_films_of_layers_have_the_times_of_the_source(clip: Path, tmp_path: Path) -> None:
    style_file(clip, tmp_path / "o.mp4", _settings(tmp_path, start=0.04), layers=tmp_path / "x.mov")

    def times(path: Path) -> list[float]:
        with av.open(str(path)) as film:
            assert not film.streams.audio or path.suffix == ".mp4"
            return [float(frame.time) for frame in film.decode(video=0)]

    assert times(tmp_path / "x_1_background.mov") == times(tmp_path / "o.mp4")
    with av.open(str(tmp_path / "x_2_cluster2.mov")) as film:
        assert film.streams.video[0].codec_context.pix_fmt.startswith("yuva444p")


def test_layers_of_a_still_and_of_a_whole_frame(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8))
    style = tiny_style(tmp_path)
    style_file(tmp_path / "a.png", tmp_path / "b.png", Settings(styles=(f"{style}@0.5",)), layers=tmp_path / "b.exr")
    source, frame = _exr(tmp_path / "b.exr", ["source", "frame"])
    flat = cv2.imread(str(tmp_path / "b.png"))[..., ::-1] / 255
    assert np.abs(_over([source, frame], premultiplied=True) - flat).max() < 1.5 / 255
    assert np.allclose(frame[..., 3], 0.5)
    style_file(tmp_path / "a.png", tmp_path / "c.png", Settings(styles=("original",)), layers=tmp_path / "c")
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["0_source"], "what is left alone is no layer"


def test_nothing_is_left_or_overwritten(clip: Path, tmp_path: Path) -> None:
    def cancel(event: Event) -> None:
        if isinstance(event, Frames):
            context.cancel()

    for name in ("x", "x.mkv", "x.exr"):
        context = Context(cancel)
        with pytest.raises(Cancelled):
            style_file(clip, tmp_path / "o.mp4", _settings(tmp_path), layers=tmp_path / f"deep/{name}", context=context)
        assert {p.name for p in tmp_path.iterdir()} == {"tiny.safetensors"}
    mine = tmp_path / "x_0_source.mkv"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"x_0_source\.mkv exists already"):
        style_file(clip, tmp_path / "o.mp4", _settings(tmp_path), layers=tmp_path / "x.mkv")
    assert mine.read_bytes() == b"mine" and not (tmp_path / "o.mp4").exists()
    style_file(clip, tmp_path / "o.mp4", _settings(tmp_path), layers=tmp_path / "x.mkv", overwrite=True)
    assert mine.read_bytes() != b"mine"


def test_what_cannot_be_layers(run: Run, clip: Path, tmp_path: Path) -> None:
    for arguments, code, words in (
        (["--layers", "x.mp4"], 1, "ends in .mov, .mkv or .exr; x.mp4 does not"),
        (["--layers", "x", "--alpha", "pre"], 2, "--alpha must be straight or premultiplied, got 'pre'"),
        (["--alpha", "straight"], 2, "add --layers PATH"),
        (["--layers", "o"], 2, "--output and --layers are both o"),
    ):
        done = run("style", clip, "-s", "original", "-o", "o", *arguments)
        assert done[0] == code and words in done[2], done[2]
    transparent = np.full((32, 48, 4), 90, np.uint8)
    cv2.imwrite("a.png", transparent)
    with pytest.raises(UsageError, match="has transparency"):
        style_file("a.png", "b.png", Settings(styles=("original",)), layers="x")
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
