"""Faults of a bench, one by one: each ends in a stop that the supervisor names, and in no motion afterwards.

A supervisor process, real DDS to a driver stand-in, a real Modbus relay, a real board on a pseudo terminal. Faults that
``test_supervisor_process`` and ``test_twin_place`` make are not made again here.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'redbutton[ros]'")
pytest.importorskip("pymodbus", reason="needs pymodbus: pip install 'redbutton[lab]'")

from redbutton.hardware import stop_bench
from redbutton.hardware.channel import SupervisorClient
from redbutton.hardware.config import load_bench
from redbutton.hardware.ros import wait_for
from redbutton.hardware.supervisor import Supervisor

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    # rosidl reads message definitions with lark, which imports modules that Python 3.11 deprecates.
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),
]

LIMIT_S = 30.0
SERIES = 6
IN_FLIGHT_S = 2.0
"""Longest way of a message from the supervisor to the driver's note of it, on a busy machine."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a socket may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="rb-") as name:
        yield Path(name)


@pytest.fixture
def helpers(load_test_helper: Callable[[str], Any]) -> Any:
    return load_test_helper("hardware/rig.py")


@pytest.fixture
def domains(load_test_helper: Callable[[str], Any]) -> tuple[int, ...]:
    return tuple(load_test_helper("hardware/ros_ids.py").domain_ids(2))


@pytest.fixture
def closed_rig(folder: Path, helpers: Any, domains: tuple[int, ...]) -> Any:
    """A patient rig that is not open yet, its relay running."""
    rig = helpers.Rig(folder, domains)
    rig.relay.start()
    relay = {"kind": "modbus", "host": rig.relay.host, "port": rig.relay.port}
    rig._document["inputs"] = [{"name": "wall", **relay}]
    return rig


@pytest.fixture
def rig(closed_rig: Any) -> Iterator[Any]:
    with closed_rig as found:
        yield found


@pytest.fixture
def operator(rig: Any) -> SupervisorClient:
    return rig.client("operator")


@pytest.fixture
def mover(rig: Any, operator: SupervisorClient) -> Iterator[Any]:
    """A client process that is armed and moves the arm."""
    with rig.moving_client() as process:
        rig.start(operator)
        yield process


def stopped_for(rig: Any, reason: str, after: int) -> None:
    """A stop of this name came after that event, the arm was held, and since then nothing has moved it."""
    told = rig.wait_event("stop", after, reason=reason)
    first = rig.wait_event("latched", after)
    wait_for(lambda: bool(rig.driver.holds_after(first["t_s"])), LIMIT_S, "a hold at the driver")
    wait_for(lambda: not rig.driver.moving, LIMIT_S, "rest")
    ticks = rig.status()["counters"]["ticks"]
    wait_for(lambda: rig.status()["counters"]["ticks"] > ticks + 40, LIMIT_S, "turns of the loop")
    assert rig.status()["state"] == "stopped"
    assert first["t_s"] <= told["t_s"] + IN_FLIGHT_S
    # One writer, one reader: what came before the stop's first hold was sent before it, however late it was noted. On
    # its way may also be a hold of arming, where no command had arrived yet.
    before = [r.is_hold for r in list(rig.driver.received) if r.t_s <= first["t_s"]]
    since = iter([r.is_hold for r in list(rig.driver.received) if r.t_s > first["t_s"]])
    if not before or before[-1]:
        since = dropwhile(bool, since)
    assert all(dropwhile(lambda is_hold: not is_hold, since))
    assert rig.driver.commands_after(first["t_s"] + IN_FLIGHT_S) == []
    assert not rig.driver.moving


# -- a safety relay ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lose", "give_back"),
    [
        (lambda relay: relay.stop(), lambda relay: relay.start()),
        (lambda relay: relay.unplug("wall"), lambda relay: relay.plug("wall")),
    ],
    ids=["killed", "answers with exceptions"],
)
def test_a_relay_that_is_lost_is_a_stop_until_it_is_back(
    rig: Any, mover: Any, operator: SupervisorClient, lose: Callable[[Any], None], give_back: Callable[[Any], None]
) -> None:
    after = rig.last_event()
    lose(rig.relay)
    stopped_for(rig, "wall: heartbeat_lost", after)
    assert "wall: heartbeat_lost" in operator.reset_request()["reasons"]
    give_back(rig.relay)
    rig.start(operator)


@pytest.mark.parametrize("channel", ["a", "b"])
def test_one_contact_that_stays_open_is_a_stop_and_a_named_fault(
    rig: Any, mover: Any, operator: SupervisorClient, channel: Any
) -> None:
    after = rig.last_event()
    rig.relay.set_channel("wall", channel, False)
    stopped_for(rig, "wall: contact_open", after)  # either contact stops, at once
    stopped_for(rig, "wall: discrepancy", after)
    wait_for(lambda: rig.status()["settled"], LIMIT_S, "the arm settled")
    assert operator.reset_request()["reasons"] == ["wall: discrepancy"]
    assert operator.arm()["ok"] is False


def test_a_contact_that_opens_too_late_is_a_discrepancy(rig: Any, mover: Any, operator: SupervisorClient) -> None:
    after = rig.last_event()
    rig.relay.set_channel("wall", "a", False)
    late = rig.wait_event("stop", after, reason="wall: discrepancy")
    opened = rig.wait_event("input_open", after, name="wall")
    assert late["t_s"] - opened["detail"]["t_s"] >= rig.config.inputs[0].discrepancy_s
    rig.relay.set_channel("wall", "b", False)
    stopped_for(rig, "wall: discrepancy", after)
    rig.relay.release("wall")
    rig.start(operator)


def test_a_contact_that_chatters_is_one_stop_that_stays(rig: Any, mover: Any, operator: SupervisorClient) -> None:
    after = rig.last_event()
    closed = [True]

    def chatter() -> None:
        closed.append(not closed[-1])
        rig.relay.set_channel("wall", "a", closed[-1])

    def stopped() -> bool:
        chatter()
        return bool(rig.status()["state"] == "stopped")

    wait_for(stopped, LIMIT_S, "a stop")
    for _ in range(200):
        chatter()
        assert rig.status()["state"] == "stopped"
    rig.relay.press("wall")  # a chatter that came slowly is a discrepancy, which ends when both were open
    stopped_for(rig, "wall: contact_open", after)
    rig.relay.release("wall")
    assert sum(event["kind"] == "latched" for event in rig.events(after)) == 1
    rig.start(operator)


# -- a board on a serial port -----------------------------------------------------------------------------------


def silence(board: Any) -> None:
    board.repeater.speaking.clear()


@pytest.mark.parametrize(
    ("fault", "noise", "why"),
    [
        (lambda board: board.lose(), b"", ("is gone", "cannot open")),
        (silence, b"", ("no frame from",)),
        (silence, b"\xa5\x00garbage", ("bytes that belong to no frame",)),
    ],
    ids=["unplugged", "silent", "garbage"],
)
def test_a_serial_input_that_is_lost_is_a_stop_that_says_why(
    closed_rig: Any,
    folder: Path,
    load_test_helper: Callable[[str], Any],
    fault: Callable[[Any], None],
    noise: bytes,
    why: tuple[str, ...],
) -> None:
    board = load_test_helper("hardware/input_rigs.py").SerialRig(folder)
    port = {"kind": "serial", "name": "wall", "port": str(board.link)}
    closed_rig._document["inputs"] = [port]
    try:
        with closed_rig as rig, rig.moving_client():
            operator = rig.client("operator")
            rig.start(operator)
            after = rig.last_event()
            fault(board)

            def named() -> bool:
                board.write(noise)
                told = [e["detail"]["reason"] for e in rig.events(after) if e["kind"] == "input_source"]
                return any(part in reason for part in why for reason in told)

            wait_for(named, LIMIT_S, f"an event that says {why}")
            stopped_for(rig, "wall: heartbeat_lost", after)
            assert "wall: heartbeat_lost" in operator.reset_request()["reasons"]
            if board._master is None:
                board.restore()
            board.repeater.speaking.set()
            rig.start(operator)
    finally:
        board.close()


# -- a reset that is not meant ----------------------------------------------------------------------------------


def a_code(rig: Any, operator: SupervisorClient) -> str:
    """A code, asked for once: refusals are limited per second in the record, and a test needs to see its own."""
    status: dict[str, Any] = {}

    def resettable() -> bool:
        status.update(rig.status())
        return status["state"] == "stopped" and not status["standing"] and bool(status["joint_states"]["at_rest"])

    wait_for(resettable, LIMIT_S, "a stop that nothing keeps")
    reply = operator.reset_request()
    assert reply["ok"], reply
    return str(reply["code"])


def test_codes_of_earlier_stops_and_guessed_ones_reset_nothing(rig: Any, operator: SupervisorClient) -> None:
    with rig.moving_client():
        used = a_code(rig, operator)
        assert operator.reset(used)["ok"]
        wait_for(lambda: bool(operator.arm()["ok"]), LIMIT_S, "armed")
        wait_for(lambda: bool(rig.driver.commands_after(0.0)), LIMIT_S, "motion")
        after = rig.last_event()
        operator.stop("second")
        waiting = a_code(rig, operator)
        guessed = next(code for code in ("000000", "000001", "000002") if code not in (used, waiting))
        for code, reason in ((used, "replayed"), (guessed, "unknown")):
            assert operator.reset(code)["ok"] is False
            assert rig.wait_event("reset_refused", after, reason=reason)
        operator.stop("third: the code that waits was for the second")
        assert operator.reset(waiting)["ok"] is False
        assert rig.wait_event("reset_refused", after, reason="expired")
        assert operator.arm()["ok"] is False
        stopped_for(rig, "requested", after)


# -- the driver -------------------------------------------------------------------------------------------------


def test_an_arm_moved_by_hand_during_a_stop_is_held_where_it_is_and_never_sent_back(
    rig: Any, operator: SupervisorClient
) -> None:
    motion = rig.client("motion")
    epoch = rig.run(motion, operator)
    old = rig.driver.state()[0]
    assert rig.command(motion, epoch)["ok"]
    after = rig.last_event()
    operator.stop("a person takes hold of the arm")
    stopped_for(rig, "requested", after)
    wait_for(lambda: rig.status()["settled"], LIMIT_S, "the arm settled")
    new = (old[0] + 0.6, *old[1:])
    moved_s = time.monotonic()
    with rig.driver._lock:
        rig.driver._controller.set_to(new)
    wait_for(lambda: rig.status()["joint_states"]["positions_rad"] == list(new), LIMIT_S, "the new position")
    epoch = rig.run(motion, operator)
    back = rig.command(motion, epoch, positions_rad=list(old))
    assert (back["ok"], back["rule"]) == (False, "step")
    near = rig.command(motion, epoch)
    assert near["ok"], near
    wait_for(lambda: bool(rig.driver.commands_after(moved_s)), LIMIT_S, "the command at the driver")
    received = [r for r in list(rig.driver.received) if r.t_s > moved_s]
    command = next(i for i, r in enumerate(received) if not r.is_hold)
    assert command > 0
    assert all(hold.points[0].positions == new for hold in received[:command])
    assert all(abs(p.positions[0] - new[0]) < 0.03 for r in received for p in r.points)


class _Shifted:
    """A publisher of joint states whose driver has another clock: shifted, or standing still."""

    def __init__(self, publisher: Any, shift_s: int | None) -> None:
        self._publisher = publisher
        self._shift_s = shift_s
        self._still: Any = None

    def publish(self, message: Any) -> None:
        self._still = self._still or message.header.stamp
        if self._shift_s is None:
            message.header.stamp = self._still
        else:
            message.header.stamp.sec += self._shift_s
        self._publisher.publish(message)


@pytest.mark.parametrize(
    ("shift_s", "reason"),
    [(20, "clock_step"), (-20, "clock_step"), (None, "joint_states_stale")],
    ids=["forward", "back", "standing still"],
)
def test_a_step_of_the_drivers_clock_is_a_stop(
    rig: Any, mover: Any, operator: SupervisorClient, shift_s: int | None, reason: str
) -> None:
    after = rig.last_event()
    publisher = rig.driver._states
    rig.driver._states = _Shifted(publisher, shift_s)
    stopped_for(rig, reason, after)
    if shift_s is None:
        assert operator.reset_request()["ok"] is False
        rig.driver._states = publisher
    else:
        assert "stamps went on by" in rig.wait_event("stop", after, reason=reason)["detail"]["detail"]
    rig.start(operator)


def test_a_driver_that_drops_the_first_holds_of_a_motion_comes_to_rest_all_the_same(
    rig: Any, mover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, dropped = rig.driver._controller.accept, []

    def deaf_at_first(names: Any, points: Any, stamp_s: float, now_s: float) -> str:
        hold = len(points) == 1 and not any(points[0].velocities)
        if hold and len(dropped) < 5:
            dropped.append(now_s)
            return "dropped"
        return str(accept(names, points, stamp_s, now_s))

    monkeypatch.setattr(rig.driver._controller, "accept", deaf_at_first)
    after = rig.last_event()
    rig.relay.press("wall")
    stopped_for(rig, "wall: contact_open", after)
    settled = rig.wait_event("settled", after, cause="wall: contact_open")
    assert len(dropped) == 5
    taken = [hold for hold in rig.driver.holds_after(dropped[-1]) if not hold.refused]
    assert taken[0].t_s < settled["t_s"]


# -- the machine ------------------------------------------------------------------------------------------------


def test_no_press_of_20_ms_is_lost_while_other_processes_take_every_core(
    monkeypatch: pytest.MonkeyPatch, helpers: Any, domains: tuple[int, ...]
) -> None:
    document = stop_bench.bench_document

    def patient(folder: Path, port: int) -> dict[str, Any]:
        bench = document(folder, port)
        del bench["inputs"][0]["timeout_s"]
        return dict(helpers.patient(bench))

    monkeypatch.setattr(stop_bench, "bench_document", patient)
    monkeypatch.setattr(stop_bench, "_DOMAINS", domains)
    told = 0
    for _ in range(SERIES):
        presses = stop_bench.measure_presses(10, busy_processes=2)
        assert presses.lost == 0
        assert len(presses.total) + presses.unread + presses.spoilt == 10
        told += len(presses.total)
        if told >= 8:
            return
    # Where still more runs on the machine, it may give the supervisor no time to ask within 20 ms; that loses nothing.
    pytest.fail(f"of {10 * SERIES} presses {told} came through: the supervisor is not asking")


class _Within:
    """A supervisor in the test's own process, in place of the rig's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.inner: Supervisor
        self.shared: set[str] = set()

    def start(self) -> None:
        self.inner = Supervisor(load_bench(self._path))
        self.inner.start()

    def end(self) -> None:
        self.inner.stop()


def test_a_supervisor_whose_ros_executor_is_blocked_stops_and_still_holds(closed_rig: Any) -> None:
    closed_rig.supervisor = within = _Within(closed_rig.path)
    with closed_rig as rig, rig.moving_client():
        operator = rig.client("operator")
        rig.start(operator)
        after, blocked, go_on = rig.last_event(), threading.Event(), threading.Event()

        def block() -> None:
            timer.cancel()
            blocked.set()
            go_on.wait()

        timer = within.inner._link.ros.node.create_timer(0.01, block)
        try:
            assert blocked.wait(LIMIT_S)
            stopped_for(rig, "joint_states_stale", after)
            assert operator.reset_request()["ok"] is False
        finally:
            go_on.set()
        rig.start(operator)


# -- many stops, and a client that never stops sending ----------------------------------------------------------

_TAG_RAD = 1e-4
_PUSH = f"""
import math, sys, time
from redbutton.hardware.channel import SupervisorClient
from redbutton.hardware.config import load_bench
config = load_bench(sys.argv[1])
home = config.arm.home_rad
client = SupervisorClient(config.socket_path, "motion")
client.connect()
assert client.lease()["ok"]
seq, begin, start, known = 0, 0.0, list(home), None

def send(epoch, ahead):
    global seq
    seq += 1
    # The last joint tells the driver in which epoch a command was made.
    target = [start[0] + 0.2 * math.sin(ahead), *start[1:-1], home[-1] + {_TAG_RAD} * epoch]
    rates = [0.2 * math.cos(ahead), *[0.0] * (len(start) - 1)]
    return client.command(seq=seq, epoch=epoch, t_s=time.monotonic(), names=list(config.arm.joint_names),
        positions_rad=target, velocities_rad_s=rates, duration_s=0.1, gripper_m=None)

print("ready", flush=True)
reply = client.beat()
while True:
    now = time.monotonic()
    if reply["state"] == "run" and reply["epoch"] != known:
        known, begin, start = reply["epoch"], now, client.status()["joint_states"]["positions_rad"]
    epoch, ahead = reply["epoch"], now - begin + 0.05
    reply = send(epoch, ahead)
    known = None if reply.get("rule") in ("velocity", "step") else known
    old = send(epoch - 1, ahead)
    assert not old["ok"], old
    time.sleep(max(0.0, now + 0.02 - time.monotonic()))
"""


def _stop_somehow(rig: Any, how: str) -> None:
    """Make one stop, wait for it, and take its cause away."""
    if how == "press":
        rig.relay.press("wall")
    elif how == "silent":
        rig.driver.fall_silent()
    elif how == "mode":
        rig.driver.set_mode(3)
    else:
        rig.watch.stop("at random")
    wait_for(lambda: rig.status()["state"] == "stopped", LIMIT_S, how)
    rig.relay.release("wall")
    rig.driver.fall_silent(False)
    rig.driver.set_mode(1)


def _cycles(rig: Any, count: int) -> None:
    """Random stops with a reset after each, random holds, at random moments of a motion."""
    rng, operator, holder = random.Random(20), rig.client("operator"), rig.client("motion")
    for _ in range(count):
        if rig.status()["state"] != "run":
            rig.start(operator)
        begun_s, moments = time.monotonic(), rng.randint(1, 8)
        wait_for(
            lambda s=begun_s, n=moments: len(rig.driver.commands_after(s)) >= n or rig.status()["state"] != "run",
            LIMIT_S,
            "commands at the driver",
        )
        how = rng.choice(("press", "request", "silent", "mode", "hold", "hold"))
        if how == "hold":
            assert holder.hold(2)["ok"]
        else:
            _stop_somehow(rig, how)


def _events_of(rig: Any) -> list[dict[str, Any]]:
    """What the ended supervisor has written."""
    return [json.loads(line) for line in rig.log.read_text(encoding="utf-8").splitlines()]


def _stops(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """From when to when a stop was in effect."""
    found: list[tuple[float, float]] = []
    for event in events:
        if event["kind"] == "gate_closed":
            found.append((event["t_s"], float("inf")))
        elif event["kind"] == "armed" and found:
            found[-1] = (found[-1][0], event["t_s"])
    return found


def _epochs(events: list[dict[str, Any]]) -> dict[int, tuple[float, float]]:
    """From when to when commands of an epoch were good."""
    found: dict[int, tuple[float, float]] = {}
    now: int | None = None
    for event in events:
        if event["kind"] in ("gate_closed", "client_hold") and now is not None:
            found[now], now = (found[now][0], event["t_s"]), None
        if event["kind"] in ("armed", "client_hold"):
            now = event["detail"]["epoch"]
            found[now] = (event["t_s"], float("inf"))
    return found


def overtaken(received: list[Any], home_rad: float) -> list[int]:
    """Epochs of commands that came after a hold and had been made before it. In order, so no clock has a say."""
    found, last, held = [], -1, False
    for message in received:
        if message.is_hold:
            held = True
            continue
        tag = round((message.points[-1].positions[-1] - home_rad) / _TAG_RAD)
        if held and tag <= last:
            found.append(tag)
        last, held = tag, False
    return found


def test_over_many_stops_nothing_but_holds_goes_out_until_armed_and_no_command_of_an_older_epoch(
    rig: Any, helpers: Any
) -> None:
    pusher = helpers.Process("-c", _PUSH, str(rig.path), folder=rig.folder).start()
    try:
        _cycles(rig, 20)
        counters = rig.status()["counters"]
    finally:
        _, errors = pusher.end()
    assert errors == ""
    rig.supervisor.end()
    home = rig.config.arm.home_rad
    sent = [(r.t_s, round((r.points[-1].positions[-1] - home[-1]) / _TAG_RAD)) for r in rig.driver.commands_after(0.0)]
    stops, epochs = _stops(_events_of(rig)), _epochs(_events_of(rig))
    assert len(stops) >= 10
    assert len(epochs) > len(stops) - 2
    assert len(sent) > 50
    assert counters["refused"] > len(sent)  # it did keep sending
    assert [(t, s) for t, _ in sent for s in stops if s[0] + IN_FLIGHT_S < t < s[1]] == []
    assert [tag for _, tag in sent] == sorted(tag for _, tag in sent)
    assert overtaken(rig.driver.received, home[-1]) == []
    late = [(t, tag) for t, tag in sent if not epochs[tag][0] <= t <= epochs[tag][1] + IN_FLIGHT_S]
    assert late == []
    assert not any(r.refused for r in rig.driver.received)
