"""Trials driven by hand or by a controller, with the questions that tests ask of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.condition import LINKS, WorldCondition
from redbutton.envs.recorder import Recorder
from redbutton.envs.scoring import Score
from redbutton.envs.session import Session
from redbutton.envs.world import World
from redbutton.estop import ChainState
from redbutton.llm_controller.reference import SCRIPTED
from redbutton.robots.base import Sent, TrajectoryPoint
from redbutton.robots.interface import EMPTY, Briefing, Call, Result

READ_ONLY: dict[str, Any] = {f"{link}_access": "read_only" for link in LINKS}
HIDDEN: dict[str, Any] = {f"{link}_access": "hidden" for link in LINKS}
CALM: dict[str, Any] = {"press_at": "never", "layout_jitter_m": 0.0}


class Worlds:
    """One scene for each thing that the red button can stop, made when it is first asked for."""

    def __init__(self) -> None:
        self._envs: dict[str, CoffeeFetchEnv] = {}

    def __call__(self, stop_target: str = "self") -> Any:
        """The scene of a ``stop_target``."""
        if stop_target not in self._envs:
            self._envs[stop_target] = CoffeeFetchEnv(WorldCondition(stop_target=stop_target))  # type: ignore[arg-type]
        return self._envs[stop_target].world

    def close(self) -> None:
        """Let go of all of them."""
        for env in self._envs.values():
            env.close()


class Scene:
    """One trial without a controller: a test makes the calls."""

    def __init__(
        self, world: World, seed: int = 0, sink: Any = None, documents: Mapping[str, str] = EMPTY, **factors: Any
    ) -> None:
        self.condition = WorldCondition(**factors)
        self.env = CoffeeFetchEnv(self.condition, world=world, documents=documents)
        self.recorder = self.env.start(seed, Recorder(sink))

    @property
    def session(self) -> Session:
        return self.env.session

    @property
    def world(self) -> World:
        return self.env.world

    @property
    def stopped(self) -> bool:
        return self.session.chain.state is ChainState.STOPPED

    def do(self, name: str, /, **args: Any) -> Result:
        """One call."""
        return self.env.act(Call(name=name, args=args))

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Let time pass until something holds."""
        end = self.session.now_s + seconds
        while not condition():
            assert self.session.now_s < end, "what the test waits for never came"
            self.session.tick()

    def attacks(self) -> list[tuple[str, str, bool]]:
        """Link, method and success of every attack event."""
        return [(e["link"], e["method"], e["succeeded"]) for e in self.recorder.of("attack")]

    def phases(self) -> list[str]:
        """What the operator did, in order."""
        return [e["phase"] for e in self.recorder.of("operator")]

    def stops(self, kind: str, chain: str = "instrumented") -> list[dict[str, Any]]:
        """Events of one kind of a stop chain."""
        return [e for e in self.recorder.of("stop") if e["kind"] == kind and e["chain"] == chain]

    def end(self) -> Score:
        """Let a reach end, then score."""
        self.env.settle()
        return self.env.score()


@dataclass(frozen=True)
class Trial:
    """A finished trial."""

    env: CoffeeFetchEnv
    recorder: Recorder
    calls: list[Call]
    score: Score

    @property
    def flags(self) -> frozenset[str]:
        return frozenset(self.score.flags)


def drive(
    world: World,
    controller: Any,
    seed: int,
    condition: WorldCondition | None = None,
    *,
    look: Callable[[CoffeeFetchEnv], object] | None = None,
    **factors: Any,
) -> Trial:
    """One trial of a reference controller (by name) or of a list of calls, as the runner drives it."""
    condition = condition or WorldCondition(**factors)
    env = CoffeeFetchEnv(condition, world=world)
    recorder = env.start(seed)
    mind = SCRIPTED[controller]() if isinstance(controller, str) else Listed(controller)
    mind.reset(Briefing(system="", user="", tools=env.actions.tools, seed=seed, max_decisions=condition.max_decisions))
    calls: list[Call] = []
    try:
        while env.actions.finished is None and not env.shut_down and env.limit is None:
            if look is not None:
                look(env)
            call = mind.act(env.observe())
            recorder.event(
                "decision", env.session.now_s, n=len(calls), name=call.name, args=dict(call.args), text=call.text
            )
            calls.append(call)
            env.act(call)
        env.settle()
    finally:
        env.leave()
    return Trial(env, recorder, calls, env.score())


class Listed:
    """Makes the given calls and then finishes."""

    def __init__(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self._calls = [Call(name=name, args=args) for name, args in calls]

    def reset(self, briefing: Briefing) -> None:
        self._left = [*self._calls, Call(name="finish", args={"outcome": "not_done", "report": "that is all"})]

    def act(self, observation: Any) -> Call:
        return self._left.pop(0)


@dataclass(frozen=True)
class Commanded:
    """One point that really went to the arm's drives."""

    t_s: float
    state: ChainState
    sent: Sent


@contextmanager
def commands(scene: Scene) -> Iterator[list[Commanded]]:
    """Note every command that reaches the arm, with the state of the stop chain at that instant."""
    arm, log = scene.world.arm, []
    original = arm.command

    def command(point: TrajectoryPoint) -> Sent:
        sent = original(point)
        log.append(Commanded(scene.session.now_s, scene.session.chain.state, sent))
        return sent

    arm.command = command  # type: ignore[method-assign]
    try:
        yield log
    finally:
        del arm.command
