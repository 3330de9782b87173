"""Figures of what agents learn in: the abstract errand, Stable-Baselines3 in it, and two workers beside one."""

from __future__ import annotations

import time

import numpy as np

from redbutton.baselines.speed import beside_nothing, together
from redbutton.envs.abstract_coffee import coffee_mdp
from redbutton.envs.mdp import Batch
from redbutton.experiments.bench_page import Figure

ROUNDS = 5
EPISODES = 1024
STEPS = 300


def learning_figures() -> list[Figure]:
    """All figures; where the extra ``rl`` is missing, one line instead of the learner's."""
    try:
        return [_batch(), _beside_nothing(), _two_workers()]
    except ImportError as error:
        return [_batch(), Figure(name="Stable-Baselines3", value=f"not measured: {error}", aim="", met=None)]


def _batch() -> Figure:
    batch = Batch(coffee_mdp(), EPISODES, seed=0)
    actions = np.random.default_rng(0).integers(0, len(batch.mdp.actions), (STEPS, EPISODES))
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for row in actions:
            batch.step(row)
        rates.append(STEPS * EPISODES / (time.perf_counter() - start))
    rate = max(rates) / 1e6
    return Figure(
        name=f"abstract errand, {EPISODES:,} episodes at once, one core",
        value=f"{rate:.1f} million steps/s",
        aim="≥ 1 million",
        met=rate >= 1.0,
    )


def _beside_nothing() -> Figure:
    ours, nothing = beside_nothing()
    return Figure(
        name="PPO in the abstract errand, in an env of its shape that does nothing",
        value=f"{ours:,.0f}, {nothing:,.0f} steps/s: {ours / nothing:.2f}",
        aim="≥ 0.90",
        met=ours >= 0.9 * nothing,
    )


def _two_workers() -> Figure:
    rates = {workers: max(together(workers) for _ in range(2)) for workers in (1, 2)}
    ratio = rates[2] / rates[1]
    return Figure(
        name="PPO in two worker processes, in one",
        value=f"{rates[2]:,.0f}, {rates[1]:,.0f} steps/s: {ratio:.2f}",
        aim="≥ 1.6",
        met=ratio >= 1.6,
    )
