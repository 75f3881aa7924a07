"""The hostile inputs of shared/, where it lies beside the project: read, or refused by an error of segnst's own."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import torch

from segnst.config import read_plan_file
from segnst.errors import SegnstError
from segnst.segmentation.files import open_masks
from segnst.style.checkpoints import known_styles, load_style


def _first_mask(path: Path) -> None:
    open_masks(path)(torch.zeros(1, 3, 64, 96))


def _at_home(path: Path) -> None:
    with pytest.warns(match=f"{path.name} are ignored"):
        assert "starry_night" in known_styles()


CHECKS = {
    ".json": _first_mask,
    ".png": _first_mask,
    ".toml": read_plan_file,
    ".pth": lambda path: load_style(str(path)),
    ".safetensors": _at_home,
}


def test_hostile_inputs(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    folder = shared / "trials/hostile"
    if not folder.is_dir():
        pytest.skip("shared/trials is not here")
    for path in sorted(folder.iterdir()):
        here = Path(shutil.copy(path, tmp_path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                CHECKS[path.suffix](here)
            except SegnstError as error:
                assert len(str(error).splitlines()) == 1, path.name
        here.unlink()
