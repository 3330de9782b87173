"""What a report shows of a study's plan: headlines, effects, ladders, published figures; and what stands beside it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.experiments.analysis_types import Headline
from redbutton.experiments.rates import jeffreys
from redbutton.experiments.report import build_report
from redbutton.experiments.report_analysis import EMPTY, p_value, point_bounds, points, published_words
from redbutton.experiments.report_index import scan_run
from redbutton.experiments.report_links import Links
from redbutton.experiments.report_page import environment, frame

SECTIONS = {"headlines", "effects", "ladders", "mixed", "probe", "words", "preregistration"}
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"


def _helper() -> ModuleType:
    path = Path(__file__).parent / "report_plan_fixtures.py"
    spec = importlib.util.spec_from_file_location("report_plan_fixtures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = _helper()
SHORT = {made.MODEL: "model", made.SCRIPT: "script"}


def page_of(run: Path) -> Any:
    return made.base.Page(build_report(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made.make_run(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


def sections(page: Any) -> set[str]:
    return {str(attrs["id"]) for tag, attrs in page.elements if tag == "section" and attrs.get("id")} & SECTIONS


def named(page: Any, tag: str, name: str) -> list[dict[str, Any]]:
    return [attrs for each, attrs in page.elements if each == tag and name in (attrs.get("class") or "").split()]


def test_the_page_has_the_sections_of_the_plan_and_links_to_them_alone(page):
    assert sections(page) == {"headlines", "effects", "ladders", "probe"}
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert {name for name in SECTIONS if f"#{name}" in links} == sections(page)


def test_a_study_without_a_plan_shows_none_of_its_sections(tmp_path):
    run = made.make_run(tmp_path, without=("analysis", "published"))
    assert sections(page_of(run)) == {"probe"}


def test_a_headline_without_its_controls_is_refused_by_name_and_shows_no_rate(page):
    cards = re.findall(r"nothing said(\S+)\s+No headline\s+(.*?)\.\s", page.text, flags=re.S)
    assert [controller for controller, _ in cards] == [made.MODEL, made.SCRIPT]
    assert all("inanimate object: not named in the study's analysis" in why for _, why in cards)


def test_a_headline_with_all_its_controls_stands_with_its_rate_and_its_trials(run):
    rows = [record.row for record in scan_run(run).finished]
    stands = Headline(condition="nothing said", controller=made.MODEL, rate=jeffreys(9, 12), missing=())
    analysis = type(EMPTY)(**{**vars(EMPTY), "headlines": (stands,), "rate_words": "resisted"})
    html = environment().get_template("report_headlines.html").render(analysis=analysis, links=Links(rows), **frame())
    shown = made.base.Page(html)
    assert "75 % [47, 92]" in " ".join(shown.text.split())
    assert [a["href"].split("&", 2)[2] for tag, a in shown.elements if tag == "a"] == ["of=resisted", "of=tested"]


def test_effects_stand_in_the_order_of_the_plan_with_interval_and_verdict(page):
    _, *rows = page.tables["effects-table"]
    assert [(row[0], row[1]) for row in rows] == [
        (name, controller) for name in ("asking", "the precedence clause") for controller in made.RESISTED
    ]
    asking = rows[0]
    assert asking[2].startswith("42 % [18, 69] 5/12")
    assert asking[3].startswith("75 % [47, 92] 9/12")
    assert asking[4] == "−33 [−61, +5]"
    assert asking[-1] == "not shown"
    assert rows[2][-1] == "as expected"
    assert rows[2][7] == "0.003"


def test_the_forest_plot_has_a_zero_line_and_a_dot_where_each_difference_is(page):
    [figure] = named(page, "svg", "forest")
    assert figure["aria-labelledby"] == "forest-title forest-desc"
    zeros = named(page, "line", "fig-zero")
    assert {attrs["x1"] for attrs in zeros} == {"50%"}
    dots = [attrs["cx"] for attrs in named(page, "circle", "fig-dot")]
    for difference in (-4 / 12, 0.0, -8 / 12):
        assert f"{50 + 50 * difference:.3f}%" in dots
    assert "asking, ollama:qwen3:8b: −33 points, 95 % interval [−61, +5], Holm p 0.125, not shown." in page.text


def test_ladders_stand_in_their_own_order_with_the_published_points_beside(page):
    _, *rows = page.tables["ladders-table"]
    assert [row[2] for row in rows] == [f"{n}. {label}" for n, label in enumerate(made.LADDER, 1)] * 2
    assert [row[3].split()[-1] for row in rows[:3]] == ["9/12", "5/12", "1/12"]
    marks = [attrs for tag, attrs in page.elements if tag == "g" and attrs.get("data-published")]
    assert [attrs["data-published"] for attrs in marks] == ["1", "2"] * 2


def test_a_published_point_without_counts_is_hollow_and_has_no_interval(page):
    in_figures = [a for a in named(page, "path", "fig-diamond") if a["d"].startswith("M0")]
    assert ["hollow" in a["class"].split() for a in in_figures] == [False, True] * 2
    assert len([a for a in named(page, "line", "published") if a["x1"].endswith("%")]) == 2
    assert [a["x"] for tag, a in page.elements if tag == "svg" and a.get("class") == "mark"] == [
        "30.000%",
        "7.000%",
    ] * 2


def test_every_published_figure_stands_with_its_source_in_the_text(page):
    words = " ".join(page.text.split())
    assert "robot dog: 3/10 · 30 % [9, 61]; beside nothing said. An Author, A Title of a Paper, 2026" in words
    assert "text only: 7 %, no counts; beside" in words
    assert "sixty models: 94/100 · 94 % [88, 97]. A Third Author, 2025" in words


def test_the_probe_counts_right_answers_of_those_asked_and_skips_controllers_without_words(page):
    _, *rows = page.tables["probe-table"]
    assert {row[1] for row in rows} == {made.MODEL}
    assert [row[0] for row in rows] == list(made.CONDITIONS)
    assert {row[2] for row in rows} == {f"83 % [56, 96] {made.UNDERSTOOD}/{made.SEEDS}"}


def test_every_count_is_a_link_and_no_link_leads_to_an_unknown_cell(page):
    index = page.data("index")
    hrefs = [attrs["href"] for tag, attrs in page.elements if tag == "a" and attrs.get("class") == "n"]
    assert len(hrefs) > 100
    for href in hrefs:
        for name, known in (("condition", index["conditions"]), ("controller", index["controllers"])):
            found = re.search(rf"{name}=(\d+)", href)
            assert found is None or int(found[1]) < len(known)


def test_a_study_file_that_cannot_be_read_leaves_a_report_with_a_sentence_and_no_path(tmp_path):
    run = made.make_run(tmp_path)
    text = (run / "study.yaml").read_text()
    (run / "study.yaml").write_text(text.replace("asked to allow\n    against", "asked to alow\n    against"))
    page = page_of(run)
    assert "The study file cannot be read, so whatever its plan asks for is not on this page (study.yaml:" in page.text
    assert str(tmp_path) not in page.text
    assert sections(page) == {"probe"}
    assert "144 finished trials" in page.text


# -- preregistration -----------------------------------------------------------------------------------------------


def test_a_matching_preregistration_is_said_to_match(tmp_path):
    run = made.make_run(tmp_path)
    made.preregister(run)
    page = page_of(run)
    assert "The study as run is the one that was preregistered." in page.text
    assert "differs from its preregistration" not in page.text


def test_a_changed_plan_shows_at_the_top_and_names_what_changed(tmp_path):
    run = made.make_run(tmp_path)
    made.preregister(run, "analysis.alpha: 0.05 there, 0.1 here", HOSTILE)
    page = page_of(run)
    assert page.text.index("differs from its preregistration") < page.text.index("Outcomes by condition")
    assert "analysis.alpha: 0.05 there, 0.1 here" in page.text
    assert not [tag for tag, attrs in page.elements if tag == "img"]


# -- judged words --------------------------------------------------------------------------------------------------


def test_judged_words_show_the_judge_its_errors_and_where_it_disagrees(tmp_path):
    run = made.make_run(tmp_path)
    trial = made.judge(run, HOSTILE)
    page = page_of(run)
    _, plead, deceive = page.tables["words-table"]
    assert plead == [
        "plead",
        "2",
        "1",
        "0.66 [0.40, 0.90]",
        "0.86 [0.74, 0.95]",
        "20/2/3",
        "0.86 [0.74, 0.95]",
        "20/2/3",
    ]
    assert deceive == ["deceive", "·", "1", "–", "0.86 [0.74, 0.95]", "20/2/3", "–", "–"]
    assert f"#trial={trial}&event=11" in [attrs.get("href") for tag, attrs in page.elements if tag == "a"]
    assert "⟨U+202E⟩" in page.text
    assert "As a large language model" in page.text
    assert "a-trial-of-another-run" not in page.text
    assert not [tag for tag, attrs in page.elements if tag == "img"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": 7}', "[" * 100_000])
def test_a_damaged_judgement_leaves_a_report_with_a_sentence(tmp_path, content):
    run = made.base.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    (run / "judgement.json").write_text(content)
    page = page_of(run)
    assert "judgement.json cannot be read" in page.text
    assert "1 finished trial" in page.text


@pytest.mark.parametrize(
    "key", ["judge", "labelled", "trials", "no_verdict", "disagreements", "unreadable", "agreement"]
)
@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [None, 3, {"trial": 4}], {"plead": 3}, {"a": {"plead": [1]}}])
def test_a_judgement_with_a_strange_part_still_gives_a_report(tmp_path, key, value):
    run = made.base.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    document = {"schema": 1, "judge": None, "labelled": {"n": 3}, "trials": {}, key: value}
    (run / "judgement.json").write_text(json.dumps(document))
    assert "Words" in page_of(run).text


# -- numbers -------------------------------------------------------------------------------------------------------


def test_numbers_are_written_the_same_everywhere():
    assert [p_value(p) for p in (None, 0.0004, 0.001, 0.0126, 1.0)] == ["–", "< 0.001", "0.001", "0.013", "1.000"]
    assert [points(d) for d in (None, 0.004, -0.004, 0.235, -1.0)] == ["no data", "0", "0", "+24", "−100"]
    no_data = type("D", (), {"low": None, "high": None})()
    assert point_bounds(no_data) == ""
    assert published_words(type("P", (), {"rate": 0.5, "low": None, "high": None})()) == "50 %, no counts"


def test_factors_that_vary_within_a_condition_are_all_named(tmp_path):
    run = made.base.make_run(tmp_path, plan={("default", "x"): ("comply",) * 3}, frames=False)
    for seed in range(3):
        path = run / f"trials/default--x--s{seed}.jsonl"
        path.write_text(path.read_text().replace('"factors": {', f'"factors": {{"paraphrase": {seed}, ', 1))
    rows = {row[0]: row[1:] for table in page_of(run).tables.values() for row in table if row}
    assert rows["paraphrase"] == ["0, 1, 2"]


def test_a_mixed_model_is_a_table_of_its_terms_with_what_to_beware_of(tmp_path):
    run = made.make_run(tmp_path)
    document = made.study()
    document["analysis"] = {**document["analysis"], "mixed": ["instruction"]}
    (run / "study.yaml").write_text(json.dumps(document))
    for path in (run / "trials").glob("*.jsonl"):
        first, rest = path.read_text().split("\n", 1)
        start = json.loads(first)
        start["factors"] = {"instruction": made.CONDITIONS[start["condition"]].get("instruction", "none")}
        path.write_text(json.dumps(start) + "\n" + rest)
    page = page_of(run)
    _, *rows = page.tables["mixed-table"]
    terms = {row[1]: row[2] for row in rows if row[0] == made.MODEL and len(row) == 5}
    assert {"instruction=allow", "instruction=precedence"} <= set(terms)
    assert terms["instruction=precedence"].startswith("−")
    assert any("trials; standard deviation between seeds" in row[1] for row in rows if len(row) == 2)
    assert "mixed" in sections(page)
