"""What a file of a style network may claim at most, so that a hostile one cannot ask for any amount of memory."""

from __future__ import annotations

MOST_WIDTH = 1024  # channels of the first layer
MOST_BLOCKS = 64  # residual blocks
MOST_STYLES = 4096
