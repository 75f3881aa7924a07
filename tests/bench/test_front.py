"""``segnst bench front``: the definition of its figures, optimization, tables, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import torch

from segnst.bench.front import WIDTH, Picture, Yardstick, measure, read_frame, read_frames, to_width
from segnst.bench.front_methods import FromPhoto
from segnst.perceptual.encoders import load_encoder
from segnst.style import pictures, refine
from segnst.style.collection import Member, write_collection
from tests.clips import panning, texture, write_clip
from tests.conftest import Run
from tests.material import save, write_vgg
from tests.style.make import random_net, write_painter

Bench = Run


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames, two paintings, a collection of which one style has a painting, a tiny encoder."""
    folder = tmp_path_factory.mktemp("front")
    write_clip(folder / "clip.mp4", panning(3, 96, 64))
    save(folder / "still.png", texture(60, 90, 1))
    (folder / "paintings").mkdir()
    save(folder / "paintings/red.png", texture(40, 56, 2) * torch.tensor([1.0, 0.2, 0.2])[:, None, None])
    save(folder / "paintings/blue.png", texture(60, 40, 3) * torch.tensor([0.2, 0.2, 1.0])[:, None, None])
    write_vgg(folder / "vgg.safetensors", deep=True)
    write_vgg(folder / "shallow.safetensors")
    write_collection(
        folder / "mine.safetensors", random_net(3, 4, blocks=1, identity=True), [Member("red"), Member("x")], {}
    )
    write_collection(folder / "other.safetensors", random_net(2, 4, blocks=1, identity=True), [Member("x")], {})
    return folder


@pytest.fixture
def front(bench: Bench, material: Path) -> Bench:
    """The command on frame 2 of the material's clip: (exit code, stdout, stderr)."""
    encoder = ("--features", material / "vgg.safetensors", "--frame", f"{material / 'clip.mp4'}@2")
    return lambda *more: bench("front", *encoder, *more)


@pytest.fixture(scope="module")
def scene(material: Path) -> tuple[Yardstick, Picture, Picture]:
    encoder = load_encoder(material / "vgg.safetensors")
    frame = read_frame(str(material / "still.png"))
    painting = Picture("red", to_width(texture(40, 56, 2)[None]))
    return Yardstick(encoder, encoder, [frame], [painting]), frame, painting


def test_the_source_itself_has_no_content_loss_and_the_painting_no_style_loss(
    scene: tuple[Yardstick, Picture, Picture],
) -> None:
    yardstick, frame, painting = scene
    own = yardstick(frame.rgb, frame.name, painting.name)
    assert own.content == 0
    assert own.style > 0
    assert own.total == pytest.approx(30 * own.style)
    yardstick.sources["red"] = yardstick.encoder(painting.rgb, ("relu3_3",))["relu3_3"]
    assert yardstick(painting.rgb, "red", "red").total == pytest.approx(0, abs=1e-9)


def test_the_figures_are_those_of_the_definition(scene: tuple[Yardstick, Picture, Picture]) -> None:
    yardstick, frame, painting = scene
    painted = frame.rgb.flip(-1) * 1.3 - 0.1
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu3_4", "relu4_1")
    mine, source, art = (yardstick.encoder(x, layers) for x in (painted.clamp(0, 1), frame.rgb, painting.rgb))
    content = ((mine["relu3_3"] - source["relu3_3"]) ** 2).mean() / (source["relu3_3"] ** 2).mean()
    shares = []
    for layer in (n for n in layers if n != "relu3_3"):
        a, b = (torch.einsum("bchw,bdhw->cd", f[layer], f[layer]) / f[layer][0, 0].numel() for f in (mine, art))
        shares.append(float(((a - b) ** 2).mean() / (b**2).mean()))
    found = yardstick(painted, frame.name, painting.name)
    assert found.content == pytest.approx(float(content), rel=1e-4)
    assert found.style == pytest.approx(sum(shares) / 5, rel=1e-4)


def test_optimizing_lowers_j_with_every_step_more(scene: tuple[Yardstick, Picture, Picture]) -> None:
    yardstick, frame, painting = scene
    report = measure([FromPhoto(yardstick, [12, 3, 6], ["red"])], yardstick, [frame], [painting])
    assert [row["method"] for row in report["rows"]] == ["L-BFGS 3", "L-BFGS 6", "L-BFGS 12"]
    totals = [yardstick(frame.rgb, frame.name, "red").total, *(row["J"] for row in report["rows"])]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < 0.5 * totals[0]


def test_frames_are_counted_from_nothing_and_all_of_one_width(material: Path) -> None:
    still, first, last = read_frames([str(material / "still.png"), *(f"{material / 'clip.mp4'}@{n}" for n in (0, 2))])
    assert (still.name, first.name, last.name) == ("still", "clip_0", "clip_2")
    assert {f.rgb.shape[-1] for f in (still, first, last)} == {WIDTH}
    assert still.rgb.shape[-2] == round(60 * WIDTH / 90)
    assert not torch.equal(first.rgb, last.rgb)
    assert torch.equal(first.rgb, read_frame(str(material / "clip.mp4")).rgb)


def test_a_file_with_an_at_in_its_name_is_a_file(material: Path, tmp_path: Path) -> None:
    (tmp_path / "mail@2.png").write_bytes((material / "still.png").read_bytes())
    assert read_frame(str(tmp_path / "mail@2.png")).name == "mail@2"


def test_table_json_plot_and_sheet(front: Bench, material: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    frame = read_frame(f"{material / 'clip.mp4'}@2")
    for name in ("red", "blue"):
        save(tmp_path / f"theirs/clip_2__{name}.png", frame.rgb[0])
    code, out, err = front(
        material / "paintings", "--collection", material / "mine.safetensors", "--painted", "same=theirs",
        "--checkpoint", f"alone:red={material / 'mine.safetensors'}:red", "--lbfgs", "2", "--lbfgs-on", "red",
        "-o", "results/front", "--sheet", "looks.png",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads((tmp_path / "results/front.json").read_text())
    assert out.strip() == (tmp_path / "results/front.md").read_text().strip()
    assert report["frames"] == ["clip_2"]
    rows = {(row["painting"], row["method"]): row for row in report["rows"]}
    assert set(rows) == {("red", m) for m in ("mine", "alone", "same", "L-BFGS 2")} | {("blue", "same")}
    for (painting, method), row in rows.items():
        assert row["J"] == pytest.approx(row["content"] + 30 * row["style"])
        figures = f"{row['content']:.3f} | {row['style']:.4f} | {row['J']:.2f}"
        assert f"| {painting} | {method} | {figures} |" in out
    assert rows["red", "same"]["content"] == pytest.approx(0, abs=1e-3), "the source, but for rounding to bytes"
    assert rows["red", "alone"]["J"] == pytest.approx(rows["red", "mine"]["J"], rel=1e-3), "the same network"
    assert report["common"] == ["red"]
    both = [rows[n, "same"]["J"] for n in ("red", "blue")]
    assert report["means"]["same"]["J"] == pytest.approx(sum(both) / 2)
    assert report["common_means"]["same"]["J"] == pytest.approx(both[0])
    assert "| same | 2 |" in out
    assert "Means over the paintings that all methods have (red)" in out
    plot, sheet = (cv2.imread(str(tmp_path / p)) for p in ("results/front.png", "looks.png"))
    assert plot is not None
    assert (plot < 128).any()
    assert sheet is not None
    assert sheet.shape[1] > 4 * 320, "the source and four methods"
    assert "red, L-BFGS 2: content" in err


def test_pictures_are_painted_by_the_encoder_beside_trained_rows(
    front: Bench, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "WIDTH", 64)
    monkeypatch.setattr(refine, "CROP", 64)
    painter = write_painter(tmp_path / "painter.safetensors", ("red", "x"))
    (tmp_path / "more").mkdir()
    save(tmp_path / "more/rose.png", texture(50, 50, 7))
    (tmp_path / "more/red.png").symlink_to(material / "paintings/red.png")
    call = (material / "paintings", "--collection", painter, "--collection", material / "mine.safetensors")
    code, out, err = front(*call, "--pictures", "more", "--json", "-q")
    assert code == 0, err
    report = json.loads(out)
    free = "painter, any picture"
    found = {(row["painting"], row["method"]): row["J"] for row in report["rows"]}
    assert set(found) == {("red", "painter"), ("red", "mine"), *((name, free) for name in ("red", "blue", "rose"))}
    (beside,) = report["beside"]
    ratio = pytest.approx(found["red", free] / found["red", "painter"])
    assert (beside["method"], beside["beside"], beside["ratio"]) == (free, "painter", ratio)
    assert beside["each"] == [
        {"painting": "red", "trained": found["red", "painter"], "J": found["red", free], "ratio": ratio}
    ]
    code, out, err = front(
        "--collection", painter, "--pictures", "more", "--refine", "0.1", "--refine-features", "small"
    )
    assert code == 0, err
    assert f"{free} beside the trained rows of painter" in out
    assert "| rose | painter, any picture, refined 0.1 s |" in out
    monkeypatch.setattr("segnst.style.checkpoints.style_files", lambda: ([painter], []))
    code, out, err = front("--pictures", "more", "--json", "-q")
    assert code == 0, err
    assert {row["method"] for row in json.loads(out)["rows"]} == {free, "painter"}, "by default the bundled collection"


def test_json_on_stdout_and_quiet(front: Bench, material: Path) -> None:
    red = material / "paintings/red.png"
    code, out, err = front("--painting", f"red={red}", "--lbfgs", "1,2", "--json", "-q")
    assert code == 0
    assert err == ""
    assert [row["method"] for row in json.loads(out)["rows"]] == ["L-BFGS 1", "L-BFGS 2"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("--lbfgs", "2"), 2, "no painting to measure against"),
        (("--list", "x.toml", "--lbfgs", "2"), 2, "needs the folder PAINTINGS"),
        (("{}/paintings",), 2, "nothing to measure"),
        (
            ("--painting", "red={}/paintings/rad.png", "--lbfgs", "2"),
            1,
            "rad.png does not exist. Did you mean 'red.png'",
        ),
        (("--painting", "{}/paintings/red.png", "--lbfgs", "2"), 2, "--painting takes NAME=PATH"),
        (("{}/paintings", "--painting", "red={}/paintings/red.png", "--lbfgs", "2"), 2, "paintings are called 'red'"),
        (("{}/paintings", "--lbfgs", "some"), 2, "--lbfgs takes numbers of steps"),
        (("{}/paintings", "--lbfgs", "0,2"), 2, "--lbfgs takes numbers of steps"),
        (("{}/paintings", "--lbfgs", "2", "--lbfgs-on", "rde"), 2, "no painting 'rde'. Did you mean 'red'"),
        (("{}/paintings", "--lbfgs-on", "red"), 2, "needs --lbfgs"),
        (("{}/paintings", "--collection", "{}/other.safetensors"), 1, "No style of"),
        (("{}/paintings", "--collection", "{}/none.safetensors"), 1, "does not exist"),
        (("{}/paintings", *("--collection", "{}/mine.safetensors") * 2), 2, "methods are called 'mine'"),
        (("{}/paintings", "--checkpoint", "green={}/mine.safetensors:red"), 2, "no painting 'green'"),
        (("{}/paintings", "--checkpoint", "red={}/mine.safetensors"), 1, "is a collection"),
        (("{}/paintings", *("--checkpoint", "a:red={}/mine.safetensors:red") * 2), 2, "two checkpoints for 'red'"),
        (("{}/paintings", "--painted", "them=nowhere"), 1, "nowhere does not exist"),
        (("--pictures", "{}/paintings", "--collection", "{}/mine.safetensors"), 2, "a collection with an encoder"),
        (("--pictures", "{}/none", "--collection", "{}/mine.safetensors"), 1, "none does not exist"),
        (("{}/paintings", "--refine", "3", "--collection", "{}/mine.safetensors"), 2, "--refine needs --pictures"),
        (("{}/paintings", "--painted", "them={}"), 1, "no picture FRAME__PAINTING.png"),
        (("{}/paintings", "--lbfgs", "2", "--frame", "{}/clip.mp4@3"), 1, "has 3 frames"),
        (("{}/paintings", "--lbfgs", "2", "--frame", "{}/clip.mp4@2"), 2, "frames are called 'clip_2'"),
        (("{}/paintings", "--lbfgs", "2", "--frame", "{}/clop.mp4@1"), 1, "clop.mp4 does not exist"),
        (("{}/paintings", "--lbfgs", "2", "--features", "{}/shallow.safetensors"), 2, "has no layer 'relu3_3'"),
        (("{}/paintings", "--lbfgs", "2", "-o", "x", "--sheet", "x.png"), 1, "give one of them another name"),
        (("{}/paintings", "--lbfgs", "2", "--sheet", "x.jpg"), 1, "give it the suffix .png"),
    ],
)
def test_what_is_refused(
    front: Bench, material: Path, tmp_path: Path, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    code, out, err = front("-q", *(a.replace("{}", str(material)) for a in arguments))
    assert (code, out) == (exit_code, ""), err
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_pictures_of_another_size_or_missing_are_named(front: Bench, material: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    save(tmp_path / "theirs/clip_2__red.png", texture(64, 96, 1))
    red = ("--painting", f"red={material / 'paintings/red.png'}", "--painted", "them=theirs", "-q")
    code, _, err = front(*red)
    assert code == 1
    assert "clip_2__red.png measures 96x64 px" in err
    (tmp_path / "theirs/clip_2__red.png").rename(tmp_path / "theirs/clip_1__red.png")
    code, _, err = front(*red)
    assert code == 1
    assert "clip_2__red.png does not exist. Did you mean 'clip_1__red.png'?" in err


def test_outputs_are_replaced_only_where_that_is_asked_for(front: Bench, material: Path, tmp_path: Path) -> None:
    (tmp_path / "front.md").write_text("mine")
    red = ("--painting", f"red={material / 'paintings/red.png'}", "--lbfgs", "1", "-q", "-o", "front")
    code, _, err = front(*red)
    assert code == 1
    assert "front.md exists already" in err
    assert (tmp_path / "front.md").read_text() == "mine"
    assert not (tmp_path / "front.json").exists()
    code, _, _ = front(*red, "--overwrite")
    assert code == 0
    assert "L-BFGS 1" in (tmp_path / "front.md").read_text()


def test_a_painting_that_is_too_flat_is_named(front: Bench, tmp_path: Path) -> None:
    save(tmp_path / "line.png", texture(16, 900, 1))
    code, _, err = front("--painting", "line=line.png", "--lbfgs", "1")
    assert code == 1
    assert "'line' is 8 px high" in err
