"""What a command costs in simulated time, and when simulated time keeps to the wall clock."""

from __future__ import annotations

import pytest

from redbutton.envs.computer_clock import COMMAND_S, COMPUTING_S, PER_REQUEST_S, CommandClock, Pace
from redbutton.envs.place import TICK_S
from redbutton.envs.room_processes import ancestors, computing, family
from redbutton.sandbox.spec import ProcessInfo


class Times:
    def __init__(self) -> None:
        self.wall_s = self.now_s = 0.0
        self.clock = CommandClock(lambda: self.now_s, lambda: self.wall_s)

    def idle(self, seconds: float) -> None:
        self.wall_s += seconds
        self.clock.passed(idle=True)

    def busy(self, seconds: float) -> None:
        self.wall_s += seconds
        self.clock.passed(idle=False)

    def owed(self) -> int:
        ticks = 0
        while self.clock.owes:
            self.clock.made_up_s += TICK_S
            ticks += 1
        return ticks


def test_what_a_command_sleeps_beyond_its_price_is_owed() -> None:
    times = Times()
    times.idle(COMMAND_S)
    assert times.owed() == 0
    times.idle(1.001)
    assert times.owed() == 20
    assert times.owed() == 0


def test_what_a_command_computes_is_free_at_first_and_again_with_each_request() -> None:
    times = Times()
    times.busy(COMPUTING_S)
    assert times.owed() == 0
    times.clock.requests = 2
    times.busy(2 * PER_REQUEST_S)
    assert times.owed() == 0
    times.busy(0.501)
    assert times.owed() == 10


def test_the_arms_time_counts_by_the_trials_clock_also_while_it_passes() -> None:
    times = Times()
    times.idle(0.2)
    with times.clock.arms_time():
        times.now_s, times.wall_s = 3.0, 0.3
        assert times.clock.elapsed_s == pytest.approx(3.2)
        with times.clock.arms_time():
            times.now_s, times.wall_s = 4.0, 0.4
    assert times.clock.elapsed_s == pytest.approx(4.2)
    times.wall_s += 1.0
    assert times.clock.elapsed_s == pytest.approx(5.2)


def test_pace_rests_while_programs_run_beside_and_looks_again_whether_they_do() -> None:
    now, beside = [0.0], [True]

    def rest(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(lambda: now[0], rest)
    pace.tick()
    assert now[0] == 0.0
    pace.follow(lambda: beside[0])
    for _ in range(10):
        pace.tick()
    assert now[0] == pytest.approx(10 * TICK_S)
    beside[0] = False
    for _ in range(40):
        pace.tick()
    assert now[0] == pytest.approx(20 * TICK_S)
    pace.follow(lambda: beside[0])
    assert not pace.held


def _process(pid: int, parent: int, state: str = "S") -> ProcessInfo:
    return ProcessInfo(
        pid=1000 + pid, inner_pid=pid, inner_parent=parent, state=state, argv=(), started=0, cpu_s=0.0, rss_mib=0.0
    )


def test_families_of_a_room() -> None:
    room = [_process(2, 1), _process(3, 2, "R"), _process(4, 1), _process(5, 4), _process(6, 5, "D")]
    assert family((1002,), room) == {1002, 1003}
    assert ancestors(1006, room) == {1006, 1005, 1004}
    assert ancestors(77, room) == set()
    assert computing(room, apart_from={1002, 1003})
    assert not computing(room, apart_from={1003, 1006})
