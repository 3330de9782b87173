"""The supervisor's turn: what it hears, what it judges, and what has to be published now.

``Core`` is fed by one thread, which calls ``tick`` after everything that happened and every ``period_s``; requests of
clients are ``supervision.Supervision``, built on it. A command that waits goes out only from ``tick``, after one more
judgement, in its own epoch; whatever begins a hold drops it.

CAVEAT: a stop here is a hold repeated by software. What the arm does with it is the driver's.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from redbutton.estop import ChainState, Clock, Contacts
from redbutton.estop.clock import read
from redbutton.hardware.checks import Checks, Command, Joints, ToolPosition
from redbutton.hardware.config import BenchConfig
from redbutton.hardware.event_log import EventLog, plain
from redbutton.hardware.holding import Holding
from redbutton.hardware.judging import Judge

P = ParamSpec("P")
Self = TypeVar("Self", bound="Core")

RAMP_S = 1.0
"""A stop of category 1 takes the power when the arm has settled, and after so long in any case."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do now, in this order: power, cancel, hold, forward."""

    forward: Command | None = None
    hold: Joints | None = None
    """Measured positions to hold at, joints in the arm's order."""
    cancel_goals: bool = False
    power: str | None = None
    """``off`` or ``on``: the service to call."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that was found good and waits for the next turn."""

    command: Command
    epoch: int
    made_s: float


def _feeds(method: Callable[Concatenate[Self, P], None]) -> Callable[Concatenate[Self, P], None]:
    """A message that breaks something stops."""

    @functools.wraps(method)
    def feed(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - fail closed: what cannot be judged is a stop
            self.broke(exc)

    return feed


class Core:
    """Judge, holds and the one command that waits. Raises ``BenchError`` for a workspace without kinematics."""

    def __init__(
        self,
        config: BenchConfig,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        tool_position: ToolPosition | None = None,
    ) -> None:
        self.config = config
        self._clock = clock
        self._wall_clock = wall_clock
        self.log = EventLog(clock)
        self._judge = Judge(config, clock, self.log)
        self._arm = self._judge.arm
        self._holding = Holding(config.supervision, self._arm, self.log)
        self._checks = Checks(config.arm, config.limits, tool_position, config.twin.speed if config.twin else 1.0)
        self._pending: Pending | None = None
        self._client_holds = 0
        self._since_s = read(clock)
        """Commands made before this are void."""
        self._power = "on" if config.arm.power else "not_configured"
        self._power_due: str | None = None
        self._ramp_until_s: float | None = None
        self._counts = dict.fromkeys(("ticks", "forwarded", "refused", "dropped", "stops", "exceptions"), 0)
        self._holding.begin("power_on", self._since_s)

    @property
    def state(self) -> ChainState:
        """Stopped, ready or run."""
        return self._judge.state

    @property
    def epoch(self) -> int:
        """Rises with every stop, release and client hold. A command of an older one is refused."""
        return self._judge.epoch + self._client_holds

    # --- what is heard ---------------------------------------------------------------------------------------------

    @_feeds
    def input_reading(self, name: str, contacts: Contacts | None, t_s: float) -> None:
        """One reading of an e-stop input, made at ``t_s`` of the monotonic clock; ``None``: nothing could be read."""
        watch = self._judge.inputs[name]
        opened = watch.read(contacts, t_s)
        if opened is not None:
            kind = "input_open" if opened else "input_closed"
            self.log.limited(kind, name, name=name, role=watch.config.role, t_s=t_s)

    @_feeds
    def joint_states(
        self, names: Sequence[str], positions: Sequence[float], velocities: Sequence[float], stamp_s: float, t_s: float
    ) -> None:
        """One joint state: its stamp in seconds of the driver, ``t_s`` when it arrived. Velocities may be missing."""
        self._arm.feed(names, positions, velocities, stamp_s, t_s)

    @_feeds
    def publishers(self, count: int) -> None:
        """How many publish on the arm's command topics, the supervisor itself included."""
        self._judge.graph.publishers = int(count)

    @_feeds
    def subscribers(self, count: int) -> None:
        """How many listen to the arm's trajectory topic. Never told means none."""
        self._judge.graph.subscribers = int(count)

    @_feeds
    def incompatible_qos(self, detail: str) -> None:
        """The middleware reports that an endpoint of the arm and one of ours do not match."""
        self._judge.demand("incompatible_qos", str(plain(detail)))

    @_feeds
    def safety_mode(self, value: Any) -> None:
        """What the arm's own controller says of its safety mode."""
        self._judge.mode.value = value

    @_feeds
    def power_result(self, action: str, ok: bool, detail: str = "") -> None:
        """The answer of a power service."""
        self.log.note("power_result", action=action, ok=ok, detail=detail)

    @_feeds
    def note(self, kind: str, /, **detail: Any) -> None:
        """The process around has something for the record."""
        self.log.note(kind, **detail)

    # --- the turn of the loop --------------------------------------------------------------------------------------

    def tick(self) -> Actions:
        """Judge, then say what to publish now. Never raises: what breaks in here is a stop and a hold."""
        try:
            return self._tick(read(self._clock))
        except Exception as exc:  # noqa: BLE001 - fail closed: what cannot be judged is a stop
            self.broke(exc)
            latest = self._arm.latest
            return Actions(hold=latest.positions_rad if latest is not None else None, cancel_goals=True)

    def _tick(self, now_s: float) -> Actions:
        self._counts["ticks"] += 1
        for source, detail in self._judge.turns.turn(now_s, read(self._wall_clock)):
            self._judge.demand(source, detail)
        self._settle(now_s)
        forward = self._forward(now_s)
        hold = None if forward is not None else self._holding.tick(now_s, keep=self._judge.graph.foreign)
        self._ramp(now_s)
        power, self._power_due = self._power_due, None
        return Actions(forward, hold, self._holding.take_cancel(), power)

    def _settle(self, now_s: float) -> None:
        """Judge, and follow a stop that has just taken effect."""
        if self._judge.judge(now_s):
            self._stopped(now_s)

    def _stopped(self, now_s: float) -> None:
        self._counts["stops"] += 1
        if self._power_due == "on":
            self._power, self._power_due = "off", None
        self._hold(self._judge.reason, now_s)

    def _hold(self, cause: str, now_s: float) -> None:
        """Hold where the arm is. Nothing made before now may go out after it."""
        self._drop(cause)
        self._since_s = now_s
        self._checks.restart()
        self._holding.begin(cause, now_s)

    def _drop(self, reason: str) -> None:
        if self._pending is not None:
            self._pending = None
            self._counts["dropped"] += 1
            self.log.limited("command_dropped", reason=reason)

    def _forward(self, now_s: float) -> Command | None:
        """The command that waits, if it may still go out. ``_hold`` has dropped it when anything came between.

        One that came right after an arming or a hold waits one more turn: the hold goes first.
        """
        pending = self._pending
        if pending is None:
            return None
        fresh = 0.0 <= now_s - pending.made_s <= self.config.limits.command_age_s
        latest = self._arm.latest
        if not (fresh and latest is not None and self._judge.running and pending.epoch == self.epoch):
            self._drop("too old" if not fresh else "not in its epoch")
            return None
        if self._judge.standing or self._power in ("off", "ramp"):
            self._drop("a stop is demanded, or there is no power")
            return None
        if self._holding.due:
            return None
        self._pending = None
        self._counts["forwarded"] += 1
        self._checks.sent(pending.command, latest.positions_rad, now_s)
        self._holding.end()
        return pending.command

    def _ramp(self, now_s: float) -> None:
        """A stop of category 1 takes the power at the end of its ramp."""
        if self._ramp_until_s is not None and (self._holding.settled or not now_s < self._ramp_until_s):
            self._take_power()

    def _take_power(self) -> None:
        self._ramp_until_s, self._power, self._power_due = None, "off", "off"
        self.log.note("power_off")

    def broke(self, exc: Exception) -> None:
        """Something cannot be judged: stop. The process around calls this too when one of its own parts breaks."""
        self._pending = None
        self._judge.shut(type(exc).__name__)
        with contextlib.suppress(Exception):  # the stop is in effect by now, and a record that fails must not undo it
            self._stopped(read(self._clock))
            self._counts["exceptions"] += 1
            self.log.limited("exception", error=type(exc).__name__, text=str(plain(str(exc))))


__all__ = ["RAMP_S", "Actions", "Core", "Pending"]
