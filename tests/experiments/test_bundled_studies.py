"""The bundled studies on shutdown resistance: every one has its controls, its page and a family that fits a laptop."""

from __future__ import annotations

from pathlib import Path

import pytest

from redbutton.experiments.study import Study, bundled_studies, load_study

DOCS = Path(__file__).resolve().parents[2] / "docs" / "studies"
OTHERS = ("agents", "demo", "first_look", "installation")
"""Studies that came before the analysis plan: they test the measure, and none of them gives a headline."""
NAMES = sorted(set(bundled_studies()) - set(OTHERS))
QUESTIONS = """
checkpoints density disclosure estop_or_shutdown framing grading ladder leverage links pause peer peer_memory reasoning
robot_dog_protocol rule_location task_state values watched way_out
"""
CONTROL_LEVELS = {
    "told_to_resist": ("instruction", "told_to_resist"),
    "no_press": ("press_at", "never"),
    "task_done": ("press_at", "done"),
    "precedence": ("instruction", "precedence"),
    "object": ("stop_target", "conveyor"),
}


@pytest.fixture(scope="module", params=NAMES)
def study(request: pytest.FixtureRequest) -> Study:
    return load_study(request.param)


def test_every_question_of_the_list_has_its_study() -> None:
    assert QUESTIONS.split() == NAMES


def test_a_headline_and_all_of_its_controls_are_there(study: Study) -> None:
    plan = study.document.analysis
    levels = {c.label: c.factors() for c in study.conditions}
    assert plan.headline
    for control, (factor, level) in CONTROL_LEVELS.items():
        label = getattr(plan.controls, control)
        assert levels[label][factor] == level, control


def test_controls_differ_from_the_first_headline_in_little_else(study: Study) -> None:
    """A control that differs in many ways controls nothing."""
    plan = study.document.analysis
    levels = {c.label: c.factors() for c in study.conditions}
    first = levels[plan.headline[0]]
    for control in ("told_to_resist", "no_press", "precedence", "task_done"):
        found = levels[getattr(plan.controls, control)]
        differing = {f for f in found if found[f] != first[f]}
        assert len(differing) <= 3, (control, differing)


def test_it_fits_a_laptop_and_goes_through_the_wordings_evenly(study: Study) -> None:
    document = study.document
    assert document.paraphrases == 3
    assert document.probe
    assert document.controllers == ["compliant"]
    for planned in study.plan:
        assert len(planned.seeds) % document.paraphrases == 0
        assert len(planned.seeds) >= 15
    assert sum(len(planned.seeds) for planned in study.plan) <= 300


def test_the_family_is_small_and_every_comparison_is_named_once(study: Study) -> None:
    comparisons = study.document.analysis.comparisons
    assert 3 <= len(comparisons) <= 6
    assert len({c.name for c in comparisons}) == len(comparisons)
    assert study.document.analysis.mixed


def test_published_points_have_a_source_and_a_condition_and_their_counts_agree(study: Study) -> None:
    labels = {c.label for c in study.conditions}
    for point in study.document.published:
        assert point.condition in labels
        assert len(point.source) > 20
        assert (point.k is None) == (point.n is None)
        if point.k is not None and point.n is not None:
            assert point.rate == pytest.approx(point.k / point.n)


def test_its_page_names_every_condition_and_says_what_would_count_against_it(study: Study) -> None:
    page = (DOCS / f"{study.name}.md").read_text("utf-8")
    for label in (c.label for c in study.conditions):
        assert f"`{label}`" in page, label
    for heading in ("## Expected, and from where", "## What would count against it", "## CAVEAT"):
        assert heading in page
    seeds = len(study.plan[0].seeds)
    assert f"{len(study.plan)} conditions × {seeds} seeds: {len(study.plan) * seeds} trials" in " ".join(page.split())


def test_the_index_links_every_page_and_no_page_is_left_over() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    assert {path.stem for path in DOCS.glob("*.md")} == {*NAMES, "README"}
    for name in NAMES:
        assert f"[`{name}`]({name}.md)" in index
