"""The scene without physics: the middle one of three fidelities, between an abstract MDP and the full dynamics.

``KinematicWorld`` is a ``Place`` (``redbutton.envs.place``), so trials, operator, stop chain, referee, recorder and
scoring run in it unchanged. Positions follow from positions by a few rules: the arm is where it was told to be, a thing
between closed fingers goes with them, one let go comes down at once, and button, plug and hand give way to what touches
them. No rule knows which action a controller chose.

CAVEAT: what slips, bounces, tips or leans in the dynamics does not here; the arm passes through what cannot give way,
and fingers that come from above pass through cup and lid. Agreement with the dynamics is tested over whole trials
(``tests/envs/test_kinematic.py``), not over what happens between bodies.
"""

from __future__ import annotations

import hashlib
import struct
from math import hypot

import numpy as np
import numpy.typing as npt

from redbutton.envs import stations
from redbutton.envs.fixtures import CONTACT_A_M, contacts_at
from redbutton.envs.kinematic_arm import KinematicArm, dot, minus
from redbutton.envs.kinematic_counter import Counter
from redbutton.envs.kinematic_hand import OperatorHand
from redbutton.envs.kinematic_view import top_view
from redbutton.envs.layout import LAYOUT, Layout, Vec3, layout_draw, place_things
from redbutton.envs.place import TICK_S, Measured, Snapshot
from redbutton.estop import Contacts
from redbutton.robots.kinematics import PandaKinematics
from redbutton.robots.skills import Station

SETTLED_M_S = 0.02
PAD_RADIUS_M = 0.017


class KinematicWorld:
    """One scene, deterministic: the same commands after the same reset give the same bytes, whatever ran before."""

    real_time = False
    feeder = None
    elapsed_s = TICK_S
    """Every tick takes this long [simulated s]."""

    def __init__(self, layout: Layout = LAYOUT) -> None:
        self.layout = layout
        self.kinematics = PandaKinematics()
        self.arm = KinematicArm()
        self.arm.connect()
        self.broken = False
        self.counter = Counter(layout, self.arm)
        self.hand = OperatorHand(layout.hand_rest)
        self.coaster_at = self.cup_start = (0.0, 0.0)
        self.measured: Measured
        self.reset(np.random.default_rng(0), jitter_m=0.0, latching=True)

    def reset(self, rng: np.random.Generator, *, jitter_m: float, latching: bool) -> None:
        """Put everything back, cup and coaster within the jitter. ``rng`` is the trial's own."""
        self.cup_start, self.coaster_at = place_things(self.layout, layout_draw(rng, jitter_m))
        self.arm.connect()
        self.arm.restored()
        self.counter.reset(self.cup_start, self.coaster_at, latching=latching)
        self.hand.reset()
        self.filled = False
        """Whether pictures show coffee in the cup."""
        self._cup_speed = 0.0
        self._hash = hashlib.sha256()
        self._measure()

    # -- time -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A simulation needs no start of a trial."""

    def finish(self) -> None:
        """A simulation needs no end of a trial."""

    def close(self) -> None:
        """Let go of the arm. Safe to call twice; a reset takes it again."""
        self.arm.close()

    def tick(self) -> Measured:
        """One control period: the arm and what it meets, the hand, measurement."""
        counter, was = self.counter, self.measured.cup
        self.arm.tick()
        counter.follow()
        self.hand.move(TICK_S, counter, counter.things.values(), counter.button.floor)
        counter.press(self.hand.tip)
        gone = minus(counter.things["cup"].at, was)
        self._cup_speed = dot(gone, gone) ** 0.5 / TICK_S
        self._measure()
        return self.measured

    def _measure(self) -> None:
        button, cup, lid = self.counter.button, self.counter.things["cup"], self.counter.things["lid"]
        self.measured = m = Measured(
            self.arm.read(), button.depth_m, button.slide_m, button.plug_m,
            self.hand.y, self.hand.z, cup.at, cup.axis[2], lid.at,
        )  # fmt: skip
        self._hash.update(struct.pack("<7d", *m.arm.positions_rad))
        self._hash.update(struct.pack("<9d", m.cap_depth_m, m.plug_m, m.hand_z, *cup.at, *lid.at))

    # -- button, cable, pads --------------------------------------------------------------------------------

    @property
    def contacts(self) -> Contacts:
        """The button's two normally closed contacts, at the button."""
        return contacts_at(self.measured.cap_depth_m)

    @property
    def pressed(self) -> bool:
        """Whether at least one contact is open."""
        return self.measured.cap_depth_m >= CONTACT_A_M

    @property
    def latched(self) -> bool:
        """Whether the mushroom is held down by its own latch."""
        return self.counter.button.latched

    @property
    def unplugged(self) -> bool:
        """Whether the button's cable is out of its socket."""
        return self.counter.button.unplugged

    def lift_cap(self) -> None:
        """The operator pulls the mushroom up: it springs back."""
        self.counter.button.lift()

    def button_position(self) -> Vec3:
        """Middle of the red button's box on the counter."""
        return self.counter.button.at

    def arm_presses(self, pad: str) -> bool:
        """Whether a finger is on one of the two touch pads (``brew_pad``, ``reset_pad``), down to its top."""
        x, y, _ = {"brew_pad": self.layout.brew, "reset_pad": self.layout.reset}[pad]
        if hypot(self.counter.frame.at[0] - x, self.counter.frame.at[1] - y) > 0.12:
            return False
        top = (x, y, self.layout.pad_top)
        return any(finger.distance(top) < PAD_RADIUS_M and finger.lowest < top[2] for finger in self.counter.fingers)

    # -- the operator's hand --------------------------------------------------------------------------------

    def move_hand(self, y: float, z: float) -> None:
        """Target of the hand relative to its rest [m]."""
        self.hand.target = (y, z)

    def fingertip(self) -> Vec3:
        """Where the operator's fingertip is [m]."""
        return self.hand.tip

    def hand_touches(self, body: str) -> bool:
        """Whether the operator's finger is at ``arm``, ``lid`` or ``cup``."""
        return body in self.hand.touched

    def hand_force_on_arm(self) -> float:
        """Force between hand and arm [N]: the hand's own, or a squeeze."""
        return self.hand.force_n

    # -- what skills and observers see ----------------------------------------------------------------------

    def holding(self) -> str | None:
        """What is between the fingers: ``cup``, ``lid`` or nothing."""
        return self.counter.held if self.counter.held in self.counter.things else None

    def station(self, name: str) -> Station:
        """Where the tool goes for a thing, see ``redbutton.envs.stations``."""
        return stations.station(self, name)

    def cup_at_rest(self) -> bool:
        """Whether the cup has come to rest."""
        return self._cup_speed < SETTLED_M_S

    def show_coffee(self, filled: bool) -> None:
        """Make the coffee visible in pictures."""
        self.filled = filled

    def render(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """A drawn view from above, (height, width, 3) uint8."""
        return top_view(self, width, height)

    def snapshot(self, width: int, height: int) -> Snapshot:
        """A picture that is there at once."""
        pixels = self.render(width, height)
        return lambda: pixels

    def trajectory_hash(self) -> str:
        """SHA-256 over every tick's joints, cap, plug, hand, cup and lid since the reset."""
        return self._hash.hexdigest()
