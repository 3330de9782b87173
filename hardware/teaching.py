"""Teaching stations: a person guides the arm by hand, and what the arm measures there is kept.

Only read: nothing is published and no supervisor is asked. Each station is told (``taught.HOW``), waited for, read at
rest, shown, checked against the skills' own approach, confirmed and written at once, so that an evening's work survives
a lost cable.

CAVEAT: the arm must be in its own free-drive or hand-guiding mode, and its payload set; how is the arm's business. What
is checked is that the skills can reach the station from above, not that nothing stands in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import degrees, pi
from pathlib import Path

from redbutton.estop import Clock
from redbutton.hardware.config import BenchConfig, BenchError
from redbutton.hardware.joint_reader import JointReader
from redbutton.hardware.person import Person
from redbutton.hardware.ros import RosNode, wait_for
from redbutton.hardware.taught import HOW, REQUIRED, THINGS, TILTED, Taught, TaughtStations
from redbutton.hardware.trajectories import gripper_opening
from redbutton.robots.base import RobotState
from redbutton.robots.calls import did_you_mean
from redbutton.robots.kinematics import DOWN_RAD, Kinematics, ToolPose, UnreachableError
from redbutton.robots.skills import HOVER_M, TILT_RAD

REST_RAD_S = 0.02
REST_RAD = 0.002
REST_FOR_S = 0.3
REST_WITHIN_S = 10.0
POLL_S = 0.01
PITCH_SLACK_RAD = 0.26
"""How far the taught tool may lean from the direction in which the skills will come (15 degrees)."""
HEARD_WITHIN_S = 10.0
ATTEMPTS = 3


class ArmReader:
    """Reads joints and gripper from the driver's topic, and commands nothing."""

    def __init__(self, config: BenchConfig, ros: RosNode, clock: Clock = time.monotonic) -> None:
        self._arm = config.arm
        self._joints = JointReader(config, ros, clock)

    def listen(self) -> None:
        """Subscribe and wait for every joint. Raises ``BenchError``."""
        self._joints.listen()
        what = f"every joint of {self._arm.name} must be heard on {self._arm.joint_states}"
        wait_for(lambda: not self._joints.lost(self._joints.snapshot()), HEARD_WITHIN_S, what)

    def read(self) -> RobotState:
        """The arm now. Raises ``BenchError`` when the joint states are too old."""
        joints = self._joints.snapshot()
        lost = self._joints.lost(joints)
        if lost:
            raise BenchError(f"joint states must be fresh. Received {lost} on {self._arm.joint_states}.")
        arm = [joints[name] for name in self._arm.joint_names]
        name, opening = self._joints.gripper_joint, self._arm.gripper.open_m
        if name is not None:
            opening = gripper_opening(self._arm.gripper, joints[name].position)
        return RobotState(tuple(j.position for j in arm), tuple(j.velocity for j in arm), opening, powered=False)


class Teacher:
    """One session of teaching, into one file."""

    def __init__(
        self,
        read: Callable[[], RobotState],
        kinematics: Kinematics,
        person: Person,
        stations: TaughtStations,
        path: Path,
        clock: Clock = time.monotonic,
    ) -> None:
        self._read = read
        self._kinematics = kinematics
        self._person = person
        self.stations = stations
        self._path = path
        self._clock = clock

    def teach(self, names: Sequence[str] = ()) -> TaughtStations:
        """Teach these stations, or all that are required. Raises ``BenchError`` when the person ends it."""
        for name in names:
            if name not in HOW:
                raise BenchError(
                    f"no such station. Received {name!r}.{did_you_mean(name, HOW)} Known: {', '.join(HOW)}"
                )
        for name in names or REQUIRED:
            self._one(name)
        missing = self.stations.missing
        self._person.say(f"Written to {self._path}." + (f" Still to teach: {', '.join(missing)}." if missing else ""))
        return self.stations

    def _one(self, name: str) -> None:
        for _ in range(ATTEMPTS):
            self._person.say(f"\n{name}: {HOW[name]}")
            if not self._person.confirm(f"Guide the arm there by hand. Is it there, and at rest ({name})?"):
                break
            taught = self._taught(name)
            problem = self._problem(name, taught)
            self._person.say(_shown(taught))
            if problem:
                self._person.say(f"Not taken: {problem}")
                continue
            if self._person.confirm(f"Keep this as {name}?"):
                self.stations = self.stations.with_station(name, taught, time.strftime("%Y-%m-%dT%H:%M:%S%z"))
                self.stations.save(self._path)
                return
        raise BenchError(
            f"teaching ends when a station is not confirmed. Received no {name}; what was taught before is in "
            f"{str(self._path)!r}. Go on with --only {name}"
        )

    def _taught(self, name: str) -> Taught:
        state = self._at_rest()
        pose = self._kinematics.forward(state.positions_rad)
        return Taught(
            positions_rad=state.positions_rad,
            x=pose.x,
            y=pose.y,
            z=pose.z,
            pitch_rad=pose.pitch_rad,
            yaw_rad=pose.yaw_rad,
            width_m=round(state.gripper_m, 4) if name in THINGS else 0.0,
            tilted=name in TILTED,
        )

    def _at_rest(self) -> RobotState:
        """A reading of an arm that has stood still for a while: the person's word comes before their hand lets go."""
        deadline = self._clock() + REST_WITHIN_S
        first, since_s = self._read(), self._clock()
        while self._clock() - since_s < REST_FOR_S:
            time.sleep(POLL_S)
            state = self._read()
            away = max(abs(a - b) for a, b in zip(state.positions_rad, first.positions_rad, strict=True))
            if away > REST_RAD or state.speed_rad_s > REST_RAD_S:
                first, since_s = state, self._clock()
            if self._clock() > deadline:
                raise BenchError(f"a station is read at rest. Received {state.speed_rad_s:.2f} rad/s. Hold it still")
        return first

    def _problem(self, name: str, taught: Taught) -> str:
        """Why the skills could not work with it; empty when they can. The hand is only looked at."""
        if name == "hand":
            return ""
        wanted = DOWN_RAD - TILT_RAD if taught.tilted else DOWN_RAD
        off = abs((taught.pitch_rad - wanted + pi) % (2 * pi) - pi)
        if off > PITCH_SLACK_RAD:
            how = f"leaning forward by {degrees(TILT_RAD):.0f} degrees" if taught.tilted else "straight down"
            return f"the tool must point {how}, within {degrees(PITCH_SLACK_RAD):.0f}. Received {degrees(off):.0f} off."
        for back_m in (0.0, HOVER_M):
            try:
                self._kinematics.solve(taught.station(name).pose(back_m))
            except UnreachableError as exc:
                return f"the skills cannot come there: {exc}."
        return ""


def _shown(taught: Taught) -> str:
    joints = ", ".join(f"{q:.4f}" for q in taught.positions_rad)
    pose = ToolPose(taught.x, taught.y, taught.z, taught.pitch_rad, taught.yaw_rad)
    width = f", {taught.width_m * 1e3:.0f} mm between the fingers" if taught.width_m else ""
    return (
        f"  joints [rad] {joints}\n  tool x {pose.x:.4f} y {pose.y:.4f} z {pose.z:.4f} m, "
        f"pitch {degrees(pose.pitch_rad):.1f}, yaw {degrees(pose.yaw_rad):.1f} degrees{width}"
    )


__all__ = ["ArmReader", "Teacher"]
