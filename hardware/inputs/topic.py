"""Two ``std_msgs/Bool`` topics that publish levels; ``true`` is closed.

A reading counts only while both topics have been heard within ``timeout_s``. A ``false`` that came since the previous
reading is told once as open, whatever came after it. The subscription is reliable and volatile: a publisher that is
best effort is not compatible, which reads as silence and so as a stop.

CAVEAT: a topic is a name, not a proof. Whoever can publish in this ROS graph can hold the contacts closed, also for a
publisher that has died. It is the weakest of the inputs; keep the graph to machines that you trust.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from redbutton.estop import Clock, Contacts, monotonic
from redbutton.hardware.config import TopicInput
from redbutton.hardware.inputs.source import DeviceLostError, InputError, Levels
from redbutton.hardware.ros import RosNode, level_qos, message_type

DEPTH = 50
"""Messages kept for the executor's next turn: under a depth of one, a short opening is overwritten."""


class TopicSource:
    """A button on two topics. ``ros`` is opened and closed by its owner, and outlives this source."""

    def __init__(self, config: TopicInput, ros: RosNode, clock: Clock = monotonic) -> None:
        self.name = config.name
        self._topics = (config.topic_a, config.topic_b)
        self._timeout_s = config.timeout_s
        self._ros = ros
        self._clock = clock
        self._lock = threading.Lock()  # held for assignments only; the executor's thread and the reader's share it
        self._levels = Levels()
        self._heard_s: list[float | None] = [None, None]
        self._subscriptions: list[Any] = []

    def open(self) -> None:
        """Subscribe. Raises ``DeviceLostError`` where the node is not open."""
        self.close()
        if self._ros.node is None:
            raise DeviceLostError(f"{self.name}: its ROS node is closed. Open it first.")
        with self._lock:
            self._heard_s = [None, None]
        for channel, topic in enumerate(self._topics):
            subscription = self._ros.node.create_subscription(
                message_type("std_msgs/msg/Bool"), topic, self._hear(channel), level_qos(DEPTH)
            )
            self._subscriptions.append(subscription)

    def _hear(self, channel: int) -> Callable[[Any], None]:
        def hear(message: Any) -> None:
            with self._lock:
                self._heard_s[channel] = self._clock()
                self._levels.hear(channel, message.data)

        return hear

    def read(self) -> Contacts:
        """Both levels; never waits. Raises ``InputError`` while a topic is silent."""
        now_s = self._clock()
        with self._lock:
            for topic, heard_s in zip(self._topics, self._heard_s, strict=True):
                if heard_s is None:
                    raise InputError(f"{self.name}: nothing heard on {topic} yet (a reliable publisher is needed).")
                if now_s - heard_s > self._timeout_s:
                    raise InputError(f"{self.name}: {topic} is silent for {now_s - heard_s:.3f} s.")
            return self._levels.take()

    def close(self) -> None:
        """Unsubscribe. Safe to call twice."""
        while self._subscriptions:
            subscription = self._subscriptions.pop()
            if self._ros.node is not None:
                self._ros.node.destroy_subscription(subscription)
