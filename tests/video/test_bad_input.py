"""What cannot be used is said in one sentence, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.errors import InputError, OutputError, ResourceError, SegnstError, UsageError
from segnst.jobs.outputs import default_output
from segnst.video.paths import check_output
from segnst.video.probe import probe
from segnst.video.read import open_reader
from segnst.video.write import open_writer
from tests.video.conftest import copy
from tests.video.make import make


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in") / "clip.mp4", audio=["aac"])


def one_sentence(error: pytest.ExceptionInfo[SegnstError]) -> str:
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and "Errno" not in text
    return text


def read_all(path: Path, **options: object) -> int:
    with open_reader(path, **options) as reader:  # type: ignore[arg-type]
        return sum(1 for _ in reader)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file or folder") as error:
        probe(tmp_path / "none.mp4")
    one_sentence(error)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.mp4", b"these are but words\n" * 50),
        ("words.txt", b"these are but words\n" * 50),
        ("empty.mp4", b""),
        ("zeros.mp4", bytes(5000)),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("broken.jpg", b"\xff\xd8\xff\xe0" + bytes(100)),
    ],
)
def test_no_video(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        probe(tmp_path / name)
    assert name in one_sentence(error)


def test_header_only(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[:100])
    with pytest.raises(InputError) as error:
        probe(tmp_path / "cut.mp4")
    one_sentence(error)
    # A whole header without anything to decode.
    place = data.index(b"mdat")
    size = int.from_bytes(data[place - 4 : place], "big")
    (tmp_path / "hollow.mp4").write_bytes(data[: place + 4] + bytes(size - 8) + data[place - 4 + size :])
    with pytest.raises(InputError, match="Not one frame") as error:
        probe(tmp_path / "hollow.mp4")
    one_sentence(error)


def test_header_only_mkv(tmp_path: Path) -> None:
    data = make(tmp_path / "in.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # before the first cluster
    with pytest.raises(InputError) as error:
        probe(tmp_path / "cut.mkv")
    one_sentence(error)


def test_only_sound(tmp_path: Path) -> None:
    import av

    from tests.video.make import tone

    with av.open(str(tmp_path / "sound.m4a"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        stream.codec_context.layout = "stereo"
        out.start_encoding()
        tone(out, stream, 440, 0.2)
    with pytest.raises(InputError, match="only sound") as error:
        probe(tmp_path / "sound.m4a")
    one_sentence(error)


def test_no_permission(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(clip.read_bytes())
    path.chmod(0)
    if os.geteuid() == 0:  # root may read everything
        real = Path.open

        def refuse(self: Path, *args: object, **kwargs: object) -> object:
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return real(self, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="permission denied") as error:
        probe(path)
    one_sentence(error)


@pytest.mark.parametrize(
    ("range_", "words"),
    [
        ({"start": 0.3, "end": 0.2}, "must be before the end"),
        ({"start": 0.2, "end": 0.2}, "must be before the end"),
        ({"start": 99}, "nothing from 99 s on"),
        ({"start": -1}, "must not be negative"),
        ({"start": 0.101, "end": 0.102}, "has no frame between"),
    ],
)
def test_ranges(range_: dict[str, float], words: str, clip: Path) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_all(clip, **range_)
    one_sentence(error)


def test_values(clip: Path) -> None:
    with pytest.raises(UsageError):
        open_reader(clip, max_size=3)
    with pytest.raises(UsageError):
        open_reader(clip.parent, fps=0)
    with pytest.raises(UsageError):
        open_reader(clip, start=float("nan"))


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(InputError, match="holds no pictures") as error:
        probe(tmp_path)
    one_sentence(error)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_folder_with_mixed_sizes(suffix: str, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, width in ((1, 32), (2, 32), (10, 40)):
        cv2.imwrite(str(frames / f"f{number}{suffix}"), np.zeros((24, width, 3), np.uint8))
    with pytest.raises(InputError, match=rf"f1{suffix} is 32x24 and f10{suffix} is 40x24") as error:
        copy(frames, tmp_path / "out.mp4")
    one_sentence(error)
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_outputs_that_cannot_be(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there.mp4"
    there.write_bytes(b"x")
    own = tmp_path / "own.mp4"
    own.write_bytes(clip.read_bytes())
    (tmp_path / "sym.mp4").symlink_to(own)
    os.link(own, tmp_path / "hard.mp4")
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("keep me")
    for output, source, overwrite, words in [
        (there, clip, False, "exists already"),
        (own, own, True, "is the input"),
        (tmp_path / "sym.mp4", own, True, "is the input"),
        (own, tmp_path / "sym.mp4", True, "is the input"),
        (tmp_path / "hard.mp4", own, True, "is the input"),
        (tmp_path / "none" / "x.mp4", clip, False, "does not exist"),
        (tmp_path / "there.mp4" / "x.mp4", clip, False, "is not a folder"),
        (tmp_path / "x.mp5", clip, False, "Did you mean '.mp4'"),
        (tmp_path / "x.txt", clip, False, "unknown suffix"),
        (full, clip, False, "not empty"),
        (full, clip, True, "notes.txt"),
    ]:
        with pytest.raises(OutputError, match=words) as error:
            check_output(output, source, overwrite=overwrite)
        one_sentence(error)
    assert check_output(there, clip, overwrite=True) == there
    assert check_output(tmp_path / "new", clip) == tmp_path / "new"
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and real(path, mode))
    with pytest.raises(OutputError, match="permission denied") as error:
        check_output(tmp_path / "x.mp4", clip)
    one_sentence(error)


def test_encoder_errors_are_ours(clip: Path, tmp_path: Path) -> None:
    for options, kind, words in [
        ({"codec": "h265x"}, UsageError, "Did you mean 'h265'"),
        ({"crf": 99}, UsageError, "between 0 and 51"),
        ({"preset": "fst"}, UsageError, "Did you mean 'fast'"),
    ]:
        with open_reader(clip) as reader, pytest.raises(kind, match=words) as error:
            open_writer(tmp_path / "out.mp4", reader, **options)  # type: ignore[arg-type]
        one_sentence(error)
    with open_reader(clip) as reader, pytest.raises(OutputError) as error:
        open_writer(tmp_path / "out.webm", reader, codec="h264")
    one_sentence(error)
    assert list(tmp_path.iterdir()) == []


def test_a_video_does_not_fit_into_a_still(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds one picture") as error:
        copy(clip, tmp_path / "out.png")
    one_sentence(error)
    assert list(tmp_path.iterdir()) == []


def test_default_output(clip: Path, tmp_path: Path) -> None:
    assert default_output("a/street.mov", ["starry", "wave"]) == Path("results/street_starry_wave.mov")
    assert default_output("street.avi", ["models/my style.pth"]) == Path("results/street_my-style.mp4")
    assert default_output("photo.JPG", ["starry"]) == Path("results/photo_starry.jpg")
    frames = tmp_path / "v1.5"
    frames.mkdir()
    assert default_output(frames, ["starry"]) == Path("results/v1_5_starry")


LIMITED = """
import resource, sys
from segnst.errors import ResourceError
from segnst.video.read import open_reader
from segnst.video.write import open_writer
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
for output in sys.argv[2:]:
    try:
        with open_reader(sys.argv[1]) as r, open_writer(output, r, crf=None if output.endswith("gif") else 1) as w:
            for clip in r:
                w.write(clip)
    except ResourceError as error:
        assert str(error).startswith("The disk is full"), error
        print("full")
"""


def test_disk_full(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", size=(160, 120), frames=30)
    names = ["out.mp4", "out.mkv", "out.gif", "frames"]
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(source), *(str(tmp_path / name) for name in names)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "full\n" * 4, "")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_disk_full_while_writing_a_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), np.zeros((8, 8, 3), np.uint8))

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResourceError, match="disk is full"):
        copy(tmp_path / "in.png", tmp_path / "out.png")
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
