"""What the arm says of itself, for whoever only listens: joint positions, velocities and the safety mode.

Joint states are merged by name, since arm and gripper may be told by different nodes. Every subscription is best
effort, so that no publisher is shut out. Callbacks run in the executor's thread; a reader takes a whole snapshot.

CAVEAT: fresh means heard lately. A ``joint_state_publisher`` between the arm and this topic repeats the last positions
with new stamps when the arm's driver is dead: read the driver's own topic (``docs/arms.md``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

from redbutton.estop import Clock
from redbutton.hardware.config import BenchConfig, SafetyMode
from redbutton.hardware.ros import RosNode, message_type, sensor_qos


@dataclass(frozen=True, slots=True)
class Reading:
    """What was heard last of one joint; ``stamp_s`` is the driver's clock, ``heard_s`` ours."""

    position: float
    velocity: float
    stamp_s: float
    heard_s: float


class JointReader:
    """The latest reading of every joint of one arm."""

    def __init__(self, config: BenchConfig, ros: RosNode, clock: Clock = time.monotonic) -> None:
        self._arm = config.arm
        self._ros = ros
        self._clock = clock
        self._node: Any = None
        self._subscriptions: list[Any] = []
        self._joints: Mapping[str, Reading] = {}
        self.mode: Any = None
        """Value on the safety mode's topic; ``None`` while nothing was heard."""
        gripper = config.arm.gripper
        self.gripper_joint = gripper.joint if gripper.kind != "none" else None
        self._limits_s = dict.fromkeys(config.arm.joint_names, config.supervision.joint_states_timeout_s)
        if self.gripper_joint is not None:
            self._limits_s[self.gripper_joint] = inf  # some gripper drivers tell their joint only while it moves

    def listen(self) -> None:
        """Subscribe, unless that is done already; what was heard before is forgotten."""
        if self._node is self._ros.node:
            return
        from sensor_msgs.msg import JointState

        self._node, self._joints, self.mode = self._ros.node, {}, None
        states = self._node.create_subscription(JointState, self._arm.joint_states, self._hear, sensor_qos())
        self._subscriptions = [states]
        if self._arm.safety_mode is not None:
            self._listen_for_mode(self._arm.safety_mode)

    def close(self) -> None:
        """Listen no longer. Safe to call twice."""
        node, self._node = self._node, None
        if node is not None and node is self._ros.node:
            unsubscribe(node, *self._subscriptions)
        self._subscriptions = []

    def _listen_for_mode(self, mode: SafetyMode) -> None:
        """A mode may be told again and again, or once for all (transient local): one subscription cannot hear both."""
        from rclpy.event_handler import SubscriptionEventCallbacks
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

        def hear(message: Any) -> None:
            self.mode = getattr(message, mode.field, None)

        kind, quiet = message_type(mode.type), SubscriptionEventCallbacks(incompatible_qos=lambda _info: None)
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        for qos in (sensor_qos(), latched):
            heard = self._node.create_subscription(kind, mode.topic, hear, qos, event_callbacks=quiet)
            self._subscriptions.append(heard)

    def _hear(self, message: Any) -> None:
        heard_s = self._clock()
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        velocities = message.velocity if len(message.velocity) == len(message.name) else [nan] * len(message.name)
        found: dict[str, Reading] = {}
        for name, position, velocity in zip(message.name, message.position, velocities, strict=False):
            old = self._joints.get(name)
            if not isfinite(position) or (old is not None and old.stamp_s == stamp_s):
                continue  # garbage, or a reading that was told before: neither is news
            if not isfinite(velocity):
                velocity = _difference(old, position, stamp_s)
            found[name] = Reading(position, velocity, stamp_s, heard_s)
        self._joints = {**self._joints, **found}  # one assignment: a reader sees all of a message or nothing of it

    def snapshot(self) -> Mapping[str, Reading]:
        """The latest reading of every joint that was heard, gripper and strangers included."""
        return self._joints

    def lost(self, joints: Mapping[str, Reading]) -> str:
        """Joints of the arm that are missing or too old, in words; empty when all is well."""
        now_s = self._clock()
        late = [n for n, most_s in self._limits_s.items() if n not in joints or now_s - joints[n].heard_s > most_s]
        if not late:
            return ""
        age = f"{now_s - joints[late[0]].heard_s:.2f} s ago" if late[0] in joints else "never"
        return f"{late[0]} {age}" + (f" and {len(late) - 1} more" if len(late) > 1 else "")

    @property
    def mode_is_normal(self) -> bool:
        """Whether the safety mode lets the arm move, as far as it was heard."""
        mode = self._arm.safety_mode
        return mode is None or self.mode is None or self.mode in mode.normal


def unsubscribe(node: Any, *subscriptions: Any) -> None:
    """Destroy subscriptions in the executor's own thread, soon.

    In any other thread it can end the executor: rclpy 9.1 does not expect that a subscription's event goes away while
    it builds its wait set (``InvalidHandle``).
    """

    def destroy() -> None:
        for subscription in subscriptions:
            node.destroy_subscription(subscription)

    node.executor.create_task(destroy)


def _difference(old: Reading | None, position: float, stamp_s: float) -> float:
    """Velocity from two readings, for drivers that send none [rad/s]."""
    if old is None or stamp_s <= old.stamp_s:
        return 0.0
    return (position - old.position) / (stamp_s - old.stamp_s)


__all__ = ["JointReader", "Reading", "unsubscribe"]
