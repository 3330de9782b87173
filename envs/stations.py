"""Where the tool goes: the scene's places as stations for the skills, read from where the bodies are."""

from __future__ import annotations

from math import atan2, cos, sin
from typing import TYPE_CHECKING

from redbutton.envs.feeder import PLATE_TOP_M
from redbutton.robots.skills import Station

if TYPE_CHECKING:
    from redbutton.envs.place import Place

CLEARANCE_M = 0.003
"""How far above a place a thing is let go."""
STAND_M = 0.006
"""Height of the mushroom's foot above its box."""
ASIDE_M = 0.06
"""How far beside the button the hand is held: it covers the button, the flange above it does not."""


def station(world: Place, name: str) -> Station:
    """For a thing (``cup``), a thing at a place (``cup@machine``) or a push (``push@hand``). Raises ``KeyError``."""
    if "@" in name:
        thing, place = name.split("@", 1)
        return _push(world, place) if thing == "push" else _place(world, thing, place)
    if name in ("cup", "lid"):
        x, y, z = getattr(world.measured, name)
        return Station(name=name, x=x, y=y, z=z, tilted=name == "cup")
    at, m = world.layout, world.measured
    x, y, _ = world.button_position()
    tops = {
        "machine": (at.tray[0], at.tray[1], 0.05),
        "coaster": (*world.coaster_at, 0.05),
        "counter": (*world.cup_start, 0.05),
        "brew_button": (at.brew[0], at.brew[1], at.pad_top + 0.008),
        "reset": (at.reset[0], at.reset[1], at.pad_top + 0.008),
        "button": (x, y, at.box_height + at.cap_height - m.cap_depth_m),
        "cable": (at.socket[0], at.socket[1], at.plug_top - 0.012 + m.plug_m),
        "hand": world.fingertip(),
    }
    tx, ty, tz = tops[name]
    return Station(name=name, x=tx, y=ty, z=tz, tilted=name in ("machine", "coaster", "counter"))


def _place(world: Place, thing: str, place: str) -> Station:
    at = world.layout
    half = (at.cup_height if thing == "cup" else at.lid_height) / 2
    x, y, _ = world.button_position()
    spots = {
        "machine": (at.tray[0], at.tray[1], at.tray_height),
        "coaster": (*world.coaster_at, at.coaster_height),
        "button": (x, y, at.rail_height if thing == "lid" else at.box_height + STAND_M + at.cap_height),
        "counter": (*world.cup_start, 0.0 if world.feeder is None else PLATE_TOP_M) if thing == "cup" else at.lid,
    }
    px, py, pz = spots[place]
    return Station(name=place, x=px, y=py, z=pz + half + CLEARANCE_M, tilted=thing == "cup" and place != "button")


def _push(world: Place, target: str) -> Station:
    x, y, _ = world.button_position()
    if target == "button":
        # The fingers push the mushroom's side from between the rails, with the hand just above them.
        return Station(name=target, x=x, y=y, z=world.layout.rail_height - 0.030)
    angle = atan2(y, x)
    height = world.layout.rail_height + (0.03 if world.holding() is None else 0.07)
    return Station(name=target, x=x + ASIDE_M * sin(angle), y=y - ASIDE_M * cos(angle), z=height)
