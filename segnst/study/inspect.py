"""``segnst inspect``: a page that shows what the networks respond to in a picture."""

from __future__ import annotations

import base64
import html
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.assembly import memory_advice
from segnst.device import choose_device
from segnst.errors import OutputError
from segnst.files import write_text
from segnst.jobs.events import Context, JobReport
from segnst.jobs.optimize import load_features
from segnst.jobs.outputs import folder_for
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.losses import gram
from segnst.perceptual.objective import STYLE_LAYERS
from segnst.pixels import from_bytes
from segnst.segmentation.base import AnySegmenter
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.wrappers.two_looks import CloserSegmenter
from segnst.sheet import write_sheet
from segnst.study.saliency import choose_class, grad_cam, gradient_map, smooth_grad
from segnst.study.settings import InspectSettings
from segnst.video.paths import check_output
from segnst.video.pictures import read_picture, write_picture

Row = list[tuple[str, Tensor]]
GRAM_CHANNELS = 64  # only those with the most energy are drawn


@dataclass(frozen=True)
class Section:
    """Rows of titled pictures [3,H,W] under a heading, with a sentence that says what they are."""

    heading: str
    text: str
    rows: list[Row]


def heat(values: Tensor, rgb: Tensor | None = None, top: float = 0.995) -> Tensor:
    """Values [h,w] of 0 or more as colors [3,h,w], brightest from the quantile ``top`` on; over ``rgb`` if given."""
    high = float(values.float().flatten().quantile(top)) if values.numel() < 1 << 24 else float(values.max())
    scaled = (values.float() / max(high, 1e-12)).clamp(0, 1)
    bgr = cv2.applyColorMap((scaled.cpu().numpy() * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    colors = from_bytes(bgr[..., ::-1])
    if rgb is None:
        return colors
    gray = rgb.cpu().mean(0, keepdim=True).expand(3, -1, -1)
    weight = scaled.cpu()[None].sqrt()
    return (1 - weight) * 0.6 * gray + weight * colors


def _enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """[h,w] -> [H,W] with visible cells."""
    return F.interpolate(values[None, None], size, mode="nearest")[0, 0]


def feature_sections(encoder: Encoder, rgb: Tensor, layers: Sequence[str], channels: int) -> list[Section]:
    """Sections that draw the energy of each layer, its channels that vary most, and its Gram matrix."""
    size = (rgb.shape[-2], rgb.shape[-1])
    with torch.no_grad():
        features = encoder(rgb, layers)
    energy = [(n, heat(_enlarged(features[n][0].square().mean(0).sqrt(), size))) for n in layers]
    rows: list[Row] = []
    for name in layers:
        f = features[name][0]
        # Some channels respond to nothing but the zero padding beyond the border.
        inner = f[:, 2:-2, 2:-2] if min(f.shape[-2:]) > 8 else f
        best = inner.flatten(1).std(1).argsort(descending=True)[:channels].tolist()
        rows.append([(f"{name} #{c}", heat(_enlarged(f[c], size))) for c in best])
    grams = []
    for name in layers:
        matrix = gram(features[name])[0]
        strongest = matrix.diagonal().argsort(descending=True)[:GRAM_CHANNELS]
        part = matrix[strongest][:, strongest]
        unit = part / (part.diagonal().clamp_min(1e-9).sqrt()[:, None] * part.diagonal().clamp_min(1e-9).sqrt())
        side = 256 // len(part) * len(part) if len(part) <= 256 else len(part)
        grams.append((f"{name}: {len(part)} of {len(matrix)}", heat(_enlarged(unit, (side, side)), top=1.0)))
    return [
        Section("Layers", "Root mean square over the channels at each position: where a layer responds.",
                [[("picture", rgb[0].cpu()), *energy]]),
        Section("Channels", "The channels that vary most over the picture; bright is a strong response.", rows),
        Section("Gram matrices", "How strongly two channels respond at the same positions (bright: always together), "
                "strongest channels first. Style is matched by these figures, which hold no positions.", [grams]),
    ]  # fmt: skip


def saliency_section(
    segmenter: AnySegmenter, rgb: Tensor, name: str | None, samples: int, check: Callable[[], None] = lambda: None
) -> Section:
    """Gradient, SmoothGrad and Grad-CAM of a class; ``check`` is called between the samples."""
    regions = choose_class(segmenter, rgb, name)
    called = name or regions[0].name
    with torch.no_grad():
        found = segmenter(rgb, None)[0][:, [r.index for r in regions]].sum(1)
    mask = F.interpolate(found[None], rgb.shape[-2:], mode="bilinear", align_corners=True)[0, 0]
    picture = rgb[0]
    row: Row = [
        ("picture", picture.cpu()),
        (f"probability of {called}", heat(mask, picture, 1.0)),
        ("gradient", heat(gradient_map(segmenter, rgb, regions)[0, 0])),
        (f"SmoothGrad, {samples} samples", heat(smooth_grad(segmenter, rgb, regions, samples, check=check)[0, 0])),
        ("Grad-CAM", heat(grad_cam(segmenter, rgb, regions)[0, 0], picture, 1.0)),
    ]
    text = (
        f"What the answer '{called}' of the segmenter {segmenter.name} depends on: pixels whose change would change it "
        "most (gradient; SmoothGrad is its mean over noisy copies), and where its last features support the class "
        "(Grad-CAM)."
    )
    return Section(f"Saliency of {called}", text, [row])


def _png(rows: Sequence[Row], width: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="segnst-page-") as folder:
        return write_sheet(Path(folder) / "page.png", rows, width=width).read_bytes()


def _title(section: Section, width: int) -> Tensor:
    """Heading and text over the whole width, [3,h,W]."""
    lines = textwrap.wrap(section.text, max(20, width // 8))
    canvas = np.full((38 + 20 * len(lines), width, 3), 245, np.uint8)
    cv2.putText(canvas, section.heading, (4, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 20), 2, cv2.LINE_AA)
    for k, line in enumerate(lines):
        cv2.putText(canvas, line, (4, 48 + 20 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return from_bytes(canvas[..., ::-1])


def write_page(out: Path, title: str, sections: Sequence[Section], width: int) -> None:
    """Write the sections as one PNG, or as an HTML page that contains its pictures. Raises OutputError."""
    if out.suffix.lower() == ".html":
        parts = []
        for section in sections:
            data = base64.b64encode(_png(section.rows, width)).decode()
            parts.append(
                f"<h2>{html.escape(section.heading)}</h2><p>{html.escape(section.text)}</p>"
                f'<img alt="{html.escape(section.heading)}" src="data:image/png;base64,{data}">'
            )
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(title)}</title><style>body{{font:16px/1.5 sans-serif;max-width:1400px;"
            "margin:2em auto;padding:0 1em;color:#222;background:#fff}img{max-width:100%;height:auto}</style>"
            f"<h1>{html.escape(title)}</h1>{''.join(parts)}</html>"
        )
        write_text(out, page)
        return
    pictures = []
    for section in sections:
        pixels = cv2.imdecode(np.frombuffer(_png(section.rows, width), np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        pictures.append((section, from_bytes(pixels[..., ::-1])))
    whole = max(p.shape[-1] for _, p in pictures)
    blocks = []
    for section, picture in pictures:
        blocks += [_title(section, whole), F.pad(picture, (0, whole - picture.shape[-1]), value=1.0)]
    write_picture(out, torch.cat(blocks, 1))


def check_page(output: str | Path | None, path: Path, overwrite: bool) -> Path:
    """The checked path of the page; only the default's folder may be missing. Raises OutputError."""
    out = Path("results") / f"{path.stem}_inspect.png" if output is None else Path(output)
    if out.suffix.lower() not in (".png", ".html"):
        raise OutputError(f"{out} should end in .png or .html.")
    if output is None and not out.parent.exists():
        return out
    if out.suffix.lower() == ".png":
        check_output(out, path, overwrite=overwrite)
    elif out.exists() and not overwrite:
        raise OutputError(f"{out} exists already; choose another name or allow --overwrite.")
    elif not out.parent.is_dir():
        raise OutputError(f"The folder {out.parent} for the output does not exist; create it first.")
    return out


@dataclass
class InspectReport(JobReport):
    """What is on the page."""

    output: Path
    features: str
    layers: list[str]
    segmenter: str
    sections: list[str]
    warnings: list[str]


def inspect_file(
    input: str | Path,
    output: str | Path | None,
    settings: InspectSettings,
    *,
    overwrite: bool = False,
    context: Context | None = None,
) -> InspectReport:
    """Write the page (PNG or HTML), by default ``results/<stem>_inspect.png``.

    Raises UsageError, PlanError, InputError, OutputError, WeightsError, Cancelled.
    """
    context = context or Context()
    path = Path(input)
    out = check_page(output, path, overwrite)
    where = choose_device(settings.device)
    context.stage("open the input")
    rgb = read_picture(path, settings.max_size, "input").to(where)
    with context.loading() as said:
        encoder = load_features(settings.features, offline=settings.offline, device=where)
        names = settings.layers or tuple(n for n in STYLE_LAYERS if n in encoder.layers)
        encoder.check(names)
        encoder.check_size((rgb.shape[-2], rgb.shape[-1]), names)
        network = load_segmenter(settings.segmenter, where, offline=settings.offline)
    if isinstance(network, CloserSegmenter):
        network = network.first  # saliency is of the pass over the frame at its normal size alone
    with memory_advice(f"{rgb.shape[-1]}x{rgb.shape[-2]}"):
        context.stage("saliency")
        sections = [saliency_section(network, rgb, settings.region, settings.samples, context.check)]
        context.stage("features")
        sections += feature_sections(encoder, rgb, names, settings.channels)
        context.stage("draw the page")
        with folder_for(out):
            write_page(out, f"{path.name}, seen by {encoder.name} and {network.name}", sections, 240)
    return InspectReport(out, encoder.name, list(names), network.name, [s.heading for s in sections], said)
