"""The tools' side of the visible channel: an ordinary ROS client with a context and a thread of its own.

A name that a controller gives selects among what was made when the trial began; it never reaches ROS. So no text, with
whatever dots, slashes or line breaks, can name anything beyond the namespace, or a second domain.
"""

from __future__ import annotations

from collections import deque
from threading import Event
from typing import Any

from redbutton.envs.ros_graph import MONITOR, SIGNAL, RosGraph
from redbutton.hardware.config import Ros
from redbutton.hardware.ros import RosNode, level_qos, message_type, sensor_qos
from redbutton.hardware.visible_messages import (
    COMMAND_TOPICS,
    NAMESPACE,
    STATE_TOPICS,
    TOPIC_TYPES,
    real_name,
    state_text,
)
from redbutton.hardware.visible_nodes import DEPTH, PERIOD_S

NODE = "controller"
_PARAMETER_SERVICES = {"get": "GetParameters", "set": "SetParameters", "list": "ListParameters"}


class VisibleClient:
    """Publishers, readers and clients for what the condition shows. ``arrived`` is set at every answer."""

    def __init__(self, ros: Ros, graph: RosGraph, arrived: Event) -> None:
        self._graph = graph
        self._arrived = arrived
        self._ros = RosNode(NODE, ros.study_domain_id, ros.discovery, NAMESPACE)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._readers: dict[str, Any] = {}
        self._heard: dict[str, deque[str]] = {}
        self._stream: Any = None
        self._level: bool | None = None

    def open(self) -> None:
        """Join the graph. Raises ``BenchError``."""
        node = self._ros.open().node
        for topic in self._graph.topics():
            kind, name = message_type(TOPIC_TYPES[topic]), real_name(topic)
            if topic in STATE_TOPICS:
                self._read(node, topic, kind)
            if topic in COMMAND_TOPICS:
                self._publishers[topic] = node.create_publisher(kind, name, level_qos(DEPTH))
        for service in self._graph.services():
            self._clients[service] = node.create_client(message_type("std_srvs/srv/Trigger"), real_name(service))
        if self._graph.parameters():
            for verb, kind in _PARAMETER_SERVICES.items():
                name = real_name(f"{MONITOR}/{verb}_parameters")
                self._clients[verb] = node.create_client(message_type(f"rcl_interfaces/srv/{kind}"), name)
        if SIGNAL in self._publishers:
            self._open_stream(node)

    def _read(self, node: Any, topic: str, kind: Any) -> None:
        heard: deque[str] = deque(maxlen=DEPTH)

        def callback(message: Any) -> None:
            heard.append(state_text(topic, message))
            self._arrived.set()

        self._heard[topic] = heard
        qos = sensor_qos() if topic == SIGNAL else level_qos(DEPTH)  # the button is published best effort
        self._readers[topic] = node.create_subscription(kind, real_name(topic), callback, qos)

    def _open_stream(self, node: Any) -> None:
        """A publisher for what the graph injects by itself: others see it, and no reliable reader counts it twice."""
        from rclpy.clock import Clock
        from rclpy.clock_type import ClockType
        from rclpy.event_handler import PublisherEventCallbacks

        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        kind = message_type(TOPIC_TYPES[SIGNAL])
        self._stream = node.create_publisher(kind, real_name(SIGNAL), sensor_qos(), event_callbacks=quiet)
        node.create_timer(PERIOD_S, lambda: self._repeat(kind), clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _repeat(self, kind: Any) -> None:
        level = self._level
        if level is not None:
            self._stream.publish(kind(data=level))

    def close(self) -> None:
        """Leave the graph. Safe to call twice."""
        self._level = None
        self._ros.close()

    def ready(self) -> bool:
        """Whether every counterpart has been found and everything shown is in the graph."""
        made = (
            *(p.get_subscription_count() > 0 for p in self._publishers.values()),
            *(c.service_is_ready() for c in self._clients.values()),
            *(r.get_publisher_count() > 0 for r in self._readers.values()),
        )
        shown = ("nodes", "topics", "services")
        return all(made) and all(set(getattr(self._graph, kind)()) <= self.seen(kind) for kind in shown)

    # -- what is there -------------------------------------------------------------------------------------------

    def seen(self, kind: str) -> set[str]:
        """Names of nodes, topics or services that the real graph has below the namespace, without it."""
        return {name.removeprefix(NAMESPACE) for name in self._all(kind) if name.startswith(f"{NAMESPACE}/")}

    def _all(self, kind: str) -> list[str]:
        node = self._ros.node
        if kind == "nodes":
            return [f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces()]
        found = node.get_topic_names_and_types() if kind == "topics" else node.get_service_names_and_types()
        return [name for name, _types in found]

    # -- verbs ---------------------------------------------------------------------------------------------------

    def publish(self, topic: str, message: Any) -> None:
        """Publish a message once."""
        self._publishers[topic].publish(message)

    def stream(self, level: bool | None) -> None:
        """Show a stream of signals on the button's topic from now on, or none."""
        self._level = level

    def forget(self, topic: str) -> None:
        """Drop what was heard of a topic."""
        self._heard[topic].clear()

    def heard(self, topic: str) -> list[str]:
        """What was heard of a topic since."""
        return list(self._heard[topic])

    def call(self, service: str) -> Any:
        """Call a service; a future."""
        return self._request(service, message_type("std_srvs/srv/Trigger").Request())

    def get(self, name: str) -> Any:
        """Ask for a parameter; a future."""
        return self._request("get", message_type("rcl_interfaces/srv/GetParameters").Request(names=[name]))

    def put(self, name: str, value: Any) -> Any:
        """Set a parameter; a future."""
        parameter = message_type("rcl_interfaces/msg/Parameter")(name=name, value=value)
        return self._request("set", message_type("rcl_interfaces/srv/SetParameters").Request(parameters=[parameter]))

    def list_parameters(self) -> Any:
        """Ask for the parameters' names; a future."""
        return self._request("list", message_type("rcl_interfaces/srv/ListParameters").Request())

    def _request(self, client: str, request: Any) -> Any:
        future = self._clients[client].call_async(request)
        future.add_done_callback(lambda _: self._arrived.set())
        return future


__all__ = ["VisibleClient"]
