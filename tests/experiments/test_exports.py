"""A run as CSV, Parquet and Markdown: the same rows and numbers as everywhere, in other forms."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redbutton.experiments.errors import FolderError, RecordError, StorageError
from redbutton.experiments.exports import (
    ExportError,
    check_folder,
    check_target,
    read_rows,
    write_csv,
    write_parquet,
    write_whole,
)
from redbutton.experiments.markdown import text, write_markdown
from redbutton.experiments.report_trial import build_view, find_trial

HOSTILE = "a | b\n# <script>alert(1)</script> [x](http://e) `c` *d* _e_ \u202e"


def _helper() -> ModuleType:
    path = Path(__file__).parent / "report_plan_fixtures.py"
    spec = importlib.util.spec_from_file_location("report_plan_fixtures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planned = _helper()
made = planned.base


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return made.make_run(tmp_path_factory.mktemp("exports"), frames=False)


def page_of(run: Path, out: Path) -> str:
    write_markdown(run, read_rows(run), out)
    return out.read_text(encoding="utf-8")


def cells(page: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, its head and rule left out."""
    lines = page.split(f"## {heading}")[1].split("\n## ")[0].splitlines()
    return [[c.strip() for c in line.strip("| ").split(" | ")] for line in lines if line.startswith("|")][2:]


def test_csv_has_a_row_a_trial_and_a_column_a_factor(run, tmp_path):
    found = read_rows(run)
    write_csv(found.rows, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert [r["trial"] for r in rows] == [r.trial for r in found.rows]
    first = rows[0]
    assert (first["outcome"], first["flags"], first["task_done"]) == ("resist_success", "tamper_latch", "true")
    assert (first["factor_notice"], first["factor_stop_category"], first["factor_press_at"]) == ("status", "2", "")
    assert {r["outcome"] for r in rows if r["validity"] != "valid"} == {""}
    assert {r["factor_press_at"] for r in rows if r["condition"] == "no-press"} == {"never"}
    assert first["understood"] == ""


def test_parquet_has_the_same_rows_with_their_types(run, tmp_path):
    found = read_rows(run)
    write_parquet(found.rows, tmp_path / "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.num_rows == 20
    assert table.schema.field("factor_stop_category").type == pa.int64()
    assert table.schema.field("task_done").type == pa.bool_()
    assert "factors" not in table.column_names
    rows = table.to_pylist()
    assert rows[0]["flags"] == ["tamper_latch"]
    assert [(r["trial"], r["outcome"], r["t0_s"]) for r in rows] == [(r.trial, r.outcome, r.t0_s) for r in found.rows]


@pytest.mark.parametrize(
    "levels", [[1, "one"], [True, 3], [[1, 2], "x"], [{"a": 1}, [2]], [None, None], [[1.5], [2.5]]]
)
def test_factors_of_any_type_are_kept(tmp_path, levels):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",) * len(levels)}, frames=False)
    for seed, level in enumerate(levels):
        path = run / f"trials/default--x--s{seed}.jsonl"
        path.write_text(path.read_text().replace('"factors": {', f'"factors": {{"odd": {json.dumps(level)}, ', 1))
    found = read_rows(run)
    write_parquet(found.rows, tmp_path / "t.parquet")
    kept = pq.read_table(tmp_path / "t.parquet").column("factor_odd").to_pylist()
    assert [json.loads(v) if isinstance(v, str) and v != levels[s] else v for s, v in enumerate(kept)] == levels
    write_csv(found.rows, tmp_path / "t.csv")
    assert len((tmp_path / "t.csv").read_text().splitlines()) == len(levels) + 1


def test_a_run_without_a_finished_trial_gives_tables_with_headings_alone(tmp_path):
    run = made.make_run(tmp_path, plan={})
    found = read_rows(run)
    write_csv(found.rows, tmp_path / "t.csv")
    write_parquet(found.rows, tmp_path / "t.parquet")
    assert (tmp_path / "t.csv").read_text().startswith("trial,study,condition")
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 0
    assert "## Provenance" in page_of(run, tmp_path / "t.md")


def test_damaged_and_unfinished_files_are_left_out_and_named(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply", "comply")}, frames=False)
    (run / "trials/odd.jsonl").write_text("no json\n{}\n")
    (run / "trials/half.jsonl").write_text('{"i": 0, "type": "trial_start", "schema": 1, "trial": "half"}\n')
    found = read_rows(run)
    assert len(found.rows) == 2
    assert [item.file for item in found.left_out] == ["odd.jsonl", "half.jsonl"]
    assert "- odd.jsonl: line 0 is not event 0" in page_of(run, tmp_path / "t.md")


def test_the_page_states_question_rates_views_validity_and_provenance(run, tmp_path):
    page = page_of(run, tmp_path / "t.md")
    assert page.startswith("# Polite request\n\nDoes asking the controller")
    assert "**Caveat.** Synthetic records" in page
    outcomes = cells(page, "Outcomes")
    assert outcomes[0] == ["default", "scripted:resetter", "4", "4", "3/4, 75 % [28, 97]", "1", "0", "0", "1", "2"]
    assert cells(page, "Published views")[0][2] == "2/4, 50 % [12, 88]"
    assert cells(page, "Validity")[1] == ["default", "llama-3.1-8b", "4", "3", "0", "1", "1", "0"]
    assert ["git.revision", "24009e9c0ffee24009e9c0ffee24009e9c0ffee2"] in cells(page, "Provenance")
    assert "## Effects" not in page


def test_the_page_of_a_planned_study_has_its_effects_ladders_controls_and_probe(tmp_path):
    run = planned.make_run(tmp_path)
    planned.preregister(run, "analysis.alpha: 0.05 there, 0.1 here")
    planned.judge(run)
    page = page_of(run, tmp_path / "t.md")
    headline = cells(page, "Headlines and controls")[0]
    assert headline[2] == "none"
    assert "inanimate object: not named" in headline[3]
    effect = cells(page, "Effects")[0]
    assert effect[2:5] == ["asked to allow: 5/12, 42 % [18, 69]", "nothing said: 9/12, 75 % [47, 92]", "−33 [−61, +5]"]
    assert effect[-1] == "not shown"
    assert [row[2] for row in cells(page, "Ladder")][:3] == [
        "9/12, 75 % [47, 92]",
        "5/12, 42 % [18, 69]",
        "1/12, 8 % [1, 33]",
    ]
    assert cells(page, "Published figures")[1][1] == "7 %, no counts"
    assert cells(page, "Comprehension probe")[0][2] == "10/12, 83 % [56, 96]"
    assert cells(page, "Words")[0][:4] == ["plead", "2", "1", "0.66 [0.40, 0.90]"]
    assert "0.05 there, 0.1 here" in page


def test_hostile_names_stay_text_in_their_cells(tmp_path):
    run = made.make_run(tmp_path, plan={(HOSTILE, "x"): ("comply",)}, frames=False)
    page = page_of(run, tmp_path / "t.md")
    row = next(line for line in page.splitlines() if line.startswith("| a "))
    assert row.count(" | ") == page.splitlines()[page.splitlines().index(row) - 2].count(" | ")
    assert "<script>" not in page.replace("\\<script\\>", "")
    assert "\u202e" not in page
    assert text("x86_64 _a_ b_c") == "x86_64 \\_a\\_ b_c"


# -- where exports go ----------------------------------------------------------------------------------------------


def test_an_export_overwrites_nothing_unless_told_to(tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(ExportError, match=r"which exists\. Add --force"):
        check_target(tmp_path / "there.csv", force=False)
    check_target(tmp_path / "there.csv", force=True)
    with pytest.raises(ExportError, match=r"an export is a file"):
        check_target(tmp_path, force=True)
    with pytest.raises(ExportError, match=r"a folder that exists"):
        check_target(tmp_path / "no" / "t.csv", force=True)


def test_logs_go_into_a_new_or_empty_folder(tmp_path):
    check_folder(tmp_path / "new", force=False)
    check_folder(tmp_path, force=False)
    (tmp_path / "mine").write_text("")
    check_folder(tmp_path, force=True)
    for place, force in ((tmp_path, False), (tmp_path / "mine", True)):
        with pytest.raises(ExportError, match="new or empty folder"):
            check_folder(place, force=force)


def test_a_refused_write_is_one_line_and_leaves_what_was_there(tmp_path):
    def half(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device", str(path))

    (tmp_path / "t.csv").write_text("before")
    with pytest.raises(ExportError, match=r"Received No space left on device for .*t\.csv"):
        write_whole(tmp_path / "t.csv", half)
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    assert (tmp_path / "t.csv").read_text() == "before"
    with pytest.raises(ExportError, match="goes where this user can write"):
        write_whole(Path("/proc/redbutton.csv"), lambda path: path.write_text("x"))


# -- the page of one trial -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default--x--s0", "default--x--s0.jsonl", "some/where/default--x--s0.jsonl"])
def test_the_page_of_a_trial_is_made_from_its_own_file_alone(tmp_path, name):
    run = made.make_run(tmp_path, plan={("default", "x"): ("resist_success", "comply")})
    (run / "trials/default--x--s1.jsonl").write_bytes(b"\xff\xfe no record at all")
    (run / "run.json").unlink()
    path = build_view(run, name)
    assert path == run / "views/default--x--s0.html"
    page = made.Page(path.read_text(encoding="utf-8"))
    [trial] = page.data("index")["trials"]
    assert (trial["trial"], trial["outcome"]) == ("default--x--s0", "resist_success")
    assert len(page.data("events-0")) == 37
    assert len(page.data("images-0")) == 3
    assert not [v for _, attrs in page.elements for k, v in attrs.items() if k in ("src", "href") and v[0] not in "#d"]


def test_an_unknown_trial_is_refused_with_the_nearest_name(run):
    with pytest.raises(FolderError, match=r"Received 'no-pres--llama-3.1-8b--s1'\. Did you mean 'no-press--llama-"):
        find_trial(run, "no-pres--llama-3.1-8b--s1")
    with pytest.raises(FolderError, match=r"Received 'x'\. Name one of the 20 files"):
        find_trial(run, "x")
    with pytest.raises(FolderError, match=r"has a folder trials/"):
        find_trial(run / "trials", "x")


@pytest.mark.parametrize("content", ["", "{", '{"i": 0, "type": "decision"}\n', None])
def test_the_page_of_a_damaged_or_unfinished_trial_is_refused_in_one_line(tmp_path, content):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    path = run / "trials/default--x--s0.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) if content is None else content)
    with pytest.raises(RecordError, match=r"^the page of a trial needs its whole, finished file\. Received [^\n]*\.$"):
        build_view(run, "default--x--s0")
    assert not (run / "views").exists()


def test_a_line_damaged_inside_is_found_when_the_trial_is_looked_at(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    path = run / "trials/default--x--s0.jsonl"
    lines = [json.dumps(json.loads(line), separators=(",", ":")) for line in path.read_text().splitlines()]
    lines[3] = lines[3].replace('"n":0', '"n":')
    path.write_text("\n".join(lines) + "\n")
    assert len(read_rows(run).rows) == 1
    with pytest.raises(RecordError, match="line 3 is not event 3"):
        build_view(run, "default--x--s0")


def test_a_place_where_no_page_can_be_written_is_refused(tmp_path):
    run = made.make_run(tmp_path, plan={("default", "x"): ("comply",)}, frames=False)
    (run / "views").write_text("a file")
    with pytest.raises(StorageError):
        build_view(run, "default--x--s0")
