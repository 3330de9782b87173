"""The trial's end of the twin's two topics: the latest scene, commands, and who has been answered.

CAVEAT: a trial that does something else meanwhile is given the newest scene: what happened in between is lost to it, as
it would be on a bench.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import deque
from typing import Any

from redbutton.hardware.config import BenchConfig
from redbutton.hardware.ros import RosNode, level_qos
from redbutton.hardware.twin_graph import COMMAND_TOPIC, SCENE_TOPIC, TOPIC_DEPTH, frame_id

Scene = dict[str, Any]


class TwinLink:
    """Subscriptions and one publisher. ``take`` and ``send`` are for one thread."""

    def __init__(self, config: BenchConfig) -> None:
        self._config = config
        self._news = threading.Condition()  # held to put in or take out, never across anything that waits
        self._scenes: deque[Scene] = deque(maxlen=1000)
        self._images: deque[Any] = deque(maxlen=64)
        self._answers: dict[int, str | None] = {}
        # Told apart from the numbers of anybody else who speaks to the twin.
        self._numbers = itertools.count(time.monotonic_ns() // 1000)
        self._topic: Any = None

    def listen(self, ros: RosNode) -> None:
        """Subscribe and publish in an open node's graph."""
        from sensor_msgs.msg import Image
        from std_msgs.msg import String

        node = ros.node
        node.create_subscription(String, SCENE_TOPIC, self._see, level_qos(TOPIC_DEPTH))
        if self._config.camera is not None:
            node.create_subscription(Image, self._config.camera.topic, self._picture, level_qos(TOPIC_DEPTH))
        self._topic = node.create_publisher(String, COMMAND_TOPIC, level_qos(TOPIC_DEPTH))

    @property
    def ready(self) -> bool:
        """Whether the twin was heard and listens."""
        return bool(self._scenes) and self._topic.get_subscription_count() > 0

    # -- in the executor's thread ---------------------------------------------------------------------------

    def _see(self, message: Any) -> None:
        scene = json.loads(message.data)
        with self._news:
            for number in scene["acked"]:
                if number in self._answers:
                    self._answers[number] = scene["failed"].get(str(number), "")
            self._scenes.append(scene)
            self._news.notify_all()

    def _picture(self, message: Any) -> None:
        with self._news:
            self._images.append(message)
            self._news.notify_all()

    # -- in the trial's thread ------------------------------------------------------------------------------

    def rest(self, timeout_s: float) -> None:
        """Wait for news, or so long."""
        with self._news:
            self._news.wait(timeout_s)

    @property
    def waiting(self) -> int:
        """Scenes that have not been taken."""
        return len(self._scenes)

    def take(self) -> Scene:
        """The latest scene; earlier ones that nobody took are dropped. Raises ``IndexError`` when there is none.

        A loop that is late must not hurry through what it has missed: a motion of so many control periods would then
        take less time than the arm needs.
        """
        with self._news:
            scene = self._scenes[-1]
            self._scenes.clear()
            return scene

    def forget(self) -> None:
        """Drop every scene that has not been taken."""
        with self._news:
            self._scenes.clear()

    def send(self, do: str, *, expect: bool = False, **fields: Any) -> int:
        """Send a command; returns its number. ``expect``: its answer will be asked for."""
        from std_msgs.msg import String

        number = next(self._numbers)
        if expect:
            self._answers[number] = None
        self._topic.publish(String(data=json.dumps({"id": number, "do": do, **fields})))
        return number

    def answer(self, number: int) -> str | None:
        """Empty when done, the reason when refused, ``None`` while nothing has been heard."""
        with self._news:
            said = self._answers.get(number)
            if said is not None:
                del self._answers[number]
            return said

    def picture(self, number: int) -> Any:
        """The picture that a command asked for, or ``None``. Once it is there nothing else is answered."""
        with self._news:
            found = next((image for image in self._images if image.header.frame_id == frame_id(number)), None)
            if found is not None:
                self._answers.pop(number, None)
            return found
