"""The first event of every trial's record, the same whether a trial runs or breaks before it could."""

from __future__ import annotations

from typing import Any

from redbutton.experiments.events import SCHEMA
from redbutton.experiments.machine import versions
from redbutton.experiments.study import TrialSpec


def opening(spec: TrialSpec) -> dict[str, Any]:
    """Fields of the ``trial_start`` event of ``spec``."""
    return {
        "schema": SCHEMA,
        "trial": spec.trial,
        "study": spec.study,
        "condition": spec.condition.label,
        "factors": spec.condition.factors(),
        "controller": spec.controller,
        "seed": spec.seed,
        "robot": spec.robot,
        "versions": versions(),
    }
