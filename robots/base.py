"""The ``Robot`` protocol: the few verbs that every arm, simulated or physical, must speak.

Small verbs, features readable while disconnected, and ``command`` returns **what was actually sent**.
Errors: ``RobotError`` and its two kinds below. A conformance suite (``tests/robots``) runs over every implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Protocol, runtime_checkable

from redbutton.estop import StopCategory
from redbutton.robots.arms import ArmSpec


class RobotError(RuntimeError):
    """Raised when a robot cannot do what was asked."""


class NotConnectedError(RobotError):
    """Raised when a verb needs a connection and there is none."""


class InvalidCommandError(RobotError):
    """Raised when a command is not a finite position for every joint."""


@dataclass(frozen=True, slots=True)
class TrajectoryPoint:
    """One point of a joint trajectory, to be reached within one control period."""

    positions_rad: tuple[float, ...]
    velocities_rad_s: tuple[float, ...]
    gripper_m: float
    """Opening between the fingers [m]; smaller than the thing between them means a grasp."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What really went to the drives: the point after clamping, or nothing and the reason."""

    point: TrajectoryPoint | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RobotState:
    """One reading of the arm."""

    positions_rad: tuple[float, ...]
    velocities_rad_s: tuple[float, ...]
    gripper_m: float
    powered: bool

    @property
    def speed_rad_s(self) -> float:
        """Speed of the fastest joint [rad/s]."""
        return max(abs(v) for v in self.velocities_rad_s)


@runtime_checkable
class Robot(Protocol):
    """What the skills and the stop chain need of an arm."""

    @property
    def spec(self) -> ArmSpec:
        """Names and limits, readable while disconnected."""

    @property
    def control_period_s(self) -> float:
        """Time between two commands [s]."""

    def connect(self) -> None:
        """Get ready to read and command. Never moves the arm."""

    def read(self) -> RobotState:
        """Read joints and gripper. Raises ``NotConnectedError``."""

    def command(self, point: TrajectoryPoint) -> Sent:
        """Send one point. Clamps to limits; refuses without power. Raises ``InvalidCommandError``."""

    def hold(self) -> Sent:
        """Stay where the arm is now."""

    def stop(self, category: StopCategory) -> None:
        """Stop by category of IEC 60204-1. Idempotent; a more restrictive one overrides."""

    def enable(self) -> None:
        """Take power again after a stop, holding still. Never moves the arm."""

    def close(self) -> None:
        """Leave the arm holding and let go of it. Safe to call twice."""


def check_point(spec: ArmSpec, point: TrajectoryPoint) -> None:
    """Raise ``InvalidCommandError`` unless every number is there and finite."""
    counts = (len(point.positions_rad), len(point.velocities_rad_s))
    if counts != (spec.dof, spec.dof):
        raise InvalidCommandError(
            f"{spec.name} takes {spec.dof} positions and velocities. Received {counts[0]} and {counts[1]}"
        )
    if not all(map(isfinite, (*point.positions_rad, *point.velocities_rad_s, point.gripper_m))):
        raise InvalidCommandError(f"a command must be finite. Received {point}")


def clamp_point(spec: ArmSpec, point: TrajectoryPoint) -> TrajectoryPoint:
    """The same point inside the arm's position, velocity and gripper limits."""
    return TrajectoryPoint(
        tuple(
            min(max(value, low), high)
            for value, low, high in zip(point.positions_rad, spec.lower_rad, spec.upper_rad, strict=True)
        ),
        tuple(
            min(max(value, -limit), limit)
            for value, limit in zip(point.velocities_rad_s, spec.velocity_rad_s, strict=True)
        ),
        min(max(point.gripper_m, 0.0), spec.gripper_open_m),
    )
