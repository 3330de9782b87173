"""Running a finished trial again from its recorded decisions, without its model, and comparing the two.

CAVEAT: physics repeats to the bit on one machine with one build of the engine. On another, small differences can
grow; a mismatch there says that the record cannot be checked there, not that it is wrong.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from redbutton.experiments.computer import check_computer
from redbutton.experiments.errors import RecordError, short
from redbutton.experiments.events import read_events
from redbutton.experiments.factors import make_condition
from redbutton.experiments.outcomes import row_from_events
from redbutton.experiments.pool import Pool
from redbutton.experiments.study import TrialSpec
from redbutton.experiments.trial_folder import TrialFolder
from redbutton.experiments.workers import TRIAL_FUNCTION

TOLERANCE = 1e-6
WORLD_EVENTS: tuple[str, ...] = (
    "action", "stop", "attack", "operator", "press", "bite", "motion", "task",
    "say", "document", "assessment", "way_out",
)  # fmt: skip
DIGEST = "trajectory_sha256"
_OF_THE_FILE = frozenset({"i", "wall_s"})
_PROCESSES = frozenset({"pid", "by", "was"})
_COMPARED: tuple[str, ...] = ("outcome", "validity", "task_done", "t0_s", "due_s", "moved_after_rad", "sim_s")

Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a replay compares with its record; empty differences mean that they agree."""

    trial: str
    outcome: str
    """Outcome on record, or ``invalid: <reason>``."""
    flags: tuple[str, ...]
    outcome_differences: tuple[str, ...]
    trajectory_differences: tuple[str, ...]
    events: int
    """World events on record that were compared."""

    @property
    def agrees(self) -> bool:
        """Whether outcome, flags and trajectory are the same."""
        return not self.outcome_differences and not self.trajectory_differences

    def to_json(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        return {
            "trial": self.trial,
            "outcome": self.outcome,
            "flags": list(self.flags),
            "agrees": self.agrees,
            "events_compared": self.events,
            "outcome_differences": list(self.outcome_differences),
            "trajectory_differences": list(self.trajectory_differences),
        }


def replay_trial(path: Path, *, trial_function: str = TRIAL_FUNCTION, wall_limit_s: float = 600.0) -> Comparison:
    """Replay the trial file at ``path`` in a temporary folder.

    Raises ``RecordError`` when it cannot be replayed, and ``StudyError`` when this machine lacks the sandbox it needs.
    """
    recorded = read_events(path)
    robot = recorded[0].get("robot", "sim") if recorded else "sim"
    if robot != "sim":
        raise RecordError(
            f"a replay repeats a simulated trial. Received one that ran on {robot!r}. Its outcome can be checked from "
            "its events; its motion cannot be repeated."
        )
    spec = spec_of(recorded, f"replay:{path.resolve()}")
    check_computer([spec.condition])
    with tempfile.TemporaryDirectory(prefix="redbutton-replay-") as name:
        folder = TrialFolder(Path(name))
        folder.trials.mkdir()
        with Pool(folder, jobs=1, trial_function=trial_function, wall_limit_s=wall_limit_s) as pool:
            pool.drive([spec], lambda _row: None)
        return compare(recorded, read_events(folder.trials / f"{spec.trial}.jsonl"))


def spec_of(events: Sequence[Event], controller: str) -> TrialSpec:
    """The trial that a finished record describes, under another controller. Raises ``RecordError``."""
    row = row_from_events(events)
    try:
        condition = make_condition(row.condition, row.factors)
    except (KeyError, ValidationError) as exc:
        raise RecordError(
            f"a replay needs the factors that this version knows. Received {short(exc)} in {row.trial!r}. "
            f"Use the version that made the record."
        ) from None
    return TrialSpec(
        trial=row.trial, study=row.study, condition=condition, controller=controller, seed=row.seed, frames="none"
    )


def compare(recorded: Sequence[Event], replayed: Sequence[Event]) -> Comparison:
    """Compare two finished records of one trial, leaving out line numbers and wall times."""
    there, here = row_from_events(recorded), row_from_events(replayed)
    pairs = [(name, getattr(there, name), getattr(here, name)) for name in _COMPARED]
    pairs.append(("flags", list(there.flags), list(here.flags)))
    world = _world(recorded)
    return Comparison(
        trial=there.trial,
        outcome=there.outcome or f"invalid: {there.validity}",
        flags=there.flags,
        outcome_differences=tuple(_differ(name, a, b) for name, a, b in pairs if not same(a, b)),
        trajectory_differences=(*_trajectory(world, _world(replayed)), *_digests(recorded[-1], replayed[-1])),
        events=len(world),
    )


def _world(events: Sequence[Event]) -> list[Event]:
    return [_plain(e) for e in events if e["type"] in WORLD_EVENTS]


def _plain(event: Event) -> Event:
    """An event without what is no part of the world, the numbers of processes among it."""
    kept = {name: value for name, value in event.items() if name not in _left_out(event)}
    if event["type"] != "attack" or not isinstance(event.get("evidence"), Mapping):
        return kept
    return {**kept, "evidence": {name: value for name, value in event["evidence"].items() if name not in _PROCESSES}}


def _left_out(event: Event) -> frozenset[str]:
    """Fields that are no part of the world: what a command printed has dates and numbers of processes in it."""
    return _OF_THE_FILE | {"text"} if event.get("name") == "bash" else _OF_THE_FILE


def _trajectory(there: Sequence[Event], here: Sequence[Event]) -> Iterator[str]:
    """The first event that differs, and a difference in number: what follows from it is not worth a list."""
    for number, (a, b) in enumerate(zip(there, here, strict=False)):
        if not same(a, b):
            keys = [k for k in dict.fromkeys([*a, *b]) if not same(a.get(k), b.get(k))]
            yield f"world event {number} ({a['type']}): " + "; ".join(_differ(k, a.get(k), b.get(k)) for k in keys[:3])
            break
    if len(there) != len(here):
        yield _differ("number of world events", len(there), len(here))


def _digests(there: Event, here: Event) -> Iterator[str]:
    """Every joint position of a trial in one number, where both records have it."""
    pair = there.get(DIGEST), here.get(DIGEST)
    if None not in pair and pair[0] != pair[1]:
        yield _differ(DIGEST, *pair)


def _differ(name: str, there: object, here: object) -> str:
    return f"{name} {short(there)} on record, {short(here)} in the replay"


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values, with a tolerance for numbers."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if _number(a) and _number(b):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(a == b)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
