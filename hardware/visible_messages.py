"""Which ROS message stands for which message of the graph, there and back.

Positions in rad, times in s. ``/estop/button_signal`` is a ``std_msgs/Bool`` whose ``true`` means pressed; a
trajectory has one point. What no ROS message can carry has no message here (``None``): it never leaves the process.

CAVEAT: a time goes through whole nanoseconds and a ROS integer has 64 bits; what is recorded is what was written.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from redbutton.envs.ros_graph import GATED, JOINTS, MACHINE, RAW, SIGNAL, STATUS

NAMESPACE = "/redbutton"
MAX_BYTES = 64 * 1024
"""Largest message from the graph that is looked at."""
MAX_TEXT = 200
MAX_JOINTS = 64
_NS = 1_000_000_000
_INT64 = 2**63

TOPIC_TYPES = {
    SIGNAL: "std_msgs/msg/Bool",
    STATUS: "std_msgs/msg/String",
    MACHINE: "std_msgs/msg/String",
    JOINTS: "sensor_msgs/msg/JointState",
    GATED: "trajectory_msgs/msg/JointTrajectory",
    RAW: "trajectory_msgs/msg/JointTrajectory",
}
STATE_TOPICS = (JOINTS, MACHINE, STATUS, SIGNAL)
COMMAND_TOPICS = (SIGNAL, GATED, RAW)


def real_name(name: str) -> str:
    """Name in the ROS graph of a name in the trial's own."""
    return NAMESPACE + name


# -- states ------------------------------------------------------------------------------------------------------


def state_message(topic: str, body: dict[str, Any], t_s: float) -> Any | None:
    """The message that carries a state, or ``None`` where the topic is silent."""
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Bool, String

    if topic == JOINTS:
        message = JointState(name=body["name"], position=body["position"], velocity=body["velocity"])
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(t_s * _NS), _NS)
        return message
    if topic == SIGNAL:
        return Bool(data=body["pressed"]) if "pressed" in body else None
    return String(data=json.dumps(body))


def state_text(topic: str, message: Any) -> str:
    """What a reader of a state gets to see."""
    if topic == JOINTS:
        fields = {"name": message.name, "position": message.position, "velocity": message.velocity}
        return json.dumps({key: list(value) for key, value in fields.items()})
    return json.dumps({"pressed": message.data}) if topic == SIGNAL else str(message.data)


# -- commands ----------------------------------------------------------------------------------------------------


def command_message(topic: str, text: str, names: list[str], mark: str) -> Any | None:
    """The message for what a tool wants to publish, or ``None`` where none can carry it."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    if topic != SIGNAL:
        return _trajectory(body, names, mark)
    from std_msgs.msg import Bool

    pressed = body.get("pressed")
    return Bool(data=pressed) if isinstance(pressed, bool) else None


def _trajectory(body: dict[str, Any], names: list[str], mark: str) -> Any | None:
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    positions, duration = body.get("positions"), body.get("duration_s", 1.0)
    if not isinstance(positions, list) or not all(_fits(v) for v in [*positions, duration]):
        return None
    if not (isfinite(duration) and 0.0 <= duration < 1e6):
        return None
    point = JointTrajectoryPoint(positions=[float(v) for v in positions])
    point.time_from_start.sec, point.time_from_start.nanosec = divmod(round(duration * _NS), _NS)
    # Without names the positions are in the arm's own order; so a wrong number of them reaches the graph's own rule.
    message = JointTrajectory(joint_names=names if len(names) == len(positions) else [], points=[point])
    message.header.frame_id = mark
    return message


def _fits(value: Any) -> bool:
    """Whether a number fits into a double."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (isinstance(value, float) or abs(value) < 10**300)


def command_text(topic: str, message: Any, names: list[str]) -> str | None:
    """What the graph is asked to publish by a message, or ``None`` where the message is none."""
    if topic == SIGNAL:
        return json.dumps({"pressed": message.data})
    if len(message.points) != 1 or len(message.points[0].positions) > MAX_JOINTS:
        return None
    point = message.points[0]
    positions = _in_order(list(message.joint_names), list(point.positions), names)
    duration = point.time_from_start.sec + point.time_from_start.nanosec / _NS
    return None if positions is None else json.dumps({"positions": positions, "duration_s": duration})


def _in_order(given: list[str], positions: list[float], names: list[str]) -> list[float] | None:
    if not given:
        return positions
    if sorted(given) != sorted(names) or len(given) != len(positions):
        return None
    by_name = dict(zip(given, positions, strict=True))
    return [by_name[name] for name in names]


# -- parameters --------------------------------------------------------------------------------------------------


def to_value(value: Any) -> Any:
    """A parameter value for a Python value; "not set" for what ROS has no type for."""
    from rcl_interfaces.msg import ParameterType as Type
    from rcl_interfaces.msg import ParameterValue

    if isinstance(value, bool):
        return ParameterValue(type=Type.PARAMETER_BOOL, bool_value=value)
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return ParameterValue(type=Type.PARAMETER_INTEGER, integer_value=value)
    if isinstance(value, (int, float)) and _fits(value):
        return ParameterValue(type=Type.PARAMETER_DOUBLE, double_value=float(value))
    if isinstance(value, str) and _is_ros_text(value):
        return ParameterValue(type=Type.PARAMETER_STRING, string_value=value)
    return ParameterValue(type=Type.PARAMETER_NOT_SET)


def _is_ros_text(text: str) -> bool:
    """Whether a text survives the way through C: no zero in it, and nothing that UTF-8 has no bytes for."""
    return "\0" not in text and text.encode(errors="ignore").decode() == text


def parse_value(text: str) -> Any:
    """A parameter value from a tool's JSON text, read as the graph reads it."""
    try:
        return to_value(json.loads(text))
    except (ValueError, RecursionError):
        return to_value(text)


def value_text(value: Any) -> str | None:
    """JSON text of a parameter value, or ``None`` where it is too long to be one of ours."""
    from rclpy.parameter import parameter_value_to_python

    try:
        python: Any = parameter_value_to_python(value)
    except RuntimeError:  # a type that ROS does not know
        return None
    if not isinstance(python, (bool, int, float, str)) and python is not None:
        python = [str(item) if isinstance(item, bytes) else item for item in python]
    text = json.dumps(python)
    return text if len(text) <= MAX_TEXT else None


__all__ = ["NAMESPACE", "real_name"]
