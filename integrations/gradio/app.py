"""A page that paints a picture in a style, with Gradio: ``pip install segnst gradio``, then ``python app.py``."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

import segnst
from segnst.style.checkpoints import known_styles


@lru_cache(maxsize=4)
def session_of(plan: str) -> segnst.Session:
    return segnst.Session(plan)


def paint(picture: np.ndarray, style: str, region: str, strength: float) -> np.ndarray:
    """uint8 [H,W,3] in and out."""
    entry = f"{style}@{strength:g}"
    session = session_of(entry if region == "everything" else f"{region}={entry}")
    session.reset()  # each picture is for itself
    return session(picture)


def page() -> Any:
    import gradio

    return gradio.Interface(
        paint,
        [
            gradio.Image(type="numpy"),
            gradio.Dropdown(sorted(known_styles()), label="style"),
            gradio.Radio(["everything", "car", "person", "background"], value="everything", label="region"),
            gradio.Slider(0, 1, value=1, label="strength"),
        ],
        gradio.Image(),
        title="segnst",
    )


if __name__ == "__main__":
    page().launch()
