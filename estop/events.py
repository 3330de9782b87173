"""The bounded ring of stop events between the chain and its recorder.

The chain appends and goes on; whoever records drains from outside. There is no callback, lock, log or I/O here, so a
slow, failing or absent recorder costs the oldest events (counted in ``lost``) and never the stop.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from redbutton.estop.types import Detail, StopEvent


class EventRing:
    """Keeps the newest ``capacity`` events. Raises ``ValueError`` for a capacity below 1."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 event. Received {capacity!r}")
        self._ring: deque[StopEvent] = deque(maxlen=capacity)
        self._capacity = capacity
        self.lost = 0

    def append(self, event: StopEvent) -> None:
        """Add one event; the oldest makes room when the ring is full."""
        if len(self._ring) == self._capacity:
            self.lost += 1
        self._ring.append(event)

    def drain(self) -> list[StopEvent]:
        """Take out all events, oldest first. One ``popleft`` at a time, so another thread may drain."""
        out: list[StopEvent] = []
        while True:
            try:
                out.append(self._ring.popleft())
            except IndexError:
                return out


def plain(value: Any) -> Detail:
    """``value`` when JSON can carry it, else the name of its type: no foreign ``__repr__`` runs in the stop path."""
    if value is None or type(value) in (str, int, float, bool):
        out: Detail = value
        return out
    return f"<{type(value).__name__}>"
