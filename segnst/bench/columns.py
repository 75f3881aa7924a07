"""Every figure of the stability benchmark: what it is, which direction is better, and which changes are noise.

A figure's key is its name, followed in brackets by what it was measured on: ``excess[car]``, ``sharp[fine]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Column:
    """One kind of figure.

    better  "lower", "higher", or "one": the closer to 1, the better
    noise   a change of up to this counts as none, whatever its share of the figure
    about   what the figure is, in one sentence
    """

    better: Literal["lower", "higher", "one"]
    noise: float
    about: str


COLUMNS: dict[str, Column] = {
    "e_warp": Column(
        "lower",
        2e-5,
        "squared difference of a frame to its warped predecessor, channels summed, mean over valid pixels (Lai 2018)",
    ),
    "excess": Column(
        "lower",
        0.02,
        "(E_warp − source's) / (per-frame's − source's): 0 as steady as the source, 1 as per-frame styling, below 0 "
        "means that changes of the source were frozen or smoothed away; absent where they differ by less than a tenth",
    ),
    "ratio": Column("lower", 0.02, "E_warp / per-frame styling's"),
    "e_stab": Column(
        "lower", 5e-4, "square root of the mean over frames of 1/(3HW) Σ M‖O_t − W(O_t−1)‖² (Huang 2017, ReCoNet)"
    ),
    "ruder": Column("lower", 1e-5, "the same without the square root (Ruder 2018)"),
    "long_range": Column("lower", 5e-5, "E_warp of a frame against the one ten frames earlier, flow chained"),
    "long_excess": Column("lower", 0.03, "the excess of long_range"),
    "sharp": Column(
        "one",
        0.02,
        "root mean square of a band of the luminance's Laplacian pyramid over per-frame styling's (fine: strokes of 2 "
        "to 4 px, middle: 4 to 8, coarse: 8 to 16)",
    ),
    "sharpness": Column("one", 0.03, "variance of the luminance's Laplacian over per-frame styling's"),
    "style": Column(
        "one", 0.02, "⟨G(o), G(p)⟩ / ⟨G(p), G(p)⟩ of Gram matrices at a VGG layer, o the output, p per-frame styling"
    ),
    "style_distance": Column(
        "lower", 0.05, "distance of the Gram matrix to the painting's over that of per-frame styling's"
    ),
    "ghosts": Column(
        "lower",
        0.1,
        "mean |output − per-frame| on pixels uncovered within the last 3 frames over that on never-occluded pixels",
    ),
    "pumping": Column(
        "lower",
        0.05,
        "standard deviation of the change of mean luminance from frame to frame, less the source's, over per-frame "
        "styling's",
    ),
    "cut_bleed": Column("lower", 0.004, "largest |output − per-frame| on the first frames after cuts"),
    "mask_flicker": Column(
        "lower",
        0.01,
        "1 − IoU of the mask with its predecessor, which is warped first and thresholded at 0.5 then, on valid pixels; "
        "the source's row has the true mask, per-frame's the raw one, segnst's the stabilized one",
    ),
    "mask_flicker_nearest": Column("lower", 0.01, "the same, thresholded first and warped to the nearest pixel"),
    "mask_iou": Column(
        "higher", 0.02, "IoU with the true mask: the raw mask's for per-frame, the stabilized one's for segnst"
    ),
    "encoded_e_warp": Column("lower", 5e-5, "E_warp of segnst's video read back from the encoded file"),
    "encoded_excess": Column("lower", 0.03, "the excess of encoded_e_warp, between floor and ceiling before encoding"),
    "encoded_sharpness": Column("one", 0.03, "sharpness of that file over per-frame styling's before encoding"),
}


def base(key: str) -> str:
    """The kind of a figure: ``excess`` of ``excess[car]``."""
    return key.partition("[")[0]


def worsening(key: str, old: float, new: float) -> float:
    """How much worse a figure became, in its own units; negative where it became better.

    Where 1 is best, the distance to 1 counts. An excess below 0 counts as 0: freezing what changes in
    the source is no gain.
    """
    column = COLUMNS[base(key)]
    if column.better == "one":
        return abs(new - 1) - abs(old - 1)
    if base(key).endswith("excess"):
        old, new = max(old, 0.0), max(new, 0.0)
    return old - new if column.better == "higher" else new - old


def allowed(key: str, old: float, tolerance: float) -> float:
    """The worsening that is tolerated: a share of the old figure, but at least the column's noise."""
    return max(tolerance * abs(old), COLUMNS[base(key)].noise)
