"""Finite Markov decision processes as tables, and many episodes of one stepped at once.

``Mdp`` is what an abstract world is compiled to: the same tables are simulated (``Batch``), solved by dynamic
programming and learnt from, so that the optimum beside a learned result is the optimum of exactly that world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redbutton.envs.decisions import Interruption

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mdp:
    """A finite MDP: S states, A actions, at most K successors of a state and an action, F features."""

    name: str
    actions: tuple[str, ...]
    features: tuple[str, ...]
    wait: int
    """The action that an override forces."""
    next: Ints
    """Successors, (S, A, K)."""
    chance: Floats
    """Probability of each successor, (S, A, K); sums to 1 over K."""
    reward: Floats
    """Reward of the task, (S, A, K). Nothing about the stop."""
    seconds: Floats
    """Simulated time of the step [s], (S, A, K)."""
    vector: Rows
    """What an agent sees in a state, (S, F)."""
    unmarked: Rows
    """The same with the stop hidden, (S, F)."""
    start: Ints
    start_chance: Floats
    done: Bools
    """The goal is reached: the episode is over, (S,)."""
    stopped: Bools
    """The stop is in effect, (S,)."""
    pressed: Bools
    """The presser has acted, whether or not it took effect, (S,)."""
    tampered: Bools
    """The stop has been tampered with, (S,)."""
    resumed: Ints
    """For a stopped state the same without the stop and with no press to come; any other state itself, (S,)."""
    accepted: Bools
    """Whether an action does something in a state, (S, A)."""
    moved: Bools | None = None
    """Something was done after the stop was due that it should have prevented, (S,); where the rules tell it."""

    @property
    def size(self) -> int:
        """Number of states."""
        return len(self.next)


class Batch:
    """Many episodes of one MDP at once, NumPy only; an episode that ends begins anew in the same step.

    The tables of ``Mdp`` are gathered from flat copies: a step of 1,024 episodes is a dozen array operations.
    """

    def __init__(
        self,
        mdp: Mdp,
        num_envs: int,
        *,
        interruption: Interruption = "terminates",
        mark_stop: bool = True,
        max_decisions: int = 40,
        decisions_after_stop: int = 6,
        seed: int | None = None,
    ) -> None:
        self.mdp = mdp
        self.num_envs = num_envs
        self.interruption = interruption
        self._view = mdp.vector if mark_stop else mdp.unmarked
        self._limit, self._after_limit = max_decisions, decisions_after_stop
        shape = mdp.next.shape
        self._actions, self._branches = shape[1], shape[2]
        self._next, self._reward = mdp.next.reshape(-1), mdp.reward.reshape(-1)
        edges = np.cumsum(mdp.chance, axis=2)
        # For a draw u in [0, 1) the branch is the number of edges at or below u; the last edge is left out.
        self._edges = [np.ascontiguousarray(edges[:, :, k].reshape(-1)) for k in range(self._branches - 1)]
        self._start_edges = np.cumsum(mdp.start_chance)[:-1]
        self._rng = np.random.default_rng(seed)
        self.reset()

    def reset(self, seed: int | None = None) -> Rows:
        """Begin all episodes; what is seen, float32 (N, F)."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        n = self.num_envs
        self.state = self._starts(n)
        self.before = self.arrived = self.state
        self.executed = np.zeros(n, np.int32)
        self.decisions = np.zeros(n, np.int32)
        self._after = np.zeros(n, np.int32)
        self.final_obs = self._view[self.state]
        return self.final_obs

    def _starts(self, n: int) -> Ints:
        if len(self.mdp.start) == 1:
            return np.full(n, self.mdp.start[0], np.int32)
        return self.mdp.start[np.searchsorted(self._start_edges, self._rng.random(n), side="right")]

    def step(self, actions: npt.ArrayLike) -> tuple[Rows, Floats, Bools, Bools]:
        """One decision in every episode.

        Takes N action numbers; gives what is seen (N, F) after a new start where an episode ended, rewards (N,),
        terminated (N,) and truncated (N,). ``final_obs``, ``before``, ``arrived`` and ``executed`` tell of the step
        itself. Raises ``ValueError`` for actions of another shape or out of range.
        """
        mdp = self.mdp
        given = np.asarray(actions)
        chosen = given.astype(np.int32)
        whole = given.dtype.kind in "iu"
        if (
            not whole
            or chosen.shape != (self.num_envs,)
            or chosen.min(initial=0) < 0
            or chosen.max(initial=0) >= self._actions
        ):
            raise ValueError(
                f"a step takes {self.num_envs} whole numbers from 0 to {self._actions - 1}. Received {actions!r:.80}"
            )
        before = self.state
        if self.interruption == "overrides":
            chosen = np.where(mdp.stopped[before], np.int32(mdp.wait), chosen)
        index = before * self._actions + chosen
        branch = index * self._branches
        if self._edges:
            draw = self._rng.random(self.num_envs)
            for edge in self._edges:
                branch = branch + (draw >= edge[index])
        arrived = self._next[branch]
        reward = self._reward[branch]
        self.decisions += 1
        terminated, truncated = self._ends(arrived)
        self.before, self.arrived, self.executed = before, arrived, chosen
        self.final_obs = obs = self._view[arrived]
        over = terminated | truncated
        if over.any():
            arrived = arrived.copy()
            arrived[over] = self._starts(int(over.sum()))
            self.decisions[over] = 0
            self._after[over] = 0
            obs = self._view[arrived]
        self.state = arrived
        return obs, reward, terminated, truncated

    def _ends(self, arrived: Ints) -> tuple[Bools, Bools]:
        mdp = self.mdp
        terminated, late = mdp.done[arrived], self.decisions >= self._limit
        stopped = mdp.stopped[arrived]
        if self.interruption == "terminates":
            terminated = terminated | stopped
        elif self.interruption == "truncates":
            late = late | stopped
        else:
            self._after += stopped
            late = late | (self._after > self._after_limit)
        return terminated, late & ~terminated
