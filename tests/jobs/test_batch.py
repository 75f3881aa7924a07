"""Several inputs in one run: what folders stand for, names, failures, and a folder that is watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segnst.config import Settings
from segnst.errors import Cancelled, InputError, OutputError, UsageError
from segnst.jobs import batch
from segnst.jobs.batch import BatchReport, style_files, watch_folder
from segnst.jobs.events import Context, Event, Failed, Frames, Input, Stage
from segnst.jobs.inputs import are_frames, gather, single, targets
from tests.conftest import Run
from tests.jobs.every import tiny_style

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = Settings(styles=("original",), device="cpu")


def _photo(path: Path, size: tuple[int, int] = (32, 48), value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))
    return path


def _read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return picture


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["0.png", "1.png", "10.png", "2.png"], False),  # one number is far away
        (["0.png", "1.png", "2.png"], True),
        (["frame_0001.jpg", "frame_0002.jpg", "frame_0004.jpg"], True),  # one frame is missing
        (["00000.jpg", "00005.jpg", "00010.jpg"], True),
        (["shot_001_v2.png", "shot_002_v2.png"], True),
        (["beach.jpg", "dog.jpg"], False),
        (["beach1.jpg", "dog2.jpg"], False),
        (["img1.jpg", "img2.png"], False),
        (["img17.jpg", "img480.jpg", "img9000.jpg"], False),
        (["1.png"], False),
        (["20260101_120000.jpg", "20260101_120107.jpg", "20260103_090000.jpg"], False),
    ],
)
def test_frames_are_told_from_photos_by_their_names(names: list[str], frames: bool, tmp_path: Path) -> None:
    assert are_frames([_photo(tmp_path / name) for name in names]) == (frames, "")


@pytest.mark.parametrize("stem", ["IMG_0001", "DSC_0041", "DSCF0007", "P1010003", "_MG_1234"])
def test_photos_of_a_camera_are_photos_with_a_word(stem: str, tmp_path: Path) -> None:
    number = int(stem[-4:])
    pictures = [_photo(tmp_path / f"{stem[:-4]}{number + k:04d}.jpg") for k in range(3)]
    frames, doubt = are_frames(pictures)
    assert not frames and "camera" in doubt
    assert "--as frames" in gather([tmp_path]).warnings[0]


def test_pictures_of_different_sizes_are_photos(tmp_path: Path) -> None:
    pictures = [_photo(tmp_path / "1.png"), _photo(tmp_path / "2.png", (40, 40)), _photo(tmp_path / "3.png")]
    assert are_frames(pictures) == (False, "")


def test_what_folders_stand_for(tmp_path: Path) -> None:
    top = tmp_path / "in"
    for name in ("dog.jpg", "beach.jpg", "dog_mask.png", "notes.txt", ".hidden.jpg"):
        _photo(top / name) if not name.endswith("txt") else (top / name).write_text("x")
    (top / "film.avi").write_bytes(b"x")
    for k in range(3):
        _photo(top / f"shots/f_{k}.png")
    _photo(top / "out/old.png")
    _photo(top / ".cache/x.png")

    def found(**how: object) -> list[str]:
        return [str(f.within) for f in gather([top], **how).found]  # type: ignore[arg-type]

    assert found() == ["beach.jpg", "dog.jpg", "film.avi"], "dog_mask.png is the mask of dog.jpg"
    assert found(recursive=True, leave_out=top / "out") == ["beach.jpg", "dog.jpg", "film.avi", "shots"]
    assert found(recursive=True, leave_out=top / "out", kind="photos")[3:] == [f"shots/f_{k}.png" for k in range(3)]
    assert found(kind="frames") == ["in", "film.avi"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no picture and no film; --recursive looks"):
        gather([tmp_path / "none"])


def test_when_one_output_is_meant(tmp_path: Path) -> None:
    photos = _photo(tmp_path / "photos/dog.png").parent
    _photo(photos / "beach.png")
    frames = _photo(tmp_path / "frames/1.png").parent
    _photo(frames / "2.png")
    assert single([frames], None, ORIGINAL) == frames
    assert single([photos], None, ORIGINAL) is None
    assert single([photos], None, ORIGINAL, kind="frames") == photos
    assert single([frames], None, ORIGINAL, kind="photos") is None
    assert single([photos], Path("out.mp4"), ORIGINAL) == photos, "one film is asked for"
    assert single([photos], None, Settings(styles=("object=original",), box=("1,2,9,9",))) == photos
    assert single([photos, frames], None, ORIGINAL) is None


def test_names_are_kept_and_told_apart(tmp_path: Path) -> None:
    for name in ("a/clip.mp4", "b/clip.mp4", "b/CLIP.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = gather([tmp_path / "a/clip.mp4", tmp_path / "b/clip.mp4"]).found
    with pytest.raises(UsageError, match=r"a/clip.mp4 and .*b/clip.mp4 would both become .*out/clip.mp4"):
        targets(found, tmp_path / "out", ())
    with pytest.raises(UsageError, match="would both become"):
        targets(gather([tmp_path / "a/clip.mp4", tmp_path / "b/CLIP.avi"]).found, tmp_path / "out", ())
    with pytest.raises(UsageError, match="Several inputs need a folder"):
        targets(found[:1], tmp_path / "o.mp4", ())
    with pytest.raises(OutputError, match="would replace the input"):
        targets(found[:1], tmp_path / "a", ())
    assert targets(found[:1], tmp_path / "out", ()) == [tmp_path / "out/clip.mp4"]


def test_one_broken_file_does_not_stop_the_others(run: Run, material: Path, tmp_path: Path) -> None:
    Path("broken.mp4").write_bytes(b"no film" * 100)
    _photo(Path("photos/dog.jpg"), value=40)
    _photo(Path("photos/beach.jpg"), value=200)
    style = tiny_style(material)
    code, out, err = run("style", material / "clip.mp4", "broken.mp4", "none.png", "photos", "-s", style, "-o", "out")
    assert code == 1
    assert out.splitlines() == ["out/clip.mp4", "out/beach.jpg", "out/dog.jpg"]
    assert {p.name for p in Path("out").iterdir()} == {"clip.mp4", "beach.jpg", "dog.jpg"}
    table = [line for line in err.splitlines() if "FAILED" in line]
    assert ["broken.mp4 is neither a video" in table[0], "none.png" in table[1]] == [True, True]
    assert "3 of 5 done, 2 failed" in err
    with av.open("out/clip.mp4") as film:
        assert sum(1 for _ in film.decode(video=0)) == 3
    code, out, err = run("style", "photos", "-s", style, "-o", "out", "--json")
    report = json.loads(out)
    assert code == 1 and report["failed"] == 2
    assert all("exists already" in row["error"] for row in report["files"]), "nothing is overwritten unasked"
    code, out, _ = run("style", "photos", "-s", style, "-o", "out", "--json", "--overwrite")
    report = json.loads(out)
    assert code == 0 and report["frames"] == 2 and report["weights"]["tiny"]["sha256"]


def test_photos_are_styled_as_if_alone(run: Run, material: Path) -> None:
    """Equal-sized photos were blended into each other as a sequence."""
    random = np.random.default_rng(0)
    base = cv2.resize(random.integers(0, 255, (6, 8, 3), np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
    for name, shift in (("a", 0), ("b", 6), ("c", 12)):  # similar enough to be no cut
        Path("in").mkdir(exist_ok=True)
        cv2.imwrite(f"in/{name}.png", np.roll(base, shift, 1))
    style = tiny_style(material)
    assert run("style", "in", "-s", style, "-o", "out")[0] == 0
    for name in "abc":
        assert run("style", f"in/{name}.png", "-s", style, "-o", f"{name}.png")[0] == 0
        assert np.array_equal(_read(Path(f"{name}.png")), _read(Path(f"out/{name}.png")))
    assert run("style", "in", "-s", style, "-o", "film", "--as", "frames")[0] == 0
    assert not np.array_equal(_read(Path("film/c.png")), _read(Path("out/c.png")))


def test_models_are_loaded_once(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    real = batch.build
    monkeypatch.setattr(batch, "build", lambda *given, **more: built.append(1) or real(*given, **more))  # type: ignore[func-returns-value]
    events: list[Event] = []
    style_files(
        [material / "clip.mp4", material / "photo.png"], tmp_path / "out",
        Settings(styles=(str(tiny_style(material)),), device="cpu"), context=Context(events.append),
    )  # fmt: skip
    assert built == [1]
    assert [(e.path.name, e.number, e.count) for e in events if isinstance(e, Input)] == [
        ("clip.mp4", 1, 2), ("photo.png", 2, 2),
    ]  # fmt: skip
    done = [e.done for e in events if isinstance(e, Frames)]
    assert done == [1, 2, 3, 1], "each input counts its own frames"


def test_what_concerns_all_is_told_before_the_first(run: Run, material: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (["-s", "no_such_style"], "There is no style"),
        (["-s", "original", "-o", "o.mp4"], "Several inputs need a folder"),
        (["-s", "original", "--sheet", "s.png"], "look at one input"),
        (["-s", "original", "--as", "movie"], "--as must be auto, photos, frames, got 'movie'"),
        (["-s", "original", "--watch", "."], "INPUT …, or --watch FOLDER"),
    ):
        code, out, err = run("style", material / "clip.mp4", material / "photo.png", *arguments)
        assert (code, out) == (2, "") and words in err, err
    code, _, err = run("style", "-s", "original", "--watch", ".", "-o", "out", "--recursive")
    assert code == 2 and "one folder only" in err
    code, _, err = run("style", "-s", "original")
    assert code == 2 and "Name what to style" in err
    assert not list(tmp_path.iterdir())


def test_cancelling_keeps_what_was_complete(material: Path, tmp_path: Path) -> None:
    context = Context(lambda event: context.cancel() if isinstance(event, Input) and event.number == 2 else None)
    with pytest.raises(Cancelled, match="1 of 2 outputs were complete and stay"):
        style_files([material / "clip.mp4", material / "photo.png"], tmp_path / "out", ORIGINAL, context=context)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["clip.mp4"]
    early = Context(lambda event: early.cancel() if isinstance(event, Stage) and event.name == "frames" else None)
    with pytest.raises(Cancelled, match="nothing was left behind"):
        style_files([material / "clip.mp4"], tmp_path / "deep/out", ORIGINAL, context=early)
    assert not (tmp_path / "deep").exists()


def test_a_watched_folder(material: Path, tmp_path: Path) -> None:
    inbox, out = tmp_path / "in", tmp_path / "out"
    _photo(inbox / "before.png")
    _photo(out / "done.png", value=7)
    _photo(inbox / "done.png", value=200)
    whole = (material / "clip.mp4").read_bytes()
    events: list[Event] = []
    context = Context(events.append)
    reports: list[BatchReport] = []
    thread = threading.Thread(
        target=lambda: reports.append(watch_folder(inbox, out, ORIGINAL, pause=0.3, context=context))
    )
    thread.start()
    with (inbox / "slow.mp4").open("wb") as file:  # a copy that takes its time
        for k in range(0, len(whole), len(whole) // 6):
            file.write(whole[k : k + len(whole) // 6])
            file.flush()
            time.sleep(0.1)
    (inbox / "broken.png").write_bytes(b"\x89PNG but not much more")
    (inbox / "notes.txt").write_text("not a film")
    until = time.monotonic() + 120
    while time.monotonic() < until and not ((out / "slow.mp4").exists() and any(isinstance(e, Failed) for e in events)):
        time.sleep(0.05)
    context.cancel()
    thread.join(60)
    (report,) = reports
    assert {p.name for p in out.iterdir()} == {"before.png", "slow.mp4", "done.png"}
    assert _read(out / "done.png").max() == 7, "what has an output is left alone"
    rows = {Path(row["input"]).name: row for row in report.files}
    assert set(rows) == {"before.png", "slow.mp4", "broken.png"} and report.failed == 1
    assert rows["slow.mp4"]["frames"] == 3, "it was begun when it was whole"


def test_ctrl_c_ends_watching(tmp_path: Path) -> None:
    _photo(tmp_path / "in/a.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "segnst", "style", "--watch", "in", "-s", "original", "-o", "out"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start background jobs without it
    )  # fmt: skip
    until = time.monotonic() + 120
    while time.monotonic() < until and not (tmp_path / "out/a.png").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was complete by then stays: out/a.png" in err


def test_a_folder_that_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        watch_folder(tmp_path / "none", tmp_path / "out", ORIGINAL)
    with pytest.raises(OutputError, match="is the folder that is watched"):
        watch_folder(tmp_path, tmp_path, ORIGINAL)


def test_segment_takes_several_inputs(run: Run, material: Path) -> None:
    Path("broken.mp4").write_bytes(b"no film")
    code, out, err = run(
        "segment", material / "clip.mp4", material / "photo.png", "broken.mp4", "-o", "masks", "--segmenter",
        "kmeans:2", "--device", "cpu",
    )  # fmt: skip
    assert code == 1 and out.splitlines() == ["masks/clip", "masks/photo"], err
    assert sorted(str(p) for p in Path("masks").rglob("*.png")) == [
        *(f"masks/clip/{k:06d}.png" for k in range(3)), "masks/photo/photo.png",
    ]  # fmt: skip
    code, _, err = run("segment", "a/x.mp4", "b/x.mp4", "-o", "m", "--segmenter", "kmeans:2")
    assert code == 2 and "would both go to m/x" in err
