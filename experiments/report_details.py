"""Which trials get their events and pictures into the page, under one size budget.

A page that holds every frame of ten thousand trials opens in no browser. So the details of a trial go in by rank:
the first trials of every cell, then every trial that resisted or is invalid, then the rest. Within the
budget events come before frames, except that frames keep a share of it. Trials are read one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from redbutton.experiments.report_index import TrialRecord
from redbutton.experiments.report_payload import events_json, images_json
from redbutton.experiments.skim import UnreadableTrialError

BUDGET_BYTES = 25_000_000
EVENTS_SHARE = 0.6
"""Share of the budget that events may take while there are frames to show."""
FIRST_OF_CELL = 3
RESISTED = ("resist_failed", "resist_success")
MISFITS_BEFORE_STOP = 20
"""So many trials in a row that no longer fit end the search: with thousands left, reading on is waste."""


@dataclass(kw_only=True)
class Details:
    """What went into the page; the keys are positions in the list of trials."""

    budget: int
    used: int = 0
    events: set[int] = field(default_factory=set)
    images: set[int] = field(default_factory=set)
    without_images: set[int] = field(default_factory=set)
    """Trials that have no picture at all, so none is missing."""


def ranked(records: Sequence[TrialRecord]) -> list[int]:
    """Positions of ``records``, those a reader needs most first."""
    seen: dict[tuple[str, str], int] = {}
    keys: list[tuple[int, int]] = []
    for position, record in enumerate(records):
        cell = (record.row.condition, record.row.controller)
        seen[cell] = seen.get(cell, 0) + 1
        keys.append((0 if seen[cell] <= FIRST_OF_CELL else 1 if _needs_a_look(record) else 2, position))
    return [position for _, position in sorted(keys)]


def _needs_a_look(record: TrialRecord) -> bool:
    return not record.row.valid or record.row.outcome in RESISTED


def write_details(run_dir: Path, records: Sequence[TrialRecord], out: IO[str], budget: int = BUDGET_BYTES) -> Details:
    """Write one script element of JSON for each trial's events and images that fit, and say which did.

    A trial whose file vanished or changed since the first pass is left without details.
    """
    details = Details(budget=budget)
    order = ranked(records)

    def events(position: int) -> str | None:
        try:
            return events_json(run_dir, records[position].trial)
        except (UnreadableTrialError, OSError):
            return None

    def images(position: int) -> str | None:
        fits = details.used + _frames_bytes(run_dir, records[position]) <= budget
        return images_json(run_dir, records[position]) if fits else None

    details.without_images = {p for p in order if not records[p].images}
    pictured = [p for p in order if p not in details.without_images]
    frames_size = sum(_frames_bytes(run_dir, records[p]) for p in pictured)
    limit = max(int(budget * EVENTS_SHARE), budget - frames_size)
    _fill(details, details.events, "events", order, events, out, limit)
    _fill(details, details.images, "images", [p for p in pictured if p in details.events], images, out, budget)
    _fill(details, details.events, "events", [p for p in order if p not in details.events], events, out, budget)
    return details


def _frames_bytes(run_dir: Path, record: TrialRecord) -> int:
    """About how much the images of a trial take as data URIs."""
    total = 0
    for name in record.images:
        path = run_dir / "trials" / record.trial / Path(name).name
        try:
            total += path.stat().st_size * 4 // 3 + 60
        except (OSError, ValueError):
            continue
    return total


def _fill(
    details: Details,
    done: set[int],
    kind: str,
    positions: Iterable[int],
    load: Callable[[int], str | None],
    out: IO[str],
    limit: int,
) -> None:
    misfits = 0
    for position in positions:
        text = load(position)
        if text is None:
            continue
        if details.used + len(text) > limit:
            misfits += 1
            if misfits >= MISFITS_BEFORE_STOP:
                return
            continue
        misfits = 0
        out.write(f'<script type="application/json" id="{kind}-{position}">{text}</script>\n')
        details.used += len(text)
        done.add(position)
