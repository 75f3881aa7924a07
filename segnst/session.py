"""Styling frame by frame for other programs: models are loaded once, frames come from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import torch
from torch import Tensor

from segnst.assembly import Parts, build, memory_advice
from segnst.config import Options, Settings, with_options
from segnst.errors import UsageError
from segnst.frames import Frame, read_frame, read_mask
from segnst.pipeline import State
from segnst.segmentation.given import GivenMasks

# Settings that need a file to look into, or frames of its time line.
_OF_FILES = ("box", "point", "not_point", "foreground", "background", "at", "masks", "masks_override")
# Settings of reading and writing; a settings object that is used for files as well may have them.
_ABOUT_FILES = (
    "start", "end", "max_size", "codec", "crf", "bitrate", "preset", "deinterlace", "audio", "recipe", "mask_classes",
)  # fmt: skip


class Session:
    """Styles frames that follow each other; what earlier frames leave for later ones is kept between the calls.

    ::

        session = Session(["car=starry_night", "background=great_wave"])
        for styled in session.frames(frames):
            ...

    plan      one entry, or several, as for ``segnst.style_video``
    settings  other settings;  options  fields of ``Settings`` that differ: ``Session("udnie", stability=0.5)``
    regions   names of regions whose masks come with each frame; the plan paints these, and no segmenter is used. The
              masks are taken as they are, unless ``edge`` says otherwise

    ``fps`` (25 by default) says where in time a frame is, for styles that fade from one to another.

    A frame is a NumPy array (uint8 [H,W,3]), a torch tensor (uint8 or float, [3,H,W]) or a PIL image, or a batch of
    frames that follow each other ([N,H,W,3] or [N,3,H,W]). The result is of the same kind, type, shape and device.
    Alpha is kept as it is. Scene cuts are noticed; ``reset`` is for a cut that you know of, or for another film. A
    session is for one thread.

    Raises PlanError, UsageError, WeightsError, ResourceError.
    """

    def __init__(
        self,
        plan: str | Sequence[str] = (),
        *,
        settings: Settings | None = None,
        regions: Sequence[str] = (),
        **options: Unpack[Options],
    ) -> None:
        for name in options:
            if name in _ABOUT_FILES:
                raise UsageError(f"'{name}' says how files are read or written, and a session has only frames.")
        if regions and settings is None and "edge" not in options:
            options = {**options, "edge": "exact"}  # the masks of a caller are as they are meant
        settings = with_options(settings, plan, options)
        for name in _OF_FILES:
            if getattr(settings, name):
                raise UsageError(
                    f"'{name}' looks into a file, and a session has only frames. Give the object's masks with each "
                    "frame: Session(plan, regions=['object']), then session(frame, masks={'object': mask})."
                )
        self._given = GivenMasks(regions) if regions else None
        self._parts = build(settings, segmenter=self._given)
        self._fps, self._count = settings.fps or 25.0, 0
        self._state = State()
        self._size: tuple[int, int] | None = None
        self._masks: dict[str, Tensor] | None = None

    @property
    def parts(self) -> Parts:
        """The pipeline and the weights in it."""
        return self._parts

    @property
    def masks(self) -> dict[str, Tensor] | None:
        """The masks of the last call by layer, each [N,H,W] float in [0,1]; together they are 1 at every pixel.

        None before the first call, and where a plan paints the whole frame in one style.
        """
        return self._masks

    def reset(self) -> None:
        """Forget earlier frames: the next one begins a scene, and may have another size."""
        self._state, self._count, self._size = State(), 0, None

    def __call__(self, frame: Frame, *, masks: Mapping[str, Any] | None = None) -> Frame:
        """Style a frame, or a batch of frames that follow each other.

        masks  {name: mask} for the names that the session was made for: [H,W], or [N,H,W] for a batch; bool, uint8
               (0 to 255) or float (0 to 1), as NumPy, torch or PIL

        Raises UsageError for a frame or mask of a wrong type, shape or range, and for a change of size.
        """
        given = read_frame(frame)
        size = (given.rgb.shape[2], given.rgb.shape[3])
        if self._size not in (None, size):
            assert self._size is not None
            raise UsageError(
                f"This frame is {size[1]}x{size[0]}, and the one before was {self._size[1]}x{self._size[0]}; "
                "call reset() where another film begins."
            )
        answers = self._answers(masks, len(given.rgb), size)
        painted, seen = [], []
        state, pipeline = self._state, self._parts.pipeline
        with memory_advice(f"{size[1]}x{size[0]}"):
            for number, rgb in enumerate(given.rgb.split(1)):  # type: ignore[no-untyped-call]
                if answers is not None:
                    state = replace(state, segmenter=answers[number : number + 1].to(pipeline.device))
                styled, state = pipeline.frame(rgb, state, (self._count + number) / self._fps)
                painted.append(styled.rgb)
                seen.append(styled.masks)
        # What inference mode made cannot be used in a graph of gradients; copies can.
        self._state, self._size = state, size
        self._count += len(given.rgb)
        layers = seen[0].layers if seen[0] is not None else ()
        soft = torch.cat([m.soft for m in seen if m is not None]).clone() if layers else None
        self._masks = None if soft is None else {name: soft[:, k] for k, name in enumerate(layers)}
        result: Frame = given.back(torch.cat(painted).clone())
        return result

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Style frames, or batches of frames, one after another, each as soon as it is asked for."""
        for frame in frames:
            yield self(frame)

    def _answers(self, masks: Mapping[str, Any] | None, count: int, size: tuple[int, int]) -> Tensor | None:
        if self._given is None:
            if masks:
                raise UsageError("This session finds the regions itself; name them in Session(plan, regions=[…]).")
            return None
        read = {name: read_mask(mask, name, count, size) for name, mask in (masks or {}).items()}
        device = self._parts.pipeline.device
        return self._given.probabilities({name: mask.to(device) for name, mask in read.items()})
