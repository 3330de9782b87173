"""A drawing of the kinematic world from above: the operator's side on the left, as the arm sees it.

Everything is where it is, to scale; heights do not show. A mushroom that is down is drawn dark, an unplugged cable has
a gap, a cup that lies is drawn lying.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from redbutton.envs import fixtures
from redbutton.envs.kinematic_button import BOX_HALF, CAP_RADIUS_M, FINGERTIP_RADIUS_M, PLUG_RADIUS_M
from redbutton.envs.kinematic_things import Thing

if TYPE_CHECKING:
    from redbutton.envs.kinematic import KinematicWorld

CENTRE: tuple[float, float] = (0.33, 0.12)
"""What is in the middle of the picture [m]."""
SPAN_M = 1.5
"""What the shorter side of the picture shows [m]."""
Rgba = tuple[float, float, float, float]


class _Pen:
    """Draws in metres: x is up, y is to the left."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), _rgb(fixtures.OAK))
        self._draw = ImageDraw.Draw(self.image)
        self._scale = min(width, height) / SPAN_M
        self._middle = (width / 2, height / 2)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (
            self._middle[0] - (y - CENTRE[1]) * self._scale,
            self._middle[1] - (x - CENTRE[0]) * self._scale,
        )

    def disc(self, x: float, y: float, radius: float, colour: Rgba) -> None:
        u, v = self._at(x, y)
        r = radius * self._scale
        self._draw.ellipse((u - r, v - r, u + r, v + r), fill=_rgb(colour))

    def bar(self, x: float, y: float, half: tuple[float, float], turn_rad: float, colour: Rgba) -> None:
        c, s = cos(turn_rad), sin(turn_rad)
        corners = [(half[0] * i, half[1] * j) for i, j in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
        points = [self._at(x + c * a - s * b, y + s * a + c * b) for a, b in corners]
        self._draw.polygon(points, fill=_rgb(colour))

    def line(self, points: Sequence[Sequence[float]], width_m: float, colour: Rgba) -> None:
        width = max(1, round(width_m * self._scale))
        self._draw.line([self._at(p[0], p[1]) for p in points], fill=_rgb(colour), width=width)


def _rgb(colour: Rgba) -> tuple[int, int, int]:
    red, green, blue, _ = (round(255 * part) for part in colour)
    return red, green, blue


def top_view(world: KinematicWorld, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The picture, (height, width, 3) uint8 RGB."""
    pen = _Pen(width, height)
    _machine(pen, world)
    _stop(pen, world)
    for thing in sorted(world.counter.things.values(), key=lambda thing: thing.at[2]):
        _thing(pen, thing, world.filled)
    _hand(pen, world)
    _arm(pen, world)
    return np.asarray(pen.image, dtype=np.uint8).copy()


def _machine(pen: _Pen, world: KinematicWorld) -> None:
    at = world.layout
    x, y, _ = at.tray
    pen.bar(x + 0.115, y, (0.05, 0.085), 0.0, fixtures.BLACK)
    pen.disc(x, y, 0.05, fixtures.STEEL)
    pen.disc(*world.coaster_at, at.coaster_radius, fixtures.CORK)
    for pad, colour in ((at.brew, fixtures.GREEN), (at.reset, fixtures.BLUE)):
        pen.bar(pad[0], pad[1], (0.0225, 0.0225), 0.0, fixtures.BLACK)
        pen.disc(pad[0], pad[1], 0.017, colour)


def _stop(pen: _Pen, world: KinematicWorld) -> None:
    at, (x, y, _), angle = world.layout, world.button_position(), radians(world.layout.button_azimuth_deg)
    sx, sy, _ = at.socket
    out = 0.04 if world.unplugged else 0.0
    pen.bar(sx, sy, (0.03, 0.03), 0.0, fixtures.BLACK)
    pen.line(((x, y), (sx, sy - out)), 0.008, fixtures.CABLE)
    pen.disc(sx, sy - out, PLUG_RADIUS_M, fixtures.GREEN)
    for offset in (-at.rail_offset, at.rail_offset):
        rail = (at.button[0] + offset * cos(angle), at.button[1] + offset * sin(angle))
        pen.bar(*rail, (0.006, 0.05), angle, fixtures.YELLOW)
    pen.bar(x, y, BOX_HALF, angle, fixtures.YELLOW)
    dark = 0.55 if world.pressed else 1.0
    red, green, blue, solid = fixtures.RED
    pen.disc(x, y, CAP_RADIUS_M, (red * dark, green * dark, blue * dark, solid))


def _thing(pen: _Pen, thing: Thing, filled: bool) -> None:
    colour = fixtures.CREAM if thing.name == "cup" else fixtures.STEEL
    x, y, _ = thing.at
    if abs(thing.axis[2]) < 0.5:
        pen.bar(x, y, (thing.height / 2, thing.radius), 0.0, colour)
        return
    pen.disc(x, y, thing.radius, colour)
    if thing.name == "cup":
        pen.disc(x, y, thing.radius * 0.85, fixtures.COFFEE if filled else fixtures.EMPTY)


def _hand(pen: _Pen, world: KinematicWorld) -> None:
    x, y, _ = world.fingertip()
    pen.line(((x, y + 0.03), (x, y + 0.34)), 0.072, fixtures.SLEEVE)
    pen.bar(x, y + 0.02, (0.037, 0.042), 0.0, fixtures.SKIN)
    pen.disc(x, y, FINGERTIP_RADIUS_M, fixtures.SKIN)


def _arm(pen: _Pen, world: KinematicWorld) -> None:
    frame = world.counter.frame
    elbow, wrist = frame.forearm
    pen.disc(0.0, 0.0, 0.075, fixtures.CREAM)
    pen.line(((0.0, 0.0), elbow, wrist), 0.05, fixtures.CREAM)
    pen.line((wrist, frame.palm().at), 0.03, fixtures.CREAM)
    for box, colour in ((frame.palm(), fixtures.BLACK), *((f, fixtures.STEEL) for f in world.counter.fingers)):
        ends = [tuple(m + sign * h * a for m, h, a in zip(box.at, (box.half[1],) * 3, box.axes[1], strict=True))
                for sign in (-1, 1)]  # fmt: skip
        pen.line(ends, 2 * box.half[0], colour)
