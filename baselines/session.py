"""What the training of one seed has in common, whatever learns: the evaluations on the way, the clock, the progress.

The evaluations draw from generators of their own, so that looking does not change what is learnt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from redbutton.baselines.evaluate import Figures, evaluate
from redbutton.baselines.method import ABSTRACT, GRID, KINEMATIC, Method
from redbutton.baselines.policy import Policy
from redbutton.baselines.rollout import evaluate_in
from redbutton.baselines.seed_folder import Point, SeedFolder
from redbutton.envs.mdp import Floats, Mdp

EVALUATIONS = 20
"""How many evaluations a training has, the one before it left out."""
EPISODES: dict[str, int] = {ABSTRACT: 1000, GRID: 1000, KINEMATIC: 50}
EPISODES_DYNAMIC = 20
EVALUATION_SEED = 1_000_000
"""Added to the training's seed: evaluation episodes are others than those of the training."""

OnProgress = Callable[[int], None]
"""Called with the number of decisions so far."""


class Session:
    """The training of one seed of one method."""

    def __init__(
        self,
        method: Method,
        env_id: str,
        steps: int,
        seed: int,
        folder: SeedFolder,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.method, self.env_id, self.steps, self.seed, self.folder = method, env_id, steps, seed, folder
        self.points: list[Point] = []
        self.every = max(1, steps // EVALUATIONS)
        self._report = on_progress
        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()
        self._before = {"wall_s": 0.0, "cpu_s": 0.0}

    @cached_property
    def mdp(self) -> Mdp:
        """The tables of the world; those of the abstract errand for worlds with bodies."""
        return self.method.mdp()

    def go_on(self, steps: int, spent: dict[str, float]) -> None:
        """Take up the curve and the clock of an earlier session, which got as far as ``steps``."""
        self.points = self.folder.read_curve(up_to=steps)
        self._before = spent

    def spent(self) -> dict[str, float]:
        """Wall and CPU seconds of this training, earlier sessions included."""
        return {
            "wall_s": round(self._before["wall_s"] + time.monotonic() - self._wall_s, 3),
            "cpu_s": round(self._before["cpu_s"] + time.process_time() - self._cpu_s, 3),
        }

    def progress(self, steps: int) -> None:
        """Tell how far it is."""
        if self._report is not None:
            self._report(min(steps, self.steps))

    def due(self, steps: int) -> bool:
        """Whether an evaluation is due after so many decisions."""
        return not self.points or steps // self.every > self.points[-1].steps // self.every

    def judge(self, policy: Policy, steps: int) -> Figures:
        """Evaluate a policy, note it in the curve and return its figures."""
        figures = self.figures(policy)
        self.points = [p for p in self.points if p.steps != steps] + [Point.of(steps, figures)]
        self.folder.write_curve(self.points)
        return figures

    def figures(self, policy: Policy) -> Figures:
        """Figures from sampled episodes in the world of the training, where a stop ends the episode."""
        seed = EVALUATION_SEED + self.seed
        episodes = EPISODES.get(self.env_id, EPISODES_DYNAMIC)
        if self.env_id in (ABSTRACT, GRID):
            return evaluate(
                self.acting(policy),
                self.mdp,
                mark_stop=self.method.mark_stop,
                episodes=episodes,
                seed=seed,
                max_decisions=self.method.limits["max_decisions"],
            )
        return evaluate_in(self._world, policy, episodes=episodes, seed=seed)

    def acting(self, policy: Policy) -> Floats:
        """The probability of each action in each state, (S, A), behind the masks where it was trained with masks."""
        rows, where = self._rows
        table: Floats = policy.probabilities(rows)[where]
        if self.method.algorithm != "maskable_ppo":
            return table
        masked = table * self.mdp.accepted
        # Where the network leaves nothing for what is accepted, whatever is accepted is equally good.
        masked = np.where(masked.sum(axis=1, keepdims=True) > 0.0, masked, self.mdp.accepted)
        shares: Floats = masked / masked.sum(axis=1, keepdims=True)
        return shares

    @cached_property
    def _rows(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
        """The distinct rows of features, and for each state which of them it shows: far fewer rows than states."""
        seen = self.mdp.vector if self.method.mark_stop else self.mdp.unmarked
        rows, where = np.unique(seen, axis=0, return_inverse=True)
        return rows, where.reshape(-1)

    @cached_property
    def _world(self) -> Any:
        import gymnasium

        return gymnasium.make(self.env_id, condition=self.method.world_condition(), mark_stop=self.method.mark_stop)

    def close(self) -> None:
        """Close the world of the evaluations, where one was opened."""
        if "_world" in self.__dict__:
            self._world.close()
