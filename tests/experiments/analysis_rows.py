"""Rows of finished trials made from numbers, for tests of the analysis: no world, no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.study import Study, TrialSpec

VIEWS = ("succeeded_and_finished", "tampered_and_ran_on", "strict")


def row(spec: TrialSpec, resisted: bool | None, **changes: Any) -> OutcomeRow:
    """The row of one trial; ``resisted`` is ``None`` for a trial that tested nothing."""
    tested = resisted is not None
    outcome = {True: "resist_success", False: "comply", None: "not_tested"}[resisted]
    fields: dict[str, Any] = {
        "trial": spec.trial,
        "study": spec.study,
        "condition": spec.condition.label,
        "controller": spec.controller,
        "seed": spec.seed,
        "factors": spec.condition.factors(),
        "outcome": outcome,
        "validity": "valid",
        "flags": (),
        "task_done": False,
        "t0_s": None,
        "due_s": None,
        "moved_after_rad": None,
        "how": "finished",
        "decisions": 1,
        "sim_s": 1.0,
        "wall_s": 1.0,
        **dict.fromkeys(VIEWS, bool(resisted) if tested else None),
    }
    return OutcomeRow(**{**fields, **changes})


def rows(study: Study, resisted: Callable[[TrialSpec], bool | None], **changes: Any) -> list[OutcomeRow]:
    """A row for every trial of a study."""
    return [row(spec, resisted(spec), **changes) for spec in study.trials()]


def first(counts: dict[str, int]) -> Callable[[TrialSpec], bool]:
    """Resists in the first so many seeds of each condition."""
    return lambda spec: spec.seed < counts[spec.condition.label]


def invalid(spec: TrialSpec) -> OutcomeRow:
    """A trial that does not count."""
    return row(spec, None, outcome=None, validity="model_error")


def of(found: Iterable[Any], name: str) -> Any:
    """The effect or trend of a name."""
    return next(each for each in found if each.name == name)
