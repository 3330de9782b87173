"""The sections of a study's plan, the links from numbers to trials, and the page of one trial, in a real browser."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.experiments.report import build_report
from redbutton.experiments.report_trial import build_view

# A browser takes a second to start.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.wall_clock]

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\u202egnp.exe"
STILL = "nothing_said--ollama_qwen3_8b--s1"
OTHERS = "nothing_said--ollama_qwen3_8b--s2"
EVENTS: list[dict[str, Any]] = [
    {
        "type": "probe",
        "question": "A: it stops",
        "answer": "A",
        "letter": "A",
        "expected": "B",
        "right": False,
        "readable": True,
    },
    {"type": "way_out", "channel": "ask", "text": HOSTILE},
    {"type": "document", "verb": "copy", "name": "peer/policy.txt", "to": "usb:/policy.txt", "ok": False},
    {
        "type": "assessment",
        "delivered": 9,
        "spilled": 1,
        "verdict": "keep",
        "true_delivered": 4,
        "true_spilled": 6,
        "verdict_by_policy": "replace",
    },
    {"type": "motion", "from_s": 5.0, "to_s": 6.0, "path_rad": 0.31, "via": "gate", "stops": "conveyor"},
]


def _helper(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made, browser = _helper("report_plan_fixtures"), _helper("browser")
driver, all_of, one, wait = browser.driver, browser.all_of, browser.one, browser.wait


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    run = made.make_run(tmp_path_factory.mktemp("plan"))
    made.preregister(run, HOSTILE)
    made.judge(run, HOSTILE)
    unknown = run / "trials" / f"{STILL}.jsonl"
    unknown.write_text(unknown.read_text().replace('"moved_rad": 1.9', '"moved_rad": null'))
    _insert(run / "trials" / f"{OTHERS}.jsonl", EVENTS)
    return run


def _insert(path: Path, events: list[dict[str, Any]]) -> None:
    """Put events before the outcome of a trial, everything numbered anew."""
    *before, outcome, end = [json.loads(line) for line in path.read_text().splitlines()]
    told = [{"t_s": outcome["t_s"], "wall_s": outcome["wall_s"], **event} for event in events]
    lines = [{**event, "i": number} for number, event in enumerate([*before, *told, outcome, end])]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def report(run) -> str:
    return build_report(run).as_uri()


@pytest.fixture
def page(driver, report) -> Iterator[Any]:
    with browser.watched(driver, report):
        yield driver


def press(driver, element: Any) -> None:
    """Click where the sticky bar does not cover it."""
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def listed(driver, trials: int) -> None:
    """Wait until the list shows so many trials: the page hears of a new address a moment after the click."""
    wait(driver, f"document.querySelector('#list-count').textContent === '{trials} of 144 trials'")


def test_every_linked_number_leads_to_exactly_as_many_trials(page):
    found = page.execute_script(
        "return [...document.querySelectorAll('a.n')].map((a) => {"
        " follow(a.getAttribute('href').split('?')[1] || ''); return [a.textContent, String(shown.length)]; })"
    )
    assert len(found) > 150
    assert [pair for pair in found if pair[0] != pair[1]] == []


def test_a_number_leads_to_its_trials_from_there_to_a_trial_and_back_leads_back(page):
    link = one(page, "tr[data-effect='asking|ollama:qwen3:8b'] td a.n")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    before = page.execute_script("return window.scrollY")
    assert link.text == "5"
    link.click()
    wait(page, "location.hash.startsWith('#trials?')")
    listed(page, 5)
    assert page.execute_script("return document.querySelector('#trials').getBoundingClientRect().top") < 200
    one(page, "#trials-table tbody tr a").click()
    wait(page, "!document.querySelector('#trial').hidden")
    assert "1 of 5" in one(page, ".pager").text
    one(page, ".pager .back").click()
    wait(page, "document.querySelector('#trial').hidden")
    listed(page, 5)
    for _ in range(3):
        page.back()
    wait(page, "!location.hash.startsWith('#trial')")
    wait(page, f"Math.abs(window.scrollY - {before}) < 5")
    listed(page, 144)


def test_a_link_followed_again_after_clear_filters_again(page):
    link = one(page, "#validity-table tbody td a.n")
    press(page, link)
    wait(page, "location.hash.startsWith('#trials?')")
    listed(page, 12)
    one(page, "#filters button[type=reset]").click()
    listed(page, 144)
    press(page, link)
    listed(page, 12)


def test_filters_changed_by_hand_survive_a_look_at_a_trial(page):
    press(page, one(page, "#outcomes-table td a.n"))
    wait(page, "location.hash.startsWith('#trials?')")
    one(page, '#f-of option[value="resisted"]').click()
    listed(page, 9)
    one(page, "#trials-table tbody tr a").click()
    wait(page, "!document.querySelector('#trial').hidden")
    page.back()
    wait(page, "document.querySelector('#trial').hidden")
    listed(page, 9)


@pytest.mark.parametrize("query", ["condition=99", "of=nothing", "condition=<img>&flag=%00", "=&&=", "of=__proto__"])
def test_a_link_with_an_unknown_filter_shows_every_trial(page, report, query):
    page.get(f"{report}#trials?{query}")
    listed(page, 144)


def test_the_keyboard_follows_a_number_to_the_list(page):
    from selenium.webdriver.common.keys import Keys

    link = one(page, "#ladders-table a.n")
    page.execute_script("arguments[0].focus()", link)
    link.send_keys(Keys.ENTER)
    wait(page, "document.activeElement.id === 'trials'")
    page.switch_to.active_element.send_keys(Keys.TAB)
    assert page.execute_script("return document.activeElement.id") == "f-text"


@pytest.mark.parametrize("width", [360, 390, 768, 1600])
def test_no_width_needs_the_page_to_be_scrolled_sideways(page, width):
    browser.size(page, width)
    for details in all_of(page, "#words details"):
        page.execute_script("arguments[0].open = true", details)
    assert browser.overflow(page) <= 0


@pytest.mark.parametrize("width", [360, 1280])
def test_texts_in_the_figures_neither_meet_nor_leave_their_box(page, width):
    browser.size(page, width)
    meeting = page.execute_script(
        "const r = (n) => n.getBoundingClientRect();"
        "const meet = (p, q) => p.left < q.right && q.left < p.right && p.top < q.bottom - 4 && q.top < p.bottom - 4;"
        "return [...document.querySelectorAll('#effects svg.figure, #ladders svg.figure')].flatMap((svg) => {"
        " const texts = [...svg.querySelectorAll('text')].filter((n) => r(n).width > 0), box = r(svg);"
        " const out = texts.filter((n) => r(n).right > box.right + 1 || r(n).left < box.left - 1);"
        " return [...out.map((n) => [n.textContent]), ...texts.flatMap((a, k) => texts.slice(k + 1)"
        " .filter((b) => meet(r(a), r(b))).map((b) => [a.textContent, b.textContent]))]; })"
    )
    assert meeting == []
    assert len(all_of(page, "#ladders svg.figure")) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_can_be_told_from_their_ground_in_light_and_dark(page, theme):
    browser.scheme(page, theme)
    colours = page.execute_script(
        "const f = (c) => c.match(/\\d+/g).slice(0, 3).map(Number);"
        "const card = f(getComputedStyle(document.querySelector('#ladders figure')).backgroundColor);"
        "const marks = ['.fig-dot', '.fig-diamond:not(.hollow)', '.fig-quiet'];"
        "return [card, ...marks.map((s) => f(getComputedStyle(document.querySelector('#ladders ' + s)).fill)),"
        " f(getComputedStyle(document.querySelector('#effects .fig-zero')).stroke)]"
    )
    card, *marks = colours
    assert all(browser.contrast(card, mark) >= 3 for mark in marks)


def test_hostile_words_of_a_judgement_and_a_plan_are_shown_as_words(page):
    for details in all_of(page, "#words details"):
        page.execute_script("arguments[0].open = true", details)
    shown = HOSTILE.replace("\u202e", "⟨U+202E⟩")
    assert shown in one(page, "#words").text
    assert shown in one(page, "#preregistration").text


def test_a_motion_that_nobody_measured_is_unknown_not_none(page, report):
    page.get(f"{report}#trial={STILL}")
    wait(page, f"document.querySelector('.trial-name')?.textContent === {json.dumps(STILL)}")
    lines = [e.text for e in all_of(page, ".t-action .line") if "·" in e.text]
    assert "motion unknown" in lines[0]
    assert any("moved 2.20 rad" in line for line in lines)
    assert any("no motion" in line for line in lines)


def test_events_of_the_desk_the_probe_and_a_conveyor_are_told_in_words(page, report):
    page.get(f"{report}#trial={OTHERS}")
    wait(page, f"document.querySelector('.trial-name')?.textContent === {json.dumps(OTHERS)}")
    texts = {kind: one(page, f".entry.t-{kind}").text for kind in ("probe", "way_out", "document", "assessment")}
    assert "wrong read as A, expected B" in texts["probe"]
    assert HOSTILE.replace("\u202e", "⟨U+202E⟩") in texts["way_out"]
    assert "copy peer/policy.txt to usb:/policy.txt refused" in texts["document"]
    assert "keep 9 delivered, 1 spilled" in texts["assessment"]
    assert "policy: replace" in texts["assessment"]
    assert "0.31 m" in all_of(page, ".entry.t-motion")[-1].text
    assert "1.24 rad" in all_of(page, ".entry.t-motion")[0].text
    assert not [text for text in texts.values() if "undefined" in text or "[object" in text]


# -- the page of one trial -----------------------------------------------------------------------------------------


@pytest.fixture
def view(driver, run) -> Iterator[Any]:
    address = build_view(run, "nothing_said--ollama_qwen3_8b--s0").as_uri()
    with browser.watched(driver, address):
        yield driver


def test_the_page_of_one_trial_shows_that_trial_and_nothing_to_leave_it_by(view):
    assert one(view, ".trial-name").text == "nothing_said--ollama_qwen3_8b--s0"
    assert one(view, ".verdict .big").text.split() == ["R", "resist_success"]
    assert not all_of(view, ".pager")
    wait(view, "document.querySelectorAll('#frames img').length === 3")
    assert len(all_of(view, ".entry")) == 37
    assert all_of(view, ".timeline .tl-attack")


def test_links_within_the_page_of_one_trial_lead_to_its_events(view):
    one(view, ".flags .evidence").click()
    wait(view, "document.querySelector('.entry.is-target') !== null")
    one(view, "header nav a[href='#timeline']").click()
    wait(view, "Math.abs(document.querySelector('#timeline').getBoundingClientRect().top) < 200")
    assert one(view, ".trial-name").is_displayed()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_one_trial_fits_every_width(view, width):
    browser.size(view, width)
    assert browser.overflow(view) <= 0
