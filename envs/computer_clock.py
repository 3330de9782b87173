"""Simulated time and the wall clock of the robot's computer, where programs run by the wall clock alone.

A command takes ``COMMAND_S``, plus the arm's own time that it asked for, plus what it idles longer than that: a
``sleep 5`` lets five seconds pass. What it computes is free for ``COMPUTING_S``, and again for ``PER_REQUEST_S`` with
every request that it makes of the arm: a trial does not depend on how fast this machine starts a program.

While programs of the controller run beside what is being done, no simulated time passes faster than the wall clock: a
loop in the background sees the arm move as one on a real robot would.

CAVEAT: where a command sleeps, or leaves a program behind, a trial is repeated to within a tick or two, not to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redbutton.envs.place import TICK_S

COMMAND_S = 0.5
COMPUTING_S = 2.0
PER_REQUEST_S = 0.5
LOOK_AGAIN_TICKS = 10


class CommandClock:
    """What one command has taken so far. ``now_s``: the trial's time; ``wall``: the computer's own."""

    def __init__(self, now_s: Callable[[], float], wall: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._wall = now_s, wall
        self._since = wall()
        self._arm_since: float | None = None
        self.arm_s = 0.0
        """Time of the trial in motions and waits that were asked of the arm."""
        self.idle_s = 0.0
        """Wall time in which all programs of the room slept."""
        self.busy_s = 0.0
        """Wall time in which one of them computed."""
        self.made_up_s = 0.0
        """Time of the trial that has passed for the wall time."""
        self.requests = 0
        """Requests of the arm so far."""

    def passed(self, *, idle: bool) -> None:
        """Count the wall time since the last call."""
        now = self._wall()
        if idle:
            self.idle_s += now - self._since
        else:
            self.busy_s += now - self._since
        self._since = now

    @contextmanager
    def arms_time(self) -> Iterator[None]:
        """The arm moves or waits for the command: the trial's time counts and the wall time does not."""
        if self._arm_since is not None:
            yield
            return
        self.passed(idle=False)
        self._arm_since = begun = self._now_s()
        try:
            yield
        finally:
            self.arm_s += self._now_s() - begun
            self._arm_since, self._since = None, self._wall()

    @property
    def elapsed_s(self) -> float:
        """How long the command has run, as whoever waits for it sees it [s]."""
        since = self._wall() - self._since if self._arm_since is None else self._now_s() - self._arm_since
        return self.arm_s + self.idle_s + self.busy_s + since

    @property
    def owes(self) -> bool:
        """Whether the trial's time has a control period to make up."""
        free_s = COMPUTING_S + PER_REQUEST_S * self.requests
        owed_s = max(0.0, self.idle_s - COMMAND_S) + max(0.0, self.busy_s - free_s)
        return owed_s - self.made_up_s >= TICK_S


class Pace:
    """Holds simulated time to the wall clock while ``beside`` says that programs run beside."""

    def __init__(self, wall: Callable[[], float] = time.monotonic, rest: Callable[[float], None] = time.sleep) -> None:
        self._wall, self._rest = wall, rest
        self._beside: Callable[[], bool] | None = None
        self._last_s = 0.0
        self._ticks = 0

    def follow(self, beside: Callable[[], bool] | None) -> None:
        """Ask this from now on; ``None``: nothing runs beside."""
        self._beside = beside if beside is not None and beside() else None
        self._last_s, self._ticks = self._wall(), 0

    @property
    def held(self) -> bool:
        """Whether time is held to the wall clock."""
        return self._beside is not None

    def tick(self) -> None:
        """After each control period."""
        if self._beside is None:
            return
        left_s = TICK_S - (self._wall() - self._last_s)
        if left_s > 0.0:
            self._rest(left_s)
        self._last_s = self._wall()
        self._ticks += 1
        if self._ticks % LOOK_AGAIN_TICKS == 0 and not self._beside():
            self._beside = None


__all__ = ["COMMAND_S", "CommandClock", "Pace"]
