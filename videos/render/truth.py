"""Exact truth of a frame: class mask, instance, depth and backward flow, from Cycles' passes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy
import cv2
import numpy as np
import OpenEXR

SKY = 1


def read_passes(path: Path) -> dict[str, np.ndarray]:
    with OpenEXR.File(str(path), separate_channels=True) as f:
        channels = f.parts[0].channels
        return {k.split(".", 1)[1]: np.array(c.pixels, np.float32) for k, c in channels.items()}


def render_passes(frame: int | None = None) -> dict[str, np.ndarray]:
    """One sample through the middle of every pixel, no light bounced: only geometry matters here."""
    scene = bpy.context.scene
    keep = (scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces, scene.cycles.pixel_filter_type)
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces = 1, False, 0
    scene.cycles.pixel_filter_type = "BOX"
    width, scene.cycles.filter_width = scene.cycles.filter_width, 0.01
    scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    scene.render.image_settings.color_depth = "32"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = f"{folder}/truth.exr"
        if frame is not None:
            scene.frame_set(frame)
        bpy.ops.render.render(write_still=True)
        out = read_passes(next(Path(folder).glob("*.exr")))
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.max_bounces, scene.cycles.pixel_filter_type = keep
    scene.cycles.filter_width = width
    return out


def indexes(passes: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Class and instance of every pixel; where nothing was hit there is sky."""
    key = next(k for k in passes if "IndexOB" in k)
    index = np.rint(passes[key]).astype(int)
    return np.where(index == 0, SKY, index // 32).astype(np.uint8), (index % 32).astype(np.uint8)


def depth(passes: dict[str, np.ndarray]) -> np.ndarray:
    return passes[next(k for k in passes if "Depth" in k)]


def camera_matrix(scene, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Intrinsics for pixels counted down and right, and the rotation from world to that camera."""
    cam = scene.camera
    f = width / (2 * np.tan(cam.data.angle / 2))
    k = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1.0]])
    r = np.array(cam.matrix_world.to_3x3()).T
    return k, np.diag([1.0, -1.0, -1.0]) @ r


def flow(passes: dict[str, np.ndarray], now, before) -> np.ndarray:
    """Backward flow: position in t - 1 is position in t plus flow. The sky moves by the camera's turn alone."""
    h, w = depth(passes).shape
    stem = next(k for k in passes if "Vector" in k).rsplit(".", 1)[0]
    out = np.stack([passes[f"{stem}.X"], -passes[f"{stem}.Y"]], -1)
    (k1, r1), (k0, r0) = now, before
    y, x = np.mgrid[0:h, 0:w].astype(float)
    p = np.stack([x, y, np.ones_like(x)], -1) @ (k0 @ r0 @ r1.T @ np.linalg.inv(k1)).T
    far = np.stack([p[..., 0] / p[..., 2] - x, p[..., 1] / p[..., 2] - y], -1)
    sky = depth(passes) > 1e6
    out[sky] = far[sky]
    return out.astype(np.float32)


def occluded(flow_now: np.ndarray, index_now, index_before, z_expected, z_before) -> np.ndarray:
    """True where the pixel has no counterpart in t - 1: out of frame, another object, or nearer."""
    h, w = flow_now.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    mx, my = x + flow_now[..., 0], y + flow_now[..., 1]
    out = (mx < 0) | (my < 0) | (mx > w - 1) | (my > h - 1)
    found = np.zeros((h, w), bool)  # any of the four pixels round the target may be the counterpart
    for dx in (0, 1):
        for dy in (0, 1):
            ix = np.clip(np.floor(mx) + dx, 0, w - 1).astype(int)
            iy = np.clip(np.floor(my) + dy, 0, h - 1).astype(int)
            near = np.abs(z_before[iy, ix] - z_expected) < 0.03 * np.minimum(z_expected, 1e4) + 0.15
            same = (index_before[iy, ix] == index_now) & (near | (z_expected > 1e6))
            found |= same
    return out | ~found


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Gray PNG whose pixel values are the class indexes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask, [cv2.IMWRITE_PNG_COMPRESSION, 9])
