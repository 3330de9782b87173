"""A button behind a microcontroller that sends framed messages over a serial port.

One frame is five bytes, sent at least every 10 ms (a sketch for the device is in ``docs/wiring.md``):

====  ========  ==================================================================================================
byte  field     value
====  ========  ==================================================================================================
0     start     0xA5
1     sequence  one more with each frame, 0 follows 255
2     contacts  low half: bit 0 contact a, bit 1 contact b, 1 is closed, bits 2 and 3 are 0; high half: its complement
3, 4  check     CRC-16 over bytes 0 to 2, high byte first: polynomial 0x1021, start 0xFFFF (CRC-16/IBM-3740)
====  ========  ==================================================================================================

The device holds an opening until it has been in a frame. Bytes that belong to no frame, and a sequence that repeats or
leaps, are each an ``InputError``; what follows them is read again. Silence beyond ``timeout_s`` is one too.

CAVEAT: a check sum finds accidents, not intent: a device that copies the format is believed. Opening the port restarts
many boards, which then are silent for a second or two: that is a stop, and it needs a reset.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import Any

import serial

from redbutton.estop import Clock, Contacts, monotonic
from redbutton.hardware.config import SerialInput
from redbutton.hardware.inputs.source import DeviceLostError, InputError, Levels

START = 0xA5
FRAME_BYTES = 5
_CRC_START = 0xFFFF


def encode_frame(sequence: int, a_closed: bool, b_closed: bool) -> bytes:
    """One frame, as the device sends it. ``sequence`` counts modulo 256."""
    level = a_closed | b_closed << 1
    head = bytes((START, sequence % 256, level | (level ^ 0xF) << 4))
    return head + crc_hqx(head, _CRC_START).to_bytes(2, "big")


def _decode(frame: bytes) -> tuple[int, bool, bool] | None:
    """Sequence and contacts of one frame, or nothing where any bit of it is wrong."""
    low, high = frame[2] & 0xF, frame[2] >> 4
    if frame[0] != START or low > 3 or low ^ high != 0xF:
        return None
    if crc_hqx(frame[:3], _CRC_START) != int.from_bytes(frame[3:], "big"):
        return None
    return frame[1], bool(low & 1), bool(low & 2)


class FrameParser:
    """Bytes in, contacts out. Finds its way back into the stream after garbage, and tells of it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sequence: int | None = None
        self._skipped = 0

    def feed(self, data: bytes) -> tuple[list[tuple[bool, bool]], str]:
        """Contacts of all whole frames so far, oldest first, and what was wrong (empty: nothing)."""
        self._buffer += data
        found: list[tuple[bool, bool]] = []
        problem = ""
        while len(self._buffer) >= FRAME_BYTES:
            frame = _decode(bytes(self._buffer[:FRAME_BYTES]))
            if frame is None:
                del self._buffer[0]
                self._skipped += 1
                problem = problem or self._garbage()
                continue
            del self._buffer[:FRAME_BYTES]
            problem = problem or self._leap(frame[0])
            self._sequence, self._skipped = frame[0], 0
            found.append(frame[1:])
        return found, problem

    def _garbage(self) -> str:
        """The rest of a frame that was under way when the port was opened is no garbage."""
        if self._sequence is None and self._skipped < FRAME_BYTES:
            return ""
        return "bytes that belong to no frame"

    def _leap(self, sequence: int) -> str:
        if self._sequence is None or sequence == (self._sequence + 1) % 256:
            return ""
        return f"sequence {sequence} after {self._sequence}"


class SerialSource:
    """A button on a serial port."""

    def __init__(self, config: SerialInput, clock: Clock = monotonic) -> None:
        self.name = config.name
        self._config = config
        self._clock = clock
        self._port: Any = None
        self._parser = FrameParser()
        self._levels = Levels()
        self._heard_s = 0.0

    def open(self) -> None:
        """Open the port for this process alone, and forget what it held. Raises ``DeviceLostError``."""
        self.close()
        config = self._config
        try:
            self._port = serial.Serial(config.port, config.baudrate, timeout=config.poll_s, exclusive=True)
            self._port.reset_input_buffer()
        except Exception as exc:  # noqa: BLE001 - OSError, ValueError or termios.error, which is none of them
            self.close()
            raise DeviceLostError(f"{self.name}: cannot open {config.port} ({exc}). Check cable and port.") from None
        self._parser = FrameParser()
        self._heard_s = self._clock()

    def read(self) -> Contacts:
        """Wait for the next frame; frames that came together are told as one reading. Raises ``InputError``."""
        while True:
            frames, problem = self._parser.feed(self._receive())
            now_s = self._clock()
            for contacts in frames:
                self._heard_s = now_s
                for channel, closed in enumerate(contacts):
                    self._levels.hear(channel, closed)
            if problem:  # an opening among these frames is kept for the next valid reading
                raise InputError(f"{self.name}: {problem} from {self._config.port}.")
            if frames:
                return self._levels.take()
            if now_s - self._heard_s >= self._config.timeout_s:
                raise InputError(f"{self.name}: no frame from {self._config.port} for {self._config.timeout_s:g} s.")

    def _receive(self) -> bytes:
        """Whatever has come; waits one poll for a first byte."""
        if self._port is None:
            raise DeviceLostError(f"{self.name}: not open. Call open() first.")
        try:
            first: bytes = self._port.read(1)
            rest: bytes = self._port.read(self._port.in_waiting) if first else b""
        except (OSError, TypeError) as exc:  # SerialException is an OSError
            self.close()
            raise DeviceLostError(f"{self.name}: {self._config.port} is gone ({exc}).") from None
        return first + rest

    def close(self) -> None:
        """Close the port. Safe to call twice."""
        port, self._port = self._port, None
        if port is not None:
            port.close()
