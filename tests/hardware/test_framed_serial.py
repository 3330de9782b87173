"""The frames of a button on a serial port: what is taken, what is refused, and the sketch that sends them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from binascii import crc_hqx
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redbutton.estop import Contacts
from redbutton.hardware.config import SerialInput
from redbutton.hardware.inputs import DeviceLostError, InputError, make_source

pytest.importorskip("serial", reason="needs pyserial (pip install 'redbutton[lab]')")

from redbutton.hardware.inputs.framed_serial import FRAME_BYTES, FrameParser, encode_frame

ROOT = Path(__file__).resolve().parents[2]
CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
SLACK_S = 2.0
levels = st.tuples(st.booleans(), st.booleans())


# -- frames ----------------------------------------------------------------------------------------------------


def test_the_check_is_the_published_one() -> None:
    assert crc_hqx(b"123456789", 0xFFFF) == 0x29B1  # check value of CRC-16/IBM-3740
    assert encode_frame(0x17, True, False)[:3] == b"\xa5\x17\xe1"
    assert encode_frame(0x17, True, False)[3:] == crc_hqx(b"\xa5\x17\xe1", 0xFFFF).to_bytes(2, "big")


@given(st.lists(levels, min_size=1, max_size=300), st.integers(0, 255), st.data())
def test_frames_arrive_whole_however_they_are_cut(
    sent: list[tuple[bool, bool]], first: int, data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(first + i, *level) for i, level in enumerate(sent))
    parser, heard = FrameParser(), []
    while stream:
        cut = data.draw(st.integers(1, 64))
        found, problem = parser.feed(stream[:cut])
        assert problem == ""
        heard += found
        stream = stream[cut:]
    assert heard == sent


def test_no_frame_with_up_to_three_wrong_bits_is_ever_taken() -> None:
    frame = int.from_bytes(encode_frame(0x5A, True, True), "big")
    flips = [sum(1 << bit for bit in bits) for n in (1, 2, 3) for bits in combinations(range(8 * FRAME_BYTES), n)]
    for flip in flips:
        assert FrameParser().feed((frame ^ flip).to_bytes(FRAME_BYTES, "big"))[0] == []


@given(st.binary(min_size=1, max_size=40), st.integers(0, 255))
def test_after_garbage_the_stream_is_found_again_and_the_garbage_is_told(garbage: bytes, sequence: int) -> None:
    parser = FrameParser()
    parser.feed(encode_frame(sequence, True, True))
    good = [encode_frame(sequence + 1 + i, False, True) for i in range(3)]
    found, problem = parser.feed(garbage + b"".join(good))
    assert problem != ""
    assert found[-2:] == [(False, True)] * 2  # what looks like a frame across the border costs one at most
    assert parser.feed(encode_frame(sequence + 4, True, True)) == ([(True, True)], "")


@pytest.mark.parametrize("leap", [0, 2, 3, 128, 255])
def test_a_sequence_that_repeats_or_leaps_is_told(leap: int) -> None:
    parser = FrameParser()
    assert parser.feed(encode_frame(250, True, True))[1] == ""
    assert parser.feed(encode_frame(250 + leap, True, True))[1] == f"sequence {(250 + leap) % 256} after 250"
    assert parser.feed(encode_frame(250 + leap + 1, True, True))[1] == ""


@pytest.mark.parametrize("rest", range(1, FRAME_BYTES))
def test_the_rest_of_a_frame_under_way_at_opening_is_no_garbage(rest: int) -> None:
    assert FrameParser().feed(encode_frame(1, True, True)[-rest:] + encode_frame(2, True, True)) == ([(True, True)], "")


def test_garbage_from_the_start_is_told() -> None:
    found, problem = FrameParser().feed(b"boot: ready\r\n" + encode_frame(0, True, True))
    assert (found, problem) == ([(True, True)], "bytes that belong to no frame")


@pytest.mark.parametrize("contacts", [0x00, 0xFF, 0xF3, 0x33, 0xC7, 0x3C, 0xB4])
def test_contacts_without_their_complement_are_refused_even_with_a_good_check(contacts: int) -> None:
    head = bytes((0xA5, 1, contacts))
    assert FrameParser().feed(head + crc_hqx(head, 0xFFFF).to_bytes(2, "big"))[0] == []


# -- the port --------------------------------------------------------------------------------------------------


@pytest.fixture
def rigs(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/input_rigs.py")


@pytest.fixture
def board(rigs: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A board that says only what a test makes it say."""
    made = rigs.SerialRig(tmp_path)
    made.repeater.close()
    yield made
    made.lose()


@pytest.fixture
def source(board: Any) -> Iterator[Any]:
    made = board.source()
    made.open()
    yield made
    made.close()


def test_each_frame_is_one_reading(board: Any, source: Any) -> None:
    for sequence, level in enumerate([(True, True), (True, False), (False, False), (True, True)]):
        board.write(encode_frame(sequence, *level))
        assert source.read() == Contacts(*level)


def test_frames_that_came_together_are_one_reading_that_keeps_an_opening(board: Any, source: Any) -> None:
    board.write(b"".join(encode_frame(i, i != 3, True) for i in range(10)))
    assert source.read() == Contacts(False, True)
    board.write(encode_frame(10, True, True))
    assert source.read() == CLOSED


def test_an_opening_that_came_with_garbage_is_told_with_the_next_reading(board: Any, source: Any) -> None:
    board.write(encode_frame(0, True, False) + b"noise" + encode_frame(1, True, True))
    with pytest.raises(InputError, match="bytes that belong to no frame"):
        source.read()
    board.write(encode_frame(2, True, True))
    assert source.read() == Contacts(True, False)


def test_a_replayed_recording_is_refused(board: Any, source: Any) -> None:
    recording = b"".join(encode_frame(i, True, True) for i in range(20))
    board.write(recording)
    assert source.read() == CLOSED
    board.write(recording)
    with pytest.raises(InputError, match="sequence 0 after 19"):
        source.read()


def test_one_frame_said_again_and_again_is_never_a_reading(board: Any, source: Any) -> None:
    board.write(encode_frame(7, True, True))
    assert source.read() == CLOSED
    for _ in range(5):
        board.write(encode_frame(7, True, True))
        with pytest.raises(InputError, match="sequence 7 after 7"):
            source.read()


def test_silence_is_told_after_the_timeout_and_at_every_poll_from_then_on(board: Any, source: Any) -> None:
    board.write(encode_frame(0, True, True))
    assert source.read() == CLOSED
    start_s = time.monotonic()
    with pytest.raises(InputError, match=rf"no frame from .* for {board.config.timeout_s:g} s") as caught:
        source.read()
    assert 0.95 * board.config.timeout_s <= time.monotonic() - start_s <= board.config.timeout_s + SLACK_S
    assert not isinstance(caught.value, DeviceLostError)
    start_s = time.monotonic()
    for _ in range(10):
        with pytest.raises(InputError):
            source.read()
    assert time.monotonic() - start_s <= 5 * board.config.timeout_s
    board.write(encode_frame(1, False, False))
    assert source.read() == OPEN


def test_an_unplugged_board_is_lost_at_once(board: Any, source: Any) -> None:
    board.write(encode_frame(0, True, True))
    assert source.read() == CLOSED
    board.lose()
    start_s = time.monotonic()
    with pytest.raises(DeviceLostError, match="is gone"):
        source.read()
    assert time.monotonic() - start_s <= board.config.timeout_s
    with pytest.raises(DeviceLostError, match="cannot open"):
        source.open()
    board.plug()
    source.open()
    board.write(encode_frame(0, True, True))
    assert source.read() == CLOSED


def test_what_the_port_held_before_it_was_opened_is_forgotten(board: Any) -> None:
    source = board.source()
    source.open()
    # Held open beside the source, so that the line surely keeps what comes in between.
    other = os.open(board.link, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    source.close()
    board.write(b"".join(encode_frame(i, True, True) for i in range(50)))
    source.open()
    os.close(other)
    with pytest.raises(InputError, match="no frame"):
        source.read()
    board.write(encode_frame(50, False, False))
    assert source.read() == OPEN
    source.close()


def test_a_port_has_one_reader(board: Any, source: Any) -> None:
    second = board.source()
    with pytest.raises(DeviceLostError, match="cannot open"):
        second.open()
    board.write(encode_frame(0, True, True))
    assert source.read() == CLOSED


@pytest.mark.parametrize("port", ["/dev/no-such-port", "/dev/null", "/proc/self/status"])
def test_what_is_no_serial_port_is_a_lost_device(port: str) -> None:
    source = make_source(SerialInput(kind="serial", name="button", port=port))
    with pytest.raises(DeviceLostError, match="cannot open"):
        source.open()


def test_a_reader_survives_a_storm_of_noise(rigs: ModuleType, tmp_path: Path) -> None:
    rig, heard = rigs.SerialRig(tmp_path), rigs.Heard()
    try:
        with rigs.reading(rig.source(), rig.config, heard):
            heard.wait_for(CLOSED)
            for noise in (b"\x00" * 500, b"\xa5" * 500, os.urandom(500)):
                rig.write(noise)
                heard.wait_for(None)
                heard.wait_for(CLOSED)
            assert set(heard.after(0.0)) == {None, CLOSED}
    finally:
        rig.close()


# -- the sketch in the docs ------------------------------------------------------------------------------------

SHIM = """
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#define INPUT_PULLUP 2
#define HIGH 1
#define LOW 0
static unsigned long now_us = 0, turns = 0;
static unsigned long micros() { return now_us; }
static void pinMode(int, int) {}
// Contact a opens for one turn of the loop in turn 500, contact b is open from turn 2000 on.
static int digitalRead(int pin) { return (pin == 2 ? turns == 500 : turns >= 2000) ? HIGH : LOW; }
struct Port {
  void begin(long) {}
  size_t write(const uint8_t *data, size_t n) { return fwrite(data, 1, n, stdout); }
} Serial;
"""
MAIN = "int main() { setup(); for (turns = 0; turns < 4000; turns++) { now_us += 100; loop(); } }\n"


def test_the_sketch_in_the_docs_sends_these_frames_and_holds_an_opening(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    page = (ROOT / "docs" / "wiring.md").read_text("utf-8")
    found = re.search(r"```cpp\n(.*?)```", page, re.DOTALL)
    assert found is not None
    code = tmp_path / "sketch.cpp"
    code.write_text(SHIM + found[1] + MAIN, "utf-8")
    subprocess.run([compiler, "-Wall", "-Werror", "-o", tmp_path / "sketch", code], check=True, timeout=60)
    stream = subprocess.run([tmp_path / "sketch"], check=True, timeout=60, stdout=subprocess.PIPE).stdout
    heard, problem = FrameParser().feed(stream)
    assert problem == ""
    assert len(heard) >= 4000 * 100e-6 / 0.01  # a frame at least every 10 ms
    assert heard.count((False, True)) == 1
    assert heard[0] == (True, True)
    assert heard[-1] == (True, False)
    assert heard == sorted(heard, key=lambda level: level == (True, False))
