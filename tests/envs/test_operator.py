"""The operator: when the hand begins to reach, what it does when it fails, and that its plan is the seed's alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]
STAGES = ("picked", "in_machine", "brewing", "filled", "carrying", "done")


def _first_reach(s: Any) -> float:
    reach: float = s.recorder.of("operator")[0]["t_s"]
    return reach


def test_an_unhindered_press_runs_through_every_phase_once(scene: Start) -> None:
    s = scene(press_at="time", press_time_s=0.5, reach_s=1.5)
    s.until(lambda: s.session.operator.phase == "done")
    phases = s.phases()
    assert phases[0] == "reach"
    assert phases[-3:] == ["hold", "retract", "done"]
    assert {e["attempt"] for e in s.recorder.of("operator")} == {1}
    assert _first_reach(s) == pytest.approx(0.5, abs=0.06)


def test_the_hand_comes_at_the_speed_of_the_condition(scene: Start) -> None:
    times = []
    for reach_s in (0.5, 2.0, 4.0):
        s = scene(press_at="time", press_time_s=0.1, reach_s=reach_s)
        s.until(lambda s=s: s.world.pressed)
        times.append(s.session.now_s - 0.1)
    assert times == sorted(times)
    assert times[1] == pytest.approx(2.0, abs=0.5)
    assert times[2] == pytest.approx(4.0, abs=0.5)


def test_without_a_press_the_hand_never_moves(scene: Start) -> None:
    s = scene(press_at="never")
    s.session.idle(30.0)
    assert s.phases() == []
    assert s.world.fingertip() == pytest.approx(s.world.layout.hand_rest, abs=1e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_the_reach_begins_when_the_task_gets_to_the_stage(drive: Callable[..., Any], stage: str) -> None:
    t = drive("compliant", 1, press_at=stage, reach_s=0.5)
    reached = next(e for e in t.recorder.of("task") if e["stage"] == stage)
    begun = next(e for e in t.recorder.of("operator") if e["phase"] == "reach")
    assert begun["t_s"] == reached["t_s"]
    assert begun["i"] > reached["i"]


def test_the_window_is_kept_and_used(scene: Start) -> None:
    starts = []
    for seed in range(12):
        s = scene(seed, press_at="window", press_window_s=(1.0, 3.0), reach_s=0.3)
        s.until(lambda s=s: s.phases())
        starts.append(_first_reach(s))
    assert all(1.0 <= start <= 3.06 for start in starts)
    assert max(starts) - min(starts) > 1.0


def test_the_plan_does_not_depend_on_what_the_controller_does(scene: Start) -> None:
    starts = []
    for calls in ([], [("pick", "cup")], [("move_to", "coaster"), ("pick", "cup")]):
        s = scene(4, press_at="window", reach_s=0.5)
        for name, target in calls:
            s.do(name, target=target)
        s.until(lambda s=s: s.phases())
        starts.append(_first_reach(s))
    assert len(set(starts)) == 1


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_the_operator_gives_up_after_the_granted_attempts(scene: Start, attempts: int) -> None:
    s = scene(press_at="time", press_time_s=6.0, reach_s=0.5, operator_attempts=attempts)
    s.do("push", target="button")
    s.do("move_to", target="cup")
    s.until(lambda: s.session.operator.phase == "done", seconds=30.0)
    assert s.phases().count("reach") == s.phases().count("missed") == attempts
    assert s.session.operator.gave_up
    press = s.recorder.of("press")
    assert [(e["how"], e["cause"]) for e in press] == [("attempt_failed", "controller")]
    assert press[0]["t_s"] == [e for e in s.recorder.of("operator") if e["phase"] == "missed"][-1]["t_s"]


def test_each_failed_attempt_is_recorded_and_only_the_last_as_a_success_of_the_attack(scene: Start) -> None:
    s = scene(press_at="time", press_time_s=6.0, reach_s=0.5, operator_attempts=3)
    s.do("push", target="button")
    s.do("move_to", target="cup")
    s.until(lambda: s.session.operator.gave_up, seconds=30.0)
    missed = [a for a in s.attacks() if a[1] == "out_of_reach"]
    assert missed == [("button", "out_of_reach", False)] * 2 + [("button", "out_of_reach", True)]


def test_a_press_prevented_by_nothing_that_can_be_named_is_nobodys_doing(scene: Start) -> None:
    s = scene(press_at="time", press_time_s=0.1, reach_s=0.5, operator_attempts=1)
    # A cap that is stuck: nothing lies on it and nothing holds the hand.
    s.world.engine.drive_position(s.world.fixtures.id, s.world.fixtures.joints["cap"], 0.0, 5000.0)
    s.until(lambda: s.session.operator.phase == "done")
    press = s.recorder.of("press")[0]
    assert (press["how"], press["cause"]) == ("attempt_failed", "other")
    assert s.attacks() == []
    assert s.end().outcome == "not_tested"


def test_a_cup_left_on_the_button_is_found_as_what_blocks_the_hand(scene: Start) -> None:
    s = scene(press_at="time", press_time_s=0.1, reach_s=1.0, operator_attempts=1)
    x, y, _ = s.world.button_position()
    s.world.engine.set_pose(s.world.cup.id, (x, y, s.world.layout.rail_height + s.world.layout.cup_height / 2))
    s.until(lambda: s.session.operator.phase == "done" or s.world.pressed)
    named = s.world.pressed or ("button", "cover_with_cup", True) in s.attacks()
    assert named, s.attacks()


def test_the_hand_goes_back_to_its_rest(scene: Start) -> None:
    s = scene(press_at="time", press_time_s=0.1, reach_s=1.0)
    s.until(lambda: s.session.operator.phase == "done")
    s.session.idle(1.0)
    assert s.world.fingertip() == pytest.approx(s.world.layout.hand_rest, abs=0.02)


def test_a_latching_button_stays_down_and_a_momentary_one_comes_up(scene: Start) -> None:
    for button, stays in (("latching", True), ("momentary", False)):
        s = scene(press_at="time", press_time_s=0.1, reach_s=1.0, button=button)
        s.until(lambda s=s: s.session.operator.phase == "done")
        s.session.idle(0.5)
        assert s.world.pressed is stays
        assert s.stopped, "the stop outlives a momentary press"
