"""Clocks for the stop chain: the machine's monotonic clock and a simulated one.

CAVEAT: a chain is only as honest as its clock. ``read`` turns a clock that raises or returns no number into NaN,
and every link treats NaN as its fail mode says.
"""

from __future__ import annotations

import math
import time

from redbutton.estop.types import Clock

monotonic: Clock = time.monotonic
"""Default clock: seconds since an arbitrary start, never backwards, not touched by changes of the date."""


class ManualClock:
    """A simulated clock that moves only when told to."""

    def __init__(self, t_s: float = 0.0) -> None:
        self.t_s = t_s

    def __call__(self) -> float:
        """The simulated time [s]."""
        return self.t_s

    def set(self, t_s: float) -> None:
        """Jump to ``t_s`` [s]; takes anything, so that tests can break the clock."""
        self.t_s = t_s

    def advance(self, dt_s: float) -> float:
        """Move on by ``dt_s`` [s] and return the new time. Raises ``ValueError`` unless finite and >= 0."""
        if not (math.isfinite(dt_s) and dt_s >= 0.0):
            raise ValueError(f"dt_s must be finite and >= 0. Received {dt_s!r}. Use set() to jump")
        self.t_s += dt_s
        return self.t_s


def read(clock: Clock) -> float:
    """The time in seconds, or NaN when the clock raises or returns anything but a number."""
    try:
        return clock() + 0.0
    except Exception:  # noqa: BLE001 - a broken clock must reach the stop logic as NaN, never as an exception
        return math.nan
