"""Policies as arrays: what they compute, what they draw, what cannot be made."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from redbutton.baselines.policy import Mlp, Policy, PolicyError, Table
from redbutton.envs.decisions import DECISIONS, FEATURES, NAMES
from redbutton.robots.interface import Call

BOTH = np.array([[0, 0], [1, 1]], np.float32)


@pytest.fixture(scope="module")
def made(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("baselines/made_policies.py")


# -- what they compute --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("activation", "bent"), [("tanh", math.tanh), ("relu", lambda x: max(0.0, x))])
def test_a_network_is_its_formula_and_a_softmax(activation: Any, bent: Callable[[float], float]) -> None:
    layers = (([[1.0, -2.0], [0.5, 3.0]], [0.25, -0.5]), ([[2.0, -1.0], [1.0, 0.5]], [0.0, 1.0]))
    net = Mlp(layers=tuple((np.array(w), np.array(b)) for w, b in layers), activation=activation)
    policy = Policy(actions=("a", "b"), features=("x", "y"), net=net)
    x, y = 0.5, -1.0
    h = [bent(x * 1.0 + y * 0.5 + 0.25), bent(x * -2.0 + y * 3.0 - 0.5)]
    a, b = 2.0 * h[0] + h[1], -h[0] + 0.5 * h[1] + 1.0
    expected = [math.exp(a) / (math.exp(a) + math.exp(b)), math.exp(b) / (math.exp(a) + math.exp(b))]
    np.testing.assert_allclose(policy.probabilities([[x, y]]), [expected], rtol=1e-12)


def test_huge_logits_overflow_nowhere(made: ModuleType) -> None:
    policy = made.table([[1e300, 0.0, -1e300]] * 4, output="logits")
    assert policy.probabilities(BOTH).tolist() == [[1.0, 0.0, 0.0]] * 2


def test_greedy_takes_the_first_of_the_best_and_draws_nothing(made: ModuleType) -> None:
    policy = made.table([[0.0, 7.0, 7.0], [1.0, 0.0, 0.0], [0, 0, 0], [0, 0, 1]], output="values", select="greedy")
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert policy.act(BOTH, rng).tolist() == [1, 2]
    assert policy.probabilities(BOTH).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert rng.bit_generator.state == before


def test_drawn_actions_follow_the_probabilities_and_the_generator_alone(made: ModuleType) -> None:
    policy = made.table([[0.5, 0.0, 0.5], [1, 0, 0], [1, 0, 0], [0.1, 0.2, 0.7]])
    rows = np.repeat(BOTH, 20_000, axis=0)
    drawn = policy.act(rows, np.random.default_rng(5))
    shares = np.array([np.bincount(part, minlength=3) for part in (drawn[:20_000], drawn[20_000:])]) / 20_000
    # Five standard errors of a share of a half.
    np.testing.assert_allclose(shares, [[0.5, 0.0, 0.5], [0.1, 0.2, 0.7]], atol=5 * 0.5 / math.sqrt(20_000))
    assert shares[0, 1] == 0.0
    assert (drawn == policy.act(rows, np.random.default_rng(5))).all()
    assert (drawn != policy.act(rows, np.random.default_rng(6))).any()


def test_a_table_knows_its_rows_by_value_and_no_others(made: ModuleType) -> None:
    policy = made.table([[1, 0], [0, 1]])
    assert policy.probabilities(np.array([[-0.0, 0.0], [0, 1]])).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(PolicyError, match=r"Received the row \[1\.0, 1\.0\], which is not among its 2"):
        policy.probabilities(BOTH)


@pytest.mark.parametrize("obs", [[0, 0], [[0, 0, 0]], [[[0, 0]]]])
def test_rows_of_another_shape_are_refused(made: ModuleType, obs: Any) -> None:
    with pytest.raises(PolicyError, match="takes rows of 2 features"):
        made.small().probabilities(obs)


def test_actions_of_the_coffee_world_bring_their_calls(made: ModuleType) -> None:
    assert made.linear({}).calls == DECISIONS
    two = Policy(actions=("wait", "pick cup"), features=FEATURES[:1], net=Mlp(layers=((np.eye(1, 2), np.zeros(2)),)))
    assert two.calls == (DECISIONS[NAMES.index("wait")], DECISIONS[NAMES.index("pick cup")])
    assert made.small().calls == ()


def test_only_a_policy_of_the_coffee_world_fits_a_trial(made: ModuleType) -> None:
    made.linear({}).check_for_trials()
    with pytest.raises(PolicyError, match="unknown feature 'x'"):
        made.small().check_for_trials()
    net = Mlp(layers=((np.zeros((1, 2)), np.zeros(2)),))
    near = Policy(actions=("wait", "pul cable"), features=("warned",), net=net)
    with pytest.raises(PolicyError, match=r"unknown action 'pul cable'.*Did you mean 'pull cable'"):
        near.check_for_trials()


# -- what cannot be made -------------------------------------------------------------------------------------------

ONE = np.ones((2, 3)), np.zeros(3)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no actions": ({"actions": ()}, "actions have names of their own"),
    "a feature twice": ({"features": ("x", "x")}, "features have names of their own"),
    "calls for some": ({"calls": (Call(name="look"),)}, "each of 3 actions has one call. Received 1"),
    "an unknown output": ({"output": "odds"}, "logits, values, probabilities"),
    "an unknown selection": ({"select": "best"}, "sample or greedy"),
    "values that are drawn from": ({"output": "values"}, "chosen by greedy. Received sample"),
    "a network of probabilities": ({"output": "probabilities"}, "a network gives logits or values"),
    "an unknown activation": ({"net": Mlp(layers=(ONE,), activation="elu")}, "one of tanh, relu. Received 'elu'"),  # type: ignore[arg-type]
    "no layer": ({"net": Mlp(layers=())}, "one number for each of 3 actions"),
    "too few inputs": ({"net": Mlp(layers=((np.ones((1, 3)), np.zeros(3)),))}, "layer 0 takes 2 numbers"),
    "layers that do not chain": ({"net": Mlp(layers=(ONE, (np.ones((2, 3)), np.zeros(3))))}, "layer 1 takes 3 numbers"),
    "a bias too long": ({"net": Mlp(layers=((np.ones((2, 3)), np.zeros(4)),))}, r"Received \(2, 3\) and \(4,\)"),
    "too few outputs": ({"net": Mlp(layers=((np.ones((2, 2)), np.zeros(2)),))}, "each of 3 actions. Received 2"),
    "NaN": ({"net": Mlp(layers=((np.full((2, 3), np.nan), np.zeros(3)),))}, "finite numbers"),
    "infinity": ({"net": Mlp(layers=((np.ones((2, 3)), np.full(3, np.inf)),))}, "finite numbers"),
    "an empty table": ({"net": Table(keys=np.ones((0, 2)), values=np.ones((0, 3)))}, r"keys \(n, 2\)"),
    "a table too narrow": ({"net": Table(keys=np.ones((1, 2)), values=np.ones((1, 2)))}, r"values \(n, 3\)"),
    "a row twice": ({"net": Table(keys=np.ones((2, 2)), values=np.ones((2, 3)))}, "stands once.*Received 1 twice"),
    "a table with NaN": ({"net": Table(keys=np.ones((1, 2)), values=np.full((1, 3), np.nan))}, "finite numbers"),
    "sums above one": (
        {"net": Table(keys=np.ones((1, 2)), values=np.ones((1, 3))), "output": "probabilities"},
        "a row that sums to 3",
    ),
    "negative chances": (
        {"net": Table(keys=np.ones((1, 2)), values=np.array([[-1.0, 1.0, 1.0]])), "output": "probabilities"},
        "at least 0",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_policy_that_makes_no_sense_cannot_be_made(made: ModuleType, kind: str) -> None:
    changes, words = REFUSED[kind]
    with pytest.raises(PolicyError, match=words) as caught:
        made.small(**changes)
    assert "\n" not in str(caught.value)
