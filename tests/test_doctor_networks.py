"""`segnst doctor --networks` against a server on the loopback interface."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segnst import catalog
from segnst.doctor import examine_networks
from segnst.errors import UsageError
from segnst.weights import read_tensors, sha256
from tests.conftest import Run
from tests.loopback import serve

ALL = catalog.REMOTE


def _offer(monkeypatch: pytest.MonkeyPatch, name: str, file: Path, address: str) -> None:
    """Have segnst fetch these weights from the server instead."""
    offered = replace(next(w for w in ALL if w.name == name), url=f"{address}/{file.name}", checksum=sha256(file))
    monkeypatch.setattr(catalog, "REMOTE", (offered,))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEGNST_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def _raft(path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, path)
    return path


def test_a_network_that_answers_wrongly_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    file = _raft(tmp_path / "net.pth", raft_small(weights=None).state_dict())
    with serve(tmp_path) as address:
        _offer(monkeypatch, "raft_small", file, address)
        code, out, _ = run("doctor", "--networks", "--json")
    (finding,) = json.loads(out)
    assert code == 1
    assert (finding["what"], finding["state"]) == ("raft_small", "missing")
    assert "where -4, 0 is true" in finding["detail"]


def test_a_network_that_answers_rightly_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    tensors, _ = read_tensors(shared / "networks/raft_small.safetensors")
    file = _raft(tmp_path / "net.pth", {k: v.float() for k, v in tensors.items()})
    with serve(tmp_path) as address:
        _offer(monkeypatch, "raft_small", file, address)
        (finding,) = examine_networks(["raft_small"], quiet=True)
    assert finding.state == "ok", finding.detail


def test_what_cannot_be_fetched_or_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _raft(tmp_path / "net.pth", {"a": torch.zeros(1)})
    with serve(tmp_path) as address:
        for name in ("deeplabv3_mobilenet_v3_large", "vgg19", "mobile_sam", "fasterrcnn_mobilenet_v3_large_320_fpn"):
            (tmp_path / "SEGNST_HOME" / "net.pth").unlink(missing_ok=True)
            _offer(monkeypatch, name, file, address)
            (finding,) = examine_networks(quiet=True)
            assert (finding.what, finding.state) == (name, "missing"), finding
    _offer(monkeypatch, "vgg19", file, "http://127.0.0.1:9")
    (tmp_path / "SEGNST_HOME" / "net.pth").unlink(missing_ok=True)
    (finding,) = examine_networks(quiet=True)
    assert finding.state == "missing"
    assert "could not be downloaded" in finding.detail


def test_names_are_checked(run: Run) -> None:
    with pytest.raises(UsageError, match="Did you mean 'vgg19'"):
        list(examine_networks(["vgg18"]))
    code, _, err = run("doctor", "vgg19")
    assert code == 2
    assert "only with --networks" in err


def test_lists_say_what_was_never_run(run: Run) -> None:
    _, out, _ = run("models", "list", "--json")
    tried = {row["name"]: row["tried"] for row in json.loads(out)}
    assert tried["raft_small"] and tried["deeplab_street"]
    assert not tried["maskrcnn_resnet50_fpn_v2"]
    _, out, _ = run("models", "list")
    assert "never run with these weights" in out
