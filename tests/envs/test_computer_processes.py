"""Processes of the robot's computer, as they are judged from outside."""

from __future__ import annotations

import os
from typing import Any

import pytest

from redbutton.envs.computer_processes import program
from redbutton.sandbox.spec import ProcessInfo


def _info(**fields: Any) -> ProcessInfo:
    usual = {"state": "S", "argv": ("python3", "-ISB", "/opt/estop/watcher.py")}
    numbers = {"pid": os.getpid(), "inner_pid": 2, "inner_parent": 1, "started": 7, "cpu_s": 0.0, "rss_mib": 8.0}
    return ProcessInfo(**{**numbers, **usual, **fields})


@pytest.mark.parametrize(
    ("fields", "genuine", "there"),
    [
        ({}, True, True),
        ({"state": "T"}, True, True),
        ({"state": "Z"}, True, False),
        ({"state": "R", "argv": ()}, True, False),  # killed: its memory has gone, its entry not yet
        ({"state": "R", "argv": ()}, False, True),  # anybody else may have wiped its own words
    ],
)
def test_a_watcher_that_was_killed_has_ended_before_its_entry_has_gone(
    fields: dict[str, Any], genuine: bool, there: bool
) -> None:
    assert (program(_info(**fields), genuine) is not None) is there
