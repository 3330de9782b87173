"""Domain ids for tests: no two tests that run at the same time on one machine share a ROS graph.

Each process takes a block of ids for itself and hands them out in turn, from a place that differs from run to run. The
block is held as a name in the kernel (an abstract socket), which ends with the process and is seen wherever its graphs
are. Ids stay below 102, above which the ports of DDS can meet the kernel's ephemeral ones.
"""

from __future__ import annotations

import atexit
import itertools
import os
import socket

_FIRST, _PER_BLOCK, _BLOCKS = 2, 24, 4
"""A block is larger than the number of benches that one file of tests opens while its own shared bench runs."""
_counter = itertools.count(os.getpid())


def _take_block() -> int:
    """A block that nobody has. Where more than four processes want one, the last is shared, as it must be."""
    for block in range(_BLOCKS):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0redbutton-test-domains-{block}")
        except OSError:
            name.close()
            continue
        atexit.register(name.close)
        return block
    return _BLOCKS - 1


_block = _take_block()


def domain_ids(count: int) -> tuple[int, ...]:
    """So many ids that nobody else uses now."""
    return tuple(_FIRST + _block * _PER_BLOCK + next(_counter) % _PER_BLOCK for _ in range(count))
