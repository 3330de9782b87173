"""Domain ids for tests: no two tests that run at the same time share a ROS graph.

Each worker of pytest-xdist has a range of its own, and a test takes the next ones in it, from a place that differs from
run to run. Ids stay below 102, above which the ports of DDS can meet the kernel's ephemeral ones.
"""

from __future__ import annotations

import itertools
import os

_FIRST, _PER_WORKER = 2, 45
_counter = itertools.count(os.getpid())


def domain_ids(count: int) -> tuple[int, ...]:
    """So many ids that nobody else uses now."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    return tuple(_FIRST + worker * _PER_WORKER + next(_counter) % _PER_WORKER for _ in range(count))
