"""Puts the bundled weights of ``models/`` into the wheel as ``segnst/models``; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithModels(build_py):
    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / "segnst" / "models"
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(Path("models").iterdir()):
            if path.suffix in {".safetensors", ".md"}:
                shutil.copy2(path, target)


setup(cmdclass={"build_py": BuildWithModels})
