"""`segnst style` as a user calls it: its outputs and its error messages."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors
from tests.clips import panning, write_clip
from tests.conftest import Run


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 10 frames with sound and a tiny style."""
    folder = tmp_path_factory.mktemp("material")
    write_clip(folder / "clip.mp4", panning(10))
    torch.manual_seed(0)
    write_tensors(
        folder / "tiny.safetensors",
        TransformerNetwork(4, 1).state_dict(),
        {"format": "segnst-johnson", "style": "tiny"},
    )
    return folder


def _frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]


def _packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(p) for p in file.demux(audio=0) if p.size]


def test_a_clip_is_styled_and_its_sound_is_kept(run: Run, material: Path) -> None:
    code, out, err = run("style", material / "clip.mp4", "-s", material / "tiny.safetensors", "--json")
    report = json.loads(out)
    assert code == 0, err
    made = Path(report["output"])
    assert made == Path("results/clip_tiny.mp4")
    frames = _frames(made)
    assert report["frames"] == len(frames) == 10
    assert np.abs(frames[5].astype(int) - _frames(material / "clip.mp4")[5]).mean() > 5
    assert _packets(made) == _packets(material / "clip.mp4")
    assert report["weights"]["tiny"]["sha256"]
    assert {"stylize", "flow", "stabilize"} <= set(report["stages"])
    assert report["settings"]["stability"] == 0.9
    assert report["versions"]["torch"]


def test_original_leaves_the_picture(run: Run, material: Path) -> None:
    code, _, _ = run("style", material / "clip.mp4", "-s", "original", "-o", "o.mp4", "--crf", "8", "-q")
    assert code == 0
    for a, b in zip(_frames(Path("o.mp4")), _frames(material / "clip.mp4"), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 2


def test_a_still_with_alpha_keeps_it(run: Run, material: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 50, 4), np.uint8)
    cv2.imwrite("a.png", picture)
    code, _, err = run("style", "a.png", "-s", f"{material / 'tiny.safetensors'}@0.5", "-o", "b.png")
    assert code == 0, err
    assert np.array_equal(cv2.imread("b.png", cv2.IMREAD_UNCHANGED)[..., 3], picture[..., 3])


def test_a_folder_of_frames_in_and_out(run: Run, material: Path) -> None:
    Path("in").mkdir()
    for k in range(12):
        cv2.imwrite(f"in/{k}.png", np.full((32, 48, 3), 20 * k, np.uint8))
    code, _, err = run("style", "in", "-s", "original", "-o", "out/", "--fps", "12")
    assert code == 0, err
    values = [int(cv2.imread(str(p)).mean()) for p in sorted(Path("out").iterdir(), key=lambda p: int(p.stem))]
    assert values == [20 * k for k in range(12)], "natural order: 2 before 10"


def test_a_plan_file_speaks_for_all_options_and_the_command_line_wins(run: Run, material: Path) -> None:
    Path("plan.toml").write_text(
        f'styles = ["{material / "tiny.safetensors"}"]\nend = 0.2\nstability = 0.5\ncrf = 30\n'
    )
    code, out, err = run("style", material / "clip.mp4", "--plan", "plan.toml", "--crf", "20", "-o", "o.mp4", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["frames"], report["settings"]["stability"], report["settings"]["crf"]) == (5, 0.5, 20)


def test_a_dry_run_writes_nothing(run: Run, material: Path, tmp_path: Path) -> None:
    code, out, _ = run("style", material / "clip.mp4", "-s", material / "tiny.safetensors", "--dry-run", "--json")
    facts = json.loads(out)
    assert (code, facts["frames"], facts["size"]) == (0, 10, "64x48")
    assert not list(tmp_path.iterdir())


def test_a_preview_is_one_sheet(run: Run, material: Path) -> None:
    code, out, err = run("style", material / "clip.mp4", "-s", material / "tiny.safetensors", "--preview", "3")
    assert code == 0, err
    assert out.strip() == "results/clip_tiny_preview.png"
    assert [p.name for p in Path("results").iterdir()] == ["clip_tiny_preview.png"]
    assert cv2.imread(out.strip()).shape[1] > 3 * 320


def test_a_preview_that_cannot_begin_leaves_no_folder(run: Run, material: Path, tmp_path: Path) -> None:
    tiny = material / "tiny.safetensors"
    for clip, style, expected in ((material / "clip.mp4", "no_such_style", 2), ("none.mp4", tiny, 1)):
        code, out, err = run("style", clip, "-s", style, "--preview", "2")
        assert (code, out) == (expected, ""), err
        assert not list(tmp_path.iterdir())


def test_a_preview_replaces_nothing(run: Run, material: Path) -> None:
    Path("results").mkdir()
    Path("results/clip_tiny_preview.png").write_bytes(b"mine")
    code, _, err = run("style", material / "clip.mp4", "-s", material / "tiny.safetensors", "--preview", "2")
    assert (code, Path("results/clip_tiny_preview.png").read_bytes()) == (1, b"mine")
    assert "exists already" in err


def test_a_contact_sheet_beside_the_output(run: Run, material: Path) -> None:
    code, _, err = run("style", material / "clip.mp4", "-s", "original", "-o", "o.mp4", "--sheet", "o.png", "-q")
    assert code == 0, err
    assert cv2.imread("o.png") is not None


@pytest.mark.parametrize(
    ("arguments", "says", "exit_code"),
    [
        (["{clip}"], "No style was given", 2),
        (["none.mp4", "-s", "original"], "none.mp4", 1),
        (["text.mp4", "-s", "original"], "text.mp4", 1),
        (["empty.mp4", "-s", "original"], "empty.mp4", 1),
        (["header.mp4", "-s", "original"], "header.mp4", 1),
        (["nothing", "-s", "original"], "nothing", 1),
        (["mixed", "-s", "original", "--as", "frames"], "must have one size", 1),
        (["{clip}", "-s", "original", "-o", "no/where.mp4"], "does not exist", 1),
        (["{clip}", "-s", "original", "-o", "text.mp4"], "exists already", 1),
        (["{clip}", "-s", "original", "-o", "o.xyz"], "suffix", 1),
        (["{clip}", "-s", "original", "-o", "{clip}", "--overwrite"], "is the input", 1),
        (["{clip}", "-s", "original", "-o", "link.mp4", "--overwrite"], "is the input", 1),
        (["{clip}", "-s", "original", "-o", "hard.mp4", "--overwrite"], "is the input", 1),
        (["{clip}", "-s", "original", "--start", "2", "--end", "1"], "--start", 2),
        (["{clip}", "-s", "original", "--start", "100"], "100", 1),
        (["{clip}", "-s", "no_such_style"], "no style 'no_such_style'", 2),
        (["{clip}", "-s", "broken.safetensors"], "broken.safetensors", 1),
        (["{clip}", "-s", "hostile.pth"], "never run", 1),
        (["{clip}", "-s", "missing.pth"], "missing.pth", 1),
        (["{clip}", "-s", "original@1.5"], "between 0", 2),
        (["{clip}", "-s", "original", "--stability", "2"], "--stability", 2),
        (["{clip}", "-s", "original", "--max-size", "3"], "--max-size", 2),
        (["{clip}", "-s", "original", "--edge", "soft"], "edge", 2),
        (["{clip}", "-s", "original", "--device", "tpu"], "device", 2),
        (["{clip}", "-s", "original", "--flow", "dis2"], "Did you mean 'dis'", 2),
        (["{clip}", "-s", "car=original", "--segmenter", "deeplap"], "Did you mean 'deeplab'", 2),
        (["{clip}", "--plan", "bad.toml"], "there is no setting 'stile'", 2),
        (["{clip}", "--plan", "nothing.toml"], "nothing.toml", 1),
        (["{clip}", "-s", "original", "--codec", "h266"], "h266", 2),
        (["{clip}", "--no-such-option"], "no-such-option", 2),
    ],
)
def test_bad_input_is_a_clear_sentence(
    run: Run, material: Path, tmp_path: Path, arguments: list[str], says: str, exit_code: int
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes((material / "clip.mp4").read_bytes())
    Path("text.mp4").write_text("this is not a video\n" * 50)
    Path("empty.mp4").touch()
    Path("header.mp4").write_bytes(clip.read_bytes()[:40])
    Path("nothing").mkdir()
    Path("mixed").mkdir()
    for k in (1, 2):
        cv2.imwrite(f"mixed/{k}.png", np.zeros((20 * k, 20, 3), np.uint8))
    Path("link.mp4").symlink_to(clip)
    os.link(clip, "hard.mp4")
    Path("broken.safetensors").write_bytes(b"\x01" * 64)
    torch.save({"w": print}, "hostile.pth")
    Path("bad.toml").write_text('stile = ["a"]\n')
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}

    code, out, err = run("style", *(a.replace("{clip}", str(clip)) for a in arguments))

    assert code == exit_code, err
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert before == after, "nothing was written"


def test_unknown_and_conflicting_classes(run: Run, material: Path) -> None:
    code, _, err = run("style", material / "clip.mp4", "-s", "vehcle=original", "-s", "background=original")
    assert (code, "Did you mean 'vehicle'?" in err) == (2, True)
    tiny = material / "tiny.safetensors"
    code, _, err = run("style", material / "clip.mp4", "-s", f"car={tiny}", "-s", f"bus={tiny}@0.5")
    assert (code, "same class" in err) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(run: Run, material: Path) -> None:
    Path("shut.mp4").write_bytes((material / "clip.mp4").read_bytes())
    Path("shut.mp4").chmod(0)
    Path("folder").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    assert "permission" in run("style", "shut.mp4", "-s", "original")[2].lower()
    assert "permission" in run("style", material / "clip.mp4", "-s", "original", "-o", "folder/o.mp4")[2].lower()


def test_ctrl_c_leaves_nothing_and_exits_130(
    run: Run, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segnst.pipeline import Pipeline

    calls = []

    def interrupted(self: Pipeline, *args: object) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return frame(self, *args)  # type: ignore[arg-type,return-value]

    frame = Pipeline.frame
    monkeypatch.setattr(Pipeline, "frame", interrupted)
    code, _, err = run("style", material / "clip.mp4", "-s", material / "tiny.safetensors", "-o", "o.mp4")
    assert (code, "interrupted" in err) == (130, True)
    assert not list(tmp_path.iterdir())


def test_running_out_of_memory_advises(
    run: Run, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segnst.pipeline import Pipeline

    def greedy(self: Pipeline, *args: object) -> None:
        torch.empty(1 << 60)

    monkeypatch.setattr(Pipeline, "frame", greedy)
    code, _, err = run("style", material / "clip.mp4", "-s", material / "tiny.safetensors", "-o", "o.mp4")
    assert (code, "--max-size" in err) == (1, True)
    assert not list(tmp_path.iterdir())


def test_help_is_at_once() -> None:
    import subprocess

    check = "import sys; import segnst, segnst.cli.app; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("file", ["broken.mp4", "clip.mp4"])
def test_a_run_that_cannot_begin_leaves_no_folder(run: Run, material: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    clip = tmp_path / file if file == "broken.mp4" else material / file
    code, _, err = run("style", clip, "-s", "no_such_style")
    assert code != 0, err
    assert not (tmp_path / "results").exists()
