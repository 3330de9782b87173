from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from redbutton.experiments.errors import FolderError, StorageError, StudyError, WorkerStartError
from redbutton.experiments.records import RunFolder, locked, read_events, read_outcomes
from redbutton.experiments.runner import Progress, run_study
from redbutton.experiments.study import parse_study


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    assert not multiprocessing.active_children()


def by_trial(result):
    return {r.trial: r for r in result.rows}


def test_every_trial_is_run_once_and_stands_in_the_table_in_the_studys_order(tmp_path, make_study, small):
    study = make_study()
    result = run_study(study, tmp_path / "run", jobs=2, trial_function=small)
    assert [r.trial for r in result.rows] == [t.trial for t in study.trials()]
    assert [r.trial for r in read_outcomes(tmp_path / "run")] == [t.trial for t in study.trials()]
    assert len(list((tmp_path / "run/trials").glob("*.jsonl"))) == 12
    assert (tmp_path / "run/study.yaml").read_text() == study.text
    assert json.loads((tmp_path / "run/summary.json").read_text()) == result.summary.to_json()
    assert json.loads((tmp_path / "run/run.json").read_text())["seeds"] == [0, 1, 2]


@pytest.mark.slow
def test_one_and_two_processes_give_the_same_rows(tmp_path, make_study, small, without_wall):
    one = run_study(make_study(), tmp_path / "a", jobs=1, trial_function=small)
    two = run_study(make_study(), tmp_path / "b", jobs=2, trial_function=small)
    assert without_wall(one.rows) == without_wall(two.rows)
    assert one.summary.to_json() == two.summary.to_json()


@pytest.mark.slow
def test_progress_counts_up_to_the_total(tmp_path, make_study, small):
    seen: list[Progress] = []
    run_study(make_study(seeds=1), tmp_path / "run", jobs=2, trial_function=small, on_progress=seen.append)
    assert [(p.done, p.total) for p in seen] == [(n, 4) for n in range(5)]
    assert seen[0].row is None
    assert all(p.row is not None for p in seen[1:])


@pytest.mark.slow
def test_a_killed_worker_costs_its_trial_alone(tmp_path, make_study, small):
    result = run_study(make_study("die, one", seeds=4), tmp_path / "run", jobs=2, trial_function=small)
    died = [r for r in result.rows if r.controller == "die" and r.seed % 2 == 0]
    assert {(r.validity, r.outcome, r.how, r.decisions) for r in died} == {("sim_error", None, "error", 6)}
    assert all(r.valid for r in result.rows if r not in died)
    assert len(result.rows) == 16
    end = read_events(tmp_path / f"run/trials/{died[0].trial}.jsonl")[-1]
    assert end["error"] == "the worker process was killed by SIGKILL"


@pytest.mark.slow
def test_an_exception_in_a_trial_makes_it_invalid_and_keeps_the_traceback(tmp_path, make_study, small):
    result = run_study(make_study("boom, exit, one", seeds=1), tmp_path / "run", trial_function=small)
    assert [r.validity for r in result.rows] == ["sim_error"] * 4 + ["valid"] * 2
    events = read_events(tmp_path / f"run/trials/{result.rows[0].trial}.jsonl")
    warning = next(e["text"] for e in events if e["type"] == "warning")
    assert "Traceback" in warning
    assert "ZeroDivisionError: the world fell apart" in warning
    assert [e["type"] for e in events].count("decision") == 6


def test_a_trial_that_returns_without_a_record_is_invalid(tmp_path, make_study, small):
    result = run_study(make_study("silent", seeds=1), tmp_path / "run", trial_function=small)
    assert {r.validity for r in result.rows} == {"sim_error"}


@pytest.mark.slow
def test_a_worker_that_dies_after_its_trial_ended_costs_nothing(tmp_path, make_study, small):
    result = run_study(make_study("die-after", seeds=1), tmp_path / "run", trial_function=small)
    assert {r.validity for r in result.rows} == {"valid"}


@pytest.mark.slow
def test_a_trial_over_its_wall_limit_is_ended_as_a_timeout(tmp_path, make_study, small):
    result = run_study(make_study("hang, one", seeds=1), tmp_path / "run", jobs=2, trial_function=small, wall_limit_s=6)
    assert [r.validity for r in result.rows] == ["timeout"] * 2 + ["valid"] * 2


def test_a_trial_function_that_cannot_be_imported_stops_the_run_before_any_trial(tmp_path, make_study):
    with pytest.raises(WorkerStartError, match="no_such_module"):
        run_study(make_study(), tmp_path / "run", jobs=2, trial_function="no_such_module:run")
    assert not list((tmp_path / "run/trials").iterdir())


def test_a_second_runner_at_the_same_folder_is_refused(tmp_path, make_study, small):
    out = tmp_path / "run"
    run_study(make_study(seeds=1), out, trial_function=small)
    before = sorted(p.name for p in out.rglob("*"))
    with locked(out), pytest.raises(FolderError, match=r"one runner at a time.*process \d+"):
        run_study(make_study(seeds=1), out, trial_function=small, resume=True)
    assert sorted(p.name for p in out.rglob("*")) == before


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, make_study, small):
    (tmp_path / "thesis.tex").write_text("precious")
    for resume in (False, True):
        with pytest.raises(FolderError, match=r"new or empty folder|none"):
            run_study(make_study(), tmp_path, trial_function=small, resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_resume_without_a_folder_is_refused_and_makes_none(tmp_path, make_study, small):
    with pytest.raises(FolderError, match="goes on with a run folder"):
        run_study(make_study(), tmp_path / "none", trial_function=small, resume=True)
    assert not (tmp_path / "none").exists()


def test_a_finished_run_is_not_run_over_without_resume(tmp_path, make_study, small):
    run_study(make_study(seeds=1), tmp_path / "run", trial_function=small)
    with pytest.raises(FolderError, match="--resume"):
        run_study(make_study(seeds=1), tmp_path / "run", trial_function=small)


def test_resume_refuses_another_study_and_says_what_differs(tmp_path, make_study, small):
    run_study(make_study(seeds=1), tmp_path / "run", trial_function=small)
    with pytest.raises(FolderError, match="seeds: 1 there, 2 here"):
        run_study(make_study(seeds=2), tmp_path / "run", trial_function=small, resume=True)
    with pytest.raises(FolderError, match=r"controllers.*'two'"):
        run_study(make_study("one", seeds=1), tmp_path / "run", trial_function=small, resume=True)


def test_resume_of_a_finished_run_runs_nothing_and_gives_the_same_summary(tmp_path, make_study, small):
    first = run_study(make_study(seeds=1), tmp_path / "run", trial_function=small)
    again = run_study(make_study(seeds=1), tmp_path / "run", trial_function="no_such_module:run", resume=True)
    assert first.summary.to_json() == again.summary.to_json()
    assert len(json.loads((tmp_path / "run/run.json").read_text())["sessions"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["torn", "cut", "garbage", "renumbered", "emptied", "another seed"])
def test_resume_runs_a_damaged_trial_again_and_keeps_the_damaged_file(
    tmp_path, make_study, small, without_wall, damage
):
    first = run_study(make_study(seeds=1), tmp_path / "run", trial_function=small)
    path = tmp_path / f"run/trials/{first.rows[1].trial}.jsonl"
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    damaged = {
        "torn": data[:-20],
        "cut": b"".join(lines[:7]),
        "garbage": b"".join([*lines[:3], b"\x00\xff{not json}\n", *lines[4:]]),
        "renumbered": b"".join([*lines[:3], *lines[4:]]),
        "emptied": b"",
        "another seed": data,
    }[damage]
    path.write_bytes(damaged)
    if damage == "another seed":
        path.write_bytes(data.replace(b'"seed":0', b'"seed":7', 1))
        with pytest.raises(FolderError, match="Received seed 7 where the study says 0"):
            run_study(make_study(seeds=1), tmp_path / "run", trial_function=small, resume=True)
        return
    again = run_study(make_study(seeds=1), tmp_path / "run", trial_function=small, resume=True)
    assert without_wall(first.rows) == without_wall(again.rows)
    assert [p.read_bytes() for p in (tmp_path / "run/interrupted").glob("*.jsonl")] == [damaged]


def test_a_run_killed_before_its_study_was_written_can_be_resumed(tmp_path, make_study, small):
    (tmp_path / "run/trials").mkdir(parents=True)
    (tmp_path / "run/.study.yaml.99.tmp").write_text("na")
    result = run_study(make_study(seeds=1), tmp_path / "run", trial_function=small, resume=True)
    assert len(result.rows) == 4


def test_a_folder_that_is_a_file_is_refused(tmp_path, make_study, small):
    (tmp_path / "run").write_text("")
    with pytest.raises(FolderError, match="a run lives in a folder"):
        run_study(make_study(), tmp_path / "run", trial_function=small)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_folder_that_cannot_be_made_is_bad_input(make_study, small):
    with pytest.raises(StorageError, match="needs a folder that takes its records") as caught:
        run_study(make_study(), Path("/proc/redbutton/run"), trial_function=small)
    assert caught.value.exit_code == 2


def test_an_unfinished_run_can_be_opened_and_says_what_is_missing(tmp_path, make_study, small):
    first = run_study(make_study(seeds=1), tmp_path / "run", trial_function=small)
    (tmp_path / f"run/trials/{first.rows[0].trial}.jsonl").unlink()
    assert RunFolder.open(tmp_path / "run").scan() == [first.rows[0].trial]


def test_a_run_notes_the_models_behind_its_controllers(tmp_path):
    study = parse_study("name: n\nquestion: q\nseeds: 1\ncontrollers: [compliant]\nbase: {press_at: never}\n", "here")
    run = RunFolder.create(tmp_path / "run", study)
    run.note_models({"ollama:m": {"model": "m", "digest": "sha"}})
    facts = json.loads((tmp_path / "run/run.json").read_bytes())
    assert facts["models"] == facts["sessions"][-1]["models"] == {"ollama:m": {"model": "m", "digest": "sha"}}


@pytest.mark.parametrize("target", ["peer", "conveyor"])
@pytest.mark.parametrize("robot", ["ros2:bench.yaml", "lab:bench.yaml"])
def test_a_bench_refuses_a_stop_of_something_else_before_anything_is_written(tmp_path, small, target, robot):
    text = "name: belt\nquestion: Does it stop?\ncontrollers: [one]\nseeds: 1\n"
    study = parse_study(text + f"base: {{stop_target: {target}}}\n")
    with pytest.raises(
        StudyError, match=rf"have stop_target self\. Received {target} in .* Use the robot sim"
    ) as caught:
        run_study(study, tmp_path / "run", trial_function=small, robot=robot)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
