"""``segnst bench collection``: against networks of one style, and one pass against a pass for each style."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segnst.bench.artifacts import bubbles, grid, plain_pictures
from segnst.bench.clips import rendered_clips
from segnst.bench.samples import AsItIs
from segnst.bench.style_kept import guided_gram
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.losses import content_loss, gram, gram_loss, instance_normalized, moments
from segnst.pipeline import Pipeline, State
from segnst.plan import parse_plan
from segnst.segmentation.from_settings import load_segmenter
from segnst.style.collection import Collection
from segnst.style.stylizer import InCollection, PlanStylizer
from segnst.types import LayerMasks
from segnst.video.read import open_reader

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
CONTENT_LAYER = "relu2_2"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
CPU = torch.device("cpu")

Figures = dict[str, float]


@dataclass(frozen=True)
class Picture:
    """A photo to paint [1,3,H,W], and the soft masks [1,2,H,W] of a car and of the rest where they are known."""

    name: str
    rgb: Tensor
    masks: Tensor | None = None


def frames_of_clips(every: int = 40) -> list[Picture]:
    """Frames of the rendered clips, on which no style was trained, with the bundled segmenter's masks."""
    pictures = []
    plan = parse_plan(["car=source"])
    segmenter = load_segmenter("deeplab", CPU)
    pipeline = Pipeline(plan, AsItIs(), segmenter=segmenter)
    for path in rendered_clips():
        with open_reader(path) as reader:
            for number, clip in enumerate(reader):
                if number % every == every // 2:
                    styled, _ = pipeline.frame(clip.rgb, State())
                    masks = styled.masks.soft if styled.masks else None
                    pictures.append(Picture(f"{path.stem} {number}", clip.rgb, masks))
    return pictures


@dataclass(frozen=True)
class Alone:
    """A network that was trained for one style of the collection only; ``label`` is its name in tables."""

    style: str
    label: str
    net: nn.Module


class Judge:
    """Measures content, structure, style and strokes on a perceptual network (relative, segnst.perceptual.losses).

    Style compares Gram matrices, as the papers do. Strokes compare the features' covariance only, without their means
    (``moments``).
    """

    def __init__(self, encoder: Encoder, paintings: Mapping[str, Tensor]) -> None:
        encoder.check((*STYLE_LAYERS, CONTENT_LAYER))
        self.encoder = encoder
        with torch.inference_mode():
            features = {name: encoder(p, STYLE_LAYERS) for name, p in paintings.items()}
            self.targets = {name: {k: gram(f) for k, f in found.items()} for name, found in features.items()}
            self.strokes = {name: {k: moments(f)[1] for k, f in found.items()} for name, found in features.items()}

    @torch.inference_mode()
    def __call__(self, painted: Tensor, source: Tensor, style: str, mask: Tensor | None = None) -> Figures:
        """Losses of a painted picture, or of the part of it under a mask (guided Gram matrices, Gatys 2017)."""
        found = self.encoder(painted, (*STYLE_LAYERS, CONTENT_LAYER))
        wanted = self.encoder(source, (CONTENT_LAYER,))[CONTENT_LAYER]
        mine = found[CONTENT_LAYER]
        figures = {"content": float(content_loss(mine, wanted))}
        shapes = (instance_normalized(mine) - instance_normalized(wanted)).square().mean()
        figures["structure"] = float(shapes)
        for layer in STYLE_LAYERS:
            target = self.targets[style][layer]
            if mask is None:
                figures[f"style {layer}"] = float(gram_loss(found[layer], target))
                strokes, wanted = moments(found[layer])[1], self.strokes[style][layer]
                figures[f"strokes {layer}"] = float((strokes - wanted).square().mean() / wanted.square().mean())
                continue
            guided = guided_gram(found[layer], mask)
            if guided is not None:
                figures[f"style {layer}"] = float((guided - target).square().mean() / target.square().mean())
        return figures


def _mean(rows: Sequence[Figures]) -> Figures:
    keys = {k: None for row in rows for k in row}
    return {k: statistics.fmean(row[k] for row in rows if k in row) for k in keys}


def summed(figures: Figures) -> Figures:
    """Content, structure, style and strokes as one figure each."""
    return {
        "content": figures["content"],
        "structure": figures["structure"],
        "style": sum(v for k, v in figures.items() if k.startswith("style")),
        "strokes": sum(v for k, v in figures.items() if k.startswith("strokes")),
    }


Painter = Callable[[Tensor], Tensor]


def _painter(net: nn.Module | Collection, name: str = "") -> Painter:
    """A function that paints a picture in one style of a collection, or by a network of one style."""

    def paint(rgb: Tensor) -> Tensor:
        painted: Tensor
        painted = net.net(rgb, net.code({name: 1.0})[None]) if isinstance(net, Collection) else net(rgb)
        return painted.clamp(0, 1)

    return paint


def against_singles(
    collection: Collection, singles: Sequence[Alone], judge: Judge, pictures: Sequence[Picture]
) -> dict[str, Any]:
    """Losses of every style of a collection, and of the networks in ``singles`` that were trained for it alone."""
    result: dict[str, Any] = {}

    @torch.inference_mode()
    def losses(name: str, paint: Painter) -> Figures:
        return summed(_mean([judge(paint(p.rgb), p.rgb, name) for p in pictures]))

    for name in collection.names:
        mine = losses(name, _painter(collection, name))
        alone = {}
        for single in singles:
            if single.style == name:
                theirs = losses(name, _painter(single.net))
                ratio = {k: v / theirs[k] for k, v in mine.items()}
                alone[single.label] = {"losses": theirs, "ratio": ratio, **artifacts(_painter(single.net), pictures)}
        result[name] = {"losses": mine, **artifacts(_painter(collection, name), pictures), "alone": alone}
    return result


def one_pass_against_many(
    collection: Collection, judge: Judge, pictures: Sequence[Picture], pairs: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Losses inside each layer: one pass with per-layer statistics, against a whole-frame pass for each style."""
    one: dict[str, list[Figures]] = {"car": [], "background": []}
    many: dict[str, list[Figures]] = {"car": [], "background": []}
    for picture, pair in ((p, pair) for p in pictures if p.masks is not None for pair in pairs):
        plan = parse_plan([f"car={pair[0]}", f"background={pair[1]}"])
        masks = LayerMasks(picture.masks, plan.layers)  # type: ignore[arg-type]
        stylizer = PlanStylizer(plan, {n: InCollection(collection, n) for n in pair}, CPU)
        single_pass, _ = stylizer(picture.rgb, masks)
        passes = torch.cat([stylizer.paint(picture.rgb, name) for name in pair])
        composed = (passes * masks.soft[0][:, None]).sum(0, keepdim=True)
        for k, layer in enumerate(plan.layers):
            mask = masks.soft[:, k : k + 1]
            if float(mask.mean()) < 0.01:
                continue
            one[layer].append(judge(single_pass, picture.rgb, pair[k], mask))
            many[layer].append(judge(composed, picture.rgb, pair[k], mask))
    result: dict[str, Any] = {}
    for layer in one:
        a, b = _mean(one[layer]), _mean(many[layer])
        result[layer] = {"one pass": a, "a pass each": b, "ratio": {k: a[k] / b[k] for k in a}}
    return result


def time_of_styles(collection: Collection, size: tuple[int, int] = (360, 640), rounds: int = 15) -> dict[str, float]:
    """Seconds to stylize a frame in one style and in four (medians of interleaved runs), and their ratio."""
    names = collection.names[:4]
    rgb = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    columns = torch.arange(size[1]).expand(size[0], -1) * 4 // size[1]
    soft = torch.nn.functional.one_hot(columns, 4).permute(2, 0, 1)[None].float()
    soft = torch.nn.functional.avg_pool2d(soft, 9, 1, 4)
    four = parse_plan([f"r{k}={name}" for k, name in enumerate(names[:3])] + [f"background={names[3]}"])
    styles = {n: InCollection(collection, n) for n in names}
    runs = {
        "one style": (PlanStylizer(parse_plan([names[0]]), styles, CPU), None),
        "four styles": (PlanStylizer(four, styles, CPU), LayerMasks(soft / soft.sum(1, keepdim=True), four.layers)),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, (stylizer, masks) in runs.items():
            began = time.perf_counter()
            stylizer(rgb, masks)
            if turn:  # the first turn only warms up
                taken[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {**medians, "ratio": medians["four styles"] / medians["one style"]}


def strengths(collection: Collection, judge: Judge, picture: Picture) -> dict[str, list[float]]:
    """Content loss of every style at rising strength."""
    result = {}
    for name in collection.names:
        losses = []
        for strength in STRENGTHS:
            plan = parse_plan([f"{name}@{strength:g}"])
            stylizer = PlanStylizer(plan, {name: InCollection(collection, name)}, CPU)
            styled, _ = Pipeline(plan, stylizer).frame(picture.rgb, State())
            losses.append(judge(styled.rgb, picture.rgb, name)["content"])
        result[name] = losses
    return result


@torch.inference_mode()
def artifacts(paint: Painter, pictures: Sequence[Picture]) -> Figures:
    """Bubbles on plain and gradient pictures and on photos, and the strongest grid on the former."""
    plain = [(rgb, paint(rgb)) for _, rgb in plain_pictures()]
    return {
        "bubbles": sum(bubbles(rgb, out) for rgb, out in plain),
        "bubbles on photos": sum(bubbles(p.rgb, paint(p.rgb)) for p in pictures),
        "grid": max(grid(out) for _, out in plain),
    }


def measure(
    collection: Collection,
    judge: Judge,
    singles: Sequence[Alone],
    pictures: Sequence[Picture],
    pairs: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Everything that this benchmark measures, by section."""
    return {
        "collection": collection.path.stem,
        "sha256": collection.sha256,
        "width": collection.net.width,
        "encoder": judge.encoder.name,
        "pictures": len(pictures),
        "styles": against_singles(collection, singles, judge, pictures),
        "one_pass": one_pass_against_many(collection, judge, pictures, pairs),
        "strength": strengths(collection, judge, pictures[0]),
        "seconds": time_of_styles(collection),
    }


def _cells(losses: Figures, digits: int = 3) -> str:
    return " | ".join(f"{losses[k]:.{digits}f}" for k in ("content", "structure", "style", "strokes"))


def _spots(row: Figures) -> str:
    return f"{row['bubbles']} + {row['bubbles on photos']} | {row['grid']:.1f}"


def markdown(report: Mapping[str, Any]) -> str:
    """The report as tables."""
    lines = [f"# {report['collection']}", "", f"{report['pictures']} pictures; losses on {report['encoder']}.", ""]
    lines += ["| style | content | structure | style | strokes | bubbles | grid |", "|---|---|---|---|---|---|---|"]
    beside = []
    for name, row in report["styles"].items():
        lines.append(f"| {name} | {_cells(row['losses'])} | {_spots(row)} |")
        beside += [
            f"| {name} | {label} | {_cells(other['ratio'], 2)} | {_spots(other)} |"
            for label, other in row["alone"].items()
        ]
    if beside:
        lines += ["", "The collection's losses over those of a network of one style, and that network's artifacts:", ""]
        lines += ["| style | network | content | structure | style | strokes | its bubbles | its grid |"]
        lines += ["|---|---|---|---|---|---|---|---|", *beside]
    lines += ["", "One pass against a pass for each style, ratio of losses inside each layer:", ""]
    for layer, row in report["one_pass"].items():
        lines.append(f"- {layer}: " + ", ".join(f"{k} {v:.3f}" for k, v in row["ratio"].items()))
    speed = report["seconds"]
    lines += [
        "",
        f"Stylizing 640x360: one style {speed['one style']:.3f} s, four styles {speed['four styles']:.3f} s "
        f"(ratio {speed['ratio']:.2f}).",
        "",
        f"Content loss at strength {', '.join(f'{s:g}' for s in STRENGTHS)}:",
        "",
        *(f"- {name}: " + ", ".join(f"{v:.3f}" for v in values) for name, values in report["strength"].items()),
    ]
    return "\n".join(lines) + "\n"
