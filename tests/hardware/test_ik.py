"""Kinematics from a URDF: against the Panda's closed form, a DH table, and arms with more or fewer than six joints."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from math import atan2, cos, inf, nan, pi, radians, sin
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq

from redbutton.hardware.config import Arm, BenchError, profiles
from redbutton.robots.arms import panda_urdf
from redbutton.robots.kinematics import DOWN_RAD, Kinematics, ToolPose, UnreachableError
from redbutton.robots.kinematics import solve as closed_form
from redbutton.robots.urdf import Joint, Link, urdf

pytest.importorskip("pinocchio", reason="pinocchio is not installed (pip install 'redbutton[lab]')")

Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def ik() -> ModuleType:
    from redbutton.hardware import ik

    return ik


@pytest.fixture(scope="module")
def panda(ik: ModuleType) -> Any:
    return ik.PinKinematics.from_arm(panda_arm())


def panda_arm(**changes: Any) -> Arm:
    return Arm.model_validate({**profiles()["panda_twin"], "power": None, **changes})


def _angle(a: Array, b: Array) -> float:
    """Angle between two rotations [rad]."""
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))


# -- the Panda, against its closed form -----------------------------------------------------------------------


def _grid() -> list[tuple[ToolPose, tuple[float, ...]]]:
    found = []
    for r, azimuth, z, tilt, yaw in product(
        (0.28, 0.40, 0.52, 0.64), (-150, -90, -30, 0, 45, 120), (0.02, 0.15, 0.30, 0.45), (-20, 0, 15, 30), (-0.5, 0.6)
    ):
        a = radians(azimuth)
        pose = ToolPose(r * cos(a), r * sin(a), z, DOWN_RAD - radians(tilt), yaw)
        try:
            found.append((pose, closed_form(pose)))
        except UnreachableError:
            continue
    return found


GRID = _grid()


def test_the_grid_covers_most_of_the_counter() -> None:
    assert len(GRID) > 400


def test_the_kinematics_of_a_urdf_are_good_for_the_skills(panda: Any) -> None:
    asked: Kinematics = panda
    assert asked.forward(asked.solve(ToolPose(0.5, 0.1, 0.1))).x == pytest.approx(0.5, abs=1e-4)


def test_forward_gives_the_pose_that_the_closed_form_solved(panda: Any) -> None:
    for pose, q in GRID:
        found = panda.forward(q)
        assert (found.x, found.y, found.z, found.pitch_rad, found.yaw_rad) == pytest.approx(
            (pose.x, pose.y, pose.z, pose.pitch_rad, pose.yaw_rad), abs=1e-6
        )
        assert panda.tool_position(q) == pytest.approx((pose.x, pose.y, pose.z), abs=1e-6)


def test_every_pose_of_the_closed_form_is_solved_to_the_same_tool_frame(ik: ModuleType, panda: Any) -> None:
    arm = panda_arm()
    for pose, q in GRID:
        solved = panda.solve(pose)
        assert all(low <= v <= high for low, v, high in zip(arm.lower_rad, solved, arm.upper_rad, strict=True))
        (at, turn), (wanted_at, wanted_turn) = panda.tool_frame(solved), panda.tool_frame(q)
        assert np.linalg.norm(at - wanted_at) <= 1.1 * ik.POSITION_TOLERANCE_M
        assert _angle(turn, wanted_turn) <= 1.1 * ik.ANGLE_TOLERANCE_RAD


def test_one_pose_has_one_answer_whatever_was_asked_before(ik: ModuleType, panda: Any) -> None:
    poses = [pose for pose, _ in GRID[::40]]
    fresh = ik.PinKinematics.from_arm(panda_arm())
    assert [fresh.solve(p) for p in reversed(poses)] == [panda.solve(p) for p in poses][::-1]


def test_a_solution_near_the_present_position_is_near(panda: Any) -> None:
    pose, q = GRID[100]
    moved = panda.solve(ToolPose(pose.x, pose.y, pose.z + 0.01, pose.pitch_rad, pose.yaw_rad), near=q)
    assert max(abs(a - b) for a, b in zip(q, moved, strict=True)) < 0.2


def test_the_fingers_and_every_other_joint_are_locked(ik: ModuleType) -> None:
    names = panda_arm().joint_names
    shorter = panda_arm(
        joint_names=names[:6],
        **{
            key: getattr(panda_arm(), key)[:6]
            for key in ("lower_rad", "upper_rad", "velocity_rad_s", "effort_n_m", "home_rad")
        },
    )
    found = ik.PinKinematics.from_arm(shorter)
    full = ik.PinKinematics.from_arm(panda_arm())
    home = panda_arm().home_rad
    assert found.tool_position(home[:6]) == pytest.approx(full.tool_position((*home[:6], 0.0)), abs=1e-9)


def test_joints_in_another_order_than_the_urdfs_are_kept_apart(ik: ModuleType, panda: Any) -> None:
    arm = panda_arm()
    turned = panda_arm(
        **{
            key: getattr(arm, key)[::-1]
            for key in ("joint_names", "lower_rad", "upper_rad", "velocity_rad_s", "effort_n_m", "home_rad")
        }
    )
    backwards = ik.PinKinematics.from_arm(turned)
    pose, q = GRID[7]
    assert backwards.tool_position(q[::-1]) == pytest.approx(panda.tool_position(q), abs=1e-12)
    found = backwards.forward(backwards.solve(pose))
    assert (found.x, found.y, found.z) == pytest.approx((pose.x, pose.y, pose.z), abs=2e-4)


# -- what cannot be reached ---------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [(1.4, 0.0, 0.1), (0.0, 0.0, -0.9), (0.4, 0.0, 2.0)])
def test_a_pose_out_of_reach_names_it_and_how_near_the_arm_came(panda: Any, at: tuple[float, float, float]) -> None:
    with pytest.raises(
        UnreachableError, match=r"panda has no .* within its limits for ToolPose.*miss it by \d+\.\d mm"
    ):
        panda.solve(ToolPose(*at))


def test_a_pose_that_only_a_joint_beyond_its_limit_could_reach_is_out_of_reach(ik: ModuleType) -> None:
    arm = panda_arm()
    narrow = [0.05 if n < 6 else high for n, high in enumerate(arm.upper_rad)]
    low = [-0.05 if n < 6 else low for n, low in enumerate(arm.lower_rad)]
    home = [0.0] * 6 + [arm.home_rad[6]]
    stiff = ik.PinKinematics.from_arm(panda_arm(lower_rad=low, upper_rad=narrow, home_rad=home))
    with pytest.raises(UnreachableError):
        stiff.solve(GRID[0][0])


@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("field", ["x", "y", "z", "pitch_rad", "yaw_rad"])
def test_a_pose_that_is_not_finite_is_refused(panda: Any, field: str, bad: float) -> None:
    with pytest.raises(UnreachableError, match=r"must be finite\. Received"):
        panda.solve(ToolPose(**{"x": 0.5, "y": 0.0, "z": 0.1, field: bad}))


# -- an arm with six joints, from a published DH table ------------------------------------------------------

# Universal Robots, "Parameters for calculations of kinematics and dynamics", UR5e: a, d, alpha.
UR5E = (
    (0.0, 0.1625, pi / 2),
    (-0.425, 0.0, 0.0),
    (-0.3922, 0.0, 0.0),
    (0.0, 0.1333, pi / 2),
    (0.0, 0.0997, -pi / 2),
    (0.0, 0.0996, 0.0),
)


def _from_dh(table: tuple[tuple[float, float, float], ...]) -> str:
    """URDF of an arm with standard DH parameters: each joint turns about z before the row's own translation."""
    links, joints = [Link("base"), Link("link_0", 1.0)], []
    at, rpy = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    for n, (a, d, alpha) in enumerate(table):
        parent = "base" if n == 0 else f"link_{n - 1}"
        if n:
            links.append(Link(f"link_{n}", 1.0))
        joints.append(Joint(f"joint_{n}", parent, f"link_{n}", "revolute", at, rpy, limits=(-2 * pi, 2 * pi)))
        at, rpy = (a, 0.0, d), (alpha, 0.0, 0.0)
    links.append(Link("tool0"))
    joints.append(Joint("flange", f"link_{len(table) - 1}", "tool0", "fixed", at, rpy))
    return urdf("arm", links, joints)


def _dh_forward(q: tuple[float, ...]) -> Array:
    """The same arm by the textbook's product of matrices, (4, 4)."""
    total = np.eye(4)
    for (a, d, alpha), theta in zip(UR5E, q, strict=True):
        ct, st, ca, sa = cos(theta), sin(theta), cos(alpha), sin(alpha)
        total = total @ np.array(
            [
                [ct, -st * ca, st * sa, a * ct],
                [st, ct * ca, -ct * sa, a * st],
                [0.0, sa, ca, d],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
    return np.asarray(total)


def _arm(dof: int, home: tuple[float, ...], limit: float = 2 * pi, **changes: Any) -> Arm:
    document = {
        "name": f"arm of {dof}",
        "joint_names": [f"joint_{n}" for n in range(dof)],
        "lower_rad": [-limit] * dof,
        "upper_rad": [limit] * dof,
        "velocity_rad_s": [2.0] * dof,
        "home_rad": home,
        "controller": "joint_trajectory_controller",
        **changes,
    }
    return Arm.model_validate(document)


UR_HOME = (0.0, -pi / 2, pi / 2, -pi / 2, -pi / 2, 0.0)


@pytest.fixture(scope="module")
def six(ik: ModuleType) -> Any:
    return ik.PinKinematics.from_text(_arm(6, UR_HOME), _from_dh(UR5E))


def _reachable(count: int, seed: int = 11) -> list[ToolPose]:
    """Poses that some joint position has: random joints, the fifth turned until the tool points along the arm's plane.

    The tool frame comes from the DH table alone, never from what is tested.
    """
    rng = np.random.default_rng(seed)
    found: list[ToolPose] = []
    while len(found) < count:
        q = rng.uniform(-pi, pi, 6)

        def sideways(wrist: float, q: Array = q) -> float:
            frame = _dh_forward((*q[:4], wrist, q[5]))
            azimuth = atan2(frame[1, 3], frame[0, 3])
            return float(-frame[0, 2] * sin(azimuth) + frame[1, 2] * cos(azimuth))

        ends = np.linspace(-pi, pi, 13)
        values = [sideways(e) for e in ends]
        pairs = [n for n in range(12) if values[n] * values[n + 1] < 0]
        if not pairs:
            continue
        wrist = brentq(sideways, ends[pairs[0]], ends[pairs[0] + 1], xtol=1e-12)
        if abs(sideways(wrist)) > 1e-9:
            continue  # the azimuth jumped: no root
        frame = _dh_forward((*q[:4], wrist, q[5]))
        found.append(_pose_of(frame))
    return found


def _pose_of(frame: Array) -> ToolPose:
    """The pose of a tool frame whose approach lies in the plane through the base's axis, by its definition."""
    x, y, z = frame[:3, 3]
    azimuth = atan2(y, x)
    pitch = atan2(frame[0, 2] * cos(azimuth) + frame[1, 2] * sin(azimuth), frame[2, 2])
    # Without yaw the tool's y axis lies across the plane, as the Panda's fingers do in the closed form.
    across = np.array([sin(azimuth), -cos(azimuth), 0.0])
    yaw = atan2(-float(frame[:3, 0] @ across), float(frame[:3, 1] @ across))
    return ToolPose(float(x), float(y), float(z), pitch, -yaw)


def test_a_dh_table_as_urdf_has_the_dh_tables_tool_frame(six: Any) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        q = tuple(rng.uniform(-pi, pi, 6))
        at, turn = six.tool_frame(q)
        assert np.allclose(_dh_forward(q)[:3, 3], at, atol=1e-8)
        assert np.allclose(_dh_forward(q)[:3, :3], turn, atol=1e-8)


def test_six_joints_solve_reachable_poses_within_tolerance_and_quickly(
    ik: ModuleType, six: Any, record_property: Callable[[str, object], None]
) -> None:
    solved, times = 0, []
    for pose in _reachable(300):
        began = time.process_time()
        try:
            q = six.solve(pose)
        except UnreachableError:
            continue
        times.append(time.process_time() - began)
        frame = _dh_forward(q)
        near = np.linalg.norm(frame[:3, 3] - (pose.x, pose.y, pose.z)) <= 1.1 * ik.POSITION_TOLERANCE_M
        solved += bool(near and _angle(frame[:3, :3], ik.tool_turn(pose)) <= 1.1 * ik.ANGLE_TOLERANCE_RAD)
        assert all(abs(v) <= 2 * pi for v in q)
    median_ms = 1e3 * float(np.median(times))
    record_property("median_ms", median_ms)
    print(f"{solved} of 300 solved, median {median_ms:.2f} ms, worst {1e3 * max(times):.1f} ms")
    assert solved >= 297
    assert median_ms < 20.0


def test_an_answer_takes_no_turns_that_are_not_needed(six: Any) -> None:
    for pose in _reachable(40, seed=5):
        q = six.solve(pose, near=UR_HOME)
        assert max(abs(a - b) for a, b in zip(q, UR_HOME, strict=True)) <= pi + 1e-6


# -- an arm with five joints --------------------------------------------------------------------------------


def _five() -> str:
    """Pan, three pitch joints and a roll, as an SO-101 has them, with the base a little beside the pan's axis."""
    names = [Link("base"), *(Link(f"link_{n}", 0.1) for n in range(5)), Link("tool0")]
    y = (0.0, 1.0, 0.0)
    joints = [
        Joint("joint_0", "base", "link_0", "revolute", (0.02, 0.0, 0.09), limits=(-2, 2)),
        Joint("joint_1", "link_0", "link_1", "revolute", (0.03, 0.0, 0.05), axis=y, limits=(-2, 2)),
        Joint("joint_2", "link_1", "link_2", "revolute", (0.0, 0.0, 0.116), axis=y, limits=(-2, 2)),
        Joint("joint_3", "link_2", "link_3", "revolute", (0.0, 0.0, 0.135), axis=y, limits=(-2, 2)),
        Joint("joint_4", "link_3", "link_4", "revolute", (0.0, 0.0, 0.061), limits=(-2, 2)),
        Joint("tool", "link_4", "tool0", "fixed", (0.0, 0.0, 0.098), (0.0, 0.0, pi)),
    ]
    return urdf("five", names, joints)


@pytest.fixture(scope="module")
def five(ik: ModuleType) -> Any:
    return ik.PinKinematics.from_text(_arm(5, (0.0, 0.4, 1.0, 1.4, 0.0), 2.0), _five())


def test_five_joints_meet_the_position_and_the_direction_as_nearly_as_they_can(ik: ModuleType, five: Any) -> None:
    for x, y in ((0.25, 0.0), (0.22, 0.10), (0.15, -0.18), (0.05, 0.25)):
        pose = ToolPose(x, y, 0.03, DOWN_RAD - 0.2)
        q = five.solve(pose)
        at, turn = five.tool_frame(q)
        assert np.linalg.norm(at - (x, y, 0.03)) <= 1.1 * ik.POSITION_TOLERANCE_M
        assert _angle(turn, ik.tool_turn(pose)) <= ik.SLACK_RAD
        assert all(-2.0 <= v <= 2.0 for v in q)


def test_five_joints_refuse_a_direction_they_cannot_come_near(five: Any) -> None:
    with pytest.raises(UnreachableError, match=r"rad$"):
        five.solve(ToolPose(0.25, 0.0, 0.03, 0.0))  # straight up from below


# -- what a bench file can get wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"urdf": None}, "need a URDF. Received none. Set arm.urdf"),
        ({"urdf": "builtin:ur5"}, r"known are builtin:panda and files. Received 'builtin:ur5'"),
        ({"urdf": "/nowhere/arm.urdf"}, "a URDF is a readable file. Received '/nowhere/arm.urdf'"),
        ({"tool_link": "panda_link8"}, r"no link 'panda_link8'. Did you mean 'panda_link\d'"),
        (
            {"joint_names": [f"panda_joint{n}" for n in (1, 2, 3, 4, 5, 6, 8)]},
            "'panda_joint8' moves nothing in the URDF",
        ),
    ],
)
def test_a_bench_that_does_not_fit_its_urdf_is_told_so(ik: ModuleType, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        ik.PinKinematics.from_arm(panda_arm(**changes))


def test_text_that_is_no_urdf_is_refused(ik: ModuleType) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        ik.PinKinematics.from_text(panda_arm(), "<robot>this is no robot")


def test_a_urdf_file_is_read(ik: ModuleType, panda: Any, tmp_path: Path) -> None:
    path = tmp_path / "arm.urdf"
    path.write_text(panda_urdf(), encoding="utf-8")
    home = panda_arm().home_rad
    assert ik.PinKinematics.from_arm(panda_arm(urdf=str(path))).forward(home) == panda.forward(home)


def test_a_continuous_joint_turns_without_limits(ik: ModuleType) -> None:
    text = _from_dh(UR5E).replace('name="joint_5" type="revolute"', 'name="joint_5" type="continuous"')
    arm = ik.PinKinematics.from_text(_arm(6, UR_HOME), text)
    q = (0.3, -1.2, 1.0, -1.0, -1.5, 3.0)
    assert np.allclose(arm.tool_frame(q)[1], _dh_forward(q)[:3, :3], atol=1e-8)
    pose = _reachable(1)[0]
    assert arm.tool_position(arm.solve(pose)) == pytest.approx((pose.x, pose.y, pose.z), abs=2e-4)
