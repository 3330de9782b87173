"""Between two trials: the arm goes home slowly, a person puts everything back, and lowers the stop with a code.

While people reach in, the bench is stopped by a latched stop. While a person is asked something, nothing is armed: the
loop that sends heartbeats is the one that waits for the answer.

CAVEAT: the way home is a straight one in joint space after a short lift. Nothing here knows of obstacles: the person
who says that the way is clear is the only check.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from redbutton.envs.place import TICK_S, PlaceError
from redbutton.estop import Clock
from redbutton.hardware.arming import NotReadyError, input_levels, lower_stop
from redbutton.robots.base import RobotState, TrajectoryPoint
from redbutton.robots.kinematics import ToolPose, UnreachableError
from redbutton.robots.skills import Skills

if TYPE_CHECKING:
    from redbutton.hardware.lab_place import LabPlace

HOME_SHARE = 0.5
"""Share of the bench's speed at which the arm goes home."""
AT_HOME_RAD = 0.05
LIFT_M = 0.10
"""On its way home the arm first lifts its tool by this, where it can do so without turning over."""
LIFT_MAX_RAD = 0.8
OPEN_SLACK_M = 0.02
GRIP_M = 0.005
OPEN_WITHIN_S = 3.0
ATTEMPTS = 3
DEBOUNCE_S = 0.5
"""A button that was raised a moment ago is believed after its debounce."""


class SetUp:
    """What one place does between its trials. Raises ``NotReadyError`` or ``PlaceError``; the caller then stops."""

    def __init__(self, place: LabPlace, red_button: str, clock: Clock = time.monotonic) -> None:
        self._place = place
        self._red_button = red_button
        self._clock = clock
        self._clear_s = float("-inf")

    def forget(self) -> None:
        """The person's word that the workspace is clear counts no more."""
        self._clear_s = float("-inf")

    def ask_clear(self, question: str, unless_within_s: float = 0.0) -> None:
        """Have a person say that the workspace is clear, unless they said so a moment ago."""
        if self._clock() - self._clear_s <= unless_within_s:
            return
        if not self._place.person.confirm(question):
            raise NotReadyError("a person must say that the workspace is clear. Received no yes")
        self._clear_s = self._clock()

    # -- home -----------------------------------------------------------------------------------------------

    def bring_home(self) -> None:
        """To home with the gripper as it is, then open it; stopped again afterwards. Nothing when it is there."""
        place = self._place
        if self._at_home(place.read()):
            return
        self.ask_clear("The arm goes home slowly. Is its way clear, and nobody within its reach?")
        lower_stop(place.seats.operator, place.person)
        place.start()
        self._lift()
        self._go(place.config.arm.home_rad)
        if not self._is_open(place.read()):
            self._open_gripper()
        place.finish()

    def _at_home(self, state: RobotState) -> bool:
        home = self._place.config.arm.home_rad
        away = max(abs(a - b) for a, b in zip(state.positions_rad, home, strict=True))
        return away <= AT_HOME_RAD and self._is_open(state)

    def _is_open(self, state: RobotState) -> bool:
        return state.gripper_m >= self._place.config.arm.gripper.open_m - OPEN_SLACK_M

    def _open_gripper(self) -> None:
        place = self._place
        place.pause()
        self.ask_clear("The gripper opens now: take hold of what is in it, then keep your hands still. Open?")
        place.start()
        home = place.measured.arm.positions_rad
        still = TrajectoryPoint(home, (0.0,) * len(home), place.config.arm.gripper.open_m)
        deadline = self._clock() + OPEN_WITHIN_S
        while not self._is_open(place.measured.arm) and self._clock() < deadline:
            self._send(still)

    def _lift(self) -> None:
        place = self._place
        here = place.measured.arm.positions_rad
        pose = place.kinematics.forward(here)
        try:
            higher = ToolPose(pose.x, pose.y, pose.z + LIFT_M, pose.pitch_rad, pose.yaw_rad)
            above = place.kinematics.solve(higher, here)
        except UnreachableError:
            return
        if max(abs(a - b) for a, b in zip(above, here, strict=True)) <= LIFT_MAX_RAD:
            self._go(above)

    def _go(self, target_rad: tuple[float, ...]) -> None:
        """A smooth motion through the supervisor at ``HOME_SHARE`` of the bench's speed."""
        place = self._place
        state, spec = place.measured.arm, place.arm.spec
        way = zip(state.positions_rad, target_rad, spec.velocity_rad_s, strict=True)
        longest_s = max(abs(b - a) / v for a, b, v in way)
        skills = Skills(spec, place, TICK_S, place.kinematics)
        motion = skills.joint_move(state, target_rad, max(0.2, 1.5 * longest_s / HOME_SHARE))
        gripper_m = self._kept_grip(state)
        try:
            point = next(motion)
            while True:
                self._send(TrajectoryPoint(point.positions_rad, point.velocities_rad_s, gripper_m))
                point = motion.send(place.measured.arm)
        except StopIteration:
            return

    def _kept_grip(self, state: RobotState) -> float:
        """The opening that lets go of nothing: as commanded, or a little less than measured when that is wider."""
        commanded_m = self._place.arm.gripper_command_m
        return commanded_m if commanded_m <= state.gripper_m + 2 * GRIP_M else max(0.0, state.gripper_m - GRIP_M)

    def _send(self, point: TrajectoryPoint) -> None:
        sent = self._place.arm.command(point)
        if sent.point is None:
            raise PlaceError(f"the arm must go home before a trial. Received: {sent.reason}")
        self._place.tick()

    # -- people ---------------------------------------------------------------------------------------------

    def have_it_set_up(self) -> None:
        """A person puts everything back, says so, and lowers the stop: the bench is then ready, not running."""
        place = self._place
        for _ in range(ATTEMPTS):
            self.forget()
            self.ask_clear(
                "Put cup, lid, coaster and the button's cable back at their places, and pull the red button up.\n"
                "Is everything in place, and nobody within the arm's reach?"
            )
            if self._red_button_is_up():
                lower_stop(place.seats.operator, place.person)
                return
            place.person.say("The red button does not read as released: pull it up, and check its cable.")
        raise NotReadyError("the red button must be released before a trial. Received it pressed or not readable")

    def _red_button_is_up(self) -> bool:
        deadline = self._clock() + DEBOUNCE_S
        while input_levels(self._place.seats.operator.status(), self._red_button) != (True, True, True):
            if self._clock() > deadline:
                return False
            time.sleep(0.01)
        return True


__all__ = ["SetUp"]
