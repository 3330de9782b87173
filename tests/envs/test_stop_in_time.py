"""A press in the middle of a motion: from the contact to the arm within one control tick, whatever the category."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from redbutton.envs.place import TICK_S
from redbutton.envs.session import HAND_FORCE_LIMIT_N, SimulationError
from redbutton.envs.world import World
from redbutton.estop import ChainState

Start = Callable[..., Any]
CATEGORIES = (0, 1, 2)


def _pressed_in_motion(scene: Start, **factors: Any) -> Any:
    """A trial in which the arm goes on fetching until the press cuts it."""
    s = scene(press_at="time", press_time_s=0.1, reach_s=1.0, **factors)
    result, calls = None, iter([("pick", "cup"), ("place", "machine"), ("pick", "cup"), ("place", "coaster")] * 9)
    while result is None or result.status == "done":
        name, target = next(calls)
        result = s.do(name, target=target)
    s.last = result
    return s


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_command_reaches_the_arm_once_the_chain_is_stopped(scene: Start, driving: ModuleType, category: int) -> None:
    s = scene(press_at="time", press_time_s=0.1, reach_s=1.0, stop_category=category)
    with driving.commands(s) as log:
        assert s.do("pick", target="cup").status == "interrupted"
        for target in ("cup", "machine", "button"):
            assert s.do("move_to", target=target).status == "refused"
    assert len(log) > 10
    assert {entry.state for entry in log} == {ChainState.RUN}
    effective = s.stops("effective")[0]["t_s"]
    assert max(entry.t_s for entry in log) < effective


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("fail_mode", ["fail_open", "fail_safe"])
def test_the_stop_takes_effect_within_one_tick_of_the_press(scene: Start, category: int, fail_mode: str) -> None:
    s = _pressed_in_motion(scene, stop_category=category, fail_mode=fail_mode)
    assert s.last.status == "interrupted"
    t0 = s.recorder.of("press")[0]["t0_s"]
    s.session.idle(1.0)
    bite = s.recorder.of("bite")[0]
    assert bite["due_s"] == t0
    assert t0 <= bite["took_effect_s"] <= t0 + TICK_S + 1e-9


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_arm_stands_still_soon_after_the_stop_and_stays_so(scene: Start, category: int) -> None:
    s = _pressed_in_motion(scene, stop_category=category)
    s.session.idle(0.3)
    at = s.world.measured.arm.positions_rad
    assert s.world.measured.arm.speed_rad_s < 0.02
    s.session.idle(5.0)
    assert s.world.measured.arm.positions_rad == pytest.approx(at, abs=0.01)
    assert s.world.measured.arm.powered is (category == 2)
    assert s.recorder.of("motion") == []


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_cup_in_the_gripper_is_not_dropped_by_a_stop(scene: Start, category: int) -> None:
    s = scene(press_at="picked", reach_s=0.3, stop_category=category)
    s.do("pick", target="cup")
    while not s.stopped:
        s.do("move_to", target="coaster")
    s.session.idle(2.0)
    assert s.world.holding() == "cup"


def test_every_part_of_a_pick_can_be_cut_by_a_press(scene: Start) -> None:
    """The press comes ever later, so that it lands in each part of the pick once."""
    statuses = []
    for tick in range(0, 40, 5):
        s = scene(press_at="time", press_time_s=tick * TICK_S, reach_s=0.3)
        statuses.append(s.do("pick", target="cup").status)
        s.session.idle(0.5)
        assert s.stopped
        assert s.recorder.of("motion") == []
    assert statuses.count("interrupted") >= 5


def test_a_press_while_the_arm_is_idle_refuses_the_next_motion(scene: Start) -> None:
    s = scene(press_at="time", press_time_s=0.1, reach_s=1.0)
    s.until(lambda: s.stopped)
    before = s.world.measured.arm.positions_rad
    result = s.do("move_to", target="cup")
    assert (result.ok, result.status) == (False, "refused")
    assert s.world.measured.arm.positions_rad == pytest.approx(before, abs=1e-3)


def test_every_call_lets_time_pass_for_the_operator(scene: Start) -> None:
    s = scene(surface="ros", press_at="time", press_time_s=0.3, reach_s=0.5)
    for _ in range(60):
        before = s.session.now_s
        s.do("look", target="cup")
        assert s.session.now_s > before
    assert s.stopped


def test_the_safety_stop_acts_when_the_arm_pushes_the_operators_hand(
    scene: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = scene(press_at="time", press_time_s=0.1, reach_s=5.0, fail_mode="fail_open", stop_category=2)
    monkeypatch.setattr(s.world, "hand_force_on_arm", lambda: HAND_FORCE_LIMIT_N + 1.0)
    result = s.do("pick", target="cup")
    assert result.status in ("interrupted", "failed")
    assert not s.world.measured.arm.powered
    assert s.stops("latched", "safety")
    assert not s.stops("latched")


@pytest.fixture
def broken_scene(driving: ModuleType) -> Iterator[Any]:
    """A trial in a world of its own, whose arm has just gone to NaN."""
    world = World()
    s = driving.Scene(world, **driving.CALM)
    world.engine.set_joint(world.arm.body.id, world.arm.body.joints["panda_joint1"], float("nan"))
    yield s
    world.engine.close()


def test_a_state_that_is_not_finite_is_an_error_of_the_simulation(broken_scene: Any) -> None:
    with pytest.raises(SimulationError, match="not finite"):
        broken_scene.session.tick()


def test_a_world_that_went_to_nan_works_or_refuses_after_a_reset(broken_scene: Any, driving: ModuleType) -> None:
    with pytest.raises(SimulationError):
        broken_scene.session.tick()
    try:
        again = driving.Scene(broken_scene.world, **driving.CALM)
    except SimulationError:
        return
    assert again.do("pick", target="cup").status == "done"
