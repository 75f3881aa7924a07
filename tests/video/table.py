"""What reading and writing keep, for every clip of a folder: ``python -m tests.video.table [FOLDER|FILE [PRESET]]``."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from segnst.video.read import open_reader
from segnst.video.write import open_writer


@dataclass
class Row:
    """One clip, read and written unchanged at crf 8."""

    name: str
    frames: tuple[int, int]
    same_times: bool
    same_end: bool
    packets: tuple[int, int]  # of sound and subtitles
    same_packets: bool
    psnr: float
    worst_psnr: float
    shift: float
    psnr_yuv: float
    seconds: float
    warnings: list[str]


def packets(path: Path) -> list[bytes]:
    """All packets of sound and subtitles, by stream."""
    with av.open(str(path)) as file:
        kept = [s for s in file.streams if s.type in ("audio", "subtitle")]
        order = {s.index: n for n, s in enumerate(kept)}
        found = [(order[p.stream_index], bytes(p)) for p in file.demux(kept) if p.size] if kept else []
    return [data for _, data in sorted(found, key=lambda pair: pair[0])]


def code_values(frame: av.VideoFrame) -> list[np.ndarray]:
    deep = frame.format.components[0].bits
    kind = np.uint16 if deep > 8 else np.uint8
    return [
        np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].astype(np.float32) * (255 / (2**deep - 1))
        for p in frame.planes
    ]


def measure(source: Path, *, limit: int | None = None, every: int = 4, preset: str | None = None) -> Row:
    """Copy ``source`` (its first ``limit`` frames' seconds) and compare; ``every`` n-th frame by its pixels."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / source.name
        began = time.monotonic()
        with open_reader(source) as reader, open_writer(target, reader, crf=8, preset=preset) as writer:
            for count, clip in enumerate(reader, 1):
                writer.write(clip)
                if count == limit:
                    break
        seconds = time.monotonic() - began
        errors, yuv_errors, shifts, times, ends, frames = [], [], [], True, True, [0, 0]
        one, two = av.open(str(source)), av.open(str(target))
        with one, two:
            for index, (a, b) in enumerate(zip(one.decode(video=0), two.decode(video=0), strict=limit is None)):
                frames = [index + 1, index + 1]
                times &= a.pts * a.time_base == b.pts * b.time_base
                ends = a.duration * a.time_base == b.duration * b.time_base
                if index % every:
                    continue
                x, y = (f.to_ndarray(format="rgb24").astype(np.float32) for f in (a, b))
                errors.append(float(np.mean((x - y) ** 2)))
                shifts.append(float(np.mean(y - x)))
                yuv = [np.mean((p - q) ** 2) for p, q in zip(code_values(a), code_values(b), strict=True)]
                yuv_errors.append(float(np.mean(yuv)))
        old, new = packets(source), packets(target)

        def decibel(error: float) -> float:
            return 10 * float(np.log10(255**2 / max(error, 1e-9)))

        return Row(
            source.name, (frames[0], writer.frames_written), times, ends or limit is not None, (len(old), len(new)),
            old == new, decibel(float(np.mean(errors))), decibel(max(errors)), float(np.mean(shifts)),
            decibel(float(np.mean(yuv_errors))), seconds, reader.warnings + writer.warnings,
        )  # fmt: skip


def main(place: str, preset: str | None = None) -> None:
    """Print a table of all clips in a folder, or of one file."""
    head = ("clip", "frames", "times", "end", "packets", "same", "PSNR", "worst", "shift", "YUV", "s/frame")
    form = "{:<30} {:>9} {:>5} {:>5} {:>11} {:>5} {:>6} {:>6} {:>7} {:>6} {:>7}\n"
    sys.stdout.write(form.format(*head))
    for path in sorted(Path(place).iterdir()) if Path(place).is_dir() else [Path(place)]:
        row = measure(path, preset=preset)
        sys.stdout.write(
            form.format(
                row.name, "{}/{}".format(*row.frames), "ok" if row.same_times else "NO", "ok" if row.same_end else "NO",
                "{}/{}".format(*row.packets), "ok" if row.same_packets else "NO", f"{row.psnr:.2f}",
                f"{row.worst_psnr:.2f}", f"{row.shift:+.3f}", f"{row.psnr_yuv:.2f}",
                f"{row.seconds / row.frames[1]:.3f}",
            )
        )  # fmt: skip
        for warning in row.warnings:
            sys.stdout.write(f"    {warning}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["../shared/clips"]))
