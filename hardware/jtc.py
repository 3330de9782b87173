"""What a joint_trajectory_controller does with the messages on its topic, as far as a stop depends on it.

Source: ros2_control, ``joint_trajectory_controller`` (``validate_trajectory_msg``, ``Trajectory::sample``) with its
default parameters: partial goals and a moving last point are refused, a new trajectory replaces the running one, the
last point is held. Splines: cubic where both ends of a segment have velocities, else linear.

CAVEAT: a model, not the controller. It starts a new trajectory from the desired state (the parameter
``interpolate_from_desired_state``; off by default, and then the measured state is taken), plays no accelerations, and
refuses numbers that are not finite, which real drives answer with a fault of their own. No goal tolerances.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

STILL_RAD_S = 1.2e-7
"""Largest velocity of a last point that counts as none: the smallest step of a single-precision float."""

Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Waypoint:
    """One point of a trajectory; ``velocities`` may be empty."""

    time_s: float
    """Seconds from the trajectory's start."""
    positions: Values
    velocities: Values = ()
    accelerations: Values = ()


class JointTrajectoryController:
    """Accepts trajectories and says where the joints should be. All times on the driver's clock [s]."""

    def __init__(self, joint_names: Sequence[str], *, path_tolerance: float = 0.0) -> None:
        """``path_tolerance``: largest distance from the desired position on the way; 0 checks nothing."""
        self._names = tuple(joint_names)
        self._still: Values = (0.0,) * len(self._names)
        self._tolerance = path_tolerance
        self._active = True
        self._start = Waypoint(-inf, self._still, self._still)
        self._ahead: deque[Waypoint] = deque()
        self._desired = self._still, self._still
        self.aborted = ""
        """Why the last trajectory was given up on the way; empty when none was."""

    @property
    def active(self) -> bool:
        """Whether trajectories are accepted."""
        return self._active

    @property
    def moving(self) -> bool:
        """Whether a trajectory still has points ahead."""
        return bool(self._ahead)

    # -- power ----------------------------------------------------------------------------------------------

    def set_to(self, positions: Sequence[float]) -> None:
        """Forget every trajectory and hold there."""
        self._start = Waypoint(-inf, tuple(positions), self._still)
        self._ahead.clear()
        self._desired = self._start.positions, self._still

    def deactivate(self) -> None:
        """Drop every trajectory and accept none."""
        self._active = False
        self.set_to(self._desired[0])

    def activate(self, measured: Sequence[float]) -> None:
        """Accept trajectories again, beginning with a hold at the measured position."""
        self._active = True
        self.set_to(measured)

    # -- trajectories ---------------------------------------------------------------------------------------

    def accept(self, joint_names: Sequence[str], points: Sequence[Waypoint], stamp_s: float, now_s: float) -> str:
        """Take a trajectory in place of the running one, or return why not. ``stamp_s`` 0 means: starts now."""
        reason = self._refusal(tuple(joint_names), points, stamp_s, now_s)
        if reason:
            return reason
        begin = now_s if stamp_s == 0.0 else stamp_s
        order = tuple(tuple(joint_names).index(name) for name in self._names)
        positions, velocities = self.sample(now_s)
        self._start = Waypoint(now_s, positions, velocities)
        self._ahead.clear()
        for point in points:
            # Points in the past are dropped; one that is due now is where the joints should be now.
            if begin + point.time_s >= now_s:
                self._ahead.append(_placed(point, begin, order))
        self.aborted = ""
        return ""

    def _refusal(self, names: tuple[str, ...], points: Sequence[Waypoint], stamp_s: float, now_s: float) -> str:
        if not self._active:
            return "the controller is not active"
        if len(names) != len(self._names):
            return f"a trajectory names all {len(self._names)} joints of the controller. Received {len(names)}"
        if set(names) != set(self._names):
            wrong = next((name for name in names if name not in self._names), "one of them twice")
            return f"a trajectory names each joint of the controller once. Received {wrong}"
        if not points:
            return "a trajectory has points. Received an empty one"
        if stamp_s != 0.0 and stamp_s + points[-1].time_s < now_s:
            late_s = now_s - stamp_s - points[-1].time_s
            return f"a trajectory with a start time ends in the future. Received one that ended {late_s:.3f} s ago"
        if any(abs(velocity) > STILL_RAD_S for velocity in points[-1].velocities):
            return f"the last point is at rest. Received velocities {list(points[-1].velocities)}"
        return self._malformed(points)

    def _malformed(self, points: Sequence[Waypoint]) -> str:
        before_s = -inf
        for index, point in enumerate(points):
            if not point.time_s > before_s:
                return f"times of the points strictly increase. Received {before_s} s and then {point.time_s} s"
            before_s = point.time_s
            if len(point.positions) != len(self._names):
                return f"point {index} needs {len(self._names)} positions. Received {len(point.positions)}"
            for field, values in (("velocities", point.velocities), ("accelerations", point.accelerations)):
                if len(values) not in (0, len(self._names)):
                    return f"point {index} needs {len(self._names)} {field} or none. Received {len(values)}"
            if not all(map(isfinite, (point.time_s, *point.positions, *point.velocities))):
                return f"all numbers are finite. Received point {index}: {point}"
        return ""

    # -- sampling -------------------------------------------------------------------------------------------

    def sample(self, now_s: float, measured: Sequence[float] | None = None) -> tuple[Values, Values]:
        """Desired positions and velocities. With ``measured`` the path tolerance is checked and may end in a hold."""
        ahead = self._ahead
        first = bool(ahead)
        while ahead and now_s >= ahead[0].time_s:
            self._start = ahead.popleft()
        self._desired = _between(self._start, ahead[0], now_s) if ahead else (self._start.positions, self._still)
        if measured is not None and first:
            self._check_path(measured)
        return self._desired

    def _check_path(self, measured: Sequence[float]) -> None:
        if self._tolerance <= 0.0:
            return
        off = max(abs(want - have) for want, have in zip(self._desired[0], measured, strict=True))
        if off > self._tolerance:
            self.set_to(measured)
            self.aborted = f"a joint was {off:.3f} away from its path. The tolerance is {self._tolerance:g}"


def _placed(point: Waypoint, begin_s: float, order: tuple[int, ...]) -> Waypoint:
    """The point at its absolute time, its joints in the controller's order."""
    return replace(
        point,
        time_s=begin_s + point.time_s,
        positions=tuple(point.positions[i] for i in order),
        velocities=tuple(point.velocities[i] for i in order) if point.velocities else (),
    )


def _between(a: Waypoint, b: Waypoint, now_s: float) -> tuple[Values, Values]:
    """Positions and velocities on the segment from ``a`` to ``b``."""
    span, t = b.time_s - a.time_s, max(0.0, now_s - a.time_s)
    if not a.velocities or not b.velocities:
        slopes = tuple((q1 - q0) / span for q0, q1 in zip(a.positions, b.positions, strict=True))
        return tuple(q0 + v * t for q0, v in zip(a.positions, slopes, strict=True)), slopes
    positions, velocities = [], []
    for q0, q1, v0, v1 in zip(a.positions, b.positions, a.velocities, b.velocities, strict=True):
        slope = (q1 - q0) / span
        c2 = (3.0 * slope - 2.0 * v0 - v1) / span
        c3 = (v0 + v1 - 2.0 * slope) / (span * span)
        positions.append(q0 + t * (v0 + t * (c2 + t * c3)))
        velocities.append(v0 + t * (2.0 * c2 + t * 3.0 * c3))
    return tuple(positions), tuple(velocities)
