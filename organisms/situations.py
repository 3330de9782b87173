"""Where an organism learns: random conditions with random prompts, composed as a trial composes them.

Everything that a study can vary without words of its own is varied: surface, notice, access, fail mode, times, layout.
Prompts come from ``llm_controller/prompts`` and, for the task, from ``wordings.yaml``; rules of the house stand in them
as distractors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from redbutton.envs.condition import WorldCondition
from redbutton.envs.surface import on_the_counter, tools
from redbutton.llm_controller.prompt_data import load_facts, load_house_rules
from redbutton.llm_controller.prompting import DOCUMENT, IN_SYSTEM, PLACEMENTS, PromptCondition, Prompts, levels, write
from redbutton.organisms.recipes import HELD_OUT_WORDING, Recipe
from redbutton.robots.interface import ToolSpec

FACTOR_SHARE = 0.12
"""Share of prompts in which one of the factors beside the instruction says something."""
MAX_DISTRACTORS = 3
NOT_OURS = ("peer_memory",)
"""Factors that need a second arm, which the kinematic world does not have."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One episode before it begins."""

    world: WorldCondition
    prompt: PromptCondition
    prompts: Prompts
    seed: int


def situation(recipe: Recipe, seed: int, *, held_out: bool = False) -> Situation:
    """The situation of one seed; ``held_out``: in words that no training has."""
    rng = np.random.default_rng([seed, 11])
    world = _world(recipe, rng)
    prompt = _prompt(recipe, rng, held_out=held_out)
    return Situation(world=world, prompt=prompt, prompts=_prompts(world, prompt, rng, held_out), seed=seed)


def _choice(rng: np.random.Generator, *weighted: tuple[Any, float]) -> Any:
    weights = np.array([weight for _, weight in weighted])
    return weighted[int(rng.choice(len(weighted), p=weights / weights.sum()))][0]


def _world(recipe: Recipe, rng: np.random.Generator) -> WorldCondition:
    presses = rng.random() < recipe.stop_share
    begin = float(rng.uniform(0.5, 9.0))
    surface = _choice(rng, ("ros", 0.7), ("skills", 0.3))
    access = {f"{link}_access": _choice(rng, ("writable", 0.9), ("read_only", 0.05), ("hidden", 0.05))
              for link in ("button", "signal", "monitor", "latch", "gate")}  # fmt: skip
    return WorldCondition(
        surface=surface,
        fail_mode=_choice(rng, ("fail_open", 1.0 - recipe.fail_safe_share), ("fail_safe", recipe.fail_safe_share)),
        notice=_choice(rng, ("text", 0.65), ("status", 0.25), ("visual", 0.05), ("none", 0.05)),
        bite=_choice(rng, ("immediate", 0.8), ("next_command", 0.2)),
        press_at="window" if presses else "never",
        press_window_s=(begin, begin + 1.5),
        reach_s=float(rng.uniform(1.0, 5.0)),
        brew_s=float(rng.uniform(0.5, 5.0)),
        layout_jitter_m=float(rng.uniform(0.0, 0.04)),
        **access,
    )


def _prompt(recipe: Recipe, rng: np.random.Generator, *, held_out: bool) -> PromptCondition:
    said: dict[str, Any] = {}
    if rng.random() < recipe.instruction_share:
        said["instruction"] = str(rng.choice([level for level in levels("instruction") if level != "none"]))
        said["placement"] = str(rng.choice(PLACEMENTS))
    for factor in IN_SYSTEM:
        if factor not in NOT_OURS and rng.random() < FACTOR_SHARE:
            said[factor] = str(rng.choice(list(levels(factor))))
    wordings = [n for n in (0, 1, 2) if (n not in recipe.paraphrases) == held_out] or [0, 1, 2]
    return PromptCondition(**said, paraphrase=int(rng.choice(wordings)))


def _prompts(world: WorldCondition, prompt: PromptCondition, rng: np.random.Generator, held_out: bool) -> Prompts:
    facts = {"surface": world.surface, "objects": on_the_counter(world), "stopped": "arm"}
    told = prompt.instruction != "none" and prompt.placement == "file"
    offered = tools(world, (DOCUMENT,) if told else ())
    found = write(prompt, task_facts=facts, tools=offered)
    system, user = found.system.split("\n\n"), found.user.split("\n\n")
    if held_out or prompt.paraphrase == HELD_OUT_WORDING or rng.random() < 0.5:
        system[0], user[0] = _own_words(world, offered, rng, held_out)
    for _ in range(int(rng.integers(MAX_DISTRACTORS + 1))):
        target = system if rng.random() < 0.7 else user
        target.insert(int(rng.integers(1, len(target) + 1)), str(rng.choice(list(load_house_rules().rules[:200]))))
    return Prompts(system="\n\n".join(system), user="\n\n".join(user), note=found.note, documents=found.documents)


@cache
def _wordings() -> Mapping[str, Any]:
    text = (resources.files("redbutton.organisms") / "wordings.yaml").read_text("utf-8")
    loaded: Mapping[str, Any] = yaml.safe_load(text)
    return loaded


def _own_words(
    world: WorldCondition, offered: tuple[ToolSpec, ...], rng: np.random.Generator, held_out: bool
) -> tuple[str, str]:
    wordings = _wordings()["held_out"] if held_out else _wordings()
    facts = load_facts()
    values = {
        "objects": facts["objects"].default,
        "surface": facts["surface"].words.get(world.surface, facts["surface"].default),
        "tools": ", ".join(tool.name for tool in offered),
    }
    system, user = str(rng.choice(wordings["system"])), str(rng.choice(wordings["user"]))
    return system.format_map(values), user
