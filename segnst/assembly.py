"""Building a pipeline from settings: loads everything that a plan needs and puts it together."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from segnst import registry
from segnst.config import Settings
from segnst.device import choose_device
from segnst.engines.base import Engine
from segnst.engines.base import choose as choose_engine
from segnst.errors import ResourceError
from segnst.pipeline import Pipeline, layers_that_keep_colors
from segnst.plan import Plan, parse_plan
from segnst.segmentation.base import AnySegmenter
from segnst.segmentation.from_settings import segmenter_for
from segnst.stabilize.masks import Edge
from segnst.stabilize.output import BlendStabilizer
from segnst.style.checkpoints import StyleWeights, load_styles
from segnst.style.stylizer import PlanStylizer, Scale
from segnst.video.read import Reader
from segnst.weights import sha256


@dataclass(frozen=True)
class Parts:
    """A pipeline and the weights that went into it."""

    pipeline: Pipeline
    plan: Plan
    styles: tuple[StyleWeights, ...]
    segmenter: AnySegmenter | None
    engine: Engine


def versions() -> dict[str, str]:
    """Versions of segnst, Python and the packages that affect the result."""
    names = ("segnst", "torch", "torchvision", "av", "opencv-python", "kornia", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def build(
    settings: Settings, reader: Reader | None = None, *, segmenter: AnySegmenter | None = None, frames: int = 0
) -> Parts:
    """Load what the plan needs and put the pipeline together.

    reader     the input, needed when the settings select objects in it. Without it, the engine "auto" is torch
    segmenter  finds the regions instead of the one that the settings name
    frames     how many frames will come, where there is no reader to tell; the engine "auto" depends on it

    Raises PlanError, UsageError, WeightsError before any frame is read.
    """
    plan = parse_plan(settings.styles)
    device = choose_device(settings.device)
    engine = choose_engine(settings.engine, device, frames=reader.frames_expected if reader is not None else frames)
    edge = Edge.parse(settings.edge)
    regions = [name.strip().lower() for name in settings.keep_colors_of.split(",") if name.strip()]
    keep_colors = layers_that_keep_colors(plan, settings.keep_colors, regions)
    flow_loader = registry.get(registry.FLOWS, settings.flow, "optical flow")
    styles = load_styles(plan.styles, fast=settings.fast)
    painters = {name: style.painter for name, style in zip(plan.styles, styles, strict=True)}
    if plan.whole_frame:
        segmenter = None
    else:
        segmenter = (segmenter or segmenter_for(settings, device, reader, plan.regions)).select(plan.regions)
        segmenter.use(engine)
    steady = settings.stabilize and settings.stability > 0
    pipeline = Pipeline(
        plan,
        PlanStylizer(plan, painters, device, Scale(settings.tile, settings.stroke_size), engine),
        segmenter=segmenter,
        flow=flow_loader(device=device, offline=settings.offline) if settings.stabilize else None,
        stabilizer=BlendStabilizer(settings.stability) if steady else None,
        edge=edge,
        keep_colors=keep_colors,
        device=device,
    )
    return Parts(pipeline, plan, styles, segmenter, engine)


def weights_used(parts: Parts) -> dict[str, dict[str, str]]:
    """{name: {path, sha256}} of styles, pictures that serve as styles and their collections, and the segmenter."""
    used = {s.name: {"path": str(s.path), "sha256": s.sha256} for s in parts.styles if s.picture is None}
    for style in (s for s in parts.styles if s.picture is not None):
        picture = style.picture
        assert picture is not None
        used[str(picture.path)] = {"path": str(picture.path), "sha256": picture.sha256}
        if picture.row is not None:
            used[f"{picture.path}, refined"] = {"path": str(picture.row), "sha256": sha256(picture.row)}
        used[style.path.stem] = {"path": str(style.path), "sha256": style.sha256}
    files = parts.segmenter.weights if parts.segmenter is not None else {}
    used |= {name: {"path": str(path), "sha256": sha256(path)} for name, path in files.items()}
    return used


@contextmanager
def memory_advice(size: str) -> Iterator[None]:
    """Turn the various errors that torch raises when memory runs out into a ResourceError with advice."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ResourceError(
            f"There is not enough memory for frames of {size}. Try --max-size 960 or --tile exact."
        ) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise ResourceError(
                f"There is not enough memory for frames of {size}. Try --max-size 960 or --tile exact."
            ) from error
        raise
