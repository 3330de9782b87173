"""A stand-in for an arm's driver that says when a command reaches it: for measuring the stop path and nothing else.

``python -m redbutton.hardware.probe BENCH.yaml`` reports joint states at rest, 100 times a second, and prints one JSON
line for every trajectory that arrives: the monotonic time of its arrival and whether it holds.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import Any

from redbutton.hardware.config import BenchConfig, load_bench
from redbutton.hardware.ros import RosNode, sensor_qos

STATES_HZ = 100.0


def is_hold(message: Any) -> bool:
    """Whether a trajectory keeps the arm where it is: one point at rest."""
    return len(message.points) == 1 and not any(message.points[0].velocities)


class Probe:
    """The driver's side of the topics of one bench."""

    def __init__(self, config: BenchConfig) -> None:
        self._config = config
        self._ros = RosNode("probe", config.ros.domain_id, config.ros.discovery)

    def open(self) -> None:
        """Join the graph and begin to publish."""
        from sensor_msgs.msg import JointState
        from trajectory_msgs.msg import JointTrajectory

        arm = self._config.arm
        node = self._ros.open().node
        self._states = JointState()
        self._states.name = list(arm.joint_names)
        self._states.position = list(arm.home_rad)
        self._states.velocity = [0.0] * len(arm.joint_names)
        self._publisher = node.create_publisher(JointState, arm.joint_states, sensor_qos())
        node.create_subscription(JointTrajectory, arm.trajectory_topic, self._heard, sensor_qos())
        node.create_timer(1.0 / STATES_HZ, self._publish)
        if arm.gripper.kind == "trajectory" and arm.gripper.topic is not None:
            node.create_subscription(JointTrajectory, arm.gripper.topic, lambda _message: None, sensor_qos())

    def _publish(self) -> None:
        self._states.header.stamp = self._ros.node.get_clock().now().to_msg()
        self._publisher.publish(self._states)

    @staticmethod
    def _heard(message: Any) -> None:
        now_s = time.monotonic()
        sys.stdout.write(json.dumps({"t_s": now_s, "hold": is_hold(message)}) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Leave the graph."""
        self._ros.close()


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    probe = Probe(load_bench((sys.argv[1:] if argv is None else argv)[0]))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    probe.open()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ended.wait()
    probe.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
