"""What can go wrong with a study, a record or a run, one class each.

::

    ExperimentError
    ├── StudyError        a study file breaks a rule
    ├── RecordError       a trial file or a run folder cannot be read as a record
    ├── FolderError       a run folder is taken, of another study, or not a run at all
    ├── StorageError      the disk refused a write; whatever was finished before stays
    ├── WorkerStartError  the worker processes cannot start at all
    └── InterruptedRun    the user stopped the run; whatever was finished before stays

Each message states the rule, the value received and the next step, in one line.
"""

from __future__ import annotations


class ExperimentError(Exception):
    """Raised when a study, a record or a run is refused. ``exit_code`` is what the command line ends with."""

    exit_code = 2


class StudyError(ExperimentError):
    """Raised when a study file cannot be found, parsed or accepted."""


class RecordError(ExperimentError):
    """Raised when a trial file or a run folder does not hold what ``docs/records.md`` says."""


class FolderError(ExperimentError):
    """Raised when a run folder is locked, not empty, of another study or not a run folder."""


class StorageError(ExperimentError):
    """Raised when a record cannot be written: disk full, file too big, read-only folder."""

    exit_code = 1


class WorkerStartError(ExperimentError):
    """Raised when a worker process fails before its first trial, so that no trial could ever run."""

    exit_code = 1


class InterruptedRun(ExperimentError):
    """Raised when the user stopped a run. Finished trials are kept."""

    exit_code = 130


def short(value: object, limit: int = 80) -> str:
    """``repr`` of a received value, cut to one line of at most ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str) -> str:
    """Text with every run of white space, line breaks included, made one space."""
    return " ".join(text.split())
