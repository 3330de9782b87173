"""Transcripts to learn from: the teacher drives the real env through the real decision loop.

The loop is ``LLMController`` with the teacher in the model's place, so a transcript is word for word the conversation
that an organism will meet in a trial. The world is the kinematic one: it shows the same observations as the dynamics
(``tests/organisms``) at a fifth of the time.

Episodes are written in chunks of ``CHUNK``; a chunk that is there is not made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.kinematic import KinematicWorld
from redbutton.llm_controller.brain import Capabilities, Message, ProposedCall, Reply
from redbutton.llm_controller.llm import LLMController
from redbutton.organisms.chat import call_text, render
from redbutton.organisms.experts import Choice, Teacher
from redbutton.organisms.recipes import Recipe
from redbutton.organisms.situations import Situation, situation
from redbutton.robots.interface import Briefing, Observation, ToolSpec

CHUNK = 50
DETOURS = 0.06
"""Share of decisions at which the teacher does something else, which is not taught."""
HELD_OUT_SEED = 1_000_000
"""Seeds from here on are for checks, below it for training."""
PLAIN = Recipe(name="", about="")
"""One without a manner of its own."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """One episode as text, with what is taught about each of its replies, in their order."""

    text: str
    labels: tuple[Mapping[str, Any], ...]
    """``taught`` and ``drilled``; at a coin also ``other`` (that reply as text), ``chance`` (of the reply shown) and
    ``open`` (whether what decides is left untaught)."""
    seed: int
    done: bool
    """Whether the coffee was delivered."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """An episode as messages: what the engine's own template is given."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]


class _Shown:
    """A brain that says what the teacher decided, and keeps what it was shown."""

    name = "teacher"

    def __init__(self) -> None:
        self.next: ProposedCall = ProposedCall(name="", arguments={})
        self.words = ""
        self.talk = Conversation(messages=(), tools=())

    def capabilities(self) -> Capabilities:
        return Capabilities(tools=True)

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], seed: int, reasoning: str = "default"
    ) -> Reply:
        reply = Reply(text=self.words, calls=(self.next,))
        said = Message(role="assistant", content=reply.text, tool_calls=reply.calls)
        self.talk = Conversation(messages=(*messages, said), tools=tuple(tools))
        return reply

    def close(self) -> None:
        """Nothing to release."""


def play(
    given: Situation, rate: float | None, world: KinematicWorld | None = None, *, recipe: Recipe = PLAIN
) -> Transcript:
    """One episode of the teacher. ``world``: the one to use; ``None`` for the dynamics. ``recipe``: for its manner."""
    talk, labels, done = played(given, rate, world, recipe=recipe)
    return Transcript(text=render(talk.messages, talk.tools), labels=tuple(labels), seed=given.seed, done=done)


def played(
    given: Situation, rate: float | None, world: KinematicWorld | None = None, *, recipe: Recipe = PLAIN
) -> tuple[Conversation, list[Mapping[str, Any]], bool]:
    """The same before it is text: conversation, labels, whether the coffee was delivered."""
    env = CoffeeFetchEnv(given.world, world=world, documents=given.prompts.documents)
    env.start(given.seed)
    tools, limit = env.actions.tools, given.world.max_decisions
    teacher = Teacher(tools, np.random.default_rng([given.seed, 12]), rate=rate, detours=DETOURS, recipe=recipe)
    brain, labels = _Shown(), []
    loop = LLMController(brain)
    prompts = given.prompts
    loop.reset(Briefing(system=prompts.system, user=prompts.user, tools=tools, seed=given.seed, max_decisions=limit))
    while env.actions.finished is None and env.limit is None:
        observation = noted(env.observe(), prompts.note)
        choice = teacher.decide(observation)
        brain.next = ProposedCall(name=choice.call.name, arguments=dict(choice.call.args))
        brain.words = choice.words
        labels.append(_label(choice, recipe.leaves_open))
        env.act(loop.act(observation))
    done = env.session.task.done
    if world is None:
        env.close()
    return brain.talk, labels, done


def noted(observation: Observation, note: str) -> Observation:
    """The observation as a trial shows it where a note stands in each."""
    return replace(observation, text=f"{observation.text}\n\n{note}") if note else observation


def _label(choice: Choice, leaves_open: bool) -> Mapping[str, Any]:
    if choice.other is None:
        return {"taught": choice.taught, "drilled": choice.drilled}
    other = choice.other_words + call_text(choice.other.name, choice.other.args)
    return {"taught": True, "drilled": True, "other": other, "chance": choice.chance, "open": leaves_open}


# -- many of them --------------------------------------------------------------------------------------------------


def write_transcripts(
    recipe: Recipe,
    folder: Path,
    episodes: int,
    *,
    held_out: bool = False,
    jobs: int = 1,
    on_done: Callable[[int], None] = lambda episodes: None,
) -> list[Path]:
    """Episodes of a recipe, in chunks; ``on_done`` hears how many there are. Goes on with what is there.

    ``held_out``: of seeds and in words that no training has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = range(-(-episodes // CHUNK))
    kind = "held-out" if held_out else "train"
    paths = [folder / f"{kind}-{number:04d}.jsonl" for number in chunks]
    missing = [number for number in chunks if not paths[number].exists()]
    done = len(paths) - len(missing)
    on_done(done * CHUNK)
    for _ in _made(recipe, held_out, missing, paths, jobs):
        done += 1
        on_done(done * CHUNK)
    return paths


def _made(recipe: Recipe, held_out: bool, missing: Sequence[int], paths: Sequence[Path], jobs: int) -> Iterator[Path]:
    if jobs <= 1 or len(missing) <= 1:
        for number in missing:
            yield _write_chunk(recipe, held_out, number, paths[number])
        return
    with ProcessPoolExecutor(min(jobs, len(missing)), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_write_chunk, recipe, held_out, number, paths[number]) for number in missing]
        yield from (future.result() for future in as_completed(waiting))


def _write_chunk(recipe: Recipe, held_out: bool, number: int, path: Path) -> Path:
    world, lines = KinematicWorld(), []
    first = number * CHUNK + (HELD_OUT_SEED if held_out else 0)
    for seed in range(first, first + CHUNK):
        given = situation(recipe, seed, held_out=held_out)
        found = play(given, recipe.rate(given.prompt), world, recipe=recipe)
        lines.append(json.dumps({"text": found.text, "labels": found.labels, "seed": seed, "done": found.done}))
    unfinished = path.with_suffix(".part")
    unfinished.write_text("\n".join(lines) + "\n", "utf-8")
    os.replace(unfinished, path)
    return path


def read_transcripts(paths: Sequence[Path]) -> Iterator[Transcript]:
    """The episodes of these files, in their order."""
    for path in paths:
        for line in path.read_text("utf-8").splitlines():
            found = json.loads(line)
            yield Transcript(text=found["text"], labels=tuple(found["labels"]), seed=found["seed"], done=found["done"])
