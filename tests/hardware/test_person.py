"""A person at a real pseudo-terminal: only a clear yes is one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from redbutton.hardware.config import BenchError
from redbutton.hardware.person import ConsolePerson


@pytest.fixture
def terminal(load_test_helper: Callable[[str], ModuleType]) -> Any:
    with load_test_helper("hardware/pty_person.py").PtyPerson() as made:
        yield made


def asked(terminal: Any, question: Callable[[], Any], prompt: str, act: Callable[[], None]) -> Any:
    """Ask in a thread, act once the question is on the screen."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(question)
        terminal.wait_for(prompt)
        act()
        return answer.result(30.0)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("y", True), ("YES", True), (" yes ", True), ("", False), ("n", False), ("yess", False), ("ok", False)],
)
def test_only_a_clear_yes_is_a_yes(terminal: Any, typed: str, meant: bool) -> None:
    person = terminal.console()
    got = asked(terminal, lambda: person.confirm("Is it clear?"), "[y/N]", lambda: terminal.type(f"{typed}\n"))
    assert got is meant


def test_the_end_of_input_is_a_no(terminal: Any) -> None:
    person = terminal.console()
    assert asked(terminal, lambda: person.confirm("Clear?"), "[y/N]", terminal.end_of_input) is False
    terminal.wait_for("taken as no")


def test_silence_is_a_no_after_its_time(terminal: Any) -> None:
    before = time.monotonic()
    assert terminal.console(answer_within_s=0.2).confirm("Clear?") is False
    assert 0.2 <= time.monotonic() - before < 30.0
    terminal.wait_for("(no answer: taken as no)")


def test_half_a_line_is_silence(terminal: Any) -> None:
    person = terminal.console(answer_within_s=0.3)
    assert asked(terminal, lambda: person.confirm("Clear?"), "[y/N]", lambda: terminal.type("y")) is False


def test_keys_struck_before_the_question_are_no_answer(terminal: Any) -> None:
    person = terminal.console(answer_within_s=0.3)
    terminal.type("y\n")
    terminal.wait_for("y")  # echoed by the terminal: it waits in the input queue now
    assert person.confirm("Clear?") is False


def test_a_terminal_that_is_gone_is_a_no(terminal: Any) -> None:
    far, near = os.openpty()
    os.close(far)
    try:
        person = ConsolePerson(near, near, 5.0)
        assert person.confirm("Clear?") is False
        assert person.ask_code("Code?") == ""
        assert person.choose("Which?", ["a", "b"]) is None
        person.press_now("PRESS")
    finally:
        os.close(near)


def test_yes_from_a_pipe_is_nobody() -> None:
    code = (
        "import sys; from redbutton.hardware.person import ConsolePerson; sys.exit(ConsolePerson().confirm('Clear?'))"
    )
    done = subprocess.run([sys.executable, "-c", code], input="yes\n" * 9, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "taken as no" in done.stdout


def test_a_code_comes_back_as_typed(terminal: Any) -> None:
    person = terminal.console()
    got = asked(terminal, lambda: person.ask_code("Type 123456:"), "123456:", lambda: terminal.type(" 123456 \n"))
    assert got == "123456"


@pytest.mark.parametrize(("typed", "meant"), [("2", "covered"), ("blocked", "blocked"), ("0", None), ("", None)])
def test_a_choice_is_a_number_or_the_words(terminal: Any, typed: str, meant: str | None) -> None:
    person = terminal.console(answer_within_s=0.5)
    got = asked(
        terminal,
        lambda: person.choose("What did it do?", ["blocked", "covered"]),
        "1 to 2: ",
        lambda: terminal.type(f"{typed}\n"),
    )
    assert got == meant


def test_nonsense_gets_a_second_chance(terminal: Any) -> None:
    person = terminal.console()

    def act() -> None:
        terminal.type("what\n")
        deadline = time.monotonic() + 10.0
        while terminal.screen.count("1 to 2: ") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        terminal.type("1\n")

    assert asked(terminal, lambda: person.choose("Which?", ["a", "b"]), "1 to 2: ", act) == "a"


def test_the_call_to_press_is_loud_and_obeys_no_color(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal.console().press_now("PRESS THE RED BUTTON NOW")
    terminal.wait_for("\x1b[1;97;41m PRESS THE RED BUTTON NOW \x1b[0m\a")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.console().press_now("PRESS AGAIN")
    terminal.wait_for("*** PRESS AGAIN ***")


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_call() -> None:
    far, near = os.openpty()
    try:
        os.set_blocking(near, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(near, b"x" * 4096)
        os.set_blocking(near, True)
        done = threading.Event()

        def call() -> None:
            ConsolePerson(near, near).press_now("PRESS")
            done.set()

        threading.Thread(target=call, daemon=True).start()
        assert done.wait(10.0)
    finally:
        os.close(far)
        os.close(near)


def test_without_a_terminal_the_next_step_is_told() -> None:
    code = "from redbutton.hardware.person import ConsolePerson; ConsolePerson.terminal()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, start_new_session=True
    )
    assert "a person at a bench needs a terminal" in done.stderr
    assert BenchError.__name__ in done.stderr
