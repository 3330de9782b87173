"""Two discrete inputs of a safety relay or input module over Modbus TCP (function 2); 1 is closed.

Source: Modbus Application Protocol V1.1b3, pymodbus 3.16. Addresses are those on the wire, from 0; many manuals count
from 10001. Adjacent addresses are read in one request, so that both contacts are of one moment.

CAVEAT: plain Modbus has no safety layer: whoever reaches the port can answer for the relay, so give the relay a
network of its own. A name in ``host`` is looked up at every connection, which no time-out bounds; write an IP address.
An answer that stops half-way can hold ``read`` for twice the time-out. An opening shorter than the poll is told only by
a module that holds it; a mushroom button latches, and a safety relay stays out until it is reset.
"""

from __future__ import annotations

import logging
from typing import Any

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException, ModbusIOException
from pymodbus.pdu.bit_message import ReadDiscreteInputsResponse

from redbutton.estop import Contacts
from redbutton.hardware.config import ModbusInput
from redbutton.hardware.inputs.source import DeviceLostError, InputError

# pymodbus logs every failed connection. Without a handler Python prints that, and a full pipe would hold up the thread.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())


class ModbusSource:
    """A button behind a Modbus TCP server."""

    def __init__(self, config: ModbusInput) -> None:
        self.name = config.name
        self._config = config
        self._low = min(config.address_a, config.address_b)
        self._adjacent = abs(config.address_a - config.address_b) == 1
        self._client: Any = None

    def open(self) -> None:
        """Connect. Raises ``DeviceLostError``."""
        self.close()
        config = self._config
        client: Any = ModbusTcpClient(config.host, port=config.port, timeout=config.timeout_s, retries=0)
        if not client.connect():
            raise DeviceLostError(
                f"{self.name}: no connection to {config.host}:{config.port}. Check power, cable and address."
            )
        self._client = client

    def read(self) -> Contacts:
        """Both inputs. Raises ``InputError`` for an exception answer, ``DeviceLostError`` for anything else."""
        a, b = self._config.address_a, self._config.address_b
        if self._adjacent:
            bits = self._ask(self._low, 2)
            return Contacts(bits[a - self._low], bits[b - self._low])
        return Contacts(self._ask(a, 1)[0], self._ask(b, 1)[0])

    def _ask(self, address: int, count: int) -> list[bool]:
        if self._client is None:
            raise DeviceLostError(f"{self.name}: not connected. Call open() first.")
        try:
            answer = self._client.read_discrete_inputs(address, count=count, device_id=self._config.device_id)
        except ModbusIOException:
            self.close()  # at once: a late answer to this request must not be there when the next one is asked
            raise DeviceLostError(f"{self.name}: no valid answer within {self._config.timeout_s:g} s.") from None
        except (ModbusException, OSError):
            self.close()
            raise DeviceLostError(f"{self.name}: the relay closed the connection.") from None
        if answer.isError():
            raise InputError(f"{self.name}: the relay answered exception {getattr(answer, 'exception_code', '?')}.")
        if not isinstance(answer, ReadDiscreteInputsResponse) or len(answer.bits) < count:
            self.close()
            raise DeviceLostError(f"{self.name}: an answer with {count} discrete inputs was due. Received {answer}.")
        return list(answer.bits[:count])

    def close(self) -> None:
        """Disconnect. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
