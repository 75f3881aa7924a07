"""From rendered frames and passes to what the repository keeps: the video, masks, flow and a card."""

from __future__ import annotations

import datetime
import lzma
from fractions import Fraction
from pathlib import Path

import av
import bpy
import cv2
import numpy as np

import sound
import truth

SCALE = 16  # steps of flow in a pixel
LARGEST = 2_400_000  # bytes of a clip; coarser coding is tried above that


def write_video(path: Path, frames: list[Path], fps: int, audio: np.ndarray | None, crf: int = 18) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        h, w = cv2.imread(str(frames[0])).shape[:2]
        v = out.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "slow"})
        v.width, v.height, v.pix_fmt, v.time_base = w, h, "yuv420p", Fraction(1, fps)
        c = v.codec_context
        c.color_primaries, c.color_trc, c.colorspace, c.color_range = 1, 1, 1, 1
        if audio is not None:
            a = out.add_stream("aac", rate=sound.RATE, layout="stereo")
            a.bit_rate = 128000
        for i, p in enumerate(frames):
            f = av.VideoFrame.from_ndarray(cv2.imread(str(p))[..., ::-1].copy(), format="rgb24")
            f = f.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            f.pts, f.time_base = i, Fraction(1, fps)
            f.color_primaries, f.color_trc, f.colorspace, f.color_range = 1, 1, 1, 1
            out.mux(v.encode(f))
        out.mux(v.encode(None))
        if audio is None:
            return
        for at in range(0, audio.shape[1], 1024):
            f = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(audio[:, at : at + 1024]), format="fltp", layout="stereo"
            )
            f.sample_rate, f.pts, f.time_base = sound.RATE, at, Fraction(1, sound.RATE)
            out.mux(a.encode(f))
        out.mux(a.encode(None))


def pack(flow: np.ndarray, occluded: np.ndarray) -> bytes:
    """Steps of 1/16 px as differences to the left neighbor, low bytes then high bytes, then occlusion as bits; xz."""
    steps = np.clip(np.rint(flow.transpose(2, 0, 1) * SCALE), -32768, 32767).astype(np.int16)
    delta = np.diff(steps, axis=2, prepend=np.int16(0))
    planes = delta.astype("<i2").view(np.uint8).reshape(-1, 2)
    return lzma.compress(planes[:, 0].tobytes() + planes[:, 1].tobytes() + np.packbits(occluded).tobytes(), preset=9)


CARD = """# {name}: a rendered clip with its truth

`{name}.mp4`, next to this folder, has {frames} frames of {w}x{h} at {fps} frames a second, and a synthesized sound track.
Nothing in it was photographed or downloaded; models, textures and sound come from the functions in `videos/render/`.

| file | what |
| --- | --- |
| `masks/` | class of each pixel: 0 other, 1 sky, 2 building, 3 road, 4 pavement, 5 vegetation, 6 person, 7 vehicle |
| `flow.npz` | exact backward flow and occlusion of frames 2 to {frames}; read it with `segnst.bench.truth` |

- Flow: [x, y] in pixels at full size, rounded to 1/16 px; position in frame t - 1 = position in frame t + flow. It
  comes from Cycles' vector pass, and for the sky from the rotation of the camera (clouds are infinitely far away). On
  paint and glass it is the flow of the surface, although reflections move differently.
- Occlusion: 1 where the point was not visible in frame t - 1, because it was outside the frame, or because another
  object or another depth is found at its position there.
- Masks and flow are those of pixel centers (one ray for each) and are not blended, so that a leaf thinner than a pixel
  either covers the pixel or does not appear.
- Scene cuts (first frames of new shots, counted from 1): {cuts}. Their flow is zero, and all their pixels are marked
  as occluded.

Made {date} with Blender {blender} (bpy, Cycles on CPU, {samples} samples, OpenImageDenoise, no motion blur):
`python videos/render/render.py {name} --out videos`. All random numbers are seeded in `scenes.py`.

License: CC0 1.0.
"""

MATTE_CARD = """# {name}: a rendered clip with exact alpha

`{name}.mp4`, next to this folder, has {frames} frames of {w}x{h} at {fps} frames a second, with motion blur and no sound.
Its subject belongs to the class {region}. `alpha/{region}/` has one RGBA picture (8 bits) for each frame: alpha is the share of the
pixel that the subject covers, from {rays} rays a pixel with the picture's own filter and shutter; the color is the
subject's own where that share is a fraction, and 0 elsewhere. `segnst bench mattes` measures with it.

Made {date} with Blender {blender} (bpy, Cycles on CPU, {samples} samples, OpenImageDenoise):
`python videos/render/render.py {name} --out videos --size {w} {h} --samples {samples}`.

License: CC0 1.0.
"""


def write_clip(name: str, clip, work: Path, out: Path, size: tuple[int, int], samples: int) -> None:
    frames = sorted((work / "frames").glob("*.png"))
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    fps = bpy.context.scene.render.fps
    audio = sound.street(len(frames) / fps, clip.passes, clip.steps)
    for crf in (18, 20, 22, 24):
        write_video(out / f"{name}.mp4", frames, fps, audio, crf)
        if (out / f"{name}.mp4").stat().st_size < LARGEST:
            break
    blobs, before = [], None
    for i in range(1, len(frames) + 1):
        with np.load(work / "passes" / f"{i:04d}.npz") as z:
            now = {k: z[k] for k in z.files}
        truth.write_mask(folder / "masks" / f"{i:04d}.png", now["classes"])
        index = now["classes"].astype(int) * 32 + now["instances"]
        if before is not None:
            if i in clip.cuts:
                flow, hidden = np.zeros_like(now["flow"]), np.ones(index.shape, bool)
            else:
                flow = now["flow"]
                hidden = truth.occluded(flow, index, before[0], now["depth"], before[1])
            blobs.append(np.frombuffer(pack(flow, hidden), np.uint8))
        before = (index, now["depth"])
    ends = np.cumsum([0] + [len(b) for b in blobs])
    np.savez(
        folder / "flow.npz",
        shape=np.array(index.shape),
        scale=SCALE,
        ends=ends,
        data=np.concatenate(blobs),
        cuts=np.array(clip.cuts, int),
    )
    (folder / "README.md").write_text(
        CARD.format(
            name=name,
            frames=len(frames),
            w=size[0],
            h=size[1],
            fps=fps,
            cuts=clip.cuts or "none",
            samples=samples,
            date=datetime.date.today().isoformat(),
            blender=bpy.app.version_string,
        )
    )
