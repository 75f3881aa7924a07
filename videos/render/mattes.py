"""Subjects with fine outlines and their exact alpha: blown hair, a furry animal that walks, a bicycle's turning spokes.

Alpha is the share of a pixel that the subject covers, as Cycles samples it: with the same pixel filter and shutter as
the picture, the rest of the scene held out, on a transparent film.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy
import cv2
import materials as mat
import nature
import numpy as np
from person import LOOKS, PERSON, add_person, pose
from scenes import aim, camera, look_at, neighborhood
from shapes import Solid, place

VEHICLE, ANIMAL = 7, 8
SHUTTER = 0.5  # of the time between two frames
SAMPLES = 64  # rays a pixel for alpha


@dataclass
class Matte:
    """A scene of ``frames`` frames; ``subjects`` are the objects whose alpha is the truth, ``region`` their class."""

    frames: int
    subjects: list
    region: str


def strands(name: str, roots, tips, bend, radius: float, material, parent=None):
    """Hairs from roots [N,3] to tips [N,3], bent by ``bend`` [N,3] in the middle, thinning towards the tip."""
    steps = 7
    t = np.linspace(0, 1, steps)[None, :, None]
    points = roots[:, None] * (1 - t) + tips[:, None] * t + bend[:, None] * (4 * t * (1 - t)) * 0.5
    data = bpy.data.hair_curves.new(name)
    data.add_curves([steps] * len(roots))
    data.position_data.foreach_set("vector", points.astype(np.float32).ravel())
    thick = np.broadcast_to(radius * (1 - 0.7 * t[..., 0]), points.shape[:2])
    width = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    width.data.foreach_set("value", thick.astype(np.float32).ravel())
    data.materials.append(material)
    return place(name, data, PERSON * 32 + 1, parent)


def hair_scene() -> Matte:
    """Head and shoulders before the street; the wind blows the hair to one side, and the head turns."""
    rng = np.random.default_rng(5)
    neighborhood(3)
    nature.sky(5, np.radians(212), np.radians(44), 0.5)
    look = LOOKS[3]
    rig = add_person("ann", look, 1)
    n = 3200
    v = rng.normal(size=(n, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    v = v[(v[:, 0] < 0.35) & (v[:, 2] > -0.75)]
    roots = np.array((-0.008, 0, 1.662)) + v * (0.108, 0.086, 0.103)
    length = rng.uniform(0.07, 0.30, (len(v), 1)) * np.where(rng.random((len(v), 1)) < 0.15, 1.4, 1)
    tips = roots + length * (0.5 * v + np.array((-0.35, 0.65, -0.5)) + 0.28 * rng.normal(size=v.shape))
    bend = length * (0.5 * v + 0.2 * rng.normal(size=v.shape))
    hair = strands("strands", roots, tips, bend, 0.0006, mat.plain("strand", look.hair, 0.5), rig)
    pose(rig, 0.4, 0.15)
    frames = 6
    for f in range(-1, frames + 3):
        t = (f - 1) / frames
        rig.location = (3.0 + 0.16 * t, 3.0, 0.0)
        rig.rotation_euler = (0, 0, np.radians(-120 + 34 * t))
        rig.keyframe_insert("location", frame=f)
        rig.keyframe_insert("rotation_euler", frame=f)
    cam = camera()
    for f in range(-1, frames + 3):
        at = (2.2 + 0.012 * f, 1.15, 1.55)
        yaw, pitch = look_at(at, (3.0, 3.0, 1.52))
        aim(cam, at, yaw, pitch, f, 36)
    body = next(o for o in bpy.data.objects if o.name == "ann")
    return Matte(frames, [body, hair], "person")


def fur_scene() -> Matte:
    """An animal walks over the pavement before a hedge; its coat stands off by some centimeters."""
    rng = np.random.default_rng(9)
    neighborhood(3)
    nature.sky(5, np.radians(232), np.radians(40), 0.4)
    coat = mat.plain("coat", (0.20, 0.10, 0.045), 0.7, mottle=0.5)
    skin = mat.plain("pad", (0.05, 0.03, 0.02), 0.7)
    root = bpy.data.objects.new("animal", None)
    bpy.context.scene.collection.objects.link(root)

    def limb(name: str, lumps, at=(0, 0, 0), count=900, hair=0.04):
        solid = Solid()
        roots, out = [], []
        for center, radii in lumps:
            solid.ellipsoid(center, radii, 0, 18)
            v = rng.normal(size=(count, 3))
            v /= np.linalg.norm(v, axis=1, keepdims=True)
            roots.append(np.asarray(center) + v * radii)
            normal = v / np.asarray(radii)
            out.append(normal / np.linalg.norm(normal, axis=1, keepdims=True))
        ob = place(name, solid.build(name, [coat if hair else skin], True), ANIMAL * 32 + 1, root, at)
        found = [ob]
        if hair:
            p, v = np.concatenate(roots), np.concatenate(out)
            long = hair * rng.uniform(0.5, 1.3, (len(p), 1))
            lie = np.array((-0.8, 0, -0.5))
            tips = p + long * (v * 0.8 + lie + 0.25 * rng.normal(size=p.shape))
            found.append(strands(f"{name}_coat", p, tips, long * 0.5 * v, 0.0011, coat, ob))
        return found

    subjects = limb("trunk", [((0, 0, 0.55), (0.36, 0.13, 0.15)), ((0.30, 0, 0.60), (0.16, 0.12, 0.16))], count=2600)
    subjects += limb(
        "skull", [((0.55, 0, 0.80), (0.13, 0.09, 0.10)), ((0.44, 0, 0.70), (0.13, 0.085, 0.13))], count=900
    )
    subjects += limb("muzzle", [((0.68, 0, 0.76), (0.10, 0.045, 0.045))], count=300, hair=0.012)
    subjects += limb("ears", [((0.50, s * 0.075, 0.88), (0.035, 0.02, 0.075)) for s in (1, -1)], count=200, hair=0.03)
    subjects += limb(
        "tail", [((-0.38 - 0.06 * k, 0, 0.58 + 0.055 * k), (0.07, 0.03, 0.05)) for k in range(5)], hair=0.07
    )
    legs = []
    for k, (x, y) in enumerate(((0.27, 0.09), (0.27, -0.09), (-0.27, 0.09), (-0.27, -0.09))):
        found = limb(
            f"leg{k}", [((0, 0, -0.16), (0.055, 0.045, 0.20)), ((0.02, 0, -0.40), (0.035, 0.03, 0.13))],
            (x, y, 0.52), 500, 0.03,
        )  # fmt: skip
        found += limb(f"paw{k}", [((0.045, 0, -0.50), (0.065, 0.035, 0.028))], (x, y, 0.52), 1, 0.0)
        legs.append([o for o in found if o.parent is root])
        subjects += found
    frames = 6
    for f in range(-1, frames + 3):
        d = 1.5 * f / 24
        root.location = (1.6 + d, 2.7, 0.0)
        root.keyframe_insert("location", frame=f)
        for k, pieces in enumerate(legs):
            turn = 0.5 * np.sin(2 * np.pi * d / 0.75 + (0, np.pi, np.pi, 0)[k])
            for piece in pieces:
                piece.rotation_euler = (0, turn, 0)
                piece.keyframe_insert("rotation_euler", frame=f)
    cam = camera()
    for f in range(-1, frames + 3):
        at = (1.7 + 0.04 * f, 0.1, 0.95)
        yaw, pitch = look_at(at, (1.66 + 0.055 * f, 2.7, 0.55))
        aim(cam, at, yaw, pitch, f, 46)
    return Matte(frames, subjects, "animal")


def spokes_scene() -> Matte:
    """A bicycle rolls past; rims, tubes and spokes are thinner than a pixel or blurred by their motion."""
    neighborhood(17, (2.0, 12.0))
    nature.sky(21, np.radians(200), np.radians(48), 0.4)
    steel, rubber = mat.plain("steel", (0.55, 0.56, 0.58), 0.3, 1.0), mat.plain("tire", (0.02, 0.02, 0.02), 0.8)
    paint = mat.plain("lacquer", (0.45, 0.02, 0.02), 0.35)
    root = bpy.data.objects.new("bicycle", None)
    bpy.context.scene.collection.objects.link(root)
    ring = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius, wheels, subjects = 0.34, [], []
    for k, x in enumerate((-0.52, 0.52)):
        s = Solid()
        s.tube(np.stack([radius * np.cos(ring), 0 * ring, radius * np.sin(ring)], 1), 0.018, 1, 8, True)
        inner = radius - 0.03
        s.tube(np.stack([inner * np.cos(ring), 0 * ring, inner * np.sin(ring)], 1), 0.010, 0, 8, True)
        for a in np.linspace(0, 2 * np.pi, 28, endpoint=False):
            s.tube([(0.02 * np.cos(a), 0, 0.02 * np.sin(a)), (inner * np.cos(a), 0, inner * np.sin(a))], 0.0015, 0, 5)
        s.ellipsoid((0, 0, 0), (0.025, 0.04, 0.025), 0)
        wheel = place(f"wheel{k}", s.build(f"wheel{k}", [steel, rubber], True), VEHICLE * 32 + 1, root, (x, 0, radius))
        wheels.append(wheel)
        subjects.append(wheel)
    s = Solid()
    rear, front, crank, seat, head = (
        (-0.52, 0, 0.34),
        (0.52, 0, 0.34),
        (-0.08, 0, 0.30),
        (-0.22, 0, 0.86),
        (0.36, 0, 0.84),
    )
    for a, b, r in ((rear, crank, 0.012), (rear, seat, 0.010), (crank, seat, 0.017), (crank, head, 0.018),
                    (seat, head, 0.016), (head, front, 0.013), (head, (0.33, 0, 0.98), 0.014)):  # fmt: skip
        s.tube([a, b], r, 0, 10)
    s.tube([(0.30, -0.27, 1.0), (0.36, 0, 0.98), (0.30, 0.27, 1.0)], 0.012, 1, 8)
    s.ellipsoid((-0.25, 0, 0.93), (0.13, 0.07, 0.03), 1)
    subjects.append(place("frame", s.build("frame", [paint, rubber], True), VEHICLE * 32 + 1, root))
    frames = 6
    for f in range(-1, frames + 3):
        d = 3.4 * f / 24
        root.location = (2.2 + d, 3.2, 0.0)
        root.keyframe_insert("location", frame=f)
        for wheel in wheels:
            wheel.rotation_euler = (0, d / radius, 0)
            wheel.keyframe_insert("rotation_euler", frame=f)
    cam = camera()
    for f in range(-1, frames + 3):
        at = (2.7 + 0.06 * f, 0.2, 1.15)
        yaw, pitch = look_at(at, (2.35 + 0.12 * f, 3.2, 0.55))
        aim(cam, at, yaw, pitch, f, 48)
    return Matte(frames, subjects, "vehicle")


SCENES: dict[str, Callable[[], Matte]] = {"hair": hair_scene, "fur": fur_scene, "spokes": spokes_scene}


def subject(path: Path, frame: int, matte: Matte) -> None:
    """Write the subject of a frame as RGBA (8 bits): its exact alpha, and its own color where alpha is a fraction.

    Where alpha is 0 or 255 the color is 0, because it is not defined there or is that of the frame.
    """
    s = bpy.context.scene
    mine = set(matte.subjects)
    others = [o for o in bpy.data.objects if o.type in ("MESH", "CURVES") and o not in mine]
    keep = (s.cycles.samples, s.cycles.use_denoising, s.cycles.max_bounces, s.cycles.seed)
    s.render.film_transparent = True
    s.render.image_settings.file_format, s.render.image_settings.color_mode = "PNG", "RGBA"
    s.render.image_settings.color_depth = "16"
    s.frame_set(frame)
    layers = []
    for name, hidden in (("alpha", "is_holdout"), ("color", "visible_camera")):
        for ob in others:
            setattr(ob, hidden, name == "alpha")
        # alpha needs no light; color keeps the light that the rest of the scene sends
        s.cycles.samples, s.cycles.use_denoising = (SAMPLES, False) if name == "alpha" else (keep[0], True)
        s.cycles.max_bounces = 0 if name == "alpha" else keep[2]
        s.render.filepath = str(path.with_name(f"{path.stem}_{name}.png"))
        bpy.ops.render.render(write_still=True)
        layers.append(cv2.imread(s.render.filepath, cv2.IMREAD_UNCHANGED))
        Path(s.render.filepath).unlink()
        for ob in others:
            setattr(ob, hidden, name != "alpha")
    s.render.film_transparent = False
    s.cycles.samples, s.cycles.use_denoising, s.cycles.max_bounces, s.cycles.seed = keep
    alpha = np.rint(layers[0][..., 3] / 257).astype(np.uint8)
    color = np.rint(layers[1][..., :3] / 257).astype(np.uint8)
    color[(alpha == 0) | (alpha == 255)] = 0
    cv2.imwrite(str(path), np.dstack((color, alpha)), [cv2.IMWRITE_PNG_COMPRESSION, 9])
