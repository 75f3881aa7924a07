from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from segnst.assembly import build
from segnst.config import Settings
from segnst.errors import InputError, UsageError
from segnst.jobs.mask_files import Segmented, overlay
from segnst.jobs.segment import segment_to_folder
from segnst.masks.coco import decode_rle, encode_rle
from segnst.masks.indexed_png import read_png, write_png
from segnst.masks.label_map import label_map
from segnst.pipeline import State
from segnst.segmentation.alignment import Run
from segnst.segmentation.files import FileSegmenter, Progress, open_masks
from segnst.segmentation.from_settings import segmenter_for
from segnst.segmentation.networks.kmeans import KMeansSegmenter
from segnst.types import Clip, Region
from segnst.video.read import open_reader
from tests.segmentation.scenes import moving_disk, write_frames

SIZE = (48, 64)


def maps(count: int = 3, classes: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, classes, (count, 6, 8)).astype(np.uint8)
    return [cv2.resize(m, SIZE[::-1], interpolation=cv2.INTER_NEAREST) for m in coarse]


def clip(folder: Path, count: int = 3) -> Path:
    rng = np.random.default_rng(1)
    return write_frames(folder, [torch.from_numpy(rng.random((1, 3, *SIZE), np.float32)) for _ in range(count)])


def export(tmp_path: Path, *formats: str) -> tuple[Path, list[np.ndarray]]:
    """Three frames with masks of two named regions, exported in several formats."""
    labels = maps()
    (tmp_path / "masks").mkdir()
    for k, label in enumerate(labels):
        write_png(tmp_path / f"masks/{k:06d}.png", label)
    source = open_masks(tmp_path / "masks", ["other", "cup", "spoon"])
    frames = clip(tmp_path / "frames")
    with open_reader(frames) as reader:
        segment_to_folder(frames, tmp_path / "out", source, formats=("indexed", *formats), reader=reader)
    return tmp_path / "out", labels


def read_back(source: FileSegmenter, count: int = 3) -> list[np.ndarray]:
    carry, found = None, []
    for _ in range(count):
        probabilities, carry = source(torch.zeros(1, 3, *SIZE), carry)
        found.append(label_map(probabilities, SIZE)[0].numpy())
    return found


@pytest.mark.parametrize("kind", ["indexed", "soft16", "coco"])
def test_out_and_in_again(tmp_path: Path, kind: str) -> None:
    out, labels = export(tmp_path, kind)
    source = open_masks({"indexed": out, "soft16": out / "soft16", "coco": out / "coco.json"}[kind])
    assert sorted(r.name for r in source.regions)[-2:] in (["cup", "spoon"], ["other", "spoon"])
    index = {r.name: r.index for r in source.regions}
    names = ("background" if "background" in index and "other" not in index else "other", "cup", "spoon")
    for found, label in zip(read_back(source), labels, strict=True):
        for value, name in enumerate(names):
            assert ((found == index[name]) == (label == value)).all()


def test_overlay_and_cut_out_are_videos_of_the_clip(tmp_path: Path) -> None:
    out, labels = export(tmp_path, "overlay", "alpha", "alpha-mkv", "alpha-webm")
    with open_reader(out / "overlay.mp4") as reader:
        assert sum(1 for _ in reader) == 3
    with av.open(str(out / "alpha.mov")) as container:
        frames = [f.to_ndarray(format="rgba") for f in container.decode(video=0)]
    assert len(frames) == 3
    assert (np.abs(frames[0][..., 3].astype(int) - 255 * (labels[0] > 0)) < 12).mean() > 0.99
    with av.open(str(out / "alpha.mkv")) as container:
        exact = [f.to_ndarray(format="rgba") for f in container.decode(video=0)]
    assert all(np.array_equal(f[..., 3], 255 * (label > 0)) for f, label in zip(exact, labels, strict=True))
    with av.open(str(out / "alpha.webm")) as container:
        assert container.streams.video[0].metadata.get("alpha_mode") == "1"


def test_an_overlay_shows_clusters_in_colors_that_the_picture_has_not() -> None:
    rgb = torch.full((1, 3, *SIZE), 0.5)
    labels = np.ones(SIZE, np.uint8)
    frame = Segmented(
        "0", Clip(rgb, (0,), Fraction(1, 25)), labels, torch.ones(1, 2, *SIZE), np.full((2, 3), 128, np.uint8)
    )
    assert (overlay(frame) - rgb).abs().max() > 0.1


def test_a_mask_video_and_a_still(tmp_path: Path) -> None:
    _, truth = moving_disk(4, SIZE)
    with av.open(str(tmp_path / "m.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for mask in truth:
            gray = np.repeat((mask * 255).astype(np.uint8)[..., None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, "rgb24")))
        container.mux(stream.encode())
    for found, mask in zip(read_back(open_masks(tmp_path / "m.mp4"), 4), truth, strict=True):
        assert ((found == 1) == mask).mean() > 0.98
    cv2.imwrite(str(tmp_path / "one.png"), (truth[0] * 255).astype(np.uint8))
    for found in read_back(open_masks(tmp_path / "one.png"), 2):
        assert ((found == 1) == truth[0]).all()


def test_masks_that_lie_beside_their_frames(tmp_path: Path) -> None:
    folder = clip(tmp_path / "frames", 2)
    stems = sorted(f.stem for f in folder.iterdir())
    for k, stem in enumerate(stems):
        write_png(folder / f"{stem}_mask.png", np.full(SIZE, k, np.uint8))
    found = read_back(open_masks(folder, run=Run(stems=tuple(stems))), 2)
    assert [m.mean() for m in found] == [0, 1]


def test_too_few_masks_wrong_shapes_and_unknown_values(tmp_path: Path) -> None:
    for k in range(2):
        write_png(tmp_path / f"{k}.png", np.full(SIZE, k, np.uint8))
    with pytest.raises(InputError, match="masks for 2 frames"):
        read_back(open_masks(tmp_path), 3)
    with pytest.raises(InputError, match="another shape"):
        open_masks(tmp_path)(torch.zeros(1, 3, 64, 48))
    write_png(tmp_path / "1.png", np.add.outer(np.arange(SIZE[0]) % 2 * 4, np.full(SIZE[1], 3)).astype(np.uint8))
    with pytest.raises(InputError, match=r"the value [37]"):
        read_back(open_masks(tmp_path), 2)
    with pytest.raises(InputError, match="do not exist"):
        open_masks(tmp_path / "none")
    (tmp_path / "a.json").write_text(json.dumps({"images": []}))
    with pytest.raises(InputError, match="not a COCO"):
        open_masks(tmp_path / "a.json")


def test_run_lengths_there_and_back() -> None:
    mask = maps(1, 2)[0] > 0
    for each in (mask, ~mask, np.zeros_like(mask), np.ones_like(mask)):
        assert (decode_rle(encode_rle(each), each.shape) == each).all()


def test_a_corrected_frame_wins_and_tells_its_neighbors(tmp_path: Path) -> None:
    frames, truth = moving_disk(5, step=1)
    folder = write_frames(tmp_path / "frames", frames)
    (tmp_path / "none").mkdir()
    (tmp_path / "fix").mkdir()
    for k in range(5):
        write_png(tmp_path / f"none/{k:06d}.png", np.zeros((96, 160), np.uint8))
    write_png(tmp_path / "fix/000002.png", truth[2].astype(np.uint8))
    settings = Settings(masks=str(tmp_path / "none"), masks_override=str(tmp_path / "fix"))
    with open_reader(folder) as reader:
        segmenter, carry, shares = segmenter_for(settings, torch.device("cpu"), reader), None, []
        for number, clip_ in enumerate(reader):
            probabilities, carry = segmenter(clip_.rgb, carry)
            if number == 2:
                assert ((probabilities[0, 1] > 0.5).numpy() == truth[2]).all()
            shares.append(float(probabilities[0, 1].numpy()[truth[number]].mean()))
    assert shares[2] == 1 and shares[1] > 0.5 and shares[3] > 0.5 and shares[0] < shares[1]


def test_an_override_that_fits_no_frame(tmp_path: Path) -> None:
    folder = clip(tmp_path / "frames")
    (tmp_path / "fix").mkdir()
    write_png(tmp_path / "fix/nobody.png", np.zeros(SIZE, np.uint8))
    with open_reader(folder) as reader, pytest.raises(InputError, match="belongs to no frame"):
        segmenter_for(Settings(masks_override=str(tmp_path / "fix")), torch.device("cpu"), reader)


def test_selections_are_refused_where_they_make_no_sense(tmp_path: Path) -> None:
    folder = clip(tmp_path / "frames")
    with open_reader(folder) as reader:
        for bad in (
            {"box": ("1,2,3",)},
            {"box": ("background:1,2,30,40",)},
            {"box": ("1,2,0,4",)},
            {"at": "2"},
            {"box": ("1,2,30,40@never",)},
            {"box": ("1,2,30,40@99f",)},
            {"not_point": ("1,2",)},
        ):
            with pytest.raises(UsageError):
                segmenter_for(Settings(**bad), torch.device("cpu"), reader)
    with pytest.raises(UsageError, match="add --box"):
        segmenter_for(Settings(segmenter="grabcut"), torch.device("cpu"))


def test_an_object_in_the_pipeline(tmp_path: Path) -> None:
    frames, truth = moving_disk(3)
    folder = write_frames(tmp_path / "frames", frames)
    settings = Settings(styles=("cup=starry_night@0",), box=("cup:18,20,54,56",), stabilize=False)
    with open_reader(folder) as reader:
        parts = build(settings, reader)
        parts.pipeline.idle = False
        state = State()
        for k, each in enumerate(reader):
            styled, state = parts.pipeline.frame(each.rgb, state)
            assert styled.masks is not None
            found = (styled.masks.soft[0, 0] > 0.5).numpy()
            assert (found & truth[k]).sum() / (found | truth[k]).sum() > 0.85


def test_clusters_keep_their_numbers() -> None:
    frames, _ = moving_disk(4)
    segmenter = KMeansSegmenter(3)
    first, carry = segmenter(frames[0])
    assert first.shape[1] == 3 and [r.name for r in segmenter.regions] == ["cluster1", "cluster2", "cluster3"]
    assert torch.allclose(first.sum(1), torch.ones(()), atol=1e-4)
    disk = int(first[0, :, 48, 45].argmax())
    for k, frame in enumerate(frames[1:], 1):
        probabilities, carry = segmenter(frame, carry)
        assert int(probabilities[0, :, 48, 45 + 4 * k].argmax()) == disk
    assert segmenter.colors(carry)[disk].argmax() == 0  # red


def test_label_maps_of_clusters_are_a_picture_of_them(tmp_path: Path) -> None:
    frames, _ = moving_disk(1)
    folder = write_frames(tmp_path / "frames", frames)
    segment_to_folder(folder / "000000.png", tmp_path / "out", KMeansSegmenter(3))
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / "out/000000.png")), cv2.COLOR_BGR2RGB)
    assert picture[48, 45].argmax() == 0 and picture[10, 120].argmax() == 1
    assert read_png(tmp_path / "out/000000.png").max() == 2


class Blob(FileSegmenter):
    """The same coarse probabilities for each frame: a disk of a third of the frame's height."""

    def __init__(self) -> None:
        super().__init__(Path("blob"), [Region(0, "other"), Region(1, "vehicle")], [])

    def frame(self, rgb: torch.Tensor, carry: Progress | None) -> tuple[torch.Tensor, Progress]:
        y, x = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
        soft = (3.3 - torch.hypot(x - 5.5, y - 4)).clamp(0, 1)[None, None]
        return torch.cat((1 - soft, soft), 1), Progress()


def test_a_cut_out_carries_no_color_of_what_was_behind_it(tmp_path: Path) -> None:
    size = (96, 128)
    big = np.zeros((size[0] * 4, size[1] * 4), np.float32)
    cv2.circle(big, (256, 192), 130, 1, -1)
    alpha = cv2.resize(cv2.blur(big, (33, 33)), size[::-1], interpolation=cv2.INTER_AREA)[..., None]
    picture = alpha * np.array([200, 40, 30]) + (1 - alpha) * np.array([20, 60, 220])
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), picture.round().astype(np.uint8)[..., ::-1])
    segment_to_folder(tmp_path / "in", tmp_path / "out", Blob(), formats=("alpha",))
    found = cv2.imread(str(tmp_path / "out/alpha/a.png"), cv2.IMREAD_UNCHANGED)
    shared = (alpha[..., 0] > 0.3) & (alpha[..., 0] < 0.7)
    assert np.abs(found[..., 3] / 255.0 - alpha[..., 0])[shared].mean() < 0.15
    blue = found[..., 0][shared].mean()
    assert blue < 0.5 * picture[..., 2][shared].mean(), "the ground was blue, the object is red"
