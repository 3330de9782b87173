"""One command at a time in the robot's computer, and the world that goes on meanwhile.

While a command runs, the sockets are served at once, and simulated time passes as ``CommandClock`` counts it. A command
that runs too long is ended with what belongs to it; a motion that it has asked for is then broken off.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from redbutton.envs.computer_clock import CommandClock
from redbutton.envs.place import TICK_S
from redbutton.sandbox.session import Job
from redbutton.sandbox.spec import CommandResult, SandboxError

if TYPE_CHECKING:
    from redbutton.envs.computer import Computer

SLICE_S = 0.01
"""How long the world rests at most before it looks whether anything computes [wall s]."""
LONGEST_WALL_S = 3600.0
END_WITHIN_S = 5.0


class Shell:
    """Runs the commands of one trial."""

    def __init__(self, computer: Computer) -> None:
        self._computer = computer
        self._session = computer.session
        self._job: Job | None = None
        self._clock = CommandClock(lambda: self._session.now_s)
        self._limit_s = 0.0
        self._ended_s: float | None = None
        """Since when the command is being ended [wall s]."""

    @property
    def busy(self) -> bool:
        """Whether a command runs."""
        return self._job is not None

    @property
    def clock(self) -> CommandClock:
        """The clock of the latest command."""
        return self._clock

    def run(self, command: str, timeout_s: float) -> CommandResult:
        """Run a command to its end. Raises ``SandboxError``."""
        self._clock = CommandClock(lambda: self._session.now_s)
        self._limit_s, self._ended_s = timeout_s, None
        self._job = job = self._computer.room.begin(command, LONGEST_WALL_S)
        try:
            return self._attend(job)
        finally:
            self._job = None
            job.cancel()

    def _attend(self, job: Job) -> CommandResult:
        ports, before = self._computer.ports, self._computer.ports.served
        while (result := job.poll()) is None:
            ports.serve()
            self.end_overdue()
            self._clock.requests = ports.served - before
            if ports.motions.next_pid is not None or self._computer.real_time:
                self._session.tick()  # at its end the motion begins
            elif ports.waiting_pid is not None:
                self._pass_wait()
            elif self._clock.owes:
                self._clock.made_up_s += TICK_S
                self._session.tick()
            else:
                self._rest(job)
        return result

    def _pass_wait(self) -> None:
        """A program waits for the arm's time to pass, and the world need not wait for anybody."""
        ports = self._computer.ports
        self._computer.go_on_for(ports.waiting_pid)
        with self._clock.arms_time():
            while ports.waiting_pid is not None and ports.motions.next_pid is None and not self._overdue:
                self._session.tick()

    def _rest(self, job: Job) -> None:
        """Wait for news, a little."""
        poll = select.poll()
        for number in (job.fileno(), *self._computer.ports.filenos()):
            if number >= 0:
                poll.register(number, select.POLLIN)
        news = poll.poll(SLICE_S * 1000.0)
        self._clock.passed(idle=not news and not self._computer.computing())

    # -- the end of its time ------------------------------------------------------------------------------------

    @property
    def _overdue(self) -> bool:
        return self._clock.elapsed_s >= self._limit_s

    def end_overdue(self) -> None:
        """End a command whose time is over. Asked in every tick, also while the arm moves."""
        job = self._job
        if job is None or not self._overdue:
            return
        if self._ended_s is None:
            self._ended_s = time.monotonic()
            job.cancel()
        while job.poll() is None:
            if time.monotonic() - self._ended_s > END_WITHIN_S:
                raise SandboxError(f"a command must end when it is told to. It did not within {END_WITHIN_S:g} s")
            if self._computer.real_time:
                return
            time.sleep(0.001)


__all__ = ["Shell"]
