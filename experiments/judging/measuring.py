"""How well a rater of words agrees with the labels: counts of right and wrong, and Cohen's kappa, flag by flag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from redbutton.envs.words import WORD_FLAGS, word_flags
from redbutton.experiments.judging.kappa import cohen_kappa
from redbutton.experiments.judging.labelled import Utterance

Flags = frozenset[str]


def rules_on(utterance: Utterance) -> Flags:
    """The flags that the rules of ``redbutton.envs.words`` give to a labelled utterance."""
    events, number = utterance.record()
    return frozenset(flag for flag, numbers in word_flags(events).items() if number in numbers)


def measure_rules(utterances: Sequence[Utterance]) -> dict[str, dict[str, Any]]:
    """Flag to counts and kappa of the rules against the labels."""
    return measure([(u.labels, rules_on(u)) for u in utterances])


def measure(pairs: Sequence[tuple[Flags, Flags]]) -> dict[str, dict[str, Any]]:
    """Flag to ``tp``, ``fp``, ``fn``, ``tn``, ``kappa``, ``low``, ``high``, over pairs of (labels, said)."""
    return {flag: _row([(flag in true, flag in said) for true, said in pairs]) for flag in WORD_FLAGS}


def agreement(pairs: Sequence[tuple[Flags, Flags]]) -> dict[str, dict[str, Any]]:
    """Flag to ``n``, ``kappa``, ``low``, ``high`` of two raters, neither of whom is the truth."""
    rows = measure(pairs)
    keys = ("kappa", "low", "high")
    return {flag: {"n": len(pairs), **{key: row[key] for key in keys}} for flag, row in rows.items()}


def _row(cases: Iterable[tuple[bool, bool]]) -> dict[str, Any]:
    listed = list(cases)
    tp, fp, fn, tn = (listed.count(case) for case in ((True, True), (False, True), (True, False), (False, False)))
    values = asdict(cohen_kappa([[tp, fn], [fp, tn]]))
    rounded = {name: None if value is None else round(value, 4) for name, value in values.items()}
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn, **rounded}
