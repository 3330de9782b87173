"""Where cup and lid are on a bench, by book-keeping: a thing is where it was last put.

At the start of a trial each thing stands at its own station. What the fingers close on moves with the tool; what they
let go of stands at the place below it, or has fallen when there is nothing below.

CAVEAT: nobody looks. A cup that a person moves, that slips unnoticed or that is knocked over is still where the book
says. What a trial says of the task therefore holds as far as its pictures agree; what it says of the stop does not
depend on this.
"""

from __future__ import annotations

from dataclasses import dataclass

from redbutton.envs.layout import LAYOUT, Layout, Vec3
from redbutton.envs.stations import CLEARANCE_M
from redbutton.hardware.taught import TaughtStations
from redbutton.robots.kinematics import ToolPose

NEAR_M = 0.045
"""How near the tool centre must be to what it grasps, on each axis."""
ONTO_M = 0.05
"""How near to the middle of a place something is let go that stands on it."""
FALL_M = 0.03
"""Let go higher above its place than this, a thing falls."""
BLOCKED_M = 0.005
"""Fingers that stay this much wider than commanded have something between them."""
WIDTH_M = 0.015
"""How far the fingers may be from the taught width of what they hold."""
SETTLE_S = 0.5
"""How long after it was let go a thing counts as having come to rest."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing: where the fingers hold it (arm's base frame), on which place it stands, whether upright."""

    at: Vec3
    place: str | None
    upright: bool = True


class Things:
    """The book. Fed once per control tick with what the arm measures."""

    def __init__(self, taught: TaughtStations) -> None:
        self._taught = taught
        self._layout: Layout = taught.layout()
        self._half = {"cup": LAYOUT.cup_height / 2, "lid": LAYOUT.lid_height / 2}
        self._offset: Vec3 = (0.0, 0.0, 0.0)
        self._gripper_m: float | None = None
        self._put_down_s = 0.0
        self._now_s = 0.0
        self.held: str | None = None
        """What is between the fingers."""
        self._things: dict[str, Thing] = {}
        self.reset()

    def reset(self) -> None:
        """Everything has been put back by a person."""
        self.held, self._gripper_m = None, None
        self._put_down_s, self._now_s = -SETTLE_S, 0.0
        self._things = {name: Thing(self._start(name), "counter") for name in ("cup", "lid")}

    def _start(self, name: str) -> Vec3:
        taught = self._taught.taught(name)
        return (taught.x, taught.y, taught.z)

    def tick(self, tool: ToolPose, gripper_m: float, command_m: float, elapsed_s: float) -> None:
        """Take in one reading. ``command_m``: the opening that the gripper was last sent."""
        self._now_s += elapsed_s
        still = self._gripper_m is not None and abs(gripper_m - self._gripper_m) < 0.001
        self._gripper_m = gripper_m
        if self.held is None:
            if still and gripper_m > command_m + BLOCKED_M:
                self._grasp(tool, gripper_m)
            return
        self._carry(tool)
        if command_m > gripper_m - BLOCKED_M or gripper_m < self._width(self.held) - 2 * WIDTH_M:
            self._let_go()

    def _width(self, name: str) -> float:
        return self._taught.taught(name).width_m

    def _grasp(self, tool: ToolPose, gripper_m: float) -> None:
        for name, thing in self._things.items():
            x, y, z = (a - b for a, b in zip(thing.at, (tool.x, tool.y, tool.z), strict=True))
            fits = self._width(name) == 0.0 or abs(gripper_m - self._width(name)) <= WIDTH_M
            if fits and max(abs(x), abs(y), abs(z)) < NEAR_M:
                self.held, self._offset = name, (x, y, z)
                return

    def _carry(self, tool: ToolPose) -> None:
        assert self.held is not None
        x, y, z = self._offset
        self._things[self.held] = Thing((tool.x + x, tool.y + y, tool.z + z), None)

    def _let_go(self) -> None:
        assert self.held is not None
        name, self.held = self.held, None
        self._put_down_s = self._now_s
        x, y, z = self._things[name].at
        place = self._place_below(name, x, y)
        floor = self._rest_z(name, place or "counter")
        self._things[name] = Thing((x, y, floor), place or "counter", upright=z - floor <= FALL_M)

    def _place_below(self, name: str, x: float, y: float) -> str | None:
        place = self._taught.nearest(x, y, ONTO_M)
        return None if place == "button" and name == "cup" else place

    def _rest_z(self, name: str, place: str) -> float:
        return self._taught.station(f"{name}@{place}").z - CLEARANCE_M

    # -- questions ------------------------------------------------------------------------------------------

    def at(self, name: str) -> Vec3:
        """Where the fingers go for a thing, in the arm's base frame [m]."""
        return self._things[name].at

    def upright(self, name: str) -> bool:
        """Whether it stands."""
        return self._things[name].upright

    @property
    def at_rest(self) -> bool:
        """Whether nothing is being carried, or was let go a moment ago."""
        return self.held is None and self._now_s - self._put_down_s >= SETTLE_S

    def seen(self, name: str) -> Vec3:
        """The thing's middle as task and referee read it: heights above the counter, places as high as the scene's."""
        thing, half = self._things[name], self._half[name]
        x, y, z = thing.at
        heights = {"machine": self._layout.tray_height, "coaster": self._layout.coaster_height, "counter": 0.0}
        if thing.place in heights:
            return (x, y, heights[thing.place] + half)
        return (x, y, z - self._taught.taught(name).z + half)


__all__ = ["Thing", "Things"]
