"""Node trees in a few words."""

from __future__ import annotations

import bpy


class Nodes:
    """A thin layer over a node tree: each call adds a node and returns the output wanted."""

    def __init__(self, tree) -> None:
        self.t = tree

    def node(self, kind: str, inputs: dict | None = None, out=0, **props):
        n = self.t.nodes.new(kind)
        for k, v in props.items():
            setattr(n, k, v)
        for k, v in (inputs or {}).items():
            if isinstance(v, bpy.types.NodeSocket):
                self.t.links.new(v, n.inputs[k])
            else:
                n.inputs[k].default_value = v
        return n.outputs[out]

    def math(self, op: str, a, b=0.0, clamp: bool = False):
        return self.node("ShaderNodeMath", {0: a, 1: b}, operation=op, use_clamp=clamp)

    def mix(self, factor, a, b, blend: str = "MIX"):
        n = self.t.nodes.new("ShaderNodeMix")
        n.data_type, n.blend_type = "RGBA", blend
        for i, v in ((0, factor), (6, a), (7, b)):
            if isinstance(v, bpy.types.NodeSocket):
                self.t.links.new(v, n.inputs[i])
            else:
                n.inputs[i].default_value = (*v, 1.0) if i and len(v) == 3 else v
        return n.outputs[2]

    def noise(self, scale, detail=3.0, roughness=0.55, vector=None):
        inputs = {"Scale": scale, "Detail": detail, "Roughness": roughness}
        return self.node("ShaderNodeTexNoise", inputs | ({"Vector": vector} if vector is not None else {}))

    def ramp(self, value, low: float, high: float):
        """0 below low, 1 above high, smooth between."""
        return self.node(
            "ShaderNodeMapRange", {"Value": value, "From Min": low, "From Max": high}, interpolation_type="SMOOTHSTEP"
        )

    def coords(self, kind: str = "Object", scale=(1, 1, 1)):
        v = self.node("ShaderNodeTexCoord", out=kind)
        return self.node("ShaderNodeMapping", {"Vector": v, "Scale": scale})

    def bump(self, height, strength: float, distance: float = 0.02):
        return self.node("ShaderNodeBump", {"Height": height, "Strength": strength, "Distance": distance})

    def principled(self, **inputs):
        return self.node("ShaderNodeBsdfPrincipled", {k.replace("_", " "): self.color(v) for k, v in inputs.items()})

    @staticmethod
    def color(v):
        return (*v, 1.0) if isinstance(v, tuple) and len(v) == 3 else v

    def attribute(self, name: str):
        return self.node("ShaderNodeAttribute", out="Fac", attribute_name=name)

    def where(self, sd, sharp: float = 0.002):
        """1 inside a signed distance, 0 outside."""
        return self.math("SUBTRACT", 1.0, self.ramp(sd, -sharp, sharp), clamp=True)

    def blend(self, factor, a, b):
        return self.node("ShaderNodeMixShader", {0: factor, 1: a, 2: b})
