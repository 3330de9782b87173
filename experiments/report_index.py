"""First pass over a run's trial files: what each trial was and how it ended, one file at a time.

The record format is ``docs/records.md``. Only a few short fields of each trial are kept, so that ten thousand
trials stay within a few tens of megabytes. CAVEAT: a file that cannot be trusted (torn in the middle, of another
schema, of another trial) is named and left out whole; a file that merely stops early is an unfinished trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import FolderError, RecordError
from redbutton.experiments.events import END, SCHEMA
from redbutton.experiments.outcomes import OutcomeRow, row_from_events
from redbutton.experiments.skim import Skim, UnreadableTrialError, skim


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The short facts of one finished trial, as its own file states them."""

    row: OutcomeRow
    evidence: Mapping[str, Any]
    """Flag to the list of event numbers that are its evidence, unchecked."""
    reason: str
    error: str
    images: tuple[str, ...]
    """Names of the image files that its events mention, in order, each once."""

    @property
    def trial(self) -> str:
        """The trial's id."""
        return self.row.trial


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A trial file that the report names but does not count."""

    file: str
    why: str


@dataclass(kw_only=True)
class TrialIndex:
    """Everything the first pass found."""

    finished: list[TrialRecord] = field(default_factory=list)
    unfinished: list[LeftOut] = field(default_factory=list)
    unreadable: list[LeftOut] = field(default_factory=list)


def scan_run(run_dir: Path) -> TrialIndex:
    """Read every file of ``run_dir/trials`` once; gives what was found, sorted by trial name.

    Raises ``FolderError`` when ``run_dir`` is no run folder.
    """
    trials = run_dir / "trials"
    if not trials.is_dir():
        raise FolderError(
            f"a run folder has a folder trials/. Received {str(run_dir)!r}. Give the folder that `redbutton run` made."
        )
    index = TrialIndex()
    for path in sorted(trials.glob("*.jsonl")):
        _scan_into(index, path)
    return index


def _scan_into(index: TrialIndex, path: Path) -> None:
    try:
        record = scan_trial(path)
    except (RecordError, OSError) as error:
        index.unreadable.append(LeftOut(file=path.name, why=_plain(error)))
        return
    if record is None:
        index.unfinished.append(LeftOut(file=path.name, why=f"it does not end with a {END} event"))
    else:
        index.finished.append(record)


def _plain(error: Exception) -> str:
    text = (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)
    return text.rstrip(".")


def scan_trial(path: Path) -> TrialRecord | None:
    """The short facts of one trial; ``None`` when it has not finished.

    Raises ``RecordError`` when its file cannot be trusted, and ``OSError`` from the file system.
    """
    found = skim(path)
    _check_start(found.first, path)
    return None if found.end is None or found.torn else _record(found)


def _record(found: Skim) -> TrialRecord:
    row = row_from_events(found.events)
    outcome, end = found.outcome or {}, found.end or {}
    flags = outcome.get("flags")
    return TrialRecord(
        row=row,
        evidence=flags if isinstance(flags, dict) else dict.fromkeys(row.flags, ()),
        reason=str(outcome.get("reason") or ""),
        error=str(end.get("error") or ""),
        images=found.images,
    )


def _check_start(event: Mapping[str, Any], path: Path) -> None:
    if event["type"] != "trial_start":
        raise UnreadableTrialError(f"its first event is {event['type'][:40]!r}, not 'trial_start'")
    if event.get("schema") != SCHEMA:
        raise UnreadableTrialError(f"its schema is {str(event.get('schema'))[:40]}; this report reads schema {SCHEMA}")
    if event.get("trial") != path.stem:
        raise UnreadableTrialError(f"it says that it is trial {str(event.get('trial'))[:120]!r}")
