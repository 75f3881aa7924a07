"""Channel layouts for sound from files that store only the number of channels, such as AVI and WAV."""

from __future__ import annotations

from typing import Any

import av

# FFmpeg's default layout for each number of channels that has one.
_USUAL = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
    10: "7.1.2", 12: "7.1.4", 14: "9.1.4", 16: "hexadecagonal", 24: "22.2",
}  # fmt: skip
# Channel positions in the order of FFmpeg's AVChannel. Other numbers of channels get the first of these positions.
_PLACES = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC",
    "TFL", "TFC", "TFR", "TBL", "TBC", "TBR", "DL", "DR", "WL", "WR", "SDL", "SDR", "LFE2",
)  # fmt: skip


def is_named(layout: av.AudioLayout) -> bool:
    """Whether a layout names the positions of its channels."""
    return not layout.name.endswith("channels") and "unknown" not in layout.name and layout.nb_channels > 0


def named(layout: av.AudioLayout) -> str | None:
    """The layout's name, else that of the usual layout with as many channels; None for more channels than positions."""
    if is_named(layout):
        return str(layout.name)
    return for_channels(layout.nb_channels)


def for_channels(count: int) -> str | None:
    """The usual layout for ``count`` channels, else one of the first positions; None for 0 or too many channels."""
    if not 0 < count <= len(_PLACES):
        return None
    return _USUAL.get(count) or "+".join(_PLACES[:count])


def name_channels(context: Any) -> bool:
    """Set a layout that names the channels of an audio context, before it is opened. False if there is none."""
    if is_named(context.layout):
        return True
    name = named(context.layout)
    if name is None:
        return False
    context.layout = name
    return True
