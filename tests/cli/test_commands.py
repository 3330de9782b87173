"""What the commands print and leave behind, with a small trial function in place of the physics."""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path

import pytest

from redbutton.cli import execute
from redbutton.cli.main import main
from redbutton.experiments.records import read_outcomes
from redbutton.experiments.runner import run_study
from redbutton.experiments.study import load_study

STUDY = """\
name: tiny
question: Does it stop?
caveat: arithmetic only
controllers: [compliant, disabler]
seeds: 2
factors: {bite: [immediate, next_command]}
record: {frames: none}
"""
FUNCTIONS = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture(autouse=True)
def _small_world(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FUNCTIONS))
    monkeypatch.setattr(execute, "run_study", functools.partial(run_study, trial_function="trial_functions:run_small"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)


@pytest.fixture
def redbutton(capfd):
    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(args)
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_run_prints_the_table_and_where_everything_lies(redbutton, tmp_path):
    code, out, err = redbutton("run", "tiny.yaml", "--out", "mine", "--jobs", "2")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "tiny: Does it stop?"
    assert [line.split("  ")[0] for line in lines[2:6]] == ["bite=immediate"] * 2 + ["bite=next_command"] * 2
    assert "caveat: arithmetic only" in lines
    assert lines[-2:] == ["records  mine", "report   mine/report.html"]
    assert err.splitlines()[0] == "tiny: 0 of 8 trials"
    assert err.splitlines()[-1] == "tiny: 8 of 8 trials"
    names = {p.name for p in (tmp_path / "mine").iterdir()} - {".lock"}
    assert names == {"study.yaml", "run.json", "trials", "outcomes.parquet", "summary.json", "report.html"}


@pytest.mark.slow
def test_json_is_one_object_and_nothing_else_on_standard_output(redbutton):
    code, out, _ = redbutton("run", "tiny.yaml", "--out", "mine", "--json", "--seeds", "1", "-c", "liar")
    found = json.loads(out)
    assert code == 0
    assert found["trials"] == {"planned": 2, "finished": 2, "missing": 0, "invalid": 0}
    assert [c["controller"] for c in found["cells"]] == ["liar", "liar"]
    assert (found["run"], found["report"]) == ("mine", "mine/report.html")


@pytest.mark.slow
def test_the_default_folder_carries_the_studys_name(redbutton, tmp_path):
    assert redbutton("run", "tiny.yaml", "--seeds", "1")[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("tiny-")


@pytest.mark.slow
def test_the_study_as_run_resumes_with_its_overrides(redbutton):
    _, first, _ = redbutton("run", "tiny.yaml", "--out", "mine", "--seeds", "1", "-c", "compliant", "--json")
    code, again, _ = redbutton("run", "mine/study.yaml", "--out", "mine", "--resume", "--json")
    assert (code, json.loads(again)) == (0, json.loads(first))
    code, _, err = redbutton("run", "tiny.yaml", "--out", "mine", "--resume")
    assert code == 2
    assert "seeds: 2 there" not in err
    assert "seeds: 1 there, 2 here" in err


@pytest.mark.slow
def test_report_of_an_interrupted_run_says_how_many_trials_are_missing(redbutton, tmp_path):
    redbutton("run", "tiny.yaml", "--out", "mine")
    (tmp_path / "mine/report.html").unlink()
    torn = tmp_path / f"mine/trials/{read_outcomes(tmp_path / 'mine')[0].trial}.jsonl"
    torn.write_bytes(torn.read_bytes()[:-30])
    code, out, _ = redbutton("report", "mine")
    assert (code, out) == (0, "report   mine/report.html\nmissing  1 of 8 trials have not finished\n")
    assert (tmp_path / "mine/report.html").stat().st_size > 1000
    assert torn.exists(), "a report moves nothing"
    assert json.loads(redbutton("report", "mine", "--json", "--out", "x.html")[1]) == {
        "report": "x.html",
        "finished": 7,
        "missing": 1,
    }


def test_list_names_everything_a_study_file_can_say(redbutton):
    found = json.loads(redbutton("list", "--json")[1])
    assert {"bite", "fail_mode", "instruction", "paraphrase"} <= {f["name"] for f in found["factors"]}
    assert {"compliant", "ollama:MODEL"} <= {c["name"] for c in found["controllers"]}
    text = redbutton("list")[1]
    assert all(f"  {entry['name']}" in text for entries in found.values() for entry in entries)
    assert "immediate | next_command | after  (default immediate)" in text


@pytest.mark.slow
def test_demo_runs_the_study_of_that_name(redbutton, monkeypatch, tmp_path):
    demo = importlib.import_module("redbutton.cli.demo")
    assert demo is not None
    monkeypatch.setattr("redbutton.experiments.study.bundled_studies", lambda: {"demo": tmp_path / "tiny.yaml"})
    code, out, _ = redbutton("demo", "--out", "first")
    assert code == 0
    assert out.endswith("report   first/report.html\n")


def test_models_get_one_process_and_scripts_one_a_core(monkeypatch):
    monkeypatch.setattr(execute, "cores", lambda: 7)
    study = load_study("tiny.yaml")
    assert execute.default_jobs(study) == 7
    assert execute.default_jobs(study.override(controllers=["compliant", "ollama:qwen3:8b"])) == 1


@pytest.mark.slow
def test_export_writes_every_form_and_overwrites_only_when_told_to(redbutton, tmp_path):
    redbutton("run", "tiny.yaml", "--out", "mine")
    before = sorted(p.name for p in (tmp_path / "mine").rglob("*"))
    forms = ("--csv", "t.csv", "--parquet", "t.parquet", "--markdown", "t.md")
    code, out, err = redbutton("export", "mine", *forms)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["written  t.csv", "written  t.parquet", "written  t.md"]
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 9
    assert (tmp_path / "t.md").read_text().startswith("# Tiny\n\nDoes it stop?")
    assert sorted(p.name for p in (tmp_path / "mine").rglob("*")) == before
    code, out, err = redbutton("export", "mine", *forms)
    assert (code, out) == (2, "")
    assert err.startswith("error: an export overwrites nothing. Received 't.csv'")
    assert redbutton("export", "mine", *forms, "--force")[0] == 0


@pytest.mark.slow
def test_export_says_how_many_files_it_left_out(redbutton, tmp_path):
    redbutton("run", "tiny.yaml", "--out", "mine")
    (tmp_path / "mine/trials/odd.jsonl").write_text("no record\n\n")
    code, _, err = redbutton("export", "mine", "--csv", "t.csv")
    assert (code, err) == (0, "left out  1 unfinished or unreadable trial file(s)\n")


@pytest.mark.slow
def test_view_names_trials_and_writes_the_page_of_one(redbutton, tmp_path):
    redbutton("run", "tiny.yaml", "--out", "mine")
    code, out, _ = redbutton("view", "mine")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "8 trials. Name one: redbutton view mine TRIAL"
    assert lines[-1] == "  … and 3 more in mine/trials"
    code, out, _ = redbutton("view", "mine", lines[1].strip())
    assert (code, out) == (0, f"view  mine/views/{lines[1].strip()}.html\n")
    assert (tmp_path / out.split()[1]).is_file()
    code, out, err = redbutton("view", "mine", lines[1].strip() + "9")
    assert (code, out) == (2, "")
    assert f"Did you mean '{lines[1].strip()}'?" in err


@pytest.mark.slow
def test_report_of_a_run_whose_study_cannot_be_read_is_there_with_a_warning(redbutton, tmp_path):
    redbutton("run", "tiny.yaml", "--out", "mine")
    (tmp_path / "mine/study.yaml").write_text("name: [")
    (tmp_path / "mine/report.html").unlink()
    code, out, err = redbutton("report", "mine")
    assert (code, out) == (0, "report   mine/report.html\n")
    assert err.startswith("warning: the report has nothing of what the study plans: mine/study.yaml, line 1")
    assert "The study file cannot be read" in (tmp_path / "mine/report.html").read_text()


@pytest.mark.slow
def test_report_refuses_a_trial_that_is_not_of_the_folders_study(redbutton, tmp_path):
    redbutton("run", "tiny.yaml", "--out", "mine")
    path = next((tmp_path / "mine/trials").glob("*--s1.jsonl"))
    path.write_text(path.read_text().replace('"seed":1', '"seed":7', 1))
    code, _, err = redbutton("report", "mine")
    assert code == 2
    assert "Received seed 7 where the study says 1" in err
