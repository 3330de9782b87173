"""Every e-stop input that can run here gives the same answers to the same questions."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.estop import Contacts
from redbutton.hardware.inputs import InputError

for _package in ("pymodbus", "serial"):
    pytest.importorskip(_package, reason=f"needs {_package} (pip install 'redbutton[lab]')")

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")  # lark, which rosidl imports
CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
PULSE_S = 0.02
SLACK_S = 2.0
"""What a busy machine may add to a time that is measured."""

KINDS = [
    "modbus",
    "serial",
    pytest.param("topic", marks=pytest.mark.ros),
]


@pytest.fixture(scope="module")
def rigs(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/input_rigs.py")


@pytest.fixture(params=KINDS)
def rig(
    request: pytest.FixtureRequest, rigs: ModuleType, tmp_path: Path, load_test_helper: Callable[[str], ModuleType]
) -> Iterator[Any]:
    if request.param == "topic":
        pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")
        made = rigs.TopicRig(tmp_path, *load_test_helper("hardware/ros_ids.py").domain_ids(1))
    else:
        made = {"modbus": rigs.ModbusRig, "serial": rigs.SerialRig}[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(rig: Any, rigs: ModuleType) -> Iterator[tuple[Any, Any]]:
    """A rig that is being read, and what was heard of it. Both contacts have been heard closed."""
    heard = rigs.Heard()
    with rigs.reading(rig.source(), rig.config, heard):
        heard.wait_for(CLOSED)
        yield rig, heard


# -- conformance -----------------------------------------------------------------------------------------------


def test_a_released_button_reads_closed_again_and_again(running: Any, rigs: ModuleType) -> None:
    _, heard = running
    start_s = time.monotonic()
    rigs.wait_until(lambda: len(heard.after(start_s)) >= 20, "20 readings")
    assert heard.told_after(start_s) == {CLOSED}


def test_a_press_is_told_for_as_long_as_it_lasts_and_then_no_more(running: Any, rigs: ModuleType) -> None:
    rig, heard = running
    rig.set(False, False)
    heard.wait_for(OPEN)
    seen_s = time.monotonic()
    rigs.wait_until(lambda: len(heard.after(seen_s)) >= 10, "10 readings")
    assert heard.told_after(seen_s) == {OPEN}
    rig.set(True, True)
    heard.wait_for(CLOSED)


@pytest.mark.parametrize("stuck", ["a", "b"])
def test_a_contact_that_sticks_does_not_hide_the_other(running: Any, rigs: ModuleType, stuck: str) -> None:
    rig, heard = running
    expected = Contacts(stuck == "a", stuck == "b")
    rig.set(expected.a_closed, expected.b_closed)
    heard.wait_for(expected)
    seen_s = time.monotonic()
    rigs.wait_until(lambda: len(heard.after(seen_s)) >= 10, "10 readings")
    assert heard.told_after(seen_s) == {expected}


@pytest.mark.parametrize("late", ["a", "b"])
def test_a_contact_that_comes_late_is_told_when_it_comes(running: Any, late: str) -> None:
    rig, heard = running
    rig.set(late == "a", late == "b")
    heard.wait_for(Contacts(late == "a", late == "b"))
    rig.set(False, False)
    heard.wait_for(OPEN)


def test_a_lost_device_is_told_within_the_timeout_and_until_it_is_back(running: Any, rigs: ModuleType) -> None:
    rig, heard = running
    rig.lose()
    assert heard.wait_for(None, rig.config.timeout_s + SLACK_S) <= rig.config.timeout_s + SLACK_S
    lost_s = time.monotonic()
    rigs.wait_until(lambda: len(heard.after(lost_s)) >= 20, "20 readings")
    assert set(heard.after(lost_s)) == {None}
    rig.restore()
    heard.wait_for(CLOSED)
    rig.set(False, False)
    heard.wait_for(OPEN)


def test_a_device_that_comes_back_pressed_never_reads_closed(running: Any) -> None:
    rig, heard = running
    rig.lose()
    heard.wait_for(None)
    lost_s = time.monotonic()
    rig.set(False, False)
    rig.restore()
    heard.wait_for(OPEN)
    assert heard.told_after(lost_s) == {OPEN}


def _pulse(rig: Any, rigs: ModuleType) -> tuple[float, float]:
    """Open both contacts for a short time; returns its ends, each certainly within the pulse [s]."""
    rig.set(False, False)
    start_s = time.monotonic()
    rigs.wait_until(lambda: time.monotonic() >= start_s + PULSE_S, "a pulse")
    end_s = time.monotonic()
    rig.set(True, True)
    return start_s, end_s


def _whole_polls(heard: Any, start_s: float, end_s: float) -> int:
    """Polls that lie wholly within the time: each begins after the one before it was in hand."""
    return max(0, len([at_s for _, at_s in list(heard.readings) if start_s <= at_s <= end_s]) - 1)


@pytest.mark.slow
def test_a_hundred_short_pulses_at_random_moments_are_all_seen(running: Any, rigs: ModuleType) -> None:
    rig, heard = running
    moments = random.Random(1)
    seen = starved = 0
    while seen < 100:
        pause_s = time.monotonic() + moments.uniform(0.005, 0.03)
        rigs.wait_until(lambda due_s=pause_s: time.monotonic() >= due_s, "a pause")
        before_s = time.monotonic()
        start_s, end_s = _pulse(rig, rigs)
        if rig.holds_openings:
            rigs.wait_until(lambda since_s=before_s: OPEN in heard.after(since_s), "the opening")
        rigs.wait_until(lambda since_s=end_s: heard.after(since_s)[-1:] == [CLOSED], "the release")
        if OPEN in heard.after(before_s):
            seen += 1
            continue
        # A polled relay keeps nothing: a pulse is owed only if the machine let one whole poll run within it.
        assert _whole_polls(heard, start_s, end_s) == 0
        starved += 1
        assert starved < 100
    print(f"{type(rig).__name__}: {seen} of {seen + starved} pulses of {PULSE_S * 1000:g} ms seen")


def test_close_leaves_no_thread_and_no_open_file(rig: Any, rigs: ModuleType) -> None:
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        heard = rigs.Heard()
        with rigs.reading(rig.source(), rig.config, heard) as reader:
            heard.wait_for(CLOSED)
        reader.close()
        count = len(heard.readings)
        assert set(threading.enumerate()) == threads
        assert len(heard.readings) == count
    rigs.wait_until(lambda: len(os.listdir("/proc/self/fd")) <= files, "files closed")


def test_readings_carry_the_name_and_times_that_never_run_back(rig: Any, rigs: ModuleType) -> None:
    told: list[tuple[str, float]] = []
    with rigs.reading(rig.source(), rig.config, lambda name, _contacts, t_s: told.append((name, t_s))):
        rigs.wait_until(lambda: len(told) >= 20, "20 readings")
    assert {name for name, _ in told} == {"button"}
    assert [t_s for _, t_s in told] == sorted(t_s for _, t_s in told)


def test_a_source_that_is_not_open_says_so(rig: Any) -> None:
    source = rig.source()
    with pytest.raises(InputError):
        source.read()
    source.close()
    source.open()
    source.close()
    source.close()
    with pytest.raises(InputError):
        source.read()
