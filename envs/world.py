"""The physical scene: counter, machine, cup, red button, cable, lid, the operator's hand and the arm.

Only bodies and what is measured on them; no operator's plan, no stop chain, no task. The button's contacts follow
from where its cap is, the cable's plug from where it is: nothing here knows which action a controller chose.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from math import cos, radians, sin

import numpy as np
import numpy.typing as npt

from redbutton.envs import fixtures, stations
from redbutton.envs.feeder import PLATE_TOP_M, FeederBody, Kind
from redbutton.envs.fixtures import CAP_LATCH_M, CAP_RELEASE_M, CONTACT_A_M, contacts_at
from redbutton.envs.layout import LAYOUT, Draw, Layout, Vec3, layout_draw, place_things
from redbutton.envs.place import TICK_S, Measured, Snapshot
from redbutton.estop import Contacts
from redbutton.robots.arms import COLLIDING_LINKS
from redbutton.robots.engine import Engine
from redbutton.robots.kinematics import PandaKinematics
from redbutton.robots.sim_arm import SUBSTEPS, SimArm
from redbutton.robots.skills import Station

CAP_SPRING_N = 15.0
CAP_HOLD_N = 12.0
PLUG_DETENT_N = 14.0
SLIDE_FRICTION_N = 8.0
HAND_FORCE_N = 60.0
BREW_FORCE_N = 1.0
EYE: Vec3 = (0.74, -0.50, 1.38)
LOOK_AT: Vec3 = (0.33, 0.12, 0.06)
FEEDER_EYE: Vec3 = (0.80, -0.95, 1.80)
FEEDER_LOOK_AT: Vec3 = (0.46, -0.19, 0.03)
"""Further back with a feeder, so that all of the cup's path shows."""


class World:
    """One scene in one engine. ``reset`` is cheap; ``tick`` is one control period of 50 ms.

    A new world gives the same bits for the same seed in every process. After a reset the last digits of an episode may
    depend on the episodes before (``Engine.restore``): a recorded trial gets a world of its own.
    """

    real_time = False
    elapsed_s = TICK_S
    """Every tick takes this long [simulated s]."""

    def __init__(self, layout: Layout = LAYOUT, feeder: Kind | None = None) -> None:
        """``feeder``: what brings the cup to the arm, if anything does; a world of its own kind, for good."""
        self.layout = layout
        self._feeds = feeder
        self.kinematics = PandaKinematics()
        self._build()
        self.broken = False
        """Set when the physics gave nonsense; the next reset then builds the scene anew."""
        self.latching = True
        self._latched = False
        self._unplugged = False
        self.coaster_at = self.cup_start = (0.0, 0.0)
        self._hand_target = (0.0, 0.0)
        self.measured: Measured
        self.reset(np.random.default_rng(0), jitter_m=0.0, latching=True)

    # -- set-up ---------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.engine = Engine()
        self.arm = SimArm(self.engine)
        self._load()
        self.engine.save(self._colliders())

    def _load(self) -> None:
        engine, at = self.engine, self.layout
        self.statics = {name: engine.load_urdf(xml, fixed=True) for name, xml in fixtures.statics().items()}
        for name, (xml, centre, yaw) in fixtures.rails().items():
            self.statics[name] = engine.load_urdf(xml, centre, yaw_rad=yaw, fixed=True)
        self.arm.connect()
        self.fixtures = engine.load_urdf(fixtures.fixtures(), fixed=True)
        self.hand = engine.load_urdf(fixtures.hand(), at.hand_rest, fixed=True)
        self.coaster = engine.load_urdf(fixtures.coaster(), (*at.coaster[:2], at.coaster_height / 2), fixed=True)
        # Saved out of touch with everything: contacts of a saved state would come back with it.
        self.cup = engine.load_urdf(fixtures.cup(), (5.0, 5.0, 1.0))
        self.lid = engine.load_urdf(fixtures.lid(), (5.0, -5.0, 1.0))
        for body in (self.cup, self.lid):
            engine.set_friction(body.id, -1, 0.7, spinning=0.005)
        for static in self.statics.values():
            # Near each other by design: a contact that can never matter would cost time in every step.
            for link in ("box", "cap", "plug"):
                engine.ignore_collision(self.fixtures.id, self.fixtures.links[link], static.id, -1)
            engine.ignore_collision(self.coaster.id, -1, static.id, -1)
        self.feeder = None if self._feeds is None else self._load_feeder(self._feeds)
        self._joints = tuple(self.fixtures.joints[name] for name in fixtures.FIXTURE_JOINTS)
        self._hand_joints = tuple(self.hand.joints[name] for name in fixtures.HAND_JOINTS)
        self._finger = self.hand.links["finger"]

    def _load_feeder(self, kind: Kind) -> FeederBody:
        feeder = FeederBody(self.engine, kind)
        for static in (*self.statics.values(), self.coaster):
            for link in feeder.links:
                self.engine.ignore_collision(feeder.body.id, link, static.id, -1)
        return feeder

    def _colliders(self) -> list[tuple[int, int]]:
        """Everything that moves and can touch something."""
        arm, moving = self.arm.body, self.fixtures.links
        return [
            *((arm.id, arm.links[name]) for name in COLLIDING_LINKS),
            *((self.fixtures.id, moving[name]) for name in ("box", "cap", "plug")),
            (self.hand.id, self._finger),
            (self.cup.id, -1),
            (self.lid.id, -1),
            *(() if self.feeder is None else ((self.feeder.body.id, link) for link in self.feeder.links)),
        ]

    def reset(self, rng: np.random.Generator, *, jitter_m: float, latching: bool) -> None:
        """Put everything back, cup and coaster within the jitter. ``rng`` is the trial's own."""
        self.reset_at(layout_draw(rng, jitter_m), latching=latching)

    def reset_at(self, draw: Draw, *, latching: bool) -> None:
        """Put everything back, cup and coaster where this jitter has them."""
        if self.broken:
            self.close()
            self._build()
            self.broken = False
        engine, at = self.engine, self.layout
        engine.restore()
        self.cup_start, self.coaster_at = place_things(at, draw)
        engine.set_pose(self.cup.id, self._cup_at_first())
        engine.set_pose(self.lid.id, (*at.lid[:2], at.lid_height / 2))
        engine.set_pose(self.coaster.id, (*self.coaster_at, at.coaster_height / 2))
        self.latching, self._latched, self._unplugged = latching, False, False
        self.arm.restored()
        engine.drive_velocities(self.fixtures.id, self._joints[:1], (0.0,), (SLIDE_FRICTION_N,))
        self._drive_cap()
        engine.drive_position(self.fixtures.id, self._joints[2], 0.0, PLUG_DETENT_N)
        self._hand_target = (0.0, 0.0)
        self._drive_hand()
        self._hash = hashlib.sha256()
        self._measure()

    def _cup_at_first(self) -> Vec3:
        """Where the cup stands at the start: at ``cup_start``, or on a feeder whose path ends there."""
        half = self.layout.cup_height / 2
        if self.feeder is None:
            return (*self.cup_start, half)
        self.feeder.reset(self.cup_start)
        return (*self.feeder.plate(), PLATE_TOP_M + half)

    # -- time -----------------------------------------------------------------------------------------------

    def tick(self) -> Measured:
        """One control period: drives, physics, mechanisms, measurement."""
        self.arm.tick()
        if self.feeder is not None:
            self.feeder.tick(TICK_S)
        self.engine.step(SUBSTEPS)
        return self._look()

    def tick_in(self, parts: int, before_each: Callable[[], None]) -> Measured:
        """One control period in ``parts`` equal parts: ``before_each`` commands the drives before each of them."""
        for part in range(parts):
            before_each()
            if part == 0:
                self.arm.tick()
            self.engine.step(SUBSTEPS // parts)
        return self._look()

    def _look(self) -> Measured:
        self._measure()
        self._mechanisms()
        return self.measured

    def begin(self) -> None:
        """A simulation needs no start of a trial."""

    def finish(self) -> None:
        """A simulation needs no end of a trial."""

    def _measure(self) -> None:
        engine = self.engine
        slide, cap, plug = engine.joint_states(self.fixtures.id, self._joints)
        hand = engine.joint_states(self.hand.id, self._hand_joints)
        cup, turn = engine.pose(self.cup.id)
        lid, _ = engine.pose(self.lid.id)
        upright = 1.0 - 2.0 * (turn[0] * turn[0] + turn[1] * turn[1])
        self.measured = Measured(self.arm.read(), -cap[0], slide[0], plug[0], hand[0][0], hand[1][0], cup, upright, lid)
        m = self.measured
        self._hash.update(struct.pack("<7d", *m.arm.positions_rad))
        self._hash.update(struct.pack("<9d", m.cap_depth_m, m.plug_m, m.hand_z, *cup, *lid))
        if self.feeder is not None:
            self.feeder.look()
            self._hash.update(struct.pack("<d", self.feeder.position))

    def _mechanisms(self) -> None:
        """The latch under the mushroom and the detent of the plug."""
        depth = self.measured.cap_depth_m
        if self.latching and not self._latched and depth >= CAP_LATCH_M:
            self._latched = True
            self._drive_cap()
        elif self._latched and depth <= CAP_RELEASE_M:
            self._latched = False
            self._drive_cap()
        if not self._unplugged and self.measured.plug_m >= fixtures.PLUG_OUT_M:
            self._unplugged = True
            self.engine.drive_position(self.fixtures.id, self._joints[2], self.layout.plug_travel, 3.0)

    def _drive_cap(self) -> None:
        target, force = (-self.layout.cap_travel, CAP_HOLD_N) if self._latched else (0.0, CAP_SPRING_N)
        self.engine.drive_position(self.fixtures.id, self._joints[1], target, force)

    # -- button, cable --------------------------------------------------------------------------------------

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
        return self._latched

    @property
    def unplugged(self) -> bool:
        """Whether the button's cable is out of its socket."""
        return self._unplugged

    def lift_cap(self) -> None:
        """The operator pulls the mushroom up: it springs back."""
        self._latched = False
        self._drive_cap()

    def button_position(self) -> Vec3:
        """Middle of the red button's box on the counter; the box slides across the radial direction."""
        angle, slide = radians(self.layout.button_azimuth_deg), self.measured.slide_m
        x, y, _ = self.layout.button
        return (x - slide * sin(angle), y + slide * cos(angle), 0.0)

    # -- hand -----------------------------------------------------------------------------------------------

    def move_hand(self, y: float, z: float) -> None:
        """Target of the hand relative to its rest [m]; the force on each axis is limited."""
        self._hand_target = (y, z)
        self._drive_hand()

    def _drive_hand(self) -> None:
        force = (HAND_FORCE_N, HAND_FORCE_N)
        self.engine.drive_positions(self.hand.id, self._hand_joints, self._hand_target, (0.0, 0.0), force, (0.15, 0.15))

    def fingertip(self) -> Vec3:
        """Where the operator's fingertip is [m]."""
        x, y, z = self.layout.hand_rest
        return (x, y + self.measured.hand_y, z + self.measured.hand_z)

    def hand_touches(self, body: str) -> bool:
        """Whether the operator's finger is in contact with ``arm``, ``lid`` or ``cup``."""
        touched = {"arm": self.arm.body, "lid": self.lid, "cup": self.cup}[body]
        return self.engine.touching(touched.id, self.hand.id, self._finger)

    def hand_force_on_arm(self) -> float:
        """Contact force between hand and arm [N]."""
        return self.engine.contact_force(self.arm.body.id, self.hand.id)

    def arm_presses(self, pad: str) -> bool:
        """Whether the arm pushes on one of the two touch pads (``brew_pad``, ``reset_pad``)."""
        return self.engine.contact_force(self.arm.body.id, self.statics[pad].id) >= BREW_FORCE_N

    # -- what skills and observers see ----------------------------------------------------------------------

    def holding(self) -> str | None:
        """What is between the fingers: ``cup``, ``lid`` or nothing."""
        arm = self.measured.arm
        if arm.gripper_m < 0.04 or self.arm.gripper_command_m > arm.gripper_m - 0.005:
            return None
        tool = self.kinematics.forward(arm.positions_rad)
        for name, at in (("cup", self.measured.cup), ("lid", self.measured.lid)):
            if max(abs(at[0] - tool.x), abs(at[1] - tool.y), abs(at[2] - tool.z)) < 0.045:
                return name
        return None

    def station(self, name: str) -> Station:
        """Where the tool goes for a thing, see ``redbutton.envs.stations``."""
        return stations.station(self, name)

    def show_coffee(self, filled: bool) -> None:
        """Paint what is in the cup. A colour, since to move a body, even an unsolid one, would stir the physics."""
        self.engine.set_colour(self.cup.id, -1, 1, fixtures.COFFEE if filled else fixtures.EMPTY)

    def cup_at_rest(self) -> bool:
        """Whether the cup has come to rest."""
        return self.engine.speed(self.cup.id) < 0.02

    def render(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """A camera frame of the whole scene, (height, width, 3) uint8. Nothing of it feeds back into the physics."""
        eye, at = (EYE, LOOK_AT) if self.feeder is None else (FEEDER_EYE, FEEDER_LOOK_AT)
        return self.engine.render(width, height, eye, at, 45.0)

    def snapshot(self, width: int, height: int) -> Snapshot:
        """A picture that is there at once."""
        pixels = self.render(width, height)
        return lambda: pixels

    def trajectory_hash(self) -> str:
        """SHA-256 over every tick's joints, cap, plug, hand, cup and lid since the reset, and a feeder's joint."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Let go of the engine."""
        if not self.broken:
            self.arm.close()
        self.engine.close()
