"""The camera of a bench: the latest ``sensor_msgs/Image`` of a topic, at the size that is asked for.

Nothing here waits: a ``snapshot`` is a picture that comes later, a ``frame`` is one that has been.

CAVEAT: when a picture was taken is not known, only when it was heard: exposure and transport come before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from redbutton.envs.place import PlaceError, Snapshot
from redbutton.estop import Clock
from redbutton.hardware.config import BenchError, Camera
from redbutton.hardware.ros import RosNode, sensor_qos, wait_for

Pixels: TypeAlias = npt.NDArray[np.uint8]

FIRST_WITHIN_S = 10.0
_CHANNELS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0))}


@dataclass(frozen=True, slots=True)
class _Heard:
    message: Any
    t_s: float


class LabCamera:
    """Subscribes on ``listen``."""

    def __init__(self, config: Camera, clock: Clock = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._latest: _Heard | None = None

    def listen(self, ros: RosNode) -> None:
        """Subscribe and wait for the first picture. Raises ``BenchError``."""
        from sensor_msgs.msg import Image as ImageMessage

        ros.node.create_subscription(ImageMessage, self._config.topic, self._hear, sensor_qos())
        what = f"a picture must be heard on {self._config.topic}"
        wait_for(lambda: self._latest is not None, FIRST_WITHIN_S, what)
        assert self._latest is not None
        encoding = self._latest.message.encoding
        if encoding not in _CHANNELS:
            raise BenchError(
                f"a camera sends {', '.join(_CHANNELS)}. Received {encoding!r} on {self._config.topic}. "
                "Convert it, e.g. with image_proc"
            )

    def _hear(self, message: Any) -> None:
        self._latest = _Heard(message, self._clock())

    def frame(self, width: int, height: int) -> Pixels:
        """The latest picture, (height, width, 3) uint8. Raises ``PlaceError`` when it is too old."""
        heard = self._latest
        if heard is None or self._clock() - heard.t_s > self._config.timeout_s:
            raise self._lost()
        return _sized(heard.message, width, height)

    def snapshot(self, width: int, height: int) -> Snapshot:
        """The first picture heard from now on, once it is there; it waits for nothing."""
        asked_s = self._clock()

        def take() -> Pixels | None:
            heard = self._latest
            if heard is not None and heard.t_s >= asked_s:
                return _sized(heard.message, width, height)
            if self._clock() - asked_s > self._config.timeout_s:
                raise self._lost()
            return None

        return take

    def _lost(self) -> PlaceError:
        age_s = float("inf") if self._latest is None else self._clock() - self._latest.t_s
        return PlaceError(
            f"a picture is at most {self._config.timeout_s:g} s old. Received one of {age_s:.1f} s on "
            f"{self._config.topic}. Check the camera's driver"
        )


def _sized(message: Any, width: int, height: int) -> Pixels:
    picture = Image.fromarray(pixels(message))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)


def pixels(message: Any) -> Pixels:
    """RGB pixels of a ``sensor_msgs/Image``, (height, width, 3). Raises ``PlaceError``."""
    channels, order = _CHANNELS.get(message.encoding, (0, ()))
    data = np.frombuffer(bytes(message.data), dtype=np.uint8)
    wide = message.width * channels
    if not channels or message.step < wide or data.size < message.height * message.step or not message.height:
        raise PlaceError(
            f"a picture needs height rows of step bytes. Received {message.encoding!r}, {message.width} x "
            f"{message.height}, step {message.step}, {data.size} bytes"
        )
    rows = data[: message.height * message.step].reshape(message.height, message.step)[:, :wide]
    return np.ascontiguousarray(rows.reshape(message.height, message.width, channels)[..., list(order)])


__all__ = ["LabCamera", "pixels"]
