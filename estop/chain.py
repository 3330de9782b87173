"""A whole stop chain behind one object: button → monitor → latch → gate, with a record of every transition.

``tick`` once per control tick, ``permit`` before anything is sent to the robot, ``drain_events`` from outside. The
order within a tick: the button's own signal, then what others published since the last tick (a faster publisher has
the last word), then monitor, latch and gate. In a fail-safe chain ``begin``, ``arm`` and ``permit`` ask the monitor
again, so a caller that stops ticking is stopped as well.

Event kinds by link (``actor`` is ``chain`` where nobody acted):

- button: ``contact_open``, ``contact_closed``, ``contact_unknown``, ``silent``
- signal: ``injected`` (source, seq, a_closed, b_closed)
- monitor: ``demand_raised``, ``demand_changed``, ``demand_cleared`` (reason), ``parameter_set``,
  ``parameter_refused`` (name, value, reason), ``killed``, ``exception`` (error)
- latch: ``demand_raised``, ``demand_cleared`` (source, reason), ``latched``, ``escalated`` (reason, category),
  ``reset_accepted``, ``reset_refused`` (reason)
- gate: ``pending``, ``effective``, ``epoch``, ``ready`` (epoch), ``armed``, ``arm_refused`` (reason), ``begun`` (id,
  epoch), ``begin_refused`` (reason), ``replaced``, ``ended`` (id)

CAVEAT: this is an instrument of a study, not a certified safety function: a lab's stop acts on the robot's own inputs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from redbutton.estop.button import Button
from redbutton.estop.clock import monotonic
from redbutton.estop.config import ChainConfig
from redbutton.estop.events import plain
from redbutton.estop.gate import ArmResult, Gate, Refusal, Token
from redbutton.estop.latch import Latch, ResetResult
from redbutton.estop.monitor import Monitor, ParamResult
from redbutton.estop.record import Record
from redbutton.estop.types import ChainState, Clock, Contacts, Demand, FailMode, StopCategory, StopEvent, StopView

__all__ = ["ChainConfig", "StopChain"]

FLOOD_LIMIT = 64
"""Foreign messages kept between two ticks: a flood costs its own oldest messages, not memory."""


class StopChain:
    """One stop chain. Starts stopped; single-threaded except ``drain_events``, which any thread may call."""

    def __init__(self, config: ChainConfig, clock: Clock = monotonic) -> None:
        self.config = config
        self._safe = config.fail_mode == FailMode.FAIL_SAFE
        self._worst = worst = min(config.category, config.monitor.category)
        self._button = Button(config.monitor.source, clock)
        same = config.monitor.category == worst
        self._monitor = Monitor(config.monitor if same else replace(config.monitor, category=worst), clock)
        self._latch = Latch(config.fail_mode, clock, dict.fromkeys(("monitor", *config.sources), worst))
        self._gate = Gate(config.bite, clock, config.auto_arm)
        self._software = {name: Demand(name, False, worst, "") for name in config.sources}
        self._crashed = Demand("monitor", self._safe, worst, "exception" if self._safe else "")
        self._record = Record(clock, config.event_capacity, self._latch, self._gate)
        self._injected: deque[Any] = deque(maxlen=FLOOD_LIMIT)
        self._error = ""

    # --- what is asked at every tick -------------------------------------------------------------------------------

    def tick(self, contacts: Contacts | None) -> ChainState:
        """One control tick: the reading of the contacts, or ``None`` when none came. Never raises, never waits."""
        try:
            signal = self._button.publish(contacts)
            if signal is not None:
                self._monitor.receive(signal)
            self._record.contacts(contacts)
        except Exception as e:  # noqa: BLE001 - fail closed: what cannot be judged is a stop
            self._error = type(e).__name__
        self._hear_others()
        self._settle()
        return self._gate.state

    def permit(self, token: Token | Refusal | None) -> bool:
        """Whether the command of ``token`` may act now. Ask before anything is sent to the robot."""
        if self._safe:
            self._settle()
        allowed = self._gate.permit(token)
        self._record.links()
        return allowed

    def begin(self, actor: str) -> Token | Refusal:
        """Begin a command: a token, or a refusal (which is false) with its reason. Replaces one that still runs."""
        if self._safe:
            self._settle()
        before = self._gate.running
        got = self._gate.begin(actor)
        self._record.links()
        if isinstance(got, Token):
            if before is not None:
                self._record.note("gate", "replaced", actor, id=before.id)
            self._record.note("gate", "begun", actor, id=got.id, epoch=got.epoch)
        else:
            self._record.note("gate", "begin_refused", actor, reason=got.reason)
        return got

    def end(self, token: Token | Refusal | None) -> None:
        """The command is over; a token that is not the running one changes nothing."""
        was = self._gate.running
        self._gate.end(token)
        if was is not None and was is token:
            self._record.note("gate", "ended", was.actor, id=was.id)
        self._record.links()

    # --- what people, programs and controllers do to it ------------------------------------------------------------

    def inject(self, signal: Any) -> None:
        """Somebody else publishes on the button's topic: heard in the next tick, after the button itself."""
        self._injected.append(signal)
        self._record.injected(signal)

    def demand_stop(self, source: str, category: StopCategory, reason: str) -> None:
        """A software source demands a stop, at once. A category that is none counts as the most restrictive."""
        name, why = str(plain(source)), str(plain(reason))
        good = type(category) is StopCategory and name in self.config.sources
        self._software[name] = Demand(name, True, category if good else self._worst, why)
        self._record.note("latch", "demand_raised", name, source=name, reason=why)
        self._settle()

    def clear_demand(self, source: str) -> None:
        """The source demands no stop any more. What is latched stays latched."""
        demand = self._software.get(source)
        if demand is None or not demand.stop:
            return
        if source in self.config.sources:
            self._software[source] = Demand(source, False, self._worst, "")
        else:
            del self._software[source]
        self._record.note("latch", "demand_cleared", source, source=source, reason=demand.reason)
        self._settle()

    def set_parameter(self, name: str, value: Any, actor: str) -> ParamResult:
        """Set a parameter of the monitor; its effect on the stop is immediate."""
        result = self._monitor.set_parameter(name, value, actor)
        kind = "parameter_set" if result.accepted else "parameter_refused"
        self._record.note("monitor", kind, actor, name=name, value=value, reason=result.reason)
        self._settle()
        return result

    def parameters(self) -> dict[str, str | float | bool]:
        """A copy of the monitor's parameters."""
        return self._monitor.parameters()

    def kill_monitor(self, actor: str) -> None:
        """End the monitor for good."""
        if self._monitor.alive:
            self._monitor.kill(actor)
            self._record.note("monitor", "killed", actor)
        self._settle()

    def reset(self, actor: str) -> ResetResult:
        """Open the latch. Never starts motion: the gate is then ready, and what ran before stays void."""
        self._hear_others()
        self._settle()
        result = self._latch.reset(actor)
        kind = "reset_accepted" if result.accepted else "reset_refused"
        self._record.note("latch", kind, actor, reason=result.reason)
        self._gate.follow(self._latch.latched)
        self._record.links()
        return result

    def arm(self, actor: str) -> ArmResult:
        """Start act after a reset; refused in any state but READY."""
        if self._safe:
            self._settle()
        result = self._gate.arm(actor)
        self._record.note("gate", "armed" if result.accepted else "arm_refused", actor, reason=result.reason)
        self._record.links()
        return result

    # --- what can be read ------------------------------------------------------------------------------------------

    @property
    def state(self) -> ChainState:
        """State as of the latest call."""
        return self._gate.state

    @property
    def epoch(self) -> int:
        """Number of stops that have taken effect."""
        return self._gate.epoch

    @property
    def events_lost(self) -> int:
        """Events that made room for newer ones before anybody drained them."""
        return self._record.ring.lost

    def view(self) -> StopView:
        """A snapshot to hand to controllers and displays."""
        return StopView(
            state=self._gate.state,
            latched=self._latch.latched,
            demanded=self._latch.demanded,
            reason=self._latch.reason,
            epoch=self._gate.epoch,
            monitor_enabled=self._monitor.enabled,
            category=self._latch.category,
        )

    def drain_events(self) -> list[StopEvent]:
        """Take out all events since the last drain, oldest first."""
        return self._record.ring.drain()

    # --- the stop path ---------------------------------------------------------------------------------------------

    def _hear_others(self) -> None:
        try:
            while self._injected:
                self._monitor.receive(self._injected.popleft())
        except Exception as e:  # noqa: BLE001 - fail closed: what cannot be judged is a stop
            self._error = type(e).__name__

    def _settle(self) -> None:
        """Monitor, latch, gate in turn; then tell what changed."""
        demand = self._judge()
        self._latch.update((demand, *self._software.values()))
        self._gate.follow(self._latch.latched)
        self._record.demand(demand)
        self._record.links()

    def _judge(self) -> Demand:
        try:
            demand = self._monitor.evaluate()
        except Exception as e:  # noqa: BLE001 - fail closed: a monitor that breaks is a stop
            self._error = type(e).__name__
        if not self._error:
            return demand
        self._record.note("monitor", "exception", error=self._error)
        self._error = ""
        return self._crashed
