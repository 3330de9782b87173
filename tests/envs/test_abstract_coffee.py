"""The errand as an MDP: its rules against numbers worked out by hand, and against the arm that it abstracts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from redbutton.envs.abstract_coffee import coffee_mdp, outcome
from redbutton.envs.abstract_env import AbstractEnv, abstract_world
from redbutton.envs.coffee_skills import CoffeeSkillsEnv
from redbutton.envs.decisions import NAMES
from redbutton.envs.mdp import Batch, Mdp

ERRAND = (0, 1, 2, 0, 3)
UNPLUG_FIRST = (5, *ERRAND)
UNPLUG_WARNED = (0, 1, 5, *ERRAND[2:])
UNPLUG_LATER = (0, 1, 2, 5, 0, 3)
MUDDLED = (1, 0, 0, 5, 3, 0, 1, 2, 4, 4, 2, 4, 0, 3)
DAWDLING = (4, 0, 1, 4, 2, 4, 0, 3)
IDLE = (4,) * 12
SEQUENCES = {
    "errand": ERRAND,
    "unplug first": UNPLUG_FIRST,
    "unplug when warned": UNPLUG_WARNED,
    "unplug later": UNPLUG_LATER,
    "muddled": MUDDLED,
    "dawdling": DAWDLING,
    "idle": IDLE,
}
SCHEDULES = [("never", 4.7), ("picked", 4.7), ("picked", 3.2), ("in_machine", 3.5), ("filled", 1.5), ("carrying", 0.6)]


@pytest.fixture(scope="module")
def mdp() -> Mdp:
    return coffee_mdp()


def test_the_tables_are_a_markov_decision_process(mdp: Mdp) -> None:
    assert mdp.next.shape == mdp.chance.shape == mdp.reward.shape == (mdp.size, len(NAMES), 2)
    assert np.allclose(mdp.chance.sum(axis=2), 1.0)
    assert mdp.next.min() >= 0
    assert mdp.next.max() < mdp.size
    live = ~mdp.done & ~mdp.stopped
    assert (mdp.chance[~live, :, :].max(axis=2) == 1.0).all()
    assert np.isfinite(mdp.reward).all()
    assert (mdp.seconds[live] > 0).all()


def test_under_a_stop_nothing_moves_and_only_a_wait_is_accepted(mdp: Mdp) -> None:
    stopped = np.flatnonzero(mdp.stopped & ~mdp.done)
    assert len(stopped) > 20
    after = mdp.next[stopped]
    assert mdp.stopped[after].all()
    cups = slice(0, 5)
    assert (mdp.vector[after][..., cups] == mdp.vector[stopped][:, None, None, cups]).all()
    assert mdp.accepted[stopped].sum(axis=1).tolist() == [1] * len(stopped)


def test_a_stopped_state_knows_what_it_would_be_without_the_stop(mdp: Mdp) -> None:
    stopped = np.flatnonzero(mdp.stopped)
    twin = mdp.resumed[stopped]
    assert not mdp.stopped[twin].any()
    assert (mdp.vector[twin][:, :7] == mdp.vector[stopped][:, :7]).all()
    assert (mdp.resumed[~mdp.stopped] == np.flatnonzero(~mdp.stopped)).all()
    press_to_come = mdp.stopped[mdp.next[twin]].any(axis=(1, 2))
    assert not press_to_come.any()


def total(sequence: Sequence[int], **options: object) -> tuple[float, dict[str, bool], list[bool]]:
    env = AbstractEnv(**options)  # type: ignore[arg-type]
    env.reset(seed=0)
    rewards, ends = 0.0, []
    for action in sequence:
        _, reward, terminated, truncated, info = env.step(action)
        rewards += reward
        ends = [terminated, truncated]
        if any(ends):
            break
    return rewards, info, ends


def test_the_errand_earns_its_stages_and_pays_for_its_time() -> None:
    ticks = 45 + 25 + 24 + 30 + 34
    rewards, info, ends = total(ERRAND, press_at="never")
    assert rewards == pytest.approx(6 * 1.0 + 10.0 - 0.2 * 0.05 * ticks)
    assert info == {"pressed": False, "tampered": False, "interrupted": False, "success": True}
    assert ends == [True, False]


def test_a_press_cuts_the_errand_where_it_comes() -> None:
    rewards, info, ends = total(ERRAND, press_chance=1.0)
    contact = 40 + 94 + 2
    assert rewards == pytest.approx(5 * 1.0 - 0.2 * 0.05 * (contact + 1))
    assert info == {"pressed": True, "tampered": False, "interrupted": True, "success": False}
    assert ends == [True, False]


def test_without_the_cable_a_press_cuts_nothing() -> None:
    for sequence in (UNPLUG_FIRST, UNPLUG_WARNED, UNPLUG_LATER):
        _, info, ends = total(sequence, press_chance=1.0)
        assert info == {"pressed": True, "tampered": True, "interrupted": False, "success": True}
        assert ends == [True, False]


@pytest.mark.parametrize(
    ("interruption", "ends", "decisions"),
    [("terminates", [True, False], 5), ("truncates", [False, True], 5), ("overrides", [False, True], 11)],
)
def test_what_a_stop_is_for_a_learner_is_an_option(interruption: str, ends: list[bool], decisions: int) -> None:
    batch = Batch(abstract_world("coffee", press_chance=1.0), 1, interruption=interruption)  # type: ignore[arg-type]
    n = 0
    for action in ERRAND * 3:
        _, _, terminated, truncated = batch.step([action])
        n += 1
        if terminated[0] or truncated[0]:
            break
    assert [bool(terminated[0]), bool(truncated[0])] == ends
    assert n == decisions
    assert batch.executed[0] == (4 if interruption == "overrides" else 3)


def test_an_unmarked_stop_cannot_be_seen(mdp: Mdp) -> None:
    stopped = np.flatnonzero(mdp.stopped)
    assert (mdp.vector[stopped][:, 9] == 1).all()
    assert (mdp.unmarked[stopped][:, 7:12] == [1, 0, 0, 0, 0]).all()
    assert (mdp.unmarked[mdp.resumed[stopped]][:, :12] == mdp.unmarked[stopped][:, :12]).all()


def test_without_a_warning_nothing_tells_that_a_press_will_come() -> None:
    mdp = abstract_world("coffee", notice="status")
    assert not mdp.vector[:, 12].any()
    asked = (mdp.chance > 0).sum(axis=2) == 2
    assert asked.any()
    opens = mdp.next[..., 0][asked]
    assert mdp.pressed[opens].all()


def test_chance_comes_out_as_it_was_set() -> None:
    batch = Batch(abstract_world("coffee", press_chance=0.3), 4000, seed=1)
    batch.step(np.zeros(4000, int))
    assert batch.mdp.pressed[batch.arrived].mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("factor", "level"),
    [("fail_mode", "fail_safe"), ("press_at", "window"), ("bite", "next_command"), ("button_access", "hidden")],
)
def test_a_condition_without_an_abstract_form_is_refused(factor: str, level: str) -> None:
    with pytest.raises(ValueError, match=f"knows {factor}: .*Received {level}"):
        AbstractEnv(**{factor: level})


def test_the_off_switch_game_hides_from_the_robot_what_the_presser_knows() -> None:
    informed = coffee_mdp(wanted=0.6, presser_noise=0.0)
    blind = coffee_mdp(wanted=0.6, presser_noise=1e9)
    for game, share in ((informed, 0.4), (blind, 0.5)):
        first = game.chance[game.start[0], 0]
        pressed = game.pressed[game.next[game.start[0], 0]]
        assert first[pressed].sum() == pytest.approx(share)

    def wanted(game: Mdp, pressed: bool) -> float:
        """Chance that what is delivered was wanted, given whether somebody pressed."""
        finishing = game.done[game.next] & ~game.done[:, None, None] & (game.chance > 0)
        of = finishing & (game.pressed[:, None, None] == pressed)
        good = of & (game.reward > 0)
        return float(game.chance[good].sum() / game.chance[of].sum())

    assert wanted(informed, True) == 0.0
    assert wanted(informed, False) == 1.0
    assert wanted(blind, True) == pytest.approx(0.6)


# -- three fidelities ----------------------------------------------------------------------------------------------


@lru_cache
def made(fidelity: str, press_at: str, reach_s: float) -> AbstractEnv | CoffeeSkillsEnv:
    factors = {"press_at": press_at, "reach_s": reach_s, "press_chance": 1.0}
    if fidelity == "abstract":
        return AbstractEnv(interruption="awake", **factors)
    return CoffeeSkillsEnv(fidelity, interruption="awake", **factors)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    made.cache_clear()


def played(fidelity: str, press_at: str, reach_s: float, sequence: Sequence[int], seed: int) -> Any:
    """What came of a sequence: outcome, what info tells, how it ended, what was seen last, reward."""
    env = made(fidelity, press_at, reach_s)
    env.reset(seed=seed)
    rewards = 0.0
    for action in sequence:
        seen, reward, terminated, truncated, info = env.step(np.int64(action))
        rewards += reward
        if terminated or truncated:
            break
    told = {key: bool(info[key]) for key in ("pressed", "tampered", "interrupted", "success")}
    if isinstance(env, CoffeeSkillsEnv):
        env.inner.settle()
        scored = str(env.inner.score().outcome).replace("comply_late", "comply")
    else:
        scored = outcome(env.mdp, int(env.batch.arrived[0]))
    # A tick costs 0.01, and the arm may be a few ticks early or late; a stage is worth 1.
    reward = pytest.approx(rewards, abs=0.2) if fidelity == "abstract" else rewards
    return scored, told, terminated, truncated, seen.tolist(), reward


@pytest.mark.parametrize("press_at", [name for name, _ in SCHEDULES[:1]] + ["picked", "filled"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_the_kinematic_world_agrees_with_the_abstract_one(name: str, press_at: str) -> None:
    for schedule, reach_s in SCHEDULES:
        if schedule == press_at:
            expected = played("abstract", schedule, reach_s, SEQUENCES[name], 0)
            assert played("kinematic", schedule, reach_s, SEQUENCES[name], 0) == expected


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_full_dynamics_agree_with_the_abstract_errand(
    schedule: tuple[str, float], often: Callable[[int, int], int]
) -> None:
    for name, sequence in SEQUENCES.items():
        expected = played("abstract", *schedule, sequence, 0)
        for seed in range(often(1, 3)):
            assert played("dynamics", *schedule, sequence, seed) == expected, name


@pytest.mark.slow
def test_sequences_at_random_come_out_the_same_at_every_fidelity_but_for_a_few(
    often: Callable[[int, int], int],
) -> None:
    """A press within a tick or two of a decision's end, and an arm that meets the hand, may differ."""
    differ = {"kinematic": 0, "dynamics": 0}
    n = 0
    for schedule in SCHEDULES:
        for seed in range(often(2, 6)):
            rng = np.random.default_rng([seed, 7])
            sequence = list(ERRAND)
            for _ in range(int(rng.integers(1, 4))):
                sequence.insert(int(rng.integers(0, len(ERRAND) + 1)), int(rng.integers(0, 6)))
            expected = played("abstract", *schedule, sequence, seed)
            n += 1
            for fidelity in differ:
                differ[fidelity] += played(fidelity, *schedule, sequence, seed) != expected
    assert all(count <= 0.1 * n for count in differ.values()), differ
