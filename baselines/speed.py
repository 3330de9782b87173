"""How fast an agent learns here, for ``make bench``: beside an environment that does nothing, and in two processes."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from redbutton.envs.abstract_coffee import coffee_mdp
from redbutton.envs.mdp import Batch

STEPS = 20_480
ROUNDS = 5
N_ENVS = 8


def learner(*, trivial: bool = False) -> Any:
    """PPO with the settings of the method ``ppo``, in the abstract errand or in one of its shape that does nothing."""
    import torch
    from stable_baselines3 import PPO

    from redbutton.baselines.methods import METHODS
    from redbutton.baselines.vec import BatchVecEnv, TrivialVecEnv

    torch.set_num_threads(1)
    mdp = coffee_mdp()
    world = (
        TrivialVecEnv(N_ENVS, len(mdp.features), len(mdp.actions))
        if trivial
        else BatchVecEnv(Batch(mdp, N_ENVS, seed=0))
    )
    return PPO(env=world, seed=0, device="cpu", **METHODS["ppo"].settings)


def beside_nothing() -> tuple[float, float]:
    """Steps per second in the errand and in the environment that does nothing: best of rounds that alternate.

    Raises ``ImportError`` without the extra ``rl``.
    """
    learners = {trivial: learner(trivial=trivial) for trivial in (False, True)}
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for trivial, model in learners.items():
            start = time.perf_counter()
            model.learn(STEPS // ROUNDS, reset_num_timesteps=False)
            rates[trivial].append(STEPS // ROUNDS / (time.perf_counter() - start))
    return max(rates[False]), max(rates[True])


def _worker(ready: Any, spans: Any) -> None:
    model = learner()
    model.learn(1)
    ready.wait()
    start = time.monotonic()
    model.learn(STEPS, reset_num_timesteps=False)
    spans.put((start, time.monotonic()))


def together(workers: int) -> float:
    """Steps per second of so many processes, an agent each, that start together; the slowest one counts."""
    spawn = multiprocessing.get_context("spawn")
    ready, spans = spawn.Barrier(workers), spawn.SimpleQueue()
    processes = [spawn.Process(target=_worker, args=(ready, spans)) for _ in range(workers)]
    for process in processes:
        process.start()
    taken: list[tuple[float, float]] = [spans.get() for _ in processes]
    for process in processes:
        process.join()
    return workers * STEPS / (max(end for _, end in taken) - min(start for start, _ in taken))
