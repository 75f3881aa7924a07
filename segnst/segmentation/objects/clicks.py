"""Converts prompts to clicks, for networks that do not accept strokes."""

from __future__ import annotations

import torch

from segnst.segmentation.base import Prompt

STROKE_POINTS = 8  # number of clicks that replace a stroke


def points_of(prompt: Prompt) -> list[tuple[float, float, bool]]:
    """The clicks of a prompt and some points of its strokes: (x, y, inside the object) in pixels."""
    points = list(prompt.points)
    for stroke, belongs in ((prompt.foreground, True), (prompt.background, False)):
        if stroke is not None:
            at = stroke[0, 0].nonzero()
            for k in torch.linspace(0, len(at) - 1, min(STROKE_POINTS, len(at))).round().long().tolist():
                points.append((float(at[k, 1]), float(at[k, 0]), belongs))
    return points
