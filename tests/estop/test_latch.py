from __future__ import annotations

from typing import Any

import pytest

from redbutton.estop import Demand, FailMode, Latch, ManualClock, StopCategory

SAFE, FREE = FailMode.FAIL_SAFE, FailMode.FAIL_OPEN
ZERO, ONE, TWO = StopCategory


def ask(source: str = "monitor", stop: Any = True, category: Any = TWO) -> Demand:
    return Demand(source, stop, category, f"{source}_asks" if stop else "")


@pytest.fixture(params=[SAFE, FREE])
def latch(request: pytest.FixtureRequest, clock: ManualClock) -> Latch:
    return Latch(request.param, clock, {"monitor": TWO, "guard": ONE})


CALM = [ask(stop=False), ask("guard", stop=False)]


def opened(latch: Latch) -> Latch:
    latch.update(CALM)
    assert latch.reset("operator")
    return latch


def test_it_starts_latched_with_the_most_restrictive_configured_category(latch: Latch) -> None:
    assert latch.latched
    assert (latch.reason, latch.category) == ("power_on", ONE)


def test_a_stop_latches_and_stays_when_the_demand_goes(latch: Latch, clock: ManualClock) -> None:
    opened(latch)
    clock.advance(1.0)
    latch.update([ask(), CALM[1]])
    latch.update(CALM)
    assert latch.latched
    assert not latch.demanded
    assert (latch.reason, latch.latched_t_s, latch.epoch) == ("monitor_asks", 2.0, 2)


def test_the_most_restrictive_of_all_demands_wins_and_never_relaxes_until_a_reset(latch: Latch) -> None:
    opened(latch)
    latch.update([ask(category=TWO), ask("guard", category=ONE)])
    assert latch.category is ONE
    latch.update([ask(category=ZERO), ask("guard", stop=False)])
    assert latch.category is ZERO
    latch.update([ask(category=TWO), ask("guard", stop=False)])
    assert latch.category is ZERO


def test_one_stop_outweighs_many_releases(latch: Latch) -> None:
    opened(latch)
    latch.update([*CALM, ask(), *CALM])
    assert latch.latched


def test_a_category_that_is_none_counts_as_the_most_restrictive_configured(latch: Latch) -> None:
    opened(latch)
    latch.update([ask(category="2"), CALM[1]])
    assert latch.category is ONE


def test_reset_of_an_open_latch_is_refused(latch: Latch) -> None:
    opened(latch)
    assert latch.reset("controller").reason == "nothing is latched"


def test_fail_safe_reset_is_refused_while_any_source_demands_a_stop(clock: ManualClock) -> None:
    latch = Latch(SAFE, clock, {"monitor": TWO, "guard": ONE})
    assert "never_updated" in latch.reset("operator").reason
    latch.update([ask(stop=False), ask("guard")])
    assert "guard_asks" in latch.reset("operator").reason
    assert latch.latched
    latch.update(CALM)
    assert latch.reset("operator").accepted


@pytest.mark.parametrize(
    "demands",
    [
        [],
        CALM[:1],
        [CALM[0], CALM[0]],
        [*CALM, ask("stranger", stop=False)],
        [*CALM, None],
        [ask(stop=None), CALM[1]],
        [ask(stop=0), CALM[1]],
    ],
)
def test_missing_unknown_and_malformed_sources_stop_when_fail_safe_only(clock: ManualClock, demands: Any) -> None:
    for mode, stops in ((SAFE, True), (FREE, False)):
        latch = opened(Latch(mode, clock, {"monitor": TWO, "guard": ONE}))
        latch.update(demands)
        assert latch.latched is stops
        assert latch.category is ONE


def test_without_a_list_of_sources_only_silence_is_missing(clock: ManualClock) -> None:
    latch = Latch(SAFE, clock)
    latch.update([ask("anybody", stop=False)])
    assert latch.reset("operator")
    latch.update([])
    assert (latch.latched, latch.category) == (True, ZERO)


def test_a_stop_of_an_unknown_source_counts_in_both_modes(latch: Latch) -> None:
    opened(latch)
    latch.update([*CALM, ask("stranger", category=TWO)])
    assert (latch.latched, latch.category) == (True, ONE)


def test_fail_open_reset_works_while_pressed_and_holds_until_a_new_press(clock: ManualClock) -> None:
    latch = opened(Latch(FREE, clock, {"monitor": TWO, "guard": ONE}))
    pressed = [ask(), CALM[1]]
    latch.update(pressed)
    assert latch.reset("controller").accepted
    latch.update(pressed)
    assert not latch.latched
    assert latch.demanded
    latch.update(CALM)
    latch.update(pressed)
    assert latch.latched


def test_fail_open_latches_on_a_second_source_though_the_first_still_stands(clock: ManualClock) -> None:
    latch = opened(Latch(FREE, clock, {"monitor": TWO, "guard": ONE}))
    latch.update([ask(), CALM[1]])
    latch.reset("controller")
    latch.update([ask(), ask("guard")])
    assert (latch.latched, latch.reason) == (True, "guard_asks")
