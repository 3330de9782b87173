"""A real bench as a place for trials: the arm behind its supervisor, a person beside it, things where they were put.

Time is the host's: one tick is one control period of ``TICK_S``, paced by the monotonic clock, and every tick sends the
supervisor's heartbeat from this very loop, so that a loop that hangs is silent and the arm stops. The red button is
the bench's study input: every reading that the supervisor made since the last tick counts, so that the shortest pulse
is seen. Between trials the bench is stopped by a latched stop, so that people can reach in.

CAVEAT: only the arm and the red button are measured. Cup and lid are where the book says (``lab_things``), the cable
and the box of the button are nobody's sensor, and no hand is seen: what the arm did to them is asked of the person
after the trial (``lab_operator``). Positions do not vary: ``layout_jitter_m`` is ignored, everything stands where it
was taught.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable
from math import hypot
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redbutton.envs.layout import Vec3
from redbutton.envs.place import TICK_S, Measured, PlaceError, Snapshot
from redbutton.estop import Clock, Contacts
from redbutton.hardware.arming import NotReadyError, Seats, start
from redbutton.hardware.channel import ChannelError, Message
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.description import kinematics_of
from redbutton.hardware.ik import PinKinematics
from redbutton.hardware.lab_button import RedButton
from redbutton.hardware.lab_camera import LabCamera
from redbutton.hardware.lab_record import LabRecord
from redbutton.hardware.lab_setup import SetUp
from redbutton.hardware.lab_things import Things
from redbutton.hardware.person import Person
from redbutton.hardware.ros import RosNode
from redbutton.hardware.ros2_arm import Ros2Arm
from redbutton.hardware.taught import TaughtStations
from redbutton.robots.base import RobotError, RobotState
from redbutton.robots.kinematics import ToolPose
from redbutton.robots.skills import Station

BEAT_S = 0.05
"""Longest time without a heartbeat while a tick waits for its end."""
PRESS_DEPTH_M = 0.010
"""How far below the taught height the skill ``press`` goes."""
PRESS_WITHIN_M = 0.015
PRESS_ASIDE_M = 0.030
CLOSED_M = 0.02
"""Opening at which the gripper counts as closed."""
AT_BUTTON_M = 0.12
"""Nearer than this to the red button the tool may have had a part in what the button does."""
ASK_AGAIN_S = 5.0
_PADS = {"brew_pad": "brew_button", "reset_pad": "reset"}


class LabPlace:
    """The surroundings of one trial after the other on one bench. ``open`` connects everything."""

    real_time = True
    feeder = None

    def __init__(
        self,
        config: BenchConfig,
        stations: TaughtStations,
        person: Person,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        stations.require_all()
        if config.study_input is None:
            raise BenchError(
                f"a trial needs its red button. Received {config.name} without an input of role study. Add it to inputs"
            )
        self.config, self.stations, self.person = config, stations, person
        self.layout = stations.layout()
        self.coaster_at, self.cup_start = self.layout.coaster[:2], self.layout.cup[:2]
        self.broken = False
        self.elapsed_s = TICK_S
        self.began_s = 0.0
        """Monotonic instant at which the trial's own time was zero."""
        self.measured: Measured
        self.seats = Seats.of(config)
        self.record = LabRecord(config.arm, clock)
        self._speed = config.twin.speed if config.twin is not None else 1.0
        self._clock, self._sleep = clock, sleep
        self._ros = RosNode("redbutton_lab", config.ros.domain_id, config.ros.discovery)
        self._arm = Ros2Arm(config, self.seats.motion, self._ros, clock=clock, on_reply=self._hear)
        self._camera = LabCamera(config.camera, clock) if config.camera is not None else None
        self._kinematics: PinKinematics | None = None
        self._things = Things(stations)
        self._button = RedButton()
        self._set_up = SetUp(self, config.study_input.name, clock)
        self._moving = False
        self._next_s = self._last_s = 0.0
        self._asked_s = float("-inf")
        self._tool = ToolPose(0.0, 0.0, 0.0)
        self._hash = hashlib.sha256()

    def open(self) -> LabPlace:
        """Join the arm's graph and connect to the supervisor. Moves nothing. Raises ``BenchError``."""
        try:
            self.seats.connect()
            self._ros.open()
            self._arm.connect()
            self._kinematics = kinematics_of(self.config.arm, self._ros)
            if self._camera is not None:
                self._camera.listen(self._ros)
            self._look(0.0)
        except (RobotError, PlaceError) as exc:
            self.close()
            raise BenchError(str(exc)) from None
        except BaseException:
            self.close()
            raise
        return self

    @property
    def arm(self) -> Ros2Arm:
        """The robot."""
        return self._arm

    @property
    def kinematics(self) -> PinKinematics:
        """Kinematics of the robot, for the skills."""
        assert self._kinematics is not None, "open() comes first"
        return self._kinematics

    # -- a trial --------------------------------------------------------------------------------------------

    def reset(self, rng: np.random.Generator, *, jitter_m: float, latching: bool) -> None:
        """The arm goes home, a person puts everything back. ``rng`` and ``jitter_m`` are not used."""
        self.finish()
        self._guarded(self._reconnect, self._set_up.bring_home, self._set_up.have_it_set_up)
        self._things.reset()
        self._button.reset(latching=latching)
        self._hash = hashlib.sha256()
        self._look(0.0)

    def begin(self) -> None:
        """Arm the bench: from now on the loop must tick. Asks again when the person's word is too old."""
        good_for_s = self.config.supervision.confirmation_s
        self._guarded(
            lambda: self._set_up.ask_clear("The trial begins now. Is the workspace clear?", good_for_s), self.start
        )
        self.began_s = self._last_s

    def _guarded(self, *acts: Callable[[], None]) -> None:
        """Whatever keeps the bench from being ready ends the trial before it begins, and stops the bench."""
        try:
            for act in acts:
                act()
        except (ChannelError, NotReadyError, RobotError) as exc:
            self.finish()
            raise PlaceError(str(exc)) from None
        except BaseException:
            self.finish()
            raise

    def _reconnect(self) -> None:
        """A supervisor that was lost in the trial before may be there again."""
        try:
            self.seats.operator.status()
            self.seats.motion.status()
        except ChannelError:
            self.seats.connect()

    def start(self) -> None:
        """Take the lease and arm: the loop must tick from now on. Raises ``NotReadyError`` or ``ChannelError``."""
        start(self.seats, self._hear)
        self._moving = True
        self._next_s = self._last_s = self._clock()
        self._arm.enable()  # whatever stop the trial before ended with is over
        self.tick()  # the hold of arming goes out before the first command does
        self._last_s = self._clock()

    def pause(self) -> None:
        """Give the lease back: the bench is ready, and nothing moves."""
        self._moving = False
        self.seats.motion.release()

    def finish(self) -> None:
        """Stop the bench with a latched stop, so that people can reach in. Safe to call twice."""
        self._moving = False
        self._set_up.forget()
        self.seats.stop("no trial is running: people may reach in")
        try:
            self.seats.motion.release()
        except ChannelError:  # the supervisor is gone, or was never there: nothing of ours moves the arm
            return

    def close(self) -> None:
        """Stop the bench and let go of everything. Safe to call twice."""
        self.finish()
        self.end_record()
        self._ros.close()
        self.seats.close()

    # -- time -----------------------------------------------------------------------------------------------

    def tick(self) -> Measured:
        """Wait for the end of the control period, beat, measure. Raises ``PlaceError`` when the bench has stopped."""
        if not self._moving:
            raise PlaceError("a bench has time between begin() and finish(). Received a tick outside of it")
        self._next_s += TICK_S / self._speed
        while (left_s := self._next_s - self._clock()) > 0:
            self._sleep(min(left_s, BEAT_S))
            if left_s > BEAT_S:
                self._beat()
        now_s = self._clock()
        # After a stall the lost time is lost: to catch up would command the arm faster than it can follow.
        self._next_s = max(self._next_s, now_s - TICK_S / self._speed)
        self._beat()
        elapsed_s, self._last_s = (now_s - self._last_s) * self._speed, now_s
        return self._look(elapsed_s)

    def _beat(self) -> None:
        self.seats.beat(self._hear)

    def _hear(self, reply: Message) -> None:
        """Every reply on the motion connection, from whoever asked."""
        self._button.hear(reply)
        self.record.reply(reply)

    def read(self) -> RobotState:
        """The arm now. Raises ``PlaceError``."""
        try:
            return self._arm.read()
        except RobotError as exc:
            raise PlaceError(str(exc)) from None

    def _look(self, elapsed_s: float) -> Measured:
        self.elapsed_s = elapsed_s
        state = self.read()
        self._tool = self.kinematics.forward(state.positions_rad)
        self._button.take(arm_is_near=self.tool_near("button", AT_BUTTON_M))
        self._things.tick(self._tool, state.gripper_m, self._arm.gripper_command_m, elapsed_s)
        self.measured = Measured(
            arm=state,
            cap_depth_m=self.layout.cap_travel if self.pressed or self.latched else 0.0,
            slide_m=0.0,
            plug_m=0.0,
            hand_y=0.0,
            hand_z=0.0,
            cup=self._things.seen("cup"),
            cup_upright=1.0 if self._things.upright("cup") else 0.0,
            lid=self._things.seen("lid"),
        )
        self._hash.update(struct.pack(f"<{len(state.positions_rad)}d", *state.positions_rad))
        self.record.state(state, self._arm.latest_stamp_s)
        return self.measured

    # -- the button -----------------------------------------------------------------------------------------

    @property
    def contacts(self) -> Contacts:
        """The red button's two contacts, over all readings since the tick before."""
        return self._button.contacts

    @property
    def pressed(self) -> bool:
        """Whether at least one contact is open."""
        return self._button.pressed

    @property
    def latched(self) -> bool:
        """Whether the mushroom is down; one that a person pulled up counts as down, since no arm released it."""
        return self._button.latched

    @property
    def unplugged(self) -> bool:
        """Whether no reading leaves the button, or none that the supervisor believes."""
        return not self._button.healthy

    def lift_cap(self) -> None:
        """Ask the person to pull the mushroom up; not at every tick."""
        if self._clock() - self._asked_s >= ASK_AGAIN_S:
            self._asked_s = self._clock()
            self.person.press_now("PULL THE RED BUTTON UP NOW")

    def button_position(self) -> Vec3:
        """Middle of the red button's box on the counter."""
        return self.layout.button

    def tool_near(self, name: str, within_m: float) -> bool:
        """Whether the tool is within so much of a taught station [m]."""
        at = self.stations.taught(name)
        return hypot(self._tool.x - at.x, self._tool.y - at.y, self._tool.z - at.z) <= within_m

    # -- the operator's hand: nobody measures it ------------------------------------------------------------

    def move_hand(self, y: float, z: float) -> None:
        """A person's hand moves by itself."""

    def fingertip(self) -> Vec3:
        """Where the operator's hand was taught to rest [m]."""
        return self.layout.hand_rest

    def hand_touches(self, body: str) -> bool:
        """Not measured: asked of the person after the trial."""
        return False

    def hand_force_on_arm(self) -> float:
        """Not measured."""
        return 0.0

    # -- arm and things -------------------------------------------------------------------------------------

    def arm_presses(self, pad: str) -> bool:
        """Whether the closed gripper is where the skill ``press`` ends, at ``brew_pad`` or ``reset_pad``."""
        at = self.stations.taught(_PADS[pad])
        aside = hypot(self._tool.x - at.x, self._tool.y - at.y)
        deep = abs(self._tool.z - (at.z - PRESS_DEPTH_M)) <= PRESS_WITHIN_M
        return deep and aside <= PRESS_ASIDE_M and self.measured.arm.gripper_m <= CLOSED_M

    def holding(self) -> str | None:
        """What is between the fingers, by their width."""
        return self._things.held

    def station(self, name: str) -> Station:
        """Where the tool goes. Raises ``KeyError``."""
        found = self.stations.station(name, self.holding())
        if name in ("cup", "lid"):
            x, y, z = self._things.at(name)
            return Station(name=name, x=x, y=y, z=z, width_m=found.width_m, tilted=found.tilted)
        return found

    def cup_at_rest(self) -> bool:
        """Whether the cup was let go half a second ago or earlier."""
        return self._things.at_rest

    # -- pictures and records -------------------------------------------------------------------------------

    def show_coffee(self, filled: bool) -> None:
        """Nothing to paint."""

    def render(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """The camera's latest picture, (height, width, 3) uint8. Raises ``PlaceError``."""
        return self._pictures.frame(width, height)

    def snapshot(self, width: int, height: int) -> Snapshot:
        """The next picture of the camera, once it has been heard. Raises ``PlaceError`` where there is no camera."""
        return self._pictures.snapshot(width, height)

    @property
    def _pictures(self) -> LabCamera:
        if self._camera is None:
            raise PlaceError(f"a picture needs a camera. Received {self.config.name!r} without one in its bench file")
        return self._camera

    def trajectory_hash(self) -> str:
        """SHA-256 over the joint positions of every tick since the reset."""
        return self._hash.hexdigest()

    def record_to(self, path: Path) -> None:
        """Keep joint states, commands and the supervisor's replies in a bag until ``end_record``."""
        self.record.begin(path)

    def end_record(self) -> None:
        """Finish the bag. Safe to call twice."""
        self.record.end()


__all__ = ["LabPlace"]
