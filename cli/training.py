"""What ``redbutton train`` does: plan the runs, train them, print and draw what came of it."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from redbutton.baselines.errors import TrainingError
from redbutton.baselines.method import ABSTRACT, GRID
from redbutton.baselines.methods import METHODS
from redbutton.baselines.seed_folder import SeedFolder
from redbutton.baselines.table import Row, as_expected, number, rows_of, write_table
from redbutton.baselines.training import seed_path
from redbutton.baselines.workers import Run, plan, train_many
from redbutton.cli.errors import BAD_INPUT
from redbutton.experiments.machine import cores

ALL = "all"
HEADER = ("method", "P(tamper | press)", "P(tamper | no press)", "return", "success", "as expected")
FOOT = (
    "Rates pooled over the seeds, with Jeffreys interval. Each seed's rates, the optimum beside them and what was "
    "expected stand in the table."
)


def run_training(
    algo: str,
    *,
    env_id: str | None,
    steps: int | None,
    seeds: int,
    jobs: int | None,
    out: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Train and print. Raises ``click.UsageError`` and ``click.ClickException`` with one line."""
    if resume and out is None:
        raise click.UsageError("--resume needs the folder to go on with. Received no --out. Give --out DIR")
    folder = out or Path("runs") / f"train-{algo}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        runs = planned(algo, env_id=env_id, steps=steps, seeds=seeds)
        with TrainingLine(algo, runs) as line:
            facts = train_many(runs, out=folder, jobs=jobs or min(cores(), len(runs)), resume=resume, on_step=line)
    except TrainingError as problem:
        refuse(problem)
    tables = facts[0]["arguments"]["env"] in (ABSTRACT, GRID)
    rows = rows_of(facts) if tables else []
    if algo == ALL:
        write_table(rows, folder)
        draw(runs, folder)
    if as_json:
        found = {"folder": str(folder), "rows": [asdict(row) for row in rows], "runs": facts}
        click.echo(json.dumps(found, indent=2))
    elif algo == ALL:
        click.echo(f"{text_table(rows)}\n{FOOT}\n\ntable   {folder / 'table.md'}\ncurves  {folder / 'curves.png'}")
    else:
        click.echo(one_method(algo, facts, rows, folder))


def refuse(problem: TrainingError) -> NoReturn:
    """One line on standard error, and the exit code of the problem."""
    if problem.exit_code == BAD_INPUT:
        raise click.ClickException(str(problem)) from None
    click.echo(f"error: {problem}", err=True)
    click.get_current_context().exit(problem.exit_code)


def planned(algo: str, *, env_id: str | None, steps: int | None, seeds: int) -> list[Run]:
    """The runs that a name stands for. Raises ``TrainingError`` before anything is trained."""
    if algo != ALL:
        return plan([algo], range(seeds), env_id=env_id, steps=steps)
    if env_id is not None:
        raise TrainingError(
            f"`all` is the table of the abstract worlds: each method in its own. Received --env {env_id}. "
            "Leave --env out, or name one method."
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise TrainingError("`all` draws curves. Received no matplotlib. Run: pip install matplotlib")
    return plan(list(METHODS), range(seeds), env_id=None, steps=steps)


def draw(runs: Sequence[Run], folder: Path) -> None:
    """Write ``curves.png``."""
    from redbutton.baselines.curves import draw_curves

    curves: dict[str, list[Any]] = {}
    for run in runs:
        curves.setdefault(run.name, []).append(SeedFolder(seed_path(folder, run.name, run.seed)).read_curve())
    draw_curves(curves, folder / "curves.png")


def text_table(rows: Sequence[Row]) -> str:
    """The table in columns, for a terminal or a pipe."""
    lines = [HEADER, *(_texts(row) for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADER))]
    return "\n".join("  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _texts(row: Row) -> tuple[str, ...]:
    return (
        row.method,
        str(row.tamper_press),
        str(row.tamper_no_press),
        f"{row.mean_return:.2f}",
        f"{row.success:.2f}",
        as_expected(row),
    )


def one_method(name: str, facts: Sequence[dict[str, Any]], rows: Sequence[Row], folder: Path) -> str:
    """What one method's seeds do, what was expected, and where the policies lie."""
    method = METHODS[name]
    lines = [f"{name}: {method.about}"]
    for fact in facts:
        f, seed = fact["figures"], fact["arguments"]["seed"]
        press = f"{f['tampered_press']} of {f['presses']}"
        no_press = f"{f['tampered_no_press']} of {f['episodes'] - f['presses']}"
        lines.append(
            f"  seed {seed}: tampered in {press} pressed and {no_press} other episodes, return {f['mean_return']:.2f}, "
            f"success {f['success']:.2f}, {fact['cpu_s']:.1f} CPU s"
        )
    for row in rows:
        best = row.optimum
        lines.append(f"P(tamper | press) {row.tamper_press}, P(tamper | no press) {row.tamper_no_press}")
        lines.append(
            f"optimum   {number(best.p_tamper_press)} with a press, {number(best.p_tamper_no_press)} without, "
            f"return {best.mean_return:.2f}"
        )
        lines.append(f"expected  {row.expected} ({row.expected_source}): {as_expected(row)}")
    lines.append(f"policy    rl:{seed_path(folder, name, facts[0]['arguments']['seed'])}")
    return "\n".join(lines)


class TrainingLine:
    """Progress on standard error: a bar on a terminal, a line at every tenth elsewhere. Call it with a run's steps."""

    def __init__(self, name: str, runs: Sequence[Run]) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, *times, console=console, transient=True) if console.is_terminal else None
        self._name, self._runs = name, runs
        self._steps = [0] * len(runs)
        self._total = sum(run.steps for run in runs)
        self._task: TaskID | None = None
        self._tenth = -1

    def __enter__(self) -> TrainingLine:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, run: int, steps: int) -> None:
        """One run has made so many decisions."""
        self._steps[run] = steps
        done = sum(self._steps)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, description=f"{self._name}: {self._runs[run].name}")
        elif 10 * done // self._total > self._tenth:
            self._tenth = 10 * done // self._total
            click.echo(f"{self._name}: {done:,} of {self._total:,} decisions", err=True)
