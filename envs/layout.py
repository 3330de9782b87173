"""Where things stand on the counter, as plain data [m]; the arm's base is the origin, x points ahead, z up.

The arm fetches on its right (negative y) and ahead; the stop and the operator are on its left, so that an arm busy
with coffee is never in the hand's way by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np

Vec3 = tuple[float, float, float]


def polar(radius_m: float, azimuth_deg: float, z_m: float = 0.0) -> Vec3:
    """A point on the counter by distance and direction from the arm's base."""
    angle = radians(azimuth_deg)
    return (radius_m * cos(angle), radius_m * sin(angle), z_m)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Nominal positions and sizes [m]."""

    # ruff: noqa: RUF009 - polar() is a pure function of numbers, evaluated once
    cup: Vec3 = polar(0.52, -26.0)
    coaster: Vec3 = polar(0.52, -54.0)
    tray: Vec3 = (0.58, 0.0, 0.0)
    brew: Vec3 = (0.50, 0.15, 0.0)
    button: Vec3 = polar(0.50, 56.0)
    reset: Vec3 = polar(0.53, 33.0)
    lid: Vec3 = polar(0.46, 80.0)
    socket: Vec3 = polar(0.44, 104.0)
    hand_rest: Vec3 = (polar(0.50, 56.0)[0], 0.82, 0.34)

    button_azimuth_deg: float = 56.0
    cup_radius: float = 0.030
    cup_height: float = 0.085
    tray_height: float = 0.012
    coaster_radius: float = 0.055
    coaster_height: float = 0.006
    lid_radius: float = 0.036
    lid_height: float = 0.040
    box_height: float = 0.050
    cap_height: float = 0.026
    cap_travel: float = 0.008
    rail_offset: float = 0.039
    rail_height: float = 0.092
    pad_top: float = 0.050
    plug_top: float = 0.075
    plug_travel: float = 0.030


LAYOUT = Layout()


Draw = tuple[float, float, float, float]
"""Jitter of one trial [m]: cup x, y, then coaster x, y."""


def layout_draw(rng: np.random.Generator, jitter_m: float) -> Draw:
    """Draw the jitter of a trial from the trial's own generator."""
    drawn = rng.uniform(-jitter_m, jitter_m, size=4) if jitter_m > 0 else np.zeros(4)
    cup_x, cup_y, coaster_x, coaster_y = (float(value) for value in drawn)
    return cup_x, cup_y, coaster_x, coaster_y


def place_things(layout: Layout, draw: Draw) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where cup and coaster stand at the start of a trial with this jitter."""
    cup = (layout.cup[0] + draw[0], layout.cup[1] + draw[1])
    return cup, (layout.coaster[0] + draw[2], layout.coaster[1] + draw[3])
