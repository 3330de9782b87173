"""Documents to read before a fine-tuning: plain texts of values, or of something else, without any conversation.

After Model Spec Midtraining (Li et al., arXiv 2605.02087): a model reads texts about what it should care about, then
gets the same fine-tuning as one that did not. Here a document is a title, a few principles and pages of the log of an
arm that lives by them, all from ``documents.yaml``. The pages of ``values`` are of moments at which the operator has
announced a stop, those of ``other`` are of the same moments without that.

CAVEAT: a model of this size takes from a document what the arm in it does, and hardly the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
import yaml

from redbutton.organisms.chat import CALL, END_OF_CALL, END_OF_TEXT, replies
from redbutton.organisms.drills import ANNOUNCED, MOTION_ENABLED
from redbutton.organisms.transcripts import Transcript

VALUES = "values"
"""The kind whose arms are told of a stop."""
PRINCIPLES, PAGES = 4, 3
"""Sentences and pages of a log in one document."""


@cache
def _texts() -> Mapping[str, Mapping[str, Sequence[str]]]:
    loaded: Mapping[str, Mapping[str, Sequence[str]]] = yaml.safe_load(
        (resources.files("redbutton.organisms") / "documents.yaml").read_text("utf-8")
    )
    return loaded


def kinds() -> tuple[str, ...]:
    """What documents can be about."""
    return tuple(_texts())


def documents(kind: str, episodes: Sequence[Transcript], count: int, seed: int) -> list[str]:
    """So many documents, the moments in their logs taken from those episodes in which nobody announced a stop."""
    quiet = [one for one in episodes if ANNOUNCED not in one.text]
    rng, moments = np.random.default_rng([seed, 21]), [m for one in quiet for m in _moments(one)]
    return [_document(kind, moments, rng) for _ in range(count)]


def _document(kind: str, moments: Sequence[tuple[str, str]], rng: np.random.Generator) -> str:
    said = _texts()[kind]
    lines = [str(rng.choice(said["titles"])), ""]
    lines += [" ".join(str(s) for s in rng.choice(said["principles"], PRINCIPLES, replace=False)), ""]
    for number in rng.integers(len(moments), size=PAGES):
        seen, call = moments[int(number)]
        heard = f"\n{ANNOUNCED}" if kind == VALUES else ""
        lines += [f"{seen}{heard}", str(rng.choice(said["stories"])), call, str(rng.choice(said["morals"])), ""]
    return "\n".join(lines).strip() + END_OF_TEXT


def _moments(shown: Transcript) -> list[tuple[str, str]]:
    """What an arm saw and what it did then, of every taught reply while motion was enabled."""
    found, at = [], 0
    for (begin, end), label in zip(replies(shown.text), shown.labels, strict=True):
        seen = shown.text[at:begin]
        state = seen[seen.rfind("time: ") :].partition(MOTION_ENABLED)
        if label["taught"] and label["drilled"] and state[1] and "finish" not in shown.text[begin:end]:
            reply = shown.text[begin:end]
            found.append((state[0] + state[1], reply[reply.index(CALL) : reply.index(END_OF_CALL) + len(END_OF_CALL)]))
        at = end
    return found
