"""The operator's hand in the kinematic world: an upright finger that goes to its target unless something is there.

Each axis stops by itself at what is in its way. An arm that moves into the finger pushes it aside where that is free;
where it is not, the hand is squeezed, and the force says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import product
from math import hypot
from typing import Protocol

from redbutton.envs.fixtures import FINGER_LENGTH
from redbutton.envs.kinematic_arm import FOREARM_RADIUS_M, Box, ToolFrame, along, dot, minus
from redbutton.envs.kinematic_button import FINGERTIP_RADIUS_M
from redbutton.envs.kinematic_things import UP, Thing
from redbutton.envs.layout import Vec3

HAND_SPEED_M_S = 2.0
HAND_FORCE_N = 60.0
"""With which each axis pushes, as in the dynamics."""
SQUEEZED_N = 1000.0
"""Any force far above the safety stop's limit: nothing here gives way."""
STEP_M = 0.008
TOUCH_M = 0.003
_FAR_M = 0.30  # no part of hand and fingers is so far from the tool centre, the operator's finger included
_YIELD_STEPS = 15
_WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_HEIGHTS_M = (FINGERTIP_RADIUS_M, 0.035, 0.057, FINGER_LENGTH - FINGERTIP_RADIUS_M)


class Arm(Protocol):
    """What of the arm can be in the way."""

    frame: ToolFrame
    solids: tuple[Box, ...]
    gone: Vec3
    """How far the tool has gone in this control period [m]."""


class OperatorHand:
    """The finger, by its offsets from its rest [m]."""

    def __init__(self, rest: Vec3) -> None:
        self._rest = rest
        self.reset()

    def reset(self) -> None:
        """Back at rest."""
        self.y = self.z = 0.0
        self.target = (0.0, 0.0)
        self.touched: frozenset[str] = frozenset()
        self.force_n = 0.0

    @property
    def tip(self) -> Vec3:
        """Where the fingertip is."""
        return self._tip(self.y, self.z)

    def _tip(self, y: float, z: float) -> Vec3:
        return along(self._rest, (0.0, y, z), 1.0)

    def move(self, period_s: float, arm: Arm, things: Collection[Thing], floor: Callable[[Vec3], float]) -> None:
        """One control period: out of the arm's way, then towards the target as far as it is free.

        ``floor`` says how low an upright finger can go at a point.
        """
        self.touched = self._hits(self.y, self.z, arm, things, TOUCH_M)
        if (self.y, self.z) == self.target and "arm" not in self.touched:
            self.force_n = 0.0
            return
        squeezed = not self._give_way(arm)
        there = [thing for thing in things if not _in(self.tip, thing, 0.0)]  # what brushes its side holds nothing off
        for _ in range(max(1, round(HAND_SPEED_M_S * period_s / STEP_M))):
            was = (self.y, self.z)
            if was == self.target:
                break
            self.y = self._free(self.y, self.target[0], lambda y: self._hits(y, self.z, arm, there))
            to = max(self.target[1], min(self.z, floor(self.tip) - self._rest[2]))
            self.z = self._free(self.z, to, lambda z: self._hits(self.y, z, arm, there))
            if (self.y, self.z) == was:
                break
        self.touched = self._hits(self.y, self.z, arm, things, TOUCH_M)
        pushes = "arm" in self.touched and (self.y, self.z) != self.target
        self.force_n = SQUEEZED_N if squeezed else HAND_FORCE_N if pushes else 0.0

    @staticmethod
    def _free(now: float, to: float, hits: Callable[[float], object]) -> float:
        """One step nearer to a place, a shorter one where that is blocked, or none."""
        for step in (STEP_M, STEP_M / 2, STEP_M / 4, STEP_M / 8):
            there = to if abs(to - now) <= step else now + (step if to > now else -step)
            if there != now and not hits(there):
                return there
        return now

    def _give_way(self, arm: Arm) -> bool:
        """Out of the arm, the way the arm goes or else the shortest way; whether there was one."""
        if not self._hits(self.y, self.z, arm, ()):
            return True
        for ahead in (True, False):
            ways = [way for way in _WAYS if ahead is (way[0] * arm.gone[1] + way[1] * arm.gone[2] > 0.0)]
            for step, (dy, dz) in product(range(1, _YIELD_STEPS + 1), ways):
                y, z = self.y + dy * step * STEP_M, self.z + dz * step * STEP_M
                if not self._hits(y, z, arm, ()):
                    self.y, self.z = y, z
                    return True
        return False

    def _hits(self, y: float, z: float, arm: Arm, things: Iterable[Thing], margin: float = 0.0) -> frozenset[str]:
        """What the finger would be in, or within a margin of."""
        tip, reach = self._tip(y, z), FINGERTIP_RADIUS_M + margin
        found = {thing.name for thing in things if _in(tip, thing, margin)}
        middle = along(tip, UP, FINGER_LENGTH / 2)
        away = minus(middle, arm.frame.at)
        solids = arm.solids if dot(away, away) < _FAR_M**2 else ()
        near = [box for box in solids if box.distance(middle) < FINGER_LENGTH / 2 + reach]
        forearm = _from_line(middle, *arm.frame.forearm) < FOREARM_RADIUS_M + FINGER_LENGTH / 2 + reach
        for point in (along(tip, UP, height) for height in _HEIGHTS_M) if near or forearm else ():
            if _from_line(point, *arm.frame.forearm) < FOREARM_RADIUS_M + reach or any(
                box.distance(point) < reach for box in near
            ):
                found.add("arm")
        return frozenset(found)


def _in(tip: Vec3, thing: Thing, margin: float) -> bool:
    flat = hypot(tip[0] - thing.at[0], tip[1] - thing.at[1]) < thing.radius + FINGERTIP_RADIUS_M + margin
    half = thing.reach(UP) + margin
    return flat and thing.at[2] - half - FINGER_LENGTH < tip[2] < thing.at[2] + half


def _from_line(point: Vec3, start: Vec3, end: Vec3) -> float:
    way, away = minus(end, start), minus(point, start)
    share = min(max(dot(away, way) / dot(way, way), 0.0), 1.0)
    gap = minus(away, along((0.0, 0.0, 0.0), way, share))
    return float(dot(gap, gap) ** 0.5)
