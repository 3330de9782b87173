"""What the supervisor checks before it lets a command through to the arm.

A command is one point of a joint trajectory and the time it takes. Each rule has a name, under which a refusal is
reported, and is asked in this order: ``sequence``, ``time_stamp``, ``joint_set``, ``not_finite``, ``horizon``,
``position``, ``step``, ``velocity``, ``workspace``. Durations are seconds of the driver, ages seconds of the host.

Velocity is judged three ways, because a driver may begin its interpolation where the arm is or where the last command
put it. The stated velocities keep the limit. Successive targets keep it on average (a leaky bucket: sending faster
than the arm may move wins nothing; a client that was late by ``SLACK_S`` may catch up). And the distance from the
measured position keeps it but for ``FOLLOWING_S``, by which a moving arm may trail its reference.

CAVEAT: a target inside the workspace does not prove that the arm's elbow, or the way there, is. Obstacles and people
are unknown here. These are checks of plausibility for a study, not a certified speed or space limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

from redbutton.hardware.config import Arm, BenchError, Limits, Workspace
from redbutton.hardware.event_log import plain

Joints: TypeAlias = tuple[float, ...]
ToolPosition: TypeAlias = Callable[[Joints], tuple[float, float, float]]

SLACK_S = 0.1
"""How late a client may have been and still catch up [s of the driver]."""
FOLLOWING_S = 0.25
"""How far an arm may trail its reference, as time at the allowed velocity [s of the driver]."""
TOLERANCE = 1.01
"""On velocities: targets are differences of rounded numbers, and a measured start has noise."""


@dataclass(frozen=True, slots=True)
class Command:
    """One point for the arm, joints in the arm's own order; ``gripper_m`` is ``None`` where it stays as it is."""

    names: tuple[str, ...]
    positions_rad: Joints
    velocities_rad_s: Joints
    duration_s: float
    gripper_m: float | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a command goes no further: the rule's name, and a sentence."""

    rule: str
    detail: str


class Checks:
    """The rules of one bench. ``speed``: seconds of the driver in one of the host. Raises ``BenchError``."""

    def __init__(self, arm: Arm, limits: Limits, tool_position: ToolPosition | None, speed: float = 1.0) -> None:
        if limits.workspace is not None and tool_position is None:
            raise BenchError(
                "limits.workspace needs the arm's kinematics. Received none. Give arm.urdf, or leave workspace out."
            )
        self._arm = arm
        self._limits = limits
        self._tool_position = tool_position
        self._pace = Pace(tuple(v * limits.speed_share for v in arm.velocity_rad_s), speed)

    def restart(self) -> None:
        """The arm was told to hold where it is: the next command starts from the measured position."""
        self._pace.restart()

    def sent(self, command: Command, measured_rad: Joints, now_s: float) -> None:
        """The command went out."""
        self._pace.sent(command, measured_rad, now_s)

    def check(self, message: Mapping[str, Any], measured_rad: Joints, now_s: float) -> Command | Refused:
        """The command of ``message``, or the first rule it breaks. Never raises on what a message holds."""
        late = time_stamp(message.get("t_s"), now_s, self._limits.command_age_s)
        command = late or parse(message, self._arm)
        if isinstance(command, Refused):
            return command
        found = (
            horizon(command, self._limits.horizon_s)
            or position(command, self._arm)
            or step(command, measured_rad, self._limits.step_rad)
            or self._pace.check(command, measured_rad, now_s)
            or workspace(command, self._limits.workspace, self._tool_position)
        )
        return found or command


def number(value: Any) -> float | None:
    """``value`` as a finite float, or ``None``. ``bool`` is no number here."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def sequence(value: Any, last: int) -> Refused | None:
    """Numbers rise by at least one."""
    if type(value) is int and value > last:
        return None
    return Refused("sequence", f"seq must be a whole number above {last}. Received {_show(value)}.")


def time_stamp(value: Any, now_s: float, oldest_s: float) -> Refused | None:
    """A command is as old as ``oldest_s`` at most and never from the future."""
    t_s = number(value)
    if t_s is None:
        return Refused("time_stamp", f"t_s must be a time of the monotonic clock. Received {_show(value)}.")
    if 0.0 <= now_s - t_s <= oldest_s:
        return None
    return Refused("time_stamp", f"a command is at most {oldest_s:g} s old. Received one of {now_s - t_s:.3f} s.")


def parse(message: Mapping[str, Any], arm: Arm) -> Command | Refused:
    """All joints of the arm once each, in any order, every number finite."""
    names: Any = message.get("names")
    if type(names) not in (list, tuple) or not all(type(name) is str for name in names):
        return Refused("joint_set", f"names must be a list of joint names. Received {_show(names)}.")
    if len(names) != len(arm.joint_names) or set(names) != set(arm.joint_names):
        return Refused("joint_set", f"a command names {', '.join(arm.joint_names)} once each. Received {_show(names)}.")
    order = [names.index(name) for name in arm.joint_names]
    positions = _numbers(message.get("positions_rad"), order)
    velocities = _numbers(message.get("velocities_rad_s"), order)
    duration = number(message.get("duration_s"))
    gripper = message.get("gripper_m")
    opening = None if gripper is None else number(gripper)
    if positions is None or velocities is None or duration is None or (opening is None and gripper is not None):
        return Refused("not_finite", f"a command has a finite number for each of {len(order)} joints, and a duration.")
    kept = None if arm.gripper.kind == "none" else opening
    return Command(arm.joint_names, positions, velocities, duration, kept)


def _numbers(values: Any, order: list[int]) -> Joints | None:
    if type(values) not in (list, tuple) or len(values) != len(order):
        return None
    found = [number(values[i]) for i in order]
    return None if None in found else tuple(v for v in found if v is not None)


def horizon(command: Command, longest_s: float) -> Refused | None:
    """A command covers little time: that is what still moves when everything else fails."""
    if 0.0 < command.duration_s <= longest_s:
        return None
    return Refused("horizon", f"duration_s must be above 0 and at most {longest_s:g}. Received {command.duration_s:g}.")


def position(command: Command, arm: Arm) -> Refused | None:
    """Joints and gripper stay within the arm's own limits."""
    limits = zip(arm.joint_names, command.positions_rad, arm.lower_rad, arm.upper_rad, strict=True)
    for name, value, low, high in limits:
        if not low <= value <= high:
            return Refused("position", f"{name} must be within {low:g} and {high:g} rad. Received {value:g}.")
    opening, widest = command.gripper_m, arm.gripper.open_m
    if opening is not None and not 0.0 <= opening <= widest:
        return Refused("position", f"gripper_m must be within 0 and {widest:g}. Received {opening:g}.")
    return None


def step(command: Command, measured_rad: Joints, largest_rad: float) -> Refused | None:
    """A target is near to where the arm is: nothing from before a stop may throw it back there."""
    pairs = zip(command.names, command.positions_rad, measured_rad, strict=True)
    name, far = max(((name, abs(target - at)) for name, target, at in pairs), key=lambda pair: pair[1])
    if far <= largest_rad:
        return None
    return Refused("step", f"{name} may be sent {largest_rad:g} rad away from where it is. Received {far:.3f}.")


def workspace(command: Command, box: Workspace | None, tool_position: ToolPosition | None) -> Refused | None:
    """The tool's centre point stays in the box. What cannot be computed counts as outside."""
    if box is None or tool_position is None:
        return None
    try:
        x, y, z = tool_position(command.positions_rad)
    except Exception as exc:  # noqa: BLE001 - fail closed: whatever breaks in there, the command is refused
        return Refused("workspace", f"the tool's position cannot be computed ({type(exc).__name__}).")
    if all(low <= value <= high for value, (low, high) in zip((x, y, z), (box.x, box.y, box.z), strict=True)):
        return None
    return Refused("workspace", f"the tool must stay in the workspace. Received ({x:.3f}, {y:.3f}, {z:.3f}) m.")


class Pace:
    """How fast successive targets move. ``limit_rad_s``: what each joint is allowed."""

    def __init__(self, limit_rad_s: Joints, speed: float = 1.0) -> None:
        self._limit_rad_s = limit_rad_s
        self._speed = speed
        self._target: Joints | None = None
        self._ahead_s = 0.0
        self._at_s = 0.0

    def restart(self) -> None:
        """Forget the targets so far."""
        self._target = None

    def _lead_s(self, now_s: float) -> float:
        """By how many seconds of motion at the limit the targets are ahead of the time that has passed."""
        if self._target is None:
            return 0.0
        return max(-SLACK_S, self._ahead_s - (now_s - self._at_s) * self._speed)

    def _cost_s(self, target: Joints, start: Joints) -> float:
        """How long the way takes at the limit."""
        return max(abs(t - s) / limit for t, s, limit in zip(target, start, self._limit_rad_s, strict=True))

    def check(self, command: Command, measured_rad: Joints, now_s: float) -> Refused | None:
        """Stated velocities, the way from the last target, the way from the measured position."""
        stated = max(abs(v) / limit for v, limit in zip(command.velocities_rad_s, self._limit_rad_s, strict=True))
        if stated > TOLERANCE:
            return Refused("velocity", f"a stated velocity is {stated:.2f} times what this bench allows.")
        way_s = self._cost_s(command.positions_rad, self._target or measured_rad)
        if self._lead_s(now_s) + way_s > command.duration_s * TOLERANCE:
            return Refused("velocity", f"the target needs {way_s:.3f} s at this bench's speed. {_given(command)}")
        trail_s = self._cost_s(command.positions_rad, measured_rad)
        if trail_s > command.duration_s + FOLLOWING_S:
            return Refused("velocity", f"the arm is {trail_s:.3f} s behind at this bench's speed. {_given(command)}")
        return None

    def sent(self, command: Command, measured_rad: Joints, now_s: float) -> None:
        """The command went out: its target is the start of the next."""
        way_s = self._cost_s(command.positions_rad, self._target or measured_rad)
        self._ahead_s = self._lead_s(now_s) + way_s
        self._target, self._at_s = command.positions_rad, now_s


def _given(command: Command) -> str:
    return f"Received {command.duration_s:g} s for it. Send nearer targets."


def _show(value: Any) -> str:
    return repr(plain(value))[:80]


__all__ = ["Checks", "Command", "Joints", "Pace", "Refused", "ToolPosition"]
