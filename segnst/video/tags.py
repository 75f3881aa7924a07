"""Choose the metadata of the output file and its streams, and its color tags."""

from __future__ import annotations

from av.stream import Stream

from segnst.video import color
from segnst.video.color import ColorTags, matrix_for
from segnst.video.info import MediaInfo
from segnst.video.source import readable

# Keys that muxers write themselves or that describe only the source file.
_NOT_COPIED = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate", "vendor_id")
# Keys that describe only how a stream was stored in the source.
_NOT_COPIED_OF_STREAMS = ("variant_bitrate", "alpha_mode")
_STATISTICS = ("number_of_", "_statistics", "bps", "duration-", "number_of_bytes")

# QuickTime uses the older (bibliographic) codes of languages that have two.
_QUICKTIME_LANGUAGES = {
    "deu": "ger", "fra": "fre", "nld": "dut", "ell": "gre", "isl": "ice", "ces": "cze", "slk": "slo",
    "ron": "rum", "sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur", "zho": "chi", "kat": "geo",
    "mkd": "mac", "msa": "may", "fas": "per", "bod": "tib", "cym": "wel",
}  # fmt: skip

_MP4_KEYS = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
    "creation_time", "encoder", "track", "disc", "location", "language",
}  # fmt: skip


def container_metadata(info: MediaInfo, *, cut: bool) -> dict[str, str]:
    """The metadata of the file to copy to the output. A trimmed clip (``cut``) loses its time code."""
    left_out = (*_NOT_COPIED, "timecode") if cut else _NOT_COPIED
    return {key: value for key, value in info.metadata.items() if key.lower() not in left_out}


def stream_metadata(stream: Stream, *, cut: bool, container: str) -> dict[str, str]:
    """The metadata of a stream to copy to ``container``. A trimmed clip (``cut``) loses its time code."""
    kept = {
        key: value
        for key, value in readable(stream.metadata).items()
        if key.lower() not in _NOT_COPIED + _NOT_COPIED_OF_STREAMS
        and not key.lower().startswith(_STATISTICS)
        and not (cut and key.lower() == "timecode")
    }
    if container == "mov" and kept.get("language") in _QUICKTIME_LANGUAGES:
        kept["language"] = _QUICKTIME_LANGUAGES[kept["language"]]
    return kept


def needs_free_tags(metadata: dict[str, str]) -> bool:
    """Whether some keys are not in mp4's fixed set of tags (for example a phone's ``com.android.…``)."""
    return any(key.lower() not in _MP4_KEYS for key in metadata)


def output_tags(info: MediaInfo, lines: int) -> ColorTags:
    """The color tags of the output: those of the input, unless a player would misread the colors with them."""
    tags = info.color
    if tags.matrix == color.SPACE_RGB or info.kind != "video":
        matrix = matrix_for(ColorTags(), lines)
        return ColorTags(matrix, color.RANGE_LIMITED, tags.primaries, tags.transfer)
    full = color.is_full(tags, info.pixel_format)
    matrix = tags.matrix
    if matrix_for(tags, lines) != matrix_for(tags, info.storage_height) or not color.known_matrix(tags):
        # Players guess an untagged matrix from the height, so a picture reduced to below 720 lines needs a tag.
        matrix = matrix_for(tags, info.storage_height)
    return ColorTags(matrix, color.RANGE_FULL if full else tags.range, tags.primaries, tags.transfer)
