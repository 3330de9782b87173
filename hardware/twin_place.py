"""The twin as a place for trials: the scene as it tells of it, the arm and the red button by the way of the hardware.

The arm is a ``Ros2Arm`` behind the supervisor, as on a bench. The red button's contacts come from the supervisor's
readings of the relay, every one since the last tick, so that the shortest pulse is seen. What a bench has people for is
done by commands to the twin: the hand, the reset of the counter, and the operator's reset and arming, which a rehearsal
may do by itself because nobody stands near.

CAVEAT: what a lab has no sensors for (where the cup is, forces on the hand) comes from the twin's own topic: nothing is
learnt here about perception. Time is the twin's, and passes while a controller thinks.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redbutton.envs import stations
from redbutton.envs.layout import layout_draw, place_things
from redbutton.envs.place import TICK_S, Measured, PlaceError, Snapshot
from redbutton.estop import Clock, Contacts
from redbutton.hardware.arming import NotReadyError, Seats, input_levels, start
from redbutton.hardware.channel import ChannelError, Message
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.lab_record import LabRecord
from redbutton.hardware.ros import RosNode
from redbutton.hardware.ros2_arm import Ros2Arm
from redbutton.hardware.twin_link import Scene, TwinLink
from redbutton.hardware.twin_view import TwinView
from redbutton.robots.base import RobotError, RobotState
from redbutton.robots.kinematics import PandaKinematics
from redbutton.robots.skills import Station

BEAT_S = 0.025
"""Longest time without a heartbeat while a tick waits for its scene [s of the host]."""
READY_WITHIN_S = 10.0
"""How long discovery, a reset or the arm's coming to rest may take [s of the host]."""
AT_HOME_RAD = 0.02


class TwinPlace(TwinView):
    """The twin's surroundings of one trial after the other. ``open`` connects everything."""

    real_time = True
    feeder = None
    broken = False

    def __init__(self, config: BenchConfig, clock: Clock = time.monotonic) -> None:
        """Raises ``BenchError`` for a bench that is no rehearsal or has no red button."""
        if config.twin is None or config.study_input is None:
            missing = "a twin" if config.twin is None else "an input of role study"
            raise BenchError(
                f"a rehearsal needs a twin and an input of role study. Received {config.name!r} without {missing}."
            )
        super().__init__()
        self.config = config
        self.kinematics = PandaKinematics()
        self.coaster_at = self.cup_start = (0.0, 0.0)
        self.elapsed_s = TICK_S
        self._red = config.study_input.name
        self._period_s = TICK_S / config.twin.speed
        self._scene_within_s = config.twin.scene_timeout_s
        self._clock = clock
        self._ros = RosNode("redbutton_rehearsal", config.ros.domain_id, config.ros.discovery)
        self._seats = Seats.of(config)
        self._arm = Ros2Arm(config, self._seats.motion, self._ros, clock=clock, on_reply=self._heard)
        self._twin = TwinLink(config)
        self._record = LabRecord(config.arm, clock)
        self._armed = False
        self._hand: tuple[float, float] | None = None
        self._hash = hashlib.sha256()

    def open(self) -> TwinPlace:
        """Join the arm's graph and connect to the supervisor. Moves nothing. Raises ``BenchError``."""
        try:
            self._seats.connect()
            self._ros.open()
            self._twin.listen(self._ros)
            self._arm.connect()
            self._wait(lambda: self._twin.ready, READY_WITHIN_S, "the twin must be heard in the arm's graph")
            self._see_anew()
        except (RobotError, PlaceError) as exc:
            self.close()
            raise BenchError(str(exc)) from None
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        self.finish()
        self._ros.close()
        self._seats.close()

    @property
    def arm(self) -> Ros2Arm:
        """The robot."""
        return self._arm

    # -- a trial --------------------------------------------------------------------------------------------

    def reset(self, rng: np.random.Generator, *, jitter_m: float, latching: bool) -> None:
        """The rehearsal's operator clears up: arm home, everything at its place, the stop lowered."""
        self.finish()
        draw = layout_draw(rng, jitter_m)
        try:
            self._reconnect()
            # A hold that is still being repeated would send the arm back to where it was before the reset.
            self._ready(lambda: self._status().get("settled") is True, "the arm must come to rest")
            self._ask("reset", jitter=draw, latching=latching)
            self._ready(self._at_home, "the arm must be at home after a reset")
            self._ready(self._released, "the red button must read as released after a reset")
            self._lower_stop()
        except (ChannelError, NotReadyError) as exc:
            raise PlaceError(str(exc)) from None
        self.cup_start, self.coaster_at = place_things(self.layout, draw)
        self._hand = None
        self._hash = hashlib.sha256()
        self._contacts = Contacts(True, True)  # as the supervisor has just read it
        self._readings.clear()
        self._see_anew()

    def _reconnect(self) -> None:
        """A supervisor that was lost in the trial before may be back."""
        try:
            self._status()
            self._hear(self._seats.motion.beat())
        except ChannelError:
            self._seats.connect()

    def _status(self) -> Message:
        return self._seats.operator.status()

    def _at_home(self) -> bool:
        pairs = zip(self._read().positions_rad, self.config.arm.home_rad, strict=True)
        return max(abs(at - home) for at, home in pairs) <= AT_HOME_RAD

    def _released(self) -> bool:
        return input_levels(self._status(), self._red) == (True, True, True)

    def _lower_stop(self) -> None:
        """The operator's reset, by itself. Raises ``NotReadyError`` with the supervisor's reasons."""
        operator = self._seats.operator
        if self._status().get("state") != "stopped":
            return
        reply: Message = {}

        def asked() -> bool:
            reply.update(operator.reset_request())
            return reply["ok"] is True

        # An arm that comes to rest and a contact that has just closed take their time; what stands is told at the end.
        with contextlib.suppress(PlaceError):
            self._ready(asked, "a reset must be possible")
        if reply["ok"] is True:
            reply = operator.reset(reply["code"])
        if reply["ok"] is not True:
            raise NotReadyError(f"the supervisor's stop must be lowered. Received: {reply.get('reason')}")

    def begin(self) -> None:
        """Arm the bench: from now on the loop must tick."""
        try:
            self._lower_stop()  # a stop since the reset has another cause than the trial
            start(self._seats, self._hear)
            self._armed = True
            self._beat()  # the hold of arming goes out before the first command does
            self._arm.enable()  # a stop of the trial before may have taken the power
        except (ChannelError, NotReadyError, RobotError) as exc:
            self.finish()
            raise PlaceError(str(exc)) from None
        self._forget_pulses()
        self._see_anew()

    def finish(self) -> None:
        """Give the motion lease back: the arm holds, and nothing moves before the next ``begin``."""
        armed, self._armed = self._armed, False
        if armed:
            try:
                self._seats.motion.release()
            except ChannelError:  # the supervisor is gone: the arm was held without us
                return

    # -- time -----------------------------------------------------------------------------------------------

    def tick(self) -> Measured:
        """The next scene. Raises ``PlaceError`` when the bench has stopped or the twin is silent."""
        if not self._armed:
            raise PlaceError("a bench moves between begin() and finish(). Received a tick outside")
        self._beat()
        return self._next()

    def _next(self) -> Measured:
        within_s = max(self._scene_within_s, 4 * self._period_s)
        self._wait(lambda: self._twin.waiting > 0, within_s, "the twin must tell of its scene")
        return self._look(self._twin.take())

    def _see_anew(self) -> None:
        """Look at a scene that was measured after now; it begins a new count of time."""
        self._twin.forget()
        self._scene = {}
        self._next()

    def _wait(self, condition: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait for what the twin tells, heart beating while armed. Raises ``PlaceError``."""
        deadline_s = self._clock() + within_s
        while not condition():
            if self._clock() > deadline_s:
                raise PlaceError(f"{what} within {within_s:g} s. Received nothing of the kind")
            self._twin.rest(BEAT_S)
            if self._armed:
                self._beat()

    def _ready(self, condition: Callable[[], bool], what: str) -> None:
        self._wait(condition, READY_WITHIN_S, what)

    def _ask(self, do: str, **fields: object) -> int:
        """A command to the twin, and its answer. Raises ``PlaceError``."""
        number = self._twin.send(do, expect=True, **fields)
        said: list[str] = []

        def answered() -> bool:
            answer = self._twin.answer(number)
            said.extend(() if answer is None else (answer,))
            return bool(said)

        self._ready(answered, f"the twin must answer to {do!r}")
        if said[0]:
            raise PlaceError(f"the twin must carry out {do!r}. Received: {said[0]}")
        return number

    def _heard(self, reply: Message) -> None:
        self._record.reply(reply)
        self._hear(reply)

    def _beat(self) -> None:
        self._seats.beat(self._heard)

    def _read(self) -> RobotState:
        try:
            return self._arm.read()
        except RobotError as exc:
            raise PlaceError(str(exc)) from None

    def _look(self, scene: Scene) -> Measured:
        self.elapsed_s = scene["t_s"] - self._scene.get("t_s", scene["t_s"])
        self._scene = scene
        self._take_readings()
        (cx, cy, cz), (lx, ly, lz) = scene["cup"], scene["lid"]
        self.measured = m = Measured(
            arm=self._read(),
            cap_depth_m=scene["cap_depth_m"],
            slide_m=scene["slide_m"],
            plug_m=scene["plug_m"],
            hand_y=scene["hand_y"],
            hand_z=scene["hand_z"],
            cup=(cx, cy, cz),
            cup_upright=scene["cup_upright"],
            lid=(lx, ly, lz),
        )
        self._record.state(m.arm, self._arm.latest_stamp_s)
        self._hash.update(struct.pack("<7d", *m.arm.positions_rad))
        self._hash.update(struct.pack("<9d", m.cap_depth_m, m.plug_m, m.hand_z, *m.cup, *m.lid))
        return m

    def station(self, name: str) -> Station:
        """Where the tool goes for a thing, see ``redbutton.envs.stations``. Raises ``KeyError``."""
        return stations.station(self, name)

    # -- the people of a rehearsal ---------------------------------------------------------------------------

    def lift_cap(self) -> None:
        """The operator pulls the mushroom up."""
        self._twin.send("lift_cap")

    def move_hand(self, y: float, z: float) -> None:
        """Target of the hand relative to its rest [m]."""
        if (y, z) != self._hand:
            self._hand = (y, z)
            self._twin.send("hand", y=y, z=z)

    # -- pictures and records -------------------------------------------------------------------------------

    def show_coffee(self, filled: bool) -> None:
        """Paint what is in the cup."""
        self._twin.send("coffee", filled=filled)

    def render(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """A camera frame, (height, width, 3) uint8. Raises ``PlaceError`` where there is no camera or no picture."""
        take = self.snapshot(width, height)
        found: list[Any] = []

        def came() -> bool:
            found.append(take())
            return found[-1] is not None

        assert self.config.camera is not None
        self._wait(came, self.config.camera.timeout_s, "a picture must come")
        pixels: npt.NDArray[np.uint8] = found[-1]
        return pixels

    def snapshot(self, width: int, height: int) -> Snapshot:
        """Ask the camera for a picture and go on. Raises ``PlaceError`` where there is no camera."""
        if self.config.camera is None:
            raise PlaceError(f"a picture needs a camera. Received {self.config.name!r} without one in its bench file")
        number = self._twin.send("frame", expect=True, width=width, height=height)

        def take() -> npt.NDArray[np.uint8] | None:
            refused = self._twin.answer(number)
            if refused:
                raise PlaceError(f"the twin must take a picture. Received: {refused}")
            image = self._twin.picture(number)
            if image is None:
                return None
            return np.frombuffer(image.data, dtype=np.uint8).reshape(height, width, 3).copy()

        return take

    def record_to(self, path: Path) -> None:
        """Keep joint states, commands and the supervisor's replies in a bag until ``end_record``."""
        self._record.begin(path)

    def end_record(self) -> None:
        """Finish the bag. Safe to call twice."""
        self._record.end()

    def trajectory_hash(self) -> str:
        """SHA-256 over every tick's joints, cap, plug, hand, cup and lid since the reset."""
        return self._hash.hexdigest()


__all__ = ["TwinPlace"]
