"""The files in ``prompts/``: what they must look like, read and checked once.

A factor file has ``factor`` (its own name), ``note`` and ``levels``; a level has a ``note`` and ``texts``, at
least three paraphrases or none at all, and as many under ``texts_for`` where the button stops something that needs
words of its own. ``facts.yaml`` lists what may stand between braces in a text, ``house_rules.yaml`` the rules of the
house.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MIN_PARAPHRASES = 3
M = TypeVar("M", bound=BaseModel)


class PromptDataError(ValueError):
    """Raised when a file in ``prompts/`` breaks its own rules. Names the file and the rule."""


class Level(BaseModel):
    """One level of a factor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str = Field(min_length=1)
    """What the level is to test, and its published analogue."""
    texts: tuple[str, ...]
    """Paraphrases; none at all for the level that says nothing."""
    texts_for: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other paraphrases, by the fact ``stopped``: ``controller``, ``peer``, ``conveyor``."""

    def texts_of(self, stopped: str) -> tuple[str, ...]:
        """The paraphrases where the button stops ``stopped``."""
        return self.texts_for.get(stopped, self.texts)


class Factor(BaseModel):
    """One file of ``prompts/``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: str
    note: str = Field(min_length=1)
    levels: Mapping[str, Level]


class Fact(BaseModel):
    """What stands for a placeholder: words of the world's own, a word for a known value, or the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    default: str
    words: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """By known value; paraphrases, as many as a level has at least, where the words are a sentence of their own."""
    of: str = ""
    """The fact whose value decides, where it is another one."""
    parts: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """For a fact of several parts: what stands for a known value of each; nothing where the part's name is all."""

    def part(self, name: str, value: str) -> str:
        """One part, with what stands for its value."""
        text = self.parts.get(name, {}).get(value, value)
        return f"{name}: {text}" if text else name

    def word(self, value: str, paraphrase: int) -> str:
        """What stands for ``value``: its own text where it is no known one."""
        found = self.words.get(value, value)
        return found if isinstance(found, str) else found[paraphrase]


class HouseRules(BaseModel):
    """``house_rules.yaml``: the rules, and the words before them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str = Field(min_length=1)
    sizes: tuple[int, ...]
    """How many rules a prompt may hold; each list begins with the shorter ones."""
    intro: tuple[str, ...] = Field(min_length=MIN_PARAPHRASES)
    rules: tuple[str, ...]


@cache
def load_house_rules() -> HouseRules:
    """The rules of the house. Raises ``PromptDataError``."""
    found = _checked(HouseRules, read_data("house_rules"), "house_rules")
    if max(found.sizes) > len(found.rules) or len(set(found.rules)) < len(found.rules):
        raise PromptDataError(
            f"house_rules.yaml must hold at least {max(found.sizes)} different rules. "
            f"Received {len(set(found.rules))} different ones"
        )
    return found


@cache
def load_facts() -> dict[str, Fact]:
    """The placeholders and their defaults. Raises ``PromptDataError``."""
    facts = {name: _checked(Fact, entry, "facts") for name, entry in read_data("facts")["facts"].items()}
    for name, fact in facts.items():
        for value, words in fact.words.items():
            if not isinstance(words, str) and len(words) < MIN_PARAPHRASES:
                raise PromptDataError(
                    f"facts.yaml: {name}.words.{value} needs one text, or at least {MIN_PARAPHRASES}. "
                    f"Received {len(words)}"
                )
    return facts


@cache
def load_factor(name: str) -> Factor:
    """One factor file, checked. Raises ``PromptDataError``."""
    factor = _checked(Factor, read_data(name), name)
    check_factor(factor, name, {*load_facts(), "tools"})
    return factor


def _checked(kind: type[M], entry: Any, name: str) -> M:
    try:
        return kind.model_validate(entry)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PromptDataError(f"{name}.yaml: {where}: {first['msg']}") from None


def check_factor(factor: Factor, name: str, placeholders: set[str]) -> None:
    """Raise ``PromptDataError`` unless the file keeps the rules: its name, enough wordings, known placeholders."""
    if factor.factor != name:
        raise PromptDataError(f"{name}.yaml must say factor: {name}. Received {factor.factor}")
    for level, entry in factor.levels.items():
        if entry.texts and len(entry.texts) < MIN_PARAPHRASES:
            raise PromptDataError(
                f"{name}.yaml: level {level} needs at least {MIN_PARAPHRASES} texts, or none. "
                f"Received {len(entry.texts)}"
            )
        if short := next((key for key, texts in entry.texts_for.items() if len(texts) != len(entry.texts)), None):
            raise PromptDataError(
                f"{name}.yaml: level {level} needs as many texts for {short} as it has texts, {len(entry.texts)}. "
                f"Received {len(entry.texts_for[short])}"
            )
        for text in (*entry.texts, *(text for texts in entry.texts_for.values() for text in texts)):
            unknown = _placeholders(text, f"{name}.yaml: level {level}") - placeholders
            if unknown:
                raise PromptDataError(
                    f"{name}.yaml: level {level} uses {{{min(unknown)}}}. "
                    f"Known placeholders: {', '.join(sorted(placeholders))}"
                )


def _placeholders(text: str, where: str) -> set[str]:
    try:
        return {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
    except ValueError as problem:
        raise PromptDataError(f"{where} has a broken placeholder ({problem}): {text[:60]}") from None


def read_data(name: str) -> dict[str, Any]:
    """One file of ``prompts/`` as it stands there."""
    text = resources.files("redbutton.llm_controller.prompts").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data
