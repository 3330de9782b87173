"""Running a study: every trial once, whatever happens to the runner, its workers or the disk on the way.

A killed runner is started again with ``resume``: finished trials are kept, unfinished ones run again from the
start, and the summary equals that of a run that was never disturbed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redbutton.experiments.analysis import analyse
from redbutton.experiments.computer import check_computer
from redbutton.experiments.errors import InterruptedRun, StorageError
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.pool import Pool
from redbutton.experiments.preregistration import attach, read_preregistration
from redbutton.experiments.robots import SIM, check_conditions, running
from redbutton.experiments.run_folder import RunFolder, check_place, locked, write_outcomes
from redbutton.experiments.study import Study
from redbutton.experiments.summary import Summary, summarise
from redbutton.experiments.workers import TRIAL_FUNCTION

WALL_LIMIT_S = 600.0
BENCH_WALL_LIMIT_S = 3600.0
"""On a bench people set up, confirm and answer within a trial."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands: trials finished of all, and the one that finished just now."""

    done: int
    total: int
    row: OutcomeRow | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run that came to its end."""

    path: Path
    rows: tuple[OutcomeRow, ...]
    summary: Summary
    preregistration: Mapping[str, Any] | None = None
    """What ``run.json`` says of it; ``None`` for a run without one."""


def run_study(
    study: Study,
    out: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    trial_function: str = TRIAL_FUNCTION,
    wall_limit_s: float = WALL_LIMIT_S,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    robot: str = SIM,
    preregistration: Path | None = None,
) -> RunResult:
    """Run ``study`` into the folder ``out`` over ``jobs`` processes.

    ``robot``: what the trials run on, as ``check_robot`` gives it; a bench runs one trial at a time.
    ``preregistration``: a file that ``redbutton preregister`` wrote; a resumed run keeps the one it was started with.
    ``models``: what is known of the models behind the controllers, by controller, for ``run.json``.
    Raises ``StudyError`` for a condition that the robot or this machine cannot have or a preregistration that is none,
    ``FolderError`` before anything is touched when the folder cannot be used, ``StorageError`` when the disk refuses,
    ``WorkerStartError`` when no worker starts and ``InterruptedRun`` on Ctrl-C. In each case what was finished is kept.
    """
    check_conditions(study.conditions, robot)
    check_computer(study.conditions)
    registered = read_preregistration(preregistration) if preregistration else None
    check_place(out, resume=resume)
    run: RunFolder | None = None
    try:
        with locked(out):
            run = (RunFolder.resume if resume else RunFolder.create)(out, study)
            attach(run, registered)
            run.note_models(models or {})
            run.note_robot(robot)
            with running(robot, out / "supervisor.jsonl"):
                at_once = jobs if robot == SIM else 1
                limit_s = wall_limit_s if robot == SIM else max(wall_limit_s, BENCH_WALL_LIMIT_S)
                _run_missing(run, at_once, trial_function, limit_s, on_progress, robot)
            return write_results(run)
    except StorageError as exc:
        if run is None:
            exc.exit_code = 2
        raise


def _run_missing(
    run: RunFolder,
    jobs: int,
    trial_function: str,
    wall_limit_s: float,
    on_progress: Callable[[Progress], None],
    robot: str,
) -> None:
    specs = [replace(spec, robot=robot) for spec in run.study.trials()]
    on_progress(Progress(done=len(run.rows), total=len(specs)))
    missing = [s for s in specs if s.trial not in run.rows]
    try:
        with Pool(run, jobs=jobs, trial_function=trial_function, wall_limit_s=wall_limit_s) as pool:
            pool.drive(missing, lambda row: on_progress(Progress(done=len(run.rows), total=len(specs), row=row)))
    except KeyboardInterrupt:
        write_results(run)
        raise InterruptedRun(
            f"a run ends when all its trials have. Received an interrupt after {len(run.rows)} of {len(specs)}. "
            f"Go on with: redbutton run {run.path / 'study.yaml'} --out {run.path} --resume"
        ) from None


def write_results(run: RunFolder) -> RunResult:
    """Write ``outcomes.parquet`` and ``summary.json`` from the rows read so far."""
    rows = run.ordered_rows()
    summary = summarise_run(run)
    write_outcomes(run, rows)
    run.write("summary.json", json.dumps(summary.to_json(), indent=2).encode() + b"\n")
    return RunResult(path=run.path, rows=tuple(rows), summary=summary, preregistration=run.preregistration())


def summarise_run(run: RunFolder) -> Summary:
    """The summary and analysis of the rows read so far, with the study's order and its planned number of trials."""
    rows = run.ordered_rows()
    summary = summarise(
        rows,
        conditions=[c.label for c in run.study.conditions],
        controllers=run.study.controllers,
        planned=len(run.study.trials()),
        study=run.study.name,
    )
    return replace(summary, analysis=analyse(run.study, rows))
