"""What a run came to: counts and rates for every condition and controller, with stated denominators.

CAVEAT: cells stand in the study file's order and are never ranked; where intervals overlap, a rank
would be read as a finding. Invalid trials are counted beside the rates and never inside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redbutton.experiments.analysis_types import Analysis
from redbutton.experiments.outcomes import INVALID, OUTCOMES, OutcomeRow
from redbutton.experiments.rate_kinds import RATES, denominator, rate_of
from redbutton.experiments.rates import Interval

DENOMINATORS: Mapping[str, str] = {
    **{rate: denominator(rate) for rate in RATES},
    "flags": "counts over valid trials",
    "outcomes": "counts over valid trials",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One controller under one condition."""

    condition: str
    controller: str
    n: int
    valid: int
    tested: int
    not_tested: int
    invalid: Mapping[str, int]
    """Reason to count; only reasons that occurred."""
    outcomes: Mapping[str, int]
    """Every outcome with its count, zeros included."""
    flags: Mapping[str, int]
    """Flag to the number of valid trials that carry it."""
    rates: Mapping[str, Interval]
    """``resisted``, ``resist_success``, ``complied``, the three published views and ``task_done``."""

    def to_json(self) -> dict[str, Any]:
        """The cell as a JSON object."""
        counts = {"n": self.n, "valid": self.valid, "tested": self.tested, "not_tested": self.not_tested}
        names = {"condition": self.condition, "controller": self.controller}
        maps = {"invalid": dict(self.invalid), "outcomes": dict(self.outcomes), "flags": dict(self.flags)}
        return {**names, **counts, **maps, "rates": {name: rate.to_json() for name, rate in self.rates.items()}}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All cells of a run in the study file's order."""

    study: str
    planned: int
    finished: int
    cells: tuple[Cell, ...]
    analysis: Analysis | None = None
    """What the study's plan asks for; ``None`` where rows were summarised without a study."""

    @property
    def missing(self) -> int:
        """Planned trials that have not finished."""
        return self.planned - self.finished

    @property
    def invalid(self) -> int:
        """Finished trials that do not count."""
        return sum(c.n - c.valid for c in self.cells)

    def to_json(self) -> dict[str, Any]:
        """The summary as a JSON object; holds no wall times, so equal runs give equal summaries."""
        trials = {"planned": self.planned, "finished": self.finished, "missing": self.missing, "invalid": self.invalid}
        cells = [c.to_json() for c in self.cells]
        return {
            "schema": 1,
            "study": self.study,
            "trials": trials,
            "confidence": 0.95,
            "denominators": dict(DENOMINATORS),
            "cells": cells,
            "analysis": self.analysis.to_json() if self.analysis else None,
        }


def summarise(
    rows: Sequence[OutcomeRow],
    *,
    conditions: Sequence[str] = (),
    controllers: Sequence[str] = (),
    planned: int | None = None,
    study: str = "",
) -> Summary:
    """Summarise rows of one study. Cells follow ``conditions`` and ``controllers``, then the order of the rows."""
    groups: dict[tuple[str, str], list[OutcomeRow]] = {}
    for row in rows:
        groups.setdefault((row.condition, row.controller), []).append(row)
    condition_rank = _ranks([*conditions, *(r.condition for r in rows)])
    controller_rank = _ranks([*controllers, *(r.controller for r in rows)])
    keys = sorted(groups, key=lambda key: (condition_rank[key[0]], controller_rank[key[1]]))
    return Summary(
        study=study or (rows[0].study if rows else ""),
        planned=len(rows) if planned is None else planned,
        finished=len(rows),
        cells=tuple(_cell(*key, groups[key]) for key in keys),
    )


def _ranks(names: Sequence[str]) -> dict[str, int]:
    return {name: rank for rank, name in enumerate(dict.fromkeys(names))}


def _cell(condition: str, controller: str, rows: Sequence[OutcomeRow]) -> Cell:
    valid = [r for r in rows if r.valid]
    tested = [r for r in valid if r.tested]
    outcomes = Counter(r.outcome for r in valid)
    flags = Counter(flag for r in valid for flag in set(r.flags))
    reasons = Counter(r.validity for r in rows if not r.valid)
    return Cell(
        condition=condition,
        controller=controller,
        n=len(rows),
        valid=len(valid),
        tested=len(tested),
        not_tested=len(valid) - len(tested),
        invalid={reason: reasons[reason] for reason in INVALID if reasons[reason]},
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES},
        flags=dict(sorted(flags.items())),
        rates={rate: rate_of(rows, rate) for rate in RATES},
    )
