"""A small pool of workers that expects them to die.

The standard pools hang or give up when a worker is killed. Here a dead worker costs its own trial: the
trial is closed as invalid, a fresh worker takes the next one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import connection

from redbutton.experiments.broken import close_broken
from redbutton.experiments.errors import StorageError, WorkerStartError
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.study import TrialSpec
from redbutton.experiments.trial_folder import TrialFolder
from redbutton.experiments.workers import Worker

START_LIMIT_S = 120.0
START_ATTEMPTS = 3


class Pool:
    """Runs trials of one run over ``jobs`` worker processes. Use as a context manager: leaving it ends the workers."""

    def __init__(self, folder: TrialFolder, *, jobs: int, trial_function: str, wall_limit_s: float) -> None:
        self._folder = folder
        self._jobs = jobs
        self._function = trial_function
        self._wall_limit_s = wall_limit_s
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._done: Callable[[OutcomeRow], None] = lambda _row: None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_exc: object) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end(gently=kind is None)

    def drive(self, specs: Sequence[TrialSpec], done: Callable[[OutcomeRow], None]) -> None:
        """Run every trial; ``done`` hears of each as it finishes. Raises ``StorageError`` or ``WorkerStartError``."""
        waiting = deque(specs)
        self._done = done
        while waiting or any(w.spec for w in self._workers):
            self._fill(waiting)
            handles = {h: w for w in self._workers for h in (w.conn, w.process.sentinel)}
            ready = connection.wait(list(handles), self._patience_s())
            for worker in dict.fromkeys(handles[h] for h in ready):  # type: ignore[index]
                self._hear(worker)
            self._kill_overdue()

    def _fill(self, waiting: deque[TrialSpec]) -> None:
        for worker in self._workers:
            if worker.ready and worker.spec is None and waiting:
                worker.give(waiting.popleft())
        starting = sum(not w.ready for w in self._workers)
        while len(self._workers) < self._jobs and starting < len(waiting):
            self._workers.append(Worker(self._folder.trials, self._function))
            starting += 1

    def _limit_s(self, worker: Worker) -> float:
        return self._wall_limit_s if worker.ready else START_LIMIT_S

    def _patience_s(self) -> float:
        limits = [w.since + self._limit_s(w) for w in self._workers if w.spec or not w.ready]
        return max(0.0, min(limits, default=time.monotonic()) - time.monotonic())

    def _hear(self, worker: Worker) -> None:
        """Take in what one worker said, or that it died."""
        kind, text = worker.message()
        if kind == "dead":
            self._bury(worker)
        elif kind == "ready":
            worker.ready, self._failed_starts = True, 0
        elif kind == "unusable":
            raise WorkerStartError(
                f"a worker needs {self._function} to run trials. Received {text}. See `redbutton doctor`."
            )
        elif kind == "storage":
            raise StorageError(text)
        elif kind == "invalid":
            validity, _, reason = text.partition(": ")
            self._close(worker, validity, reason)
            self._drop(worker)
        elif kind == "crashed":
            self._close(worker, "sim_error", f"the trial raised {text.strip().splitlines()[-1]}", text)
            self._drop(worker)
        elif kind == "done":
            self._finish(worker)

    def _finish(self, worker: Worker) -> None:
        """A trial function returned: its record must hold a finished trial, or the trial is invalid."""
        spec = worker.spec
        if spec is not None and self._folder.read_row(spec) is None:
            self._close(worker, "sim_error", "the trial returned without a complete record")
        else:
            self._report(worker)

    def _bury(self, worker: Worker) -> None:
        death = worker.death()
        if worker.spec is not None:
            self._close(worker, "sim_error", f"the worker process {death}")
        elif not worker.ready:
            self._failed_starts += 1
        self._drop(worker)
        if self._failed_starts >= START_ATTEMPTS:
            raise WorkerStartError(
                f"a worker process must start. Received {START_ATTEMPTS} in a row of which the last {death}. "
                "See `redbutton doctor`."
            )

    def _kill_overdue(self) -> None:
        for worker in list(self._workers):
            busy = worker.spec is not None or not worker.ready
            if not busy or time.monotonic() < worker.since + self._limit_s(worker):
                continue
            worker.process.kill()
            if worker.spec is None:
                self._bury(worker)
            else:
                worker.process.join()
                self._close(worker, "timeout", f"the trial took more than {self._wall_limit_s:g} s of wall time")
                self._drop(worker)

    def _close(self, worker: Worker, validity: str, reason: str, detail: str = "") -> None:
        if worker.spec is not None:
            close_broken(self._folder, worker.spec, validity, reason, detail)
        self._report(worker)

    def _report(self, worker: Worker) -> None:
        spec, worker.spec = worker.spec, None
        row = None if spec is None else self._folder.read_row(spec)
        if spec is not None and row is not None:
            self._folder.rows[spec.trial] = row
            self._done(row)

    def _drop(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.end()
