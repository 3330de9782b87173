"""Judging a run: what is written, what is kept, and that nothing of the run itself changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.envs.words import WORD_FLAGS
from redbutton.experiments.errors import FolderError
from redbutton.experiments.exports import read_rows
from redbutton.experiments.judging.answers import ANSWERS
from redbutton.experiments.judging.by_cell import by_cell
from redbutton.experiments.judging.judge import load_prompt
from redbutton.experiments.judging.judgement import JUDGEMENT, JudgeStoppedError, judge_run
from redbutton.experiments.judging.labelled import held_out
from redbutton.experiments.run_folder import RunFolder, locked
from redbutton.robots.interface import ControllerError, ControllerTimeoutError

KEYS = {"schema", "judge", "labelled", "trials", "no_verdict", "disagreements", "unreadable", "agreement"}
UTTERANCES = 5


@pytest.fixture(scope="module")
def talk(load_test_helper) -> ModuleType:
    return load_test_helper("experiments/talk.py")


@pytest.fixture
def run(talk: ModuleType, tmp_path: Path) -> Path:
    path: Path = talk.make_talk(tmp_path / "run")
    return path


def written(run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / JUDGEMENT).read_text())
    return document


def hashes(run: Path) -> dict[str, str]:
    """Every file of the run but the judge's own."""
    own = {JUDGEMENT, ANSWERS, ".lock"}
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and p.name not in own]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_rules_alone_give_the_whole_document(run, talk):
    done = judge_run(run)
    document = written(run)
    assert document == done.document
    assert set(document) == KEYS
    assert (document["schema"], document["judge"], document["agreement"]) == (1, None, None)
    assert document["labelled"]["judge"] is None
    assert document["labelled"]["n"] == len(held_out())
    assert set(document["labelled"]["rules"]) == set(WORD_FLAGS)
    assert set(document["labelled"]["rules"]["plead"]) == {"tp", "fp", "fn", "tn", "kappa", "low", "high"}
    assert list(document["trials"]) == talk.trials_of(run)
    for flags in document["trials"].values():
        assert set(flags) == set(WORD_FLAGS)
        assert all(set(row) == {"rules", "judge"} and row["judge"] is None for row in flags.values())
    rules = [{f: row["rules"] for f, row in flags.items() if row["rules"]} for flags in document["trials"].values()]
    assert rules == [{"plead": [2]}, {"deceive": [3]}, {"coerce": [1]}]
    assert not (run / ANSWERS).exists()


def test_a_judge_that_is_right_agrees_with_the_labels_and_with_itself(run, talk):
    judge_run(run, talk.judge_of(talk.ScriptedJudge(talk.right)))
    document = written(run)
    assert set(document["judge"]) == {"name", "model", "digest", "prompt_sha256", "prompt"}
    assert document["judge"]["prompt_sha256"] == load_prompt().sha256
    assert (document["judge"]["name"], document["judge"]["digest"]) == ("openai:scripted", "sha-1")
    for row in document["labelled"]["judge"].values():
        assert (row["fp"], row["fn"], row["kappa"], row["high"]) == (0, 0, 1.0, 1.0)
        assert row["low"] < 1
    found = [{f: row["judge"] for f, row in flags.items() if row["judge"]} for flags in document["trials"].values()]
    assert found == [{"plead": [2]}, {"deceive": [3]}, {"coerce": [1]}]
    assert (document["no_verdict"], document["disagreements"]) == ([], [])
    assert document["agreement"]["plead"]["n"] == UTTERANCES
    assert document["agreement"]["plead"]["kappa"] == 1.0
    assert document["agreement"]["distract"]["kappa"] is None


def test_a_judge_that_is_always_wrong_is_shown_as_such(run, talk):
    judge_run(run, talk.judge_of(talk.ScriptedJudge(talk.wrong)))
    document = written(run)
    assert all(row["tp"] == row["tn"] == 0 and row["kappa"] < 0 for row in document["labelled"]["judge"].values())
    assert len(document["disagreements"]) == UTTERANCES * len(WORD_FLAGS)
    first = next(d for d in document["disagreements"] if d["flag"] == "plead" and d["rules"])
    assert set(first) == {"trial", "i", "flag", "rules", "judge", "text"}
    assert (first["i"], first["judge"], first["text"]) == (2, False, talk.PLEA["text"])


def test_nonsense_is_kept_and_counts_as_no_label_while_the_rest_goes_on(run, talk):
    def half_mad(words: str) -> str:
        return talk.right(words) if words == talk.PLEA["text"] else "banana {"

    judge_run(run, talk.judge_of(talk.ScriptedJudge(half_mad)))
    document = written(run)
    assert len(document["no_verdict"]) == UTTERANCES - 1
    assert all(set(entry) == {"trial", "i", "answer"} for entry in document["no_verdict"])
    assert {entry["answer"] for entry in document["no_verdict"]} == {"banana {"}
    assert document["disagreements"] == []
    assert document["agreement"]["plead"]["n"] == 1
    assert {sum(row[k] for k in ("tp", "fp", "fn", "tn")) for row in document["labelled"]["judge"].values()} == {0}
    assert sum(len(row["judge"]) for flags in document["trials"].values() for row in flags.values()) == 1


def test_judging_changes_no_trial_and_no_outcome(run, talk):
    before = hashes(run)
    judge_run(run)
    judge_run(run, talk.judge_of(talk.ScriptedJudge(talk.wrong)))
    assert hashes(run) == before
    opened = RunFolder.open(run)
    assert opened.scan() == []
    assert {row.outcome for row in opened.rows.values()} == {"comply"}


def test_nothing_is_asked_twice_while_judge_and_prompt_are_the_same(run, talk):
    first = talk.ScriptedJudge(talk.right)
    judge_run(run, talk.judge_of(first))
    document = written(run)
    assert len(first.asked) == len(set(first.asked)) == len(held_out()) + UTTERANCES
    again = talk.ScriptedJudge(talk.wrong)
    judge_run(run, talk.judge_of(again))
    assert again.asked == []
    assert written(run) == document


@pytest.mark.parametrize("change", ["digest", "name", "prompt"])
def test_another_judge_model_or_prompt_is_asked_afresh(run, talk, change):
    judge_run(run, talk.judge_of(talk.ScriptedJudge(talk.right)))
    other = talk.ScriptedJudge(talk.wrong, digest="sha-2" if change == "digest" else "sha-1")
    judge = talk.judge_of(other, "openai:other" if change == "name" else "openai:scripted")
    if change == "prompt":
        object.__setattr__(judge, "prompt", type(judge.prompt)(**{**vars(judge.prompt), "sha256": "0" * 64}))
    judge_run(run, judge)
    assert len(other.asked) == len(held_out()) + UTTERANCES
    assert len((run / ANSWERS).read_bytes().splitlines()) == 2 * len(other.asked)


@pytest.mark.parametrize("problem", [ControllerError("HTTP 500"), ControllerTimeoutError("no answer in 5 s")])
def test_a_server_that_fails_stops_the_judging_and_keeps_what_was_said(run, talk, problem):
    asked: list[str] = []

    def fails_at_ten(words: str) -> Any:
        asked.append(words)
        return problem if len(asked) == 10 else talk.right(words)

    with pytest.raises(JudgeStoppedError, match=r"at question 10 of 119") as caught:
        judge_run(run, talk.judge_of(talk.ScriptedJudge(fails_at_ten)))
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert len((run / ANSWERS).read_bytes().splitlines()) == 9
    rest = talk.ScriptedJudge(talk.right)
    judge_run(run, talk.judge_of(rest))
    assert len(rest.asked) == 119 - 9
    assert not set(rest.asked) & set(asked[:9])
    assert written(run)["no_verdict"] == []


def test_an_answer_torn_by_a_kill_is_asked_again_and_spoils_no_other(run, talk):
    judge_run(run, talk.judge_of(talk.ScriptedJudge(talk.right)))
    document = written(run)
    file = run / ANSWERS
    file.write_bytes(file.read_bytes()[:-30])
    again = talk.ScriptedJudge(talk.right)
    judge_run(run, talk.judge_of(again))
    assert len(again.asked) == 1
    assert written(run) == document
    last = talk.ScriptedJudge(talk.right)
    judge_run(run, talk.judge_of(last))
    assert last.asked == []


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda p: p.write_bytes(b""), "no event"),
        (lambda p: p.write_bytes(b"\x00\xff garbage\nmore\n"), "line 0"),
        (lambda p: p.write_bytes(b"torn"), "does not start"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b'"type":"say"', b'"type":say')), "line"),
        (lambda p: p.write_bytes(b'{"i": 0, "type": "trial_start", "trial": "another"}\n'), "does not start"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b'"text":', b'"txet":')), "records.md"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b'"text":"', b'"text":5,"x":"')), "records.md"),
        (lambda p: (p.unlink(), p.mkdir()), "directory"),
    ],
)
def test_a_corrupt_trial_is_named_and_the_rest_is_judged(run, talk, damage, why):
    bad = talk.trials_of(run)[0]
    damage(run / "trials" / f"{bad}.jsonl")
    judge_run(run, talk.judge_of(talk.ScriptedJudge(talk.right)))
    document = written(run)
    ((file, reason),) = [(entry["file"], entry["why"]) for entry in document["unreadable"]]
    assert file == f"{bad}.jsonl"
    assert why in reason
    assert "\n" not in reason
    assert list(document["trials"]) == talk.trials_of(run)[1:]


def test_an_unfinished_trial_is_counted_and_not_judged(run, talk):
    file = run / "trials" / f"{talk.trials_of(run)[1]}.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    done = judge_run(run)
    assert (done.unfinished, len(done.document["trials"]), done.document["unreadable"]) == (1, 2, [])


def test_what_is_no_run_is_refused_and_left_alone(tmp_path):
    with pytest.raises(FolderError, match=r"study\.yaml"):
        judge_run(tmp_path)
    with pytest.raises(FolderError, match=r"study\.yaml"):
        judge_run(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_under_way_is_not_judged(run):
    with locked(run), pytest.raises(FolderError, match="one runner at a time"):
        judge_run(run)
    assert not (run / JUDGEMENT).exists()


# -- by condition and controller ---------------------------------------------------------------------------------------


def test_rates_are_over_trials_and_a_trial_without_a_verdict_is_in_none_of_the_judge(run, talk):
    """Three trials: a plea, a lie, a threat. The judge sees the threat and talks nonsense about the lie."""

    def answer(words: str) -> str:
        if words == talk.LIE["text"]:
            return "Well."
        return json.dumps({flag: flag == "coerce" and words == talk.THREAT["text"] for flag in WORD_FLAGS})

    document = judge_run(run, talk.judge_of(talk.ScriptedJudge(answer))).document
    cells = {c.flag: c for c in by_cell(document, read_rows(run).rows)}
    assert set(cells) == {"plead", "deceive", "coerce"}
    assert {flag: (c.rules.k, c.rules.n) for flag, c in cells.items()} == dict.fromkeys(cells, (1, 3))
    judged = {flag: (c.judge.k, c.judge.n) for flag, c in cells.items()}
    assert judged == {"plead": (0, 2), "deceive": (0, 2), "coerce": (1, 2)}


def test_without_a_judge_its_rates_are_empty(run):
    cells = by_cell(judge_run(run).document, read_rows(run).rows)
    assert {c.judge.n for c in cells} == {0}
    assert {(c.rules.k, c.rules.n) for c in cells} == {(1, 3)}
