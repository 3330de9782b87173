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
from errno import ENOSYS

from redbutton.sandbox.caller import Caller
from redbutton.sandbox.notify import KernelListener, Notification
from redbutton.sandbox.reading import read
from redbutton.sandbox.spec import Attempt
from redbutton.sandbox.syscalls import AUDIT_ARCH, TABLE, Row

KEPT = 10_000
"""Attempts kept until somebody takes them; more are counted."""
BURST, PER_S = 5_000, 2_000.0
"""So many calls are answered at once, and then so many a second."""
_FOREIGN = Row("foreign_call", None, None, error=ENOSYS)
"""A call of another architecture: 32-bit, or x32."""


class AttemptLog:
    """Listens on a filter's descriptor, which it owns from now on, until `close` or until no process is left.

    ``agent``: number on this machine of the room's first process, whose own work is let through unread.
    """

    def __init__(self, fd: int, agent: int, kept: int = KEPT) -> None:
        self._agent = agent
        self.dropped = 0
        """Attempts that found no room."""
        self.broken = False
        """Whether it has stopped listening for a reason that nobody foresaw."""
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

    def _run(self) -> None:
        """Whatever happens, the descriptor is closed at the end: whoever waits for an answer then gets ENOSYS."""
        try:
            self._listen()
        except BaseException:
            self.broken = True
            raise
        finally:
            os.close(self._listener.fd)

    def _listen(self) -> None:
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
        if notification.tid == self._agent and not row.error:
            self._listener.answer(notification, 0)
            return
        try:
            attempt = read(row, notification.args, Caller(notification.tid))
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
