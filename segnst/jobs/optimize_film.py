"""Records an optimization while it runs: pictures of its steps, a film of them, and curves of its losses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from segnst.errors import OutputError, UsageError
from segnst.files import output_error, write_text
from segnst.style.optimization import Losses
from segnst.temporaries import put_folder, temporary_folder
from segnst.train.curves import draw_curves
from segnst.video.paths import check_folder, check_output
from segnst.video.pictures import check_png, write_picture
from segnst.video.read import open_reader
from segnst.video.write import open_writer

FRAMES = 60  # approximate number of frames of a film by default
FPS = 12.0


@dataclass(frozen=True)
class FilmOptions:
    """What is recorded of an optimization.

    every       keep each ``every``-th step; None: such that a film has about 60 frames
    folder      folder for the kept steps as PNGs
    gif, mp4    films of the kept steps
    curves      PNG for the curves of the losses; their values are written as JSON next to it
    keep_steps  keep the steps even if ``folder`` is None, in ``<output>_steps`` next to the output
    """

    every: int | None = None
    folder: Path | None = None
    gif: Path | None = None
    mp4: Path | None = None
    curves: Path | None = None
    keep_steps: bool = False

    def beside(self, output: Path) -> FilmOptions:
        """Return the same options; if ``keep_steps`` needs a folder, it is named after the output."""
        if not self.keep_steps or self.folder is not None:
            return self
        return replace(self, folder=output.with_name(f"{output.stem}_steps"))

    def outputs(self) -> dict[str, Path | None]:
        """All that is written, by what it is called."""
        beside = self.curves.with_suffix(".json") if self.curves is not None else None
        return {
            "the folder of the steps": self.folder, "--gif": self.gif, "--mp4": self.mp4,
            "--curves": self.curves, "the values of --curves": beside,
        }  # fmt: skip

    def check(self, overwrite: bool) -> None:
        """Check that everything can be written. Raises OutputError, UsageError."""
        if self.every is not None and self.every < 1:
            raise UsageError(f"--every must be 1 or more, got {self.every}.")
        for path, suffix in ((self.gif, ".gif"), (self.mp4, ".mp4")):
            if path is not None:
                if path.suffix.lower() != suffix:
                    raise OutputError(f"{path} should end in {suffix}.")
                check_output(path, None, overwrite=overwrite)
        if self.curves is not None:
            check_png(self.curves, overwrite=overwrite)
            check_output_json(self.curves.with_suffix(".json"), overwrite)
        # Next to a default output, the parent folder of both may not exist yet.
        if self.folder is not None and (self.folder.parent.exists() or not self.keep_steps):
            check_output(self.folder, None, overwrite=overwrite)


def check_output_json(path: Path, overwrite: bool) -> None:
    """Check that a JSON file may be written. Raises OutputError if it exists and ``overwrite`` is not set."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")


class Film:
    """Collects the pictures of some steps; it leaves nothing behind that was not asked for.

    finish  turns an optimized picture [1,3,h,w] into the picture that the output would show
    """

    def __init__(self, options: FilmOptions, steps: int, finish: Callable[[Tensor], Tensor]) -> None:
        self.options, self.finish = options, finish
        self.wanted = bool(options.folder or options.gif or options.mp4)
        self.every = options.every or max(1, steps // FRAMES)
        self._last: tuple[int, Tensor] | None = None
        self._temporary: Path | None = None

    @contextmanager
    def beside(self, output: Path) -> Iterator[None]:
        """Keep the pictures in a temporary folder beside the output, as long as this lasts. Raises OutputError."""
        if not self.wanted:
            yield
            return
        place = self.options.folder or output.with_name(f"{output.stem}_steps")
        with ExitStack() as stack:
            try:
                self._temporary = stack.enter_context(temporary_folder(place))
            except OSError as error:
                raise output_error(error, place) from error
            yield

    def __call__(self, step: int, picture: Tensor) -> None:
        """Receive the picture [1,3,h,w] after a step (from 1), and keep it if the options ask for it."""
        if self._temporary is None:
            return
        if step == 1 or step % self.every == 0:
            self._keep(step, picture)
            self._last = None
        else:
            self._last = (step, picture)

    def _keep(self, step: int, picture: Tensor) -> None:
        assert self._temporary is not None
        write_picture(self._temporary / f"step_{step:05d}.png", self.finish(picture.detach().clamp(0, 1)))

    def write(self, overwrite: bool) -> list[Path]:
        """Write the films and the folder that were asked for, and return their paths.

        The last step is always included.
        """
        if self._temporary is None:
            return []
        if self._last is not None:
            self._keep(self._last[0], self._last[1])
        made = []
        for path in (self.options.gif, self.options.mp4):
            if path is not None:
                with (
                    open_reader(self._temporary, fps=FPS) as reader,
                    open_writer(path, reader, overwrite=overwrite) as writer,
                ):
                    for clip in reader:
                        writer.write(clip)
                made.append(path)
        if self.options.folder is not None:
            names = {p.name for p in self._temporary.iterdir()}
            check_folder(self.options.folder, names, overwrite=overwrite)
            put_folder(self._temporary, self.options.folder)
            made.append(self.options.folder)
        return made


def history(losses: Sequence[Losses]) -> dict[str, list[tuple[float, float]]]:
    """Return the course of each loss: {name: [(step, value), …]}."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in losses:
        for name, value in entry.items():
            if name not in ("step", "size", "frame"):
                curves.setdefault(name, []).append((entry["step"], value))
    return curves


def write_curves(path: Path, losses: Sequence[Losses]) -> list[Path]:
    """Draw the curves as a PNG and write the values as JSON next to it; return both paths.

    The curves are logarithmic, because losses fall by orders of magnitude.
    """
    curves = {f"log10 {n}": [(k, math.log10(v)) for k, v in p if v > 0] for n, p in history(losses).items()}
    draw_curves(curves, path)
    beside = path.with_suffix(".json")
    write_text(beside, json.dumps(list(losses), indent=1))
    return [path, beside]
