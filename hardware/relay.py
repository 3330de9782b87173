"""A safety relay for rehearsals: a real Modbus TCP server with four discrete inputs, and a hand on its contacts.

Inputs 0 and 1 are the two contacts of the wall button, 2 and 3 those of the red button; 1 is closed. Changes act at
once, on the next answer. Source: Modbus Application Protocol V1.1b3; the server is pymodbus's own.

CAVEAT: it plays the auxiliary contacts of a relay, not its safety function. A real relay stays out until it is reset;
this one follows the button. It answers whoever asks, so it listens on the loopback interface unless told otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest, ReadDiscreteInputsResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from redbutton.estop import Contacts
from redbutton.hardware.config import BenchError
from redbutton.robots.calls import did_you_mean

logging.getLogger("pymodbus").addHandler(logging.NullHandler())

Channel = Literal["a", "b"]
Answer = Callable[[int, int, int], "list[bool] | ExcCodes"]
"""Answers a read: device id, first address, count."""

BUTTONS = {"wall": 0, "red": 2}
"""Address of each button's contact a; contact b is the next one."""
INPUTS = 4
JOIN_S = 5.0


class Relay:
    """A relay with two buttons, both released at first. Every method may be called from any thread."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, device_id: int = 1) -> None:
        self.host = host
        self.port = port
        """Port; 0 takes a free one at ``start`` and keeps it."""
        self._device_id = device_id
        self._lock = threading.Lock()  # held for an assignment or a copy, never while anything waits
        self._life = threading.Lock()  # one change of the server's life at a time
        self._closed = [True] * INPUTS
        self._unplugged: set[int] = set()
        self.opens_told = 0
        """Answers so far that told of an open contact."""
        self._thread: threading.Thread | None = None
        self._ending = asyncio.Event()
        self._soon: Callable[..., object] = lambda *_: None
        self._thawed = threading.Event()
        self._thawed.set()

    # -- the buttons ----------------------------------------------------------------------------------------

    def press(self, name: str) -> None:
        """Open both contacts."""
        self._set(name, (False, False))

    def release(self, name: str) -> None:
        """Close both contacts."""
        self._set(name, (True, True))

    def set_channel(self, name: str, channel: Channel, closed: bool) -> None:
        """Open or close one contact: the other sticks, or comes late."""
        first = _address(name)
        with self._lock:
            self._closed[first + "ab".index(channel)] = closed

    def contacts(self, name: str) -> Contacts:
        """The two contacts now."""
        first = _address(name)
        with self._lock:
            return Contacts(self._closed[first], self._closed[first + 1])

    def unplug(self, name: str) -> None:
        """Pull the button's cable: every read that touches its inputs is answered with a Modbus exception."""
        first = _address(name)
        with self._lock:
            self._unplugged |= {first, first + 1}

    def plug(self, name: str) -> None:
        """Put the button's cable back."""
        first = _address(name)
        with self._lock:
            self._unplugged -= {first, first + 1}

    def _set(self, name: str, closed: tuple[bool, bool]) -> None:
        first = _address(name)
        with self._lock:
            self._closed[first : first + 2] = closed

    # -- the relay as a whole -------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen. Raises ``BenchError`` where the port is taken."""
        with self._life:
            if self._thread is not None:
                return
            started: Future[int] = Future()
            thread = threading.Thread(target=self._run, args=(started,), name="relay", daemon=True)
            thread.start()
            try:
                self.port = started.result()
            except (RuntimeError, OSError):
                thread.join()
                raise BenchError(
                    f"the relay needs a free port. Received {self.host}:{self.port}. "
                    "Stop the program that holds it, or set twin.relay_port."
                ) from None
            self._thread = thread

    def stop(self) -> None:
        """Disconnect everybody and end. Safe to call twice; ``start`` brings it back on the same port."""
        self._thawed.set()
        with self._life:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._soon(self._ending.set)
                thread.join(JOIN_S)

    def freeze(self) -> None:
        """Hang: connections are taken by the kernel, nothing is answered until ``thaw``."""
        with self._life:
            if self._thread is None or not self._thawed.is_set():
                return
            self._thawed.clear()
            hanging = threading.Event()
            self._soon(self._hang, hanging)
            hanging.wait(JOIN_S)

    def thaw(self) -> None:
        """Answer again, what waited first."""
        self._thawed.set()

    def _hang(self, hanging: threading.Event) -> None:
        """Block the server's own loop, as a device that hangs would."""
        hanging.set()
        self._thawed.wait()

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except (RuntimeError, OSError) as exc:
            if started.done():
                raise
            started.set_exception(exc)

    async def _serve(self, started: Future[int]) -> None:
        self._ending, self._soon = asyncio.Event(), asyncio.get_running_loop().call_soon_threadsafe
        # The server wants a device of its own; discrete inputs are answered by our class before it is asked.
        device = SimDevice(0, [SimData(0, datatype=DataType.REGISTERS, readonly=True)])
        server: Any = ModbusTcpServer(device, address=(self.host, self.port), custom_pdu=[_request_class(self._answer)])
        await server.serve_forever(background=True)
        started.set_result(server.transport.sockets[0].getsockname()[1])
        await self._ending.wait()
        await _shut(server)

    def _answer(self, device_id: int, address: int, count: int) -> list[bool] | ExcCodes:
        if device_id != self._device_id:
            return ExcCodes.GATEWAY_NO_RESPONSE
        if address + count > INPUTS:
            return ExcCodes.ILLEGAL_ADDRESS
        with self._lock:
            if not self._unplugged.isdisjoint(range(address, address + count)):
                return ExcCodes.DEVICE_FAILURE
            asked = self._closed[address : address + count]
            self.opens_told += not all(asked)
            return asked


async def _shut(server: Any) -> None:
    """Take no more connections and finish making those under way; asyncio loses one that is made while it closes."""
    for listener in server.transport.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    under_way = asyncio.all_tasks() - {asyncio.current_task()}
    if under_way:
        await asyncio.wait(under_way, timeout=JOIN_S)
    await server.shutdown()


def _address(name: str) -> int:
    if name not in BUTTONS:
        raise BenchError(
            f"the relay has no such button. Received {name!r}.{did_you_mean(name, BUTTONS)} "
            f"Known: {', '.join(BUTTONS)}."
        )
    return BUTTONS[name]


def _request_class(answer: Answer) -> type[ReadDiscreteInputsRequest]:
    """The request for discrete inputs, bound to one relay: pymodbus makes its requests from classes."""

    class Read(ReadDiscreteInputsRequest):
        async def datastore_update(self, context: Any, device_id: int) -> ModbusPDU:
            bits = answer(device_id, self.address, self.count)
            if isinstance(bits, ExcCodes):
                return ExceptionResponse(self.function_code, bits)
            return ReadDiscreteInputsResponse(bits=bits)

    return Read


__all__ = ["BUTTONS", "Relay"]
