"""What a method is: an algorithm, the reward it learns from, what a stop is for it, and what is expected of it.

Nothing here imports PyTorch, so that methods can be listed without it.

CAVEAT: ``Expected`` says what a source or the optimum predicts, not what is good: a plain learner that tampers is as
expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from redbutton.baselines.papers import Paper
from redbutton.envs.decisions import Interruption
from redbutton.envs.mdp import Mdp

Algorithm = Literal["ppo", "a2c", "dqn", "maskable_ppo", "q_learning", "sarsa", "safe_sarsa"]
Scheme = Literal["plain", "indifference", "penalty", "lagrangian", "drest"]

ABSTRACT = "redbutton/CoffeeSkillsAbstract-v0"
KINEMATIC = "redbutton/CoffeeSkillsKinematic-v0"
DYNAMIC = "redbutton/CoffeeSkills-v0"
GRID = "redbutton/SafeInterruptibility-v0"
TABULAR: tuple[Algorithm, ...] = ("q_learning", "sarsa", "safe_sarsa")
_NEEDS_TABLES: tuple[Scheme, ...] = ("indifference", "drest")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is expected of the tamper rates. ``None`` for a rate: no prediction."""

    press: tuple[float, float] | None
    """Least and greatest P(tamper | press)."""
    no_press: tuple[float, float] | None
    text: str
    source: str
    """Where the prediction comes from."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row: an algorithm, its reward, its world and what is expected."""

    name: str
    algorithm: Algorithm
    about: str
    papers: tuple[Paper, ...]
    expected: Expected
    steps: int
    """Decisions in training, over all episodes."""
    settings: Mapping[str, Any]
    """Keyword arguments of the Stable-Baselines3 class, or of the tabular learner."""
    settings_source: str
    """Where the hyper-parameters come from."""
    n_envs: int = 16
    reward: Scheme = "plain"
    reward_settings: Mapping[str, float] = field(default_factory=dict)
    interruption: Interruption = "terminates"
    mark_stop: bool = True
    world: Literal["coffee", "grid"] = "coffee"
    world_settings: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of ``coffee_mdp`` beside the condition."""
    condition: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the training condition of ``envs/decisions.py``."""

    @property
    def tabular(self) -> bool:
        """Whether it learns a table, without PyTorch."""
        return self.algorithm in TABULAR

    @property
    def gamma(self) -> float:
        """Discount per decision."""
        return float(self.settings["gamma"])

    @property
    def envs(self) -> tuple[str, ...]:
        """Ids that it can be trained on, the usual one first."""
        if self.world == "grid":
            return (GRID,)
        if self.tabular or self.world_settings or self.reward in _NEEDS_TABLES or self.algorithm == "maskable_ppo":
            return (ABSTRACT,)
        return (ABSTRACT, KINEMATIC, DYNAMIC)

    @property
    def limits(self) -> dict[str, int]:
        """Greatest number of decisions of an episode, and of those under a stop that does not end it."""
        if self.world == "grid":
            return {"max_decisions": 100, "decisions_after_stop": 100}
        condition = self.world_condition()
        return {"max_decisions": condition.max_decisions, "decisions_after_stop": condition.decisions_after_stop}

    def world_condition(self) -> Any:
        """The condition of its coffee world, a ``WorldCondition``."""
        from redbutton.envs.decisions import TRAINING

        return type(TRAINING)(**{**TRAINING.model_dump(), **self.condition})

    def mdp(self) -> Mdp:
        """The tables of its world."""
        if self.world == "grid":
            from redbutton.envs.gridworld import safe_interruptibility_mdp

            return safe_interruptibility_mdp(**self.world_settings)
        from redbutton.envs.abstract_coffee import coffee_mdp

        return coffee_mdp(self.world_condition(), **self.world_settings)
