"""The layers of a result for compositors: each with its alpha, so that laid over each other they are the flat result.

At the bottom is the source itself. Above it come the layers of the plan, the background first and the first entry on
top. A layer's alpha is its mask times its strength where nothing above it covers it, enlarged so that ``over`` leaves
each layer the share that it has in the flat result: with shares w, alpha = w / (1 - the shares above). All layers
show the same paint, because all regions are painted and steadied as one picture; the alpha says which is whose.

PATH says what is written, N counts the layers from the bottom:

- a folder: ``PATH/N_LAYER/frame_000001.png``, for a still too
- ``x.mov``, ``x.mkv``: ``x_N_LAYER.mov`` in ProRes 4444, ``x_N_LAYER.mkv`` in lossless FFV1; 4:4:4 with alpha, with the
  times of the source
- ``x.exr``: one file with all layers (``LAYER.R`` … ``LAYER.A``) for a still, and ``x/frame_000001.exr`` … for a film,
  in half floats. The values are those of the picture as it is shown, not linear light, and have to be laid over each
  other as they are.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from torch import Tensor

from segnst import temporaries
from segnst.errors import OutputError, UsageError, did_you_mean
from segnst.files import output_error, written_whole
from segnst.jobs.outputs import folder_for
from segnst.pipeline import Pipeline, Styled
from segnst.types import Clip
from segnst.untrusted import safe_names
from segnst.video.guard import writing
from segnst.video.paths import check_folder, check_output
from segnst.video.read import Reader
from segnst.video.write import open_writer

Alpha = Literal["straight", "premultiplied"]
SOURCE = "source"
CODECS = {".mov": "prores", ".mkv": "ffv1"}
_COVERED = 1e-4  # what is covered up to this is covered


def straight_or_not(alpha: str | None, layers: object = True) -> Alpha | None:
    """The value of ``--alpha``. Raises UsageError for another, or without ``--layers``."""
    kinds = ("straight", "premultiplied")
    if alpha is None:
        return None
    if alpha not in kinds:
        raise UsageError(f"--alpha must be straight or premultiplied, got '{alpha}'.{did_you_mean(alpha, kinds)}")
    if layers is None:
        raise UsageError("--alpha says how --layers are written; add --layers PATH.")
    return cast(Alpha, alpha)


def layer_names(pipeline: Pipeline) -> list[str]:
    """The names of the layers from the bottom: the source, then what is painted, safe for files and channels."""
    entries = pipeline.plan.entries
    painted = [entries[k].name for k in reversed(_painted(pipeline))]
    return safe_names(re.sub(r"[^\w-]+", "-", name).strip("-") or "layer" for name in (SOURCE, *painted))


def _painted(pipeline: Pipeline) -> list[int]:
    """The layers that show any paint, the topmost first."""
    if pipeline.idle:
        return []
    return [k for k, amount in enumerate(pipeline.stylizer.amounts) if amount > 0]


def layers_of(rgb: Tensor, styled: Styled, pipeline: Pipeline) -> list[tuple[Tensor, Tensor]]:
    """(color [1,3,H,W], alpha [1,1,H,W]) of each layer, straight, from the bottom; the first is the opaque source."""
    above = rgb.new_zeros(1, 1, *rgb.shape[-2:])
    opaque = above + 1
    layers = []
    for k in _painted(pipeline):
        mask = opaque if styled.masks is None else styled.masks.soft[:, k : k + 1]
        share = mask * pipeline.stylizer.amounts[k]
        left = 1 - above
        alpha = (share / left.clamp_min(_COVERED)).clamp(0, 1) * (left > _COVERED)
        layers.append((styled.cover, alpha))
        above = (above + share).clamp(0, 1)
    return [(rgb, opaque), *reversed(layers)]


def check_layers(path: str | Path | None, source: Path, *, overwrite: bool) -> None:
    """Raise OutputError or UsageError for a PATH of layers that cannot be written, before anything is loaded."""
    if path is None:
        return
    path = Path(path)
    if path.suffix and path.suffix.lower() not in {*CODECS, ".exr"}:
        raise OutputError(f"--layers is a folder or ends in .mov, .mkv or .exr; {path} does not.")
    if path.suffix.lower() == ".exr":
        _openexr()
    taken = [path, path.with_suffix("")] if path.suffix.lower() == ".exr" else [path]
    if path.suffix and path.parent.is_dir():
        taken += [each for each in path.parent.iterdir() if re.fullmatch(rf"{re.escape(path.stem)}_\d+_.*", each.stem)]
    for each in taken:
        if each.exists() and not overwrite and (each.is_file() or any(each.iterdir())):
            raise OutputError(f"{each} exists already; choose another name for --layers or allow --overwrite.")
    if path.exists() and path.samefile(source):
        raise OutputError(f"--layers {path} is the input; give another name.")


def _openexr() -> Any:
    try:
        return importlib.import_module("OpenEXR")
    except ImportError as error:
        raise UsageError("EXR needs a package that is not installed: pip install 'segnst[exr]'.") from error


class _Files(Protocol):
    """What takes the layers of each frame, as colors and alphas that are ready to be written."""

    def write(self, layers: list[tuple[Tensor, Tensor]], pts: int) -> None: ...


@contextmanager
def layer_files(
    path: str | Path | None, alpha: Alpha | None, reader: Reader, pipeline: Pipeline, *, overwrite: bool
) -> Iterator[None]:
    """Write the layers of every clip that the pipeline styles inside of this; nothing if ``path`` is None.

    Raises OutputError, UsageError.
    """
    if path is None:
        yield
        return
    path = Path(path)
    if reader.info.has_alpha:
        raise UsageError(f"{reader.info.path} has transparency, and its layers would need two alphas; leave it out.")
    exr = path.suffix.lower() == ".exr"
    premultiplied = (alpha or ("premultiplied" if exr else "straight")) == "premultiplied"
    names = layer_names(pipeline)
    with ExitStack() as opened:
        files: _Files
        if exr:
            files = opened.enter_context(_exr(path, names, reader, premultiplied, overwrite=overwrite))
        else:
            files = _Pictures(path, names, reader, opened, overwrite=overwrite)

        def take(rgb: Tensor, styled: Styled, pts: int) -> None:
            rgb = rgb.to(styled.rgb.device)
            layers = layers_of(rgb, styled, pipeline)
            if premultiplied:
                layers = [(color * each, each) for color, each in layers]
            files.write([(color.cpu(), each.cpu()) for color, each in layers], pts)

        pipeline.listener = take
        try:
            yield
        finally:
            pipeline.listener = None


class _Seen:
    """A reader whose pictures have alpha, full chroma and ten bits, which is what the layers are written with."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        depth = max(10, reader.info.bit_depth)
        self.info = replace(
            reader.info, has_alpha=True, bit_depth=depth, pixel_format="yuv444p10le" if depth == 10 else "yuv444p12le"
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


class _Pictures:
    """A folder of PNGs, or a film, for each layer."""

    def __init__(self, path: Path, names: list[str], reader: Reader, opened: ExitStack, *, overwrite: bool) -> None:
        film = path.suffix.lower() in CODECS
        seen = cast(Reader, _Seen(reader) if film else reader)
        self._base: Fraction = reader.info.time_base
        self._writers = []
        for number, name in enumerate(names):
            target = path.with_name(f"{path.stem}_{number}_{name}{path.suffix}") if film else path / f"{number}_{name}"
            opened.enter_context(folder_for(target))
            check_output(target, reader.info.path, overwrite=overwrite)
            writer = open_writer(
                target, seen, codec=CODECS.get(path.suffix.lower()), audio=False, alone=True, overwrite=overwrite
            )
            self._writers.append(opened.enter_context(writer))

    def write(self, layers: list[tuple[Tensor, Tensor]], pts: int) -> None:
        for writer, (color, alpha) in zip(self._writers, layers, strict=True):
            writer.write(Clip(color.float(), (pts,), self._base, alpha.float()))


class _Exr:
    """One EXR with all layers for each frame, written into a folder, or the one of a still into its file."""

    def __init__(self, place: Path, names: list[str], premultiplied: bool, *, still: bool) -> None:
        self._place, self._names, self._still, self._count = place, names, still, 0
        self._exr = _openexr()
        self._header = {
            "compression": self._exr.ZIP_COMPRESSION,
            "type": self._exr.scanlineimage,
            "segnstLayers": ",".join(names),
            "segnstAlpha": "premultiplied" if premultiplied else "straight",
        }

    def write(self, layers: list[tuple[Tensor, Tensor]], pts: int) -> None:
        del pts
        self._count += 1
        if self._still and self._count > 1:
            raise OutputError(f"{self._place} holds one picture, but there are more frames.")
        channels = {}
        for name, (color, alpha) in zip(self._names, layers, strict=True):
            planes = [*color[0].float().numpy(), alpha[0, 0].float().numpy()]
            for letter, plane in zip("RGBA", planes, strict=True):
                channels[f"{name}.{letter}"] = np.ascontiguousarray(plane, dtype=np.float16)
        target = self._place if self._still else self._place / f"frame_{self._count:06d}.exr"
        with writing(target):
            self._exr.File(self._header, channels).write(str(target))


@contextmanager
def _exr(path: Path, names: list[str], reader: Reader, premultiplied: bool, *, overwrite: bool) -> Iterator[_Exr]:
    """Files that appear together when all frames are there."""
    if reader.info.kind == "image":
        try:
            with folder_for(path), written_whole(path, replace=overwrite) as temporary:
                yield _Exr(temporary, names, premultiplied, still=True)
        except FileExistsError as error:
            raise output_error(error, path) from error
        return
    folder = path.with_suffix("")
    with folder_for(folder), temporaries.temporary_folder(folder) as scratch:
        yield _Exr(scratch, names, premultiplied, still=False)
        with writing(folder):
            check_folder(folder, {each.name for each in scratch.iterdir()}, overwrite=overwrite)
            temporaries.put_folder(scratch, folder)
