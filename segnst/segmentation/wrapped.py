"""Base of segmenters that wrap another segmenter: everything that a wrapper does not change is forwarded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from segnst.segmentation.base import Segmenter

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from segnst.engines.base import Engine
    from segnst.types import Motion

Inner = TypeVar("Inner")
Own = TypeVar("Own")


@dataclass(frozen=True, slots=True)
class WrappedCarry(Generic[Inner, Own]):
    """The carry of the wrapped segmenter and the wrapper's own carry; both are None before the first frame."""

    inner: Inner | None = None
    own: Own | None = None


class Wrapped(Segmenter[WrappedCarry[Inner, Own]], Generic[Inner, Own]):
    """Base of wrappers. A wrapper defines :meth:`look`, which segments a frame, and :meth:`around`.

    A wrapper with a carry of its own can override ``own_skip`` and ``own_after_cut``. By default, its carry stays the
    same after a skipped frame and is dropped after a scene cut.
    """

    def __init__(self, inner: Segmenter[Inner]) -> None:
        super().__init__(inner.name, inner.regions, inner.path)
        self.inner, self.network, self.in_order = inner, inner.network, inner.in_order

    @abstractmethod
    def look(self, rgb: Tensor, inner: Inner | None, own: Own | None) -> tuple[Tensor, Inner | None, Own | None]:
        """One frame ``[1,3,H,W]`` and both carries -> probabilities ``[1,K,h,w]`` and both new carries."""

    @abstractmethod
    def around(self, inner: Segmenter[Inner]) -> Wrapped[Inner, Own]:
        """Return the same wrapper around ``inner``, which the wrapped segmenter's ``select`` returned."""

    def own_skip(self, own: Own | None) -> Own | None:
        """Return the wrapper's own carry after a skipped frame."""
        return own

    def own_moved(self, own: Own | None, motion: Motion) -> Own | None:
        """Return the wrapper's own carry for a frame that moves so (:meth:`Segmenter.moved`)."""
        return own

    def own_after_cut(self, own: Own | None) -> Own | None:
        """Return the part of the wrapper's own carry that still holds after a scene cut."""
        return None

    def frame(
        self, rgb: Tensor, carry: WrappedCarry[Inner, Own] | None
    ) -> tuple[Tensor, WrappedCarry[Inner, Own] | None]:
        past = carry or WrappedCarry()
        probabilities, inner, own = self.look(rgb, past.inner, past.own)
        return probabilities, WrappedCarry(inner, own)

    def select(self, names: Sequence[str]) -> Segmenter[WrappedCarry[Inner, Own]]:
        chosen = self.inner.select(names)
        return self if chosen is self.inner else self.around(chosen)

    def channels(self, region: int) -> tuple[int, ...]:
        return self.inner.channels(region)

    def use(self, engine: Engine) -> None:
        self.inner.use(engine)

    def skip(self, carry: WrappedCarry[Inner, Own] | None) -> WrappedCarry[Inner, Own] | None:
        past = carry or WrappedCarry()
        return WrappedCarry(self.inner.skip(past.inner), self.own_skip(past.own))

    def moved(self, carry: WrappedCarry[Inner, Own] | None, motion: Motion) -> WrappedCarry[Inner, Own] | None:
        past = carry or WrappedCarry()
        return WrappedCarry(self.inner.moved(past.inner, motion), self.own_moved(past.own, motion))

    def after_cut(self, carry: WrappedCarry[Inner, Own] | None) -> WrappedCarry[Inner, Own] | None:
        past = carry or WrappedCarry()
        return WrappedCarry(self.inner.after_cut(past.inner), self.own_after_cut(past.own))

    def notes(self, carry: WrappedCarry[Inner, Own] | None) -> list[str]:
        return self.inner.notes(carry.inner if carry else None)

    def confidence(self, carry: WrappedCarry[Inner, Own] | None) -> dict[str, tuple[float, ...]]:
        return self.inner.confidence(carry.inner if carry else None)

    def colors(self, carry: WrappedCarry[Inner, Own] | None) -> np.ndarray | None:
        return self.inner.colors(carry.inner if carry else None)

    @property
    def weights(self) -> dict[str, Path]:
        return self.inner.weights
