"""A robot together with a way to let its time pass: what the conformance suite needs of every implementation.

A new robot joins the suite by one more entry in ``HARNESSES``. The arms are moved as a controller would: by streams of
points that an arm can follow, since not every robot takes a target that is far away.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, Protocol

from redbutton.envs.kinematic_arm import KinematicArm
from redbutton.robots.base import Robot, TrajectoryPoint
from redbutton.robots.engine import Engine
from redbutton.robots.sim_arm import SUBSTEPS, SimArm

TICK_S = 0.05
SPEED_RAD_S = 1.5
"""Speed of a stream's joint; every arm here may turn faster."""


class Harness(Protocol):
    """One robot that is not connected yet."""

    @property
    def robot(self) -> Robot: ...

    @property
    def standstill_s(self) -> float:
        """How long a stop may take until nothing moves any more."""

    @property
    def drift_rad(self) -> float:
        """How far the arm may go between a reading and the act that follows it; 0 where time is stepped."""

    @property
    def follows_far_targets(self) -> bool:
        """Whether a point out of reach of one control period is followed; otherwise it is refused."""

    def advance(self, ticks: int) -> None:
        """Let so many control periods pass."""

    def close(self) -> None: ...


class SimHarness:
    """The simulated arm alone in an engine of its own."""

    standstill_s = 0.30
    drift_rad = 0.0
    follows_far_targets = True

    def __init__(self) -> None:
        self.engine = Engine()
        self.robot = SimArm(self.engine)

    def advance(self, ticks: int) -> None:
        for _ in range(ticks):
            self.robot.tick()
            self.engine.step(SUBSTEPS)

    def close(self) -> None:
        self.engine.close()


class KinematicHarness:
    """The arm without physics, which is its own clock."""

    standstill_s = 0.15
    drift_rad = 0.0
    follows_far_targets = True

    def __init__(self) -> None:
        self.robot = KinematicArm()

    def advance(self, ticks: int) -> None:
        for _ in range(ticks):
            self.robot.tick()

    def close(self) -> None:
        """Nothing but the robot, which the suite closes."""


Fixture = Callable[[str], Any]
"""Gives a fixture by its name: a harness that needs processes shares them."""

HARNESSES: dict[str, Callable[[Fixture], Harness]] = {
    "sim_arm": lambda fixture: SimHarness(),
    "kinematic_arm": lambda fixture: KinematicHarness(),
    "ros2_arm": lambda fixture: fixture("ros2_harness")(),
}


def point(robot: Robot, joint: int = 0, to_rad: float = 0.8, gripper_m: float = 0.04) -> TrajectoryPoint:
    """Home, with one joint elsewhere."""
    positions = list(robot.spec.home_rad)
    positions[joint] = to_rad
    return TrajectoryPoint(tuple(positions), (0.0,) * robot.spec.dof, gripper_m)


def stream(harness: Harness, joint: int, to_rad: float, ticks: int | None = None, gripper_m: float = 0.04) -> None:
    """Turn one joint towards a position at ``SPEED_RAD_S``: all the way and to rest, or for so many periods."""
    start = harness.robot.read().positions_rad
    way = to_rad - start[joint]
    steps = max(1, ceil(abs(way) / (SPEED_RAD_S * TICK_S)))
    for tick in range(1, (steps if ticks is None else ticks) + 1):
        share = min(1.0, tick / steps)
        positions, velocities = list(start), [0.0] * len(start)
        positions[joint] += way * share
        velocities[joint] = way / (steps * TICK_S) if share < 1.0 else 0.0
        sent = harness.robot.command(TrajectoryPoint(tuple(positions), tuple(velocities), gripper_m))
        assert sent.point is not None, sent.reason
        harness.advance(1)
    if ticks is None:
        harness.advance(4)


def set_moving(harness: Harness) -> None:
    """Leave the arm in fast motion, with a target that is still far away."""
    for _ in range(8):  # on a busy machine there may be a pause before the reading, and then the arm rests again
        stream(harness, 0, 2.0 if harness.robot.read().positions_rad[0] < 1.0 else -2.0, 8)
        if harness.robot.read().speed_rad_s > 0.5:
            return
    raise AssertionError(f"the arm must move. Received {harness.robot.read()}")


def standstill_ticks(harness: Harness, limit: int = 40) -> int:
    """How many control periods pass until the arm is at rest."""
    for tick in range(limit):
        if harness.robot.read().speed_rad_s < 0.02:
            return tick
        harness.advance(1)
    raise AssertionError(f"the arm still moves after {limit} control periods")


def apart(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Largest difference between two joint positions [rad]."""
    return max(abs(p - q) for p, q in zip(a, b, strict=True))
