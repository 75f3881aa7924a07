"""Pictures that were made once and may be wanted again, as files of limited number."""

from __future__ import annotations

from pathlib import Path

from segnst.files import write_bytes


class Cache:
    """Bytes by key in one folder. The files that were wanted least recently go when there are more than ``most``."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        folder.mkdir(parents=True, exist_ok=True)
        self._count = sum(1 for _ in folder.iterdir())

    def get(self, key: str) -> bytes | None:
        """What was put under a key, or None."""
        path = self.folder / key
        try:
            data = path.read_bytes()
            path.touch()
        except OSError:
            return None
        return data

    def put(self, key: str, data: bytes) -> bytes:
        """Keep bytes under a key, which must be a safe file name; returns them."""
        write_bytes(self.folder / key, data)
        self._count += 1
        if self._count > self.most + self.most // 10:
            files = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in files[: len(files) - self.most]:
                path.unlink(missing_ok=True)
            self._count = self.most
        return data
