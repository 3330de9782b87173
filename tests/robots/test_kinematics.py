"""The closed form against the engine's own forward kinematics, and what lies out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import atan2, cos, hypot, inf, nan, pi, radians, sin

import numpy as np
import numpy.typing as npt
import pytest

from redbutton.robots.arms import GEOMETRY, PANDA
from redbutton.robots.engine import Engine, Quat
from redbutton.robots.kinematics import DOWN_RAD, ToolPose, UnreachableError, forward, solve
from redbutton.robots.sim_arm import SimArm

TOOL_M = GEOMETRY.flange + GEOMETRY.hand_to_tcp


def _grid() -> list[ToolPose]:
    poses = []
    for r, azimuth, z, tilt, yaw in product(
        (0.28, 0.40, 0.52, 0.64), (-150, -90, -30, 0, 45, 120), (0.02, 0.15, 0.30, 0.45), (0, 15, 30), (0.0, 0.6)
    ):
        a = radians(azimuth)
        poses.append(ToolPose(r * cos(a), r * sin(a), z, DOWN_RAD - radians(tilt), yaw))
    return poses


def _reachable() -> list[tuple[ToolPose, tuple[float, ...]]]:
    found = []
    for pose in _grid():
        try:
            found.append((pose, solve(pose)))
        except UnreachableError:
            continue
    return found


REACHABLE = _reachable()


@pytest.fixture(scope="module")
def arm() -> Iterator[SimArm]:
    engine = Engine()
    arm = SimArm(engine)
    arm.connect()
    yield arm
    engine.close()


def _turn(quaternion: Quat) -> npt.NDArray[np.float64]:
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _frame(arm: SimArm, link: str, q: tuple[float, ...]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    arm.place_at(q)
    position, quaternion = arm._engine.link_position(arm.body.id, arm.body.links[link])
    return np.array(position), _turn(quaternion)


def test_most_of_the_counter_is_within_reach() -> None:
    assert len(REACHABLE) > 0.6 * len(_grid())


def test_the_engine_puts_the_tool_where_the_closed_form_says(arm: SimArm) -> None:
    worst = 0.0
    for pose, q in REACHABLE:
        at, turn = _frame(arm, "panda_link7", q)
        worst = max(worst, float(np.linalg.norm(at + TOOL_M * turn[:, 2] - (pose.x, pose.y, pose.z))))
    assert worst < 1e-4


def test_the_engine_points_the_tool_where_the_closed_form_says(arm: SimArm) -> None:
    worst = 1.0
    for pose, q in REACHABLE:
        azimuth, pitch = atan2(pose.y, pose.x), pose.pitch_rad
        approach = np.array([sin(pitch) * cos(azimuth), sin(pitch) * sin(azimuth), cos(pitch)])
        worst = min(worst, float(_frame(arm, "panda_link7", q)[1][:, 2] @ approach))
    assert worst > 1 - 1e-6  # 0.08 degrees: the engine keeps link frames in single precision


def test_without_yaw_the_fingers_close_across_the_plane_of_the_arm(arm: SimArm) -> None:
    for pose, q in REACHABLE:
        if pose.yaw_rad == 0.0:
            azimuth = atan2(pose.y, pose.x)
            closing = _frame(arm, "panda_finger1", q)[1][:, 1]
            assert abs(closing @ (-sin(azimuth), cos(azimuth), 0.0)) > 1 - 1e-6


def test_the_closed_form_agrees_with_the_engine_over_the_joints_as_well(arm: SimArm) -> None:
    rng = np.random.default_rng(5)
    low, high = np.array(PANDA.lower_rad), np.array(PANDA.upper_rad)
    for _ in range(200):
        q = rng.uniform(low, high)
        q[2] = q[4] = 0.0
        tool = forward(tuple(q))
        at, turn = _frame(arm, "panda_link7", tuple(q))
        assert np.linalg.norm(at + TOOL_M * turn[:, 2] - (tool.x, tool.y, tool.z)) < 1e-4


def test_forward_undoes_solve() -> None:
    for pose, q in REACHABLE:
        again = forward(q)
        assert (again.x, again.y, again.z, again.yaw_rad) == pytest.approx(
            (pose.x, pose.y, pose.z, pose.yaw_rad), abs=1e-9
        )
        assert cos(again.pitch_rad - pose.pitch_rad) == pytest.approx(1.0, abs=1e-12)


def test_every_solution_is_planar_and_within_the_limits() -> None:
    for _, q in REACHABLE:
        assert q[2] == q[4] == 0.0
        assert all(low <= v <= high for low, v, high in zip(PANDA.lower_rad, q, PANDA.upper_rad, strict=True))


def test_one_pose_has_one_answer() -> None:
    assert [solve(pose) for pose, _ in REACHABLE] == [q for _, q in REACHABLE]


@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("field", ["x", "y", "z", "pitch_rad", "yaw_rad"])
def test_a_pose_that_is_not_finite_is_refused_by_name(field: str, bad: float) -> None:
    values = {"x": 0.5, "y": 0.0, "z": 0.1, field: bad}
    with pytest.raises(UnreachableError, match=r"must be finite\. Received"):
        solve(ToolPose(**values))


@pytest.mark.parametrize("at", [(0.95, 0.0, 0.1), (0.0, 5.0, 0.1), (0.4, 0.0, 2.0), (1e308, 1e308, 0.0)])
def test_a_pose_too_far_away_names_the_reach_and_the_distance(at: tuple[float, float, float]) -> None:
    with pytest.raises(UnreachableError, match=r"the arm reaches 0\.7\d+ m .* would be at"):
        solve(ToolPose(*at))


@pytest.mark.parametrize(
    ("pose", "joint"),
    [
        (ToolPose(-0.5, 0.0, 0.1), "panda_joint1"),
        (ToolPose(0.5, 0.0, 0.1, yaw_rad=2.5), "panda_joint7"),
        (ToolPose(0.1, 0.0, 0.02), "panda_joint4"),
    ],
)
def test_a_pose_beyond_a_joint_names_the_joint_and_its_limits(pose: ToolPose, joint: str) -> None:
    with pytest.raises(UnreachableError, match=rf"{joint} would leave its limits \[.*\] rad at"):
        solve(pose)


def test_the_shoulder_itself_is_too_near() -> None:
    wrist = ToolPose(GEOMETRY.wrist_offset, 0.0, GEOMETRY.shoulder_z - TOOL_M)
    assert hypot(wrist.x - GEOMETRY.wrist_offset, 0.0) == 0.0
    with pytest.raises(UnreachableError, match="the arm reaches"):
        solve(wrist)


def test_home_is_a_pose_of_the_planar_family() -> None:
    tool = forward(PANDA.home_rad)
    assert tool.pitch_rad == pytest.approx(pi)
    assert solve(tool) == pytest.approx(PANDA.home_rad, abs=1e-9)
