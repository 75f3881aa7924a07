"""Puts the bundled weights and paintings of ``models/`` into the wheel; all else is in pyproject.toml."""

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
        shutil.copytree(Path("models") / "paintings", target / "paintings", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithModels})
