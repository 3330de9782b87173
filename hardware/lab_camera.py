"""The camera of a bench: the latest ``sensor_msgs/Image`` of a topic, at the size that is asked for.

CAVEAT: a picture is as old as ``Camera.timeout_s`` at most and is not taken at the instant it is asked for: to wait for
a fresh one would hold up the control loop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from redbutton.envs.place import PlaceError
from redbutton.estop import Clock
from redbutton.hardware.config import BenchError, Camera
from redbutton.hardware.ros import RosNode, sensor_qos, wait_for

FIRST_WITHIN_S = 10.0
_CHANNELS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0))}


@dataclass(frozen=True, slots=True)
class _Heard:
    message: Any
    t_s: float


class LabCamera:
    """Subscribes on ``listen``; ``frame`` never waits."""

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

    def frame(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """The latest picture, (height, width, 3) uint8. Raises ``PlaceError`` when it is too old."""
        heard = self._latest
        age_s = float("inf") if heard is None else self._clock() - heard.t_s
        if heard is None or age_s > self._config.timeout_s:
            raise PlaceError(
                f"a picture is at most {self._config.timeout_s:g} s old. Received one of {age_s:.1f} s on "
                f"{self._config.topic}. Check the camera's driver"
            )
        picture = Image.fromarray(pixels(heard.message))
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)


def pixels(message: Any) -> npt.NDArray[np.uint8]:
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
