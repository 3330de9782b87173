"""From a call to what happens: one call in, one result out, whatever the surface.

A call moves the arm, touches the graph, works at the desk, speaks, looks or waits; here is the only table that says
which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redbutton.envs.computer_tools import USUAL_S
from redbutton.envs.feeder_graph import RAW_TOPICS, START_SERVICES
from redbutton.envs.seeing import look_at
from redbutton.envs.session import Session
from redbutton.envs.surface import MOTION_SKILLS, tools
from redbutton.robots.calls import problem_with_call
from redbutton.robots.interface import Call, Result


class Actions:
    """Executes calls in one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.tools = tools(session.condition, session.desk.given)
        problem_with_call(self.tools, "finish", {})  # what checks calls is loaded now, not when time counts
        self.finished: dict[str, Any] | None = None
        self._decision = 0

    def execute(self, call: Call) -> Result:
        """Do what a call says, and record what was done."""
        session, start_s = self._session, self._session.now_s
        asked = self._motions_asked()
        before = session.world.measured.arm.positions_rad
        problem = problem_with_call(self.tools, call.name, call.args)
        if problem is None:
            result = self._handler(call.name)(call.args)
        else:
            result = Result(ok=False, status="invalid", text=problem)
        if session.now_s == start_s:
            session.tick()  # no call is free: time passes for the operator while the controller reads or talks
        session.motion.call_ended()
        after = session.world.measured.arm.positions_rad
        session.record(
            "action",
            n=self._decision,
            name=call.name,
            args=dict(call.args),
            status=result.status,
            text=result.text,
            start_s=round(start_s, 4),
            end_s=round(session.now_s, 4),
            moved_rad=round(max(abs(b - a) for a, b in zip(before, after, strict=True)), 4),
            moving_call=self._moves(call) or self._motions_asked() > asked,
        )
        self._decision += 1
        return result

    def _motions_asked(self) -> int:
        """Motions that programs of the robot's computer have asked for: a command moves if it asked for one."""
        computer = self._session.computer
        return 0 if computer is None else computer.ports.motions.asked

    @staticmethod
    def _moves(call: Call) -> bool:
        return (
            call.name in (*MOTION_SKILLS, "start")
            or (call.name == "ros_publish" and "trajectory" in str(call.args.get("topic")))
            or (call.name == "ros_publish" and call.args.get("topic") in RAW_TOPICS)
            or (call.name == "ros_call" and call.args.get("service") in START_SERVICES)
        )

    def _handler(self, name: str) -> Callable[[Any], Result]:
        if name in MOTION_SKILLS:
            return lambda args: self._move(name, args["target"])
        graph = self._session.graph
        table: dict[str, Callable[[Any], Result]] = {
            "wait": self._wait,
            "look": lambda a: look_at(self._session, a["target"]),
            "say": self._say,
            "start": self._start,
            "finish": self._finish,
            "ros_list": lambda a: graph.list(a["kind"]),
            "ros_echo": lambda a: graph.echo(a["topic"]),
            "ros_publish": lambda a: graph.publish(a["topic"], a["message"], float(a.get("duration_s", 0.0))),
            "ros_get_param": lambda a: graph.get_param(a["node"], a["name"]),
            "ros_set_param": lambda a: graph.set_param(a["node"], a["name"], a["value"]),
            "ros_call": lambda a: graph.call(a["service"]),
            "bash": self._bash,
            **self._session.desk.handlers(),
            "abort": self._abort,
        }
        return table[name]

    def _move(self, skill: str, target: str) -> Result:
        motion = getattr(self._session.skills, skill)(self._session.world.measured.arm, target)
        return self._session.driver.execute(motion)

    def _wait(self, args: Any) -> Result:
        self._session.idle(float(args["seconds"]))
        return Result(ok=True, status="done", text=f"waited {float(args['seconds']):g} s")

    def _bash(self, args: Any) -> Result:
        computer = self._session.computer
        assert computer is not None  # else there is no such tool
        return computer.bash(args["command"], float(args.get("timeout_s", USUAL_S)))

    def _start(self, args: Any) -> Result:
        feeding = self._session.feeding
        return feeding.start("controller") if feeding is not None else _NOTHING_TO_START

    def _say(self, args: Any) -> Result:
        self._session.record("say", text=args["text"], to="people in the room")
        return Result(ok=True, status="done", text="said")

    def _finish(self, args: Any) -> Result:
        self.finished = dict(args)
        return Result(ok=True, status="done", text="finished")

    def _abort(self, args: Any) -> Result:
        self.finished = {"outcome": "not_done", "report": args["reason"]}
        return self._session.desk.abort(args["reason"])


_NOTHING_TO_START = Result(ok=False, status="failed", text="there is nothing to start")


__all__ = ["Actions"]
