"""The settings of ``segnst studio``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segnst.config import RUNNING, Settings
from segnst.setting import check, restated, setting
from segnst.weights import home_dir

SERVING, KEEPING = "Serving", "Uploads"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class StudioSettings:
    """Settings of the studio's server. Raises UsageError for a value that its field does not allow."""

    port: int = setting(
        8737, "Port of the page. If the default is taken, another one is chosen.", metavar="N", group=SERVING, min=0,
        max=65535,
    )  # fmt: skip
    host: str = setting(
        "127.0.0.1",
        "Address to listen on. With any other than the default, the page asks for a token, which is printed.",
        metavar="ADDRESS",
        group=SERVING,
    )
    browser: bool = setting(True, "Open the page in the browser.", group=SERVING)
    max_upload: int = setting(
        2000, "Largest file that the page may upload.", metavar="MB", group=KEEPING, min=1, max=1 << 20, unit="MB"
    )
    keep_days: float = setting(
        7.0, "Uploads and results that are older are removed.", metavar="DAYS", group=KEEPING, above=0, max=3650
    )
    work: str | None = setting(
        None,
        "Folder for uploads, previews and results. Default: studio/ in $SEGNST_HOME.",
        metavar="DIR",
        group=KEEPING,
    )
    device: str = restated(Settings, "device", "auto", group=RUNNING)
    offline: bool = restated(Settings, "offline", False, group=RUNNING)

    def __post_init__(self) -> None:
        check(self)

    @property
    def folder(self) -> Path:
        """The folder for uploads, previews and results."""
        return Path(self.work) if self.work else home_dir() / "studio"

    @property
    def open_to_others(self) -> bool:
        """Whether other machines can reach the page, so that it needs a token."""
        return self.host not in LOOPBACK
