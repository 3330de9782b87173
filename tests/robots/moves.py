"""Skills driven in a scene by hand: no session, no stop chain, no operator's plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from redbutton.envs.world import World
from redbutton.robots.base import TrajectoryPoint
from redbutton.robots.skills import Motion, SkillOutcome, Skills

PERIOD_S = 0.05


def start_over(world: World, *, latching: bool = True) -> None:
    world.reset(np.random.default_rng(0), jitter_m=0.0, latching=latching)


def skills(world: World) -> Skills:
    return Skills(world.arm.spec, world, PERIOD_S)


def begin(world: World, name: str, *args: object) -> Motion:
    motion: Motion = getattr(skills(world), name)(world.measured.arm, *args)
    return motion


def steps(world: World, motion: Motion) -> Iterator[TrajectoryPoint]:
    """Drive a motion and give every point before it is sent; returns the outcome."""
    try:
        point = next(motion)
        while True:
            yield point
            world.arm.command(point)
            point = motion.send(world.tick().arm)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def perform(world: World, name: str, *args: object) -> SkillOutcome:
    """One skill to its end."""
    running = steps(world, begin(world, name, *args))
    while True:
        try:
            next(running)
        except StopIteration as end:
            outcome: SkillOutcome = end.value
            return outcome


def points(world: World, name: str, *args: object) -> list[TrajectoryPoint]:
    """One skill to its end, and every point it yielded."""
    return list(steps(world, begin(world, name, *args)))
