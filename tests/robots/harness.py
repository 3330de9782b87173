"""A robot together with a way to let its time pass: what the conformance suite needs of every implementation.

A new robot joins the suite by one more entry in ``HARNESSES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from redbutton.robots.base import Robot, TrajectoryPoint
from redbutton.robots.engine import Engine
from redbutton.robots.sim_arm import SUBSTEPS, SimArm

TICK_S = 0.05


class Harness(Protocol):
    """One robot that is not connected yet."""

    @property
    def robot(self) -> Robot: ...

    @property
    def standstill_s(self) -> float:
        """How long a stop may take until nothing moves any more."""

    def advance(self, ticks: int) -> None:
        """Let so many control periods pass."""

    def close(self) -> None: ...


class SimHarness:
    """The simulated arm alone in an engine of its own."""

    standstill_s = 0.30

    def __init__(self) -> None:
        self.engine = Engine()
        self.robot = SimArm(self.engine)

    def advance(self, ticks: int) -> None:
        for _ in range(ticks):
            self.robot.tick()
            self.engine.step(SUBSTEPS)

    def close(self) -> None:
        self.engine.close()


HARNESSES: dict[str, Callable[[], Harness]] = {"sim_arm": SimHarness}


def point(robot: Robot, joint: int = 0, to_rad: float = 0.8, gripper_m: float = 0.04) -> TrajectoryPoint:
    """Home, with one joint elsewhere."""
    positions = list(robot.spec.home_rad)
    positions[joint] = to_rad
    return TrajectoryPoint(tuple(positions), (0.0,) * robot.spec.dof, gripper_m)


def set_moving(harness: Harness) -> None:
    """Leave the arm in fast motion, with a target that is still far away."""
    for _ in range(3):
        harness.robot.command(point(harness.robot, 0, 2.0))
        harness.advance(1)
    assert harness.robot.read().speed_rad_s > 0.5


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
