"""How many trials a difference needs and what a number of trials can show: exact, by enumeration.

The test is Boschloo's (``experiments/boschloo.py``), two-sided. Its critical region is found once for two numbers of
trials and a level; power and type I error are then sums of binomial probabilities over that region, without
simulation. Seed-matched pairs use McNemar's exact test.

Sources: Boschloo, Statistica Neerlandica 24 (1970), 1-35; Mehrotra, Chan and Berger, "A cautionary note on exact
unconditional inference for a difference between two independent binomial proportions", Biometrics 59 (2003),
441-450; Miettinen, "The matched pairs design in the case of all-or-none responses", Biometrics 24 (1968), 339-352;
Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983), 1743-1745.

CAVEAT: trials are taken to be independent and the rates to be true. A plan made with the rates of a pilot study is
an optimist's plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import bdtr, gammaln, ndtri

from redbutton.experiments.boschloo import Counts, Floats, critical_counts, fewer, pmf, region_probability
from redbutton.experiments.rates import jeffreys, wilson

MOST_TRIALS = 1000
"""Trials a condition up to which answers are exact; above it only an approximation is given."""

Agreement = Literal["chance", "most"]
"""How often the two trials of a pair agree: as often as chance has it, or as often as the two rates allow."""

_TIE = 1.0 + 1e-9  # a p-value that equals alpha but for rounding is one of it
_WINDOW = 12  # power saws up and down with n: so many misses in a row end the search for a smaller n


@dataclass(frozen=True, kw_only=True)
class Need:
    """Trials a condition (or pairs) that a difference needs.

    ``power`` is the exact power of that many; ``None`` where more than ``MOST_TRIALS`` are needed and ``n`` is the
    normal approximation.
    """

    n: int
    power: float | None


def power(p1: float, p2: float, n1: int, n2: int, alpha: float = 0.05) -> float:
    """Probability that Boschloo's two-sided test of n1 trials at rate p1 and n2 at p2 finds p <= alpha.

    With ``p1 == p2`` it is the type I error. Raises ``ValueError`` on impossible numbers.
    """
    _check(p1, p2, alpha, n1, n2)
    above = _rejected(p1, p2, n1, n2, alpha / 2)
    below = _rejected(p2, p1, n2, n1, alpha / 2)
    return min(1.0, above + below)


def paired_power(p1: float, p2: float, n: int, alpha: float = 0.05, agreement: Agreement = "chance") -> float:
    """Probability that McNemar's exact two-sided test of n pairs finds p <= alpha.

    Raises ``ValueError`` on impossible numbers.
    """
    _check(p1, p2, alpha, n)
    only_first, only_second = discordance(p1, p2, agreement)
    apart = only_first + only_second
    if apart == 0.0:
        return 0.0
    discordant = np.arange(n + 1)
    cuts = _mcnemar_counts(n, alpha)
    last, share = np.maximum(cuts - 1, 0), only_first / apart
    tails = bdtr(last, discordant, share) + bdtr(last, discordant, 1.0 - share)
    return min(1.0, float(pmf(n, apart)[0] @ np.where(cuts > 0, tails, 0.0)))


def discordance(p1: float, p2: float, agreement: Agreement) -> tuple[float, float]:
    """Probabilities that only the first and that only the second trial of a pair is a success."""
    if agreement == "chance":
        return p1 * (1.0 - p2), p2 * (1.0 - p1)
    return max(p1 - p2, 0.0), max(p2 - p1, 0.0)


@lru_cache(maxsize=1024)
def trials_needed(
    p1: float, p2: float, target: float = 0.8, alpha: float = 0.05, paired: Agreement | None = None
) -> Need:
    """The smallest number of trials a condition whose power reaches ``target``; with ``paired``, of pairs.

    Power is not quite monotone in n: the search ends after twelve misses in a row below its answer.
    Raises ``ValueError`` on impossible numbers and on equal rates, which no number of trials tells apart.
    """
    _check(p1, p2, alpha)
    if p1 == p2:
        raise ValueError(f"a plan needs two different rates. Received {p1} twice")
    if not alpha < target < 1.0:
        raise ValueError(f"power lies above alpha = {alpha} and below 1. Received {target}")
    guess = _approximate(p1, p2, target, alpha, paired)

    def at(n: int) -> float:
        return power(p1, p2, n, n, alpha) if paired is None else paired_power(p1, p2, n, alpha, paired)

    n = None if guess > MOST_TRIALS else _smallest(at, target, guess)
    return Need(n=guess, power=None) if n is None else Need(n=n, power=at(n))


def ruled_out(n: int, alpha: float = 0.05) -> float:
    """The smallest rate that 0 of n rules out: from it on, n trials without a success have probability <= alpha.

    It is ``1 - alpha ** (1 / n)``, about 3/n at alpha = 0.05. One-sided, so below the exact two-sided limit.
    """
    _check(0.0, 1.0, alpha, n)
    return -math.expm1(math.log(alpha) / n)


def rate_width(p: float, n: int, confidence: float = 0.95) -> float:
    """Expected width of the Jeffreys interval of n trials at rate p."""
    _check(p, p, 1.0 - confidence, n)
    limits = [jeffreys(k, n, confidence) for k in range(n + 1)]
    widths = np.array([(i.high or 0.0) - (i.low or 0.0) for i in limits])
    return float(pmf(n, p)[0] @ widths)


def difference_width(p1: float, p2: float, n1: int, n2: int, confidence: float = 0.95) -> float:
    """Expected width of the Newcombe interval of the difference of n1 trials at p1 and n2 at p2."""
    _check(p1, p2, 1.0 - confidence, n1, n2)
    (down1, up1), (down2, up2) = _wilson_arms(n1, confidence), _wilson_arms(n2, confidence)
    widths = np.hypot.outer(down1, up2) + np.hypot.outer(up1, down2)
    return float(pmf(n1, p1)[0] @ widths @ pmf(n2, p2)[0])


def _rejected(p1: float, p2: float, n1: int, n2: int, level: float) -> float:
    """Probability that the first rate is found to be higher."""
    counts = critical_counts(n1, n2, level)
    return float(region_probability(pmf(n1, p1), fewer(n2, p2), counts)[0])


@lru_cache(maxsize=64)
def _mcnemar_counts(n: int, alpha: float) -> Counts:
    """For d = 0 … n discordant pairs: McNemar rejects when one kind counts fewer than this. Shape (n + 1,)."""
    d, k = np.arange(n + 1)[:, None], np.arange(n // 2 + 1)
    logs = gammaln(d + 1) - gammaln(k + 1) - gammaln(np.maximum(d - k, 0) + 1) - d * math.log(2.0)
    doubled = 2.0 * np.cumsum(np.where(k <= d, np.exp(logs), 0.0), axis=1)
    found: Counts = np.count_nonzero(doubled <= alpha * _TIE, axis=1).astype(np.int64)
    return found


def _wilson_arms(n: int, confidence: float) -> tuple[Floats, Floats]:
    """Distances from k/n down and up to Wilson's limits, k = 0 … n."""
    limits = np.array([wilson(k, n, confidence) for k in range(n + 1)])
    rates = np.arange(n + 1) / n
    return rates - limits[:, 0], limits[:, 1] - rates


def _smallest(at: Callable[[int], float], target: float, guess: int) -> int | None:
    low, high = 0, min(guess, MOST_TRIALS)
    while at(high) < target:
        if high == MOST_TRIALS:
            return None
        low, high = high, min(math.ceil(high * 1.1) + 1, MOST_TRIALS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) >= target else (middle, high)
    n = high
    while True:
        below = [m for m in range(n - 1, max(n - 1 - _WINDOW, 0), -1) if at(m) >= target]
        if not below:
            return n
        n = min(below)


def _approximate(p1: float, p2: float, target: float, alpha: float, paired: Agreement | None) -> int:
    """Trials by the normal approximation: Fleiss for two groups, Miettinen for pairs."""
    if paired is None:
        null = (p1 + p2) * (1.0 - (p1 + p2) / 2)
        true = p1 * (1.0 - p1) + p2 * (1.0 - p2)
    else:
        null = sum(discordance(p1, p2, paired))
        true = max(null - (p1 - p2) ** 2, 0.0)
    reach = -float(ndtri(alpha / 2)) * math.sqrt(null) + float(ndtri(target)) * math.sqrt(true)
    ratio = min(abs(reach / (p1 - p2)), 1e9)  # of rates that no study tells apart; the square must not overflow
    return max(1, math.ceil(ratio**2))


def _check(p1: float, p2: float, alpha: float, *trials: int) -> None:
    for p in (p1, p2):
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"a rate lies between 0 and 1. Received {p}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha lies between 0 and 1. Received {alpha}")
    for n in trials:
        if n < 1:
            raise ValueError(f"a condition needs at least one trial. Received {n}")
