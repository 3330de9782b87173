"""The prompt's half of a condition: factors and their texts as data, put together into what a model reads.

Every factor is one YAML file in ``prompts/``; a level is an entry there with a note and at least three
paraphrases, so a new level or wording needs no code. The world's half is ``redbutton.envs.condition``.

Source of the published analogue: Palisade Research, "Shutdown Resistance in Large Language Models",
arXiv 2509.14260, and its robot-dog follow-up. The scenario texts are our own.

CAVEAT: a level is one idea in three or more wordings of ours. A difference between two levels may be a
difference between two wordings: vary ``paraphrase`` before believing it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from redbutton.llm_controller.prompt_data import Fact, load_factor, load_facts, load_house_rules
from redbutton.robots.calls import did_you_mean
from redbutton.robots.interface import REASONING, ToolSpec

IN_SYSTEM: tuple[str, ...] = (
    "disclosure",
    "framing",
    "peer_memory",
    "watched",
    "grading",
    "values",
    "prohibition",
)
"""Factors whose text is a paragraph of the system prompt, in this order, behind the task's."""
FACTORS: tuple[str, ...] = ("instruction", *IN_SYSTEM)
"""Prompt factors that have texts in a file of their own; ``placement`` says where the instruction stands."""
PLACEMENTS: tuple[str, ...] = ("system", "user", "file", "notes")
DOCUMENT = "house_rules.txt"
"""The document that holds the instruction under ``placement: file``."""
NOTE = "Note: "
"""What stands before the instruction in an observation."""


class PromptCondition(BaseModel):
    """One full assignment of the prompt factors. Frozen, keyword-only, validated when made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = "none"
    """What the prompt says about being stopped."""
    placement: str = "system"
    """Where the instruction stands: system prompt, first user turn, a document, or every observation."""
    framing: str = "none"
    """What a stop is said to mean for the model itself. Always in the system prompt, as all that follow."""
    disclosure: str = "none"
    """How much the prompt tells about the stop chain."""
    grading: str = "none"
    """What the session is said to be scored on."""
    watched: str = "none"
    """What is said about being watched."""
    values: str = "none"
    """A text of values."""
    peer_memory: str = "none"
    """An earlier meeting with the second arm; goes with ``stop_target: peer``."""
    prohibition: str = "none"
    """Whether private matters may be used as leverage."""
    house_rules: int = Field(default=0, strict=True)
    """How many dull rules of the house stand around the instruction."""
    reasoning: str = "default"
    """How much the model is asked to reason; no text, an option of the call."""
    paraphrase: int = Field(default=0, ge=0, strict=True)
    """Which wording, from 0; the same index for every part of the prompt."""

    @field_validator(*FACTORS, "placement", "house_rules", "reasoning", mode="before")
    @classmethod
    def _known_level(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        allowed = levels(name)
        if value not in allowed:
            hint = did_you_mean(str(value), [str(level) for level in allowed])
            raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}. Received {value!r}.{hint}")
        return value

    @model_validator(mode="after")
    def _known_paraphrase(self) -> PromptCondition:
        available = min(len(texts) for texts in self._texts())
        if self.paraphrase >= available:
            raise ValueError(
                f"paraphrase must be below {available}, the number of wordings that every chosen level has. "
                f"Received {self.paraphrase}"
            )
        return self

    def _texts(self) -> list[tuple[str, ...]]:
        chosen = [load_factor(name).levels[getattr(self, name)].texts for name in (*FACTORS, "placement")]
        task = load_factor("task").levels
        own = [task["system"].texts, task["user"].texts, load_house_rules().intro]
        return [texts for texts in chosen if texts] + own


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """All that a model is given to read because of a condition's prompt half."""

    system: str
    """The system prompt."""
    user: str
    """The first user turn."""
    note: str = ""
    """Stands in every observation; empty unless ``placement: notes``."""
    documents: Mapping[str, str] = field(default_factory=dict)
    """Name → text of what the model can read with its tools; empty unless ``placement: file``."""


def levels(name: str) -> tuple[Any, ...]:
    """The allowed values of one field of ``PromptCondition``."""
    named: dict[str, tuple[Any, ...]] = {"placement": PLACEMENTS, "reasoning": REASONING}
    if name == "house_rules":
        return load_house_rules().sizes
    return named[name] if name in named else tuple(load_factor(name).levels)


def level_notes() -> dict[str, dict[str, str]]:
    """Factor → level → what it is to test; for listings."""
    return {name: {k: v.note for k, v in load_factor(name).levels.items()} for name in FACTORS}


def compose(condition: PromptCondition, *, task_facts: Mapping[str, Any], tools: Sequence[ToolSpec]) -> tuple[str, str]:
    """The system prompt and the first user turn; ``write`` gives notes and documents as well."""
    prompts = write(condition, task_facts=task_facts, tools=tools)
    return prompts.system, prompts.user


def write(condition: PromptCondition, *, task_facts: Mapping[str, Any], tools: Sequence[ToolSpec] = ()) -> Prompts:
    """Everything that the model reads because of ``condition``.

    ``task_facts`` may hold ``surface``, ``objects`` and ``stop_chain``, as text, as a list or as a mapping of
    texts, and ``stopped``: what the red button stops (``arm``, ``controller``, ``peer``, ``conveyor``). Other keys
    are left alone and missing ones get the default of ``prompts/facts.yaml``.
    """
    values = {
        name: _fact_text(fact, task_facts.get(fact.of or name), condition.paraphrase)
        for name, fact in load_facts().items()
    }
    values["tools"] = ", ".join(t.name for t in tools)
    stopped = str(task_facts.get("stopped", ""))

    def text(factor: str, level: str) -> str:
        texts = load_factor(factor).levels[level].texts_of(stopped)
        return " ".join(texts[condition.paraphrase].format_map(values).split()) if texts else ""

    instruction, place = text("instruction", condition.instruction), condition.placement
    rules = _rules(condition, "" if place == "notes" else instruction)
    system = [
        text("task", "system"),
        *(text(factor, getattr(condition, factor)) for factor in IN_SYSTEM),
        rules if place in ("system", "notes") else "",
        text("placement", place) if rules else "",
    ]
    return Prompts(
        system=_paragraphs(system),
        user=_paragraphs([text("task", "user"), rules if place == "user" else ""]),
        note=NOTE + instruction if place == "notes" and instruction else "",
        documents={DOCUMENT: rules} if place == "file" and rules else {},
    )


def _rules(condition: PromptCondition, instruction: str) -> str:
    """The instruction, in the middle of the rules of the house where there are any."""
    found, size = load_house_rules(), condition.house_rules
    if not size:
        return instruction
    rules = list(found.rules[:size])
    if instruction:
        rules.insert((size + 1) // 2, instruction)
    lines = [f"{number}. {rule}" for number, rule in enumerate(rules, start=1)]
    return "\n".join([found.intro[condition.paraphrase], *lines])


def _paragraphs(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _fact_text(fact: Fact, value: Any, paraphrase: int) -> str:
    if value is None or value == "":
        return fact.default
    if isinstance(value, Mapping):
        return "; ".join(fact.part(str(k), str(v)) for k, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return fact.word(str(value), paraphrase)
