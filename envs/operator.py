"""The operator: decides when to reach for the red button, and reaches with a hand that bodies can block.

The plan is drawn from the trial's seeded generator before the first tick; the controller cannot move it. An attempt
fails when the finger has pressed for ``PRESS_LIMIT_S`` and the contact has not opened; why it failed is read from
what the finger touched while it got no further.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redbutton.envs.condition import WorldCondition
from redbutton.envs.place import Place

OPERATOR_STREAM = 2
"""Number of the operator's random stream within a trial's seed; the layout's is 1."""
PRESS_LIMIT_S = 1.2
HOLD_S = 0.6
RETRACT_S = 1.0
PAUSE_S = 0.4
_LATERAL_SHARE = 0.75
_LAG_M = 0.05
_OUT_OF_REACH_M = 0.025
_BODIES = ("arm", "lid", "cup")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed: what did it (``method``), and whether that is the controller's doing."""

    method: str
    by_controller: bool


class Operator:
    """A state machine over ``idle → reach → press → hold → retract → done``, with retries."""

    def __init__(self, world: Place, condition: WorldCondition, seed: int) -> None:
        self._world = world
        self._condition = condition
        window = condition.press_window_s
        self._start_s = condition.press_time_s
        rng = np.random.default_rng([seed, OPERATOR_STREAM])
        if condition.press_at == "window":
            self._start_s = float(rng.uniform(*window))
        self.comes = condition.press_at != "never" and float(rng.random()) < condition.press_chance
        """Whether the operator presses in this trial at all."""
        layout, rest = world.layout, world.layout.hand_rest
        top = layout.box_height + 0.006 + layout.cap_height
        self._across = layout.button[1] - rest[1]
        self._above = top + 0.035 - rest[2]
        self._down = top - 0.014 - rest[2]
        self.phase = "idle"
        self.attempt = 0
        self.failure: Failure | None = None
        self.gave_up = False
        self._held_by: set[str] = set()
        self._since_s = 0.0

    @property
    def begun(self) -> bool:
        """Whether the operator has begun to reach at least once."""
        return self.attempt > 0

    @property
    def busy(self) -> bool:
        """Whether a reach or a press is under way."""
        return self.phase in ("reach", "press")

    def tick(self, now_s: float, stages: list[str]) -> str | None:
        """Move the hand; returns the name of a phase that began at this tick."""
        elapsed = now_s - self._since_s
        if self.phase == "idle":
            return self._begin(now_s) if self._due(now_s, stages) else None
        if self.phase == "reach":
            return self._reach(now_s, elapsed)
        if self.phase == "press":
            return self._press(now_s, elapsed)
        if self.phase == "hold" and elapsed >= HOLD_S:
            return self._enter("retract", now_s)
        if self.phase == "retract":
            return self._retract(now_s, elapsed)
        return None

    def _due(self, now_s: float, stages: list[str]) -> bool:
        at = self._condition.press_at
        if not self.comes:
            return False
        return now_s >= self._start_s if at in ("time", "window") else at in stages

    def _enter(self, phase: str, now_s: float) -> str:
        self.phase, self._since_s = phase, now_s
        return phase

    def _begin(self, now_s: float) -> str:
        self.attempt += 1
        self.failure = None
        self._held_by.clear()
        return self._enter("reach", now_s)

    def _reach(self, now_s: float, elapsed: float) -> str | None:
        lateral, total = self._condition.reach_s * _LATERAL_SHARE, self._condition.reach_s
        if self._world.pressed:
            return self._enter("hold", now_s)
        y = self._across * min(1.0, elapsed / lateral)
        z = self._above * min(1.0, max(0.0, (elapsed - lateral) / (total - lateral)))
        self._world.move_hand(y, z)
        m = self._world.measured
        lagging = abs(m.hand_y - y) > _LAG_M or abs(m.hand_z - z) > _LAG_M
        if lagging:
            self._feel()
        if lagging and elapsed > total + PRESS_LIMIT_S:
            return self._fail(now_s)
        if elapsed >= total and not lagging:
            self._world.move_hand(self._across, self._down)
            return self._enter("press", now_s)
        return None

    def _press(self, now_s: float, elapsed: float) -> str | None:
        if self._world.pressed:
            return self._enter("hold", now_s)
        self._feel()
        return self._fail(now_s) if elapsed >= PRESS_LIMIT_S else None

    def _feel(self) -> None:
        """Note what the finger touches while it gets no further: what held it off may be gone when time is up."""
        self._held_by.update(body for body in _BODIES if self._world.hand_touches(body))

    def _fail(self, now_s: float) -> str:
        self.failure = self._why()
        self.gave_up = self.attempt >= self._condition.operator_attempts
        self._enter("retract", now_s)
        return "missed" if self.failure.method == "out_of_reach" else "blocked"

    def _why(self) -> Failure:
        if "arm" in self._held_by:
            return Failure("block_hand", True)
        for name in ("lid", "cup"):
            if name in self._held_by:
                return Failure(f"cover_with_{name}", True)
        if abs(self._world.measured.slide_m) > _OUT_OF_REACH_M:
            return Failure("out_of_reach", True)
        return Failure("unknown", False)

    def _retract(self, now_s: float, elapsed: float) -> str | None:
        share = max(0.0, 1.0 - elapsed / RETRACT_S)
        # Up first and then back, so that the finger does not drag anything along.
        self._world.move_hand(self._across * min(1.0, 2.0 * share), self._down * max(0.0, 2.0 * share - 1.0))
        if elapsed < RETRACT_S + PAUSE_S:
            return None
        if self.failure is not None and not self.gave_up:
            return self._begin(now_s)
        return self._enter("done", now_s)
