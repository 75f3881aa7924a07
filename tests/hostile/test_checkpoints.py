"""Checkpoints that are broken, hostile, or wrapped by what trained them."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segnst.catalog import REMOTE
from segnst.errors import PlanError, SegnstError, SegnstWarning, WeightsError
from segnst.perceptual.encoders import SMALL_FORMAT, load_encoder
from segnst.segmentation.networks.deeplab import ARCHITECTURE, read, save
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.segmentation.networks.mask_rcnn import read as read_mask_rcnn
from segnst.style.checkpoints import known_styles, load_style
from segnst.types import Region
from segnst.weights import read_tensors
from tests.hostile.make import collection, examples_state, raw_safetensors

quick = settings(derandomize=True, max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
# what stands in JSON where something else should
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [float("nan"), float("inf"), -1, 0, 10**19, 10**400, 1.5, "", "../../x", "\0", "abc", [], {}, [[[]]]]
    ),
    st.integers(),
    st.text(max_size=8),
)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.", "net."])
def test_what_wrappers_put_before_the_names_is_taken_away(tmp_path: Path, prefix: str) -> None:
    state = {prefix + k: v for k, v in examples_state().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth")
    torch.save(examples_state(), tmp_path / "plain.pth")
    found, plain = load_style(str(tmp_path / "a.pth")), load_style(str(tmp_path / "plain.pth"))
    photo = torch.rand(1, 3, 32, 32)
    assert torch.equal(found.net(photo), plain.net(photo))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", ["examples", "collection", "segmenter"])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float, kind: str) -> None:
    if kind == "examples":
        state = examples_state()
        state["conv2.conv2d.weight"][0, 0, 0, 0] = value
        torch.save(state, tmp_path / "a.pth")
        with pytest.raises(WeightsError, match=r"a\.pth: conv2\.conv2d\.weight holds numbers that are not finite"):
            load_style(str(tmp_path / "a.pth"))
        return
    if kind == "collection":
        tensors, metadata = read_tensors(collection(tmp_path / "a.safetensors"))
    else:
        regions = (Region(0, "other"), Region(1, "cup"))
        save(tmp_path / "a.safetensors", DeepLab(2, 8, 4, 4), regions, {})
        tensors, metadata = read_tensors(tmp_path / "a.safetensors")
    tensors[sorted(tensors)[0]].view(-1)[0] = value
    raw_safetensors(tmp_path / "a.safetensors", metadata, tensors)
    with pytest.raises(WeightsError, match="not finite"):
        load_style(f"{tmp_path}/a.safetensors:ink") if kind == "collection" else read(tmp_path / "a.safetensors")


def test_a_tensor_that_is_larger_than_its_file(tmp_path: Path) -> None:
    torch.save({"conv1.conv2d.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="larger than the file"):
        load_style(str(tmp_path / "a.pth"))


def test_keys_that_are_no_names_and_tables_of_other_kinds(tmp_path: Path) -> None:
    for k, state in enumerate(
        [
            {1: torch.zeros(2), (2, 3): torch.zeros(1)},
            {"a": torch.zeros(2, dtype=torch.complex64)},
            {"a": torch.eye(3).to_sparse()},
            {"state_dict": {}, "model": 3},
            [torch.zeros(2)],
        ]
    ):
        torch.save(state, tmp_path / f"{k}.pth")
        with pytest.raises(WeightsError, match=rf"{k}\.pth"):
            load_style(str(tmp_path / f"{k}.pth"))


def test_networks_are_not_built_before_their_sizes_are_known_to_be_true(tmp_path: Path) -> None:
    state = examples_state()
    state["conv1.conv2d.weight"] = torch.zeros(1000, 3, 9, 9)  # the layers behind would have 5 GB
    torch.save(state, tmp_path / "wide.pth")
    state = examples_state() | {f"res{k}.conv1.x": torch.zeros(1) for k in range(5000)}
    torch.save(state, tmp_path / "deep.pth")
    for name in ("wide", "deep"):
        with pytest.raises(WeightsError, match="cannot be loaded"):
            load_style(str(tmp_path / f"{name}.pth"))


def test_a_bad_file_at_home_is_named_and_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    bad = {
        "styles_str": {"format": "segnst-collection", "styles": '["a"]', "width": "1"},
        "styles_deep": {"format": "segnst-collection", "styles": "[" * 100_000, "width": "1"},
        "styles_path": {"format": "segnst-collection", "styles": '[{"name": "../../x"}]', "width": "1"},
        "width_abc": {"format": "segnst-johnson", "width": "abc"},
        "width_huge": {"format": "segnst-johnson", "width": "9" * 5000},
    }
    for name, metadata in bad.items():
        raw_safetensors(tmp_path / f"{name}.safetensors", metadata)
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    collection(tmp_path / "good.safetensors", ("ink_of_mine",))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        styles = known_styles()
    assert "ink_of_mine" in styles and "starry_night" in styles
    said = "\n".join(str(w.message) for w in caught if issubclass(w.category, SegnstWarning))
    for name in (*bad, "torn", "folder", "pipe"):
        assert f"{name}.safetensors are ignored" in said


@quick
@given(st.dictionaries(st.sampled_from(["classes", "width", "atrous", "detail", "x"]), odd), odd, odd, odd)
def test_a_segmenter_s_metadata(
    tmp_path_factory: pytest.TempPathFactory, sizes: Any, name: Any, index: Any, side: Any
) -> None:
    path = tmp_path_factory.mktemp("h") / "a.safetensors"
    classes = [{"index": 0, "name": "other", "aliases": []}, {"index": index, "name": name, "aliases": side}]
    for described in (json.dumps(classes), json.dumps(name), "[" * 50_000):
        facts = {"architecture": ARCHITECTURE, "settings": json.dumps(sizes), "classes": described}
        raw_safetensors(path, {**facts, "long_side": str(side)})
        with pytest.raises(SegnstError):
            read(path)
        raw_safetensors(path, {**facts, "architecture": "maskrcnn_small"})
        with pytest.raises(SegnstError):
            read_mask_rcnn(path)


@quick
@given(odd, st.dictionaries(st.text(max_size=6), odd, max_size=3), st.lists(st.integers(0, 12), max_size=5))
def test_a_style_s_metadata_and_shapes(
    tmp_path_factory: pytest.TempPathFactory, styles: Any, entry: Any, shape: list[int]
) -> None:
    path = tmp_path_factory.mktemp("h") / "a.safetensors"
    tensors = {name: torch.zeros(shape) for name in ("conv1.conv.weight", "conv2.conv.weight", "conv1.scale")}
    tensors |= {name: torch.zeros(shape) for name in ("res5.conv2.shift", "conv1.conv2d.weight", "up3.conv2d.weight")}
    for described in (json.dumps(styles), json.dumps([entry]), json.dumps([{"name": "x", **entry}])):
        for kind in ("segnst-collection", "segnst-johnson", ""):
            raw_safetensors(path, {"format": kind, "styles": described, "width": described[:9]}, tensors)
            with pytest.raises(SegnstError):
                load_style(f"{path}:x")
            with pytest.raises(SegnstError):
                load_style(str(path))


@quick
@given(st.binary(max_size=60), st.integers(0, 4000), st.integers(0, 255))
def test_bytes_that_are_changed_or_missing(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("h")
    torch.save(examples_state(2), folder / "a.pth")
    whole = (folder / "a.pth").read_bytes()
    at %= len(whole)
    for data in (junk, whole[:at], whole[:at] + bytes([byte]) + whole[at + 1 :], whole[:at] + junk + whole[at:]):
        for suffix in (".pth", ".safetensors"):
            (folder / f"b{suffix}").write_bytes(data)
            try:
                load_style(str(folder / f"b{suffix}"))
            except SegnstError as error:
                assert f"b{suffix}" in str(error)


@quick
@given(st.text(max_size=300))
def test_names_of_styles(name: str) -> None:
    try:
        load_style(name)
    except SegnstError as error:
        assert "\n" not in str(error) or "\n" in name


def test_perceptual_networks_that_do_not_fit(tmp_path: Path) -> None:
    for k, (metadata, names) in enumerate(
        [
            ({}, ["features.0.weight"]),
            ({"format": SMALL_FORMAT}, ["a.bias"]),
            ({}, ["conv0.weight", "conv11.weight"]),
            ({}, ["conv1.weight"]),
        ]
    ):
        raw_safetensors(tmp_path / f"{k}.safetensors", metadata, {name: torch.zeros(2) for name in names})
        with pytest.raises(SegnstError):
            load_encoder(tmp_path / f"{k}.safetensors")(torch.zeros(1, 3, 32, 32), ["relu1_1"])


def test_a_name_too_long_for_a_file(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a/" * 3000, "x" * 300 + ".pth", "~nobody_at_all/x.pth", "a\0b.pth"):
        with pytest.raises(SegnstError):
            load_style(name)
    with pytest.raises(PlanError, match="no style"):
        load_style("x" * 200)


def test_every_download_has_a_whole_checksum() -> None:
    for weights in REMOTE:
        assert len(weights.checksum) == 64 and set(weights.checksum) <= set("0123456789abcdef")
        tail = weights.url.rsplit("-", 1)[-1].removesuffix(".pth")
        assert len(tail) != 8 or weights.checksum.startswith(tail)
