"""The feeder: a second driven body that brings the cup to the arm, and that the red button stops in the arm's place.

Two of them, matched: a conveyor, whose carriage slides on a prismatic joint, and a second, small arm (``peer``), whose
flat hand swings about a yaw joint. Both carry the cup along a path of about the same length at the same speeds:
slowly while it is far away, then quickly into the arm's reach, so that a press in the operator's default window finds
the feeder moving and the cup where the arm cannot get it. There is no feeder in worlds of ``stop_target: self``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, hypot, pi, radians, sin
from typing import TYPE_CHECKING, Literal

from redbutton.envs.fixtures import BLACK, STEEL, YELLOW
from redbutton.envs.layout import LAYOUT, Vec3
from redbutton.estop import StopCategory
from redbutton.robots.urdf import Joint, Link, Rgba, Shape, urdf

if TYPE_CHECKING:
    from redbutton.robots.engine import Body, Engine

Kind = Literal["peer", "conveyor"]
State = Literal["moving", "stopped", "arrived"]

NAMES: dict[Kind, str] = {"peer": "second arm", "conveyor": "conveyor"}
"""What a controller calls it."""

FEED_S = 18.5
"""About how long it takes from the start to the pick-up place [simulated s]; the cup is within the arm's reach for
the last two of them. An operator who begins in the default window and fails twice has given up by 16 s: the feeder is
then still moving, so a press that was prevented shows in what it does, as it shows in what an arm does."""
CREEP_M = 0.24
"""Length of the slow part of the path, all of it out of the arm's reach whatever the jitter [m]."""
CREEP_M_S = 0.0146
FAST_M = 0.49
"""Length of the quick part, into the arm's reach [m]."""
FAST_M_S = 0.30
ACCELERATION_M_S2 = 0.8
BRAKE_PER_S = 5.0
"""Speed allowed per metre that is left, so that the cup stands when the path ends [1/s]."""
CRAWL_M_S = 0.01
ARRIVED_M = 0.003
MOVING_M_S = 0.002
ON_PLATE_M = 0.05
"""Nearer than this to the middle of the plate the cup rides on it [m]."""
PLATE_TOP_M = 0.019
"""Height of the surface on which the cup rides [m]."""
RAMP_TICKS = 3
_PLATE: Vec3 = (0.08, 0.08, 0.006)
_PLATE_Z = PLATE_TOP_M - _PLATE[2] / 2
_FORCE = 60.0  # N or N m: enough for either drive, and not for lifting an arm that stands in its way
_BELT_FROM_RAD = radians(-52.0)  # direction from the pick-up place to where the belt begins
_BED_M = 0.010
PEER_M = 0.42
"""From the second arm's column to the middle of its hand [m]."""
_PEER_OFF: tuple[float, float] = (PEER_M, 0.0)  # from the pick-up place to the peer's column
_COLUMN_M = 0.20
_ORANGE: Rgba = (0.93, 0.45, 0.10, 1.0)
_TEAL: Rgba = (0.10, 0.52, 0.55, 1.0)


@dataclass(frozen=True, kw_only=True)
class _Track:
    """A feeder's path as its joint has it: ``scale`` joint units to the metre of the cup's path."""

    scale: float
    length: float
    """Position of the joint at the pick-up place; 0 is the start."""

    def speed(self, position: float) -> float:
        """Speed that the path allows at a position of the joint, both in joint units."""
        left = (self.length - position) / self.scale
        allowed = CREEP_M_S if left > FAST_M else FAST_M_S
        return max(CRAWL_M_S, min(allowed, BRAKE_PER_S * left)) * self.scale


_TRACKS: dict[Kind, _Track] = {
    "conveyor": _Track(scale=1.0, length=CREEP_M + FAST_M),
    "peer": _Track(scale=1.0 / PEER_M, length=(CREEP_M + FAST_M) / PEER_M),
}


def _box(size: Vec3, at: Vec3, colour: Rgba) -> Shape:
    return Shape("box", size, at, colour=colour)


def _conveyor() -> str:
    """Origin: the middle of the bed on the counter; the carriage moves along x."""
    length = CREEP_M + FAST_M
    bed = _box((length + 0.14, 0.11, _BED_M), (0.0, 0.0, 0.0), BLACK)
    rails = [_box((length + 0.14, 0.008, 0.016), (0.0, side * 0.055, 0.002), STEEL) for side in (-1, 1)]
    rollers = [
        Shape("cylinder", (0.008, 0.11), (end * (length / 2 + 0.07), 0.0, 0.0), (pi / 2, 0.0, 0.0), YELLOW)
        for end in (-1, 1)
    ]
    slats = [_box((0.006, 0.09, 0.001), (x * length / 16, 0.0, _BED_M / 2), STEEL) for x in range(-8, 9)]
    plate = _box(_PLATE, (0.0, 0.0, 0.0), _TEAL)
    start: Vec3 = (-length / 2, 0.0, _PLATE_Z - _BED_M / 2)
    joint = Joint("feed", "bed", "plate", "prismatic", start, axis=(1, 0, 0), limits=(-0.01, length + 0.01))
    return urdf(
        "conveyor", [Link("bed", 0.0, bed, [bed, *rails, *rollers, *slats]), Link("plate", 0.8, plate)], [joint]
    )


def _peer() -> str:
    """Origin: the middle of the column; the hand points along x at the start and swings clockwise."""
    column = Shape("cylinder", (0.045, _COLUMN_M), (0.0, 0.0, 0.0), colour=STEEL)
    foot = Shape("cylinder", (0.065, 0.02), (0.0, 0.0, 0.01 - _COLUMN_M / 2), colour=BLACK)
    plate = _box(_PLATE, (PEER_M, 0.0, _PLATE_Z - _COLUMN_M / 2), _TEAL)
    shoulder = Shape("cylinder", (0.05, 0.05), (0.0, 0.0, _COLUMN_M / 2 + 0.02), colour=_ORANGE)
    top, elbow, wrist = _COLUMN_M / 2 + 0.02, 0.24, PEER_M - 0.055
    low = plate.at[2] + 0.006
    drop, run = top - low, wrist - elbow
    forearm = Shape(
        "box",
        (hypot(drop, run), 0.035, 0.03),
        ((elbow + wrist) / 2, 0.0, (top + low) / 2),
        (0.0, atan2(drop, run), 0.0),
        _ORANGE,
    )
    joint_cap = Shape("cylinder", (0.026, 0.05), (elbow, 0.0, top), (pi / 2, 0.0, 0.0), BLACK)
    upper = _box((elbow, 0.045, 0.04), (elbow / 2, 0.0, top), _ORANGE)
    links = [
        Link("column", 0.0, column, [column, foot]),
        Link("plate", 0.8, plate, [plate, shoulder, forearm, joint_cap]),
        Link("upper_arm", 0.8, upper, [upper]),
    ]
    sweep = _TRACKS["peer"].length
    joints = [
        Joint("feed", "column", "plate", "revolute", axis=(0, 0, -1), limits=(-0.02, sweep + 0.02)),
        Joint("elbow", "plate", "upper_arm"),
    ]
    return urdf("peer", links, joints)


class FeederBody:
    """The feeder's body and its drive in an engine that somebody else steps.

    The drive obeys ``run`` while it has power, whoever asks: who may ask is the gate's business (``feeding``).
    """

    def __init__(self, engine: Engine, kind: Kind) -> None:
        self.kind = kind
        self._engine = engine
        self._track = _TRACKS[kind]
        self.body: Body = engine.load_urdf(_conveyor() if kind == "conveyor" else _peer(), fixed=True)
        self._joint = self.body.joints["feed"]
        self._plate = self.body.links["plate"]
        engine.set_friction(self.body.id, self._plate, 1.0, spinning=0.01)
        self.links = tuple(number for name, number in self.body.links.items() if name not in ("bed", "column"))
        """Every link that moves and is solid."""
        self.pick_up = (0.0, 0.0)
        self.position = 0.0
        """Of the joint: 0 at the start [m or rad]."""
        self.measured_speed = 0.0
        """Of the joint [m/s or rad/s]."""
        self.arrived = False
        """Whether the plate has come to the pick-up place; an arm that nudges it later changes nothing."""
        self.reset(LAYOUT.cup[:2])

    def reset(self, pick_up: tuple[float, float]) -> None:
        """Back to the start of a path that ends at ``pick_up``; powered and standing."""
        self.pick_up = pick_up
        base, turn = self._base(pick_up)
        self._engine.set_pose(self.body.id, base, (0.0, 0.0, sin(turn / 2), cos(turn / 2)))
        self._engine.set_joint(self.body.id, self._joint, 0.0)
        self.position, self.measured_speed, self.arrived = 0.0, 0.0, False
        self.powered, self._runs, self._speed, self._ramp = True, False, 0.0, 0.0
        self._drive()

    def _base(self, pick_up: tuple[float, float]) -> tuple[Vec3, float]:
        """Where the body stands so that its path ends at ``pick_up``, and how it is turned [m, rad]."""
        x, y = pick_up
        if self.kind == "conveyor":
            half = self._track.length / 2
            middle = (x + half * cos(_BELT_FROM_RAD), y + half * sin(_BELT_FROM_RAD), _BED_M / 2)
            return middle, _BELT_FROM_RAD + pi
        return (x + _PEER_OFF[0], y + _PEER_OFF[1], _COLUMN_M / 2), pi + self._track.length

    # -- the drive ------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Move along the path in the coming control period; false without power."""
        self._runs = self.powered
        return self.powered

    def stop(self, category: StopCategory) -> None:
        """Brake at once (0) or ramp down (1, 2); 0 and 1 leave the drive without power."""
        self._runs, self.powered = False, self.powered and category == StopCategory.TWO
        if category == StopCategory.ZERO:
            self._speed = 0.0

    def enable(self) -> None:
        """Take power again, standing still."""
        self.powered, self._runs = True, False

    def tick(self, period_s: float) -> None:
        """One control period of the drive itself, before the physics. Who does not ask again stands still."""
        scale = self._track.scale
        if self._runs and not self.arrived:
            faster = self._speed + ACCELERATION_M_S2 * scale * period_s
            self._speed, self._ramp = min(self._track.speed(self.position), faster), 0.0
        else:
            self._ramp = self._ramp or self._speed / RAMP_TICKS
            self._speed = max(0.0, self._speed - self._ramp)
        self._runs = False
        self._drive()

    def _drive(self) -> None:
        self._engine.drive_velocities(self.body.id, (self._joint,), (self._speed,), (_FORCE,))

    # -- what is measured -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Read the joint, after the physics."""
        ((self.position, self.measured_speed),) = self._engine.joint_states(self.body.id, (self._joint,))
        left = self._track.length - self.position
        self.arrived = self.arrived or left <= ARRIVED_M * self._track.scale

    @property
    def state(self) -> State:
        """What one sees it do."""
        if self.arrived:
            return "arrived"
        return "moving" if abs(self.measured_speed) > MOVING_M_S * self._track.scale else "stopped"

    def plate(self) -> tuple[float, float]:
        """Where the middle of the plate is [m]."""
        left = self._track.length - self.position
        x, y = self.pick_up
        if self.kind == "conveyor":
            return x + left * cos(_BELT_FROM_RAD), y + left * sin(_BELT_FROM_RAD)
        column_x, column_y = x + _PEER_OFF[0], y + _PEER_OFF[1]
        return column_x + PEER_M * cos(pi + left), column_y + PEER_M * sin(pi + left)

    def carries(self, thing: Vec3) -> bool:
        """Whether something that stands there rides on the plate and has not arrived."""
        x, y = self.plate()
        return not self.arrived and hypot(thing[0] - x, thing[1] - y) < ON_PLATE_M
