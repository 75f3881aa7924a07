"""Removing flicker from frames that any other program has painted, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segnst import registry
from segnst.assembly import memory_advice
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import UsageError
from segnst.flow.base import estimate_motion
from segnst.frames import Frame, read_frame
from segnst.stabilize.cuts import CutCarry, is_cut
from segnst.stabilize.output import BlendStabilizer, StabilizerCarry


@dataclass(frozen=True, slots=True)
class SteadyState:
    """What the next frame needs from earlier ones; ``SteadyState()`` is for the first."""

    previous: Tensor | None = None  # the last source [1,3,H,W]
    scene: CutCarry | None = None
    carry: StabilizerCarry = None


class Steadier:
    """Steadies painted frames along the optical flow of the frames that they were painted from.

    ::

        steadier = Steadier()
        for source, painted in zip(film, paintings):
            steady = steadier(painted, source)

    stability  how strongly, from 0 to 1;  flow  dis or raft;  device, offline  as in ``segnst.Settings``

    Frames are as for ``segnst.Session``; source and painted have one size. ``state`` may be read and set, to go on
    elsewhere; it is never changed in place. At a scene cut of the source it begins anew.

    Raises UsageError, WeightsError.
    """

    def __init__(
        self, *, stability: float = 0.9, flow: str = "dis", device: str = "auto", offline: bool = False
    ) -> None:
        Settings(stability=stability)  # the limits and the message are there
        self._device = choose_device(device)
        self._flow = registry.get(registry.FLOWS, flow, "optical flow")(device=self._device, offline=offline)
        self._stabilizer = BlendStabilizer(stability)
        self.state = SteadyState()

    def reset(self) -> None:
        """Forget earlier frames."""
        self.state = SteadyState()

    def __call__(self, painted: Frame, source: Any) -> Frame:
        """Steady a painted frame, or a batch of frames that follow each other -> the same kind.

        source  what it was painted from: of any kind and of the same number and size

        Raises UsageError for frames of a wrong type, shape or range.
        """
        paint, rgb = read_frame(painted), read_frame(source).rgb
        if paint.rgb.shape != rgb.shape:
            sizes = [f"{len(x)} of {x.shape[3]}x{x.shape[2]}" for x in (paint.rgb, rgb)]
            raise UsageError(f"The painted frames and their source must agree, got {sizes[0]} and {sizes[1]}.")
        state = self.state
        if state.previous is not None and state.previous.shape[-2:] != rgb.shape[-2:]:
            raise UsageError("These frames have another size than the ones before; call reset() where a film begins.")
        steady = []
        with torch.inference_mode(), memory_advice(f"{rgb.shape[3]}x{rgb.shape[2]}"):
            pairs = zip(rgb.to(self._device).split(1), paint.rgb.to(self._device).split(1), strict=True)  # type: ignore[no-untyped-call]
            for now, picture in pairs:
                cut, scene = is_cut(now, state.scene)
                motion, carry = None, None
                if state.previous is not None and not cut:
                    motion, carry = estimate_motion(self._flow, now, state.previous), state.carry
                made, carry = self._stabilizer(picture, motion, carry)
                state = SteadyState(now, scene, carry)
                steady.append(made)
        self.state = state
        result: Frame = paint.back(torch.cat(steady).clone())
        return result
