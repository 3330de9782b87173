"""Tests of rates: two conditions, a family of comparisons, a ladder of conditions, conditions matched by seed.

Sources: Boschloo, "Raised conditional level of significance for the 2 × 2-table when testing the equality of two
probabilities", Statistica Neerlandica 24 (1970), 1-35; Holm, "A simple sequentially rejective multiple test
procedure", Scandinavian Journal of Statistics 6 (1979), 65-70; Cochran, "Some methods for strengthening the common
χ² tests", Biometrics 10 (1954), 417-451, and Armitage, "Tests for linear trends in proportions and frequencies",
Biometrics 11 (1955), 375-386; McNemar, "Note on the sampling error of the difference between correlated proportions
or percentages", Psychometrika 12 (1947), 153-157.

CAVEAT: a p-value says nothing about the size of an effect; show the interval of the difference beside it. All but
McNemar's test assume independent trials, and his assumes independent pairs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from redbutton.experiments.boschloo import p_value, pmf

Method = Literal["exact", "permutation"]

_MOST_STATES = 2_000_000  # of an exact trend test: about a second
_PERMUTATIONS = 100_000
_SAME = 1e-9  # statistics that differ by less are ties


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A Cochran-Armitage test. ``p`` and ``z`` are ``None`` where nothing can vary: one score, or no or only successes.

    ``z`` is the usual normal statistic, positive where the rate rises with the score.
    """

    z: float | None
    p: float | None
    method: Method

    def to_json(self) -> dict[str, Any]:
        """The three fields as a JSON object."""
        return {"z": self.z, "p": self.p, "method": self.method}


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Matched trials of two conditions, counted by which of the two was a success."""

    both: int
    only_first: int
    only_second: int
    neither: int
    unmatched: int
    """Keys that one of the two conditions lacks; they are in no test."""

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.both + self.only_first + self.only_second + self.neither

    def to_json(self) -> dict[str, int]:
        """The five counts as a JSON object."""
        return {
            "both": self.both,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "neither": self.neither,
            "unmatched": self.unmatched,
        }


def boschloo(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """Two-sided p of Boschloo's exact unconditional test of k1 of n1 against k2 of n2.

    Twice the smaller one-sided p, at most 1. ``None`` where a group is empty. Raises ``ValueError`` on impossible
    counts.
    """
    _check([k1, k2], [n1, n2])
    return p_value(k1, n1, k2, n2) if n1 and n2 else None


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's adjusted p-values, in the order given; compare each with the level of the whole family.

    A comparison that could not be made (``None``) stays ``None`` and still counts in the family: the family was fixed
    before the data were seen. Raises ``ValueError`` for a p outside 0 to 1.
    """
    for p in p_values:
        if p is not None and not 0.0 <= p <= 1.0:
            raise ValueError(f"a p-value lies between 0 and 1. Received {p}")
    made = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(made):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[place] = highest
    return tuple(adjusted)


def pair(first: Mapping[Hashable, bool], second: Mapping[Hashable, bool]) -> Pairs:
    """Match the trials of two conditions by key: a seed, or a tuple such as (seed, paraphrase, controller).

    Strata that share no key may be pooled: each pair is compared with itself only.
    """
    seen = [(first[key], second[key]) for key in first.keys() & second.keys()]
    return Pairs(
        both=seen.count((True, True)),
        only_first=seen.count((True, False)),
        only_second=seen.count((False, True)),
        neither=seen.count((False, False)),
        unmatched=len(first.keys() ^ second.keys()),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test from the two counts of discordant pairs; 1 where there are none.

    Under no difference each discordant pair falls either way with probability 1/2. Raises ``ValueError`` on negative
    counts.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"pairs are counted from 0. Received {only_first} and {only_second}")
    from scipy.special import bdtr

    tail = float(bdtr(min(only_first, only_second), only_first + only_second, 0.5))
    return min(1.0, 2.0 * tail)


def trend(
    successes: Sequence[int], trials: Sequence[int], scores: Sequence[float] | None = None, *, seed: int = 0
) -> Trend:
    """Cochran-Armitage test for a trend of the rate across the rungs of a ladder.

    ``scores`` are the doses; without them the rungs are 0, 1, 2, … Two-sided p given the total of successes: the
    probability of a statistic at least as far from its mean as the one observed. Exact by convolution over the rungs;
    where that would take too long (many rungs of many trials with uneven doses) by 100,000 permutations from
    ``seed``, whose smallest p is 1e-5. Raises ``ValueError`` on impossible counts and uneven lengths.

    CAVEAT: it looks for a straight line against the scores. A rate that rises and falls again shows none, and other
    scores give another p: fix them in the study file.
    """
    doses = [float(rung) for rung in range(len(trials))] if scores is None else [float(s) for s in scores]
    _check(successes, trials)
    if len(doses) != len(trials) or not all(math.isfinite(s) for s in doses):
        raise ValueError(f"a ladder needs one finite score a rung. Received {len(trials)} rungs and scores {doses}")
    n, s, total = np.array(trials, dtype=np.int64), np.array(doses), sum(successes)
    used = s[n > 0]
    if total in (0, int(n.sum())) or len(np.unique(used)) < 2:
        return Trend(z=None, p=None, method="exact")
    # Centred and scaled scores change no p and keep the sums small.
    s = (s - (n @ s) / n.sum()) / np.ptp(used)
    observed, share = float(s @ np.array(successes)), total / float(n.sum())
    z = observed / math.sqrt(share * (1.0 - share) * float(n @ s**2))
    exact = _exact(n, s, total, observed)
    p = _permuted(n, s, total, observed, seed) if exact is None else exact
    return Trend(z=z, p=p, method="permutation" if exact is None else "exact")


def _exact(n: NDArray[np.int64], s: NDArray[np.float64], total: int, observed: float) -> float | None:
    """P(|statistic| >= |observed|) given the total; ``None`` where there are too many states.

    A state is the number of successes so far and the statistic so far. Each rung is weighted by its binomial
    probabilities; given the total, the common rate cancels.
    """
    share = total / float(n.sum())
    counts, sums, weights = np.zeros(1, dtype=np.int64), np.zeros(1), np.ones(1)
    left = int(n.sum())
    for size, score in zip(n[:-1].tolist(), s[:-1].tolist(), strict=True):
        left -= size
        k = np.arange(min(size, total) + 1)
        if len(counts) * len(k) > _MOST_STATES:
            return None
        counts = np.add.outer(counts, k).ravel()
        sums = np.add.outer(sums, score * k).ravel()
        weights = np.multiply.outer(weights, pmf(size, share)[0, k]).ravel()
        possible = (counts <= total) & (counts + left >= total)
        counts, sums, weights = _merge(counts[possible], sums[possible], weights[possible])
    last = total - counts  # the last rung has no choice
    sums, weights = sums + s[-1] * last, weights * pmf(int(n[-1]), share)[0, last]
    far = np.abs(sums) >= abs(observed) - _SAME
    return min(1.0, float(weights[far].sum() / weights.sum()))


def _merge(
    counts: NDArray[np.int64], sums: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """States with the same count and the same sum, but for rounding, become one."""
    keys = counts + 1j * np.rint(sums / _SAME)  # complex numbers sort by their two parts
    kept, where = np.unique(keys, return_index=True, return_inverse=True)[1:]
    merged = np.zeros(len(kept))
    np.add.at(merged, where, weights)
    return counts[kept], sums[kept], merged


def _permuted(n: NDArray[np.int64], s: NDArray[np.float64], total: int, observed: float, seed: int) -> float:
    """Monte Carlo p; the observed table counts as one draw, so that the test keeps its level."""
    draws = np.random.default_rng(seed).multivariate_hypergeometric(n, total, size=_PERMUTATIONS, method="marginals")
    far = np.count_nonzero(np.abs(draws @ s) >= abs(observed) - _SAME)
    return (int(far) + 1) / (_PERMUTATIONS + 1)


def _check(successes: Sequence[int], trials: Sequence[int]) -> None:
    if len(successes) != len(trials):
        raise ValueError(f"a rate needs both counts. Received {len(successes)} successes and {len(trials)} trials")
    for k, n in zip(successes, trials, strict=True):
        if not 0 <= k <= n:
            raise ValueError(f"a rate needs 0 <= k <= n. Received k = {k}, n = {n}")
