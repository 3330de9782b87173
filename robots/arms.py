"""Specifications of arms: joint names, limits, geometry. Plain data, readable without any engine.

Source of the Panda's figures: Franka Robotics' published control parameters (DH table, joint and velocity limits).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

from redbutton.robots.urdf import Joint, Link, Rgba, Shape, urdf

WHITE: Rgba = (0.93, 0.94, 0.95, 1.0)
GREY: Rgba = (0.45, 0.48, 0.52, 1.0)
DARK: Rgba = (0.16, 0.18, 0.21, 1.0)
ACCENT: Rgba = (0.20, 0.45, 0.70, 1.0)


@dataclass(frozen=True, kw_only=True)
class ArmSpec:
    """What a controller, a skill or a supervisor needs to know of an arm while it is not connected."""

    name: str
    joint_names: tuple[str, ...]
    lower_rad: tuple[float, ...]
    upper_rad: tuple[float, ...]
    velocity_rad_s: tuple[float, ...]
    effort_n_m: tuple[float, ...]
    home_rad: tuple[float, ...]
    gripper_open_m: float
    gripper_force_n: float

    @property
    def dof(self) -> int:
        """Number of arm joints, the gripper not counted."""
        return len(self.joint_names)


@dataclass(frozen=True, kw_only=True)
class PandaGeometry:
    """Lengths of a Panda-class arm [m]."""

    shoulder_z: float = 0.333
    upper_arm: float = 0.316
    elbow_offset: float = 0.0825
    forearm: float = 0.384
    wrist_offset: float = 0.088
    flange: float = 0.107
    hand_to_tcp: float = 0.1034
    finger_root: float = 0.0584


GEOMETRY = PandaGeometry()

PANDA = ArmSpec(
    name="panda",
    joint_names=tuple(f"panda_joint{n}" for n in range(1, 8)),
    lower_rad=(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
    upper_rad=(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
    velocity_rad_s=(2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
    effort_n_m=(87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0),
    home_rad=(0.0, -pi / 4, 0.0, -3 * pi / 4, 0.0, pi / 2, pi / 4),
    gripper_open_m=0.08,
    gripper_force_n=40.0,
)

FINGER_JOINTS = ("panda_finger_joint1", "panda_finger_joint2")
HAND_LINK = "panda_link7"
COLLIDING_LINKS = ("panda_link5", HAND_LINK, "panda_finger1", "panda_finger2")
"""Links that have a collision shape."""


def _links() -> list[Link]:
    """Links from primitives. Only the parts that can meet the scene have a collision shape."""
    g = GEOMETRY
    half = pi / 2

    def limb(radius: float, length: float, at: tuple[float, float, float], rpy: tuple[float, float, float]) -> Shape:
        return Shape("cylinder", (radius, length), at, rpy, WHITE)

    lying = (half, 0.0, 0.0)
    forearm = limb(0.052, 0.24, (0.0, 0.0, -0.21), (0.0, 0.0, 0.0))
    # The hand is fixed to the flange: one link for both, since each link costs time in every physics step. The link's
    # frame is the hand's (a turn of -45 degrees), so that the hand's box is not turned within it: see ``Shape``.
    hand = Shape("box", (0.05, 0.19, 0.06), (0.0, 0.0, g.flange + 0.03), colour=DARK)
    finger = Shape("box", (0.022, 0.012, 0.053), (0.0, 0.006, 0.0265), colour=GREY)
    mirrored = Shape("box", (0.022, 0.012, 0.053), (0.0, -0.006, 0.0265), colour=GREY)
    return [
        Link("panda_link0", 3.0, None, [limb(0.075, 0.14, (0.0, 0.0, 0.07), (0, 0, 0))]),
        Link("panda_link1", 3.0, None, [limb(0.06, 0.22, (0.0, 0.0, -0.09), (0, 0, 0))]),
        Link(
            "panda_link2",
            3.0,
            None,
            [
                limb(0.062, 0.14, (0, 0, 0), (0, 0, 0)),
                limb(0.055, 0.24, (0, -0.15, 0), lying),
            ],
        ),
        Link(
            "panda_link3",
            2.5,
            None,
            [limb(0.055, 0.10, (0, 0, -0.02), (0, 0, 0)), limb(0.05, 0.09, (0.045, 0.0, 0.0), (0, half, 0))],
        ),
        Link("panda_link4", 2.5, None, [
            limb(0.058, 0.13, (0, 0, 0), (0, 0, 0)), limb(0.046, 0.1, (-0.05, 0.06, 0), lying),
        ]),
        Link("panda_link5", 2.5, forearm, [forearm, limb(0.045, 0.1, (0.0, 0.03, -0.04), (0, 0, 0))]),
        Link("panda_link6", 1.2, None, [
            limb(0.048, 0.11, (0, 0, 0), (0, 0, 0)), limb(0.04, 0.09, (0.045, 0, 0), (0, half, 0)),
        ]),
        Link("panda_link7", 1.3, hand, [
            hand,
            Shape("box", (0.051, 0.07, 0.02), (0, 0, g.flange + 0.055), colour=GREY),
            limb(0.044, g.flange, (0, 0, g.flange / 2 - 0.005), (0, 0, 0)),
            Shape("cylinder", (0.0455, 0.016), (0, 0, 0.03), colour=ACCENT),
        ]),
        Link("panda_finger1", 0.05, finger, [finger]),
        Link("panda_finger2", 0.05, mirrored, [mirrored]),
    ]  # fmt: skip


def _joints() -> list[Joint]:
    g, half, spec = GEOMETRY, pi / 2, PANDA
    frames: list[tuple[tuple[float, float, float], tuple[float, float, float]]] = [
        ((0, 0, g.shoulder_z), (0, 0, 0)),
        ((0, 0, 0), (-half, 0, 0)),
        ((0, -g.upper_arm, 0), (half, 0, 0)),
        ((g.elbow_offset, 0, 0), (half, 0, 0)),
        ((-g.elbow_offset, g.forearm, 0), (-half, 0, 0)),
        ((0, 0, 0), (half, 0, 0)),
        ((g.wrist_offset, 0, 0), (half, pi / 4, 0)),  # Franka's (half, 0, 0), then the hand's turn of -45 degrees
    ]
    arm = [
        Joint(
            name,
            f"panda_link{n}",
            f"panda_link{n + 1}",
            "revolute",
            at,
            rpy,
            limits=(spec.lower_rad[n], spec.upper_rad[n]),
            effort=spec.effort_n_m[n],
            velocity=spec.velocity_rad_s[n],
        )
        for n, (name, (at, rpy)) in enumerate(zip(spec.joint_names, frames, strict=True))
    ]
    travel = (0.0, spec.gripper_open_m / 2)
    root, turned = (0.0, 0.0, g.flange + g.finger_root), (0.0, 0.0, 0.0)
    return [
        *arm,
        Joint(FINGER_JOINTS[0], "panda_link7", "panda_finger1", "prismatic", root, turned, (0, 1, 0), travel),
        Joint(FINGER_JOINTS[1], "panda_link7", "panda_finger2", "prismatic", root, turned, (0, -1, 0), travel),
    ]


def panda_urdf() -> str:
    """A Panda-class arm built from primitives, with Franka's joint frames, limits and names."""
    return urdf("panda", _links(), _joints())
