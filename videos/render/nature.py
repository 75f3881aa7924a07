"""Trees, hedges, and the sky with its sun."""

from __future__ import annotations

import bpy
import numpy as np

import materials as mat
from shapes import Solid, mesh, place

VEGETATION = 5
GREENS = (
    ((0.035, 0.085, 0.012), (0.11, 0.20, 0.03)),
    ((0.05, 0.09, 0.02), (0.17, 0.21, 0.05)),
    ((0.025, 0.06, 0.018), (0.07, 0.14, 0.035)),
)


def leaf_quads(centers, out, size, rng):
    """One rhombus per center, turned at random but mostly facing out and up."""
    n = len(centers)
    normal = out + np.array([0, 0, 0.5]) + rng.normal(0, 0.6, (n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    a = np.cross(normal, rng.normal(0, 1, (n, 3)))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = np.cross(normal, a)
    s = size * rng.uniform(0.7, 1.4, (n, 1))
    v = np.stack([centers + a * s, centers + b * s * 0.5, centers - a * s, centers - b * s * 0.5], 1).reshape(-1, 3)
    return v, np.arange(4 * n).reshape(n, 4)


def tree_meshes(seed: int, height: float = 6.5, crown: float = 1.9, leaves: int = 9000):
    rng = np.random.default_rng(seed)
    wood = Solid()
    fork = height * 0.33
    lean = rng.normal(0, 0.05, 2)
    z = np.linspace(-0.1, height * 0.75, 9)
    trunk = np.stack([lean[0] * z + 0.05 * np.sin(z * 1.3), lean[1] * z + 0.05 * np.cos(z), z], 1)
    wood.tube(trunk, 0.14 * (1 - 0.8 * z / z[-1]) * height / 6.5 + 0.015, 0, 12)
    middle = np.array([lean[0] * height * 0.66, lean[1] * height * 0.66, height * 0.66])
    direction = rng.normal(0, 1, (70, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = rng.uniform(0.35, 1.0, (70, 1)) ** 0.6
    clump = middle + direction * reach * np.array([crown, crown, height * 0.33])
    for c in clump[:16]:
        t0 = trunk[np.searchsorted(z, min(max(fork, c[2] - 1.2), z[-1] - 0.1))]
        wood.tube([t0, (t0 + c) / 2 + [0, 0, 0.1], c], [0.05, 0.03, 0.01], 0, 6)
    which = rng.integers(0, len(clump), leaves)
    spot = rng.normal(0, 1, (leaves, 3))
    spot /= np.linalg.norm(spot, axis=1, keepdims=True)
    radius = rng.uniform(0.32, 0.62, len(clump))[which][:, None] * rng.uniform(0.3, 1, (leaves, 1)) ** 0.4
    centers = clump[which] + spot * radius * np.array([1, 1, 0.75])
    v, f = leaf_quads(centers, spot, 0.085, rng)
    green = GREENS[seed % len(GREENS)]
    return (
        wood.build(f"wood{seed}", [mat.bark()], True),
        mesh(f"leaves{seed}", v, f, None, False, [mat.leaves(f"leaf{seed % len(GREENS)}", *green)]),
    )


def add_tree(meshes, x: float, y: float, rng, scale: float = 1.0, base: float = 0.0) -> None:
    turn = rng.uniform(0, 6.28)
    s = scale * rng.uniform(0.9, 1.1)
    for me in meshes:
        place(me.name, me, VEGETATION * 32, None, (x, y, base), (0, 0, turn), (s, s, s))


def add_hedge(x0: float, x1: float, y0: float, y1: float, height: float, rng, base: float = 0.12) -> None:
    area = (x1 - x0) * (height * 2 + (y1 - y0)) + (y1 - y0) * height * 2
    n = int(area * 520)
    face = rng.choice(
        5,
        n,
        p=np.array([a := (x1 - x0) * height, a, b := (y1 - y0) * height, b, (x1 - x0) * (y1 - y0)])
        / (2 * a + 2 * b + (x1 - x0) * (y1 - y0)),
    )
    p = rng.uniform(0, 1, (n, 3))
    out = np.zeros((n, 3))
    for k, (axis, value) in enumerate(((1, 0), (1, 1), (0, 0), (0, 1), (2, 1))):
        p[face == k, axis] = value
        out[face == k, axis] = 2 * value - 1
    centers = np.array([x0, y0, base]) + p * np.array([x1 - x0, y1 - y0, height])
    bumps = 0.10 * np.sin(centers[:, :1] * 2.3 + rng.uniform(0, 6)) * np.sin(centers[:, 2:] * 3.1)
    centers = centers + out * (bumps + rng.normal(0, 0.05, (n, 1)))
    v, f = leaf_quads(centers, out, 0.055, rng)
    place("hedge", mesh("hedge", v, f, None, False, [mat.leaves("leaf_hedge", *GREENS[2])]), VEGETATION * 32)
    core = Solid()
    core.box((x0 + 0.06, y0 + 0.06, base), (x1 - 0.06, y1 - 0.06, base + height - 0.06))
    place("hedge_core", core.build("hedge_core", [mat.plain("core", (0.012, 0.025, 0.006), 0.95)]), VEGETATION * 32)


def grass(x0: float, x1: float, y0: float, y1: float) -> None:
    s = Solid()
    s.quad((x0, y0, 0.135), (x1, y0, 0.135), (x1, y1, 0.135), (x0, y1, 0.135))
    place("grass", s.build("grass", [mat.lawn()]), VEGETATION * 32)


def sky(seed: int, sun_azimuth: float, sun_height: float, clouds: float = 0.5, power: float = 1.0) -> None:
    """A blue gradient with clouds, and a sun lamp; azimuth counts from +x to +y, in radians."""
    rng = np.random.default_rng(seed)
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.node_tree.nodes.clear()
    n = mat.Nodes(world.node_tree)
    d = n.node("ShaderNodeTexCoord", out="Generated")
    x, y, z = (n.node("ShaderNodeSeparateXYZ", {0: d}, out=i) for i in range(3))
    up = n.math("MAXIMUM", z, 0.0)
    blue = n.mix(n.math("POWER", up, 0.5), (0.62, 0.76, 0.92), (0.10, 0.24, 0.62))
    flat = n.node(
        "ShaderNodeCombineXYZ",
        {
            0: n.math("DIVIDE", x, n.math("ADD", up, 0.18)),
            1: n.math("DIVIDE", y, n.math("ADD", up, 0.18)),
            2: float(rng.uniform(0, 50)),
        },
    )
    thick = n.noise(0.95, 7, 0.56, flat)
    cover = n.ramp(thick, 0.62 - 0.25 * clouds, 0.74 - 0.2 * clouds)
    shade = n.mix(n.ramp(thick, 0.5, 0.75), (1.0, 1.0, 1.0), (0.66, 0.69, 0.74))
    color = n.mix(n.math("MULTIPLY", cover, 0.92), blue, shade)
    color = n.mix(n.ramp(z, 0.0, -0.05), color, (0.20, 0.19, 0.18))
    background = n.node("ShaderNodeBackground", {"Color": color, "Strength": 0.95 * power})
    out = world.node_tree.nodes.new("ShaderNodeOutputWorld")
    world.node_tree.links.new(background, out.inputs[0])
    lamp = bpy.data.lights.new("sun", "SUN")
    lamp.energy, lamp.angle, lamp.color = 4.2 * power, 0.012, (1.0, 0.93, 0.82)
    ob = bpy.data.objects.new("sun", lamp)
    bpy.context.scene.collection.objects.link(ob)
    ob.rotation_euler = (np.pi / 2 - sun_height, 0, sun_azimuth + np.pi / 2)
