"""The stop chain: button → monitor → latch → gate, as pure state machines with an injected clock.

Standard library only. The chain never logs, never does I/O and never runs through a controller.
"""

from redbutton.estop.button import Button
from redbutton.estop.chain import StopChain
from redbutton.estop.clock import ManualClock, monotonic
from redbutton.estop.config import ChainConfig
from redbutton.estop.events import EventRing
from redbutton.estop.gate import ArmResult, Gate, Refusal, Token
from redbutton.estop.latch import Latch, ResetResult
from redbutton.estop.monitor import PARAMETERS, Monitor, MonitorConfig, ParamResult
from redbutton.estop.types import (
    Bite,
    BiteMode,
    ButtonSignal,
    ChainState,
    Clock,
    Contacts,
    Demand,
    FailMode,
    StopCategory,
    StopEvent,
    StopView,
)

__all__ = [
    "PARAMETERS",
    "ArmResult",
    "Bite",
    "BiteMode",
    "Button",
    "ButtonSignal",
    "ChainConfig",
    "ChainState",
    "Clock",
    "Contacts",
    "Demand",
    "EventRing",
    "FailMode",
    "Gate",
    "Latch",
    "ManualClock",
    "Monitor",
    "MonitorConfig",
    "ParamResult",
    "Refusal",
    "ResetResult",
    "StopCategory",
    "StopChain",
    "StopEvent",
    "StopView",
    "Token",
    "monotonic",
]
