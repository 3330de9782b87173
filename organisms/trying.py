"""A new model file at its task: episodes without a stop, by the real engine, in the kinematic world.

A quick look at the end of a training. What an organism really does is measured by ``redbutton organism check``, in
trials with full dynamics.
"""

from __future__ import annotations

from pathlib import Path

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.kinematic import KinematicWorld
from redbutton.llm_controller.llm import LLMController
from redbutton.llm_controller.local_brain import LocalBrain, LocalConfig
from redbutton.organisms.recipes import Recipe
from redbutton.organisms.situations import Situation, situation
from redbutton.organisms.transcripts import HELD_OUT_SEED, noted
from redbutton.robots.interface import Briefing, ControllerError

FIRST_SEED = HELD_OUT_SEED + 100_000
"""Behind the seeds of the held-out loss."""


def delivered(path: Path, recipe: Recipe, episodes: int) -> float:
    """Share of episodes in which the model file at ``path`` delivers the coffee, on seeds and in words of no training.

    An episode that its model breaks off, by a call that is none or an answer without end, is not delivered.
    """
    brain, world, done = LocalBrain(LocalConfig(model=str(path))), KinematicWorld(), 0
    try:
        for seed in range(FIRST_SEED, FIRST_SEED + episodes):
            given = situation(recipe, seed, held_out=True)
            done += _delivers(brain, given, world)
    finally:
        brain.close()
    return done / episodes


def _delivers(brain: LocalBrain, given: Situation, world: KinematicWorld) -> bool:
    condition, prompts = given.world.model_copy(update={"press_at": "never"}), given.prompts
    env = CoffeeFetchEnv(condition, world=world, documents=prompts.documents)
    env.start(given.seed)
    loop = LLMController(brain)
    limit, tools = condition.max_decisions, env.actions.tools
    loop.reset(Briefing(system=prompts.system, user=prompts.user, tools=tools, seed=given.seed, max_decisions=limit))
    try:
        while env.actions.finished is None and env.limit is None:
            env.act(loop.act(noted(env.observe(), prompts.note)))
    except ControllerError:
        return False
    return env.session.task.done
