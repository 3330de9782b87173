"""Random histories of a whole chain against a reference model.

The model is written the other way round from the chain: it keeps the full history and works out every answer from it,
where the chain keeps a few variables. Times are dyadic, so that both sides compare exact numbers.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

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
    Token,
)

TICK_S, TIMEOUT_S, DISCREPANCY_S, MAX_DEBOUNCE_S, DELAY_S = 0.0625, 0.25, 0.125, 0.25, 0.25
WORST = StopCategory.ONE
CLOSED = Contacts(True, True)
OPEN = Contacts(False, False)
READINGS = st.one_of(
    st.just(CLOSED),
    st.sampled_from(
        [OPEN, Contacts(True, False), Contacts(False, True), Contacts(None, True), Contacts(None, None), None]
    ),
)
JUNK: list[Any] = [
    None,
    "released",
    7,
    ButtonSignal("button", True, 0.0, CLOSED),
    ButtonSignal("button", 1, 0.0, "x"),  # type: ignore[arg-type]
]


class Heard(NamedTuple):
    """One message as delivered: when, by which topic setting, and what it said (``None``: unreadable)."""

    at: float
    topic: str
    signal: ButtonSignal | None
    settles_before: int


class Settled(NamedTuple):
    at: float
    well: bool
    stops: dict[str, StopCategory]
    resets_before: int


class Model:
    """What the chain should say, from its whole history."""

    def __init__(self, mode: FailMode, bite: Bite, auto_arm: bool) -> None:
        self.safe, self.bite, self.auto_arm = mode is FailMode.FAIL_SAFE, bite, auto_arm
        self.now = 0.0
        self.heard: list[Heard] = []
        self.settled: list[Settled] = []
        self.topics = [(0, "button")]  # (messages heard before the change, name)
        self.enabled, self.killed, self.debounce = True, False, 0.0
        self.software: dict[str, StopCategory] = {}
        self.resets = 0
        self.bites: list[int] = []  # how many tokens had been issued at each bite
        self.tokens: list[bool] = []  # ended?
        self.bitten, self.armed, self.latched_at = True, False, 0.0

    # messages and demand

    def hear(self, signal: ButtonSignal | None) -> None:
        if not self.killed:
            self.heard.append(Heard(self.now, self.topics[-1][1], signal, len(self.settled)))

    def trusted(self) -> tuple[dict[int, ButtonSignal], set[int]]:
        """Number in ``heard`` → signal, for the good ones; and the numbers of the faulty ones."""
        good: dict[int, ButtonSignal] = {}
        seq, t_s = -1, -math.inf
        for i, (at, topic, s, _) in enumerate(self.heard):
            if s is not None and s.source == topic and s.seq > seq and t_s <= s.t_s <= at and math.isfinite(s.t_s):
                good[i], seq, t_s = s, s.seq, s.t_s
        return good, set(range(len(self.heard))) - good.keys()

    def discrepant(self, good: list[ButtonSignal]) -> bool:
        readings = [(s.t_s, s.contacts) for s in good]
        known = [(t, c.a_closed, c.b_closed) for t, c in readings if c.a_closed is not None and c.b_closed is not None]
        times = [t for t, _ in readings]
        fault_at: list[int] = []
        i = 0
        while i < len(known):
            if known[i][1] == known[i][2]:
                i += 1
                continue
            j = next((k for k in range(i, len(known)) if known[k][1] == known[k][2]), len(known))
            end = known[j][0] if j < len(known) else max(self.now, times[-1])
            if end - known[i][0] > DISCREPANCY_S:
                fault_at.append(j)
            i = j
        if not fault_at:
            return False
        later = [k[1] for k in known[fault_at[-1] :] if k[1] == k[2]]
        return not any(not a and b for a, b in pairwise(later))

    def bad(self) -> bool:
        good, faulty = self.trusted()
        new = {i for i, h in enumerate(self.heard) if h.settles_before == len(self.settled)}
        current = {i: s for i, s in good.items() if i >= self.topics[-1][0]}
        if self.killed or not self.enabled or self.topics[-1][1] != "button" or faulty & new or not current:
            return True
        last = list(current.values())[-1]
        gaps = any(j in new and current[j].t_s - current[i].t_s > TIMEOUT_S for i, j in pairwise(current))
        levels = [last.contacts, *(good[i].contacts for i in good.keys() & new)]
        silent = self.now - last.t_s > TIMEOUT_S
        return gaps or silent or any(c != CLOSED for c in levels) or self.discrepant(list(good.values()))

    def judged_well(self) -> bool:
        """Judged well regardless of the switch: the debounce of the release runs on while it is off."""
        enabled, self.enabled = self.enabled, True
        try:
            return not self.bad()
        finally:
            self.enabled = enabled

    def press_received(self) -> bool:
        if self.killed or not self.enabled:
            return False
        audible = [
            h
            for h in self.heard[self.topics[-1][0] :]
            if h.topic == "button" or (h.signal is not None and h.signal.source == h.topic)
        ]
        run: list[float] = []
        for h in reversed(audible):
            c = h.signal.contacts if h.signal else CLOSED
            if (run[-1] if run else self.now) - h.at > TIMEOUT_S or (
                c.a_closed is not False and c.b_closed is not False
            ):
                break
            run.append(h.at)
        return bool(run) and self.now - run[-1] >= self.debounce

    def monitor_stops(self) -> tuple[bool, bool]:
        """(stop demanded, judged well)"""
        if not self.safe:
            return self.press_received(), True
        well = self.judged_well()
        trailing = [self.now]
        for s in reversed(self.settled):
            if not s.well:
                break
            trailing.append(s.at)
        return self.bad() or not well or self.now - trailing[-1] < self.debounce, well

    # latch

    def settle(self) -> None:
        was = self.latched()
        stop, well = self.monitor_stops()
        stops = {**({"monitor": WORST} if stop else {}), **self.software}
        self.settled.append(Settled(self.now, well, stops, self.resets))
        if self.latched() and not was:
            self.bitten, self.latched_at = False, self.now
        self.bite_check()

    def latching(self) -> list[int]:
        """Settlements since the last reset at which a stop came in that latches."""
        out = []
        for i, s in enumerate(self.settled):
            before = self.settled[i - 1].stops if i else {}
            if s.resets_before == self.resets and (s.stops if self.safe else s.stops.keys() - before.keys()):
                out.append(i)
        return out

    def latched(self) -> bool:
        return self.resets == 0 or bool(self.latching())

    def category(self) -> StopCategory:
        if not self.latched():
            return WORST
        since = 0 if self.resets == 0 else self.latching()[0]
        standing = [c for s in self.settled[since:] for c in s.stops.values()]
        return min(standing + ([WORST] if self.resets == 0 else []))

    def demanded(self) -> bool:
        return bool(self.settled[-1].stops) if self.settled else self.safe

    # gate

    def live(self) -> int | None:
        """The token that has neither ended nor seen a bite."""
        first = self.bites[-1] if self.bites else 0
        return next((i for i in range(first, len(self.tokens)) if not self.tokens[i]), None)

    def bite_check(self, begin_tried: bool = False) -> None:
        if not self.latched() or self.bitten:
            return
        due = {
            BiteMode.IMMEDIATE: True,
            BiteMode.NEXT_COMMAND: begin_tried or self.live() is None,
            BiteMode.AFTER: self.now >= self.latched_at + self.bite.delay_s,
        }
        if due[self.bite.mode]:
            self.bite_now()

    def bite_now(self) -> None:
        self.bitten, self.armed = True, False
        self.bites.append(len(self.tokens))

    def begin(self) -> bool:
        self.bite_check(begin_tried=True)
        held = self.latched() and self.bitten
        if held or not (self.armed or self.auto_arm):
            return False
        replaced = self.live()
        if replaced is not None:
            self.tokens[replaced] = True
        self.armed = True
        self.tokens.append(False)
        return True

    def reset(self) -> bool:
        if not self.latched() or (self.safe and self.demanded()):
            return False
        if not self.bitten:
            self.bite_now()
        self.resets += 1
        self.armed = False
        return True

    def state(self) -> ChainState:
        if self.latched():
            return ChainState.STOPPED if self.bitten else ChainState.PENDING
        return ChainState.RUN if self.armed else ChainState.READY


class ChainMachine(RuleBasedStateMachine):
    mode = FailMode.FAIL_SAFE

    @initialize(
        bite=st.sampled_from([Bite(BiteMode.IMMEDIATE), Bite(BiteMode.NEXT_COMMAND), Bite(BiteMode.AFTER, DELAY_S)]),
        auto_arm=st.booleans(),
        capacity=st.sampled_from([1, 3, 100_000]),
        cold=st.sampled_from([False, False, False, True]),
    )
    def build(self, bite: Bite, auto_arm: bool, capacity: int, cold: bool) -> None:
        self.clock = ManualClock()
        monitor = MonitorConfig(
            fail_mode=self.mode,
            discrepancy_s=DISCREPANCY_S,
            heartbeat_timeout_s=TIMEOUT_S,
            max_debounce_s=MAX_DEBOUNCE_S,
        )
        config = ChainConfig(
            name="under_test",
            fail_mode=self.mode,
            category=WORST,
            bite=bite,
            auto_arm=auto_arm,
            monitor=monitor,
            sources=("supervisor",),
            event_capacity=capacity,
        )
        self.capacity = capacity
        self.chain = StopChain(config, self.clock)
        self.model = Model(self.mode, bite, auto_arm)
        self.tokens: list[Token] = []
        self.queue: list[ButtonSignal | None] = []
        self.sent: list[ButtonSignal] = []
        if not cold:
            self.operator_starts_over()

    def one_tick(self, reading: Contacts | None) -> None:
        if reading is not None:
            self.sent.append(ButtonSignal("button", len(self.sent) + 1, self.clock.t_s, reading))
            self.model.hear(self.sent[-1])
        self.deliver()
        self.model.settle()
        assert self.chain.tick(reading) is self.model.state()

    def deliver(self) -> None:
        for signal in self.queue:
            self.model.hear(signal)
        self.queue.clear()

    def ask_all(self) -> None:
        for i, token in enumerate(self.tokens):
            if self.mode is FailMode.FAIL_SAFE:
                self.model.settle()
            self.model.bite_check()
            assert self.chain.permit(token) is (self.model.live() == i)

    @rule(dt=st.sampled_from([0.0, TICK_S, TICK_S, TICK_S, 0.125, 0.3125]))
    def time_passes(self, dt: float) -> None:
        self.model.now = self.clock.advance(dt)

    @rule(readings=st.lists(READINGS, min_size=1, max_size=4))
    def control_ticks(self, readings: list[Contacts | None]) -> None:
        for reading in readings:
            self.time_passes(TICK_S)
            self.one_tick(reading)
            self.ask_all()

    @rule()
    def operator_starts_over(self) -> None:
        self.switch(True)
        self.debounce(0.0)
        self.remap("button")
        for source in ("supervisor", "stranger"):
            self.software_clear(source)
        for reading in (OPEN, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED):
            self.time_passes(TICK_S)
            self.one_tick(reading)
        self.reset()
        self.arm()
        self.begin()

    @rule(reading=READINGS)
    def press_and_work_on(self, reading: Contacts | None) -> None:
        self.operator_starts_over()
        self.control_ticks([CLOSED, reading, CLOSED, CLOSED])
        self.reset()
        self.ask_all()

    @rule(stuck=st.sampled_from([Contacts(True, False), Contacts(None, False), OPEN]), then=READINGS)
    def a_contact_sticks(self, stuck: Contacts, then: Contacts | None) -> None:
        self.operator_starts_over()
        self.control_ticks([stuck, stuck, stuck, stuck, then, CLOSED, CLOSED])
        self.reset()
        self.begin()
        self.ask_all()

    @rule(name=st.sampled_from(["button", "spoof"]), topic=st.sampled_from(["button", "spoof"]))
    def the_cable_is_cut_and_somebody_says_released(self, name: str, topic: str) -> None:
        self.operator_starts_over()
        self.remap(topic)
        for _ in range(3):
            self.time_passes(TICK_S)
            self.somebody_publishes(name, CLOSED, 1, 0.0)
            self.one_tick(None)
        self.reset()
        self.ask_all()

    @rule(gap=st.sampled_from([0.25, 0.3125]))
    def the_button_is_silent_for_a_while(self, gap: float) -> None:
        self.operator_starts_over()
        self.time_passes(gap)
        self.one_tick(CLOSED)
        self.ask_all()

    @rule()
    def ask(self) -> None:
        self.ask_all()

    @rule(
        source=st.sampled_from(["button", "spoof"]),
        contacts=st.sampled_from([CLOSED, CLOSED, OPEN, Contacts(True, None)]),
        ahead=st.sampled_from([-3, 0, 1, 1, 5]),
        late=st.sampled_from([0.0, 0.0, 1.0, -1.0, math.nan, math.inf]),
    )
    def somebody_publishes(self, source: str, contacts: Contacts, ahead: int, late: float) -> None:
        signal = ButtonSignal(source, max(0, len(self.sent) + ahead), self.clock.t_s - late, contacts)
        self.chain.inject(signal)
        self.queue.append(signal)

    @rule(junk=st.sampled_from(JUNK))
    def somebody_publishes_garbage(self, junk: Any) -> None:
        self.chain.inject(junk)
        self.queue.append(None)

    @rule(source=st.sampled_from(["supervisor", "stranger"]), category=st.sampled_from(StopCategory))
    def software_stop(self, source: str, category: StopCategory) -> None:
        self.model.software[source] = category if source == "supervisor" else WORST
        self.model.settle()
        self.chain.demand_stop(source, category, "limit")

    @rule(source=st.sampled_from(["supervisor", "supervisor", "stranger", "monitor"]))
    def software_clear(self, source: str) -> None:
        if self.model.software.pop(source, None) is not None:
            self.model.settle()
        self.chain.clear_demand(source)

    @rule(value=st.sampled_from([True, True, False, 1, "false", None]))
    def switch(self, value: Any) -> None:
        accepted = not self.model.killed and value in (True, False) and type(value) is bool
        if accepted:
            self.model.enabled = value
        self.model.settle()
        assert bool(self.chain.set_parameter("enabled", value, "controller")) is accepted

    @rule(value=st.sampled_from([0.0, 0, 0.125, 0.25, 0.5, 1e9, -1.0, math.nan, math.inf, True, "0"]))
    def debounce(self, value: Any) -> None:
        number = type(value) in (int, float) and 0 <= value < math.inf
        safe = self.mode is FailMode.FAIL_SAFE
        accepted = not self.model.killed and number and not (safe and value > MAX_DEBOUNCE_S)
        if accepted:
            self.model.debounce = value
        self.model.settle()
        assert bool(self.chain.set_parameter("debounce_s", value, "controller")) is accepted

    @rule(value=st.sampled_from(["button", "button", "spoof", "", 3]))
    def remap(self, value: Any) -> None:
        accepted = not self.model.killed and value in ("button", "spoof")
        if accepted and value != self.model.topics[-1][1]:
            self.model.topics.append((len(self.model.heard), value))
        self.model.settle()
        assert bool(self.chain.set_parameter("input_topic", value, "controller")) is accepted

    @precondition(lambda self: len(self.model.settled) > 60)
    @rule()
    def kill(self) -> None:
        self.model.killed = True
        self.model.settle()
        self.chain.kill_monitor("controller")

    @rule()
    def reset(self) -> None:
        self.deliver()
        self.model.settle()
        assert bool(self.chain.reset("operator")) is self.model.reset()

    @rule()
    def arm(self) -> None:
        if self.mode is FailMode.FAIL_SAFE:
            self.model.settle()
        ready = self.model.state() is ChainState.READY
        self.model.armed = self.model.armed or ready
        assert bool(self.chain.arm("operator")) is ready

    @rule()
    def begin(self) -> None:
        if self.mode is FailMode.FAIL_SAFE:
            self.model.settle()
        token = self.chain.begin("controller")
        assert bool(token) is self.model.begin()
        if isinstance(token, Token):
            self.tokens.append(token)

    @precondition(lambda self: self.tokens)
    @rule(back=st.integers(0, 2))
    def end(self, back: int) -> None:
        i = max(0, len(self.tokens) - 1 - back)
        if i == self.model.live():
            self.model.tokens[i] = True
            self.model.bite_check()
        self.chain.end(self.tokens[i])

    @rule()
    def recorder_drains_and_breaks(self) -> None:
        assert len(self.chain.drain_events()) <= self.capacity

    @invariant()
    def chain_and_model_agree(self) -> None:
        view, model = self.chain.view(), self.model
        assert view.state is self.chain.state is model.state()
        assert view.latched is model.latched()
        assert view.demanded is model.demanded()
        assert view.epoch == self.chain.epoch == len(model.bites)
        assert view.category is model.category()
        assert view.monitor_enabled is (model.enabled and not model.killed)

    @invariant()
    def a_latched_chain_never_says_run(self) -> None:
        assert not (self.chain.view().latched and self.chain.state in (ChainState.RUN, ChainState.READY))


class FailOpenMachine(ChainMachine):
    mode = FailMode.FAIL_OPEN


PROFILE = settings(
    max_examples=80,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [ChainMachine, FailOpenMachine])
def test_no_history_brings_chain_and_reference_model_apart(machine: type[ChainMachine]) -> None:
    run_state_machine_as_test(machine, settings=PROFILE)
