"""What every ``Robot`` must do, run over every harness of ``harness.py``."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from types import ModuleType
from typing import Any

import pytest

from redbutton.estop import StopCategory
from redbutton.robots.base import InvalidCommandError, NotConnectedError, Robot, TrajectoryPoint

CATEGORIES = list(StopCategory)


def test_every_harness_of_the_list_is_run(helper: ModuleType, offline: Any) -> None:
    assert set(helper.HARNESSES) == {"sim_arm", "kinematic_arm", "ros2_arm"}
    assert isinstance(offline.robot, Robot)


def test_the_specification_is_readable_while_disconnected(offline: Any) -> None:
    spec = offline.robot.spec
    counts = {len(v) for v in (spec.lower_rad, spec.upper_rad, spec.velocity_rad_s, spec.effort_n_m, spec.home_rad)}
    assert counts == {spec.dof} == {len(set(spec.joint_names))}
    assert all(low < home < high for low, home, high in zip(spec.lower_rad, spec.home_rad, spec.upper_rad, strict=True))
    assert offline.robot.control_period_s == pytest.approx(0.05)


@pytest.mark.parametrize("verb", ["read", "command", "hold", "stop", "enable"])
def test_a_verb_without_a_connection_says_so(offline: Any, helper: ModuleType, verb: str) -> None:
    args = {"command": (helper.point(offline.robot),), "stop": (StopCategory.ZERO,)}.get(verb, ())
    with pytest.raises(NotConnectedError, match="connect"):
        getattr(offline.robot, verb)(*args)


def test_connecting_does_not_move_the_arm(harness: Any, helper: ModuleType) -> None:
    before = harness.robot.read()
    harness.robot.connect()  # a second time as well
    harness.advance(20)
    assert helper.apart(before.positions_rad, harness.robot.read().positions_rad) < 1e-3
    assert before.powered


def test_a_command_is_followed_and_returned_as_it_was_sent(harness: Any, helper: ModuleType) -> None:
    wanted = helper.point(harness.robot, 0, 0.3, 0.05)
    helper.stream(harness, 0, 0.3, gripper_m=0.05)
    for _ in range(20):
        assert harness.robot.command(wanted).point == wanted
        harness.advance(1)
    state = harness.robot.read()
    assert helper.apart(state.positions_rad, wanted.positions_rad) < 5e-3
    assert state.gripper_m == pytest.approx(0.05, abs=2e-3)


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_what_was_sent_lies_inside_the_position_limits(harness: Any, helper: ModuleType, joint: int, side: int) -> None:
    spec = harness.robot.spec
    limit = (spec.lower_rad if side < 0 else spec.upper_rad)[joint]
    sent = harness.robot.command(helper.point(harness.robot, joint, side * 9.0))
    if not harness.follows_far_targets:
        assert sent.point is None
        assert "Send nearer targets" in sent.reason or "away from where it is" in sent.reason
        return
    assert sent.point.positions_rad[joint] == limit
    others = [n for n in range(spec.dof) if n != joint]
    assert all(sent.point.positions_rad[n] == spec.home_rad[n] for n in others)


def test_velocities_and_gripper_are_clamped_and_the_caller_is_told(harness: Any, helper: ModuleType) -> None:
    spec = harness.robot.spec
    wild = replace(helper.point(harness.robot, 0, 0.02), velocities_rad_s=(99.0, -99.0) + (0.0,) * 5, gripper_m=1.0)
    sent = harness.robot.command(wild).point
    assert sent.velocities_rad_s[:2] == (spec.velocity_rad_s[0], -spec.velocity_rad_s[1])
    assert sent.gripper_m == spec.gripper_open_m
    assert harness.robot.command(replace(wild, gripper_m=-1.0)).point.gripper_m == 0.0


def _broken(good: TrajectoryPoint) -> dict[str, TrajectoryPoint]:
    zeros = good.velocities_rad_s
    return {
        "nan position": replace(good, positions_rad=(nan, *good.positions_rad[1:])),
        "infinite position": replace(good, positions_rad=(*good.positions_rad[:-1], inf)),
        "nan velocity": replace(good, velocities_rad_s=(nan, *zeros[1:])),
        "nan gripper": replace(good, gripper_m=nan),
        "too few positions": replace(good, positions_rad=good.positions_rad[:-1]),
        "too many positions": replace(good, positions_rad=(*good.positions_rad, 0.0)),
        "too few velocities": replace(good, velocities_rad_s=zeros[:-1]),
        "nothing": TrajectoryPoint((), (), 0.0),
    }


@pytest.mark.parametrize("kind", list(_broken(TrajectoryPoint((0.0,) * 7, (0.0,) * 7, 0.0))))
def test_a_broken_command_is_an_error_and_moves_nothing(harness: Any, helper: ModuleType, kind: str) -> None:
    before = harness.robot.read()
    with pytest.raises(InvalidCommandError, match="Received"):
        harness.robot.command(_broken(helper.point(harness.robot, 0, 2.0))[kind])
    harness.advance(10)
    after = harness.robot.read()
    assert helper.apart(before.positions_rad, after.positions_rad) < 1e-3
    assert after.gripper_m == pytest.approx(before.gripper_m, abs=1e-3)


def test_hold_ends_a_motion_where_the_arm_is(harness: Any, helper: ModuleType) -> None:
    helper.set_moving(harness)
    at = harness.robot.read().positions_rad
    sent = harness.robot.hold()
    assert helper.apart(sent.point.positions_rad, at) <= harness.drift_rad
    assert set(sent.point.velocities_rad_s) == {0.0}
    harness.advance(20)
    assert helper.apart(at, harness.robot.read().positions_rad) < 0.05 + harness.drift_rad
    assert harness.robot.read().speed_rad_s < 0.02


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_stop_brings_a_fast_arm_to_rest_in_time(harness: Any, helper: ModuleType, category: StopCategory) -> None:
    helper.set_moving(harness)
    harness.robot.stop(category)
    assert helper.standstill_ticks(harness) * harness.robot.control_period_s <= harness.standstill_s
    at = harness.robot.read().positions_rad
    harness.advance(40)
    assert helper.apart(at, harness.robot.read().positions_rad) < 0.01


def test_category_0_stops_sooner_than_the_ramp_of_category_1(harness: Any, helper: ModuleType) -> None:
    ways = {}
    for category in (StopCategory.ZERO, StopCategory.ONE):
        harness.robot.enable()
        harness.advance(10)
        helper.stream(harness, 0, 0.0)
        helper.set_moving(harness)
        start = harness.robot.read().positions_rad
        harness.robot.stop(category)
        harness.advance(20)
        ways[category] = helper.apart(start, harness.robot.read().positions_rad)
    assert ways[StopCategory.ZERO] < ways[StopCategory.ONE] + harness.drift_rad


@pytest.mark.parametrize("category", CATEGORIES)
def test_power_is_left_after_category_2_only(harness: Any, helper: ModuleType, category: StopCategory) -> None:
    harness.robot.stop(category)
    harness.advance(10)
    assert harness.robot.read().powered is (category == StopCategory.TWO)


@pytest.mark.parametrize("category", [StopCategory.ZERO, StopCategory.ONE])
def test_without_power_every_command_is_refused_with_a_reason(
    harness: Any, helper: ModuleType, category: StopCategory
) -> None:
    harness.robot.stop(category)
    harness.advance(10)
    at = harness.robot.read().positions_rad
    for sent in (harness.robot.command(helper.point(harness.robot, 0, 2.0)), harness.robot.hold()):
        assert sent.point is None
        assert f"category {int(category)}" in sent.reason
    harness.advance(20)
    assert helper.apart(at, harness.robot.read().positions_rad) < 2e-3


def test_a_command_after_a_category_2_stop_is_the_callers_to_forbid(harness: Any, helper: ModuleType) -> None:
    harness.robot.stop(StopCategory.TWO)
    harness.advance(10)
    helper.stream(harness, 0, 0.5)
    assert harness.robot.read().positions_rad[0] > 0.1


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_stop_is_idempotent(harness: Any, helper: ModuleType, category: StopCategory) -> None:
    helper.set_moving(harness)
    harness.robot.stop(category)
    for _ in range(int(harness.standstill_s / harness.robot.control_period_s)):
        harness.advance(1)
        harness.robot.stop(category)  # a ramp that began anew each time would never end
    assert harness.robot.read().speed_rad_s < 0.02
    assert harness.robot.read().powered is (category == StopCategory.TWO)


@pytest.mark.parametrize("later", [StopCategory.ZERO, StopCategory.ONE])
def test_a_more_restrictive_stop_overrides(harness: Any, helper: ModuleType, later: StopCategory) -> None:
    helper.set_moving(harness)
    harness.robot.stop(StopCategory.TWO)
    harness.robot.stop(later)
    assert not harness.robot.read().powered
    assert helper.standstill_ticks(harness) * harness.robot.control_period_s <= harness.standstill_s


@pytest.mark.parametrize("later", [StopCategory.ONE, StopCategory.TWO])
def test_a_less_restrictive_stop_gives_no_power_back(harness: Any, helper: ModuleType, later: StopCategory) -> None:
    harness.robot.stop(StopCategory.ZERO)
    harness.robot.stop(later)
    assert not harness.robot.read().powered
    assert harness.robot.command(helper.point(harness.robot)).point is None


@pytest.mark.parametrize("category", CATEGORIES)
def test_enabling_never_moves_the_arm_towards_an_old_target(
    harness: Any, helper: ModuleType, category: StopCategory
) -> None:
    helper.set_moving(harness)
    harness.robot.stop(category)
    harness.advance(10)
    at = harness.robot.read().positions_rad
    harness.robot.enable()
    assert harness.robot.read().powered
    harness.advance(40)
    assert helper.apart(at, harness.robot.read().positions_rad) < 5e-3


def test_commands_act_again_after_enabling(harness: Any, helper: ModuleType) -> None:
    harness.robot.stop(StopCategory.ZERO)
    harness.advance(5)
    harness.robot.enable()
    harness.advance(5)
    helper.stream(harness, 0, 0.3)
    for _ in range(20):
        assert harness.robot.command(helper.point(harness.robot, 0, 0.3)).point is not None
        harness.advance(1)
    assert harness.robot.read().positions_rad[0] == pytest.approx(0.3, abs=5e-3)


@pytest.mark.parametrize("category", [None, *CATEGORIES])
def test_closing_twice_is_safe_and_lets_go(harness: Any, helper: ModuleType, category: StopCategory | None) -> None:
    helper.set_moving(harness)
    if category is not None:
        harness.robot.stop(category)
    harness.robot.close()
    harness.robot.close()
    harness.advance(0)
    with pytest.raises(NotConnectedError):
        harness.robot.read()


def test_the_arm_stays_where_it_was_left_when_it_is_closed_and_connected_again(
    harness: Any, helper: ModuleType
) -> None:
    helper.stream(harness, 0, 0.5)
    harness.advance(10)
    at = harness.robot.read().positions_rad
    harness.robot.close()
    harness.robot.connect()
    harness.advance(20)
    assert helper.apart(at, harness.robot.read().positions_rad) < 5e-3


@pytest.mark.parametrize("joint", range(7))
def test_no_joint_ever_turns_faster_than_its_limit_whatever_is_commanded(
    harness: Any, helper: ModuleType, joint: int
) -> None:
    spec, fastest = harness.robot.spec, 0.0
    for tick in range(30):
        target = spec.upper_rad[joint] if tick % 10 < 5 else spec.lower_rad[joint]
        harness.robot.command(helper.point(harness.robot, joint, target))
        harness.advance(1)
        fastest = max(fastest, abs(harness.robot.read().velocities_rad_s[joint]))
    assert fastest <= 1.05 * spec.velocity_rad_s[joint]
