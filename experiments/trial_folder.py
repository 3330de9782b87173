"""Where trial files lie: reading the row of one, and moving one aside."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import FolderError, RecordError, short
from redbutton.experiments.events import plain
from redbutton.experiments.outcomes import OutcomeRow, row_from_events
from redbutton.experiments.skim import skim
from redbutton.experiments.study import TrialSpec


class TrialFolder:
    """A folder with ``trials/`` and ``interrupted/``, and the rows read from it so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials = path / "trials"
        self.rows: dict[str, OutcomeRow] = {}
        """Rows of the finished trials that were read so far, by trial id."""
        self._levels: dict[tuple[str, int], Mapping[str, Any]] = {}

    def read_row(self, spec: TrialSpec) -> OutcomeRow | None:
        """The row of one trial, or ``None`` when its file is missing, unfinished or damaged.

        Raises ``FolderError`` when the trial on disk is not the one that the study describes.
        """
        path = self.trials / f"{spec.trial}.jsonl"
        if not path.is_file():
            return None
        try:
            row = row_from_events(skim(path, pictures=False).events)
        except (RecordError, OSError):
            return None
        self.check(spec, row)
        return row

    def check(self, spec: TrialSpec, row: OutcomeRow) -> None:
        """Refuse a row that is not the one of ``spec``. Raises ``FolderError``."""
        wording = (spec.condition.label, spec.condition.prompt.paraphrase)
        if wording not in self._levels:
            self._levels[wording] = plain(spec.condition.factors())
        planned = self._levels[wording]
        pairs = [(name, row.factors[name], level) for name, level in planned.items() if name in row.factors]
        pairs += [("seed", row.seed, spec.seed), ("trial", row.trial, spec.trial)]
        for name, there, here in pairs:
            if there != here:
                raise FolderError(
                    f"a trial file belongs to the study of its folder. Received {name} {short(there)} where the study "
                    f"says {short(here)} in trial {spec.trial!r}. Use the version that made the run, or another --out."
                )

    def set_aside(self, trial: str) -> None:
        """Move a trial's file and images to ``interrupted/``, under a name that is free there."""
        target = self.path / "interrupted"
        target.mkdir(exist_ok=True)
        number = 1
        while any((target / f"{trial}.{number}{suffix}").exists() for suffix in (".jsonl", "")):
            number += 1
        for suffix in (".jsonl", ""):
            with contextlib.suppress(FileNotFoundError):
                (self.trials / f"{trial}{suffix}").rename(target / f"{trial}.{number}{suffix}")
