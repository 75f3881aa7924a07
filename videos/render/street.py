"""The street: carriageway, curbs, pavements, houses, lamp posts. It runs along x; y = 0 is the near curb."""

from __future__ import annotations

import numpy as np

import materials as mat
from shapes import Solid, place

OTHER, BUILDING, ROAD, PAVEMENT = 0, 2, 3, 4
WIDTH, WALK = 7.5, 3.0  # carriageway, pavement
LEFT, RIGHT = -70.0, 110.0
CURB = 0.12

WALLS = (
    lambda: mat.bricks("brick_red", (0.30, 0.10, 0.06), (0.22, 0.075, 0.05), (0.36, 0.33, 0.29), 0.23, 0.075),
    lambda: mat.plaster("plaster_cream", (0.62, 0.54, 0.40)),
    lambda: mat.plaster("plaster_gray", (0.42, 0.42, 0.41)),
    lambda: mat.bricks("brick_sand", (0.46, 0.36, 0.23), (0.38, 0.29, 0.18), (0.42, 0.40, 0.36), 0.23, 0.075),
    lambda: mat.plaster("plaster_ochre", (0.56, 0.37, 0.16)),
    lambda: mat.plaster("plaster_white", (0.72, 0.70, 0.66)),
    lambda: mat.bricks("brick_brown", (0.17, 0.10, 0.07), (0.13, 0.075, 0.055), (0.28, 0.26, 0.24), 0.23, 0.075),
)
ACCENTS = ((0.05, 0.12, 0.08), (0.20, 0.03, 0.03), (0.03, 0.06, 0.16), (0.10, 0.10, 0.11), (0.25, 0.18, 0.10))


def ground() -> None:
    s = Solid()
    s.quad((LEFT, 0, 0), (RIGHT, 0, 0), (RIGHT, WIDTH, 0), (LEFT, WIDTH, 0))
    for x in np.arange(LEFT, RIGHT, 5.0):  # center line and the parking strip's edge
        s.quad((x, 2.64, 0.004), (x + 2.2, 2.64, 0.004), (x + 2.2, 2.76, 0.004), (x, 2.76, 0.004), 1)
        s.quad((x + 2.0, 5.36, 0.004), (x + 3.0, 5.36, 0.004), (x + 3.0, 5.45, 0.004), (x + 2.0, 5.45, 0.004), 1)
        s.quad((x + 2.45, 5.45, 0.004), (x + 2.55, 5.45, 0.004), (x + 2.55, 7.3, 0.004), (x + 2.45, 7.3, 0.004), 1)
    s.quad((LEFT, 0.02, 0.003), (RIGHT, 0.02, 0.003), (RIGHT, 0.28, 0.003), (LEFT, 0.28, 0.003), 2)
    s.quad(
        (LEFT, WIDTH - 0.28, 0.003),
        (RIGHT, WIDTH - 0.28, 0.003),
        (RIGHT, WIDTH - 0.02, 0.003),
        (LEFT, WIDTH - 0.02, 0.003),
        2,
    )
    for x, y in ((2.3, 1.5), (13.0, 3.9), (-9.0, 4.1)):
        a = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        s.add(np.stack([x + 0.33 * np.cos(a), y + 0.33 * np.sin(a), 0 * a + 0.006], 1), [list(range(24))], 3)
    gutter = mat.bricks("paving_gutter", (0.20, 0.195, 0.19), (0.16, 0.155, 0.15), (0.06, 0.06, 0.06), 0.3, 0.13)
    iron = mat.plain("iron", (0.05, 0.048, 0.045), 0.55, 0.6, mottle=0.6)
    place("road", s.build("road", [mat.asphalt(), mat.marking(), gutter, iron]), ROAD * 32)
    walk = Solid()
    slabs = mat.bricks("paving_slabs", (0.36, 0.345, 0.32), (0.28, 0.27, 0.255), (0.10, 0.095, 0.09), 0.6, 0.4, 0.008)
    stone = mat.bricks("paving_curb", (0.45, 0.44, 0.42), (0.38, 0.375, 0.36), (0.08, 0.08, 0.08), 0.95, 0.5, 0.01, 0.0)
    for edge, out in ((0.0, -1), (WIDTH, 1)):
        a, b = sorted((edge + out * 0.16, edge + out * 60))
        walk.quad((LEFT, a, CURB), (RIGHT, a, CURB), (RIGHT, b, CURB), (LEFT, b, CURB), 0)
        a, b = sorted((edge, edge + out * 0.16))
        walk.box((LEFT, a, -0.05), (RIGHT, b, CURB + 0.004), 1)
    place("pavement", walk.build("pavement", [slabs, stone]), PAVEMENT * 32)


def opening(s: Solid, x0, x1, z0, z1, y, depth, kind: str, sign: int, rng) -> None:
    """A hole's reveal with its window or door; sign is where the outside lies (-1: towards -y)."""
    yi = y - sign * depth
    for p, q in (((x0, z0), (x0, z1)), ((x0, z1), (x1, z1)), ((x1, z1), (x1, z0)), ((x1, z0), (x0, z0))):
        s.quad((p[0], y, p[1]), (q[0], y, q[1]), (q[0], yi, q[1]), (p[0], yi, p[1]), 1)
    if kind == "door":
        s.quad((x0, yi, z0), (x1, yi, z0), (x1, yi, z1 - 0.45), (x0, yi, z1 - 0.45), 4)
        s.quad((x0, yi, z1 - 0.4), (x1, yi, z1 - 0.4), (x1, yi, z1), (x0, yi, z1), 3)
        for za, zb in ((0.15, 0.9), (1.05, z1 - z0 - 0.6)):
            s.box((x0 + 0.14, yi, z0 + za), (x1 - 0.14, yi + sign * 0.025, z0 + zb), 4)
        s.box((x0, yi, z1 - 0.47), (x1, yi + sign * 0.06, z1 - 0.40), 2)
        s.ellipsoid((x1 - 0.1, yi + sign * 0.05, z0 + 1.0), (0.03, 0.04, 0.03), 6, 8)
        return
    s.quad((x0, yi, z0), (x1, yi, z0), (x1, yi, z1), (x0, yi, z1), 3)
    w = 0.07
    bars = [(x0, x0 + w, z0, z1), (x1 - w, x1, z0, z1), (x0, x1, z0, z0 + w), (x0, x1, z1 - w, z1)]
    if kind == "window":
        xm = (x0 + x1) / 2
        bars += [(xm - 0.04, xm + 0.04, z0, z1), (x0, x1, z0 + 0.68 * (z1 - z0) - 0.03, z0 + 0.68 * (z1 - z0) + 0.03)]
        s.box((x0 - 0.08, min(y, y + sign * 0.09), z0 - 0.08), (x1 + 0.08, max(y, y + sign * 0.09), z0), 5)
        s.box((x0 - 0.06, min(y, y + sign * 0.03), z1), (x1 + 0.06, max(y, y + sign * 0.03), z1 + 0.16), 5)
    elif kind == "shop":
        n = max(2, round((x1 - x0) / 1.3))
        bars += [(x0 + (x1 - x0) * k / n - 0.03, x0 + (x1 - x0) * k / n + 0.03, z0, z1) for k in range(1, n)]
    for a, b, c, e in bars:
        s.box((a, min(yi, yi + sign * 0.05), c), (b, max(yi, yi + sign * 0.05), e), 2 if kind == "window" else 4)


def gable(
    s: Solid, x: float, out: int, y: float, sign: int, depth: float, storeys: int, first: float, floor: float, rng
) -> None:
    """Windows on an end wall, built along x and then swapped onto y."""
    t = Solid()
    for level in range(storeys):
        z0 = 1.1 if level == 0 else first + floor * (level - 1) + 0.75
        for k in (0.22, 0.68):
            m = y - sign * depth * k
            opening(t, m - 0.5, m + 0.5, z0, z0 + 1.45, x, -0.02, "window", out, rng)
    base = len(s.v)
    s.v.extend([b, a, c] for a, b, c in t.v)
    s.f.extend([base + i for i in face] for face in t.f)
    s.m.extend(t.m)


def building(x0: float, x1: float, y: float, sign: int, storeys: int, rng, depth: float = 9.0) -> None:
    """A house whose front lies at y and looks to sign; window by window, with a roof."""
    s = Solid()
    wall = WALLS[rng.integers(len(WALLS))]()
    accent = ACCENTS[rng.integers(len(ACCENTS))]
    frame = (0.75, 0.74, 0.70) if rng.random() < 0.7 else (0.10, 0.09, 0.08)
    ground_height, floor = rng.uniform(3.2, 3.6), rng.uniform(2.8, 3.1)
    bays = max(2, int((x1 - x0) // rng.uniform(2.0, 2.6)))
    pitch = (x1 - x0) / bays
    shop = rng.random() < 0.4
    shutters = not shop and rng.random() < 0.4
    door = int(rng.integers(bays))
    wide, tall = rng.uniform(0.95, 1.2), rng.uniform(1.4, 1.7)
    height = ground_height + floor * (storeys - 1) + 0.35
    back = y - sign * depth
    for level in range(storeys):
        z0 = CURB - 0.1 if level == 0 else ground_height + floor * (level - 1)
        z1 = ground_height if level == 0 else z0 + floor
        if level == storeys - 1:
            z1 = height
        for k in range(bays):
            a, b = x0 + k * pitch, x0 + (k + 1) * pitch
            m = (a + b) / 2
            if level == 0 and k == door:
                o, kind = (m - 0.55, m + 0.55, CURB + 0.12, CURB + 2.75), "door"
            elif level == 0 and shop:
                o, kind = (a + 0.12, b - 0.12, CURB + 0.5, CURB + 2.65), "shop"
            else:
                sill = z0 + (1.05 if level == 0 else 0.75)
                o, kind = (m - wide / 2, m + wide / 2, sill, min(sill + tall, z1 - 0.3)), "window"
            xa, xb, za, zb = o
            for p, q, r, t in ((a, xa, z0, z1), (xb, b, z0, z1), (xa, xb, z0, za), (xa, xb, zb, z1)):
                s.quad((p, y, r), (q, y, r), (q, y, t), (p, y, t), 0)
            opening(s, xa, xb, za, zb, y, 0.18, kind, sign, rng)
            if kind == "window" and shutters:
                for p, q in ((xa - wide / 2 - 0.02, xa - 0.02), (xb + 0.02, xb + wide / 2 + 0.02)):
                    s.box((p, min(y, y + sign * 0.05), za), (q, max(y, y + sign * 0.05), zb), 4)
                    for z in np.arange(za + 0.08, zb - 0.05, 0.09):
                        s.box(
                            (p + 0.05, min(y, y + sign * 0.065), z), (q - 0.05, max(y, y + sign * 0.065), z + 0.05), 4
                        )
    lo, hi = min(y, back), max(y, back)
    s.quad((x0, lo, 0), (x0, hi, 0), (x0, hi, height), (x0, lo, height), 0)
    s.quad((x1, lo, 0), (x1, hi, 0), (x1, hi, height), (x1, lo, height), 0)
    for x, out in ((x0, -1), (x1, 1)):
        gable(s, x, out, y, sign, depth, storeys, ground_height, floor, rng)
    s.quad((x0, back, 0), (x1, back, 0), (x1, back, height), (x0, back, height), 0)
    s.box((x0, min(y, y + sign * 0.05), CURB - 0.1), (x1, max(y, y + sign * 0.05), CURB + 0.42), 5)
    if shop:
        s.box(
            (x0 + 0.1, min(y, y + sign * 0.14), CURB + 2.72),
            (x1 - 0.1, max(y, y + sign * 0.14), ground_height - 0.05),
            4,
        )
        if rng.random() < 0.6:
            s.quad(
                (x0 + 0.3, y + sign * 0.15, ground_height - 0.4),
                (x1 - 0.3, y + sign * 0.15, ground_height - 0.4),
                (x1 - 0.3, y + sign * 1.2, ground_height - 1.0),
                (x0 + 0.3, y + sign * 1.2, ground_height - 1.0),
                4,
            )
    else:
        s.box(
            (x0, min(y, y + sign * 0.06), ground_height - 0.1), (x1, max(y, y + sign * 0.06), ground_height + 0.06), 5
        )
    s.box((x0, min(y, y + sign * 0.28), height - 0.12), (x1, max(y, y + sign * 0.28), height + 0.05), 5)
    s.tube([(x0 + 0.15, y + sign * 0.07, 0.1), (x0 + 0.15, y + sign * 0.07, height)], 0.045, 6, 8)
    if rng.random() < 0.7:
        mid, rise = (y + back) / 2, depth * rng.uniform(0.28, 0.4)
        e = sign * 0.4
        s.quad(
            (x0, y + e, height - 0.1), (x1, y + e, height - 0.1), (x1, mid, height + rise), (x0, mid, height + rise), 7
        )
        s.quad(
            (x0, back - e, height - 0.1),
            (x1, back - e, height - 0.1),
            (x1, mid, height + rise),
            (x0, mid, height + rise),
            7,
        )
        for x in (x0, x1):
            s.add([(x, y, height), (x, back, height), (x, mid, height + rise)], [(0, 1, 2)], 0)
        s.box((x0 + 0.6, mid - 0.4, height), (x0 + 1.3, mid + 0.4, height + rise + 0.9), 0)
    else:
        s.box((x0, lo, height), (x1, hi, height + 0.08), 5)
        s.box((x0, min(y, y - sign * 0.25), height), (x1, max(y, y - sign * 0.25), height + rng.uniform(0.5, 0.9)), 0)
    tiles = (
        mat.bricks("tiles_red", (0.24, 0.085, 0.045), (0.16, 0.06, 0.04), (0.05, 0.03, 0.02), 0.25, 0.17, 0.02)
        if rng.random() < 0.6
        else mat.bricks("tiles_slate", (0.10, 0.105, 0.115), (0.07, 0.075, 0.08), (0.03, 0.03, 0.03), 0.3, 0.2, 0.015)
    )
    name = "accent_" + "_".join(f"{c:.2f}" for c in accent)
    fname = "frame_" + ("light" if frame[0] > 0.5 else "dark")
    mats = [
        wall,
        wall,
        mat.plain(fname, frame, 0.5),
        mat.window_glass(),
        mat.plain(name, accent, 0.45, mottle=0.2),
        mat.plaster("stone", (0.50, 0.47, 0.42)),
        mat.plain("zinc", (0.30, 0.31, 0.32), 0.5, 0.4),
        tiles,
    ]
    place("building", s.build("building", mats), BUILDING * 32)


def row(x0: float, x1: float, y: float, sign: int, rng, storeys=(2, 3)) -> None:
    """Houses wall to wall from x0 to x1."""
    x = x0
    while x < x1 - 4:
        w = min(rng.uniform(6.5, 11.0), x1 - x)
        if x1 - x - w < 4:
            w = x1 - x
        building(x, x + w, y, sign, int(rng.integers(storeys[0], storeys[1] + 1)), rng)
        x += w


def lamp_post(x: float, y: float, towards: int) -> None:
    s = Solid()
    s.tube([(0, 0, 0.1), (0, 0, 1.0), (0, 0, 5.6)], [0.075, 0.055, 0.04], 0, 12)
    s.tube([(0, 0, 5.55), (0, towards * 0.4, 5.8), (0, towards * 1.1, 5.85)], 0.03, 0, 8)
    s.ellipsoid((0, towards * 1.25, 5.83), (0.11, 0.32, 0.06), 0, 10)
    place(
        "lamp",
        s.build("lamp", [mat.plain("post", (0.06, 0.075, 0.07), 0.45, 0.3)], True),
        OTHER * 32 + 1,
        None,
        (x, y, 0),
    )


def bollards(x0: float, x1: float, y: float, step: float = 1.8) -> None:
    s = Solid()
    for x in np.arange(x0, x1, step):
        s.tube([(x, y, 0.05), (x, y, 0.95), (x, y, 1.0)], [0.05, 0.05, 0.03], 0, 12)
    place("bollards", s.build("bollards", [mat.plain("post", (0.06, 0.075, 0.07), 0.45, 0.3)], True), OTHER * 32 + 2)


def bin_(x: float, y: float) -> None:
    s = Solid()
    s.tube([(x, y, 0.12), (x, y, 0.14), (x, y, 0.95), (x, y, 1.0)], [0.2, 0.22, 0.25, 0.2], 0, 20)
    place("bin", s.build("bin", [mat.plain("bin", (0.05, 0.10, 0.07), 0.4, mottle=0.2)], True), OTHER * 32 + 3)
