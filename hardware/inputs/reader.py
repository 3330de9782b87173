"""The thread that polls one e-stop input and hands every reading on.

A reading that does not come is handed on as ``None``, at the pace of the polls: whoever listens never has to ask
whether the input is still there. Cadence is by monotonic deadlines, so it does not drift; a late turn is not made up
for by a burst.

CAVEAT: the reader cannot speak while a source waits. A sink must have a watch of its own for a reader that is late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from redbutton.estop import Clock, Contacts, monotonic
from redbutton.hardware.config import InputTiming
from redbutton.hardware.inputs.source import DeviceLostError, InputError, InputSource

Sink = Callable[[str, Contacts | None, float], None]
"""Takes the input's name, the reading or ``None``, and when it was in hand [s, the reader's clock]."""

FIRST_RETRY_S, LAST_RETRY_S = 0.05, 0.5
JOIN_S = 5.0


class InputReader:
    """Polls ``source`` from ``start`` to ``close``. Nothing that a source or the sink does ends the thread."""

    def __init__(self, source: InputSource, timing: InputTiming, sink: Sink, clock: Clock = monotonic) -> None:
        self.name = source.name
        self.reason = "not started"
        """Why the latest reading was none; empty when it was valid."""
        self._source = source
        self._poll_s = timing.poll_s
        self._sink = sink
        self._clock = clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"input-{source.name}", daemon=True)
        self._is_open = False
        self._retry_at_s = clock()
        self._retry_s = FIRST_RETRY_S

    def start(self) -> None:
        """Begin to poll. Raises ``RuntimeError`` when called twice."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and let go of the device. Safe to call twice, or without ``start``."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        due_s = self._clock()
        while not self._ended.is_set():
            self._tell(self._attempt())
            now_s = self._clock()
            due_s = max(due_s + self._poll_s, now_s)
            self._ended.wait(due_s - now_s)
        self._shut()

    def _attempt(self) -> Contacts | None:
        """One reading, or ``None`` and its reason."""
        if not self._is_open and self._clock() < self._retry_at_s:
            return None
        try:
            if not self._is_open:
                self._source.open()
                self._is_open = True
            contacts = self._source.read()
        except Exception as exc:  # noqa: BLE001 - fail closed: what breaks a source is a lost reading, never a dead thread
            self._fail(exc)
            return None
        self._retry_s, self.reason = FIRST_RETRY_S, ""
        return contacts

    def _fail(self, exc: Exception) -> None:
        expected = isinstance(exc, InputError)
        self.reason = str(exc) if expected else f"{type(exc).__name__}: {exc}"
        if not self._is_open or not expected or isinstance(exc, DeviceLostError):
            self._shut()
            self._retry_at_s = self._clock() + self._retry_s
            # Only a valid reading makes the wait short again: a device that opens but never answers is not hammered.
            self._retry_s = min(2.0 * self._retry_s, LAST_RETRY_S)

    def _shut(self) -> None:
        self._is_open = False
        try:
            self._source.close()
        except Exception as exc:  # noqa: BLE001 - a device that is gone may fail to close; it is opened anew
            self.reason = f"{type(exc).__name__}: {exc}"

    def _tell(self, contacts: Contacts | None) -> None:
        try:
            self._sink(self.name, contacts, self._clock())
        except Exception as exc:  # noqa: BLE001 - a sink that breaks hears nothing more, which is a stop over there
            self.reason = f"the sink raised {type(exc).__name__}: {exc}"
