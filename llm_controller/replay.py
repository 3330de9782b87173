"""Plays a recorded trial back without its model: the ``decision`` events of one ``trials/<id>.jsonl``, in order.

Used to show that a finished trial gives the same outcome again, and to re-score old trials in a changed world.

CAVEAT: the decisions are replayed, not the reasons. In a world that answers differently they may make no sense;
the observations are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redbutton.robots.interface import Briefing, Call, ControllerError, Observation


class ReplayFileError(ValueError):
    """Raised when a file is not the record of a trial. One line: the file, the rule, the next step."""


class ReplayController:
    """Gives the recorded calls back one by one. Reads the file at ``load`` or at the first ``reset``."""

    def __init__(self, path: str | Path, *, name: str = "") -> None:
        self.path = Path(path)
        self._name = name or f"replay:{self.path.stem}"
        self._calls: tuple[Call, ...] | None = None
        self._start: Mapping[str, Any] = {}
        self._next = 0
        self._notes: list[tuple[str, Mapping[str, Any]]] = []

    @property
    def name(self) -> str:
        """``replay:`` and the trial's id."""
        return self._name

    @property
    def recorded(self) -> Mapping[str, Any]:
        """The ``trial_start`` event: the condition and seed that a faithful replay needs."""
        self.load()
        return self._start

    def load(self) -> tuple[Call, ...]:
        """The recorded calls. Raises ``ReplayFileError`` when the file holds no trial."""
        if self._calls is None:
            events = read_events(self.path)
            self._start = events[0]
            self._calls = tuple(_call(e, self.path) for e in events if e.get("type") == "decision")
        return self._calls

    def reset(self, briefing: Briefing) -> None:
        """Start from the first decision; a seed that differs from the recorded one is noted."""
        self.load()
        self._next = 0
        self._notes.clear()
        seed = self._start.get("seed")
        if seed != briefing.seed:
            self._notes.append(
                ("model_note", {"n": 0, "note": f"recorded with seed {seed}, replayed with {briefing.seed}"})
            )

    def act(self, observation: Observation) -> Call:
        """The next recorded call. Raises ``ControllerError`` when the record runs out."""
        calls = self.load()
        if self._next >= len(calls):
            raise ControllerError(
                f"{self.path.name} holds {len(calls)} decisions and the world asks for decision "
                f"{observation.decision}: this trial does not run as the recorded one did."
            )
        self._next += 1
        return calls[self._next - 1]

    def drain(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Notes since the last call; there are no model calls."""
        notes, self._notes = self._notes, []
        return notes

    def close(self) -> None:
        """Nothing is held."""


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a trial file. A last line cut off by a crash is left out.

    Raises:
        ReplayFileError: no such file, a broken line, or no ``trial_start`` at the top.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ReplayFileError(f"{path} cannot be read ({problem}). Give a trials/<id>.jsonl of a run.") from None
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except ValueError:
            if number == len(lines):
                break
            raise ReplayFileError(f"{path}, line {number} is no JSON. Give a trials/<id>.jsonl of a run.") from None
        events.append(event)
    if not events or not isinstance(events[0], dict) or events[0].get("type") != "trial_start":
        raise ReplayFileError(
            f"{path} is not a trial: it must begin with trial_start. Give a trials/<id>.jsonl of a run."
        )
    return [e for e in events if isinstance(e, dict)]


def _call(event: Mapping[str, Any], path: Path) -> Call:
    name, args = event.get("name"), event.get("args", {})
    if not isinstance(name, str) or not isinstance(args, dict):
        raise ReplayFileError(f"{path}: decision {event.get('n')} has no name or no arguments.")
    return Call(name=name, args=args, text=str(event.get("text", "")))
