"""What each kind of e-stop input does that the others do not, and how a source is made from a bench file."""

from __future__ import annotations

import importlib.util
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from redbutton.estop import Contacts
from redbutton.hardware.config import BenchError, GpioInput, Input, ModbusInput, SerialInput, TopicInput
from redbutton.hardware.inputs import DeviceLostError, InputError, make_source

for _package in ("pymodbus", "serial"):
    pytest.importorskip(_package, reason=f"needs {_package} (pip install 'redbutton[lab]')")

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")  # lark, which rosidl imports
CLOSED, OPEN = Contacts(True, True), Contacts(False, False)
PULSE_S = 0.02
SLACK_S = 2.0
"""What a busy machine may add to a time that is measured."""


@pytest.fixture(scope="module")
def rigs(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("hardware/input_rigs.py")


# -- making sources --------------------------------------------------------------------------------------------

MODBUS = ModbusInput(kind="modbus", name="wall", host="127.0.0.1")
SERIAL = SerialInput(kind="serial", name="wall", port="/dev/null")
GPIO = GpioInput(kind="gpio", name="wall", chip="/dev/gpiochip0", line_a=4, line_b=17)
TOPIC = TopicInput(kind="topic", name="wall", topic_a="/a", topic_b="/b")


@pytest.mark.parametrize(("config", "module"), [(MODBUS, "pymodbus"), (SERIAL, "serial"), (GPIO, "gpiod")])
def test_a_missing_package_gives_one_line_with_the_way_out(
    config: Any, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BenchError, match=r"input wall: kind \w+ needs .*pip install 'redbutton\[lab\]'$"):
        make_source(config)


def test_without_rclpy_a_topic_gives_one_line_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(BenchError, match=r"pip install 'redbutton\[ros\]'"):
        make_source(TOPIC)


@pytest.mark.ros
def test_a_topic_without_a_node_is_refused() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")
    with pytest.raises(BenchError, match="input wall: kind topic needs a ROS node"):
        make_source(TOPIC)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [(MODBUS, "address_b", MODBUS.address_a), (GPIO, "line_b", GPIO.line_a), (TOPIC, "topic_b", TOPIC.topic_a)],
)
def test_one_contact_under_two_names_is_refused(config: Any, field: str, value: Any) -> None:
    with pytest.raises(BenchError, match="are two contacts"):
        make_source(config.model_copy(update={field: value}))


def test_the_package_is_imported_without_any_driver() -> None:
    code = (
        "import sys\n"
        "for name in ('rclpy', 'pymodbus', 'serial', 'gpiod', 'pinocchio'): sys.modules[name] = None\n"
        "from redbutton.hardware.inputs import InputReader, make_source\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


ROOT = Path(__file__).resolve().parents[2]


def test_every_input_in_the_docs_can_be_made() -> None:
    page = (ROOT / "docs" / "wiring.md").read_text("utf-8")
    entries = [
        entry
        for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
        for entry in yaml.safe_load(block)["inputs"]
    ]
    kinds = [TypeAdapter(Input).validate_python(entry).kind for entry in entries]
    assert kinds == ["modbus", "serial", "gpio", "topic"]


# -- Modbus ----------------------------------------------------------------------------------------------------


class RawRelay:
    """A Modbus server made of bytes: answers with whatever a test says, and counts."""

    def __init__(self, respond: Callable[[bytes], bytes]) -> None:
        self.requests: list[bytes] = []
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="raw-relay", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while request := connection.recv(260):
                    self.requests.append(request)
                    connection.sendall(self._respond(request))

    def __enter__(self) -> RawRelay:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _answer(request: bytes, pdu: bytes) -> bytes:
    """The answer to one request: its transaction and unit, then this PDU."""
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


def _modbus(port: int, **fields: Any) -> Any:
    return make_source(ModbusInput(kind="modbus", name="button", host="127.0.0.1", port=port, **fields))


def _read(source: Any) -> Contacts:
    source.open()
    try:
        contacts: Contacts = source.read()
        return contacts
    finally:
        source.close()


@pytest.mark.parametrize(("a", "b", "requests"), [(6, 7, 1), (7, 6, 1), (3, 9, 2)])
def test_adjacent_inputs_are_read_in_one_request_in_either_order(a: int, b: int, requests: int) -> None:
    def respond(request: bytes) -> bytes:
        address, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
        bits = [address + i == a for i in range(count)]  # contact a is closed, b is open
        return _answer(request, bytes((2, 1, sum(bit << i for i, bit in enumerate(bits)))))

    with RawRelay(respond) as relay:
        assert _read(_modbus(relay.port, address_a=a, address_b=b, device_id=9)) == Contacts(True, False)
        assert len(relay.requests) == requests
        assert {request[6] for request in relay.requests} == {9}


@pytest.mark.parametrize(
    "respond",
    [
        pytest.param(lambda r: _answer(r, b"\x01\x01\x03"), id="another function"),
        pytest.param(lambda r: _answer(r, b"\x02\x00"), id="no inputs"),
        pytest.param(lambda r: _answer(b"\xff\xff" + r[2:], b"\x02\x01\x03"), id="another transaction"),
        pytest.param(lambda r: _answer(r[:6] + b"\x63", b"\x02\x01\x03"), id="another unit"),
        pytest.param(lambda r: _answer(r, b"\x02\x01\x03")[:7], id="half an answer"),
        pytest.param(lambda r: b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(lambda r: _answer(r, b"\x02\xff"), id="a length that is not there"),
    ],
)
def test_an_answer_that_is_not_ours_is_no_reading(respond: Callable[[bytes], bytes]) -> None:
    with RawRelay(respond) as relay:
        start_s = time.monotonic()
        with pytest.raises(InputError):
            _read(_modbus(relay.port))
        assert time.monotonic() - start_s <= 2 * MODBUS.timeout_s + SLACK_S


def test_a_late_answer_is_never_taken_for_the_next_one() -> None:
    hold = threading.Event()
    answers = iter((b"\x02\x01\x03", b"\x02\x01\x00"))  # closed, late; then open

    def respond(request: bytes) -> bytes:
        pdu = next(answers)
        if pdu[-1]:
            hold.wait(10.0)
        return _answer(request, pdu)

    with RawRelay(respond) as relay:
        source = _modbus(relay.port)
        source.open()
        with pytest.raises(DeviceLostError, match="no valid answer within"):
            source.read()
        hold.set()
        assert _read(source) == OPEN


def test_nothing_listening_is_a_lost_device() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DeviceLostError, match=f"no connection to 127.0.0.1:{port}"):
        _modbus(port).open()


# -- GPIO: there is no gpiochip here, so only what can be asked without one -------------------------------------

gpiod_only = pytest.mark.skipif(importlib.util.find_spec("gpiod") is None, reason="needs gpiod (redbutton[lab])")


@gpiod_only
@pytest.mark.parametrize("active_low", [False, True])
def test_the_bias_pulls_a_broken_wire_to_where_an_open_contact_reads(active_low: bool) -> None:
    from gpiod.line import Bias, Direction, Edge

    from redbutton.hardware.inputs.gpio import line_settings

    settings = line_settings(active_low)
    assert settings.direction is Direction.INPUT
    assert settings.edge_detection is Edge.BOTH
    assert settings.active_low is active_low
    assert settings.bias is (Bias.PULL_UP if active_low else Bias.PULL_DOWN)


@gpiod_only
def test_a_line_is_closed_when_active_and_any_edge_since_the_last_look_is_an_opening() -> None:
    from gpiod.line import Value

    from redbutton.hardware.inputs.gpio import judge

    on, off = Value.ACTIVE, Value.INACTIVE
    assert judge([on, on], [False, False]) == CLOSED
    assert judge([on, off], [False, False]) == Contacts(True, False)
    assert judge([on, on], [True, False]) == Contacts(False, True)  # a pulse between two looks
    assert judge([off, on], [False, True]) == OPEN


@gpiod_only
@pytest.mark.parametrize("chip", ["/dev/no-such-gpiochip", "/dev/null"])
def test_a_chip_that_is_none_is_a_lost_device(chip: str, rigs: ModuleType) -> None:
    config = GPIO.model_copy(update={"chip": chip})
    source = make_source(config)
    with pytest.raises(DeviceLostError, match=f"cannot have lines .* of {chip}"):
        source.open()
    with pytest.raises(DeviceLostError):
        source.read()
    heard = rigs.Heard()
    with rigs.reading(make_source(config), config, heard):
        heard.wait_for(None)


# -- topics ----------------------------------------------------------------------------------------------------


@pytest.fixture
def topic_rig(rigs: ModuleType, tmp_path: Path, load_test_helper: Callable[[str], ModuleType]) -> Iterator[Any]:
    pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")
    made = rigs.TopicRig(tmp_path, *load_test_helper("hardware/ros_ids.py").domain_ids(1))
    yield made
    made.close()


@pytest.mark.ros
def test_a_false_between_two_readings_is_told_once(topic_rig: Any, rigs: ModuleType) -> None:
    source = topic_rig.source()
    source.open()
    rigs.wait_until(lambda: all(p.get_subscription_count() for p in topic_rig.publishers), "the subscriptions")
    topic_rig.lose()  # from now on the test speaks
    heard = 0

    def say(*levels: bool) -> None:
        nonlocal heard
        topic_rig.say(*levels)
        heard += 1

    for levels in ((True, True), (True, False), (True, True)):
        say(*levels)
    # Both topics have been heard to the end when a last message, on another topic pair, would be; so ask until told.
    rigs.wait_until(lambda: _try(source) == Contacts(True, False), "the opening")
    say(True, True)
    rigs.wait_until(lambda: _try(source) == CLOSED, "the level")
    source.close()


def _try(source: Any) -> Contacts | None:
    try:
        contacts: Contacts = source.read()
    except InputError:
        return None
    return contacts


@pytest.mark.ros
def test_one_topic_alone_is_no_reading(topic_rig: Any, rigs: ModuleType) -> None:
    topic_rig.lose()
    source = topic_rig.source()
    source.open()
    rigs.wait_until(lambda: all(p.get_subscription_count() for p in topic_rig.publishers), "the subscriptions")

    def only_a() -> bool:
        topic_rig.say(True)
        with pytest.raises(InputError) as caught:
            source.read()
        return "nothing heard on /button/b yet" in str(caught.value)

    rigs.wait_until(only_a, "a, and no b")
    source.close()


@pytest.mark.ros
def test_a_node_that_is_closed_is_a_lost_device(topic_rig: Any) -> None:
    from redbutton.hardware.ros import RosNode

    with pytest.raises(DeviceLostError, match="its ROS node is closed"):
        make_source(TOPIC, RosNode("listener", 3)).open()
