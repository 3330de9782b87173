"""The trusted recorder: every event of a trial in order, in memory and, if given, in a sink.

No surface can write it: it is fed by the world, the stop chain and the runner alone. A sink that fails (a full disk)
never raises into the world, so that a failing log cannot delay a stop: the failure is kept, and whoever runs the
trial asks for it between decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Sink = Callable[[str, float, Mapping[str, Any]], object]
"""Takes the type of an event, its simulated time [s] and its fields."""


class Recorder:
    """Append-only list of events; the number of an event is its place in the list."""

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink = sink
        self.events: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def event(self, kind: str, t_s: float, /, **fields: Any) -> int:
        """Record one event and return its number. Never raises."""
        number = len(self.events)
        self.events.append({"i": number, "t_s": round(t_s, 4), "type": kind, **fields})
        if self._sink is not None and self.failure is None:
            try:
                self._sink(kind, round(t_s, 4), fields)
            except Exception as error:  # noqa: BLE001 - whatever broke, the world goes on and the runner is told
                self.failure = error
        return number

    def raise_failure(self) -> None:
        """Raise what the sink raised, if anything."""
        if self.failure is not None:
            raise self.failure

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All events of one type so far."""
        return [event for event in self.events if event["type"] == kind]
