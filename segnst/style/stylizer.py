"""Stylizers, which paint frames; ``PlanStylizer`` uses networks of one style and collections of many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from segnst.device import fast_dtype, mixed_precision
from segnst.engines.base import Engine
from segnst.engines.eager import EagerEngine
from segnst.errors import UsageError, did_you_mean
from segnst.plan import ORIGINAL, Entry, Mix, Plan
from segnst.style.collection import Collection
from segnst.style.conditional import IDENTITY
from segnst.style.layer_graph import CompiledPaint
from segnst.style.scene import UNSEEN, Scene, paint_layers, paint_scene
from segnst.style.strokes import at_stroke_size
from segnst.style.tiling import paint_auto, paint_exact
from segnst.style.transformer import SMALLEST
from segnst.types import LayerMasks

Found = TypeVar("Found")
StyleCarry = TypeVar("StyleCarry")


class Stylizer(ABC, Generic[StyleCarry]):
    """Paints all layers of a frame. Generic in its carry: what it keeps of earlier frames.

    amounts   for each layer, how much of the paint covers the source when composing, in [0,1]
    networks  networks of one style by the style's name; other stylizers may use them too
    """

    def __init__(self, amounts: Sequence[float], networks: Mapping[str, nn.Module] | None = None) -> None:
        self.amounts, self.networks = tuple(amounts), dict(networks or {})

    @abstractmethod
    def __call__(
        self, rgb: Tensor, masks: LayerMasks | None, carry: StyleCarry | None = None, seconds: float = 0.0
    ) -> tuple[Tensor, StyleCarry | None]:
        """RGB [T,3,H,W] in [0,1], masks (None: one layer) and carry -> painted [T,3,H,W] and carry.

        seconds  since the first frame, for styles that fade
        What is returned where layers stay original does not matter, because composing replaces it by the source.
        """


AnyStylizer: TypeAlias = Stylizer[Any]  # for code that only passes the carry on
StylizerCarry: TypeAlias = Any  # the carry of an ``AnyStylizer``


@dataclass(frozen=True, slots=True)
class InCollection:
    """A style that belongs to a collection."""

    collection: Collection
    name: str


TILES = {"off": paint_layers, "exact": paint_exact, "auto": paint_auto}


@dataclass(frozen=True, slots=True)
class Scale:
    """At what scale, and in how many pieces, frames are painted.

    tile         off, exact or auto (segnst.style.tiling), for frames that do not fit into memory in one piece
    stroke_size  size of the strokes relative to those of a frame of 640 px (segnst.style.strokes)
    """

    tile: str = "off"
    stroke_size: float = 1.0

    def __post_init__(self) -> None:
        if self.tile not in TILES:
            raise UsageError(f"--tile must be {', '.join(TILES)}, got '{self.tile}'.{did_you_mean(self.tile, TILES)}")
        if not 0.25 <= self.stroke_size <= 8:
            raise UsageError(f"--stroke-size must lie between 0.25 and 8, got {self.stroke_size:g}.")


Carry = Mapping[str, Scene]  # by the collection's path


class PlanStylizer(Stylizer[Carry]):
    """Carries out a plan: layers whose styles come from one collection share one pass of its network, each layer with
    its own statistics and its own mix; a network of one style is run over the whole frame. Pictures are composed by
    soft mask; a mix across networks is the weighted mean of their pictures.

    Styles of layers that do not occur in the frame are not computed. The carry holds the statistics of the scene for
    each collection.
    """

    def __init__(
        self,
        plan: Plan,
        styles: Mapping[str, nn.Module | InCollection],
        device: torch.device,
        scale: Scale = Scale(),
        engine: Engine | None = None,
    ) -> None:
        self.plan, self.device, self.dtype, self.scale = plan, device, fast_dtype(device), scale
        self.engine = engine or EagerEngine(device)
        self._compiled: dict[str, CompiledPaint] = {}  # by the collection's path
        self.members = {name: s for name, s in styles.items() if isinstance(s, InCollection)}
        networks = {name: self._ready(s) for name, s in styles.items() if isinstance(s, nn.Module)}
        self.collections = {str(m.collection.path): m.collection for m in self.members.values()}
        for collection in self.collections.values():
            self._ready(collection.net)
        super().__init__([self._amount(e) for e in plan.entries], networks)
        if scale.tile != "off" and self.networks:
            alone = next(iter(self.networks))
            raise UsageError(f"--tile {scale.tile} needs styles of a collection; '{alone}' is a network of its own.")

    def _ready(self, net: nn.Module) -> nn.Module:
        ready: nn.Module = net.to(self.device).to(memory_format=torch.channels_last)
        return ready

    def _whole(self, entry: Entry) -> str | None:
        """Path of the collection that has all styles of an entry, or None."""
        paths = {str(self.members[t.style].collection.path) if t.style in self.members else None
                 for t in entry.styles if t.style != ORIGINAL}  # fmt: skip
        return paths.pop() if len(paths) == 1 else None

    def _amount(self, entry: Entry) -> float:
        if entry.original:
            return 0.0
        # A collection mixes in its identity style, so that a lower strength means weaker paint and not a double
        # exposure. The source is blended in more slowly (a square law), because paint halfway to the identity can
        # differ from the photo even more than full paint does.
        return 1 - (1 - entry.strength) ** 2 if self._whole(entry) else entry.strength

    def _code(self, entry: Entry, mix: Mix, path: str) -> Tensor:
        """The part of a layer's mix that a collection paints, as a code [S]."""
        collection = self.collections[path]
        shares: dict[str, float] = {}
        for term in mix:
            member = self.members.get(term.style)
            if member is not None and member.collection is collection:
                shares[member.name] = shares.get(member.name, 0.0) + term.weight
            elif term.style == ORIGINAL and self._whole(entry):
                shares[IDENTITY] = shares.get(IDENTITY, 0.0) + term.weight
        code = collection.code(shares or {IDENTITY: 1.0})
        if self._whole(entry) and entry.strength < 1:
            code = entry.strength * code + (1 - entry.strength) * collection.code({IDENTITY: 1.0})
        return code

    def _scaled(
        self,
        paint: Callable[[Tensor, Tensor | None], tuple[Tensor, Found]],
        rgb: Tensor,
        soft: Tensor | None,
        least: int = SMALLEST,
    ) -> tuple[Tensor, Found]:
        """Paint at the chosen size of strokes; returns the frame in [0,1] and the second result of ``paint``.

        least  the smallest side in px that the network can paint
        """
        if min(rgb.shape[-2:]) < SMALLEST:
            raise UsageError(
                f"Frames of {rgb.shape[-1]}x{rgb.shape[-2]} are too small: each side must have at least {SMALLEST} px."
            )
        # exact tiles must add up to the picture that one piece gives, which needs single precision
        with mixed_precision(self.device, torch.float32 if self.scale.tile == "exact" else self.dtype):
            painted, found = at_stroke_size(paint, rgb, soft, self.scale.stroke_size, least)
        return painted.float().clamp(0, 1).contiguous(), found

    @torch.inference_mode()
    def paint(self, rgb: Tensor, style: str) -> Tensor:
        """The whole frame in one style: [1,3,H,W] in [0,1] -> the same."""

        def alone(x: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
            painted: Tensor = self.networks[style](x.contiguous(memory_format=torch.channels_last))
            return painted, None

        def member(x: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
            inside = self.members[style]
            code = inside.collection.code({inside.name: 1.0})[None].to(x.device)
            return TILES[self.scale.tile](inside.collection.net, x, code, None)[0], None

        if style in self.members:
            return self._scaled(member, rgb, None, self.members[style].collection.net.smallest)[0]
        return self._scaled(alone, rgb, None)[0]

    def _pass(
        self, path: str, rgb: Tensor, soft: Tensor | None, mixes: list[Mix], past: Scene | None
    ) -> tuple[Tensor, Scene]:
        """One pass of a collection over the layers that use any of its styles."""
        layers = self._layers(path)
        codes = torch.stack([self._code(self.plan.entries[k], mixes[k], path) for k in layers]).to(rgb.device)
        mine = None if soft is None else soft[:, layers]
        net, paint = self.collections[path].net, self._paint_of(path)
        return self._scaled(lambda x, masks: paint(net, x, codes, masks, past), rgb, mine, net.smallest)

    def _paint_of(self, path: str) -> Callable[..., tuple[Tensor, Scene]]:
        """What paints the layers of a collection: in tiles if asked for, else by an engine that compiles, or torch."""
        if not self.engine.compiles or self.scale.tile != "off":
            return TILES[self.scale.tile]
        if path not in self._compiled:
            self._compiled[path] = CompiledPaint(self.collections[path].net, self.engine)
        return partial(paint_scene, paint=self._compiled[path])

    def _layers(self, path: str) -> list[int]:
        """The layers that use any style of a collection."""
        mine = {name for name, m in self.members.items() if str(m.collection.path) == path}
        return [k for k, e in enumerate(self.plan.entries) if e.strength > 0 and mine & {t.style for t in e.styles}]

    @torch.inference_mode()
    def __call__(
        self, rgb: Tensor, masks: LayerMasks | None, carry: Carry | None = None, seconds: float = 0.0
    ) -> tuple[Tensor, Carry]:
        carry = dict(carry or {})
        soft = None if masks is None else masks.soft
        mixes = [e.at(seconds) for e in self.plan.entries]
        seen = [soft is None or float(soft[:, k].max()) >= UNSEEN for k in range(len(mixes))]
        pictures: dict[str, Tensor] = {ORIGINAL: rgb}
        for path in self.collections:
            if any(seen[k] for k in self._layers(path)):
                pictures[path], carry[path] = self._pass(path, rgb, soft, mixes, carry.get(path))
        weight = torch.zeros_like(rgb[:, :1])
        shares: dict[str, Tensor] = {}  # where each picture is used: layers with the same picture are composed at once
        for k, (entry, mix) in enumerate(zip(self.plan.entries, mixes, strict=True)):
            if entry.original or entry.strength == 0 or not seen[k]:
                continue
            mask = torch.ones_like(weight) if soft is None else soft[:, k : k + 1]
            whole = self._whole(entry)
            parts = [(whole, 1.0)] if whole else [(self._picture(t.style, rgb, pictures), t.weight) for t in mix]
            for name, part in parts:
                share = mask if part == 1 else mask * part
                shares[name] = shares[name] + share if name in shares else share
            weight += mask
        # the source has a tiny weight, so that it fills the places where nothing is painted and shows nowhere else
        rest = 1e-4
        if len(shares) == 1:  # the usual case, in a third of the time
            (name,) = shares
            return torch.lerp(pictures[name], rgb, rest / (weight + rest)), carry
        total = sum((share * pictures[name] for name, share in shares.items()), torch.zeros_like(rgb))
        return (total + rest * rgb) / (weight + rest), carry

    def _picture(self, style: str, rgb: Tensor, pictures: dict[str, Tensor]) -> str:
        """The key of a style's painted frame in ``pictures``; the frame is painted first if it is missing."""
        if style in self.members:
            return str(self.members[style].collection.path)
        if style not in pictures:
            pictures[style] = self.paint(rgb, style)
        return style
