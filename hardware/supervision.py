"""The supervisor's core: whether a command may reach the arm, and when the arm has to hold. No I/O, no threads, no ROS.

One thread feeds it (``input_reading``, ``joint_states``, ``publishers`` …), hands it the requests of its clients (one
method each, which returns the reply and never raises), and calls ``tick`` after each of these and every ``period_s``.
``tick`` says what has to be published now. It starts stopped; only an operator's ``reset`` and ``arm`` lead to run.

A request that is good is not yet sent: the next ``tick`` judges again and forwards it only if the state is still run
and the epoch the same. Whatever was made, sent or queued before a stop, a client's hold, an arming or an enabling is
void.

The study input (the red button of the experiment) never stops the supervisor, not even when it is silent or broken: its
readings go to the client, pulses included, and the instrumented chain under study judges them. Its health is in every
status. The safety inputs are the ones that stop here.

Event kinds besides those of ``judging`` and ``holding``: ``input_open``, ``input_closed`` (name, t_s), ``connected``,
``disconnected``, ``leased``, ``released``, ``command_refused`` (rule, detail), ``command_dropped``, ``client_hold``
(category, epoch), ``power_off``, ``power_on``, ``power_downgraded``, ``power_result``, ``reset_requested``,
``reset_accepted``, ``reset_refused`` (reason), ``armed``, ``arm_refused``, ``exception``.

CAVEAT: a hold from here is like a stop of category 2 done in software. It is an instrument of a study and not the lab's
emergency stop, which acts on the robot's own safety inputs. User ids say which account asks, not which person.
"""

from __future__ import annotations

import functools
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeAlias

from redbutton.estop import ChainState, Clock
from redbutton.estop.clock import read
from redbutton.hardware.checks import Command, Refused, ToolPosition, number, sequence
from redbutton.hardware.config import BenchConfig
from redbutton.hardware.confirmation import Confirmations
from redbutton.hardware.core import RAMP_S, Actions, Core, Pending
from redbutton.hardware.event_log import plain
from redbutton.hardware.watches import InputWatch

Reply: TypeAlias = dict[str, Any]
P = ParamSpec("P")

ROLES = ("motion", "operator", "watch")


@dataclass(slots=True)
class _Connection:
    role: str
    seen: int
    """Number of the latest reading of the study input that it was told."""


def _answers(method: Callable[Concatenate[Supervision, P], Reply]) -> Callable[Concatenate[Supervision, P], Reply]:
    """A request that breaks something is answered, and stops."""

    @functools.wraps(method)
    def answer(self: Supervision, /, *args: P.args, **kwargs: P.kwargs) -> Reply:
        try:
            return method(self, *args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - fail closed: what cannot be judged is a stop
            self.broke(exc)
            return {"ok": False, "reason": f"internal error: {type(exc).__name__}. Stopped.", **self._where()}

    return answer


class Supervision(Core):
    """The core of one bench's supervisor. Raises ``BenchError`` for a workspace without kinematics."""

    def __init__(
        self,
        config: BenchConfig,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        tool_position: ToolPosition | None = None,
        *,
        own_uid: int | None = None,
        randbelow: Callable[[int], int] = secrets.randbelow,
        capabilities: Mapping[str, bool] | None = None,
    ) -> None:
        super().__init__(config, clock, wall_clock, tool_position)
        times, own = config.supervision, os.getuid() if own_uid is None else own_uid
        self._uids = {"motion": times.motion_uids or (own,), "operator": times.operator_uids or (own,)}
        self._capabilities = dict(capabilities or {})
        self._codes = Confirmations(times.confirmation_s, clock, randbelow)
        self._connections: dict[int, _Connection] = {}

    # --- who asks --------------------------------------------------------------------------------------------------

    @_answers
    def hello(self, conn_id: int, role: Any, uid: int) -> Reply:
        """A connection says what it is. The user id comes from the kernel, never from the client."""
        if role not in ROLES:
            return self._no(f"role must be one of {', '.join(ROLES)}. Received {plain(role)!r}.")
        known = self._connections.get(conn_id)
        if known is not None and known.role != role:
            return self._no(f"a connection has one role. This one is {known.role}; open another for {role}.")
        if role in self._uids and uid not in self._uids[role]:
            return self._no(f"user {uid} may not be {role}. Add it to supervision.{role}_uids of the bench.")
        if known is None:
            newest = self._judge.study.number if self._judge.study is not None else 0
            self._connections[conn_id] = _Connection(role, newest - 1)
            self.log.limited("connected", role=role, uid=uid)
        return self._yes(name=self.config.name)

    @_answers
    def disconnected(self, conn_id: int) -> Reply:
        """A connection is gone. If it had the lease while the arm may move, that is a stop."""
        known = self._connections.pop(conn_id, None)
        if known is not None:
            self.log.limited("disconnected", role=known.role)
        if self._judge.lease.holder == conn_id:
            self._judge.lease.drop()
        self._settle(read(self._clock))
        return self._yes()

    def _wrong_role(self, conn_id: int, role: str) -> str:
        known = self._connections.get(conn_id)
        if known is not None and known.role == role:
            return ""
        return f"this needs the role {role}. This connection is {known.role if known else 'nobody: say hello first'}."

    # --- requests of the client that commands ----------------------------------------------------------------------

    @_answers
    def lease(self, conn_id: int) -> Reply:
        """Take the motion lease: from now on this client's heartbeat is required."""
        now_s = read(self._clock)
        self._settle(now_s)
        wrong = self._wrong_role(conn_id, "motion")
        if wrong:
            return self._no(wrong)
        if not self._judge.lease.take(conn_id, now_s):
            return self._no("another client has the motion lease. Let it release, or end it.")
        self.log.limited("leased")
        return self._yes(heartbeat_timeout_s=self.config.supervision.heartbeat_timeout_s)

    @_answers
    def release(self, conn_id: int) -> Reply:
        """Give the lease back: from run to ready, holding."""
        now_s = read(self._clock)
        self._settle(now_s)
        if self._judge.lease.holder != conn_id:
            return self._no("this client does not have the motion lease.")
        if self._judge.running:
            self._judge.park()
            self._hold("released", now_s)
        self._judge.lease.drop()
        self.log.limited("released", epoch=self.epoch)
        return self._yes()

    @_answers
    def beat(self, conn_id: int) -> Reply:
        """Heartbeat of the client's control loop. A gap that was too long is judged before it is closed."""
        now_s = read(self._clock)
        self._settle(now_s)
        if self._judge.lease.holder != conn_id:
            return {**self._short(conn_id), "ok": False, "reason": "this client does not have the motion lease."}
        self._judge.lease.beat_s = now_s
        return self._short(conn_id)

    @_answers
    def command(self, conn_id: int, message: Any) -> Reply:
        """One point for the arm. A heartbeat too. Sent at the next ``tick`` unless something comes between."""
        now_s = read(self._clock)
        self._settle(now_s)
        checked = self._check(conn_id, message if isinstance(message, Mapping) else {}, now_s)
        if isinstance(checked, Refused):
            self._counts["refused"] += 1
            self.log.limited("command_refused", rule=checked.rule, detail=checked.detail)
            return {**self._short(conn_id), "ok": False, "reason": checked.detail, "rule": checked.rule}
        self._pending = Pending(checked, self.epoch, float(message["t_s"]))
        sent = {"positions_rad": list(checked.positions_rad), "velocities_rad_s": list(checked.velocities_rad_s)}
        return {**self._short(conn_id), "sent": {**sent, "gripper_m": checked.gripper_m}}

    def _check(self, conn_id: int, message: Mapping[str, Any], now_s: float) -> Command | Refused:
        lease, epoch = self._judge.lease, message.get("epoch")
        if lease.holder != conn_id:
            return Refused("lease", "this client does not have the motion lease. Take it first.")
        lease.beat_s = now_s
        blocked = self._blocked()
        if blocked:
            return Refused("not_armed", blocked)
        if type(epoch) is not int or epoch != self.epoch:
            return Refused("epoch", f"the epoch is {self.epoch}. Received {plain(epoch)!r}: it was made before a stop.")
        wrong = sequence(message.get("seq"), lease.sequence)
        if wrong is not None:
            return wrong
        lease.sequence = message["seq"]
        made_s, latest = number(message.get("t_s")), self._arm.latest
        if made_s is not None and made_s < self._since_s:
            return Refused("time_stamp", "the command was made before the arm was told to hold. Make a new one.")
        if latest is None:
            return Refused("not_armed", "the arm has not been heard of.")
        return self._checks.check(message, latest.positions_rad, now_s)

    def _blocked(self) -> str:
        """Why no command whatever may go out now."""
        if not self._judge.running:
            return f"commands need the state run. It is {self.state.value}: {self._judge.reason or 'not armed'}."
        if self._power in ("off", "ramp"):
            return "the drives have no power, or lose it now. Enable first."
        return ""

    @_answers
    def client_hold(self, conn_id: int, category: Any) -> Reply:
        """The client's own stop takes effect: hold, in a new epoch. Not latched. An unknown category counts as 2."""
        now_s = read(self._clock)
        self._settle(now_s)
        wrong = self._wrong_role(conn_id, "motion")
        if wrong:
            return self._no(wrong)
        known = type(category) is int and category in (0, 1, 2)
        self._client_holds += 1
        self._hold("client_hold", now_s)
        self.log.limited("client_hold", category=category, epoch=self.epoch)
        if known and category < 2:
            self._client_power(category, now_s)
        reply = self._short(conn_id)
        return reply if known else {**reply, "reason": f"category must be 0, 1 or 2: held as 2. {reply['reason']}"}

    def _client_power(self, category: int, now_s: float) -> None:
        if self.config.arm.power is None:
            self.log.limited("power_downgraded", category=category)
        elif category == 0:
            self._take_power()
        elif self._power != "off":
            self._power, self._ramp_until_s = "ramp", now_s + RAMP_S

    @_answers
    def enable(self, conn_id: int) -> Reply:
        """Power again where a client's hold took it, and a hold."""
        now_s = read(self._clock)
        self._settle(now_s)
        if self._judge.lease.holder != conn_id:
            return {**self._short(conn_id), "ok": False, "reason": "this client does not have the motion lease."}
        if self.state is ChainState.STOPPED:
            return {**self._short(conn_id), "ok": False, "reason": f"a stop is latched: {self._judge.reason}."}
        power = self.config.arm.power
        if power is not None and self._power == "off" and power.on is None:
            why = "arm.power.on is not configured. Give power at the arm, reset and arm again."
            return {**self._short(conn_id), "ok": False, "reason": why}
        if self._power in ("off", "ramp"):
            self._power, self._power_due, self._ramp_until_s = "on", "on", None
            self.log.note("power_on")
        self._hold("enabled", now_s)
        return self._short(conn_id)

    # --- requests of anybody ---------------------------------------------------------------------------------------

    @_answers
    def stop(self, conn_id: int, reason: Any = "") -> Reply:
        """A latched stop, at once, for anybody and as often as wanted."""
        known = self._connections.get(conn_id)
        self._judge.demand("requested", f"{known.role if known else 'nobody'}: {plain(reason)}")
        self._settle(read(self._clock))
        return self._yes()

    @_answers
    def status(self) -> Reply:
        """Everything there is to know, for displays."""
        now_s = read(self._clock)
        self._settle(now_s)
        return {**self._yes(), **self._known(now_s)}

    @_answers
    def events(self, after: Any = 0) -> Reply:
        """Events with higher numbers; ``more`` when a packet did not hold them all."""
        found, more = self.log.after(after if type(after) is int else 0)
        return self._yes(events=found, more=more, last=self.log.last)

    # --- requests of the operator ----------------------------------------------------------------------------------

    @_answers
    def reset_request(self, conn_id: int) -> Reply:
        """Check whether a reset could be; if so a code with which a person may confirm it."""
        now_s = read(self._clock)
        self._settle(now_s)
        wrong = self._wrong_role(conn_id, "operator")
        reasons = [wrong] if wrong else self._against_reset(now_s)
        if reasons:
            self.log.limited("reset_refused", reason="not_ready", reasons=reasons)
            return self._no("; ".join(reasons), reasons=reasons)
        code = self._codes.issue(self._judge.raised)
        self.log.limited("reset_requested", stop=self._judge.reason)
        return self._yes(code=code, good_for_s=self.config.supervision.confirmation_s, stop=self._judge.reason)

    def _against_reset(self, now_s: float) -> list[str]:
        """Why no reset may be, each once."""
        reasons = list(self._judge.standing)
        if self.state is not ChainState.STOPPED:
            reasons.append("nothing is latched")
        elif not self._arm.at_rest(now_s):
            reasons.append("the arm is not at rest")
        return list(dict.fromkeys(reasons))

    @_answers
    def reset(self, conn_id: int, code: Any) -> Reply:
        """Lower the stop that ``code`` was given for: to ready, never to run. The code is spent in any case."""
        now_s = read(self._clock)
        self._settle(now_s)
        wrong = self._wrong_role(conn_id, "operator")
        if wrong:
            return self._no(wrong)
        bad = self._codes.use(code, self._judge.raised)
        if bad:
            self.log.limited("reset_refused", bad, reason=bad)
            return self._no(f"the code is {bad}. Ask for a new one with reset_request.")
        reasons = self._against_reset(now_s)
        refused = "; ".join(reasons) or self._judge.reset("operator")
        if refused:
            self.log.limited("reset_refused", reason="not_ready", reasons=reasons)
            return self._no(refused, reasons=reasons)
        self.log.note("reset_accepted", epoch=self.epoch)
        return self._yes()

    @_answers
    def arm(self, conn_id: int) -> Reply:
        """The operator's start act: from ready to run, with a hold where the arm is."""
        now_s = read(self._clock)
        self._settle(now_s)
        wrong = self._wrong_role(conn_id, "operator")
        if wrong:
            return self._no(wrong)
        fresh = self._judge.lease.fresh(now_s)
        refused = "no client with the motion lease was heard lately" if not fresh else self._judge.start("operator")
        if refused:
            self.log.limited("arm_refused", reason=refused)
            return self._no(refused)
        if self._power == "off" and self.config.arm.power is not None and self.config.arm.power.on is None:
            self._power = "on"  # no service gives it back, so the operator who arms has given it by hand
        self._hold("armed", now_s)
        self.log.note("armed", epoch=self.epoch)
        return self._yes()

    # --- replies ---------------------------------------------------------------------------------------------------

    def _where(self) -> Reply:
        return {"state": self.state.value, "epoch": self.epoch}

    def _yes(self, **more: Any) -> Reply:
        return {"ok": True, "reason": "", **self._where(), **more}

    def _no(self, reason: str, **more: Any) -> Reply:
        return {"ok": False, "reason": reason, **self._where(), **more}

    def _short(self, conn_id: int) -> Reply:
        """The short status. What this client was told of the study input it is not told again."""
        known, study = self._connections.get(conn_id), self._judge.study
        told = self._study()
        if study is not None and known is not None:
            told["readings"], known.seen = study.readings_after(known.seen), study.number
        stop = self._judge.reason
        return {**self._yes(), "reason": stop, "stop_reason": stop, "settled": self._holding.settled, "study": told}

    def _study(self) -> Reply:
        """Health of the study input. Without one there are no readings: silence, for the chain under study."""
        study = self._judge.study
        if study is None:
            return {"readings": [], "healthy": False, "reason": "no input has the role study"}
        return {"readings": [], "healthy": study.healthy, "reason": study.judged}

    def _known(self, now_s: float) -> Reply:
        """What the full status has beyond the short one."""
        judge, arm = self._judge, self._arm
        latest = arm.latest
        return {
            "name": self.config.name,
            "stop_reason": judge.reason,
            "standing": judge.standing,
            "settled": self._holding.settled,
            "study": self._study(),
            "inputs": {name: _input(watch, now_s) for name, watch in judge.inputs.items()},
            "joint_states": {
                "age_s": plain(now_s - latest.t_s) if latest is not None else None,
                "at_rest": arm.at_rest(now_s),
                "positions_rad": list(latest.positions_rad) if latest is not None else None,
                "reason": arm.reason(now_s),
            },
            "publishers": judge.graph.publishers,
            "subscribers": judge.graph.subscribers,
            "safety_mode": {"value": plain(judge.mode.value), "reason": judge.mode.reason()},
            "power": self._power,
            "lease": {"held": judge.lease.holder is not None, "fresh": judge.lease.fresh(now_s)},
            "capabilities": self._capabilities,
            "limits": self.config.limits.model_dump(mode="json"),
            "counters": {**self._counts, "holds": self._holding.count, "events": self.log.last},
        }


def _input(watch: InputWatch, now_s: float) -> Reply:
    return {
        "role": watch.config.role,
        "a_closed": plain(watch.contacts.a_closed),
        "b_closed": plain(watch.contacts.b_closed),
        "healthy": watch.healthy,
        "reason": watch.judged,
        "age_s": plain(now_s - watch.t_s) if watch.t_s is not None else None,
    }


__all__ = ["Actions", "Command", "Supervision"]
