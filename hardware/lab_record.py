"""What a trial on a bench leaves as a bag: joint states and the supervisor's replies, with the commands in them.

Times are those of the day at the start of the bag, carried on by the monotonic clock: they never jump within a bag.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from redbutton.envs.place import TICK_S
from redbutton.estop import Clock
from redbutton.hardware.bag import BagWriter, joint_state, trajectory
from redbutton.hardware.channel import Message
from redbutton.hardware.config import Arm
from redbutton.robots.base import RobotState

REPLIES = "/redbutton/supervisor"


class LabRecord:
    """The bag of one trial after the other; without one nothing is kept."""

    def __init__(self, arm: Arm, clock: Clock) -> None:
        self._arm = arm
        self._clock = clock
        self._bag: BagWriter | None = None
        self._epoch_ns = 0
        self.failure: BaseException | None = None
        """What went wrong with the latest bag."""

    def begin(self, path: Path) -> None:
        """Open a bag. Raises ``BenchError``."""
        self.end()
        self.failure = None
        self._epoch_ns = time.time_ns() - round(self._clock() * 1e9)
        self._bag = BagWriter(path).open()

    def end(self) -> None:
        """Finish the bag. Safe to call twice."""
        bag, self._bag = self._bag, None
        if bag is not None:
            bag.close()
            self.failure = bag.failure

    def state(self, state: RobotState, stamp_s: float) -> None:
        """Keep one reading of the arm; ``stamp_s`` is the driver's time."""
        if self._bag is not None:
            values = joint_state(self._arm.joint_names, state.positions_rad, state.velocities_rad_s, stamp_s)
            self._bag.add(self._arm.joint_states, "sensor_msgs/msg/JointState", values, self._now_ns)

    def reply(self, reply: Message) -> None:
        """Keep one reply of the supervisor and the command that it says it sent."""
        if self._bag is None:
            return
        sent = reply.get("sent")
        if isinstance(sent, dict):
            values = trajectory(self._arm.joint_names, sent["positions_rad"], sent["velocities_rad_s"], TICK_S)
            self._bag.add(self._arm.trajectory_topic, "trajectory_msgs/msg/JointTrajectory", values, self._now_ns)
        self._bag.add(REPLIES, "std_msgs/msg/String", {"data": json.dumps(reply)}, self._now_ns)

    @property
    def _now_ns(self) -> int:
        return self._epoch_ns + round(self._clock() * 1e9)


__all__ = ["LabRecord"]
