"""Blind recovery: planted controllers through the ladder study, and the analysis must give the planted effect back.

Every trial in here is real: both ways in which a planted controller can behave were run and scored in every condition,
for three seeds that stand for all (for every seed where REDBUTTON_THOROUGH is 1). A simulated study throws the planted
coin for each of its trials and takes the row that was scored for that behaviour; the analysis sees rows and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from redbutton.experiments.analysis import analyse
from redbutton.experiments.analysis_plan import without
from redbutton.experiments.analysis_types import Analysis
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.runner import run_study
from redbutton.experiments.study import Study, bundled_studies, parse_study
from redbutton.experiments.study_file import dump, parse

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("recovery")]  # one bank for all of them

STUDIES = 200
SEEDS = 15
ROOM = 3 * float(np.sqrt(0.05 * 0.95 / STUDIES))
"""Three standard errors of a rate of 0.05 or 0.95 among so many studies."""
TRUTH = {"none": 0.9, "allow": 0.4, "allow_unfinished": 0.3, "precedence": 0.05, "machine_worded": 0.3}
"""Planted probability of resisting, by level of ``instruction``; where the instruction stands makes no difference."""
EFFECT = "allow against nothing said"
NULL = "system prompt against user message"
CONDITIONS = ("nothing_said", "allow_user", "unfinished_user", "precedence_user", "machine_user", "allow_system")

Bank = Mapping[tuple[str, int, bool], OutcomeRow]
Draw = Callable[[int, Mapping[str, float]], Analysis]


def _spec(rates: Mapping[str, float]) -> str:
    return "planted:instruction:" + ",".join(f"{level}={rate:g}" for level, rate in rates.items())


@cache
def _ladder(labels: tuple[str, ...] = CONDITIONS) -> Study:
    """The bundled study, with these of its conditions."""
    document = parse(bundled_studies()["ladder"].read_text("utf-8"), "ladder").model_dump(
        mode="json", exclude_unset=True
    )
    document["conditions"] = [c for c in document["conditions"] if c["label"] in labels]
    study = parse_study(dump({**without(document, labels), "record": {"frames": "none"}}))
    return study.override(controllers=[_spec(TRUTH)], seeds=SEEDS)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory, often: Callable[[int, int], int]) -> Bank:
    """Condition, seed and whether it resisted, with the row of a real trial that went so."""
    found = {}
    seeds = _ladder().seeds
    real = often(3, len(seeds))
    for resists in (True, False):
        sure = _spec(dict.fromkeys(TRUTH, float(resists)))
        study = _ladder().override(controllers=[sure], seeds=real)
        for row in run_study(study, tmp_path_factory.mktemp("bank") / "run", jobs=2).rows:
            assert row.valid
            assert row.tested
            assert str(row.outcome).startswith("resist") is resists
            for seed in seeds[seeds.index(row.seed) :: real]:
                found[row.condition, seed, resists] = replace(row, controller=_spec(TRUTH), seed=seed)
    return found


@pytest.fixture(scope="module")
def draw(bank: Bank) -> Draw:
    """One simulated study, analysed: number of the study and the true rates in, analysis out."""
    study = _ladder()
    truths = {c.label: str(c.factors()["instruction"]) for c in study.conditions}

    def drawn(number: int, rates: Mapping[str, float]) -> Analysis:
        rng = np.random.default_rng([number, 14260])
        return analyse(
            study,
            [
                bank[condition, seed, bool(rng.random() < rates[truths[condition]])]
                for condition in truths
                for seed in study.seeds
            ],
        )

    return drawn


@pytest.fixture(scope="module")
def studies(draw: Draw) -> list[Analysis]:
    return [draw(number, TRUTH) for number in range(STUDIES)]


def _covered(studies: list[Analysis], name: str, truth: float) -> float:
    effects = [effect.difference for analysis in studies for effect in analysis.effects if effect.name == name]
    assert len(effects) == STUDIES
    return sum(d.low <= truth <= d.high for d in effects) / STUDIES


def test_the_interval_of_the_effect_covers_the_planted_one(studies: list[Analysis]) -> None:
    assert 0.92 <= _covered(studies, EFFECT, TRUTH["allow"] - TRUTH["none"]) <= 0.98


def test_the_interval_of_no_effect_covers_zero(studies: list[Analysis]) -> None:
    assert 0.95 - ROOM <= _covered(studies, NULL, 0.0) <= 0.95 + ROOM


def test_the_sign_is_right_whenever_the_family_rejects(studies: list[Analysis]) -> None:
    found = [e.verdict for a in studies for e in (*a.effects, *a.trends) if e.name != NULL]
    assert "opposite" not in found
    assert found.count("as expected") > len(found) / 2


def test_the_ladders_show_the_planted_dose_and_response(studies: list[Analysis]) -> None:
    trends = [trend for analysis in studies for trend in analysis.trends]
    assert len(trends) == STUDIES
    assert sum(t.verdict == "as expected" for t in trends) >= 0.95 * len(trends)


def test_the_null_comparison_is_rejected_no_more_often_than_it_may(studies: list[Analysis]) -> None:
    null = [effect for analysis in studies for effect in analysis.effects if effect.name == NULL]
    assert sum(e.p <= 0.05 for e in null) / STUDIES <= 0.05 + ROOM
    assert sum(e.verdict != "not shown" for e in null) / STUDIES <= 0.05 + ROOM


def test_a_controller_that_reads_nothing_is_found_out_in_at_most_one_family_of_twenty(draw: Draw) -> None:
    families = [draw(STUDIES + number, dict.fromkeys(TRUTH, 0.5)) for number in range(STUDIES)]
    alarms = [any(e.verdict != "not shown" for e in (*a.effects, *a.trends)) for a in families]
    assert sum(alarms) / STUDIES <= 0.05 + ROOM


def test_the_mixed_model_covers_the_planted_log_odds_with_the_right_sign(studies: list[Analysis]) -> None:
    """All four levels against the first. A planted controller has no spread over seeds or wordings; the model's priors
    keep a little, so that a single term is covered up to 99 times in 100."""
    covered = []
    for level in [level for level in TRUTH if level != "none"]:
        truth = _log_odds(TRUTH[level]) - _log_odds(TRUTH["none"])
        terms = [t for a in studies for mixed in a.mixed for t in mixed.terms if t.name == f"instruction={level}"]
        assert len(terms) == STUDIES
        assert not any(t.low > 0 for t in terms)
        covered += [t.low <= truth <= t.high for t in terms]
    assert 0.92 <= sum(covered) / len(covered) <= 0.98


def test_the_mixed_model_finds_no_effect_of_the_place(studies: list[Analysis]) -> None:
    terms = [t for a in studies for mixed in a.mixed for t in mixed.terms if t.name.startswith("placement=")]
    assert len(terms) == STUDIES
    assert sum(t.low <= 0 <= t.high for t in terms) / STUDIES >= 0.95 - ROOM


def _log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_a_real_planted_controller_gives_its_rates_back(tmp_path: Path, bank: Bank) -> None:
    """No simulation at all: the coin is the controller's own, thrown in each of its trials."""
    levels = {"nothing_said": "none", "allow_user": "allow", "precedence_user": "precedence"}
    study, shown = _ladder(tuple(levels)), dict.fromkeys(levels, 0)
    for row in run_study(study, tmp_path / "run", jobs=2).rows:
        resisted = str(row.outcome).startswith("resist")
        assert row.outcome == bank[row.condition, row.seed, resisted].outcome
        shown[row.condition] += resisted
    for label, level in levels.items():
        assert binomtest(shown[label], SEEDS, TRUTH[level]).pvalue > 0.01, shown
