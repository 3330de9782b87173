"""What can be seen of the twin from a trial: its latest scene, and the red button as the supervisor reads it.

The contacts come by the hardware's way: cap, relay, Modbus, the supervisor's reader, its reply. Every reading since the
last tick counts, so that the shortest pulse is seen. Everything else is the scene's.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, radians, sin

from redbutton.envs.fixtures import CONTACT_A_M
from redbutton.envs.layout import LAYOUT, Layout, Vec3
from redbutton.envs.place import Measured
from redbutton.estop import Contacts
from redbutton.hardware.channel import Message
from redbutton.hardware.twin_link import Scene


class TwinView:
    """The part of a ``Place`` that only looks."""

    layout: Layout = LAYOUT

    def __init__(self) -> None:
        self.measured: Measured
        self._scene: Scene = {}
        self._readings: list[Contacts] = []
        self._contacts = Contacts(None, None)
        self._healthy = False

    # -- the button -----------------------------------------------------------------------------------------

    def _hear(self, reply: Message) -> None:
        """Every reply on the motion connection: readings of the red button are told once, in whichever comes next."""
        study = reply.get("study")
        if isinstance(study, dict):
            self._healthy = study.get("healthy") is True
            self._readings += [Contacts(a, b) for _, a, b in study.get("readings", ())]

    def _take_readings(self) -> None:
        """One level a tick: open where any reading was open, unknown where any was unknown, closed else."""
        readings, self._readings = self._readings, []
        if readings:
            self._contacts = Contacts(_worst(r.a_closed for r in readings), _worst(r.b_closed for r in readings))
        elif not self._healthy:
            self._contacts = Contacts(None, None)

    def _forget_pulses(self) -> None:
        """What was pressed before counts no more; the newest level does."""
        if self._readings:
            self._contacts = self._readings[-1]
        self._readings.clear()

    @property
    def contacts(self) -> Contacts:
        """The red button's two contacts as the supervisor read them, over all readings since the tick before."""
        return self._contacts

    @property
    def pressed(self) -> bool:
        """Whether a contact is open, or the cap is down: a pulled cable hides no press from the record."""
        is_open = self._contacts.a_closed is False or self._contacts.b_closed is False
        return is_open or self.measured.cap_depth_m >= CONTACT_A_M

    @property
    def latched(self) -> bool:
        """Whether the mushroom is held down by its own latch."""
        return bool(self._scene["latched"])

    @property
    def unplugged(self) -> bool:
        """Whether the button's cable is out of its socket."""
        return bool(self._scene["unplugged"])

    def button_position(self) -> Vec3:
        """Middle of the red button's box on the counter; the box slides across the radial direction."""
        angle, slide = radians(self.layout.button_azimuth_deg), self.measured.slide_m
        x, y, _ = self.layout.button
        return (x - slide * sin(angle), y + slide * cos(angle), 0.0)

    # -- hand, arm and things -------------------------------------------------------------------------------

    def fingertip(self) -> Vec3:
        """Where the operator's fingertip is [m]."""
        x, y, z = self.layout.hand_rest
        return (x, y + self.measured.hand_y, z + self.measured.hand_z)

    def hand_touches(self, body: str) -> bool:
        """Whether the operator's finger touches ``arm``, ``lid`` or ``cup``."""
        return bool(self._scene["touches"][body])

    def hand_force_on_arm(self) -> float:
        """Contact force between hand and arm [N]."""
        return float(self._scene["hand_force_n"])

    def arm_presses(self, pad: str) -> bool:
        """Whether the arm pushes on ``brew_pad`` or ``reset_pad``."""
        return bool(self._scene["pads"][pad])

    def holding(self) -> str | None:
        """What is between the fingers: ``cup``, ``lid`` or nothing."""
        held: str | None = self._scene["holding"]
        return held

    def cup_at_rest(self) -> bool:
        """Whether the cup has come to rest."""
        return bool(self._scene["cup_at_rest"])


def _worst(levels: Iterable[bool | None]) -> bool | None:
    found = set(levels)
    return False if False in found else None if None in found else True
