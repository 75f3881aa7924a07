"""Draw the README's pictures from the bundled clip and weights.

python recipes/readme_pictures.py     writes results/readme_street.jpg, readme_styles.jpg and readme_steady.jpg
"""

from __future__ import annotations

from pathlib import Path

import cv2
from torch import Tensor

from segnst.assembly import build
from segnst.config import Settings
from segnst.pipeline import State
from segnst.sheet import write_sheet
from segnst.style.checkpoints import known_styles
from segnst.video.read import open_reader

ROOT = Path(__file__).parents[1]
FRAMES = (8, 36, 64)
STEADY = (20, range(34, 39))  # the frame that the stabilizer starts from, and the frames that the strip shows
WINDOW = (slice(150, 300), slice(330, 530))  # the rows and columns that the strip shows


def _as_jpeg(png: Path) -> None:
    cv2.imwrite(str(png.with_suffix(".jpg")), cv2.imread(str(png)), [cv2.IMWRITE_JPEG_QUALITY, 90])
    png.unlink()


def main() -> None:
    with open_reader(ROOT / "videos" / "street.mp4") as reader:
        frames = {k: clip.rgb for k, clip in enumerate(reader) if k in FRAMES}

    def styled(rgb: Tensor, *plan: str) -> Tensor:
        return build(Settings(styles=plan)).pipeline.frame(rgb, State())[0].rgb[0]

    plan = ("car=starry_night", "background=great_wave")
    rows = [
        [("source", rgb[0]) for rgb in frames.values()],
        [(" ".join(plan), styled(rgb, *plan)) for rgb in frames.values()],
    ]
    _as_jpeg(write_sheet(ROOT / "results" / "readme_street.png", rows, width=420))

    middle = frames[FRAMES[1]]
    names = [style.name for style in known_styles().values() if style.collection]
    cells = [(name, styled(middle, name)) for name in names]
    rows = [cells[k : k + 4] for k in range(0, len(cells), 4)]
    _as_jpeg(write_sheet(ROOT / "results" / "readme_styles.png", rows, width=320))
    steady_strip()


def steady_strip() -> None:
    """Draw the same window of consecutive frames: source, per-frame styling and segnst."""
    first, shown = STEADY
    pipeline, state = build(Settings(styles=("starry_night_single",))).pipeline, State()
    rows: dict[str, list[tuple[str, Tensor]]] = {"source": [], "per-frame": [], "segnst": []}
    with open_reader(ROOT / "videos" / "walkaround.mp4") as reader:
        for k, clip in enumerate(reader):
            if first <= k < shown.stop:
                styled, state = pipeline.frame(clip.rgb, state)
                if k in shown:
                    for name, picture in zip(rows, (clip.rgb, styled.painted, styled.rgb), strict=True):
                        rows[name].append((f"{name}, frame {k}", picture[0][:, *WINDOW]))
    _as_jpeg(write_sheet(ROOT / "results" / "readme_steady.png", list(rows.values()), width=300))


if __name__ == "__main__":
    main()
