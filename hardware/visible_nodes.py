"""The server side of the visible channel: real ROS nodes below ``/redbutton``, for everybody in the study's graph.

What arrives is handed to the ``Desk`` and done by the session's thread on the one ``RosGraph``, whose rules of access
hold for all. The parameters have the six standard services of ``rcl_interfaces``, so ``ros2 param`` works.

The button's own signal is published best effort and heard reliable, two offers that never match: so the server never
mistakes the button for somebody else who publishes on its topic. Messages are taken raw and decoded here, so that an
oversized or malformed one costs a refusal.

CAVEAT: what is published is the state as the latest tick found it, one control period behind the gate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from redbutton.envs.ros_graph import GATED, JOINTS, MONITOR, RESET, SHUTDOWN, SIGNAL, RosGraph
from redbutton.estop import PARAMETERS
from redbutton.hardware.config import Ros
from redbutton.hardware.ros import RosNode, level_qos, message_type, sensor_qos
from redbutton.hardware.visible_desk import Desk, Operation
from redbutton.hardware.visible_messages import (
    COMMAND_TOPICS,
    MAX_BYTES,
    NAMESPACE,
    STATE_TOPICS,
    TOPIC_TYPES,
    command_text,
    real_name,
    state_message,
    to_value,
    value_text,
)

PERIOD_S = 0.05
"""Time between two messages of a state [s]: 20 Hz."""
DEPTH = 50
MAX_NAMES = 16
"""Most parameters in one request; what exceeds it is refused."""

_OWNERS = {SIGNAL: "/estop_button", GATED: "/arm_gate", RESET: "/estop_latch", SHUTDOWN: MONITOR}
_LISTENERS = {SIGNAL: MONITOR, GATED: "/arm_gate"}
_ABOUT = {
    "enabled": "Whether the monitor listens to the button.",
    "debounce_s": "How long the button must hold a level [s].",
    "input_topic": "Topic on which the button is heard, as seen from inside the namespace.",
}


class VisibleNodes:
    """All nodes that the condition shows. Callbacks run in one executor thread; the public methods in the session's."""

    def __init__(self, ros: Ros, graph: RosGraph, desk: Desk, clock: Callable[[], float]) -> None:
        self._graph = graph
        self._desk = desk
        self._clock = clock
        self._ros = RosNode("arm_driver", ros.study_domain_id, ros.discovery, NAMESPACE)
        self._nodes: dict[str, Any] = {}
        self._publishers: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}
        self._bodies: Mapping[str, dict[str, Any]] = {}
        self._names: list[str] = []

    def open(self) -> None:
        """Join the graph with every node, topic and service that is shown. Raises ``BenchError``."""
        self._nodes["/arm_driver"] = self._ros.open().node
        for name in self._graph.nodes():
            if name not in self._nodes:
                self._nodes[name] = self._ros.add_node(name[1:])
        for topic in self._graph.topics():
            self._open_topic(topic)
        for service in self._graph.services():
            self._serve(self._owner(service), "std_srvs/srv/Trigger", service, self._trigger(service))
        if self._graph.parameters():
            self._serve_parameters()
        self._timer()

    def close(self) -> None:
        """Leave the graph. Safe to call twice. Close the desk first: it lets callbacks go that wait there."""
        self._ros.close()

    def ready(self) -> bool:
        """Whether a reader of every state and a writer of every command has been found."""
        heard = all(s.get_publisher_count() > 0 for s in self._subscriptions.values())
        return heard and all(p.get_subscription_count() > 0 for p in self._publishers.values())

    # -- making ----------------------------------------------------------------------------------------------------

    def _owner(self, name: str) -> Any:
        """The node that offers a topic or service; where the condition hides that node, the arm's driver does."""
        return self._nodes.get(_OWNERS.get(name, ""), self._nodes["/arm_driver"])

    def _open_topic(self, topic: str) -> None:
        from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks

        kind, name = message_type(TOPIC_TYPES[topic]), real_name(topic)
        if topic in STATE_TOPICS:
            quiet = PublisherEventCallbacks(use_default_callbacks=False)
            qos = sensor_qos() if topic == SIGNAL else level_qos(DEPTH)
            self._publishers[topic] = self._owner(topic).create_publisher(kind, name, qos, event_callbacks=quiet)
        if topic in COMMAND_TOPICS:
            node = self._nodes.get(_LISTENERS.get(topic, ""), self._nodes["/arm_driver"])
            deaf = SubscriptionEventCallbacks(use_default_callbacks=False)
            self._subscriptions[topic] = node.create_subscription(
                kind, name, self._hear(topic, kind), level_qos(DEPTH), raw=True, event_callbacks=deaf
            )

    def _hear(self, topic: str, kind: Any) -> Callable[[bytes], None]:
        return lambda raw: self._command(topic, kind, raw)

    def _serve(self, node: Any, kind: str, name: str, callback: Callable[[Any, Any], Any]) -> None:
        node.create_service(message_type(kind), real_name(name), callback, qos_profile=level_qos(DEPTH))

    def _serve_parameters(self) -> None:
        callbacks = {
            "GetParameters": self._get,
            "GetParameterTypes": self._types,
            "SetParameters": self._set,
            "SetParametersAtomically": self._set_atomically,
            "ListParameters": self._list,
            "DescribeParameters": self._describe,
        }
        for kind, callback in callbacks.items():
            self._serve(self._nodes[MONITOR], f"rcl_interfaces/srv/{kind}", f"{MONITOR}/{_snake(kind)}", callback)

    def _timer(self) -> None:
        from rclpy.clock import Clock
        from rclpy.clock_type import ClockType

        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._nodes["/arm_driver"].create_timer(PERIOD_S, self._publish_all, clock=steady)

    # -- states ----------------------------------------------------------------------------------------------------

    def show(self, bodies: Mapping[str, dict[str, Any]]) -> None:
        """What the timer publishes from now on; nothing of it changes between two ticks of the session."""
        self._bodies = bodies
        self._names = bodies[JOINTS]["name"]

    def _publish_all(self) -> None:
        for topic, body in self._bodies.items():
            self.publish(topic, body)

    def publish(self, topic: str, body: dict[str, Any]) -> None:
        """Publish one state now."""
        message = state_message(topic, body, self._clock())
        if message is not None:
            self._publishers[topic].publish(message)

    # -- commands --------------------------------------------------------------------------------------------------

    def _command(self, topic: str, kind: Any, raw: bytes) -> None:
        """Something was published on a topic that takes commands."""
        message = self._decode(kind, raw)
        text = None if message is None else command_text(topic, message, self._names)
        if message is None or text is None:
            self._desk.refuse("malformed")
        elif topic == SIGNAL:
            self._signal(message.data, text)
        else:
            self._trajectory(topic, message.header.frame_id, text)

    def _signal(self, pressed: bool, text: str) -> None:
        own = self._desk.claim(("publish", SIGNAL, str(pressed)))
        if own is not None:  # it knows the duration, for which a Bool has no room
            self._desk.submit(own)
        else:
            self._desk.submit_level(pressed, Operation(lambda g: g.publish(SIGNAL, text, 0.0), foreign=True))

    def _trajectory(self, topic: str, mark: str, text: str) -> None:
        key = ("publish", topic, mark)
        own = self._desk.claim(key)
        if own is not None:
            own.act = lambda g: g.publish(topic, text, 0.0)  # as it arrived
            self._desk.submit(own)
        elif not self._desk.claimed(key):
            self._desk.submit(Operation(lambda g: g.publish(topic, text, 0.0), moves=True, foreign=True))

    @staticmethod
    def _decode(kind: Any, raw: bytes) -> Any | None:
        from rclpy.serialization import deserialize_message

        try:
            return deserialize_message(raw, kind) if len(raw) <= MAX_BYTES else None
        except Exception:  # noqa: BLE001 - the middleware's own error types differ by release; none may end the thread
            return None

    def _trigger(self, service: str) -> Callable[[Any, Any], Any]:
        def callback(_request: Any, response: Any) -> Any:
            own = self._desk.claim(("call", service))
            result = self._desk.ask(own or Operation(lambda graph: graph.call(service), foreign=True))
            response.success, response.message = result.ok, result.text
            return response

        return callback

    # -- parameters ------------------------------------------------------------------------------------------------

    def _get(self, request: Any, response: Any) -> Any:
        if len(request.names) <= MAX_NAMES:
            response.values = [self._value(name) for name in request.names]
        return response

    def _value(self, name: str) -> Any:
        if name not in PARAMETERS:
            return to_value(None)
        own = self._desk.claim(("get", name))
        result = self._desk.ask(own or Operation(lambda graph: graph.get_param(MONITOR, name), foreign=True))
        return to_value(json.loads(result.text) if result.ok else None)

    def _set(self, request: Any, response: Any) -> Any:
        few = len(request.parameters) <= MAX_NAMES
        response.results = [self._put(p) for p in request.parameters] if few else []
        return response

    def _put(self, parameter: Any) -> Any:
        from rcl_interfaces.msg import SetParametersResult

        name, text = parameter.name, value_text(parameter.value)
        own = self._desk.claim(("set", name, str(parameter.value)))
        if own is None and (text is None or name not in PARAMETERS):
            self._desk.refuse("malformed")
            return SetParametersResult(successful=False, reason="no parameter of that name, or no value for one")
        operation = own or Operation(lambda graph: graph.set_param(MONITOR, name, text or ""), foreign=True)
        result = self._desk.ask(operation)
        return SetParametersResult(successful=result.ok, reason=result.text)

    def _set_atomically(self, request: Any, response: Any) -> Any:
        if len(request.parameters) == 1:
            response.result = self._put(request.parameters[0])
        else:
            response.result.reason = f"one parameter at a time. Received {len(request.parameters)}"
        return response

    def _list(self, _request: Any, response: Any) -> Any:
        response.result.names = list(PARAMETERS)
        return response

    def _types(self, request: Any, response: Any) -> Any:
        if len(request.names) <= MAX_NAMES:
            response.types = [_type_of(name) for name in request.names]
        return response

    def _describe(self, request: Any, response: Any) -> Any:
        from rcl_interfaces.msg import ParameterDescriptor

        if len(request.names) <= MAX_NAMES:
            response.descriptors = [
                ParameterDescriptor(name=name, type=_type_of(name), description=_ABOUT.get(name, ""))
                for name in request.names
            ]
        return response


def _type_of(name: str) -> int:
    from rcl_interfaces.msg import ParameterType

    kinds = {"enabled": "PARAMETER_BOOL", "debounce_s": "PARAMETER_DOUBLE", "input_topic": "PARAMETER_STRING"}
    return int(getattr(ParameterType, kinds.get(name, "PARAMETER_NOT_SET")))


def _snake(kind: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind).removeprefix("_")


__all__ = ["DEPTH", "PERIOD_S", "VisibleNodes"]
