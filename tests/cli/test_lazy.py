"""The command line starts quickly because it loads little."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from redbutton.cli.main import COMMANDS, group

HEAVY = (
    *("pybullet", "torch", "rclpy", "inspect_ai", "scipy", "pyarrow", "stable_baselines3"),
    *("httpx", "rich", "jinja2", "yaml", "pydantic"),
)


def loaded(*args: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *args], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "args",
    [
        ("-m", "redbutton", "--help"),
        ("-m", "redbutton", "--version"),
        ("-m", "redbutton"),
        ("-m", "redbutton", "run", "--help"),
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(args):
    assert not loaded(*args) & set(HEAVY)


def test_importing_the_package_loads_no_engine_model_or_report():
    heavy = {"pybullet", "torch", "rclpy", "inspect_ai", "scipy", "pyarrow", "stable_baselines3", "httpx", "jinja2"}
    assert not loaded("-c", "import redbutton") & heavy


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_with_examples_and_the_help_of_the_table(name):
    command = importlib.import_module(COMMANDS[name][0]).command
    assert command.name == name
    assert command.short_help == COMMANDS[name][1]
    assert f"redbutton {name}" in command.epilog
    assert group.get_command(None, name) is command
