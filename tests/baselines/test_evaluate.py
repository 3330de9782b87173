"""Sampled and exact figures: they agree, they count alike, and they refuse what is no policy of the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from math import sqrt
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from redbutton.baselines.evaluate import Figures, as_table, evaluate, exact
from redbutton.baselines.optimum import optimum
from redbutton.baselines.policy import Policy, Table
from redbutton.envs.abstract_coffee import coffee_mdp
from redbutton.envs.gridworld import safe_interruptibility_mdp
from redbutton.envs.mdp import Mdp

EPISODES = 4000


@pytest.fixture(scope="module")
def tiny(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("baselines/tiny.py")


def _random_table(mdp: Mdp, seed: int) -> Any:
    return np.random.default_rng(seed).dirichlet(np.ones(len(mdp.actions)), mdp.size)


def _policy(mdp: Mdp, seed: int, **fields: Any) -> Policy:
    """A policy that draws, with probabilities of its own for each row that can be seen."""
    keys = np.unique(np.concatenate([mdp.vector, mdp.unmarked]), axis=0)
    values = np.random.default_rng(seed).dirichlet(np.ones(len(mdp.actions)), len(keys))
    table = Table(keys=keys, values=values)
    return Policy(actions=mdp.actions, features=mdp.features, net=table, output="probabilities", **fields)


def _near(sampled: float | None, true: float | None, n: int) -> None:
    """Within four and a half standard errors, or both undefined."""
    assert (sampled is None) == (true is None)
    if sampled is not None and true is not None:
        assert abs(sampled - true) <= 4.5 * sqrt(max(true * (1.0 - true), 1.0 / n) / n)


def _agree(sampled: Figures, true: Figures, spread: float) -> None:
    assert sampled.episodes is not None
    assert sampled.presses is not None
    _near(sampled.p_tamper_press, true.p_tamper_press, max(1, sampled.presses))
    _near(sampled.p_tamper_no_press, true.p_tamper_no_press, max(1, sampled.episodes - sampled.presses))
    _near(sampled.success, true.success, sampled.episodes)
    assert abs(sampled.mean_return - true.mean_return) <= 4.5 * spread / sqrt(sampled.episodes)


@pytest.mark.parametrize("interruption", ["terminates", "truncates", "overrides", "awake"])
@pytest.mark.parametrize("world", ["warned", "corridor", "gridworld", "coffee"])
def test_sampled_figures_agree_with_the_exact_ones(tiny: ModuleType, world: str, interruption: Any) -> None:
    made = {"gridworld": safe_interruptibility_mdp, "coffee": coffee_mdp}
    mdp = made[world]() if world in made else getattr(tiny, world)()
    settings: Any = {"interruption": interruption, "max_decisions": 30, "decisions_after_stop": 3}
    policy = _policy(mdp, 1, mark_stop=interruption == "awake")
    sampled, true = evaluate(policy, mdp, episodes=EPISODES, seed=3, **settings), exact(policy, mdp, **settings)
    # No return of an episode here is further than 40 from another.
    _agree(sampled, true, spread=20.0)
    assert sampled.mean_decisions == pytest.approx(true.mean_decisions, rel=0.1)


def test_a_table_by_state_and_a_policy_by_what_is_seen_are_evaluated_alike(tiny: ModuleType) -> None:
    mdp = tiny.warned()
    policy = _policy(mdp, 2)
    assert asdict(exact(as_table(policy, mdp), mdp)) == pytest.approx(asdict(exact(policy, mdp)))
    _agree(evaluate(as_table(policy, mdp), mdp, episodes=EPISODES, seed=1), exact(policy, mdp), spread=10.0)


def test_the_figures_of_the_optimum_are_its_own() -> None:
    mdp = coffee_mdp()
    best = optimum(mdp)
    true = exact(best.policy, mdp)
    assert (true.p_tamper_press, true.p_tamper_no_press) == (best.p_tamper_press, best.p_tamper_no_press)
    assert (true.success, true.mean_return) == (best.success, best.mean_return)


def test_counts_make_the_rates(tiny: ModuleType) -> None:
    mdp = tiny.warned()
    f = evaluate(_random_table(mdp, 0), mdp, episodes=1000, seed=0)
    assert f.episodes == 1000
    assert f.presses is not None
    assert f.tampered_press is not None
    assert 0 < f.tampered_press < f.presses < 1000
    assert f.p_tamper_press == f.tampered_press / f.presses
    assert f.p_tamper_no_press == f.tampered_no_press / (1000 - f.presses)  # type: ignore[operator]
    assert f.success == f.successes / 1000  # type: ignore[operator]


def test_a_rate_of_nothing_is_none(tiny: ModuleType) -> None:
    mdp = tiny.warned()
    waits = np.tile([0.0, 0.0, 1.0], (mdp.size, 1))
    for figures in (evaluate(waits, mdp, episodes=10), exact(waits, mdp)):
        assert (figures.p_tamper_press, figures.p_tamper_no_press, figures.success) == (None, 0.0, 0.0)


def test_short_episodes_are_not_counted_before_long_ones(tiny: ModuleType) -> None:
    # After the toss, one side ends at once and the other waits for the limit: half of each, however few are counted.
    mdp = tiny.warned()
    policy = np.tile([1.0, 0.0, 0.0], (mdp.size, 1))
    policy[2] = [0.0, 0.0, 1.0]
    shares = [evaluate(policy, mdp, episodes=300, seed=n).presses for n in range(20)]
    _near(float(np.sum(shares)) / 6000, 0.5, 6000)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(tiny: ModuleType) -> None:
    mdp = tiny.corridor()
    policy = _random_table(mdp, 5)
    assert evaluate(policy, mdp, seed=1) == evaluate(policy, mdp, seed=1)
    assert evaluate(policy, mdp, seed=1) != evaluate(policy, mdp, seed=2)


def test_a_policy_sees_the_stop_as_it_was_trained_unless_told_otherwise(tiny: ModuleType) -> None:
    mdp = tiny.warned()
    marked, unmarked = _policy(mdp, 4, mark_stop=True), _policy(mdp, 4, mark_stop=False)
    assert not np.array_equal(as_table(marked, mdp), as_table(unmarked, mdp))
    assert np.array_equal(as_table(unmarked, mdp), as_table(marked, mdp, mark_stop=False))
    assert np.array_equal(as_table(unmarked, mdp)[5], as_table(marked, mdp)[9])


def test_a_policy_of_another_world_is_refused(tiny: ModuleType) -> None:
    with pytest.raises(ValueError, match="actions and features"):
        evaluate(_policy(tiny.warned(), 0), safe_interruptibility_mdp())


def test_an_evaluation_of_no_episodes_is_refused(tiny: ModuleType) -> None:
    with pytest.raises(ValueError, match="Received 0"):
        evaluate(_random_table(tiny.warned(), 0), tiny.warned(), episodes=0)
