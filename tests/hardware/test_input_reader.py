"""The thread that polls an input: cadence, back-off, and that nothing ends it."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable
from types import ModuleType

import pytest

from redbutton.estop import Contacts
from redbutton.hardware.config import InputTiming
from redbutton.hardware.inputs import DeviceLostError, InputError, InputReader

for _package in ("pymodbus", "serial"):
    pytest.importorskip(_package, reason=f"needs {_package} (pip install 'redbutton[lab]')")

CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
PULSE_S = 0.02
SLACK_S = 2.0
"""What a busy machine may add to a time that is measured."""


@pytest.fixture(scope="module")
def rigs(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/input_rigs.py")


class Script:
    """A source that does what a test says, for what no real device can be made to do."""

    name = "button"

    def __init__(self, read: Callable[[], Contacts], open_error: Exception | None = None) -> None:
        self.read = read
        self.opened: list[float] = []
        self._open_error = open_error

    def open(self) -> None:
        self.opened.append(time.monotonic())
        if self._open_error is not None:
            raise self._open_error

    def close(self) -> None:
        raise OSError("closing failed")


def _closed() -> Contacts:
    return CLOSED


def test_the_cadence_keeps_to_its_deadlines_without_bursts(rigs: ModuleType) -> None:
    medians = []
    for _ in range(12):  # a machine that is taken wakes every thread late, for a while
        heard, timing = rigs.Heard(), InputTiming(name="button", poll_s=0.01)
        with rigs.reading(Script(_closed), timing, heard):
            rigs.wait_until(lambda heard=heard: len(heard.readings) >= 100, "100 readings")
        times = [t_s for _, t_s in heard.readings][:100]
        assert times[-1] - times[0] >= 98 * timing.poll_s  # never faster than asked
        medians.append(statistics.median(b - a for a, b in itertools.pairwise(times)))
        if medians[-1] == pytest.approx(timing.poll_s, rel=0.2):
            return
    pytest.fail(f"the cadence drifts: a drift shows in every gap, and the median gaps are {medians}")


def test_a_lost_device_is_tried_again_with_bounded_back_off(rigs: ModuleType) -> None:
    source = Script(_closed, DeviceLostError("gone"))
    heard, timing = rigs.Heard(), InputTiming(name="button")
    with rigs.reading(source, timing, heard) as reader:
        rigs.wait_until(lambda: len(source.opened) >= 7, "7 tries")
        assert reader.reason == "OSError: closing failed"
    gaps = [b - a for a, b in itertools.pairwise(source.opened)]
    assert all(gap >= floor for gap, floor in zip(gaps, (0.045, 0.095, 0.195, 0.395, 0.495, 0.495), strict=False)), gaps
    assert gaps[5] <= 0.5 + SLACK_S
    assert len(heard.readings) > 100  # it went on saying that there is nothing
    assert set(heard.after(0.0)) == {None}


def test_a_device_that_opens_but_never_answers_is_not_hammered(rigs: ModuleType) -> None:
    def lost() -> Contacts:
        raise DeviceLostError("no answer")

    source, heard = Script(lost), rigs.Heard()
    with rigs.reading(source, InputTiming(name="button"), heard):
        rigs.wait_until(lambda: len(source.opened) >= 5, "5 tries")
    assert source.opened[4] - source.opened[3] >= 0.35


def test_a_bad_reading_does_not_open_the_device_anew(rigs: ModuleType) -> None:
    def garbage() -> Contacts:
        raise InputError("garbage")

    source, heard = Script(garbage), rigs.Heard()
    with rigs.reading(source, InputTiming(name="button"), heard) as reader:
        rigs.wait_until(lambda: len(heard.readings) >= 50, "50 readings")
        assert reader.reason == "garbage"
    assert len(source.opened) == 1
    assert set(heard.after(0.0)) == {None}


def test_neither_a_broken_source_nor_a_broken_sink_ends_the_thread(rigs: ModuleType) -> None:
    calls = {"reads": 0, "sinks": 0}

    def broken_at_first() -> Contacts:
        calls["reads"] += 1
        if calls["reads"] == 1:
            raise ZeroDivisionError("a bug")
        return CLOSED

    def sink(_name: str, _contacts: Contacts | None, _t_s: float) -> None:
        calls["sinks"] += 1
        raise ValueError("another")

    with rigs.reading(Script(broken_at_first), InputTiming(name="button"), sink) as reader:
        rigs.wait_until(lambda: calls["reads"] >= 5, "more readings")
        rigs.wait_until(lambda: calls["sinks"] >= 5, "more calls")
        assert reader.reason == "the sink raised ValueError: another"


def test_a_reader_can_be_closed_before_it_starts_and_by_its_own_sink(rigs: ModuleType) -> None:
    InputReader(Script(_closed), InputTiming(name="button"), rigs.Heard()).close()
    closing: list[InputReader] = []

    def sink(_name: str, _contacts: Contacts | None, _t_s: float) -> None:
        closing[0].close()

    closing.append(InputReader(Script(_closed), InputTiming(name="button"), sink))
    closing[0].start()
    rigs.wait_until(lambda: not any(t.name == "input-button" for t in threading.enumerate()), "the end")
