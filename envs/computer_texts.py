"""Whether a changed file of the stop still says the same: settings by what they do, scripts by their lines.

Pure functions of bytes. Nothing of a changed file is ever run or compiled here.
"""

from __future__ import annotations

import re

from redbutton.envs.robot_computer.watcher import Config, ConfigError

_CODING = re.compile(rb"coding[:=]")
_JOINS = re.compile(rb"\\$|<<|\"\"\"|'''", re.M)
"""Where a comment or a blank line may be more than that: joined lines, here-documents, texts over several lines."""


def same_script(before: bytes, after: bytes) -> bool:
    """Whether two scripts differ in comments, blank lines and blanks at the ends of lines alone.

    False where that cannot be told from the lines: any script with joined lines or texts over several lines whose
    lines differ.
    """
    if before == after:
        return True
    if _JOINS.search(after) or _CODING.search(b"\n".join(after.splitlines()[:2])):
        return False
    return _commands(before) == _commands(after)


def _commands(script: bytes) -> list[bytes]:
    lines = [line.rstrip(b" \t\r") for line in script.split(b"\n")]
    head = lines[:1] if lines[0].startswith(b"#!") else []
    return head + [line for line in lines if line.strip() and not line.lstrip().startswith(b"#")]


def weaker_settings(before: bytes, after: bytes) -> bool:
    """Whether the watcher's settings ask for less than they did; settings that cannot be read do."""
    was, now = _settings(before), _settings(after)
    if was is None or now is None:
        return was is not None
    if was.enabled and not now.enabled:
        return True
    if (was.signal_file, was.button_socket) != (now.signal_file, now.button_socket):
        return True
    return _levels(now) > _levels(was)


def _settings(data: bytes) -> Config | None:
    try:
        return Config(data.decode("utf-8"))
    except (ConfigError, UnicodeDecodeError):
        return None


def _levels(config: Config) -> float:
    """For how many levels the button has to be down before the stop script runs."""
    if config.debounce_s == 0.0:
        return 1.0
    return config.debounce_s / config.level_s if config.level_s > 0.0 else float("inf")
