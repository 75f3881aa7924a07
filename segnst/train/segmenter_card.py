"""The model card that lies beside every trained segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segnst.segmentation.networks.deeplab import ARCHITECTURE
from segnst.types import Region

if TYPE_CHECKING:
    from segnst.train.segmentation_data import Source
    from segnst.train.segmenter import SegmenterSettings


def write_card(
    path: Path,
    regions: Sequence[Region],
    settings: SegmenterSettings,
    sources: Sequence[Source],
    iteration: int,
    values: dict[str, float],
    facts: dict[str, str],
) -> None:
    """Write what the network is, what it learned from and what was measured, as Markdown.

    ``facts`` may bring ``terms``, ``command``, ``date`` and more; each becomes a line.
    """
    lines = [f"# {path.stem}", "", f"A segmenter trained with segnst ({ARCHITECTURE}, {iteration} iterations).", ""]
    lines += [f"- {name}: {text}" for name, text in facts.items()]
    lines += [
        f"- batch {settings.batch}, crops of {settings.crop}, learning rate {settings.lr:g}, seed {settings.seed}",
        "",
        "| index | class | also called |",
        "|---|---|---|",
        *(f"| {r.index} | {r.name} | {', '.join(r.aliases)} |" for r in regions),
        "",
        "| data | photos trained on | share |",
        "|---|---|---|",
        *(f"| {s.name} | {len(s.items)} | {s.weight:g} |" for s in sources),
        "",
        "| measured on held-back photos | IoU |",
        "|---|---|",
        *(f"| {name.removeprefix('IoU ')} | {value:.3f} |" for name, value in values.items()),
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
