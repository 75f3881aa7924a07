"""Follows one object from frame to frame: its mask is warped along the optical flow and refitted to the new frame.

Each frame is examined in a window around the expected place of the object. Four cues are added as log odds:

- the warped mask, which counts more where the flow is reliable and the mask's edge is far away;
- the guide's classes, weighted by how often each class was the object so far (so that a rider can consist of both
  person and vehicle);
- colors: histograms of the object and of its surroundings;
- looks: a ridge regression on the guide's features that separates the object from its surroundings. It is learned on
  the frame of the selection and, slowly, on the following ones (the target model of Robinson 2020, arXiv 2003.00908,
  in closed form). It distinguishes this scooter from those parked behind it.

A guided filter with a color guide turns the sum into a mask that follows the edges of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.pixels import from_bytes
from segnst.segmentation.networks.deeplab import DeepLabSegmenter
from segnst.segmentation.objects import appearance
from segnst.segmentation.objects.appearance import Looks
from segnst.segmentation.objects.cutout import Box, Window, connected, extent, follow_edges


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each cue counts, and how fast the appearance of the object is learned again."""

    moved: float = 0.8
    firm: float = 3.0  # additional weight of the warped mask far from its edge
    classes: float = 0.3
    color: float = 0.3
    looks: float = 3.0
    blur: float = 6.0  # px of the window, the expected error of the warped mask
    reach: float = 24.0  # px of the window, how far the object can grow from one frame to the next
    learn: float = 0.1  # learning rate of the object's appearance per frame
    learn_around: float = 0.3  # learning rate of the colors around the object per frame
    window: int = 352  # px, long side of the window
    guide: int = 385  # px, long side of the window as input of the guide
    margin: float = 0.4  # of the window around the object, as a share of the object's long side


@dataclass(frozen=True, slots=True)
class Seen:
    """The data of a window from which the cues are computed.

    view      uint8 RGB [h,w,3]
    classes   the guide's probabilities, float32 [K,h,w];  bins  histogram bin of each pixel's color, int32 [h,w]
    features  inputs of the regression, float32 [F,h',w'] at a lower resolution
    """

    view: np.ndarray
    classes: np.ndarray
    bins: np.ndarray
    features: Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of an object.

    mask        float32 [H,W], where it is
    classes     [K], how often a pixel of each class near the object belonged to the object
    colors      [BINS,BINS,BINS] distribution of its colors in Lab; ``first`` on the frame of the selection only
    around      distribution of the colors of its surroundings, in the same form
    looks       regression over the frames since the selection; ``first_looks`` over the frame of the selection only
    agreement   how well the cues separate the object on the frame of the selection; later frames are compared with it
    confidence  in [0,1], 1 on the frame of the selection
    lost        number of frames since the object was last seen, 0 while it is visible
    area        px, when it was last seen
    """

    mask: np.ndarray
    classes: np.ndarray
    colors: np.ndarray
    first: np.ndarray
    around: np.ndarray
    looks: Looks
    first_looks: Looks
    agreement: float = 0.0
    confidence: float = 1.0
    lost: int = 0
    area: float = 0.0


def _logit(p: np.ndarray, least: float) -> np.ndarray:
    p = np.clip(p, least, 1 - least)
    return np.asarray(np.log(p / (1 - p)))


class Follower:
    """Follows one object. It keeps no state itself; all that is known of the object is in its :class:`Target`.

    guide  a segmenter such as the bundled one, whose classes and features describe the appearance of objects
    """

    def __init__(self, guide: DeepLabSegmenter, weights: Weights = Weights()) -> None:
        self.guide, self.weights = guide, weights

    def start(self, frame: np.ndarray, mask: np.ndarray, known: Target | None = None) -> Target:
        """uint8 RGB [H,W,3] and the object's mask float32 [H,W] -> its target.

        known  the earlier target, if the user corrects an object that is already followed. Its colors and looks on the
               frame of the earlier selection contribute one half to the new target
        """
        box = extent(mask > 0.5) or (0.0, 0.0, float(frame.shape[1]), float(frame.shape[0]))
        window = self._window(box, frame)
        inside, seen = window.take(mask), self._see(window.take(frame))
        colors, around = appearance.histogram(seen.bins, inside), appearance.histogram(seen.bins, 1 - inside)
        looks = appearance.looks(seen.features, inside)
        if known is not None:
            colors, looks = (known.first + colors) / 2, known.first_looks.mixed(looks, 0.5)
        shares = appearance.shares(seen.classes, inside)
        area = float((mask > 0.5).sum())
        target = Target(mask, shares, colors, colors, around, looks, looks, area=area)
        return replace(target, agreement=appearance.agreement(self._evidence(target, seen), inside))

    def follow(self, frame: np.ndarray, moved: np.ndarray, reliable: np.ndarray | None, target: Target) -> Target:
        """Follow the object to the next frame, or search the whole frame for it if it is lost.

        frame     uint8 RGB [H,W,3];  moved  the last mask warped along the flow, float32 [H,W]
        reliable  reliability of the flow, float32 [H,W] in [0,1], or None if the mask was not warped by a flow
        """
        box = None if target.lost else extent(moved > 0.5)
        if box is None or box[2] * box[3] < 16:
            return self._search(frame, target)
        window = self._window(box, frame)
        seen, prior = self._see(window.take(frame)), window.take(moved)
        trusted = np.zeros_like(prior) if reliable is None else window.take(reliable)
        evidence = self._evidence(target, seen)
        mask = _fit(seen.view, evidence + self._moved(prior, trusted), prior)
        return self._learn(window.put(mask, moved.shape), mask, prior, seen, evidence, target)

    def _window(self, box: Box, frame: np.ndarray) -> Window:
        size = (frame.shape[0], frame.shape[1])
        return Window.around(box, size, self.weights.margin, self.weights.window)

    def _see(self, view: np.ndarray) -> Seen:
        rgb = from_bytes(view)[None]
        probabilities, features = (x.cpu() for x in self.guide.look(rgb, self.weights.guide))
        lab = cv2.cvtColor(view, cv2.COLOR_RGB2LAB)
        color = from_bytes(lab)[None]
        color = 4 * (F.interpolate(color, features.shape[2:], mode="area") - 0.5)
        products = color[:, (0, 0, 0, 1, 1, 2)] * color[:, (0, 1, 2, 1, 2, 2)]
        every = torch.cat((torch.ones_like(color[:, :1]), color, products, 2 * probabilities, features), 1)
        classes = F.interpolate(probabilities, view.shape[:2], mode="bilinear", align_corners=True)
        return Seen(view, classes[0].numpy(), appearance.bins(lab), every[0])

    def _moved(self, prior: np.ndarray, reliable: np.ndarray) -> np.ndarray:
        """Log odds of the object from the warped mask and the reliability of the flow, [h,w]."""
        w = self.weights
        inside = (prior > 0.5).astype(np.uint8)
        deep, away = (cv2.distanceTransform(m, cv2.DIST_L2, 3) for m in (inside, 1 - inside))
        odds = w.moved * _logit(cv2.GaussianBlur(prior, (0, 0), w.blur), 0.02)
        # Outside of the warped mask, unreliable flow can mean background that the object uncovers, or a part of the
        # object that turns into view. The minimum of 0.6 is a compromise between the two.
        firm = reliable * ((deep - w.blur) / w.blur).clip(0, 1)
        firm -= np.maximum(reliable, 0.6) * ((away - w.blur) / w.blur).clip(0, 1)
        return np.asarray(odds + w.firm * firm - 4 * ((away - w.reach) / (0.5 * w.reach)).clip(0, 1))

    def _evidence(self, target: Target, seen: Seen) -> np.ndarray:
        """Log odds of the object from its classes, colors and looks alone, without the warped mask, [h,w]."""
        w = self.weights
        chance = np.einsum("khw,k->hw", seen.classes, target.classes)
        ratio = np.log((target.colors.ravel()[seen.bins] + 1e-5) / (target.around.ravel()[seen.bins] + 1e-5))
        ratio = cv2.GaussianBlur(ratio.astype(np.float32), (0, 0), 1.5).clip(-3, 3)
        known = target.first_looks.mixed(target.looks, 0.5)
        weight = torch.linalg.solve(known.gram + 3.0 * torch.eye(len(known.right)).double(), known.right).float()
        side = torch.einsum("fhw,f->hw", seen.features, weight)[None, None]
        side = F.interpolate(side, ratio.shape, mode="bilinear", align_corners=True).clamp(-1, 1)
        looks = side[0, 0].numpy()
        return np.asarray(w.classes * _logit(chance, 0.03) + w.color * ratio + w.looks * looks)

    def _learn(
        self,
        whole: np.ndarray,
        mask: np.ndarray,
        prior: np.ndarray,
        seen: Seen,
        evidence: np.ndarray,
        target: Target,
    ) -> Target:
        area = float((whole > 0.5).sum())
        confidence = self._confidence(mask, prior, evidence, target)
        if area < max(4.0, 0.03 * target.area) or confidence < 0.1:
            return replace(target, mask=np.zeros_like(whole), confidence=0.0, lost=target.lost + 1)
        w = self.weights
        colors = appearance.histogram(seen.bins, mask * (mask > 0.7))
        around = appearance.histogram(seen.bins, (1 - mask) * (mask < 0.3))
        rate = w.learn
        return replace(
            target,
            mask=whole,
            classes=(1 - rate) * target.classes + rate * appearance.shares(seen.classes, mask),
            colors=(1 - 1.5 * rate) * target.colors + rate * colors + 0.5 * rate * target.first,
            around=(1 - w.learn_around) * target.around + w.learn_around * around,
            looks=target.looks.mixed(appearance.looks(seen.features, mask), rate),
            confidence=confidence,
            lost=0,
            area=area,
        )

    def _confidence(self, mask: np.ndarray, prior: np.ndarray, evidence: np.ndarray, target: Target) -> float:
        """How sure it is that this is still the object, in [0,1].

        It combines how well the cues separate the object, compared with the frame of the selection, and how far the
        mask overlaps the warped mask.
        """
        agreement = appearance.agreement(evidence, mask) / max(target.agreement, 0.1)
        both = float(np.minimum(mask, prior).sum() / max(1.0, np.maximum(mask, prior).sum()))
        now = float(np.clip(agreement, 0, 1) * np.clip(1.4 * both, 0, 1))
        return min(1.0, 0.7 * target.confidence + 0.3 * now) if not target.lost else now

    def _search(self, frame: np.ndarray, target: Target) -> Target:
        """Search the whole frame for a lost object, by its appearance alone. ``mask`` is empty until it is found."""
        height, width = frame.shape[:2]
        gone = replace(target, mask=np.zeros((height, width), np.float32), confidence=0.0, lost=target.lost + 1)
        window = Window.around((0, 0, width, height), (height, width), 0, max(512, self.weights.window))
        seen = self._see(window.take(frame))
        evidence = self._evidence(target, seen)
        found = evidence > 0
        count, parts, facts, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
        best, score = 0, 0.45  # least likeness that counts as found; 1 is the likeness on the frame of the selection
        for part in range(1, count):
            area = facts[part, cv2.CC_STAT_AREA] / window.scale**2
            # The size may differ, because the object may have moved nearer or further away while it was lost.
            if not 0.2 < area / max(target.area, 1) < 5:
                continue
            here = parts == part
            colors = np.minimum(appearance.histogram(seen.bins, here), target.first).sum()
            own = max(0.1, target.agreement)
            likeness = min(1.0, float(evidence[here].mean()) / own) * min(1.0, 2 * float(colors))
            if likeness > score:
                best, score = part, likeness
        if not best:
            return gone
        start = window.put((parts == best).astype(np.float32), (height, width))
        return self.follow(frame, start, None, replace(target, lost=0, mask=start))


def _fit(view: np.ndarray, odds: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Log odds [h,w] -> soft mask [h,w] that follows the edges of uint8 RGB [h,w,3].

    Only parts that are connected with ``prior`` [h,w] are kept.
    """
    mask = follow_edges(view, (1 / (1 + np.exp(-odds))).astype(np.float32), max(2, round(max(view.shape) / 60)))
    sure = mask > 0.5
    kept = connected(sure, [prior > 0.4], share=2.0)
    return np.asarray(np.where(sure & ~kept, 0, np.maximum(mask, kept & ~sure)).astype(np.float32))
