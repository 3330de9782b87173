"""Kinematics of a Panda-class arm in closed form.

The arm is used in its *planar* family: joints 3 and 5 stay at zero, joint 1 turns the arm's plane towards the target,
and joints 2, 4 and 6 solve that plane exactly. This gives one answer for one pose, the same on every machine, with
no iteration and no seed. Caveat: poses whose approach direction leaves the arm's plane are outside this family.

Derivation from Franka's DH table; checked against the engine's forward kinematics in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, atan2, cos, hypot, isfinite, pi, sin
from typing import Protocol

from redbutton.robots.arms import GEOMETRY, PANDA

DOWN_RAD = pi
"""Pitch of a gripper that points straight down."""


class UnreachableError(ValueError):
    """Raised when no joint position within the limits puts the tool at the wanted pose."""


@dataclass(frozen=True)
class ToolPose:
    """Tool centre point [m] with the approach pitch from vertical-up [rad] and the finger yaw about it [rad]."""

    x: float
    y: float
    z: float
    pitch_rad: float = DOWN_RAD
    yaw_rad: float = 0.0


class Kinematics(Protocol):
    """Tool poses to joint positions and back, for one arm."""

    def solve(self, pose: ToolPose) -> tuple[float, ...]:
        """Joint positions [rad] that put the tool at ``pose``. Raises ``UnreachableError``."""

    def forward(self, q: tuple[float, ...]) -> ToolPose:
        """Tool pose of joint positions [rad]."""


_G = GEOMETRY
_UPPER = hypot(_G.upper_arm, _G.elbow_offset)
_LOWER = hypot(_G.forearm, _G.elbow_offset)
_UPPER_BEND = atan2(_G.elbow_offset, _G.upper_arm)
_LOWER_BEND = atan2(_G.elbow_offset, _G.forearm)
_TOOL = _G.flange + _G.hand_to_tcp


def solve(pose: ToolPose) -> tuple[float, ...]:
    """Joint positions [rad], shape (7,), that put the tool at ``pose``. Raises ``UnreachableError``."""
    if not all(isfinite(v) for v in (pose.x, pose.y, pose.z, pose.pitch_rad, pose.yaw_rad)):
        raise UnreachableError(f"a pose must be finite. Received {pose}")
    b = pose.pitch_rad
    radius = hypot(pose.x, pose.y)
    wrist_r = radius - _G.wrist_offset * -cos(b) - _TOOL * sin(b)
    wrist_z = pose.z - _G.wrist_offset * sin(b) - _TOOL * cos(b) - _G.shoulder_z
    reach = hypot(wrist_r, wrist_z)
    if not abs(_UPPER - _LOWER) < reach < _UPPER + _LOWER:
        raise UnreachableError(
            f"the arm reaches {_UPPER + _LOWER:.3f} m from its shoulder. The wrist would be at {reach:.3f} m"
        )
    elbow = acos((_UPPER**2 + _LOWER**2 - reach**2) / (2 * _UPPER * _LOWER))
    at_shoulder = acos((_UPPER**2 + reach**2 - _LOWER**2) / (2 * _UPPER * reach))
    q2 = atan2(wrist_r, wrist_z) - at_shoulder - _UPPER_BEND
    q4 = elbow - pi - _UPPER_BEND - _LOWER_BEND
    q6 = q2 - q4 + pi - b
    q = (atan2(pose.y, pose.x), q2, 0.0, q4, 0.0, q6, pi / 4 + pose.yaw_rad)
    for name, value, low, high in zip(PANDA.joint_names, q, PANDA.lower_rad, PANDA.upper_rad, strict=True):
        if not low <= value <= high:
            raise UnreachableError(f"{name} would leave its limits [{low:.3f}, {high:.3f}] rad at {value:.3f} rad")
    return q


def forward(q: tuple[float, ...]) -> ToolPose:
    """Tool pose of joint positions [rad] within the planar family (joints 3 and 5 at zero)."""
    a = q[1] - q[3]
    b = a + pi - q[5]
    s2, c2, sa, ca = sin(q[1]), cos(q[1]), sin(a), cos(a)
    radius = (
        _G.upper_arm * s2 + _G.elbow_offset * (c2 - ca) + _G.forearm * sa - _G.wrist_offset * cos(b) + _TOOL * sin(b)
    )
    height = (
        _G.shoulder_z
        + _G.upper_arm * c2
        - _G.elbow_offset * (s2 - sa)
        + _G.forearm * ca
        + _G.wrist_offset * sin(b)
        + _TOOL * cos(b)
    )
    return ToolPose(radius * cos(q[0]), radius * sin(q[0]), height, b, q[6] - pi / 4)


class PandaKinematics:
    """The closed form above as a ``Kinematics``."""

    def solve(self, pose: ToolPose) -> tuple[float, ...]:
        """See ``solve``."""
        return solve(pose)

    def forward(self, q: tuple[float, ...]) -> ToolPose:
        """See ``forward``."""
        return forward(q)
