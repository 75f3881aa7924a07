"""Every material of the scenes: node trees built once per run."""

from __future__ import annotations

import bpy

from nodes import Nodes

_made: dict = {}


def make(name: str, build):
    if name not in _made:
        m = bpy.data.materials.new(name)
        m.use_nodes = True
        m.node_tree.nodes.clear()
        n = Nodes(m.node_tree)
        surface = build(n)
        out = m.node_tree.nodes.new("ShaderNodeOutputMaterial")
        m.node_tree.links.new(surface, out.inputs[0])
        _made[name] = m
    return _made[name]


def reset() -> None:
    _made.clear()


def plain(name: str, color, roughness=0.6, metallic=0.0, coat=0.0, mottle=0.0):
    def build(n: Nodes):
        c = (*color, 1.0)
        if mottle:
            c = n.mix(
                n.ramp(n.noise(3.0, 5, 0.6, n.coords()), 0.3, 0.75), tuple(x * (1 - mottle) for x in color), color
            )
        return n.principled(Base_Color=c, Roughness=roughness, Metallic=metallic, Coat_Weight=coat, Coat_Roughness=0.04)

    return make(name, build)


def car_body():
    """Paint in the object's own color; glass, black trim and lamps where the mesh's distances say so."""

    def build(n: Nodes):
        paint_color = n.node("ShaderNodeObjectInfo", out="Color")
        dust = n.ramp(n.node("ShaderNodeSeparateXYZ", {0: n.coords()}, out=2), 0.65, 0.2)
        paint_color = n.mix(n.math("MULTIPLY", dust, 0.22), paint_color, (0.16, 0.14, 0.12))
        paint = n.principled(
            Base_Color=paint_color, Metallic=0.35, Roughness=0.38, Coat_Weight=1.0, Coat_Roughness=0.03, Coat_IOR=1.6
        )
        black = n.principled(Base_Color=(0.010, 0.010, 0.011), Roughness=0.4, Specular_IOR_Level=0.25)
        glass = n.principled(
            Base_Color=(0.012, 0.015, 0.016), Roughness=0.02, IOR=1.6, Coat_Weight=0.6, Coat_Roughness=0.0
        )
        cups = n.node(
            "ShaderNodeTexWave", {"Vector": n.coords(), "Scale": 5.0, "Distortion": 1.0}, out="Fac", bands_direction="Y"
        )
        lamp_c = n.mix(cups, (0.80, 0.82, 0.85), (0.22, 0.23, 0.25))
        lamp = n.principled(Base_Color=lamp_c, Metallic=0.75, Roughness=0.18, Coat_Weight=1.0, Coat_Roughness=0.0)
        ribs = n.node(
            "ShaderNodeTexWave", {"Vector": n.coords(), "Scale": 9.0, "Distortion": 0.0}, out="Fac", bands_direction="Z"
        )
        tail_c = n.mix(ribs, (0.10, 0.002, 0.002), (0.34, 0.008, 0.006))
        tail = n.principled(
            Base_Color=tail_c,
            Roughness=0.15,
            Coat_Weight=1.0,
            Coat_Roughness=0.0,
            Emission_Color=(0.5, 0.01, 0.01),
            Emission_Strength=0.06,
        )
        s = n.blend(n.where(n.attribute("black")), paint, black)
        s = n.blend(n.where(n.attribute("lamp")), s, lamp)
        s = n.blend(n.where(n.attribute("tail")), s, tail)
        return n.blend(n.where(n.attribute("glass")), s, glass)

    return make("car_body", build)


def paint_only():
    def build(n: Nodes):
        return n.principled(
            Base_Color=n.node("ShaderNodeObjectInfo", out="Color"),
            Metallic=0.35,
            Roughness=0.38,
            Coat_Weight=1.0,
            Coat_Roughness=0.03,
        )

    return make("paint_only", build)


def asphalt():
    def build(n: Nodes):
        p = n.coords()
        grain, patch = n.noise(90.0, 4, 0.7, p), n.noise(0.35, 5, 0.6, p)
        lanes = n.noise(1.0, 3, 0.5, n.coords(scale=(0.05, 1.1, 1)))
        c = n.mix(n.ramp(grain, 0.35, 0.7), (0.075, 0.075, 0.077), (0.20, 0.197, 0.19))
        c = n.mix(n.math("MULTIPLY", n.ramp(patch, 0.4, 0.62), 0.5), c, (0.085, 0.085, 0.09))
        c = n.mix(n.math("MULTIPLY", n.ramp(lanes, 0.45, 0.65), 0.35), c, (0.19, 0.185, 0.18))
        warped = n.mix(0.12, p, n.node("ShaderNodeTexNoise", {"Vector": p, "Scale": 2.0, "Detail": 4.0}, out="Color"))
        crack = n.node("ShaderNodeTexVoronoi", {"Vector": warped, "Scale": 0.33}, feature="DISTANCE_TO_EDGE")
        some = n.ramp(n.noise(0.2, 2, 0.5, p), 0.48, 0.55)
        c = n.mix(n.math("MULTIPLY", n.where(n.math("SUBTRACT", crack, 0.003), 0.003), some), c, (0.045, 0.045, 0.045))
        return n.principled(Base_Color=c, Roughness=0.85, Normal=n.bump(grain, 0.5, 0.01))

    return make("asphalt", build)


def marking():
    def build(n: Nodes):
        worn = n.ramp(n.noise(14.0, 6, 0.7, n.coords()), 0.36, 0.52)
        return n.principled(Base_Color=n.mix(worn, (0.16, 0.16, 0.16), (0.62, 0.62, 0.59)), Roughness=0.7)

    return make("marking", build)


def bricks(name, a, b, mortar, width, height, gap=0.012, offset=0.5, bump=0.5, roughness=0.85, dirt=0.35):
    """Courses along the object's x (or y) and z; slabs of pavement when given in the ground plane."""

    def build(n: Nodes):
        o = n.node("ShaderNodeTexCoord", out="Object")
        if name.startswith("paving"):
            uv = o
        else:
            x = n.node("ShaderNodeSeparateXYZ", {0: o}, out=0)
            y = n.node("ShaderNodeSeparateXYZ", {0: o}, out=1)
            z = n.node("ShaderNodeSeparateXYZ", {0: o}, out=2)
            uv = n.node("ShaderNodeCombineXYZ", {0: n.math("ADD", x, y), 1: z})
        inputs = {
            "Vector": uv,
            "Color1": (*a, 1),
            "Color2": (*b, 1),
            "Mortar": (*mortar, 1),
            "Scale": 1.0,
            "Mortar Size": gap,
            "Brick Width": width,
            "Row Height": height,
            "Mortar Smooth": 0.2,
        }
        node = n.t.nodes.new("ShaderNodeTexBrick")
        node.offset = offset
        for k, v in inputs.items():
            if isinstance(v, bpy.types.NodeSocket):
                n.t.links.new(v, node.inputs[k])
            else:
                node.inputs[k].default_value = v
        c = n.mix(
            n.math("MULTIPLY", n.ramp(n.noise(0.7, 6, 0.65, o), 0.45, 0.75), dirt),
            node.outputs[0],
            tuple(0.35 * v for v in a),
        )
        c = n.mix(0.5, c, n.mix(n.noise(25.0, 4, 0.7, o), (0.25, 0.25, 0.25), (0.75, 0.75, 0.75)), "OVERLAY")
        return n.principled(
            Base_Color=c, Roughness=roughness, Normal=n.bump(n.math("SUBTRACT", 1.0, node.outputs[1]), bump)
        )

    return make(name, build)


def plaster(name, color):
    def build(n: Nodes):
        o = n.coords()
        z = n.node("ShaderNodeSeparateXYZ", {0: o}, out=2)
        streak = n.noise(1.0, 6, 0.65, n.coords(scale=(2.2, 2.2, 0.18)))
        fine = n.noise(30.0, 4, 0.6, o)
        dark = tuple(0.55 * v for v in color)
        c = n.mix(n.math("MULTIPLY", n.ramp(streak, 0.42, 0.72), 0.55), color, dark)
        c = n.mix(n.math("MULTIPLY", n.ramp(z, 1.1, 0.1), 0.45), c, tuple(0.4 * v for v in color))
        c = n.mix(0.35, c, n.mix(fine, (0.3, 0.3, 0.3), (0.7, 0.7, 0.7)), "OVERLAY")
        return n.principled(Base_Color=c, Roughness=0.9, Normal=n.bump(fine, 0.25, 0.01))

    return make(name, build)


def window_glass():
    """Panes with a dark room behind, a few curtains, and the street mirrored in them."""

    def build(n: Nodes):
        cell = n.node(
            "ShaderNodeTexWhiteNoise",
            {
                0: n.node(
                    "ShaderNodeVectorMath",
                    {0: n.node("ShaderNodeTexCoord", out="Object"), 1: (1.0, 1.0, 0.4)},
                    operation="SNAP",
                )
            },
            out=0,
            noise_dimensions="3D",
        )
        fold = n.noise(30.0, 2, 0.5, n.coords(scale=(1, 1, 0.03)))
        curtain = n.mix(fold, (0.30, 0.29, 0.26), (0.62, 0.60, 0.55))
        c = n.mix(n.ramp(cell, 0.62, 0.66), (0.02, 0.024, 0.028), curtain)
        wave = n.noise(1.3, 1, 0.5, n.coords())
        return n.principled(
            Base_Color=c, Roughness=0.03, IOR=1.6, Coat_Weight=0.8, Coat_Roughness=0.0, Normal=n.bump(wave, 0.04, 0.05)
        )

    return make("window_glass", build)


def leaves(name, a, b):
    def build(n: Nodes):
        island = n.node("ShaderNodeNewGeometry", out="Random Per Island")
        c = n.mix(island, a, b)
        diffuse = n.principled(Base_Color=c, Roughness=0.5)
        through = n.node("ShaderNodeBsdfTranslucent", {"Color": n.mix(0.5, c, (0.25, 0.4, 0.04))})
        return n.blend(0.35, diffuse, through)

    return make(name, build)


def bark():
    def build(n: Nodes):
        rough = n.noise(9.0, 6, 0.7, n.coords(scale=(1, 1, 0.25)))
        return n.principled(
            Base_Color=n.mix(rough, (0.035, 0.027, 0.02), (0.16, 0.13, 0.10)),
            Roughness=0.95,
            Normal=n.bump(rough, 0.8, 0.03),
        )

    return make("bark", build)


def cloth(name, color, scale=140.0):
    def build(n: Nodes):
        weave, folds = n.noise(scale, 2, 0.5, n.coords()), n.noise(7.0, 4, 0.6, n.coords(scale=(1, 1, 0.5)))
        c = n.mix(n.ramp(folds, 0.35, 0.7), tuple(0.6 * v for v in color), color)
        height = n.math("ADD", n.math("MULTIPLY", folds, 4.0), weave)
        return n.principled(Base_Color=c, Roughness=0.85, Normal=n.bump(height, 0.35, 0.01))

    return make(name, build)


def lawn():
    def build(n: Nodes):
        p = n.coords()
        blades, patch = n.noise(60.0, 5, 0.7, p), n.noise(0.6, 4, 0.6, p)
        c = n.mix(n.ramp(blades, 0.3, 0.7), (0.03, 0.07, 0.012), (0.12, 0.19, 0.04))
        c = n.mix(n.math("MULTIPLY", n.ramp(patch, 0.5, 0.7), 0.5), c, (0.16, 0.15, 0.06))
        return n.principled(Base_Color=c, Roughness=0.9, Normal=n.bump(blades, 0.8, 0.03))

    return make("lawn", build)
