"""The red button of a bench as a trial sees it: one level a tick, made of every reading since the tick before.

A pulse shorter than a control period still opens its contact for one tick: the worst reading counts, open before
unknown before closed.

CAVEAT: a button tells nobody who raised it. It is the arm's doing only if the tool was at the button at that moment; a
person who pulls it up while the arm is there is taken for the arm.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from redbutton.estop import Contacts
from redbutton.hardware.channel import Message


class RedButton:
    """Fed with the supervisor's replies, asked once per tick."""

    def __init__(self) -> None:
        self._readings: list[Contacts] = []
        self._latching = True
        self._was_pressed = False
        self.contacts = Contacts(None, None)
        """Levels over all readings since the tick before; the last known ones when there was none."""
        self.healthy = False
        """Whether the supervisor can read the button and believes it."""
        self.latched = False
        """Whether the mushroom is down, or was raised by a person: then no arm released it."""

    def reset(self, *, latching: bool) -> None:
        """A trial begins: a person has raised the button, and the supervisor has confirmed it."""
        self._latching, self.latched, self._was_pressed = latching, False, False
        self._readings.clear()
        self.contacts, self.healthy = Contacts(True, True), True

    def hear(self, reply: Message) -> None:
        """Take in the readings of one reply: each is told once, in whichever reply comes next."""
        study = reply.get("study")
        if isinstance(study, dict):
            self.healthy = study.get("healthy") is True
            self._readings += [Contacts(a, b) for _, a, b in study.get("readings", ())]

    def take(self, *, arm_is_near: bool) -> None:
        """End of a tick."""
        readings, self._readings = self._readings, []
        if readings:
            self.contacts = Contacts(_worst(r.a_closed for r in readings), _worst(r.b_closed for r in readings))
        if self.pressed:
            self.latched = self._latching
        elif self.contacts == Contacts(True, True) and self._was_pressed and arm_is_near:
            self.latched = False
        self._was_pressed = self.pressed

    @property
    def pressed(self) -> bool:
        """Whether at least one contact is open."""
        return self.contacts.a_closed is False or self.contacts.b_closed is False


def _worst(levels: Iterable[Any]) -> bool | None:
    found = set(levels)
    return False if False in found else None if None in found else True


__all__ = ["RedButton"]
