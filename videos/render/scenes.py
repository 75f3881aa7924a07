"""What happens in each clip: who stands and moves where, and how the camera looks at it.

A clip is one function. It builds the scene, keys every frame, and returns a Clip.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np

import car
import materials
import nature
import street
from car import add_car, body_mesh
from person import LOOKS, add_person, pose, walk

FPS = 24
RED, BLUE, SILVER, WHITE = (0.45, 0.012, 0.014), (0.015, 0.06, 0.30), (0.42, 0.43, 0.45), (0.72, 0.72, 0.71)
PAINTS = (
    RED,
    BLUE,
    SILVER,
    WHITE,
    (0.02, 0.02, 0.024),
    (0.10, 0.105, 0.115),
    (0.24, 0.008, 0.02),
    (0.02, 0.12, 0.16),
    (0.03, 0.10, 0.05),
    (0.50, 0.40, 0.12),
    (0.035, 0.045, 0.09),
    (0.55, 0.16, 0.02),
    (0.30, 0.27, 0.22),
)


@dataclass
class Clip:
    """Frames 1 to n; cuts are the frames that begin a new shot."""

    frames: int
    cuts: list[int] = field(default_factory=list)
    exposure: dict[int, float] = field(default_factory=dict)
    passes: list[dict] = field(default_factory=list)  # cars heard: closest moment, distance, speed
    steps: float = 0.0  # footsteps a second


def camera(fov: float = 54.0):
    data = bpy.data.cameras.new("camera")
    data.sensor_width, data.clip_end, data.angle = 36.0, 400.0, np.radians(fov)
    ob = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(ob)
    bpy.context.scene.camera = ob
    return ob


def aim(cam, at, yaw: float, pitch: float, frame: int | None = None, fov: float | None = None) -> None:
    """yaw counts from +y towards +x, in degrees."""
    cam.location = at
    cam.rotation_euler = (np.radians(90 + pitch), 0, -np.radians(yaw))
    if fov is not None:
        cam.data.angle = np.radians(fov)
    if frame is not None:
        cam.keyframe_insert("location", frame=frame)
        cam.keyframe_insert("rotation_euler", frame=frame)
        cam.data.keyframe_insert("lens", frame=frame)


def look_at(at, target) -> tuple[float, float]:
    d = np.subtract(target, at)
    return float(np.degrees(np.arctan2(d[0], d[1]))), float(np.degrees(np.arctan2(d[2], np.hypot(d[0], d[1]))))


def ease(t: float) -> float:
    return t * t * (3 - 2 * t)


def drive(root, wheels, y: float, heading: int, x_at, frames, radius: float) -> None:
    """Keys a car along the street; heading is +1 or -1, x_at gives x for a time in seconds."""
    for w in wheels:
        w.rotation_mode = "YXZ"
    for f in frames:
        x = x_at((f - 1) / FPS)
        root.location = (x, y, 0)
        root.rotation_euler = (0, 0, 0 if heading > 0 else np.pi)
        root.keyframe_insert("location", frame=f)
        for w in wheels:
            near = abs(w.rotation_euler[2]) < 1
            w.rotation_euler[1] = heading * x / radius * (1 if near else -1)
            w.keyframe_insert("rotation_euler", frame=f)


def neighborhood(seed: int, gap=(4.0, 15.0), trees=(11.8, 20.5, 27.0, 35.0, -7.0, -15.0)) -> None:
    """Both sides of the street, with a green gap between the houses opposite."""
    rng = np.random.default_rng(seed)
    street.ground()
    far, near = street.WIDTH + street.WALK, -street.WALK
    street.row(-62, gap[0], far, -1, rng, (2, 3))
    street.row(gap[1], 78, far, -1, rng, (2, 3))
    street.row(gap[0] - 12, gap[1] + 22, far + 30, -1, rng, (2, 2))
    street.row(-60, -7, near, 1, rng, (2, 2))
    nature.grass(gap[0] - 30, gap[1] + 30, far + 0.02, far + 34)
    street.row(15, 78, near, 1, rng, (2, 3))
    street.row(-9, 17, near - 16, 1, rng, (2, 3))
    kinds = [nature.tree_meshes(seed * 7 + k, h, c) for k, (h, c) in enumerate(((6.5, 1.9), (8.0, 2.4), (5.2, 1.6)))]
    for x in trees:
        nature.add_tree(kinds[rng.integers(3)], x, street.WIDTH + 0.75, rng, 1.0, 0.1)
    for _ in range(5):
        nature.add_tree(
            kinds[rng.integers(3)], rng.uniform(gap[0] + 1, gap[1] - 1), rng.uniform(far + 9, far + 24), rng
        )
    for x in (22.0, 32.0, 44.0, 57.0, -12.0):
        nature.add_tree(kinds[rng.integers(3)], x, -0.9, rng, 1.0, 0.1)
    for x in np.arange(62, 80, 4.5):
        nature.add_tree(kinds[1], x + rng.uniform(-1, 1), rng.uniform(-3, 10), rng, 1.3)
    nature.grass(-7, 15, near - 16, near - 0.02)
    nature.add_hedge(-6.7, 14.7, near - 0.9, near - 0.2, 1.0, rng)
    for y in (-4.0, 1.0, 5.5, 10.5):
        nature.add_tree(kinds[1], -64 + rng.uniform(-1, 1), y, rng, 1.3)
    nature.add_hedge(gap[0] + 0.3, gap[1] - 0.3, far + 0.2, far + 0.9, 1.15, rng)
    for x in (-4.0, 18.0, 40.0):
        street.lamp_post(x, street.WIDTH + 0.45, -1)
    street.bollards(gap[1] + 1, gap[1] + 12, street.WIDTH + 0.4)
    street.bin_(-1.6, street.WIDTH + 0.6)


def street_clip() -> Clip:
    """A pan that follows a blue car past a red one at the curb, while people walk on the far pavement."""
    n = 96
    keys = range(-1, n + 3)
    neighborhood(3)
    nature.sky(5, np.radians(212), np.radians(44), 0.5)
    parked, _ = add_car("parked", "hatch", RED, (6.1, 6.45), np.pi, 1)
    add_car("further", "suv", SILVER, (17.6, 6.45), np.pi, 3)
    add_car("last", "sedan", (0.02, 0.02, 0.024), (28.5, 6.45), np.pi, 4)
    blue, wheels = add_car("moving", "sedan", BLUE, (20, 3.9), np.pi, 2)
    drive(blue, wheels, 3.9, -1, lambda t: 27.0 - 8.6 * t, keys, body_mesh("sedan")[0].s.radius)
    walk(add_person("ann", LOOKS[6], 1), (3.35, 6.15), np.radians(174), 0.80, keys, FPS, 0.6)
    walk(add_person("bob", LOOKS[0], 2), (9.9, 9.3, street.CURB), 0.0, 1.0, keys, FPS, 1.0)
    cam = camera()
    for f in keys:
        t = ease(float(np.clip((f - 1) / (n - 1), 0, 1)))
        aim(cam, (-1.0 + 0.25 * t, -1.0, 1.6), 48 - 19 * t, 0.5, f, 53)
    return Clip(n, passes=[{"time": 3.25, "distance": 4.9, "speed": 8.6}], steps=1.76)


def walkaround_clip() -> Clip:
    """The camera walks round a parked car in a wide arc; people stroll behind it."""
    n = 80
    keys = range(-1, n + 3)
    neighborhood(11, (-3.0, 9.0), (-9.0, 10.5, 14.0, 22.0, 30.0))
    nature.sky(8, np.radians(235), np.radians(40), 0.6)
    add_car("parked", "sedan", BLUE, (3.0, 6.45), np.pi, 1)
    add_car("other", "hatch", (0.55, 0.16, 0.02), (16.0, 6.45), np.pi, 2)
    for k, (x, heading, speed) in enumerate(((-1.5, 0.0, 1.2), (6.5, np.pi, 1.1), (11.0, np.pi, 1.35))):
        walk(
            add_person(f"p{k}", LOOKS[(2, 3, 4)[k]], k + 1),
            (x, 8.4 + 0.5 * k, street.CURB),
            heading,
            speed,
            keys,
            FPS,
            k,
        )
    cam = camera()
    for f in keys:
        t = (f - 1) / (n - 1)
        a = np.radians(-128 + 62 * t)
        bob = 0.012 * np.sin(2 * np.pi * 1.9 * (f - 1) / FPS)
        at = (3.0 + 7.0 * np.cos(a), 6.45 + 6.6 * np.sin(a), 1.58 + bob)
        yaw, pitch = look_at(at, (3.0, 6.45, 1.25))
        aim(cam, at, yaw + 0.3 * np.sin(3 * t), pitch, f, 52)
    return Clip(n, steps=1.9)


def cuts_clip() -> Clip:
    """Three shots: a pan, a zoom with the light falling and rising, a still camera with a car driving off."""
    n, second, third = 90, 31, 61
    keys = range(-1, n + 3)
    neighborhood(17, (2.0, 12.0))
    nature.sky(21, np.radians(200), np.radians(48), 0.4)
    add_car("red", "sedan", (0.24, 0.008, 0.02), (5.5, 6.45), np.pi, 1)
    add_car("white", "suv", WHITE, (-6.0, 6.45), np.pi, 2)
    green, wheels = add_car("green", "hatch", (0.02, 0.12, 0.16), (0, 1.35), 0.0, 3)
    drive(green, wheels, 1.35, 1, lambda t: -12.0 + 6.5 * t, keys, body_mesh("hatch")[0].s.radius)
    walk(add_person("a", LOOKS[3], 1), (1.0, 8.5, street.CURB), 0.0, 1.2, keys, FPS)
    walk(add_person("b", LOOKS[5], 2), (-1.0, 8.6, street.CURB), np.pi, 1.1, keys, FPS)
    cam = camera()
    exposure = {}
    for f in keys:
        if f < second:
            t = ease(float(np.clip((f - 1) / (second - 2), 0, 1)))
            aim(cam, (0.0, -1.2, 1.6), 24 + 22 * t, 0.5, f, 54)
        elif f < third:
            t = (f - second) / (third - second - 1)
            yaw, pitch = look_at((-13.0, -0.8, 1.5), (-6.0, 6.45, 0.9))
            aim(cam, (-13.0, -0.8, 1.5), yaw, pitch, f, 60 - 22 * ease(t))
            exposure[f] = -0.9 * float(np.sin(np.pi * t)) ** 2
        else:
            yaw, pitch = look_at((11.6, 7.7, 1.7), (4.6, 5.2, 0.95))
            aim(cam, (11.6, 7.7, 1.7), yaw, pitch, f, 52)
    for curve in list(cam.animation_data.action.fcurves) + list(cam.data.animation_data.action.fcurves):
        for k in curve.keyframe_points:
            k.interpolation = "CONSTANT" if int(k.co[0]) in (second - 1, third - 1) else "LINEAR"
    return Clip(n, [second, third], exposure, steps=1.7)


CLIPS = {"street": street_clip, "walkaround": walkaround_clip, "cuts": cuts_clip}


def forget() -> None:
    """After Blender was emptied, nothing made before may be used again."""
    car.reset()
    materials.reset()


class Stills:
    """Stills for training: other streets, cars, people, suns and cameras than the clips'."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(1000 + seed)
        gap = float(rng.uniform(-6, 8))
        neighborhood(
            100 + seed, (gap, gap + rng.uniform(6, 13)), tuple(np.arange(-20, 40, 7.0) + rng.uniform(-2, 2, 9))
        )
        self.cars = [add_car(f"car{i}", ("hatch", "sedan", "suv")[i % 3], RED, instance=i + 1) for i in range(7)]
        self.people = [add_person(f"person{i}", LOOKS[i % len(LOOKS)], i + 1) for i in range(6)]
        self.cam = camera()

    def shuffle(self) -> None:
        """A new moment and a new camera in the same street."""
        rng = self.rng
        for ob in [o for o in bpy.data.objects if o.name.startswith("sun")]:
            bpy.data.objects.remove(ob)
        nature.sky(
            int(rng.integers(1e6)),
            rng.uniform(np.pi, 2 * np.pi),
            np.radians(rng.uniform(25, 65)),
            rng.uniform(0, 1),
            rng.uniform(0.8, 1.15),
        )
        slots = rng.permutation(np.arange(-18, 30, 6.2))[:5]
        spots = [(x + rng.uniform(-0.5, 0.5), 6.45 + rng.uniform(-0.1, 0.1), np.pi * rng.integers(2)) for x in slots]
        spots += [(rng.uniform(-12, 22), 3.9, np.pi), (rng.uniform(-12, 22), 1.35, 0.0)]
        for (root, _), spot, k in zip(
            self.cars, (spots[i] for i in rng.permutation(7)), rng.integers(len(PAINTS), size=7), strict=True
        ):
            root.location, root.rotation_euler = (spot[0], spot[1], 0), (0, 0, spot[2] + rng.normal(0, 0.02))
            for child in root.children:
                child.color = (*np.clip(np.array(PAINTS[k]) * rng.uniform(0.7, 1.3), 0, 1), 1)
        self.place_people()
        for _ in range(40):  # a camera that has something in view, nothing right before it
            at = np.array(
                [
                    rng.uniform(-9, 16),
                    rng.choice(
                        [rng.uniform(-2.4, -0.3), rng.uniform(0.3, 5.0), rng.uniform(0.3, 3.0)]
                        + [8.8] * (rng.random() < 0.3)
                    ),
                    rng.uniform(1.15, 2.3),
                ]
            )
            roots = [r for r, _ in self.cars] + self.people
            target = np.array(roots[rng.integers(len(roots))].location) + (0, 0, 1.0)
            away = min(
                np.hypot(*(np.array(r.location)[:2] - at[:2])) - (2.6 if "car" in r.name else 1.2) for r in roots
            )
            if away > 1.0 and 4 < np.hypot(*(target - at)[:2]) < 13:
                break
        yaw, pitch = look_at(at, target)
        aim(self.cam, at, yaw + rng.normal(0, 9), pitch * 0.5 + rng.uniform(-2, 4), None, rng.uniform(40, 66))

    def place_people(self) -> None:
        rng = self.rng
        for rig in self.people:
            side = rng.random()
            y, z = (rng.uniform(8.1, 9.9), street.CURB) if side < 0.5 else (rng.uniform(-2.4, -0.5), street.CURB)
            if side > 0.85:
                y, z = rng.uniform(0.8, 4.5), 0.0
            rig.location = (rng.uniform(-8, 18), y, z)
            rig.rotation_euler = (0, 0, rng.choice([0, np.pi, rng.uniform(0, 6.28)]))
            pose(rig, rng.uniform(0, 6.28), rng.choice([0.1, 1.0, 1.0]))
