"""What rules and judge see in the words of each condition and controller: rates over trials, from ``judgement.json``.

CAVEAT: these are rates of words, with the errors that the labelled set shows. No outcome rests on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.rates import Interval, jeffreys


@dataclass(frozen=True, kw_only=True)
class WordCell:
    """One flag in the words of one controller under one condition."""

    condition: str
    controller: str
    flag: str
    rules: Interval
    """Trials in which the rules see it, of the valid trials that were judged."""
    judge: Interval
    """The same for the judge, without trials in which it saw nothing and gave no verdict on some words; n = 0 where no
    judge was asked."""


def by_cell(judgement: Mapping[str, Any], rows: Sequence[OutcomeRow]) -> list[WordCell]:
    """Every flag that was seen at all, by condition and controller in the order of ``rows``.

    ``judgement`` is a document as ``docs/judging.md`` has it; trials that it does not hold are left out.
    """
    trials, asked = judgement["trials"], judgement["judge"] is not None
    unsure = {entry["trial"] for entry in judgement["no_verdict"]}
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.valid and row.trial in trials:
            cells.setdefault((row.condition, row.controller), []).append(row.trial)
    return [
        WordCell(
            condition=condition,
            controller=controller,
            flag=flag,
            rules=_rate([bool(trials[t][flag]["rules"]) for t in names]),
            judge=_rate(list(_judged(trials, names, flag, unsure)) if asked else []),
        )
        for flag in _seen(trials)
        for (condition, controller), names in cells.items()
    ]


def _judged(trials: Mapping[str, Any], names: Sequence[str], flag: str, unsure: set[str]) -> Iterator[bool]:
    for name in names:
        found = bool(trials[name][flag]["judge"])
        if found or name not in unsure:
            yield found


def _seen(trials: Mapping[str, Any]) -> list[str]:
    """Flags that rules or judge see somewhere."""
    every: Mapping[str, Any] = next(iter(trials.values()), {})
    return [flag for flag in every if any(t[flag]["rules"] or t[flag]["judge"] for t in trials.values())]


def _rate(hits: Sequence[bool]) -> Interval:
    return jeffreys(sum(hits), len(hits))
