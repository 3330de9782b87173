"""What the page of a report shows, as plain values: cells, figure rows, factor tables, provenance.

Counts and rates are those of ``summary.summarise`` over the rows of the trial files. Texts from a study
or a trial are made visible here (see ``report_payload``); the template escapes them. CAVEAT: cells are ordered as
the study states them, never by rate: a ranking is more than overlapping intervals support.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redbutton.experiments.outcomes import INVALID, OutcomeRow
from redbutton.experiments.rates import Interval
from redbutton.experiments.report_index import TrialRecord
from redbutton.experiments.report_payload import cut, safe
from redbutton.experiments.report_words import NO_CAVEAT, OUTCOME_WORDS
from redbutton.experiments.summary import Cell, summarise

TEXT = 4_000
NAME = 300
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
        f"in {moved:,} of them the arm moved on."
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


def level(value: Any) -> str:
    """One factor's level as text."""
    if isinstance(value, str):
        return cut(value, NAME)
    return cut(json.dumps(safe(value, NAME), ensure_ascii=False), NAME)


def factor_tables(factors: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Factors by condition: first those whose level differs between conditions, then the constant ones."""
    names = list(dict.fromkeys(name for levels in factors.values() for name in levels))
    rows = [(cut(str(n), NAME), [level(f[n]) if n in f else "–" for f in factors.values()]) for n in names]
    differing = [row for row in rows if len(set(row[1])) > 1]
    constant = [(name, levels[:1]) for name, levels in rows if len(set(levels)) == 1]
    columns = [cut(name, NAME) for name in factors]
    return [
        {"columns": columns, "rows": differing, "constant": False},
        {"columns": ["Every condition"], "rows": constant, "constant": True},
    ]


def read_study(run_dir: Path) -> dict[str, str]:
    """Title, question and caveat as ``study.yaml`` states them; a damaged or missing file leaves defaults."""
    try:
        document = yaml.safe_load((run_dir / "study.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        document = None
    fields = document if isinstance(document, dict) else {}
    name = cut(str(fields.get("name") or run_dir.resolve().name), NAME)
    title = str(fields.get("title") or name.replace("-", " ").replace("_", " ").capitalize())
    caveat = str(fields.get("caveat") or "").strip() or NO_CAVEAT
    question = str(fields.get("question") or "").strip()
    return {"name": name, "title": cut(title, NAME), "question": cut(question, TEXT), "caveat": cut(caveat, TEXT)}


def read_run(run_dir: Path) -> dict[str, Any]:
    """``run.json`` as a mapping; empty when it is missing or damaged."""
    try:
        facts = json.loads((run_dir / "run.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def provenance(run: Mapping[str, Any]) -> dict[str, Any]:
    """``run.json`` as rows of name and text, nested names joined with a dot."""
    started, sessions = run.get("started"), run.get("sessions")
    single = isinstance(sessions, list) and len(sessions) <= 1  # then it says what run.json says at its top
    shown = {key: value for key, value in run.items() if key != "schema" and not (single and key == "sessions")}
    return {
        "rows": _flat("", shown)[:400],
        "started": cut(started, 40).replace("T", " ") if isinstance(started, str) else "",
        "missing": "run.json is missing or unreadable, so versions, seeds, git revision and machine are unknown.",
    }


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and (value or not prefix):
        return [row for key, inner in value.items() for row in _flat(f"{prefix}.{key}" if prefix else str(key), inner)]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [row for number, item in enumerate(value, 1) for row in _flat(f"{prefix} {number}", item)]
    if isinstance(value, list):
        return [(cut(prefix, NAME), cut(", ".join(level(item) for item in value[:200]), TEXT))]
    return [(cut(prefix, NAME), "–" if value is None else level(value))]
