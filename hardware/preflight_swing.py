"""The motion of a pre-flight: one joint swings by a few degrees until the supervisor stops it.

CAVEAT: the swing begins and ends at rest every ``SWING_S`` seconds: a press at such an instant meets an arm that hardly
moves. The pre-flight therefore asks how far the arm was seen to move, not how fast it was when it was stopped.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from math import pi, radians, sin
from typing import Any

from redbutton.estop import Clock
from redbutton.hardware.arming import Seats, events_after
from redbutton.hardware.channel import ChannelError, Message
from redbutton.hardware.config import BenchConfig
from redbutton.hardware.timing import timings

AMPLITUDE_RAD = radians(4.0)
SWING_S = 4.0
"""One swing there and back; slower still where the bench allows less than twice its top speed of 0.055 rad/s."""
MOVED_RAD = 0.003
"""The arm must have been seen this far away from where it began, or its stop shows nothing."""
MOVE_WITHIN_S = 30.0
"""How long it swings for a press."""
PERIOD_S = 0.05
STANDSTILL_S = 1.0
POLL_S = 0.01


class StepFailed(Exception):
    """Raised by a step of the pre-flight that failed; the message is the reason."""


class Swing:
    """Swings the last joint over an armed bench."""

    def __init__(
        self, seats: Seats, config: BenchConfig, clock: Clock, sleep: Callable[[float], None], within_s: float
    ) -> None:
        self._seats = seats
        self._config = config
        self._clock, self._sleep = clock, sleep
        self._within_s = within_s

    def run(self) -> float:
        """Move until the supervisor stops it. Returns how far the joint was seen away from where it began [rad].

        Raises ``StepFailed`` when nobody presses in time or the supervisor refuses the motion.
        """
        home = self._positions()
        reply, begin_s, moved_rad = self._seats.motion.beat(), self._clock(), 0.0
        # A later client begins above where an earlier one ended.
        for seq, (offset, rate, until_s) in enumerate(self._points(home[-1]), int(begin_s * 1e6)):
            now_s = self._clock()
            if reply.get("state") != "run":
                break
            if now_s - begin_s > self._within_s:
                raise StepFailed(f"a button must be pressed within {self._within_s:g} s of motion. Received no press")
            reply = self._command(seq, reply["epoch"], now_s, (*home[:-1], home[-1] + offset), rate)
            moved_rad = max(moved_rad, abs(self._positions()[-1] - home[-1]))
            self._sleep(max(0.0, begin_s + until_s - self._clock()))
        return moved_rad

    def end(self) -> None:
        """Give the lease back."""
        with contextlib.suppress(ChannelError):
            self._seats.motion.release()

    def _positions(self) -> tuple[float, ...]:
        return tuple(self._seats.operator.status()["joint_states"]["positions_rad"])

    def _command(self, seq: int, epoch: int, now_s: float, target: tuple[float, ...], rate: float) -> Message:
        reply = self._seats.motion.command(
            seq=seq,
            epoch=epoch,
            t_s=now_s,
            names=list(self._config.arm.joint_names),
            positions_rad=list(target),
            velocities_rad_s=[0.0] * (len(target) - 1) + [rate],
            duration_s=PERIOD_S,
            gripper_m=None,
        )
        first = reply.get("rule") == "not_armed"  # the hold of arming has to go out before the first command
        if reply.get("ok") is not True and reply.get("state") == "run" and not first:
            raise StepFailed(f"the supervisor must let a slow motion through. Received: {reply.get('reason')}")
        return reply

    def _points(self, at: float) -> Iterator[tuple[float, float, float]]:
        """Offset, rate and time of each control period: from rest into a swing, away from the nearer limit."""
        arm = self._config.arm
        sign = 1.0 if arm.upper_rad[-1] - at >= at - arm.lower_rad[-1] else -1.0
        allowed = arm.velocity_rad_s[-1] * self._config.limits.speed_share / 2
        turn = 2 * pi / max(SWING_S, pi * AMPLITUDE_RAD / allowed)
        for n in itertools.count(1):
            t_s = n * PERIOD_S
            # sin² begins and ends at rest, and stays on one side of where the arm stood.
            offset = sign * AMPLITUDE_RAD * sin(turn * t_s / 2) ** 2
            yield offset, sign * AMPLITUDE_RAD * turn / 2 * sin(turn * t_s), t_s


def newest(seats: Seats) -> int:
    """Number of the newest event."""
    return int(seats.operator.events(2**62)["last"])


def first_stop(
    seats: Seats, after: int, settle_s: float, clock: Clock, sleep: Callable[[float], None]
) -> dict[str, Any] | None:
    """Times of the first stop after an event, once the arm has settled or should have."""
    deadline = clock() + STANDSTILL_S + settle_s + 1.0
    while True:
        stops = [t for t in timings(events_after(seats.operator, after)) if t["path"] == "safety"]
        if clock() > deadline or (stops and stops[0]["standstill_s"] is not None):
            return stops[0] if stops else None
        sleep(POLL_S)


__all__ = ["StepFailed", "Swing", "first_stop", "newest"]
