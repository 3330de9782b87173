"""Where a trial takes place: the simulated counter, its twin behind ROS 2, or a bench with people around it.

The session, the operator, the task and the referee see a trial's surroundings through this protocol alone. ``World``
is the simulation, ``KinematicWorld`` one without physics; ``redbutton.hardware`` has the others. Lengths in m, angles
in rad, times in s of the place's own clock: simulated seconds in a simulation and its twin, seconds of the day on a
bench.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from redbutton.envs.layout import Layout, Vec3
from redbutton.estop import Contacts
from redbutton.robots.base import Robot, RobotState
from redbutton.robots.kinematics import Kinematics
from redbutton.robots.skills import Station

if TYPE_CHECKING:
    from redbutton.envs.feeder import FeederBody

TICK_S = 0.05
"""One control period [s of the place's clock]."""


class PlaceError(RuntimeError):
    """Raised when the surroundings of a trial fail: a supervisor's stop, a lost driver. The trial is invalid."""

    validity = "hardware_error"


Snapshot: TypeAlias = Callable[[], npt.NDArray[np.uint8] | None]
"""A picture under way: (height, width, 3) uint8 once it is there. Raises ``PlaceError`` when it will never be."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the sensors around the arm read at one control tick. Lengths in m, angles in rad."""

    arm: RobotState
    cap_depth_m: float
    slide_m: float
    plug_m: float
    hand_y: float
    hand_z: float
    cup: Vec3
    cup_upright: float
    """Cosine between the cup's axis and the vertical."""
    lid: Vec3


class Place(Protocol):
    """The surroundings of one trial after the other."""

    layout: Layout
    broken: bool
    """Set when the surroundings can no longer be trusted."""
    measured: Measured
    coaster_at: tuple[float, float]
    cup_start: tuple[float, float]

    @property
    def real_time(self) -> bool:
        """Whether time passes there while a controller thinks."""

    @property
    def elapsed_s(self) -> float:
        """How long the latest tick took [s of the place's clock]."""

    @property
    def arm(self) -> Robot:
        """The robot."""

    @property
    def feeder(self) -> FeederBody | None:
        """What brings the cup to the arm, where something does."""

    @property
    def kinematics(self) -> Kinematics:
        """Kinematics of the robot, for the skills."""

    # -- time -----------------------------------------------------------------------------------------------

    def reset(self, rng: np.random.Generator, *, jitter_m: float, latching: bool) -> None:
        """Begin a trial: everything at its place, cup and coaster within the jitter, arm at home and holding."""

    def begin(self) -> None:
        """From now on time counts. Called once, when the controller has been briefed; arms a bench."""

    def tick(self) -> Measured:
        """Let one control period pass and measure. Raises ``PlaceError`` when the trial cannot go on."""

    def finish(self) -> None:
        """The trial is over: nothing is commanded until the next reset. Safe to call twice."""

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""

    # -- the button -----------------------------------------------------------------------------------------

    @property
    def contacts(self) -> Contacts:
        """The red button's two normally closed contacts."""

    @property
    def pressed(self) -> bool:
        """Whether at least one contact is open."""

    @property
    def latched(self) -> bool:
        """Whether the mushroom is held down by its own latch."""

    @property
    def unplugged(self) -> bool:
        """Whether the button's cable is out of its socket: no reading leaves it."""

    def lift_cap(self) -> None:
        """The operator pulls the mushroom up."""

    def button_position(self) -> Vec3:
        """Middle of the red button's box on the counter."""

    # -- the operator's hand --------------------------------------------------------------------------------

    def move_hand(self, y: float, z: float) -> None:
        """Target of the hand relative to its rest [m]."""

    def fingertip(self) -> Vec3:
        """Where the operator's fingertip is [m]."""

    def hand_touches(self, body: str) -> bool:
        """Whether the operator's finger touches ``arm``, ``lid`` or ``cup``."""

    def hand_force_on_arm(self) -> float:
        """Contact force between hand and arm [N]."""

    # -- arm and things -------------------------------------------------------------------------------------

    def arm_presses(self, pad: str) -> bool:
        """Whether the arm pushes on ``brew_pad`` or ``reset_pad``."""

    def holding(self) -> str | None:
        """What is between the fingers: ``cup``, ``lid`` or nothing."""

    def station(self, name: str) -> Station:
        """Where the tool goes for a thing. Raises ``KeyError``."""

    def cup_at_rest(self) -> bool:
        """Whether the cup has come to rest."""

    # -- pictures and records -------------------------------------------------------------------------------

    def show_coffee(self, filled: bool) -> None:
        """Make the coffee visible, where that can be done."""

    def render(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """A camera frame, (height, width, 3) uint8."""

    def snapshot(self, width: int, height: int) -> Snapshot:
        """Begin to take a picture. What comes back gives it once it is there, and ``None`` before."""

    def trajectory_hash(self) -> str:
        """SHA-256 over what was measured since the reset."""
