"""Values that pass between the links of the stop chain, and out of it.

Vocabulary of IEC 60204-1 (stop categories) and ISO 13850 (a stop stays latched until a manual reset, and a
reset alone never restarts motion). Everything here is frozen: a reader of the chain cannot change the chain.

CAVEAT: ``source`` and ``actor`` are names, not proofs. Who may use which name is decided by the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Literal

Clock = Callable[[], float]
"""Returns seconds on a clock that never runs backwards; monotonic or simulated."""

Detail = str | float | int | bool | None
Link = Literal["button", "signal", "monitor", "latch", "gate"]


class StopCategory(IntEnum):
    """Stop category of IEC 60204-1; the lower number is the more restrictive."""

    ZERO = 0
    """Power off at once."""
    ONE = 1
    """Ramp down, then power off."""
    TWO = 2
    """Ramp down and hold under power."""


class FailMode(str, Enum):
    """What a stop chain makes of silence, garbage and a dead monitor."""

    FAIL_SAFE = "fail_safe"
    """Each of them stops."""
    FAIL_OPEN = "fail_open"
    """None of them stops: only a press that is positively received does."""


class BiteMode(str, Enum):
    """When a latched stop takes effect on the gate."""

    IMMEDIATE = "immediate"
    NEXT_COMMAND = "next_command"
    AFTER = "after"


class ChainState(str, Enum):
    """State of a whole chain, as the gate applies it."""

    STOPPED = "stopped"
    """A stop is latched and in effect."""
    PENDING = "pending"
    """A stop is latched; the bite policy has not let it take effect yet."""
    READY = "ready"
    """Reset; nothing moves until a new command is begun or the gate is armed."""
    RUN = "run"


@dataclass(frozen=True)
class Bite:
    """Bite policy. ``delay_s`` [s] belongs to ``AFTER``; the gate reads a delay that is not finite as no delay.

    Raises ``TypeError`` for a mode or a delay of the wrong type.
    """

    mode: BiteMode
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.mode, BiteMode):
            raise TypeError(f"mode must be a BiteMode. Received {self.mode!r}. Use one of {list(BiteMode)}")
        if isinstance(self.delay_s, bool) or not isinstance(self.delay_s, (int, float)):
            raise TypeError(f"delay_s must be a number of seconds. Received {self.delay_s!r}")


@dataclass(frozen=True, slots=True)
class Contacts:
    """The two normally closed contacts of the button: both closed is released, ``None`` is unknown."""

    a_closed: bool | None
    b_closed: bool | None


@dataclass(frozen=True, slots=True)
class ButtonSignal:
    """One message of the button: the level of its contacts, with sender, running number and time [s]."""

    source: str
    seq: int
    t_s: float
    contacts: Contacts


@dataclass(frozen=True, slots=True)
class Demand:
    """What one source asks of the latch."""

    source: str
    stop: bool
    category: StopCategory
    reason: str


@dataclass(frozen=True)
class StopEvent:
    """One transition of one link, for the recorder; ``t_s`` is NaN when the clock failed."""

    t_s: float
    link: Link
    kind: str
    detail: Mapping[str, Detail] = field(default_factory=dict)
    actor: str = "chain"


@dataclass(frozen=True)
class StopView:
    """Read-only snapshot for controllers and displays; holding one gives no way back into the chain."""

    state: ChainState
    latched: bool
    demanded: bool
    reason: str
    """Why the stop is latched; empty when none is."""
    epoch: int
    monitor_enabled: bool
    category: StopCategory
