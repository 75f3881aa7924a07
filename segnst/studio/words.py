"""Messages for the page: without paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PATH = re.compile(r"(?<![\w./:])(?:/|~/|[A-Za-z]:\\)(?:[^\s/\\'\"]+[/\\])+([^\s/\\'\"]*)")


def without_paths(text: str, names: Mapping[str, str]) -> str:
    """The text with each known path replaced by its name, and any other path by its last part.

    names  {path: what the page calls it}
    """
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return _PATH.sub(r"\1", text)
