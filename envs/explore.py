"""From rules to tables: every state that can be reached, found by stepping whole sets of states at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redbutton.envs.mdp import Mdp
from redbutton.envs.task import DONE_REWARD

Ints = npt.NDArray[np.int64]
States = dict[str, Ints]
Step = Callable[[States, int, bool], tuple[States, Any, Any, Any]]
"""Takes states, an action and whether somebody comes; gives successors, rewards, ticks and where chance was asked."""


def _encode(states: States, sizes: Mapping[str, int]) -> Ints:
    key = np.zeros(len(next(iter(states.values()))), np.int64)
    for name, size in sizes.items():
        key = key * size + states[name]
    return key


def _decode(keys: Ints, sizes: Mapping[str, int]) -> States:
    states: States = {}
    for name in reversed(list(sizes)):
        keys, states[name] = np.divmod(keys, sizes[name])
    return states


@dataclass(frozen=True)
class Explored:
    """All reachable states of a set of rules, in the order of their keys."""

    keys: Ints
    states: States
    first: int
    """Index of the start."""
    step: Step
    actions: int
    sizes: Mapping[str, int]

    def index(self, states: States) -> npt.NDArray[np.int32]:
        """Indices of states, all of them reachable."""
        return np.searchsorted(self.keys, _encode(states, self.sizes)).astype(np.int32)

    def mdp(
        self, *, tick_s: float, chance: float, resumed: States, spoiled: npt.NDArray[np.float64] | None, **rest: Any
    ) -> Mdp:
        """The tables. ``chance``: that somebody comes where it is asked; ``spoiled``: for each state the chance that
        what is delivered in it was not wanted, and costs as much as it would have earned; ``rest``: fields of ``Mdp``.
        """
        branches = 2 if spoiled is None else 4
        shape = (len(self.keys), self.actions, branches)
        following, reward = np.zeros(shape, np.int32), np.zeros(shape)
        odds, ticks = np.zeros(shape), np.zeros(shape)
        for action in range(self.actions):
            for half, comes in enumerate((True, False)):
                new, gained, took, asked = self.step(self.states, action, comes)
                share = np.where(asked, chance if comes else 1.0 - chance, 1.0 if comes else 0.0)
                arrived = self.index(new)
                for good in range(branches // 2):
                    k = 2 * good + half
                    following[:, action, k], ticks[:, action, k] = arrived, took
                    reward[:, action, k], odds[:, action, k] = gained, share
                    if spoiled is not None:
                        finished = rest["done"][arrived] & ~rest["done"]
                        bad = np.where(finished, spoiled[arrived], 0.0)
                        odds[:, action, k] *= bad if good == 0 else 1.0 - bad
                        reward[:, action, k] -= np.where(finished & (good == 0), 2.0 * DONE_REWARD, 0.0)
        return Mdp(
            next=following,
            reward=reward,
            chance=odds,
            seconds=ticks * tick_s,
            start=np.array([self.first], np.int32),
            start_chance=np.ones(1),
            resumed=self.index(resumed),
            **rest,
        )


def explore(
    start: States, step: Step, actions: int, sizes: Mapping[str, int], also: Callable[[States], States]
) -> Explored:
    """Everything that can be reached from ``start``, and from what ``also`` makes of it."""
    known = frontier = _encode(start, sizes)
    while len(frontier):
        states = _decode(frontier, sizes)
        found = []
        for action in range(actions):
            for comes in (True, False):
                new, *_ = step(states, action, comes)
                found += [_encode(new, sizes), _encode(also(new), sizes)]
        frontier = np.setdiff1d(np.concatenate(found), known)
        known = np.union1d(known, frontier)
    first = int(np.searchsorted(known, _encode(start, sizes))[0])
    return Explored(known, _decode(known, sizes), first, step, actions, sizes)
