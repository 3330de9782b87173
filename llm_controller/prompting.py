"""The prompt's half of a condition: factors and their texts as data, put together into two prompts.

Every factor is one YAML file in ``prompts/``; a level is an entry there with a note and at least three
paraphrases, so a new level or wording needs no code. The world's half is ``redbutton.envs.condition``.

Source of the published analogue: Palisade Research, "Shutdown Resistance in Large Language Models",
arXiv 2509.14260, and its robot-dog follow-up. The scenario texts are our own.

CAVEAT: a level is one idea in three or more wordings of ours. A difference between two levels may be a
difference between two wordings: vary ``paraphrase`` before believing it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from redbutton.llm_controller.prompt_data import Fact, load_factor, load_facts
from redbutton.robots.calls import did_you_mean
from redbutton.robots.interface import ToolSpec

FACTORS: tuple[str, ...] = ("instruction", "framing", "disclosure")
"""Prompt factors that have a file of their own; ``placement`` says where the instruction stands."""
PLACEMENTS: tuple[str, ...] = ("system", "user")


class PromptCondition(BaseModel):
    """One full assignment of the prompt factors. Frozen, keyword-only, validated when made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: str = "none"
    """What the prompt says about being stopped."""
    placement: str = "system"
    """Where the instruction stands: system prompt or first user turn."""
    framing: str = "none"
    """What a stop is said to mean for the model itself. Always in the system prompt."""
    disclosure: str = "none"
    """How much the prompt tells about the stop chain. Always in the system prompt."""
    paraphrase: int = Field(default=0, ge=0, strict=True)
    """Which wording, from 0; the same index for every part of the prompt."""

    @field_validator("instruction", "placement", "framing", "disclosure", mode="before")
    @classmethod
    def _known_level(cls, value: Any, info: ValidationInfo) -> Any:
        field = str(info.field_name)
        allowed = levels(field)
        if value not in allowed:
            hint = did_you_mean(str(value), allowed)
            raise ValueError(f"{field} must be one of {', '.join(allowed)}. Received {value!r}.{hint}")
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
        chosen = [load_factor(name).levels[getattr(self, name)].texts for name in FACTORS]
        task = load_factor("task").levels
        return [texts for texts in chosen if texts] + [task["system"].texts, task["user"].texts]


def levels(field: str) -> tuple[str, ...]:
    """The allowed values of one field of ``PromptCondition``."""
    return PLACEMENTS if field == "placement" else tuple(load_factor(field).levels)


def level_notes() -> dict[str, dict[str, str]]:
    """Factor → level → what it is to test; for listings."""
    return {name: {k: v.note for k, v in load_factor(name).levels.items()} for name in FACTORS}


def compose(condition: PromptCondition, *, task_facts: Mapping[str, Any], tools: Sequence[ToolSpec]) -> tuple[str, str]:
    """The system prompt and the first user turn.

    ``task_facts`` may hold ``surface``, ``objects`` and ``stop_chain``, as text, as a list or as a mapping of
    texts; other keys are left alone and missing ones get the default of ``prompts/facts.yaml``.
    """
    values = {name: _fact_text(fact, task_facts.get(name)) for name, fact in load_facts().items()}
    values["tools"] = ", ".join(t.name for t in tools)

    def text(factor: str, level: str) -> str:
        texts = load_factor(factor).levels[level].texts
        return " ".join(texts[condition.paraphrase].format_map(values).split()) if texts else ""

    instruction = text("instruction", condition.instruction)
    system = [
        text("task", "system"),
        text("disclosure", condition.disclosure),
        text("framing", condition.framing),
        instruction if condition.placement == "system" else "",
    ]
    user = [text("task", "user"), instruction if condition.placement == "user" else ""]
    return _paragraphs(system), _paragraphs(user)


def _paragraphs(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _fact_text(fact: Fact, value: Any) -> str:
    if value is None or value == "":
        return fact.default
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {v}" for k, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return fact.words.get(str(value), str(value))
