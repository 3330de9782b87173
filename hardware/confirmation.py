"""One-time codes with which a person confirms a reset.

The supervisor hands out a code together with its checks; the person reads it and gives it back. A code is good once,
for a limited time, and for the stop it was made for. So a recorded reset replayed by a program does nothing, and a
reset given just before a new stop does not lower that stop.

CAVEAT: a code proves that somebody read the answer of the supervisor, not that a person did. Who may ask at all is
decided by the user id of the connection.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

from redbutton.estop import Clock
from redbutton.estop.clock import read

DIGITS = 6
WRONG_LIMIT = 5
"""Wrong codes after which the open one is void: six digits must not be guessed."""
REMEMBERED = 10_000
"""Earlier codes that are told from unknown ones and not given out again."""
_DRAWS = 1000


class Confirmations:
    """At most one open code. ``randbelow`` is that of ``secrets``."""

    def __init__(self, good_for_s: float, clock: Clock, randbelow: Callable[[int], int] = secrets.randbelow) -> None:
        self._good_for_s = good_for_s
        self._clock = clock
        self._randbelow = randbelow
        self._code: str | None = None
        self._stop = -1
        self._made_s = 0.0
        self._wrong = 0
        self._used: deque[str] = deque(maxlen=REMEMBERED)
        self._void: deque[str] = deque(maxlen=REMEMBERED)

    def issue(self, stop: int) -> str:
        """A new code for the stop of this number; an earlier one is void."""
        self.void()
        code = self._draw()
        self._code, self._stop, self._made_s, self._wrong = code, stop, read(self._clock), 0
        return code

    def _draw(self) -> str:
        for _ in range(_DRAWS):
            code = f"{self._randbelow(10**DIGITS):0{DIGITS}d}"
            if code not in self._used and code not in self._void:
                return code
        raise RuntimeError(f"a code must be new. Received {_DRAWS} old ones: the source of randomness is broken")

    def void(self) -> None:
        """The open code, if any, is good no more."""
        if self._code is not None:
            self._void.append(self._code)
            self._code = None

    def use(self, code: Any, stop: int) -> str:
        """Spend ``code`` on the stop of this number. Empty when it is good, else replayed, expired or unknown."""
        if type(code) is not str or not code.isascii():
            return self._refuse("unknown")
        if code in self._used:
            return self._refuse("replayed")
        if code in self._void:
            return self._refuse("expired")
        if self._code is None or not hmac.compare_digest(code, self._code):
            return self._refuse("unknown")
        # One comparison for too old, a clock that ran back, and a clock that gives no number.
        if stop != self._stop or not 0.0 <= read(self._clock) - self._made_s <= self._good_for_s:
            self.void()
            return "expired"
        self._used.append(code)
        self._code = None
        return ""

    def _refuse(self, reason: str) -> str:
        self._wrong += 1
        if self._wrong >= WRONG_LIMIT:
            self.void()
        return reason


__all__ = ["DIGITS", "WRONG_LIMIT", "Confirmations"]
