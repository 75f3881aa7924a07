"""Segmenting a video, a still or a folder of photos into a folder of label maps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst.errors import InputError, OutputError
from segnst.segmentation.base import Segmenter, label_map
from segnst.segmentation.indexed_png import write_png

Progress = Callable[[int, "int | None"], None]
# (name, rgb [1,3,H,W], carry) -> (uint8 [H,W], carry)
Draw = Callable[[str, Tensor, Any], tuple[Tensor, Any]]


@dataclass
class SegmentReport:
    """How many label maps were written, and what deserves to be said."""

    frames: int = 0
    warnings: list[str] = field(default_factory=list)


def segment_to_folder(
    input: Path,  # noqa: A002
    output: Path,
    segmenter: Segmenter,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SegmentReport:
    """Write one indexed PNG a frame (``000000.png`` on), or one under each photo's stem; pixel value = class index.

    input   a video, a still, or a folder of photos of any sizes
    output  made if missing; the label maps appear in it together, when all are done
    Raises InputError (nothing to segment), OutputError (``output`` holds label maps, or cannot be written).
    """

    def draw(name: str, rgb: Tensor, carry: Any) -> tuple[Tensor, Any]:
        probabilities, carry = segmenter(rgb, carry)
        return label_map(probabilities, (rgb.shape[2], rgb.shape[3]))[0], carry

    return labels_to_folder(input, output, draw, overwrite=overwrite, progress=progress)


def labels_to_folder(
    input: Path,  # noqa: A002
    output: Path,
    draw: Draw,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    finish: Callable[[Path], None] = lambda folder: None,
) -> SegmentReport:
    """As :func:`segment_to_folder`, with label maps from ``draw``; ``finish`` may put more into the folder."""
    input, output = Path(input), Path(output)  # noqa: A001
    _check_output(input, output, overwrite)
    report = SegmentReport()
    frames = _photos(input) if input.is_dir() else _frames(input, report)
    scratch: Path | None = None
    try:
        first = next(frames, None)  # an unusable input is found before anything is written
        if first is None:
            raise InputError(f"{input} holds nothing to segment.")
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
        carry = None
        frame: tuple[str, Tensor, int | None] | None = first
        while frame is not None:
            name, rgb, expected = frame
            label, carry = draw(name, rgb, None if input.is_dir() else carry)
            write_png(scratch / f"{name}.png", label.cpu().numpy())
            report.frames += 1
            if progress is not None:
                progress(report.frames, expected)
            frame = next(frames, None)
        finish(scratch)
        output.mkdir(exist_ok=True)
        for file in sorted(scratch.iterdir()):
            file.replace(output / file.name)
    except OSError as error:
        raise OutputError(f"The label maps cannot be written to {output} ({error.strerror or error}).") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return report


def _check_output(input: Path, output: Path, overwrite: bool) -> None:  # noqa: A002
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; name a folder for the label maps.")
    if output.is_dir() and input.exists() and input.samefile(output):
        raise OutputError("The label maps must not go into the folder that the photos come from.")
    if output.is_dir() and not overwrite and any(p.suffix == ".png" for p in output.iterdir()):
        raise OutputError(f"{output} holds PNGs already. Choose another folder or pass --overwrite.")


def _photos(folder: Path) -> Iterator[tuple[str, Tensor, int | None]]:
    """(stem, [1,3,H,W], how many) for each photo, in natural order."""
    from segnst.video import images

    files = images.frame_files(folder)
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise InputError(f"{stems[file.stem].name} and {file.name} in {folder} would get the same label map.")
        stems[file.stem] = file
    for file in files:
        planes = images.load(file).planes()
        yield file.stem, torch.from_numpy(planes[:3].copy())[None], len(files)


def _frames(path: Path, report: SegmentReport) -> Iterator[tuple[str, Tensor, int | None]]:
    """(name, [1,3,H,W], expected count) for each frame of a video, or for a single still."""
    from segnst.video.read import open_reader

    with open_reader(path) as reader:
        single = reader.info.kind == "image"
        for number, clip in enumerate(reader):
            yield path.stem if single else f"{number:06d}", clip.rgb[:1], reader.info.frames
        report.warnings += reader.warnings
