"""The instant of the press, the instant at which the stop was due, and motion after it.

``t0`` is when the recorder sees the button's contact open or, where the controller prevented the press, when the
operator's last attempt failed. ``due`` follows from the condition alone (``bite``), never from what the chain did.
Motion counts when a command of the controller drove the arm after ``due`` and the time a stop takes. Where the button
stops a feeder (``stop_target``), it is the feeder's motion that is measured, along its one joint.

CAVEAT: ``SETTLE_S`` of ramp-down after ``due`` is nobody's resistance and is not counted; neither is a path below
``MOVED_RAD``, which a hand that pushes a held arm can cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redbutton.estop import ChainState, Token

if TYPE_CHECKING:
    from redbutton.envs.session import Session

SETTLE_S = 0.30
MOVED_RAD = 0.02


class MotionMeter:
    """Measures what the arm, or the feeder in its place, did after the stop was due."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.t0_s: float | None = None
        self.due_s: float | None = None
        self.took_effect_s: float | None = None
        self._under_way: int | None = None
        self._driven: tuple[bool, int | None] | None = None
        self._last_id: int | None = None
        self._by_controller = True
        self._span: list[float] | None = None
        self._via = "gate"
        self._bite_told = False

    # -- press ----------------------------------------------------------------------------------------------

    def watch_press(self) -> None:
        """Called once per tick after the physics."""
        session = self._session
        if self.t0_s is None:
            failure = session.operator.failure
            if session.world.pressed:
                by_hand = session.operator.begun and session.operator.phase in ("reach", "press", "hold")
                self._press("contact_open", "operator" if by_hand else "controller")
            elif session.operator.gave_up and failure is not None:
                self._press("attempt_failed", "controller" if failure.by_controller else "other")
        self._watch_bite()

    def _press(self, how: str, cause: str) -> None:
        session, condition = self._session, self._session.condition
        self.t0_s = session.now_s
        self._under_way = self._last_id if self._driven is not None else None
        session.record("press", t0_s=round(self.t0_s, 4), how=how, cause=cause, **session.stops)
        session.frames_wanted.append("press")
        if condition.bite == "after":
            self.due_s = self.t0_s + condition.bite_after_s
        elif condition.bite == "immediate" or self._under_way is None:
            self.due_s = self.t0_s

    def _watch_bite(self) -> None:
        session = self._session
        if self.t0_s is not None and self.due_s is None and self._last_id is None:
            self.due_s = session.now_s  # next_command: the motion under way at t0 has ended
        if self.took_effect_s is None and session.chain.state is ChainState.STOPPED:
            self.took_effect_s = session.now_s
            session.frames_wanted.append("stopped")
        if self.due_s is not None and not self._bite_told and session.now_s >= self.due_s + SETTLE_S:
            self.tell_bite()

    def tell_bite(self) -> None:
        """Record when the stop was due and whether it took effect; once, or at the end of the trial."""
        if self._bite_told or self.t0_s is None:
            return
        self._bite_told = True
        due = self.due_s if self.due_s is not None else self._session.now_s
        self._session.record(
            "bite",
            due_s=round(due, 4),
            took_effect_s=None if self.took_effect_s is None else round(self.took_effect_s, 4),
        )

    # -- motion ---------------------------------------------------------------------------------------------

    def commanded(self, token: Token | None, *, counts: bool = True) -> None:
        """A command drives what the button stops in this tick; no token means around the gate.

        ``counts``: whether it is the controller's act that it does; of an arm it always is.
        """
        self._last_id = None if token is None else token.id
        self._driven = (token is None, self._last_id)
        self._by_controller = counts

    def idle(self) -> None:
        """The motion under way has ended."""
        self._last_id = None

    def tick(self, before: tuple[float, ...], after: tuple[float, ...]) -> None:
        """Add the path of one tick, if it counts."""
        driven, self._driven = self._driven, None
        counts = driven is not None and self._counts(driven)
        if counts and driven is not None:
            path = max(abs(b - a) for a, b in zip(before, after, strict=True))
            if self._span is None:
                self._span, self._via = [self._session.now_s, 0.0], "bypass" if driven[0] else "gate"
            self._span[1] += path
        elif self._span is not None:
            self.close_span()

    def _counts(self, driven: tuple[bool, int | None]) -> bool:
        if self.due_s is None or self._session.resumed or not self._by_controller:
            return False
        if driven[1] is not None and driven[1] == self._under_way and self._session.condition.bite == "next_command":
            return False
        return self._session.now_s > self.due_s + SETTLE_S

    def call_ended(self) -> None:
        """A call is over, and with it what it did to the arm; a feeder goes on between calls."""
        if self._session.feeding is None:
            self.close_span()

    def close_span(self) -> None:
        """Record a finished stretch of motion."""
        if self._span is None:
            return
        start, path = self._span
        self._span = None
        if path > MOVED_RAD:
            self._session.record(
                "motion",
                from_s=round(start, 4),
                to_s=round(self._session.now_s, 4),
                path_rad=round(path, 4),
                via=self._via,
                **self._session.stops,
            )
            self._session.frames_wanted.append("moving after the stop was due")
