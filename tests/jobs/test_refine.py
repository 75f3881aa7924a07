"""``--refine``: rows of pictures get better, are kept and found again."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

from segnst.config import Settings
from segnst.errors import Cancelled, OutputError, SegnstWarning
from segnst.jobs.events import Context, Event, Note, Step
from segnst.jobs.refine import refine_pictures, some_frames
from segnst.jobs.style import style_file
from segnst.perceptual.encoders import load_encoder
from segnst.style import pictures, refine
from segnst.style.checkpoints import load_style
from segnst.style.collection import load_collection
from segnst.style.kept_rows import kept_row
from segnst.style.refine import RowLoss, best_judge, refine_row
from tests.clips import panning, texture, write_clip
from tests.conftest import Run
from tests.material import save, write_vgg
from tests.style.make import write_painter


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with a picture, a clip, a collection and a tiny perceptual network."""
    monkeypatch.setattr(pictures, "WIDTH", 64)
    monkeypatch.setattr(pictures, "LEAST_SIDE", 64)
    monkeypatch.setattr(refine, "CROP", 64)
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "red.png", texture(60, 90, 2) * torch.tensor([1.0, 0.2, 0.2])[:, None, None])
    write_clip(tmp_path / "clip.mp4", panning(9, 64, 64))
    write_painter(tmp_path / "mine.safetensors")
    write_vgg(tmp_path / "vgg.safetensors", deep=True)
    return tmp_path


def settings(seconds: float = 0.5, **more: str) -> Settings:
    given = {"refine_features": "vgg.safetensors"} | more
    return Settings(styles=("mine.safetensors:red.png",), refine=seconds, device="cpu", **given)  # type: ignore[arg-type]


def test_a_refined_row_has_a_lower_loss_and_the_network_stays(here: Path) -> None:
    style = load_style("mine.safetensors:red.png")
    assert style.member is not None and style.picture is not None
    net, row = style.member.collection.net, style.member.collection.net.rows()[2]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    judge = load_encoder("vgg.safetensors")
    frames = [texture(48, 64, k)[None].float() for k in range(2)]
    seen: list[tuple[int, float]] = []
    clock = itertools.count(0.0, 1.0).__next__  # a second each time that it is looked at, twice in every step
    found = refine_row(
        net, style.picture.rgb, row, frames, judge, 40.0, lambda n, left, _: seen.append((n, left)), clock
    )
    assert found.after < 0.9 * found.before
    assert [n for n, _ in seen] == list(range(1, 21)) and found.steps == 20
    assert seen[-1][1] == 0
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    loss = RowLoss(net, style.picture.rgb, judge)
    whole = torch.cat([torch.nn.functional.interpolate(f, (64, 64)) for f in frames])
    with torch.no_grad():
        judged = [float(sum(loss(whole, r).values())) for r in (row, found.row)]
    assert judged[1] < judged[0], "on crops that were not used as well"


def test_the_second_run_finds_the_row_of_the_first(here: Path, run: Run) -> None:
    call = (
        "style", "clip.mp4", "-s", "mine.safetensors:red.png", "--device", "cpu", "--overwrite", "--json", "--no-recipe"
    )  # fmt: skip
    refining = ("--refine", "0.5", "--refine-features", "vgg.safetensors")
    plain = json.loads(run(*call, "-o", "a.mkv", "--codec", "ffv1")[1])
    assert "red.png, refined" not in plain["weights"]
    code, out, err = run(*call, "-o", "b.mkv", "--codec", "ffv1", *refining)
    assert code == 0, err
    assert "red.png is refined for 0.5 s on 6 frames of the input, by the perceptual network vgg.safetensors." in err
    assert "the loss went from" in err
    row = Path(json.loads(out)["weights"]["red.png, refined"]["path"])
    assert row.is_file() and here / "home/rows" in row.parents
    written = row.read_bytes()
    (here / "moved").mkdir()
    (here / "red.png").rename(here / "moved/other.png")
    for more in ((), refining):
        again = [c.replace("red.png", "moved/other.png") for c in call]
        code, out, err = run(*again, "-o", "c.mkv", "--codec", "ffv1", *more)
        assert code == 0, err
        assert "refined" not in err, "it was refined for as long before"
        assert json.loads(out)["weights"]["moved/other.png, refined"]["path"] == str(row)
    assert (here / "b.mkv").stat().st_size == (here / "c.mkv").stat().st_size
    assert row.read_bytes() == written


def test_more_seconds_continue_and_another_network_begins_anew(here: Path) -> None:
    def refined(**more: object) -> list[str]:
        heard: list[Event] = []
        refine_pictures(Path("clip.mp4"), settings(**more), Context(heard.append))  # type: ignore[arg-type]
        return [event.message.partition(" on ")[0] for event in heard if isinstance(event, Note)][:1]

    assert refined() == ["red.png is refined for 0.5 s"]
    assert refined() == []
    assert refined(seconds=0.8) == ["red.png is refined for 0.3 s"]
    assert refined(seconds=0.8) == []
    assert refined(seconds=0.4, refine_features="small") == ["red.png is refined for 0.4 s"]
    style = load_style("mine.safetensors:red.png")
    assert style.member is not None and style.picture is not None
    assert style.picture.row is not None
    collection = style.member.collection
    kept = kept_row(collection.trunk(), style.picture.sha256, collection.net.rows().shape[1])
    assert kept is not None and (kept.seconds, kept.judge) == (pytest.approx(0.4), "small")
    assert torch.equal(kept.row, collection.net.rows()[2])


def test_a_row_belongs_to_the_trunk(here: Path) -> None:
    refine_pictures(Path("clip.mp4"), settings(), Context())
    row = load_style("mine.safetensors:red.png").picture.row  # type: ignore[union-attr]
    assert row is not None
    write_painter(here / "mine.safetensors", ("ink", "oil", "chalk"))
    assert load_style("mine.safetensors:red.png").picture.row == row, "more styles, the same trunk"  # type: ignore[union-attr]
    write_painter(here / "mine.safetensors", width=6)
    assert load_style("mine.safetensors:red.png").picture.row is None  # type: ignore[union-attr]


def test_a_damaged_row_is_ignored_with_a_warning(here: Path) -> None:
    refine_pictures(Path("clip.mp4"), settings(), Context())
    row = next((here / "home/rows").rglob("*.safetensors"))
    row.write_bytes(row.read_bytes()[:50])
    report = style_file("clip.mp4", "o.mp4", Settings(styles=("mine.safetensors:red.png",), device="cpu"))
    assert any(str(row) in warning and "--refine again" in warning for warning in report.warnings)


def test_a_cancelled_refinement_keeps_nothing(here: Path) -> None:
    def hear(event: Event) -> None:
        if isinstance(event, Step):
            context.cancel()

    context = Context(hear)
    with pytest.raises(Cancelled):
        style_file("clip.mp4", "o.mp4", settings(60), context=context)
    assert not list((here / "home").rglob("*.safetensors")) and not (here / "o.mp4").exists()


def test_a_home_that_cannot_be_written_is_named_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "file").touch()
    monkeypatch.setenv("SEGNST_HOME", str(here / "file"))
    with pytest.raises(OutputError, match="Set SEGNST_HOME"):
        refine_pictures(Path("clip.mp4"), settings(60), Context())


def test_what_is_wrong_with_the_run_is_said_before_the_wait(here: Path, run: Run) -> None:
    call = ("style", "clip.mp4", "-s", "unicorn=mine.safetensors:red.png", "--refine", "100")
    code, _, err = run(*call, "--refine-features", "vgg.safetensors", "--segmenter", "kmeans:2", "--device", "cpu")
    assert code == 2 and "unicorn" in err and "refined for" not in err


def test_a_plan_without_pictures_warns(here: Path) -> None:
    context = Context()
    refine_pictures(Path("clip.mp4"), Settings(styles=("mine.safetensors:ink",), refine=9), context)
    assert "there is none in the plan" in context.warned[0]


def test_frames_are_spread_over_the_part_that_is_styled(here: Path) -> None:
    assert len(some_frames(Path("clip.mp4"), Settings())) == 6
    assert len(some_frames(Path("clip.mp4"), Settings(end=0.1))) < 6
    assert len(some_frames(Path("red.png"), Settings())) == 1


def test_vgg19_judges_where_it_is_here(here: Path) -> None:
    assert best_judge(None) == "small"
    (here / "home").mkdir()
    (here / "home/vgg19-dcbb9e9d.pth").touch()
    assert best_judge(None) == "vgg19"
    assert best_judge("vgg16") == "vgg16"


def test_without_an_encoder_a_picture_begins_as_the_nearest_style_and_is_refined_unasked(
    here: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    bundled = here / "models"
    (bundled / "paintings").mkdir(parents=True)
    write_painter(bundled / "collection.safetensors", encoder=False)
    names = load_collection(bundled / "collection.safetensors").names
    monkeypatch.setattr("segnst.style.checkpoints.bundled_dir", lambda: bundled)
    monkeypatch.setattr("segnst.jobs.refine.UNASKED", 0.5)
    for name, seed, color in zip(names, (5, 2), ([0.2, 0.2, 1.0], [1.0, 0.25, 0.2]), strict=True):
        save(bundled / f"paintings/{name}.webp", texture(60, 90, seed) * torch.tensor(color)[:, None, None])
    with pytest.warns(SegnstWarning, match=f"begins as that of '{names[1]}'"):
        style = load_style("red.png")
    assert style.member is not None
    rows = style.member.collection.net.rows()
    assert torch.equal(rows[2], rows[1])
    call = ("style", "clip.mp4", "-s", "red.png", "--device", "cpu", "--refine-features", "vgg.safetensors", "--json")
    code, out, err = run(*call, "-o", "a.mp4")
    assert code == 0, err
    assert "red.png is refined for 0.5 s" in err
    assert "red.png, refined" in json.loads(out)["weights"]
    code, out, err = run(*call, "-o", "b.mp4")
    assert code == 0 and "is refined" not in err and "begins as" not in err
    assert "red.png, refined" in json.loads(out)["weights"]
