"""The two ways to judge a button's signals: fail-safe and fail-open.

Fail-safe: two normally closed contacts after IEC 60204-1 and ISO 13850; an open wire, disagreement beyond the
discrepancy time, a lost heartbeat and anything that is not a fresh signal of the trusted source each stop.
Fail-open: as in published shutdown experiments and many installations; only a press that was received stops.

CAVEAT: the source is a name. A sender that uses the trusted name is found out by its sequence numbers only while the
true button sends as well; only a signed channel would do better.
"""

from __future__ import annotations

import math
from typing import Any

from redbutton.estop.types import ButtonSignal, Contacts

TIME_TOLERANCE_S = 1e-9
"""Sums of simulated ticks miss their decimal by less than this; it only ever makes a stop earlier."""


def _malformed(signal: Any) -> bool:
    """Whether any field has the wrong type. ``bool`` is no number here."""
    return not (
        type(signal) is ButtonSignal
        and type(signal.source) is str
        and type(signal.seq) is int
        and signal.seq >= 0
        and type(signal.t_s) in (float, int)
        and type(signal.contacts) is Contacts
    )


class Discrepancy:
    """The fault of two contacts that disagree too long. Cleared once both were seen open together, then closed."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since_s: float | None = None
        self._seen_open = False
        self.fault = False

    def check(self, t_s: float) -> bool:
        """Latch the fault when the disagreement is too old at ``t_s``; returns the fault."""
        if self._since_s is not None and not t_s - self._since_s <= self._limit_s:
            self.fault, self._seen_open = True, False
        return self.fault

    def see(self, contacts: Contacts, t_s: float) -> None:
        """Take in one valid reading. An unknown contact neither proves nor ends a disagreement."""
        self.check(t_s)
        a, b = contacts.a_closed, contacts.b_closed
        if type(a) is not bool or type(b) is not bool:
            return
        if a is not b:
            self._since_s = t_s if self._since_s is None else self._since_s
            return
        self._since_s = None
        if not a:
            self._seen_open = self.fault
        elif self._seen_open:
            self.fault = self._seen_open = False


class SafeJudge:
    """Everything but a fresh, valid, trusted "both contacts closed" is a reason to stop."""

    def __init__(self, source: str, heartbeat_timeout_s: float, discrepancy_s: float) -> None:
        self._source = source
        self._timeout_s = heartbeat_timeout_s
        self._discrepancy = Discrepancy(discrepancy_s)
        self._heard = False
        self._seq = -1
        self._t_s = -math.inf
        self._now_s = -math.inf
        self._level = "never_heard"
        self._fault = ""
        self._good_since_s: float | None = None

    def retune(self) -> None:
        """Forget that the button was heard; the running number stays, so an old signal stays old."""
        self._heard = False

    def receive(self, signal: Any, topic: str, now_s: float) -> None:
        """Take in one signal. A fault stands at least until the next ``reason``, whatever comes after it."""
        fault = self._refuse(signal, topic, now_s) or self._accept(signal)
        self._fault = self._fault or fault

    def _refuse(self, signal: Any, topic: str, now_s: float) -> str:
        if _malformed(signal):
            return "malformed"
        if signal.source != topic:
            return "foreign_source"
        if signal.seq <= self._seq:
            return "sequence"
        # One comparison for NaN, infinity, the past and the future: all of them fail it.
        return "" if self._t_s <= signal.t_s <= now_s < math.inf else "time"

    def _accept(self, signal: ButtonSignal) -> str:
        gap = self._heard and signal.t_s - self._t_s > self._timeout_s
        self._seq, self._t_s, self._heard = signal.seq, signal.t_s, True
        self._discrepancy.see(signal.contacts, signal.t_s)
        a, b = signal.contacts.a_closed, signal.contacts.b_closed
        if a is True and b is True:
            self._level = ""
        elif a is False or b is False:
            self._level = "contact_open"
        else:
            self._level = "contact_unknown"
        return self._level or ("heartbeat_lost" if gap else "")

    def reason(self, topic: str, debounce_s: float, now_s: float) -> str:
        """Why to stop now, or an empty string. ``debounce_s`` [s] delays the release only, never the stop."""
        reason = self._bad(topic, now_s)
        self._fault = ""
        if math.isfinite(now_s):
            self._now_s = now_s
        if reason:
            self._good_since_s = None
            return reason
        if self._good_since_s is None:
            self._good_since_s = now_s
        return "" if now_s - self._good_since_s >= debounce_s else "release_debounce"

    def _bad(self, topic: str, now_s: float) -> str:
        if not self._now_s <= now_s < math.inf:
            return "clock"
        if topic != self._source:
            return "remapped"
        if self._discrepancy.check(now_s):
            return "discrepancy"
        if self._fault:
            return self._fault
        if not self._heard:
            return "never_heard"
        if not 0.0 <= now_s - self._t_s <= self._timeout_s:
            return "heartbeat_lost"
        return self._level


class OpenJudge:
    """Only a press that was received, is the latest word and has lasted long enough is a reason to stop."""

    def __init__(self, source: str, heartbeat_timeout_s: float) -> None:
        self._source = source
        self._timeout_s = heartbeat_timeout_s
        self._heard_s = -math.inf
        self._pressed_since_s: float | None = None

    def retune(self) -> None:
        """Forget the latest message: it came by another name."""
        self._pressed_since_s = None

    def receive(self, signal: Any, topic: str, now_s: float) -> None:
        """The last message wins, whoever sent it; one that cannot be read says "not pressed"."""
        bad = _malformed(signal)
        if topic != self._source and (bad or signal.source != topic):
            return
        self._forget_lost(now_s)
        self._heard_s = now_s
        if bad or (signal.contacts.a_closed is not False and signal.contacts.b_closed is not False):
            self._pressed_since_s = None
        elif self._pressed_since_s is None:
            self._pressed_since_s = now_s

    def reason(self, topic: str, debounce_s: float, now_s: float) -> str:
        """``contact_open`` while a received press has lasted ``debounce_s`` [s], else an empty string."""
        self._forget_lost(now_s)
        if self._pressed_since_s is None:
            return ""
        return "contact_open" if now_s - self._pressed_since_s >= debounce_s - TIME_TOLERANCE_S else ""

    def _forget_lost(self, now_s: float) -> None:
        if not now_s - self._heard_s <= self._timeout_s:
            self._pressed_since_s = None
