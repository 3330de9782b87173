"""Kinematics of any arm from its URDF: pinocchio's forward kinematics under a damped least-squares solver.

The solver is Levenberg-Marquardt (Buss, "Introduction to inverse kinematics with Jacobian transpose, pseudoinverse and
damped least squares methods", 2009) with joints held at a limit they would leave. It starts from ``near``, then home,
then seeded random positions, so one pose has one answer on one machine. Positions are in the frame of the URDF's root.

CAVEAT: an answer is a position of the joints, not a way there: nothing here knows of the table, the arm's own links or
cables. The yaw is that of the tool link's own frame; check on your arm which way its fingers close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from math import atan2, cos, isfinite, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redbutton.hardware.config import Arm, BenchError
from redbutton.robots.arms import panda_urdf
from redbutton.robots.calls import did_you_mean
from redbutton.robots.kinematics import ToolPose, UnreachableError

Array = npt.NDArray[np.float64]

POSITION_TOLERANCE_M = 1e-4
ANGLE_TOLERANCE_RAD = 1e-3
SLACK_RAD = 0.2
"""How far an arm with fewer than six joints may miss the wanted direction."""
RESTARTS = 24
"""Random starting positions after ``near`` and home."""
_ITERATIONS = 60
_SEED = 20_240_229
_DONE = 1e-7  # weighted error at which nothing more is to be gained
_METRES = 4.0  # weight of a metre against a radian
_METRES_FEW_JOINTS = 1000.0  # the position comes first where not everything can be had
_BUILTIN = {"builtin:panda": panda_urdf}


def tool_turn(pose: ToolPose) -> Array:
    """Rotation of the tool for ``pose``, (3, 3): z is the approach; without yaw, y lies across the arm's plane."""
    azimuth, pitch, yaw = atan2(pose.y, pose.x), pose.pitch_rad, pose.yaw_rad
    ca, sa, cp, sp, cy, sy = cos(azimuth), sin(azimuth), cos(pitch), sin(pitch), cos(yaw), sin(yaw)
    x, y, z = np.array([-ca * cp, -sa * cp, sp]), np.array([sa, -ca, 0.0]), np.array([sp * ca, sp * sa, cp])
    return np.column_stack([x * cy + y * sy, y * cy - x * sy, z])


class PinKinematics:
    """Kinematics of one arm, for the skills. Every joint that is not in ``arm.joint_names`` is locked.

    With six joints or more a pose is met within ``POSITION_TOLERANCE_M`` and ``ANGLE_TOLERANCE_RAD``. With fewer (an
    SO-101 has five) the position is met and the tool's direction only as nearly as the joints allow, within
    ``SLACK_RAD``; ``forward`` then tells where the tool really points.
    """

    def __init__(self, arm: Arm, urdf: str) -> None:
        self._arm = arm
        self._pin = _pinocchio()
        self._model, self._tool = _reduced(self._pin, arm, urdf)
        self._data = self._model.createData()
        joints = [self._model.joints[self._model.getJointId(name)] for name in arm.joint_names]
        self._q_index = [(joint.idx_q, joint.nq) for joint in joints]
        self._columns = [joint.idx_v for joint in joints]
        self._lower, self._upper = np.array(arm.lower_rad), np.array(arm.upper_rad)
        self._few = len(joints) < 6
        metres = _METRES_FEW_JOINTS if self._few else _METRES
        self._weights = np.array([metres] * 3 + [1.0] * 3)

    @classmethod
    def from_arm(cls, arm: Arm) -> PinKinematics:
        """From the URDF that the bench file names. Raises ``BenchError``."""
        if arm.urdf is None:
            raise BenchError(
                f"the kinematics of {arm.name} need a URDF. Received none. Set arm.urdf to a file, "
                f"or start the arm's robot_state_publisher, which tells it on {arm.robot_description}."
            )
        if arm.urdf.startswith("builtin:"):
            if arm.urdf not in _BUILTIN:
                raise BenchError(f"arm.urdf: known are {', '.join(_BUILTIN)} and files. Received {arm.urdf!r}.")
            return cls(arm, _BUILTIN[arm.urdf]())
        try:
            return cls(arm, Path(arm.urdf).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise BenchError(f"arm.urdf: a URDF is a readable file. Received {arm.urdf!r} ({exc}).") from None

    @classmethod
    def from_text(cls, arm: Arm, text: str) -> PinKinematics:
        """From a URDF's text, as on ``/robot_description``. Raises ``BenchError``."""
        return cls(arm, text)

    # -- forward --------------------------------------------------------------------------------------------

    def forward(self, q: tuple[float, ...]) -> ToolPose:
        """Tool pose of joint positions [rad], pitch within (-pi/2, 3 pi/2].

        A tool that points out of the plane through the base's axis and itself has no ``ToolPose``: its direction is
        then projected into that plane.
        """
        at, turn = self._frame(np.asarray(q, dtype=np.float64))
        azimuth = atan2(at[1], at[0])
        outward = turn[0, 2] * cos(azimuth) + turn[1, 2] * sin(azimuth)
        pitch = (atan2(outward, turn[2, 2]) + pi / 2) % (2 * pi) - pi / 2
        straight = ToolPose(float(at[0]), float(at[1]), float(at[2]), pitch)
        yaw = tool_turn(straight).T @ turn
        return ToolPose(straight.x, straight.y, straight.z, pitch, atan2(yaw[1, 0], yaw[0, 0]))

    def tool_position(self, q: tuple[float, ...]) -> tuple[float, float, float]:
        """Tool centre point [m] of joint positions [rad]."""
        x, y, z = self._frame(np.asarray(q, dtype=np.float64))[0]
        return float(x), float(y), float(z)

    def tool_frame(self, q: tuple[float, ...]) -> tuple[Array, Array]:
        """Position [m], (3,), and rotation, (3, 3), of the tool at joint positions [rad]."""
        at, turn = self._frame(np.asarray(q, dtype=np.float64))
        return at.copy(), turn.copy()

    def _frame(self, q: Array) -> tuple[Array, Array]:
        self._pin.framesForwardKinematics(self._model, self._data, self._configuration(q))
        placement = self._data.oMf[self._tool]
        return placement.translation, placement.rotation

    def _configuration(self, q: Array) -> Array:
        """The model's own vector: its order, and continuous joints as cosine and sine."""
        out = np.zeros(self._model.nq)
        for (index, size), value in zip(self._q_index, q, strict=True):
            out[index] = cos(value) if size == 2 else value
            if size == 2:
                out[index + 1] = sin(value)
        return out

    # -- inverse --------------------------------------------------------------------------------------------

    def solve(self, pose: ToolPose, near: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """Joint positions [rad] within the limits that put the tool at ``pose``. Raises ``UnreachableError``."""
        if not all(map(isfinite, astuple(pose))):
            raise UnreachableError(f"a pose must be finite. Received {pose}")
        at, turn = np.array([pose.x, pose.y, pose.z]), tool_turn(pose)
        best = (np.inf, np.inf)
        for start in self._starts(near):
            q = self._descend(start, at, turn)
            metres, radians = self._miss(q, at, turn)
            if metres <= POSITION_TOLERANCE_M and radians <= (SLACK_RAD if self._few else ANGLE_TOLERANCE_RAD):
                return tuple(map(float, self._unwound(q, self._arm.home_rad if near is None else near)))
            best = min(best, (metres, radians), key=lambda miss: miss[0] * self._weights[0] + miss[1])
        raise UnreachableError(
            f"{self._arm.name} has no joint positions within its limits for {pose}. "
            f"The nearest found miss it by {best[0] * 1e3:.1f} mm and {best[1]:.3f} rad"
        )

    def _starts(self, near: tuple[float, ...] | None) -> Iterator[Array]:
        if near is not None:
            yield np.clip(np.asarray(near, dtype=np.float64), self._lower, self._upper)
        yield np.array(self._arm.home_rad)
        rng = np.random.default_rng(_SEED)
        # Turns beyond half a revolution give nothing new and a long way round.
        low, high = np.maximum(self._lower, -pi), np.minimum(self._upper, pi)
        low, high = np.minimum(low, high), np.maximum(low, high)
        for _ in range(RESTARTS):
            yield rng.uniform(low, high)

    def _descend(self, q: Array, at: Array, turn: Array) -> Array:
        """Levenberg-Marquardt from one start to the nearest minimum within the limits."""
        damping, error = 1e-2, self._error(q, at, turn)
        cost = float(error @ error)
        for _ in range(_ITERATIONS):
            if cost < _DONE**2:
                break
            jacobian = self._jacobian(q)
            gradient = jacobian.T @ error
            # A joint at its limit that is pushed further out takes no part in the step.
            held = ((q <= self._lower) & (gradient < 0)) | ((q >= self._upper) & (gradient > 0))
            jacobian[:, held] = 0.0
            normal = jacobian.T @ jacobian
            step = np.linalg.solve(normal + damping * np.eye(len(q)), np.where(held, 0.0, gradient))
            trial = np.clip(q + step, self._lower, self._upper)
            trial_error = self._error(trial, at, turn)
            trial_cost = float(trial_error @ trial_error)
            if trial_cost < cost:
                settled = cost - trial_cost < 1e-12 * cost
                q, error, cost, damping = trial, trial_error, trial_cost, max(damping / 5.0, 1e-9)
                if settled:
                    break
            elif damping > 1e8:
                break
            else:
                damping *= 6.0
        return q

    def _error(self, q: Array, at: Array, turn: Array) -> Array:
        """Weighted miss of the pose, (6,): metres, then radians about the world's axes."""
        here, now = self._frame(q)
        return np.asarray(self._weights * np.concatenate([at - here, self._pin.log3(turn @ now.T)]))

    def _jacobian(self, q: Array) -> Array:
        aligned = self._pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        full = self._pin.computeFrameJacobian(self._model, self._data, self._configuration(q), self._tool, aligned)
        return np.asarray(self._weights[:, None] * full[:, self._columns])

    def _miss(self, q: Array, at: Array, turn: Array) -> tuple[float, float]:
        error = self._error(q, at, turn) / self._weights
        return float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:]))

    def _unwound(self, q: Array, reference: tuple[float, ...]) -> Array:
        """The same angles without whole turns away from ``reference``, as far as the limits allow."""
        turned = q - 2 * pi * np.round((q - np.asarray(reference)) / (2 * pi))
        return np.asarray(np.where((turned >= self._lower) & (turned <= self._upper), turned, q))


def _pinocchio() -> Any:
    try:
        import pinocchio
    except ImportError:
        raise BenchError(
            "kinematics from a URDF need pinocchio. Received a Python without it: pip install 'redbutton[lab]'"
        ) from None
    return pinocchio


def _reduced(pin: Any, arm: Arm, urdf: str) -> tuple[Any, int]:
    """The model with the arm's joints alone, and the number of the frame at the tool centre point."""
    try:
        model = pin.buildModelFromXML(urdf)
    except (ValueError, RuntimeError) as exc:
        raise BenchError(f"the URDF of {arm.name} cannot be read: {' '.join(str(exc).split())[:200]}") from None
    names = list(model.names)[1:]
    for name in arm.joint_names:
        if name not in names:
            raise BenchError(f"arm.joint_names: {name!r} moves nothing in the URDF.{did_you_mean(name, names)}")
    locked = [model.getJointId(name) for name in names if name not in arm.joint_names]
    model = pin.buildReducedModel(model, locked, pin.neutral(model))
    if not model.existBodyName(arm.tool_link):
        bodies = [frame.name for frame in model.frames if frame.type == pin.FrameType.BODY]
        raise BenchError(f"arm.tool_link: the URDF has no link {arm.tool_link!r}.{did_you_mean(arm.tool_link, bodies)}")
    link = model.getFrameId(arm.tool_link, pin.FrameType.BODY)
    frame = model.frames[link]
    placement = frame.placement * pin.SE3(np.eye(3), np.array(arm.tool_offset_m))
    tool = pin.Frame("tool_centre_point", frame.parentJoint, link, placement, pin.FrameType.OP_FRAME)
    return model, int(model.addFrame(tool))


__all__ = ["ANGLE_TOLERANCE_RAD", "POSITION_TOLERANCE_M", "SLACK_RAD", "PinKinematics", "tool_turn"]
