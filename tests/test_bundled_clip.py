"""What `make demo` does, on a few frames: the bundled clip styled with the bundled weights."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from segnst.assembly import build
from segnst.config import Settings
from segnst.flow.dis import DisFlow
from segnst.jobs.style import style_video
from segnst.masks.label_map import label_map
from segnst.pipeline import State
from segnst.segmentation.from_settings import load_segmenter
from segnst.video.read import open_reader

VIDEOS = Path(__file__).parents[1] / "videos"
STREET = VIDEOS / "street.mp4"
VEHICLE = 7


def _truth(frame: int) -> np.ndarray:
    return cv2.imread(str(sorted((VIDEOS / "street" / "masks").glob("*.png"))[frame]), cv2.IMREAD_GRAYSCALE)


def test_the_clip_is_what_the_readme_says() -> None:
    with av.open(str(STREET)) as file:
        video = file.streams.video[0]
        assert (video.width, video.height) == (640, 360)
        assert 3 <= float(video.duration * video.time_base) <= 5
        assert file.streams.audio
        # read while the file is open, because the stream's memory is freed when it closes
        frames = video.frames
    assert len(list((VIDEOS / "street" / "masks").glob("*.png"))) == frames


def test_the_bundled_segmenter_finds_the_cars() -> None:
    segmenter = load_segmenter("deeplab", torch.device("cpu"))
    ious = []
    with open_reader(STREET) as reader:
        for k, clip in enumerate(reader):
            if k % 15:
                continue
            labels = label_map(segmenter(clip.rgb)[0], (360, 640))[0].numpy()
            found, true = labels == VEHICLE, _truth(k) == VEHICLE
            ious.append((found & true).sum() / (found | true).sum())
    assert np.mean(ious) >= 0.75, ious
    assert min(ious) >= 0.6, ious


def test_car_and_background_are_painted_apart_and_the_sound_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    plan = ["car=starry_night", "background=great_wave"]
    report = style_video(STREET, out, plan, end=0.2, max_size=320, crf=12)
    assert (report.frames, report.warnings) == (5, [])
    assert set(report.weights) == {"starry_night", "great_wave", "deeplab"}
    with av.open(str(out)) as file, av.open(str(STREET)) as source:
        styled = [f.to_ndarray(format="rgb24").astype(float) for f in file.decode(video=0)]
        original = [f.to_ndarray(format="rgb24") for f in source.decode(video=0)][: len(styled)]
    with av.open(str(out)) as file:
        assert sum(1 for p in file.demux(audio=0) if p.size) > 5
    car = cv2.resize((_truth(4) == VEHICLE).astype(np.uint8), (320, 180), interpolation=cv2.INTER_AREA) > 0
    before = cv2.resize(original[4], (320, 180), interpolation=cv2.INTER_AREA)
    assert np.abs(styled[4] - before)[car].mean() > 15
    assert np.abs(styled[4] - before)[~car].mean() > 15
    # Starry Night is blue and yellow, The Great Wave cream and gray: the chroma of the two layers differs
    chroma = styled[4].max(2) - styled[4].min(2)
    assert chroma[car].mean() > 1.3 * chroma[~car].mean()


@pytest.mark.slow
def test_stabilizing_beats_per_frame_on_the_exact_flow() -> None:
    from segnst.bench.metrics import sharpness, warping_error
    from segnst.bench.truth import Truth

    truth = Truth(VIDEOS / "street")
    pipeline = build(Settings(styles=("starry_night",))).pipeline
    assert isinstance(pipeline.flow, DisFlow)
    state, last, errors, sharp = State(), None, [], []
    with open_reader(STREET, end=1) as reader:
        for k, clip in enumerate(reader):
            frame, state = pipeline.frame(clip.rgb, state)
            if last is not None:
                flow = torch.from_numpy(truth.flow(k)).permute(2, 0, 1)[None]
                valid = torch.from_numpy(~truth.occluded(k)).float()[None, None]
                pair = [(frame.rgb, last.rgb), (frame.painted, last.painted)]
                errors.append([warping_error(a, b, flow, valid) for a, b in pair])
                sharp.append(sharpness(frame.rgb) / sharpness(frame.painted))
            last = frame
    steady, single = np.mean(errors[4:], 0)
    assert steady < 0.6 * single
    assert np.mean(sharp[4:]) > 0.85
