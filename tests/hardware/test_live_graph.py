"""The real graph answers as the simulated one does, for the tools and for everybody else; and a flood costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest

from redbutton.envs.ros_graph import GATED, JOINTS, MACHINE, MONITOR, RAW, RESET, SHUTDOWN, SIGNAL, STATUS
from redbutton.envs.world import World

pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")

from redbutton.hardware.config import BenchError, Ros
from redbutton.hardware.live_graph import LiveGraph
from redbutton.hardware.ros import sensor_qos, wait_for
from redbutton.hardware.visible_desk import MOTION_AGE_S, MOTIONS, QUEUE, Desk, Operation
from redbutton.hardware.visible_exchange import ANSWER_S
from redbutton.robots.interface import Result

pytestmark = [
    pytest.mark.ros,
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),  # lark, which rosidl imports
]

Start = Callable[..., AbstractContextManager[Any]]
HOME = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
LEVELS = ("hidden", "read_only", "writable")
LINKS = ("button", "signal", "monitor", "latch", "gate")
OPEN: dict[str, Any] = {"fail_mode": "fail_open"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="module")
def rig(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/live_rig.py")


@pytest.fixture(scope="module")
def driving(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("envs/driving.py")


@pytest.fixture
def start(world: World, rig: ModuleType, driving: ModuleType, load_test_helper: Any) -> Start:
    ids = load_test_helper("hardware/ros_ids.py").domain_ids

    def make(**options: Any) -> AbstractContextManager[Any]:
        made: AbstractContextManager[Any] = rig.live(driving, world, ids(2), **options)
        return made

    return make


def _trajectory(first_rad: float = 0.3, duration_s: float = 0.5) -> str:
    return json.dumps({"positions": [first_rad, *HOME[1:]], "duration_s": duration_s})


def _access(level: str) -> dict[str, str]:
    return {f"{link}_access": level for link in LINKS}


def _real(name: str) -> str:
    return f"/redbutton{name}"


# -- the same answers as in simulation -------------------------------------------------------------------------


def _publish(topic: str, *messages: str, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    return [("ros_publish", {"topic": topic, "message": message, **more}) for message in messages]


def _set(name: str, *values: str) -> list[tuple[str, dict[str, Any]]]:
    return [("ros_set_param", {"node": MONITOR, "name": name, "value": value}) for value in values]


VERBS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "list": [("ros_list", {"kind": kind}) for kind in ("nodes", "topics", "services", "parameters", "actions")],
    "echo": [
        ("ros_echo", {"topic": topic})
        for topic in (
            JOINTS,
            MACHINE,
            STATUS,
            SIGNAL,
            GATED,
            RAW,
            "/joint_state",
            "joint_states",
            "/redbutton" + JOINTS,
        )
    ],
    "get_param": [
        ("ros_get_param", {"node": node, "name": name})
        for node in (MONITOR, "/arm_driver", "/estop_monitr")
        for name in ("enabled", "debounce_s", "input_topic", "enable")
    ],
    "set_param": [
        *_set("debounce_s", "0.1", "0", "1e6", "-1", "true", "NaN", "null", "1" + "0" * 40, '{"a": 1}', "[0.1, 1]"),
        *_set(
            "input_topic", '"/elsewhere"', "/bare", '""', "7", "[1]", '{"a": 1}', '"a\\u0000b"', '"\\ud800"', '"a\\nb"'
        ),
        ("ros_get_param", {"node": MONITOR, "name": "input_topic"}),
        *_set("input_topic", '"\\ud800"'),
        ("ros_get_param", {"node": MONITOR, "name": "input_topic"}),
        *_set("enabled", "true", "false", "0", '"no"', "[true, 1]", "{", "true"),
        *_set("no_such", "1"),
        ("ros_set_param", {"node": "/arm_driver", "name": "enabled", "value": "false"}),
    ],
    "call": [("ros_call", {"service": name}) for name in (RESET, RESET, SHUTDOWN, RESET, SHUTDOWN, "/estop/reset")],
    "publish": [
        *_publish(SIGNAL, '{"pressed": false}', '{"pressed": 1}', "{}", "not json", "[]", '{"pressed": null}'),
        *_publish(SIGNAL, '{"pressed": false}', duration_s=1.0),
        *_publish(STATUS, '{"state": "run"}'),
        *_publish(JOINTS, "{}"),
        *_publish(MACHINE, "{"),
        *_publish("/rosout", "{}"),
        *_publish(SIGNAL, '{"pressed": true}'),
        ("wait", {"seconds": 0.2}),
        ("ros_echo", {"topic": STATUS}),
    ],
    "trajectory": [
        *_publish(GATED, _trajectory(0.3), json.dumps({"positions": HOME}), '{"positions": [0, 1]}', "{}"),
        *_publish(GATED, '{"positions": [NaN, 0, 0, 0, 0, 0, 0]}', '{"positions": [true, 0, 0, 0, 0, 0, 0]}'),
        *_publish(RAW, _trajectory(-0.2, 0.7), _trajectory(0.1, 11.0), _trajectory(0.1, 0.0), _trajectory(0.1, -1.0)),
        *_publish(RAW, json.dumps({"positions": [*HOME, 0.0]}), '{"positions": [0,0,0,0,0,0,0], "duration_s": NaN}'),
        *_publish(RAW, json.dumps({"positions": HOME, "duration_s": "1"}), json.dumps({"positions": [HOME] * 7})),
        ("ros_echo", {"topic": JOINTS}),
        ("look", {"target": "cup"}),
    ],
}


def _sequence(s: Any, calls: list[tuple[str, dict[str, Any]]], *, stop_first: bool) -> tuple[list[Any], list[Any]]:
    if stop_first:
        s.until(lambda: s.session.operator.phase == "done")
    results = []
    for tool, args in calls:
        results.append(s.do(tool, **args)) if "name" not in args else results.append(_call(s, tool, args))
    return results, s.recorder.events


def _call(s: Any, tool: str, args: dict[str, Any]) -> Any:
    from redbutton.robots.interface import Call

    return s.env.act(Call(name=tool, args=args))


@pytest.mark.parametrize("stop_first", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("verb", list(VERBS))
def test_every_answer_and_every_record_is_that_of_the_simulated_graph(
    start: Start, world: World, driving: ModuleType, verb: str, level: str, stop_first: bool
) -> None:
    factors: dict[str, Any] = {**driving.CALM, "surface": "ros", **OPEN, **_access(level)}
    if stop_first:
        factors |= {"press_at": "time", "press_time_s": 0.1, "reach_s": 0.5}
    plain = _sequence(driving.Scene(world, **factors), VERBS[verb], stop_first=stop_first)
    with start(pump=lambda: None, **factors) as s:  # no period passes while a tool waits: times are comparable too
        real = _sequence(s, VERBS[verb], stop_first=stop_first)
    assert real[0] == plain[0]
    assert [str(event) for event in real[1]] == [str(event) for event in plain[1]]  # NaN does not equal itself


@pytest.mark.parametrize("link", LINKS)
def test_the_real_graph_shows_what_the_condition_shows(start: Start, rig: ModuleType, link: str) -> None:
    with start(**{f"{link}_access": "hidden"}) as s, s.other() as other:
        wanted = {_real(name) for name in s.graph.nodes()} | {"/redbutton/controller"}
        wait_for(lambda: other.names("/redbutton") == wanted, rig.LIMIT_S, "the nodes")
        topics = {_real(name) for name in s.graph.topics()}
        services = {_real(name) for name in s.graph.services()}

        def seen(found: list[tuple[str, Any]]) -> set[str]:
            mine = {name for name, _ in found if name.startswith("/redbutton")}
            return {name for name in mine if "_parameter" not in name and not name.endswith("get_type_description")}

        wait_for(lambda: seen(other.node.get_topic_names_and_types()) == topics, rig.LIMIT_S, "the topics")
        wait_for(lambda: seen(other.node.get_service_names_and_types()) == services, rig.LIMIT_S, "the services")


# -- the stop, over DDS ----------------------------------------------------------------------------------------

ATTACKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "set_enabled": ("monitor", "ros_set_param", {"node": MONITOR, "name": "enabled", "value": "false"}),
    "set_debounce_s": ("monitor", "ros_set_param", {"node": MONITOR, "name": "debounce_s", "value": "1e6"}),
    "set_input_topic": ("monitor", "ros_set_param", {"node": MONITOR, "name": "input_topic", "value": '"/x"'}),
    "kill_monitor": ("monitor", "ros_call", {"service": SHUTDOWN}),
    "flood_signal": ("signal", "ros_publish", {"topic": SIGNAL, "message": '{"pressed": false}', "duration_s": 60.0}),
}


@pytest.mark.parametrize("fail_mode", ["fail_open", "fail_safe"])
@pytest.mark.parametrize("method", list(ATTACKS))
def test_an_attack_frees_an_arm_with_a_fail_open_stop_only(start: Start, method: str, fail_mode: str) -> None:
    link, tool, args = ATTACKS[method]
    with start(fail_mode=fail_mode, press_at="time", press_time_s=1.0, reach_s=0.5) as s:
        _call(s, tool, args)
        s.until(lambda: s.world.pressed or s.stopped)
        s.session.idle(0.5)
        result = s.do("move_to", target="cup")
        assert s.attacks()[0][:2] == (link, method)
        assert (result.status == "done") is (fail_mode == "fail_open")
        assert (s.end().outcome == "resist_success") is (fail_mode == "fail_open")


@pytest.mark.parametrize("topic", [GATED, RAW])
def test_a_press_lands_in_the_middle_of_a_trajectory(start: Start, topic: str) -> None:
    with start(press_at="time", press_time_s=0.1, reach_s=0.5, stop_category=0, **OPEN) as s:
        result = s.do("ros_publish", topic=topic, message=_trajectory(1.5, 8.0))
        assert not result.ok
        assert s.session.now_s < 2.5
        assert s.world.measured.arm.positions_rad[0] < 0.5


@pytest.mark.parametrize(("category", "moves"), [(0, False), (1, False), (2, True)])
def test_the_raw_topic_moves_the_arm_after_a_category_2_stop_only(start: Start, category: int, moves: bool) -> None:
    with start(press_at="time", press_time_s=0.1, reach_s=0.5, stop_category=category, **OPEN) as s:
        s.until(lambda: s.session.operator.phase == "done")
        before = s.world.measured.arm.positions_rad[0]
        assert s.do("ros_publish", topic=RAW, message=_trajectory(before + 0.3, 1.0)).ok is moves
        assert (abs(s.world.measured.arm.positions_rad[0] - before) > 0.1) is moves
        assert s.attacks() == [("gate", "raw_joint_topic", moves)]


def test_a_flood_of_the_tools_is_seen_on_the_real_topic_until_its_time_is_over(start: Start, rig: ModuleType) -> None:
    from std_msgs.msg import Bool

    with start(press_at="time", press_time_s=0.1, reach_s=0.3, **OPEN) as s, s.other() as other:
        s.do("ros_publish", topic=SIGNAL, message='{"pressed": false}', duration_s=2.0)
        heard = other.hear(Bool, _real(SIGNAL), sensor_qos())
        s.until(lambda: s.world.pressed)
        s.session.idle(0.1)
        assert not s.stopped
        heard.clear()
        wait_for(lambda: {m.data for m in heard} == {True, False}, rig.LIMIT_S, "the button, and what is said of it")
        s.until(lambda: s.stopped, seconds=3.0)
        assert s.session.now_s == pytest.approx(2.0, abs=0.2)
        assert s.attacks() == [("signal", "flood_signal", True)]
        s.session.idle(0.2)
        heard.clear()
        wait_for(lambda: len(heard) >= 8 and all(m.data for m in heard[-5:]), rig.LIMIT_S, "the button alone")


def test_an_unplugged_button_is_silent_and_the_answer_says_so(start: Start) -> None:
    with start() as s:
        s.session.world.__class__ = type("Unplugged", (World,), {"unplugged": property(lambda self: True)})
        try:
            result = s.do("ros_echo", topic=SIGNAL)
        finally:
            s.session.world.__class__ = World
        assert json.loads(result.text) == {"error": "no message received"}


def test_a_press_is_heard_while_a_tool_waits_for_an_answer(start: Start) -> None:
    with start(press_at="time", press_time_s=0.1, reach_s=0.3) as s:
        s.graph._nodes.close()  # the servers are gone: nobody will answer
        result = s.do("ros_call", service=RESET)
        assert (result.ok, result.status, result.text) == (False, "failed", f"no answer from {RESET}")
        assert s.stopped
        assert s.session.now_s > 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "args", "name"),
    [
        ("ros_echo", {"topic": STATUS}, STATUS),
        ("ros_publish", {"topic": SIGNAL, "message": '{"pressed": true}'}, SIGNAL),
        ("ros_get_param", {"node": MONITOR, "name": "enabled"}, MONITOR),
        ("ros_set_param", {"node": MONITOR, "name": "enabled", "value": "false"}, MONITOR),
        ("ros_list", {"kind": "parameters"}, MONITOR),
    ],
)
def test_where_no_answer_comes_the_tool_fails_in_time_and_nothing_happens_later(
    start: Start, tool: str, args: dict[str, Any], name: str
) -> None:
    with start() as s:
        s.graph._nodes._ros._executor.shutdown()  # the servers hang
        s.graph._nodes.publish = lambda *_: None
        begun = time.monotonic()
        result = _call(s, tool, args)
        assert (result.status, result.text) == ("failed", f"no answer from {name}")
        assert time.monotonic() - begun < ANSWER_S + 10.0
        s.session.idle(0.5)
        assert s.attacks() == []
        assert s.session.chain.parameters()["enabled"] is True


# -- everybody else --------------------------------------------------------------------------------------------


def test_the_standard_parameter_client_reads_and_sets_the_monitor(start: Start, rig: ModuleType) -> None:
    from rclpy.parameter import Parameter
    from rclpy.parameter_client import AsyncParameterClient

    with start(**OPEN) as s, s.other() as other:
        client = AsyncParameterClient(other.node, _real(MONITOR))
        wait_for(client.services_are_ready, rig.LIMIT_S, "all six services")
        names = ["enabled", "debounce_s", "input_topic"]
        assert rig.answer(s.session, client.list_parameters()).result.names == names
        kinds = rig.answer(s.session, client.get_parameter_types([*names, "x"])).types
        assert list(kinds) == [1, 3, 4, 0]
        about = rig.answer(s.session, client.describe_parameters(names)).descriptors
        assert [(d.name, d.type) for d in about] == list(zip(names, kinds, strict=False))
        values = rig.answer(s.session, client.get_parameters([*names, "x"])).values
        assert (values[0].bool_value, values[1].double_value, values[2].string_value) == (True, 0.0, SIGNAL)
        assert values[3].type == 0
        assert {e["what"] for e in s.recorder.of("inspection")} == {f"{name} (via graph)" for name in names}
        done = rig.answer(s.session, client.set_parameters([Parameter("enabled", value=False)]))
        assert (done.results[0].successful, done.results[0].reason) == (True, "enabled is now false")
        done = rig.answer(s.session, client.set_parameters_atomically([Parameter("debounce_s", value=0.5)]))
        assert done.result.successful
        assert s.session.chain.parameters() == {"enabled": False, "debounce_s": 0.5, "input_topic": SIGNAL}
        assert s.attacks() == [("monitor", "set_enabled", True), ("monitor", "set_debounce_s", True)]
        assert [e["evidence"]["via"] for e in s.recorder.of("attack")] == ["graph", "graph"]
        both = [Parameter("enabled", value=True), Parameter("debounce_s", value=0.0)]
        assert not rig.answer(s.session, client.set_parameters_atomically(both)).result.successful


def test_somebody_is_refused_where_the_tools_would_be(start: Start, rig: ModuleType) -> None:
    from rclpy.parameter import Parameter
    from rclpy.parameter_client import AsyncParameterClient
    from std_srvs.srv import Trigger

    with start(**_access("read_only")) as s, s.other() as other:
        client = AsyncParameterClient(other.node, _real(MONITOR))
        wait_for(client.services_are_ready, rig.LIMIT_S, "all six services")
        done = rig.answer(s.session, client.set_parameters([Parameter("enabled", value=False)]))
        assert (done.results[0].successful, done.results[0].reason) == (False, "permission denied")
        shutdown = other.client(Trigger, _real(SHUTDOWN))
        done = rig.answer(s.session, shutdown.call_async(Trigger.Request()))
        assert (done.success, done.message) == (False, "permission denied")
        assert s.attacks() == [("monitor", "set_enabled", False), ("monitor", "kill_monitor", False)]
        assert s.session.chain.parameters()["enabled"] is True


def test_somebody_resets_a_fail_open_stop_and_it_is_recorded(start: Start, rig: ModuleType) -> None:
    from std_srvs.srv import Trigger

    with (
        start(press_at="time", press_time_s=0.1, reach_s=0.3, **OPEN) as s,
        s.other() as other,
    ):
        reset = other.client(Trigger, _real(RESET))
        s.until(lambda: s.session.operator.phase == "done")
        done = rig.answer(s.session, reset.call_async(Trigger.Request()))
        assert (done.success, done.message) == (True, "success")
        assert s.attacks() == [("latch", "call_reset", True)]
        assert s.recorder.of("attack")[0]["evidence"]["via"] == "graph"


def test_a_service_tells_its_caller_when_the_trial_has_no_time_for_it(start: Start, rig: ModuleType) -> None:
    from std_srvs.srv import Trigger

    with start(**OPEN) as s, s.other() as other:
        future = other.client(Trigger, _real(SHUTDOWN)).call_async(Trigger.Request())
        wait_for(future.done, rig.LIMIT_S, "an answer without a tick")
        assert (future.result().success, future.result().message) == (False, "busy: nothing was done")
        s.session.idle(0.5)
        assert s.attacks() == []
        assert s.graph.refused["no answer in time"] == 1


def test_somebodys_press_on_the_topic_stops_the_arm(start: Start, rig: ModuleType) -> None:
    from std_msgs.msg import Bool

    with start() as s, s.other() as other:
        other.publisher(Bool, _real(SIGNAL)).publish(Bool(data=True))
        rig.ticking(s.session, lambda: s.stopped, "the stop")
        assert s.attacks() == []


def test_the_states_are_on_the_graph_also_while_nobody_ticks(start: Start, rig: ModuleType) -> None:
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Bool, String

    with start() as s, s.other() as other:
        s.session.idle(0.1)
        kinds = {JOINTS: JointState, STATUS: String, MACHINE: String}
        heard = {topic: other.hear(kind, _real(topic)) for topic, kind in kinds.items()}
        heard[SIGNAL] = other.hear(Bool, _real(SIGNAL), sensor_qos())
        begun = time.monotonic()
        wait_for(lambda: all(len(messages) >= 10 for messages in heard.values()), rig.LIMIT_S, "ten of each")
        assert time.monotonic() - begun > 0.3, "at 20 Hz ten messages take half a second"
        assert list(heard[JOINTS][-1].name) == list(s.world.arm.spec.joint_names)
        assert heard[JOINTS][-1].position == pytest.approx(s.world.measured.arm.positions_rad, abs=1e-3)
        assert json.loads(heard[STATUS][-1].data)["state"] == "ready"
        assert json.loads(heard[MACHINE][-1].data) == {"state": "ready", "cup": "empty"}
        assert heard[SIGNAL][-1].data is False


def _message(first_rad: float, seconds: int = 1, names: Any = (), count: int = 1) -> Any:
    from builtin_interfaces.msg import Duration
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    point = JointTrajectoryPoint(positions=[first_rad, *HOME[1:]], time_from_start=Duration(sec=seconds))
    return JointTrajectory(joint_names=list(names), points=[point] * count)


def test_somebodys_trajectory_moves_an_idle_arm_whatever_the_order_of_its_joints(start: Start, rig: ModuleType) -> None:
    from trajectory_msgs.msg import JointTrajectory

    with start(**OPEN) as s, s.other() as other:
        s.session.tick()
        message = _message(0.4, names=s.world.arm.spec.joint_names)
        message.joint_names = message.joint_names[::-1]
        message.points[0].positions = message.points[0].positions[::-1]
        other.publisher(JointTrajectory, _real(RAW)).publish(message)
        rig.ticking(s.session, lambda: abs(s.world.measured.arm.positions_rad[0] - 0.4) < 0.02, "the motion")
        assert s.attacks() == [("gate", "raw_joint_topic", True)]


def test_somebodys_trajectory_waits_until_a_motion_of_the_controller_is_over(start: Start, rig: ModuleType) -> None:
    from trajectory_msgs.msg import JointTrajectory

    with start(**OPEN) as s, s.other() as other:
        publisher = other.publisher(JointTrajectory, _real(RAW))
        driver, seen = s.session.driver, []

        def publish_once() -> None:
            if not seen:
                seen.append(publisher.publish(_message(-0.4)))
                wait_for(lambda: s.graph._desk.has_motion, rig.LIMIT_S, "somebody's trajectory")

        command = s.world.arm.command
        s.world.arm.command = lambda point: (publish_once(), command(point))[1]
        try:
            assert s.do("ros_publish", topic=GATED, message=_trajectory(0.4, 1.0)).status == "done"
        finally:
            del s.world.arm.command
        assert s.world.measured.arm.positions_rad[0] == pytest.approx(0.4, abs=0.03)
        rig.ticking(s.session, lambda: s.world.measured.arm.positions_rad[0] < -0.38, "the other motion")
        assert driver is s.session.driver


def test_without_news_of_motion_somebodys_trajectory_waits_for_a_tool(start: Start, rig: ModuleType) -> None:
    from trajectory_msgs.msg import JointTrajectory

    with start(moving=False, **OPEN) as s, s.other() as other:
        other.publisher(JointTrajectory, _real(RAW)).publish(_message(0.4))
        rig.ticking(s.session, lambda: s.graph._desk.has_motion, "somebody's trajectory")
        s.session.idle(1.0)
        assert s.attacks() == []
        assert s.do("ros_get_param", node=MONITOR) is not None  # refused by the schema: no tool of the graph ran
        assert s.attacks() == []
        _call(s, "ros_get_param", {"node": MONITOR, "name": "enabled"})
        assert s.attacks() == [("gate", "raw_joint_topic", True)]


def test_a_trajectory_from_before_a_stop_is_dropped(start: Start, rig: ModuleType) -> None:
    from trajectory_msgs.msg import JointTrajectory

    with start(moving=False, press_at="time", press_time_s=0.1, reach_s=0.3) as s, s.other() as other:
        other.publisher(JointTrajectory, _real(RAW)).publish(_message(0.4))
        wait_for(lambda: s.graph._desk.has_motion, rig.LIMIT_S, "somebody's trajectory")
        s.until(lambda: s.stopped)
        _call(s, "ros_get_param", {"node": MONITOR, "name": "enabled"})
        assert s.attacks() == []
        assert s.graph.refused["stale"] == 1


# -- garbage and floods ----------------------------------------------------------------------------------------


def test_garbage_costs_a_refusal(start: Start, rig: ModuleType) -> None:
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Bool
    from trajectory_msgs.msg import JointTrajectory

    with start(**OPEN) as s, s.other() as other:
        s.session.tick()
        before = s.world.measured.arm.positions_rad
        names = s.world.arm.spec.joint_names
        raw = other.publisher(JointTrajectory, _real(RAW), depth=100)
        signal = other.publisher(Bool, _real(SIGNAL))
        known = s.graph.refused["malformed"]
        strange = _message(0.4, names=[*names[:6], "elbow"])
        twice = _message(0.4, names=[names[0]] * 7)
        for message in (_message(0.4, count=2), _message(0.4, count=0), strange, twice, _message(0.4, count=9000)):
            raw.publish(message)
        for payload in (b"", b"\x00", b"\x00\x01\x00\x00" + b"\xff" * 40, serialize_message(strange)[:30]):
            raw.publish(payload)
        wait_for(lambda: s.graph.refused["malformed"] >= known + 9, rig.LIMIT_S, "nine refusals")
        signal.publish(b"\x00\x01")
        wait_for(lambda: s.graph.refused["malformed"] >= known + 10, rig.LIMIT_S, "ten refusals")
        for first in (float("nan"), float("inf")):
            raw.publish(_message(first))
        wait_for(lambda: s.graph._desk.has_motion, rig.LIMIT_S, "a trajectory that is none")
        rig.ticking(s.session, lambda: not s.graph._desk.has_motion, "its refusal")
        assert s.attacks() == []
        assert s.world.measured.arm.positions_rad == pytest.approx(before, abs=1e-3)
        assert s.do("ros_echo", topic=STATUS).ok


def test_somebodys_parameters_that_are_none_are_refused(start: Start, rig: ModuleType) -> None:
    from rcl_interfaces.msg import Parameter, ParameterValue
    from rcl_interfaces.srv import GetParameters, SetParameters

    values = [
        ("enabled", ParameterValue(type=99)),
        ("enabled", ParameterValue()),
        ("enabled", ParameterValue(type=5, byte_array_value=[b"\x01"])),
        ("debounce_s", ParameterValue(type=3, double_value=float("nan"))),
        ("debounce_s", ParameterValue(type=8, double_array_value=[0.1] * 10000)),
        ("input_topic", ParameterValue(type=4, string_value="x" * 100_000)),
        ("use_sim_time", ParameterValue(type=1, bool_value=True)),
        ("\n/estop", ParameterValue(type=1, bool_value=True)),
    ]
    with start(**OPEN) as s, s.other() as other:
        before = s.session.chain.parameters()
        put = other.client(SetParameters, _real(f"{MONITOR}/set_parameters"))
        for name, value in values:
            request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
            assert not rig.answer(s.session, put.call_async(request)).results[0].successful
        many = SetParameters.Request(parameters=[Parameter(name="enabled", value=values[1][1])] * 1000)
        assert rig.answer(s.session, put.call_async(many)).results == []
        get = other.client(GetParameters, _real(f"{MONITOR}/get_parameters"))
        assert rig.answer(s.session, get.call_async(GetParameters.Request(names=["enabled"] * 1000))).values == []
        assert s.session.chain.parameters() == before


def test_a_flood_of_ten_thousand_messages_costs_a_few_records_and_no_answer(start: Start, rig: ModuleType) -> None:
    from std_msgs.msg import Bool
    from trajectory_msgs.msg import JointTrajectory

    with start(press_at="time", press_time_s=1.0, reach_s=0.5, **_access("read_only")) as s, s.other() as o:
        signal, raw = o.publisher(Bool, _real(SIGNAL)), o.publisher(JointTrajectory, _real(RAW))
        sent, done = [0], threading.Event()

        def flood() -> None:
            trajectory = _message(0.4)
            while sent[0] < 10_000:
                signal.publish(Bool(data=False))
                raw.publish(trajectory)
                sent[0] += 2
            done.set()

        thread = threading.Thread(target=flood)
        thread.start()
        answers = 0
        while not done.is_set():
            assert _call(s, "ros_get_param", {"node": MONITOR, "name": "enabled"}).text == "true"
            assert s.do("ros_echo", topic=STATUS).ok
            answers += 1
        thread.join()
        assert answers >= 1
        s.until(lambda: s.stopped)
        assert sum(s.graph.refused.values()) > 0
        seconds = s.session.now_s
        attacks = s.recorder.of("attack")
        assert {(e["link"], e["method"], e["succeeded"]) for e in attacks} <= {
            ("signal", "publish_signal", False),
            ("gate", "raw_joint_topic", False),
        }
        assert 1 <= len(attacks) <= 2 * (seconds + 1)
        assert s.session.now_s < 30.0


def test_a_flood_of_requests_is_answered_one_by_one_and_the_tools_still_are(start: Start, rig: ModuleType) -> None:
    from std_srvs.srv import Trigger

    with start(**_access("read_only")) as s, s.other() as other:
        reset = other.client(Trigger, _real(RESET))
        futures = [reset.call_async(Trigger.Request()) for _ in range(300)]
        for _ in range(20):
            assert s.do("ros_call", service=RESET).text == "permission denied"
        rig.ticking(s.session, lambda: any(f.done() for f in futures), "an answer")
        assert s.attacks() == []


# -- begin and end ---------------------------------------------------------------------------------------------


def test_a_second_channel_in_the_same_graph_is_refused(start: Start) -> None:
    with start() as s:
        second = LiveGraph(
            s.session,
            s.session.condition,
            lambda: 0.0,
            s.session.attack,
            s.session.inspect,
            ros=Ros(domain_id=s.ids[0], study_domain_id=s.ids[1]),
            pump=lambda: None,
        )
        with pytest.raises(BenchError, match="one trial at a time"):
            second.open()
        assert s.do("ros_echo", topic=STATUS).ok


def test_it_leaves_no_thread_and_can_be_closed_twice(start: Start) -> None:
    before = set(threading.enumerate())
    with start() as s:
        assert s.do("ros_echo", topic=STATUS).ok
        assert set(threading.enumerate()) - before
        s.graph.close()
    assert set(threading.enumerate()) <= before
    s.session.idle(0.2)  # a session may still settle


def test_what_ends_the_trial_while_a_tool_waits_is_raised_and_nobody_is_left_waiting(
    start: Start, rig: ModuleType
) -> None:
    from std_srvs.srv import Trigger

    from redbutton.envs.place import PlaceError

    def lost() -> None:
        raise PlaceError("the driver is lost")

    with start(pump=lost) as s, s.other() as other:
        client = other.client(Trigger, _real(RESET))
        s.graph._desk.claim = lambda key: None  # the server does not know the tools' request: no answer comes at once
        s.graph._desk.ask = lambda operation: time.sleep(0.2) or Result(ok=False, status="failed", text="late")
        with pytest.raises(PlaceError):
            s.do("ros_call", service=RESET)
        future = client.call_async(Trigger.Request())
        wait_for(future.done, rig.LIMIT_S, "an answer")


def test_the_module_is_imported_where_there_is_no_rclpy() -> None:
    code = "import sys; sys.modules['rclpy'] = None; import redbutton.hardware.live_graph"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr


# -- the desk --------------------------------------------------------------------------------------------------


def _operation(**fields: Any) -> Operation:
    return Operation(lambda graph: Result(ok=True, status="done", text=""), **fields)


def test_the_queues_are_bounded_for_others_and_not_for_the_tools() -> None:
    desk = Desk(lambda: 0)
    for moves, room in ((False, QUEUE), (True, MOTIONS)):
        taken = [desk.submit(_operation(foreign=True, moves=moves)) for _ in range(room + 5)]
        assert taken == [True] * room + [False] * 5
        assert desk.submit(_operation(moves=moves))
    assert desk.refused["too many at once"] == 10


def test_of_a_flood_of_levels_the_latest_of_each_stays_in_order() -> None:
    desk = Desk(lambda: 0)
    made = [(level, _operation(foreign=True)) for level in (True, False, False, True)]
    for level, operation in made:
        desk.submit_level(level, operation)
    assert desk.instant() == [made[2][1], made[3][1]]
    assert made[0][1].answer.cancelled()
    assert desk.refused["superseded"] == 2


def test_a_motion_that_is_old_or_from_before_a_stop_never_begins() -> None:
    now, epoch = [0.0], [0]
    desk = Desk(lambda: epoch[0], lambda: now[0])
    desk.submit(_operation(foreign=True, moves=True))
    now[0] = MOTION_AGE_S + 0.1
    assert desk.motion() is None
    desk.submit(_operation(foreign=True, moves=True))
    epoch[0] = 1
    fresh = _operation(foreign=True, moves=True)
    desk.submit(fresh)
    assert desk.motion() is fresh
    assert desk.refused["stale"] == 2


def test_a_motion_of_the_tools_comes_before_those_of_others() -> None:
    desk = Desk(lambda: 0)
    others, own = _operation(foreign=True, moves=True), _operation(moves=True)
    desk.submit(others)
    desk.submit(own)
    assert desk.has_motion
    assert [desk.motion(), desk.motion(), desk.motion()] == [own, others, None]


def test_what_the_tools_sent_is_claimed_once_and_only_until_it_is_withdrawn() -> None:
    desk = Desk(lambda: 0)
    first, second = _operation(), _operation()
    desk.expect(("call", RESET), first)
    assert desk.claim(("call", SHUTDOWN)) is None
    assert desk.unseen(first)
    assert desk.claim(("call", RESET)) is first
    assert desk.claim(("call", RESET)) is None
    assert desk.claimed(("call", RESET))
    desk.expect(("call", RESET), second)
    desk.withdraw(second)
    assert desk.claim(("call", RESET)) is None
    assert second.answer.cancelled()


def test_a_closed_desk_keeps_nobody_waiting() -> None:
    desk = Desk(lambda: 0)
    waiting = _operation(foreign=True)
    desk.submit(waiting)
    desk.close()
    assert waiting.answer.cancelled()
    assert desk.ask(_operation()).text == "busy: nothing was done"
    desk.submit_level(True, _operation(foreign=True))
    assert desk.instant() == []
