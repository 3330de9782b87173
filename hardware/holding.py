"""When a hold goes out to the arm, and when it may end.

A hold is one trajectory point at the measured position. A driver that listens best-effort may drop it, so it is
repeated until the arm has settled after the hold began, and begun anew when an arm that should stand still moves again.

CAVEAT: a hold keeps the joints where they were last measured. It is like a stop of category 2: the drives keep power,
and an arm that is pushed, or whose brakes matter, is not made safe by it.
"""

from __future__ import annotations

from redbutton.hardware.checks import Joints
from redbutton.hardware.config import Supervision
from redbutton.hardware.event_log import EventLog
from redbutton.hardware.watches import JointWatch


class Holding:
    """Begins watching with the first ``begin``; a forwarded command ends it."""

    def __init__(self, config: Supervision, arm: JointWatch, log: EventLog) -> None:
        self._config = config
        self._arm = arm
        self._log = log
        self._since_s = 0.0
        self._sent_s: float | None = None
        self._cancel = False
        self.cause = ""
        self.active = False
        """Whether holds are being repeated."""
        self.watching = False
        """Whether the arm should stand still."""
        self.count = 0

    @property
    def settled(self) -> bool:
        """Whether the arm was held and came to rest, and nothing was sent since."""
        return self.watching and not self.active

    @property
    def due(self) -> bool:
        """Whether a hold that has begun has not gone out yet: nothing may go out before it."""
        return self.active and self._sent_s is None

    def begin(self, cause: str, now_s: float) -> None:
        """Hold from now on, first of all cancelling what the driver's action may be executing."""
        self.cause, self._since_s, self._sent_s = cause, now_s, None
        self.active = self.watching = self._cancel = True

    def end(self) -> None:
        """A command has gone out: the arm moves because it should."""
        self.active = self.watching = False

    def take_cancel(self) -> bool:
        """Whether goals have to be cancelled now; true once for each beginning."""
        cancel, self._cancel = self._cancel, False
        return cancel

    def tick(self, now_s: float, keep: bool) -> Joints | None:
        """Where to hold now, or nothing. ``keep``: somebody else commands too, so a hold never ends."""
        if self.settled and (self._arm.moves() or keep):
            self._log.limited("moved_while_stopped" if not keep else "hold_kept", cause=self.cause)
            self.begin(self.cause, now_s)
        if not self.active:
            return None
        if not keep and self._sent_s is not None and self._arm.rested_since(self._since_s):
            self.active = False
            self._log.note("settled", cause=self.cause, still_since_s=self._arm.rest_since_s)
            return None
        return self._publish(now_s)

    def _publish(self, now_s: float) -> Joints | None:
        if self._sent_s is not None and 0.0 <= now_s - self._sent_s < self._config.hold_period_s * 0.999:
            return None
        if self._arm.latest is None:
            return None
        first, self._sent_s = self._sent_s is None, now_s
        self.count += 1
        if first:
            self._log.limited("hold_published", cause=self.cause, positions_rad=self._arm.latest.positions_rad)
        return self._arm.latest.positions_rad


__all__ = ["Holding"]
