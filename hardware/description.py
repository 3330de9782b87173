"""The arm's own description of itself: the URDF that ``robot_state_publisher`` keeps on ``/robot_description``.

CAVEAT: the description says what somebody wrote into it. A UR's, for one, has the factory's calibration only after
``ur_calibration``; the tool on the flange is in it only if it was put there.
"""

from __future__ import annotations

from typing import Any

from redbutton.hardware.config import Arm
from redbutton.hardware.ik import PinKinematics
from redbutton.hardware.joint_reader import unsubscribe
from redbutton.hardware.ros import RosNode, wait_for

TIMEOUT_S = 10.0


def robot_description(ros: RosNode, topic: str, timeout_s: float = TIMEOUT_S) -> str:
    """The URDF's text. It is published once for all, so the subscription is transient local. Raises ``BenchError``."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from std_msgs.msg import String

    heard: list[str] = []

    def hear(message: Any) -> None:
        heard.append(message.data)

    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    subscription = ros.node.create_subscription(String, topic, hear, qos)
    try:
        wait_for(lambda: bool(heard), timeout_s, f"the arm's URDF must be heard on {topic} (or set arm.urdf)")
    finally:
        unsubscribe(ros.node, subscription)
    return heard[-1]


def kinematics_of(arm: Arm, ros: RosNode, timeout_s: float = TIMEOUT_S) -> PinKinematics:
    """Kinematics from the bench's URDF or, where it names none, from the arm's own description."""
    if arm.urdf is not None:
        return PinKinematics.from_arm(arm)
    return PinKinematics.from_text(arm, robot_description(ros, arm.robot_description, timeout_s))


__all__ = ["kinematics_of", "robot_description"]
