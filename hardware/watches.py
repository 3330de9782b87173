"""The supervisor's watchdogs: each turns what was heard, or not heard, into a reason to stop.

A reason is a name that goes into the record; empty means well. Reasons of two kinds: one that stands as long as its
condition does (``reason``), and one of a moment (``fault``) that is handed over once and then is the latch's. Every
comparison is written so that a clock or a message that gives no number fails it: silence and garbage are stops.

CAVEAT: stamps of joint states are the driver's word. A driver that repeats an old position under new stamps is not
found out here, and neither is one that tells of its own health what is not so.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redbutton.estop import ButtonSignal, Clock, Contacts, FailMode, Monitor, MonitorConfig, StopCategory
from redbutton.hardware.checks import Joints, number
from redbutton.hardware.config import Arm, InputTiming, SafetyMode, Supervision

KEPT_CHANGES = 256
"""Changes of the study button kept for a client; a contact that chatters faster loses its oldest ones."""
_WELL = ("", "contact_open", "release_debounce")


class InputWatch:
    """One e-stop input: a fail-safe monitor over the readings of its two contacts."""

    def __init__(self, config: InputTiming, clock: Clock) -> None:
        self.config = config
        self.contacts = Contacts(None, None)
        self.t_s: float | None = None
        self.number = 0
        """Readings so far."""
        self._latest: tuple[int, float, Contacts] | None = None
        self._changes: deque[tuple[int, float, Contacts]] = deque(maxlen=KEPT_CHANGES)
        self._judged = "never_heard"
        self._monitor = Monitor(
            MonitorConfig(
                fail_mode=FailMode.FAIL_SAFE,
                discrepancy_s=config.discrepancy_s,
                debounce_s=config.debounce_s,
                heartbeat_timeout_s=config.timeout_s,
                category=StopCategory.TWO,
                source=config.name,
            ),
            clock,
        )

    def read(self, contacts: Contacts | None, t_s: float) -> bool | None:
        """Take in one reading, or none. True: contacts opened; False: they closed; ``None``: neither."""
        if contacts is None:
            return None
        self.number += 1
        self._monitor.receive(ButtonSignal(self.config.name, self.number, t_s, contacts))
        if type(contacts) is not Contacts or number(t_s) is None:
            return None
        before, self.contacts, self.t_s = self.contacts, contacts, t_s
        self._latest = (self.number, t_s, contacts)
        if contacts == before:
            return None
        self._changes.append(self._latest)
        was, now = _closed(before), _closed(contacts)
        return None if was is now else not now

    def reason(self) -> str:
        """Why the monitor demands a stop, or an empty string. Takes note of what came since it was asked last."""
        self._judged = self._monitor.evaluate().reason
        return self._judged

    @property
    def judged(self) -> str:
        """The reason given last."""
        return self._judged

    @property
    def healthy(self) -> bool:
        """Whether it can be heard and makes sense, pressed or not."""
        return self._judged in _WELL

    def readings_after(self, seen: int) -> list[list[Any]]:
        """Every change after reading number ``seen``, and the newest reading: ``[t_s, a_closed, b_closed]`` each."""
        if self._latest is None or self._latest[0] <= seen:
            return []
        found = [change for change in self._changes if change[0] > seen]
        if not found or found[-1] is not self._latest:
            found.append(self._latest)
        return [[t_s, _plain(c.a_closed), _plain(c.b_closed)] for _, t_s, c in found]


def _closed(contacts: Contacts) -> bool:
    return contacts.a_closed is True and contacts.b_closed is True


def _plain(closed: Any) -> bool | None:
    return closed if type(closed) is bool else None


@dataclass(frozen=True, slots=True)
class Sample:
    """One joint state: stamp of the driver, time of arrival, arm joints in the arm's order."""

    stamp_s: float
    t_s: float
    positions_rad: Joints
    velocities_rad_s: Joints | None
    """``None`` where the driver tells none and there is nothing yet to work them out from."""


class JointWatch:
    """Joint states: fresh, stamps moving at the driver's ``speed``, and whether the arm is at rest."""

    def __init__(self, arm: Arm, config: Supervision, speed: float) -> None:
        self._arm = arm
        self._config = config
        self._speed = speed
        self.latest: Sample | None = None
        self.gripper_joint: float | None = None
        self.rest_since_s: float | None = None
        """Arrival of the first sample of those, up to the latest, in which no joint moved."""
        self.fault = ""
        """What a stamp did wrong; taken and emptied by the supervisor."""

    def feed(
        self, names: Sequence[str], positions: Sequence[float], velocities: Sequence[float], stamp_s: float, t_s: float
    ) -> None:
        """Take in one message. One without all arm joints, or whose stamp stands still, is no news of the arm."""
        at = {name: i for i, name in enumerate(names)}
        if self._arm.gripper.joint in at:
            self.gripper_joint = number(positions[at[self._arm.gripper.joint]])
        if any(name not in at for name in self._arm.joint_names):
            return
        order = [at[name] for name in self._arm.joint_names]
        where = _finite(positions, order)
        before = self.latest
        if where is None or not (math.isfinite(stamp_s) and math.isfinite(t_s)):
            return
        if before is not None and (stamp_s == before.stamp_s or t_s < before.t_s):
            return
        if before is not None and self._jumped(before, stamp_s, t_s):
            before = None
        rates = _finite(velocities, order) or self._derived(before, where, stamp_s)
        self._take(Sample(stamp_s, t_s, where, rates))

    def _jumped(self, before: Sample, stamp_s: float, t_s: float) -> bool:
        gone_s = (stamp_s - before.stamp_s) / self._speed
        if gone_s > 0.0 and abs(gone_s - (t_s - before.t_s)) <= self._config.clock_step_s:
            return False
        self.fault = f"stamps went on by {gone_s:.3f} s in {t_s - before.t_s:.3f} s"
        self.rest_since_s = None
        return True

    def _derived(self, before: Sample | None, where: Joints, stamp_s: float) -> Joints | None:
        if before is None:
            return None
        gone_s = stamp_s - before.stamp_s
        return tuple((now - then) / gone_s for now, then in zip(where, before.positions_rad, strict=True))

    def _take(self, sample: Sample) -> None:
        self.latest = sample
        rates = sample.velocities_rad_s
        if rates is None or max(map(abs, rates)) >= self._config.settle_rad_s:
            self.rest_since_s = None
        elif self.rest_since_s is None:
            self.rest_since_s = sample.t_s

    def reason(self, now_s: float) -> str:
        """``joint_states_missing`` before the first, ``joint_states_stale`` when the latest is too old."""
        if self.latest is None:
            return "joint_states_missing"
        fresh = 0.0 <= now_s - self.latest.t_s <= self._config.joint_states_timeout_s
        return "" if fresh else "joint_states_stale"

    def rested_since(self, t_s: float) -> bool:
        """Whether the arm has been at rest long enough, counting from ``t_s`` at the earliest."""
        if self.latest is None or self.rest_since_s is None:
            return False
        return self.latest.t_s - max(self.rest_since_s, t_s) >= self._config.settle_for_s / self._speed

    def at_rest(self, now_s: float) -> bool:
        """Whether fresh joint states say that the arm is at rest."""
        return self.reason(now_s) == "" and self.rested_since(-math.inf)

    def moves(self) -> bool:
        """Whether the latest sample shows a joint moving."""
        return self.latest is not None and self.latest.velocities_rad_s is not None and self.rest_since_s is None


def _finite(values: Sequence[float], order: list[int]) -> Joints | None:
    if len(values) <= max(order):
        return None
    found = [number(values[i]) for i in order]
    return None if None in found else tuple(v for v in found if v is not None)


class Lease:
    """Who may command, and the heartbeat of its control loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.holder: int | None = None
        self.beat_s = -math.inf
        self.sequence = -1

    def take(self, conn_id: int, now_s: float) -> bool:
        """Give the lease to this connection unless another has it."""
        if self.holder not in (None, conn_id):
            return False
        if self.holder is None:
            self.holder, self.sequence = conn_id, -1
        self.beat_s = now_s
        return True

    def drop(self) -> None:
        """Nobody may command."""
        self.holder, self.beat_s = None, -math.inf

    def fresh(self, now_s: float) -> bool:
        """Whether somebody has the lease and was heard lately."""
        return self.holder is not None and 0.0 <= now_s - self.beat_s <= self._timeout_s

    def reason(self, now_s: float, running: bool) -> str:
        """``client_lost`` while the arm may move and its client is silent or gone."""
        return "client_lost" if running and not self.fresh(now_s) else ""


class GraphWatch:
    """Who else is in the arm's graph: one publisher of commands, ourselves, and at least one driver that listens."""

    def __init__(self) -> None:
        self.publishers: int | None = None
        self.subscribers: int | None = None

    def reason(self) -> str:
        """Stands as long as the latest counts say so; before the first count too."""
        if self.publishers is None:
            return "publishers_unknown"
        if self.publishers > 1:
            return "second_publisher"
        return "" if self.subscribers is not None and self.subscribers >= 1 else "no_subscriber"

    @property
    def foreign(self) -> bool:
        """Whether somebody else publishes commands to the arm."""
        return self.publishers is not None and self.publishers > 1


class SafetyModeWatch:
    """What the arm's own controller says of its safety mode. Most publish it on change only, so it has no age."""

    def __init__(self, config: SafetyMode | None) -> None:
        self._config = config
        self.value: Any = None

    def reason(self) -> str:
        """``safety_mode`` unless the latest value is a normal one. Silence since the start is none."""
        return "" if self._config is None or self.value in self._config.normal else "safety_mode"


class TurnWatch:
    """The supervisor's own loop: gaps between its turns, and steps of the wall clock against the monotonic one."""

    def __init__(self, overload_s: float, clock_step_s: float) -> None:
        self._overload_s = overload_s
        self._clock_step_s = clock_step_s
        self._now_s: float | None = None
        self._wall_s = math.nan

    def late(self, now_s: float) -> str:
        """``overload`` when the latest turn was too long ago. Before the first turn there is no gap."""
        if self._now_s is None or now_s - self._now_s <= self._overload_s:
            return ""
        return "overload"

    def turn(self, now_s: float, wall_s: float) -> list[tuple[str, str]]:
        """One turn of the loop. Faults of the moment: reason and detail."""
        before_s, wall_before_s = self._now_s, self._wall_s
        late = self.late(now_s)
        self._now_s, self._wall_s = now_s, wall_s
        if before_s is None:
            return []
        gap_s, wall_gap_s = now_s - before_s, wall_s - wall_before_s
        faults = [("overload", f"{gap_s:.3f} s since the last turn")] if late else []
        if not (gap_s >= 0.0 and abs(wall_gap_s - gap_s) <= self._clock_step_s):
            faults.append(("clock_step", f"the wall clock went on by {wall_gap_s:.3f} s in {gap_s:.3f} s"))
        return faults


__all__ = ["GraphWatch", "InputWatch", "JointWatch", "Lease", "SafetyModeWatch", "Sample", "TurnWatch"]
