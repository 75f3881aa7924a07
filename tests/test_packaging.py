"""What `pip install .` installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
    assert "segnst/py.typed" in names


def test_every_bundled_style_has_a_card_that_states_its_terms() -> None:
    for path in (ROOT / "models").glob("*.safetensors"):
        card = path.with_suffix(".md")
        assert card.is_file(), f"{path.name} has no card"
        assert "erms" in card.read_text()
