"""What is sent to the arm's controllers, as plain values, and their ROS messages.

Every trajectory ends at rest. The joint_trajectory_controller of ros2_control refuses one that does not
(``allow_nonzero_velocity_at_trajectory_end``), one that is empty, and one that lies in the past. So a hold is one point
at the measured position, and a command for one control period is followed by a ramp down to rest: should the supervisor
die, the arm comes to rest by itself. ``header.stamp`` stays 0: begin on arrival.

CAVEAT: the ramp comes after the command's own duration, so what still moves when everything else fails lasts up to
twice ``limits.horizon_s``. Between two points the controller interpolates (cubic, as positions and velocities are
given). The ramp's deceleration is ``velocity / brake_s``; nothing here knows what the arm's drives can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redbutton.hardware.config import Arm, Gripper


@dataclass(frozen=True, slots=True)
class Point:
    """Where the joints are at ``t_s`` after arrival [rad, rad/s, s]."""

    positions: tuple[float, ...]
    velocities: tuple[float, ...]
    t_s: float


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Points in the order of time, joints in the controller's order."""

    joint_names: tuple[str, ...]
    points: tuple[Point, ...]


def hold(arm: Arm, positions_rad: Sequence[float], after_s: float = 0.0) -> Trajectory:
    """Be at rest at ``positions_rad``, at once or ``after_s`` later."""
    positions = _one_a_joint(arm, positions_rad, "positions_rad")
    return Trajectory(arm.joint_names, (Point(positions, (0.0,) * len(positions), after_s),))


def motion(
    arm: Arm,
    positions_rad: Sequence[float],
    velocities_rad_s: Sequence[float],
    duration_s: float,
    brake_s: float | None = None,
) -> Trajectory:
    """Reach the target after ``duration_s``, then ramp down to rest within ``brake_s`` (default: as long again)."""
    positions = _one_a_joint(arm, positions_rad, "positions_rad")
    velocities = _one_a_joint(arm, velocities_rad_s, "velocities_rad_s")
    brake_s = duration_s if brake_s is None else brake_s
    if not (duration_s > 0.0 and brake_s > 0.0):
        raise ValueError(f"duration_s and brake_s must be > 0. Received {duration_s!r} and {brake_s!r}")
    rest = tuple(
        min(max(p + v * brake_s / 2.0, low), high)
        for p, v, low, high in zip(positions, velocities, arm.lower_rad, arm.upper_rad, strict=True)
    )
    still = (0.0,) * len(rest)
    return Trajectory(
        arm.joint_names, (Point(positions, velocities, duration_s), Point(rest, still, duration_s + brake_s))
    )


def _one_a_joint(arm: Arm, values: Sequence[float], name: str) -> tuple[float, ...]:
    if len(values) != len(arm.joint_names):
        raise ValueError(f"{name} needs {len(arm.joint_names)} numbers, one a joint. Received {len(values)}")
    return tuple(float(v) for v in values)


def gripper_joint(gripper: Gripper, opening_m: float) -> float:
    """Position of the gripper's joint at this opening between the fingers."""
    return min(max(opening_m, 0.0), gripper.open_m) * gripper.joint_per_m + gripper.joint_offset


def gripper_opening(gripper: Gripper, joint: float) -> float:
    """Opening between the fingers [m] at this position of the gripper's joint."""
    return (joint - gripper.joint_offset) / gripper.joint_per_m


# -- ROS messages -------------------------------------------------------------------------------------------


def trajectory_message(trajectory: Trajectory) -> Any:
    """The ``trajectory_msgs/msg/JointTrajectory`` of a trajectory, stamp 0."""
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    points = []
    for point in trajectory.points:
        message = JointTrajectoryPoint(positions=point.positions, velocities=point.velocities)
        set_duration(message.time_from_start, point.t_s)
        points.append(message)
    return JointTrajectory(joint_names=list(trajectory.joint_names), points=points)


def gripper_message(gripper: Gripper, opening_m: float, duration_s: float) -> Any:
    """What goes to the gripper's topic for an opening [m]: by kind ``trajectory`` or ``positions``."""
    joint = gripper_joint(gripper, opening_m)
    if gripper.kind == "trajectory":
        # One point without velocities: a gripper's controller need not have a velocity interface.
        assert gripper.joint is not None
        return trajectory_message(Trajectory((gripper.joint,), (Point((joint,), (), duration_s),)))
    if gripper.kind == "positions":
        from std_msgs.msg import Float64MultiArray

        return Float64MultiArray(data=[joint])
    raise ValueError(f"a gripper's topic message needs kind trajectory or positions. Received {gripper.kind!r}")


def gripper_type(gripper: Gripper) -> Any:
    """The message type of the gripper's topic."""
    if gripper.kind == "trajectory":
        from trajectory_msgs.msg import JointTrajectory

        return JointTrajectory
    from std_msgs.msg import Float64MultiArray

    return Float64MultiArray


def set_duration(message: Any, seconds: float) -> None:
    """Fill a ``builtin_interfaces/msg/Duration``."""
    whole = int(seconds)
    nanoseconds = round((seconds - whole) * 1e9)
    if nanoseconds == 1_000_000_000:
        whole, nanoseconds = whole + 1, 0
    message.sec, message.nanosec = whole, nanoseconds


__all__ = [
    "Point",
    "Trajectory",
    "gripper_joint",
    "gripper_message",
    "gripper_opening",
    "gripper_type",
    "hold",
    "motion",
    "set_duration",
    "trajectory_message",
]
