"""The nodes. ComfyUI calls the method that FUNCTION names with the inputs of INPUT_TYPES as keywords."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

import segnst
from segnst.device import choose_device
from segnst.segmentation.base import AnySegmenter, resolve
from segnst.segmentation.from_settings import load_segmenter
from segnst.stabilize.cuts import is_cut
from segnst.steadier import Steadier, SteadyState

SUBJECT = "subject"


@lru_cache(maxsize=2)
def _segmenter(name: str) -> AnySegmenter:
    return load_segmenter(name, choose_device("auto"))


@lru_cache(maxsize=2)
def _session(plan: tuple[str, ...], regions: tuple[str, ...], stability: float, segmenter: str, fast: bool) -> Any:
    return segnst.Session(plan, regions=regions, stability=stability, segmenter=segmenter, fast=fast)


def _planes(image: torch.Tensor) -> torch.Tensor:
    """IMAGE [B,H,W,C] -> [B,3,H,W]; transparency is left out, as ComfyUI carries it in masks."""
    return image[..., :3].permute(0, 3, 1, 2).clamp(0, 1)


def _image(planes: torch.Tensor) -> torch.Tensor:
    return planes.permute(0, 2, 3, 1).float().cpu().contiguous()


class SegnstSegment:
    """Finds regions by their names."""

    CATEGORY = "segnst"
    DESCRIPTION = "The mask of one or more regions, such as car or person,animal (segnst classes lists them)."
    FUNCTION = "segment"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE",),
                "regions": ("STRING", {"default": "car"}),
                "segmenter": ("STRING", {"default": "deeplab"}),
            }
        }

    def segment(self, images: torch.Tensor, regions: str, segmenter: str) -> tuple[torch.Tensor]:
        names = tuple(name.strip() for name in regions.split(",") if name.strip())
        chosen = _segmenter(segmenter).select(names)
        channels = sorted({region.index for name in names for region in resolve(name, chosen.regions)})
        device = choose_device("auto")
        masks, carry, scene = [], None, None
        for rgb in _planes(images).split(1):
            rgb = rgb.to(device)
            cut, scene = is_cut(rgb, scene)
            probabilities, carry = chosen(rgb, chosen.after_cut(carry) if cut else carry)
            mask = probabilities[:, channels].sum(1, keepdim=True).float()
            masks.append(F.interpolate(mask, rgb.shape[-2:], mode="bilinear", align_corners=False)[:, 0].cpu())
        return (torch.cat(masks).clamp(0, 1).clone(),)


class SegnstStyle:
    """Paints frames by a plan, by regions that it finds itself or by a mask that is given."""

    CATEGORY = "segnst"
    DESCRIPTION = (
        "Paints images by a plan, one entry a line: car=starry_night, background=great_wave. With a mask, its region "
        "is called subject: subject=starry_night. The mask that comes out is that of the first entry."
    )
    FUNCTION = "style"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("images", "mask")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE",),
                "plan": ("STRING", {"default": "car=starry_night\nbackground=great_wave", "multiline": True}),
                "film": ("BOOLEAN", {"default": True, "label_on": "frames of a film", "label_off": "photos"}),
                "stability": ("FLOAT", {"default": 0.9, "min": 0.0, "max": 1.0, "step": 0.05}),
            },
            "optional": {
                "mask": ("MASK",),
                "segmenter": ("STRING", {"default": "deeplab"}),
                "fast": ("BOOLEAN", {"default": False}),
            },
        }

    def style(
        self,
        images: torch.Tensor,
        plan: str,
        film: bool,
        stability: float,
        mask: torch.Tensor | None = None,
        segmenter: str = "deeplab",
        fast: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        entries = tuple(line.strip() for line in plan.splitlines() if line.strip())
        session = _session(entries, (SUBJECT,) if mask is not None else (), stability, segmenter, fast)
        session.reset()
        frames, masks = [], []
        for number, planes in enumerate(_planes(images)):
            if not film:
                session.reset()
            given = None if mask is None else {SUBJECT: mask[min(number, len(mask) - 1)]}
            frames.append(session(planes, masks=given))
            found = session.masks
            masks.append(torch.ones(planes.shape[-2:]) if found is None else next(iter(found.values()))[0].cpu())
        session.reset()
        return _image(torch.stack(frames)), torch.stack(masks).float()


class SegnstStabilize:
    """Takes the flicker out of frames that any node has painted."""

    CATEGORY = "segnst"
    DESCRIPTION = (
        "Steadies painted frames along the motion of the frames that they were painted from. For a film in several "
        "batches, connect the state of one to the next."
    )
    FUNCTION = "stabilize"
    RETURN_TYPES = ("IMAGE", "SEGNST_STATE")
    RETURN_NAMES = ("images", "state")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "painted": ("IMAGE",),
                "source": ("IMAGE",),
                "stability": ("FLOAT", {"default": 0.9, "min": 0.0, "max": 1.0, "step": 0.05}),
            },
            "optional": {"state": ("SEGNST_STATE",)},
        }

    def stabilize(
        self, painted: torch.Tensor, source: torch.Tensor, stability: float, state: SteadyState | None = None
    ) -> tuple[torch.Tensor, SteadyState]:
        steadier = Steadier(stability=stability)
        steadier.state = state or SteadyState()
        steady = steadier(_planes(painted), _planes(source))
        return _image(steady), steadier.state


NODE_CLASS_MAPPINGS = {
    "SegnstSegment": SegnstSegment,
    "SegnstStyle": SegnstStyle,
    "SegnstStabilize": SegnstStabilize,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SegnstSegment": "Segment (segnst)",
    "SegnstStyle": "Style by regions (segnst)",
    "SegnstStabilize": "Stabilize painted frames (segnst)",
}
