"""Events as JSON lines in a file, written by a thread of its own.

The supervisor's loop only puts events into a queue. A disk that is full, slow or gone costs the file its events, never
the arm its stop; that it happened is told by ``trouble`` and becomes an event itself.

CAVEAT: lines are handed to the kernel at once and to the disk when the kernel likes: a power cut takes the latest ones.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from redbutton.hardware.config import BenchError

KEPT = 8192
JOIN_S = 2.0


class EventFile:
    """Appends to ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: deque[str] = deque(maxlen=16)
        """Why events are being lost, and ``""`` when writing works again. Taken by the loop."""
        self._waiting: deque[Mapping[str, Any]] = deque(maxlen=KEPT)
        self._news = threading.Event()
        self._ended = False
        self._failing = False
        self._torn = False
        self._fd = -1
        self._thread = threading.Thread(target=self._run, name="event-file", daemon=True)

    def open(self) -> None:
        """Open the file. Raises ``BenchError``."""
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise BenchError(f"--log needs a file to write. Received {str(self.path)!r} ({exc.strerror}).") from None
        self._thread.start()

    def offer(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Have these written. Never waits."""
        self._waiting.extend(events)
        self._news.set()

    def close(self) -> None:
        """Write what is left, but wait only so long for it. Safe to call twice, or without ``open``."""
        self._ended = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        _be_ordinary()
        while not self._ended or self._waiting:
            self._news.wait()
            self._news.clear()
            lines = []
            while self._waiting:
                lines.append(json.dumps(self._waiting.popleft()))
            if lines:
                self._write(lines)
        os.close(self._fd)

    def _write(self, lines: list[str]) -> None:
        data = ("\n" if self._torn else "").encode() + "".join(f"{line}\n" for line in lines).encode()
        try:
            while data:
                written = os.write(self._fd, data)
                self._torn, data = data[written - 1 : written] != b"\n", data[written:]
        except OSError as exc:
            if not self._failing:
                self.trouble.append(f"{exc.strerror or exc} ({self.path})")
            self._failing = True
            return
        if self._failing:
            self.trouble.append("")
        self._failing = False


def _be_ordinary() -> None:
    """Give up the priority that this thread has from the supervisor."""
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:  # not permitted: then it has none
        return


__all__ = ["EventFile"]
