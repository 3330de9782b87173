"""Times from press to standstill, read from events."""

from __future__ import annotations

from typing import Any

import pytest

from redbutton.hardware.timing import timings, too_slow


def event(n: int, at_s: float, kind: str, /, **detail: Any) -> dict[str, Any]:
    return {"n": n, "t_s": at_s, "kind": kind, "detail": detail}


SAFETY = [
    event(1, 10.000, "input_open", name="wall_button", t_s=9.998),
    event(2, 10.001, "stop", reason="wall_button: contact_open"),
    event(3, 10.001, "latched", reason="wall_button: contact_open"),
    event(4, 10.002, "gate_closed", epoch=4),
    event(5, 10.004, "hold_published", cause="wall_button: contact_open"),
    event(6, 10.350, "settled", cause="wall_button: contact_open"),
]


def test_every_link_is_told_in_seconds_after_the_press() -> None:
    (stop,) = timings(SAFETY)
    assert stop == {
        "path": "safety",
        "cause": "wall_button: contact_open",
        "press_s": 9.998,
        "latch_s": pytest.approx(0.003),
        "gate_s": pytest.approx(0.004),
        "hold_s": pytest.approx(0.006),
        "standstill_s": pytest.approx(0.352),
    }


def test_a_stop_without_a_press_counts_from_its_own_latch() -> None:
    (stop,) = timings([event(1, 5.0, "latched", reason="client_lost"), event(2, 5.01, "hold_published")])
    assert (stop["press_s"], stop["latch_s"], stop["hold_s"]) == (5.0, 0.0, pytest.approx(0.01))
    assert stop["standstill_s"] is None


def test_the_press_of_another_input_is_not_the_cause() -> None:
    (stop,) = timings([event(1, 5.0, "input_open", name="red", t_s=5.0), event(2, 5.5, "latched", reason="wall: x")])
    assert stop["press_s"] == 5.5


def test_repeated_holds_count_once_and_two_stops_are_two() -> None:
    again = [event(e["n"] + 10, e["t_s"] + 60.0, e["kind"], **e["detail"]) for e in SAFETY]
    again[0]["detail"]["t_s"] += 60.0
    first, second = timings([*SAFETY, event(7, 10.4, "hold_published"), *again])
    assert first["hold_s"] == second["hold_s"] == pytest.approx(0.006)
    assert second["press_s"] == pytest.approx(69.998)


HOLD = [
    event(1, 100.200, "input_open", name="red_button", t_s=100.198),
    event(2, 100.230, "client_hold", category=2),
    event(3, 100.231, "gate_closed", epoch=2),
    event(4, 100.232, "hold_published", cause="client_hold"),
    event(5, 100.600, "settled", cause="client_hold"),
]


def test_a_hold_of_the_client_is_the_instrumented_path() -> None:
    (stop,) = timings(HOLD)
    assert stop["path"] == "instrumented"
    assert stop["cause"] == "category 2"
    assert stop["hold_s"] == pytest.approx(0.034)
    assert stop["standstill_s"] == pytest.approx(0.402)
    assert stop["latch_s"] is None
    assert stop["gate_s"] is None


def test_latch_and_gate_of_the_instrumented_path_come_from_the_trial() -> None:
    trial = [
        {"type": "stop", "t_s": 0.0, "chain": "instrumented", "link": "latch", "kind": "latched"},
        {"type": "stop", "t_s": 5.228, "chain": "safety", "link": "latch", "kind": "latched"},
        {"type": "stop", "t_s": 5.225, "chain": "instrumented", "link": "latch", "kind": "latched"},
        {"type": "stop", "t_s": 5.226, "chain": "instrumented", "link": "gate", "kind": "effective"},
        {"type": "press", "t_s": 5.225},
    ]
    (stop,) = timings(HOLD, trial, began_s=95.0)
    assert stop["latch_s"] == pytest.approx(0.027)
    assert stop["gate_s"] == pytest.approx(0.028)


def test_a_trial_that_writes_late_is_bounded_by_the_hold_it_sent() -> None:
    stop = {"type": "stop", "t_s": 1.0, "chain": "instrumented"}
    trial = [
        {**stop, "link": "latch", "kind": "latched", "wall_s": 5.228},
        {**stop, "link": "gate", "kind": "effective", "wall_s": 5.300},
        {**stop, "link": "latch", "kind": "latched", "wall_s": 50.0},
    ]
    (found,) = timings(HOLD, trial, began_s=95.0)
    assert found["latch_s"] == pytest.approx(0.030)
    assert found["gate_s"] == found["hold_s"] == pytest.approx(0.034)


def test_an_event_of_long_ago_is_no_press() -> None:
    (stop,) = timings([event(1, 90.0, "input_open", name="red_button", t_s=90.0), *HOLD[1:]])
    assert stop["press_s"] == 100.230


def test_a_hold_after_arming_is_no_part_of_the_stop_before() -> None:
    later = [event(7, 30.0, "armed"), event(8, 30.1, "hold_published", cause="armed"), event(9, 30.2, "settled")]
    later[-1]["detail"]["cause"] = "armed"
    (stop,) = timings([*SAFETY[:-2], *later])
    assert stop["hold_s"] is None
    assert stop["standstill_s"] is None


def test_switching_on_is_no_stop() -> None:
    first = [event(1, 1.0, "latched", reason="power_on"), event(2, 1.0, "hold_published", cause="power_on")]
    assert timings(first) == []


def test_no_event_is_no_stop() -> None:
    assert timings([]) == []
    assert timings([event(1, 1.0, "settled"), event(2, 1.0, "armed")]) == []


def test_what_was_slow_or_never_seen_is_named() -> None:
    (stop,) = timings(SAFETY[:-1])
    assert too_slow(stop, {"latch_s": 0.05, "hold_s": 0.1}) == []
    slow, unseen = too_slow(stop, {"hold_s": 0.001, "standstill_s": 1.0})
    assert slow == "hold: must come within 0.001 s of the press. Received 0.006 s"
    assert unseen.startswith("standstill: must come within 1 s of the press. Received no event")
