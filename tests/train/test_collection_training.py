"""Training of collections: many tiny styles in a tiny network, really trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import pytest
import torch

from segnst.errors import InputError, OutputError, WeightsError
from segnst.pixels import to_bytes
from segnst.style import pictures
from segnst.style.checkpoints import known_styles, picture_collection
from segnst.style.collection import Member, load_collection, write_collection
from segnst.train.added_style import add_style
from segnst.train.collection import read_paintings, train_collection
from segnst.train.settings import CollectionSettings
from segnst.train.style_training import styles_of
from tests.clips import texture
from tests.conftest import Run
from tests.style.make import write_painter
from tests.train.test_style_training import TINY, material, train

__all__ = ["material"]  # a fixture

SETTINGS = CollectionSettings(
    **asdict(replace(TINY, iterations=8, batch=2, temporal_from=0.5, style_rate=2.0, architecture="transformer"))
)
LIST = """
[[style]]
name = "one"
file = "0.png"
title = "First"
painter = "Painter"
year = 1900
temporal = 2.0

[[style]]
name = "two"
file = "1.png"
"""


@pytest.fixture
def paintings(material: Path) -> Path:
    folder = material / "paintings"
    folder.mkdir()
    for k in range(3):
        cv2.imwrite(str(folder / f"{k}.png"), to_bytes(texture(60, 60, 20 + k)))
    (material / "list.toml").write_text(LIST)
    return folder


def collect(material: Path, settings: CollectionSettings = SETTINGS, work: str = "work", **options: object) -> Path:
    given = {"out": material / "out", "features": str(material / "vgg.safetensors"), "overwrite": True} | options
    return train_collection(
        material / "paintings", [material / "photos"], "many", listing=material / "list.toml", work=material / work,
        settings=settings, **given,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_collection_is_trained_and_loads(material: Path, paintings: Path) -> None:
    collection = load_collection(collect(material))
    assert collection.names == ("one", "two")
    assert str(collection.members[0]) == "Painter, First, 1900"
    assert collection.net.styles == 3, "two paintings and the identity"
    gammas = collection.net.conv1.gamma
    assert not torch.equal(gammas[0], gammas[1])
    card = (material / "out/many.md").read_text()
    assert "| one | Painter, First, 1900 | `0.png` |" in card
    history = json.loads((material / "work/many/history.json").read_text())
    assert [i for i, _ in history["temporal"]] == [5, 6, 7, 8]


def test_a_painter_learns_paintings_and_any_picture_beside_them(material: Path, paintings: Path) -> None:
    settings = replace(SETTINGS, architecture="painter", free_share=0.5, identity_steps=2)
    path = collect(material, settings, free=[paintings], work="free")
    collection = load_collection(path)
    assert collection.names == ("one", "two") and collection.net.architecture == "painter"
    assert collection.encoder is not None
    rows = collection.net.rows()
    assert not torch.equal(rows[0], rows[1])
    assert len(collection.encoder.base) == rows.shape[1]
    again = load_collection(collect(material, replace(settings, iterations=1), free=[paintings], work="on", init=path))
    assert again.encoder is not None
    assert torch.equal(again.encoder.center, collection.encoder.center), "the encoder keeps what it has learned"


def test_minutes_end_a_training(material: Path, paintings: Path) -> None:
    collect(material, replace(SETTINGS, iterations=10**6, minutes=0.05, temporal_weight=0.0), work="short")
    history = json.loads((material / "short/many/history.json").read_text())["total"]
    assert 0 < len(history) < 10**6


def test_every_style_gets_its_turn() -> None:
    turns = [s for k in range(6) for s in styles_of(k, 2, 4, seed=1)]
    assert [sorted(turns[k : k + 4]) for k in (0, 4, 8)] == [[0, 1, 2, 3]] * 3


def test_a_collection_goes_on_from_a_style_or_a_collection(material: Path, paintings: Path) -> None:
    single = train(material)
    first = collect(material, work="first", init=single)
    collect(material, work="second", init=first)
    with pytest.raises(WeightsError, match="width 8"):
        collect(material, replace(SETTINGS, width=8), work="third", init=single)


def test_some_styles_of_a_collection_go_on_by_themselves(material: Path, paintings: Path) -> None:
    before = load_collection(collect(material, work="first")).net
    (material / "list.toml").write_text(LIST[LIST.index("[[style]]", 5) :])
    still = replace(SETTINGS, iterations=1, learning_rate=1e-12)
    after = load_collection(collect(material, still, work="second", init=material / "out/many.safetensors"))
    assert after.names == ("two",)
    assert torch.equal(after.net.up1.gamma[0], before.up1.gamma[1])
    assert torch.equal(after.net.out.weight, before.out.weight)
    (material / "list.toml").write_text(LIST.replace('"two"', '"2"') + '[[style]]\nname = "3"\nfile = "0.png"')
    with pytest.raises(WeightsError, match="has 1 styles"):
        collect(material, work="third", init=material / "out/many.safetensors")


def test_an_identity_that_the_trunk_left_behind_begins_anew(material: Path, paintings: Path) -> None:
    path = collect(material, replace(SETTINGS, identity_steps=60), work="first")
    known = load_collection(path)
    rgb = texture(48, 64)[None].float()
    identity = torch.eye(known.net.styles)[-1:]

    def error() -> float:
        return float((load_collection(path).net(rgb, identity) - rgb).square().mean())

    before = error()
    known.net.conv1.gamma[-1] *= 300  # as if the trunk's activations had another scale
    write_collection(path, known.net, known.members, known.metadata)
    lost = error()
    assert lost > 3 * before
    still = replace(SETTINGS, iterations=1, learning_rate=1e-12, identity_steps=60)
    collect(material, still, work="second", init=path)
    assert error() < 1.5 * before


def test_the_identity_learns_at_the_end(material: Path, paintings: Path) -> None:
    wide = replace(SETTINGS, width=12)
    first = load_collection(collect(material, replace(wide, identity_steps=1), work="short"))
    more = load_collection(collect(material, replace(wide, identity_steps=120), work="more"))
    photos = torch.stack([texture(40, 56, k).float() for k in range(3)])
    code = torch.eye(3)[2:].expand(3, -1)
    errors = [float((c.net(photos, code) - photos).square().mean()) for c in (first, more)]
    assert errors[1] < 0.9 * errors[0]
    mine, theirs = first.net.state_dict(), more.net.state_dict()
    assert torch.equal(mine["conv1.conv.weight"], theirs["conv1.conv.weight"])
    assert torch.equal(mine["up1.gamma"][:2], theirs["up1.gamma"][:2])


def test_a_narrow_network_learns_from_a_wide_one(material: Path, paintings: Path) -> None:
    wide = collect(material, replace(SETTINGS, width=8), work="wide")
    settings = replace(SETTINGS, iterations=40, warmup=40, temporal_weight=0.0)
    narrow = collect(material, settings, work="narrow", teacher=wide, out=material / "light")
    assert "with the teacher `many`" in narrow.with_suffix(".md").read_text()
    far = [v for _, v in json.loads((material / "narrow/many/history.json").read_text())["teacher"]]
    assert sum(far[-8:]) < 0.7 * sum(far[:8])
    with pytest.raises(WeightsError, match="other styles"):
        (material / "list.toml").write_text(LIST.replace("two", "second"))
        collect(material, settings, work="other", teacher=wide)


def test_a_style_is_added_and_the_others_stay(material: Path, paintings: Path) -> None:
    path = collect(material)
    before = load_collection(path)
    settings = replace(SETTINGS, iterations=6)

    def add(name: str, title: str = "Third", **options: object) -> Path:
        return add_style(
            paintings / "2.png", [material / "photos"], Member(name, title), path, work=material / "work",
            settings=settings, features=str(material / "vgg.safetensors"), **options,  # type: ignore[arg-type]
        )  # fmt: skip

    add("three")
    after = load_collection(path)
    assert after.names == ("one", "two", "three")
    old, new = before.net.state_dict(), after.net.state_dict()
    for key, value in old.items():
        if key.endswith(("gamma", "beta")):
            assert torch.equal(new[key][[0, 1, 3]], value), "the other styles, and the identity at the end"
        else:
            assert torch.equal(new[key], value)
    assert not torch.equal(new["conv1.gamma"][2], new["conv1.gamma"][0])
    assert "added to the frozen trunk" in path.with_suffix(".md").read_text()
    with pytest.raises(OutputError, match="already"):
        add("three")
    add("three", title="", overwrite=True, restart=True)
    assert load_collection(path).names == ("one", "two", "three")
    assert load_collection(path).members[2].title == "Third"
    card = path.with_suffix(".md").read_text()
    assert card.count("## three") == 1 and "trained again on the frozen trunk" in card


def test_a_style_is_added_to_a_copy_of_a_bundled_collection(
    material: Path, paintings: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    bundled = material / "bundled"
    bundled.mkdir()
    write_painter(bundled / "collection.safetensors")
    for module in ("style.checkpoints", "train.added_style"):
        monkeypatch.setattr(f"segnst.{module}.bundled_dir", lambda: bundled)
    monkeypatch.setenv("SEGNST_HOME", str(material / "home"))
    monkeypatch.setattr(pictures, "WIDTH", 64)
    before = (bundled / "collection.safetensors").read_bytes()

    def add(name: str, *more: str) -> tuple[int, str, str]:
        return run(
            "train", "style", paintings / "2.png", "--data", material / "photos", "--into", "collection", "-o", name,
            "--features", material / "vgg.safetensors", "--style-layers", "relu1_1,relu1_2", "--content-layer",
            "relu1_2", "--iterations", "3", "--batch", "1", "--crop", "64", "--style-size", "64", *more,
        )  # fmt: skip

    code, out, err = add("roses")
    assert code == 0, err
    copy = material / "home/collection.safetensors"
    assert out.strip() == str(copy)
    assert "its other 2 styles stay as they are" in err and "-s car=roses" in err
    assert "the same command resumes" in err
    assert (bundled / "collection.safetensors").read_bytes() == before, "the bundled one stays as it is"
    grown = load_collection(copy)
    assert grown.names == ("ink", "oil", "roses")
    assert grown.encoder is not None, "pictures can still be styles"
    assert {s.path for s in known_styles().values()} == {copy}, "one network for all, so that they share a pass"
    assert picture_collection() == copy
    code, _, err = add("lilies")
    assert code == 0, err
    assert load_collection(copy).names == ("ink", "oil", "roses", "lilies")
    write_painter(bundled / "collection.safetensors", width=6)
    assert known_styles()["ink"].path == bundled / "collection.safetensors", "a newer version is not replaced"
    assert known_styles()["roses"].path == copy
    code, _, err = add("tulips", "--into", "colection")
    assert code == 1 and "no collection 'colection'. Did you mean 'collection'" in err
    code, _, err = add("tulips", "--width", "8")
    assert code == 2 and "--width and --into cannot be combined" in err


def test_wrong_lists_are_named(material: Path, paintings: Path) -> None:
    assert [m.name for _, m, _ in read_paintings(paintings)] == ["0", "1", "2"]
    with pytest.raises(InputError, match="does not exist"):
        read_paintings(material / "none")
    for text, words in (
        ("x", "is not a list"),
        ('[[style]]\nname = "a"', "file is missing"),
        ('[[style]]\nname = "a"\nfile = "0.png"\ncolor = 1', "'color' is not known"),
        ('[[style]]\nname = "a"\nfile = "9.png"', r"9\.png"),
        ('[[style]]\nname = "a"\nfile = "0.png"\n' * 2, "twice"),
    ):
        (material / "wrong.toml").write_text(text)
        with pytest.raises(InputError, match=words):
            read_paintings(paintings, material / "wrong.toml")


@pytest.mark.slow
def test_two_processes_train_together(material: Path, paintings: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "segnst", "train",
        "collection", str(paintings), "--data", str(material / "photos"), "--list", str(material / "list.toml"),
        "--out", str(material / "out"), "--work", str(material / "work"),
        "--features", str(material / "vgg.safetensors"),
        "--style-layers", "relu1_1,relu1_2", "--iterations", "4", "--batch", "1", "--crop", "64", "--width", "4",
        "--style-size", "64", "--device", "cpu", "--content-layer", "relu1_2",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    assert load_collection(material / "out/collection.safetensors").names == ("one", "two")
