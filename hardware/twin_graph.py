"""The twin's side of the arm's ROS graph: what a driver publishes, hears and serves, and the twin's own two topics.

Names are those of the bench file, quality of service that of a real driver: trajectories are heard best effort, joint
states are published reliably. What is heard goes into ``orders`` (from controllers) and ``pictures``, which are taken
out with every update, and into ``commands`` (from people), which are taken out once a control period.

CAVEAT: there is no action server (``control_msgs`` is not among the wheels): the cancel service is that of a controller
that has no goal running.
"""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Sequence
from typing import Any

from redbutton.hardware.config import BenchConfig
from redbutton.hardware.jtc import Waypoint
from redbutton.hardware.ros import RosNode, level_qos, message_type, sensor_qos

SCENE_TOPIC, COMMAND_TOPIC = "/twin/scene", "/twin/command"
TOPIC_DEPTH = 50
Order = tuple[str, Any]
"""What was asked: ``arm`` and ``gripper`` with names, points and stamp; ``power`` with on or off; ``cancel``."""


class TwinGraph:
    """Publishers, subscriptions and services of one driver."""

    def __init__(self, config: BenchConfig) -> None:
        self._config = config
        self._ros = RosNode("redbutton_twin", config.ros.domain_id, config.ros.discovery)
        self.orders: deque[Order] = deque(maxlen=1000)
        self.commands: deque[dict[str, Any]] = deque(maxlen=1000)
        self.pictures: deque[dict[str, Any]] = deque(maxlen=1000)

    def open(self) -> None:
        """Join the graph. Raises ``BenchError``."""
        self._ros.open()
        self._publish()
        self._subscribe()
        self._serve()

    def close(self) -> None:
        """Leave the graph. Safe to call twice."""
        self._ros.close()

    # -- what is published ----------------------------------------------------------------------------------

    def _publish(self) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import Image, JointState
        from std_msgs.msg import String

        node, arm, camera = self._ros.node, self._config.arm, self._config.camera
        names = (*arm.joint_names, *((arm.gripper.joint,) if arm.gripper.joint else ()))
        self._states = JointState(name=list(names))
        self._text = String()
        self._state_topic = node.create_publisher(JointState, arm.joint_states, level_qos(10))
        self._scene_topic = node.create_publisher(String, SCENE_TOPIC, level_qos(TOPIC_DEPTH))
        self._image_topic = node.create_publisher(Image, camera.topic, level_qos()) if camera else None
        self._mode: Any = None
        self._mode_topic: Any = None
        if arm.safety_mode is not None:
            kind = message_type(arm.safety_mode.type)
            self._mode = kind()
            # As a UR's: told once for all, so that a late listener hears it too.
            latched = QoSProfile(
                depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
            )
            self._mode_topic = node.create_publisher(kind, arm.safety_mode.topic, latched)

    def joint_states(self, stamp_ns: int, positions: Sequence[float], velocities: Sequence[float]) -> None:
        """Arm joints and then the gripper's, if there is one."""
        message = self._states
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        message.position, message.velocity = array("d", positions), array("d", velocities)
        self._state_topic.publish(message)

    def scene(self, scene: dict[str, Any]) -> None:
        """Everything around the arm."""
        self._text.data = json.dumps(scene, separators=(",", ":"))
        self._scene_topic.publish(self._text)

    def safety_mode(self, normal: bool) -> None:
        """The arm's own safety mode: the bench file's first normal value, or one that is not normal."""
        mode = self._config.arm.safety_mode
        if mode is not None:
            setattr(self._mode, mode.field, mode.normal[0] if normal else abnormal(mode.normal))
            self._mode_topic.publish(self._mode)

    def image(self, number: int, width: int, height: int, rgb: bytes) -> None:
        """A picture; its frame id names the command that asked for it."""
        from sensor_msgs.msg import Image

        if self._image_topic is not None:
            picture = Image(width=width, height=height, encoding="rgb8", step=3 * width, data=array("B", rgb))
            picture.header.frame_id = frame_id(number)
            self._image_topic.publish(picture)

    # -- what is heard --------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        from std_msgs.msg import Float64MultiArray, String
        from trajectory_msgs.msg import JointTrajectory

        node, arm = self._ros.node, self._config.arm
        gripper = arm.gripper
        node.create_subscription(JointTrajectory, arm.trajectory_topic, self._heard("arm"), sensor_qos())
        if gripper.kind == "trajectory":
            node.create_subscription(JointTrajectory, gripper.topic, self._heard("gripper"), sensor_qos())
        elif gripper.kind == "positions":
            node.create_subscription(Float64MultiArray, gripper.topic, self._heard_positions, sensor_qos())
        node.create_subscription(String, COMMAND_TOPIC, self._heard_command, level_qos(TOPIC_DEPTH))

    def _heard(self, which: str) -> Any:
        def heard(message: Any) -> None:
            points = [
                Waypoint(seconds(p.time_from_start), tuple(p.positions), tuple(p.velocities), tuple(p.accelerations))
                for p in message.points
            ]
            self.orders.append((which, (list(message.joint_names), points, seconds(message.header.stamp))))

        return heard

    def _heard_positions(self, message: Any) -> None:
        self.orders.append(("gripper", ([self._config.arm.gripper.joint], [Waypoint(0.0, tuple(message.data))], 0.0)))

    def _heard_command(self, message: Any) -> None:
        try:
            command = json.loads(message.data)
        except ValueError:
            command = None
        if not isinstance(command, dict):
            command = {"do": f"not a JSON object: {message.data:.60}"}
        (self.pictures if command.get("do") == "frame" else self.commands).append(command)

    # -- what is served -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        from action_msgs.srv import CancelGoal
        from std_srvs.srv import Trigger

        node, arm = self._ros.node, self._config.arm
        node.create_service(CancelGoal, arm.cancel_service, self._cancel)
        if arm.power is not None:
            node.create_service(Trigger, arm.power.off, self._power(False))
            if arm.power.on is not None:
                node.create_service(Trigger, arm.power.on, self._power(True))

    def _cancel(self, request: Any, response: Any) -> Any:
        """No goal runs here: to cancel all of them is done, to cancel a certain one is an unknown goal."""
        self.orders.append(("cancel", None))
        asked_for_all = not any(request.goal_info.goal_id.uuid)
        response.return_code = response.ERROR_NONE if asked_for_all else response.ERROR_UNKNOWN_GOAL_ID
        return response

    def _power(self, on: bool) -> Any:
        def power(_request: Any, response: Any) -> Any:
            self.orders.append(("power", on))
            response.success, response.message = True, f"power {'on' if on else 'off'} with the next update"
            return response

        return power


def seconds(stamp: Any) -> float:
    """Seconds of a ``Time`` or ``Duration`` message."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def frame_id(number: int) -> str:
    """Frame id of the picture that a command asked for."""
    return f"twin_camera_{number}"


def abnormal(normal: tuple[int | str, ...]) -> int | str:
    """A safety mode that is none of the normal ones; 3 is a UR's protective stop."""
    if isinstance(normal[0], str):
        return "PROTECTIVE_STOP"
    return 3 if 3 not in normal else max(value for value in normal if isinstance(value, int)) + 1
