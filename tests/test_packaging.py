"""What `pip install .` installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from segnst.style.checkpoints import known_styles
from segnst.video.pictures import read_picture
from segnst.weights import bundled_dir

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_the_weights_and_their_cards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    names = zipfile.ZipFile(next(tmp_path.glob("segnst-*.whl"))).namelist()
    weights = sorted(p.name for p in (ROOT / "models").glob("*.safetensors"))
    assert weights
    for name in weights:
        assert f"segnst/models/{name}" in names
        assert f"segnst/models/{Path(name).stem}.md" in names
    paintings = sorted(p.name for p in (ROOT / "models/paintings").iterdir())
    assert {f"segnst/models/paintings/{name}" for name in paintings} <= set(names)
    assert "segnst/models/paintings.md" in names
    assert "segnst/py.typed" in names
    page = {p.name for p in (ROOT / "segnst/studio/static").iterdir()}
    assert page == {n.rpartition("/")[2] for n in names if n.startswith("segnst/studio/static/")}


def test_every_painting_of_the_bundled_styles_is_small_and_credited() -> None:
    credits = (ROOT / "models/paintings.md").read_text(encoding="utf-8")
    members = {s.name: s for s in known_styles().values() if s.collection and s.path.parent == bundled_dir()}
    paintings = sorted((ROOT / "models/paintings").iterdir())
    assert {p.stem for p in paintings} == {p.stem for p in paintings if p.stem in members}
    for name, style in members.items():
        assert style.painting in paintings, f"{name} has no painting"
        assert f"| {name} | {style.title.split(',')[0].replace('Leger', 'Léger')}" in credits
        assert style.painting.stat().st_size < 12_000
        assert 150 <= max(read_picture(style.painting).shape) <= 200


def test_every_bundled_style_has_a_card_that_states_its_terms() -> None:
    for path in (ROOT / "models").glob("*.safetensors"):
        card = path.with_suffix(".md")
        assert card.is_file(), f"{path.name} has no card"
        assert "erms" in card.read_text()
