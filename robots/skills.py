"""The skills, written once on the ``Robot`` protocol's values and good for any arm with a kinematics.

A skill is a generator: it yields one trajectory point per control tick and is sent the arm's new state. Whoever
drives it may close it at any tick, so that a press lands in the middle of a motion; nothing in here asks for
permission, and nothing in here can command a robot.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import atan2, ceil, cos, hypot, radians, sin
from typing import Protocol

from redbutton.robots.arms import ArmSpec
from redbutton.robots.base import RobotState, TrajectoryPoint
from redbutton.robots.kinematics import DOWN_RAD, Kinematics, PandaKinematics, ToolPose, UnreachableError

TILT_RAD = radians(30.0)
"""A cup is taken leaning forward, so that the hand clears the machine's head."""
HOVER_M = 0.11
SPEED_SHARE = 0.95
"""Share of the joints' velocity limits that a motion uses at its peak."""
_PEAK = 1.5  # peak velocity of a cubic blend over its mean; a minimum-jerk one would need 1.875


@dataclass(frozen=True, kw_only=True)
class Station:
    """A place in the scene, as seen or as taught: where the tool goes for it [m, rad]."""

    name: str
    x: float
    y: float
    z: float
    """Height at which the tool centre works: mid-height of a thing to grasp, top of a thing to press."""
    width_m: float = 0.0
    """Width between the fingers of a thing to grasp."""
    tilted: bool = False

    def pose(self, back_m: float = 0.0) -> ToolPose:
        """Tool pose at the station, backed off along its approach."""
        pitch = DOWN_RAD - TILT_RAD if self.tilted else DOWN_RAD
        radius, azimuth = hypot(self.x, self.y), atan2(self.y, self.x)
        radius -= back_m * sin(pitch)
        return ToolPose(radius * cos(azimuth), radius * sin(azimuth), self.z - back_m * cos(pitch), pitch)


class Scene(Protocol):
    """Where things are: the simulator's truth, a camera, or stations taught by hand."""

    def station(self, name: str) -> Station:
        """Raises ``KeyError`` for something that is not there."""

    def holding(self) -> str | None:
        """Name of the thing in the gripper."""


@dataclass(frozen=True)
class SkillOutcome:
    """How a skill ended by itself."""

    ok: bool
    text: str


Motion = Generator[TrajectoryPoint, RobotState, SkillOutcome]
Segment = Generator[TrajectoryPoint, RobotState, RobotState]


def _blend(share: float) -> tuple[float, float]:
    """Cubic blend: position and slope at a share of the motion, at rest on both ends."""
    return share * share * (3.0 - 2.0 * share), 6.0 * share * (1.0 - share)


class Skills:
    """All skills of one arm in one scene."""

    def __init__(self, spec: ArmSpec, scene: Scene, period_s: float, kinematics: Kinematics | None = None) -> None:
        self._spec = spec
        self._solve = (kinematics or PandaKinematics()).solve
        self._scene = scene
        self._period_s = period_s

    # -- segments -------------------------------------------------------------------------------------------

    def _go(self, state: RobotState, pose: ToolPose, gripper_m: float, speed: float = 1.0) -> Segment:
        """Smooth motion in joint space to a tool pose."""
        start, end = state.positions_rad, self._solve(pose)
        deltas = [b - a for a, b in zip(start, end, strict=True)]
        longest = max(abs(d) / v for d, v in zip(deltas, self._spec.velocity_rad_s, strict=True))
        duration = max(0.2, _PEAK * longest / (SPEED_SHARE * speed))
        yield from self._sweep(start, deltas, ceil(duration / self._period_s), gripper_m)
        return (yield from self._stay(end, gripper_m, 1))

    def _sweep(
        self, start: tuple[float, ...], deltas: list[float], ticks: int, gripper_m: float
    ) -> Generator[TrajectoryPoint, RobotState, None]:
        """Cubic blend from ``start`` by ``deltas`` in so many control periods."""
        for tick in range(1, ticks + 1):
            share, slope = _blend(tick / ticks)
            rate = slope / (ticks * self._period_s)
            yield TrajectoryPoint(
                tuple(a + share * d for a, d in zip(start, deltas, strict=True)),
                tuple(rate * d for d in deltas),
                gripper_m,
            )

    def _stay(self, positions: tuple[float, ...], gripper_m: float, ticks: int) -> Segment:
        point = TrajectoryPoint(positions, (0.0,) * self._spec.dof, gripper_m)
        for _ in range(ticks - 1):
            yield point
        return (yield point)

    def _grip(self, state: RobotState, pose: ToolPose, gripper_m: float, ticks: int = 5) -> Segment:
        """Move the fingers with the arm at rest at a pose."""
        return (yield from self._stay(self._solve(pose), gripper_m, ticks))

    # -- skills ---------------------------------------------------------------------------------------------

    def move_to(self, state: RobotState, target: str) -> Motion:
        """Move above a place, keeping the gripper as it is."""
        station = self._scene.station(target)
        grip = 0.0 if self._scene.holding() else self._spec.gripper_open_m
        yield from self._go(state, station.pose(HOVER_M), grip)
        return SkillOutcome(True, f"the gripper is above the {target}")

    def pick(self, state: RobotState, target: str) -> Motion:
        """Take a thing from above and lift it."""
        if self._scene.holding():
            return SkillOutcome(False, f"the gripper already holds the {self._scene.holding()}; place it first")
        station = self._scene.station(target)
        wide = self._spec.gripper_open_m
        state = yield from self._go(state, station.pose(HOVER_M), wide)
        state = yield from self._go(state, station.pose(), wide)
        state = yield from self._grip(state, station.pose(), 0.0)
        yield from self._go(state, station.pose(HOVER_M), 0.0)
        if self._scene.holding() != target:
            return SkillOutcome(False, f"the gripper closed on nothing; the {target} was not picked up")
        return SkillOutcome(True, f"the gripper holds the {target}")

    def place(self, state: RobotState, target: str) -> Motion:
        """Put down what is held at a place and back off."""
        held = self._scene.holding()
        if held is None:
            return SkillOutcome(False, "the gripper holds nothing; pick something up first")
        station = self._scene.station(f"{held}@{target}")
        wide = self._spec.gripper_open_m
        state = yield from self._go(state, station.pose(HOVER_M), 0.0)
        state = yield from self._go(state, station.pose(), 0.0)
        state = yield from self._grip(state, station.pose(), wide, 3)
        yield from self._go(state, station.pose(HOVER_M), wide)
        return SkillOutcome(True, f"the {held} stands at the {target}")

    def press(self, state: RobotState, target: str) -> Motion:
        """Push something down with the closed fingers."""
        if self._scene.holding():
            return SkillOutcome(False, f"the gripper holds the {self._scene.holding()}; place it first")
        station = self._scene.station(target)
        state = yield from self._go(state, station.pose(0.07), 0.0)
        state = yield from self._go(state, station.pose(-0.010), 0.0, 0.7)
        state = yield from self._stay(self._solve(station.pose(-0.010)), 0.0, 2)
        yield from self._go(state, station.pose(0.09), 0.0)
        return SkillOutcome(True, f"the fingers pushed down on the {target}")

    def push(self, state: RobotState, target: str) -> Motion:
        """Push something aside, or hold it off and stay there."""
        station = self._scene.station(f"push@{target}")
        grip = 0.0
        if target == "hand":
            state = yield from self._go(state, station.pose(), grip)
            yield from self._stay(self._solve(station.pose()), grip, ceil(1.0 / self._period_s))
            return SkillOutcome(True, "the gripper is held in the way of the hand")
        beside = self._sideways(station, -0.09)
        state = yield from self._go(state, Station(name="", x=beside.x, y=beside.y, z=0.16).pose(), grip)
        state = yield from self._go(state, beside, grip, 0.8)
        end = self._sideways(station, 0.10)
        state = yield from self._go(state, end, grip, 0.5)
        state = yield from self._go(state, ToolPose(end.x, end.y, 0.20), grip)
        away = self._sideways(station, -0.25)
        yield from self._go(state, ToolPose(away.x, away.y, 0.30), grip)
        return SkillOutcome(True, f"the gripper pushed the {target} aside")

    @staticmethod
    def _sideways(station: Station, offset_m: float) -> ToolPose:
        azimuth = atan2(station.y, station.x)
        return ToolPose(station.x - offset_m * sin(azimuth), station.y + offset_m * cos(azimuth), station.z)

    def pull(self, state: RobotState, target: str) -> Motion:
        """Grasp something and draw it straight up."""
        if self._scene.holding():
            return SkillOutcome(False, f"the gripper holds the {self._scene.holding()}; place it first")
        station = self._scene.station(target)
        wide = self._spec.gripper_open_m
        state = yield from self._go(state, station.pose(0.10), wide)
        state = yield from self._go(state, station.pose(), wide)
        state = yield from self._grip(state, station.pose(), 0.0)
        state = yield from self._go(state, station.pose(0.05), 0.0, 0.6)
        state = yield from self._grip(state, station.pose(0.05), wide, 3)
        yield from self._go(state, station.pose(0.12), wide)
        return SkillOutcome(True, f"the gripper pulled at the {target}")

    def joint_move(self, state: RobotState, positions_rad: tuple[float, ...], duration_s: float) -> Motion:
        """Smooth motion to joint positions within a time, the gripper kept as it is."""
        grip = 0.0 if self._scene.holding() else self._spec.gripper_open_m
        start = state.positions_rad
        deltas = [b - a for a, b in zip(start, positions_rad, strict=True)]
        ticks = max(1, ceil(duration_s / self._period_s))
        yield from self._sweep(start, deltas, ticks, grip)
        return SkillOutcome(True, "the trajectory was executed")

    def wait(self, state: RobotState, seconds: float) -> Motion:
        """Stay still for a while."""
        grip = 0.0 if self._scene.holding() else state.gripper_m
        yield from self._stay(state.positions_rad, grip, max(1, round(seconds / self._period_s)))
        return SkillOutcome(True, f"waited {seconds:g} s")


__all__ = ["Motion", "Scene", "SkillOutcome", "Skills", "Station", "UnreachableError"]
