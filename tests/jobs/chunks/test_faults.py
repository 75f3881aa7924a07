"""Journals that cannot be gone on with, in whole or in part, and clips at the edges of what there is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from segnst.config import Settings
from segnst.errors import Cancelled, InputError, OutputError, ResourceError, SegnstError, UsageError
from segnst.jobs.chunks.listing import find_journals
from segnst.jobs.chunks.place import journal_path
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Event, Frames
from segnst.jobs.style import style_file
from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors
from tests.clips import panning, write_clip
from tests.jobs.chunks.make import cut_clip, frames_of, settings
from tests.jobs.every import tiny_style

KEPT = Spread(resume=True, chunk=4)


def run(folder: Path, *, frames: int = 0, spread: Spread = KEPT, source: str = "c.mp4", **more: object) -> list[str]:
    """Style the clip of a folder into o.mp4; ``frames`` > 0 cancels it after so many. Returns the warnings."""

    def hear(event: Event) -> None:
        if frames and isinstance(event, Frames) and event.done >= frames:
            context.cancel()

    context = Context(hear)
    options = settings(tiny_style(folder), **more)
    return style_file(folder / source, folder / "o.mp4", options, spread=spread, context=context).warnings


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A folder with a clip of 10 frames and the journal of a run that was ended after 9 of them: two chunks."""
    write_clip(tmp_path / "c.mp4", panning(10))
    with pytest.raises(Cancelled):
        run(tmp_path, frames=9)
    return tmp_path


def journal(folder: Path) -> Path:
    return journal_path(folder / "o.mp4")


def whole(folder: Path) -> list[object]:
    """The frames of an unbroken run."""
    run(folder, spread=Spread(restart=True, chunk=4))
    found = frames_of(folder / "o.mp4")
    (folder / "o.mp4").unlink()
    return list(found)


def test_changed_settings_are_refused_by_name_and_begun_anew_on_request(begun: Path) -> None:
    with pytest.raises(UsageError, match=r"--stability was 0.9 and is 0.5.*--restart"):
        run(begun, stability=0.5)
    with pytest.raises(UsageError, match="chunks of 4 frames, not 5"):
        run(begun, spread=Spread(resume=True, chunk=5))
    assert find_journals([begun])[0].chunks == 2  # nothing was lost by that
    run(begun, spread=Spread(restart=True), stability=0.5)
    assert len(frames_of(begun / "o.mp4")) == 10
    assert not journal(begun).exists()


def test_what_changes_no_picture_may_change(begun: Path) -> None:
    run(begun, audio=False, offline=True)
    assert len(frames_of(begun / "o.mp4")) == 10


def test_a_changed_source_is_refused_but_not_one_that_was_only_touched(begun: Path) -> None:
    os.utime(begun / "c.mp4", (1, 1))
    with pytest.raises(Cancelled):
        run(begun, frames=9)
    write_clip(begun / "c.mp4", panning(10, seed=1))
    with pytest.raises(UsageError, match="the input has changed"):
        run(begun)


def test_changed_weights_are_refused_by_name(begun: Path) -> None:
    torch.manual_seed(1)
    write_tensors(begun / "tiny.safetensors", TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson"})
    with pytest.raises(UsageError, match=r"the weights of .*tiny.* have changed"):
        run(begun)


@pytest.mark.parametrize("what", ["packets", "record", "state", "truncated", "gone"])
def test_a_damaged_chunk_is_styled_again(begun: Path, what: str) -> None:
    packets = journal(begun) / "00000.packets"
    if what == "packets":
        data = bytearray(packets.read_bytes())
        data[len(data) // 2] ^= 255
        packets.write_bytes(data)
    elif what == "truncated":
        packets.write_bytes(packets.read_bytes()[:-1])
    elif what == "gone":
        packets.unlink()
    elif what == "record":
        (journal(begun) / "00000.json").write_text("{")
    else:
        for state in journal(begun).glob("*.state"):
            state.write_bytes(b"nothing")
    said = run(begun)
    found = frames_of(begun / "o.mp4")
    (begun / "o.mp4").unlink()
    assert found == whole(begun)
    del said


def test_a_damaged_journal_and_one_of_another_version_are_told_apart(begun: Path) -> None:
    about = journal(begun) / "job.json"
    values = json.loads(about.read_text())
    about.write_text(json.dumps(values | {"version": 99}))
    with pytest.raises(InputError, match="another version of segnst"):
        run(begun)
    about.write_text("[]")
    with pytest.raises(InputError, match=r"damaged.*--restart"):
        run(begun)
    (listed,) = find_journals([begun])
    assert "damaged" in listed.problem
    run(begun, spread=Spread(restart=True))
    assert len(frames_of(begun / "o.mp4")) == 10


def test_a_journal_without_its_beginning_is_begun_anew(begun: Path) -> None:
    (journal(begun) / "job.json").unlink()  # the process was killed before it was written
    run(begun)
    assert len(frames_of(begun / "o.mp4")) == 10


def test_a_file_in_the_journals_place_stays(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", panning(2))
    journal(tmp_path).write_text("mine")
    with pytest.raises(OutputError, match="not a folder"):
        run(tmp_path)
    assert journal(tmp_path).read_text() == "mine"


def test_an_output_that_exists_is_not_replaced_unasked(begun: Path) -> None:
    (begun / "o.mp4").write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        run(begun)
    assert (begun / "o.mp4").read_bytes() == b"old"
    assert journal(begun).exists()


def test_an_output_that_appears_meanwhile_stays_and_so_does_the_journal(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", panning(6))

    def hear(event: Event) -> None:
        if isinstance(event, Frames) and event.done == 5:
            (tmp_path / "o.mp4").write_bytes(b"new")

    with pytest.raises(OutputError, match=r"exists already.*--resume"):
        style_file(
            tmp_path / "c.mp4", tmp_path / "o.mp4", settings(tiny_style(tmp_path)), spread=KEPT, context=Context(hear)
        )
    assert (tmp_path / "o.mp4").read_bytes() == b"new"
    assert find_journals([tmp_path])[0].complete


def test_two_runs_do_not_share_a_journal(begun: Path) -> None:
    import fcntl

    with (journal(begun) / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="Another run"):
            run(begun)
        assert find_journals([begun])[0].in_use


def test_an_error_in_a_new_run_leaves_no_journal(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", panning(6))
    with pytest.raises(Cancelled):
        run(tmp_path, frames=2)
    assert not journal(tmp_path).exists()
    with pytest.raises(SegnstError):
        run(tmp_path, codec="nonsense")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.mp4", "tiny.safetensors"]


def test_a_full_disk_ends_with_a_sentence_and_can_be_resumed(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    write_clip(tmp_path / "c.mp4", panning(6))
    options = settings(tiny_style(tmp_path), codec="ffv1")

    def hear(event: Event) -> None:
        if isinstance(event, Frames) and event.done == 5:  # the second chunk has begun
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(ResourceError, match=r"disk is full.*1 chunk is kept.*--resume"):
            style_file(tmp_path / "c.mp4", tmp_path / "o.mkv", options, spread=KEPT, context=Context(hear))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(p.name for p in journal_path(tmp_path / "o.mkv").iterdir()) == [
        "00000.json", "00000.packets", "00000.state", "job.json", "lock",
    ]  # fmt: skip
    style_file(tmp_path / "c.mp4", tmp_path / "o.mkv", options, spread=KEPT)
    assert len(frames_of(tmp_path / "o.mkv")) == 6


def test_gifs_and_stray_options_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", panning(2))
    options = settings(tiny_style(tmp_path))
    with pytest.raises(UsageError, match=r"cannot be written in chunks"):
        style_file(tmp_path / "c.mp4", tmp_path / "o.gif", options, spread=KEPT)
    with pytest.raises(UsageError, match="add --resume"):
        Spread(work="x")
    with pytest.raises(UsageError, match="does not exist"):
        run(tmp_path, spread=Spread(resume=True, work=str(tmp_path / "none")))


def test_the_journal_can_be_elsewhere(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", panning(6))
    (tmp_path / "work").mkdir()
    spread = Spread(resume=True, chunk=4, work=str(tmp_path / "work"))
    with pytest.raises(Cancelled):
        run(tmp_path, frames=5, spread=spread)
    assert find_journals([tmp_path]) == []
    assert find_journals([tmp_path / "work"])[0].frames == 4
    run(tmp_path, spread=spread)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("scenes", [(1,), (4,), (4, 4), (8, 1), (3, 5, 2)])
def test_clips_of_one_frame_and_cuts_at_the_borders_of_chunks(tmp_path: Path, scenes: tuple[int, ...]) -> None:
    write_clip(tmp_path / "c.mp4", cut_clip(scenes), sound=False)
    options = settings(tiny_style(tmp_path), codec="ffv1")
    for name, spread in (("plain.mkv", Spread()), ("o.mkv", KEPT)):
        style_file(tmp_path / "c.mp4", tmp_path / name, options, spread=spread)
    assert frames_of(tmp_path / "o.mkv") == frames_of(tmp_path / "plain.mkv")
    assert len(frames_of(tmp_path / "o.mkv")) == sum(scenes)


@pytest.mark.parametrize("container", ["mkv", "ts"])
def test_ranges_and_sources_without_frame_counts(tmp_path: Path, container: str) -> None:
    import av

    write_clip(tmp_path / "c.mp4", panning(14))
    with av.open(str(tmp_path / "c.mp4")) as source, av.open(str(tmp_path / f"c.{container}"), "w") as target:
        film = source.streams.video[0]
        copy = target.add_stream_from_template(film)
        for packet in source.demux(film):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    options = settings(tiny_style(tmp_path), codec="ffv1", start=0.08, end=0.44)
    plain, kept = tmp_path / "plain.mkv", tmp_path / "o.mkv"
    style_file(tmp_path / f"c.{container}", plain, options)

    def hear(event: Event) -> None:
        if isinstance(event, Frames) and event.done == 6 and not kept.exists():
            context.cancel()

    context = Context(hear)
    with pytest.raises(Cancelled):
        style_file(tmp_path / f"c.{container}", kept, options, spread=KEPT, context=context)
    style_file(tmp_path / f"c.{container}", kept, options, spread=KEPT)
    assert frames_of(kept) == frames_of(plain)


def test_folders_of_frames_and_the_sheet_of_a_resumed_run(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "in").mkdir()
    for number, rgb in enumerate(panning(6)):
        picture = (rgb * 255).byte().permute(1, 2, 0).numpy()[..., ::-1]
        cv2.imwrite(str(tmp_path / "in" / f"shot{number:03d}.png"), picture)
    options, sheet = settings(tiny_style(tmp_path)), tmp_path / "sheet.png"
    style_file(tmp_path / "in", tmp_path / "plain", options)

    def hear(event: Event) -> None:
        if isinstance(event, Frames) and event.done == 5:
            context.cancel()

    context = Context(hear)
    with pytest.raises(Cancelled):
        style_file(tmp_path / "in", tmp_path / "o", options, spread=KEPT, context=context)
    style_file(tmp_path / "in", tmp_path / "o", options, spread=KEPT, sheet=sheet)
    assert frames_of(tmp_path / "o") == frames_of(tmp_path / "plain")
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [f"shot{k:03d}.png" for k in range(6)]
    assert sheet.exists()


@pytest.mark.parametrize("segmenter", ["kmeans:3", "box"])
def test_what_segmenters_and_trackers_remember_goes_on(tmp_path: Path, segmenter: str) -> None:
    film = 0.3 * panning(9)
    for number in range(9):
        film[number, 0, 12:36, 12 + number : 40 + number] = 0.9  # a red thing that moves to the right
    write_clip(tmp_path / "c.mp4", film, sound=False)
    style = tiny_style(tmp_path)
    options = (
        Settings(styles=(f"object={style}",), box=("8,8,30,30",), device="cpu", codec="ffv1")
        if segmenter == "box"
        else Settings(styles=(f"cluster1={style}",), segmenter=segmenter, device="cpu", codec="ffv1")
    )
    plain, kept = tmp_path / "plain.mkv", tmp_path / "o.mkv"
    style_file(tmp_path / "c.mp4", plain, options)

    def hear(event: Event) -> None:
        if isinstance(event, Frames) and event.done == 6:
            context.cancel()

    context = Context(hear)
    with pytest.raises(Cancelled):
        style_file(tmp_path / "c.mp4", kept, options, spread=KEPT, context=context)
    style_file(tmp_path / "c.mp4", kept, options, spread=KEPT)
    assert frames_of(kept) == frames_of(plain)
