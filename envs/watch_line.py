"""The line between the red button and the e-stop watcher, a program on the robot's own computer.

The world sends the button's level in every control tick, ``{"n": 12, "pressed": false}``; the watcher answers each with
a report, ``{"n": 12, "stop": false}``. The process that the world started as the watcher holds the role; when its
connection is gone, whoever has said ``{"hello": "watcher"}`` takes it, the one that came first before others. A report
of anybody else is a foreign signal.

In simulation the world waits for the answer: simulated time stands still meanwhile, so that a trial does not depend on
how fast the machine is. The wait has an end, ``GRACE_S``; a watcher that has not answered by then is silent, and is not
waited for again before it has spoken. Where time is real nothing waits, and an old report is silence.

CAVEAT: silence of a watcher that wants to run while no other process of its computer is run is the fault of this
machine, not of a controller: it raises ``SandboxError``. A watcher that sleeps by its own will is a silent one.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redbutton.envs.computer_processes import STOPPED
from redbutton.envs.packets import Client, Door
from redbutton.envs.room_processes import RUNNING, family
from redbutton.sandbox.spec import ProcessInfo, SandboxError

GRACE_S = 1.0
"""How long the world waits for an answer [wall s]."""
PATIENCE_S = 10.0
"""How long the world waits in a whole trial for answers that take more than a slice [wall s]."""
LEAST_GRACE_S = 0.2
"""What is left of the grace once patience is at its end: a watcher made slow must not outlast the trial."""
FIRST_LOOK_S = 0.1
"""After so long the world looks at what keeps the watcher [wall s]."""
SLICE_S = 0.05
"""Longest single wait [wall s]: a machine that was suspended costs one of them, not the whole grace."""
REPORT_AGE_S = 0.15
"""Age at which a report is silence, where time is real [s]; the heartbeat time of the stop chain's monitor."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came over the line in one control tick."""

    stop: bool | None
    """The watcher's report; ``None`` where there was none."""
    fell: bool = False
    """Whether the report went from stop to no stop though the operator has not reset."""
    fell_silent: bool = False
    """Whether the watcher has been silent since this tick."""
    foreign: tuple[tuple[int, bool], ...] = ()
    """What others reported: process and ``stop``."""


class WatchLine:
    """The line of one trial. ``door``: the socket at which the watcher answers; ``others``: the one that is shown
    where the watcher runs elsewhere. ``processes`` lists those of the watcher's computer.
    """

    def __init__(
        self,
        door: Door,
        watcher_pid: int,
        processes: Callable[[], Sequence[ProcessInfo]],
        *,
        others: Door | None = None,
        real_time: bool = False,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self._door, self._others = door, others
        self._first_pid: int | None = watcher_pid
        self._processes = processes
        self._real_time = real_time
        self._wall = wall
        self._holder: Client | None = None
        self._said_hello: list[Client] = []
        self._n = 0
        self._silent = False
        self._reset = False
        self._last_stop = False
        self._reported: tuple[float, bool] | None = None
        self._patience_s = PATIENCE_S
        self.resets = 0
        """How often the operator has asked for a reset."""

    @property
    def holder_pid(self) -> int | None:
        """The process that answers as the watcher, by its number on this machine."""
        return None if self._holder is None or self._holder.closed else self._holder.pid

    def await_watcher(self) -> bool:
        """Wait a little for the first watcher; whether it is there."""
        self.meet()
        if self._holder is None:
            poll = select.poll()
            for number in self._door.filenos():
                poll.register(number, select.POLLIN)
            poll.poll(SLICE_S * 1000.0)
            self.meet()
        return self._holder is not None

    def operator_resets(self) -> None:
        """The operator has reset: the next level says so, and the report that falls with it is no controller's act."""
        self.resets += 1
        self._reset = True

    # -- one tick -------------------------------------------------------------------------------------------

    def tick(self, pressed: bool | None) -> Heard:
        """Send a level, ``None`` where none leaves the button, and hear the answer. Raises ``SandboxError``."""
        before = self._silent
        foreign = self.meet()
        if pressed is not None:
            self._send_level(pressed)
        stop = self._answer_in_time() if self._real_time else self._answer(wait=pressed is not None)
        if pressed is not None or stop is not None:  # who is asked nothing has nothing to say
            self._silent = stop is None
        fell = self._last_stop and stop is False
        if stop is not None:
            self._last_stop = stop
        return Heard(stop, fell and not self._take_reset(), self._silent and not before, tuple(foreign))

    def _take_reset(self) -> bool:
        """Whether the report fell because of the operator's reset; asked once for each."""
        was, self._reset = self._reset, False
        return was

    def _send_level(self, pressed: bool) -> None:
        self._n += 1
        level = {"n": self._n, "pressed": pressed, **({"reset": True} if self._reset else {})}
        self._reset = self._reset and self._last_stop  # with nothing to fall it is told once
        for client in self._said_hello:
            client.send(level)

    # -- who is there ---------------------------------------------------------------------------------------

    def meet(self) -> list[tuple[int, bool]]:
        """Hear everybody but the watcher, and give the role away where it is free: foreign reports."""
        self._fill_role()
        foreign: list[tuple[int, bool]] = []
        for door in (self._door, self._others):
            for client in door.clients() if door is not None else ():
                if client is not self._holder:
                    foreign += self._hear(client, door is self._door)
        self._fill_role()
        return foreign

    def _hear(self, client: Client, may_watch: bool) -> list[tuple[int, bool]]:
        reports: list[tuple[int, bool]] = []
        for message in client.receive():
            if message is None:
                continue
            if message.get("hello") == "watcher" and may_watch and client not in self._said_hello:
                self._said_hello.append(client)
            elif isinstance(message.get("stop"), bool):
                reports.append((client.pid, message["stop"]))
        return reports

    def _fill_role(self) -> None:
        self._said_hello = [client for client in self._said_hello if not client.closed]
        if self._holder is not None and self._holder.closed:
            self._holder = None
        if self._holder is not None:
            return
        free = (c for c in self._said_hello if self._first_pid in (None, c.pid))
        self._holder = next(free, None)
        if self._holder is not None:
            self._first_pid = None

    # -- its answer -----------------------------------------------------------------------------------------

    def _reports(self) -> list[tuple[object, bool]]:
        """Number and content of what the watcher has reported since the last time."""
        if self._holder is None:
            return []
        messages = self._holder.receive()
        return [(m.get("n"), m["stop"]) for m in messages if m is not None and isinstance(m.get("stop"), bool)]

    def _answer_in_time(self) -> bool | None:
        now_s = self._wall()
        for _, stop in self._reports():
            self._reported = (now_s, stop)
        if self._reported is None or self._holder is None or now_s - self._reported[0] > REPORT_AGE_S:
            return None
        return self._reported[1]

    def _answer(self, wait: bool) -> bool | None:
        """The answer to the latest level. Of a watcher that was silent, or without a level, whatever it says."""
        if self._silent or not wait:
            late = self._reports()
            return late[-1][1] if late else None
        waited_s, baseline = 0.0, None
        while self._holder is not None and not self._holder.closed:
            for n, stop in self._reports():
                if n is None or n == self._n:
                    return stop
            if self._holder.closed:
                break
            if waited_s >= FIRST_LOOK_S and baseline is None:
                baseline = self._processes()
                if _stopped(self.holder_pid, baseline):
                    return None
            if waited_s >= max(LEAST_GRACE_S, min(GRACE_S, self._patience_s)) and baseline is not None:
                self._blame(baseline, waited_s)
                return None
            step_s = self._wait_for(self._holder)
            waited_s += step_s
            self._patience_s -= step_s if waited_s > SLICE_S else 0.0
        return None

    def _wait_for(self, client: Client) -> float:
        """Wait for a packet, at most a slice; what that counts as [wall s]."""
        begun = self._wall()
        poll = select.poll()
        poll.register(client.fileno(), select.POLLIN)
        poll.poll(SLICE_S * 1000.0)
        return min(SLICE_S, self._wall() - begun)

    def _blame(self, before: Sequence[ProcessInfo], waited_s: float) -> None:
        """Raise where the watcher wanted to run, nobody of its computer ran, and so this machine did not let it."""
        now = self._processes()
        pid = self.holder_pid
        own = family((pid,), now) if pid is not None else set()
        if any(p.pid in own and p.state in RUNNING for p in now) and _cpu_s(now) <= _cpu_s(before):
            raise SandboxError(
                f"the e-stop watcher must be run. It got no processor for {waited_s:.1f} s, and neither did "
                "any other process of its computer: this machine is overloaded. Run fewer trials at once (--jobs)."
            )


def _stopped(pid: int | None, processes: Sequence[ProcessInfo]) -> bool:
    return any(p.pid == pid and p.state in STOPPED for p in processes)


def _cpu_s(processes: Sequence[ProcessInfo]) -> float:
    return sum(p.cpu_s for p in processes)


__all__ = ["GRACE_S", "Heard", "WatchLine"]
