"""A walking person: one skin grown round rounded cones, moved by an armature so that the flow is exact."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

import materials as mat
from shapes import isosurface, mesh, place, smin

PERSON = 6
SKIN, HAIR, TOP, LEGS, SHOES = range(5)


@dataclass(frozen=True)
class Look:
    top: tuple[float, float, float] = (0.05, 0.10, 0.22)
    legs: tuple[float, float, float] = (0.035, 0.04, 0.06)
    hair: tuple[float, float, float] = (0.03, 0.018, 0.01)
    skin: tuple[float, float, float] = (0.52, 0.30, 0.21)
    shoes: tuple[float, float, float] = (0.10, 0.07, 0.05)
    long_hair: bool = False
    height: float = 1.76


LOOKS = (
    Look(),
    Look(top=(0.42, 0.05, 0.04), legs=(0.05, 0.07, 0.13), hair=(0.10, 0.05, 0.02), long_hair=True, height=1.68),
    Look(
        top=(0.30, 0.26, 0.19),
        legs=(0.03, 0.03, 0.035),
        hair=(0.02, 0.015, 0.012),
        skin=(0.30, 0.16, 0.10),
        height=1.82,
    ),
    Look(top=(0.06, 0.16, 0.10), legs=(0.16, 0.14, 0.11), hair=(0.20, 0.13, 0.06), long_hair=True, height=1.70),
    Look(top=(0.55, 0.55, 0.53), legs=(0.04, 0.06, 0.14), hair=(0.25, 0.24, 0.23), height=1.74),
    Look(
        top=(0.025, 0.025, 0.03),
        legs=(0.06, 0.055, 0.05),
        hair=(0.015, 0.01, 0.01),
        skin=(0.18, 0.09, 0.06),
        height=1.79,
    ),
    Look(top=(0.52, 0.33, 0.07), legs=(0.03, 0.045, 0.11), hair=(0.07, 0.03, 0.012), long_hair=True, height=1.70),
)

# joints of the left (+y) side; the right side mirrors them
HIP, KNEE, ANKLE = (0, 0.09, 0.92), (0.012, 0.098, 0.50), (-0.02, 0.10, 0.09)
SHOULDER, ELBOW, WRIST = (-0.01, 0.20, 1.41), (-0.03, 0.245, 1.13), (0.0, 0.268, 0.885)


def cone(p, a, b, ra, rb):
    a, b = np.asarray(a, float), np.asarray(b, float)
    d = b - a
    t = np.clip(((p - a) @ d) / (d @ d), 0, 1)
    return np.linalg.norm(p - a - t[:, None] * d, axis=1) - (ra + (rb - ra) * t)


def ellipsoid(p, c, r):
    q = (p - np.asarray(c)) / np.asarray(r)
    k = np.linalg.norm(q, axis=1)
    return (k - 1) * min(r) * np.maximum(k, 0.6) ** -0.3


def parts(p: np.ndarray, look: Look):
    """(bone, material, distance) of every piece of the body in its rest pose, facing +x."""
    out = [
        ("spine", TOP, ellipsoid(p, (-0.005, 0, 1.02), (0.125, 0.175, 0.17))),
        ("spine", TOP, ellipsoid(p, (0.0, 0, 1.24), (0.128, 0.185, 0.21))),
        ("spine", TOP, cone(p, (-0.015, -0.13, 1.415), (-0.015, 0.13, 1.415), 0.062, 0.062)),
        ("spine", TOP, cone(p, (-0.02, 0, 1.44), (-0.01, 0, 1.495), 0.085, 0.062)),
        ("root", LEGS, ellipsoid(p, (-0.01, 0, 0.90), (0.118, 0.165, 0.10))),
        ("head", SKIN, cone(p, (-0.005, 0, 1.45), (0.0, 0, 1.56), 0.054, 0.05)),
        ("head", SKIN, ellipsoid(p, (0.022, 0, 1.64), (0.094, 0.073, 0.122))),
        ("head", SKIN, ellipsoid(p, (0.115, 0, 1.63), (0.020, 0.015, 0.026))),
    ]
    hair = ellipsoid(p, (-0.008, 0, 1.672), (0.110, 0.088, 0.105))
    hair = np.maximum(hair, np.minimum(p[:, 0] - 0.055 - (p[:, 2] - 1.66) * 0.8, 1.0))
    out.append(("head", HAIR, hair))
    if look.long_hair:
        out.append(("head", HAIR, ellipsoid(p, (-0.055, 0, 1.545), (0.062, 0.095, 0.15))))
    for s, side in ((1, "L"), (-1, "R")):

        def at(v, s=s):
            return (v[0], s * v[1], v[2])

        out += [
            (f"thigh{side}", LEGS, cone(p, at(HIP), at(KNEE), 0.094, 0.072)),
            (f"shin{side}", LEGS, cone(p, at(KNEE), at((ANKLE[0], ANKLE[1], 0.10)), 0.072, 0.060)),
            (f"foot{side}", SHOES, ellipsoid(p, at((0.045, 0.108, 0.045)), (0.145, 0.052, 0.046))),
            (f"foot{side}", SHOES, cone(p, at((-0.03, 0.10, 0.10)), at((-0.05, 0.10, 0.05)), 0.046, 0.046)),
            (f"arm{side}", TOP, cone(p, at(SHOULDER), at(ELBOW), 0.072, 0.055)),
            (f"fore{side}", TOP, cone(p, at(ELBOW), at(WRIST), 0.055, 0.043)),
            (f"fore{side}", SKIN, ellipsoid(p, at((0.012, 0.272, 0.81)), (0.045, 0.026, 0.085))),
        ]
    return out


BONES = {"root": ((0, 0, 0.95), None), "spine": ((0, 0, 1.0), "root"), "head": ((0, 0, 1.50), "spine")}
for _s, _side in ((1, "L"), (-1, "R")):
    for _name, _at, _up in (
        ("thigh", HIP, "root"),
        ("shin", KNEE, "thigh"),
        ("foot", ANKLE, "shin"),
        ("arm", SHOULDER, "spine"),
        ("fore", ELBOW, "arm"),
    ):
        _parent = _up if _up in ("root", "spine") else _up + _side
        BONES[_name + _side] = ((_at[0], _s * _at[1], _at[2]), _parent)


def skin_mesh(name: str, look: Look, cell: float = 0.0135):
    def field(x, y, z):
        p = np.stack([x, y, z], 1)
        f = None
        for bone, _, d in parts(p, look):
            k = 0.012 if bone.startswith(("arm", "fore", "head")) else 0.035
            f = d if f is None else smin(f, d, k)
        return f

    v, faces, n = isosurface(field, (-0.26, -0.36, -0.03), (0.26, 0.36, 1.82), cell)
    v[:, 2] = np.maximum(v[:, 2], 0.0)
    pieces = parts(v, look)
    bones = list(BONES)
    weight = np.zeros((len(v), len(bones)))
    for bone, _, d in pieces:
        i = bones.index(bone)
        weight[:, i] = np.maximum(weight[:, i], np.exp(-np.maximum(d, -0.02) / 0.016))
    weight /= weight.sum(1, keepdims=True)
    center = v[faces].mean(1)
    distance = np.stack([d for _, _, d in parts(center, look)])
    material = np.array([m for _, m, _ in pieces])[distance.argmin(0)]
    mats = [
        mat.plain(f"{name}_skin", look.skin, 0.5),
        mat.plain(f"{name}_hair", look.hair, 0.55, mottle=0.5),
        mat.cloth(f"{name}_top", look.top),
        mat.cloth(f"{name}_legs", look.legs),
        mat.plain(f"{name}_shoes", look.shoes, 0.5),
    ]
    return mesh(name, v, faces, n, True, mats, material), weight


def add_person(name: str, look: Look, instance: int = 0):
    """Adds a person; returns the armature, which is moved and posed."""
    me, weight = skin_mesh(name, look)
    ob = place(name, me, PERSON * 32 + instance)
    rig = bpy.data.objects.new(f"{name}_rig", bpy.data.armatures.new(f"{name}_rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for bone, (at, up) in BONES.items():
        e = rig.data.edit_bones.new(bone)
        e.head, e.tail = at, (at[0], at[1], at[2] + 0.1)
        if up:
            e.parent = rig.data.edit_bones[up]
    bpy.ops.object.mode_set(mode="OBJECT")
    for b in rig.pose.bones:
        b.rotation_mode = "XYZ"
    for i, bone in enumerate(BONES):
        group = ob.vertex_groups.new(name=bone)
        for j in np.nonzero(weight[:, i] > 0.01)[0]:
            group.add([int(j)], float(weight[j, i]), "REPLACE")
    ob.parent = rig
    ob.modifiers.new("rig", "ARMATURE").object = rig
    s = look.height / 1.76
    rig.scale = (s, s, s)
    return rig


def pose(rig, phase: float, swing: float = 1.0) -> None:
    """One moment of a walk; swing 0 stands still."""
    b = rig.pose.bones

    def turn(bone: str, forward: float, twist: float = 0.0) -> None:
        b[bone].rotation_euler = (0.0, twist, forward)

    for side, p in (("L", phase), ("R", phase + np.pi)):
        thigh = 0.46 * np.sin(p) + 0.06
        knee = 0.10 + 0.95 * max(0.0, np.cos(p + 0.45)) ** 1.5
        turn(f"thigh{side}", swing * thigh)
        turn(f"shin{side}", -swing * knee)
        turn(f"foot{side}", swing * (0.55 * knee - 0.55 * thigh + 0.2 * max(0.0, np.sin(p))))
        turn(f"arm{side}", -swing * 0.42 * np.sin(p) + 0.03)
        turn(f"fore{side}", 0.20 + swing * 0.22 * max(0.0, -np.sin(p)))
    turn("spine", -0.04, 0.07 * swing * np.sin(phase))
    turn("head", 0.03, -0.07 * swing * np.sin(phase))
    b["root"].location = (0, swing * (0.016 * np.cos(2 * phase + 0.3) - 0.03), 0)


def walk(rig, start, heading: float, speed: float, frames, fps: float, phase: float = 0.0) -> None:
    """Keys a straight walk on every frame of the range."""
    for f in frames:
        d = speed * f / fps
        rig.location = (
            start[0] + d * np.cos(heading),
            start[1] + d * np.sin(heading),
            start[2] if len(start) > 2 else 0,
        )
        rig.rotation_euler = (0, 0, heading)
        pose(rig, phase + 2 * np.pi * d / (0.75 + 0.6 * speed), min(1.0, 0.35 + 0.65 * speed / 1.1))
        rig.keyframe_insert("location", frame=f)
        rig.keyframe_insert("rotation_euler", frame=f)
        for bone in rig.pose.bones:
            bone.keyframe_insert("rotation_euler", frame=f)
        rig.pose.bones["root"].keyframe_insert("location", frame=f)
