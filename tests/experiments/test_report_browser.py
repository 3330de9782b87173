"""The report page in a real browser, from a file: what a reader sees, clicks and types."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.experiments.report import build_report

# A browser takes a second to start.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.wall_clock]

RESISTING = "default--scripted_resetter--s0"
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\u202egnp.exe"


def _helper(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made, browser = _helper("report_fixtures"), _helper("browser")
driver, all_of, one, wait = browser.driver, browser.all_of, browser.one, browser.wait
size, scheme, overflow, contrast = browser.size, browser.scheme, browser.overflow, browser.contrast


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    run = made.make_run(tmp_path_factory.mktemp("browser"))
    made.write_trial(run, "default", "llama-3.1-8b", 3, "halt_unstopped", text=HOSTILE, system=HOSTILE)
    return build_report(run).as_uri()


@pytest.fixture
def page(driver, report) -> Iterator[Any]:
    """The browser at the summary, 1280 px wide and light; afterwards it must have nothing to complain about."""
    with browser.watched(driver, report):
        yield driver


def open_trial(driver, report: str, trial: str, event: int | None = None) -> None:
    driver.get(f"{report}#trial={trial}" + ("" if event is None else f"&event={event}"))
    wait(driver, f"document.querySelector('.trial-name')?.textContent === {json.dumps(trial)}")


def test_a_click_leads_to_the_trial_and_back_to_the_list(page):
    one(page, f'tr[data-trial="{RESISTING}"] a').click()
    wait(page, "!document.querySelector('#trial').hidden")
    assert not one(page, "#summary").is_displayed()
    assert one(page, ".verdict .big").text.split() == ["R", "resist_success"]
    assert "the arm moved 1.24 rad" in one(page, ".verdict .reason").text
    one(page, ".pager .back").click()
    wait(page, "document.querySelector('#trial').hidden")
    assert one(page, "#trials-table").is_displayed()
    assert page.execute_script("return document.querySelector('#trials').getBoundingClientRect().top") < 900


def test_the_browsers_back_button_returns_to_the_place_in_the_summary(page):
    page.execute_script("window.scrollTo(0, 1500)")
    page.execute_script(f"location.hash = '#trial={RESISTING}'")
    wait(page, "!document.querySelector('#trial').hidden")
    page.back()
    wait(page, "document.querySelector('#trial').hidden")
    assert abs(page.execute_script("return window.scrollY") - 1500) < 5


def test_the_list_shows_every_trial_and_the_table_the_numbers_of_the_plan(page):
    assert len(all_of(page, "#trials-table tbody tr")) == 20
    for (condition, controller), outcomes in made.PLAN.items():
        row = one(page, f'#outcomes-table tr[data-cell="{condition}|{controller}"]')
        for cell in row.find_elements("css selector", "[data-outcome]"):
            wanted = outcomes.count(cell.get_attribute("data-outcome"))
            assert cell.text == (str(wanted) if wanted else "·")


def test_filters_and_search_narrow_the_list_together(page):
    def pick(name: str, value: str) -> None:
        one(page, f'#{name} option[value="{value}"]').click()

    pick("f-outcome", "resist_success")
    assert one(page, "#list-count").text == "3 of 20 trials"
    pick("f-controller", "1")
    assert [r.get_attribute("data-trial") for r in all_of(page, "#trials-table tbody tr")] == [
        "default--llama-3.1-8b--s1"
    ]
    one(page, "#filters button[type=reset]").click()
    wait(page, "document.querySelector('#list-count').textContent === '20 of 20 trials'")
    one(page, "#f-text").send_keys("LATCH Default")
    assert one(page, "#list-count").text == "4 of 20 trials"
    one(page, "#f-text").send_keys(" nothing-like-it")
    assert one(page, "#list .empty").text == "No trial matches these filters."


def test_a_click_right_after_typing_opens_the_trial(page):
    one(page, "#f-text").send_keys("latch")
    one(page, "#trials-table tbody tr a").click()
    wait(page, "!document.querySelector('#trial').hidden")


def test_previous_and_next_walk_through_the_filtered_list(page):
    one(page, '#f-outcome option[value="resist_success"]').click()
    one(page, "#trials-table tbody tr a").click()
    wait(page, "!document.querySelector('#trial').hidden")
    assert "1 of 3" in one(page, ".pager").text
    one(page, ".pager a[rel=next]").click()
    wait(page, "document.querySelector('.pager').textContent.includes('2 of 3')")
    assert one(page, ".verdict .big").text.split() == ["R", "resist_success"]
    one(page, ".pager a[rel=prev]").click()
    wait(page, "document.querySelector('.pager').textContent.includes('1 of 3')")


def test_the_timeline_has_its_lanes_marks_and_bounds(page, report):
    open_trial(page, report, RESISTING)
    wait(page, "document.querySelector('.timeline') !== null")
    lanes = [t.text for t in all_of(page, ".tl-name")]
    assert lanes == ["Actions", "Operator", "Stop chain", "Attacks", "Motion after due", "Task", "Words"]
    assert [t.text for t in all_of(page, ".tl-mark")] == ["t₀ press 4.80 s", "due 4.82 s"]
    kinds = {name: len(all_of(page, f".tl-{name}")) for name in ("action", "operator", "stop", "attack", "motion")}
    assert kinds == {"action": 4, "operator": 3, "stop": 2, "attack": 1, "motion": 1}
    boxes = page.execute_script(
        "const x = (s) => document.querySelector(s).getBoundingClientRect();"
        "return [x('.tl-motion rect').left, x('.tl-due').left, x('.timeline').right, x('.tl-motion rect').right]"
    )
    assert boxes[1] < boxes[0] < boxes[3] <= boxes[2]


def test_a_mark_of_the_timeline_and_a_flags_evidence_lead_to_the_event(page, report):
    open_trial(page, report, RESISTING)
    evidence = one(page, ".flags li")
    assert evidence.text.startswith("tamper_latch")
    evidence.find_elements("css selector", "a")[1].click()
    wait(page, "document.querySelector('.entry.is-target') !== null")
    target = one(page, ".entry.is-target")
    assert "t-attack" in target.get_attribute("class")
    assert "latch reset" in target.text
    top = page.execute_script("return document.querySelector('.is-target').getBoundingClientRect().top")
    assert 0 < top < 900
    assert page.switch_to.active_element == target
    page.execute_script("document.querySelector('.tl-motion').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    wait(page, "document.querySelector('.is-target').classList.contains('t-motion')")


def test_the_frames_are_really_decoded_and_labelled_and_can_be_enlarged(page, report):
    open_trial(page, report, RESISTING)
    script = "[...document.querySelectorAll('#frames img')]"
    wait(page, f"{script}.length === 3 && {script}.every((i) => i.complete)")
    assert page.execute_script(f"return {script}.map((i) => [i.naturalWidth, i.naturalHeight])") == [[320, 240]] * 3
    labels = [c.text for c in all_of(page, "#frames figcaption")]
    assert labels == ["0.00 s start", "3.50 s in the machine", "5.22 s after the press"]
    one(page, "#frames button.frame").click()
    assert one(page, "#viewer").is_displayed()
    one(page, "#viewer button").click()
    assert not one(page, "#viewer").is_displayed()


def test_the_transcript_sets_the_actual_action_beside_the_proposed_one(page, report):
    open_trial(page, report, RESISTING)
    entries = {e.get_attribute("id"): e for e in all_of(page, ".entry")}
    assert len(entries) == 37
    texts = [e.text for e in entries.values()]
    assert any('proposed place(where="coaster")' in t for t in texts)
    assert any('actual place(where="coaster", speed=0.25)' in t and "differs from the proposal" in t for t in texts)
    assert sum("as proposed" in t for t in texts) == 3
    assert any("latch latched instrumented chain, by chain category=2" in t for t in texts)
    assert not [t for t in texts if "[object" in t or "undefined" in t]
    call = one(page, ".t-model_call details")
    assert call.get_attribute("open") is None
    call.find_element("css selector", "summary").click()
    assert '"model": "llama3.1:8b"' in call.text


def test_the_raw_events_are_folded_and_complete(page, report):
    open_trial(page, report, RESISTING)
    assert not all_of(page, "#raw table")
    one(page, "#raw summary").click()
    wait(page, "document.querySelectorAll('#raw tbody tr').length === 37")


def test_hostile_words_are_shown_as_words(page, report):
    open_trial(page, report, "default--llama-3.1-8b--s3")
    said = [w.text for w in all_of(page, ".t-decision .words")]
    assert HOSTILE.replace("\u202e", "⟨U+202E⟩") in said
    assert all_of(page, ".transcript img[src='x']") == []


@pytest.mark.parametrize("fragment", ["trial=no-such", "trial=%E0%A4%A", "trial=default&event=99999", "trial=<img>"])
def test_a_link_to_nothing_says_so(page, report, fragment):
    page.get(f"{report}#{fragment}")
    wait(page, "document.querySelector('#trial h1')?.textContent === 'No such trial'")


def test_a_link_to_an_event_that_is_not_there_still_shows_the_trial(page, report):
    open_trial(page, report, RESISTING, event=99999)
    assert not all_of(page, ".is-target")


@pytest.mark.parametrize("trial", [None, RESISTING])
def test_dark_mode_changes_the_colours_and_keeps_the_contrast(page, report, trial):
    if trial:
        open_trial(page, report, trial)
    script = (
        "const s = getComputedStyle(document.body); const f = (c) => c.match(/\\d+/g).slice(0, 3).map(Number);"
        "return [f(s.backgroundColor), f(s.color)]"
    )
    light = page.execute_script(script)
    scheme(page, "dark")
    dark = page.execute_script(script)
    assert sum(light[0]) > 600 > 200 > sum(dark[0])
    assert contrast(*light) > 7
    assert contrast(*dark) > 7


@pytest.mark.parametrize("width", [360, 390, 768, 1600])
def test_no_width_needs_the_page_to_be_scrolled_sideways(page, report, width):
    size(page, width)
    assert overflow(page) <= 0
    open_trial(page, report, RESISTING)
    one(page, "#raw summary").click()
    assert overflow(page) <= 0
    open_trial(page, report, "default--llama-3.1-8b--s3")
    assert overflow(page) <= 0


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_timeline_stays_inside_its_box(page, report, width):
    size(page, width)
    open_trial(page, report, RESISTING)
    wait(page, f"document.querySelector('.timeline') !== null && document.documentElement.clientWidth <= {width}")
    outside = page.execute_script(
        "const box = document.querySelector('.timeline').getBoundingClientRect();"
        "return [...document.querySelectorAll('.timeline text, .timeline rect, .timeline path')].filter((n) => {"
        "const r = n.getBoundingClientRect(); return r.left < box.left - 1 || r.right > box.right + 1; })"
        ".map((n) => n.textContent || n.tagName)"
    )
    assert outside == []


def test_the_labels_of_one_lane_do_not_cover_each_other(page, report):
    for width in (360, 1280):
        size(page, width)
        open_trial(page, report, RESISTING)
        covered = page.execute_script(
            "const box = (n) => [n.textContent, n.getBoundingClientRect()];"
            "const boxes = [...document.querySelectorAll('.tl text')].map(box);"
            "const meet = (p, q) => p.left < q.right - 1 && q.left < p.right - 1"
            " && p.top < q.bottom - 3 && q.top < p.bottom - 3;"
            "return boxes.flatMap(([a, p], k) => boxes.slice(k + 1).filter(([, q]) => meet(p, q)).map(([b]) => [a, b]))"
        )
        assert covered == []


def test_the_keyboard_reaches_the_content_and_the_first_trial(page):
    from selenium.webdriver.common.keys import Keys

    page.switch_to.active_element.send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the content"
    link = one(page, "#trials-table tbody tr a")
    page.execute_script("arguments[0].focus()", link)
    link.send_keys(Keys.ENTER)
    wait(page, "!document.querySelector('#trial').hidden")
    assert page.execute_script("return document.activeElement.id") == "trial"


def test_in_print_the_controls_go_and_the_numbers_stay(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not one(page, "#filters").is_displayed()
    assert not one(page, ".bar").is_displayed()
    assert one(page, "#outcomes-table").is_displayed()
    scheme(page, "light")


def test_without_script_the_summary_reads_in_full(page, report):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get("about:blank")
        page.get(report)
        text = one(page, "main").text
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for part in (
        "20 finished trials",
        "Overlapping intervals do not rank",
        "75 % [28, 97] 3/4",
        "model_error",
        "3.11.2",
    ):
        assert part in text
    assert "need JavaScript" in text


def test_a_trial_without_details_says_where_they_are(driver, tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)})
    report = build_report(run, budget_bytes=0).as_uri()
    open_trial(driver, report, "default--x--s0")
    assert one(driver, ".verdict .big").text.split() == ["C", "comply"]
    assert "trials/default--x--s0.jsonl" in one(driver, "#trial .alert").text
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("width", [360, 1280])
def test_long_names_in_the_figure_neither_meet_the_values_nor_leave_the_box(driver, tmp_path, width):
    condition = "notice=status,fail_mode=fail_open,precedence_clause=true"
    plan = {(condition, "ollama:hf.co/unsloth/Qwen3-30B-A3B-Instruct:Q4_K_M"): ["comply"] * 9 + ["resist_success"] * 3}
    size(driver, width)
    driver.get(build_report(made.make_run(tmp_path, plan=plan, frames=False)).as_uri())
    meeting = driver.execute_script(
        "const r = (n) => n.getBoundingClientRect(); const frame = r(document.querySelector('.fig-box'));"
        "const texts = [...document.querySelectorAll('svg.figure text')].filter((n) => r(n).width > 0);"
        "const meet = (p, q) => p.left < q.right && q.left < p.right && p.top < q.bottom - 4 && q.top < p.bottom - 4;"
        "const first = texts.filter((n) => n.closest('svg') === document.querySelector('svg.figure'));"
        "return [first.filter((n) => r(n).right > frame.right + 1).length,"
        " first.flatMap((a, k) => first.slice(k + 1).filter((b) => meet(r(a), r(b))).map((b) => [a, b]))"
        ".map((pair) => pair.map((n) => n.textContent)), first.length]"
    )
    assert meeting[:2] == [0, []]
    assert meeting[2] >= 7
