"""Turns what changed in a chain into events, by comparing with what was last told.

Called by the chain after each link has acted. Nothing here can raise into the stop path, wait, or change a link; when
nothing changed it makes nothing. CAVEAT: events carry the chain's clock; wall time is the recorder's to add.
"""

from __future__ import annotations

from typing import Any

from redbutton.estop.clock import read
from redbutton.estop.events import EventRing, plain
from redbutton.estop.gate import Gate
from redbutton.estop.latch import Latch
from redbutton.estop.types import ButtonSignal, ChainState, Clock, Contacts, Demand, Detail, Link, StopEvent

GATE_KINDS = {ChainState.STOPPED: "effective", ChainState.PENDING: "pending", ChainState.READY: "ready"}


class Record:
    """The transitions of one chain, in a ring of ``capacity`` events."""

    def __init__(self, clock: Clock, capacity: int, latch: Latch, gate: Gate) -> None:
        self.ring = EventRing(capacity)
        self._clock = clock
        self._latch = latch
        self._gate = gate
        self._contacts: Contacts | None = None
        self._read_once = False
        self._demand: Demand | None = None
        self._latched, self._category = latch.latched, latch.category
        self._epoch, self._state = gate.epoch, gate.state

    def note(self, link: Link, kind: str, actor: str = "chain", /, **detail: Any) -> None:
        """Add one event. Values that JSON cannot carry are named by their type."""
        fields: dict[str, Detail] = {key: plain(value) for key, value in detail.items()}
        try:
            self.ring.append(StopEvent(read(self._clock), link, kind, fields, str(plain(actor))))
        except Exception:  # noqa: BLE001 - a recorder that breaks costs its events, never the stop
            self.ring.lost += 1

    def injected(self, signal: Any) -> None:
        """Somebody published on the button's topic; what cannot be read is noted as unknown."""
        if type(signal) is not ButtonSignal or type(signal.contacts) is not Contacts:
            self.note("signal", "injected", "unknown", source=None, seq=None, a_closed=None, b_closed=None)
            return
        source, a, b = signal.source, signal.contacts.a_closed, signal.contacts.b_closed
        self.note("signal", "injected", source, source=source, seq=signal.seq, a_closed=a, b_closed=b)

    def contacts(self, contacts: Contacts | None) -> None:
        """The reading of the contacts now, or none. Identity first: a steady reading is the usual case."""
        before = self._contacts
        if contacts is before and self._read_once:
            return
        self._contacts, self._read_once = contacts, True
        if contacts is None:
            self.note("button", "silent")
        elif type(contacts) is not Contacts:
            self.note("button", "contact_unknown", a_closed=None, b_closed=None)
        elif type(before) is not Contacts or contacts != before:
            a, b = contacts.a_closed, contacts.b_closed
            opened, closed = a is False or b is False, a is True and b is True
            kind = "contact_open" if opened else "contact_closed" if closed else "contact_unknown"
            self.note("button", kind, a_closed=a, b_closed=b)

    def demand(self, demand: Demand) -> None:
        """The monitor's demand now."""
        before = self._demand
        if demand is before:
            return
        self._demand = demand
        was = before is not None and before.stop
        if demand.stop:
            self.note("monitor", "demand_changed" if was else "demand_raised", reason=demand.reason)
        elif before is not None and was:
            self.note("monitor", "demand_cleared", reason=before.reason)

    def links(self) -> None:
        """Latch and gate now."""
        latch, gate = self._latch, self._gate
        if latch.latched is not self._latched or latch.category is not self._category:
            self._tell_latch()
        state = gate.state
        if gate.epoch != self._epoch or state is not self._state:
            self._tell_gate(state)

    def _tell_latch(self) -> None:
        latch = self._latch
        if latch.latched:
            kind = "escalated" if self._latched else "latched"
            self.note("latch", kind, reason=latch.reason, category=int(latch.category))
        self._latched, self._category = latch.latched, latch.category

    def _tell_gate(self, state: ChainState) -> None:
        epoch = self._gate.epoch
        if epoch != self._epoch:
            # A stop that was reset before it bit takes effect and is over in one call: tell both.
            self.note("gate", "effective", epoch=epoch)
            self.note("gate", "epoch", epoch=epoch)
        if state is not self._state and state in GATE_KINDS and state is not ChainState.STOPPED:
            self.note("gate", GATE_KINDS[state], epoch=epoch)
        self._epoch, self._state = epoch, state
