"""Alpha mattes: from a coarse soft mask to the share of each pixel that is covered, and the colors on both sides.

Everything happens in a band round the mask's border; elsewhere a mask stays what it was.

- What is certain comes from the coarse mask, a few pixels away from its border.
- In the band, each pixel is compared with the colors that are certain nearby, on either side: a normal distribution of
  color each, in a window, as in Bayesian matting (Chuang 2001) but with box filters. It says on which side the
  pixel is or, where the two are far apart, how far it lies between them.
- A guided filter with a color guide (He 2013, section 3.5), computed at half the size (He 2015), draws the result at
  full size, with fractions where the picture's colors are between those of both sides.
- ``separate`` estimates the color of one side where both are mixed (blur fusion, Forte 2021, in two rounds).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import box_mean, enlarge, half

CERTAIN = 1.8  # cells of the coarse mask: how far from its border a pixel is certain
LEAST = 2.0  # px of the frame, the same for masks that are as fine as the frame
SHARED = 0.02  # least alpha, and least rest, that count as a fraction
NEAR = 1 / 24  # of the short side: half the window whose certain colors a pixel is compared with
FINE = 1 / 60  # of the short side at half the size: half the window of the guided filter
NOISE = 2e-4  # variance of color, in [0,1], that is never taken for a difference
FLAT = 1e-4  # the same for the guided filter
DOUBT = 0.1  # of the coarse probability, from which on a pixel away from the border is in the band too
SAY = 2.0  # most that colors say, in log odds
APART = 50.0  # squared distance of both sides' colors, in deviations, at which half of alpha is the place between them
PLACE = 0.4  # how much the distance from the border counts beside the coarse probability
SPREAD = (1 / 8, 1 / 60)  # of the short side: half the windows that colors are spread over
THIN = 0.02  # weight of what is only probable, for parts that are too thin to have a certain inside


def _odd(part: float, short: int) -> int:
    return 2 * max(1, round(part * short)) + 1


def _squares(rgb: Tensor) -> Tensor:
    """[B,3,h,w] -> the six products rr, rg, rb, gg, gb, bb."""
    r, g, b = rgb.unbind(1)
    return torch.stack((r * r, r * g, r * b, g * g, g * b, b * b), 1)


def _inverse(covariance: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Six entries of a symmetric 3x3 matrix plus ``floor`` on its diagonal -> six of its inverse, and determinant."""
    rr, rg, rb, gg, gb, bb = covariance.unbind(1)
    rr, gg, bb = rr + floor, gg + floor, bb + floor
    a, b, c = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    d, e, f = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    det = (rr * a + rg * b + rb * c).clamp_min(floor**3)
    return torch.stack((a, b, c, d, e, f), 1) / det[:, None], det[:, None]


def _apply(matrix: Tensor, v: Tensor) -> Tensor:
    """Symmetric matrix (six entries) times vector: [B,6,h,w], [B,3,h,w] -> [B,3,h,w]."""
    a, b, c, d, e, f = matrix.unbind(1)
    x, y, z = v.unbind(1)
    return torch.stack((a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z), 1)


def refine(soft: Tensor, rgb: Tensor) -> Tensor:
    """Draw the border of one region: its coarse probability [B,1,h,w] of a frame [B,3,H,W] -> alpha [B,1,H,W].

    All in [0,1]; the corners of the probability lie on those of the frame. A mask of the frame's size that has
    fractions is a matte already, and is returned as it is.
    """
    height, width = rgb.shape[-2:]
    if soft.shape[-2:] == rgb.shape[-2:] and ((soft > SHARED) & (soft < 1 - SHARED)).any():
        return soft  # somebody drew fractions at full size, so they are kept
    small = half(rgb)
    rows, columns = small.shape[-2:]
    near, fine = _odd(NEAR, min(rows, columns)), _odd(FINE, min(rows, columns))
    cell = max(1.0, columns / soft.shape[-1])
    prior = F.interpolate(soft, (rows, columns), mode="bilinear", align_corners=True)
    firm = (prior > 0.5).to(rgb.dtype)
    # 0 and 1 where no border is within reach
    ramp = box_mean(firm, 2 * max(round(LEAST / 2), round(CERTAIN * cell)) + 1)
    alpha = F.interpolate(firm, (height, width), mode="nearest")
    part = _rectangle(~_sure(prior, ramp), near + 2 * fine)
    if part is not None:
        # Only the rectangle that holds all of the band is computed: often that is a small part of the frame.
        top, bottom, left, right = part
        inner = (..., slice(top, bottom), slice(left, right))
        outer = (..., slice(2 * top, min(2 * bottom, height)), slice(2 * left, min(2 * right, width)))
        view = small[inner]
        found = classify(prior[inner], ramp[inner], view, near)
        alpha[outer] = draw(found, view, rgb[outer], fine)
    return alpha


def _rectangle(mask: Tensor, margin: int) -> tuple[int, int, int, int] | None:
    """Top, bottom, left and right of the set pixels of [B,1,h,w] with a margin, or None where there are none."""
    some = mask.flatten(0, 1).any(0)
    rows, columns = some.any(1).nonzero(), some.any(0).nonzero()
    if not len(rows):
        return None
    (top, bottom), (left, right) = ((int(x[0]), int(x[-1]) + 1) for x in (rows, columns))
    return (
        max(0, top - margin), min(some.shape[0], bottom + margin), max(0, left - margin),
        min(some.shape[1], right + margin),
    )  # fmt: skip


def classify(prior: Tensor, ramp: Tensor, rgb: Tensor, window: int) -> Tensor:
    """The probability of a region by its coarse mask and by the colors that are certain nearby; all [B,·,h,w].

    ramp    share of the region in the surroundings; 0 and 1 are certain
    window  px, of the colors that are compared with, odd
    """
    inside, outside = ramp > 0.999, ramp < 0.001
    weight = torch.cat((inside + THIN * prior * ramp, outside + THIN * (1 - prior) * (1 - ramp)))
    features = torch.cat((torch.ones_like(prior), rgb, _squares(rgb)), 1)
    sums = box_mean(weight * features.repeat(2, 1, 1, 1), window)
    scaled = sums[:, 1:] / sums[:, :1].clamp_min(1e-8)
    mean, squares = scaled[:, :3], scaled[:, 3:]
    covariance = squares - _squares(mean)
    inverse, det = _inverse(covariance, NOISE)
    apart = rgb.repeat(2, 1, 1, 1) - mean
    unlike = (apart * _apply(inverse, apart)).sum(1, keepdim=True) + det.log()  # twice the negative log likelihood
    to_inside, to_outside = unlike.chunk(2)
    odds = (0.5 * (to_outside - to_inside)).clamp(-SAY, SAY)
    odds += torch.logit(prior.clamp(0.02, 0.98)) + PLACE * torch.logit(ramp.clamp(0.02, 0.98))
    # Where both sides have colors that are far apart, a color between them says how much there is of each.
    front, behind = mean.chunk(2)
    near, far = covariance.chunk(2)
    line = front - behind
    along = _apply(_inverse(0.5 * (near + far), NOISE)[0], line)
    distance = (line * along).sum(1, keepdim=True)
    share = (((rgb - behind) * along).sum(1, keepdim=True) / distance.clamp_min(1e-6)).clamp(0, 1)
    found = torch.lerp(torch.sigmoid(odds), share, distance / (distance + APART))
    return torch.where(_sure(prior, ramp), (prior > 0.5).to(rgb.dtype), found)


def _sure(prior: Tensor, ramp: Tensor) -> Tensor:
    """Where the coarse mask is right: away from its border, and sure of itself. Hair and spokes are neither."""
    return ((ramp > 0.999) | (ramp < 0.001)) & ((prior > 1 - DOUBT) | (prior < DOUBT))


def draw(alpha: Tensor, small: Tensor, rgb: Tensor, window: int) -> Tensor:
    """Color guided filter: alpha [B,1,h,w] of a picture [B,3,h,w] -> [B,1,H,W] with the edges of [B,3,H,W]."""
    sums = box_mean(torch.cat((alpha, alpha * small, small, _squares(small)), 1), window)
    average, together, mean, squares = sums[:, :1], sums[:, 1:4], sums[:, 4:7], sums[:, 7:]
    inverse, _ = _inverse(squares - _squares(mean), FLAT)
    slope = _apply(inverse, together - average * mean)
    offset = average - (slope * mean).sum(1, keepdim=True)
    lines = enlarge(box_mean(torch.cat((slope, offset), 1), window), (rgb.shape[-2], rgb.shape[-1]), "bilinear")
    red, green, blue = ((lines[:, k] * rgb[:, k])[:, None] for k in range(3))
    return (red + green + blue + lines[:, 3:]).clamp(0, 1)


def separate(rgb: Tensor, alpha: Tensor) -> Tensor:
    """The color of what ``alpha`` covers: RGB [B,3,H,W] and alpha [B,1,H,W] -> RGB [B,3,H,W], all in [0,1].

    The colors of both sides are spread from where they are seen, in a wide and then in a narrow window at half the
    size, and corrected at full size so that they mix to the picture.
    """
    color = behind = half(rgb)
    share = half(alpha)
    rest = 1 - share
    short = min(share.shape[-2:])
    for part in SPREAD:
        sums = box_mean(torch.cat((share, share * color, rest, rest * behind), 1), _odd(part, short))
        color = sums[:, 1:4] / sums[:, :1].clamp_min(1e-5)
        behind = sums[:, 5:8] / sums[:, 4:5].clamp_min(1e-5)
    color, behind = (enlarge(x, (rgb.shape[-2], rgb.shape[-1]), "bilinear") for x in (color, behind))
    return torch.addcmul(color, alpha, rgb - torch.lerp(behind, color, alpha)).clamp(0, 1)
