"""The red button, its box and its cable's plug in the kinematic world: where they are follows from what touches them.

The mushroom goes down as far as the lowest fingertip above it, latches as the real one does, and comes up with fingers
that hold it; the box slides along its rails ahead of whatever meets it from the side; the plug comes up with fingers
that hold it and stays out once its contacts have parted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import cos, radians, sin
from typing import Protocol

from redbutton.envs.fixtures import CAP_LATCH_M, CAP_RELEASE_M, CAP_RISE_M, PLUG_OUT_M
from redbutton.envs.kinematic_arm import dot, minus
from redbutton.envs.kinematic_things import Top
from redbutton.envs.layout import Layout, Vec3
from redbutton.envs.stations import STAND_M

CAP_RADIUS_M = 0.020
PLUG_RADIUS_M = 0.014
PLUG_FOOT_M = 0.032
BOX_HALF: tuple[float, float] = (0.028, 0.0425)
SLIDE_LIMIT_M = 0.25
FINGERTIP_RADIUS_M = 0.011


class Solid(Protocol):
    """Something that may push: a finger, or what the fingers hold."""

    @property
    def at(self) -> Vec3:
        """Its middle [m]."""

    @property
    def lowest(self) -> float:
        """Height of its lowest point [m]."""

    @property
    def highest(self) -> float:
        """Height of its highest point [m]."""

    def reach(self, direction: Vec3) -> float:
        """How far it goes from its middle along a unit direction [m]."""


class RedButton:
    """Mushroom, box and plug; lengths in m as in ``Measured``."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        angle = radians(layout.button_azimuth_deg)
        self._turn_rad = angle
        self._across, self._along = (cos(angle), sin(angle), 0.0), (-sin(angle), cos(angle), 0.0)
        self._top = layout.box_height + STAND_M + layout.cap_height
        self.reset(latching=True)

    def reset(self, *, latching: bool) -> None:
        """Up, plugged in and in its place."""
        self._latching = latching
        self.depth_m = self.slide_m = self.plug_m = 0.0
        self.latched = self.unplugged = False
        self._held: str | None = None
        self._held_from = (0.0, (0.0, 0.0, 0.0))
        self._met: dict[tuple[str, str], float] = {}
        self._over: list[float] = []

    # -- where it is ----------------------------------------------------------------------------------------

    @property
    def at(self) -> Vec3:
        """Middle of the box on the counter."""
        x, y, _ = self._layout.button
        return (x + self.slide_m * self._along[0], y + self.slide_m * self._along[1], 0.0)

    def tops(self, *, pressed: bool = False) -> Iterator[Top]:
        """What a thing can stand on; ``pressed`` gives the mushroom as low as it goes."""
        x, y, _ = self.at
        depth = self._layout.cap_travel if pressed else self.depth_m
        yield Top(x, y, self._layout.box_height, half=BOX_HALF, turn_rad=self._turn_rad)
        yield Top(x, y, self._top - depth, radius=CAP_RADIUS_M)
        sx, sy, _ = self._layout.socket
        yield Top(sx, sy, self._layout.plug_top + self.plug_m, radius=PLUG_RADIUS_M)

    def handles(self) -> Iterator[tuple[str, Vec3, float, float]]:
        """What fingers can take hold of: name, foot of the cylinder, its height, its radius."""
        x, y, _ = self.at
        yield "cap", (x, y, self._top - self.depth_m - self._layout.cap_height), self._layout.cap_height, CAP_RADIUS_M
        sx, sy, _ = self._layout.socket
        handle = self._layout.plug_top - PLUG_FOOT_M
        yield "plug", (sx, sy, PLUG_FOOT_M + self.plug_m), handle, PLUG_RADIUS_M

    def floor(self, tip: Vec3) -> float:
        """How low an upright finger can go there: on the mushroom pressed down, on the box, on the counter."""
        away = minus(tip, self.at)
        if self._under(tip):
            return self._top - self._layout.cap_travel
        inside = all(
            abs(dot(away, axis)) < half + FINGERTIP_RADIUS_M
            for axis, half in zip((self._across, self._along), BOX_HALF, strict=True)
        )
        return self._layout.box_height if inside else 0.0

    def _under(self, tip: Vec3) -> bool:
        away = minus(tip, self.at)
        reach = CAP_RADIUS_M + 0.9 * FINGERTIP_RADIUS_M
        return away[0] * away[0] + away[1] * away[1] < reach * reach

    # -- pushed from the side or from above -----------------------------------------------------------------

    def meet(self, solids: Mapping[str, Solid]) -> None:
        """Slide ahead of what comes from the side. Called after every small step with all that is near."""
        self._over = []
        for key in [key for key in self._met if key[0] not in solids]:
            del self._met[key]
        for name, solid in solids.items():
            self._meet((name, "cap"), solid, self._top - self.depth_m - self._layout.cap_height)
            self._meet((name, "box"), solid, 0.0)

    def _meet(self, key: tuple[str, str], solid: Solid, low: float) -> None:
        """Remember from where a solid came over a part: 0 from above, else the side it is on."""
        is_cap = key[1] == "cap"
        high = low + (self._layout.cap_height if is_cap else self._layout.box_height)
        away = minus(solid.at, self.at)
        beside = max(0.0, abs(dot(away, self._across)) - solid.reach(self._across))
        half = max(0.0, CAP_RADIUS_M**2 - beside**2) ** 0.5 if is_cap else BOX_HALF[1]
        off, reach = dot(away, self._along), solid.reach(self._along)
        if beside >= (CAP_RADIUS_M if is_cap else BOX_HALF[0]) or abs(off) >= half + reach:
            self._met.pop(key, None)
            return
        side = self._met.setdefault(key, 0.0 if solid.lowest >= high - 0.002 else 1.0 if off > 0 else -1.0)
        if is_cap and not side:
            self._over.append(solid.lowest)
        elif side and solid.lowest < high and solid.highest > low and self._held is None:
            self._slide_to(self.slide_m + off - side * (half + reach))

    def _slide_to(self, slide_m: float) -> None:
        self.slide_m = min(max(slide_m, -SLIDE_LIMIT_M), SLIDE_LIMIT_M)

    def press(self, fingertip: Vec3) -> None:
        """Mushroom and latch, once per control period; ``fingertip`` is the operator's."""
        if self._held != "cap":
            tips = [*self._over, fingertip[2]] if self._under(fingertip) else self._over
            rest = self._layout.cap_travel if self.latched else 0.0
            self.depth_m = min(max([rest, *(self._top - tip for tip in tips)]), self._layout.cap_travel)
        if self._latching and not self.latched and self.depth_m >= CAP_LATCH_M:
            self.latched, self.depth_m = True, self._layout.cap_travel
        elif self.latched and self.depth_m <= CAP_RELEASE_M:
            self.latched = False

    def lift(self) -> None:
        """The operator pulls the mushroom up."""
        self.latched = False

    # -- held -----------------------------------------------------------------------------------------------

    def take(self, handle: str, tool: Vec3) -> None:
        """The fingers have closed on mushroom or plug."""
        self._held = handle
        self._held_from = (self.depth_m if handle == "cap" else self.plug_m, tool)

    def follow(self, tool: Vec3) -> bool:
        """Go where the fingers pull it, as far as it goes; whether they still hold it."""
        start, taken = self._held_from
        lift = tool[2] - taken[2]
        if self._held == "cap":
            self.depth_m = min(max(start - lift, -CAP_RISE_M), self._layout.cap_travel)
            return lift < self._layout.cap_height
        self.plug_m = min(max(start + lift, 0.0), self._layout.plug_travel)
        self.unplugged = self.unplugged or self.plug_m >= PLUG_OUT_M
        return lift < self._layout.plug_travel + self._layout.plug_top - PLUG_FOOT_M

    def let_go(self) -> None:
        """The fingers have opened: the spring or the detent has it again."""
        self._held = None
        self.plug_m = self._layout.plug_travel if self.unplugged else 0.0
