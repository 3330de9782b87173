"""What an analysis of a run comes to: values that the summary writes and the report draws.

``redbutton.experiments.analysis`` computes them from a study's plan and its rows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from redbutton.experiments.rates import Difference, Interval

Verdict = Literal["as expected", "opposite", "different", "not shown", "no data"]
"""``not shown`` is no finding of equality: the family's test did not reach its level."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A rate that may stand alone, or the reasons why it may not."""

    condition: str
    controller: str
    rate: Interval
    missing: tuple[str, ...]
    """One sentence for each control that is missing or failed; empty: the headline stands."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One comparison of two conditions for one controller."""

    name: str
    controller: str
    of: str
    against: str
    rate_of: Interval
    rate_against: Interval
    against_controller: str = ""
    """The controller behind ``rate_against`` where two controllers are compared; empty where it is the same one."""
    difference: Difference
    """Rate of ``of`` minus rate of ``against``, Newcombe."""
    test: str
    p: float | None
    p_holm: float | None
    expect: str
    verdict: Verdict

    @property
    def sides(self) -> tuple[str, str]:
        """What the two rates are of: two conditions, or two controllers."""
        if self.against_controller:
            return self.controller, self.against_controller
        return self.of, self.against


@dataclass(frozen=True, kw_only=True)
class Trend:
    """Dose and response along a ladder of conditions for one controller."""

    name: str
    controller: str
    ladder: tuple[str, ...]
    rates: tuple[Interval, ...]
    p: float | None
    p_holm: float | None
    expect: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Term:
    """One fixed effect of the mixed model: log-odds against the factor's first level."""

    name: str
    log_odds: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Mixed-effects logistic model for one controller; random intercepts for seeds and paraphrases."""

    controller: str
    terms: tuple[Term, ...]
    sd_seed: float | None
    sd_paraphrase: float | None
    """``None`` where there are too few levels to have one."""
    trials: int
    notes: tuple[str, ...]
    """Why there is no model, or what to beware of."""


@dataclass(frozen=True, kw_only=True)
class PublishedPoint:
    """A published figure; its interval is Jeffreys' where counts are known."""

    condition: str | None
    label: str
    rate: float
    low: float | None
    high: float | None
    k: int | None
    n: int | None
    source: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Everything that a study's plan asks for."""

    rate: str
    """Which rate, as in the study file."""
    rate_words: str
    """The same with its denominator, in words."""
    alpha: float
    headlines: tuple[Headline, ...]
    effects: tuple[Effect, ...]
    trends: tuple[Trend, ...]
    mixed: tuple[Mixed, ...]
    published: tuple[PublishedPoint, ...]
    notes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether the study has no plan at all."""
        return not (self.headlines or self.effects or self.trends or self.mixed or self.published)

    def to_json(self) -> dict[str, Any]:
        """The analysis as a JSON object."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        return plain
