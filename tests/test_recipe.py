"""The recipe travels with what was made, survives in each container, and is repeated from there."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segnst.config import Settings
from segnst.errors import InputError, PlanError
from segnst.jobs.style import style_file
from segnst.recipe import read_recipe
from segnst.video.inscription import inscribed, read_text
from tests.clips import panning, write_clip
from tests.conftest import Run
from tests.jobs.every import tiny_style
from tests.video.make import make


def _settings(folder: Path, **more: object) -> Settings:
    return Settings(styles=(f"{tiny_style(folder)}@0.75",), stability=0.5, device="cpu", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", panning(2))


@pytest.mark.parametrize("name", ["o.mp4", "o.m4v", "o.mov", "o.mkv", "o.webm", "o", "o.png", "o.jpg"])
def test_there_and_back(name: str, clip: Path, tmp_path: Path) -> None:
    source = clip
    if name.endswith(("png", "jpg")):
        source = tmp_path / "in.png"
        cv2.imwrite(str(source), np.full((32, 48, 3), 90, np.uint8))
    settings = _settings(tmp_path, crf=30, preset="ultrafast")
    report = style_file(source, tmp_path / name, settings)
    recipe = read_recipe(tmp_path / name)
    assert recipe.settings == {"styles": settings.styles, "stability": 0.5, "crf": 30, "preset": "ultrafast"}
    assert recipe.weights == {key: each["sha256"] for key, each in report.weights.items()} and recipe.weights
    assert recipe.versions["segnst"]
    if name.endswith(("png", "jpg")):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None and picture.shape == (32, 48, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_tags_of_the_source_are_kept(suffix: str, tmp_path: Path) -> None:
    tags = {"title": "Straße", "comment": "mine", "artist": "me"}
    source = make(tmp_path / f"a{suffix}", metadata=tags)
    style_file(source, tmp_path / f"b{suffix}", Settings(styles=("original",)))
    with av.open(str(tmp_path / f"b{suffix}")) as film:
        made = {key.lower(): value for key, value in film.metadata.items()}
    assert {key: made[key] for key in tags} == tags
    assert read_recipe(tmp_path / f"b{suffix}").settings == {"styles": ("original",)}


def test_what_is_styled_again_gets_its_own_recipe(tmp_path: Path, clip: Path) -> None:
    style_file(clip, tmp_path / "a.mp4", _settings(tmp_path))
    style_file(tmp_path / "a.mp4", tmp_path / "b.mkv", Settings(styles=("original",)))
    assert read_recipe(tmp_path / "b.mkv").settings == {"styles": ("original",)}
    with av.open(str(tmp_path / "b.mkv")) as film:
        assert sum("segnst_recipe" in text for text in film.metadata.values()) == 1
    style_file(tmp_path / "b.mkv", tmp_path / "c.mp4", Settings(styles=("original",), recipe=False))
    with pytest.raises(InputError, match="holds no recipe"):
        read_recipe(tmp_path / "c.mp4")


def test_a_film_is_a_plan(run: Run, clip: Path, tmp_path: Path) -> None:
    style = tiny_style(tmp_path)
    code, _, err = run("style", clip, "-s", f"{style}@0.5", "--stability", "0.4", "-o", "a.mkv", "--codec", "ffv1")
    assert code == 0, err
    code, out, err = run("style", clip, "--plan", "a.mkv", "-o", "b.mkv", "--json")
    assert code == 0, err
    settings = json.loads(out)["settings"]
    assert (settings["stability"], settings["codec"], settings["styles"]) == (0.4, "ffv1", [f"{style}@0.5"])

    def frames(path: str) -> list[np.ndarray]:
        with av.open(path) as film:
            return [frame.to_ndarray() for frame in film.decode(video=0)]

    assert all(np.array_equal(a, b) for a, b in zip(frames("a.mkv"), frames("b.mkv"), strict=True))
    code, out, _ = run("style", clip, "--plan", "a.mkv", "--stability", "0.9", "-o", "c.mkv", "--json")
    assert json.loads(out)["settings"]["stability"] == 0.9, "the command line wins"


def test_other_weights_are_told(run: Run, clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.full((32, 48, 3), 90, np.uint8))
    facts = {"segnst_recipe": 1, "settings": {"styles": [str(tiny_style(tmp_path))]}, "weights": {"tiny": "0" * 64}}
    picture.write_bytes(inscribed(picture.read_bytes(), json.dumps(facts)))
    code, _, err = run("style", clip, "--plan", picture, "-o", "o.mp4")
    assert code == 0 and "made with other weights for 'tiny'" in err


def _png(body: bytes, kind: bytes = b"iTXt") -> bytes:
    ok, data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    assert ok
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data.tobytes()[:33] + chunk + data.tobytes()[33:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"segnst_recipe": 1, "settings": {"no_such": 1}}', "there is no setting 'no_such'"),
        ('{"segnst_recipe": 1, "settings": {"stability": "x"}}', "must be float"),
        ('{"segnst_recipe": 1, "settings": {"stability": 1e999}}', "must be a finite number"),
        ('{"segnst_recipe": 1, "settings": {"styles": ["a\\u0000b"]}}', "NUL"),
        ('{"segnst_recipe": 1, "settings": []}', "settings should be an object"),
        ('{"segnst_recipe": 1, "weights": {"a": 1}}', "no list of hashes"),
        ('{"segnst_recipe": 7}', "a newer segnst wrote it"),
        ('{"segnst_recipe": 1', "cannot be read"),
        ('{"segnst_recipe": ' + "[" * 50_000, "cannot be read"),
    ],
)
def test_a_recipe_is_data_of_a_stranger(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(inscribed(_png(b"Title\0x", b"tEXt"), text))
    with pytest.raises(PlanError, match=words):
        read_recipe(tmp_path / "a.png")


@pytest.mark.parametrize(
    "data",
    [
        _png(b"segnst_recipe\0\0\0\0\0" + b'{"segnst_recipe": 1, "x": "' + b"x" * 200_000 + b'"}'),
        _png(b"segnst_recipe\0\0\0"),
        _png(b"segnst_recipe\0\1\0\0\0" + zlib.compress(b'{"segnst_recipe": 1}')),
        _png(b"")[:40],
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 9,
        b"\xff\xd8" + b"\xff\xfe\0\0" * 3,
        b"\xff\xd8\xff\xfe\xff\xff{",
    ],
    ids=["long", "cut", "compressed", "end", "noise", "no length", "short"],
)
def test_pictures_that_lie(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"holds no recipe|longer than 60000"):
        read_text(tmp_path / "a.png")


def test_what_is_no_plan_at_all(run: Run, clip: Path) -> None:
    for plan, words in (("none.mp4", "does not exist"), (clip, "holds no recipe")):
        code, _, err = run("style", clip, "--plan", plan, "-o", "o.mp4")
        assert code == 1 and words in err
