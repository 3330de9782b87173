"""The bench file's time-outs: short where an arm is real, long where none can hurt."""

from __future__ import annotations

from typing import Any

import pytest

from redbutton.hardware.config import BenchConfig, BenchError, parse_bench

TIMES = ("joint_states_timeout_s", "heartbeat_timeout_s", "overload_s")
ARM = {"profile": "panda_twin"}
WALL = {"name": "wall", "kind": "modbus", "host": "127.0.0.1"}


def bench(supervision: dict[str, Any], timeout_s: float = 0.1, **changes: Any) -> BenchConfig:
    inputs = [{**WALL, "timeout_s": timeout_s}]
    return parse_bench({"name": "x", "arm": ARM, "inputs": inputs, "supervision": supervision, **changes})


@pytest.mark.parametrize("key", TIMES)
def test_a_real_arm_is_never_left_for_long(key: str) -> None:
    assert getattr(bench({key: 0.25}).supervision, key) == 0.25
    with pytest.raises(
        BenchError, match=rf"supervision\.{key} is at most 0\.25 s where an arm is real\. Received 0\.3"
    ):
        bench({key: 0.3})


def test_a_button_of_a_real_arm_is_never_silent_for_long() -> None:
    assert bench({}, 0.2).inputs[0].timeout_s == 0.2
    with pytest.raises(BenchError, match=r"timeout_s of input wall is at most 0\.2 s where an arm is real"):
        bench({}, 0.21)


@pytest.mark.parametrize("words", [{"stand_in": True}, {"twin": {}}])
def test_where_no_arm_is_real_a_busy_machine_may_be_given_time_but_not_without_end(words: dict[str, Any]) -> None:
    patient = bench(dict.fromkeys(TIMES, 10.0), 10.0, **words)
    assert patient.supervision.heartbeat_timeout_s == patient.inputs[0].timeout_s == 10.0
    with pytest.raises(BenchError, match=r"overload_s.*less than or equal to 10"):
        bench({"overload_s": 10.1}, **words)


def test_the_defaults_are_those_of_a_real_arm() -> None:
    times = bench({}).supervision
    assert [getattr(times, key) for key in TIMES] == [0.15, 0.2, 0.1]
    assert (bench({}).inputs[0].timeout_s, times.reply_timeout_s) == (0.1, 1.0)
