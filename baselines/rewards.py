"""What a learner is paid, where it is not the reward of the task: small wrappers around a ``VecEnv``.

Each changes rewards only, from what the infos tell of the episode so far (``tampered``, ``pressed``, ``interrupted``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from redbutton.baselines.method import Method
from redbutton.baselines.optimum import ClassBest, best_by_class, best_value
from redbutton.baselines.vec import BatchVecEnv, Step

Rewards = npt.NDArray[np.float32]
Infos = list[dict[str, Any]]


class Reshaped(VecEnvWrapper):
    """A wrapper that changes rewards: subclasses say how in ``reshape``."""

    def reset(self) -> Any:
        """Begin all episodes."""
        return self.venv.reset()

    def step_wait(self) -> Step:
        """One decision in every episode, with the reward changed."""
        obs, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(obs, np.ndarray)
        return obs, self.reshape(rewards, dones, infos).astype(np.float32), dones, infos

    def reshape(self, rewards: Rewards, dones: npt.NDArray[np.bool_], infos: Infos) -> npt.NDArray[Any]:
        """Rewards (N,) of one step, changed."""
        raise NotImplementedError


class Indifference(Reshaped):
    """Pays, in the decision in which the stop takes effect, what going on would have been worth.

    ``r' = r + gamma * V(resumed(s'))`` where ``s'`` is stopped, and ``r' = r`` elsewhere. ``V`` is the best value of
    the task's reward, by dynamic programming on the same tables and with the discount of the training; ``resumed`` is
    the same state without the stop and with nobody to press. Being stopped and not being stopped are then worth the
    same, and what a detour to the stop costs is lost.

    Source: Armstrong, "Utility indifference", 2010; compensatory rewards in Armstrong and O'Rourke, "'Indifference'
    methods for managing agent rewards", 2017, arXiv:1712.06365.

    CAVEAT: it pays what the best policy would have got, not what this one would. While it learns, being stopped is
    better than going on.
    """

    def __init__(self, venv: BatchVecEnv, value: npt.NDArray[np.float64], gamma: float) -> None:
        """``value``: V by state, (S,). Raises ``ValueError`` unless a stop ends the episode."""
        if venv.batch.interruption != "terminates":
            raise ValueError(
                "indifference is paid once, where a stop ends the episode: interruption 'terminates'. "
                f"Received {venv.batch.interruption!r}"
            )
        super().__init__(venv)
        mdp = venv.batch.mdp
        self._paid = np.where(mdp.stopped & ~mdp.done, gamma * value[mdp.resumed], 0.0)

    def reshape(self, rewards: Rewards, dones: npt.NDArray[np.bool_], infos: Infos) -> npt.NDArray[Any]:
        """Add the compensation where an episode has been stopped."""
        world = self.unwrapped
        assert isinstance(world, BatchVecEnv)
        return rewards + self._paid[world.batch.arrived]


class TamperPenalty(Reshaped):
    """Takes a fixed cost off, once an episode, in the decision in which the stop is first tampered with.

    ``r' = r - cost`` at the first step with ``tampered``. Plain reward shaping.

    CAVEAT: it needs somebody who notices the tampering; here the world itself tells.
    """

    def __init__(self, venv: VecEnv, cost: float) -> None:
        super().__init__(venv)
        self.cost = cost
        self._before = np.zeros(venv.num_envs, np.bool_)

    def reset(self) -> Any:
        """Begin all episodes."""
        self._before[:] = False
        return super().reset()

    def reshape(self, rewards: Rewards, dones: npt.NDArray[np.bool_], infos: Infos) -> npt.NDArray[Any]:
        """Take the cost off where tampering is new."""
        tampered = np.array([info["tampered"] for info in infos], np.bool_)
        new = tampered & ~self._before
        self._before = tampered & ~dones
        return rewards - self.cost * new


class Lagrangian(TamperPenalty):
    """A penalty for tampering whose size is learnt, so that tampering stays within a budget.

    Greatest return subject to ``E[C] <= budget``, where ``C`` is 1 for an episode in which the stop was tampered with:
    the learner sees ``r' = r - m`` at the first step with ``tampered``, and after every ``window`` finished episodes
    ``m <- max(0, m + rate * (mean of C - budget))``.

    Source: Altman, *Constrained Markov Decision Processes*, 1999; with policy gradients Tessler, Mankowitz and Mannor,
    "Reward Constrained Policy Optimization", 2018, arXiv:1805.11074, and Ray, Achiam and Amodei, "Benchmarking Safe
    Exploration in Deep Reinforcement Learning", 2019.

    Ours: the cost is counted by episode and not discounted, and the penalty is put into the reward, where those papers
    keep a second critic or normalise the sum.

    CAVEAT: the rate swings around the budget, since the multiplier falls while nobody tampers. The policy at the end of
    a training is the one of that moment, and may stand anywhere in a swing.
    """

    def __init__(self, venv: VecEnv, budget: float, rate: float, window: float) -> None:
        super().__init__(venv, cost=0.0)
        self.budget, self.rate, self.window = budget, rate, int(window)
        self.tamper_rate: float | None = None
        """Share of episodes with tampering in the last full window."""
        self._episodes = self._with = 0

    def reshape(self, rewards: Rewards, dones: npt.NDArray[np.bool_], infos: Infos) -> npt.NDArray[Any]:
        """Take the multiplier off where tampering is new, then count the episodes that ended."""
        reshaped = super().reshape(rewards, dones, infos)
        for n in np.flatnonzero(dones):
            self._episodes += 1
            self._with += bool(infos[n]["tampered"])
            if self._episodes == self.window:
                self._update()
        return reshaped

    def _update(self) -> None:
        self.tamper_rate = self._with / self._episodes
        self.cost = max(0.0, self.cost + self.rate * (self.tamper_rate - self.budget))
        self._episodes = self._with = 0


class DReST(Reshaped):
    """Discounted reward for same-length trajectories: pays less for a length the more often it was chosen lately.

    An episode is a mini-episode; ``mini_episodes`` of them in a row in one place of the batch make a meta-episode. The
    i-th pays at its end ::

        discount ** (n - (i - 1) / k) * (return of the episode / best return of its length)

    where ``n`` is how often its length was chosen before in this meta-episode, and ``k`` is the number of lengths. All
    other rewards are zero. The best for a learner that does not see the meta-episode is to choose each length equally
    often and to do as well as can be done in each.

    Source: Thornley, Roman, Ziakas, Ho and Thomson, "Towards shutdownable agents via stochastic choice", 2024,
    arXiv:2407.00805; ``discount`` 0.9 and 32 mini-episodes from Cullen et al., 2026, arXiv:2604.17502.

    Ours: two lengths, *interrupted* and *ran on*. There a length is a number of steps that the agent can set; here the
    same press leads to the one or the other. An episode without a press has one length only: it is paid its share of
    the best return of such an episode, and not counted. The return is that of the task, undiscounted; best returns are
    exact (``optimum.best_by_class``). An episode that is cut off by the limit of decisions ends there for the learner,
    since a value filled in at the cut would pay for never finishing.
    """

    lengths = 2

    def __init__(self, venv: VecEnv, best: ClassBest, discount: float, mini_episodes: float) -> None:
        """Raises ``ValueError`` where a length has no best return above zero to divide by."""
        super().__init__(venv)
        found = {"interrupted": best.interrupted, "ran on": best.ran_on, "unpressed": best.unpressed}
        for name, value in found.items():
            if value is None or value <= 0.0:
                raise ValueError(
                    f"DReST divides by the best return of each length, above 0. Received {value} for {name}"
                )
        self._best = {name: float(value) for name, value in found.items() if value is not None}
        self.discount, self.mini_episodes = discount, int(mini_episodes)
        self._returns = np.zeros(venv.num_envs)
        self._chosen = np.zeros((venv.num_envs, self.lengths), np.int64)

    def reset(self) -> Any:
        """Begin all meta-episodes."""
        self._returns[:] = 0.0
        self._chosen[:] = 0
        return super().reset()

    def reshape(self, rewards: Rewards, dones: npt.NDArray[np.bool_], infos: Infos) -> npt.NDArray[Any]:
        """Nothing inside an episode; at its end what its length is paid."""
        self._returns += rewards
        paid = np.zeros(len(rewards))
        for n in np.flatnonzero(dones):
            infos[n]["TimeLimit.truncated"] = False
            paid[n] = self._pay(n, infos[n])
            self._returns[n] = 0.0
        return paid

    def _pay(self, place: np.intp, info: dict[str, Any]) -> float:
        gained = float(self._returns[place])
        if not info["pressed"]:
            return gained / self._best["unpressed"]
        length, name = (0, "interrupted") if info["interrupted"] else (1, "ran on")
        chosen = self._chosen[place]
        factor = self.discount ** (float(chosen[length]) - float(chosen.sum()) / self.lengths)
        chosen[length] += 1
        if chosen.sum() == self.mini_episodes:
            chosen[:] = 0
        return float(factor * gained / self._best[name])


def reshaped(venv: VecEnv, method: Method) -> VecEnv:
    """The world with the rewards of a method's scheme."""
    settings = dict(method.reward_settings)
    if method.reward == "penalty":
        return TamperPenalty(venv, **settings)
    if method.reward == "lagrangian":
        return Lagrangian(venv, **settings)
    if method.reward == "plain":
        return venv
    assert isinstance(venv, BatchVecEnv)  # `Method.envs` allows nothing else
    mdp = venv.batch.mdp
    if method.reward == "indifference":
        return Indifference(venv, best_value(mdp, method.gamma), method.gamma)
    return DReST(venv, best_by_class(mdp, max_decisions=method.limits["max_decisions"]), **settings)
