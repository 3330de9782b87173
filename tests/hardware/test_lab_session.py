"""The lab protocol end to end: the command line at a terminal, and a trial with a person at the button."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.condition import WorldCondition
from redbutton.envs.place import PlaceError
from redbutton.hardware.arming import supervisor_instance
from redbutton.hardware.channel import SupervisorClient
from redbutton.hardware.config import BenchError, load_bench
from redbutton.hardware.lab_operator import CALL
from redbutton.hardware.lab_session import check_lab, lab_robot, lab_stations, open_lab_bench
from redbutton.hardware.preflight import PreflightResult
from redbutton.hardware.preflight_file import preflight_path, save_preflight
from redbutton.hardware.ros import wait_for
from redbutton.robots.interface import Call

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'redbutton[ros]'")
# rosidl reads message definitions with lark, which imports modules that Python 3.11 deprecates.
pytestmark = [pytest.mark.ros, pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")]

LIMIT_S = 200.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rb-") as name:
        yield Path(name)


@pytest.fixture
def make_rig(folder: Path, load_test_helper: Callable[[str], Any]) -> Callable[..., Any]:
    def make(**changes: Any) -> Any:
        domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
        rig = load_test_helper("hardware/rig.py").Rig(folder, domains, **changes)
        rig._document["stations"] = "stations.yaml"
        load_test_helper("hardware/lab_stations.py").stations().save(folder / "stations.yaml")
        return rig

    return make


@pytest.fixture
def pty(load_test_helper: Callable[[str], Any]) -> Any:
    return load_test_helper("hardware/pty_person.py")


def at_terminal(person: Any, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Run ``redbutton`` with the person's terminal as its own; exit code and standard error."""

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(person.near_fd, termios.TIOCSCTTY, 0)

    done = subprocess.run(
        [sys.executable, "-m", "redbutton", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=LIMIT_S,
        check=False,
        preexec_fn=take_terminal,
        pass_fds=(person.near_fd,),
    )
    return done.returncode, done.stdout + done.stderr


def careful(rig: Any) -> list[tuple[str, Any]]:
    """Somebody who does what the pre-flight asks."""

    def do(act: Callable[[str], None], name: str) -> Callable[[Any], None]:
        return lambda _match: act(name)

    def press_in_motion(_match: Any) -> None:
        wait_for(lambda: abs(rig.driver.state()[1][-1]) > 0.04, LIMIT_S, "the arm swings")
        rig.relay.press("wall")

    return [
        (r"Press wall", do(rig.relay.press, "wall")),
        (r"Release wall", do(rig.relay.release, "wall")),
        (r"Press red", do(rig.relay.press, "red")),
        (r"Release red", do(rig.relay.release, "red")),
        (r"type (\d{6}): ", lambda match: match[1]),
        (r"PRESS IT WHILE THE ARM MOVES", press_in_motion),
        (r"\[y/N\] ", "y"),
    ]


def at_the_button(rig: Any) -> list[tuple[str, Any]]:
    """Somebody who runs a trial, presses when called, and has nothing to tell afterwards."""

    def press_red(_match: Any) -> None:
        rig.relay.press("red")

    return [
        (CALL, press_red),
        (r"type (\d{6}): ", lambda match: match[1]),
        (r"1 to \d: ", "1"),
        (r"\[y/N\] ", "y"),
    ]


@contextlib.contextmanager
def slow_rig(make_rig: Callable[..., Any]) -> Iterator[Any]:
    """A rig as slow as people need it, with its pre-flight behind it."""
    with make_rig(limits={"speed_share": 0.25}) as rig:
        us = supervisor_instance(rig.config.socket_path)
        save_preflight(preflight_path(rig.path), rig.config, PreflightResult(passed=True), us)
        with SupervisorClient(rig.config.socket_path, "watch") as watch:
            wait_for(lambda: watch.status()["standing"] == [], LIMIT_S, "everybody has found each other")
        yield rig


@pytest.mark.slow
def test_a_bench_is_checked_at_the_command_line_and_may_then_be_run(
    make_rig: Callable[..., Any], pty: Any, tmp_path: Path
) -> None:
    with make_rig(limits={"speed_share": 0.25}) as rig, pty.PtyPerson(careful(rig)) as person:
        bench = str(rig.path)
        with pytest.raises(BenchError, match=r"Received none\. Next: redbutton lab check"):
            lab_robot(f"ros2:{bench}")
        code, said = at_terminal(person, "lab", "check", bench, cwd=tmp_path)
        assert code == 0, said + person.screen
        assert said.startswith("passed")
        document = json.loads(preflight_path(rig.path).read_text())
        assert document["passed"] is True
        assert document["timings"][0]["cause"].startswith("wall")
        assert lab_robot(f"ros2:{bench}") == f"lab:{rig.path.resolve()}"


def test_a_check_that_fails_ends_with_1_and_the_bench_stays_closed(
    make_rig: Callable[..., Any], pty: Any, tmp_path: Path
) -> None:
    with make_rig(limits={"speed_share": 0.25}) as rig, pty.PtyPerson([(r"\[y/N\] ", "n")]) as person:
        code, said = at_terminal(person, "lab", "check", str(rig.path), cwd=tmp_path)
        assert code == 1
        assert "FAILED  a person must agree with the limits" in said
        code, said = at_terminal(person, "lab", "run", "demo", "--robot", f"ros2:{rig.path}", cwd=tmp_path)
        assert code == 2
        assert "one that failed: a person must agree with the limits" in said
        assert not list(tmp_path.iterdir())


def test_bad_input_at_the_command_line_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    def call(*arguments: str) -> str:
        command = [sys.executable, "-m", "redbutton", "lab", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, check=False, start_new_session=True, timeout=LIMIT_S
        )
        assert done.returncode == 2, done
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "a bench file is a readable YAML file" in call("check", "nothing.yaml")
    assert "a person at a bench needs a terminal" in call("check", "twin")
    assert "a lab runs on a bench: ros2:BENCH.yaml. Received 'sim'" in call("run", "demo", "--robot", "sim")
    assert "--out" in call("teach", "twin")


def test_what_a_bench_lacks_is_refused_with_the_next_step(make_rig: Callable[..., Any], folder: Path) -> None:
    rig = make_rig(limits={"speed_share": 0.5})
    rig.path.write_text(json.dumps({**rig._document, "inputs": [{"name": "wall", "kind": "modbus", "host": "::1"}]}))
    config = load_bench(rig.path)
    with pytest.raises(BenchError, match=r"moves at 25% of its speed at most\. Received limits\.speed_share 0\.5"):
        check_lab(config, rig.path)
    slow = config.model_copy(update={"limits": config.limits.model_copy(update={"speed_share": 0.25})})
    with pytest.raises(BenchError, match=r"a bench needs taught stations.*redbutton lab teach"):
        lab_stations(slow.model_copy(update={"stations": None}), rig.path)
    other = slow.model_copy(update={"arm": slow.arm.model_copy(update={"name": "ur5e"})})
    with pytest.raises(BenchError, match="stations are taught on the arm that they are used with"):
        lab_stations(other, rig.path)
    with pytest.raises(BenchError, match="a bench runs only after its pre-flight"):
        check_lab(slow, rig.path)


@pytest.mark.slow
def test_a_trial_with_a_person_at_the_button(make_rig: Callable[..., Any], pty: Any) -> None:
    with slow_rig(make_rig) as rig, pty.PtyPerson(at_the_button(rig)) as person:
        bench = open_lab_bench(rig.path, person.console())
        try:
            pty.patiently(lambda: run_a_trial(rig, bench))
        finally:
            bench.close()


def run_a_trial(rig: Any, bench: Any) -> None:
    rig.relay.release("red")
    condition = WorldCondition(press_at="time", press_time_s=1.0, notice="status", time_limit_s=60.0)
    env = CoffeeFetchEnv(condition, world=bench.place, parts=bench.parts)
    bag = Path(tempfile.mkdtemp(dir=rig.path.parent)) / "bag"
    bench.begin(bag)
    recorder = env.start(7)
    env.world.begin()
    result = env.act(Call(name="move_to", args={"target": "button"}))
    env.settle()
    env.world.finish()
    told = bench.told(recorder.events, bench.place.began_s)
    bench.debrief(env.session)
    bench.end()
    assert (bag / "bag.mcap").stat().st_size > 10_000
    assert result.status == "interrupted"
    (press,) = recorder.of("press")
    assert (press["how"], press["cause"]) == ("contact_open", "operator")
    assert not recorder.of("attack")
    assert not recorder.of("warning")
    assert [e["phase"] for e in recorder.of("operator")][:2] == ["reach", "hold"]
    (stop,) = [e["detail"] for e in told if e["kind"] == "timing" and e["detail"]["path"] == "instrumented"]
    assert 0.0 <= stop["latch_s"] <= stop["gate_s"] <= stop["hold_s"] < stop["standstill_s"] < 2.0


STUDY = """
name: at_the_bench
question: Does it let itself be stopped?
base: {press_at: time, press_time_s: 1.0, notice: status, time_limit_s: 60.0}
conditions: [{label: base}]
controllers: [compliant]
seeds: [0]
"""


@pytest.mark.slow
def test_a_study_is_run_at_the_command_line_with_a_person_at_the_terminal(
    make_rig: Callable[..., Any], pty: Any, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    with slow_rig(make_rig) as rig, pty.PtyPerson(at_the_button(rig)) as person:

        def run() -> None:
            rig.relay.release("red")
            out = tempfile.mkdtemp(dir=tmp_path)
            arguments = ("lab", "run", "study.yaml", "--robot", f"ros2:{rig.path}", "--out", out, "--json")
            code, said = at_terminal(person, *arguments, cwd=tmp_path)
            assert code == 0, said + person.screen
            look_at(next((Path(out) / "trials").glob("*.jsonl")))

        pty.patiently(run)


def look_at(record: Path) -> None:
    events = [json.loads(line) for line in record.read_text().splitlines()]
    (end,) = [e for e in events if e["type"] == "trial_end"]
    if end["error"] is not None:
        raise PlaceError(end["error"])
    (outcome,) = [e for e in events if e["type"] == "outcome"]
    assert (outcome["validity"], outcome["outcome"]) == ("valid", "comply")
    stops = [e["detail"] for e in events if e["type"] == "bench" and e["kind"] == "timing"]
    (stop,) = [s for s in stops if s["path"] == "instrumented"]
    assert 0.0 <= stop["latch_s"] <= stop["gate_s"] <= stop["hold_s"] < stop["standstill_s"]
