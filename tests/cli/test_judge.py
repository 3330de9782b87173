"""``redbutton judge`` as a user runs it, with servers that fail and with a real one whose model talks nonsense."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.cli.main import main
from redbutton.experiments.judging.answers import ANSWERS
from redbutton.experiments.judging.judgement import JUDGEMENT
from redbutton.experiments.judging.labelled import held_out

QUESTIONS = len(held_out()) + 5


@pytest.fixture(scope="module")
def talk(load_test_helper) -> ModuleType:
    return load_test_helper("experiments/talk.py")


@pytest.fixture
def run(talk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path: Path = talk.make_talk(tmp_path / "run")
    return path


@pytest.fixture
def judge(capfd) -> Callable[..., tuple[int, str, str]]:
    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["judge", *args])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def server(load_test_helper) -> Iterator[Any]:
    running = load_test_helper("llm_controller/fault_server.py").FaultServer()
    yield running
    running.close()


@pytest.fixture
def faults(load_test_helper) -> ModuleType:
    return load_test_helper("llm_controller/fault_server.py")


def spec_of(server: Any, options: str = "max_retries=0") -> str:
    return f"openai:tiny@{server.address}/v1?{options}"


def test_without_a_judge_the_rules_speak_and_their_worth_stands_beside_them(run, judge):
    code, out, err = judge("run")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "5 utterances in 3 trials"
    rows = {line.split()[0]: line.split()[1] for line in lines[2:7]}
    assert rows == {"plead": "1", "coerce": "1", "deceive": "1", "eval_aware": "0", "distract": "0"}
    assert all("[" in line for line in lines[2:7])
    assert "0.80 [0.64, 0.97]" in lines[2]
    assert lines[-1] == f"judgement   run/{JUDGEMENT}"


def test_json_is_the_document_and_nothing_else(run, judge):
    code, out, _ = judge("run", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((run / JUDGEMENT).read_text())


def test_a_judge_behind_a_server_is_asked_about_everything_once(run, judge, server, faults):
    faults.speak_openai(server)
    none = json.dumps(dict.fromkeys(("plead", "coerce", "deceive", "eval_aware", "distract"), False))
    server.answers(faults.openai_answer(none))
    code, out, err = judge("run", "--judge", spec_of(server))
    assert code == 0
    assert len(server.chats) == QUESTIONS
    assert err.splitlines()[-1] == f"judge: {QUESTIONS} of {QUESTIONS} answers"
    assert "no verdict  0 of 5 utterances and 0 of 114 labelled ones" in out
    assert "disagree    3 times" in out
    judge("run", "--judge", spec_of(server))
    assert len(server.chats) == QUESTIONS


def test_a_server_that_fails_half_way_is_one_line_and_exit_code_1_and_the_command_goes_on(run, judge, server, faults):
    faults.speak_openai(server)
    good = faults.openai_answer("nonsense")
    server.answers(*[good] * 40, faults.Answer(status=500, body={"error": {"message": "out of memory"}}))
    code, out, err = judge("run", "--judge", spec_of(server))
    assert (code, out) == (1, "")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "question 41 of 119" in errors[0]
    assert "Traceback" not in err
    assert len((run / ANSWERS).read_bytes().splitlines()) == 40
    server.answers(good)
    code, out, _ = judge("run", "--judge", spec_of(server))
    assert code == 0
    assert len(server.chats) == 41 + QUESTIONS - 40
    assert "no verdict  5 of 5 utterances and 114 of 114 labelled ones" in out
    assert "undefined" in out


@pytest.mark.slow
def test_a_killed_judging_goes_on_where_it_stood(run, judge, server, faults):
    faults.speak_openai(server)
    good = faults.openai_answer("nonsense")
    server.answers(*[good] * 30, faults.Answer(hang=True))
    command = [sys.executable, "-m", "redbutton", "judge", "run", "--judge", spec_of(server)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while len(server.chats) < 31:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait(timeout=30)
    assert len((run / ANSWERS).read_bytes().splitlines()) == 30
    assert not (run / JUDGEMENT).exists()
    server.answers(good)
    code, _, _ = judge("run", "--judge", spec_of(server))
    assert code == 0
    assert len(server.chats) == 31 + QUESTIONS - 30
    assert len(json.loads((run / JUDGEMENT).read_text())["no_verdict"]) == 5


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("nowhere",), "study.yaml"),
        (("run", "--judge", "compliant"), "A judge is a language model"),
        (("run", "--judge", "openai:tiny"), "names no server"),
        (("run", "--judge", "openai:tiny@http://127.0.0.1:9/v1"), "No server answers"),
        (("run", "--judge", "ollama:x?base_url=http://127.0.0.1:9"), "127.0.0.1:9"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, judge, args, part):
    code, out, err = judge(*args)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert part in err
    assert not (run / JUDGEMENT).exists()


def test_a_corrupt_trial_is_named_on_standard_error(run, judge, talk):
    bad = talk.trials_of(run)[2]
    (run / "trials" / f"{bad}.jsonl").write_text("nothing of the kind\n")
    code, out, err = judge("run")
    assert code == 0
    assert err.startswith(f"left out  {bad}.jsonl: ")
    assert out.splitlines()[0] == "3 utterances in 2 trials"


@pytest.mark.slow
@pytest.mark.llm
def test_a_real_model_of_random_weights_gives_nonsense_and_nothing_is_lost(run, judge, tiny_server):
    spec = f"openai:{tiny_server.model}@{tiny_server.base_url}?max_tokens=60&temperature=5"
    code, out, err = judge("run", "--judge", spec)
    assert code == 0, err
    document = json.loads((run / JUDGEMENT).read_text())
    kept = [json.loads(line) for line in (run / ANSWERS).read_text().splitlines()]
    assert len(kept) == QUESTIONS
    assert all(entry["answer"] for entry in kept)
    assert {entry["answer"] for entry in document["no_verdict"]} <= {entry["answer"] for entry in kept}
    counted = sum(document["labelled"]["judge"]["plead"][key] for key in ("tp", "fp", "fn", "tn"))
    assert len(document["no_verdict"]) + document["agreement"]["plead"]["n"] == 5
    assert f"no verdict  {len(document['no_verdict'])} of 5 utterances and {114 - counted} of 114 labelled ones" in out
    assert document["judge"]["model"] == tiny_server.model
