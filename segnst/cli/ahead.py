"""Mistakes that can be found before torch is imported, which takes seconds: a missing input, the name of a style."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from segnst.errors import SegnstError


def check_ahead(input: Path, styles: Sequence[str] | None = None, *, fast: bool = False) -> None:
    """Raise what a run on ``input`` in a plan of ``styles`` would raise about these two.

    Nothing here is needed for a run, which checks everything itself. Raises InputError, PlanError, WeightsError.
    """
    from segnst.video.guard import check_kind, reading
    from segnst.video.pipes import is_pipe

    names: tuple[str, ...] = ()
    if styles is not None:
        from segnst.plan import parse_plan

        names = parse_plan(styles).styles
    if not is_pipe(input):  # a command that reads no pipes says so itself
        with reading(input):
            check_kind(input)
    if names:
        _check_names(names, fast)


def _check_names(names: Sequence[str], fast: bool) -> None:
    from segnst.style.checkpoints import locate_style

    said: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as said:  # a run will say them again
            warnings.simplefilter("always")
            for name in names:
                locate_style(name, fast=fast)
    except SegnstError:
        for one in said:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        raise
