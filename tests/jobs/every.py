"""A small real task for every job; the contract tests run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from segnst.config import Settings
from segnst.jobs.batch import segment_files, style_files
from segnst.jobs.optimize import optimize_file
from segnst.jobs.optimize_film import FilmOptions
from segnst.jobs.optimize_settings import OptimizeOptions
from segnst.jobs.preview import preview_sheet, survey
from segnst.jobs.segment import segment_file
from segnst.jobs.segment_objects import detect_file
from segnst.jobs.segment_settings import DetectSettings, SegmentSettings
from segnst.jobs.style import style_file
from segnst.study.compare import compare_files
from segnst.study.edges import edges_file
from segnst.study.inspect import inspect_file
from segnst.study.reconstruct import reconstruct_file
from segnst.study.settings import CompareOptions, InspectSettings, ReconstructSettings
from segnst.study.sweep import Sweep, optimize_sweep
from segnst.style.optimization_settings import OptimizeSettings
from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors

STREET = Path(__file__).parents[2] / "videos/street.mp4"
Command = Callable[[Path], list[str | Path]]


@dataclass(frozen=True)
class Task:
    """A job with its input and settings, and the command line that does the same.

    output   a name for the output;  default  whether the job chooses a name itself if none is given
    keeps    whether what was complete stays when the job is cancelled, because it makes several outputs
    command  the arguments of the command line, without the output
    """

    job: Callable[..., Any]
    input: Callable[[Path], Any]
    settings: Callable[[Path], Any]
    output: str
    command: Command
    more: dict[str, Any] = field(default_factory=dict)
    default: bool = True
    keeps: bool = False

    def __call__(self, material: Path, output: str | Path | None, **context: Any) -> Any:
        return self.job(self.input(material), output, self.settings(material), **self.more, **context)


def tiny_style(folder: Path) -> Path:
    """A transformer network of four channels."""
    path = folder / "tiny.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        write_tensors(path, TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson", "style": "tiny"})
    return path


def _style(material: Path) -> Settings:
    return Settings(styles=(str(tiny_style(material)),), device="cpu")


def _optimize(material: Path) -> OptimizeOptions:
    return OptimizeOptions(
        paintings=(str(material / "red.png"),),
        settings=OptimizeSettings(steps=4),
        features=str(material / "vgg.safetensors"),
        device="cpu",
    )


def _compare(material: Path) -> CompareOptions:
    return CompareOptions(
        painting=material / "red.png", methods=("adam", str(tiny_style(material))), steps=4,
        features=str(material / "vgg.safetensors"), clip=material / "clip.mp4", clip_frames=3, clip_steps=4,
        clip_size=64, device="cpu", offline=True,
    )  # fmt: skip


def _features(material: Path) -> list[str | Path]:
    return ["--features", material / "vgg.safetensors", "--device", "cpu"]


def _paint(content: str, *more: str) -> Command:
    return lambda m: ["optimize", m / content, m / "red.png", "--steps", "4", *_features(m), *more]


def _styling(*more: str) -> Command:
    return lambda m: ["style", m / "clip.mp4", "-s", tiny_style(m), "--device", "cpu", *more]


def _clip(material: Path) -> Path:
    return material / "clip.mp4"


def _photo(material: Path) -> Path:
    return material / "photo.png"


TASKS = {
    "style": Task(style_file, _clip, _style, "o.mp4", _styling()),
    "style with a sheet": Task(
        style_file, _clip, _style, "o.mp4", _styling("--sheet", "s.png"), {"sheet": Path("s.png")}
    ),
    "style with layers": Task(
        style_file, _clip, _style, "o.mp4", _styling("--layers", "x.mkv"), {"layers": Path("x.mkv")}
    ),
    "batch": Task(
        style_files, lambda m: [m / "clip.mp4", m / "photo.png"], _style, "out",
        lambda m: ["style", m / "clip.mp4", m / "photo.png", "-s", tiny_style(m), "--device", "cpu"], keeps=True,
    ),
    "segment several": Task(
        segment_files, lambda m: [m / "clip.mp4", m / "photo.png"],
        lambda m: SegmentSettings(Settings(segmenter="kmeans:2", device="cpu")), "masks",
        lambda m: ["segment", m / "clip.mp4", m / "photo.png", "--segmenter", "kmeans:2", "--device", "cpu"],
        default=False, keeps=True,
    ),
    "dry run": Task(survey, _clip, _style, "o.mp4", _styling("--dry-run")),
    "preview": Task(preview_sheet, _clip, _style, "o.png", _styling("--preview", "2"), {"count": 2}),
    "segment": Task(
        segment_file, _clip,
        lambda m: SegmentSettings(
            Settings(segmenter="kmeans:3", device="cpu"), ("indexed", "overlay", "alpha"), "kmeans:2"
        ),
        "deep/masks",
        lambda m: ["segment", m / "clip.mp4", "--segmenter", "kmeans:3", "--device", "cpu", "--check", "kmeans:2",
                   "--format", "indexed", "--format", "overlay", "--format", "alpha"],
        default=False,
    ),
    "follow": Task(
        segment_file, _clip, lambda m: SegmentSettings(Settings(box=("cup:8,8,30,30",), device="cpu")), "masks",
        lambda m: ["segment", m / "clip.mp4", "--box", "cup:8,8,30,30", "--device", "cpu"], default=False,
    ),
    "detect": Task(
        detect_file, lambda m: STREET, lambda m: DetectSettings(("car",), end=0.1, max_size=160, offline=True), "masks",
        lambda m: ["segment", STREET, "--detect", "car", "--end", "0.1", "--max-size", "160", "--offline"],
        default=False,
    ),
    "optimize": Task(
        optimize_file, _photo, _optimize, "o.png", _paint("photo.png", "--every", "2", "--gif", "f.gif"),
        {"film": FilmOptions(2, gif=Path("f.gif"), keep_steps=True)},
    ),
    "optimize a clip": Task(optimize_file, _clip, _optimize, "o.mp4", _paint("clip.mp4")),
    "sweep": Task(
        optimize_sweep, _photo, _optimize, "o.png", _paint("photo.png", "--sweep", "seed=1,2"),
        {"sweep": Sweep("seed", (1, 2))},
    ),
    "reconstruct": Task(
        reconstruct_file, _photo,
        lambda m: ReconstructSettings(
            "style", "relu1_2", OptimizeSettings(steps=4, init="noise", scales=1),
            features=str(m / "vgg.safetensors"), device="cpu",
        ),
        "o.png",
        lambda m: ["reconstruct", "style", m / "photo.png", "--layer", "relu1_2", "--steps", "4", *_features(m)],
    ),
    "compare": Task(
        compare_files, lambda m: [m / "photo.png"], _compare, "o",
        lambda m: ["compare", m / "photo.png", "--painting", m / "red.png", "--methods", f"adam,{tiny_style(m)}",
                   "--steps", "4", "--clip", m / "clip.mp4", "--clip-frames", "3", "--clip-steps", "4",
                   "--clip-size", "64", "--offline", *_features(m)],
    ),
    "inspect": Task(
        inspect_file, lambda m: STREET,
        lambda m: InspectSettings(
            features=str(m / "vgg.safetensors"), samples=2, max_size=96, region="car", device="cpu"
        ),
        "o.png",
        lambda m: ["inspect", STREET, "--samples", "2", "--max-size", "96", "--class", "car", *_features(m)],
    ),
    "edges": Task(
        edges_file, _clip,
        lambda m: Settings(styles=(f"cluster1={tiny_style(m)}",), segmenter="kmeans:3", max_size=64, device="cpu"),
        "o.png",
        lambda m: ["inspect", m / "clip.mp4", "--edges", "-s", f"cluster1={tiny_style(m)}", "--segmenter", "kmeans:3",
                   "--max-size", "64", "--device", "cpu"],
    ),
}  # fmt: skip
