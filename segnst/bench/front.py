"""``segnst bench front``: how close methods come to the best trade-off (the Pareto front) between content and style.

Every method trades one for the other. ``J = content + 30 style`` weighs the two. The J that optimizing the picture
itself reaches in a given number of steps (Gatys 2016, CVPR) shows how much a network could still gain.

content  mean square difference of VGG19's relu3_3 features of the painted and the source frame, divided by the mean
         square of the source's (Johnson 2016, eq. 2)
style    mean square difference of the Gram matrices of the painted frame and the painting, divided by the mean square
         of the painting's (Gatys 2016, eq. 4); mean over VGG19's relu1_1, relu2_1, relu3_1, relu3_4 and a second
         encoder's relu4_1

Frames and paintings are ``WIDTH`` px wide; a painted frame is clamped to [0,1] before it is measured.
"""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.bench.clips import videos_dir
from segnst.errors import InputError, UsageError
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.losses import content_loss, gram, gram_loss
from segnst.video.pictures import read_picture
from segnst.video.read import open_reader

WIDTH = 448  # px of frames and paintings
STYLE_WEIGHT = 30.0
CONTENT_LAYER = "relu3_3"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
DEEP_LAYER = "relu4_1"
LEAST_HEIGHT = 16  # px: the height that leaves two positions in the deepest layer
DEFAULT_FRAMES = (("street.mp4", 20), ("walkaround.mp4", 20), ("cuts.mp4", 20))  # no network was trained on them

Row = dict[str, Any]
Report = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A frame or a painting: RGB [1,3,H,WIDTH] in [0,1]."""

    name: str
    rgb: Tensor


def to_width(rgb: Tensor, width: int = WIDTH) -> Tensor:
    """[1,3,H,W] scaled to ``width`` px, bilinear and antialiased."""
    size = (max(1, round(rgb.shape[2] * width / rgb.shape[3])), width)
    return F.interpolate(rgb, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _split(text: str) -> tuple[Path, int | None]:
    file, at, number = text.rpartition("@")
    if at and number.isdecimal() and not Path(text).is_file():
        return Path(file).expanduser(), int(number)
    return Path(text).expanduser(), None


def read_frame(text: str) -> Picture:
    """``FILE`` (a still, or the first frame of a video) or ``FILE@N`` (frame N of a video, counted from 0).

    The name is the file's stem, followed by ``_N`` where N is given. Raises InputError.
    """
    path, number = _split(text)
    if number is None:
        return Picture(path.stem, to_width(read_picture(path, what="frame")))
    if not path.exists():
        read_picture(path, what="frame")  # raises the error for a missing file, which suggests similar names
    with open_reader(path, threaded=False) as reader:
        for count, clip in enumerate(reader):
            if count == number:
                return Picture(f"{path.stem}_{number}", to_width(clip.rgb))
    raise InputError(f"{path} has {count + 1} frames, so there is no frame {number} (they count from 0).")


def read_frames(texts: Sequence[str]) -> list[Picture]:
    """The named frames, or one from each of three rendered clips where none is named.

    Raises InputError, UsageError for two frames of the same name.
    """
    if not texts:
        folder = videos_dir()
        if not all((folder / name).is_file() for name, _ in DEFAULT_FRAMES):
            raise InputError(
                f"The rendered clips are not in {folder} (only a checkout has them). Name frames: --frame."
            )
        texts = [f"{folder / name}@{number}" for name, number in DEFAULT_FRAMES]
    frames = [read_frame(text) for text in texts]
    refuse_twice([f.name for f in frames], "frames")
    return frames


def refuse_twice(names: Sequence[str], what: str) -> None:
    """Raise UsageError where a name occurs twice."""
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Two {what} are called '{name}'; give them different names.")


@dataclass(frozen=True)
class Losses:
    """Content and style of a painted frame."""

    content: float
    style: float

    @property
    def total(self) -> float:
        """J = content + ``STYLE_WEIGHT`` · style."""
        return self.content + STYLE_WEIGHT * self.style


class Yardstick:
    """Measures painted frames by the features of the sources and the Gram matrices of the paintings.

    encoder  VGG19; deep  the encoder for ``DEEP_LAYER``. Raises UsageError where one lacks its layers, InputError for
    a picture whose height is too small for them.
    """

    def __init__(
        self, encoder: Encoder, deep: Encoder, frames: Sequence[Picture], paintings: Sequence[Picture]
    ) -> None:
        encoder.check((CONTENT_LAYER, *STYLE_LAYERS))
        deep.check((DEEP_LAYER,))
        for picture in (*frames, *paintings):
            if picture.rgb.shape[-2] < LEAST_HEIGHT:
                raise InputError(
                    f"'{picture.name}' is {picture.rgb.shape[-2]} px high at a width of {WIDTH} px; the layers need "
                    f"{LEAST_HEIGHT} px. Give another picture or crop it."
                )
        self.encoder, self.deep = encoder, deep
        with torch.no_grad():
            self.sources = {f.name: encoder(f.rgb, (CONTENT_LAYER,))[CONTENT_LAYER] for f in frames}
            self.targets = {p.name: {k: gram(f) for k, f in self._styled(p.rgb).items()} for p in paintings}

    def _styled(self, rgb: Tensor, more: Iterable[str] = ()) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.encoder(rgb, (*STYLE_LAYERS, *more))
        found |= self.deep(rgb, (DEEP_LAYER,))
        return found

    def losses(self, painted: Tensor, frame: str, painting: str) -> tuple[Tensor, Tensor]:
        """Content and style of a painted frame [1,3,H,W] as scalars with a gradient."""
        found = self._styled(painted, (CONTENT_LAYER,))
        content = content_loss(found[CONTENT_LAYER], self.sources[frame])
        targets = self.targets[painting]
        return content, torch.stack([gram_loss(found[layer], targets[layer]) for layer in targets]).mean()

    @torch.no_grad()
    def __call__(self, painted: Tensor, frame: str, painting: str) -> Losses:
        """The same as numbers, for the picture clamped to [0,1] as a file would hold it."""
        content, style = self.losses(painted.clamp(0, 1), frame, painting)
        return Losses(float(content), float(style))


class Method(ABC):
    """Something that paints frames after paintings.

    names      the names of its rows in tables
    paintings  the names of the paintings that it can paint after
    beside     the method with trained rows that this one, which learns no painting, is compared with
    """

    names: tuple[str, ...]
    paintings: tuple[str, ...]
    beside: str | None = None

    @abstractmethod
    def paint(self, frame: Picture, painting: Picture) -> dict[str, Tensor]:
        """{row: painted frame [1,3,H,W]}, one for each of ``names``. Raises InputError."""


Keep = Callable[[str, str, str, Tensor], None]  # painting, frame, row, painted


def measure(
    methods: Sequence[Method],
    yardstick: Yardstick,
    frames: Sequence[Picture],
    paintings: Sequence[Picture],
    *,
    keep: Keep | None = None,
    tell: Callable[[Row], None] | None = None,
) -> Report:
    """Measure every method on every painting that it can paint after; figures are means over frames.

    keep  is called with every painted frame
    tell  is called with every row as soon as it is known

    Raises UsageError, InputError.
    """
    refuse_twice([name for m in methods for name in m.names], "methods")
    if not methods:
        raise UsageError(
            "There is nothing to measure: give --collection, --checkpoint, --lbfgs or --painted, or several of them."
        )
    rows: list[Row] = []
    for painting in paintings:
        for method in (m for m in methods if painting.name in m.paintings):
            found: dict[str, list[Losses]] = {name: [] for name in method.names}
            for frame in frames:
                for name, painted in method.paint(frame, painting).items():
                    found[name].append(yardstick(painted, frame.name, painting.name))
                    if keep:
                        keep(painting.name, frame.name, name, painted)
            for name, losses in found.items():
                content, style = (
                    statistics.fmean(x) for x in zip(*((v.content, v.style) for v in losses), strict=True)
                )
                row = {"method": name, "painting": painting.name, **_figures(content, style)}
                row["frames"] = {f.name: _figures(v.content, v.style) for f, v in zip(frames, losses, strict=True)}
                rows.append(row)
                if tell:
                    tell(row)
    return {
        "width": WIDTH,
        "style_weight": STYLE_WEIGHT,
        "encoders": [yardstick.encoder.name, yardstick.deep.name],
        "frames": [f.name for f in frames],
        "rows": rows,
        **_means(rows, [name for m in methods for name in m.names]),
        "beside": _beside(rows, [(m.beside, name) for m in methods if m.beside for name in m.names]),
    }


def _beside(rows: Sequence[Row], pairs: Sequence[tuple[str, str]]) -> list[Row]:
    """J of methods that learn no painting, next to those of trained rows for the same paintings, and their ratios."""
    known = {(row["method"], row["painting"]): row["J"] for row in rows}
    found = []
    for trained, method in pairs:
        shared = [p for m, p in known if m == method and (trained, p) in known]
        each = [
            {"painting": p, "trained": known[trained, p], "J": known[method, p],
             "ratio": known[method, p] / known[trained, p]}
            for p in shared
        ]  # fmt: skip
        if each:
            sums = [sum(row[key] for row in each) for key in ("J", "trained")]
            found.append({"method": method, "beside": trained, "each": each, "ratio": sums[0] / sums[1]})
    return found


def _figures(content: float, style: float) -> dict[str, float]:
    return {"content": content, "style": style, "J": content + STYLE_WEIGHT * style}


def _mean(rows: Sequence[Row]) -> dict[str, float]:
    content, style = (statistics.fmean(row[key] for row in rows) for key in ("content", "style"))
    return {"paintings": len(rows), **_figures(content, style)}


def _means(rows: Sequence[Row], names: Sequence[str]) -> Report:
    """Means of each method over all its paintings, and over the paintings that all methods have."""
    by_method = {name: [row for row in rows if row["method"] == name] for name in names}
    by_method = {name: found for name, found in by_method.items() if found}
    common = set.intersection(*({row["painting"] for row in found} for found in by_method.values()))
    shared = {name: [row for row in found if row["painting"] in common] for name, found in by_method.items()}
    return {
        "means": {name: _mean(found) for name, found in by_method.items()},
        "common": list(dict.fromkeys(row["painting"] for row in rows if row["painting"] in common)),
        "common_means": {name: _mean(found) for name, found in shared.items() if found},
    }


def _line(*cells: str, figures: Mapping[str, float]) -> str:
    numbers = (f"{figures['content']:.3f}", f"{figures['style']:.4f}", f"{figures['J']:.2f}")
    return "| " + " | ".join((*cells, *numbers)) + " |"


def markdown(report: Report) -> str:
    """The report as tables."""
    lines = [
        "# The front between content and style",
        "",
        f"Means over the frames {', '.join(report['frames'])}, {report['width']} px wide; encoders: "
        f"{', '.join(report['encoders'])}. J = content + {report['style_weight']:g} style; lower is better in all "
        "three columns.",
        "",
        "| painting | method | content | style | J |",
        "|---|---|---|---|---|",
        *(_line(row["painting"], row["method"], figures=row) for row in report["rows"]),
    ]
    sections = [("Means over the paintings of each method", report["means"])]
    if report["common_means"] != report["means"] and report["common"]:
        what = f"Means over the paintings that all methods have ({', '.join(report['common'])})"
        sections.append((what, report["common_means"]))
    for title, means in sections:
        lines += ["", f"{title}:", "", "| method | paintings | content | style | J |", "|---|---|---|---|---|"]
        lines += [_line(name, str(mean["paintings"]), figures=mean) for name, mean in means.items()]
    for found in report["beside"]:
        lines += [
            "",
            f"{found['method']} beside the trained rows of {found['beside']}; the ratio of the mean J is "
            f"{found['ratio']:.2f}:",
            "",
            "| painting | J, trained row | J, any picture | ratio |",
            "|---|---|---|---|",
            *(f"| {r['painting']} | {r['trained']:.2f} | {r['J']:.2f} | {r['ratio']:.2f} |" for r in found["each"]),
        ]
    return "\n".join(lines) + "\n"
