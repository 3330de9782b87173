"""The plumbing of ROS 2: one context, one node and one executor thread, opened and closed in the right order.

rclpy is imported here and in files that only ROS code imports. Traps behind the choices (measured): a
``MultiThreadedExecutor`` loses messages at 200 Hz, so a ``SingleThreadedExecutor`` has a thread of its own; a context
is shut down only after the executor's thread has ended; Fast DDS goes without shared memory (``hardware/dds``), since
a half-made file of a killed process there makes the next participant hang for ever.

CAVEAT: a domain id keeps graphs apart by convention, not by force. What forces it is a network namespace or another
machine (``docs/deployment.md``).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable
from importlib import resources
from typing import Any

from redbutton.hardware.config import BenchError

_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"
_OPTIONAL = ("control_msgs", "controller_manager_msgs", "ur_dashboard_msgs", "franka_msgs")
POLL_S = 0.001


def need_rclpy() -> None:
    """Raise ``BenchError`` where there is no rclpy."""
    if importlib.util.find_spec("rclpy") is None:
        raise BenchError(
            "a bench needs rclpy. Received a Python without it. Source your ROS 2 distribution, or on Linux x86-64: "
            "pip install 'redbutton[ros]'"
        )


def capabilities() -> dict[str, bool]:
    """Which optional message packages this machine has."""
    return {name: importlib.util.find_spec(name) is not None for name in _OPTIONAL}


def message_type(name: str) -> Any:
    """The class of a message, service or action such as ``std_msgs/msg/Int32``. Raises ``BenchError``."""
    parts = name.split("/")
    try:
        if len(parts) != 3:
            raise ValueError("not three parts")
        return getattr(importlib.import_module(f"{parts[0]}.{parts[1]}"), parts[2])
    except (ImportError, AttributeError, ValueError):
        raise BenchError(
            f"a ROS type is package/msg/Name of an installed package. Received {name!r}. Source its workspace."
        ) from None


def _profile(*, reliable: bool, depth: int) -> Any:
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
    )


def command_qos() -> Any:
    """For commands: reliable, volatile, depth 1, so that no motion is replayed to a late joiner."""
    return _profile(reliable=True, depth=1)


def sensor_qos() -> Any:
    """For what others publish: best effort, so that no publisher is incompatible. Never a deadline or a lease."""
    return _profile(reliable=False, depth=10)


def level_qos(depth: int = 1) -> Any:
    """For levels and our own topics: reliable, volatile."""
    return _profile(reliable=True, depth=depth)


class RosNode:
    """One node in one graph, with an executor thread of its own."""

    def __init__(self, name: str, domain_id: int, discovery: str = "localhost", namespace: str = "") -> None:
        self.name = name
        self._domain_id = domain_id
        self._discovery = discovery
        self._namespace = namespace
        self._context: Any = None
        self._executor: Any = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._nodes: list[Any] = []
        self.node: Any = None
        """The rclpy node, once open."""

    def open(self) -> RosNode:
        """Join the graph. Raises ``BenchError`` without rclpy."""
        need_rclpy()
        self._closing.clear()
        _set_up_middleware(self._discovery)
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, domain_id=self._domain_id, signal_handler_options=_no_signals())
        self._executor = SingleThreadedExecutor(context=self._context)
        self.node = self.add_node(self.name)
        self._thread = threading.Thread(target=self._spin, name=f"ros-{self.name}", daemon=True)
        self._thread.start()
        return self

    def add_node(self, name: str) -> Any:
        """One more node in the same graph, served by the same thread."""
        from rclpy.node import Node

        node = Node(
            name,
            context=self._context,
            namespace=self._namespace,
            enable_rosout=False,
            start_parameter_services=False,
            use_global_arguments=False,
        )
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def _spin(self) -> None:
        from rclpy.exceptions import InvalidHandle
        from rclpy.executors import ExternalShutdownException

        while not self._closing.is_set():
            try:
                self._executor.spin_once()
            except InvalidHandle:
                continue  # something was destroyed between two turns
            except ExternalShutdownException:
                return

    @property
    def spinning(self) -> bool:
        """Whether callbacks are being served."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Leave the graph. Safe to call twice."""
        context, self._context = self._context, None
        if context is None:
            return
        # The thread first: an executor that is shut down under a running callback raises in it.
        self._closing.set()
        self._executor.create_task(lambda: None)  # something to do: only that ends a spin_once that waits
        if self._thread is not None:
            self._thread.join(5.0)
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        self._nodes.clear()
        self.node = None
        context.try_shutdown()

    def __enter__(self) -> RosNode:
        return self.open()

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _set_up_middleware(discovery: str) -> None:
    """Say how far discovery goes, before the middleware's first participant; a lab's own profile is left alone."""
    if _PROFILE in os.environ:
        return
    os.environ[_PROFILE] = str(resources.files("redbutton.hardware.dds") / f"fastdds_{discovery}.xml")
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"  # the profile says it all


def _no_signals() -> Any:
    from rclpy.signals import SignalHandlerOptions

    return SignalHandlerOptions.NO


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until ``condition`` holds. Raises ``BenchError`` that says ``what`` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} within {timeout_s:g} s. Received nothing of the kind.")
        time.sleep(POLL_S)
