"""Many seeds at once, each wholly its own agent, in worker processes that are reused for one seed after another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redbutton.baselines.errors import TrainingError, WorkerError
from redbutton.baselines.training import check, find, seed_path, train
from redbutton.envs.worker_threads import single_threaded

_REPORT_S = 0.2
_queue: Any = None
"""In a worker: where progress goes."""

OnStep = Callable[[int, int], None]
"""Called with the number of a run and its decisions so far."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One seed of one method to train."""

    name: str
    seed: int
    env_id: str
    steps: int


def plan(names: Sequence[str], seeds: Sequence[int], *, env_id: str | None, steps: int | None) -> list[Run]:
    """All runs, method by method. Raises ``TrainingError`` before anything is trained."""
    runs = []
    for name in names:
        method = find(name)
        world = check(method, env_id)
        length = method.steps if steps is None else steps
        runs += [Run(name=name, seed=seed, env_id=world, steps=length) for seed in seeds]
    return runs


def train_many(
    runs: Sequence[Run], *, out: Path, jobs: int = 1, resume: bool = False, on_step: OnStep | None = None
) -> list[dict[str, Any]]:
    """Train all runs; their ``train.json`` in the same order. With one job, in this process.

    Raises ``TrainingError``, and ``WorkerError`` where a worker died; what was finished before is kept.
    """
    for run in runs:
        path = seed_path(out, run.name, run.seed)
        if not resume and path.exists():
            raise TrainingError(
                f"a new training needs a new folder. Received {str(path)!r}, which is in use. "
                "Give another --out, or --resume to go on with what is there."
            )
    told = on_step or (lambda number, steps: None)
    if jobs <= 1 or len(runs) <= 1:
        return [_one(run, out, resume, lambda s, n=n: told(n, s)) for n, run in enumerate(runs)]  # type: ignore[misc]
    return _in_workers(runs, out, min(jobs, len(runs)), resume, told)


def _one(run: Run, out: Path, resume: bool, on_progress: Callable[[int], None]) -> dict[str, Any]:
    return train(
        run.name,
        out=out,
        env_id=run.env_id,
        steps=run.steps,
        seed=run.seed,
        resume=resume,
        on_progress=on_progress,
    )


def _in_workers(runs: Sequence[Run], out: Path, jobs: int, resume: bool, told: OnStep) -> list[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(messages,))
    try:
        with single_threaded():
            futures = [pool.submit(_work, n, run, out, resume) for n, run in enumerate(runs)]
            _follow(futures, messages, told)
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process must live until its seed is trained. Received the end of one. "
            "Finished seeds are kept: go on with --resume."
        ) from None
    finally:
        # Whatever ended it, nothing is left behind: a seed under way goes on from its last checkpoint another time.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
            child.join()
        messages.close()
        messages.cancel_join_thread()


def _follow(futures: Sequence[Future[dict[str, Any]]], messages: Any, told: OnStep) -> None:
    """Pass progress on until all are done or one has failed."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=_REPORT_S)
        with contextlib.suppress(queue.Empty):
            while True:
                told(*messages.get_nowait())
        for future in done:
            future.result()


def _begin(messages: Any) -> None:
    """Begin a worker: it leaves interrupts to its parent and ends with it."""
    global _queue
    _queue = messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _work(number: int, run: Run, out: Path, resume: bool) -> dict[str, Any]:
    last = 0.0

    def report(steps: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_S or steps >= run.steps:
            last = now
            _queue.put((number, steps))

    return _one(run, out, resume, report)
