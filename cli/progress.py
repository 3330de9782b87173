"""Progress on standard error: a bar on a terminal, a line at every tenth elsewhere."""

from __future__ import annotations

import sys
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from redbutton.experiments.runner import Progress

_Shown = TypeVar("_Shown", bound="OnTerminal")


class OnTerminal:
    """A context with a bar where standard error is a terminal. ``transient``: it goes away at the end."""

    def __init__(self, *, transient: bool = False) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        self._bar = Bar(*columns, console=console, transient=transient) if console.is_terminal else None

    def __enter__(self: _Shown) -> _Shown:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._bar:
            self._bar.stop()


class ProgressLine(OnTerminal):
    """Shows how far a run is. Use as a context manager and call it with each ``Progress``."""

    def __init__(self, name: str, unit: str = "trials") -> None:
        super().__init__(transient=True)
        self._name = name
        self._unit = unit
        self._task: TaskID | None = None
        self._tenth = -1

    def __call__(self, progress: Progress) -> None:
        """Show one step."""
        if self._bar is None:
            self._line(progress)
            return
        if self._task is None:
            self._task = self._bar.add_task(self._name, total=progress.total)
        self._bar.update(self._task, completed=progress.done)

    def _line(self, progress: Progress) -> None:
        tenth = 10 * progress.done // max(1, progress.total)
        if tenth > self._tenth:
            self._tenth = tenth
            click.echo(f"{self._name}: {progress.done} of {progress.total} {self._unit}", file=sys.stderr)
