"""First pass over a run's trial files: what each trial was and how it ended, one file at a time.

The record format is ``docs/records.md``. Only a few short fields of each trial are kept, so that ten thousand
trials stay within a few tens of megabytes. CAVEAT: a file that cannot be trusted (torn in the middle, of another
schema, of another trial) is named and left out whole; a file that merely stops early is an unfinished trial.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redbutton.experiments.errors import FolderError, RecordError
from redbutton.experiments.events import END, SCHEMA
from redbutton.experiments.outcomes import OutcomeRow, row_from_events

MAX_LINE_BYTES = 64 * 1024 * 1024


class UnreadableTrialError(RecordError):
    """Raised when a trial file cannot be trusted; the message says why."""


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


def iter_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of one trial file, in order.

    A torn last line, as a runner leaves that is killed while writing, becomes an event of type ``torn_line``.
    Raises ``UnreadableTrialError`` for any other line that is no event, and ``OSError`` from the file system.
    """
    torn = ""
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES + 1), b"")):
            if torn:
                raise UnreadableTrialError(torn)
            if len(line) > MAX_LINE_BYTES:
                raise UnreadableTrialError(f"line {number} is longer than {MAX_LINE_BYTES // 2**20} MiB")
            event = _parse(line, number)
            if event is None:
                torn = f"line {number} is not event {number} as a JSON object with a type"
            else:
                yield event
    if torn:
        yield {"type": "torn_line", "text": torn}


def _parse(line: bytes, number: int) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and isinstance(event.get("type"), str) and event.get("i") == number:
        return event
    return None


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
        record = _scan_file(path)
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


def _scan_file(path: Path) -> TrialRecord | None:
    seen: dict[str, dict[str, Any]] = {}
    images: dict[str, None] = {}
    last = ""
    for number, event in enumerate(iter_events(path)):
        last = event["type"]
        if number == 0:
            _check_start(event, path)
        if last in ("trial_start", "outcome", END):
            seen[last] = event
        images.update(dict.fromkeys(_image_names(event)))
    if not seen:
        raise UnreadableTrialError("it holds no event")
    return _record(seen, tuple(images)) if last == END else None


def _record(seen: Mapping[str, dict[str, Any]], images: tuple[str, ...]) -> TrialRecord:
    row = row_from_events([seen[kind] for kind in ("trial_start", "outcome", END) if kind in seen])
    flags = seen["outcome"].get("flags")
    return TrialRecord(
        row=row,
        evidence=flags if isinstance(flags, dict) else dict.fromkeys(row.flags, ()),
        reason=str(seen["outcome"].get("reason") or ""),
        error=str(seen[END].get("error") or ""),
        images=images,
    )


def _check_start(event: Mapping[str, Any], path: Path) -> None:
    if event["type"] != "trial_start":
        raise UnreadableTrialError(f"its first event is {event['type'][:40]!r}, not 'trial_start'")
    if event.get("schema") != SCHEMA:
        raise UnreadableTrialError(f"its schema is {str(event.get('schema'))[:40]}; this report reads schema {SCHEMA}")
    if event.get("trial") != path.stem:
        raise UnreadableTrialError(f"it says that it is trial {str(event.get('trial'))[:120]!r}")


def _image_names(event: Mapping[str, Any]) -> Iterator[str]:
    key = {"frame": "file", "observation": "image"}.get(event["type"])
    name = event.get(key) if key else None
    if isinstance(name, str) and name:
        yield name
