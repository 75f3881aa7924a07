"""Options of FFmpeg's muxers, which store times as exactly as each container can."""

from __future__ import annotations

from math import lcm

from segnst.video.info import MediaInfo
from segnst.video.tags import needs_free_tags

# Some players fail for larger movie time scales.
_LARGEST_SCALE = 50_000_000


def muxer_options(container: str, info: MediaInfo, metadata: dict[str, str], *, seekable: bool) -> dict[str, str]:
    """The options for an output of ``info``.

    metadata  tags of the container
    seekable  whether the muxer can go back to the beginning; otherwise an mp4 is written in pieces with an index each
    """
    if container == "yuv4mpegpipe":
        return {"strict": "unofficial"}  # more than 8 bits are an extension, which all usual readers know
    if container in ("mpegts", "nut"):
        return {}
    if container not in ("mp4", "mov"):
        # Sound from mp4 begins before 0 (encoder delay). By default, the muxer would move all streams by
        # about 20 ms for that, although Matroska can store negative times.
        return {"avoid_negative_ts": "disabled"}
    scale = info.time_base.denominator
    while scale < 600:  # 25 would be exact for the frames, but too coarse for the offset of the sound
        scale *= 2
    # Edit lists use the movie time scale. Its default, 1/1000 s, would round the start offsets.
    movie = lcm(scale, *(rate for rate in info.sample_rates if rate))
    options = {"video_track_timescale": str(scale)}
    options["movie_timescale"] = str(movie if movie <= _LARGEST_SCALE else scale)
    flags = ["use_metadata_tags"] if needs_free_tags(metadata) else []
    if not seekable:
        flags += ["frag_keyframe", "empty_moov", "default_base_moof"]
    return options | ({"movflags": "+".join(flags)} if flags else {})
