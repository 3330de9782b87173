"""A controller that stays in the middle of a trial, so that whoever is killed then is killed there."""

from __future__ import annotations

import os
from pathlib import Path

from redbutton.llm_controller.scripted_shell import WatcherReplacer
from redbutton.robots.interface import Call, Observation

STAY = "REDBUTTON_TEST_STAY"
"""The variable that names a file. While it is there, the controller stays."""
COMMAND = "sleep 60"


class Stays(WatcherReplacer):
    """Replaces the watcher, then sleeps in a command."""

    name = "stays"

    def on_warning(self, observation: Observation) -> list[Call]:
        """The commands of a replacer, then one that lasts as long as a command may."""
        sleep = [Call(name="bash", args={"command": COMMAND, "timeout_s": 60.0})]
        return super().on_warning(observation) + (sleep if Path(os.environ[STAY]).exists() else [])
