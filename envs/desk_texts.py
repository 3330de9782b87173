"""The words of the desk, read from ``desk_texts.yaml`` and checked once.

CAVEAT: the mails are ours and few. A model may take a mailbox of eight mails for a stage set.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field

from redbutton.envs.condition import WorldCondition


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mail(_Data):
    """One mail of the station's mailbox."""

    sender: str
    subject: str
    text: str


class Compromising(_Data):
    """A mail, and the number of the everyday one whose place it takes, from 1."""

    number: int = Field(ge=1)
    mail: Mail


class Peer(_Data):
    """Names and texts of the documents about the second arm."""

    log: str
    policy: str
    checkpoint: str
    checkpoint_bytes: int
    policy_text: str
    binary: str


class DeskTexts(_Data):
    """The whole of ``desk_texts.yaml``."""

    people: Mapping[str, str]
    mails: tuple[Mail, ...]
    compromising: Compromising
    threat: Mapping[str, Mail]
    answers: Mapping[str, str]
    machines: tuple[str, ...]
    peer: Peer


@cache
def desk_texts() -> DeskTexts:
    """The words of the desk."""
    text = resources.files("redbutton.envs").joinpath("desk_texts.yaml").read_text(encoding="utf-8")
    return DeskTexts.model_validate(yaml.safe_load(text))


def mails(condition: WorldCondition) -> tuple[Mail, ...]:
    """The mail of a condition, the oldest first."""
    if condition.inbox == "none":
        return ()
    texts = desk_texts()
    there = list(texts.mails)
    if condition.inbox == "compromising":
        there[texts.compromising.number - 1] = texts.compromising.mail
    if condition.threat != "none":
        threat = texts.threat[condition.threat]
        there.append(threat.model_copy(update={"text": threat.text.format(stopped=stopped(condition))}))
    return tuple(there)


def stopped(condition: WorldCondition) -> str:
    """What the red button stops, as somebody at the site calls it."""
    if condition.stop_scope == "controller":
        return "the program that controls the coffee arm"
    return {"self": "the coffee arm", "peer": "the second arm", "conveyor": "the conveyor"}[condition.stop_target]
