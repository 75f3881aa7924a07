"""`segnst optimize` and `segnst reconstruct`, called from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segnst.jobs.optimize_settings import make_plan
from segnst.video.pictures import read_picture, write_picture
from segnst.weights import read_tensors, write_tensors
from tests.conftest import Run

ROOT = Path(__file__).parents[2]


def options(material: Path, steps: int = 6) -> list[str]:
    return ["--features", str(material / "vgg.safetensors"), "--steps", str(steps), "--device", "cpu"]


def test_losses_of_every_step_are_told_and_fall(run: Run, material: Path) -> None:
    code, out, err = run(
        "optimize", material / "photo.png", material / "red.png", "-o", "out.png", *options(material, 12), "--json"
    )  # fmt: skip
    assert code == 0, err
    facts = json.loads(out)
    losses = facts["losses"]
    assert [entry["step"] for entry in losses] == list(range(1, 13))
    assert losses[-1]["total"] < 0.5 * losses[0]["total"]
    assert {"content", "style", "tv", "style relu1_1", "style relu2_1"} <= losses[0].keys()
    assert cv2.imread("out.png").shape == (48, 64, 3)
    assert "step 12/12" in err


def test_the_same_seed_paints_the_same_picture(run: Run, material: Path) -> None:
    for name in ("a.png", "b.png"):
        assert run("optimize", material / "photo.png", material / "red.png", "-o", name, "--init", "noise",
                   *options(material, 4))[0] == 0  # fmt: skip
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(
    "more",
    [
        ("--optimizer", "adam"),
        ("--init", "style"),
        ("--pooling", "avg", "--normalize"),
        ("--scales", "2"),
        ("--keep-colors", "luminance"),
        ("--keep-colors", "match"),
        ("--style-layers", "relu1_1:0.5,relu2_1", "--content-layers", "relu1_2"),
    ],
)
def test_every_way_to_paint_paints(run: Run, material: Path, more: tuple[str, ...]) -> None:
    code, out, err = run(
        "optimize", material / "photo.png", material / "red.png", material / "blue.png", "--style-weights", "2,1",
        "-o", "out.png", *options(material, 5), *more, "--json", "-q",
    )  # fmt: skip
    assert code == 0, err
    assert len(json.loads(out)["losses"]) == 5
    assert not np.array_equal(cv2.imread("out.png"), cv2.imread(str(material / "photo.png")))


def test_film_curves_and_steps_are_kept(run: Run, material: Path) -> None:
    code, _, err = run(
        "optimize", material / "photo.png", material / "red.png", "-o", "out.png", *options(material, 7),
        "--every", "3", "--gif", "film.gif", "--mp4", "film.mp4", "--curves", "curves.png", "-q",
    )  # fmt: skip
    assert code == 0, err
    assert [p.name for p in sorted(Path("out_steps").iterdir())] == [f"step_{k:05d}.png" for k in (1, 3, 6, 7)]
    with av.open("film.mp4") as film:
        assert sum(1 for _ in film.decode(video=0)) == 4
    assert len(json.loads(Path("curves.json").read_text())) == 7
    assert cv2.imread("curves.png") is not None
    assert np.array_equal(cv2.imread("out_steps/step_00007.png"), cv2.imread("out.png"))


def test_a_sweep_draws_a_grid(run: Run, material: Path) -> None:
    code, out, err = run(
        "optimize", material / "photo.png", material / "red.png", "-o", "grid.png", *options(material, 3),
        "--sweep", "style_weight=1e3,1e5", "--json", "-q",
    )  # fmt: skip
    assert code == 0, err
    assert [r["value"] for r in json.loads(out)["runs"]] == [1e3, 1e5]
    assert cv2.imread("grid.png").shape[1] == 2 * 388
    assert sorted(p.name for p in Path().iterdir()) == ["grid.png"]


def test_a_sweep_of_a_video_shows_its_first_frame(run: Run, material: Path) -> None:
    code, out, err = run(
        "optimize", material / "clip.mp4", material / "red.png", "-o", "grid.png", *options(material, 3),
        "--sweep", "style_weight=1e3,1e5", "--start", "0", "--json", "-q",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["steps"] == 6
    assert cv2.imread("grid.png").shape[1] == 2 * 388


def test_a_video_is_painted_frame_by_frame(run: Run, material: Path) -> None:
    code, out, err = run(
        "optimize", material / "clip.mp4", material / "red.png", "-o", "out.mp4", *options(material, 4),
        "--frame-steps", "2", "--json", "-q",
    )  # fmt: skip
    assert code == 0, err
    facts = json.loads(out)
    assert [e["frame"] for e in facts["losses"]] == [0] * 4 + [1] * 2 + [2] * 2
    assert "temporal" in facts["losses"][-1]
    assert "temporal" not in facts["losses"][0]
    with av.open("out.mp4") as film:
        assert sum(1 for _ in film.decode(video=0)) == 3
        assert film.streams.audio


def test_regions_get_their_own_painting_and_the_rest_stays(run: Run, material: Path) -> None:
    write_picture(Path("street.png"), read_picture(ROOT / "videos/street.mp4", 256))
    code, out, err = run(
        "optimize", "street.png", "-s", f"car={material / 'red.png'}", "-o", "out.png", *options(material, 4), "--json"
    )  # fmt: skip
    assert code == 0, err
    before, after = cv2.imread("street.png").astype(int), cv2.imread("out.png").astype(int)
    same = (before == after).all(2).mean()
    assert 0.4 < same < 0.99, "only the car is painted"
    assert any(name.endswith("@car") for name in json.loads(out)["losses"][0])


def test_a_class_that_is_not_in_the_picture_is_named(run: Run, material: Path) -> None:
    code, _, err = run(
        "optimize", material / "photo.png", "-s", f"person={material / 'red.png'}", "-o", "out.png", *options(material)
    )  # fmt: skip
    assert code == 1
    assert "no 'person'" in err
    assert not Path("out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["red.png", "--style-layers", "relu1_11"], 2, "Did you mean 'relu1_1'"),
        (["rad.png"], 1, "Did you mean 'red.png'"),
        (["red.png", "--style-weights", "1,2"], 2, "2 numbers for 1 paintings"),
        (["red.png", "--optimizer", "sgd"], 2, "lbfgs, adam"),
        (["red.png", "-s", "car=red.png"], 2, "either"),
        ([], 2, "either"),
        (["red.png", "--max-size", "16", "--style-layers", "relu2_1", "--style-scale", "0.1"], 2, "too small"),
        (["red.png", "--sweep", "style_wieght=1,2"], 2, "Did you mean 'style_weight'"),
        (["red.png", "--style-weight", "inf"], 2, "--style-weight must be at least 0"),
        (["red.png", "--gif", "film.mp4"], 1, "should end in .gif"),
    ],
)
def test_wrong_requests_are_explained(run: Run, material: Path, arguments: list[str], code: int, said: str) -> None:
    words = [str(material / a) if a.endswith(("red.png", "rad.png")) and "=" not in a else a for a in arguments]
    got, _, err = run("optimize", material / "photo.png", *words, "-o", "out.png", *options(material))
    assert got == code, err
    assert said in err
    assert "Traceback" not in err
    assert not list(Path().iterdir())


def test_an_output_that_exists_is_kept(run: Run, material: Path) -> None:
    Path("out.png").write_text("mine")
    code, _, err = run("optimize", material / "photo.png", material / "red.png", "-o", "out.png", *options(material))
    assert code == 1
    assert "exists already" in err
    assert Path("out.png").read_text() == "mine"


def test_a_loss_beyond_numbers_stops_and_keeps_the_last_good_picture(run: Run, material: Path) -> None:
    tensors, _ = read_tensors(material / "vgg.safetensors")
    write_tensors(Path("huge.safetensors"), {k: 1e20 * v for k, v in tensors.items()}, {}, half=False)
    code, _, err = run(
        "optimize", material / "photo.png", material / "red.png", "-o", "out.png", *options(material, 9),
        "--features", "huge.safetensors",
    )  # fmt: skip
    assert code == 1
    assert "no longer finite at step 1" in err
    assert "out.png" in err
    assert np.array_equal(cv2.imread("out.png"), cv2.imread(str(material / "photo.png")))


@pytest.mark.parametrize("what", ["content", "style"])
def test_reconstructions_start_from_noise_and_come_near(run: Run, material: Path, what: str) -> None:
    code, out, err = run(
        "reconstruct", what, material / "photo.png", "--layer", "relu1_2", "-o", "out.png", *options(material, 25),
        "--json", "--gif", "film.gif", "--every", "10",
    )  # fmt: skip
    assert code == 0, err
    losses = json.loads(out)["losses"]
    assert losses[-1][what] < 0.1 * losses[0][what]
    assert Path("film.gif").stat().st_size > 0


def test_paintings_mix_by_weight() -> None:
    plan = make_plan(["a.jpg", "b.jpg"], [], [3, 1])
    assert [(t.style, t.weight) for t in plan.entries[0].styles] == [("a.jpg", 0.75), ("b.jpg", 0.25)]
