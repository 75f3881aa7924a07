"""What is fixed to a car's shell: gaps, handles, mirrors, plates, grille bars, lamps' lenses, wipers, wheels."""

from __future__ import annotations

import numpy as np

import materials as mat
from shapes import Solid

BLACK, CHROME, WHITE, RUBBER, LENS, AMBER = range(6)


def trim_materials():
    return [
        mat.plain("trim_black", (0.01, 0.01, 0.01), 0.5),
        mat.plain("chrome", (0.75, 0.76, 0.78), 0.12, 1.0),
        mat.plain("plate", (0.75, 0.75, 0.72), 0.5),
        mat.plain("rubber", (0.018, 0.018, 0.019), 0.8),
        mat.plain("lens", (0.9, 0.92, 0.95), 0.08, 0.6, 1.0),
        mat.plain("amber", (0.8, 0.25, 0.02), 0.2, 0.0, 1.0),
    ]


def _line(points, n=40):
    p = np.asarray(points, float)
    t = np.linspace(0, len(p) - 1, n * (len(p) - 1) + 1)
    k = np.arange(len(p))
    return np.stack([np.interp(t, k, p[:, i]) for i in range(p.shape[1])], 1)


def _rounded(points, n=40, passes=14):
    p = _line(points, n)
    for _ in range(passes):
        p[1:-1] = (p[:-2] + p[2:] + 2 * p[1:-1]) / 4
    return p


def add_details(body, style: str):
    """Two meshes: trim in its own materials, and the parts painted like the shell."""
    s = body.s
    d, painted = Solid(), Solid()

    def side_tube(xz, radius, material, sink=0.0, passes=14):
        xz = _rounded(xz, passes=passes)
        y = body.on_side(xz[:, 0], xz[:, 1]) - sink
        for sign in (-1, 1):
            d.tube(np.stack([xz[:, 0], sign * y, xz[:, 1]], 1), radius, material, 6)

    def top_tube(xy, radius, material, sink=0.001):
        xy = _rounded(xy)
        _, top = body.f_top(xy[:, 0], np.abs(xy[:, 1]))
        for sign in (-1, 1):
            d.tube(np.stack([xy[:, 0], sign * xy[:, 1], top - sink], 1), radius, material, 6)

    belt = s.belt
    low = 0.26 + s.lift * 1.2
    b_pillar, quarter = s.pillars
    front_edge = s.axles[0] - s.radius - 0.075
    gap = 0.0045
    side_tube(
        [
            (front_edge, belt + 0.0),
            (front_edge + 0.01, 0.55),
            (front_edge - 0.10, low),
            (b_pillar + 0.1, low),
            (b_pillar - 0.02, low + 0.06),
            (b_pillar - 0.02, belt + 0.02),
        ],
        gap,
        BLACK,
    )
    arch = s.axles[1] + s.radius + 0.09
    side_tube(
        [
            (b_pillar - 0.02, low + 0.03),
            (b_pillar - 0.1, low),
            (arch + 0.1, low),
            (arch, 0.42 + s.lift),
            (arch - 0.2, 0.72 + s.lift),
            (quarter - 0.05, belt - 0.02),
        ],
        gap,
        BLACK,
    )
    side_tube([(s.front - 0.48, 0.62 + s.lift), (s.axles[0] + s.radius + 0.06, 0.50 + s.lift)], gap, BLACK)
    side_tube([(-s.rear + 0.40, 0.60 + s.lift), (s.axles[1] - s.radius - 0.06, 0.50 + s.lift)], gap, BLACK)
    x = np.linspace(s.side_glass[0] + 0.03, s.side_glass[2] - 0.02, 30)
    side_tube(np.stack([x, body.belt(x) + 0.022], 1)[[0, 10, 20, 29]], 0.009, CHROME, 0.002)
    top_tube(
        [
            (s.screen[1] + 0.07, 0.66),
            (s.front - 0.6, 0.66),
            (s.front - 0.30, 0.55),
            (s.front - 0.20, 0.3),
            (s.front - 0.19, 0.0),
        ],
        gap,
        BLACK,
    )
    top_tube([(s.screen[0] - 0.12, 0.52), (s.backlight[1] + 0.15, 0.53)], 0.008, BLACK)
    for sign in (-1, 1):  # wipers
        xy = _line([(s.screen[1] + 0.02, 0.02 + 0.25 * (sign + 1)), (s.screen[1] - 0.06, -0.55 + 0.5 * (sign + 1))])
        _, top = body.f_top(xy[:, 0], np.abs(xy[:, 1]))
        d.tube(np.stack([xy[:, 0], xy[:, 1], top + 0.015], 1), 0.008, BLACK, 6)
    for x0 in (b_pillar + 0.14, quarter + 0.10):  # handles
        z0 = belt - 0.105
        y0 = float(body.on_side(np.array([x0]), np.array([z0]))[0])
        for sign in (-1, 1):
            d.ellipsoid((x0 + 0.09, sign * (y0 - 0.004), z0), (0.10, 0.014, 0.032), BLACK, 10)
            painted.ellipsoid((x0 + 0.09, sign * (y0 + 0.014), z0 + 0.004), (0.10, 0.016, 0.015), 0, 10)
    for sign in (-1, 1):  # mirrors
        xm, zm = s.side_glass[2] - 0.10, belt + 0.085
        painted.ellipsoid((xm, sign * 0.985, zm), (0.075, 0.115, 0.075), 0, 14)
        d.ellipsoid((xm - 0.03, sign * 0.98, zm), (0.055, 0.095, 0.06), CHROME, 12)
        d.tube([(xm, sign * 0.80, zm - 0.06), (xm, sign * 0.92, zm - 0.045)], 0.025, BLACK, 8)
    zl = float(body.top(s.front - 0.14)) - 0.115
    nose = s.front - 0.9 * max(zl - s.lift - 0.52, 0) ** 1.6
    for sign in (-1, 1):  # lenses of the headlamps, fog lamps
        for y0, r in ((0.56, 0.045), (0.68, 0.042)):
            xc = nose - 0.20 * (y0 / 0.85) ** 2.6 - 0.035
            d.ellipsoid((xc, sign * y0, zl + 0.13 * (y0 - 0.4)), (0.035, r, r), LENS, 12)
        d.ellipsoid((s.front - 0.17, sign * 0.69, 0.335 + s.lift), (0.04, 0.05, 0.04), LENS, 12)
        d.ellipsoid((nose - 0.20, sign * 0.77, zl + 0.045), (0.04, 0.03, 0.022), AMBER, 10)
    for k in (-0.022, 0.008, 0.036):  # bars of the grille and the badge
        y = np.linspace(-0.39, 0.39, 24)
        xg = nose - 0.20 * (np.abs(y) / 0.85) ** 2.6 + 0.004
        d.tube(np.stack([xg - 0.2 * max(k, 0), y, np.full_like(y, zl + k)], 1), 0.006, CHROME, 6)
    d.ellipsoid((nose + 0.004, 0, zl + 0.008), (0.012, 0.05, 0.05), CHROME, 12)
    zp, xp = 0.49 + s.lift, s.front + 0.012
    d.box((xp - 0.06, -0.262, zp - 0.058), (xp, 0.262, zp + 0.058), BLACK)
    d.box((xp - 0.03, -0.255, zp - 0.052), (xp + 0.003, 0.255, zp + 0.052), WHITE)
    rear_z = (0.72 if style != "sedan" else 0.70) + s.lift
    d.box((-s.rear + 0.02, -0.262, rear_z - 0.058), (-s.rear + 0.12, 0.262, rear_z + 0.058), BLACK)
    d.box((-s.rear + 0.015, -0.255, rear_z - 0.052), (-s.rear + 0.1, 0.255, rear_z + 0.052), WHITE)
    rng = np.random.default_rng(len(style))
    for x0, z0 in ((xp + 0.0035, zp), (-s.rear + 0.0145, rear_z)):
        for i in range(7):  # strokes that read as letters from a few meters
            y0 = -0.19 + 0.058 * i + (0.03 if i > 2 else 0)
            for a, b in ((0, 0.006), (0.028, 0.034))[: 1 + rng.integers(2)]:
                d.box((x0 - 0.001, y0 + a, z0 - 0.032), (x0 + 0.001, y0 + b, z0 + 0.032), BLACK)
            zz = z0 + rng.choice([-0.028, 0, 0.028])
            d.box((x0 - 0.001, y0, zz - 0.004), (x0 + 0.001, y0 + 0.034, zz + 0.004), BLACK)
    d.tube([(-s.rear + 0.10, -0.45, 0.24 + s.lift), (-s.rear - 0.01, -0.45, 0.24 + s.lift)], 0.03, CHROME, 10)
    mid = s.backlight[1] + 0.35
    d.tube([(mid, 0, float(body.top(mid)) - 0.02), (mid - 0.12, 0, float(body.top(mid)) + 0.16)], 0.007, BLACK, 6)
    d.box((-1.8, -0.5, 0.16), (1.9, 0.5, 0.3), RUBBER)
    return d.build(f"{style}_details", trim_materials(), True), painted.build(
        f"{style}_painted", [mat.paint_only()], True
    )


def wheel_mesh(radius: float):
    """Tire, rim with ten spokes, brake disc; the outer face looks to -y."""
    w = Solid()
    r, rim = radius, radius * 0.70
    half = 0.10
    w.lathe(
        [
            (rim, -half + 0.015),
            (rim + 0.02, -half),
            (r - 0.045, -half - 0.006),
            (r - 0.012, -half + 0.02),
            (r, -half + 0.045),
            (r, half - 0.045),
            (r - 0.012, half - 0.02),
            (rim + 0.02, half),
            (rim, half - 0.02),
        ],
        3,
        64,
    )
    w.lathe(
        [
            (rim + 0.004, -half + 0.010),
            (rim - 0.006, -half + 0.004),
            (rim - 0.02, -half + 0.012),
            (rim - 0.028, -half + 0.04),
            (rim - 0.035, half),
        ],
        1,
        64,
    )
    w.lathe([(0.001, -0.02), (rim - 0.05, -0.02)], 2, 48)  # brake disc
    w.lathe([(rim - 0.05, 0.02), (rim, 0.03)], 0, 48)
    w.lathe([(0.001, 0.03), (rim, 0.03)], 0, 48)
    w.lathe([(0.001, -half + 0.006), (0.03, -half + 0.008), (0.06, -half + 0.018), (0.068, -half + 0.05)], 1, 32)
    for k in range(10):
        a = 2 * np.pi * (k // 2) / 5 + (0.13 if k % 2 else -0.13)
        b = 2 * np.pi * (k // 2) / 5 + (0.21 if k % 2 else -0.21)
        p0 = np.array([np.cos(a) * 0.05, np.sin(a) * 0.05])
        p1 = np.array([np.cos(b) * (rim - 0.02), np.sin(b) * (rim - 0.02)])
        t = (p1 - p0) / np.linalg.norm(p1 - p0)
        nrm = np.array([-t[1], t[0]])
        v = []
        for p, hw, y0 in ((p0, 0.019, -half + 0.016), (p1, 0.014, -half + 0.012)):
            for s, y in (
                (-1.5, y0 + 0.035),
                (-1, y0 + 0.004),
                (-0.5, y0),
                (0.5, y0),
                (1, y0 + 0.004),
                (1.5, y0 + 0.035),
            ):
                q = p + nrm * hw * s
                v.append((q[0], y, q[1]))
        w.add(v, [(i, i + 1, i + 7, i + 6) for i in range(5)], 1)
    mats = [
        mat.plain("well", (0.01, 0.01, 0.01), 0.9),
        mat.plain("alloy", (0.62, 0.63, 0.65), 0.25, 0.9, 0.3),
        mat.plain("disc", (0.10, 0.10, 0.10), 0.45, 0.7),
        mat.plain("tire", (0.022, 0.022, 0.023), 0.75, mottle=0.3),
    ]
    return w.build("wheel", mats, True)
