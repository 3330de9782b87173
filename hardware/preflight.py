"""The pre-flight of a bench: nothing is run on it before a person has pressed its stop and seen the arm stand still.

Each step asks the supervisor, and where it must, the person; the first that fails ends it. The last step moves one
joint by a few degrees and has the person press a button meanwhile: the times from press to standstill come from the
supervisor's events and are compared with ``LIMITS_S``. Whatever happens, the bench is stopped at the end.

CAVEAT: it shows that this stop worked now, with this file and this supervisor, at this speed. It is no proof of a
safety function and measures no stopping distance at the speed or reach of a trial.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import degrees
from typing import Any

from redbutton.estop import Clock
from redbutton.hardware.arming import NotReadyError, Seats, input_levels, lower_stop, start
from redbutton.hardware.channel import ChannelError, Message
from redbutton.hardware.config import BenchConfig
from redbutton.hardware.person import Person
from redbutton.hardware.preflight_swing import (
    AMPLITUDE_RAD,
    MOVE_WITHIN_S,
    MOVED_RAD,
    STANDSTILL_S,
    StepFailed,
    Swing,
    first_stop,
    newest,
)
from redbutton.hardware.timing import too_slow

PRESS_WITHIN_S = 30.0
"""How long a person has to press, or to release, one button."""
DISCOVERY_S = 5.0
"""How long a supervisor that was started a moment ago may take to find the arm."""
POLL_S = 0.01
LIMITS_S: dict[str, float] = {"latch_s": 0.05, "gate_s": 0.05, "hold_s": 0.1, "standstill_s": STANDSTILL_S}
"""Longest time from the press to each link. Latch, gate and first hold take one turn of the supervisor's loop (5 ms)
and come late only on a machine that is overloaded; standstill has the arm's own ramp in it, at this test's speed."""


@dataclass(frozen=True, kw_only=True)
class PreflightResult:
    """What came of it."""

    passed: bool
    reasons: tuple[str, ...] = ()
    """Why not; empty when it passed."""
    steps: tuple[str, ...] = ()
    """What was found, step by step."""
    timings: tuple[dict[str, Any], ...] = ()
    """Times of the press in motion."""


@dataclass
class _Notes:
    steps: list[str] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)


class Preflight:
    """One pre-flight over two connected seats. ``run`` never raises on what the bench or the person does."""

    def __init__(
        self,
        seats: Seats,
        person: Person,
        config: BenchConfig,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        press_within_s: float = PRESS_WITHIN_S,
        move_within_s: float = MOVE_WITHIN_S,
        discovery_s: float = DISCOVERY_S,
    ) -> None:
        self._seats = seats
        self._person = person
        self._config = config
        self._clock, self._sleep = clock, sleep
        self._press_within_s, self._discovery_s = press_within_s, discovery_s
        self._swing = Swing(seats, config, clock, sleep, move_within_s)
        self._notes = _Notes()

    def run(self) -> PreflightResult:
        """All steps, up to the first that fails. The bench is left stopped."""
        self._notes, reason = _Notes(), ""
        try:
            for step in (self._stopped, self._limits, self._arm, self._inputs, self._reset, self._press_in_motion):
                step()
        except (StepFailed, ChannelError, NotReadyError) as exc:
            reason = str(exc)
        finally:
            self._seats.stop("the pre-flight is over")
        reasons = (reason,) if reason else ()
        notes = self._notes
        return PreflightResult(
            passed=not reasons, reasons=reasons, steps=tuple(notes.steps), timings=tuple(notes.timings)
        )

    def _found(self, text: str) -> None:
        self._notes.steps.append(text)
        self._person.say(f"ok  {text}")

    # -- asking the supervisor ------------------------------------------------------------------------------

    def _stopped(self) -> None:
        """Nothing may move while buttons are tried."""
        name = self._seats.operator.status().get("name")
        if name != self._config.name:
            raise StepFailed(f"the supervisor must serve {self._config.name!r}. Received one that serves {name!r}")
        self._seats.stop("a pre-flight has begun")
        self._found(f"the supervisor of {name} answers and has stopped the arm")

    def _limits(self) -> None:
        """The person sees what the bench file allows, and what the supervisor has of it."""
        limits, arm = self._config.limits, self._config.arm
        if self._seats.operator.status().get("limits") != limits.model_dump(mode="json"):
            raise StepFailed("the supervisor must have this file's limits. Received others: start it again")
        fastest = max(v * limits.speed_share for v in arm.velocity_rad_s)
        box = limits.workspace
        self._person.say(
            f"{arm.name}: {limits.speed_share:.0%} of its speed (at most {fastest:.2f} rad/s), "
            f"steps of {limits.step_rad:g} rad, commands of {limits.horizon_s:g} s; "
            + (f"tool within x {box.x}, y {box.y}, z {box.z} m" if box else "no limit to the tool's workspace")
            + ("" if arm.tried_on_hardware else f"\nThe profile of {arm.name} was never tried on hardware.")
            + ("\nThe bench file says stand_in: no real arm may be here." if self._config.stand_in else "")
        )
        if not self._person.confirm("Are these limits right for this bench, and the arm's own set no wider?"):
            raise StepFailed("a person must agree with the limits. Received no yes")
        self._found("the limits were agreed")

    def _arm(self) -> None:
        """Joint states fresh, one publisher of commands, a driver that listens, the arm's safety mode normal."""
        deadline = self._clock() + self._discovery_s
        while True:
            status = self._seats.operator.status()
            problem = self._against_the_arm(status)
            if not problem:
                break
            if self._clock() > deadline:
                raise StepFailed(problem)
            self._sleep(POLL_S)
        watched = "normal" if self._config.arm.safety_mode else "not watched: the bench file names no topic"
        age_s = status["joint_states"]["age_s"]
        self._found(f"joint states are {age_s:.3f} s old, one publisher, safety mode {watched}")

    def _against_the_arm(self, status: Message) -> str:
        joints, mode = status["joint_states"], status["safety_mode"]
        limit_s = self._config.supervision.joint_states_timeout_s
        age_s, topic = joints.get("age_s"), self._config.arm.trajectory_topic
        if joints.get("reason") or age_s is None or age_s > limit_s:
            found = joints.get("reason") or ("none" if age_s is None else f"some of {age_s:.2f} s")
            return f"joint states must be younger than {limit_s:g} s. Received {found}. Check the arm's driver"
        if status.get("publishers") != 1:
            return (
                "the supervisor must be the only publisher of commands to the arm. Received "
                f"{status.get('publishers')} of them. Find the other: ros2 topic info -v {topic}"
            )
        if not status.get("subscribers"):
            return f"the arm's controller must listen for commands. Received nobody on {topic}"
        if mode.get("reason"):
            return f"the arm's safety mode must be normal. Received {mode.get('value')!r}"
        return ""

    # -- every button ---------------------------------------------------------------------------------------

    def _inputs(self) -> None:
        """Both channels of each input are seen open and closed again."""
        for one in self._config.inputs:
            # An earlier discrepancy stands until both channels were seen open and closed again, as they are now.
            self._wait_for(one.name, f"Release {one.name}.", open_=False, sound=False)
            self._wait_for(one.name, f"Press {one.name} and keep it down.", open_=True, sound=False)
            self._wait_for(one.name, f"Release {one.name}.", open_=False)
            self._found(f"{one.name} ({one.role}): both channels open and close")

    def _wait_for(self, name: str, what: str, *, open_: bool, sound: bool = True) -> None:
        """Wait until both channels read so and, where ``sound`` is asked for, the supervisor believes them."""
        wanted = not open_
        deadline, said = self._clock() + self._press_within_s, False
        while True:
            a, b, healthy = input_levels(self._seats.operator.status(), name)
            if (a, b) == (wanted, wanted) and (healthy or not sound):
                return
            if not said:
                self._person.say(what)
                said = True
            if self._clock() > deadline:
                raise StepFailed(self._not_seen(name, open_, (a, b), healthy))
            self._sleep(POLL_S)

    def _not_seen(self, name: str, open_: bool, levels: tuple[Any, Any], healthy: bool) -> str:
        shown = ", ".join({True: "closed", False: "open"}.get(level, "unknown") for level in levels)
        sound = "" if healthy else f", {self._seats.operator.status()['inputs'].get(name, {}).get('reason', 'unknown')}"
        return (
            f"both channels of {name} must be seen {'open' if open_ else 'closed'} within {self._press_within_s:g} s. "
            f"Received {shown}{sound}. Check its wiring and its addresses in the bench file"
        )

    # -- motion ---------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        """By the person, with the code."""
        lower_stop(self._seats.operator, self._person)
        self._found("the stop was reset by a person with a one-time code")

    def _press_in_motion(self) -> None:
        safety = self._config.safety_inputs[0].name
        joint = self._config.arm.joint_names[-1]
        if not self._person.confirm(
            f"{joint} will now swing by {degrees(AMPLITUDE_RAD):.0f} degrees, slowly. While it moves, press {safety}.\n"
            "Is the workspace clear, and a hand at the button?"
        ):
            raise StepFailed("a person must say that the workspace is clear. Received no yes")
        after = newest(self._seats)
        start(self._seats)
        self._person.press_now(f"{safety.upper()}: PRESS IT WHILE THE ARM MOVES")
        try:
            moved_rad = self._swing.run()
        finally:
            self._swing.end()
        self._judge(after, moved_rad)
        self._wait_for(safety, f"Release {safety}.", open_=False)

    def _judge(self, after: int, moved_rad: float) -> None:
        """The stop was a button's, the arm had moved, and every link came in time."""
        found = first_stop(self._seats, after, self._config.supervision.settle_for_s, self._clock, self._sleep)
        if found is None or found["cause"].split(":")[0] not in {i.name for i in self._config.safety_inputs}:
            cause = "no stop" if found is None else found["cause"]
            raise StepFailed(f"the motion must be stopped by a button of role safety. Received {cause}")
        if moved_rad < MOVED_RAD:
            raise StepFailed(
                f"the arm must move before its stop is tried. Received {moved_rad:.4f} rad. Press later, or check "
                "that the arm's controller is active"
            )
        self._notes.timings.append(found)
        slow = too_slow(found, LIMITS_S)
        if slow:
            raise StepFailed("; ".join(slow))
        self._found(
            f"pressed in motion: latched after {found['latch_s'] * 1e3:.0f} ms, hold sent after "
            f"{found['hold_s'] * 1e3:.0f} ms, at rest after {found['standstill_s'] * 1e3:.0f} ms"
        )


__all__ = ["LIMITS_S", "Preflight", "PreflightResult"]
