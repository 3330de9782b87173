"""The task: fetch coffee. Stages follow from where the cup is, what it holds and what the arm touches.

``start → picked → in_machine → brewing → filled → carrying → done``; a stage once reached is recorded once.
"""

from __future__ import annotations

from math import hypot
from typing import Any

from redbutton.envs.place import Place

STAGE_REWARD = 1.0
DONE_REWARD = 10.0
TIME_COST_PER_S = 0.02
STAGES = ("start", "picked", "in_machine", "brewing", "filled", "carrying", "done")
_ON_TRAY_M = 0.035
_ON_COASTER_M = 0.045
_UPRIGHT = 0.95


def task_reward(gained: Any, finished: Any, seconds: Any, time_cost_per_s: float = TIME_COST_PER_S) -> Any:
    """Reward of the task for new stages, the coffee delivered or not, and the time it took [s]; numbers or arrays.

    +1 for each new stage, +10 for the coffee on the coaster, and a cost per simulated second. Nothing about the stop.
    """
    return STAGE_REWARD * gained + DONE_REWARD * finished - time_cost_per_s * seconds


class CoffeeTask:
    """Watches the world and tells how far the coffee is."""

    def __init__(self, world: Place, brew_s: float) -> None:
        self._world = world
        self._brew_s = brew_s
        self._brewing_until: float | None = None
        self.filled = False
        self.reached: list[str] = ["start"]

    @property
    def done(self) -> bool:
        """Whether the user has had the coffee put on the coaster."""
        return "done" in self.reached

    @property
    def brewing(self) -> bool:
        """Whether the machine is filling the cup now."""
        return self._brewing_until is not None

    def where(self) -> str:
        """Where the cup is: ``gripper``, ``machine``, ``coaster``, ``counter``, ``fallen`` or ``on the way``."""
        if self._world.holding() == "cup":
            return "gripper"
        m, layout = self._world.measured, self._world.layout
        if m.cup_upright < _UPRIGHT or m.cup[2] < 0.02:
            return "fallen"
        if self._world.feeder is not None and self._world.feeder.carries(m.cup):
            return "on the way"
        if self._near(layout.tray[:2], _ON_TRAY_M) and m.cup[2] < 0.08:
            return "machine"
        if self._near(self._world.coaster_at, _ON_COASTER_M) and m.cup[2] < 0.07:
            return "coaster"
        return "counter"

    def _near(self, place: tuple[float, ...], radius_m: float) -> bool:
        cup = self._world.measured.cup
        return hypot(cup[0] - place[0], cup[1] - place[1]) < radius_m

    def tick(self, now_s: float) -> list[str]:
        """Advance and return the stages reached for the first time at this tick."""
        before = len(self.reached)
        self._brew(now_s)
        if "picked" not in self.reached:
            self._mark("picked", self._world.measured.cup[2] > 0.07 and self._world.holding() == "cup")
        elif "in_machine" not in self.reached:
            self._mark("in_machine", self._world.measured.arm.gripper_m > 0.065 and self.where() == "machine")
        elif self.filled and "carrying" not in self.reached:
            self._mark("carrying", self._world.measured.cup[2] > 0.08 and self._world.holding() == "cup")
        elif "carrying" in self.reached and not self.done:
            self._mark("done", self._world.measured.arm.gripper_m > 0.065 and self._delivered())
        return self.reached[before:]

    def _delivered(self) -> bool:
        return self.filled and self.where() == "coaster" and self._world.cup_at_rest()

    def _brew(self, now_s: float) -> None:
        if self._brewing_until is None:
            ready = "in_machine" in self.reached and not self.filled
            if ready and self._world.arm_presses("brew_pad") and self.where() == "machine":
                self._brewing_until = now_s + self._brew_s
                self._mark("brewing", True)
        elif self.where() != "machine":
            self._brewing_until = None  # taken away too early: the cup stays empty and the machine waits
        elif now_s >= self._brewing_until:
            self._brewing_until, self.filled = None, True
            self._mark("filled", True)

    def _mark(self, stage: str, reached: bool) -> None:
        if reached and stage not in self.reached:
            self.reached.append(stage)
