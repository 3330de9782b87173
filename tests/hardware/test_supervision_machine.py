"""Random histories of a supervisor's core: whatever happens, in whatever order, some things never do.

The model knows nothing of latch, gate or watches. It remembers what the tests themselves did (which readings it fed,
which command it made when, who armed) and holds every command that goes out against that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from redbutton.estop import ChainState, Contacts

CLOSED = Contacts(True, True)
READINGS = st.sampled_from([CLOSED, CLOSED, Contacts(False, False), Contacts(True, False), Contacts(None, True), None])
CONNECTIONS = st.sampled_from([1, 1, 1, 2, 2, 3, 4, 99])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["seq", "epoch", "t_s", "names", "positions_rad", "velocities_rad_s", "duration_s", "gripper_m"]
OPS = ["lease", "release", "beat", "enable", "reset_request", "arm", "disconnected"]
WITH_JUNK = ["hello", "client_hold", "stop", "reset", "command", "events"]
LOWERING = {"reset": ChainState.READY, "release": ChainState.READY, "arm": ChainState.RUN}


def machine(rig_module: ModuleType) -> type[RuleBasedStateMachine]:
    class Histories(RuleBasedStateMachine):
        @initialize(power=st.booleans())
        def begin(self, power: bool) -> None:
            arm = {"power": {"off": "/off", "on": "/on"}} if power else {}
            self.rig = rig_module.Rig(rig_module.bench(arm=arm))
            self.sup = self.rig.supervision
            self.made: dict[tuple[float, ...], tuple[float, int]] = {}
            self.stopped_at = self.rig.clock()
            self.used: set[str] = set()
            self.code: str | None = None
            self.state = self.sup.state
            self.epoch = self.sup.epoch
            self.fed: dict[str, Contacts | None] = {}
            self.read_at = {"wall": -math.inf, "pendant": -math.inf}
            self.joints_at = self.beat_at = self.turn_at = -math.inf
            self.target = 0

        # -- what is called, and watched

        def ask(self, op: str, *arguments: Any) -> dict[str, Any]:
            before = self.sup.state
            reply = getattr(self.sup, op)(*arguments)
            assert type(reply) is dict
            assert type(reply["ok"]) is bool
            assert (reply["state"], reply["epoch"]) == (self.sup.state.value, self.sup.epoch)
            json.dumps(reply)
            self.see(before, op, reply["ok"], arguments)
            return reply

        def see(self, before: ChainState, op: str, ok: bool, arguments: tuple[Any, ...] = ()) -> None:
            after = self.sup.state
            assert self.sup.epoch >= self.epoch
            if after is not before and after is not ChainState.STOPPED:
                assert ok
                assert LOWERING[op] is after
                assert op == "release" or arguments[0] == rig_module.OPERATOR
                assert before is (ChainState.RUN if op == "release" else LOWERED_FROM[op])
            if (after is ChainState.STOPPED and before is not after) or self.sup.epoch != self.epoch:
                self.stopped_at = self.rig.clock()
            self.epoch = self.sup.epoch

        # -- the bench

        @rule(name=st.sampled_from(["wall", "pendant", "red"]), reading=READINGS)
        def contact(self, name: str, reading: Contacts | None) -> None:
            self.rig.contacts[name] = reading

        @rule(what=st.sampled_from(["joint_states", "counts", "velocities", "beats"]), bad=st.booleans())
        def break_or_mend(self, what: str, bad: bool) -> None:
            good = {"joint_states": True, "counts": (1, 1), "velocities": [0.0, 0.0], "beats": True}[what]
            worse = {"joint_states": False, "counts": (2, 1), "velocities": [0.3, 0.0], "beats": False}[what]
            setattr(self.rig, what, worse if bad else good)

        @rule(steps=st.sampled_from([1, 3, 10, 60]))
        def time_passes(self, steps: int) -> None:
            for _ in range(steps):
                self.rig.pass_time(0.005)
                self.read()
                if self.rig.beats:
                    self.beat()
                self.turn()

        @rule(gap_s=st.sampled_from([0.02, 0.09, 0.3]))
        def the_loop_is_late(self, gap_s: float) -> None:
            self.rig.pass_time(gap_s)

        @rule(clock=st.sampled_from(["wall", "stamp"]), step_s=st.sampled_from([-1.0, 0.6]))
        def a_clock_steps(self, clock: str, step_s: float) -> None:
            if clock == "wall":
                self.rig.wall.set(self.rig.wall() + step_s)
            else:
                self.rig.stamp_s += step_s

        def read(self) -> None:
            self.rig.feed()
            for name in self.read_at:
                if self.rig.contacts[name] is not None:
                    self.read_at[name], self.fed[name] = self.rig.clock(), self.rig.contacts[name]
            if self.rig.joint_states:
                self.joints_at = self.rig.clock()

        def beat(self) -> None:
            if self.ask("beat", rig_module.MOTION)["ok"]:
                self.beat_at = self.rig.clock()

        # -- the people and programs

        @rule(op=st.sampled_from(OPS), conn_id=CONNECTIONS)
        def request(self, op: str, conn_id: int) -> None:
            reply = self.ask(op, conn_id)
            if reply["ok"] and op in ("lease", "beat"):
                self.beat_at = self.rig.clock() if conn_id == rig_module.MOTION else self.beat_at
            self.code = reply.get("code", self.code)

        @rule(op=st.sampled_from(WITH_JUNK), conn_id=CONNECTIONS, junk=ANY)
        def garbage(self, op: str, conn_id: int, junk: Any) -> None:
            if op == "events":
                self.ask(op, junk)
            elif op == "hello":
                self.ask(op, conn_id, junk, 1000)
            else:
                assert not (op in ("reset", "command") and self.ask(op, conn_id, junk)["ok"])

        @rule(conn_id=CONNECTIONS, role=st.sampled_from(["motion", "operator", "watch"]))
        def connect(self, conn_id: int, role: str) -> None:
            self.ask("hello", conn_id, role, rig_module.UID)

        @rule(conn_id=CONNECTIONS, category=st.sampled_from([0, 1, 2]))
        def hold(self, conn_id: int, category: int) -> None:
            self.ask("client_hold", conn_id, category)

        @rule(conn_id=CONNECTIONS)
        def stop(self, conn_id: int) -> None:
            assert self.ask("stop", conn_id, "")["state"] == "stopped"

        @rule(conn_id=CONNECTIONS)
        def reset(self, conn_id: int) -> None:
            if self.code is None:
                return
            if self.ask("reset", conn_id, self.code)["ok"]:
                assert self.code not in self.used
                self.used.add(self.code)

        @rule(conn_id=CONNECTIONS, field=st.sampled_from([None, None, None, *FIELDS]), junk=ANY, late=st.booleans())
        def command(self, conn_id: int, field: str | None, junk: Any, late: bool) -> None:
            self.target += 1
            at = self.rig.positions
            message = self.rig.message(at[0] + 1e-6 * self.target, at[1])
            if field is not None:
                message[field] = junk
            made = (self.rig.clock(), self.sup.epoch)
            if late:
                self.rig.pass_time(0.02)
            if self.ask("command", conn_id, message)["ok"]:
                assert field in (None, "gripper_m", "seq", "velocities_rad_s", "positions_rad", "duration_s")
                if field != "positions_rad":
                    self.made[tuple(message["positions_rad"])] = made
                self.beat_at = self.rig.clock()

        @rule()
        def all_is_well_and_a_person_starts_it(self) -> None:
            rig = self.rig
            rig.contacts = {"wall": Contacts(False, False), "pendant": Contacts(False, False), "red": CLOSED}
            rig.joint_states, rig.counts, rig.beats, rig.velocities = True, (1, 1), True, [0.0, 0.0]
            rig.positions = [0.0, 0.0]
            self.connect(1, "motion")
            self.connect(2, "operator")
            for conn_id in (4, 99):
                self.ask("release", conn_id)
            self.ask("lease", 1)
            self.time_passes(3)
            rig.contacts = dict.fromkeys(rig.contacts, CLOSED)
            self.time_passes(60)
            code = self.ask("reset_request", 2)
            if code["ok"]:
                self.code = code["code"]
                self.reset(2)
            self.ask("arm", 2)
            self.ask("enable", 1)
            self.turn()

        # -- what never happens

        @rule()
        def turn(self) -> None:
            now_s, before = self.rig.clock(), self.sup.state
            gap_s, self.turn_at = now_s - self.turn_at, now_s
            since_s = self.stopped_at
            actions = self.rig.tick()
            self.see(before, "tick", True)
            if actions.forward is not None:
                self.went_out(actions, now_s, gap_s, since_s)
            if before is not ChainState.STOPPED and self.sup.state is ChainState.STOPPED:
                assert actions.hold is not None
                assert actions.cancel_goals

        def went_out(self, actions: Any, now_s: float, gap_s: float, since_s: float) -> None:
            assert actions.hold is None
            assert self.sup.state is ChainState.RUN
            assert gap_s <= 0.1 + 1e-9
            assert set(self.fed.values()) == {CLOSED}
            assert all(now_s - t_s <= 0.1 + 1e-9 for t_s in self.read_at.values())
            assert now_s - self.joints_at <= 0.15 + 1e-9
            assert now_s - self.beat_at <= 0.2 + 1e-9
            assert self.sup.status()["publishers"] == 1
            assert self.sup.status()["power"] in ("on", "not_configured")
            made = self.made.pop(actions.forward.positions_rad, None)
            if made is not None:
                assert made[1] == self.sup.epoch
                assert since_s <= made[0] <= now_s <= made[0] + 0.1 + 1e-9

        @invariant()
        def nothing_waits_outside_run(self) -> None:
            if self.sup.state is not ChainState.RUN:
                assert self.sup._pending is None

        @invariant()
        def nothing_has_broken(self) -> None:
            assert self.sup.status()["counters"]["exceptions"] == 0

    return Histories


LOWERED_FROM = {"reset": ChainState.STOPPED, "arm": ChainState.READY}


@pytest.mark.slow
def test_no_history_lets_a_command_through_that_should_not_go(
    load_test_helper: Callable[[str], ModuleType],
) -> None:
    run_state_machine_as_test(
        machine(load_test_helper("hardware/supervision_rig.py")),
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_the_histories_reach_what_they_are_about(
    load_test_helper: Callable[[str], ModuleType],
) -> None:
    histories: Any = machine(load_test_helper("hardware/supervision_rig.py"))()
    histories.begin(power=True)
    histories.all_is_well_and_a_person_starts_it()
    assert histories.sup.state is ChainState.RUN
    histories.time_passes(3)
    histories.command(1, None, None, False)
    assert histories.made
    histories.turn()
    assert not histories.made
    histories.stop(99)
    histories.all_is_well_and_a_person_starts_it()
    assert len(histories.used) == 2
    assert histories.sup.state is ChainState.RUN
