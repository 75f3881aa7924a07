"""Runs with a journal: what is decoded equals what an unbroken run gives, wherever it was ended."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from segnst.errors import Cancelled
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Event, Frames
from segnst.jobs.style import style_file
from tests.clips import panning, write_clip
from tests.jobs.chunks.make import frames_of, settings, uneven_clip
from tests.jobs.every import tiny_style

KEPT = Spread(resume=True, chunk=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny style, a clip of 10 frames and one with uneven times."""
    folder = tmp_path_factory.mktemp("made")
    tiny_style(folder)
    write_clip(folder / "even.mp4", panning(10))
    uneven_clip(folder / "uneven.mp4", 10)
    return folder


def cancelled_after(frames: int) -> Context:
    """A context that cancels its run when so many frames are done."""

    def hear(event: Event) -> None:
        if isinstance(event, Frames) and event.done >= frames:
            context.cancel()

    context = Context(hear)
    return context


def interrupted(source: Path, output: Path, frames: int, style: Path, **more: object) -> None:
    with pytest.raises(Cancelled, match="--resume"):
        style_file(source, output, settings(style, **more), spread=KEPT, context=cancelled_after(frames))
    assert not output.exists()


@pytest.mark.parametrize("clip", ["even", "uneven"])
@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv", "o.webm", "o"])
def test_a_resumed_run_decodes_to_the_frames_and_times_of_an_unbroken_one(
    made: Path, tmp_path: Path, name: str, clip: str
) -> None:
    source, style = made / f"{clip}.mp4", tiny_style(made)
    whole, resumed, plain = (tmp_path / each / name for each in ("whole", "resumed", "plain"))
    for each in (whole, resumed, plain):
        each.parent.mkdir()
    style_file(source, plain, settings(style))
    style_file(source, whole, settings(style), spread=KEPT)
    interrupted(source, resumed, 6, style)
    report = style_file(source, resumed, settings(style), spread=KEPT)
    assert report.frames == 10
    assert frames_of(resumed) == frames_of(whole)
    assert [t for _, t in frames_of(whole)] == [t for _, t in frames_of(plain)]
    assert [p.name for p in resumed.parent.iterdir()] == [name]
    if name == "o":
        assert frames_of(resumed) == frames_of(plain)  # without compression, chunks change nothing at all
    else:
        assert packets_of_sound(resumed) == packets_of_sound(plain)


def packets_of_sound(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as file:
        return [(p.pts, bytes(p)) for p in file.demux(audio=0) if p.size]


def test_lossless_chunks_decode_to_the_frames_of_a_run_without_chunks(made: Path, tmp_path: Path) -> None:
    style = tiny_style(made)
    options = settings(style, codec="ffv1")
    style_file(made / "uneven.mp4", tmp_path / "plain.mkv", options)
    interrupted(made / "uneven.mp4", tmp_path / "o.mkv", 9, style, codec="ffv1")
    style_file(made / "uneven.mp4", tmp_path / "o.mkv", options, spread=KEPT)
    assert frames_of(tmp_path / "o.mkv") == frames_of(tmp_path / "plain.mkv")
