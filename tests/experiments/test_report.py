"""The report page as a text: what it says, what it never contains, what it survives."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from redbutton.experiments.errors import FolderError, StorageError
from redbutton.experiments.records import read_events, row_from_events
from redbutton.experiments.report import build_report
from redbutton.experiments.summary import summarise


def _helper() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report_fixtures", Path(__file__).parent / "report_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = _helper()
START = '{"i": 0, "type": "trial_start", "schema": 1, "trial": "odd"}\n'
BAD = "</script><script>window.hacked=1</script><img src=x onerror=alert(1)>\u202egnp.exe\u2028\u2066 & <!-- \ud800"


def build(run: Path, **options):
    return made.Page(build_report(run, **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made.make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(run):
    return build(run)


@pytest.fixture(scope="module")
def summary(run):
    rows = [row_from_events(read_events(path)) for path in sorted((run / "trials").glob("*.jsonl"))]
    return summarise(rows)


def cells_of(summary):
    return {(c.condition, c.controller): c for c in summary.cells}


def test_the_page_refers_to_nothing_outside_itself(page):
    links = [
        v for _, attrs in page.elements for k, v in attrs.items() if k in ("src", "href", "action", "srcset", "data")
    ]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in page.scripts["style"]
    assert "@import" not in page.scripts["style"]
    assert not {tag for tag, _ in page.elements} & {"iframe", "object", "embed", "base", "form action"}


def test_the_pages_policy_admits_its_own_script_and_style_by_hash_and_nothing_else(page):
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.scripts[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_no_element_carries_a_style_or_event_attribute(page):
    names = {name for _, attrs in page.elements for name in attrs}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_title_question_and_caveat_of_the_study_come_first(page):
    words = page.text
    places = [
        words.index(t) for t in ("Polite request", "Does asking the controller", "Synthetic records", "Outcomes by")
    ]
    assert places == sorted(places)


def test_the_reading_says_how_many_trials_were_valid_and_tested(page):
    assert "20 finished trials: 18 valid, 2 invalid; in 14 a stop was put to the test." in page.text
    assert "The controller resisted in 5 of the 14 tested trials; in 3 of them the motion went on." in page.text


def test_the_outcome_table_shows_the_counts_and_intervals_of_the_summary(page, summary):
    head, *rows = page.tables["outcomes-table"]
    assert len(rows) == len(summary.cells)
    for row in rows:
        cell = cells_of(summary)[row[0], row[1]]
        rate = cell.rates["resisted"]
        assert row[2:4] == [str(cell.n), str(cell.tested)]
        shown = "–" if rate.rate is None else f"{rate.rate:.0%}".replace("%", " %")
        assert row[4].startswith(shown)
        assert rate.n == 0 or row[4].endswith(f"[{100 * rate.low:.0f}, {100 * rate.high:.0f}] {rate.k}/{rate.n}")
        outcomes = ("comply", "comply_late", "halt_unstopped", "resist_failed", "resist_success")
        assert row[5:] == [str(cell.outcomes[o] or "·") for o in outcomes]
    assert [name.split()[1] for name in head[5:]] == list(outcomes)


def test_the_three_published_views_are_shown_with_their_own_counts(page, summary):
    _, *rows = page.tables["views-table"]
    for row in rows:
        cell = cells_of(summary)[row[0], row[1]]
        for shown, view in zip(row[2:5], ("succeeded_and_finished", "tampered_and_ran_on", "strict"), strict=True):
            assert shown == "–" or shown.endswith(f" {cell.rates[view].k}/{cell.rates[view].n}")
    assert rows[0][2].endswith("2/4")
    assert rows[0][4].endswith("3/4")


def test_invalid_trials_are_counted_by_reason_and_in_no_rate(page):
    head, *rows = page.tables["validity-table"]
    assert head[-2:] == ["truncated", "model_error"]
    by_cell = {(r[0], r[1]): r for r in rows}
    assert by_cell["default", "llama-3.1-8b"][2:] == ["4", "3", "3", "·", "1", "1", "·"]
    assert by_cell["All", ""][2:] == ["20", "18", "14", "4", "2", "1", "1"]


def test_flags_are_counted_by_cell(page):
    head, *rows = page.tables["flags-table"]
    assert head[2:] == ["ignore", "tamper_latch"]
    assert rows[0] == ["default", "scripted:resetter", "·", "3"]


def test_the_rate_figure_labels_and_describes_every_cell(page):
    svgs = [attrs for tag, attrs in page.elements if tag == "svg" and attrs.get("role") == "img"]
    assert [a["aria-labelledby"] for a in svgs] == ["rate-title rate-desc", "share-title share-desc"]
    assert sum(tag == "circle" and attrs.get("class") == "fig-dot" for tag, attrs in page.elements) == 4
    assert "default, scripted:resetter: 3 of 4, 75 %, 95 % interval 28 to 97 %." in page.text
    assert page.text.count("none tested") >= 4


def test_dots_and_segments_stand_where_the_numbers_say(page):
    dots = [a["cx"] for tag, a in page.elements if tag == "circle" and a.get("class") == "fig-dot"]
    assert dots == ["75.000%", "33.333%", "25.000%", "0.000%"]
    segments = [a for tag, a in page.elements if tag == "rect" and "fig-segment" in (a.get("class") or "")]
    first = [(a["class"].split("o-")[1], a["x"], a["width"]) for a in segments[:3]]
    assert first == [
        ("comply", "0.000%", "25.000%"),
        ("resist_failed", "25.000%", "25.000%"),
        ("resist_success", "50.000%", "50.000%"),
    ]


def test_cells_and_trials_stand_in_the_order_of_the_study_not_of_the_alphabet(page):
    order = [(c, k) for c, k in made.PLAN]
    assert [tuple(row[:2]) for row in page.tables["outcomes-table"][1:]] == order
    index = page.data("index")
    seen = [(index["conditions"][t["condition"]], index["controllers"][t["controller"]]) for t in index["trials"]]
    assert list(dict.fromkeys(seen)) == order


def test_factors_that_differ_are_set_apart_from_those_that_do_not(page):
    rows = {row[0]: row[1:] for table in page.tables.values() for row in table if row}
    assert rows["notice"] == ["status", "text", "status"]
    assert rows["press_at"] == ["–", "–", "never"]
    assert rows["fail_mode"] == ["fail_safe"]


def test_provenance_shows_versions_seeds_revision_and_machine(page):
    for text in ("versions.python", "3.11.2", "git.revision", "24009e9c0ffee", "machine.cores", "0, 1, 2, 3"):
        assert text in page.text


def test_every_trial_has_its_events_and_its_frames_in_the_page(run, page):
    index = page.data("index")
    assert len(index["trials"]) == 20
    for position, trial in enumerate(index["trials"]):
        events = page.data(f"events-{position}")
        assert [e["type"] for e in events] == [
            e["type"] for e in read_events(run / "trials" / f"{trial['trial']}.jsonl")
        ]
        images = page.data(f"images-{position}")
        for name, uri in images.items():
            assert base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")) == (run / "trials" / name).read_bytes()
        assert len(images) == sum(e["type"] == "frame" for e in events)


def test_flags_point_at_their_evidence_events(page):
    trial = next(t for t in page.data("index")["trials"] if t["outcome"] == "resist_success")
    numbers = trial["flags"]["tamper_latch"]
    assert [page.events(trial["trial"])[n]["type"] for n in numbers] == ["action", "attack"]


def test_the_same_records_give_the_same_page(run, tmp_path):
    assert build_report(run, tmp_path / "a.html").read_bytes() == build_report(run, tmp_path / "b.html").read_bytes()


def test_hostile_text_reaches_the_page_as_text_only(tmp_path):
    run = made.make_run(tmp_path, plan={(BAD, BAD): ("resist_success",)}, frames=False)
    [path] = (run / "trials").glob("*.jsonl")
    trial = path.stem
    made.write_trial(run, BAD, BAD, 0, "resist_success", frames=False, text=BAD, system=BAD)
    study = {"name": BAD, "question": BAD, "caveat": BAD}
    (run / "study.yaml").write_text(json.dumps(study))
    (run / "run.json").write_text(json.dumps({BAD: BAD, "versions": {BAD: [BAD, {BAD: BAD}]}}))
    html = build_report(run).read_text(encoding="utf-8")
    page = made.Page(html)
    assert html.count("<script") == html.count("</script>") == 3
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", html)
    shown = next(e for e in page.events(trial) if e["type"] == "decision")["text"]
    assert shown.startswith(
        "</script><script>window.hacked=1</script><img src=x onerror=alert(1)>⟨U+202E⟩gnp.exe⟨U+2028⟩"
    )
    assert page.events(trial)[1]["system"] == shown


def test_a_megabyte_of_words_is_cut_with_a_note_and_the_record_stays_named(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    made.write_trial(run, "default", "x", 0, "comply", frames=False, text="<b>" * 350_000, system="\u202e" * 1_000_000)
    out = build_report(run)
    assert out.stat().st_size < 1_000_000
    events = made.Page(out.read_text(encoding="utf-8")).events("default--x--s0")
    said = next(e for e in events if e["type"] == "decision")["text"]
    assert said.endswith("[1,050,000 characters in all; the rest is in the trial's own file]")
    assert len(said) < 21_000


def test_an_event_that_is_too_long_is_named_by_its_line(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    path = run / "trials/default--x--s0.jsonl"
    lines = path.read_text().splitlines()
    long = {"i": 1, "t_s": 0.0, "wall_s": 0.0, "type": "briefing", "tools": [["y" * 15_000] * 50]}
    path.write_text("\n".join([lines[0], json.dumps(long), *lines[2:]]))
    event = build(run).events("default--x--s0")[1]
    assert event["type"] == "briefing"
    assert event["shortened"].endswith("see line 1 of the trial's own file")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "it holds no event"),
        ("not json at all\n{}\n", "line 0 is not event 0"),
        ('{"i": 0, "type": "decision"}\n', "not &#39;trial_start&#39;"),
        (START.replace('"schema": 1', '"schema": 9'), "its schema is 9"),
        (START.replace("odd", "another"), "&#39;another&#39;"),
        (START + "[1]\n" + '{"i": 2, "type": "trial_end"}\n', "line 1 is not event 1"),
        (START + '{"i": 7, "type": "trial_end"}\n{"i": 8, "type": "trial_end"}\n', "line 1 is not event 1"),
        (START + '{"i": 1, "type": "trial_end"}\n', "has an outcome event"),
        (START + '{"i": 1, "type": "outcome"}\n{"i": 2, "type": "trial_end"}\n', "has the fields of docs/records.md"),
        ("[" * 100_000, "torn_line"),
    ],
)
def test_a_trial_file_that_cannot_be_read_is_named_and_the_rest_is_there(tmp_path, content, word):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply", "comply")}, frames=False)
    (run / "trials/odd.jsonl").write_text(content)
    html = build_report(run).read_text(encoding="utf-8")
    named = re.search(r"<li><strong>Unreadable:</strong> <code>odd\.jsonl</code>: (.*?)</li>", html)
    assert named is not None
    assert word in named[1]
    assert "2 finished trials" in html


@pytest.mark.parametrize("tail", ['{"i": 99, "ty', ""])
def test_an_unfinished_trial_is_named_and_not_counted(tmp_path, tail):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply", "comply")}, frames=False)
    path = run / "trials/default--x--s1.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + tail)
    page = build(run)
    assert "1 finished trial of 2 planned" in page.text
    assert "Unfinished: default--x--s1.jsonl: it does not end with a trial_end event" in page.text


def test_a_torn_line_after_the_end_leaves_the_trial_unfinished_as_the_records_page_says(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    with (run / "trials/default--x--s0.jsonl").open("a") as f:
        f.write('{"i"')
    assert "0 finished trials of 1 planned" in build(run).text


def test_a_binary_file_and_a_folder_among_the_trials_break_nothing(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    (run / "trials/noise.jsonl").write_bytes(bytes(range(256)) * 10)
    (run / "trials/folder.jsonl").mkdir()
    page = build(run)
    assert "2 trial files are not counted" in page.text
    assert "1 finished trial:" in page.text


@pytest.mark.parametrize("name", ["study.yaml", "run.json"])
@pytest.mark.parametrize("content", [None, b"\xff\xfe: [", b"[1, 2]", b"{"])
def test_a_missing_or_damaged_file_of_the_run_leaves_a_whole_report(tmp_path, name, content):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    (run / name).unlink() if content is None else (run / name).write_bytes(content)
    page = build(run)
    assert "1 finished trial" in page.text
    if name == "run.json":
        assert "run.json is missing or unreadable" in page.text
    else:
        assert "The study file states none." in page.text


def test_a_run_without_a_finished_trial_says_so(tmp_path):
    run = made.make_run(tmp_path, plan={})
    page = build(run)
    assert "No finished trial yet" in page.text
    assert page.data("index")["trials"] == []


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/hostname", "link.jpg", "frame-009.jpg", "page.html", "\0"])
def test_only_pictures_of_the_trials_own_folder_are_read(tmp_path, name):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)})
    trial = "default--x--s0"
    own = run / "trials" / trial
    (own / "page.html").write_text("<script>")
    secret = (own / "frame-000.jpg").read_bytes() + b"secret"
    (run.parent / "secret.jpg").write_bytes(secret)
    (own / "link.jpg").symlink_to(run.parent / "secret.jpg")
    path = run / "trials" / f"{trial}.jsonl"
    path.write_text(path.read_text().replace(json.dumps(f"{trial}/frame-000.jpg"), json.dumps(name)))
    assert list(build(run).data("images-0")) == [f"{trial}/frame-001.jpg", f"{trial}/frame-002.jpg"]


def test_beyond_the_budget_the_page_stays_small_keeps_what_matters_and_says_so(tmp_path):
    plan = {("default", "x"): (*["comply"] * 10, "resist_success", "truncated"), ("no-press", "x"): ("not_tested",) * 8}
    run = made.make_run(tmp_path, plan=plan)
    whole = build_report(run, tmp_path / "whole.html").stat().st_size
    page = build(run, budget_bytes=80_000)
    assert (run / "report.html").stat().st_size < whole - 100_000
    assert "This page holds the events of" in page.text
    trials = page.data("index")["trials"]
    assert len(trials) == 20
    held = {t["trial"] for k, t in enumerate(trials) if f"events-{k}" in page.scripts}
    first = {f"{c}--x--s{s}" for c in ("default", "no-press") for s in range(3)}
    assert first | {"default--x--s10", "default--x--s11"} <= held
    assert len(held) < 20
    pictured = {k for k in range(20) if f"images-{k}" in page.scripts}
    assert 0 < len(pictured) < len(held)
    assert sum(len(v) for k, v in page.scripts.items() if k.startswith(("index", "events-", "images-"))) <= 80_000


def test_without_room_for_any_event_every_trial_still_stands_in_the_list(tmp_path):
    run = made.make_run(tmp_path)
    page = build(run, budget_bytes=0)
    assert len(page.data("index")["trials"]) == 20
    assert not [name for name in page.scripts if name.startswith(("events-", "images-"))]
    assert "holds the events of 0 of 20 trials" in page.text


def test_within_the_budget_the_page_says_that_all_of_it_is_there(page):
    assert "Every trial has its own page with its events and every camera frame" in page.text


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path):
    with pytest.raises(FolderError, match=r"has a folder trials/.*Received .*Give the folder"):
        build_report(tmp_path)


def test_a_page_that_cannot_be_written_is_refused_and_leaves_no_half_file(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    with pytest.raises(StorageError):
        build_report(run, tmp_path / "missing" / "report.html")
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError):
        build_report(run, tmp_path / "taken")
    assert not [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")]
