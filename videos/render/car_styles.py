"""The shapes of the car bodies, as tables of numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Shape of one body: center-line profile from tail to nose, axles, and where the glass lies."""

    profile: tuple[tuple[float, float], ...]
    front: float
    rear: float
    axles: tuple[float, float]
    radius: float
    screen: tuple[float, float]  # windscreen from header to cowl, x on the center line
    backlight: tuple[float, float]  # rear window, same
    side_glass: tuple[float, float, float]  # rear end at the belt, slope of that end, front end
    pillars: tuple[float, float]  # B pillar, division of rear door and quarter glass
    belt: float = 0.90
    clearance: float = 0.19
    lift: float = 0.0


HATCH = Style(
    profile=(
        (-2.12, 0.84),
        (-2.06, 0.93),
        (-1.98, 1.06),
        (-1.80, 1.285),
        (-1.72, 1.365),
        (-1.55, 1.40),
        (-1.1, 1.448),
        (-0.6, 1.468),
        (-0.2, 1.452),
        (0.05, 1.405),
        (0.25, 1.325),
        (0.60, 1.165),
        (0.95, 1.005),
        (1.08, 0.965),
        (1.4, 0.925),
        (1.75, 0.865),
        (2.0, 0.785),
        (2.12, 0.70),
        (2.2, 0.6),
    ),
    front=2.14,
    rear=2.09,
    axles=(1.33, -1.29),
    radius=0.318,
    screen=(0.14, 0.97),
    backlight=(-1.93, -1.735),
    side_glass=(-1.52, 0.45, 0.86),
    pillars=(-0.20, -1.13),
)
SEDAN = Style(
    profile=(
        (-2.38, 0.86),
        (-2.33, 0.965),
        (-2.2, 1.01),
        (-1.95, 1.03),
        (-1.75, 1.05),
        (-1.6, 1.10),
        (-1.3, 1.235),
        (-1.05, 1.335),
        (-0.8, 1.40),
        (-0.45, 1.437),
        (-0.15, 1.435),
        (0.1, 1.395),
        (0.32, 1.305),
        (0.68, 1.14),
        (1.02, 0.99),
        (1.15, 0.955),
        (1.5, 0.915),
        (1.9, 0.845),
        (2.15, 0.765),
        (2.27, 0.68),
        (2.35, 0.6),
    ),
    front=2.29,
    rear=2.34,
    axles=(1.42, -1.36),
    radius=0.325,
    screen=(0.22, 1.04),
    backlight=(-1.60, -0.98),
    side_glass=(-1.42, 0.95, 0.93),
    pillars=(-0.17, -1.12),
)
ESTATE = Style(
    profile=(
        (-2.12, 1.0),
        (-2.08, 1.10),
        (-2.0, 1.28),
        (-1.88, 1.52),
        (-1.8, 1.60),
        (-1.6, 1.635),
        (-1.0, 1.67),
        (-0.4, 1.675),
        (0.0, 1.645),
        (0.2, 1.58),
        (0.4, 1.475),
        (0.7, 1.31),
        (1.02, 1.14),
        (1.14, 1.095),
        (1.5, 1.06),
        (1.85, 1.0),
        (2.05, 0.92),
        (2.15, 0.80),
        (2.25, 0.65),
    ),
    front=2.17,
    rear=2.08,
    axles=(1.33, -1.31),
    radius=0.355,
    screen=(0.26, 1.03),
    backlight=(-2.0, -1.85),
    side_glass=(-1.68, 0.25, 0.92),
    pillars=(-0.20, -1.15),
    belt=1.03,
    clearance=0.24,
    lift=0.10,
)
STYLES = {"hatch": HATCH, "sedan": SEDAN, "suv": ESTATE}
