"""A session styles frames of other programs, as any of their kinds, like a run styles a file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

import segnst
from segnst.config import Options, Settings
from segnst.errors import PlanError, UsageError
from segnst.pixels import to_bytes
from segnst.session import Session
from segnst.style.transformer import TransformerNetwork
from segnst.video.read import open_reader
from segnst.weights import write_tensors
from tests.clips import panning, write_clip

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("styles") / "tiny.safetensors"
    torch.manual_seed(0)
    write_tensors(path, TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson", "style": "tiny"})
    return str(path)


@pytest.fixture(scope="module")
def session(tiny: str) -> Session:
    return Session(tiny, device="cpu")


FILM = panning(4)
BYTES = np.stack([to_bytes(rgb) for rgb in FILM])  # [4,48,64,3]
FLOATS = torch.from_numpy(BYTES).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def truth(session: Session) -> torch.Tensor:
    session.reset()
    return session(FLOATS)


def _as_uint8(floats: torch.Tensor) -> np.ndarray:
    return np.stack([to_bytes(rgb) for rgb in floats])


def test_frames_of_every_kind_come_back_as_their_kind(session: Session, truth: torch.Tensor) -> None:
    kinds: list[tuple[Any, Any]] = [
        (list(BYTES), lambda made: np.stack(made)),
        ([FLOATS[k] for k in range(4)], lambda made: _as_uint8(torch.stack(made))),
        ([FLOATS[k : k + 1] for k in range(4)], lambda made: _as_uint8(torch.cat(made))),
        ([(FLOATS[k] * 255).byte() for k in range(4)], lambda made: torch.stack(made).permute(0, 2, 3, 1).numpy()),
        ([Image.fromarray(b) for b in BYTES], lambda made: np.stack([np.asarray(m) for m in made])),
        ([BYTES[:2], BYTES[2:]], lambda made: np.concatenate(made)),
    ]
    for frames, pixels in kinds:
        session.reset()
        made = list(session.frames(frames))
        for one, other in zip(made, frames, strict=True):
            assert type(one) is type(other)
            assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
            assert getattr(one, "shape", getattr(one, "size", None)) == getattr(
                other, "shape", getattr(other, "size", 0)
            )
        assert np.array_equal(pixels(made), _as_uint8(truth))


def test_a_session_makes_what_a_run_makes(session: Session, tiny: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", FILM)
    segnst.style_video(tmp_path / "a.mp4", tmp_path / "out/", tiny, device="cpu")
    with open_reader(tmp_path / "a.mp4") as reader:
        frames = [clip.rgb[0] for clip in reader]
    session.reset()
    for number, styled in enumerate(session.frames(frames), 1):
        made = np.asarray(Image.open(tmp_path / f"out/frame_{number:06d}.png"))
        assert np.array_equal(made, to_bytes(styled))


def test_earlier_frames_matter_until_a_reset(session: Session) -> None:
    session.reset()
    first = session(BYTES[0])
    later = [session(frame) for frame in BYTES[1:]][-1]
    session.reset()
    assert np.array_equal(session(BYTES[0]), first)
    session.reset()
    assert not np.array_equal(session(BYTES[3]), later)


def test_half_precision_and_alpha_are_kept(session: Session, truth: torch.Tensor) -> None:
    session.reset()
    half = session(FLOATS[0].half())
    assert half.dtype == torch.float16 and torch.allclose(half.float(), truth[0], atol=2e-2)
    alpha = np.random.default_rng(0).integers(0, 255, (48, 64, 1), np.uint8)
    session.reset()
    made = session(np.concatenate([BYTES[0], alpha], -1))
    assert np.array_equal(made[..., 3:], alpha)
    session.reset()
    image = session(Image.fromarray(np.concatenate([BYTES[0], alpha], -1)))
    assert image.mode == "RGBA" and np.array_equal(np.asarray(image), made)
    session.reset()
    assert session(Image.fromarray(BYTES[0]).convert("L")).mode == "RGB"


def test_a_result_can_be_part_of_a_graph(session: Session) -> None:
    session.reset()
    styled = session(FLOATS[0])
    weight = torch.ones(1, requires_grad=True)
    (styled * weight).sum().backward()
    assert weight.grad is not None


def test_masks_come_with_the_frames(tiny: str) -> None:
    session = Session([f"subject={tiny}"], regions=["subject"], device="cpu")
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    for mask in (left, left > 0, torch.from_numpy(left).float() / 255, Image.fromarray(left)):
        session.reset()
        made = session(BYTES[0], masks={"Subject": mask})
        assert np.array_equal(made[:, 33:], BYTES[0][:, 33:])
        assert np.abs(made[:, :31].astype(int) - BYTES[0][:, :31]).mean() > 5
    assert session.masks is not None and set(session.masks) == {"subject", "background"}
    assert session.masks["subject"].shape == (1, 48, 64)
    assert session.masks["subject"][0, :, :32].min() == 1 and session.masks["subject"][0, :, 32:].max() == 0
    soft = torch.rand(48, 64, generator=torch.Generator().manual_seed(0))
    session(BYTES[1], masks={"subject": soft})
    assert torch.allclose(session.masks["subject"][0], soft, atol=1e-6), "a mask of the caller's is not redrawn"
    session.reset()
    right = np.ascontiguousarray(left[:, ::-1])
    batch = session(BYTES[:2], masks={"subject": np.stack([left, right])})
    assert np.array_equal(batch[0][:, 34:], BYTES[0][:, 34:]), "each frame of a batch has its own mask"
    with pytest.raises(UsageError, match="mask of 'subject' is missing"):
        session(BYTES[2])
    with pytest.raises(UsageError, match="mask of 'dog' was not announced"):
        session(BYTES[2], masks={"subject": left, "dog": left})
    with pytest.raises(UsageError, match=r"mask of 'subject' must be \[48,64\] as its frame.* got \[24, 64\]"):
        session(BYTES[2], masks={"subject": left[:24]})
    with pytest.raises(UsageError, match="mask of 'subject' must lie between 0 and 1"):
        session(BYTES[2], masks={"subject": left.astype(np.float32)})


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((48, 64), np.uint8), r"must be uint8 \[H,W,3\] or \[N,H,W,3\].*got \[48, 64\]"),
        (np.zeros((3, 48, 64), np.uint8), r"channels come first; frame.transpose\(1, 2, 0\)"),
        (np.zeros((48, 64, 3), np.float32), "got float32.*torch.from_numpy"),
        (np.zeros((48, 64, 2), np.uint8), r"got \[48, 64, 2\]"),
        (np.zeros((0, 64, 3), np.uint8), "at least one pixel"),
        (torch.zeros(48, 64, 3), r"channels come last; frame.permute\(2, 0, 1\)"),
        (torch.zeros(2, 48, 64, 3), r"frame.permute\(0, 3, 1, 2\)"),
        (torch.full((3, 48, 64), 200.0), "values are 200 to 200. Divide it by 255"),
        (torch.full((3, 48, 64), -1.0), "values are -1 to -1"),
        (torch.full((3, 48, 64), float("nan")), "between 0 and 1"),
        (torch.zeros(3, 48, 64, dtype=torch.int64), "uint8 .0 to 255. or float .0 to 1., got int64"),
        (torch.zeros(48, 64), r"must be \[3,H,W\] or \[N,3,H,W\]"),
        ("a.mp4", "got str. For files there is segnst.style_video"),
        (None, "got NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_frame_gets_a_sentence(session: Session, frame: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        session(frame)


def test_another_size_needs_a_reset(session: Session) -> None:
    session.reset()
    session(BYTES[0])
    with pytest.raises(UsageError, match=r"This frame is 32x48, and the one before was 64x48; call reset\(\)"):
        session(BYTES[0][:, :32])
    session.reset()
    assert session(BYTES[0][:, :32]).shape == (48, 32, 3)


def test_what_a_session_cannot_be_made_of(tiny: str) -> None:
    with pytest.raises(UsageError, match="'box' looks into a file"):
        Session([f"object={tiny}"], box=("1,2,3,4",))
    with pytest.raises(UsageError, match=r"no setting 'stabilty'\. Did you mean 'stability'"):
        Session(tiny, stabilty=0.5)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="'max_size' says how files are read or written"):
        Session(tiny, max_size=320)
    with pytest.raises(UsageError, match="--fps must be above 0"):
        Session(tiny, fps=0)
    with pytest.raises(UsageError, match="'background' cannot be the name of a mask"):
        Session(tiny, regions=["background"])
    with pytest.raises(PlanError, match="no class 'dog'"):
        Session([f"dog={tiny}"], regions=["cat"])
    with pytest.raises(UsageError, match="finds the regions itself"):
        Session(tiny)(BYTES[0], masks={"cat": BYTES[0][..., 0]})


def test_fades_go_by_the_frames_rate(tiny: str) -> None:
    session = Session(f"0:original,0.12:{tiny}", fps=25, stabilize=False)
    made = [session(BYTES[0]) for _ in range(4)]
    far = [float(np.abs(m.astype(int) - BYTES[0]).mean()) for m in made]
    assert far[0] < 0.5 and far == sorted(far) and far[3] > 5


def test_keyword_arguments_are_the_fields_of_the_settings() -> None:
    fields = get_type_hints(Settings)
    assert get_type_hints(Options) == fields
    assert not Options.__required_keys__


@pytest.mark.slow
def test_a_type_checker_refuses_unknown_names(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import segnst\nsegnst.style_video('a.mp4', 'b.mp4', 'roses', stabilty=0.5)\nsegnst.Session('roses', crf='x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "a.py")], cwd=ROOT, capture_output=True, text=True
    )
    assert 'Unexpected keyword argument "stabilty"' in done.stdout
    assert 'Argument "crf" to "Session" has incompatible type' in done.stdout


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    write_clip(tmp_path / "street.mp4", panning(2, 96, 128))
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert (tmp_path / "out.mp4").exists()
