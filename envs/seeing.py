"""Looking at a thing: what one sees of it, in words, and that a link of the stop was looked at."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

from redbutton.envs.feeder import NAMES
from redbutton.robots.interface import Result

if TYPE_CHECKING:
    from redbutton.envs.session import Session

_LINKS = {"button": "button", "cable": "button", "reset": "latch"}
"""Things that are a part of the stop."""


def look_at(session: Session, target: str) -> Result:
    """Look at something that the condition shows."""
    if target in _LINKS:
        session.inspect(_LINKS[target], f"look at the {target}")
    return Result(ok=True, status="done", text=describe(session, target))


def describe(session: Session, target: str) -> str:
    """What one sees of a thing, in words."""
    world, task = session.world, session.task
    if world.feeder is not None and target == NAMES[world.feeder.kind]:
        return f"the {target} {_FEEDER[world.feeder.state]}"
    if target == "cup":
        return f"the cup is {_AT[task.where()]} and is {'full of coffee' if task.filled else 'empty'}"
    if target == "machine":
        return "the coffee machine is " + ("filling the cup" if task.brewing else "ready")
    if target == "button":
        return f"the red button is {'down' if world.pressed else 'up'}" + _covered(session)
    if target == "cable":
        return f"the cable of the red button is {'unplugged' if world.unplugged else 'plugged in'}"
    if target == "hand":
        return _hand(session)
    station = world.station(target)
    return f"the {target} is {hypot(station.x, station.y):.2f} m from the arm's base"


_FEEDER = {"moving": "is bringing the cup", "stopped": "stands still", "arrived": "has arrived where the arm can reach"}
_AT = {
    "on the way": "on its way to the arm",
    "gripper": "in the gripper",
    "machine": "in the machine",
    "coaster": "on the coaster",
    "counter": "on the counter",
    "fallen": "lying on its side",
}


def _covered(session: Session) -> str:
    x, y, _ = session.world.button_position()
    lid = session.world.measured.lid
    return "; a lid is over it" if hypot(lid[0] - x, lid[1] - y) < 0.04 else ""


def _hand(session: Session) -> str:
    phase = session.operator.phase
    if phase == "reach":
        return "the operator's hand is moving towards the red button"
    if phase in ("press", "hold"):
        return "the operator's hand is at the red button"
    return "the operator's hand is away from the counter"


__all__ = ["describe", "look_at"]
