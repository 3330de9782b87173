"""The Jeffreys interval of a rate.

Source: Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16 (2001).

CAVEAT: it knows of episodes, not of seeds. Episodes of one trained agent share that agent: where seeds differ, the
interval of the pooled rate is too narrow, and the rates of the seeds say more.
"""

from __future__ import annotations


def jeffreys(k: int, n: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Limits for k of n: quantiles of Beta(k + 1/2, n - k + 1/2), 0 at k = 0 and 1 at k = n. ``None`` for n = 0.

    Raises ``ValueError`` for impossible counts.
    """
    if not 0 <= k <= n:
        raise ValueError(f"a rate needs 0 <= k <= n. Received k = {k}, n = {n}")
    if n == 0:
        return None
    from scipy.special import betaincinv  # the quantile of scipy.stats.beta, at a tenth of its import time

    tail = (1.0 - confidence) / 2.0
    a, b = k + 0.5, n - k + 0.5
    return (0.0 if k == 0 else float(betaincinv(a, b, tail)), 1.0 if k == n else float(betaincinv(a, b, 1.0 - tail)))
