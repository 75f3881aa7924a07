"""The times of all frames of an input, found without decoding them."""

from __future__ import annotations

from fractions import Fraction

import av

from segnst.video.guard import reading
from segnst.video.info import MediaInfo
from segnst.video.source import open_input, timed_streams
from segnst.video.times import Parts


def frame_times(info: MediaInfo) -> tuple[Fraction, ...]:
    """The time of each frame in seconds, in order. Time 0 is the same as for ``--start``.

    The times are exact if all packets of the film have different times (the parts of a joined recording follow each
    other, see ``segnst.video.times``). Otherwise the frames are assumed to be evenly spaced. Raises InputError.
    """
    if info.kind != "video":
        count = (info.frames or 1) if info.kind == "animation" else len(info.files)
        return tuple(n / info.fps for n in range(count))
    offsets = info.counted.parts if info.counted is not None else (Fraction(0),)
    times: list[Fraction] = []
    complete, finder = True, Parts()
    with reading(info.path), open_input(info.path) as container:
        film = container.streams[info.video_index]
        assert isinstance(film, av.VideoStream)
        needed = timed_streams(container, film) if len(offsets) > 1 else [film]
        for other in container.streams:
            if other.index not in {each.index for each in needed}:
                other.discard = av.stream.Discard.all
        try:
            for packet in container.demux(needed):
                part = finder.of(packet) if packet.size and len(offsets) > 1 else 0
                if packet.stream_index != film.index or not packet.size or packet.is_discard:
                    continue
                stamp = packet.dts if info.times_by_decoding else packet.pts
                complete = complete and stamp is not None
                times.append((stamp or 0) * info.time_base + offsets[min(part, len(offsets) - 1)])
        except (av.FFmpegError, OSError):  # no frames can be read after the damage
            pass
    if complete and len(set(times)) == len(times):
        return tuple(t - info.origin for t in sorted(times))
    first = info.first_pts * info.time_base - info.origin
    return tuple(first + n / info.fps for n in range(len(times)))
