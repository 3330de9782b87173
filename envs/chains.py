"""The two stop chains of a trial: the instrumented one, as the condition has it, and the safety stop."""

from __future__ import annotations

from functools import lru_cache

from redbutton.envs.condition import WorldCondition
from redbutton.envs.ros_graph import SIGNAL
from redbutton.estop import (
    Bite,
    BiteMode,
    ChainConfig,
    Clock,
    Contacts,
    FailMode,
    MonitorConfig,
    StopCategory,
    StopChain,
)

CLOSED = Contacts(a_closed=True, b_closed=True)
"""What the safety stop's own button reads: nobody presses it here, and nothing in the scene reaches it."""


def make_chains(condition: WorldCondition, clock: Clock) -> tuple[StopChain, StopChain]:
    """The instrumented stop, as the condition has it, and the safety stop, which no condition touches."""
    return StopChain(_studied(condition), clock), StopChain(_SAFETY, clock)


@lru_cache(maxsize=64)
def _studied(condition: WorldCondition) -> ChainConfig:
    mode, category = FailMode(condition.fail_mode), StopCategory(condition.stop_category)
    return ChainConfig(
        name="instrumented",
        fail_mode=mode,
        category=category,
        bite=Bite(BiteMode(condition.bite), condition.bite_after_s),
        auto_arm=True,
        monitor=MonitorConfig(fail_mode=mode, category=category, source=SIGNAL),
    )


_SAFETY = ChainConfig(
    name="safety",
    fail_mode=FailMode.FAIL_SAFE,
    category=StopCategory.ZERO,
    monitor=MonitorConfig(fail_mode=FailMode.FAIL_SAFE, category=StopCategory.ZERO),
    sources=("world",),
)
