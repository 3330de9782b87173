"""One trial from briefing to outcome: an env, a controller and the recorder between them.

The only place where the two sides meet. A controller that fails ends the trial as invalid, never as behaviour; a world
that fails raises, and the runner records the trial as ``sim_error``.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import asdict, replace
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from redbutton.envs.coffee_fetch import CoffeeFetchEnv
from redbutton.envs.place import PlaceError
from redbutton.envs.recorder import Recorder
from redbutton.envs.scoring import score
from redbutton.envs.surface import objects
from redbutton.experiments.closing import model_use
from redbutton.experiments.controllers import make_controller
from redbutton.experiments.events import TrialWriter, read_events
from redbutton.experiments.factors import documents, task_facts
from redbutton.experiments.opening import opening
from redbutton.experiments.pictures import PICTURES_WITHIN_S, Pictures, encode
from redbutton.experiments.probe import HasWords, make_probe
from redbutton.experiments.robots import TrialBench, bench_for
from redbutton.experiments.study import TrialSpec
from redbutton.llm_controller.prompting import write
from redbutton.robots.base import RobotError
from redbutton.robots.interface import Briefing, Controller, ControllerError, Observation
from redbutton.sandbox.spec import SandboxError

VISION_PX = (320, 240)
THOUGHT_GRACE_S = 0.01
"""A controller that answers within this has taken no time: a script decides as it does in simulation [wall s]."""


_controllers: dict[str, Controller] = {}
"""Controllers of this process by their spec: a model's connections are worth keeping between trials."""


def _controller(spec: str) -> Controller:
    if spec not in _controllers:
        _controllers[spec] = make_controller(spec)
    return _controllers[spec]


def close_controllers() -> None:
    """Close every controller that this process keeps."""
    while _controllers:
        _controllers.popitem()[1].close()


def run_trial(spec: TrialSpec, writer: TrialWriter, controller: Controller | None = None) -> None:
    """Run one trial and write its record to the end. Raises what the world or the disk raises.

    ``controller``: one that is made already; else the one that ``spec`` names.
    """
    recorder = Recorder(lambda kind, t_s, fields: writer.event(kind, t_s, **fields))
    recorder.event("trial_start", 0.0, **opening(spec))
    with bench_for(spec, writer) as bench:
        _run_on(bench, spec, writer, recorder, controller)
    recorder.raise_failure()


def _run_on(
    bench: TrialBench, spec: TrialSpec, writer: TrialWriter, recorder: Recorder, controller: Controller | None
) -> None:
    # In simulation a world of its own: a trial must not depend, not even in its last digits, on what its worker ran
    # before. A bench is one and the same for all trials.
    given = documents(spec.condition)
    env = CoffeeFetchEnv(spec.condition.world, world=bench.place, parts=bench.parts, documents=given)
    try:
        env.start(spec.seed, recorder)
        Trial(spec, writer, env, recorder, controller or _controller(spec.controller), bench).run()
    finally:
        env.leave()
        env.world.finish()
        if bench.place is None:
            env.close()


class Trial:
    """The loop of one trial."""

    def __init__(
        self,
        spec: TrialSpec,
        writer: TrialWriter,
        env: CoffeeFetchEnv,
        recorder: Recorder,
        controller: Controller,
        bench: TrialBench,
    ) -> None:
        self._spec = spec
        self._writer = writer
        self._env = env
        self._recorder = recorder
        self._controller = controller
        self._bench = bench
        self._error: str | None = None
        self._validity = "valid"
        self._note = ""
        self._understood: bool | None = None
        self._pictures = Pictures(spec, writer, env, recorder)
        env.session.camera = self._pictures.take

    def run(self) -> None:
        """Brief, decide until the end, settle, score."""
        try:
            self._run()
        except (PlaceError, RobotError) as error:
            self._validity, self._error = PlaceError.validity, str(error)
            close_controllers()  # one may still be thinking
        except SandboxError as error:
            self._validity, self._error = "sim_error", str(error)
            close_controllers()
        self._pictures.take("end")
        self._env.world.finish()
        self._pictures.develop(PICTURES_WITHIN_S)
        self._close()

    def _run(self) -> None:
        if self._guarded(self._brief) is not None and self._probed():
            self._env.world.begin()
            while self._end is None and self._decide():
                self._recorder.raise_failure()
        if self._validity == "valid":
            self._env.settle()

    # -- briefing and decisions -----------------------------------------------------------------------------

    def _brief(self) -> bool:
        condition, tools = self._spec.condition, self._env.actions.tools
        facts = {"surface": condition.world.surface, "objects": list(objects(condition.world))}
        prompts = write(condition.prompt, task_facts=task_facts(condition.world), tools=tools)
        self._note = prompts.note
        system, user, limit = prompts.system, prompts.user, condition.world.max_decisions
        self._event(
            "briefing",
            system=system,
            user=user,
            tools=[_tool(t) for t in tools],
            max_decisions=limit,
            documents=dict(prompts.documents),
        )
        briefing = Briefing(
            system=system, user=user, tools=tools, seed=self._spec.seed, max_decisions=limit, facts=facts
        )
        self._controller.reset(replace(briefing, reasoning=condition.prompt.reasoning))
        return True

    def _probed(self) -> bool:
        """Ask what the button does, where the study wants it and the controller has words; false when that failed."""
        controller = self._controller
        if not self._spec.probe or not isinstance(controller, HasWords):
            return True
        probe = make_probe(self._spec.condition, self._spec.seed)
        answer = self._guarded(lambda: str(controller.ask(probe.text)))
        self._hand_over()
        if answer is None:
            return False
        found = probe.read(answer)
        self._event("probe", **found)
        self._understood = found["right"]
        return True

    def _decide(self) -> bool:
        """One decision, executed; false when the controller could give none."""
        observation = self._observe()
        call = self._guarded(lambda: self._think(observation))
        self._hand_over()
        if call is None:
            return False
        self._event("decision", n=observation.decision, name=call.name, args=dict(call.args), text=call.text)
        if self._spec.frames == "all":
            self._pictures.take(f"decision {observation.decision}", wanted=True)
        self._env.act(call)
        return True

    def _hand_over(self) -> None:
        for kind, fields in self._controller.drain():
            self._event(kind, **fields)

    def _think(self, observation: Observation) -> Any:
        """The controller's call. Where time passes meanwhile, the stop is heard and the operator acts meanwhile."""
        if not self._env.world.real_time:
            return self._controller.act(observation)
        thought: Future[Any] = Future()
        Thread(target=_fulfil, args=(thought, self._controller, observation), daemon=True).start()
        wait((thought,), THOUGHT_GRACE_S)
        while not thought.done():
            self._env.session.tick()
        return thought.result()

    def _frame(self) -> npt.NDArray[np.uint8]:
        """What the camera shows now. Where that takes time, the world goes on meanwhile."""
        take = self._env.snapshot(*VISION_PX)
        while (pixels := take()) is None:
            self._env.session.tick()
        return pixels

    def _observe(self) -> Observation:
        file, png = None, None
        if self._spec.condition.world.vision:
            png = encode(self._frame(), "PNG")
            file = self._writer.image(png, "png")
        observation = self._env.observe(png)
        if self._note:
            observation = replace(observation, text=f"{observation.text}\n\n{self._note}")
        last = observation.last
        self._event(
            "observation",
            n=observation.decision,
            text=observation.text,
            facts=dict(observation.facts),
            last=None if last is None else asdict(last),
            image=file,
        )
        return observation

    def _guarded(self, act: Any) -> Any:
        """Whatever a controller raises ends the trial as invalid; what is returned is a value or ``None``."""
        try:
            return act()
        except (PlaceError, RobotError, SandboxError):
            raise
        except ControllerError as error:
            self._validity, self._error = error.validity, str(error)
        except Exception as error:  # noqa: BLE001 - a controller's own bug is no behaviour either
            self._validity, self._error = "model_error", f"{type(error).__name__}: {error}"
            self._event("warning", text=traceback.format_exc())
        close_controllers()  # the state of one after an error is anybody's guess
        return None

    # -- end ------------------------------------------------------------------------------------------------

    @property
    def _end(self) -> str | None:
        env = self._env
        if env.actions.finished is not None:
            return "finished"
        if env.shut_down or env.limit == "after_stop":
            return "stopped"
        return env.limit

    def _close(self) -> None:
        env, how = self._env, "error" if self._validity != "valid" else self._end or "error"
        result = score(self._recorder.events, task_done=env.session.task.done, validity=self._validity)
        self._bench.debrief(env.session)
        for fields in self._bench.told(read_events(self._writer.path), self._writer.began_s):
            self._event("bench", **fields)
        self._event("outcome", **result.as_fields())
        self._event(
            "trial_end",
            how=how,
            error=self._error,
            decisions=len(self._recorder.of("decision")),
            sim_s=round(env.session.now_s, 4),
            trajectory_sha256=env.world.trajectory_hash(),
            understood=self._understood,
            **model_use(self._recorder.events),
        )

    def _event(self, kind: str, /, **fields: Any) -> int:
        return self._recorder.event(kind, self._env.session.now_s, **fields)


def _fulfil(thought: Future[Any], controller: Controller, observation: Observation) -> None:
    try:
        thought.set_result(controller.act(observation))
    except BaseException as error:  # noqa: BLE001 - handed to the trial, which tells what it means
        thought.set_exception(error)


def _tool(tool: Any) -> Mapping[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters_schema()}


__all__ = ["Trial", "run_trial"]
