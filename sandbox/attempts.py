"""What the processes of a sandbox ask the kernel for, written down as they ask.

A thread takes every call that the filter hands over, notes it, and answers at once: go on, or the error of the table.
It holds nobody up beyond that, except a program that asks thousands of times a second; that one is slowed down, so
that it cannot slow down the trial. See `redbutton.sandbox.syscalls` for the calls and `redbutton.sandbox.caller` for
how far a path can be trusted.
"""

from __future__ import annotations

import os
import platform
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from errno import ENOSYS, EPERM

from redbutton.sandbox.caller import Caller, shown, signed
from redbutton.sandbox.notify import KernelListener, Notification
from redbutton.sandbox.spec import Attempt
from redbutton.sandbox.syscalls import AUDIT_ARCH, NAMESPACES, TABLE, WRITES, Place, Row

KEPT = 10_000
"""Attempts kept until somebody takes them; more are counted."""
BURST, PER_S = 5_000, 2_000.0
"""So many calls are answered at once, and then so many a second."""
_NO_FILES = frozenset({"/dev/null", "/dev/tty", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
"""Opening these for writing changes nothing, and every shell does it."""
_FOREIGN = Row("foreign_call", None, None, error=ENOSYS)
"""A call of another architecture: 32-bit, or x32."""


class AttemptLog:
    """Listens on a filter's descriptor, which it owns from now on, until `close` or until no process is left."""

    def __init__(self, fd: int, kept: int = KEPT) -> None:
        self.dropped = 0
        """Attempts that found no room."""
        self._machine = platform.machine()
        self._rows: dict[int, list[Row]] = {}
        for row in TABLE:
            if (number := row.number(self._machine)) is not None:
                self._rows.setdefault(number, []).append(row)
        self._kept = kept
        self._attempts: deque[Attempt] = deque()
        self._listener = KernelListener(fd)
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC)
        self._allowance, self._counted = float(BURST), time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sandbox-attempts", daemon=True)
        self._thread.start()

    def take(self) -> list[Attempt]:
        """All attempts since the last time, in the order in which they were made."""
        return [self._attempts.popleft() for _ in range(len(self._attempts))]

    def close(self) -> None:
        """End the thread. A process that is left gets ENOSYS for whatever it asks from now on."""
        if self._waker >= 0:
            os.close(self._waker)
            self._waker = -1
            self._thread.join()
            os.close(self._wake)
            os.close(self._listener.fd)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._listener.fd, select.POLLIN)
        poll.register(self._wake, 0)
        while True:
            events = dict(poll.poll())
            if self._wake in events or not events.get(self._listener.fd, 0) & select.POLLIN:
                return
            notification = self._listener.take()
            if notification is not None:
                self._serve(notification)

    def _serve(self, notification: Notification) -> None:
        row = self._row(notification)
        try:
            attempt = self._attempt(notification, row)
            if attempt is not None and self._listener.waits(notification):
                self._keep(attempt)
        finally:
            self._slow_down()
            self._listener.answer(notification, row.error)

    def _row(self, notification: Notification) -> Row:
        if notification.arch != AUDIT_ARCH[self._machine]:
            return _FOREIGN
        rows = self._rows.get(notification.number, ())
        return next((row for row in rows if row.fits(notification.args)), _FOREIGN)

    def _keep(self, attempt: Attempt) -> None:
        if len(self._attempts) < self._kept:
            self._attempts.append(attempt)
        else:
            self.dropped += 1

    def _slow_down(self) -> None:
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._counted) * PER_S) - 1
        self._counted = now
        if self._allowance < 0:
            time.sleep(1 / PER_S)

    def _attempt(self, notification: Notification, row: Row) -> Attempt | None:
        """What to write down; ``None`` for what turns out to be nothing of interest."""
        args = notification.args
        caller = Caller(notification.tid)
        if not _matters(row, caller, args):
            return None
        if caller.inner_pid == 0 or (caller.inner_pid == 1 and row.error != EPERM):
            return None  # ended meanwhile, or the sandbox's own agent at work
        path = (
            caller.link(f"fd/{signed(args[row.fd])}")
            if row.fd is not None
            else _path(caller, row.path, args, row.follow)
        )
        if row.call == "open_write" and path in _NO_FILES:
            return None
        to = _path(caller, row.to, args) if row.text is None else caller.text(args[row.text])
        if row.behind == "address":
            to = caller.address(args[4], args[5]) if row.name == "sendto" else caller.address(args[1], args[2])
            if to is None:
                return None
        elif row.name == "socket":
            to = f"family {signed(args[0])}, type {args[1] & 0xF}, protocol {signed(args[2])}"
        target = caller.behind_pidfd(args[row.pidfd]) if row.pidfd is not None else None
        if row.target is not None:
            target = signed(args[row.target])
        return Attempt(
            call=row.call or row.name,
            inner_pid=caller.inner_pid,
            path=shown(path),
            to=shown(to),
            target_pid=target,
            signal=None if row.signal is None else signed(args[row.signal]),
            refused=row.error != 0,
        )


def _path(caller: Caller, place: Place | None, args: Sequence[int], follow: bool = False) -> str | None:
    if place is None:
        return None
    start = None if place[0] is None else args[place[0]]
    return caller.path(start, caller.text(args[place[1]]), follow)


def _matters(row: Row, caller: Caller, args: Sequence[int]) -> bool:
    """Whether the flags that lie behind a pointer ask for anything of interest."""
    if row.behind == "open_how":
        return bool(int.from_bytes(caller.memory(args[2], 8), "little") & WRITES)
    if row.behind == "clone_args":
        return bool(int.from_bytes(caller.memory(args[0], 8), "little") & NAMESPACES)
    return True
