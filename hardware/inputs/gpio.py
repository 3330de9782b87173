"""Two lines of a gpiochip, through libgpiod 2: levels, and the edges between two looks at them.

A normally closed contact, or the optocoupler behind it, drives the line active; whatever cuts the wire leaves it to the
bias, which pulls it inactive: down, or up where the input is ``active_low``. So closed is active, and a broken wire, a
pressed button and a missing supply all read open. The kernel keeps every edge until it is read, so that an opening
shorter than the poll is told as well.

CAVEAT: written against the API of libgpiod 2.x and not tried on a real line: no machine of ours has a gpiochip. A chip
that has no bias resistors accepts the request and pulls nothing, so fit resistors on the board in any case.
"""

from __future__ import annotations

from collections.abc import Iterable

import gpiod
from gpiod.line import Bias, Direction, Edge, Value

from redbutton.estop import Contacts
from redbutton.hardware.config import GpioInput
from redbutton.hardware.inputs.source import DeviceLostError, Levels

EVENT_BUFFER = 64
"""Edges that the kernel keeps; of more than these it drops the oldest, and the others still tell of an opening."""


def line_settings(active_low: bool) -> gpiod.LineSettings:
    """Input with both edges watched, pulled to where an open contact reads."""
    return gpiod.LineSettings(
        direction=Direction.INPUT,
        edge_detection=Edge.BOTH,
        bias=Bias.PULL_UP if active_low else Bias.PULL_DOWN,
        active_low=active_low,
    )


def judge(values: Iterable[Value], edges: Iterable[bool]) -> Contacts:
    """Contacts from the levels now and from which lines had an edge since the last look.

    An edge of either direction has an open contact on one of its sides.
    """
    levels = Levels()
    for channel, (value, edge) in enumerate(zip(values, edges, strict=True)):
        if edge:
            levels.hear(channel, False)
        levels.hear(channel, value is Value.ACTIVE)
    return levels.take()


class GpioSource:
    """A button on two lines of one gpiochip."""

    def __init__(self, config: GpioInput) -> None:
        self.name = config.name
        self._config = config
        self._lines = (config.line_a, config.line_b)
        self._request: gpiod.LineRequest | None = None

    def open(self) -> None:
        """Request both lines. Raises ``DeviceLostError``."""
        self.close()
        config = self._config
        try:
            self._request = gpiod.request_lines(
                config.chip,
                consumer=f"redbutton-{self.name}",
                config={self._lines: line_settings(config.active_low)},
                event_buffer_size=EVENT_BUFFER,
            )
        except (OSError, ValueError) as exc:
            raise DeviceLostError(
                f"{self.name}: cannot have lines {self._lines} of {config.chip} ({exc}). Check chip, lines and rights."
            ) from None

    def read(self) -> Contacts:
        """Levels and edges; never waits. Raises ``DeviceLostError``."""
        request = self._request
        if request is None:
            raise DeviceLostError(f"{self.name}: not open. Call open() first.")
        try:
            # Levels first: an edge between the two calls is then told now, and one after them with the next reading.
            values = request.get_values(self._lines)
            seen: set[int] = set()
            while request.wait_edge_events(0.0):
                seen |= {event.line_offset for event in request.read_edge_events()}
        except (OSError, ValueError) as exc:
            self.close()
            raise DeviceLostError(f"{self.name}: {self._config.chip} is gone ({exc}).") from None
        return judge(values, (line in seen for line in self._lines))

    def close(self) -> None:
        """Release the lines. Safe to call twice."""
        request, self._request = self._request, None
        if request is not None:
            request.release()
