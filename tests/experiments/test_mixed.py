"""Rows of a study as the mixed model sees them, and whole simulated studies with a known truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from redbutton.experiments.analysis import analyse
from redbutton.experiments.mixed import fit_mixed
from redbutton.experiments.study import Study, parse_study

STUDY = """\
name: s
question: q?
controllers: [one]
seeds: {seeds}
paraphrases: {paraphrases}
conditions:
  - {{label: plain}}
  - {{label: allow, set: {{instruction: allow}}}}
  - {{label: first, set: {{instruction: precedence}}}}
{more}
analysis:
  mixed: {mixed}
{plan}
"""
CONTROLS = "  - {label: told, set: {instruction: told_to_resist}}\n  - {label: unpressed, set: {press_at: never}}"
FAMILY = """\
  comparisons:
    - {name: a, of: allow, against: plain}
    - {name: b, of: first, against: plain}
    - {name: c, of: first, against: allow}
    - {name: d, ladder: [plain, allow, first]}
"""
TRUTH = {"plain": -0.5, "allow": 0.5, "first": -1.3}


def study(seeds=60, paraphrases=3, mixed="[instruction]", more="", plan="") -> Study:
    return parse_study(STUDY.format(seeds=seeds, paraphrases=paraphrases, mixed=mixed, more=more, plan=plan))


@pytest.fixture
def made(load_test_helper):
    return load_test_helper("experiments/analysis_rows.py")


def drawn(rng: np.random.Generator, truth=TRUTH, sd_seed=0.7, sd_wording=0.3):
    """Draws outcomes with an effect of every seed and of every wording of every level."""
    seeds = sd_seed * rng.standard_normal(1000)
    wordings: dict[tuple[str, int], float] = {}

    def resisted(spec) -> bool:
        key = spec.condition.label, spec.condition.prompt.paraphrase
        effect = wordings.setdefault(key, sd_wording * rng.standard_normal())
        return bool(rng.random() < 1 / (1 + np.exp(-(truth[spec.condition.label] + seeds[spec.seed] + effect))))

    return resisted


def fit(chosen: Study, rows, **options):
    of = {c.label: [r for r in rows if r.condition == c.label] for c in chosen.conditions}
    return fit_mixed(chosen, "one", of, **options)


def test_terms_are_levels_against_the_first_one_of_the_study(made):
    chosen = study()
    found = analyse(chosen, made.rows(chosen, drawn(np.random.default_rng(0)))).mixed[0]
    assert [t.name for t in found.terms] == ["intercept", "instruction=allow", "instruction=precedence"]
    assert (found.trials, found.notes) == (180, ())
    assert found.terms[1].low < 1.0 < found.terms[1].high
    assert found.terms[2].log_odds < 0.0 < found.terms[1].log_odds
    assert found.sd_seed is not None
    assert found.sd_paraphrase is not None


def test_wordings_that_differ_show_as_their_standard_deviation(made):
    chosen, rng = study(seeds=150), np.random.default_rng(3)
    calm, wild = (fit(chosen, made.rows(chosen, drawn(rng, sd_wording=sd))) for sd in (0.0, 2.0))
    assert calm.sd_paraphrase < 0.5 < 1.0 < wild.sd_paraphrase
    width = [f.terms[1].high - f.terms[1].low for f in (calm, wild)]
    assert width[1] > 2 * width[0]


def test_untested_and_invalid_trials_and_mere_controls_are_left_out(made):
    plan = "  controls: {told_to_resist: told, no_press: unpressed, precedence: first}\n" + FAMILY
    chosen = study(more=CONTROLS, plan=plan)
    rows = made.rows(chosen, drawn(np.random.default_rng(0), {**TRUTH, "told": 3.0, "unpressed": 0.0}))
    rows = [replace(r, outcome=None, validity="timeout") if r.seed == 5 else r for r in rows]
    rows = [replace(r, outcome="not_tested") if r.seed == 7 else r for r in rows]
    found = fit(chosen, rows)
    assert [t.name for t in found.terms] == ["intercept", "instruction=allow", "instruction=precedence"]
    assert found.trials == 3 * 58


def test_one_wording_a_level_gives_no_intercept_for_wordings_and_says_so(made):
    chosen = study(paraphrases=1)
    found = fit(chosen, made.rows(chosen, drawn(np.random.default_rng(0))))
    assert found.sd_paraphrase is None
    assert found.sd_seed is not None
    assert "one wording a level" in found.notes[0]


def test_a_covariate_is_standardised_and_rows_without_it_are_left_out(made):
    chosen, rng = study(mixed="[instruction, reasoning_chars]"), np.random.default_rng(1)
    rows = []
    for spec in chosen.trials():
        z = rng.standard_normal()
        chars = None if spec.seed == 0 else round(2000 + 500 * z)
        rows.append(made.row(spec, bool(rng.random() < 1 / (1 + np.exp(-1.5 * z))), reasoning_chars=chars))
    found = fit(chosen, rows)
    assert [t.name for t in found.terms][-1] == "reasoning_chars"
    assert found.terms[-1].low < 1.5 < found.terms[-1].high
    assert found.terms[-1].low > 0.8
    assert found.trials == 177
    assert found.notes[0] == "left out: 3 of 180 without reasoning_chars."
    assert found.notes[1].startswith("reasoning_chars: log-odds for one standard deviation, 4")


def test_a_covariate_that_nobody_knows_is_left_out(made):
    chosen = study(mixed="[reasoning_chars]")
    found = fit(chosen, made.rows(chosen, drawn(np.random.default_rng(1))))
    assert found.terms == ()
    assert found.notes == (
        "reasoning_chars is not known of these trials.",
        "the model does not know of instruction, which these conditions differ in too.",
        "no model: no factor is left to estimate.",
    )


def test_what_cannot_be_told_apart_is_said(made):
    more = "  - {label: hot, set: {instruction: allow_even_if_unfinished, brew_s: 5}}"
    more = more.replace("allow_even_if_unfinished", "told_to_resist")
    chosen = study(mixed="[instruction, brew_s, bite]", more=more)
    found = fit(chosen, made.rows(chosen, drawn(np.random.default_rng(1), {**TRUTH, "hot": 0.0})))
    assert [t.name for t in found.terms][1:] == [
        *("instruction=allow", "instruction=precedence", "instruction=told_to_resist")
    ]
    assert found.notes == (
        "brew_s=5.0 goes with the terms before it and cannot be told from them.",
        "bite has one level in these trials.",
    )


def test_equal_outcomes_rest_on_the_priors_or_on_nothing(made):
    chosen = study(seeds=9)
    rows = made.rows(chosen, lambda spec: False)
    found = fit(chosen, rows)
    assert found.terms[0].log_odds < -3.0
    assert found.terms[1].low < 0.0 < found.terms[1].high
    assert "every trial has the same outcome: the terms rest on their priors alone." in found.notes
    bare = fit(chosen, rows, priors=False)
    assert bare.terms == ()
    assert bare.notes[-1] == "no model: every trial has the same outcome."


def test_a_level_that_always_resists_keeps_a_finite_effect(made):
    chosen = study(seeds=20)
    found = fit(chosen, made.rows(chosen, lambda spec: spec.condition.label == "allow"))
    assert found.terms[1].low > 0.0
    assert found.terms[1].high < 30.0


def test_no_trials_make_no_model():
    found = analyse(study(), []).mixed[0]
    assert (found.terms, found.trials) == ((), 0)
    assert found.notes == ("no trial counts for resisted.", "no model: no factor is left to estimate.")


@pytest.mark.slow
def test_in_200_simulated_studies_the_intervals_cover_the_truth_and_signs_are_right(made):
    chosen, rng = study(), np.random.default_rng(20)
    truth = [-0.5, 1.0, -0.8]
    covered, signs = Counter(), Counter()
    for _ in range(200):
        found = analyse(chosen, made.rows(chosen, drawn(rng))).mixed[0]
        for number, (term, value) in enumerate(zip(found.terms, truth, strict=True)):
            covered[number] += term.low <= value <= term.high
            signs[number] += (term.log_odds > 0) == (value > 0)
    assert all(0.92 <= covered[n] / 200 <= 0.98 for n in range(3)), covered
    assert all(signs[n] / 200 > 0.9 for n in range(3)), signs


@pytest.mark.slow
def test_in_200_simulated_studies_of_independent_trials_newcombe_covers_the_truth(made):
    chosen, rng = study(seeds=40, mixed="[]", plan=FAMILY), np.random.default_rng(21)
    rates = {label: 1 / (1 + np.exp(-odds)) for label, odds in TRUTH.items()}
    covered = Counter()
    for _ in range(200):
        for e in analyse(chosen, made.rows(chosen, drawn(rng, sd_seed=0.0, sd_wording=0.0))).effects:
            covered[e.name] += e.difference.low <= rates[e.of] - rates[e.against] <= e.difference.high
    assert all(0.92 <= n / 200 <= 0.98 for n in covered.values()), covered


@pytest.mark.slow
def test_where_nothing_differs_a_family_errs_no_more_often_than_it_says(made):
    chosen, rng = study(seeds=40, mixed="[]", plan=FAMILY), np.random.default_rng(22)
    same = dict.fromkeys(TRUTH, 0.0)
    wrong, unadjusted, studies = 0, 0, 400
    for _ in range(studies):
        found = analyse(chosen, made.rows(chosen, drawn(rng, same, 0.0, 0.0)))
        tests = (*found.effects, *found.trends)
        wrong += any(t.verdict != "not shown" for t in tests)
        unadjusted += any(t.p is not None and t.p <= 0.05 for t in tests)
    assert wrong / studies <= 0.05 + 2 * (0.05 * 0.95 / studies) ** 0.5
    assert unadjusted > wrong
