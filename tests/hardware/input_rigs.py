"""Real e-stop buttons for tests: a Modbus relay, a microcontroller on a pseudo terminal, a publisher of two topics.

Each rig is one button whose contacts a test can move, whose cable it can pull, and for which it can make a source.
"""

from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from redbutton.estop import Contacts
from redbutton.hardware.config import Input, ModbusInput, SerialInput, TopicInput
from redbutton.hardware.inputs import InputReader, InputSource, make_source
from redbutton.hardware.inputs.framed_serial import encode_frame
from redbutton.hardware.relay import Relay

CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
FRAME_PERIOD_S = 0.005
WAIT_S = 30.0
TIMEOUT_S = 1.0
"""So long that a busy machine does not lose a device that is there."""


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.001)


class Heard:
    """A sink that keeps every reading."""

    def __init__(self) -> None:
        self.readings: list[tuple[Contacts | None, float]] = []

    def __call__(self, _name: str, contacts: Contacts | None, t_s: float) -> None:
        self.readings.append((contacts, t_s))

    def after(self, t_s: float) -> list[Contacts | None]:
        return [contacts for contacts, at_s in list(self.readings) if at_s > t_s]

    def told_after(self, t_s: float) -> set[Contacts]:
        """The different readings, leaving out those that did not come."""
        return {contacts for contacts in self.after(t_s) if contacts is not None}

    def wait_for(self, contacts: Contacts | None, timeout_s: float = WAIT_S) -> float:
        """Wait for such a reading from now on; returns how long it took [s]."""
        start_s, first = time.monotonic(), len(self.readings)
        wait_until(lambda: contacts in [c for c, _ in self.readings[first:]], f"a reading {contacts}", timeout_s)
        return next(at_s for c, at_s in self.readings[first:] if c == contacts) - start_s


@contextmanager
def reading(source: InputSource, config: Input, sink: Any) -> Iterator[InputReader]:
    """A reader that runs for the length of a block."""
    reader = InputReader(source, config, sink)
    reader.start()
    try:
        yield reader
    finally:
        reader.close()


class Repeater:
    """A device that says its level again and again, and holds an opening until it has been said."""

    def __init__(self, say: Callable[[bool, bool], None], period_s: float = FRAME_PERIOD_S) -> None:
        self._say = say
        self._period_s = period_s
        self._lock = threading.Lock()
        self._closed = [True, True]
        self._opened = [False, False]
        self._ended = threading.Event()
        self.speaking = threading.Event()
        self.speaking.set()
        self._thread = threading.Thread(target=self._run, name="rig", daemon=True)
        self._thread.start()

    def set(self, a: bool, b: bool) -> None:
        with self._lock:
            self._closed = [a, b]
            self._opened = [was or not now for was, now in zip(self._opened, self._closed, strict=True)]

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            if not self.speaking.is_set():
                continue
            with self._lock:
                a, b = (now and not was for now, was in zip(self._closed, self._opened, strict=True))
                self._opened = [not now for now in self._closed]
            self._say(a, b)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


class ModbusRig:
    """The red button of a relay."""

    holds_openings = False

    def __init__(self, _folder: Path) -> None:
        self.relay = Relay()
        self.relay.start()
        self.config = ModbusInput(
            kind="modbus",
            name="button",
            host="127.0.0.1",
            port=self.relay.port,
            address_a=2,
            address_b=3,
            timeout_s=TIMEOUT_S,
        )

    def source(self) -> InputSource:
        return make_source(self.config)

    def set(self, a: bool, b: bool) -> None:
        if a == b:
            (self.relay.release if a else self.relay.press)("red")
        else:
            self.relay.set_channel("red", "a", a)
            self.relay.set_channel("red", "b", b)

    def lose(self) -> None:
        self.relay.stop()

    def restore(self) -> None:
        self.relay.start()

    def close(self) -> None:
        self.relay.stop()


class SerialRig:
    """A board on a pseudo terminal, behind a link like those of /dev/serial/by-id."""

    holds_openings = True

    def __init__(self, folder: Path) -> None:
        self.link = folder / "ttyBUTTON"
        self._lock = threading.Lock()
        self._master: int | None = None
        self._sequence = 0
        self.plug()
        self.repeater = Repeater(self._say)
        self.config = SerialInput(kind="serial", name="button", port=str(self.link), timeout_s=TIMEOUT_S)

    def plug(self) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        os.close(slave)
        os.set_blocking(master, False)
        with self._lock:
            self._master = master

    def _say(self, a: bool, b: bool) -> None:
        self._sequence += 1
        self.write(encode_frame(self._sequence, a, b))

    def write(self, data: bytes) -> None:
        with self._lock:
            if self._master is not None:
                with suppress(BlockingIOError):  # nobody reads: the line is full
                    os.write(self._master, data)

    def source(self) -> InputSource:
        return make_source(self.config)

    def set(self, a: bool, b: bool) -> None:
        self.repeater.set(a, b)

    def lose(self) -> None:
        with self._lock:
            master, self._master = self._master, None
            if master is not None:
                os.close(master)

    def restore(self) -> None:
        self.plug()

    def close(self) -> None:
        self.repeater.close()
        self.lose()


class TopicRig:
    """A node that publishes two levels, and the graph in which a source can hear it."""

    holds_openings = True

    def __init__(self, _folder: Path, domain_id: int) -> None:
        from redbutton.hardware.ros import RosNode, level_qos, message_type

        self._bool = message_type("std_msgs/msg/Bool")
        with ExitStack() as stack:
            self.device = stack.enter_context(RosNode("button", domain_id))
            self.ros = stack.enter_context(RosNode("listener", domain_id))
            self._stack = stack.pop_all()
        self.publishers = [
            self.device.node.create_publisher(self._bool, topic, level_qos(50)) for topic in ("/button/a", "/button/b")
        ]
        self.config = TopicInput(
            kind="topic", name="button", topic_a="/button/a", topic_b="/button/b", timeout_s=TIMEOUT_S
        )
        self.repeater = Repeater(self.say)

    def say(self, *levels: bool) -> None:
        for publisher, level in zip(self.publishers, levels, strict=False):
            publisher.publish(self._bool(data=level))

    def source(self) -> InputSource:
        return make_source(self.config, self.ros)

    def set(self, a: bool, b: bool) -> None:
        self.repeater.set(a, b)

    def lose(self) -> None:
        self.repeater.speaking.clear()

    def restore(self) -> None:
        self.repeater.speaking.set()

    def close(self) -> None:
        self.repeater.close()
        self._stack.close()
