"""Names for the channels of sound, for files that say only how many there are (AVI and WAV do)."""

from __future__ import annotations

from typing import Any

import av

# What FFmpeg takes a number of channels for, where there is a usual arrangement.
_USUAL = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
    10: "7.1.2", 12: "7.1.4", 14: "9.1.4", 16: "hexadecagonal", 24: "22.2",
}  # fmt: skip
# Places in the order of their numbers (AVChannel); for other numbers of channels, one after the other.
_PLACES = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC",
    "TFL", "TFC", "TFR", "TBL", "TBC", "TBR", "DL", "DR", "WL", "WR", "SDL", "SDR", "LFE2",
)  # fmt: skip


def is_named(layout: av.AudioLayout) -> bool:
    """Whether a layout says where its channels belong."""
    return not layout.name.endswith("channels") and "unknown" not in layout.name and layout.nb_channels > 0


def named(layout: av.AudioLayout) -> str | None:
    """The layout's name, or that of the usual layout with as many channels; None for more than have places."""
    if is_named(layout):
        return str(layout.name)
    return for_channels(layout.nb_channels)


def for_channels(count: int) -> str | None:
    """The usual layout of ``count`` channels, else one that gives each a place; None for none or too many."""
    if not 0 < count <= len(_PLACES):
        return None
    return _USUAL.get(count) or "+".join(_PLACES[:count])


def name_channels(context: Any) -> bool:
    """Give an audio context that is not open yet a layout that names its channels; False where none fits."""
    if is_named(context.layout):
        return True
    name = named(context.layout)
    if name is None:
        return False
    context.layout = name
    return True
