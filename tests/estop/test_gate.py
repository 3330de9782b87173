from __future__ import annotations

import math
from dataclasses import replace

import pytest

from redbutton.estop import Bite, BiteMode, ChainState, Gate, ManualClock, Refusal, Token

NOW, NEXT = Bite(BiteMode.IMMEDIATE), Bite(BiteMode.NEXT_COMMAND)
LATER = Bite(BiteMode.AFTER, 0.5)


def running(bite: Bite, clock: ManualClock) -> tuple[Gate, Token]:
    gate = Gate(bite, clock, auto_arm=True)
    gate.follow(False)
    token = gate.begin("controller")
    assert isinstance(token, Token)
    assert gate.permit(token)
    return gate, token


def test_it_starts_stopped_and_refuses_everything(clock: ManualClock) -> None:
    gate = Gate(NOW, clock, auto_arm=True)
    assert gate.state is ChainState.STOPPED
    assert not gate.begin("controller")
    assert not gate.arm("operator")
    assert not gate.permit(None)


def test_immediate_voids_the_running_token_and_raises_the_epoch(clock: ManualClock) -> None:
    gate, token = running(NOW, clock)
    gate.follow(True)
    assert (gate.state, gate.epoch) == (ChainState.STOPPED, 1)
    assert not gate.permit(token)


@pytest.mark.parametrize("bite", [NOW, NEXT, LATER])
def test_no_token_from_before_a_stop_is_ever_permitted_again(clock: ManualClock, bite: Bite) -> None:
    gate, token = running(bite, clock)
    gate.follow(True)
    gate.follow(False)
    assert (gate.state, gate.epoch) == (ChainState.READY, 1)
    assert not gate.permit(token)
    fresh = gate.begin("controller")
    assert gate.permit(fresh)
    assert not gate.permit(token)
    gate.end(token)
    assert gate.permit(fresh)


def test_a_reset_never_arms(clock: ManualClock) -> None:
    gate = Gate(NOW, clock, auto_arm=False)
    states = []
    for _ in range(2):
        gate.follow(False)
        states.append(gate.state)
        refusal = gate.begin("controller")
        assert isinstance(refusal, Refusal)
        assert "not armed" in refusal.reason
        assert gate.arm("operator")
        assert not gate.arm("operator")
        states.append(gate.state)
        gate.follow(True)
    assert states == [ChainState.READY, ChainState.RUN] * 2


def test_only_one_command_at_a_time(clock: ManualClock) -> None:
    gate, token = running(NOW, clock)
    second = gate.begin("second")
    assert gate.permit(second)
    assert not gate.permit(token)
    gate.end(token)
    assert gate.permit(second)
    gate.end(second)
    assert not gate.permit(second)


def test_a_copy_of_a_token_or_one_of_another_gate_is_no_token(clock: ManualClock) -> None:
    gate, token = running(NOW, clock)
    _, foreign = running(NOW, clock)
    assert not gate.permit(replace(token))
    assert not gate.permit(foreign)
    gate.end(replace(token))
    assert gate.permit(token)


def test_next_command_lets_the_running_one_finish_and_then_stops(clock: ManualClock) -> None:
    gate, token = running(NEXT, clock)
    gate.follow(True)
    clock.advance(100.0)
    gate.follow(True)
    assert gate.state is ChainState.PENDING
    assert gate.permit(token)
    assert gate.epoch == 0
    gate.end(token)
    assert (gate.state, gate.epoch) == (ChainState.STOPPED, 1)


def test_next_command_bites_when_the_next_begin_is_tried(clock: ManualClock) -> None:
    gate, token = running(NEXT, clock)
    gate.follow(True)
    assert not gate.begin("controller")
    assert gate.state is ChainState.STOPPED
    assert not gate.permit(token)


def test_next_command_bites_at_once_when_nothing_runs(clock: ManualClock) -> None:
    gate, token = running(NEXT, clock)
    gate.end(token)
    gate.follow(True)
    assert gate.state is ChainState.STOPPED


def test_after_permits_everything_until_the_delay_is_over(clock: ManualClock) -> None:
    gate, token = running(LATER, clock)
    gate.follow(True)
    clock.advance(0.45)
    gate.follow(True)
    assert gate.permit(token)
    gate.end(token)
    second = gate.begin("controller")
    assert gate.permit(second)
    assert gate.state is ChainState.PENDING
    clock.advance(0.05)
    assert not gate.permit(second)
    assert (gate.state, gate.epoch) == (ChainState.STOPPED, 1)


def test_after_bites_in_begin_as_well(clock: ManualClock) -> None:
    gate, token = running(LATER, clock)
    gate.follow(True)
    gate.end(token)
    clock.advance(0.5)
    assert not gate.begin("controller")
    assert gate.state is ChainState.STOPPED


def test_arming_is_refused_while_a_stop_is_pending(clock: ManualClock) -> None:
    gate, _ = running(LATER, clock)
    gate.follow(True)
    assert "pending" in gate.arm("controller").reason


@pytest.mark.parametrize("delay", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_a_delay_that_is_none_stops_now(clock: ManualClock, delay: float) -> None:
    gate, token = running(Bite(BiteMode.AFTER, delay), clock)
    gate.follow(True)
    assert gate.state is ChainState.STOPPED
    assert not gate.permit(token)


@pytest.mark.parametrize("now", [math.nan, math.inf, 0.5, 1.2])
def test_a_clock_that_fails_or_runs_back_ends_the_delay(clock: ManualClock, now: float) -> None:
    gate, token = running(LATER, clock)
    gate.follow(True)
    clock.set(1.3)
    assert gate.permit(token)
    clock.set(now)
    assert not gate.permit(token)


def test_a_clock_that_fails_when_the_stop_latches_stops_now(clock: ManualClock) -> None:
    gate, token = running(LATER, clock)
    clock.set(math.nan)
    gate.follow(True)
    clock.set(1.0)
    assert not gate.permit(token)
