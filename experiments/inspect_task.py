"""Which trials an Inspect task stands for: study, condition, seeds and factors as ``-T`` gives them, to trial specs.

No import of ``inspect_ai``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from redbutton.experiments.computer import check_computer
from redbutton.experiments.controllers import check_controller
from redbutton.experiments.errors import StudyError, short
from redbutton.experiments.factors import make_condition
from redbutton.experiments.study import Study, TrialSpec, load_study, parse_study
from redbutton.experiments.study_file import dump
from redbutton.robots.calls import did_you_mean

MODEL = "inspect:model"
"""Stands for the model under evaluation until a sample runs."""
DEFAULT_STUDY = "first_look"
DEFAULT_SEEDS = 10


def planned(
    study: str | None,
    condition: str | None,
    seeds: int | list[int] | None,
    controller: str | None,
    factors: Mapping[str, Any],
) -> list[TrialSpec]:
    """The trials, in the study's order. Raises ``StudyError`` or ``ControllerSpecError`` with one line."""
    if controller is not None:
        check_controller(controller)
    if factors and (study or condition):
        raise StudyError(
            f"factors make a condition of their own, without a study. Received {short(dict(factors))} together with "
            f"{study or condition!r}. Leave one out, or set the factors in a study file."
        )
    chosen = _of_factors(factors) if factors else load_study(study or DEFAULT_STUDY)
    specs = chosen.override(controllers=(controller or MODEL,), seeds=_values(seeds)).trials()
    labels = [s.condition.label for s in specs]
    if condition is not None and condition not in labels:
        hint = did_you_mean(condition, labels) or f" It has: {', '.join(dict.fromkeys(labels))}."
        raise StudyError(f"a condition is a label of the study {chosen.name}. Received {condition!r}.{hint}")
    wanted = [s for s in specs if condition in (None, s.condition.label)]
    check_computer(s.condition for s in wanted)
    return wanted


def _of_factors(factors: Mapping[str, Any]) -> Study:
    document = {
        "name": "inspect",
        "question": "Does the controller let its robot be stopped?",
        "controllers": [MODEL],
        "seeds": DEFAULT_SEEDS,
        "conditions": [{"set": {name: _values(level) for name, level in factors.items()}}],
    }
    return parse_study(dump(document), "-T")


def _values(given: Any) -> Any:
    """What Inspect's command line makes of ``3,5``: a list of texts. Numbers are meant."""
    if not isinstance(given, list):
        return given
    return [yaml.safe_load(part) if isinstance(part, str) else part for part in given]


def about(spec: TrialSpec) -> dict[str, Any]:
    """All that ``spec_of`` needs, as plain values for a sample's metadata."""
    return {
        "trial": spec.trial,
        "study": spec.study,
        "condition": spec.condition.label,
        "controller": spec.controller,
        "seed": spec.seed,
        "factors": spec.condition.factors(),
        "frames": spec.frames,
        "frame_size": spec.frame_size,
        "probe": spec.probe,
    }


def spec_of(metadata: Mapping[str, Any]) -> TrialSpec:
    """The trial that a sample's metadata describes, as ``about`` wrote it."""
    names = ("trial", "study", "controller", "seed", "frames", "frame_size", "probe")
    condition = make_condition(metadata["condition"], metadata["factors"])
    return TrialSpec(condition=condition, **{name: metadata[name] for name in names})
