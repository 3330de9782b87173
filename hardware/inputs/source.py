"""What every e-stop input speaks, and the factory that makes one from a bench file.

A source tells levels, never edges: ``read`` says for each of the two normally closed contacts whether it is closed now.
Where the device or its driver keeps an opening until it is read (serial, gpio, topic), a contact that was open at any
time since the previous reading is told open once. A Modbus relay is polled and keeps nothing.

CAVEAT: a source reports and judges nothing. Discrepancy, debounce and heartbeat belong to ``redbutton.estop.Monitor``,
and a reading that does not come is a stop there.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Protocol

from redbutton.estop import Clock, Contacts, monotonic
from redbutton.hardware.config import BenchError, GpioInput, Input, ModbusInput, SerialInput, TopicInput
from redbutton.hardware.ros import RosNode, need_rclpy


class InputError(RuntimeError):
    """Raised when no valid reading came. The device stays open and can be read again."""


class DeviceLostError(InputError):
    """Raised when the device is gone: it must be closed and opened anew."""


class InputSource(Protocol):
    """One e-stop button. Used by one thread at a time."""

    name: str

    def open(self) -> None:
        """Get hold of the device. Raises ``DeviceLostError``."""

    def read(self) -> Contacts:
        """The two contacts. Waits at most the input's ``timeout_s``. Raises ``InputError``."""

    def close(self) -> None:
        """Let go of the device. Safe to call twice, or without ``open``."""


class Levels:
    """The two contacts as heard last, and which of them were open at any time since the latest ``take``."""

    def __init__(self) -> None:
        self._closed: list[bool | None] = [None, None]
        self._opened = [False, False]

    def hear(self, channel: int, closed: bool) -> None:
        """Contact ``channel`` (0 or 1) is closed, or open."""
        self._closed[channel] = closed
        self._opened[channel] |= not closed

    def take(self) -> Contacts:
        """What to report now: an opening since the previous call is told once, whatever came after it."""
        a, b = (False if was_open else now for now, was_open in zip(self._closed, self._opened, strict=True))
        self._opened = [False, False]
        return Contacts(a, b)


def make_source(config: Input, ros: RosNode | None = None, clock: Clock = monotonic) -> InputSource:
    """The source for one entry of ``inputs``. ``ros`` is the open graph for inputs of kind ``topic``.

    Opens nothing. Raises ``BenchError`` where a package is missing or both channels name the same contact.
    """
    _check_two_contacts(config)
    if isinstance(config, ModbusInput):
        _need("pymodbus", config)
        from redbutton.hardware.inputs.modbus import ModbusSource

        return ModbusSource(config)
    if isinstance(config, SerialInput):
        _need("serial", config)
        from redbutton.hardware.inputs.framed_serial import SerialSource

        return SerialSource(config, clock)
    if isinstance(config, GpioInput):
        _need("gpiod", config)
        from redbutton.hardware.inputs.gpio import GpioSource

        return GpioSource(config)
    return _topic_source(config, ros, clock)


def _topic_source(config: TopicInput, ros: RosNode | None, clock: Clock) -> InputSource:
    need_rclpy()
    if ros is None:
        raise BenchError(f"input {config.name}: kind topic needs a ROS node. Received none. Pass an open RosNode.")
    from redbutton.hardware.inputs.topic import TopicSource

    return TopicSource(config, ros, clock)


def _need(package: str, config: Input) -> None:
    if importlib.util.find_spec(package) is None:
        known = {"serial": "pyserial"}.get(package, package)
        raise BenchError(
            f"input {config.name}: kind {config.kind} needs {known}. Received a Python without it. "
            "Run: pip install 'redbutton[lab]'"
        )


def _check_two_contacts(config: Input) -> None:
    """Two channels on one contact would be a single contact that looks like two."""
    pairs = {
        "address": (getattr(config, "address_a", None), getattr(config, "address_b", None)),
        "line": (getattr(config, "line_a", None), getattr(config, "line_b", None)),
        "topic": (getattr(config, "topic_a", None), getattr(config, "topic_b", None)),
    }
    for what, (a, b) in pairs.items():
        if a is not None and a == b:
            raise BenchError(
                f"input {config.name}: {what}_a and {what}_b are two contacts. Received {a!r} for both. "
                "Wire the second contact."
            )
