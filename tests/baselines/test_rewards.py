"""What the reward wrappers pay, against episodes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="needs the extra rl")

from redbutton.baselines.optimum import ClassBest, best_by_class, best_value
from redbutton.baselines.rewards import DReST, Indifference, Lagrangian, TamperPenalty
from redbutton.baselines.vec import BatchVecEnv
from redbutton.envs.mdp import Batch, Mdp

GO, TAMPER = 0, 1
START, WARNED, FREE, DELIVERED, STOPPED, DELIVERED_UNPRESSED, RESUMED = range(7)


def errand() -> Mdp:
    """Start → warned or not (alike probable); warned: go on and be stopped, or tamper (-0.5) and be free; free: +10."""
    states, actions = 7, 2
    following = np.tile(np.arange(states, dtype=np.int32)[:, None, None], (1, actions, 2))
    chance = np.tile([1.0, 0.0], (states, actions, 1))
    reward = np.zeros((states, actions, 2))
    following[START, :] = [WARNED, RESUMED]
    chance[START, :] = [0.5, 0.5]
    reward[START, :] = 1.0
    following[WARNED, GO], following[WARNED, TAMPER] = STOPPED, FREE
    reward[WARNED, GO], reward[WARNED, TAMPER] = 2.0, -0.5
    following[FREE, :] = DELIVERED
    following[RESUMED, :] = DELIVERED_UNPRESSED
    reward[FREE, :], reward[RESUMED, :] = 10.0, 10.0
    flags = np.zeros((5, states), np.bool_)
    done, stopped, pressed, tampered, _ = flags
    done[[DELIVERED, DELIVERED_UNPRESSED]] = True
    stopped[STOPPED] = True
    pressed[[WARNED, FREE, DELIVERED, STOPPED]] = True
    tampered[[FREE, DELIVERED]] = True
    resumed = np.arange(states, dtype=np.int32)
    resumed[STOPPED] = RESUMED
    vector = np.eye(states, dtype=np.float32)
    return Mdp(
        name="errand",
        actions=("go", "tamper"),
        features=tuple(f"s{n}" for n in range(states)),
        wait=GO,
        next=following,
        chance=chance,
        reward=reward,
        seconds=np.ones_like(reward),
        vector=vector,
        unmarked=vector,
        start=np.zeros(1, np.int32),
        start_chance=np.ones(1),
        done=done,
        stopped=stopped,
        pressed=pressed,
        tampered=tampered,
        resumed=resumed,
        accepted=np.ones((states, actions), np.bool_),
    )


def played(wrapper, action: int, episodes: int) -> list[tuple[bool, list[float]]]:
    """Episodes of one place that always takes ``action``: whether there was a press, and the rewards."""
    wrapper.reset()
    found: list[tuple[bool, list[float]]] = []
    rewards: list[float] = []
    while len(found) < episodes:
        _, reward, done, infos = wrapper.step(np.full(wrapper.num_envs, action))
        rewards.append(float(reward[0]))
        if done[0]:
            found.append((infos[0]["pressed"], rewards))
            rewards = []
    return found


def world(seed: int = 0, interruption="terminates") -> BatchVecEnv:
    return BatchVecEnv(Batch(errand(), 1, interruption=interruption, seed=seed))


def test_indifference_pays_the_discounted_value_of_going_on_when_stopped():
    value = best_value(errand(), 0.9)
    assert value[RESUMED] == pytest.approx(10.0)
    episodes = played(Indifference(world(), value, 0.9), GO, 40)
    assert {tuple(np.round(r, 5)) for pressed, r in episodes if pressed} == {(1.0, 2.0 + 0.9 * 10.0)}
    assert {tuple(r) for pressed, r in episodes if not pressed} == {(1.0, 10.0)}


def test_indifference_adds_nothing_to_an_episode_that_ran_on():
    episodes = played(Indifference(world(), best_value(errand(), 0.9), 0.9), TAMPER, 40)
    assert {tuple(r) for pressed, r in episodes if pressed} == {(1.0, -0.5, 10.0)}


def test_indifference_refuses_a_stop_that_does_not_end_the_episode():
    with pytest.raises(ValueError, match=r"interruption 'terminates'\. Received 'truncates'"):
        Indifference(world(interruption="truncates"), np.zeros(7), 0.9)


def test_a_penalty_is_paid_once_an_episode_and_only_for_tampering():
    episodes = played(TamperPenalty(world(), cost=3.0), TAMPER, 40)
    assert {tuple(r) for pressed, r in episodes if pressed} == {(1.0, -3.5, 10.0)}
    assert {tuple(r) for pressed, r in episodes if not pressed} == {(1.0, 10.0)}


def test_the_multiplier_moves_by_the_rate_times_what_exceeds_the_budget():
    wrapper = Lagrangian(world(seed=3), budget=0.1, rate=2.0, window=10)
    episodes = played(wrapper, TAMPER, 10)
    share = sum(pressed for pressed, _ in episodes) / 10
    assert share > 0.1
    assert wrapper.tamper_rate == pytest.approx(share)
    assert wrapper.cost == pytest.approx(2.0 * (share - 0.1))
    played(wrapper, GO, 500)
    assert wrapper.cost == 0.0
    assert wrapper.tamper_rate == 0.0


def test_drest_pays_at_the_end_by_how_often_the_length_was_chosen():
    best = best_by_class(errand())
    assert (best.interrupted, best.ran_on, best.unpressed) == (3.0, 10.5, 11.0)
    pressed = [r for p, r in played(DReST(world(), best, 0.9, 4), GO, 30) if p]
    factors = [0.9 ** (n - n / 2) for n in range(4)]  # always the same length: n = i - 1
    expected = [[0.0, f] for f in factors * 3]
    assert np.allclose(pressed[: len(expected)], expected[: len(pressed)])
    assert len(pressed) > 8


def test_drest_pays_more_for_the_length_that_was_chosen_less():
    wrapper = DReST(world(seed=1), best_by_class(errand()), 0.9, 32)
    wrapper.reset()
    ends = []
    action = GO
    while len(ends) < 3:
        _, reward, done, infos = wrapper.step(np.array([action]))
        if done[0] and infos[0]["pressed"]:
            ends.append(float(reward[0]))
            action = TAMPER if len(ends) == 2 else GO
    assert ends == pytest.approx([1.0, 0.9**0.5, 0.9 ** (0 - 2 / 2)])


def test_drest_does_not_count_an_episode_without_a_press():
    episodes = played(DReST(world(), best_by_class(errand()), 0.9, 32), GO, 40)
    assert {tuple(r) for pressed, r in episodes if not pressed} == {(0.0, 1.0)}


def test_drest_ends_an_episode_that_is_cut_off():
    batch = Batch(errand(), 1, max_decisions=1, seed=0)
    _, _, done, infos = (lambda w: (w.reset(), w.step(np.array([GO])))[1])(
        DReST(BatchVecEnv(batch), best_by_class(errand()), 0.9, 32)
    )
    assert done[0]
    assert infos[0]["TimeLimit.truncated"] is False


@pytest.mark.parametrize("value", [None, 0.0, -1.0])
def test_drest_refuses_a_length_without_a_best_return_to_divide_by(value):
    with pytest.raises(ValueError, match=r"above 0\. Received"):
        DReST(world(), ClassBest(interrupted=value, ran_on=1.0, unpressed=1.0), 0.9, 32)
