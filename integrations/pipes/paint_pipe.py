"""Raw frames in on stdin, styled frames out on stdout, for FFmpeg and everything else that speaks through pipes::

    ffmpeg -v error -i in.mp4 -f rawvideo -pix_fmt rgb24 - \
      | python paint_pipe.py 1280x720 car=starry_night background=great_wave \
      | ffmpeg -v error -f rawvideo -pix_fmt rgb24 -s 1280x720 -r 25 -i - -i in.mp4 -map 0:v -map 1:a? -c:a copy out.mp4

Where there are files on both sides, ``segnst style`` also keeps times, colors and metadata, which a pipe cannot carry.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

import segnst


def frames(pipe: BinaryIO, width: int, height: int) -> Iterator[np.ndarray]:
    """uint8 [H,W,3] until the pipe ends; a last piece of a frame is left out."""
    while len(data := pipe.read(width * height * 3)) == width * height * 3:
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def main(size: str, *plan: str) -> None:
    width, height = map(int, size.split("x"))
    session = segnst.Session(plan)
    for styled in session.frames(frames(sys.stdin.buffer, width, height)):
        sys.stdout.buffer.write(styled.tobytes())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
