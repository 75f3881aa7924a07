"""A program that sends a clip at its pace, as a camera would: ``python sender.py TARGET SECONDS [FPS] [FORMAT]``.

Every second begins with a white picture and a loud tone; the other pictures are dark and get brighter. TARGET is an
address, or ``-`` for standard output.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE, SIZE = 48_000, (160, 120)


def picture(index: int, fps: int) -> np.ndarray:
    """[H,W,3]: white at each full second, else a gray that grows with the index."""
    value = 250 if index % fps == 0 else 20 + index % fps * 4
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def tone(index: int, fps: int) -> np.ndarray:
    """[1,n] for one picture: loud while it is white."""
    count = RATE // fps
    loud = 0.5 if index % fps == 0 else 0.0
    return (loud * np.sin(np.arange(count) * 0.3)).astype(np.float32)[None]


def send(target: str, seconds: float, fps: int = 15, form: str = "mpegts", *, paced: bool = True) -> None:
    """Encode and send. Without ``paced``, as fast as it goes."""
    file: Any = sys.stdout.buffer if target == "-" else target
    with av.open(file, "w", format=form, options={"flush_packets": "1"}) as out:
        video: Any = out.add_stream("mpeg4" if form != "yuv4mpegpipe" else "wrapped_avframe", rate=fps)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.gop_size = 5
        video.codec_context.bit_rate = 2_000_000
        audio: Any = None
        if form != "yuv4mpegpipe":
            audio = out.add_stream("aac", rate=RATE, layout="mono")
        began, samples = time.monotonic(), np.zeros((1, 0), np.float32)
        sent = 0
        for index in range(round(seconds * fps)):
            if paced:
                time.sleep(max(0.0, began + index / fps - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(picture(index, fps), "rgb24").reformat(format="yuv420p")
            frame.pts = index
            for packet in video.encode(frame):
                out.mux(packet)
            if audio is None:
                continue
            samples = np.concatenate((samples, tone(index, fps)), 1)
            while samples.shape[1] >= 1024:
                piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, :1024]), "fltp", "mono")
                piece.sample_rate, piece.pts, samples = RATE, sent, samples[:, 1024:]
                sent += 1024
                for packet in audio.encode(piece):
                    out.mux(packet)
        for stream in (video, audio):
            for packet in stream.encode(None) if stream is not None else ():
                out.mux(packet)


def write(path: Path, seconds: float, fps: int = 15) -> Path:
    """The same clip as a file."""
    send(str(path), seconds, fps, "matroska", paced=False)
    return path


if __name__ == "__main__":
    send(sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:4]), *sys.argv[4:5])
