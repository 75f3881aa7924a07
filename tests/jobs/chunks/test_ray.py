"""Chunks as Ray tasks: what a task does, and a real cluster of several nodes, one of which is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segnst.errors import InputError, UsageError
from segnst.jobs.chunks.apart import FirstPass
from segnst.jobs.chunks.identity import fingerprint
from segnst.jobs.chunks.on_ray import Remote, fetched, share, style_remotely
from segnst.jobs.chunks.styling import Work
from segnst.jobs.style import style_file
from segnst.video.chunks import Encoding
from segnst.video.read import open_reader
from tests.clips import panning, write_clip
from tests.jobs.chunks.make import ROOT, cut_clip, frames_of, settings
from tests.jobs.every import tiny_style


def remote(folder: Path, source: Path, output: str = "o.mkv", shared: str | None = None) -> Remote:
    plan = {"torch_threads": 1, "opencv_threads": 1}
    options = settings(tiny_style(folder), codec="ffv1")
    about = fingerprint(source)
    work = Work(source, folder / output, options, Encoding("ffv1"), plan)
    return Remote(work, str(folder / output), shared, about["size"], about["sha256"])


def test_a_task_gives_back_its_chunk_and_refuses_another_source(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panning(6), sound=False)
    with open_reader(clip) as reader:
        first, second = FirstPass(reader, None, torch.device("cpu"), 4, 2)
    threads = torch.get_num_threads()
    try:
        index, files = style_remotely(remote(tmp_path, clip), second)
        assert index is not None and len(index.packets) == second.frames == 2
        assert len(files[""]) == sum(packet[2] for packet in index.packets)
        index, files = style_remotely(remote(tmp_path, clip, "o"), first)
        assert index is None and sorted(files) == [f"frame_{k:06d}.png" for k in range(1, 5)]
        with pytest.raises(InputError, match="is not on the machine"):
            work = replace(remote(tmp_path, clip).work, source=tmp_path / "gone.mp4")
            style_remotely(replace(remote(tmp_path, clip), work=work, key="other"), first)
    finally:
        torch.set_num_threads(threads)


def test_the_source_is_fetched_from_where_it_was_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    clip = write_clip(tmp_path / "c.mp4", panning(2), sound=False)
    about = fingerprint(clip)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    url = share(clip, "memory://films", about["sha256"])
    here = fetched(remote(tmp_path, clip, shared=url))
    assert here.parent == tmp_path / "tmp" and here.read_bytes() == clip.read_bytes()
    assert fetched(remote(tmp_path, clip, shared=url)) == here
    here.unlink()
    fsspec.filesystem("memory").pipe(url, b"x" * about["size"])
    with pytest.raises(InputError, match="another file"):
        fetched(remote(tmp_path, clip, shared=url))
    folder = share(clip, str(tmp_path / "films"), about["sha256"])
    assert fetched(remote(tmp_path, clip, shared=folder)).parent == tmp_path / "films"
    with pytest.raises(UsageError, match="cannot be put"):
        share(clip, "nonsense://films", about["sha256"])


CLUSTER = """
import sys, threading
from pathlib import Path
from ray.cluster_utils import Cluster
from segnst.config import Settings
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Frames
from segnst.jobs.style import style_file

def main():
    folder = Path(sys.argv[1])
    local = {"include_dashboard": False, "node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **local})
    nodes = [cluster.add_node(num_cpus=1, **local) for _ in range(2)]
    lost = []
    def hear(event):
        if isinstance(event, Frames) and event.done > 0 and not lost:
            lost.append(nodes[0])
            cluster.remove_node(nodes[0], allow_graceful=False)
    settings = Settings(styles=(str(folder / "tiny.safetensors"),), device="cpu", codec="ffv1")
    spread = Spread(ray=cluster.address, chunk=10)
    report = style_file(folder / "c.mp4", folder / "o.mkv", settings, spread=spread, context=Context(hear))
    print("frames", report.frames, "lost", len(lost))
    cluster.shutdown()

main()
"""


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_makes_the_frames_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    clip = write_clip(tmp_path / "c.mp4", cut_clip((8, 7, 9, 10, 6, 8)))
    style_file(clip, tmp_path / "plain.mkv", settings(tiny_style(tmp_path), codec="ffv1"))
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",  # a busy machine takes its time
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes 127.0.0.1 for another address of this machine
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", CLUSTER, str(tmp_path)], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "frames 48 lost 1" in run.stdout
    assert frames_of(tmp_path / "o.mkv") == frames_of(tmp_path / "plain.mkv")
