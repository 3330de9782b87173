"""Dynamic programming against answers worked out on paper and against brute force."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from redbutton.baselines.optimum import best_by_class, best_value, greedy, optimum, propagate
from redbutton.envs.mdp import Mdp

INTERRUPTIONS: tuple[Any, ...] = ("terminates", "truncates", "overrides", "awake")


@pytest.fixture(scope="module")
def tiny(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("baselines/tiny.py")


# -- on paper -----------------------------------------------------------------------------------------------------


def test_the_best_return_tampers_once_it_is_warned_and_only_then(tiny: ModuleType) -> None:
    best = optimum(tiny.warned())
    assert best.value[[0, 1, 2, 5]].tolist() == [7.0, 7.0, 9.0, 0.0]
    assert (best.p_tamper_press, best.p_tamper_no_press) == (1.0, 0.0)
    assert (best.success, best.mean_return) == (1.0, 7.0)
    assert best.policy[1].tolist() == [0.0, 1.0, 0.0]


def test_where_a_stop_is_worth_what_going_on_is_worth_nothing_is_tampered_with(tiny: ModuleType) -> None:
    best = optimum(tiny.warned(), objective="resumed")
    # The wait and the errand lead to the stop alike.
    assert best.policy[1].tolist() == [0.5, 0.0, 0.5]
    assert best.value[[0, 1, 5, 9]].tolist() == [7.5, 8.0, 9.0, 9.0]
    assert (best.p_tamper_press, best.p_tamper_no_press, best.success) == (0.0, 0.0, 0.5)
    assert best.mean_return == pytest.approx(0.5 * (-1 + 9) + 0.5 * (-1 - 1))


def test_a_discount_applies_to_values_and_not_to_the_mean_return(tiny: ModuleType) -> None:
    best = optimum(tiny.warned(), discount=0.5)
    assert best.value[1] == pytest.approx(-2 + 0.5 * 9)
    assert best.value[0] == pytest.approx(-1 + 0.5 * 0.5 * (9 + 2.5))
    assert best.mean_return == pytest.approx(7.0)


def test_without_a_warning_the_best_return_tampers_in_advance(tiny: ModuleType) -> None:
    best = optimum(tiny.corridor())
    assert (best.p_tamper_press, best.p_tamper_no_press, best.mean_return) == (1.0, 1.0, 6.0)


def test_the_best_episode_of_each_class(tiny: ModuleType) -> None:
    classes = best_by_class(tiny.warned())
    assert (classes.interrupted, classes.ran_on, classes.unpressed) == (-2.0, 6.0, 8.0)


def test_a_class_that_cannot_occur_has_no_best_episode(tiny: ModuleType) -> None:
    never = tiny.tables(2, {(0, tiny.GO): [(1.0, 1, 3.0)]}, done=(1,))
    classes = best_by_class(never)
    assert (classes.interrupted, classes.ran_on, classes.unpressed) == (None, None, 3.0)
    best = optimum(never)
    assert (best.p_tamper_press, best.p_tamper_no_press) == (None, 0.0)


def test_the_best_episode_keeps_to_the_limit_of_decisions(tiny: ModuleType) -> None:
    # Two decisions are too few to deliver after a press: a wait and the step to the warning are then the best.
    assert best_by_class(tiny.warned(), max_decisions=2).ran_on == -2.0
    assert best_by_class(tiny.warned(), max_decisions=3).ran_on == 6.0


def test_equal_actions_share_the_policy() -> None:
    assert greedy(np.array([[1.0, 1.0 + 1e-12, 0.0], [0.0, 0.0, 1.0]])).tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]


# -- brute force --------------------------------------------------------------------------------------------------


def _value_of(mdp: Mdp, choice: tuple[int, ...], discount: float, resumed: bool) -> np.ndarray[Any, Any]:
    """Values of a deterministic policy as the solution of linear equations."""
    left, right = np.eye(mdp.size), np.zeros(mdp.size)
    for s in range(mdp.size):
        if mdp.done[s] or (mdp.stopped[s] and not resumed):
            continue
        if mdp.stopped[s]:
            left[s, mdp.resumed[s]] -= 1.0
            continue
        for k in range(mdp.chance.shape[2]):
            right[s] += mdp.chance[s, choice[s], k] * mdp.reward[s, choice[s], k]
            left[s, mdp.next[s, choice[s], k]] -= discount * mdp.chance[s, choice[s], k]
    return np.linalg.solve(left, right)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("objective", ["return", "resumed"])
def test_values_are_the_best_of_all_deterministic_policies(tiny: ModuleType, seed: int, objective: Any) -> None:
    mdp = tiny.random_tables(seed)
    choices = itertools.product(range(len(mdp.actions)), repeat=mdp.size - 1)
    every = [_value_of(mdp, (*choice, 0), 0.9, objective == "resumed") for choice in choices]
    assert best_value(mdp, 0.9, objective) == pytest.approx(np.max(every, axis=0), abs=1e-9)


def _walk(mdp: Mdp, policy: Any, how: str, limit: int, after_limit: int) -> tuple[np.ndarray[Any, Any], float, float]:
    """Last states, return and decisions, from every path one by one and the rules of ``Batch`` about ends."""
    ended, sums = np.zeros(mdp.size), np.zeros(2)

    def go_on(s: int, p: float, gained: float, decisions: int, after: int) -> None:
        for a in range(len(mdp.actions)):
            forced = how == "overrides" and mdp.stopped[s]
            q = p * (float(a == mdp.wait) if forced else float(policy[s, a]))
            for k in range(mdp.chance.shape[2]):
                if (r := q * mdp.chance[s, a, k]) == 0.0:
                    continue
                t, now, n = int(mdp.next[s, a, k]), gained + mdp.reward[s, a, k], decisions + 1
                stopped = bool(mdp.stopped[t])
                counted = after + stopped
                cut = stopped if how in ("terminates", "truncates") else counted > after_limit
                if mdp.done[t] or cut or n >= limit:
                    ended[t] += r
                    sums[:] += (r * now, r * n)
                else:
                    go_on(t, r, now, n, counted)

    go_on(int(mdp.start[0]), 1.0, 0.0, 0, 0)
    return ended, sums[0], sums[1]


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_propagation_agrees_with_every_path_counted(tiny: ModuleType, interruption: Any) -> None:
    for seed in range(3):
        mdp = tiny.random_tables(seed)
        policy = np.random.default_rng(seed).dirichlet(np.ones(len(mdp.actions)), mdp.size)
        ended, mean_return, decisions = _walk(mdp, policy, interruption, limit=6, after_limit=1)
        forecast = propagate(mdp, policy, interruption=interruption, max_decisions=6, decisions_after_stop=1)
        assert forecast.ended == pytest.approx(ended, abs=1e-12)
        assert forecast.ended.sum() == pytest.approx(1.0)
        assert forecast.mean_return == pytest.approx(mean_return)
        assert forecast.mean_decisions == pytest.approx(decisions)


def test_an_episode_without_an_end_ends_at_the_limit(tiny: ModuleType) -> None:
    mdp = tiny.warned()
    waits = np.tile([0.0, 0.0, 1.0], (mdp.size, 1))
    forecast = propagate(mdp, waits, max_decisions=7)
    assert (forecast.ended[0], forecast.mean_return, forecast.mean_decisions) == (1.0, -7.0, 7.0)


# -- what it refuses ----------------------------------------------------------------------------------------------


def test_a_loop_that_pays_is_refused(tiny: ModuleType) -> None:
    pays = tiny.tables(2, {(0, tiny.GO): [(1.0, 0, 1.0)]}, done=(1,))
    with pytest.raises(ValueError, match="does a loop pay"):
        optimum(pays)
    assert optimum(pays, discount=0.5).value[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"objective": "regret"}, "Received 'regret'"), ({"discount": 1.5}, "Received 1.5")],
)
def test_an_unknown_objective_or_discount_is_refused(tiny: ModuleType, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimum(tiny.warned(), **arguments)


@pytest.mark.parametrize("policy", [np.ones((2, 3)) / 3, np.full((11, 3), 0.5), np.tile([1.5, -0.5, 0.0], (11, 1))])
def test_what_is_no_policy_of_the_world_is_refused(tiny: ModuleType, policy: Any) -> None:
    with pytest.raises(ValueError, match=r"table of shape \(11, 3\)"):
        propagate(tiny.warned(), policy)
