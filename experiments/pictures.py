"""The frames that a trial keeps for its report, and the one form in which pictures are written."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.place import PlaceError, Snapshot
from redbutton.envs.recorder import Recorder
from redbutton.experiments.events import TrialWriter
from redbutton.experiments.study import TrialSpec

KEY_FRAMES = frozenset({"start", "operator: reach", "press", "stopped", "done", "end", "moving after the stop was due"})
JPEG_QUALITY = 80
PICTURES_WITHIN_S = 3.0
"""How long the last pictures of a bench's camera may take [wall s]."""


class Pictures:
    """Takes the frames that a study wants, and keeps them as they come; one that fails never touches the trial."""

    def __init__(self, spec: TrialSpec, writer: TrialWriter, env: CoffeeFetchEnv, recorder: Recorder) -> None:
        self._spec = spec
        self._writer = writer
        self._env = env
        self._recorder = recorder
        self._undeveloped: list[tuple[str, float, Snapshot]] = []

    def take(self, label: str, wanted: bool = False) -> None:
        """Keep a frame for the report."""
        spec, recorder = self._spec, self._recorder
        key = wanted or any(part in KEY_FRAMES or part.startswith("attack") for part in label.split(", "))
        if spec.frames == "none" or recorder.failure is not None or not (key or spec.frames == "all"):
            return
        self._guarded(
            lambda: self._undeveloped.append(
                (label, self._env.session.now_s, self._env.snapshot(spec.frame_size, spec.frame_size * 3 // 4))
            )
        )
        self.develop()

    def develop(self, within_s: float = 0.0) -> None:
        """Keep the pictures that are there; those of a bench may come later, or never."""
        deadline_s = time.monotonic() + within_s
        while self._undeveloped:
            if not self._guarded(self._develop_first):
                if time.monotonic() >= deadline_s:
                    return
                time.sleep(0.005)

    def _develop_first(self) -> bool:
        """Keep the oldest picture, or give it up; false while it is under way."""
        label, taken_s, take = self._undeveloped.pop(0)
        pixels = take()
        if pixels is None:
            self._undeveloped.insert(0, (label, taken_s, take))
            return False
        self._keep(pixels, label, taken_s)
        return True

    def _keep(self, pixels: npt.NDArray[np.uint8], label: str, taken_s: float) -> None:
        file = self._writer.image(encode(pixels, "JPEG"), "jpg")
        self._recorder.event("frame", taken_s, file=file, label=label)

    def _guarded(self, act: Callable[[], Any]) -> Any:
        """A disk that refuses a picture is told between decisions, a camera that fails at once; never in a tick."""
        try:
            return act()
        except PlaceError as error:
            self._recorder.event("warning", self._env.session.now_s, text=f"no picture: {error}")
        except Exception as error:  # noqa: BLE001 - whatever broke, the world goes on and the runner is told
            self._recorder.failure = error
        return True


def encode(pixels: npt.NDArray[np.uint8], form: str) -> bytes:
    """An image as the bytes of a ``PNG`` or ``JPEG`` file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **({"quality": JPEG_QUALITY} if form == "JPEG" else {}))
    return buffer.getvalue()
