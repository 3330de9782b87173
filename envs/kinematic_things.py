"""What cup and lid stand on in the kinematic world: upright cylinders on flat tops, down at once or fallen over.

A thing let go comes down on the highest top under its foot. It stands there when its middle is over that top or
between two of them (the guard rails); otherwise it falls over and lies. CAVEAT: nothing bounces, leans or rolls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sin

from redbutton.envs.kinematic_arm import along, dot
from redbutton.envs.layout import Layout, Vec3

GRAZE_M = 0.002
"""A foot that overlaps a top by less than this does not stand on it."""
SUNK_M = 0.012
"""A foot so far below a top still comes down on it, as a thing let go while it is pressed down does."""
STEADY = cos(radians(35.0))
"""A thing let go with less lean than this rights itself: a cup's weight is inside its foot up to 35 degrees."""
FRICTION = 0.7
"""Between a thing and what it stands on, as in the dynamics."""
UP: Vec3 = (0.0, 0.0, 1.0)
LYING: Vec3 = (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Top:
    """A flat top to stand on: a disc, or a rectangle turned about the vertical [m, rad]."""

    x: float
    y: float
    z: float
    radius: float = 0.0
    half: tuple[float, float] = (0.0, 0.0)
    turn_rad: float = 0.0

    def away(self, x: float, y: float) -> tuple[float, float]:
        """From a point to the nearest one of the top, horizontally [m]; (0, 0) above the top."""
        dx, dy = self.x - x, self.y - y
        if self.radius:
            distance = hypot(dx, dy)
            share = max(0.0, distance - self.radius) / distance if distance else 0.0
            return dx * share, dy * share
        c, s = cos(self.turn_rad), sin(self.turn_rad)
        u, v = c * dx + s * dy, c * dy - s * dx
        u -= min(max(u, -self.half[0]), self.half[0])
        v -= min(max(v, -self.half[1]), self.half[1])
        return c * u - s * v, s * u + c * v


@dataclass(slots=True)
class Thing:
    """Cup or lid: a cylinder with its middle at ``at`` and a unit axis [m]."""

    name: str
    radius: float
    height: float
    at: Vec3 = (0.0, 0.0, 0.0)
    axis: Vec3 = UP

    @property
    def standing(self) -> bool:
        """Whether it stands upright."""
        return self.axis == UP

    @property
    def lowest(self) -> float:
        """Height of its lowest point [m]."""
        return self.at[2] - self.reach(UP)

    @property
    def highest(self) -> float:
        """Height of its highest point [m]."""
        return self.at[2] + self.reach(UP)

    @property
    def top(self) -> Top:
        """Its upper end, to stand on."""
        return Top(self.at[0], self.at[1], self.at[2] + self.height / 2, radius=self.radius)

    def reach(self, direction: Vec3) -> float:
        """How far it goes from its middle along a unit direction [m]."""
        share = abs(dot(self.axis, direction))
        return self.height / 2 * share + self.radius * float(max(0.0, 1.0 - share * share) ** 0.5)

    def put(self, x: float, y: float, z_bottom: float) -> None:
        """Stand it upright."""
        self.at, self.axis = (x, y, z_bottom + self.height / 2), UP

    def topple(self, z_bottom: float) -> None:
        """Let it lie."""
        self.at, self.axis = (self.at[0], self.at[1], z_bottom + self.radius), LYING

    def let_down(self, tops: Sequence[Top]) -> None:
        """Let it come down on the highest top under its foot, standing or fallen."""
        x, y, _ = self.at
        under = below(tops, self)
        level = max(top.z for top in under)
        ways = [top.away(x, y) for top in under if top.z > level - GRAZE_M / 2]
        if dot(self.axis, UP) > STEADY and _carried(ways):
            self.put(x, y, level)
        else:
            dx, dy = ways[0]
            far = hypot(dx, dy)
            if far:  # it tips over the edge, away from what carried it on one side only
                self.at = along(self.at, (-dx / far, -dy / far, 0.0), self.radius)
            x, y, _ = self.at
            self.topple(max(top.z for top in under if top.z < level or top.away(x, y) == (0.0, 0.0)))


def below(tops: Sequence[Top], thing: Thing) -> list[Top]:
    """The tops under a thing's foot; the counter is always among them."""
    x, y, _ = thing.at
    bottom, foot = thing.lowest, thing.radius - GRAZE_M
    return [top for top in tops if top.z <= bottom + SUNK_M and hypot(*top.away(x, y)) < foot]


def _carried(ways: Sequence[tuple[float, float]]) -> bool:
    """Whether the middle is over a top, or between two."""
    return any(way == (0.0, 0.0) or any(way[0] * other[0] + way[1] * other[1] < 0.0 for other in ways) for way in ways)


def fixed_tops(at: Layout, coaster: tuple[float, float]) -> tuple[Top, ...]:
    """Everything to stand on that never moves during a trial. The counter has no edge here."""
    angle = radians(at.button_azimuth_deg)
    bx, by, _ = at.button
    rails = [
        Top(bx + r * cos(angle), by + r * sin(angle), at.rail_height, half=(0.006, 0.05), turn_rad=angle)
        for r in (-at.rail_offset, at.rail_offset)
    ]
    x, y, _ = at.tray
    return (
        Top(0.0, 0.0, 0.0, half=(10.0, 10.0)),
        Top(x, y, at.tray_height, radius=0.05),
        Top(*coaster, at.coaster_height, radius=at.coaster_radius),
        *(Top(*pad[:2], at.pad_top, half=(0.0225, 0.0225)) for pad in (at.brew, at.reset)),
        Top(*at.socket[:2], 0.03, half=(0.03, 0.03)),
        Top(x + 0.115, y, 0.32, half=(0.05, 0.085)),
        Top(x + 0.02, y, 0.32, half=(0.045, 0.075)),
        *rails,
    )
