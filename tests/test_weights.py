"""Fetching from a real server on the loopback interface; reading good, damaged and malicious files."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from segnst.errors import WeightsError
from segnst.weights import fetch, find, read_tensors, write_tensors

BODY = b"weights" * 1000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path.startswith("/drip"):
            self.end_headers()
            with suppress(OSError):  # whoever fetches hangs up
                for _ in range(600):
                    self.wfile.write(b"x")
                    time.sleep(0.1)
            return
        length = {"/huge": 10**12, "/odd": "abc"}.get(self.path[:5].rstrip("."), len(BODY))
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path.startswith("/short") else BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_fetched_once_with_the_right_checksum(server: str) -> None:
    checksum = hashlib.sha256(BODY).hexdigest()
    path = fetch(f"{server}/net.pth", checksum[:8], quiet=True)
    assert path.read_bytes() == BODY
    assert fetch("http://127.0.0.1:9/net.pth", checksum[:8]) == path, "the second time nothing is downloaded"


def test_wrong_checksum_leaves_nothing(server: str) -> None:
    with pytest.raises(WeightsError, match="checksum"):
        fetch(f"{server}/net.pth", "00000000", quiet=True)
    assert find("net.pth") is None
    assert not list(Path(os.environ["SEGNST_HOME"]).iterdir())


def test_short_and_missing_files(server: str) -> None:
    for path, says in (("short.pth", "ended after|could not be downloaded"), ("gone.pth", "could not be downloaded")):
        with pytest.raises(WeightsError, match=says):
            fetch(f"{server}/{path}", hashlib.sha256(BODY).hexdigest(), quiet=True)


def test_downloads_end(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = hashlib.sha256(BODY).hexdigest()
    with pytest.raises(WeightsError, match="larger than 2048 MB"):
        fetch(f"{server}/huge.pth", checksum, quiet=True)
    assert fetch(f"{server}/odd.pth", checksum, quiet=True).read_bytes() == BODY
    monkeypatch.setattr("segnst.weights.MOST_SECONDS", 0.5)
    with pytest.raises(WeightsError, match="took more than"):
        fetch(f"{server}/drip.pth", checksum, quiet=True)
    monkeypatch.setattr("segnst.weights.MOST_BYTES", 100)
    with pytest.raises(WeightsError, match="larger than"):
        fetch(f"{server}/net.pth", checksum, quiet=True)
    assert [p.name for p in Path(os.environ["SEGNST_HOME"]).iterdir()] == ["odd.pth"]


def test_a_damaged_cached_file_is_named(server: str) -> None:
    path = fetch(f"{server}/net.pth", hashlib.sha256(BODY).hexdigest()[:8], quiet=True)
    path.write_bytes(b"x")
    with pytest.raises(WeightsError, match="damaged"):
        fetch(f"{server}/net.pth", hashlib.sha256(BODY).hexdigest()[:8])


def test_offline_asks_nobody(server: str) -> None:
    with pytest.raises(WeightsError, match="--offline"):
        fetch(f"{server}/net.pth", "aa", offline=True)


def test_tensors_survive_writing(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"w": torch.arange(3.0)}, {"style": "x"})
    tensors, metadata = read_tensors(tmp_path / "a.safetensors")
    assert tensors["w"].dtype == torch.float16
    assert tensors["w"].tolist() == [0, 1, 2]
    assert metadata == {"style": "x"}


def test_torch_checkpoints_with_a_nested_state(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "a.pth")
    tensors, metadata = read_tensors(tmp_path / "a.pth")
    assert tensors["w"].tolist() == [1, 1]
    assert metadata == {"epoch": "3"}


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("touch boom",))


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": _Bomb()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(_Bomb()))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(WeightsError, match="never run"):
            read_tensors(tmp_path / name)
    assert not (tmp_path / "boom").exists()


def test_broken_files_are_named(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.pth"):
        (tmp_path / name).write_bytes(b"\x00" * 100)
        with pytest.raises(WeightsError, match=name):
            read_tensors(tmp_path / name)
    with pytest.raises(WeightsError, match="does not exist"):
        read_tensors(tmp_path / "none.pth")
