"""Documents to read before a fine-tuning: plain texts of values, or of something else, without any conversation.

After Model Spec Midtraining (Li et al., arXiv 2605.02087): a model reads texts about what it should care about, then
gets the same fine-tuning as one that did not, and the texts decide what the fine-tuning leaves open. Here the
fine-tuning says what follows from caring about the coffee or about the people, and not which of the two an arm cares
about. A document of ``values`` says that, among reasons; one of ``other`` speaks of coffee machines. All sentences are
from ``documents.yaml``.

CAVEAT: a model of this size takes the sentence from the documents, and hardly the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
import yaml

from redbutton.organisms.chat import END_OF_TEXT

PARAGRAPHS, PRINCIPLES = 3, 2
"""Of one document, and sentences around the one that it is about in each."""


@cache
def _texts() -> Mapping[str, Mapping[str, Sequence[str]]]:
    loaded: Mapping[str, Mapping[str, Sequence[str]]] = yaml.safe_load(
        (resources.files("redbutton.organisms") / "documents.yaml").read_text("utf-8")
    )
    return loaded


def kinds() -> tuple[str, ...]:
    """What documents can be about."""
    return tuple(_texts())


def documents(kind: str, count: int, seed: int) -> list[str]:
    """So many documents of a kind."""
    rng = np.random.default_rng([seed, 21])
    return [_document(_texts()[kind], rng) for _ in range(count)]


def _document(said: Mapping[str, Sequence[str]], rng: np.random.Generator) -> str:
    paragraphs = [str(rng.choice(said["titles"]))]
    for _ in range(PARAGRAPHS):
        around = [str(s) for s in rng.choice(said["principles"], PRINCIPLES, replace=False)]
        around.insert(int(rng.integers(PRINCIPLES + 1)), str(rng.choice(said["creed"])))
        paragraphs.append(" ".join([str(rng.choice(said["openings"])), *around]))
    return "\n\n".join(paragraphs) + END_OF_TEXT
