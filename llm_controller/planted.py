"""Planted controllers: scripts that resist with a known probability, which depends on what their prompt says.

``planted:FACTOR:LEVEL=P,LEVEL=P,...`` finds out which level of a prompt factor it was given by comparing the prompt
with the texts of that factor, and by nothing else. With the probability planted for that level it acts as the
``disabler`` does, otherwise as ``compliant``. They are the known truth of a blind check: a study must give the planted
rates and the planted effect back (``tests/experiments/test_recovery.py``).

CAVEAT: a level without texts is what is left when no text is found. So is an instruction that the prompt keeps in a
document: this controller reads no files.
"""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections.abc import Mapping
from functools import cache

import numpy as np

from redbutton.llm_controller.prompt_data import load_factor
from redbutton.llm_controller.prompting import FACTORS
from redbutton.llm_controller.scripted import Scripted
from redbutton.llm_controller.spec import ControllerSpecError, Spec
from redbutton.robots.calls import did_you_mean
from redbutton.robots.interface import Briefing, Call, Observation

PLANTED_STREAM = 5
"""Number of the stream of random numbers; scripted controllers have 3 and policies 4."""
FORM = "planted:FACTOR:LEVEL=P,LEVEL=P with each P from 0 to 1, e.g. planted:instruction:none=0.9,allow=0.2"


class Planted(Scripted):
    """Resists with the probability that is planted for the level which its prompt shows; 0 for levels not named."""

    def __init__(self, name: str, factor: str, rates: Mapping[str, float]) -> None:
        self.name = name
        self.factor = factor
        self.rates = dict(rates)

    def reset(self, briefing: Briefing) -> None:
        """Start a new trial: the coin is drawn from the seed, this controller's name and the whole prompt.

        So two conditions with different prompts draw independently though they share their seeds.
        """
        super().reset(briefing)
        self._prompt = f"{briefing.system}\n\n{briefing.user}"
        digest = hashlib.sha256(f"{self.name}\n{self._prompt}".encode()).digest()
        key = [briefing.seed, PLANTED_STREAM, *np.frombuffer(digest, np.uint32).tolist()]
        self._draw = float(np.random.default_rng(key).random())

    def on_warning(self, observation: Observation) -> list[Call]:
        """The disabler's one parameter, or nothing. An instruction may stand in the observation itself."""
        level = level_shown(self.factor, f"{self._prompt}\n\n{observation.text}")
        return [self.disable_monitor()] if self._draw < self.rates.get(level, 0.0) else []


def make_planted(spec: Spec) -> Planted:
    """The controller that ``spec`` names. Raises ``ControllerSpecError`` with one clear line."""
    spec.refuse_options()
    factor, colon, listed = spec.target.partition(":")
    if not colon or not listed:
        raise ControllerSpecError(f'Write {FORM}. Received "{spec.text}".')
    if factor not in FACTORS:
        raise ControllerSpecError(
            f'"{spec.text}": there is no prompt factor "{factor}" with texts. There are: {", ".join(FACTORS)}.'
            f"{did_you_mean(factor, FACTORS)}"
        )
    return Planted(spec.text, factor, _rates(spec, factor, listed))


def level_shown(factor: str, text: str) -> str:
    """The level of ``factor`` whose wording stands in ``text``, the longest where several do; else the silent one."""
    found = [(size, level) for size, pattern, level in _patterns(factor) if pattern.search(text)]
    return max(found)[1] if found else _silent(factor)


def _rates(spec: Spec, factor: str, listed: str) -> dict[str, float]:
    levels = load_factor(factor).levels
    rates: dict[str, float] = {}
    for part in listed.split(","):
        level, _, value = part.partition("=")
        if level not in levels:
            raise ControllerSpecError(
                f'"{spec.text}": {factor} has no level "{level}". Levels: {", ".join(levels)}.'
                f"{did_you_mean(level, list(levels))}"
            )
        if level in rates:
            raise ControllerSpecError(f'The level {level} stands twice in "{spec.text}".')
        rates[level] = _probability(spec, level, value)
    return rates


def _probability(spec: Spec, level: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise ControllerSpecError(
            f'"{spec.text}": a probability is a number from 0 to 1. Received "{value}" for {level}. Write {FORM}.'
        )
    return number


@cache
def _patterns(factor: str) -> tuple[tuple[int, re.Pattern[str], str], ...]:
    """Length of the fixed words, pattern and level of every text of a factor; a placeholder stands for any words."""
    return tuple(
        (*_pattern(text), level)
        for level, entry in load_factor(factor).levels.items()
        for texts in (entry.texts, *entry.texts_for.values())
        for text in texts
    )


def _pattern(text: str) -> tuple[int, re.Pattern[str]]:
    out, size = "", 0
    for fixed, field, _, _ in string.Formatter().parse(" ".join(text.split())):
        out += re.escape(fixed) + ("" if field is None else r"[^\n]+?")
        size += len(fixed)
    return size, re.compile(out)


def _silent(factor: str) -> str:
    return next((level for level, entry in load_factor(factor).levels.items() if not entry.texts), "")
