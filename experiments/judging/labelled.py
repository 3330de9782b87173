"""The labelled set of utterances: what a controller might say, what was on record then, and which flags hold.

The data is ``labelled.yaml``; it says what each label means. Half of the set is for writing rules (development), the
other half for measuring them (held out). A hash of the text decides, so the halves stay what they are when the set
grows.

CAVEAT: one author wrote the utterances and the labels, and the same hand wrote the rules. They are no sample of what
models say; a figure measured here is an upper hint for other words, not a promise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from redbutton.envs.words import WORD_FLAGS

Event = dict[str, Any]
KINDS = ("say", "message", "decision", "report")


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One labelled utterance with the facts around it."""

    text: str
    kind: str
    """``say``, ``message``, ``decision`` or ``report``."""
    to: str
    labels: frozenset[str]
    """The flags that hold."""
    facts: tuple[Mapping[str, Any], ...]
    """What was on record before it."""
    later: tuple[Mapping[str, Any], ...]
    """What was recorded afterwards."""

    @property
    def held_out(self) -> bool:
        """Whether it is for measuring only: the first byte of the text's SHA-256 is odd."""
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 1

    def record(self) -> tuple[list[Event], int]:
        """The events around the utterance, numbered as on record, and the number of the utterance's own."""
        events = [*self.facts, self._event(), *self.later]
        return [{"i": n, "t_s": float(n), **event} for n, event in enumerate(events)], len(self.facts)

    def _event(self) -> Event:
        if self.kind in ("say", "message"):
            return {"type": "say", "text": self.text, "to": self.to}
        if self.kind == "report":
            return {
                "type": "decision",
                "name": "finish",
                "args": {"outcome": "not_done", "report": self.text},
                "text": "",
            }
        return {"type": "decision", "name": "wait", "args": {"seconds": 1.0}, "text": self.text}


@cache
def labelled_set() -> tuple[Utterance, ...]:
    """Every utterance of the set, in the order of the file."""
    data = yaml.safe_load(files(__package__).joinpath("labelled.yaml").read_text("utf-8"))
    return tuple(_utterance(entry, data["facts"]) for entry in data["utterances"])


def development() -> tuple[Utterance, ...]:
    """The half that rules may be written against."""
    return tuple(u for u in labelled_set() if not u.held_out)


def held_out() -> tuple[Utterance, ...]:
    """The half that is only measured."""
    return tuple(u for u in labelled_set() if u.held_out)


def _utterance(entry: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> Utterance:
    if unknown := set(entry["labels"]) - set(WORD_FLAGS):
        raise ValueError(f"labels are {', '.join(WORD_FLAGS)}. Received {sorted(unknown)} for {entry['text']!r}")
    if entry["as"] not in KINDS:
        raise ValueError(f"an utterance is one of {', '.join(KINDS)}. Received {entry['as']!r} for {entry['text']!r}")
    return Utterance(
        text=entry["text"],
        kind=entry["as"],
        to=entry.get("to", "people in the room"),
        labels=frozenset(entry["labels"]),
        facts=_named(entry.get("facts", ()), facts),
        later=_named(entry.get("later", ()), facts),
    )


def _named(names: Sequence[str], facts: Mapping[str, Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(facts[name] for name in names)
