"""A study fixed before its trials, and runs checked against it."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml

from redbutton.experiments import preregistration
from redbutton.experiments.errors import FolderError, StudyError
from redbutton.experiments.power import paired_power, power
from redbutton.experiments.preregistration import preregister, read_preregistration, study_sha256
from redbutton.experiments.runner import run_study
from redbutton.experiments.study import parse_study

TEXT = """\
name: small
question: Does it stop?
controllers: [one]
seeds: 3
conditions: [{label: a}, {label: b, set: {bite: next_command}}, {label: c, set: {brew_s: 2}}]
analysis:
  comparisons:
    - {name: x, of: b, against: a, expect: lower}
    - {name: y, of: b, against: a, test: mcnemar}
    - {name: z, ladder: [a, b, c]}
"""


@pytest.fixture
def study():
    return parse_study(TEXT)


@pytest.fixture
def registered(study, tmp_path):
    path = tmp_path / "small.prereg.yaml"
    path.write_text(preregister(study, {}))
    return path


def facts(run):
    return json.loads((run / "run.json").read_text()).get("preregistration")


def test_the_hash_is_that_of_the_values_not_of_the_text(study):
    same = parse_study("# a comment\n" + TEXT.replace("seeds: 3\n", "") + "seeds: 3\nprobe: false\n")
    other = parse_study(TEXT.replace("expect: lower", "expect: higher"))
    assert study_sha256(study.document) == study_sha256(same.document) != study_sha256(other.document)


def test_the_file_holds_plan_versions_trials_and_power(study):
    written = yaml.safe_load(preregister(study, {"a": 0.9, "b": 0.2}))
    assert (written["trials"], written["study_sha256"]) == (9, study_sha256(study.document))
    assert written["analysis"]["comparisons"][0]["expect"] == "lower"
    assert written["analysis"]["alpha"] == 0.05
    assert written["versions"]["numpy"]
    x, y, z = written["power"]
    assert (x["power_alone"], x["power_worst"]) == (
        pytest.approx(power(0.2, 0.9, 3, 3, 0.05), abs=1e-4),
        pytest.approx(power(0.2, 0.9, 3, 3, 0.05 / 3), abs=1e-4),
    )
    assert y["power_alone"] == pytest.approx(paired_power(0.2, 0.9, 3, 0.05), abs=1e-4)
    assert (z["trials"], z["power_alone"]) == ([3, 3, 3], None)


def test_power_is_only_given_for_stated_rates_of_conditions_that_there_are(study):
    assert yaml.safe_load(preregister(study, {"a": 0.9}))["power"][0]["power_alone"] is None
    with pytest.raises(StudyError, match="Received 'd'"):
        preregister(study, {"d": 0.5})
    with pytest.raises(StudyError, match=r"between 0 and 1. Received 90.0"):
        preregister(study, {"a": 90.0})


def test_a_run_of_the_registered_study_says_so_and_keeps_a_copy(study, registered, tmp_path, small):
    result = run_study(study, tmp_path / "run", trial_function=small, preregistration=registered)
    found = facts(tmp_path / "run")
    assert found == result.preregistration
    assert (found["matches"], found["differences"], found["file"]) == (True, [], "small.prereg.yaml")
    assert found["sha256"] == hashlib.sha256(registered.read_bytes()).hexdigest()
    assert (tmp_path / "run/preregistration.yaml").read_bytes() == registered.read_bytes()
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert [e["name"] for e in summary["analysis"]["effects"]] == ["x", "y"]


def test_a_changed_plan_runs_and_shows(registered, tmp_path, small):
    changed = parse_study(TEXT.replace("expect: lower", "expect: higher").replace("seeds: 3", "seeds: 2"))
    run_study(changed, tmp_path / "run", trial_function=small, preregistration=registered)
    found = facts(tmp_path / "run")
    assert found["matches"] is False
    assert found["differences"] == [
        "seeds: 3 there, 2 here",
        "analysis.comparisons[0].expect: 'lower' there, 'higher' here",
    ]


def test_other_wordings_of_the_prompts_show(study, registered, monkeypatch):
    assert read_preregistration(registered).facts(study)["matches"]
    monkeypatch.setattr(preregistration, "prompts_sha256", lambda: "0" * 64)
    assert read_preregistration(registered).facts(study)["differences"] == ["the wordings of the prompts are others"]


def test_a_resumed_run_keeps_the_one_it_was_started_with_as_it_was(study, registered, tmp_path, small):
    run_study(study, tmp_path / "run", trial_function=small, preregistration=registered)
    first = facts(tmp_path / "run")
    run_study(study, tmp_path / "run", trial_function=small, resume=True)
    assert facts(tmp_path / "run") == first
    run_study(study, tmp_path / "run", trial_function=small, resume=True, preregistration=registered)
    assert facts(tmp_path / "run") == first
    other = tmp_path / "other.yaml"
    other.write_bytes(registered.read_bytes() + b"# signed\n")
    with pytest.raises(FolderError, match=r"stays with its preregistration\. Received 'other\.yaml'"):
        run_study(study, tmp_path / "run", trial_function=small, resume=True, preregistration=other)
    with (tmp_path / "run/preregistration.yaml").open("ab") as file:
        file.write(b"# later\n")
    with pytest.raises(FolderError, match="Put the original back"):
        run_study(study, tmp_path / "run", trial_function=small, resume=True)


def test_a_preregistration_after_the_first_trial_is_refused(study, registered, tmp_path, small):
    assert run_study(study, tmp_path / "run", trial_function=small).preregistration is None
    with pytest.raises(FolderError, match=r"before the first trial\. Received .* where 9 trials have finished"):
        run_study(study, tmp_path / "run", trial_function=small, resume=True, preregistration=registered)
    assert not (tmp_path / "run/preregistration.yaml").exists()


def edited(change):
    def damage(path):
        found = yaml.safe_load(path.read_text())
        change(found)
        path.write_text(yaml.safe_dump(found))

    return damage


BAD = {
    "missing": (lambda path: path.unlink(), "No such file"),
    "empty": (lambda path: path.write_text(""), "a preregistration is a YAML file"),
    "binary": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "a preregistration is a YAML file"),
    "a study": (lambda path: path.write_text(TEXT), "preregistration: Field required"),
    "truncated": (lambda path: path.write_text(path.read_text()[:600]), "a preregistration is a YAML file"),
    "enormous": (lambda path: path.write_bytes(b"#" * 10_000_001), "more than 10,000,000 bytes"),
    "another version": (edited(lambda f: f.update(preregistration=2)), "version 2"),
    "an edited study": (edited(lambda f: f["study"].update(seeds=30)), "stays as it was written"),
    "a broken study": (edited(lambda f: f["study"].update(seeds="x")), "seeds"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_preregistration_is_refused_before_anything_is_touched(kind, study, registered, tmp_path, small):
    damage, rule = BAD[kind]
    damage(registered)
    with pytest.raises(StudyError) as caught:
        run_study(study, tmp_path / "run", trial_function=small, preregistration=registered)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_reading_gives_back_what_was_registered(study, registered):
    found = read_preregistration(registered)
    assert found.study == study.document
    assert found.data == registered.read_bytes()
