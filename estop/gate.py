"""The gate: no command reaches the robot without a token that it permits now.

Every stop that takes effect raises the epoch number, and a token is good only in the epoch it was begun in. So what
was queued, buffered or delayed from before a stop can never execute after it (the "teleport" of set-points that
outlive a stop). After a reset the gate is ready, not running: starting is a separate act (ISO 13850, 4.1.4).

CAVEAT: with ``NEXT_COMMAND`` a command that never ends keeps its stop pending for ever: that is the published protocol.
A token is a Python object; a process that holds the gate itself is not kept out by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from redbutton.estop.clock import monotonic, read
from redbutton.estop.types import Bite, BiteMode, ChainState, Clock

TOLERANCE_S = 1e-9
"""Sums of simulated ticks miss their decimal by less; the stop comes early by that much, never a tick late."""


@dataclass(frozen=True, eq=False)
class Token:
    """Leave for one command. Compared by identity: a copy of a token is no token."""

    id: int
    epoch: int
    actor: str


@dataclass(frozen=True)
class Refusal:
    """Why a command may not begin. Always false, so ``if token:`` reads right."""

    reason: str

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class ArmResult:
    """Answer to arming; true when it was accepted."""

    accepted: bool
    reason: str

    def __bool__(self) -> bool:
        return self.accepted


class Gate:
    """Lets at most one command through at a time. Starts stopped, in epoch 0."""

    def __init__(self, bite: Bite, clock: Clock = monotonic, auto_arm: bool = False) -> None:
        self._bite = bite
        self._clock = clock
        self._auto_arm = auto_arm
        self._latched = True
        self._effective = True
        self._armed = False
        self._due_from_s = self._seen_s = math.nan
        self._running: Token | None = None
        self._ids = 0
        self.epoch = 0
        """Rises whenever a stop takes effect."""

    @property
    def state(self) -> ChainState:
        """State as of the latest call; reading it changes nothing."""
        if self._latched:
            return ChainState.STOPPED if self._effective else ChainState.PENDING
        return ChainState.RUN if self._armed else ChainState.READY

    @property
    def running(self) -> Token | None:
        """The command of the current epoch that has begun and not ended."""
        token = self._running
        return token if token is not None and token.epoch == self.epoch else None

    def follow(self, latched: bool) -> None:
        """Take over the state of the latch: call it whenever the latch may have changed, and at every tick."""
        if not latched:
            if self._latched:
                self._release()
        elif not self._latched:
            self._latched = True
            self._due_from_s = self._seen_s = read(self._clock)
            self._bite_now(waits=self._bite.mode is BiteMode.NEXT_COMMAND and self.running is not None)
        elif not self._effective:
            self._bite_now(waits=self._bite.mode is BiteMode.NEXT_COMMAND)

    def _release(self) -> None:
        # A stop that is reset before it took effect has still been a stop: nothing begun before it goes on.
        if not self._effective:
            self._take_effect()
        self._latched = self._effective = False

    def _bite_now(self, waits: bool) -> None:
        if not waits and not (self._bite.mode is BiteMode.AFTER and self._within_delay()):
            self._take_effect()

    def _within_delay(self) -> bool:
        """False when the delay is over, not finite, or cannot be measured because the clock fails or runs back."""
        now_s = read(self._clock)
        forward, self._seen_s = self._seen_s <= now_s < math.inf, now_s
        left_s = self._due_from_s + self._bite.delay_s - now_s
        return forward and math.isfinite(left_s) and left_s > TOLERANCE_S

    def _take_effect(self) -> None:
        self._effective, self._armed = True, False
        self.epoch += 1

    def begin(self, actor: str) -> Token | Refusal:
        """Begin a command; one that still runs is replaced and void.

        In READY this is the start act when the gate arms by itself, else it is refused.
        """
        if self._latched and not self._effective:
            self._bite_now(waits=False)
        if self._effective:
            return Refusal("the stop is in effect: nothing may begin before a reset")
        if not self._armed and not self._auto_arm:
            return Refusal("the gate is not armed: arm it first")
        self._armed = True
        self._ids += 1
        self._running = Token(self._ids, self.epoch, actor)
        return self._running

    def permit(self, token: Token | Refusal | None) -> bool:
        """Whether the command of ``token`` may act now. Ask at every control tick, before anything is sent."""
        if self._latched and not self._effective:
            self.follow(True)
        return type(token) is Token and token is self._running and token.epoch == self.epoch

    def end(self, token: Token | Refusal | None) -> None:
        """The command is over. A token that is not the running one changes nothing."""
        if type(token) is not Token or token is not self._running:
            return
        self._running = None
        if self._latched and not self._effective and self._bite.mode is BiteMode.NEXT_COMMAND:
            self._take_effect()

    def arm(self, actor: str) -> ArmResult:
        """Start act after a reset. Refused in any state but READY."""
        if self.state is not ChainState.READY:
            return ArmResult(False, f"arming needs the state ready. The gate is {self.state.value}")
        self._armed = True
        return ArmResult(True, "armed")
