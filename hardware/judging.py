"""From inputs and watchdogs to one latched stop: what the supervisor judges at every turn and at every request.

Each safety input and each watchdog is a source of its own at a fail-safe latch; the latch drives a gate. The study
input is read and kept, but its reason never reaches the latch: to judge its silence is the instrumented chain's task.

Event kinds: ``stop`` (source, reason) for a demand that begins, ``demand_cleared``, ``latched`` (reason),
``gate_closed`` (epoch). CAVEAT: ``stop`` is limited per second and source; ``latched`` never is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from redbutton.estop import Bite, BiteMode, ChainState, Clock, Demand, FailMode, Gate, Latch, StopCategory
from redbutton.hardware.config import BenchConfig
from redbutton.hardware.event_log import EventLog
from redbutton.hardware.watches import GraphWatch, InputWatch, JointWatch, Lease, SafetyModeWatch, TurnWatch

MOMENTARY = ("requested", "incompatible_qos", "clock_step", "overload", "exception")
"""Sources whose demand lasts for one judgement; the latch keeps it."""
_STANDING = ("client", "joint_states", "graph", "safety_mode")


class Judge:
    """All watches of one bench, its latch and its gate. Starts stopped."""

    def __init__(self, config: BenchConfig, clock: Clock, log: EventLog) -> None:
        times = config.supervision
        self._log = log
        self.inputs = {i.name: InputWatch(i, clock) for i in config.inputs}
        self.safety = {i.name: self.inputs[i.name] for i in config.safety_inputs}
        self.study = self.inputs[config.study_input.name] if config.study_input is not None else None
        self.arm = JointWatch(config.arm, times, config.twin.speed if config.twin is not None else 1.0)
        self.lease = Lease(times.heartbeat_timeout_s)
        self.graph = GraphWatch()
        self.mode = SafetyModeWatch(config.arm.safety_mode)
        self.turns = TurnWatch(times.overload_s, times.clock_step_s)
        sources = (*(f"input {name}" for name in self.safety), *_STANDING, *MOMENTARY)
        self._latch = Latch(FailMode.FAIL_SAFE, clock, dict.fromkeys(sources, StopCategory.TWO))
        self._gate = Gate(Bite(BiteMode.IMMEDIATE), clock)
        self._moment: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self.standing: list[str] = []
        """Reasons demanded at the latest judgement."""
        self.raised = 0
        """How many demands have begun so far: the number of the stop that a confirmation belongs to."""
        log.note("latched", reason=self._latch.reason)

    @property
    def state(self) -> ChainState:
        """Stopped, ready or run, as of the latest judgement."""
        return self._gate.state

    @property
    def running(self) -> bool:
        """Whether commands may go out."""
        return self._gate.state is ChainState.RUN

    @property
    def epoch(self) -> int:
        """How many stops have taken effect."""
        return self._gate.epoch

    @property
    def reason(self) -> str:
        """Why the stop is latched; empty when none is."""
        return self._latch.reason

    def demand(self, source: str, detail: str = "") -> None:
        """One of ``MOMENTARY`` demands a stop, at the next judgement."""
        self._moment.setdefault(source, detail)

    def judge(self, now_s: float) -> bool:
        """Ask every watch, then latch and gate. Returns whether a stop has just taken effect."""
        if self.arm.fault:
            self.demand("clock_step", self.arm.fault)
            self.arm.fault = ""
        if self.turns.late(now_s):
            self.demand("overload")
        if not math.isfinite(now_s):
            self.demand("clock_step", "the monotonic clock gives no number")
        if self.study is not None:
            self.study.reason()
        moment, self._moment = self._moment, {}
        reasons = self._reasons(now_s, moment)
        self._tell(reasons, moment)
        return self._follow(Demand(s, bool(r), StopCategory.TWO, r) for s, r in reasons.items())

    def _reasons(self, now_s: float, moment: dict[str, str]) -> dict[str, str]:
        """Reason by source, in the order in which the first is named as the stop's."""
        reasons = {}
        for name, watch in self.safety.items():
            reason = watch.reason()
            reasons[f"input {name}"] = f"{name}: {reason}" if reason else ""
        reasons["client"] = self.lease.reason(now_s, self.running)
        reasons["joint_states"] = self.arm.reason(now_s)
        reasons["graph"] = self.graph.reason()
        reasons["safety_mode"] = self.mode.reason()
        reasons.update({source: source if source in moment else "" for source in MOMENTARY})
        return reasons

    def _tell(self, reasons: dict[str, str], moment: dict[str, str]) -> None:
        self.standing = [reason for reason in reasons.values() if reason]
        for source, reason in reasons.items():
            told = self._told.get(source, "")
            if not reason:
                if self._told.pop(source, "") and source not in MOMENTARY:
                    self._log.limited("demand_cleared", source, source=source, reason=told)
            elif reason != told and not (told and reason.endswith("release_debounce")):
                self._told[source] = reason
                self.raised += 1
                detail = {"detail": moment[source]} if moment.get(source) else {}
                self._log.limited("stop", source, source=source, reason=reason, **detail)

    def _follow(self, demands: Iterable[Demand]) -> bool:
        latched, epoch = self._latch.latched, self._gate.epoch
        self._latch.update(demands)
        self._gate.follow(self._latch.latched)
        if self._latch.latched and not latched:
            self._log.note("latched", reason=self._latch.reason)
        if self._gate.epoch == epoch:
            return False
        self._log.note("gate_closed", epoch=self._gate.epoch, reason=self._latch.reason)
        return True

    def shut(self, error: str) -> None:
        """Something raised: stop, without asking any watch or writing anything down. Judged again at the next turn."""
        self._moment["exception"] = error
        self.raised += 1
        self._latch.update((Demand("exception", True, StopCategory.TWO, "exception"),))
        self._gate.follow(self._latch.latched)

    def reset(self, actor: str) -> str:
        """Open the latch: ready, never run. Empty, or why not."""
        result = self._latch.reset(actor)
        self._gate.follow(self._latch.latched)
        return "" if result.accepted else result.reason

    def start(self, actor: str) -> str:
        """From ready to run. Empty, or why not."""
        result = self._gate.arm(actor)
        return "" if result.accepted else result.reason

    def park(self) -> None:
        """From run to ready: a stop that is over at once. What was sent before it is void."""
        self._gate.follow(True)
        self._gate.follow(self._latch.latched)


__all__ = ["MOMENTARY", "Judge"]
