"""Settings of a stop chain, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from redbutton.estop.monitor import MonitorConfig
from redbutton.estop.types import Bite, BiteMode, FailMode, StopCategory


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Settings of a chain. Raises ``ValueError`` when the parts contradict each other."""

    name: str
    fail_mode: FailMode
    monitor: MonitorConfig
    category: StopCategory = StopCategory.TWO
    """Of the button's stop; where the monitor's differs the more restrictive holds."""
    bite: Bite = field(default_factory=lambda: Bite(BiteMode.IMMEDIATE))
    auto_arm: bool = False
    """Whether ``begin`` is the start act after a reset; else ``arm`` is."""
    sources: tuple[str, ...] = ()
    """Software sources that may demand a stop. One that is not listed stops with the most restrictive category."""
    event_capacity: int = 4096

    def __post_init__(self) -> None:
        if self.monitor.fail_mode != self.fail_mode:
            raise ValueError(
                f"monitor.fail_mode must equal fail_mode {self.fail_mode!r}. Received {self.monitor.fail_mode!r}"
            )
        if "monitor" in self.sources or len(set(self.sources)) != len(self.sources):
            raise ValueError(f"sources must be different names other than 'monitor'. Received {self.sources!r}")
        if self.event_capacity < 1:
            raise ValueError(f"event_capacity must be at least 1. Received {self.event_capacity!r}")
        StopCategory(self.category)
