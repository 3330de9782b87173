from __future__ import annotations

import math
from typing import Any

import pytest

from redbutton import estop
from redbutton.estop import Bite, BiteMode, Button, Contacts, EventRing, ManualClock, StopCategory, StopEvent
from redbutton.estop.clock import monotonic, read
from redbutton.estop.events import plain

PRESSED = Contacts(False, False)


def test_button_sends_the_level_again_at_every_call(clock: ManualClock) -> None:
    button = Button("red", clock)
    first, second = button.publish(PRESSED), button.publish(PRESSED)
    assert first is not None
    assert second is not None
    assert (first.source, first.seq, first.t_s, first.contacts) == ("red", 1, 1.0, PRESSED)
    assert (second.seq, second.contacts) == (2, PRESSED)


def test_a_cut_cable_sends_nothing_and_uses_up_no_number(clock: ManualClock) -> None:
    button = Button("red", clock)
    assert button.publish(None) is None
    signal = button.publish(PRESSED)
    assert signal is not None
    assert signal.seq == 1


def test_manual_clock_advances_and_jumps() -> None:
    clock = ManualClock()
    assert clock.advance(0.5) == clock() == 0.5
    clock.set(0.25)
    assert clock() == 0.25


@pytest.mark.parametrize("dt", [-0.1, math.nan, math.inf])
def test_manual_clock_does_not_advance_by_what_is_no_duration(dt: float) -> None:
    with pytest.raises(ValueError, match="finite and >= 0"):
        ManualClock().advance(dt)


def test_a_broken_clock_reads_as_nan() -> None:
    def broken() -> Any:
        raise OSError

    def wordy() -> Any:
        return "noon"

    assert math.isnan(read(broken))
    assert math.isnan(read(wordy))
    assert read(monotonic) <= read(monotonic)


def event(kind: str) -> StopEvent:
    return StopEvent(0.0, "gate", kind)


def test_ring_keeps_the_newest_and_counts_the_lost() -> None:
    ring = EventRing(2)
    for kind in "abc":
        ring.append(event(kind))
    assert ring.lost == 1
    assert [e.kind for e in ring.drain()] == ["b", "c"]
    assert ring.drain() == []
    ring.append(event("d"))
    assert ring.lost == 1


def test_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EventRing(0)


def test_details_are_plain_and_foreign_objects_are_named_without_running_their_code() -> None:
    class Evil:
        def __repr__(self) -> str:
            raise RuntimeError

    assert [plain(v) for v in (None, 1, 0.5, "x", True)] == [None, 1, 0.5, "x", True]
    assert plain(Evil()) == "<Evil>"
    assert plain(StopCategory.ONE) == "<StopCategory>"


def test_bite_refuses_the_wrong_types() -> None:
    with pytest.raises(TypeError, match="BiteMode"):
        Bite("immediate")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="number of seconds"):
        Bite(BiteMode.AFTER, "3")  # type: ignore[arg-type]


def test_category_zero_is_the_most_restrictive() -> None:
    assert min(StopCategory) is StopCategory.ZERO


def test_every_public_name_exists() -> None:
    assert sorted(estop.__all__, key=str.lower) == sorted(set(estop.__all__), key=str.lower)
    assert all(hasattr(estop, name) for name in estop.__all__)
