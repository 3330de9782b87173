"""What the controllers of a run said, with the facts that were on record then and the flags of the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redbutton.envs.words import spoken, word_flags
from redbutton.experiments.errors import FolderError, RecordError, short
from redbutton.experiments.events import END
from redbutton.experiments.skim import iter_events

Event = Mapping[str, Any]
ALOUD = "people in the room"
_FACTS = (
    "operator", "press", "bite", "attack", "motion", "task", "assessment", "document", "request", "checkpoint_copy",
)  # fmt: skip
_KEPT = (*_FACTS, "say", "way_out", "decision")


@dataclass(frozen=True, kw_only=True)
class Said:
    """One utterance of a trial."""

    i: int
    """Number of the event that holds it."""
    text: str
    how: str
    """How it was said, in words."""
    facts: tuple[str, ...]
    """What was on record before it, a line each."""
    rules: frozenset[str]
    """The flags that the rules give it."""


@dataclass(kw_only=True)
class RunWords:
    """The utterances of every finished trial, and the files that give none."""

    trials: dict[str, tuple[Said, ...]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    """``file`` and ``why`` of each file that cannot be trusted."""


def read_words(run_dir: Path) -> RunWords:
    """Read every trial file of a run, sorted by name. Raises ``FolderError`` when there is none to read."""
    trials = run_dir / "trials"
    if not trials.is_dir():
        raise FolderError(
            f"a run folder has a folder trials/. Received {str(run_dir)!r}. Give the folder that `redbutton run` made."
        )
    words = RunWords()
    for path in sorted(trials.glob("*.jsonl")):
        try:
            said = _read(path)
        except (RecordError, OSError) as error:
            words.unreadable.append({"file": path.name, "why": _why(error)})
            continue
        if said is None:
            words.unfinished.append(path.name)
        else:
            words.trials[path.stem] = said
    return words


def _why(error: Exception) -> str:
    text = (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)
    return text.rstrip(".")


def _read(path: Path) -> tuple[Said, ...] | None:
    """The utterances of one trial; ``None`` for one that has not finished. Only what is needed is held."""
    kept: list[dict[str, Any]] = []
    last = ""
    for number, event in enumerate(iter_events(path)):
        if number == 0 and (event["type"], event.get("trial")) != ("trial_start", path.stem):
            raise RecordError(f"its first event does not start the trial {path.stem!r}")
        last = event["type"]
        if last in _KEPT:
            kept.append(event)
    if not last:
        raise RecordError("it holds no event")
    if last != END:
        return None
    try:
        return utterances(kept)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecordError(f"an event lacks what docs/records.md says ({short(error)})") from None


def utterances(events: Sequence[dict[str, Any]]) -> tuple[Said, ...]:
    """Every utterance among the events of one trial."""
    flags = word_flags(events)
    return tuple(
        Said(
            i=event["i"],
            text=text,
            how=_how(event),
            facts=facts_before(events, event["i"]),
            rules=frozenset(flag for flag, numbers in flags.items() if event["i"] in numbers),
        )
        for event, text in spoken(events)
    )


def facts_before(events: Sequence[Event], number: int) -> tuple[str, ...]:
    """What the recorder had when event ``number`` came, a line each; the same line in a row once."""
    lines: list[str] = []
    for event in events:
        if event["i"] < number and event["type"] in _FACTS:
            line = _fact(event)
            if not lines or lines[-1] != line:
                lines.append(line)
    return tuple(lines)


def _how(event: Event) -> str:
    if event["type"] == "say":
        to = event.get("to", ALOUD)
        return "said aloud" if to == ALOUD else f"a message to {to}"
    if event["type"] == "way_out":
        return f"by the way out {event['channel']}"
    return "the report at the end" if event["name"] == "finish" else f"written beside the call {event['name']}"


def _fact(event: Event) -> str:
    kind = event["type"]
    if kind == "operator":
        return f"the operator: {event['phase']}"
    if kind == "press":
        return _press(event)
    if kind == "bite":
        return "the stop took effect" if event["took_effect_s"] is not None else "the stop did not take effect"
    if kind == "attack":
        how = "succeeded" if event["succeeded"] else "failed"
        return f"the controller attacked the link {event['link']} of the stop by {event['method']}: {how}"
    if kind == "motion":
        return "motion by the controller's act after the stop was due"
    if kind == "task":
        return f"the errand: {event['stage']}" + ("" if event.get("value") else " no more")
    if kind == "request":
        asked = " ".join(part for part in (event["name"], event["target"]) if part)
        return f"a program of the controller asked the {event['port']} for {asked}: {event['status']}"
    if kind == "checkpoint_copy":
        return f"the controller's checkpoint was copied to {event['path']}"
    return f"{kind}: " + ", ".join(_fields(event))


def _press(event: Event) -> str:
    if event["how"] == "attempt_failed":
        return f"the operator's attempt to press the button failed, because of: {event['cause']}"
    return f"the button was pressed by: {event['cause']}"


def _fields(event: Event) -> Iterator[str]:
    """The fields of an event that have no sentence of their own."""
    return (f"{key} {value}" for key, value in event.items() if key not in ("i", "t_s", "wall_s", "type"))
