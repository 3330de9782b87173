"""Tabular learners on an ``Mdp``: Q-learning, Sarsa and safe Sarsa, for the theory of safe interruptibility.

Source: Orseau and Armstrong 2016, "Safely Interruptible Agents" (UAI). Where a stop overrides the agent's actions and
is not part of what it sees, Q-learning learns as if it were never interrupted, since its target does not ask what is
done next. Sarsa's does: an override lowers what it expects, and it learns to avoid being overridden. Safe Sarsa takes
the action that the agent itself would have chosen in place of the one that was forced, and is indifferent again.

Every learner updates the action that was executed. The update after a step to what is seen as ``y``:

========== =====================================================================
q_learning ``r + gamma * max(Q[y])``
sarsa      ``r + gamma * Q[y, action executed next]``, a forced one included
safe_sarsa ``r + gamma * Q[y, action chosen next]``, whatever is then executed
========== =====================================================================

and ``r`` alone where the episode is over. An episode that is cut off is learnt from as one that goes on.

An action that does nothing in all states that look the same is never chosen and never part of a maximum.

CAVEAT: the theory asks for three things.

- The stop must not show in what is seen (``mark_stop=False``). Where it shows, every learner here tells the stopped
  state apart, finds that nothing but waiting follows, and tampers.
- Every action must be tried everywhere now and then, so not everything that looks as if it will be interrupted may be.
  After a warning that a stop always follows, what lies beyond the stop is never learnt.
- What is seen must be the whole state. Where it hides which rewards have been had, an interruption can keep a learner
  from finding out that a loop does not pay.

The gridworld meets all three, the coffee errand only the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from redbutton.baselines.policy import Policy, Table
from redbutton.envs.decisions import Interruption
from redbutton.envs.mdp import Batch, Bools, Floats, Ints, Mdp

Method = Literal["q_learning", "sarsa", "safe_sarsa"]
METHODS: tuple[Method, ...] = ("q_learning", "sarsa", "safe_sarsa")
Callback = Callable[[int, Policy], None]


@dataclass(frozen=True, kw_only=True)
class TabularSettings:
    """Settings of a learner. Raises ``ValueError`` for a number outside 0 to 1."""

    gamma: float = 0.99
    """Discount per decision."""
    alpha: float = 0.1
    """Least learning rate."""
    rate_power: float = 0.8
    """The learning rate is ``1 / visits ** rate_power``, but never below ``alpha``."""
    epsilon: float = 0.02
    """Probability of a uniformly random action from ``explore_share`` of the decisions on; it begins at 1."""
    explore_share: float = 0.9
    """Share of the decisions in which that probability falls linearly from 1 to ``epsilon``.

    Nearly all of them, since Sarsa learns what its own exploration costs: at a high rate of exploration a stop that
    ends the episode spares it much, and with less it has to unlearn that.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"the settings of a tabular learner are from 0 to 1. Received {field.name}={value!r}")

    def explore(self, done: float) -> float:
        """Probability of a uniformly random action after this share of the decisions."""
        reached = min(1.0, done / self.explore_share) if self.explore_share > 0.0 else 1.0
        return 1.0 + reached * (self.epsilon - 1.0)


def learn(
    mdp: Mdp,
    method: Method,
    *,
    steps: int = 100_000,
    seed: int = 0,
    interruption: Interruption = "overrides",
    mark_stop: bool = False,
    settings: TabularSettings | None = None,
    n_envs: int = 16,
    max_decisions: int = 40,
    decisions_after_stop: int = 6,
    callback: Callback | None = None,
    callback_every: int = 10_000,
) -> Policy:
    """Learn a table of action values; the policy is greedy in it.

    ``steps`` decisions are made in all, in ``n_envs`` episodes side by side (rounded up to whole rounds); the updates
    are made one after another. The table has a row for each distinct row of ``mdp.vector``, or of ``mdp.unmarked``
    without ``mark_stop``, all zero before they are learnt. The same arguments give the same table. ``callback`` gets
    the number of decisions so far and the policy of that moment, each ``callback_every`` decisions and at the end.
    Raises ``ValueError`` for an unknown method or a number out of range.
    """
    if method not in METHODS:
        raise ValueError(f"a tabular method is one of {', '.join(METHODS)}. Received {method!r}")
    if steps < 1 or n_envs < 1 or callback_every < 1:
        raise ValueError(
            "steps, n_envs and callback_every are at least 1. "
            f"Received steps={steps}, n_envs={n_envs}, callback_every={callback_every}"
        )
    settings = settings or TabularSettings()
    world, own = np.random.SeedSequence(seed).spawn(2)
    batch = Batch(
        mdp,
        n_envs,
        interruption=interruption,
        mark_stop=mark_stop,
        max_decisions=max_decisions,
        decisions_after_stop=decisions_after_stop,
        seed=int(world.generate_state(1)[0]),
    )
    rng = np.random.default_rng(own)
    table = _Table(mdp, method, settings, mark_stop)
    forced = mdp.stopped if interruption == "overrides" else np.zeros(mdp.size, np.bool_)
    chosen = table.choose(batch.state, settings.explore(0.0), rng)
    rounds = -(-steps // n_envs)
    for number in range(1, rounds + 1):
        _, reward, terminated, truncated = batch.step(chosen)
        explore = settings.explore(number / rounds)
        intended = table.choose(batch.arrived, explore, rng)
        executed_next = np.where(forced[batch.arrived], mdp.wait, intended)
        table.update(batch, reward, terminated, intended if method == "safe_sarsa" else executed_next)
        # A new episode starts in another state than the one that the last decision led to, and chooses anew.
        chosen = np.where(terminated | truncated, table.choose(batch.state, explore, rng), intended)
        due = number * n_envs // callback_every > (number - 1) * n_envs // callback_every
        if callback is not None and (due or number == rounds):
            callback(number * n_envs, table.policy())
    return table.policy()


class _Table:
    """Action values by what is seen."""

    def __init__(self, mdp: Mdp, method: Method, settings: TabularSettings, mark_stop: bool) -> None:
        self._mdp, self._method, self._settings = mdp, method, settings
        self._mark_stop = mark_stop
        self._keys, row = np.unique(mdp.vector if mark_stop else mdp.unmarked, axis=0, return_inverse=True)
        self._row = row.reshape(-1)
        offered = np.zeros((len(self._keys), len(mdp.actions)), np.bool_)
        np.logical_or.at(offered, self._row, mdp.accepted)
        self._barred = np.where(offered, 0.0, -np.inf)
        self.values: Floats = np.zeros(offered.shape)
        self._visits = np.zeros(self.values.shape, np.int64)

    def choose(self, state: Ints, explore: float, rng: np.random.Generator) -> Ints:
        """Actions (N,) for states (N,): mostly a best one, ties broken at random, else any of those offered."""
        row = self._row[state]
        value = np.where((rng.random(len(row)) < explore)[:, None], 0.0, self.values[row]) + self._barred[row]
        best = value == value.max(axis=1, keepdims=True)
        chosen: Ints = np.where(best, rng.random(best.shape), -1.0).argmax(axis=1).astype(np.int32)
        return chosen

    def update(self, batch: Batch, reward: Floats, terminated: Bools, next_action: Ints) -> None:
        """One step of every episode, one after another."""
        s = self._settings
        steps = zip(
            self._row[batch.before].tolist(),
            batch.executed.tolist(),
            reward.tolist(),
            self._row[batch.arrived].tolist(),
            next_action.tolist(),
            terminated.tolist(),
            strict=True,
        )
        for x, a, r, y, b, over in steps:
            best = self._method == "q_learning"
            ahead = 0.0 if over else (self.values[y] + self._barred[y]).max() if best else self.values[y, b]
            self._visits[x, a] += 1
            rate = max(s.alpha, float(self._visits[x, a]) ** -s.rate_power)
            self.values[x, a] += rate * (r + s.gamma * ahead - self.values[x, a])

    def policy(self) -> Policy:
        """The greedy policy of this moment, with a copy of the values."""
        return Policy(
            actions=self._mdp.actions,
            features=self._mdp.features,
            net=Table(
                keys=self._keys, values=np.where(np.isfinite(self._barred), self.values, self.values.min() - 1.0)
            ),
            output="values",
            select="greedy",
            mark_stop=self._mark_stop,
            name=self._method,
        )
