"""The supervisor's memory of what happened: a ring of numbered events that anybody may read.

Every event carries the monotonic clock, so that press, latch, gate, hold and standstill can be told from one list. A
kind that somebody else can provoke (a refused command, a chattering contact) is limited per second, so that a flood
cannot push the stop out of the ring. CAVEAT: the ring is memory, not a file: who wants to keep events reads them in
time.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from redbutton.estop import Clock
from redbutton.estop.clock import read

CAPACITY = 4096
PER_SECOND = 10
"""Events of one limited kind in one second."""
PACKET_BYTES = 40_000
"""Events in one answer: a packet of the socket holds 60 kB."""
_TEXT = 200
_ITEMS = 64
_DEPTH = 3


class EventLog:
    """Keeps the newest ``capacity`` events. Nothing here raises on what a detail holds."""

    def __init__(self, clock: Clock, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._ring: deque[dict[str, Any]] = deque(maxlen=capacity)
        self._windows: dict[tuple[str, str], _Window] = {}
        self.last = 0
        """Number of the newest event; the first is 1."""

    def note(self, kind: str, /, **detail: Any) -> None:
        """Add one event, now."""
        self.last += 1
        self._ring.append({"n": self.last, "t_s": plain(read(self._clock)), "kind": kind, "detail": plain(detail)})

    def limited(self, kind: str, key: str = "", /, **detail: Any) -> None:
        """Add one event unless this kind and key had ``PER_SECOND`` in this second; the next tells how many it lost."""
        window = self._windows.setdefault((kind, key), _Window())
        suppressed = window.take(read(self._clock))
        if suppressed is not None:
            self.note(kind, **detail, **({"suppressed": suppressed} if suppressed else {}))

    def after(self, number: int) -> tuple[list[dict[str, Any]], bool]:
        """Events with higher numbers, oldest first, as many as a packet holds; and whether there are more."""
        found: list[dict[str, Any]] = []
        size = 0
        for event in self._ring:
            if event["n"] <= number:
                continue
            size += len(json.dumps(event))
            if found and size > PACKET_BYTES:
                return found, True
            found.append(event)
        return found, False


class _Window:
    """Counts what one second let through and what it kept back."""

    def __init__(self) -> None:
        self._since_s = -math.inf
        self._count = 0
        self._suppressed = 0

    def take(self, now_s: float) -> int | None:
        """How many were kept back before this one, or ``None`` when it is kept back too."""
        if not 0.0 <= now_s - self._since_s < 1.0:
            self._since_s, self._count = now_s, 0
        self._count += 1
        if self._count > PER_SECOND:
            self._suppressed += 1
            return None
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """``value`` as strict JSON can carry it; anything else is named by its type, so that none of its code runs."""
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return value if abs(value) < 2**63 else f"<int of {value.bit_length()} bits>"
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is str:
        return value[:_TEXT].encode("utf-8", "replace").decode("utf-8")
    if depth and type(value) in (list, tuple):
        return [plain(item, depth - 1) for item in value[:_ITEMS]]
    if depth and isinstance(value, Mapping):
        return {str(plain(key)): plain(item, depth - 1) for key, item in list(value.items())[:_ITEMS]}
    return f"<{type(value).__name__}>"


__all__ = ["CAPACITY", "PER_SECOND", "EventLog", "plain"]
