"""OpenCV's GrabCut (Rother et al. 2004), initialized with a segmenter's probabilities if it sees a class there.

Without such a class, or without a segmenter, only the box, the clicks and the strokes initialize it.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.errors import UsageError
from segnst.pixels import to_bytes
from segnst.segmentation.base import AnySegmenter, Prompt, Selector, objects, resolve
from segnst.segmentation.networks.deeplab import load_bundled
from segnst.segmentation.objects.cutout import Box, Window, class_probabilities, connected, extent, follow_edges

LONG_SIDE = 448  # px, of the window in which the object is cut out
MARGIN = 0.25  # of the window around the box, as a share of the box's long side
VISIBLE = 0.12  # share of the box that a class must cover to be used
FILLS = 0.6  # share of the box that the extent of the class must fill to be used
GUIDED = 0.6  # weight of the segmenter's probabilities in the result; GrabCut's mask has the rest
CLICK = 0.03  # radius of the disk that a click marks, as a share of the window's short side


class GrabCut(Selector):
    """A selector that runs GrabCut. ``guide`` is a segmenter that may know the class of the object."""

    def __init__(self, guide: AnySegmenter | None = None, iterations: int = 3) -> None:
        super().__init__("grabcut")
        self.guide, self.iterations = guide, iterations

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, prompt: Prompt) -> Tensor:
        """RGB [1,3,H,W] in [0,1] and a prompt -> soft mask [1,1,H,W] that follows the picture's edges.

        Raises UsageError when the prompt lies outside the frame or is too small, or when nothing can be cut out.
        """
        frame = np.ascontiguousarray(to_bytes(rgb[0]))
        size = (frame.shape[0], frame.shape[1])
        everywhere = None
        if self.guide is not None:
            everywhere = class_probabilities(self.guide, frame)
        box, tight = self._where(prompt, size, everywhere)
        window = Window.around(box, size, MARGIN, LONG_SIDE)
        view = window.take(frame)
        inside = _box_mask(box, window) if tight else np.ones(view.shape[:2], bool)
        yes, no = _marks(prompt, window, size)
        prior = None
        if self.guide is not None and everywhere is not None:
            near = class_probabilities(self.guide, view)
            both = np.stack([(window.take(p) + q) / 2 for p, q in zip(everywhere, near, strict=True)])
            prior = _object_prior(both, self.guide, prompt.name, inside, yes)
        clicked = prompt.box is None
        mask = self._cut(view, inside, prior, yes, no, clicked=clicked)
        if prior is not None and not (mask > 0.5).any():
            mask = self._cut(view, inside, None, yes, no, clicked=clicked)
        if not (mask > 0.5).any():
            raise UsageError("Nothing could be cut out there; draw a larger box, or mark the object with --foreground.")
        return torch.from_numpy(window.put(mask, size))[None, None].to(rgb)

    @property
    def weights(self) -> dict[str, Path]:
        return {} if self.guide is None else self.guide.weights

    def _where(self, prompt: Prompt, size: tuple[int, int], everywhere: np.ndarray | None) -> tuple[Box, bool]:
        """The box to search for the object, and whether it is the user's, so that nothing outside belongs to it."""
        if prompt.box is not None:
            return _inside_frame(prompt.box, size), True
        height, width = size
        marked = np.zeros(size, bool)
        if prompt.foreground is not None:
            marked |= _stroke(prompt.foreground, size)
        for x, y, belongs in prompt.points:
            if not (0 <= x < width and 0 <= y < height):
                raise UsageError(f"The point {x:g},{y:g} lies outside the frame of {width}x{height} px.")
            if belongs:
                marked[int(y), int(x)] = True
        found = extent(marked)
        if found is None:
            raise UsageError("A selection needs a box, a point or a foreground stroke that belongs to the object.")
        blob = None if everywhere is None or self.guide is None else self._blob(everywhere, marked)
        if blob is not None:
            return blob, False
        x, y, wide, high = found
        reach = 0.2 * min(size)
        grown = (max(0.0, x - reach), max(0.0, y - reach), wide + 2 * reach, high + 2 * reach)
        return _inside_frame(grown, size), False

    def _blob(self, everywhere: np.ndarray, marked: np.ndarray) -> Box | None:
        """The extent of the segmenter's object under the marked pixels, or None if it sees no object there."""
        assert self.guide is not None
        things = [r.index for r in objects(self.guide.regions)]
        index = max(things, key=lambda k: float(everywhere[k][marked].mean()), default=None)
        if index is None or everywhere[index][marked].mean() < 0.5:
            return None
        _, parts = cv2.connectedComponents((everywhere[index] > 0.5).astype(np.uint8))
        hit = np.unique(parts[marked & (everywhere[index] > 0.5)])
        return extent(np.isin(parts, hit[hit > 0]) | marked)

    def _cut(
        self,
        view: np.ndarray,
        inside: np.ndarray,
        prior: np.ndarray | None,
        yes: np.ndarray,
        no: np.ndarray,
        *,
        clicked: bool,
    ) -> np.ndarray:
        """Window uint8 [h,w,3] -> soft mask float32 [h,w]."""
        reach = max(1, round(0.01 * max(view.shape[:2])))
        cross = np.ones((3, 3), np.uint8)
        trimap = np.full(inside.shape, cv2.GC_BGD, np.uint8)
        if prior is not None:
            sure = cv2.erode((prior > 0.85).astype(np.uint8), cross, iterations=reach) > 0
            possible = cv2.dilate((prior > 0.1).astype(np.uint8), cross, iterations=reach) > 0
            trimap[inside & possible] = cv2.GC_PR_BGD
            trimap[inside & (prior > 0.5)] = cv2.GC_PR_FGD
            trimap[inside & sure] = cv2.GC_FGD
        elif clicked:
            trimap[:] = cv2.GC_PR_BGD
            far = cv2.distanceTransform((~yes).astype(np.uint8), cv2.DIST_L2, 3)
            trimap[_alike(view, yes, no) & (far < 0.5 * max(view.shape[:2]))] = cv2.GC_PR_FGD
            edge = np.ones_like(inside)
            edge[2:-2, 2:-2] = False
            trimap[edge] = cv2.GC_BGD
        else:
            trimap[inside] = cv2.GC_PR_FGD
        trimap[yes], trimap[no] = cv2.GC_FGD, cv2.GC_BGD
        known = {int(v) & 1 for v in np.unique(trimap)}
        if known == {0, 1}:  # GrabCut needs both; a box as large as the frame leaves no background
            cv2.setRNGSeed(0)  # GrabCut initializes its color models at random
            blank = np.zeros((1, 65)), np.zeros((1, 65))
            cv2.grabCut(np.ascontiguousarray(view), trimap, None, *blank, self.iterations, cv2.GC_INIT_WITH_MASK)
        mask = ((trimap & 1) > 0).astype(np.float32)
        if prior is not None:
            smooth = cv2.GaussianBlur(mask, (0, 0), 1.5)
            mask = np.where(inside, GUIDED * prior + (1 - GUIDED) * smooth, 0).astype(np.float32)
            mask[yes], mask[no] = 1, 0
        kept = connected(mask > 0.5, [yes] if yes.any() else [])
        soft = follow_edges(view, kept.astype(np.float32), 2 * reach)
        # The guided filter may only change a band along the border: it must not add or remove parts.
        band = cv2.dilate(kept.astype(np.uint8), cross, iterations=reach)
        core = cv2.erode(kept.astype(np.uint8), cross, iterations=reach)
        return np.asarray(np.maximum(soft * band, core).astype(np.float32))


def _inside_frame(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(size[1]), x + width), min(float(size[0]), y + height)
    if right - left < 4 or bottom - top < 4:
        raise UsageError(
            f"The box {x:g},{y:g},{width:g},{height:g} holds less than 4x4 px of the frame of {size[1]}x{size[0]}."
        )
    return left, top, right - left, bottom - top


def _box_mask(box: Box, window: Window) -> np.ndarray:
    scale = window.scale
    left, top = round((box[0] - window.left) * scale), round((box[1] - window.top) * scale)
    mask = np.zeros((window.height, window.width), bool)
    mask[top : top + max(1, round(box[3] * scale)), left : left + max(1, round(box[2] * scale))] = True
    return mask


def _stroke(mask: Tensor, size: tuple[int, int]) -> np.ndarray:
    if tuple(mask.shape[-2:]) != size:
        raise UsageError(
            f"A stroke mask of {mask.shape[-1]}x{mask.shape[-2]} px does not fit the frame of {size[1]}x{size[0]}."
        )
    return np.asarray(mask.reshape(size).cpu().numpy() > 0)


def _marks(prompt: Prompt, window: Window, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that the user marked as object and as background, bool [height,width] of the window each."""
    marks = []
    for stroke, belongs in ((prompt.foreground, True), (prompt.background, False)):
        mark = np.zeros((window.height, window.width), np.uint8)
        if stroke is not None:
            mark |= (window.take(_stroke(stroke, size).astype(np.float32)) >= 0.5).astype(np.uint8)
        radius = max(1, round(CLICK * min(mark.shape)))
        for x, y, inside in prompt.points:
            if inside == belongs:
                at = (round((x - window.left) * window.scale), round((y - window.top) * window.scale))
                cv2.circle(mark, at, radius, 1, -1)
        marks.append(mark > 0)
    return marks[0] & ~marks[1], marks[1]


def _alike(view: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """Pixels whose color is nearer to the marked object than to the marked background.

    Without marked background, these are the pixels whose color distance is well below the median of all pixels.
    """
    lab = cv2.cvtColor(view, cv2.COLOR_RGB2LAB).astype(np.float32)

    def distance(mark: np.ndarray) -> np.ndarray:
        colors = lab[mark][:: max(1, int(mark.sum()) // 64)]
        return np.asarray(np.min([np.linalg.norm(lab - c, axis=-1) for c in colors], axis=0))

    own = distance(yes)
    if no.any():
        return np.asarray(own < distance(no))
    return np.asarray(own < np.median(own) * 0.6)


def _object_prior(
    probabilities: np.ndarray, guide: AnySegmenter, name: str | None, inside: np.ndarray, yes: np.ndarray
) -> np.ndarray | None:
    """Return the probability of the class that fits the box best, [h,w], or None if no class fits.

    probabilities  float32 [K,h,w] of the window

    The best class covers much of the box and extends little beyond it. All objects together are a candidate too, for
    example a rider with the bicycle.
    """
    things = [r.index for r in objects(guide.regions)]
    candidates = [(k,) for k in things] + ([tuple(things)] if len(things) > 1 else [])
    if name is not None:
        word = name.strip().lower()
        known = {n for r in guide.regions for n in (r.name, *r.aliases)}
        if word in known:
            candidates = [tuple(r.index for r in resolve(word, guide.regions))]
    best: tuple[float, float, np.ndarray | None] = (-1.0, 0.0, None)
    for indices in candidates:
        prior = probabilities[list(indices)].sum(0)
        found = prior > 0.5
        covers = float((found & inside).sum() / max(1, inside.sum()))
        leaks = float((found & ~inside).sum() / max(1, found.sum()))
        score = covers - 0.3 * leaks
        if score > best[0] + 0.02:
            best = (score, covers, prior)
    _, covers, prior = best
    if prior is None or covers < VISIBLE or (yes.any() and prior[yes].mean() < 0.3):
        return None
    found, drawn = extent((prior > 0.5) & inside), extent(inside)
    # If the class fills only a corner of the box, it is not the object that the user drew the box around.
    if found is None or drawn is None:
        return None
    if not inside.all() and found[2] * found[3] < FILLS * drawn[2] * drawn[3]:
        return None
    return np.asarray(prior)


def load(name: str, *, device: torch.device, offline: bool = False) -> GrabCut:
    """Registry entry: GrabCut, guided by the bundled segmenter.

    A single scale of the segmenter suffices, because the object is large in the window.
    """
    return GrabCut(load_bundled("deeplab", device=device, offline=offline))
