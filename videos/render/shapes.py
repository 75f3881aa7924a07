"""Meshes from distance functions, and the small solids everything else is put together from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bpy
import numpy as np
from skimage.measure import marching_cubes

Field = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def smax(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Largest of two distances with the edge between them rounded over about k meters."""
    return np.maximum(a, b) + np.maximum(k - np.abs(a - b), 0) ** 2 / (4 * k)


def smin(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    return -smax(-a, -b, k)


def gradient(field: Field, v: np.ndarray, eps: float = 0.004) -> np.ndarray:
    g = np.empty_like(v)
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = eps
        hi, lo = v + step, v - step
        g[:, axis] = (field(*hi.T) - field(*lo.T)) / (2 * eps)
    return g


def isosurface(field: Field, low: Sequence[float], high: Sequence[float], cell: float):
    """Vertices, triangles and unit normals of field = 0; the normals are the field's own gradient."""
    axes = [np.arange(lo, hi + cell, cell) for lo, hi in zip(low, high, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij")
    value = field(*(a.ravel() for a in grid)).reshape(grid[0].shape)
    v, f, _, _ = marching_cubes(value, 0.0, spacing=(cell, cell, cell))
    v = v + np.array([a[0] for a in axes])
    for _ in range(2):
        g = gradient(field, v)
        step = field(*v.T) / np.maximum((g**2).sum(1), 0.3)
        v = v - np.clip(step, -cell / 3, cell / 3)[:, None] * g
    n = gradient(field, v)
    n /= np.linalg.norm(n, axis=1, keepdims=True) + 1e-9
    a, b, c = v[f[:, 0]], v[f[:, 1]], v[f[:, 2]]
    if (np.cross(b - a, c - a) * n[f[:, 0]]).sum(1).mean() < 0:
        f = f[:, ::-1]
    return v, f, n


def mesh(name: str, v, faces, normals=None, smooth: bool = True, materials=(), face_material=None, **attributes):
    """A Blender mesh; attributes are floats per vertex that the materials read by name."""
    me = bpy.data.meshes.new(name)
    v = np.asarray(v, np.float32)
    if isinstance(faces, np.ndarray) and faces.ndim == 2:
        count, sides = faces.shape
        me.vertices.add(len(v))
        me.vertices.foreach_set("co", v.ravel())
        me.loops.add(count * sides)
        me.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
        me.polygons.add(count)
        me.polygons.foreach_set("loop_start", np.arange(0, count * sides, sides, dtype=np.int32))
        me.update(calc_edges=True)
    else:
        me.from_pydata(v.tolist(), [], [list(f) for f in faces])
    for key, value in attributes.items():
        me.attributes.new(key, "FLOAT", "POINT").data.foreach_set("value", np.asarray(value, np.float32))
    for m in materials:
        me.materials.append(m)
    if face_material is not None:
        me.polygons.foreach_set("material_index", np.asarray(face_material, np.int32))
    me.polygons.foreach_set("use_smooth", np.full(len(me.polygons), smooth))
    me.validate()
    if normals is not None:
        me.normals_split_custom_set_from_vertices(np.asarray(normals, np.float32).tolist())
    me.update()
    return me


class Solid:
    """Collects boxes, tubes and the like into one mesh with several materials."""

    def __init__(self) -> None:
        self.v: list = []
        self.f: list = []
        self.m: list = []

    def add(self, v, f, material: int = 0) -> None:
        base = len(self.v)
        self.v.extend(np.asarray(v, float).tolist())
        self.f.extend([[base + int(i) for i in face] for face in f])
        self.m.extend([material] * len(f))

    def box(self, low, high, material: int = 0) -> None:
        (x0, y0, z0), (x1, y1, z1) = low, high
        v = [(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)]
        f = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        self.add(v, f, material)

    def quad(self, a, b, c, d, material: int = 0) -> None:
        self.add([a, b, c, d], [(0, 1, 2, 3)], material)

    def tube(self, points, radius, material: int = 0, sides: int = 8, closed: bool = False) -> None:
        p = np.asarray(points, float)
        r = np.broadcast_to(np.asarray(radius, float), (len(p),))
        t = np.roll(p, -1, 0) - np.roll(p, 1, 0) if closed else np.gradient(p, axis=0)
        t /= np.linalg.norm(t, axis=1, keepdims=True) + 1e-9
        up = np.array([0, 0, 1.0]) if abs(t[:, 2]).mean() < 0.8 else np.array([1.0, 0, 0])
        a = np.cross(t, up)
        a /= np.linalg.norm(a, axis=1, keepdims=True) + 1e-9
        b = np.cross(t, a)
        angle = np.arange(sides) / sides * 2 * np.pi
        ring = a[:, None] * np.cos(angle)[None, :, None] + b[:, None] * np.sin(angle)[None, :, None]
        v = (p[:, None] + ring * r[:, None, None]).reshape(-1, 3)
        n, f = len(p), []
        for i in range(n if closed else n - 1):
            j = (i + 1) % n
            f += [
                (i * sides + k, i * sides + (k + 1) % sides, j * sides + (k + 1) % sides, j * sides + k)
                for k in range(sides)
            ]
        if not closed:
            f += [list(range(sides))[::-1], list(range((n - 1) * sides, n * sides))]
        self.add(v, f, material)

    def lathe(self, profile, material: int = 0, sides: int = 48) -> None:
        """Turns (radius, y) pairs round the y axis."""
        profile = np.asarray(profile, float)
        angle = np.arange(sides) / sides * 2 * np.pi
        r, y = profile[:, 0, None], profile[:, 1, None]
        v = np.stack([r * np.cos(angle), np.broadcast_to(y, (len(profile), sides)), r * np.sin(angle)], -1)
        f = [
            (i * sides + k, i * sides + (k + 1) % sides, (i + 1) * sides + (k + 1) % sides, (i + 1) * sides + k)
            for i in range(len(profile) - 1)
            for k in range(sides)
        ]
        self.add(v.reshape(-1, 3), f, material)

    def ellipsoid(self, center, radii, material: int = 0, n: int = 16) -> None:
        u, w = np.meshgrid(np.linspace(0, np.pi, n), np.arange(2 * n) / (2 * n) * 2 * np.pi, indexing="ij")
        v = np.stack([np.sin(u) * np.cos(w), np.sin(u) * np.sin(w), np.cos(u)], -1).reshape(-1, 3)
        f = [
            (i * 2 * n + k, (i + 1) * 2 * n + k, (i + 1) * 2 * n + (k + 1) % (2 * n), i * 2 * n + (k + 1) % (2 * n))
            for i in range(n - 1)
            for k in range(2 * n)
        ]
        self.add(v * np.asarray(radii) + np.asarray(center), f, material)

    def build(self, name: str, materials, smooth: bool = False):
        return mesh(name, self.v, self.f, None, smooth, materials, self.m)


def place(name: str, me, index: int, parent=None, location=(0, 0, 0), rotation=(0, 0, 0), scale=(1, 1, 1)):
    """Puts a mesh into the scene; index is class * 32 + instance, as truth.py decodes it."""
    ob = bpy.data.objects.new(name, me)
    ob.pass_index = index
    ob.location, ob.rotation_euler, ob.scale = location, rotation, scale
    ob.parent = parent
    bpy.context.scene.collection.objects.link(ob)
    return ob
