"""Renders a clip with its truth, or stills for training. Run it with the Python that has bpy (see videos/README.md).

python videos/render/render.py street --out videos
python videos/render/render.py stills --out work/renders --count 60
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import sys
import time
from pathlib import Path

import bpy
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import export
import mattes
import scenes
import truth

EXPOSURE = 0.25


def start() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def settings(width: int, height: int, samples: int) -> None:
    s = bpy.context.scene
    s.render.engine = "CYCLES"
    s.cycles.device = "CPU"
    s.render.resolution_x, s.render.resolution_y, s.render.resolution_percentage = width, height, 100
    s.render.fps = scenes.FPS
    s.render.use_persistent_data = True
    s.render.use_motion_blur = False
    c = s.cycles
    c.samples, c.use_adaptive_sampling, c.seed = samples, False, 1
    c.use_denoising, c.denoiser, c.denoising_prefilter = True, "OPENIMAGEDENOISE", "FAST"
    c.max_bounces, c.diffuse_bounces, c.glossy_bounces = 4, 2, 3
    c.transmission_bounces, c.transparent_max_bounces, c.caustics_reflective = 2, 4, False
    c.sample_clamp_indirect, c.filter_width = 3.0, 1.2
    layer = s.view_layers[0]
    layer.use_pass_object_index = layer.use_pass_vector = layer.use_pass_z = True
    s.view_settings.view_transform, s.view_settings.look = "Filmic", "Medium High Contrast"


@contextlib.contextmanager
def quiet():
    """Blender prints a line per tile; keep the log readable."""
    sys.stdout.flush()
    keep, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(keep, 1)
        os.close(keep)
        os.close(null)


def beauty(path: str | Path, frame: int | None = None, exposure: float = 0.0) -> None:
    s = bpy.context.scene
    if frame is not None:
        s.frame_set(frame)
    s.view_settings.exposure = EXPOSURE + exposure
    s.render.image_settings.file_format = "PNG"
    s.render.image_settings.color_mode = "RGB"
    s.render.image_settings.color_depth = "8"
    s.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def render_clip(name: str, out: Path, work: Path, size: tuple[int, int], samples: int, last: int | None) -> None:
    """Frames and passes go to the work folder one by one, so that a run that was cut off goes on."""
    start()
    clip = scenes.CLIPS[name]()
    settings(*size, samples)
    (work / "frames").mkdir(parents=True, exist_ok=True)
    (work / "passes").mkdir(exist_ok=True)
    for f in range(1, (last or clip.frames) + 1):
        image, data = work / "frames" / f"{f:04d}.png", work / "passes" / f"{f:04d}.npz"
        began = time.time()
        with quiet():
            if not image.exists():
                beauty(image, f, clip.exposure.get(f, 0.0))
            if not data.exists():
                bpy.context.scene.frame_set(f)
                now = truth.camera_matrix(bpy.context.scene, *size)
                passes = truth.render_passes(f)
                classes, instances = truth.indexes(passes)
                bpy.context.scene.frame_set(f - 1)
                flow = truth.flow(passes, now, truth.camera_matrix(bpy.context.scene, *size))
                np.savez_compressed(data, classes=classes, instances=instances, depth=truth.depth(passes), flow=flow)
        print(f"{name} frame {f}: {time.time() - began:.1f} s", flush=True)
    export.write_clip(name, clip, work, out, size, samples)


def render_matte(name: str, out: Path, work: Path, size: tuple[int, int], samples: int, last: int | None) -> None:
    """A clip whose subject has exact alpha: ``out/NAME.mp4`` and ``out/NAME/alpha/REGION/*.png``."""
    start()
    matte = mattes.SCENES[name]()
    settings(*size, samples)
    s = bpy.context.scene
    s.render.use_motion_blur, s.render.motion_blur_shutter = True, mattes.SHUTTER
    (work / "frames").mkdir(parents=True, exist_ok=True)
    folder = out / name / "alpha" / matte.region
    folder.mkdir(parents=True, exist_ok=True)
    for f in range(1, (last or matte.frames) + 1):
        began = time.time()
        image, alpha = work / "frames" / f"{f:04d}.png", folder / f"{f:04d}.png"
        with quiet():
            if not image.exists():
                beauty(image, f)
            if not alpha.exists():
                mattes.subject(alpha, f, matte)
        print(f"{name} frame {f}: {time.time() - began:.1f} s", flush=True)
    frames = sorted((work / "frames").glob("*.png"))
    export.write_video(out / f"{name}.mp4", frames, scenes.FPS, None, 16)
    (out / name / "README.md").write_text(export.MATTE_CARD.format(
        name=name, frames=len(frames), w=size[0], h=size[1], region=matte.region, samples=samples,
        rays=mattes.SAMPLES, fps=scenes.FPS, date=datetime.date.today().isoformat(), blender=bpy.app.version_string,
    ))  # fmt: skip


def render_stills(out: Path, count: int, size: tuple[int, int], samples: int, seed: int, per_scene: int = 10) -> None:
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "labels").mkdir(exist_ok=True)
    stills = None
    for i in range(count):
        name = f"render_{seed:02d}_{i:03d}"
        if i % per_scene == 0:
            with quiet():
                start()
                scenes.forget()
                stills = scenes.Stills(seed * 50 + i // per_scene)
                settings(*size, samples)
        began = time.time()
        with quiet():
            stills.shuffle()
            exposure = float(stills.rng.normal(0, 0.3))
            if (out / "labels" / f"{name}.png").exists():  # a run that was cut off goes on
                continue
            png = out / f"{name}.png"
            beauty(png, None, exposure)
            classes, _ = truth.indexes(truth.render_passes())
        cv2.imwrite(str(out / "images" / f"{name}.jpg"), cv2.imread(str(png)), [cv2.IMWRITE_JPEG_QUALITY, 93])
        png.unlink()
        truth.write_mask(out / "labels" / f"{name}.png", classes)
        shares = np.bincount(classes.ravel(), minlength=9) / classes.size
        print(
            json.dumps(
                {"still": name, "seconds": round(time.time() - began, 1), "shares": np.round(shares, 3).tolist()}
            ),
            flush=True,
        )


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("what", choices=[*scenes.CLIPS, *mattes.SCENES, "stills"])
    p.add_argument("--out", type=Path, default=Path("videos"))
    p.add_argument("--work", type=Path, default=Path("work/render"), help="frames and raw passes of clips")
    p.add_argument("--samples", type=int, default=10)
    p.add_argument("--size", type=int, nargs=2, default=(640, 360))
    p.add_argument("--frames", type=int, help="stop after this many")
    p.add_argument("--count", type=int, default=60)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    if a.what == "stills":
        render_stills(a.out.resolve(), a.count, tuple(a.size), a.samples, a.seed)
    elif a.what in mattes.SCENES:
        render_matte(a.what, a.out.resolve(), (a.work / a.what).resolve(), tuple(a.size), a.samples, a.frames)
    else:
        render_clip(a.what, a.out.resolve(), (a.work / a.what).resolve(), tuple(a.size), a.samples, a.frames)


if __name__ == "__main__":
    main()
