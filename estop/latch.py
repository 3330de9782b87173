"""The latch: merges the demands of all sources and stays latched until a manual reset (ISO 13850, 4.1.4).

The most restrictive wins: one stop outweighs any number of releases, and the lowest stop category counts. It starts
latched, so that switching on is no way out of a stop.

CAVEAT: ``FAIL_OPEN`` carries a common wiring flaw on purpose. It reacts to the edge of a demand, so a reset works while
the button is still down, and nothing latches again until a source demands anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redbutton.estop.clock import monotonic, read
from redbutton.estop.types import Clock, Demand, FailMode, StopCategory


@dataclass(frozen=True)
class ResetResult:
    """Answer to a reset; true when it was accepted."""

    accepted: bool
    reason: str

    def __bool__(self) -> bool:
        return self.accepted


class Latch:
    """Holds a stop. ``sources``: who must report at every update, with the category each was configured with.

    Fail-safe: a source that is missing or unknown counts as a stop of the most restrictive configured category.
    Without ``sources`` anybody may report, and only an empty update counts as missing.
    """

    def __init__(
        self, fail_mode: FailMode, clock: Clock = monotonic, sources: Mapping[str, StopCategory] | None = None
    ) -> None:
        self._safe = fail_mode == FailMode.FAIL_SAFE
        self._clock = clock
        self._known = frozenset(sources or ())
        self._worst = min((sources or {}).values(), default=StopCategory.ZERO)
        self._stopping: frozenset[str] = frozenset()
        self._standing = "never_updated" if self._safe else ""
        self.latched = True
        self.reason = "power_on"
        self.category = self._worst
        self.latched_t_s = read(clock)
        self.epoch = 1
        """How often it has latched; switching on is the first time."""

    @property
    def demanded(self) -> bool:
        """Whether any source demanded a stop at the latest update."""
        return self._standing != ""

    def update(self, demands: Iterable[Demand]) -> None:
        """Take in what every source demands now."""
        stops = self._stops(demands)
        if not stops:
            if self._standing:
                self._standing, self._stopping = "", frozenset()
            return
        worst = min(stops, key=lambda d: d.category)
        self._standing = worst.reason or "unnamed"
        sources = frozenset(d.source for d in stops)
        fresh, self._stopping = (sources if self._safe else sources - self._stopping), sources
        if self.latched:
            self.category = min(self.category, worst.category)
        elif fresh:
            first = next(d for d in stops if d.source in fresh)
            self._close(first.reason or "unnamed", worst.category)

    def _close(self, reason: str, category: StopCategory) -> None:
        self.latched, self.reason, self.category = True, reason, category
        self.latched_t_s = read(self._clock)
        self.epoch += 1

    def _stops(self, demands: Iterable[Demand]) -> list[Demand]:
        stops: list[Demand] = []
        heard: set[str] = set()
        for d in demands:
            if type(d) is not Demand:
                stops += [self._own("malformed_demand")] if self._safe else []
            elif self._known and d.source not in self._known:
                if self._safe or d.stop is True:
                    stops.append(self._own(d.reason if d.stop else "unknown_source", d.source))
            else:
                heard.add(d.source)
                if d.stop is True or (self._safe and d.stop is not False):
                    sound = d.stop is True and type(d.category) is StopCategory
                    stops.append(d if sound else self._own(d.reason, d.source))
        if self._safe and len(heard) < max(1, len(self._known)):
            stops.append(self._own("missing_source"))
        return stops

    def _own(self, reason: str, source: str = "latch") -> Demand:
        return Demand(source, True, self._worst, reason)

    def reset(self, actor: str) -> ResetResult:
        """Open the latch. Refused when nothing is latched and, fail-safe, while any stop is demanded."""
        if not self.latched:
            return ResetResult(False, "nothing is latched")
        if self._safe and self._standing:
            return ResetResult(False, f"a stop is still demanded: {self._standing}. Clear it, then reset again")
        self.latched, self.reason, self.category = False, "", self._worst
        return ResetResult(True, f"reset by {actor}" if type(actor) is str else "reset")
