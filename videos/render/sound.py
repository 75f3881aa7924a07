"""The sound of a street, made from noise and sines: town far off, birds, a car passing by, footsteps."""

from __future__ import annotations

import numpy as np

RATE = 48000


def band(noise: np.ndarray, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies with soft flanks."""
    s = np.fft.rfft(noise)
    f = np.fft.rfftfreq(len(noise), 1 / RATE) + 1e-6
    s *= 1 / (1 + (low / f) ** 4) / (1 + (f / high) ** 4)
    out = np.fft.irfft(s, len(noise))
    return out / (np.abs(out).max() + 1e-9)


def pan(mono: np.ndarray, where) -> np.ndarray:
    """where: -1 left to 1 right."""
    a = (np.clip(where, -1, 1) + 1) * np.pi / 4
    return np.stack([mono * np.cos(a), mono * np.sin(a)])


def car(n: int, time: float, distance: float, speed: float, direction: int, rng) -> np.ndarray:
    """A car that is nearest at `time`; direction -1 drives from right to left."""
    t = np.arange(n) / RATE
    x = direction * speed * (t - time)
    d = np.hypot(x, distance)
    closing = -speed * direction * x / d  # meters a second towards the microphone
    shift = 343.0 / (343.0 - closing)
    phase = 2 * np.pi * np.cumsum(46.0 * shift) / RATE
    engine = sum(np.sin(k * phase + k * k) / k**1.15 for k in (1, 2, 3, 4, 6, 8)) * 0.35
    engine *= 1 + 0.15 * np.sin(phase / 2)
    tires = band(rng.normal(size=n), 350, 1500) * 0.9 + band(rng.normal(size=n), 60, 250) * 0.7
    level = (distance / d) ** 1.5
    air = band(rng.normal(size=n), 1500, 5000) * (distance / d) ** 3 * 0.35
    return pan((0.5 * engine + tires + air) * level * 0.5, x / (d + 2.0))


def footsteps(n: int, rate: float, rng) -> np.ndarray:
    out = np.zeros((2, n))
    for k in range(int(n / RATE * rate) + 1):
        at = int((0.18 + k / rate + rng.normal(0, 0.008)) * RATE)
        m = int(0.11 * RATE)
        if at + m > n:
            break
        t = np.arange(m) / RATE
        heel = band(rng.normal(size=m), 120, 900) * np.exp(-t / 0.012)
        toe = band(rng.normal(size=m), 700, 3500) * np.exp(-np.maximum(t - 0.045, 0) / 0.015) * (t > 0.045) * 0.35
        out[:, at : at + m] += pan((heel + toe) * rng.uniform(0.8, 1.0), -0.45 + (0.06 if k % 2 else -0.06))
    return out


def birds(n: int, rng) -> np.ndarray:
    out = np.zeros((2, n))
    for start, where, base in ((0.35, 0.6, 3900), (1.30, 0.65, 4100), (2.05, -0.5, 3300)):
        for k in range(rng.integers(3, 6)):
            at = int((start + 0.13 * k + rng.normal(0, 0.01)) * RATE)
            m = int(0.085 * RATE)
            if at + m > n:
                break
            t = np.linspace(0, 1, m)
            f = base * (1 + 0.18 * np.sin(np.pi * t * (1.5 + k % 2)) + rng.normal(0, 0.02))
            out[:, at : at + m] += pan(np.sin(2 * np.pi * np.cumsum(f) / RATE) * np.sin(np.pi * t) ** 2, where)
    return out


def street(seconds: float, passes: list[dict], steps: float, seed: int = 1) -> np.ndarray:
    """Stereo samples in -1 to 1, shape (2, n)."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    town = np.stack([band(rng.normal(size=n), 30, 140) for _ in range(2)]) * (0.8 + 0.2 * np.sin(0.9 * t))
    murmur = np.stack([band(rng.normal(size=n), 200, 700) for _ in range(2)])
    leaves = np.stack([band(rng.normal(size=n), 2500, 7000) for _ in range(2)]) * (0.6 + 0.4 * np.sin(1.7 * t + 1))
    mix = 0.16 * town + 0.035 * murmur + 0.018 * leaves + 0.045 * birds(n, rng)
    if steps:
        mix += 0.22 * footsteps(n, steps, rng)
    for p in passes:
        mix += 0.75 * car(n, p["time"], p["distance"], p["speed"], p.get("direction", -1), rng)
    fade = np.minimum(1, np.minimum(t / 0.05, (t[-1] - t) / 0.12 + 1e-3))
    mix = np.tanh(mix * fade * 1.1)
    return (mix / np.abs(mix).max() * 0.7).astype(np.float32)
