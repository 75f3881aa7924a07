"""Cars: a body shaped by distance functions (profile, plan and section), with glass, trim and lamps marked on it.

x points forward, z up, wheels stand on z = 0. One mesh per body style is built and shared by all cars of that
style; the paint is the object's color.
"""

from __future__ import annotations

import bpy
import numpy as np
from scipy.interpolate import PchipInterpolator

import materials as mat
from car_styles import STYLES, Style
from car_parts import add_details, wheel_mesh
from shapes import isosurface, mesh, place, smax

VEHICLE = 7


class Body:
    """The distance functions of one style; every method takes arrays of x, y, z."""

    def __init__(self, s: Style) -> None:
        self.s = s
        self.top = PchipInterpolator(*zip(*s.profile, strict=True), extrapolate=True)
        self.slope = self.top.derivative()
        half = s.front
        self.plan = PchipInterpolator(
            [-half - 0.1, -1.8, -1.3, -0.6, 0.6, 1.3, 1.8, half + 0.1],
            [0.80, 0.852, 0.88, 0.888, 0.888, 0.878, 0.845, 0.79],
        )
        self.section = PchipInterpolator(
            [0.0, 0.15, 0.22, 0.30, 0.38, 0.5, 0.62, 0.74, 0.795, 0.83, 0.92, 0.97, 1.45, 2.0],
            [-0.16, -0.075, -0.04, -0.030, -0.012, -0.004, 0, -0.003, -0.009, -0.021, -0.05, -0.085, -0.295, -0.56],
        )

    def belt(self, x):
        return self.s.belt - 0.016 * x

    def f_top(self, x, y):
        bend = np.where(x > -0.4, 0.17, -0.13) * np.minimum(np.abs(x + 0.4), 1.0)
        xs = x + bend * y * y
        return xs, self.top(xs) - 0.055 * (y / 0.8) ** 2

    def surfaces(self, x, y, z):
        s, ay = self.s, np.abs(y)
        xs, top = self.f_top(x, ay)
        d_top = (z - top) / np.sqrt(1 + np.clip(self.slope(xs), -3, 3) ** 2)
        arch = self.arch(x, z)
        flare = 0.022 * np.exp(-(((arch - 0.03) / 0.07) ** 2))
        crease = 0.007 * np.exp(-(((z - 0.36 - s.lift - 0.03 * x) / 0.035) ** 2)) * (np.abs(x) < 1.0)
        d_side = ay - self.plan(x) - self.section(z - self.belt(x) + 0.92) - flare - crease
        zb = z - s.lift
        nose = (
            s.front
            - 0.20 * (ay / 0.85) ** 2.6
            - 0.9 * np.maximum(zb - 0.52, 0) ** 1.6
            - 1.2 * np.maximum(0.36 - zb, 0) ** 1.7
        )
        tail = (
            s.rear
            - 0.15 * (ay / 0.85) ** 2.8
            - 0.10 * np.clip((zb - 0.60) / 0.06, 0, 1) * 0.5
            - 1.2 * np.maximum(0.36 - zb, 0) ** 1.7
        )
        return d_top, d_side, x - nose, -x - tail

    def arch(self, x, z):
        s = self.s
        return np.minimum(*(np.hypot(x - a, z - s.radius) for a in s.axles)) - (s.radius + 0.052)

    def solid(self, x, y, z):
        d_top, d_side, d_nose, d_tail = self.surfaces(x, y, z)
        f = smax(d_top, d_side, 0.075)
        f = smax(f, d_nose, 0.11)
        f = smax(f, d_tail, 0.09)
        f = smax(f, self.s.clearance - z + 0.25 * np.maximum(np.abs(x) - 1.7, 0) * -1, 0.05)
        return np.maximum(f, -np.maximum(self.arch(x, z), 0.52 - np.abs(y)))

    def glass(self, x, y, z):
        s, ay = self.s, np.abs(y)
        d_top, d_side, _, _ = self.surfaces(x, y, z)
        xs, _ = self.f_top(x, ay)
        rear, lean, front = s.side_glass
        low = self.belt(x) + 0.035 - z
        c = 1 / np.hypot(1, lean)
        side = smax(d_top + 0.075, low, 0.05)
        side = smax(side, (rear + lean * (z - s.belt) - x) * c, 0.05)
        side = np.maximum(side, x - front)
        side = np.maximum(side, -(d_side + 0.10))
        for p, w in zip(s.pillars, (0.04, 0.018), strict=True):
            side = np.maximum(side, w - np.abs(x - p))
        screen = smax(np.maximum(s.screen[0] - xs, xs - s.screen[1]), d_side + 0.075, 0.06)
        light = smax(np.maximum(s.backlight[0] - xs, xs - s.backlight[1]), d_side + 0.11, 0.08)
        roof = -(d_top + 0.10)
        return np.minimum(side, np.maximum(np.minimum(screen, light), roof))

    def lamp(self, x, y, z):
        ay, s = np.abs(y), self.s
        zc = self.top(s.front - 0.14) - 0.115 + 0.13 * (ay - 0.4)
        h = 0.050 + 0.05 * (ay - 0.42)
        return smax(smax(np.abs(z - zc) - h, 0.45 - ay, 0.05), s.front - 0.50 + 0.6 * (0.85 - ay) * 0 - x, 0.06)

    def tail(self, x, y, z):
        ay, s = np.abs(y), self.s
        zc = self.belt(x) - 0.065
        return smax(smax(np.abs(z - zc) - 0.085, 0.46 - ay, 0.06), x + s.rear - 0.30, 0.07)

    def black(self, x, y, z):
        ay, s = np.abs(y), self.s
        zb = z - s.lift
        ahead = s.front - 0.45 - x
        grille = np.maximum(smax(np.abs(z - self.top(s.front - 0.14) + 0.12) - 0.042, ay - 0.40, 0.04), ahead)
        intake = np.maximum(smax(np.abs(zb - 0.32) - 0.062, ay - 0.64 + 0.5 * np.maximum(0.32 - zb, -0.1), 0.05), ahead)
        diffuser = np.maximum(np.maximum(zb - 0.34, ay - 0.62), x + s.rear - 0.4)
        sill = z - 0.235 - 1.2 * s.lift
        well = np.maximum(self.arch(x, z) - (0.012 if not s.lift else 0.035), 0.5 - ay)
        rim = self.glass(x, y, z) - 0.016
        # the strip between the side windows, and the cowl under the windscreen
        pillar = np.maximum(
            np.maximum(np.abs(x - s.pillars[0]) - 0.05, self.belt(x) + 0.03 - z), self.surfaces(x, y, z)[0] + 0.07
        )
        xs, _ = self.f_top(x, ay)
        cowl = np.maximum(np.abs(xs - s.screen[1] - 0.05) - 0.06, np.maximum(ay - 0.70, s.belt + 0.0 - z))
        return np.minimum.reduce([grille, intake, diffuser, sill, well, rim, pillar, cowl])

    def surface(self, x, y, z):
        inset = 0.008 * np.clip(0.5 - self.glass(x, y, z) / 0.012, 0, 1)
        groove = 0.02 * np.clip(0.5 - (self.black(x, y, z)) / 0.02, 0, 1) * ((x > self.s.front - 0.5) | (z < 0.4))
        return self.solid(x, y, z) + inset + groove

    def on_side(self, x, z):
        """y of the left side's skin at x, z, by bisection."""
        lo, hi = np.full_like(x, 0.45), np.full_like(x, 1.0)
        for _ in range(24):
            m = (lo + hi) / 2
            inside = self.solid(x, m, z) < 0
            lo, hi = np.where(inside, m, lo), np.where(inside, hi, m)
        return lo


_bodies: dict = {}


def body_mesh(style: str, cell: float = 0.016):
    """The shell of a style with its details, cached for the run."""
    if style not in _bodies:
        s = STYLES[style]
        b = Body(s)
        low, high = (-s.rear - 0.1, -1.0, 0.1), (s.front + 0.1, 1.0, max(z for _, z in s.profile) + 0.06)
        v, f, n = isosurface(b.surface, low, high, cell)
        marks = {k: getattr(b, k)(*v.T) for k in ("glass", "black", "lamp", "tail")}
        shell = mesh(f"{style}_body", v, f, n, True, [mat.car_body()], **marks)
        _bodies[style] = (b, shell, add_details(b, style), wheel_mesh(s.radius))
    return _bodies[style]


def add_car(name: str, style: str, color, location=(0, 0), heading: float = 0.0, instance: int = 0):
    """Puts a car on the road; returns its empty and its wheels, for the motion."""
    b, shell, (details, painted), wheel = body_mesh(style)
    index = VEHICLE * 32 + instance
    root = bpy.data.objects.new(name, None)
    bpy.context.scene.collection.objects.link(root)
    root.location, root.rotation_euler = (*location, 0.0), (0, 0, heading)
    for me in (shell, painted):
        place(f"{name}_{me.name}", me, index, root).color = (*color, 1.0)
    place(f"{name}_details", details, index, root)
    wheels = []
    for x in b.s.axles:
        for side in (-1, 1):
            w = place(
                f"{name}_wheel", wheel, index, root, (x, side * 0.765, b.s.radius), (0, 0, 0 if side < 0 else np.pi)
            )
            wheels.append(w)
    return root, wheels


def reset() -> None:
    _bodies.clear()
