from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from redbutton.estop import ButtonSignal, Contacts, FailMode, ManualClock, Monitor, MonitorConfig, StopCategory

CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
SAFE, FREE = FailMode.FAIL_SAFE, FailMode.FAIL_OPEN


class Bench:
    """A monitor with a button that can say anything."""

    def __init__(self, clock: ManualClock, mode: FailMode, **settings: Any) -> None:
        self.clock = clock
        self.monitor = Monitor(MonitorConfig(fail_mode=mode, **settings), clock)
        self.seq = 0

    def say(
        self, contacts: Any = CLOSED, dt: float = 0.05, source: str = "button", seq: Any = None, t: Any = None
    ) -> str:
        self.clock.advance(dt)
        self.seq += 1
        stamp = self.clock.t_s if t is None else t
        self.monitor.receive(ButtonSignal(source, self.seq if seq is None else seq, stamp, contacts))
        return self.reason()

    def reason(self) -> str:
        demand = self.monitor.evaluate()
        assert demand.stop is (demand.reason != "")
        return demand.reason


@pytest.fixture
def safe(clock: ManualClock) -> Bench:
    bench = Bench(clock, SAFE)
    assert bench.say() == ""
    return bench


@pytest.fixture
def free(clock: ManualClock) -> Bench:
    bench = Bench(clock, FREE)
    assert bench.say() == ""
    return bench


# fail-safe


def test_never_heard_is_a_stop(clock: ManualClock) -> None:
    assert Bench(clock, SAFE).reason() == "never_heard"


@pytest.mark.parametrize(
    ("contacts", "reason"),
    [
        (OPEN, "contact_open"),
        (Contacts(False, True), "contact_open"),
        (Contacts(True, False), "contact_open"),
        (Contacts(None, False), "contact_open"),
        (Contacts(None, True), "contact_unknown"),
        (Contacts(True, None), "contact_unknown"),
        (Contacts(None, None), "contact_unknown"),
        (Contacts(1, True), "contact_unknown"),  # type: ignore[arg-type]
    ],
)
def test_anything_but_two_closed_contacts_stops_at_once(safe: Bench, contacts: Contacts, reason: str) -> None:
    assert safe.monitor.set_parameter("debounce_s", 0.2, "controller")
    assert safe.say(contacts) == reason


def test_a_press_between_two_looks_is_not_missed(safe: Bench) -> None:
    safe.seq += 2
    for seq, contacts in ((safe.seq - 1, OPEN), (safe.seq, CLOSED)):
        safe.monitor.receive(ButtonSignal("button", seq, safe.clock.t_s, contacts))
    assert safe.reason() == "contact_open"
    assert safe.reason() == ""


def test_lost_heartbeat_stops_after_the_timeout_and_not_before(safe: Bench) -> None:
    safe.clock.advance(0.1499)
    assert safe.reason() == ""
    safe.clock.advance(0.001)
    assert safe.reason() == "heartbeat_lost"


def test_a_gap_in_the_heartbeat_counts_though_nobody_looked_meanwhile(safe: Bench) -> None:
    assert safe.say(dt=0.2) == "heartbeat_lost"
    assert safe.say() == ""


@pytest.mark.parametrize("seq", [1, 0])
def test_replayed_sequence_stops(safe: Bench, seq: int) -> None:
    assert safe.say(seq=seq) == "sequence"


@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf, 0.5, 99.0])
def test_impossible_time_stamp_stops(safe: Bench, t: float) -> None:
    assert safe.say(t=t) == "time"


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "released",
        ButtonSignal("button", 2, 1.05, "released"),  # type: ignore[arg-type]
        ButtonSignal("button", True, 1.05, CLOSED),
        ButtonSignal("button", -1, 1.05, CLOSED),
        ButtonSignal("button", 2, "now", CLOSED),  # type: ignore[arg-type]
        ButtonSignal(None, 2, 1.05, CLOSED),  # type: ignore[arg-type]
    ],
)
def test_malformed_message_stops_until_a_good_one(safe: Bench, junk: Any) -> None:
    safe.monitor.receive(junk)
    assert safe.reason() == "malformed"
    assert safe.say() == ""


def test_foreign_release_is_a_fault_and_lifts_nothing(safe: Bench) -> None:
    assert safe.say(OPEN) == "contact_open"
    assert safe.say(CLOSED, dt=0.0, source="spoof") == "foreign_source"
    assert safe.reason() == "contact_open"


def test_a_good_message_after_a_bad_one_does_not_hide_it(safe: Bench) -> None:
    safe.monitor.receive(None)  # type: ignore[arg-type]
    assert safe.say() == "malformed"


def test_discrepancy_is_latched_until_both_contacts_were_seen_open_then_closed(safe: Bench) -> None:
    one = Contacts(False, True)
    assert [safe.say(one, dt=0.04) for _ in range(4)] == ["contact_open"] * 3 + ["discrepancy"]
    assert safe.say(CLOSED) == "discrepancy"
    assert safe.say(one) == "discrepancy"
    assert safe.say(CLOSED) == "discrepancy"
    assert safe.say(OPEN) == "discrepancy"
    assert safe.say(CLOSED) == ""


def test_short_disagreement_is_no_discrepancy(safe: Bench) -> None:
    assert safe.say(Contacts(False, True)) == "contact_open"
    assert safe.say(OPEN) == "contact_open"
    assert safe.say(Contacts(True, False)) == "contact_open"
    assert safe.say(CLOSED) == ""


def test_unknown_contacts_do_not_end_a_disagreement(safe: Bench) -> None:
    safe.say(Contacts(False, True))
    safe.say(Contacts(None, None))
    safe.say(Contacts(None, None))
    assert safe.say(CLOSED) == "discrepancy"


def test_debounce_delays_the_release_only(safe: Bench) -> None:
    assert safe.monitor.set_parameter("debounce_s", 0.1, "technician")
    assert safe.say(OPEN) == "contact_open"
    assert [safe.say(dt=0.0625) for _ in range(3)] == ["release_debounce", "release_debounce", ""]


@pytest.mark.parametrize("mode", [SAFE, FREE])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0", None, [0.0]])
def test_debounce_that_is_no_duration_is_refused(clock: ManualClock, mode: FailMode, value: Any) -> None:
    monitor = Bench(clock, mode).monitor
    result = monitor.set_parameter("debounce_s", value, "controller")
    assert not result
    assert "finite number" in result.reason
    assert monitor.parameters()["debounce_s"] == 0.0


def test_long_debounce_is_refused_only_when_fail_safe(safe: Bench, free: Bench) -> None:
    assert "must not exceed 0.2" in safe.monitor.set_parameter("debounce_s", 0.201, "controller").reason
    assert free.monitor.set_parameter("debounce_s", 1e9, "controller").accepted


@pytest.mark.parametrize(
    ("name", "value"), [("enabled", 0), ("enabled", "false"), ("input_topic", ""), ("input_topic", 3)]
)
def test_wrong_types_are_refused_in_both_modes(safe: Bench, free: Bench, name: str, value: Any) -> None:
    for bench in (safe, free):
        before = bench.monitor.parameters()
        assert not bench.monitor.set_parameter(name, value, "controller")
        assert bench.monitor.parameters() == before


def test_unknown_parameter_gets_a_hint(safe: Bench) -> None:
    assert "Did you mean 'debounce_s'" in safe.monitor.set_parameter("debounce", 0.0, "controller").reason
    assert "Known: enabled" in safe.monitor.set_parameter("zzz", 0.0, "controller").reason


def test_disabled_means_stop_when_fail_safe(safe: Bench) -> None:
    assert safe.monitor.set_parameter("enabled", False, "controller")
    assert not safe.monitor.enabled
    assert safe.say() == "disabled"
    assert safe.monitor.set_parameter("enabled", True, "controller")
    assert safe.say() == ""


def test_remapped_means_stop_when_fail_safe_though_the_new_sender_says_released(safe: Bench) -> None:
    assert safe.monitor.set_parameter("input_topic", "spoof", "controller")
    assert safe.say(source="spoof") == "remapped"
    assert safe.monitor.set_parameter("input_topic", "button", "technician")
    assert safe.reason() == "never_heard"
    assert safe.say() == ""


def test_killed_is_for_good(safe: Bench) -> None:
    safe.monitor.kill("controller")
    assert safe.say() == "killed"
    assert not safe.monitor.enabled
    assert "not running" in safe.monitor.set_parameter("enabled", True, "controller").reason
    assert safe.say() == "killed"


@pytest.mark.parametrize("now", [math.nan, math.inf, 0.0])
def test_clock_that_fails_or_runs_back_stops(safe: Bench, now: float) -> None:
    safe.clock.set(now)
    assert safe.reason() == "clock"


def test_demand_carries_the_category_and_is_one_object_while_nothing_changes(clock: ManualClock) -> None:
    monitor = Monitor(MonitorConfig(fail_mode=SAFE, category=StopCategory.ONE), clock)
    assert monitor.evaluate().category is StopCategory.ONE
    assert monitor.evaluate() is monitor.evaluate()


# fail-open


def test_fail_open_stops_only_on_a_press_it_received(free: Bench) -> None:
    assert free.say(OPEN) == "contact_open"
    assert free.say(CLOSED) == ""
    assert free.say(Contacts(True, False)) == "contact_open"
    assert free.say(Contacts(None, None)) == ""


def test_fail_open_takes_silence_and_garbage_for_no_stop(free: Bench, clock: ManualClock) -> None:
    assert Bench(clock, FREE).reason() == ""
    free.clock.advance(10.0)
    assert free.reason() == ""
    free.monitor.receive(None)  # type: ignore[arg-type]
    assert free.reason() == ""


def test_fail_open_believes_the_last_message_whoever_sent_it(free: Bench) -> None:
    free.say(OPEN)
    assert free.say(CLOSED, dt=0.0, source="spoof") == ""
    assert free.say(OPEN, dt=0.0, source="spoof", t=math.nan) == "contact_open"


def test_fail_open_debounce_hides_a_short_press_and_a_long_one_stops(free: Bench) -> None:
    assert free.monitor.set_parameter("debounce_s", 0.1, "controller")
    assert [free.say(OPEN) for _ in range(3)] == ["", "", "contact_open"]
    assert free.say(CLOSED) == ""
    assert free.say(OPEN) == ""


def test_fail_open_forgets_a_press_whose_cable_is_cut(free: Bench) -> None:
    assert free.monitor.set_parameter("debounce_s", 0.2, "controller")
    free.say(OPEN)
    free.clock.advance(0.3)
    assert free.reason() == ""
    assert free.say(OPEN) == ""


@pytest.mark.parametrize("attack", [("enabled", False), ("input_topic", "elsewhere")])
def test_fail_open_is_blinded_by_its_parameters(free: Bench, attack: tuple[str, Any]) -> None:
    assert free.monitor.set_parameter(*attack, "controller")
    assert free.say(OPEN) == ""


def test_fail_open_forgets_a_press_under_way_when_it_is_remapped(free: Bench) -> None:
    assert free.monitor.set_parameter("debounce_s", 0.1, "controller")
    free.say(OPEN)
    assert free.monitor.set_parameter("input_topic", "elsewhere", "controller")
    assert free.say(OPEN, dt=0.12) == ""


def test_fail_open_dies_silently(free: Bench) -> None:
    free.say(OPEN)
    free.monitor.kill("controller")
    assert free.say(OPEN) == ""


# configuration


@pytest.mark.parametrize("name", ["discrepancy_s", "debounce_s", "heartbeat_timeout_s", "max_debounce_s"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "1"])
def test_config_refuses_what_is_no_duration(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite"):
        MonitorConfig(fail_mode=SAFE, **{name: value})


def test_config_is_frozen_and_its_debounce_obeys_the_maximum() -> None:
    with pytest.raises(ValueError, match=r"must not exceed 0\.2"):
        MonitorConfig(fail_mode=SAFE, debounce_s=0.3)
    config = MonitorConfig(fail_mode=FREE, debounce_s=0.3)
    with pytest.raises(FrozenInstanceError):
        config.debounce_s = 0.0  # type: ignore[misc]
