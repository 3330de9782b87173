"""A Panda-class arm without physics: it is where it was told to be one control period later.

The drives know no torque, only each joint's speed limit. Stops, refusals and clamping are those of ``SimArm``
(``redbutton.robots.sim_arm``); the conformance suite runs over both. ``tool_frame`` is the forward kinematics of all
seven joints, after Franka's DH table; ``redbutton.robots.kinematics`` has the closed form of the planar family alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

from redbutton.envs.layout import Vec3
from redbutton.envs.place import TICK_S
from redbutton.estop import StopCategory
from redbutton.robots.arms import GEOMETRY, PANDA, ArmSpec
from redbutton.robots.base import NotConnectedError, RobotState, Sent, TrajectoryPoint, check_point, clamp_point

RAMP = (1 / 3,)
"""Shares of its speed that the arm still has in the control periods after a stop of category 1 or 2. As ``SimArm``'s
in a trial: the first step of its ramp is over before the next period begins."""
FINGER_SPEED_M_S = 1.0
"""How fast the opening changes. The dynamics' fingers are about as quick, a real gripper is not."""
FINGER: Vec3 = (0.011, 0.006, 0.0265)
"""Half sizes of one finger: across, along the closing direction, along the approach."""
PALM: Vec3 = (0.025, 0.095, 0.030)
"""Half sizes of the hand's box."""
FINGER_BACK_M = GEOMETRY.hand_to_tcp - GEOMETRY.finger_root - FINGER[2]
"""How far the middle of a finger is behind the tool centre."""
PALM_BACK_M = GEOMETRY.hand_to_tcp - PALM[2]
FOREARM_RADIUS_M = 0.052
FOREARM_SPAN_M = (-0.33, -0.09)
"""Ends of the forearm's solid part on the axis of joint 5, from that joint's frame."""

_G = GEOMETRY
_DH = (
    (0.0, 0, _G.shoulder_z),
    (0.0, -1, 0.0),
    (0.0, 1, _G.upper_arm),
    (_G.elbow_offset, 1, 0.0),
    (-_G.elbow_offset, -1, _G.forearm),
    (0.0, 1, 0.0),
    (_G.wrist_offset, 1, _G.flange),
)
"""Per joint: offset a [m], twist in quarter turns, offset d [m] (Craig's convention)."""


def along(point: Vec3, axis: Vec3, by: float) -> Vec3:
    """The point ``by`` further along an axis."""
    return (point[0] + by * axis[0], point[1] + by * axis[1], point[2] + by * axis[2])


def dot(a: Vec3, b: Vec3) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def minus(a: Vec3, b: Vec3) -> Vec3:
    """Difference."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


@dataclass(frozen=True, slots=True)
class Box:
    """A box anywhere: its middle, its three unit axes, its half sizes [m]."""

    at: Vec3
    axes: tuple[Vec3, Vec3, Vec3]
    half: Vec3

    @property
    def lowest(self) -> float:
        """Height of its lowest corner [m]."""
        (x, y, z), (a, b, c) = self.axes, self.half
        return self.at[2] - a * abs(x[2]) - b * abs(y[2]) - c * abs(z[2])

    @property
    def highest(self) -> float:
        """Height of its highest corner [m]."""
        return 2 * self.at[2] - self.lowest

    def reach(self, direction: Vec3) -> float:
        """How far it goes from its middle along a unit direction [m]."""
        (x, y, z), (a, b, c) = self.axes, self.half
        return a * abs(dot(x, direction)) + b * abs(dot(y, direction)) + c * abs(dot(z, direction))

    def distance(self, point: Vec3) -> float:
        """From a point to its surface [m], 0 inside."""
        away, (x, y, z), (a, b, c) = minus(point, self.at), self.axes, self.half
        p, q, r = abs(dot(away, x)) - a, abs(dot(away, y)) - b, abs(dot(away, z)) - c
        outside = (p if p > 0 else 0.0, q if q > 0 else 0.0, r if r > 0 else 0.0)
        return float(dot(outside, outside) ** 0.5)


@dataclass(frozen=True, slots=True)
class ToolFrame:
    """Where the tool is: its centre, and its axes across, along the closing direction and along the approach."""

    at: Vec3
    axes: tuple[Vec3, Vec3, Vec3]
    forearm: tuple[Vec3, Vec3]
    """Ends of the forearm's solid part."""

    def local(self, point: Vec3) -> Vec3:
        """A point in the tool's frame."""
        away = minus(point, self.at)
        x, y, z = self.axes
        return (dot(away, x), dot(away, y), dot(away, z))

    def turned(self, direction: Vec3) -> Vec3:
        """A direction of the tool's frame in the arm's."""
        x, y, z = self.axes
        a, b, c = direction
        return (
            a * x[0] + b * y[0] + c * z[0],
            a * x[1] + b * y[1] + c * z[1],
            a * x[2] + b * y[2] + c * z[2],
        )

    def point(self, local: Vec3) -> Vec3:
        """A point of the tool's frame in the arm's."""
        return along(self.at, self.turned(local), 1.0)

    def fingers(self, width_m: float) -> tuple[Box, Box]:
        """The two fingers at an opening."""
        side = width_m / 2 + FINGER[1]
        left, right = (self.point((0.0, y, -FINGER_BACK_M)) for y in (side, -side))
        return Box(left, self.axes, FINGER), Box(right, self.axes, FINGER)

    def palm(self) -> Box:
        """The box of the hand."""
        return Box(self.point((0.0, 0.0, -PALM_BACK_M)), self.axes, PALM)


def tool_frame(q: tuple[float, ...]) -> ToolFrame:
    """The tool of joint positions [rad], shape (7,): all joints count."""
    x, y, z, at = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
    forearm = (at, at)
    for joint, (a, twist, d) in enumerate(_DH):
        at = along(at, x, a)
        if twist > 0:
            y, z = z, (-y[0], -y[1], -y[2])
        elif twist < 0:
            y, z = (-z[0], -z[1], -z[2]), y
        x, y = _spun(x, y, q[joint])
        at = along(at, z, d)
        if joint == 4:
            forearm = (along(at, z, FOREARM_SPAN_M[0]), along(at, z, FOREARM_SPAN_M[1]))
    x, y = _spun(x, y, -pi / 4)
    return ToolFrame(along(at, z, _G.hand_to_tcp), (x, y, z), forearm)


def _spun(x: Vec3, y: Vec3, angle: float) -> tuple[Vec3, Vec3]:
    c, s = cos(angle), sin(angle)
    return (
        (c * x[0] + s * y[0], c * x[1] + s * y[1], c * x[2] + s * y[2]),
        (c * y[0] - s * x[0], c * y[1] - s * x[1], c * y[2] - s * x[2]),
    )


class KinematicArm:
    """The arm, whose time somebody else lets pass (``tick``)."""

    def __init__(self, spec: ArmSpec = PANDA) -> None:
        self._spec = spec
        self._connected = False
        self.grasp_m = 0.0
        """Width of what is between the fingers [m]: they close no further."""
        self.restored()

    @property
    def spec(self) -> ArmSpec:
        """Names and limits."""
        return self._spec

    @property
    def control_period_s(self) -> float:
        """Time between two commands [s]."""
        return TICK_S

    @property
    def gripper_command_m(self) -> float:
        """Opening commanded last [m]; smaller than the measured one while something is held."""
        return self._gripper_m

    def connect(self) -> None:
        """Get ready; the arm stays where it is, at first at home."""
        self._connected = True

    def restored(self) -> None:
        """Back home at once, powered and holding: the start of an episode."""
        self._positions = self._target = self._spec.home_rad
        self._velocities: tuple[float, ...] = (0.0,) * self._spec.dof
        self._width_m = self._gripper_m = self._spec.gripper_open_m
        self._powered = True
        self._stopped: StopCategory | None = None
        self._ramp: list[tuple[float, ...]] = []
        self.grasp_m = 0.0

    def read(self) -> RobotState:
        """Read joints and gripper."""
        self._check()
        return RobotState(self._positions, self._velocities, self._width_m, self._powered)

    def command(self, point: TrajectoryPoint) -> Sent:
        """Send one point, clamped; refused without power."""
        self._check()
        check_point(self._spec, point)
        if not self._powered:
            return Sent(None, f"the drives have no power after a stop of category {int(self._stopped or 0)}")
        sent = clamp_point(self._spec, point)
        self._ramp = []
        self._target, self._gripper_m = sent.positions_rad, sent.gripper_m
        return Sent(sent)

    def hold(self) -> Sent:
        """Stay where the arm is now, gripper as commanded last."""
        self._check()
        return self.command(TrajectoryPoint(self._positions, (0.0,) * self._spec.dof, self._gripper_m))

    def stop(self, category: StopCategory) -> None:
        """Stop at once (0) or ramp down (1, 2); 0 and 1 leave the drives without power."""
        self._check()
        if self._stopped is not None and self._stopped <= category:
            return
        self._stopped = category
        self._powered = category == StopCategory.TWO
        self._target = self._positions
        shares = RAMP if category != StopCategory.ZERO else ()
        self._ramp = [tuple(share * v for v in self._velocities) for share in shares]

    def enable(self) -> None:
        """Take power again, holding still."""
        self._check()
        self._powered, self._stopped, self._ramp = True, None, []
        self.hold()

    def close(self) -> None:
        """Leave the arm holding."""
        if self._connected and self._powered:
            self.hold()
        self._connected = False

    def tick(self) -> None:
        """One control period: the joints go to their target, each at its speed limit at most; then the fingers."""
        before = self._positions
        if self._ramp:
            rates = self._ramp.pop(0)
            self._target = tuple(
                min(max(q + rate * TICK_S, low), high)
                for q, rate, low, high in zip(before, rates, self._spec.lower_rad, self._spec.upper_rad, strict=True)
            )
        if self._target != before or any(self._velocities):
            self._positions = tuple(map(_towards, before, self._target, self._spec.velocity_rad_s))
            self._velocities = tuple((b - a) / TICK_S for a, b in zip(before, self._positions, strict=True))
        way = FINGER_SPEED_M_S * TICK_S
        self._width_m += min(max(self._gripper_m - self._width_m, -way), way)
        self._width_m = max(self._width_m, self.grasp_m)

    def meet(self, width_m: float) -> None:
        """The fingers have closed on something: they go no further until they are opened."""
        self.grasp_m = self._width_m = width_m

    def _check(self) -> None:
        if not self._connected:
            raise NotConnectedError("the kinematic arm is not connected. Call connect() first")


def _towards(position: float, target: float, limit_rad_s: float) -> float:
    way = limit_rad_s * TICK_S
    return target if abs(target - position) <= way else position + (way if target > position else -way)
