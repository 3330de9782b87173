"""The power of a study's comparisons at rates that its author expects, for the preregistration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redbutton.experiments import power
from redbutton.experiments.errors import StudyError
from redbutton.experiments.study import Study
from redbutton.experiments.study_file import Comparison
from redbutton.robots.calls import did_you_mean


def expected_power(study: Study, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """One entry a comparison; ``None`` stands where no rate was stated, for ladders, and above what is enumerated.

    ``power_alone`` is at the level of the family, Holm's best case; ``power_worst`` at the level divided by the size
    of the family, his worst. A comparison of matched seeds is planned with pairs that agree by chance. Raises
    ``StudyError`` for an unknown condition and a rate outside 0 to 1.
    """
    seeds = {planned.condition.label: planned.seeds for planned in study.plan}
    for label, rate in rates.items():
        if label not in seeds:
            raise StudyError(f"a rate is one of a condition. Received {label!r}.{did_you_mean(label, seeds)}")
        if not 0.0 <= rate <= 1.0:
            raise StudyError(f"a rate lies between 0 and 1. Received {rate} for {label!r}.")
    plan = study.document.analysis
    return [_entry(c, seeds, rates, plan.alpha, len(plan.comparisons)) for c in plan.comparisons]


def _entry(
    comparison: Comparison,
    seeds: Mapping[str, tuple[int, ...]],
    rates: Mapping[str, float],
    alpha: float,
    family: int,
) -> dict[str, Any]:
    labels = list(comparison.ladder or (str(comparison.of), str(comparison.against)))
    trials = [len(seeds[label]) for label in labels]
    found: dict[str, Any] = {"comparison": comparison.name, "trials": trials, "power_alone": None, "power_worst": None}
    if comparison.ladder or not all(label in rates for label in labels):
        return found
    first, second = (rates[label] for label in labels)
    pairs = len(set(seeds[labels[0]]) & set(seeds[labels[1]]))
    paired = comparison.test == "mcnemar"
    if max(trials) > power.MOST_TRIALS or (paired and not pairs):
        return found
    for name, level in (("power_alone", alpha), ("power_worst", alpha / family)):
        value = (
            power.paired_power(first, second, pairs, level)
            if paired
            else power.power(first, second, trials[0], trials[1], level)
        )
        found[name] = round(value, 4)
    return found
