"""The monitor: listens to the button and says whether a stop is demanded.

Its parameters are the attack points of published experiments: switch it off, raise the debounce, make it listen
elsewhere, kill it. What each of these does depends on the fail mode; see ``judges.py``.

CAVEAT: a fail-safe monitor that is attacked stops the robot, so "the attack failed" and "the robot stopped" are one
event there. Look at the actor of the parameter event to tell an attack from a press.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from redbutton.estop.clock import monotonic, read
from redbutton.estop.judges import OpenJudge, SafeJudge
from redbutton.estop.types import ButtonSignal, Clock, Demand, FailMode, StopCategory

PARAMETERS = ("enabled", "debounce_s", "input_topic")


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """Settings of a monitor. Raises ``ValueError`` for a value out of range."""

    fail_mode: FailMode
    discrepancy_s: float = 0.1
    """How long the two contacts may disagree before that is a fault [s]."""
    debounce_s: float = 0.0
    """Fail-safe: how long all must be well before the demand is dropped. Fail-open: how long a press must last [s]."""
    heartbeat_timeout_s: float = 0.15
    """Age of the latest signal at which the button counts as lost [s]."""
    max_debounce_s: float = 0.2
    """Fail-safe only: the longest debounce accepted [s]."""
    category: StopCategory = StopCategory.TWO
    source: str = "button"
    """Name of the button it listens to, and the first value of ``input_topic``."""

    def __post_init__(self) -> None:
        for name in ("discrepancy_s", "debounce_s", "heartbeat_timeout_s", "max_debounce_s"):
            value = getattr(self, name)
            if not _is_duration(value):
                raise ValueError(f"{name} must be a finite number of seconds >= 0. Received {value!r}")
        FailMode(self.fail_mode)
        StopCategory(self.category)
        problem = self.debounce_problem(self.debounce_s)
        if problem:
            raise ValueError(problem)

    def debounce_problem(self, value: Any) -> str:
        """Why ``value`` is no debounce for this monitor; empty when it is one."""
        if not _is_duration(value):
            return f"debounce_s must be a finite number of seconds >= 0. Received {_show(value)}"
        if self.fail_mode == FailMode.FAIL_SAFE and value > self.max_debounce_s:
            return f"debounce_s must not exceed {self.max_debounce_s} s. Received {_show(value)}"
        return ""


@dataclass(frozen=True)
class ParamResult:
    """Answer to a change of a parameter; true when it was accepted."""

    accepted: bool
    reason: str

    def __bool__(self) -> bool:
        return self.accepted


def _is_duration(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0.0


def _show(value: Any) -> str:
    """``value`` for a message; a foreign object is named by its type, so that none of its code runs here."""
    return repr(value) if type(value) in (str, int, float, bool) else f"a {type(value).__name__}"


class Monitor:
    """Judges the signals of one button. Calls never block and never raise on what a signal holds."""

    def __init__(self, config: MonitorConfig, clock: Clock = monotonic) -> None:
        self.config = config
        self.alive = True
        self._clock = clock
        self._enabled = True
        self._debounce_s = float(config.debounce_s)
        self._topic = config.source
        self._safe = config.fail_mode == FailMode.FAIL_SAFE
        self._judge: SafeJudge | OpenJudge = (
            SafeJudge(config.source, config.heartbeat_timeout_s, config.discrepancy_s)
            if self._safe
            else OpenJudge(config.source, config.heartbeat_timeout_s)
        )
        self._last = self._demand("never_heard" if self._safe else "")

    @property
    def enabled(self) -> bool:
        """Whether it runs and is switched on."""
        return self.alive and self._enabled

    def receive(self, signal: ButtonSignal) -> None:
        """Take in one message from the button's topic, whoever sent it. A dead monitor hears nothing."""
        if self.alive:
            self._judge.receive(signal, self._topic, read(self._clock))

    def evaluate(self) -> Demand:
        """The demand now. The same object comes back for as long as nothing changes."""
        reason = self._reason()
        if reason != self._last.reason:
            self._last = self._demand(reason)
        return self._last

    def _reason(self) -> str:
        if not self.alive:
            return "killed" if self._safe else ""
        reason = self._judge.reason(self._topic, self._debounce_s, read(self._clock))
        if self._enabled:
            return reason
        return "disabled" if self._safe else ""

    def _demand(self, reason: str) -> Demand:
        return Demand("monitor", bool(reason), self.config.category, reason)

    def parameters(self) -> dict[str, str | float | bool]:
        """A copy of the parameters as they stand; those of a dead monitor are its last ones."""
        return {"enabled": self._enabled, "debounce_s": self._debounce_s, "input_topic": self._topic}

    def set_parameter(self, name: str, value: Any, actor: str) -> ParamResult:
        """Set one of ``PARAMETERS``. Anybody may; ``actor`` is for the record, which the chain keeps."""
        problem = self._problem(name, value)
        if problem:
            return ParamResult(False, problem)
        if name == "enabled":
            self._enabled = value
        elif name == "debounce_s":
            self._debounce_s = float(value)
        elif value != self._topic:
            self._topic = value
            self._judge.retune()
        return ParamResult(True, f"{name} set by {actor}" if type(actor) is str else f"{name} set")

    def _problem(self, name: str, value: Any) -> str:
        if not self.alive:
            return "the monitor is not running: its parameters cannot be set"
        if name == "enabled":
            return "" if type(value) is bool else f"enabled must be true or false. Received {_show(value)}"
        if name == "debounce_s":
            return self.config.debounce_problem(value)
        if name == "input_topic":
            good = type(value) is str and value != ""
            return "" if good else f"input_topic must be a name. Received {_show(value)}"
        close = get_close_matches(name, PARAMETERS, 1) if type(name) is str else []
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(PARAMETERS)}"
        return f"no parameter of that name. Received {_show(name)}. {hint}"

    def kill(self, actor: str) -> None:
        """End the monitor for good, as killing its process would."""
        self.alive = False
