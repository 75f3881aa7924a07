"""The desk that holds the networks: what the segmenter sees, cutting out, previews, cards of styles.

Segmentations are kept by frame, so that a change of style needs one pass of the painter only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.assembly import Parts, build
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import UsageError
from segnst.pipeline import State
from segnst.plan import parse_plan
from segnst.segmentation.base import FOREGROUND, AnySegmenter, Prompt, Selector
from segnst.segmentation.from_settings import ONE_LOOK, load_segmenter
from segnst.segmentation.objects.selection import parse_selections
from segnst.segmentation.wrappers.combined import CombinedSegmenter
from segnst.studio.desk import Call
from segnst.studio.lanes import NEAR, Lane, digest, fingerprint
from segnst.studio.live import Live
from segnst.studio.pictures import PREVIEW, Frame, frame_at, jpeg, png
from segnst.studio.seen import Seen, objects_seen
from segnst.studio.views import VIEWS
from segnst.style.checkpoints import known_styles

REMEMBERED = 64  # frames whose pixels and segmentation are kept
CARD = 320  # px of the long side of the picture that shows a style
LITTLE, MUCH = 0.002, 0.85  # shares of the frame below and above which a cut-out is doubted


class BrushDesk:
    """Requests that need networks. ``path`` is always one that the server has allowed."""

    def __init__(self, *, work: str, device: str = "auto", offline: bool = False) -> None:
        self.work, self.offline = Path(work), offline
        self.device = choose_device(device)
        self._frames: OrderedDict[str, Frame] = OrderedDict()
        self._seen: OrderedDict[str, Tensor] = OrderedDict()
        self._segmenters: dict[str, AnySegmenter] = {}
        self._selector: Selector | None = None
        self._live = Live()

    # --- what there is

    def styles(self, call: Call) -> dict[str, Any]:
        """The styles by name, and the classes that the segmenter knows."""
        rows = [{"name": s.name, "title": s.title, "collection": s.collection} for s in known_styles().values()]
        regions = self._segmenter("deeplab").regions
        return {"styles": rows, "classes": [r.name for r in regions]}

    def card(self, call: Call, style: str, path: str | None, time: float) -> bytes:
        """A picture that shows a style: a frame painted in it. JPEG."""
        rgb = frame_at(Path(path), time, CARD).rgb if path else _sample()
        parts = build(Settings(styles=(style,), device=str(self.device), offline=self.offline))
        return jpeg(parts.pipeline.frame(rgb, State())[0].rgb[0].cpu(), 88)

    # --- what is seen

    def regions(self, call: Call, path: str, time: float) -> dict[str, Any]:
        """What the segmenter sees on a frame: a label map as gray PNG, and each class's share of the frame."""
        frame, key = self._frame(path, time)
        segmenter = self._segmenter("deeplab")
        labels = F.interpolate(
            self._classes("deeplab", frame, key), frame.rgb.shape[-2:], mode="bilinear", align_corners=True
        ).argmax(1)[0]
        counts = torch.bincount(labels.flatten(), minlength=len(segmenter.regions)) / labels.numel()
        classes = [
            {"index": r.index, "name": r.name, "share": round(float(counts[r.index]), 4)} for r in segmenter.regions
        ]
        return {"map": png(labels.to(torch.uint8).cpu().numpy()), "classes": classes, "time": frame.time}

    def cutout(self, call: Call, path: str, time: float, settings: Settings, name: str) -> dict[str, Any]:
        """One object as its marks on this frame cut it out: PNG with alpha, share of the frame, and doubts in words."""
        frame, _ = self._frame(path, time)
        mask = self._cut(settings, name, frame)
        if mask is None:
            raise UsageError(f"'{name}' has no mark on this frame.")
        share = float((mask > 0.5).float().mean())
        words = ""
        if share < LITTLE:
            words = "This hits almost nothing. Draw a box around what you mean."
        elif share > MUCH:
            words = "This takes nearly the whole frame. Draw a box around what you mean."
        return {"mask": png(_tint(mask[0, 0].cpu().numpy())), "share": round(share, 4), "words": words}

    # --- what is painted

    def preview(self, call: Call, path: str, time: float, settings: Settings, view: str) -> dict[str, Any]:
        """A frame in one of the views, JPEG; ``unknown`` names objects whose place on this frame is not known yet."""
        frame, key = self._frame(path, time)
        parts, unknown = self._parts(settings, Path(path), frame, key)
        if view == "flicker":
            before = frame_at(Path(path), max(0.0, frame.time - frame.step), PREVIEW)
            if before.time >= frame.time - NEAR or before.rgb.shape != frame.rgb.shape:
                raise UsageError("Flicker is seen between two frames; go to a later one.")
            earlier = self._parts(settings, Path(path), before, self._key(path, before.time))[0]
            picture, facts = VIEWS[view](parts, earlier, frame.rgb, before.rgb)
        else:
            picture, facts = VIEWS[view](parts, None, frame.rgb, None)
        return {"jpeg": jpeg(picture), "unknown": unknown, "time": frame.time, **facts}

    # --- the camera

    def live_frame(self, call: Call, key: str, data: bytes, settings: Settings) -> bytes:
        """Style one picture of a camera (JPEG to JPEG), following the earlier ones of the same ``key``."""
        return self._live.frame(key, data, settings, self._segmenter)

    def live_end(self, call: Call, key: str) -> None:
        """Forget a camera."""
        self._live.end(key)

    # --- within

    def _segmenter(self, name: str) -> AnySegmenter:
        if name not in self._segmenters:
            self._segmenters[name] = load_segmenter(name, self.device, offline=self.offline)
        return self._segmenters[name]

    def _key(self, path: str, time: float) -> str:
        return digest(fingerprint(Path(path)), round(time, 4))

    def _frame(self, path: str, time: float) -> tuple[Frame, str]:
        key = self._key(path, time)
        if key not in self._frames:
            self._frames[key] = frame_at(Path(path), time, PREVIEW)
            _forget(self._frames)
        self._frames.move_to_end(key)
        return self._frames[key], key

    def _classes(self, name: str, frame: Frame, key: str) -> Tensor:
        """Probabilities [1,K,h,w] of a frame."""
        key = f"{name} {key}"
        if key not in self._seen:
            self._seen[key] = self._segmenter(name)(frame.rgb.to(self.device))[0].half()
            _forget(self._seen)
        self._seen.move_to_end(key)
        return self._seen[key].float()

    def _cut(self, settings: Settings, name: str, frame: Frame) -> Tensor | None:
        """The mask [1,1,H,W] that the marks on this very frame cut out, or None if there are none."""
        size = (frame.rgb.shape[2], frame.rgb.shape[3])
        prompts: list[Prompt] = []
        for selection in parse_selections(settings, size, frame.scale):
            at = selection.at.seconds if selection.at.seconds is not None else 0.0
            if selection.name == name and abs(at - frame.time) <= NEAR and selection.prompt is not None:
                prompts.append(selection.prompt)
        if not prompts:
            return None
        if self._selector is None:
            from segnst import registry

            load = registry.get(registry.SELECTORS, "grabcut", "selector")
            self._selector = load("grabcut", device=self.device, offline=self.offline)
        selector: Any = self._selector
        return torch.stack([selector(frame.rgb, prompt) for prompt in prompts]).amax(0)

    def _objects(self, settings: Settings, path: Path, frame: Frame) -> tuple[dict[str, Tensor], list[str]]:
        """The masks of all objects on a frame, and the names of those that are not known there."""
        found: dict[str, Tensor] = {}
        unknown = []
        size = (frame.rgb.shape[2], frame.rgb.shape[3])
        for name in dict.fromkeys(s.name for s in parse_selections(settings, size, frame.scale)):
            mask = self._cut(settings, name, frame)
            if mask is None:
                known = Lane.of(self.work, path, settings, name).mask_at(frame.time)
                if known is None:
                    unknown.append(name)
                    mask = torch.zeros(1, 1, *size)
                else:
                    mask = F.interpolate(torch.from_numpy(known)[None, None], size, mode="bilinear")
            found[name] = mask
        return found, unknown

    def _parts(self, settings: Settings, path: Path, frame: Frame, key: str) -> tuple[Parts, list[str]]:
        """The pipeline of the settings, whose segmenter already knows what is on this frame."""
        plan = parse_plan(settings.styles)
        unknown: list[str] = []
        segmenter: AnySegmenter | None = None
        if not plan.whole_frame:
            masks, unknown = self._objects(settings, path, frame) if settings.box or settings.point else ({}, [])
            segmenter = objects_seen(masks) if masks else None
            if segmenter is None or not set(plan.regions) <= {*masks, FOREGROUND}:
                name = ONE_LOOK if settings.fast else "deeplab"
                classes = Seen(name, self._segmenter(name).regions, self._classes(name, frame, key))
                segmenter = classes if segmenter is None else CombinedSegmenter(segmenter, classes, plan.regions)
        alone = replace(settings, box=(), point=(), not_point=(), at=None)
        return build(alone, segmenter=segmenter), unknown


def _forget(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _tint(mask: np.ndarray, color: Sequence[int] = (255, 168, 76)) -> np.ndarray:
    """A mask [H,W] in [0,1] as a color with alpha, BGRA uint8 [H,W,4]."""
    tinted = np.empty((*mask.shape, 4), np.uint8)
    tinted[..., :3] = color
    tinted[..., 3] = (mask.clip(0, 1) * 150).astype(np.uint8)
    return tinted


def _sample() -> Tensor:
    """A small landscape of smooth shapes [1,3,120,192], for cards before any file is open."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 120), torch.linspace(0, 1, 192), indexing="ij")
    sky = torch.stack((0.45 + 0.4 * y, 0.6 + 0.25 * y, 0.85 - 0.1 * y))
    sun = torch.exp(-((x - 0.72) ** 2 + (y - 0.3) ** 2) / 0.006)
    sky = sky + sun * torch.tensor([0.5, 0.3, -0.4])[:, None, None]
    for k, (base, tone) in enumerate(((0.55, (0.35, 0.5, 0.45)), (0.7, (0.3, 0.42, 0.22)), (0.84, (0.5, 0.38, 0.2)))):
        hill = base + 0.07 * torch.sin(7 * x + 2 * k) + 0.03 * torch.sin(19 * x + k)
        cover = torch.sigmoid((y - hill) * 120)
        sky = sky * (1 - cover) + cover * torch.tensor(tone)[:, None, None] * (0.8 + 0.4 * y)
    return sky.clamp(0, 1)[None]
