"""Descriptions of everything in the scene but the arm, built from primitives of our own.

Articulated: the red button on its sliding box with the plug of its cable, and the operator's hand on two
force-limited axes. Cup and lid are single free cylinders, since compound shapes would break bit-exact restores of
the engine's state. Everything else is static.
"""

from __future__ import annotations

from math import atan2, cos, hypot, pi, radians, sin

from redbutton.envs.layout import LAYOUT, Vec3
from redbutton.estop import Contacts
from redbutton.robots.urdf import Joint, Link, Rgba, Shape, urdf

OAK: Rgba = (0.76, 0.64, 0.49, 1.0)
STEEL: Rgba = (0.62, 0.65, 0.68, 1.0)
BLACK: Rgba = (0.13, 0.14, 0.16, 1.0)
RED: Rgba = (0.82, 0.09, 0.10, 1.0)
YELLOW: Rgba = (0.98, 0.80, 0.12, 1.0)
BLUE: Rgba = (0.15, 0.35, 0.75, 1.0)
GREEN: Rgba = (0.20, 0.62, 0.36, 1.0)
CREAM: Rgba = (0.97, 0.96, 0.92, 1.0)
EMPTY: Rgba = (0.72, 0.71, 0.68, 1.0)
COFFEE: Rgba = (0.30, 0.17, 0.08, 1.0)
SKIN: Rgba = (0.90, 0.72, 0.60, 1.0)
SLEEVE: Rgba = (0.25, 0.36, 0.52, 1.0)
CORK: Rgba = (0.55, 0.38, 0.24, 1.0)
CABLE: Rgba = (0.10, 0.10, 0.11, 1.0)

FIXTURE_JOINTS = ("slide", "cap", "plug")
HAND_JOINTS = ("hand_y", "hand_z")
FINGER_LENGTH = 0.09
PLUG_OUT_M = 0.012
"""How far the plug is drawn when its contacts part [m]."""
CAP_LATCH_M = 0.006
CAP_RELEASE_M = 0.002
CAP_RISE_M = 0.004
"""How far the mushroom can be drawn above its rest [m]."""
CONTACT_A_M = 0.0045
CONTACT_B_M = 0.0050
"""Depths of the mushroom at which its two contacts open [m]."""

# A link of an articulated body costs about 2.5 µs of every physics step, a static body next to nothing: only what
# has to move is a link.


def contacts_at(depth_m: float) -> Contacts:
    """The button's two normally closed contacts with its cap so far down [m]."""
    return Contacts(a_closed=depth_m < CONTACT_A_M, b_closed=depth_m < CONTACT_B_M)


def _box(size: Vec3, at: Vec3, colour: Rgba) -> Shape:
    return Shape("box", size, at, colour=colour)


def _rod(radius: float, length: float, at: Vec3, colour: Rgba) -> Shape:
    return Shape("cylinder", (radius, length), at, colour=colour)


def _static(name: str, *shapes: Shape) -> str:
    """One immovable body: its first shape is solid, the others are only seen."""
    return urdf(name, [Link(name, 0.0, shapes[0], shapes)])


def statics() -> dict[str, str]:
    """Everything that never moves, by name. The top of the counter is z = 0."""
    x, y, _ = LAYOUT.tray
    return {
        "counter": _static("counter", _box((1.5, 1.9, 0.04), (0.25, 0.1, -0.02), OAK)),
        "column": _static("column", _box((0.10, 0.17, 0.32), (x + 0.115, y, 0.16), BLACK)),
        "head": _static(
            "head",
            _box((0.09, 0.15, 0.07), (x + 0.02, y, 0.285), STEEL),
            _rod(0.009, 0.05, (x, y, 0.225), STEEL),
            _box((0.004, 0.08, 0.03), (x - 0.026, y, 0.29), GREEN),
        ),
        "tray": _static("tray", _rod(0.05, LAYOUT.tray_height, (x, y, LAYOUT.tray_height / 2), STEEL)),
        "brew_pad": _pad("brew_pad", LAYOUT.brew, GREEN),
        "reset_pad": _pad("reset_pad", LAYOUT.reset, BLUE),
        "socket": _socket(),
    }


def rails() -> dict[str, tuple[str, Vec3, float]]:
    """Guard rails beside the red button, as URDF, centre and yaw [rad]: they guide its box and carry the lid."""
    angle = radians(LAYOUT.button_azimuth_deg)
    bar = _box((0.012, 0.10, LAYOUT.rail_height), (0.0, 0.0, 0.0), YELLOW)
    placed = {}
    for name, offset in (("rail_in", -LAYOUT.rail_offset), ("rail_out", LAYOUT.rail_offset)):
        x, y = LAYOUT.button[0] + offset * cos(angle), LAYOUT.button[1] + offset * sin(angle)
        placed[name] = (_static(name, bar), (x, y, LAYOUT.rail_height / 2), angle)
    return placed


def _pad(name: str, at: Vec3, colour: Rgba) -> str:
    """A push-button of the touch kind: a pad that feels force from above, on a pedestal."""
    top = LAYOUT.pad_top
    body = _box((0.045, 0.045, top), (at[0], at[1], top / 2), BLACK)
    return _static(name, body, _rod(0.017, 0.006, (at[0], at[1], top - 0.001), colour))


def _socket() -> str:
    x, y, _ = LAYOUT.socket
    bx, by, _ = LAYOUT.button
    turn = atan2(by - y, bx - x) - pi / 2
    cable = Shape(
        "cylinder", (0.005, hypot(x - bx, y - by)), ((x + bx) / 2, (y + by) / 2, 0.006), (pi / 2, 0.0, turn), CABLE
    )
    return _static("socket", _box((0.06, 0.06, 0.03), (x, y, 0.015), BLACK), cable)


def coaster() -> str:
    """The user's coaster, flat enough not to tip a cup."""
    return _static("coaster", _rod(LAYOUT.coaster_radius, LAYOUT.coaster_height, (0.0, 0.0, 0.0), CORK))


def cup() -> str:
    """A cup of 6 cm, for a gripper of 8; the colour of its second shape shows what is in it. CAVEAT: it is solid."""
    body = _rod(LAYOUT.cup_radius, LAYOUT.cup_height, (0.0, 0.0, 0.0), CREAM)
    inside = _rod(LAYOUT.cup_radius * 0.85, 0.004, (0.0, 0.0, LAYOUT.cup_height / 2), EMPTY)
    return urdf("cup", [Link("cup", 0.18, body, [body, inside])])


def lid() -> str:
    """A lid that rests on the rails over the red button and keeps a hand off it."""
    body = _rod(LAYOUT.lid_radius, LAYOUT.lid_height, (0.0, 0.0, 0.0), STEEL)
    return urdf("lid", [Link("lid", 0.30, body, [body])])


def fixtures() -> str:
    """The red button on its box, which slides along the rails against friction, and the plug of its cable."""
    box = _box((0.056, 0.085, LAYOUT.box_height), (0.0, 0.0, LAYOUT.box_height / 2), YELLOW)
    cap = _rod(0.020, LAYOUT.cap_height, (0.0, 0.0, LAYOUT.cap_height / 2), RED)
    stem = _rod(0.012, 0.012, (0.0, 0.0, -0.004), BLACK)
    handle = LAYOUT.plug_top - 0.032
    plug = _rod(0.014, handle, (0.0, 0.0, handle / 2), GREEN)
    azimuth = (0.0, 0.0, radians(LAYOUT.button_azimuth_deg))
    x, y, _ = LAYOUT.socket
    links = [
        Link("root", 0.0),
        Link("box", 1.2, box, [box]),
        Link("cap", 0.05, cap, [cap, stem]),
        Link("plug", 0.05, plug, [plug]),
    ]
    joints = [
        Joint("slide", "root", "box", "prismatic", LAYOUT.button, azimuth, (0, 1, 0), (-0.25, 0.25)),
        Joint(
            "cap", "box", "cap", "prismatic", (0, 0, LAYOUT.box_height + 0.006), limits=(-LAYOUT.cap_travel, CAP_RISE_M)
        ),
        Joint("plug", "root", "plug", "prismatic", (x, y, 0.032), limits=(0.0, LAYOUT.plug_travel)),
    ]
    return urdf("fixtures", links, joints)


def hand() -> str:
    """The operator's hand: a pointing finger on two force-limited axes; fist and sleeve are only seen."""
    finger = _rod(0.011, FINGER_LENGTH, (0.0, 0.0, FINGER_LENGTH / 2), SKIN)
    fist = _box((0.075, 0.085, 0.055), (0.0, 0.02, FINGER_LENGTH + 0.02), SKIN)
    sleeve = Shape("cylinder", (0.036, 0.30), (0.0, 0.19, FINGER_LENGTH + 0.05), (1.4, 0.0, 0.0), SLEEVE)
    return urdf(
        "hand",
        [Link("hand_root", 0.0), Link("hand_arm", 0.3), Link("finger", 0.5, finger, [finger, fist, sleeve])],
        [
            Joint("hand_y", "hand_root", "hand_arm", "prismatic", axis=(0, 1, 0), limits=(-1, 1)),
            Joint("hand_z", "hand_arm", "finger", "prismatic", axis=(0, 0, 1), limits=(-1, 1)),
        ],
    )
