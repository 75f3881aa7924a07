"""`segnst inspect` on the bundled clip."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import torch

from segnst.segmentation.from_settings import load_segmenter
from segnst.study.saliency import choose_class, grad_cam, gradient_map
from segnst.video.pictures import read_picture
from tests.conftest import Run

STREET = Path(__file__).parents[2] / "videos/street.mp4"


def test_a_page_shows_layers_channels_grams_and_saliency(run: Run, material: Path) -> None:
    code, _, err = run(
        "inspect", STREET, "-o", "page.html", "--features", material / "vgg.safetensors", "--max-size", "160",
        "--samples", "1", "--class", "car", "--layers", "relu1_1,relu2_1",
    )  # fmt: skip
    assert code == 0, err
    page = Path("page.html").read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == ["Saliency of car", "Layers", "Channels", "Gram matrices"]
    pictures = re.findall('base64,([^"]+)', page)
    assert len(pictures) == 4
    assert cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), 1).std() > 10
    assert "http" not in page, "the page needs nothing else"


def test_as_png_and_never_over_another(run: Run, material: Path) -> None:
    words = ["inspect", STREET, "-o", "page.png", "--features", material / "vgg.safetensors", "--max-size", "96",
             "--samples", "1"]  # fmt: skip
    assert run(*words)[0] == 0
    assert cv2.imread("page.png").shape[1] > 800
    code, _, err = run(*words)
    assert (code, "exists already" in err) == (1, True)


def test_saliency_lies_on_the_thing() -> None:
    rgb = read_picture(STREET, 256)
    segmenter = load_segmenter("deeplab:513", torch.device("cpu"))
    car = choose_class(segmenter, rgb, "car")
    with torch.no_grad():
        mask = segmenter(rgb)[0].argmax(1, keepdim=True) == car[0].index
    inside = torch.nn.functional.interpolate(mask.float(), rgb.shape[-2:], mode="area")
    for found in (gradient_map(segmenter, rgb, car), grad_cam(segmenter, rgb, car)):
        assert found.shape == (1, 1, *rgb.shape[-2:])
        share = float((found * inside).sum() / found.sum())
        assert share > 1.5 * float(inside.mean())


def test_unknown_classes_and_layers_are_suggested(run: Run, material: Path) -> None:
    words = ["inspect", STREET, "-o", "page.png", "--features", material / "vgg.safetensors", "--max-size", "96"]
    code, _, err = run(*words, "--class", "vehikle")
    assert (code, "Did you mean 'vehicle'" in err) == (2, True)
    code, _, err = run(*words, "--layers", "relu1_3")
    assert (code, "Did you mean 'relu1_" in err) == (2, True)


def test_every_edge_is_shown_enlarged(run: Run) -> None:
    code, out, err = run(
        "inspect", STREET, "--edges", "-s", "car=starry_night", "-o", "edges.png", "--max-size", "128", "--json"
    )  # fmt: skip
    assert code == 0, err
    strip = cv2.imread("edges.png")
    assert '"feather:16"' in out
    assert strip.shape[1] == 8 * (4 * 32 + 4)
    code, _, err = run("inspect", STREET, "--edges", "-s", "starry_night", "-o", "b.png", "--max-size", "128")
    assert (code, "name a region" in err) == (2, True)
