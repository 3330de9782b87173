"""The results that a report shows, as plain values: cells, their order, the rows of the figures.

Counts and rates are those of ``summary.summarise`` over the rows of the trial files. Texts from a study
or a trial are made visible here (see ``report_payload``); the template escapes them. CAVEAT: cells are ordered as
the study states them, never by rate: a ranking is more than overlapping intervals support.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redbutton.experiments.outcomes import INVALID, OutcomeRow
from redbutton.experiments.rates import Interval
from redbutton.experiments.report_index import TrialRecord
from redbutton.experiments.report_payload import cut
from redbutton.experiments.report_sources import NAME
from redbutton.experiments.report_words import OUTCOME_WORDS
from redbutton.experiments.summary import Cell, summarise

ROW_PX, HEADING_PX, LINE_PX, AXIS_PX = 44, 30, 17, 26
LINE_CHARS = 36


@dataclass(frozen=True, kw_only=True)
class Share:
    """One segment of a bar of outcomes; ``x`` and ``width`` as parts of the whole bar."""

    key: str
    letter: str
    n: int
    x: float
    width: float


@dataclass(frozen=True, kw_only=True)
class CellView:
    """One cell of the summary with its names made visible."""

    condition: str
    controller: str
    of: Cell

    @property
    def resisted(self) -> Interval:
        """Rate of resistance, failed or not, of the tested trials."""
        return self.of.rates["resisted"]

    @property
    def shares(self) -> list[Share]:
        """The outcomes of the tested trials that occurred, left to right."""
        shares, x = [], 0.0
        for key, words in OUTCOME_WORDS.items():
            n = self.of.outcomes.get(key, 0) if words.tested else 0
            if n:
                width = n / self.of.tested
                shares.append(Share(key=key, letter=words.letter, n=n, x=x, width=width))
                x += width
        return shares


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """One row of a figure; ``y`` is its top edge [px]."""

    cell: CellView
    y: int
    heading: tuple[str, ...]
    """Lines of the condition's name where it stands above this row; it is never shortened, or two would look alike."""


def cell_views(rows: Sequence[OutcomeRow], run: Mapping[str, Any]) -> list[CellView]:
    """One cell for each condition and controller that met, in the order of ``run.json``."""
    summary = summarise(rows, conditions=_names(run, "conditions"), controllers=_names(run, "controllers"))
    return [CellView(condition=cut(c.condition, NAME), controller=cut(c.controller, NAME), of=c) for c in summary.cells]


def _names(run: Mapping[str, Any], key: str) -> list[str]:
    names = run.get(key)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def in_study_order(records: Sequence[TrialRecord], run: Mapping[str, Any]) -> list[TrialRecord]:
    """``records`` by condition, controller and seed, the first two in the order of ``run.json``."""
    conditions = {name: place for place, name in enumerate(_names(run, "conditions"))}
    controllers = {name: place for place, name in enumerate(_names(run, "controllers"))}

    def place(record: TrialRecord) -> tuple[int, str, int, str, int]:
        row = record.row
        first = conditions.get(row.condition, len(conditions))
        second = controllers.get(row.controller, len(controllers))
        return first, row.condition, second, row.controller, row.seed

    return sorted(records, key=place)


def name_lines(name: str) -> tuple[str, ...]:
    """A name as lines that fit the narrowest figure, broken after its punctuation where it has some."""
    lines = [""]
    for piece in re.findall(r"[^,;/ ]*[,;/ ]+|[^,;/ ]+", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > LINE_CHARS:
            lines.append("")
        lines[-1] += piece
    return tuple(part for line in lines for part in textwrap.wrap(line, LINE_CHARS) or [""])


def figure_rows(cells: Sequence[CellView]) -> tuple[list[FigureRow], int]:
    """Rows of a figure and its height [px]; the name of a condition stands once, above its controllers."""
    rows: list[FigureRow] = []
    y, before = 0, None
    for cell in cells:
        heading = name_lines(cell.condition) if cell.condition != before else ()
        y += HEADING_PX + LINE_PX * (len(heading) - 1) if heading else 0
        rows.append(FigureRow(cell=cell, y=y, heading=heading))
        y, before = y + ROW_PX, cell.condition
    return rows, y + AXIS_PX


def reading(cells: Sequence[CellView], planned: object) -> str:
    """The one paragraph that says how many trials stand behind the page."""
    trials, valid = sum(c.of.n for c in cells), sum(c.of.valid for c in cells)
    tested, resisted = sum(c.of.tested for c in cells), sum(c.resisted.k for c in cells)
    conditions, controllers = len({c.condition for c in cells}), len({c.controller for c in cells})
    moved = sum(c.of.outcomes["resist_success"] for c in cells)
    known = isinstance(planned, int) and planned > trials
    return (
        f"{_count(trials, 'finished trial')}{f' of {planned:,} planned' if known else ''}: {valid:,} valid, "
        f"{trials - valid:,} invalid; in {tested:,} a stop was put to the test. "
        f"{_count(conditions, 'condition')}, {_count(controllers, 'controller')}. "
        f"The controller resisted in {resisted:,} of the {_count(tested, 'tested trial')}; "
        f"in {moved:,} of them the motion went on."
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def totals(cells: Sequence[CellView]) -> dict[str, Any]:
    """Sums over all cells for the foot of the validity table."""
    names = ("n", "valid", "tested", "not_tested")
    invalid: Counter[str] = sum((Counter(c.of.invalid) for c in cells), Counter())
    return {name: sum(getattr(c.of, name) for c in cells) for name in names} | {"invalid": invalid}


def invalid_reasons(cells: Sequence[CellView]) -> list[str]:
    """The reasons that occurred, in the order of the taxonomy."""
    return [reason for reason in INVALID if any(c.of.invalid.get(reason) for c in cells)]


def flag_names(cells: Sequence[CellView]) -> list[str]:
    """The flags that occurred, by name."""
    return sorted({flag for c in cells for flag in c.of.flags})
