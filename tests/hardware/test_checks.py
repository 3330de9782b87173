"""Each rule for a command, on its edge and beyond it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redbutton.hardware.checks import FOLLOWING_S, SLACK_S, Checks, Command, Refused
from redbutton.hardware.config import BenchConfig, BenchError

NOW_S = 100.0
HERE = (0.0, 0.0)
DURATION_S = 0.1
LIMIT = (1.0, 2.0)  # half of the arm's velocities
GOOD: dict[str, Any] = {
    "seq": 1,
    "epoch": 0,
    "t_s": NOW_S,
    "names": ["shoulder", "elbow"],
    "positions_rad": [0.05, -0.1],
    "velocities_rad_s": [0.5, -1.0],
    "duration_s": DURATION_S,
    "gripper_m": 0.04,
}
Build = Callable[..., Checks]


@pytest.fixture(scope="module")
def rig(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/supervision_rig.py")


@pytest.fixture(scope="module")
def build(rig: ModuleType) -> Build:
    def make(tool_position: Any = None, speed: float = 1.0, **changes: Any) -> Checks:
        config: BenchConfig = rig.bench(**changes)
        return Checks(config.arm, config.limits, tool_position, speed)

    return make


def verdict(checks: Checks, measured: tuple[float, ...] = HERE, now_s: float = NOW_S, **fields: Any) -> str:
    """The rule that refuses, or an empty string."""
    found = checks.check({**GOOD, **fields}, measured, now_s)
    if isinstance(found, Refused):
        assert found.detail
        return found.rule
    return ""


def test_a_good_command_comes_back_in_the_arms_own_order(build: Build) -> None:
    found = build().check(
        {**GOOD, "names": ["elbow", "shoulder"], "positions_rad": [-0.1, 0.05], "velocities_rad_s": [-1, 0.5]},
        HERE,
        NOW_S,
    )
    assert found == Command(("shoulder", "elbow"), (0.05, -0.1), (0.5, -1.0), 0.1, 0.04)


@pytest.mark.parametrize("missing", ["t_s", "names", "positions_rad", "velocities_rad_s", "duration_s"])
def test_a_command_without_a_field_is_refused(build: Build, missing: str) -> None:
    message = {key: value for key, value in GOOD.items() if key != missing}
    assert isinstance(build().check(message, HERE, NOW_S), Refused)


@pytest.mark.parametrize(
    "names",
    [
        ["shoulder"],
        ["shoulder", "shoulder"],
        ["shoulder", "elbow", "finger"],
        ["shoulder", "knee"],
        "shoulder elbow",
        None,
        [["shoulder"], "elbow"],
        [1, 2],
        {"shoulder": 1, "elbow": 2},
    ],
)
def test_a_command_names_every_joint_once(build: Build, names: Any) -> None:
    assert verdict(build(), names=names) == "joint_set"


JUNK = [math.nan, math.inf, -math.inf, "0.1", None, True, [0.1], 10**400]


@pytest.mark.parametrize("junk", JUNK, ids=[f"{type(j).__name__}{n}" for n, j in enumerate(JUNK)])
def test_every_number_is_finite(build: Build, junk: Any) -> None:
    checks = build()
    assert verdict(checks, positions_rad=[junk, 0.0]) == "not_finite"
    assert verdict(checks, velocities_rad_s=[0.0, junk]) == "not_finite"
    assert verdict(checks, duration_s=junk) == "not_finite"
    assert verdict(checks, t_s=junk) == "time_stamp"
    if junk is not None:
        assert verdict(checks, gripper_m=junk) == "not_finite"


@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0, 0.0], 0.0, None, "00", {0: 0.0, 1: 0.0}])
def test_there_is_one_number_for_each_joint(build: Build, values: Any) -> None:
    assert verdict(build(), positions_rad=values) == "not_finite"
    assert verdict(build(), velocities_rad_s=values) == "not_finite"


@pytest.mark.parametrize(
    ("age_s", "rule"), [(0.0, ""), (0.1, ""), (0.101, "time_stamp"), (-0.001, "time_stamp"), (1e9, "time_stamp")]
)
def test_a_command_is_young_and_never_from_the_future(build: Build, age_s: float, rule: str) -> None:
    assert verdict(build(), now_s=0.0, t_s=-age_s) == rule


def test_no_command_passes_when_the_clock_gives_no_number(build: Build) -> None:
    assert verdict(build(), now_s=math.nan) == "time_stamp"


@pytest.mark.parametrize(("duration_s", "rule"), [(0.3, ""), (0.301, "horizon"), (0.0, "horizon"), (-0.1, "horizon")])
def test_a_command_covers_little_time(build: Build, duration_s: float, rule: str) -> None:
    assert verdict(build(), duration_s=duration_s) == rule


def test_joints_stay_within_the_arms_limits(build: Build) -> None:
    at = (1.95, 0.0)
    assert verdict(build(), at, positions_rad=[2.0, 0.0]) == ""
    assert verdict(build(), at, positions_rad=[2.0001, 0.0]) == "position"
    assert verdict(build(), (0.0, -1.95), positions_rad=[0.0, -2.01]) == "position"


@pytest.mark.parametrize(
    ("gripper_m", "rule"), [(0.0, ""), (0.08, ""), (None, ""), (0.081, "position"), (-0.001, "position")]
)
def test_the_gripper_stays_within_its_opening(build: Build, gripper_m: float | None, rule: str) -> None:
    assert verdict(build(), gripper_m=gripper_m) == rule


def test_an_arm_without_a_gripper_is_sent_none(build: Build) -> None:
    found = build(arm={"gripper": {"kind": "none", "open_m": 0.08}}).check(GOOD, HERE, NOW_S)
    assert isinstance(found, Command)
    assert found.gripper_m is None


def test_a_target_far_from_the_arm_is_a_step_before_it_is_too_fast(build: Build) -> None:
    assert verdict(build(), (0.31, -0.1)) == "step"
    assert verdict(build(), (0.05, -0.36)) == "step"


@pytest.mark.parametrize("joint", [0, 1])
def test_a_stated_velocity_keeps_the_benchs_share(build: Build, joint: int) -> None:
    checks, at = build(), [0.0, 0.0]
    at[joint] = -LIMIT[joint]
    assert verdict(checks, velocities_rad_s=at) == ""
    at[joint] = 1.02 * LIMIT[joint]
    assert verdict(checks, velocities_rad_s=at) == "velocity"


@pytest.mark.parametrize("joint", [0, 1])
def test_the_first_target_is_no_further_than_the_arm_may_go_in_its_time(build: Build, joint: int) -> None:
    checks, to = build(), [0.0, 0.0]
    to[joint] = LIMIT[joint] * DURATION_S
    assert verdict(checks, positions_rad=to) == ""
    to[joint] *= 1.02
    assert verdict(checks, positions_rad=to) == "velocity"


def send(checks: Checks, target: float, measured: float, now_s: float, duration_s: float = DURATION_S) -> str:
    message = {**GOOD, "positions_rad": [target, 0.0], "duration_s": duration_s, "t_s": now_s}
    found = checks.check(message, (measured, 0.0), now_s)
    if isinstance(found, Refused):
        return found.rule
    checks.sent(found, (measured, 0.0), now_s)
    return ""


@pytest.mark.parametrize("speed", [1.0, 5.0])
def test_a_client_at_the_limit_whose_arm_trails_goes_on(build: Build, speed: float) -> None:
    checks = build(speed=speed)
    assert [send(checks, 0.1 * n, max(0.0, 0.1 * n - 0.2), NOW_S + 0.1 * n / speed) for n in range(1, 20)] == [""] * 19


def test_a_client_that_was_late_catches_up(build: Build) -> None:
    checks = build()
    step = 0.05 * 0.95
    times = [0.0, 0.05, 0.1, 0.2, 0.21, 0.25, 0.3, 0.4, 0.45, 0.452, 0.5]  # one lost, some late, some early
    assert [send(checks, step * round(t / 0.05 + 1), 0.0 + step * t / 0.05, NOW_S + t, 0.05) for t in times] == [
        ""
    ] * 11


def test_sending_faster_than_the_arm_may_move_wins_nothing(build: Build) -> None:
    checks, reached = build(), 0.0
    for n in range(1000):
        now_s = NOW_S + n * 0.001
        if send(checks, reached + 0.02, reached, now_s, 0.02) == "":
            reached += 0.02
    assert reached <= 1.0 * LIMIT[0] + SLACK_S + 0.03


def test_a_pause_gives_no_more_than_the_slack(build: Build) -> None:
    checks = build()
    assert send(checks, 0.01, 0.0, NOW_S) == ""
    fastest = LIMIT[0] * (DURATION_S + SLACK_S)
    assert send(checks, 0.01 + fastest * 1.06, 0.01, NOW_S + 60.0) == "velocity"
    assert send(checks, 0.01 + fastest * 0.99, 0.01, NOW_S + 60.0) == ""


def test_an_arm_that_is_blocked_is_not_wound_up(build: Build) -> None:
    checks = build(limits={"step_rad": 1.0})
    answers = [send(checks, 0.045 * n, 0.0, NOW_S + 0.05 * n, 0.05) for n in range(1, 12)]
    assert answers[:6] == [""] * 6  # up to 0.3 rad: the time of the command and FOLLOWING_S at 1 rad/s
    assert answers[6:] == ["velocity"] * 5
    assert FOLLOWING_S == 0.25


def test_after_a_hold_the_way_counts_from_the_measured_position_again(build: Build) -> None:
    checks = build()
    assert send(checks, 0.1, 0.0, NOW_S) == ""
    checks.restart()
    assert send(checks, 0.2, 0.09, NOW_S + 0.1) == "velocity"
    assert send(checks, 0.18, 0.09, NOW_S + 0.1) == ""


BOX = {"limits": {"workspace": {"x": [-0.5, 0.5], "y": [-0.5, 0.5], "z": [0.0, 1.0]}}}


@pytest.mark.parametrize(
    ("tool", "rule"),
    [
        ((0.5, -0.5, 0.0), ""),
        ((0.51, 0.0, 0.5), "workspace"),
        ((0.0, -0.51, 0.5), "workspace"),
        ((0.0, 0.0, -0.01), "workspace"),
        ((math.nan, 0.0, 0.5), "workspace"),
    ],
)
def test_the_tool_stays_in_the_workspace(build: Build, tool: tuple[float, float, float], rule: str) -> None:
    assert verdict(build(lambda joints: tool, **BOX)) == rule


def test_kinematics_that_break_refuse_the_command(build: Build) -> None:
    def broken(joints: tuple[float, ...]) -> tuple[float, float, float]:
        raise ZeroDivisionError

    assert verdict(build(broken, **BOX)) == "workspace"
    assert verdict(build(lambda joints: (0.0, 0.0), **BOX)) == "workspace"


def test_a_workspace_without_kinematics_is_refused_when_the_checks_are_made(build: Build) -> None:
    with pytest.raises(BenchError, match=r"needs the arm's kinematics. Received none"):
        build(None, **BOX)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(list(GOOD)), ANY, max_size=4))
def test_no_message_makes_the_checks_raise_and_what_passes_keeps_every_limit(
    build: Build, fields: dict[str, Any]
) -> None:
    found = build().check({**GOOD, **fields}, HERE, NOW_S)
    if isinstance(found, Command):
        assert all(abs(p) <= 0.1 * limit * 1.011 * 3 for p, limit in zip(found.positions_rad, LIMIT, strict=True))
        assert 0.0 < found.duration_s <= 0.3
        assert found.gripper_m is None or 0.0 <= found.gripper_m <= 0.08
