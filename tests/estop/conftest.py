from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redbutton.estop import (
    Bite,
    BiteMode,
    ChainConfig,
    ChainState,
    Contacts,
    FailMode,
    ManualClock,
    MonitorConfig,
    StopChain,
    Token,
)

BuildChain = Callable[..., StopChain]
Start = Callable[[StopChain], Token]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1.0)


@pytest.fixture
def build(clock: ManualClock) -> BuildChain:
    def make(mode: FailMode = FailMode.FAIL_SAFE, bite: Bite | None = None, **settings: Any) -> StopChain:
        settings.setdefault("auto_arm", True)
        settings.setdefault("monitor", MonitorConfig(fail_mode=mode))
        bite = bite or Bite(BiteMode.IMMEDIATE)
        return StopChain(ChainConfig(name="under_test", fail_mode=mode, bite=bite, **settings), clock)

    return make


@pytest.fixture
def start(clock: ManualClock) -> Start:
    """Bring a chain into RUN with one command under way."""

    def go(chain: StopChain) -> Token:
        clock.advance(0.05)
        chain.tick(Contacts(True, True))
        assert chain.reset("operator")
        token = chain.begin("controller")
        assert isinstance(token, Token)
        assert chain.state is ChainState.RUN
        return token

    return go
