"""The pre-flight: a real supervisor, driver and relay, and a person at a real terminal."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redbutton.hardware.arming import Seats, supervisor_instance
from redbutton.hardware.channel import ChannelError, SupervisorClient
from redbutton.hardware.config import BenchError
from redbutton.hardware.preflight import Preflight, PreflightResult
from redbutton.hardware.preflight_file import (
    boottime_s,
    config_sha256,
    preflight_path,
    require_preflight,
    save_preflight,
)
from redbutton.hardware.ros import wait_for

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'redbutton[ros]'")
# rosidl reads message definitions with lark, which imports modules that Python 3.11 deprecates.
pytestmark = [pytest.mark.ros, pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")]

LIMIT_S = 30.0
SOON_S = 2.0
"""How long a pre-flight waits for what will not come; what does come must come sooner, on a busy machine too."""
TRIES = 4


@pytest.fixture(scope="module")
def one_rig(load_test_helper: Callable[[str], Any]) -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="rb-") as folder:
        domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
        with load_test_helper("hardware/rig.py").Rig(Path(folder), domains) as found:
            yield found


@pytest.fixture
def rig(one_rig: Any) -> Iterator[Any]:
    """A bench that several tests share, as it was at first."""
    yield one_rig
    for name in ("wall", "red"):
        one_rig.relay.release(name)
    one_rig.driver.deaf = False


@pytest.fixture
def pty(load_test_helper: Callable[[str], Any]) -> Any:
    return load_test_helper("hardware/pty_person.py")


def press_while_moving(rig: Any) -> None:
    """Wait until the last joint is well under way, then hit the wall button."""
    wait_for(lambda: abs(rig.driver.state()[1][-1]) > 0.04, LIMIT_S, "the arm swings")
    rig.relay.press("wall")


def habits(rig: Any, **changes: Any) -> list[tuple[str, Any]]:
    """What a careful person does at each thing that the pre-flight says. ``changes``: something else instead."""

    def do(act: Callable[..., Any], *args: Any) -> Callable[[Any], None]:
        return lambda _match: act(*args)

    usual = {
        r"set no wider\? \[y/N\] ": "y",
        r"Press wall and keep it down": do(rig.relay.press, "wall"),
        r"Release wall": do(rig.relay.release, "wall"),
        r"Press red and keep it down": do(rig.relay.press, "red"),
        r"Release red": do(rig.relay.release, "red"),
        r"type (\d{6}): ": lambda match: match[1],
        r"a hand at the button\? \[y/N\] ": "y",
        r"PRESS IT WHILE THE ARM MOVES": do(press_while_moving, rig),
    }
    for text, act in changes.items():
        (key,) = [k for k in usual if text.replace("_", " ") in k]
        usual[key] = act
    return list(usual.items())


def check(
    rig: Any,
    pty: Any,
    known: list[tuple[str, Any]],
    within_s: float = LIMIT_S,
    discovery_s: float = LIMIT_S,
    **changes: Any,
) -> Any:
    """Run a pre-flight with a person at a terminal."""
    seats = Seats.of(rig.config)
    seats.connect()
    config = rig.config.model_copy(update=changes)
    try:
        with pty.PtyPerson(known) as person:
            console = person.console(answer_within_s=within_s)
            limits = {"press_within_s": within_s, "move_within_s": within_s, "discovery_s": discovery_s}
            result = Preflight(seats, console, config, **limits).run()
            assert person.failure is None, person.failure
            return result
    finally:
        seats.close()


def status(rig: Any) -> dict[str, Any]:
    with SupervisorClient(rig.config.socket_path, "watch") as client:
        return client.status()


def ignore(_match: Any) -> None:
    """A person who does nothing."""


def refused(rig: Any, result: Any, reason: str) -> None:
    """The pre-flight failed for this reason, and the arm stands still under a stop."""
    assert not result.passed
    (said,) = result.reasons
    assert reason in said
    assert status(rig)["state"] == "stopped"


def first_in_time(run: Callable[[], Any]) -> Any:
    """A pre-flight refuses a stop that took too long, as it must. A machine that was busy is measured again."""
    for _ in range(TRIES):
        result = run()
        if result.passed or "of the press. Received" not in result.reasons[0]:
            break
    return result


def test_a_bench_whose_stop_works_passes_with_its_times(rig: Any, pty: Any) -> None:
    result = first_in_time(lambda: check(rig, pty, habits(rig)))
    assert result.passed, result.reasons
    assert result.reasons == ()
    (stop,) = result.timings
    assert stop["cause"].startswith("wall: ")
    assert 0.0 <= stop["latch_s"] <= stop["gate_s"] <= stop["hold_s"] <= stop["standstill_s"] < 1.0
    assert len(result.steps) == 7
    assert status(rig)["state"] == "stopped"
    assert not rig.driver.moving


def test_without_a_yes_to_the_limits_nothing_is_tried(rig: Any, pty: Any) -> None:
    told: list[str] = []
    watching = (r"stand_in: no real arm may be here", lambda match: told.append(match[0]))
    result = check(rig, pty, [watching, *habits(rig, set_no_wider="n")])
    assert told, "a bench with long time-outs says so before anybody agrees"
    refused(rig, result, "a person must agree with the limits")
    assert result.steps == ("the supervisor of rig answers and has stopped the arm",)


def test_a_button_nobody_presses_is_named(rig: Any, pty: Any) -> None:
    result = check(rig, pty, habits(rig, Press_wall=ignore), within_s=SOON_S)
    refused(rig, result, "both channels of wall must be seen open within 2 s. Received closed, closed")


def test_a_channel_that_sticks_is_named(rig: Any, pty: Any) -> None:
    def one_sticks(_match: Any) -> None:
        rig.relay.set_channel("red", "a", False)

    result = check(rig, pty, habits(rig, Press_red=one_sticks), within_s=SOON_S)
    refused(rig, result, "both channels of red must be seen open within 2 s. Received open, closed")


def test_a_button_that_stays_down_is_named(rig: Any, pty: Any) -> None:
    result = check(rig, pty, habits(rig, Release_wall=ignore), within_s=SOON_S)
    refused(rig, result, "both channels of wall must be seen closed within 2 s. Received open, open")


@pytest.mark.parametrize(("typed", "reason"), [("", "the stop must be reset"), ("000000", "the stop must be reset")])
def test_without_the_right_code_nothing_moves(rig: Any, pty: Any, typed: str, reason: str) -> None:
    after = rig.last_event()
    result = check(rig, pty, habits(rig, type=typed), within_s=SOON_S)
    refused(rig, result, reason if typed else "a person must type the code")
    assert "armed" not in {e["kind"] for e in rig.events(after)}


def test_without_a_clear_workspace_nothing_moves(rig: Any, pty: Any) -> None:
    after = rig.last_event()
    result = check(rig, pty, habits(rig, a_hand_at_the_button="n"))
    refused(rig, result, "a person must say that the workspace is clear")
    assert "armed" not in {e["kind"] for e in rig.events(after)}


def test_a_motion_that_nobody_stops_fails(rig: Any, pty: Any) -> None:
    result = check(rig, pty, habits(rig, PRESS_IT=ignore), within_s=SOON_S)
    refused(rig, result, "a button must be pressed within 2 s of motion")
    wait_for(lambda: not rig.driver.moving, LIMIT_S, "the arm holds")


def test_the_red_button_of_the_study_is_no_stop_of_the_bench(rig: Any, pty: Any) -> None:
    def press_red(_match: Any) -> None:
        rig.relay.press("red")

    result = check(rig, pty, habits(rig, PRESS_IT=press_red), within_s=SOON_S)
    refused(rig, result, "a button must be pressed within 2 s of motion")


def test_an_arm_that_does_not_move_shows_nothing(rig: Any, pty: Any) -> None:
    def deafen(_match: Any) -> None:
        rig.driver.deaf = True
        rig.relay.press("wall")

    refused(rig, check(rig, pty, habits(rig, PRESS_IT=deafen)), "the arm must move before its stop is tried")


def test_a_stop_by_something_else_is_no_test_of_the_button(rig: Any, pty: Any) -> None:
    def somebody_stops(_match: Any) -> None:
        wait_for(lambda: abs(rig.driver.state()[1][-1]) > 0.04, LIMIT_S, "the arm swings")
        with SupervisorClient(rig.config.socket_path, "watch") as client:
            client.stop("from elsewhere")

    result = check(rig, pty, habits(rig, PRESS_IT=somebody_stops))
    refused(rig, result, "the motion must be stopped by a button of role safety. Received requested")


def test_a_second_publisher_is_found_before_anything_moves(rig: Any, pty: Any) -> None:
    from trajectory_msgs.msg import JointTrajectory

    stranger = rig.driver.node.create_publisher(JointTrajectory, rig.config.arm.trajectory_topic, 1)
    try:
        wait_for(lambda: status(rig)["publishers"] == 2, LIMIT_S, "the stranger is seen")
        result = check(rig, pty, habits(rig), discovery_s=0.2)
        refused(rig, result, "the only publisher of commands to the arm. Received 2 of them")
    finally:
        rig.driver.node.destroy_publisher(stranger)
        wait_for(lambda: status(rig)["publishers"] == 1, LIMIT_S, "the stranger is gone")


def test_joint_states_that_stop_coming_are_told(rig: Any, pty: Any) -> None:
    rig.driver.fall_silent()
    try:
        wait_for(lambda: status(rig)["joint_states"]["reason"] != "", LIMIT_S, "the joint states are old")
        result = check(rig, pty, habits(rig), discovery_s=0.2)
        refused(rig, result, "joint states must be younger than 2 s. Received joint_states_stale")
    finally:
        rig.driver.fall_silent(False)


def test_a_bench_file_of_other_limits_than_the_supervisors_is_refused(rig: Any, pty: Any) -> None:
    faster = rig.config.limits.model_copy(update={"speed_share": 1.0})
    refused(rig, check(rig, pty, habits(rig), limits=faster), "the supervisor must have this file's limits")
    refused(rig, check(rig, pty, habits(rig), name="other"), "the supervisor must serve 'other'")


# -- the file -----------------------------------------------------------------------------------------------


def test_a_passed_preflight_is_accepted_for_this_bench_and_supervisor_alone(rig: Any, tmp_path: Path) -> None:
    bench = tmp_path / "bench.yaml"
    path = preflight_path(bench)
    assert path == tmp_path / "bench.preflight.json"

    def reason(config: Any = rig.config, later_s: float = 0.0) -> str:
        with pytest.raises(
            BenchError, match=r"a bench runs only after its pre-flight\. .*redbutton lab check B"
        ) as info:
            require_preflight(path, config, "B.yaml", clock=lambda: boottime_s() + later_s)
        return str(info.value)

    assert "Received none" in reason()
    us = supervisor_instance(rig.config.socket_path)
    save_preflight(path, rig.config, PreflightResult(passed=False, reasons=("the wall button sticks",)), us)
    assert "one that failed: the wall button sticks" in reason()
    save_preflight(path, rig.config, PreflightResult(passed=True, timings=({"latch_s": 0.001},)), us)
    assert require_preflight(path, rig.config, "B.yaml")["timings"] == [{"latch_s": 0.001}]
    changed = rig.config.model_copy(update={"limits": rig.config.limits.model_copy(update={"step_rad": 0.5})})
    assert "one of another bench file" in reason(changed)
    assert "one of 12.1 hours ago" in reason(later_s=12.1 * 3600)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "supervisor": "1-1"}))
    assert "another supervisor" in reason()
    path.write_text(json.dumps({**document, "boot_id": "x"}))
    assert "before this machine was started" in reason()
    path.write_text("[")
    with pytest.raises(BenchError, match="a pre-flight is readable JSON"):
        require_preflight(path, rig.config, "B.yaml")


def test_where_a_bench_lies_does_not_change_its_fingerprint(rig: Any) -> None:
    def described_by(urdf: str) -> str:
        return config_sha256(rig.config.model_copy(update={"arm": rig.config.arm.model_copy(update={"urdf": urdf})}))

    taught = rig.config.model_copy(update={"stations": "/a/stations.yaml"})
    assert config_sha256(taught) == config_sha256(rig.config)
    assert described_by("/a/arm.urdf") == described_by("/b/arm.urdf") != config_sha256(rig.config)


def test_a_supervisor_that_dies_is_told_and_the_next_is_another(
    load_test_helper: Callable[[str], Any], pty: Any
) -> None:
    domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
    with (
        tempfile.TemporaryDirectory(prefix="rb-") as folder,
        load_test_helper("hardware/rig.py").Rig(Path(folder), domains) as rig,
    ):
        first = supervisor_instance(rig.config.socket_path)

        def die(_match: Any) -> None:
            rig.supervisor.signal(signal.SIGKILL)

        result = check(rig, pty, habits(rig, Press_wall=die))
        assert not result.passed
        assert "the supervisor is lost" in result.reasons[0]
        rig.supervisor.end()
        with pytest.raises(ChannelError, match="a bench needs its supervisor running"):
            supervisor_instance(rig.config.socket_path)
        rig.supervisor.start()
        assert supervisor_instance(rig.config.socket_path) != first
