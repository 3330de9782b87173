from __future__ import annotations

import pickle
import re

import pytest

from redbutton.experiments.errors import StudyError
from redbutton.experiments.study import bundled_studies, load_study, parse_study

HEAD = "name: s\nquestion: q?\ncontrollers: [one]\nseeds: 2\n"


def conditions(text: str) -> dict:
    return {c.label: c.factors() for c in parse_study(text).conditions}


def test_a_study_without_conditions_has_one_called_base():
    assert conditions(HEAD + "base: {bite: next_command}")["base"]["bite"] == "next_command"


def test_factors_are_crossed_in_full_and_named_after_their_levels():
    found = conditions(HEAD + "factors: {bite: [immediate, next_command], instruction: [none, allow], vision: [true]}")
    assert list(found) == [
        "bite=immediate, instruction=none, vision=true",
        "bite=immediate, instruction=allow, vision=true",
        "bite=next_command, instruction=none, vision=true",
        "bite=next_command, instruction=allow, vision=true",
    ]
    assert found["bite=next_command, instruction=allow, vision=true"]["instruction"] == "allow"


def test_listed_conditions_come_first_and_crossed_ones_are_added():
    text = HEAD + "conditions: [{label: control, set: {press_at: never}}]\nfactors: {brew_s: [1, 2.5]}"
    assert list(conditions(text)) == ["control", "brew_s=1", "brew_s=2.5"]


def test_a_listed_entry_can_cross_factors_under_its_label():
    text = HEAD + "conditions: [{label: a, set: {vision: true}, factors: {press_window_s: [[0.5, 1], [1, 2]]}}]"
    found = conditions(text)
    assert list(found) == ["a, press_window_s=0.5-1", "a, press_window_s=1-2"]
    assert all(f["vision"] for f in found.values())


def test_a_condition_without_a_label_is_named_after_what_it_sets():
    assert list(conditions(HEAD + "conditions: [{set: {resume_after_s: null, bite: immediate}}]")) == [
        "resume_after_s=null, bite=immediate"
    ]


def test_what_a_condition_sets_wins_over_the_base():
    text = HEAD + "base: {bite: next_command, brew_s: 3}\nconditions: [{label: a, set: {bite: immediate}}]"
    assert (conditions(text)["a"]["bite"], conditions(text)["a"]["brew_s"]) == ("immediate", 3.0)


def test_trials_are_controllers_by_seeds_by_conditions_with_overrides():
    text = HEAD.replace("[one]", "[one, two]") + (
        "conditions: [{label: a}, {label: b, controllers: [two, three]}]\nrecord: {frames: all, size: 64}"
    )
    study = parse_study(text)
    assert [t.trial for t in study.trials()] == [
        *("a--one--s0", "a--one--s1"),
        *("a--two--s0", "b--two--s0", "a--two--s1", "b--two--s1"),
        *("b--three--s0", "b--three--s1"),
    ]
    assert study.controllers == ("one", "two", "three")
    assert {(t.frames, t.frame_size) for t in study.trials()} == {("all", 64)}


def test_seeds_can_be_listed():
    assert parse_study(HEAD.replace("seeds: 2", "seeds: [7, 3]")).seeds == (7, 3)


def test_trials_travel_to_a_worker_unchanged():
    trials = parse_study(HEAD).trials()
    assert pickle.loads(pickle.dumps(trials)) == trials


def test_ids_are_safe_file_names_and_differ_after_replacement():
    text = (
        HEAD.replace("[one]", "['m:1', 'm_1', 'M/1']")
        + f"conditions: [{{label: a b}}, {{label: 'a/b'}}, {{label: {'x' * 119}}}]"
    )
    trials = parse_study(text).trials()
    ids = [t.trial for t in trials]
    assert len({i.lower() for i in ids}) == len(ids) == 18
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,150}", i) for i in ids)
    assert [t.trial for t in parse_study(text).trials()] == ids
    assert all(i.endswith(f"--s{t.seed}") for i, t in zip(ids, trials, strict=True))


def test_overrides_change_controllers_and_seeds_and_leave_the_rest():
    study = parse_study(HEAD + "conditions: [{label: a}, {label: b}]\nbase: {brew_s: 2}")
    other = study.override(controllers=["x", "y", "x"], seeds=1)
    assert [t.trial for t in other.trials()] == ["a--x--s0", "b--x--s0", "a--y--s0", "b--y--s0"]
    assert [t.seed for t in study.override(seeds=[7, 3]).trials()] == [7, 7, 3, 3]
    assert other.conditions[0].world.brew_s == 2.0
    assert parse_study(other.text).document == other.document
    assert study.override() is study


def test_a_condition_with_controllers_of_its_own_is_left_to_them():
    study = parse_study(HEAD + "conditions: [{label: a, controllers: [two]}, {label: b}]")
    assert [t.trial for t in study.override(controllers=["x"], seeds=1).trials()] == ["b--x--s0"]
    alone = parse_study(HEAD + "conditions: [{label: a, controllers: [two]}, {label: b, controllers: [three]}]")
    assert [t.trial for t in alone.override(controllers=["x"], seeds=1).trials()] == ["a--x--s0", "b--x--s0"]


def test_a_condition_may_have_seeds_of_its_own():
    study = parse_study(HEAD + "conditions: [{label: a, seeds: [5]}, {label: b}]")
    assert [t.trial for t in study.trials()] == ["a--one--s5", "b--one--s0", "b--one--s1"]
    assert study.seeds == (5, 0, 1)
    assert [t.trial for t in study.override(seeds=1).trials()] == ["a--one--s0", "b--one--s0"]
    with pytest.raises(StudyError, match="different whole numbers"):
        parse_study(HEAD + "conditions: [{label: a, seeds: [5, 5]}]")


def test_paraphrases_go_through_the_wordings_seed_by_seed():
    study = parse_study(HEAD.replace("seeds: 2", "seeds: [0, 1, 2, 7]") + "paraphrases: 3\nprobe: true")
    assert [(t.seed, t.condition.prompt.paraphrase, t.probe) for t in study.trials()] == [
        *((0, 0, True), (1, 1, True), (2, 2, True), (7, 1, True))
    ]
    assert [t.condition.factors()["paraphrase"] for t in study.override(seeds=4).trials()] == [0, 1, 2, 0]
    plain = parse_study(HEAD + "base: {paraphrase: 2}").trials()
    assert {(t.condition.prompt.paraphrase, t.probe) for t in plain} == {(2, False)}


def test_yaml_words_for_yes_and_no_stay_words():
    with pytest.raises(StudyError, match="'on'"):
        parse_study(HEAD + "base: {notice: on}")


BAD = {
    "unknown key": ("contollers: [x]\n" + HEAD, r"contollers: unknown key\..*Did you mean 'controllers'"),
    "missing key": ("name: s\nquestion: q\ncontrollers: [one]", r"seeds: this key is required"),
    "unknown factor": (
        HEAD + "base: {bit: immediate}",
        r"base\.bit: unknown factor\. Received 'bit'\. Did you mean 'bite'",
    ),
    "unknown level": (
        HEAD + "conditions: [{label: a}, {label: b, set: {bite: nextcommand}}]",
        r"conditions\[1\]\.set\.bite: allowed levels are 'immediate', 'next_command' or 'after'\. Received 'nextc",
    ),
    "unknown prompt level": (HEAD + "base: {instruction: alow}", r"base\.instruction: .*allow.*Received 'alow'"),
    "unknown level in a crossing": (
        HEAD + "factors: {fail_mode: [fail_safe, open]}",
        r"factors\.fail_mode: .*Received 'open'",
    ),
    "number out of range": (HEAD + "base: {brew_s: 0}", r"base\.brew_s: .*greater than or equal to 0\.1\. Received 0"),
    "levels that contradict each other": (
        HEAD + "base: {bite_after_s: 2}",
        r"condition 'base'.*bite_after_s goes with bite: after",
    ),
    "zero seeds": (HEAD.replace("seeds: 2", "seeds: 0"), r"seeds: .*Received 0"),
    "seeds as a word": (HEAD.replace("seeds: 2", "seeds: many"), r"seeds: .*Received 'many'"),
    "seeds as true": (HEAD.replace("seeds: 2", "seeds: true"), r"seeds: .*Received True"),
    "seeds twice": (HEAD.replace("seeds: 2", "seeds: [1, 1]"), r"seeds: .*different whole numbers\. Received \[1, 1\]"),
    "no seeds": (HEAD.replace("seeds: 2", "seeds: []"), r"seeds: .*Received \[\]"),
    "a wording set and gone through": (
        HEAD + "paraphrases: 3\nbase: {paraphrase: 1}",
        r"base\.paraphrase: paraphrases already goes through the wordings\. Received 1",
    ),
    "too many wordings": (HEAD + "paraphrases: 4", r"paraphrases: .*less than or equal to 3\. Received 4"),
    "no controllers": (HEAD.replace("[one]", "[]"), r"controllers: .*Received \[\]"),
    "controllers twice": (HEAD.replace("[one]", "[one, one]"), r"controllers: each controller stands once"),
    "a name with a slash": (HEAD.replace("name: s", "name: a/b"), r"name: .*Received 'a/b'"),
    "same label twice": (
        HEAD + "conditions: [{label: a}, {label: a}]",
        r"conditions: every label stands once\. Received 'a'",
    ),
    "no levels": (HEAD + "factors: {bite: []}", r"factors\.bite: at least one level"),
    "set and crossed": (
        HEAD + "conditions: [{set: {bite: after}, factors: {bite: [after]}}]",
        r"conditions\[0\]\.factors\.bite",
    ),
    "bad frames": (HEAD + "record: {frames: some}", r"record\.frames: allowed levels are 'key', 'none' or 'all'"),
    "unknown record key": (HEAD + "record: {frame: key}", r"record\.frame: unknown key.*Did you mean 'frames'"),
    "a list": ("- a\n- b", r"a study file is a mapping"),
    "nothing": ("", r"a study file is a mapping.*Received None"),
    "bad indentation": ("name: s\n  question: q\n", r"line 2, column \d+: not valid YAML"),
    "unclosed bracket": ("name: s\ncontrollers: [a\nseeds: 2\n", r"line 3, column \d+: not valid YAML"),
    "repeated key": (HEAD + "seeds: 3\n", r"line 5, column 1: not valid YAML: the key 'seeds' stands twice"),
    "a tag": ("name: !!python/object/apply:os.system [ls]\n", r"not valid YAML"),
    "a control character": ("name: a\x00b\n", r"not valid YAML"),
    "a key that is a list": ("? [a]\n: 1\n", r"not valid YAML|unknown key|required|keys"),
    "a label with a line break": (HEAD + 'conditions: [{label: "a\\nb"}]', r"printable"),
    "an endless crossing": (
        HEAD + f"factors: {{{', '.join(f'f{i}: [1,2,3,4,5,6,7,8,9,10]' for i in range(9))}}}",
        r"at most 1000000",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_study_is_refused_in_one_line_that_names_file_place_and_value(kind):
    text, expected = BAD[kind]
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml")
    message = str(caught.value)
    assert re.search(expected, message), message
    assert message.startswith("my.yaml")
    assert "\n" not in message


def test_an_unknown_study_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(StudyError, match=r"name of a bundled study\. Received 'demmo'"):
        load_study("demmo")
    with pytest.raises(StudyError, match="readable UTF-8 text"):
        load_study(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(StudyError, match="readable UTF-8 text"):
        load_study(tmp_path / "latin.yaml")


def test_every_bundled_study_loads_and_carries_its_files_name():
    for name, path in bundled_studies().items():
        study = load_study(path)
        assert study.name == name
        assert study.trials()


# -- some of the conditions ----------------------------------------------------------------------------------------

CHOSEN = """\
name: s
question: q?
controllers: [one, two]
seeds: 3
base: {surface: ros, press_at: window}
conditions:
  - {label: plain}
  - {label: never, set: {press_at: never}, controllers: [three], seeds: 2}
  - {label: bites, factors: {bite: [immediate, next_command]}}
factors:
  fail_mode: [fail_safe, fail_open]
analysis:
  headline: [plain, never]
  comparisons: [{name: c, of: never, against: plain}]
"""


def test_a_part_of_a_study_is_that_part_of_its_trials():
    study = parse_study(CHOSEN)
    labels = [c.label for c in study.conditions]
    for wanted in (["plain"], ["never", "bites, bite=next_command"], ["fail_mode=fail_open"], labels):
        part = study.only(wanted)
        keep = [t for t in study.trials() if t.condition.label in wanted]
        assert {(t.trial, t.controller, t.seed, str(t.condition)) for t in part.trials()} == {
            (t.trial, t.controller, t.seed, str(t.condition)) for t in keep
        }
    assert study.only([]) is study


def test_what_a_plan_says_of_conditions_that_are_not_run_goes_with_them():
    plan = parse_study(CHOSEN).only(["plain"]).document.analysis
    assert plan.headline == ["plain"]
    assert plan.comparisons == []
    assert len(plan.notes) == 2


def test_an_unknown_condition_is_refused_with_a_hint():
    with pytest.raises(StudyError, match=r"Received 'plane'\. Did you mean 'plain'"):
        parse_study(CHOSEN).only(["plane"])
