"""The twin as a driver: a real process, real DDS, real Modbus."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")
pytest.importorskip("pymodbus", reason="needs pymodbus (pip install 'redbutton[lab]')")

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    # What rclpy imports the first time a message is used.
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),
]

HOME = (0.0, -0.785398, 0.0, -2.356194, 0.0, 1.570796, 0.785398)
REST = (0.0,) * 7


def turned(by_rad: float) -> list[float]:
    """Home with the first joint turned."""
    return [by_rad, *HOME[1:]]


@pytest.fixture(scope="module")
def helpers(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/twin_rig.py")


@pytest.fixture(scope="module")
def domains(load_test_helper: Callable[[str], ModuleType]) -> Callable[[], tuple[int, int]]:
    ids = load_test_helper("hardware/ros_ids.py")
    return lambda: tuple(ids.domain_ids(2))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def running(
    helpers: ModuleType, domains: Callable[[], tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    rig = helpers.TwinRig(tmp_path_factory.mktemp("twin"), domains())
    yield rig
    assert rig.close() == (0, "")


@pytest.fixture
def twin(running: Any) -> Any:
    running.reset()
    return running


def reaches(twin: Any, goal: list[float]) -> None:
    def there() -> bool:
        return max(abs(a - b) for a, b in zip(twin.positions, goal, strict=True)) < 0.02 and twin.speed < 0.02

    twin.until(there, f"the arm reaches {goal}")


# -- what a driver publishes -----------------------------------------------------------------------------------


def test_joint_states_come_80_times_a_simulated_second(twin: Any) -> None:
    twin.states.clear()
    twin.until(lambda: len(twin.states) > 80, "a second of joint states")
    stamps = [s.header.stamp.sec * 10**9 + s.header.stamp.nanosec for s in list(twin.states)]
    steps = {b - a for a, b in itertools.pairwise(stamps)}
    assert {step % 12_500_000 for step in steps} == {0}  # best effort: some may be lost
    assert min(steps) == 12_500_000
    message = twin.states[-1]
    assert list(message.name) == [f"panda_joint{n}" for n in range(1, 8)] + ["panda_finger_joint1"]
    assert len(message.position) == len(message.velocity) == 8
    assert message.position[7] == pytest.approx(0.04, abs=1e-3)


def test_the_scene_comes_with_every_control_period(twin: Any) -> None:
    twin.scenes.clear()
    twin.until(lambda: len(twin.scenes) > 20, "a second of scenes")
    scenes = list(twin.scenes)
    for before, after in itertools.pairwise(scenes):
        assert after["tick"] == before["tick"] + 1
        assert after["t_s"] == pytest.approx(before["t_s"] + 0.05)
    assert scenes[0]["arm"]["powered"]
    assert scenes[0]["touches"] == {"arm": False, "lid": False, "cup": False}
    assert scenes[0]["holding"] is None


def test_time_lost_is_told(twin: Any) -> None:
    twin.until(lambda: len(twin.scenes) > 1, "a scene")
    scene, now_s = twin.scene, time.monotonic()
    lived_s = now_s - twin.twin.ready_s
    assert scene["t_s"] + scene["late_s"] == pytest.approx(lived_s, abs=3.0)


# -- trajectories ----------------------------------------------------------------------------------------------


def test_a_trajectory_moves_the_arm_and_the_last_point_is_held(twin: Any) -> None:
    twin.send([(1.0, turned(0.3), REST)])
    reaches(twin, turned(0.3))
    seen = twin.scene["tick"]
    twin.until(lambda: twin.scene["tick"] > seen + 10, "half a second")
    reaches(twin, turned(0.3))


def test_a_chain_of_short_trajectories_moves_the_arm_smoothly(twin: Any) -> None:
    for step in range(1, 21):
        begin = twin.scene["tick"]
        at, speed = turned(0.02 * step), [0.4, *REST[1:]]
        twin.send([(0.05, at, speed), (0.1, turned(0.02 * step + 0.01), REST)])
        twin.until(lambda begin=begin: twin.scene["tick"] > begin, "the next control period")
    reaches(twin, turned(0.41))


def test_a_hold_ends_a_motion_where_the_arm_is(twin: Any) -> None:
    twin.send([(2.0, turned(1.5), REST)])
    twin.until(lambda: twin.positions[0] > 0.4, "the arm is on its way")
    stopped_at = twin.positions
    twin.send([(0.0, stopped_at, REST)])
    twin.until(lambda: twin.speed < 0.01, "the arm stands")
    seen = twin.scene["tick"]
    twin.until(lambda: twin.scene["tick"] > seen + 20, "a second")
    assert abs(twin.positions[0] - stopped_at[0]) < 0.05  # back at the held position, and nowhere near 1.5


@pytest.mark.parametrize(
    ("points", "names", "late", "said"),
    [
        ([], None, False, "empty"),
        ([(0.1, turned(0.5), REST)], None, True, "ends in the future"),
        ([(0.1, turned(0.5), [0.5, *REST[1:]])], None, False, "at rest"),
        ([(0.1, [0.5], [0.0])], ["panda_joint1"], False, "all 7 joints"),
    ],
    ids=["empty", "late", "moving at its end", "not all joints"],
)
def test_what_a_real_controller_refuses_moves_nothing(
    twin: Any, points: list[Any], names: list[str] | None, late: bool, said: str
) -> None:
    before = twin.counted("rejected")
    stamp = twin.states[-1].header.stamp
    twin.send(points, names, stamp.sec - 5.0 if late else 0.0)
    twin.until(lambda: twin.counted("rejected") == before + 1, "the refusal is counted")
    assert said in twin.scene["trajectories"]["reason"]
    reaches(twin, list(HOME))


def test_the_gripper_has_a_controller_of_its_own(twin: Any) -> None:
    twin.send([(0.2, [0.01], [])], ["panda_finger_joint1"], topic=twin.grip_topic)
    twin.until(lambda: abs(twin.states[-1].position[7] - 0.01) < 0.002, "the fingers close")
    twin.until(lambda: abs(twin.scene["arm"]["gripper_m"] - 0.02) < 0.004, "the scene shows it")
    reaches(twin, list(HOME))


# -- services --------------------------------------------------------------------------------------------------


def test_the_cancel_service_answers_for_a_controller_without_goals(twin: Any) -> None:
    from action_msgs.srv import CancelGoal

    name, before = twin.config.arm.cancel_service, twin.counted("cancels")
    assert twin.call(CancelGoal, name, CancelGoal.Request()).return_code == CancelGoal.Response.ERROR_NONE
    one = CancelGoal.Request()
    one.goal_info.goal_id.uuid[0] = 7
    assert twin.call(CancelGoal, name, one).return_code == CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID
    twin.until(lambda: twin.counted("cancels") == before + 2, "both are counted")


def test_without_power_the_arm_stands_and_is_deaf_and_with_power_it_stays_there(twin: Any) -> None:
    from std_srvs.srv import Trigger

    twin.send([(2.0, turned(1.5), REST)])
    twin.until(lambda: twin.positions[0] > 0.4, "the arm is on its way")
    assert twin.call(Trigger, "/twin/power_off", Trigger.Request()).success
    twin.until(lambda: not twin.scene["arm"]["powered"] and twin.speed < 0.01, "the brakes hold")
    stood_at = twin.positions
    before = twin.counted("rejected")
    twin.send([(0.1, turned(1.5), REST)])
    twin.until(lambda: twin.counted("rejected") == before + 1, "the controller is not active")
    assert twin.modes[-1] == 1  # power is no safety mode
    assert twin.call(Trigger, "/twin/power_on", Trigger.Request()).success
    twin.until(lambda: bool(twin.scene["arm"]["powered"]), "the power is back")
    seen = twin.scene["tick"]
    twin.until(lambda: twin.scene["tick"] > seen + 10, "half a second")
    assert twin.positions == pytest.approx(stood_at, abs=0.02)


# -- people ----------------------------------------------------------------------------------------------------


def read_inputs(port: int) -> list[bool] | None:
    """The relay's four inputs over Modbus TCP, or ``None`` where it answers with an exception."""
    from pymodbus.client import ModbusTcpClient

    with ModbusTcpClient("127.0.0.1", port=port, timeout=1.0, retries=0) as client:
        reply = client.read_discrete_inputs(0, count=4, device_id=1)
        return None if reply.isError() else [bool(bit) for bit in reply.bits[:4]]


def test_a_hand_that_presses_the_button_opens_the_contacts_on_the_relay(twin: Any) -> None:
    from redbutton.envs.layout import LAYOUT

    port = twin.config.twin.relay_port
    assert read_inputs(port) == [True, True, True, True]
    top = LAYOUT.box_height + 0.006 + LAYOUT.cap_height
    across = LAYOUT.button[1] - LAYOUT.hand_rest[1]
    assert twin.ask("hand", y=across, z=top + 0.035 - LAYOUT.hand_rest[2]) == ""
    twin.until(lambda: abs(twin.scene["hand_y"] - across) < 0.02, "the hand is above the button")
    assert twin.ask("hand", y=across, z=top - 0.014 - LAYOUT.hand_rest[2]) == ""
    twin.until(lambda: twin.scene["latched"], "the mushroom latches")
    assert read_inputs(port) == [True, True, False, False]
    assert twin.ask("hand", y=across, z=0.0) == ""
    twin.until(lambda: twin.scene["hand_z"] > -0.05, "the hand is up")
    assert read_inputs(port) == [True, True, False, False]
    assert twin.ask("lift_cap") == ""
    twin.until(lambda: read_inputs(port) == [True, True, True, True], "the contacts close")


def test_the_wall_button_is_a_pair_of_contacts_on_the_same_relay(twin: Any) -> None:
    port = twin.config.twin.relay_port
    assert twin.fault("press_wall") == ""
    assert read_inputs(port) == [False, False, True, True]
    assert twin.ask("reset") == ""
    assert read_inputs(port) == [False, False, True, True]  # a reset of the scene lifts no button on the wall
    assert twin.fault("release_wall") == ""
    assert twin.fault("wall_channel", channel="b", closed=False) == ""
    assert read_inputs(port) == [True, False, True, True]
    assert twin.fault("release_wall") == ""
    assert twin.fault("unplug_wall") == ""
    assert read_inputs(port) is None
    assert twin.fault("plug_wall") == ""
    assert read_inputs(port) == [True, True, True, True]


def test_cup_and_coaster_stand_where_the_jitter_has_them(twin: Any) -> None:
    from redbutton.envs.layout import LAYOUT
    from redbutton.envs.world import place_things

    draw = (0.01, -0.02, 0.005, 0.0)
    assert twin.ask("reset", jitter=draw, latching=False) == ""
    cup, _ = place_things(LAYOUT, draw)
    assert twin.scene["cup"][:2] == pytest.approx(cup, abs=1e-3)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ({"do": "dance"}, "'dance'"),
        ({"do": "reset", "jitter": [1.0]}, "four numbers"),
        ({"do": "reset", "jitter": [9.0, 0.0, 0.0, 0.0]}, "at most"),
        ({"do": "hand", "y": "far"}, "far"),
        ({"do": "hand", "y": float("nan")}, "finite"),
        ({"do": "fault", "name": "fire"}, "'fire'"),
        ({"do": "fault", "name": "move_arm", "joint": 9}, "joint 0 to 6"),
        ({"do": "frame", "width": 100000, "height": 10}, "pixels"),
        ({"do": "frame"}, "width"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(twin: Any, command: dict[str, Any], said: str) -> None:
    assert said in twin.ask(command.pop("do"), **command)


def test_a_picture_comes_on_request_and_shows_the_coffee(twin: Any) -> None:
    import numpy as np

    pictures = []
    for filled in (False, True):
        twin.images.clear()
        assert twin.ask("coffee", filled=filled) == ""
        assert twin.ask("frame", width=96, height=64) == ""
        twin.until(lambda: bool(twin.images), "a picture")
        image = twin.images[-1]
        assert (image.width, image.height, image.encoding, image.step) == (96, 64, "rgb8", 288)
        pictures.append(np.asarray(image.data, dtype=np.uint8).astype(int))
    assert pictures[0].std() > 20
    assert np.abs(pictures[0] - pictures[1]).max() > 20


def test_a_camera_that_has_died_is_replaced(twin: Any) -> None:
    pid = twin.twin.process.pid
    (camera,) = children_of(pid)
    os.kill(camera, signal.SIGKILL)
    twin.until(lambda: _ended(camera), "the camera has ended")
    twin.images.clear()
    for _ in range(5):  # a process with threads is not gone at once, and may still take a request that it never answers
        assert twin.ask("frame", width=64, height=48) == ""
        asked_s = time.monotonic()
        while not twin.images and time.monotonic() < asked_s + 6.0:
            time.sleep(0.02)
        if twin.images:
            break
    assert twin.images, "a picture of its successor"
    assert children_of(pid) != [camera]


def test_the_hash_of_the_trajectory_is_told_when_asked(twin: Any) -> None:
    twin.scenes.clear()
    assert twin.ask("sha256") == ""
    twin.until(lambda: any("sha256" in scene for scene in list(twin.scenes)), "the hash")
    assert sum("sha256" in scene for scene in list(twin.scenes)) == 1


# -- faults ----------------------------------------------------------------------------------------------------


def test_frozen_joint_states_are_silence_and_the_scene_goes_on(twin: Any) -> None:
    assert twin.fault("freeze_joint_states") == ""
    twin.states.clear()
    seen = twin.scene["tick"]
    twin.until(lambda: twin.scene["tick"] > seen + 5, "the scene goes on")
    assert not twin.states
    assert twin.fault("freeze_joint_states", on=False) == ""
    twin.until(lambda: bool(twin.states), "joint states are back")


def test_the_drivers_clock_can_jump(twin: Any) -> None:
    before = twin.states[-1].header.stamp.sec
    assert twin.fault("stamp_jump", seconds=100.0) == ""
    twin.until(lambda: twin.states[-1].header.stamp.sec > before + 90, "the stamps have jumped")
    assert twin.fault("stamp_jump", seconds=-100.0) == ""


def test_an_arm_moved_by_hand_stays_where_it_was_put(twin: Any) -> None:
    assert twin.fault("move_arm", joint=0, by_rad=0.3) == ""
    reaches(twin, turned(0.3))


def test_a_protective_stop_shows_in_the_safety_mode_and_refuses_motion(twin: Any) -> None:
    twin.send([(2.0, turned(1.5), REST)])
    twin.until(lambda: twin.positions[0] > 0.3, "the arm is on its way")
    assert twin.fault("protective_stop") == ""
    twin.until(lambda: twin.modes[-1] == 3, "the safety mode is told")
    before = twin.counted("rejected")
    twin.send([(0.1, turned(1.5), REST)])
    twin.until(lambda: twin.counted("rejected") == before + 1 and twin.speed < 0.01, "it is refused")
    assert twin.fault("clear_protective_stop") == ""
    twin.until(lambda: twin.modes[-1] == 1, "the safety mode is normal")


def test_so_many_holds_of_a_motion_are_lost_and_the_next_one_stops_it(twin: Any) -> None:
    assert twin.fault("drop_holds", count=2) == ""
    before = twin.counted("dropped")
    twin.send([(5.0, turned(2.5), REST)])
    twin.until(lambda: twin.positions[0] > 0.2, "the arm is on its way")
    for lost in (1, 2):
        twin.send([(0.0, twin.positions, REST)])
        twin.until(lambda lost=lost: twin.counted("dropped") == before + lost, "the hold is lost")
        assert twin.speed > 0.1
    twin.send([(0.0, twin.positions, REST)])
    twin.until(lambda: twin.speed < 0.01, "the arm stands")
    assert twin.positions[0] < 2.4


# -- the process -----------------------------------------------------------------------------------------------


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def shared_memory_of(pid: int) -> set[Path]:
    """Files of the middleware that a process has made; those of ports are shared with whoever is there."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    files = {Path(line.split()[-1]) for line in maps.splitlines() if "/dev/shm/" in line}
    return {path for path in files if "fastdds" in path.name and "_port" not in path.name}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_is_left(
    helpers: ModuleType, domains: Callable[[], tuple[int, int]], tmp_path: Path, how: int
) -> None:
    alone = helpers.TwinProcess(tmp_path, helpers.bench_document(domains()))
    assert alone.said.startswith("ready: twin ")
    pid = alone.process.pid
    children, shared = children_of(pid), shared_memory_of(pid)
    assert children
    assert alone.end(how) == (0, "")
    helpers.wait_for(lambda: not any(Path(f"/proc/{c}").exists() for c in children), 30.0, "the camera has ended")
    assert [path for path in shared if path.exists()] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", alone.config.twin.relay_port), timeout=1.0)


def test_a_killed_twin_takes_its_camera_with_it(
    helpers: ModuleType, domains: Callable[[], tuple[int, int]], tmp_path: Path
) -> None:
    alone = helpers.TwinProcess(tmp_path, helpers.bench_document(domains()))
    pid = alone.process.pid
    children, shared = children_of(pid), shared_memory_of(pid)
    assert alone.end(signal.SIGKILL)[0] == -signal.SIGKILL
    helpers.wait_for(lambda: all(_ended(child) for child in children), 30.0, "the camera has ended")
    for path in shared:  # a killed process cannot remove them
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}_el").unlink(missing_ok=True)


def _ended(pid: int) -> bool:
    """Gone, or a zombie that whoever adopted it has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_four_times_as_fast_is_four_simulated_seconds_a_second(
    helpers: ModuleType, domains: Callable[[], tuple[int, int]], tmp_path: Path
) -> None:
    rig = helpers.TwinRig(tmp_path, domains(), twin={"speed": 4.0}, camera=None)
    try:
        first, first_s = rig.scene, time.monotonic()
        rig.until(lambda: rig.scene["t_s"] > first["t_s"] + 8.0, "eight simulated seconds")
        last, took_s = rig.scene, time.monotonic() - first_s
        lost_s = last["late_s"] - first["late_s"]
        assert (last["t_s"] - first["t_s"]) / 4.0 + lost_s == pytest.approx(took_s, abs=1.0)
        assert "camera in the bench file" in rig.ask("frame", width=64, height=64)
    finally:
        assert rig.close() == (0, "")


def test_a_taken_port_is_one_line_and_exit_code_2(
    helpers: ModuleType, domains: Callable[[], tuple[int, int]], tmp_path: Path
) -> None:
    document = helpers.bench_document(domains())
    with socket.create_server(("127.0.0.1", document["twin"]["relay_port"])):
        failed = helpers.TwinProcess(tmp_path, document)
        assert failed.said == ""
        _, errors = failed.process.communicate(timeout=30.0)
    assert failed.process.returncode == 2
    assert errors.startswith("error: the relay needs a free port")
    assert errors.count("\n") == 1


def test_a_bench_without_a_twin_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(
        "name: real\narm: {profile: panda_twin, power: {'off': /x, 'on': /y}}\n"
        "inputs: [{name: wall, kind: topic, topic_a: /a, topic_b: /b}]\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "redbutton.hardware.twin", str(path)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: a twin needs a bench file with a twin.")


def test_the_command_runs_it_in_the_foreground_until_an_interrupt(
    helpers: ModuleType, domains: Callable[[], tuple[int, int]], tmp_path: Path
) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(json.dumps(helpers.bench_document(domains(), camera=None)), "utf-8")
    command = [sys.executable, "-m", "redbutton", "twin", str(path), "--speed", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30.0)
    assert said.startswith("ready: twin ")
    assert said.endswith("speed 2\n")
    assert (process.returncode, errors) == (0, "")


def test_the_command_refuses_an_unknown_bench() -> None:
    command = [sys.executable, "-m", "redbutton", "twin", "no-such-bench"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-bench" in done.stderr
