"""Every profile makes a bench, names its sources, and says that nobody has tried it on hardware."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from redbutton.hardware.config import Arm, BenchConfig, parse_bench, profiles

NAMES = sorted(profiles())
VENDORS = [name for name in NAMES if name != "panda_twin"]
DOC = Path(__file__).resolve().parents[2] / "docs" / "arms.md"
RELAY = {"name": "wall", "kind": "modbus", "host": "127.0.0.1"}


def _bench(name: str, **arm: Any) -> BenchConfig:
    return parse_bench({"name": "b", "arm": {"profile": name, **arm}, "inputs": [RELAY]})


def _text(name: str) -> str:
    return (resources.files("redbutton.hardware.profiles") / f"{name}.yaml").read_text(encoding="utf-8")


def test_the_arms_of_the_task_are_there() -> None:
    assert NAMES == ["fr3", "panda_twin", "so101", "ur5e", "xarm6"]


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_makes_a_bench(name: str) -> None:
    arm = _bench(name).arm
    assert arm.name == ("panda" if name == "panda_twin" else name)
    assert len(arm.effort_n_m) == len(arm.joint_names) == len(set(arm.joint_names))
    spec = arm.spec()
    assert all(low < home < high for low, home, high in zip(spec.lower_rad, spec.home_rad, spec.upper_rad, strict=True))
    assert all(0.5 <= v <= 6.0 for v in spec.velocity_rad_s)
    assert arm.trajectory_topic == f"/{arm.controller}/joint_trajectory"


@pytest.mark.parametrize("name", NAMES)
def test_no_profile_claims_to_have_been_tried_on_hardware(name: str) -> None:
    assert _bench(name).arm.tried_on_hardware is False


@pytest.mark.parametrize("name", VENDORS)
def test_a_profile_says_so_itself_and_names_its_sources(name: str) -> None:
    text = _text(name)
    head = text[: text.index("\nname:")]
    assert "tried_on_hardware: false" in text
    assert "NOT tried on hardware" in head
    sources = head[head.index("# Sources") : head.index("# Known limits")]
    assert len(re.findall(r"^#   [a-z]", sources, re.M)) >= 3
    assert re.search(r"[\w-]+/[\w-]+(_ros2|_ROS2_Driver|SO-ARM100)|TheRobotStudio/SO-ARM100", sources)
    assert yaml_keys(text) >= {"joint_names", "controller", "urdf", "tool_link", "gripper", "safety_mode", "power"}


def yaml_keys(text: str) -> set[str]:
    return set(re.findall(r"^(\w+):", text, re.M))


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendors_arm_tells_its_own_urdf(name: str) -> None:
    arm = _bench(name).arm
    assert arm.urdf is None
    assert arm.robot_description == "/robot_description"


@pytest.mark.parametrize(
    ("name", "controller"),
    [("ur5e", "joint_trajectory_controller"), ("fr3", "fr3_arm_controller"), ("xarm6", "xarm6_traj_controller")],
)
def test_controllers_are_those_of_the_vendors_drivers(name: str, controller: str) -> None:
    assert _bench(name).arm.controller == controller


def test_the_safety_mode_and_the_power_of_a_ur_are_those_of_its_driver() -> None:
    arm = _bench("ur5e").arm
    assert arm.safety_mode is not None
    assert (arm.safety_mode.topic, arm.safety_mode.type) == (
        "/io_and_status_controller/safety_mode",
        "ur_dashboard_msgs/msg/SafetyMode",
    )
    assert (arm.safety_mode.field, arm.safety_mode.normal) == ("mode", (1,))
    assert arm.power is not None
    assert (arm.power.off, arm.power.on) == ("/dashboard_client/power_off", "/dashboard_client/brake_release")


@pytest.mark.parametrize("name", ["fr3", "xarm6"])
def test_joint_states_do_not_come_from_a_node_that_repeats_old_ones(name: str) -> None:
    assert _bench(name).arm.joint_states != "/joint_states"


@pytest.mark.parametrize(("name", "opening", "joint"), [("xarm6", 0.0, 0.85), ("xarm6", 0.085, 0.0), ("so101", 0, 0)])
def test_a_grippers_opening_and_its_joint_fit_together(name: str, opening: float, joint: float) -> None:
    from redbutton.hardware.trajectories import gripper_joint, gripper_opening

    gripper = _bench(name).arm.gripper
    assert gripper_joint(gripper, opening) == pytest.approx(joint, abs=1e-9)
    assert gripper_opening(gripper, joint) == pytest.approx(opening, abs=1e-9)


def test_single_keys_of_a_profile_can_be_overridden() -> None:
    arm = _bench("ur5e", controller="scaled_joint_trajectory_controller").arm
    assert arm.trajectory_topic == "/scaled_joint_trajectory_controller/joint_trajectory"
    assert arm.joint_names[0] == "shoulder_pan_joint"


# -- the table in the documentation -------------------------------------------------------------------------


def _rows() -> dict[str, list[str]]:
    if not DOC.exists():
        pytest.skip("not a checkout: docs/arms.md is missing")
    lines = [line for line in DOC.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row for row in cells}


def test_the_table_of_arms_lists_exactly_the_profiles() -> None:
    assert sorted(_rows()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_what_the_profile_says(name: str) -> None:
    arm: Arm = _bench(name).arm
    _, _, controller, gripper, mode, power, sources, tried = _rows()[name]
    assert controller.startswith(f"`{arm.controller}`")
    assert gripper.startswith(arm.gripper.kind)
    assert (arm.safety_mode.topic in mode) if arm.safety_mode is not None else mode == "none"
    assert (arm.power.off in power) if arm.power is not None else power == "none"
    assert sources
    assert tried.startswith("NOT tried")
