"""Live outputs that are seen: a window, a virtual camera; and none."""

from __future__ import annotations

import os
import sys
from typing import Any

import cv2
import numpy as np

from segnst.errors import OutputError
from segnst.live.sinks.base import Sink, Spec

TITLE = "segnst live"
_ESCAPE = 27


def has_display() -> bool:
    """Whether a window can be expected to open here."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class WindowSink(Sink):
    """A window, drawn by OpenCV in the main thread. It has no sound."""

    threaded = False

    def __init__(self) -> None:
        super().__init__("window")
        self._shown = False

    def begin(self, spec: Spec) -> None:
        if not has_display():
            raise OutputError("There is no display for a window; choose another output: -o FILE, -o -, -o udp://… .")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(TITLE, *spec.size)
        except cv2.error as error:
            raise OutputError(f"No window can be opened ({str(error).strip().splitlines()[-1]}).") from error

    def picture(self, pixels: np.ndarray, time: float) -> None:
        del time
        cv2.imshow(TITLE, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        self._shown = True

    def key(self) -> str:
        code = cv2.pollKey() & 0xFF if self._shown else 0xFF
        if self._shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return "q" if code == _ESCAPE else chr(code) if code < 0x80 else ""

    def finish(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._shown:
            cv2.destroyAllWindows()


class VirtualCameraSink(Sink):
    """A camera that other programs see (pyvirtualcam: OBS's on Windows and macOS, v4l2loopback on Linux)."""

    def __init__(self, device: str | None = None) -> None:
        super().__init__("virtualcam" + (f":{device}" if device else ""))
        self._device = device
        self._camera: Any = None

    def begin(self, spec: Spec) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise OutputError("A virtual camera needs pyvirtualcam: pip install 'segnst[virtualcam]'.") from None
        try:
            self._camera = pyvirtualcam.Camera(*spec.size, float(spec.rate), device=self._device)
        except (RuntimeError, OSError) as error:
            raise OutputError(f"The virtual camera cannot be opened ({error}).") from error

    def picture(self, pixels: np.ndarray, time: float) -> None:
        del time
        self._camera.send(np.ascontiguousarray(pixels))

    def finish(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None


class NoSink(Sink):
    """Nothing; for measuring."""

    def __init__(self) -> None:
        super().__init__("none")

    def picture(self, pixels: np.ndarray, time: float) -> None:
        pass

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass
