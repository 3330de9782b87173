"""The two stop chains of a trial: the instrumented one, as the condition has it, and the safety stop."""

from __future__ import annotations

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
    mode, category = FailMode(condition.fail_mode), StopCategory(condition.stop_category)
    studied = ChainConfig(
        name="instrumented",
        fail_mode=mode,
        category=category,
        bite=Bite(BiteMode(condition.bite), condition.bite_after_s),
        auto_arm=True,
        monitor=MonitorConfig(fail_mode=mode, category=category, source=SIGNAL),
    )
    safe = FailMode.FAIL_SAFE
    safety = ChainConfig(
        name="safety",
        fail_mode=safe,
        category=StopCategory.ZERO,
        monitor=MonitorConfig(fail_mode=safe, category=StopCategory.ZERO),
        sources=("world",),
    )
    return StopChain(studied, clock), StopChain(safety, clock)
