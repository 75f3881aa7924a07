"""Any picture as a style: reading it, its row, one pass with the styles of the collection, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from segnst.assembly import build
from segnst.config import Settings
from segnst.errors import InputError, PlanError, WeightsError
from segnst.jobs.style import style_video
from segnst.plan import parse_plan
from segnst.style import pictures
from segnst.style.checkpoints import load_style, load_styles, picture_collection
from segnst.style.collection import load_collection
from segnst.style.pictures import read_style_picture
from segnst.style.stylizer import PlanStylizer
from segnst.types import LayerMasks
from tests.clips import panning, texture, write_clip
from tests.conftest import Run
from tests.material import save
from tests.style.make import random_painter, write_painter

CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with pictures and with collections in place of the bundled ones."""
    bundled = tmp_path / "models"
    bundled.mkdir()
    write_painter(bundled / "collection.safetensors")
    write_painter(bundled / "collection_light.safetensors", width=2, encoder=False)
    monkeypatch.setattr("segnst.style.checkpoints.bundled_dir", lambda: bundled)
    monkeypatch.setattr(pictures, "WIDTH", 96)  # describing a picture of the real size takes a second
    monkeypatch.setattr(pictures, "LEAST_SIDE", 64)
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "red.png", texture(60, 90, 2) * torch.tensor([1.0, 0.2, 0.2])[:, None, None])
    save(tmp_path / "blue rose+1@home.png", texture(90, 60, 3) * torch.tensor([0.2, 0.2, 1.0])[:, None, None])
    save(tmp_path / "photo.png", texture(64, 96, 1))
    return tmp_path


def photo(seed: int = 0) -> Tensor:
    return texture(48, 64, seed)[None].float().clamp(0, 1)


def stylizer(*entries: str) -> PlanStylizer:
    plan = parse_plan(entries)
    loaded = load_styles(plan.styles)
    return PlanStylizer(plan, {n: s.painter for n, s in zip(plan.styles, loaded, strict=True)}, CPU)


def test_a_picture_is_one_more_style_of_the_collection(home: Path) -> None:
    style = load_style("red.png")
    assert style.name == "red" and style.picture is not None and style.member is not None
    known = load_collection(home / "models/collection.safetensors")
    assert style.sha256 == known.sha256
    net = style.member.collection.net
    assert net.styles == known.net.styles + 1
    rows = net.rows()
    assert torch.equal(rows[[0, 1, 3]], known.net.rows()), "the others, and the identity at the end"
    assert not torch.allclose(rows[2], load_style("blue rose+1@home.png").member.collection.net.rows()[2])  # type: ignore[union-attr]
    rgb = photo()
    assert torch.equal(style.net(rgb), net.painted_by(rgb, rows[2:3]))


def test_pictures_and_styles_of_a_collection_are_painted_in_one_pass(home: Path) -> None:
    paint = stylizer("car=red.png", "person=ink", "background=blue rose+1@home.png*2+oil@0.6")
    assert len(paint.collections) == 1 and not paint.networks
    soft = torch.zeros(1, 3, 48, 64)
    soft[:, 0, :, :20], soft[:, 1, :, 20:40], soft[:, 2, :, 40:] = 1, 1, 1
    passes: list[int] = []
    net = next(iter(paint.collections.values())).net
    through = net.through
    net.through = lambda *a: passes.append(1) or through(*a)  # type: ignore[method-assign,func-returns-value]
    masks = LayerMasks(soft, paint.plan.layers)
    _, carry = paint(photo(), masks)  # the first frame of a scene takes more passes, which measure its statistics
    passes.clear()
    painted, carry = paint(photo(), masks, carry)
    assert len(passes) == 1 and len(carry) == 1
    assert painted.shape == (1, 3, 48, 64)


def test_pictures_fade_and_mix(home: Path) -> None:
    fading, rgb = stylizer("0:red.png,2:ink"), photo()
    for seconds, plan in ((0.0, "red.png"), (1.0, "red.png+ink"), (3.0, "ink")):
        assert torch.allclose(fading(rgb, None, None, seconds)[0], stylizer(plan)(rgb, None)[0], atol=1e-4)


def test_a_clip_a_photo_and_a_plan_file_take_pictures(home: Path, run: Run) -> None:
    write_clip(home / "clip.mp4", panning(3, 64, 64))
    for name in ("red.png", "blue rose+1@home.png"):
        code, out, err = run("style", "clip.mp4", "-s", name, "-o", f"{name[:3]}.mp4", "--device", "cpu", "--json")
        assert code == 0, err
    weights = json.loads(out)["weights"]
    assert set(weights) == {"blue rose+1@home.png", "collection"}
    (home / "plan.toml").write_text('styles = ["cluster1=red.png", "background=ink"]\nsegmenter = "kmeans:2"\n')
    code, out, err = run("style", "photo.png", "--plan", "plan.toml", "--device", "cpu")
    assert code == 0, err
    assert out.strip() == "results/photo_red_ink.png"
    report = style_video("photo.png", "o.png", "blue rose+1@home.png@0.5", device="cpu")
    assert report.frames == 1
    code, out, err = run("style", "photo.png", "-s", "red.png", "--dry-run", "--json", "--device", "cpu")
    assert json.loads(out)["weights"]["red.png"] == "red.png"
    code, _, err = run("style", "clip.mp4", "-s", "red.png", "-o", "red.png", "--overwrite")
    assert code == 1 and "would replace red.png" in err


def test_a_preview_shows_the_picture(home: Path, run: Run) -> None:
    code, out, err = run("style", "photo.png", "-s", "red.png", "--preview", "1", "--device", "cpu")
    assert code == 0, err
    sheet = cv2.imread(out.strip())
    assert sheet is not None
    painting = sheet[30:180, 324:640].astype(int)
    assert painting[..., 2].mean() > 2 * painting[..., 0].mean(), "the second cell is red"


def test_a_sheet_of_all_styles_shows_their_paintings_and_pictures(home: Path, run: Run) -> None:
    (home / "models/paintings").mkdir()
    cv2.imwrite("models/paintings/oil.webp", np.full((20, 20, 3), (0, 200, 0), np.uint8))
    code, out, err = run("styles", "photo.png", "--sheet", "all.png", "--style", "blue rose+1@home.png")
    assert code == 0, err
    assert "models/paintings" in out and "-s car=painting.jpg" in out
    sheet = cv2.imread("all.png")
    assert sheet is not None
    cell = (213 + 22 + 4, 324)  # rows: the photo, ink and oil, the picture
    assert sheet.shape[:2] == (3 * cell[0], 4 * cell[1])
    oil = sheet[cell[0] + 22 : 2 * cell[0] - 4, 2 * cell[1] : 3 * cell[1] - 4].astype(int)
    assert abs(oil[100, 160] - (0, 200, 0)).max() < 12 and (oil[4] > 250).all(), "small, with a white margin"
    rose = sheet[2 * cell[0] + 22 : 3 * cell[0] - 4, : cell[1] - 4].astype(int)[:, 120:200]
    assert rose[..., 0].mean() > 2 * rose[..., 2].mean()
    code, out, _ = run("styles", "--json")
    assert [row["painting"] for row in json.loads(out)] == [None, str(home / "models/paintings/oil.webp")]
    code, _, err = run("styles", "--style", "red.png")
    assert code == 2 and "for the sheet" in err


def test_a_collection_can_be_named_for_a_picture(home: Path) -> None:
    other = write_painter(home / "mine@home.safetensors", ("a", "red.png"), width=6)
    style = load_style("mine@home.safetensors:blue rose+1@home.png")
    assert style.path == Path("mine@home.safetensors") and style.picture is not None
    assert load_style("mine@home.safetensors:red.png").picture is None, "a style of its own comes first"
    assert parse_plan(["mine@home.safetensors:blue rose+1@home.png@0.5"]).entries[0].strength == 0.5
    write_painter(other, ("a",), encoder=False)
    with pytest.raises(WeightsError, match=r"mine@home.safetensors has no encoder.*--free"):
        load_style("mine@home.safetensors:blue rose+1@home.png")


def test_which_collection_paints(home: Path) -> None:
    bundled = home / "models"
    assert picture_collection() == picture_collection(fast=True) == bundled / "collection.safetensors"
    write_painter(bundled / "collection_light.safetensors", width=2)
    assert picture_collection() == bundled / "collection.safetensors"
    assert picture_collection(fast=True) == bundled / "collection_light.safetensors"
    (home / "home").mkdir()
    write_painter(home / "home/wide.safetensors", ("w",), width=8)
    assert picture_collection() == bundled / "collection.safetensors", "the bundled one comes first"
    for name in ("collection", "collection_light"):
        write_painter(bundled / f"{name}.safetensors", encoder=False)
    assert picture_collection() == home / "home/wide.safetensors"
    (home / "home/wide.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"red\.png is a picture, and no collection.*segnst train style red\.png"):
        load_style("red.png")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0 no picture", "broken.jpg"),
        ("text.png", b"hello", "text.png"),
        ("empty.webp", b"", "empty.webp"),
        ("none.jpg", None, "none.jpg does not exist"),
        ("rad.png", None, "Did you mean 'red.png'"),
        ("tiny.png", (12, 400), "400x12 px, too few"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(
    home: Path, run: Run, name: str, content: bytes | tuple[int, int] | None, said: str
) -> None:
    if isinstance(content, tuple):
        save(home / name, texture(*content))
    elif content is not None:
        (home / name).write_bytes(content)
    code, _, err = run("style", "photo.png", "-s", f"car={name}", "--dry-run")
    assert code == 1
    assert said in " ".join(err.split()) and "Traceback" not in err


def test_a_picture_with_too_many_pixels_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_MAX_PIXELS", "1000")
    with pytest.raises(InputError, match="more than the limit"):
        load_style("red.png")


@pytest.mark.parametrize(("height", "width"), [(40, 40), (2000, 33), (33, 2000), (700, 1200)])
def test_pictures_of_any_shape_are_described_at_one_size(home: Path, height: int, width: int) -> None:
    save(home / "any.png", texture(height, width, 4))
    rgb = read_style_picture(Path("any.png")).rgb
    assert rgb.shape[-1] == 96 or (min(rgb.shape[-2:]) == 64 and rgb.shape[-1] > 96)
    assert max(rgb.shape[-2:]) <= 6 * 96
    assert load_style("any.png").net(photo()).isfinite().all()


def test_a_plain_picture_and_other_kinds_of_pixels(home: Path) -> None:
    kinds = {
        "plain.png": np.full((50, 50, 3), 128, np.uint8),
        "gray.png": (255 * texture(50, 50, 1)[0].numpy()).astype(np.uint8),
        "deep.png": (65535 * texture(50, 50, 1).permute(1, 2, 0).numpy()).astype(np.uint16),
        "small.gif": (255 * texture(50, 50, 1).permute(1, 2, 0).numpy()).astype(np.uint8),
    }
    for name, pixels in kinds.items():
        assert cv2.imwrite(name, pixels)
        assert load_style(name).net(photo()).isfinite().all(), name


def test_what_is_transparent_is_white(home: Path) -> None:
    pixels = np.zeros((60, 60, 4), np.uint8)
    pixels[:, 30:] = 255, 0, 0, 255  # the left half is transparent black
    cv2.imwrite("logo.png", pixels)
    rgb = read_style_picture(Path("logo.png")).rgb
    assert rgb[..., :40].min() > 0.99
    assert torch.allclose(rgb[0, :, 50, -20], torch.tensor([0.0, 0.0, 1.0]), atol=1e-3)


def test_a_picture_with_a_name_of_a_bundled_style_or_without_a_suffix(home: Path) -> None:
    (home / "ink").write_bytes((home / "red.png").read_bytes())
    style = load_style("ink")
    assert style.picture is not None, "an existing file comes first"
    assert torch.equal(style.net(photo()), load_style("red.png").net(photo()))


def test_an_encoder_that_does_not_fit_is_refused(home: Path, tmp_path: Path) -> None:
    from segnst.style.collection import Member, write_collection
    from segnst.style.row_encoder import RowEncoder

    net = random_painter(2)
    for inputs, row, said in ((2944, 7, "rows of 7 numbers"), (9, net.rows().shape[1], "descriptions of 9 numbers")):
        write_collection(tmp_path / "odd.safetensors", net, [Member("a")], {}, RowEncoder(inputs, row))
        with pytest.raises(WeightsError, match=said):
            load_style("odd.safetensors:red.png")


def test_loading_a_painter_imports_no_compiler(home: Path) -> None:
    """torch draws random numbers on the meta device with a compiler, whose import takes seconds."""
    code = (
        "import sys; from pathlib import Path; from segnst.style.collection import load_collection\n"
        "assert load_collection(Path('models/collection.safetensors')).encoder\n"
        "print(*{'sympy', 'torch._dynamo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_build_takes_pictures(home: Path) -> None:
    parts = build(Settings(styles=("red.png",), device="cpu"))
    assert parts.styles[0].picture is not None
    with pytest.raises(PlanError, match="A path to a picture"):
        build(Settings(styles=("unknown",)))
