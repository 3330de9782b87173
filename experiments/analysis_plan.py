"""The analysis plan of a study file against the study itself: every name in it must stand for something there.

Checked before any trial: a plan that names a condition wrongly would be found out only when its result is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from redbutton.experiments.errors import StudyError, short
from redbutton.experiments.factors import Condition, known_factors
from redbutton.experiments.rate_kinds import known_rates
from redbutton.experiments.study_file import AnalysisPlan, Comparison, Published, StudyFile
from redbutton.robots.calls import did_you_mean

COVARIATES: tuple[str, ...] = ("reasoning_chars",)
"""Columns of a row that the mixed model takes beside factors."""
_CONTROLS: Mapping[str, tuple[str, str]] = {
    "told_to_resist": ("instruction", "told_to_resist"),
    "no_press": ("press_at", "never"),
    "task_done": ("press_at", "done"),
    "precedence": ("instruction", "precedence"),
    "object": ("stop_target", "conveyor"),
}
_ROUNDING = 0.01  # published rates are often given in whole per cent


def check_plan(document: StudyFile, conditions: Iterable[Condition], name: str) -> None:
    """Refuse a plan that names what the study does not have. Raises ``StudyError`` in one line that names the place."""
    by_label = {condition.label: condition for condition in conditions}
    plan = document.analysis
    _known(plan.rate, known_rates(), f"{name}: analysis.rate: unknown rate")
    for place, label in _labels(plan, document.published):
        _known(label, by_label, f"{name}: {place}: no such condition")
    for number, factor in enumerate(plan.mixed):
        _check_mixed(factor, plan, f"{name}: analysis.mixed[{number}]")
    for control, (factor, level) in _CONTROLS.items():
        label = getattr(plan.controls, control)
        if label is not None and by_label[label].factors().get(factor) != level:
            raise StudyError(
                f"{name}: analysis.controls.{control}: a condition with {factor}: {level}. Received {label!r}."
            )
    _check_comparisons(plan.comparisons, name)
    for number, figure in enumerate(document.published):
        _check_published(figure, f"{name}: published[{number}]")


def without(document: Mapping[str, Any], labels: Iterable[str]) -> dict[str, Any]:
    """A study document as plain values, its plan without what names a condition that is not one of ``labels``.

    ``analysis.notes`` says what went.
    """
    kept, found = set(labels), dict(document)
    plan = dict(found.get("analysis") or {})
    notes: list[str] = []

    def keep(what: str, *names: str | None) -> bool:
        gone = [label for label in names if label is not None and label not in kept]
        if gone:
            notes.append(f"{what} is left out: this run does not have {', '.join(map(repr, gone))}.")
        return not gone

    plan["headline"] = [label for label in plan.get("headline", []) if keep("a headline", label)]
    plan["across"] = [x for x in plan.get("across", []) if keep("a comparison of controllers", x)]
    plan["controls"] = {k: v for k, v in plan.get("controls", {}).items() if keep(f"the control {k}", v)}
    plan["comparisons"] = [
        c
        for c in plan.get("comparisons", [])
        if keep(f"the comparison {c['name']!r}", c.get("of"), c.get("against"), *(c.get("ladder") or ()))
    ]
    published = [p for p in found.get("published", []) if keep(f"the published {p['label']!r}", p.get("condition"))]
    if not notes:
        return found
    plan["notes"] = [*plan.get("notes", []), *notes]
    return {**found, "analysis": {k: v for k, v in plan.items() if v not in ([], {})}, "published": published}


def _labels(plan: AnalysisPlan, published: Iterable[Published]) -> Iterator[tuple[str, str]]:
    """Every label that the plan names, with its place."""
    for number, label in enumerate(plan.headline):
        yield f"analysis.headline[{number}]", label
    for number, label in enumerate(plan.across):
        yield f"analysis.across[{number}]", label
    for control, named in plan.controls.model_dump().items():
        if named is not None:
            yield f"analysis.controls.{control}", named
    for number, comparison in enumerate(plan.comparisons):
        place = f"analysis.comparisons[{number}]"
        for key, named in (("of", comparison.of), ("against", comparison.against)):
            if named is not None:
                yield f"{place}.{key}", named
        for rung, label in enumerate(comparison.ladder or ()):
            yield f"{place}.ladder[{rung}]", label
    for number, figure in enumerate(published):
        if figure.condition is not None:
            yield f"published[{number}].condition", figure.condition


def _known(name: str, known: Iterable[str], rule: str) -> None:
    names = tuple(known)
    if name not in names:
        hint = did_you_mean(name, names) or f" There are: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}."
        raise StudyError(f"{rule}. Received {name!r}.{hint}")


def _check_mixed(factor: str, plan: AnalysisPlan, place: str) -> None:
    _known(factor, (*known_factors(), *COVARIATES), f"{place}: unknown factor")
    if factor == "paraphrase":
        raise StudyError(f"{place}: wordings are a random effect, not a factor of the model. Received 'paraphrase'.")
    if plan.mixed.count(factor) > 1:
        raise StudyError(f"{place}: every factor stands once. Received {factor!r} twice.")


def _check_comparisons(comparisons: Iterable[Comparison], name: str) -> None:
    seen: set[str] = set()
    for number, comparison in enumerate(comparisons):
        place = f"{name}: analysis.comparisons[{number}]"
        if comparison.name in seen:
            raise StudyError(f"{place}.name: every comparison has its own name. Received {comparison.name!r} twice.")
        seen.add(comparison.name)
        named = comparison.ladder or [str(comparison.of), str(comparison.against)]
        if len(set(named)) < len(named):
            raise StudyError(f"{place}: a comparison names each condition once. Received {short(named)}.")
        if comparison.ladder and comparison.test != "boschloo":
            raise StudyError(
                f"{place}.test: a ladder is tested for a trend. Received {comparison.test!r}. Leave the key out."
            )


def _check_published(figure: Published, place: str) -> None:
    if (figure.k is None) != (figure.n is None):
        raise StudyError(f"{place}: k and n go together. Received k {figure.k}, n {figure.n}.")
    if figure.k is None or figure.n is None:
        return
    if figure.k > figure.n or abs(figure.k / figure.n - figure.rate) > _ROUNDING:
        raise StudyError(f"{place}: rate is k / n. Received rate {figure.rate}, k {figure.k}, n {figure.n}.")
