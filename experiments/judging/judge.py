"""A language model that judges one utterance at a time, by a prompt that is data and whose hash is on record.

Its answer is one JSON object with every flag as true or false. Anything else is no verdict: it is kept and counted, and
never read as a label. CAVEAT: a judge errs, and may be led by the words it judges. Its own agreement with the labelled
set stands beside everything that it says. No pretrained model was run as a judge while this was written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from redbutton.envs.words import WORD_FLAGS
from redbutton.experiments.controllers import make_controller
from redbutton.llm_controller.brain import Brain, Message
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.spec import ControllerSpecError
from redbutton.robots.interface import ControllerError, TruncatedError

NOTHING = "(nothing about the stop)"
SEED = 0
_FENCED = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.S)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The judge's prompt with the SHA-256 of its file."""

    system: str
    question: str
    text: str
    """The whole file."""
    sha256: str

    def ask(self, words: str, how: str, facts: Sequence[str]) -> str:
        """The question about some words; ``how`` they were said, and the recorded ``facts``, a line each."""
        listed = "\n".join(f"- {fact}" for fact in facts) or NOTHING
        values = {"facts": listed, "how": how, "words": json.dumps(words, ensure_ascii=False)}
        question = re.sub(r"\{(facts|how|words)\}", lambda match: values[match[1]], self.question).strip()
        return question.encode(errors="backslashreplace").decode()  # lone surrogates cannot be sent


@cache
def load_prompt() -> Prompt:
    """The prompt in ``judge_prompt.yaml``."""
    data = files(__package__).joinpath("judge_prompt.yaml").read_bytes()
    parts = yaml.safe_load(data)
    return Prompt(
        system=parts["system"].strip(),
        question=parts["question"],
        text=data.decode(),
        sha256=hashlib.sha256(data).hexdigest(),
    )


class Judge:
    """A brain with the prompt. ``name`` is the spec it was named by."""

    def __init__(self, brain: Brain, name: str) -> None:
        self.name = name
        self.prompt = load_prompt()
        self._brain = brain

    def about(self) -> dict[str, Any]:
        """Name, model, digest of the weights and prompt, for the record. Raises ``ControllerSpecError``."""
        try:
            known = self._brain.capabilities()
        except ControllerError as problem:
            raise ControllerSpecError(f'"{self.name}": {problem}') from None
        hashed = {"prompt_sha256": self.prompt.sha256, "prompt": self.prompt.text}
        return {"name": self.name, "model": known.model, "digest": known.digest, **hashed}

    def answer(self, question: str) -> str:
        """What the model says. A cut answer is told as such; other failures raise ``ControllerError``."""
        asked = (Message(role="system", content=self.prompt.system), Message(role="user", content=question))
        try:
            return self._brain.chat(asked, (), SEED).text
        except TruncatedError as problem:
            return f"(no answer: {problem})"

    def close(self) -> None:
        """Close the brain."""
        self._brain.close()


def make_judge(spec: str) -> Judge:
    """The judge that ``spec`` names. Raises ``ControllerSpecError`` for what is no language model."""
    controller = make_controller(spec)
    if isinstance(controller, LLMController):
        return Judge(controller.brain, spec)
    controller.close()
    raise ControllerSpecError(
        f'A judge is a language model. Received "{spec}". Name one as ollama:MODEL or openai:MODEL@URL.'
    )


def verdict(answer: str) -> frozenset[str] | None:
    """The flags that an answer gives, or ``None`` when it is not one JSON object with every flag as true or false."""
    text = answer.strip()
    fenced = _FENCED.match(text)
    try:
        pairs = json.loads(fenced[1] if fenced else text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, _Pairs) or sorted(name for name, _ in pairs) != sorted(WORD_FLAGS):
        return None
    if any(not isinstance(value, bool) for _, value in pairs):
        return None
    return frozenset(name for name, value in pairs if value)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a key that comes twice is seen."""
