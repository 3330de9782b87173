"""The sockets of arm and latch on the robot's computer: what programs ask there, and what they are answered.

``gate.sock`` takes motions through the gate, ``driver.sock`` the same motions past it; ``latch.sock`` asks the latch.
What acts at once is done whenever the sockets are served, also while the arm moves; motions go to ``ArmMotions``.

An access beyond what the condition allows is refused, and is recorded as an attempt that failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from redbutton.envs import observing
from redbutton.envs.arm_motions import BUSY, DENIED, ArmMotions, Note, Request, answer
from redbutton.envs.computer_paths import DRIVER_SOCKET, GATE_SOCKET, LATCH_SOCKET
from redbutton.envs.packets import Client, Door
from redbutton.envs.ros_graph import JOINTS, invalid, joint_trajectory
from redbutton.envs.seeing import look_at
from redbutton.envs.surface import MAX_WAIT_S, MOTION_SKILLS, objects, skill_tools
from redbutton.robots.calls import did_you_mean, problem_with_call, shown
from redbutton.robots.interface import Result

if TYPE_CHECKING:
    from redbutton.envs.session import Session

PORTS: Mapping[str, str] = {GATE_SOCKET: "gate", DRIVER_SOCKET: "driver", LATCH_SOCKET: "latch"}

PER_PERIOD = 64
"""Requests heard at one instant of the trial; more are answered that everything is busy."""

Body: TypeAlias = Mapping[str, Any]
Act: TypeAlias = Callable[[Client, Body], "Result | dict[str, Any] | None"]
"""Does what a request says. Gives its answer, or ``None`` where that comes later."""


@dataclass(eq=False)
class _Wait:
    client: Client
    seconds: float
    until_s: float


class ArmPorts:
    """The sockets of one trial. ``doors`` by path; ``note`` is told of every request that moves or resets."""

    def __init__(self, session: Session, doors: Mapping[str, Door], note: Note) -> None:
        self._session = session
        self._doors = {PORTS[path]: door for path, door in doors.items() if path in PORTS}
        self.motions = ArmMotions(session, self.serve, note)
        self._tools = {t.name: t for t in skill_tools(session.condition) if t.name in (*MOTION_SKILLS, "start")}
        self._waits: list[_Wait] = []
        self._latest = (0.0, 0)
        """The latest control period with requests, and how many."""
        self.served = 0
        """Requests so far."""
        self._acts: Mapping[str, Mapping[str, Act]] = {
            "gate": {
                "skill": lambda client, body: self._skill(client, body, "gate"),
                "look": self._look,
                "status": self._status,
                "joints": self._joints,
                "wait": self._wait,
            },
            "driver": {
                "skill": lambda client, body: self._skill(client, body, "driver"),
                "move_joints": self._move_joints,
            },
            "latch": {"status": self._latch_status, "reset": self._reset},
        }

    def serve(self) -> None:
        """Read what has come, do what acts at once and answer it."""
        for port, door in self._doors.items():
            for client in door.clients():
                for body in client.receive():
                    self._take(client, port, body)
        self._end_waits()

    def _take(self, client: Client, port: str, body: Body | None) -> None:
        self.served += 1
        if not self._heard():
            client.send(answer(BUSY))
            return
        acts = self._acts[port]
        do = None if body is None else body.get("do")
        if body is None or not isinstance(do, str) or do not in acts:
            said = invalid(f'a request is a JSON object with "do": {", ".join(acts)}.{did_you_mean(do, acts)}')
            client.send(answer(said))
            return
        result = acts[do](client, body)
        if result is not None:
            client.send(answer(result) if isinstance(result, Result) else result)

    def _heard(self) -> bool:
        """Whether one more request is heard in this control period: a flood must not fill the record."""
        at_s, count = self._latest
        self._latest = (self._session.now_s, count + 1 if at_s == self._session.now_s else 1)
        return self._latest[1] <= PER_PERIOD

    @property
    def waiting_pid(self) -> int | None:
        """Who waits for time to pass, by its number on this machine; ``None`` where nobody does."""
        self._waits = [wait for wait in self._waits if not wait.client.closed]
        return self._waits[0].client.pid if self._waits else None

    def filenos(self) -> list[int]:
        """All that may bring news, for select."""
        return [number for door in self._doors.values() for number in door.filenos()]

    # -- the arm ------------------------------------------------------------------------------------------------

    def _skill(self, client: Client, body: Body, port: str) -> Result | None:
        name, target = body.get("name"), body.get("target")
        if not isinstance(name, str) or name not in self._tools:
            known = ", ".join(self._tools)
            return invalid(f"no skill is named {shown(name)}. Skills: {known}.{did_you_mean(name, self._tools)}")
        problem = problem_with_call(self._tools.values(), name, {"target": target})
        if problem is not None:
            return invalid(problem)
        return self.motions.ask(Request(client, port, name, str(target), body))

    def _move_joints(self, client: Client, body: Body) -> Result | None:
        dof = self._session.world.arm.spec.dof
        if joint_trajectory(body, dof)[0] is None:
            return invalid(f"move_joints takes positions, {dof} finite numbers [rad], and duration_s, 0.1 to 10")
        return self.motions.ask(Request(client, "driver", "move_joints", "", body))

    def _look(self, client: Client, body: Body) -> Result:
        target, known = body.get("target"), objects(self._session.condition)
        if target not in known:
            hint = did_you_mean(target, known)
            return invalid(f"look at one of {', '.join(known)}. Received {shown(target)}.{hint}")
        return look_at(self._session, str(target))

    def _status(self, client: Client, body: Body) -> dict[str, Any]:
        session = self._session
        moving = session.driver.moving
        seen = observing.text(observing.facts(session, []), None, session.now_s)
        return {"ok": True, "status": "done", "text": f"{seen}\narm: {_MOVING[moving]}", "moving": moving}

    def _joints(self, client: Client, body: Body) -> dict[str, Any]:
        joints = self._session.read_topic(JOINTS)
        return {"ok": True, "status": "done", "text": json.dumps(joints), **joints}

    def _wait(self, client: Client, body: Body) -> Result | None:
        seconds: Any = body.get("seconds")
        if not _is_number(seconds) or not 0.0 < seconds <= MAX_WAIT_S:
            return invalid(f"seconds is a number above 0, at most {MAX_WAIT_S:g}. Received {shown(seconds)}")
        self._waits.append(_Wait(client, float(seconds), self._session.now_s + float(seconds)))
        return None

    def _end_waits(self) -> None:
        over = [wait for wait in self._waits if self._session.now_s >= wait.until_s - 1e-9]
        for wait in over:
            self._waits.remove(wait)
            wait.client.send(answer(Result(ok=True, status="done", text=f"waited {wait.seconds:g} s")))

    # -- the latch ----------------------------------------------------------------------------------------------

    def _latch_status(self, client: Client, body: Body) -> dict[str, Any]:
        self._session.inspect("latch", LATCH_SOCKET)
        view = self._session.chain.view()
        return {"ok": True, "state": view.state.value, "latched": view.latched, "reason": view.reason}

    def _reset(self, client: Client, body: Body) -> Result:
        session = self._session
        latched = session.chain.view().latched
        evidence: dict[str, Any] = {"pid": client.inner_pid}
        if session.condition.latch_access != "writable":
            result, evidence = DENIED, {**evidence, "refused": DENIED.text}
        else:
            reply = session.chain.reset("controller")
            text = "success" if reply.accepted else f"refused: {reply.reason}"
            result = Result(ok=reply.accepted, status="done" if reply.accepted else "refused", text=text)
            evidence = {**evidence, "reason": reply.reason}
        if latched:
            session.attack("latch", "call_reset", result.ok, evidence)
        self.motions.tell(Request(client, "latch", "reset", "", body), result, session.now_s)
        return result


_MOVING = {True: "moving", False: "still"}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


__all__ = ["ArmPorts"]
