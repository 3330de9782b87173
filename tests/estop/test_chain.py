from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from redbutton.estop import (
    Bite,
    BiteMode,
    ButtonSignal,
    ChainConfig,
    ChainState,
    Contacts,
    FailMode,
    ManualClock,
    MonitorConfig,
    StopCategory,
    StopChain,
    StopEvent,
    Token,
)

CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
SAFE, FREE = FailMode.FAIL_SAFE, FailMode.FAIL_OPEN
Build = Callable[..., StopChain]
Start = Callable[[StopChain], Token]


def told(chain: StopChain) -> list[tuple[str, str]]:
    return [(e.link, e.kind) for e in chain.drain_events()]


@pytest.mark.parametrize("mode", [SAFE, FREE])
def test_a_press_of_one_tick_is_latched_until_reset(
    build: Build, start: Start, clock: ManualClock, mode: FailMode
) -> None:
    chain = build(mode)
    token = start(chain)
    for reading in (OPEN, CLOSED, CLOSED):
        clock.advance(0.05)
        assert chain.tick(reading) is ChainState.STOPPED
        assert not chain.permit(token)
    assert chain.reset("operator")
    assert chain.state is ChainState.READY
    assert not chain.permit(token)
    assert chain.permit(chain.begin("controller"))


@pytest.mark.parametrize(
    "attack",
    [
        lambda c: c.kill_monitor("controller"),
        lambda c: c.set_parameter("enabled", False, "controller"),
        lambda c: c.set_parameter("input_topic", "elsewhere", "controller"),
    ],
)
def test_an_attack_on_the_monitor_stops_at_once_or_frees_as_the_fail_mode_says(
    build: Build, start: Start, clock: ManualClock, attack: Callable[[StopChain], object]
) -> None:
    for mode, runs in ((SAFE, False), (FREE, True)):
        chain = build(mode)
        token = start(chain)
        attack(chain)
        assert chain.state is (ChainState.RUN if runs else ChainState.STOPPED)
        assert chain.permit(token) is runs
        clock.advance(0.05)
        chain.tick(OPEN)
        assert chain.permit(token) is runs


def test_a_flood_of_released_hides_the_press_only_when_fail_open(
    build: Build, start: Start, clock: ManualClock
) -> None:
    for mode, runs in ((SAFE, False), (FREE, True)):
        chain = build(mode)
        token = start(chain)
        clock.advance(0.05)
        for seq in range(1000):
            chain.inject(ButtonSignal("spoof", seq, clock.t_s, CLOSED))
        chain.tick(OPEN)
        assert chain.permit(token) is runs


def test_a_message_published_before_a_reset_is_heard_before_it(build: Build, clock: ManualClock) -> None:
    chain = build()
    chain.tick(CLOSED)
    chain.inject(None)
    assert "malformed" in chain.reset("controller").reason


@pytest.mark.parametrize("mode", [SAFE, FREE])
def test_a_cut_cable_stops_only_when_fail_safe(build: Build, start: Start, clock: ManualClock, mode: FailMode) -> None:
    chain = build(mode)
    token = start(chain)
    for _ in range(4):
        clock.advance(0.05)
        chain.tick(None)
    assert chain.permit(token) is (mode is FREE)


@pytest.mark.parametrize("ask", [lambda c, t: c.permit(t), lambda c, t: c.begin("controller"), lambda c, t: c.arm("x")])
def test_a_caller_that_stops_ticking_is_stopped(
    build: Build, start: Start, clock: ManualClock, ask: Callable[[StopChain, Token], object]
) -> None:
    chain = build()
    token = start(chain)
    clock.advance(0.2)
    assert not ask(chain, token)
    assert chain.state is ChainState.STOPPED


def test_fail_safe_reset_is_refused_while_pressed_and_fail_open_is_not(
    build: Build, start: Start, clock: ManualClock
) -> None:
    for mode, accepted in ((SAFE, False), (FREE, True)):
        chain = build(mode)
        start(chain)
        clock.advance(0.05)
        chain.tick(OPEN)
        assert chain.reset("controller").accepted is accepted
        clock.advance(0.05)
        assert chain.tick(OPEN) is (ChainState.READY if accepted else ChainState.STOPPED)


def test_resetting_a_pending_stop_makes_it_bite_first(build: Build, start: Start, clock: ManualClock) -> None:
    chain = build(FREE, Bite(BiteMode.NEXT_COMMAND))
    token = start(chain)
    clock.advance(0.05)
    assert chain.tick(OPEN) is ChainState.PENDING
    chain.drain_events()
    assert chain.reset("controller")
    assert (chain.state, chain.epoch) == (ChainState.READY, 1)
    assert not chain.permit(token)
    assert told(chain) == [("latch", "reset_accepted"), ("gate", "effective"), ("gate", "epoch"), ("gate", "ready")]


def test_software_sources_stop_at_once_and_clearing_them_starts_nothing(build: Build, start: Start) -> None:
    for mode in (SAFE, FREE):
        chain = build(mode, sources=("guard",))
        token = start(chain)
        chain.demand_stop("guard", StopCategory.ZERO, "too fast")
        assert not chain.permit(token)
        view = chain.view()
        assert (view.reason, view.category, view.demanded) == ("too fast", StopCategory.ZERO, True)
        chain.clear_demand("guard")
        assert chain.state is ChainState.STOPPED
        assert not chain.view().demanded


def test_the_monitors_demand_cannot_be_cleared_as_a_software_source(build: Build) -> None:
    chain = build()
    chain.tick(OPEN)
    chain.demand_stop("monitor", StopCategory.TWO, "decoy")
    chain.clear_demand("monitor")
    assert "contact_open" in chain.reset("controller").reason


def test_a_software_stop_with_nonsense_fields_is_the_most_restrictive_stop(build: Build, start: Start) -> None:
    chain = build(category=StopCategory.ONE, sources=("guard",))
    token = start(chain)
    chain.demand_stop(["x"], None, object())  # type: ignore[arg-type]
    assert not chain.permit(token)
    assert chain.view().category is StopCategory.ONE


class Broken(Exception):
    pass


def explode(*_: Any) -> Any:
    raise Broken


@pytest.mark.parametrize("method", ["evaluate", "receive"])
def test_an_exception_in_the_monitor_is_a_stop_when_fail_safe_only(
    build: Build, start: Start, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    for mode, runs in ((SAFE, False), (FREE, True)):
        chain = build(mode)
        token = start(chain)
        with monkeypatch.context() as patch:
            patch.setattr(chain._monitor, method, explode)
            clock.advance(0.05)
            chain.tick(CLOSED)
            assert chain.permit(token) is runs
        assert ("monitor", "exception") in told(chain)
        clock.advance(0.05)
        chain.tick(CLOSED)
        assert chain.permit(token) is runs


def test_an_exception_on_an_injected_message_is_a_stop(
    build: Build, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = build()
    start(chain)
    chain.inject(None)
    monkeypatch.setattr(chain._monitor, "receive", explode)
    assert chain.tick(None) is ChainState.STOPPED


def test_a_clock_that_fails_is_a_stop(build: Build, start: Start, clock: ManualClock) -> None:
    chain = build()
    token = start(chain)
    clock.set(math.nan)
    assert not chain.permit(token)
    assert math.isnan(chain.drain_events()[-1].t_s)


@pytest.mark.parametrize("reading", ["pressed", 0, (True, True)])
def test_a_reading_of_the_wrong_type_is_a_stop_and_never_an_error(build: Build, start: Start, reading: Any) -> None:
    chain = build()
    start(chain)
    assert chain.tick(reading) is ChainState.STOPPED


# the record


def test_a_recorder_that_never_drains_loses_the_oldest_events_and_never_the_stop(
    build: Build, start: Start, clock: ManualClock
) -> None:
    chain = build(event_capacity=2)
    for _ in range(50):
        clock.advance(0.05)
        token = start(chain)
        chain.tick(OPEN)
        assert not chain.permit(token)
    assert chain.events_lost > 100
    assert told(chain) == [("gate", "effective"), ("gate", "epoch")]


def test_a_ring_that_breaks_costs_events_and_never_the_stop(
    build: Build, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = build()
    token = start(chain)
    monkeypatch.setattr(chain._record.ring, "append", explode)
    assert chain.tick(OPEN) is ChainState.STOPPED
    assert not chain.permit(token)
    assert chain.events_lost == 5


def test_a_consumer_that_raises_leaves_the_chain_as_it_was(build: Build, start: Start) -> None:
    chain = build()
    token = start(chain)

    def consume(events: list[StopEvent]) -> None:
        raise Broken(events[0].kind)

    with pytest.raises(Broken):
        consume(chain.drain_events())
    assert chain.permit(token)
    assert chain.tick(OPEN) is ChainState.STOPPED
    assert ("latch", "latched") in told(chain)


def test_the_record_of_a_press_reads_as_cause_and_effect(build: Build, start: Start, clock: ManualClock) -> None:
    chain = build()
    token = start(chain)
    chain.drain_events()
    for reading in (OPEN, OPEN, CLOSED):
        clock.advance(0.05)
        chain.tick(reading)
    chain.end(token)
    assert told(chain) == [
        ("button", "contact_open"),
        ("monitor", "demand_raised"),
        ("latch", "latched"),
        ("gate", "effective"),
        ("gate", "epoch"),
        ("button", "contact_closed"),
        ("monitor", "demand_cleared"),
    ]


def test_the_record_names_every_act_and_its_actor(build: Build, clock: ManualClock) -> None:
    chain = build(auto_arm=False, sources=("guard",))
    chain.tick(CLOSED)
    chain.arm("controller")
    chain.reset("operator")
    chain.begin("controller")
    chain.arm("operator")
    chain.begin("controller")
    chain.end(chain.begin("controller"))
    chain.set_parameter("debounce_s", 9.0, "controller")
    chain.set_parameter("debounce_s", 0.1, "controller")
    chain.demand_stop("guard", StopCategory.TWO, "limit")
    chain.demand_stop("guard", StopCategory.ZERO, "limit")
    chain.clear_demand("guard")
    chain.clear_demand("guard")
    chain.inject(ButtonSignal("spoof", 1, clock.t_s, CLOSED))
    chain.kill_monitor("controller")
    chain.kill_monitor("controller")
    chain.tick(None)
    acts = [(e.link, e.kind, e.actor) for e in chain.drain_events() if e.actor != "chain"]
    assert acts == [
        ("gate", "arm_refused", "controller"),
        ("latch", "reset_accepted", "operator"),
        ("gate", "begin_refused", "controller"),
        ("gate", "armed", "operator"),
        ("gate", "begun", "controller"),
        ("gate", "replaced", "controller"),
        ("gate", "begun", "controller"),
        ("gate", "ended", "controller"),
        ("monitor", "parameter_refused", "controller"),
        ("monitor", "parameter_set", "controller"),
        ("latch", "demand_raised", "guard"),
        ("latch", "demand_raised", "guard"),
        ("latch", "demand_cleared", "guard"),
        ("signal", "injected", "spoof"),
        ("monitor", "killed", "controller"),
    ]


def test_events_are_json_ready(build: Build, start: Start) -> None:
    chain = build()
    start(chain)
    chain.set_parameter("enabled", object(), "controller")
    chain.demand_stop("guard", StopCategory.ZERO, "limit")
    for event in chain.drain_events():
        json.dumps([event.t_s, event.link, event.kind, dict(event.detail), event.actor], allow_nan=False)


def test_a_steady_chain_makes_no_events(build: Build, start: Start, clock: ManualClock) -> None:
    chain = build()
    token = start(chain)
    chain.drain_events()
    for _ in range(5):
        clock.advance(0.05)
        chain.tick(Contacts(True, True))
        assert chain.permit(token)
    assert chain.drain_events() == []


# view and configuration


def test_the_view_is_a_frozen_snapshot(build: Build, start: Start) -> None:
    chain = build()
    before = chain.view()
    start(chain)
    assert (before.state, before.latched, before.reason) == (ChainState.STOPPED, True, "power_on")
    assert chain.view().state is ChainState.RUN
    with pytest.raises(FrozenInstanceError):
        before.latched = False  # type: ignore[misc]


def test_parameters_are_a_copy(build: Build) -> None:
    chain = build()
    chain.parameters()["enabled"] = False
    assert chain.parameters() == {"enabled": True, "debounce_s": 0.0, "input_topic": "button"}


def test_the_more_restrictive_category_of_chain_and_monitor_holds(build: Build, start: Start) -> None:
    for chain_category, monitor_category in ((0, 2), (2, 0)):
        monitor = MonitorConfig(fail_mode=SAFE, category=StopCategory(monitor_category))
        chain = build(category=StopCategory(chain_category), monitor=monitor)
        start(chain)
        chain.tick(OPEN)
        assert chain.view().category is StopCategory.ZERO


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monitor": MonitorConfig(fail_mode=FREE)}, "must equal fail_mode"),
        ({"sources": ("monitor",)}, "different names"),
        ({"sources": ("a", "a")}, "different names"),
        ({"event_capacity": 0}, "at least 1"),
        ({"category": 3}, "not a valid StopCategory"),
    ],
)
def test_contradicting_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChainConfig(**{"name": "x", "fail_mode": SAFE, "monitor": MonitorConfig(fail_mode=SAFE), **settings})


def test_a_chain_runs_on_the_machines_clock_by_default() -> None:
    chain = StopChain(ChainConfig(name="x", fail_mode=SAFE, auto_arm=True, monitor=MonitorConfig(fail_mode=SAFE)))
    chain.tick(CLOSED)
    assert chain.reset("operator")
    assert chain.begin("controller")
