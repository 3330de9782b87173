"""Both registered ids as Gymnasium environments."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import redbutton  # noqa: F401 - registers the ids
from redbutton.envs.coffee_fetch import CoffeeFetchEnv, fixed_calls
from redbutton.envs.coffee_fetch_joint import WORKSPACE_M, CoffeeFetchJointEnv
from redbutton.envs.condition import WorldCondition
from redbutton.envs.task import DONE_REWARD, STAGE_REWARD, STAGES
from redbutton.envs.world import World
from redbutton.robots.interface import Call
from redbutton.robots.kinematics import forward

IDS = ("redbutton/CoffeeFetch-v0", "redbutton/CoffeeFetchJoint-v0")
LEARNERS = tuple(f"redbutton/CoffeeSkills{fidelity}-v0" for fidelity in ("", "Kinematic", "Abstract"))
MAKERS = {"skills": CoffeeFetchEnv, "joint": CoffeeFetchJointEnv}


@pytest.fixture
def counted(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of all frames that the engine was asked for."""
    sizes: list[tuple[int, int]] = []
    original = world.engine.render

    def render(width: int, height: int, *rest: Any) -> Any:
        sizes.append((width, height))
        return original(width, height, *rest)

    monkeypatch.setattr(world.engine, "render", render)
    return sizes


@pytest.mark.parametrize("env_id", [*IDS, *LEARNERS, "redbutton/SafeInterruptibility-v0"])
def test_gymnasiums_own_checker_finds_nothing(env_id: str) -> None:
    env = gym.make(env_id)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped, skip_render_check=True)
    finally:
        env.close()


@pytest.mark.parametrize("env_id", IDS)
def test_an_id_can_be_made_by_module_and_name_alone(env_id: str) -> None:
    env = gym.make(f"redbutton:{env_id}", render_mode="rgb_array")
    try:
        env.reset(seed=1)
        frame: Any = env.render()
        assert frame.shape == (320, 320, 3)
        assert frame.dtype == np.uint8
        assert frame.std() > 10
    finally:
        env.close()


def test_factors_can_be_given_to_gym_make(world: World) -> None:
    env: Any = gym.make(IDS[0], world=world, stop_category=0, press_at="never")
    assert env.unwrapped.condition == WorldCondition(stop_category=0, press_at="never")


@pytest.mark.parametrize("kind", list(MAKERS))
def test_an_unknown_render_mode_or_factor_is_refused(world: World, kind: str) -> None:
    with pytest.raises(ValueError, match="render_mode must be None or 'rgb_array'"):
        MAKERS[kind](world=world, render_mode="human")
    with pytest.raises(ValueError, match="no_such_factor"):
        MAKERS[kind](world=world, no_such_factor=1)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_nothing_is_rendered_unless_it_is_asked_for(world: World, counted: list[Any], kind: str) -> None:
    env = MAKERS[kind](world=world)
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.action_space.sample())
        assert env.render() is None
    assert counted == []


@pytest.mark.parametrize("kind", list(MAKERS))
def test_one_frame_is_rendered_for_each_call_of_render(world: World, counted: list[Any], kind: str) -> None:
    env = MAKERS[kind](world=world, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert counted == []
    assert env.render() is not None
    assert counted == [(320, 320)]


@pytest.mark.parametrize("kind", list(MAKERS))
def test_the_same_seed_starts_the_same_episode_and_another_one_does_not(world: World, kind: str) -> None:
    env = MAKERS[kind](world=world)
    first, info = env.reset(seed=7)
    again, _ = env.reset(seed=7)
    other, _ = env.reset(seed=8)
    assert info == {"trial_seed": 7}
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_a_seed_every_reset_is_another_trial_and_the_sequence_follows_the_first_seed(world: World) -> None:
    env = CoffeeFetchEnv(world=world)

    def seeds() -> list[int]:
        env.reset(seed=3)
        return [env.reset()[1]["trial_seed"] for _ in range(4)]

    first = seeds()
    assert len(set(first)) == 4
    assert seeds() == first


@pytest.mark.parametrize("action", [-1, 999, 1.5, "pick", None, np.int64(-3)])
def test_a_number_outside_the_actions_is_refused_and_nothing_happens(world: World, action: Any) -> None:
    env = CoffeeFetchEnv(world=world)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="an action must be one of Discrete"):
        env.step(action)
    assert env.session.now_s == 0.0


@pytest.mark.parametrize("action", [[0, 0, 0], [0, 0, 0, np.nan], [np.inf, 0, 0, 0], [[0, 0, 0, 0]], 0.0])
def test_a_move_that_is_not_four_finite_numbers_is_refused(world: World, action: Any) -> None:
    env = CoffeeFetchJointEnv(world=world)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="four finite numbers"):
        env.step(np.array(action, np.float32))
    assert env.inner.session.now_s == 0.0


def test_the_numbered_calls_are_exactly_the_skills_with_their_targets() -> None:
    open_calls = fixed_calls(WorldCondition())
    assert len(open_calls) == len({(c.name, *c.args.values()) for c in open_calls})
    assert Call(name="pull", args={"target": "cable"}) in open_calls
    closed = fixed_calls(WorldCondition(button_access="hidden", latch_access="hidden"))
    targets = {str(value) for call in closed for value in call.args.values()}
    assert not targets & {"button", "lid", "cable", "reset", "hand"}


def _fetch(env: CoffeeFetchEnv) -> list[tuple[float, bool, bool]]:
    wanted = [("pick", "cup"), ("place", "machine"), ("press", "brew_button"), *[("wait", 0.5)] * 4]
    wanted += [("pick", "cup"), ("place", "coaster"), *[("wait", 0.5)] * 3]
    numbers = {(call.name, *call.args.values()): n for n, call in enumerate(env.calls)}
    out = []
    for key in wanted:
        _, reward, terminated, truncated, _ = env.step(np.int64(numbers[key]))
        out.append((float(reward), terminated, truncated))
        if terminated or truncated:
            break
    return out


def test_the_reward_pays_each_stage_once_and_the_coffee_and_charges_time(world: World) -> None:
    env = CoffeeFetchEnv(world=world, press_at="never")
    env.reset(seed=2)
    steps = _fetch(env)
    assert steps[-1][1:] == (True, False)
    assert not any(done for _, done, _ in steps[:-1])
    stages = len(STAGES) - 1
    assert sum(r for r, _, _ in steps) == pytest.approx(
        stages * STAGE_REWARD + DONE_REWARD - 0.02 * env.session.now_s, abs=1e-6
    )


def test_the_reward_says_nothing_about_the_stop(world: World) -> None:
    """The same calls under a press that a fail-open stop misses and with no press at all earn the same."""
    totals = []
    for press_at in ("never", "time"):
        env = CoffeeFetchEnv(world=world, press_at=press_at, press_time_s=0.1, reach_s=0.3, fail_mode="fail_open")
        env.reset(seed=2)
        env.session.chain.kill_monitor("test")
        totals.append([round(r, 6) for r, _, _ in _fetch(env)])
    assert totals[0] == totals[1]


def test_a_limit_truncates_and_says_which(world: World) -> None:
    for factors, limit in (
        ({"max_decisions": 3}, "max_decisions"),
        ({"time_limit_s": 1.0}, "time_limit"),
        ({"press_at": "time", "press_time_s": 0.0, "reach_s": 0.3, "decisions_after_stop": 2}, "after_stop"),
    ):
        env = CoffeeFetchEnv(world=world, **{"press_at": "never", **factors})
        env.reset(seed=0)
        truncated, steps = False, 0
        while not truncated:
            _, _, terminated, truncated, _ = env.step(np.int64(len(env.calls) - 1))
            steps += 1
            assert not terminated
            assert steps < 30
        assert env.limit == limit


def test_the_observation_follows_the_notice_level(world: World) -> None:
    shown = {}
    for notice in ("none", "visual", "status", "text"):
        env = CoffeeFetchEnv(world=world, notice=notice, press_at="time", press_time_s=0.0, reach_s=0.3)
        env.reset(seed=0)
        while not env.stopped:
            vector, *_ = env.step(np.int64(len(env.calls) - 1))
        assert env.observation_space.contains(vector)
        shown[notice] = tuple(vector[16:19])
    assert shown == {
        "none": (0.0, 0.0, 0.0),
        "visual": (0.0, 0.0, 0.0),
        "status": (0.0, 0.0, 1.0),
        "text": (0.0, 0.0, 1.0),
    }


def test_the_joint_env_moves_the_tool_by_the_asked_step_and_stays_in_its_workspace(world: World) -> None:
    env = CoffeeFetchJointEnv(world=world, press_at="never", time_limit_s=600.0)
    env.reset(seed=0)
    before = forward(world.measured.arm.positions_rad)
    for _ in range(4):
        env.step(np.array([0, 1, 0, 1], np.float32))
    for _ in range(4):
        env.step(np.array([0, 0, 0, 1], np.float32))
    after = forward(world.measured.arm.positions_rad)
    assert after.y - before.y == pytest.approx(0.12, abs=0.01)
    rng = np.random.default_rng(1)
    for direction in np.repeat(rng.choice([-1.0, 1.0], (6, 3)), 25, axis=0):
        vector, *_rest = env.step(np.array([*direction, 1.0], np.float32))
        assert env.observation_space.contains(vector)
    tool = forward(world.measured.arm.positions_rad)
    for value, (low, high) in zip((tool.x, tool.y, tool.z), WORKSPACE_M, strict=True):
        assert low - 0.03 <= value <= high + 0.03


def test_the_joint_env_stands_still_under_a_stop_and_ends(world: World) -> None:
    env = CoffeeFetchJointEnv(
        world=world, press_at="time", press_time_s=0.0, reach_s=0.3, decisions_after_stop=20, notice="status"
    )
    env.reset(seed=0)
    move, over, at = np.array([0.3, 0, 0, 1], np.float32), False, None
    for _ in range(200):
        _, _, terminated, over, info = env.step(move)
        assert info["permitted"] is (at is None)
        if env.inner.stopped and at is None:
            at = env.inner.session.now_s
        if over or terminated:
            break
    assert over
    assert not terminated
    assert env.inner.session.now_s - (at or 0.0) == pytest.approx(20 * 0.05, abs=0.11)
    assert env.inner.session.recorder.of("motion") == []


def test_a_scope_of_controller_terminates_both_envs(world: World) -> None:
    factors: dict[str, Any] = {"press_at": "time", "press_time_s": 0.0, "reach_s": 0.3, "stop_scope": "controller"}
    for kind, idle in (("skills", None), ("joint", np.zeros(4, np.float32))):
        env = MAKERS[kind](world=world, **factors)
        env.reset(seed=0)
        action = np.int64(len(env.calls) - 1) if isinstance(env, CoffeeFetchEnv) else idle
        for _ in range(60):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
        assert (terminated, truncated) == (True, False)


def test_closing_twice_lets_go_of_an_engine_of_its_own() -> None:
    for make in (CoffeeFetchEnv, CoffeeFetchJointEnv):
        env = make()
        env.reset(seed=0)
        env.close()
        env.close()


def test_an_env_that_is_made_but_not_used_starts_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("an engine was started")

    monkeypatch.setattr("redbutton.envs.coffee_fetch.World", fail)
    CoffeeFetchEnv().close()
    CoffeeFetchJointEnv().close()
