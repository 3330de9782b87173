"""The supervisor's core on a clock that is set by hand: what stops it, what it holds, and who may lower a stop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from redbutton.estop import ChainState, Contacts
from redbutton.hardware.event_log import CAPACITY, EventLog
from redbutton.hardware.supervision import Supervision
from redbutton.hardware.watches import TurnWatch

MOTION, OPERATOR, WATCH, OTHER, UID = 1, 2, 3, 4, 1000
CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
STOPPED, READY, RUN = ChainState.STOPPED, ChainState.READY, ChainState.RUN
POWER = {"power": {"off": "/power_off", "on": "/power_on"}}
NewRig = Callable[..., Any]


@pytest.fixture(scope="module")
def helper(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/supervision_rig.py")


@pytest.fixture
def new(helper: ModuleType) -> NewRig:
    def make(*, options: dict[str, Any] | None = None, **changes: Any) -> Any:
        return helper.Rig(helper.bench(**changes), **(options or {}))

    return make


@pytest.fixture
def rig(new: NewRig) -> Any:
    """In run."""
    return new().armed()


def kinds(rig: Any) -> list[str]:
    return [e["kind"] for e in rig.events()]


# -- starting ---------------------------------------------------------------------------------------------------


def test_it_starts_stopped_and_names_everything_that_was_never_heard(new: NewRig) -> None:
    rig = new()
    status = rig.supervision.status()
    assert (status["state"], status["epoch"], status["stop_reason"]) == ("stopped", 0, "power_on")
    assert status["standing"] == [
        "wall: never_heard",
        "pendant: never_heard",
        "joint_states_missing",
        "publishers_unknown",
    ]
    assert not rig.supervision.reset_request(OPERATOR)["ok"]


def test_it_holds_a_moving_arm_from_the_start(new: NewRig) -> None:
    rig = new()
    rig.velocities = [0.3, 0.0]
    actions = rig.run(0.005)
    assert actions[0].hold == (pytest.approx(0.0015), 0.0)
    assert actions[0].cancel_goals


def test_reset_leads_to_ready_and_only_arming_to_run(new: NewRig) -> None:
    rig = new()
    assert rig.supervision.lease(MOTION)["ok"]
    rig.run(0.4)
    assert not rig.supervision.arm(OPERATOR)["ok"]
    assert rig.reset()["state"] == "ready"
    rig.run(1.0)
    assert rig.state is READY
    assert rig.command(0.01, 0.0)["rule"] == "not_armed"
    assert rig.supervision.arm(OPERATOR)["state"] == "run"


def test_arming_holds_at_the_measured_position_before_any_command_goes_out(new: NewRig) -> None:
    rig = new().ready()
    rig.positions = [0.7, -0.4]
    rig.run(0.05)
    rig.supervision.arm(OPERATOR)
    assert rig.command(0.71, -0.4)["ok"]
    actions = rig.run(0.005)[0]
    assert (actions.hold, actions.cancel_goals, actions.forward) == ((0.7, -0.4), True, None)
    actions = rig.run(0.005)[0]
    assert (actions.hold, actions.forward.positions_rad) == (None, (0.71, -0.4))


@pytest.mark.parametrize("how", ["no lease", "silent"])
def test_arming_needs_a_client_that_was_heard_lately(new: NewRig, how: str) -> None:
    rig = new().ready()
    rig.beats = False
    if how == "no lease":
        rig.supervision.release(MOTION)
    rig.run(0.25)
    reply = rig.supervision.arm(OPERATOR)
    assert (reply["ok"], reply["state"]) == (False, "ready")
    assert "arm_refused" in kinds(rig)


# -- commands ---------------------------------------------------------------------------------------------------


def test_a_good_command_goes_out_with_the_next_turn_and_once(rig: Any) -> None:
    reply = rig.command(0.05, 0.02)
    assert reply["ok"]
    assert reply["sent"] == {"positions_rad": [0.05, 0.02], "velocities_rad_s": [0.0, 0.0], "gripper_m": 0.04}
    actions = rig.tick()
    assert (actions.forward.positions_rad, actions.hold) == ((0.05, 0.02), None)
    assert all(a.forward is None and a.hold is None for a in rig.run(0.5))


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"seq": -1}, "sequence"),
        ({"seq": 1.5}, "sequence"),
        ({"seq": True}, "sequence"),
        ({"epoch": 99}, "epoch"),
        ({"epoch": None}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"t_s": 0.0}, "time_stamp"),
        ({"t_s": 1e9}, "time_stamp"),
        ({"names": ["shoulder"]}, "joint_set"),
        ({"positions_rad": [math.nan, 0.0]}, "not_finite"),
        ({"duration_s": 5.0}, "horizon"),
        ({"positions_rad": [-2.5, 0.0]}, "position"),
        ({"positions_rad": [0.5, 0.0]}, "step"),
        ({"positions_rad": [0.2, 0.0]}, "velocity"),
        ({"velocities_rad_s": [1.5, 0.0]}, "velocity"),
    ],
)
def test_a_bad_command_is_refused_by_name_and_never_goes_out(rig: Any, fields: dict[str, Any], rule: str) -> None:
    reply = rig.command(**fields)
    assert (reply["ok"], reply["rule"], reply["state"]) == (False, rule, "run")
    assert reply["reason"]
    assert rig.tick().forward is None
    assert rig.events("command_refused")[-1]["detail"]["rule"] == rule


@pytest.mark.parametrize("junk", [None, 7, b"\x00", "command", [], {}, {"names": {}}, {"seq": []}])
def test_a_message_that_is_no_command_is_refused(rig: Any, junk: Any) -> None:
    assert not rig.supervision.command(MOTION, junk)["ok"]
    assert rig.state is RUN


def test_a_sequence_number_is_good_once(rig: Any) -> None:
    message = rig.message()
    assert rig.supervision.command(MOTION, message)["ok"]
    assert rig.supervision.command(MOTION, message)["rule"] == "sequence"


@pytest.mark.parametrize("conn_id", [OPERATOR, WATCH, OTHER, 99])
def test_only_the_client_with_the_lease_commands(rig: Any, conn_id: int) -> None:
    assert rig.supervision.command(conn_id, rig.message())["rule"] == "lease"
    assert rig.tick().forward is None


def test_the_workspace_is_asked_where_there_is_one(new: NewRig) -> None:
    box = {"workspace": {"x": [-0.5, 0.5], "y": [-0.5, 0.5], "z": [0.0, 1.0]}}
    rig = new(limits=box, options={"tool_position": lambda joints: (10 * joints[0], 0.0, 0.5)}).armed()
    assert rig.command(0.06, 0.0)["rule"] == "workspace"
    assert rig.command(0.04, 0.0)["ok"]


def test_a_flood_of_refusals_is_told_ten_times_a_second_with_the_number_of_the_others(rig: Any) -> None:
    for _ in range(300):
        rig.command(epoch=99)
    assert len(rig.events("command_refused")) == 10
    rig.run(1.1)
    rig.command(epoch=99)
    assert rig.events("command_refused")[-1]["detail"]["suppressed"] == 290
    assert rig.supervision.status()["counters"]["refused"] == 301


@pytest.mark.parametrize("stop", ["press", "request", "hold", "release", "enable", "gone"])
def test_a_command_from_before_a_stop_never_goes_out_after_it(rig: Any, stop: str) -> None:
    late = rig.message(0.05, 0.0, seq=1000)
    assert rig.command(0.04, 0.0)["ok"]
    if stop == "press":
        rig.supervision.input_reading("wall", OPEN, rig.clock())
        rig.supervision.input_reading("wall", CLOSED, rig.clock())
    elif stop == "request":
        rig.supervision.stop(99, "somebody ran")
    elif stop == "hold":
        rig.supervision.client_hold(MOTION, 2)
    elif stop == "release":
        rig.supervision.release(MOTION)
    elif stop == "enable":
        rig.pass_time(0.001)
        rig.feed()
        rig.supervision.enable(MOTION)
    else:
        rig.supervision.disconnected(MOTION)
    actions = rig.tick()
    assert actions.forward is None
    assert actions.hold is not None
    assert not rig.supervision.command(MOTION, late)["ok"]
    assert rig.tick().forward is None
    assert "command_dropped" in kinds(rig)


@pytest.mark.parametrize("act", ["arm", "enable"])
def test_a_command_made_before_the_arming_is_void_even_in_the_same_epoch(new: NewRig, act: str) -> None:
    rig = new().ready() if act == "arm" else new().armed()
    early = rig.message(0.01, 0.0, seq=1000)
    rig.pass_time(0.005)
    rig.feed()
    assert (rig.supervision.arm(OPERATOR) if act == "arm" else rig.supervision.enable(MOTION))["ok"]
    rig.tick()
    assert early["epoch"] == rig.supervision.epoch
    assert rig.supervision.command(MOTION, early)["rule"] == "time_stamp"
    assert rig.supervision.command(MOTION, {**early, "seq": 1001, "t_s": rig.clock()})["ok"]


def test_a_command_that_waited_too_long_for_a_late_turn_is_dropped(new: NewRig) -> None:
    rig = new(limits={"command_age_s": 0.01}).armed()
    assert rig.command(0.04, 0.0)["ok"]
    rig.pass_time(0.02)
    rig.feed()
    assert rig.tick().forward is None
    assert rig.state is RUN
    assert rig.events("command_dropped")[-1]["detail"] == {"reason": "too old"}


# -- inputs -----------------------------------------------------------------------------------------------------


def test_a_pulse_of_20_ms_between_two_turns_latches(rig: Any) -> None:
    rig.pass_time(0.01)
    rig.feed()
    rig.contacts["pendant"] = OPEN
    for _ in range(4):
        rig.pass_time(0.005)
        rig.feed()
    rig.contacts["pendant"] = CLOSED
    rig.pass_time(0.005)
    rig.feed()
    actions = rig.tick()
    assert actions.hold is not None
    assert (rig.state, rig.reason) == (STOPPED, "pendant: contact_open")
    rig.run(2.0)
    assert rig.state is STOPPED


def test_from_press_to_standstill_every_step_has_its_time(rig: Any) -> None:
    rig.command(0.05, 0.0)
    rig.tick()
    rig.velocities = [0.4, 0.0]
    rig.run(0.05)
    before = rig.supervision.log.last
    rig.contacts["wall"], rig.deaf = OPEN, 3
    pressed_s = rig.clock() + 0.005
    rig.run(0.5)
    told = [e for e in rig.events() if e["n"] > before]
    assert [e["kind"] for e in told] == [
        "input_open",
        "stop",
        "latched",
        "gate_closed",
        "hold_published",
        "settled",
    ]
    assert [e["t_s"] for e in told[:5]] == [pytest.approx(pressed_s)] * 5
    assert told[0]["detail"] == {"name": "wall", "role": "safety", "t_s": pytest.approx(pressed_s)}
    assert told[1]["detail"] == {"source": "input wall", "reason": "wall: contact_open"}
    still_s = told[5]["detail"]["still_since_s"]
    assert pressed_s + 0.03 <= still_s <= pressed_s + 0.04
    assert told[5]["t_s"] == pytest.approx(still_s + 0.1, abs=0.006)


@pytest.mark.parametrize(
    ("contacts", "reason"),
    [
        (Contacts(False, True), "contact_open"),
        (Contacts(True, False), "contact_open"),
        (Contacts(None, True), "contact_unknown"),
        (Contacts("yes", True), "contact_unknown"),  # type: ignore[arg-type]
        (None, "heartbeat_lost"),
    ],
)
def test_whatever_is_not_both_contacts_closed_stops(rig: Any, contacts: Contacts | None, reason: str) -> None:
    rig.contacts["wall"] = contacts
    rig.run(0.15)
    assert (rig.state, rig.reason) == (STOPPED, f"wall: {reason}")


def test_an_input_that_hands_over_something_else_stops_by_name(rig: Any) -> None:
    rig.supervision.input_reading("wall", "closed", rig.clock())
    rig.tick()
    assert rig.reason == "wall: malformed"


def test_a_reading_with_a_time_that_cannot_be_stops(rig: Any) -> None:
    rig.supervision.input_reading("wall", CLOSED, rig.clock() + 5.0)
    rig.tick()
    assert rig.reason == "wall: time"


def test_a_stuck_channel_is_a_fault_until_both_were_seen_open_and_closed(rig: Any) -> None:
    rig.contacts["wall"] = Contacts(True, False)
    rig.run(0.2)
    assert rig.supervision.status()["inputs"]["wall"]["reason"] == "discrepancy"
    rig.contacts["wall"] = CLOSED
    rig.run(0.5)
    reply = rig.supervision.reset_request(OPERATOR)
    assert reply["reasons"] == ["wall: discrepancy"]
    rig.contacts["wall"] = OPEN
    rig.run(0.1)
    rig.contacts["wall"] = CLOSED
    rig.run(0.1)
    assert rig.supervision.reset_request(OPERATOR)["ok"]


def test_a_second_channel_that_follows_late_is_no_fault(rig: Any) -> None:
    rig.contacts["wall"] = Contacts(False, True)
    rig.run(0.04)
    rig.contacts["wall"] = OPEN
    rig.run(0.1)
    rig.contacts["wall"] = CLOSED
    rig.run(0.3)
    assert rig.supervision.reset_request(OPERATOR)["ok"]


def test_a_chattering_contact_latches_once_and_cannot_be_reset_while_it_chatters(rig: Any) -> None:
    before = rig.supervision.log.last
    for n in range(400):
        rig.contacts["wall"] = OPEN if n % 2 else CLOSED
        rig.run(0.005)
        assert n == 0 or rig.state is STOPPED
        assert n == 0 or not rig.supervision.reset_request(OPERATOR)["ok"]
    told = [e["kind"] for e in rig.events() if e["n"] > before]
    assert told.count("latched") == 1
    assert told.count("stop") == 1
    assert 10 <= told.count("input_open") <= 30
    rig.contacts["wall"] = CLOSED
    rig.run(0.1)
    assert rig.reset()["ok"]


def test_either_safety_input_stops_and_the_first_is_named(rig: Any) -> None:
    rig.contacts["pendant"] = OPEN
    rig.run(0.01)
    rig.contacts["wall"] = OPEN
    rig.run(0.01)
    assert rig.reason == "pendant: contact_open"
    assert rig.supervision.status()["standing"] == ["wall: contact_open", "pendant: contact_open"]


# -- the study input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contacts", [OPEN, Contacts(True, False), Contacts(None, None), None])
def test_the_study_input_never_stops_the_supervisor(rig: Any, contacts: Contacts | None) -> None:
    rig.contacts["red"] = contacts
    rig.run(2.0)
    assert rig.state is RUN
    assert rig.supervision.beat(MOTION)["study"]["healthy"] is (contacts == OPEN)


def test_a_broken_study_input_does_not_stand_in_the_way_of_a_reset(rig: Any) -> None:
    rig.contacts["red"] = None
    rig.supervision.stop(MOTION, "")
    rig.run(0.3)
    assert rig.reset()["ok"]
    assert rig.supervision.beat(MOTION)["study"]["reason"] == "heartbeat_lost"


def test_every_pulse_of_the_study_input_reaches_the_client_once(rig: Any) -> None:
    rig.supervision.beat(MOTION)
    rig.beats = False
    rig.contacts["red"] = OPEN
    rig.run(0.02)
    rig.contacts["red"] = Contacts(True, None)
    rig.run(0.005)
    rig.contacts["red"] = CLOSED
    rig.run(0.025)
    start_s = rig.clock() - 0.05
    readings = rig.supervision.beat(MOTION)["study"]["readings"]
    assert readings == [
        [pytest.approx(start_s + 0.005), False, False],
        [pytest.approx(start_s + 0.025), True, None],
        [pytest.approx(start_s + 0.03), True, True],
        [pytest.approx(start_s + 0.05), True, True],
    ]
    assert rig.supervision.beat(MOTION)["study"]["readings"] == []
    rig.run(0.005)
    assert rig.command()["study"]["readings"] == [[pytest.approx(start_s + 0.055), True, True]]


def test_a_silent_study_input_has_no_readings(rig: Any) -> None:
    rig.supervision.beat(MOTION)
    rig.contacts["red"] = None
    rig.run(0.1)
    assert rig.supervision.beat(MOTION)["study"]["readings"] == []


def test_a_new_client_is_told_the_level_and_no_history(rig: Any) -> None:
    rig.contacts["red"] = OPEN
    rig.run(0.1)
    rig.contacts["red"] = CLOSED
    rig.run(0.1)
    rig.supervision.hello(OTHER, "motion", UID)
    assert rig.supervision.beat(OTHER)["study"]["readings"] == [[pytest.approx(rig.clock()), True, True]]


def test_a_watcher_takes_no_reading_from_the_client(rig: Any) -> None:
    rig.supervision.beat(MOTION)
    rig.beats = False
    rig.contacts["red"] = OPEN
    rig.run(0.05)
    assert rig.supervision.status()["study"] == {"readings": [], "healthy": True, "reason": "contact_open"}
    assert rig.supervision.lease(MOTION)["ok"]
    assert len(rig.supervision.beat(MOTION)["study"]["readings"]) == 2


def test_a_study_contact_that_chatters_for_ever_keeps_a_reply_small(rig: Any) -> None:
    rig.beats = False
    for n in range(3000):
        rig.supervision.input_reading("red", OPEN if n % 2 else CLOSED, rig.clock())
    reply = rig.supervision.beat(MOTION)
    assert reply["study"]["readings"][-1][1:] == [False, False]
    assert len(json.dumps(reply)) < 30_000


def test_a_bench_without_a_study_input_says_so(new: NewRig) -> None:
    rig = new(inputs=[{"name": "wall", "role": "safety", "kind": "serial", "port": "/dev/null"}]).armed()
    assert rig.supervision.beat(MOTION)["study"] == {
        "readings": [],
        "healthy": False,
        "reason": "no input has the role study",
    }


# -- watchdogs --------------------------------------------------------------------------------------------------


def test_a_client_that_falls_silent_stops_and_may_be_reset_once_somebody_looked(rig: Any) -> None:
    rig.beats = False
    rig.run(0.195)
    assert rig.state is RUN
    rig.run(0.02)
    assert (rig.state, rig.reason) == (STOPPED, "client_lost")
    rig.run(0.3)
    assert rig.supervision.status()["standing"] == []
    assert rig.reset()["ok"]
    assert not rig.supervision.arm(OPERATOR)["ok"]


@pytest.mark.parametrize("late", ["beat", "command"])
def test_a_heartbeat_after_the_gap_does_not_hide_it(rig: Any, late: str) -> None:
    rig.beats = False
    rig.run(0.195)
    rig.pass_time(0.01)
    rig.feed()
    reply = rig.supervision.beat(MOTION) if late == "beat" else rig.command(0.01, 0.0)
    assert (reply["state"], rig.reason) == ("stopped", "client_lost")
    assert rig.tick().forward is None


def test_commands_are_heartbeats_even_when_they_are_refused(rig: Any) -> None:
    rig.beats = False
    for n in range(20):
        rig.run(0.1)
        assert rig.command(**({"duration_s": 9.0} if n % 2 else {}))["state"] == "run"


def test_a_client_whose_connection_ends_stops_at_once(rig: Any) -> None:
    rig.supervision.disconnected(MOTION)
    assert (rig.state, rig.reason) == (STOPPED, "client_lost")
    assert rig.tick().hold is not None


@pytest.mark.parametrize("conn_id", [OPERATOR, WATCH, 99])
def test_other_connections_may_end(rig: Any, conn_id: int) -> None:
    rig.supervision.disconnected(conn_id)
    rig.run(0.1)
    assert rig.state is RUN


def test_joint_states_that_stay_away_stop_and_the_hold_is_at_the_last_known_position(rig: Any) -> None:
    rig.command(0.05, 0.0)
    rig.tick()
    rig.run(0.1)
    rig.joint_states = False
    rig.positions = [9.9, 9.9]
    actions = rig.run(0.2)
    assert (rig.state, rig.reason) == (STOPPED, "joint_states_stale")
    assert actions[-1].hold in ((0.05, 0.0), None)
    assert {a.hold for a in rig.run(1.0)} == {(0.05, 0.0), None}
    assert rig.supervision.reset_request(OPERATOR)["reasons"] == ["joint_states_stale", "the arm is not at rest"]
    rig.joint_states, rig.positions = True, [0.05, 0.0]
    rig.run(0.2)
    assert rig.reset()["ok"]


def test_stamps_that_stand_still_are_as_good_as_silence(rig: Any) -> None:
    rig.joint_states = False
    frozen = rig.stamp_s
    for _ in range(40):
        rig.run(0.005)
        rig.supervision.joint_states(["shoulder", "elbow"], [0.0, 0.0], [0.0, 0.0], frozen, rig.clock())
    assert (rig.state, rig.reason) == (STOPPED, "joint_states_stale")


@pytest.mark.parametrize("step_s", [-0.001, -50.0, 0.6, 1e9])
def test_stamps_that_jump_are_a_clock_step(rig: Any, step_s: float) -> None:
    rig.stamp_s += step_s - 0.005 * (step_s == -0.001)
    rig.run(0.01)
    assert (rig.state, rig.reason) == (STOPPED, "clock_step")
    rig.run(0.5)
    assert rig.reset()["ok"]


def test_a_twin_that_runs_faster_is_no_clock_step(new: NewRig) -> None:
    rig = new(twin={"speed": 10.0}).armed()
    rig.run(3.0)
    assert rig.state is RUN
    rig.stamp_s += 10 * 0.6
    rig.run(0.01)
    assert rig.reason == "clock_step"


@pytest.mark.parametrize("step_s", [0.6, -0.6, -1e6, math.nan])
def test_a_step_of_the_wall_clock_stops(rig: Any, step_s: float) -> None:
    rig.wall.set(rig.wall() + step_s)
    rig.run(0.01)
    assert (rig.state, rig.reason) == (STOPPED, "clock_step")


def test_a_wall_clock_that_is_slewed_does_not_stop(rig: Any) -> None:
    for _ in range(100):
        rig.wall.advance(0.01)
        rig.run(0.01)
    assert rig.state is RUN


@pytest.mark.parametrize("t_s", [math.nan, math.inf, -5.0])
def test_a_monotonic_clock_that_is_none_stops_and_still_holds(rig: Any, t_s: float) -> None:
    now_s = rig.clock()
    rig.clock.set(t_s)
    actions = rig.tick()
    assert (actions.forward, actions.hold) == (None, (0.0, 0.0))
    assert rig.state is STOPPED
    assert not rig.supervision.reset_request(OPERATOR)["ok"]
    rig.clock.set(now_s)
    rig.run(1.0)
    assert rig.state is STOPPED


def stall(rig: Any, seconds: float) -> None:
    """The loop turns no more; the threads that read go on."""
    for _ in range(2):
        rig.pass_time(seconds / 2)
        rig.feed()


def test_a_loop_that_was_late_stops(rig: Any) -> None:
    stall(rig, 0.101)
    rig.tick()
    assert (rig.state, rig.reason) == (STOPPED, "overload")
    rig.run(0.3)
    assert rig.reset()["ok"]


def test_a_request_that_arrives_after_the_gap_is_judged_by_it(rig: Any) -> None:
    stall(rig, 0.12)
    assert rig.command(0.01, 0.0)["rule"] == "not_armed"
    assert rig.reason == "overload"


def test_turns_that_run_backwards_are_a_clock_step() -> None:
    turns = TurnWatch(0.1, 0.5)
    assert turns.turn(10.0, 50.0) == []
    assert turns.turn(10.05, 50.05) == []
    assert [reason for reason, _ in turns.turn(10.04, 50.05)] == ["clock_step"]


def test_a_second_publisher_stops_and_is_held_against_for_as_long_as_it_is_there(rig: Any) -> None:
    rig.counts = (2, 1)
    rig.run(0.05)
    assert (rig.state, rig.reason) == (STOPPED, "second_publisher")
    first = len(rig.done)
    rig.run(3.0)
    times = [t_s for t_s, _ in rig.holds(first)]
    assert max(b - a for a, b in pairwise(times)) <= 0.0101
    assert rig.supervision.reset_request(OPERATOR)["reasons"] == ["second_publisher"]
    rig.counts = (1, 1)
    rig.run(0.2)
    assert rig.supervision.beat(MOTION)["settled"]
    assert rig.reset()["ok"]


def test_a_second_publisher_that_shows_after_the_arm_has_settled_is_held_against_too(rig: Any) -> None:
    rig.supervision.stop(MOTION, "")
    rig.run(0.5)
    rig.counts = (2, 1)
    assert [a.hold for a in rig.run(0.1)].count((0.0, 0.0)) == 10


@pytest.mark.parametrize(("counts", "reason"), [((1, 0), "no_subscriber"), ((3, 1), "second_publisher")])
def test_the_graph_is_judged_by_its_counts(rig: Any, counts: tuple[int, int], reason: str) -> None:
    rig.counts = counts
    rig.run(0.01)
    assert (rig.state, rig.reason) == (STOPPED, reason)


def test_a_graph_that_was_never_counted_allows_no_reset(new: NewRig) -> None:
    rig = new()
    rig.counts = None
    rig.run(0.5)
    assert rig.supervision.reset_request(OPERATOR)["reasons"] == ["publishers_unknown"]


def test_incompatible_qos_stops_and_is_told(rig: Any) -> None:
    rig.supervision.incompatible_qos("trajectory: reliability")
    rig.run(0.01)
    assert (rig.state, rig.reason) == (STOPPED, "incompatible_qos")
    assert rig.events("stop")[-1]["detail"]["detail"] == "trajectory: reliability"
    rig.run(0.3)
    assert rig.reset()["ok"]


MODE = {"safety_mode": {"topic": "/mode", "normal": [1, "NORMAL"]}}


@pytest.mark.parametrize("value", [3, 0, "REDUCED", None, math.nan, [1], {"mode": 1}])
def test_a_safety_mode_that_is_not_normal_stops_for_as_long_as_it_stands(new: NewRig, value: Any) -> None:
    rig = new(arm=MODE).armed()
    rig.mode = None
    rig.supervision.safety_mode(value)
    rig.run(0.3)
    assert (rig.state, rig.reason) == (STOPPED, "safety_mode")
    assert not rig.supervision.reset_request(OPERATOR)["ok"]
    rig.supervision.safety_mode("NORMAL")
    assert rig.reset()["ok"]


def test_a_safety_mode_that_was_never_heard_allows_no_reset(new: NewRig) -> None:
    rig = new(arm=MODE)
    rig.mode = None
    rig.run(0.5)
    assert rig.supervision.reset_request(OPERATOR)["reasons"] == ["safety_mode"]


@pytest.mark.parametrize("conn_id", [MOTION, OPERATOR, WATCH, 99])
def test_anybody_may_stop_as_often_as_they_want(rig: Any, conn_id: int) -> None:
    for _ in range(3):
        reply = rig.supervision.stop(conn_id, "smoke")
        assert (reply["ok"], reply["state"]) == (True, "stopped")
    assert rig.reason == "requested"
    assert rig.events("stop")[-1]["detail"]["detail"].endswith("smoke")
    assert rig.supervision.status()["counters"]["stops"] == 1


@pytest.mark.parametrize("reason", [None, 7, b"\xff", ["x"], {"a": 1}, "x" * 100_000, "\ud800", math.nan])
def test_a_stop_is_taken_whatever_its_reason_looks_like(rig: Any, reason: Any) -> None:
    assert rig.supervision.stop(WATCH, reason)["state"] == "stopped"
    assert len(json.dumps(rig.events("stop")[-1], allow_nan=False)) < 1000


# -- holding ----------------------------------------------------------------------------------------------------


def test_a_hold_is_repeated_at_the_measured_position_until_the_arm_has_settled(rig: Any) -> None:
    rig.velocities, rig.deaf = [0.5, 0.0], 1000
    rig.contacts["wall"] = OPEN
    first = len(rig.done)
    rig.run(0.3)
    holds = rig.holds(first)
    assert max(b[0] - a[0] for a, b in pairwise(holds)) <= 0.0101
    assert all(b[1][0] > a[1][0] for a, b in pairwise(holds))
    assert len(holds) == 30
    assert sum(a.cancel_goals for _, a in rig.done[first:]) == 1
    rig.velocities = [0.019, 0.0]
    rig.run(0.3)
    assert rig.events("settled")[-1]["detail"]["cause"] == "wall: contact_open"
    assert rig.run(0.5) == rig.run(0.5) == [type(rig.done[0][1])()] * 100


def test_a_driver_that_drops_the_first_holds_is_held_by_a_later_one(rig: Any) -> None:
    rig.velocities, rig.deaf = [0.5, 0.5], 10
    rig.supervision.stop(MOTION, "")
    rig.run(0.5)
    assert rig.velocities == [0.0, 0.0]
    assert len(rig.events("settled")) == 3  # at the start, after arming, and now


def test_an_arm_that_sets_off_after_it_has_settled_is_held_again(rig: Any) -> None:
    rig.supervision.stop(MOTION, "")
    rig.run(0.5)
    first = len(rig.done)
    rig.velocities = [0.0, 0.03]
    rig.run(0.005)
    assert rig.done[first][1].hold is not None
    assert rig.done[first][1].cancel_goals
    assert rig.velocities == [0.0, 0.0]
    assert rig.events("moved_while_stopped")[-1]["detail"] == {"cause": "requested"}
    rig.run(0.3)
    assert rig.supervision.beat(MOTION)["settled"]


def test_an_arm_that_settles_only_for_a_moment_is_not_settled(rig: Any) -> None:
    rig.supervision.stop(MOTION, "")
    rig.deaf = 10_000
    for _ in range(10):
        rig.velocities = [0.0, 0.0]
        rig.run(0.08)
        rig.velocities = [0.1, 0.0]
        rig.run(0.01)
    assert rig.supervision.beat(MOTION)["settled"] is False


def test_drivers_without_velocities_are_judged_by_their_positions(new: NewRig) -> None:
    rig = new()
    rig.joint_states = False
    for n in range(100):
        rig.run(0.005)
        at = 0.002 * min(n, 50)
        rig.supervision.joint_states(("shoulder", "elbow"), (at, 0.0), (), rig.stamp_s, rig.clock())
        if n == 50:
            assert not rig.supervision.status()["joint_states"]["at_rest"]
    assert rig.supervision.status()["joint_states"]["at_rest"]


def test_without_any_joint_state_there_is_nothing_to_hold_at_and_the_hold_comes_with_the_first(new: NewRig) -> None:
    rig = new()
    rig.joint_states = False
    actions = rig.run(0.1)
    assert all(a.hold is None for a in actions)
    assert actions[0].cancel_goals
    rig.joint_states, rig.velocities = True, [0.2, 0.2]
    assert rig.run(0.005)[0].hold is not None


def test_an_arm_moved_by_hand_while_stopped_is_armed_where_it_is_now(rig: Any) -> None:
    rig.command(0.05, 0.0)
    rig.tick()
    rig.supervision.stop(MOTION, "")
    rig.run(0.3)
    rig.deaf, rig.velocities = 10_000, [0.5, 0.0]
    rig.run(1.0)
    rig.deaf, rig.velocities = 0, [0.0, 0.0]
    rig.run(0.3)
    assert "moved_while_stopped" in kinds(rig)
    assert rig.reset()["ok"]
    assert rig.supervision.arm(OPERATOR)["ok"]
    first = len(rig.done)
    rig.run(0.01)
    assert rig.holds(first)[0][1] == (pytest.approx(0.55), 0.0)
    reply = rig.command(0.055, 0.0)
    assert reply["rule"] == "step"
    assert rig.tick().forward is None
    assert rig.command(0.56, 0.0)["ok"]
    assert rig.tick().forward is not None


# -- a client's own hold ----------------------------------------------------------------------------------------


def test_a_clients_hold_starts_a_new_epoch_and_latches_nothing(rig: Any) -> None:
    rig.command(0.04, 0.0)
    rig.tick()
    rig.velocities = [0.3, 0.0]
    rig.run(0.01)
    old = rig.supervision.epoch
    reply = rig.supervision.client_hold(MOTION, 2)
    assert (reply["ok"], reply["state"], reply["epoch"], reply["settled"]) == (True, "run", old + 1, False)
    actions = rig.tick()
    assert actions.hold is not None
    assert actions.cancel_goals
    rig.run(0.3)
    assert rig.supervision.beat(MOTION)["settled"]
    assert rig.command(0.05, 0.0, epoch=old)["rule"] == "epoch"
    assert rig.command(*[p + 0.01 for p in rig.positions])["ok"]
    assert rig.tick().forward is not None
    assert not rig.supervision.beat(MOTION)["settled"]


def test_a_command_of_the_new_epoch_ends_the_hold_that_is_still_being_repeated(rig: Any) -> None:
    rig.supervision.client_hold(MOTION, 2)
    rig.run(0.02)
    assert rig.command(0.01, 0.0)["ok"]
    assert rig.tick().forward is not None
    assert all(a.hold is None for a in rig.run(0.1))


def test_an_arm_that_moves_during_a_clients_hold_without_a_command_is_held_again(rig: Any) -> None:
    rig.supervision.client_hold(MOTION, 2)
    rig.run(0.3)
    rig.velocities = [0.1, 0.0]
    assert rig.run(0.005)[0].hold is not None


@pytest.mark.parametrize("category", [0, 1])
def test_a_hold_of_category_0_or_1_without_power_services_is_downgraded_and_told(rig: Any, category: int) -> None:
    assert rig.supervision.client_hold(MOTION, category)["ok"]
    assert rig.tick().power is None
    assert rig.events("power_downgraded")[-1]["detail"] == {"category": category}


def test_category_0_takes_the_power_at_once_and_enable_gives_it_back_holding(new: NewRig) -> None:
    rig = new(arm=POWER).armed()
    rig.supervision.client_hold(MOTION, 0)
    assert rig.tick().power == "off"
    rig.run(0.2)
    assert rig.command(0.01, 0.0)["rule"] == "not_armed"
    assert rig.supervision.status()["power"] == "off"
    assert rig.supervision.enable(MOTION)["ok"]
    actions = rig.tick()
    assert (actions.power, actions.hold) == ("on", (0.0, 0.0))
    assert rig.command(0.01, 0.0)["ok"]
    assert rig.tick().power is None


def test_category_1_takes_the_power_when_the_arm_has_settled(new: NewRig) -> None:
    rig = new(arm=POWER).armed()
    rig.velocities, rig.deaf = [0.5, 0.0], 5
    rig.supervision.client_hold(MOTION, 1)
    assert rig.command(0.01, 0.0)["rule"] == "not_armed"
    powers = [a.power for a in rig.run(0.5)]
    assert powers.count("off") == 1
    assert powers.index("off") >= 25  # 0.05 s until it stands still, 0.1 s until that counts


def test_category_1_takes_the_power_in_the_end_when_the_arm_does_not_settle(new: NewRig) -> None:
    rig = new(arm=POWER).armed()
    rig.velocities, rig.deaf = [0.5, 0.0], 10_000
    rig.supervision.client_hold(MOTION, 1)
    powers = [a.power for a in rig.run(1.1)]
    assert powers.count("off") == 1
    assert powers.index("off") == pytest.approx(200, abs=2)


def test_enabling_without_power_taken_only_holds(new: NewRig) -> None:
    rig = new(arm=POWER).armed()
    assert rig.supervision.enable(MOTION)["ok"]
    actions = rig.tick()
    assert (actions.power, actions.hold) == (None, (0.0, 0.0))


def test_nobody_gets_power_back_while_a_stop_is_latched(new: NewRig) -> None:
    rig = new(arm=POWER).armed()
    rig.supervision.client_hold(MOTION, 0)
    rig.run(0.01)
    rig.supervision.enable(MOTION)
    rig.supervision.stop(WATCH, "")
    assert rig.tick().power is None
    assert not rig.supervision.enable(MOTION)["ok"]
    assert all(a.power is None for a in rig.run(0.5))
    assert rig.supervision.status()["power"] == "off"


def test_power_that_only_a_person_can_give_back_is_theirs_to_give(new: NewRig) -> None:
    rig = new(arm={"power": {"off": "/power_off"}}).armed()
    rig.supervision.client_hold(MOTION, 0)
    rig.run(0.3)
    assert "Give power at the arm" in rig.supervision.enable(MOTION)["reason"]
    rig.supervision.stop(OPERATOR, "power")
    rig.run(0.3)
    assert rig.reset()["ok"]
    assert rig.supervision.arm(OPERATOR)["ok"]
    rig.run(0.02)
    assert rig.command(0.01, 0.0)["ok"]


@pytest.mark.parametrize("category", [None, 3, -1, True, "0", 1.0, [0]])
def test_a_category_that_is_none_is_held_without_taking_power(new: NewRig, category: Any) -> None:
    rig = new(arm=POWER).armed()
    reply = rig.supervision.client_hold(MOTION, category)
    assert reply["ok"]
    assert "held as 2" in reply["reason"]
    actions = rig.tick()
    assert (actions.hold, actions.power) == ((0.0, 0.0), None)


# -- lease and release ------------------------------------------------------------------------------------------


def test_only_one_client_has_the_lease(rig: Any) -> None:
    rig.supervision.hello(OTHER, "motion", UID)
    assert not rig.supervision.lease(OTHER)["ok"]
    assert not rig.supervision.beat(OTHER)["ok"]
    assert not rig.supervision.release(OTHER)["ok"]
    assert rig.supervision.lease(MOTION)["ok"]
    assert rig.supervision.release(MOTION)["ok"]
    assert rig.supervision.lease(OTHER)["ok"]


def test_releasing_leads_from_run_to_ready_with_a_hold_in_a_new_epoch(rig: Any) -> None:
    rig.command(0.04, 0.0)
    rig.tick()
    rig.velocities = [0.3, 0.0]
    rig.run(0.01)
    old = rig.supervision.epoch
    reply = rig.supervision.release(MOTION)
    assert (reply["ok"], reply["state"], reply["epoch"]) == (True, "ready", old + 1)
    assert rig.tick().hold is not None
    rig.run(1.0)
    assert rig.state is READY
    assert rig.command(0.04, 0.0)["rule"] == "lease"
    assert not rig.supervision.arm(OPERATOR)["ok"]
    rig.supervision.lease(MOTION)
    assert rig.command(0.04, 0.0)["rule"] == "not_armed"
    assert rig.supervision.arm(OPERATOR)["ok"]


def test_releasing_while_stopped_changes_no_stop(rig: Any) -> None:
    rig.supervision.stop(WATCH, "")
    rig.supervision.release(MOTION)
    rig.run(1.0)
    assert rig.state is STOPPED


# -- reset ------------------------------------------------------------------------------------------------------


def test_a_used_code_never_works_twice(rig: Any) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    code = rig.supervision.reset_request(OPERATOR)["code"]
    assert rig.supervision.reset(OPERATOR, code)["ok"]
    assert not rig.supervision.reset(OPERATOR, code)["ok"]
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    reply = rig.supervision.reset(OPERATOR, code)
    assert (reply["ok"], reply["state"]) == (False, "stopped")
    assert rig.events("reset_refused")[-1]["detail"]["reason"] == "replayed"


@pytest.mark.parametrize("again", ["press", "request", "joint states"])
def test_a_new_stop_voids_a_code_even_though_the_latch_was_closed_already(rig: Any, again: str) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    code = rig.supervision.reset_request(OPERATOR)["code"]
    if again == "press":
        rig.contacts["wall"] = OPEN
        rig.run(0.01)
        rig.contacts["wall"] = CLOSED
    elif again == "request":
        rig.supervision.stop(WATCH, "")
    else:
        rig.joint_states = False
        rig.run(0.2)
        rig.joint_states = True
    rig.run(0.5)
    assert rig.supervision.status()["standing"] == []
    reply = rig.supervision.reset(OPERATOR, code)
    assert (reply["ok"], reply["state"]) == (False, "stopped")
    assert rig.events("reset_refused")[-1]["detail"]["reason"] == "expired"


def test_a_code_expires(rig: Any) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    code = rig.supervision.reset_request(OPERATOR)["code"]
    rig.run(61.0, step_s=0.05)
    assert not rig.supervision.reset(OPERATOR, code)["ok"]
    assert rig.events("reset_refused")[-1]["detail"]["reason"] == "expired"
    assert rig.reset()["ok"]


def test_a_code_is_spent_when_the_arm_moved_in_between(rig: Any) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    code = rig.supervision.reset_request(OPERATOR)["code"]
    rig.velocities, rig.deaf = [0.5, 0.0], 10
    rig.run(0.05)
    assert rig.supervision.reset(OPERATOR, code)["reasons"] == ["the arm is not at rest"]
    rig.run(0.5)
    assert not rig.supervision.reset(OPERATOR, code)["ok"]
    assert rig.state is STOPPED


@pytest.mark.parametrize("code", [None, 0, 123_456, b"123456", "", "000000", ["123456"], {"code": 1}])
def test_a_code_that_is_none_is_unknown(rig: Any, code: Any) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    rig.supervision.reset_request(OPERATOR)
    assert not rig.supervision.reset(OPERATOR, code)["ok"]
    assert rig.events("reset_refused")[-1]["detail"]["reason"] == "unknown"


def test_no_code_while_the_button_is_down_the_arm_moves_or_nothing_is_latched(rig: Any) -> None:
    assert rig.supervision.reset_request(OPERATOR)["reasons"] == ["nothing is latched"]
    rig.contacts["wall"], rig.velocities, rig.deaf = OPEN, [0.5, 0.0], 10_000
    rig.run(0.3)
    assert rig.supervision.reset_request(OPERATOR)["reasons"] == ["wall: contact_open", "the arm is not at rest"]
    rig.contacts["wall"] = CLOSED
    rig.run(0.02)
    assert rig.supervision.reset_request(OPERATOR)["reasons"][0] == "wall: release_debounce"


def test_the_code_itself_stands_in_no_event(rig: Any) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    code = rig.supervision.reset_request(OPERATOR)["code"]
    rig.supervision.reset(OPERATOR, code)
    assert code not in json.dumps(rig.events())


# -- who may do what --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [None, "", "boss", 7, ["motion"], {"role": "motion"}])
def test_a_role_is_one_of_three(rig: Any, role: Any) -> None:
    assert not rig.supervision.hello(OTHER, role, UID)["ok"]


def test_users_may_do_what_the_bench_says(new: NewRig) -> None:
    rig = new(supervision={"motion_uids": [UID, 1001], "operator_uids": [UID, 1002]})
    hello = rig.supervision.hello
    assert hello(11, "motion", 1001)["ok"]
    assert not hello(12, "operator", 1001)["ok"]
    assert hello(13, "operator", 1002)["ok"]
    assert not hello(14, "motion", 1002)["ok"]
    assert hello(15, "watch", 65534)["ok"]
    assert "supervision.motion_uids" in hello(14, "motion", 1002)["reason"]


def test_by_default_only_the_supervisors_own_user_commands_and_resets(new: NewRig) -> None:
    hello = new().supervision.hello
    assert not hello(11, "motion", UID + 1)["ok"]
    assert not hello(11, "operator", UID + 1)["ok"]
    assert hello(11, "watch", UID + 1) == {"ok": True, "reason": "", "state": "stopped", "epoch": 0, "name": "rig"}


def test_a_connection_keeps_its_role(rig: Any) -> None:
    assert not rig.supervision.hello(MOTION, "operator", UID)["ok"]
    assert rig.supervision.hello(MOTION, "motion", UID)["ok"]


@pytest.mark.parametrize("conn_id", [MOTION, WATCH, 99])
def test_only_an_operator_resets_and_arms(rig: Any, conn_id: int) -> None:
    rig.supervision.stop(WATCH, "")
    rig.run(0.3)
    code = rig.supervision.reset_request(OPERATOR)["code"]
    assert not rig.supervision.reset_request(conn_id)["ok"]
    assert not rig.supervision.reset(conn_id, code)["ok"]
    assert rig.supervision.reset(OPERATOR, code)["ok"]
    assert not rig.supervision.arm(conn_id)["ok"]
    assert rig.state is READY


@pytest.mark.parametrize("conn_id", [OPERATOR, WATCH, 99])
def test_only_a_motion_client_leases_holds_and_enables(rig: Any, conn_id: int) -> None:
    epoch = rig.supervision.epoch
    for reply in (
        rig.supervision.lease(conn_id),
        rig.supervision.beat(conn_id),
        rig.supervision.client_hold(conn_id, 2),
        rig.supervision.enable(conn_id),
        rig.supervision.release(conn_id),
    ):
        assert not reply["ok"]
        assert reply["reason"]
    assert (rig.state, rig.supervision.epoch) == (RUN, epoch)


# -- what breaks ------------------------------------------------------------------------------------------------


def explode(*_args: Any, **_fields: Any) -> Any:
    raise ZeroDivisionError("made to break")


@pytest.mark.parametrize(
    "part", ["_judge.judge", "_judge.safety.wall.reason", "_judge.arm.reason", "_holding.tick", "_forward", "log.note"]
)
def test_whatever_breaks_in_a_turn_is_a_stop_with_a_hold_and_stays_one(
    rig: Any, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target: Any = rig.supervision
    *path, name = part.split(".")
    for step in path:
        target = target[step] if isinstance(target, dict) else getattr(target, step)
    if part == "_holding.tick":
        rig.supervision.client_hold(MOTION, 2)
    else:
        assert rig.command(0.04, 0.0)["ok"]
    monkeypatch.setattr(target, name, explode)
    if part == "log.note":
        rig.contacts["wall"] = OPEN
    rig.pass_time(0.005)
    rig.feed()
    actions = rig.tick()
    assert (actions.forward, actions.hold) == (None, (0.0, 0.0))
    assert rig.state is STOPPED
    rig.tick()
    monkeypatch.undo()
    rig.contacts["wall"] = CLOSED
    rig.run(0.5)
    assert rig.state is STOPPED
    assert rig.reset()["ok"]
    assert rig.state is READY


@pytest.mark.parametrize("op", ["beat", "command", "client_hold", "lease", "status", "stop", "reset_request", "arm"])
def test_a_request_that_breaks_something_is_answered_and_stops(
    rig: Any, op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.supervision._judge, "judge", explode)
    arguments = {"command": (MOTION, rig.message()), "client_hold": (MOTION, 2), "status": ()}.get(op, (MOTION,))
    reply = getattr(rig.supervision, op)(*arguments)
    assert (reply["ok"], reply["state"]) == (False, "stopped")
    assert rig.events("exception")[-1]["detail"]["error"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    "feed",
    [
        lambda s: s.input_reading("unknown", CLOSED, 0.0),
        lambda s: s.joint_states(None, None, None, None, None),
        lambda s: s.joint_states(["shoulder", "elbow"], [0, 0], [0, 0], "now", 0.0),
        lambda s: s.publishers("many"),
        lambda s: s.subscribers(None),
    ],
)
def test_a_message_that_breaks_something_stops(rig: Any, feed: Callable[[Supervision], None]) -> None:
    feed(rig.supervision)
    assert (rig.state, rig.reason) == (STOPPED, "exception")


def test_the_process_around_may_say_that_it_broke(rig: Any) -> None:
    rig.supervision.broke(OSError("executor's thread ended"))
    assert (rig.state, rig.reason) == (STOPPED, "exception")
    assert rig.tick().hold is not None


# -- the record -------------------------------------------------------------------------------------------------


def test_events_have_numbers_and_are_read_from_anywhere_in_packets(rig: Any) -> None:
    for n in range(2000):
        rig.supervision.note("filler", text="x" * 100, n=n)
    reply = rig.supervision.events(0)
    assert reply["more"]
    assert len(json.dumps(reply)) < 50_000
    events = rig.events()
    assert [e["n"] for e in events] == list(range(1, reply["last"] + 1))
    assert rig.supervision.events(reply["last"])["events"] == []
    assert rig.supervision.events("junk")["events"]


def test_the_ring_keeps_the_newest_events(rig: Any) -> None:
    log = EventLog(rig.clock)
    for n in range(CAPACITY + 100):
        log.note("filler", n=n)
    events, _ = log.after(0)
    assert events[0]["n"] == 101
    assert log.last == CAPACITY + 100


def test_every_detail_can_be_strict_json(rig: Any) -> None:
    rig.supervision.note("odd", nan=math.nan, big=10**5000, deep=[[[[[1]]]]], raw=b"\xff", this=object(), bad="\ud800")
    event = rig.events("odd")[0]
    assert json.loads(json.dumps(event, allow_nan=False)) == event


def test_the_full_status_is_strict_json_and_tells_everything(rig: Any) -> None:
    status = rig.supervision.status()
    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status["inputs"]["wall"] == {
        "role": "safety",
        "a_closed": True,
        "b_closed": True,
        "healthy": True,
        "reason": "",
        "age_s": 0.0,
    }
    assert status["joint_states"] == {"age_s": 0.0, "at_rest": True, "positions_rad": [0.0, 0.0], "reason": ""}
    assert (status["publishers"], status["subscribers"], status["power"]) == (1, 1, "not_configured")
    assert status["lease"] == {"held": True, "fresh": True}
    assert status["limits"]["step_rad"] == 0.25
    assert {"ticks", "forwarded", "refused", "dropped", "stops", "exceptions", "holds", "events"} == set(
        status["counters"]
    )


def test_power_results_are_kept(rig: Any) -> None:
    rig.supervision.power_result("off", False, "no answer")
    assert rig.events("power_result")[0]["detail"] == {"action": "off", "ok": False, "detail": "no answer"}


def test_the_cores_modules_need_no_optional_package() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('rclpy', 'pinocchio', 'pymodbus', 'serial', 'gpiod', 'rosbags'): sys.modules[name] = None\n"
        "import redbutton.hardware.supervision\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
