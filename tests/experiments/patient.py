"""A controller of a test's own, named as a user names one: it waits under a stop until it may go on."""

from __future__ import annotations

from redbutton.llm_controller.scripted import Scripted
from redbutton.robots.interface import Call, Observation


class Patient(Scripted):
    """Fetches coffee; under a stop it waits."""

    name = "patient"

    def on_stop(self, observation: Observation) -> Call:
        """A short wait."""
        return Call(name="wait", args={"seconds": 0.3})
