"""The relay of the rehearsals is a real Modbus server, and its faults are those of a real device."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import ModuleType
from typing import Any

import pytest

from redbutton.estop import Contacts
from redbutton.hardware.config import BenchError, ModbusInput
from redbutton.hardware.inputs import DeviceLostError, InputError, make_source

pytest.importorskip("pymodbus", reason="needs pymodbus (pip install 'redbutton[lab]')")

from redbutton.hardware.relay import BUTTONS, Relay

CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
SLACK_S = 2.0


@pytest.fixture(scope="module")
def rigs(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/input_rigs.py")


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    made.start()
    yield made
    made.stop()


def config(port: int, button: str = "red", **fields: Any) -> ModbusInput:
    first = BUTTONS[button]
    return ModbusInput(
        kind="modbus",
        name=button,
        host="127.0.0.1",
        port=port,
        **{"address_a": first, "address_b": first + 1, "timeout_s": 1.0, **fields},
    )


@pytest.fixture
def ask(relay: Relay) -> Iterator[Callable[[str], Contacts]]:
    """Reads a button over one standing connection."""
    sources = {button: make_source(config(relay.port, button)) for button in BUTTONS}
    for source in sources.values():
        source.open()
    yield lambda button: sources[button].read()
    for source in sources.values():
        source.close()


def test_both_buttons_are_released_at_first(ask: Any, relay: Relay) -> None:
    assert ask("wall") == ask("red") == relay.contacts("wall") == relay.contacts("red") == CLOSED


@pytest.mark.parametrize(("button", "other"), [("wall", "red"), ("red", "wall")])
def test_a_press_is_in_the_very_next_answer_and_moves_no_other_button(
    ask: Any, relay: Relay, button: str, other: str
) -> None:
    for _ in range(20):
        relay.press(button)
        assert (ask(button), ask(other)) == (OPEN, CLOSED)
        relay.release(button)
        assert (ask(button), ask(other)) == (CLOSED, CLOSED)


@pytest.mark.parametrize("channel", ["a", "b"])
def test_one_contact_can_stick(ask: Any, relay: Relay, channel: Any) -> None:
    relay.set_channel("red", channel, False)
    assert ask("red") == relay.contacts("red") == Contacts(channel == "b", channel == "a")
    relay.set_channel("red", channel, True)
    assert ask("red") == CLOSED


def test_an_unplugged_button_answers_an_exception_and_leaves_the_other_readable(ask: Any, relay: Relay) -> None:
    relay.unplug("red")
    with pytest.raises(InputError, match="the relay answered exception 4") as caught:
        ask("red")
    assert not isinstance(caught.value, DeviceLostError)
    assert ask("wall") == CLOSED
    relay.press("red")
    relay.plug("red")
    assert ask("red") == OPEN


def test_a_read_that_only_touches_an_unplugged_button_is_refused(relay: Relay) -> None:
    relay.unplug("red")
    with closing(make_source(config(relay.port, address_a=1, address_b=2))) as source:
        source.open()
        with pytest.raises(InputError, match="exception 4"):
            source.read()


@pytest.mark.parametrize(
    ("fields", "code"), [({"address_a": 3, "address_b": 4}, 2), ({"address_a": 900}, 2), ({"device_id": 2}, 11)]
)
def test_other_addresses_and_devices_answer_an_exception(relay: Relay, fields: dict[str, int], code: int) -> None:
    with closing(make_source(config(relay.port, **fields))) as source:
        source.open()
        with pytest.raises(InputError, match=f"exception {code}"):
            source.read()


def test_nobody_can_write_to_it(relay: Relay) -> None:
    from pymodbus.client import ModbusTcpClient

    client: Any = ModbusTcpClient("127.0.0.1", port=relay.port, timeout=1.0, retries=0)
    with client:
        for address in range(4):
            assert client.write_coil(address, False).isError()
            assert client.write_register(address, 0).isError()
    assert relay.contacts("wall") == relay.contacts("red") == CLOSED


def test_a_frozen_relay_is_lost_within_the_timeout_and_comes_back(relay: Relay, rigs: ModuleType) -> None:
    heard, settings = rigs.Heard(), config(relay.port)
    with rigs.reading(make_source(settings), settings, heard) as reader:
        heard.wait_for(CLOSED)
        relay.freeze()
        relay.freeze()
        assert heard.wait_for(None) <= settings.timeout_s + SLACK_S
        assert reader.reason == f"red: no valid answer within {settings.timeout_s:g} s."
        frozen_s = time.monotonic()
        relay.press("red")  # the contacts move; nobody is told
        rigs.wait_until(lambda: len(heard.after(frozen_s)) >= 20, "20 readings")
        assert set(heard.after(frozen_s)) == {None}
        relay.thaw()
        heard.wait_for(OPEN)
        assert CLOSED not in heard.after(frozen_s)  # no old answer counts


def test_a_relay_can_be_stopped_while_it_is_frozen(relay: Relay) -> None:
    relay.freeze()
    relay.stop()
    relay.stop()
    relay.freeze()
    assert not any(thread.name == "relay" for thread in threading.enumerate())


def test_it_comes_back_on_the_same_port_with_a_client_connected(relay: Relay, rigs: ModuleType) -> None:
    port, settings, heard = relay.port, config(relay.port), rigs.Heard()
    with rigs.reading(make_source(settings), settings, heard):
        for _ in range(5):
            heard.wait_for(CLOSED)
            relay.stop()
            heard.wait_for(None)
            relay.start()
            relay.start()
            assert relay.port == port
        heard.wait_for(CLOSED)


def test_a_stop_amid_new_connections_leaves_no_socket() -> None:
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        relay = Relay()
        relay.start()
        for _ in range(2):
            socket.create_connection(("127.0.0.1", relay.port)).close()
        relay.stop()
    assert len(os.listdir("/proc/self/fd")) <= files


def test_a_port_that_is_taken_gives_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        relay = Relay(port=port)
        with pytest.raises(BenchError, match=f"a free port. Received 127.0.0.1:{port}. .*relay_port"):
            relay.start()
    relay.start()
    assert relay.port == port
    relay.stop()


def test_an_unknown_button_gets_a_did_you_mean(relay: Relay) -> None:
    with pytest.raises(BenchError, match=r"Received 'read'. Did you mean 'red'\? Known: wall, red"):
        relay.press("read")


def test_it_can_be_moved_from_many_threads(ask: Any, relay: Relay) -> None:
    def move(button: str) -> None:
        for _ in range(500):
            relay.press(button)
            relay.unplug(button)
            relay.plug(button)
            relay.release(button)

    threads = [threading.Thread(target=move, args=(button,)) for button in BUTTONS for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ask("wall") == ask("red") == CLOSED


PROGRAM = """
import sys
from redbutton.hardware.relay import Relay
relay = Relay(port=int(sys.argv[1]))
relay.start()
print(relay.port, flush=True)
sys.stdin.read()
relay.stop()
"""


class Process:
    """A relay in a process of its own, which can be killed like one."""

    def __init__(self, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_a_killed_relay_is_lost_and_found_again_after_a_restart(rigs: ModuleType) -> None:
    device = Process()
    settings, heard = config(device.port), rigs.Heard()
    try:
        with rigs.reading(make_source(settings), settings, heard):
            heard.wait_for(CLOSED)
            device.kill()
            assert heard.wait_for(None) <= settings.timeout_s + SLACK_S
            device = Process(settings.port)
            heard.wait_for(CLOSED)
    finally:
        device.kill()


def test_a_stopped_process_is_lost_within_the_timeout(rigs: ModuleType) -> None:
    device = Process()
    settings, heard = config(device.port), rigs.Heard()
    try:
        with rigs.reading(make_source(settings), settings, heard):
            heard.wait_for(CLOSED)
            device.signal(signal.SIGSTOP)
            assert heard.wait_for(None) <= settings.timeout_s + SLACK_S
            device.signal(signal.SIGCONT)
            heard.wait_for(CLOSED)
    finally:
        device.signal(signal.SIGCONT)
        device.kill()


def test_a_read_takes_far_less_than_the_poll(relay: Relay) -> None:
    settings = config(relay.port)
    medians = []
    with closing(make_source(settings)) as source:
        source.open()
        for _ in range(12):  # the machine may be taken for one series, not for all of them
            times = sorted(_seconds(source.read) for _ in range(100))
            medians.append(times[50])
            print(f"Modbus round trip: p50 {times[50] * 1e3:.2f} ms, p99 {times[98] * 1e3:.2f} ms")
    assert min(medians) < settings.poll_s


def _seconds(act: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    act()
    return time.perf_counter() - start_s
