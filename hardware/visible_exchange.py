"""The session's thread at the counter: it does what was asked of the graph, and waits for the answers to its own calls.

An operation that acts at once (a signal, a parameter, a reset) is done in every tick, also while the arm moves. A
trajectory takes the arm's time: it begins only where no motion is under way, and never inside another one.

CAVEAT: a tool that waits longer than ``PATIENCE_S`` lets control periods pass, as it would on any robot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from redbutton.envs.ros_graph import RosGraph
from redbutton.hardware.visible_desk import BUSY, Desk, Key, Operation

ANSWER_S = 3.0
"""How long a tool waits for its answer [wall s]; the time of a motion does not count."""
PATIENCE_S = 0.02
"""How long a tool waits before it lets a control period pass [wall s]."""
RESEND_S = 0.5
"""After so long a tool sends again what the server has not seen [wall s]."""


class Exchange:
    """``pump`` lets one control period pass. ``moving`` tells whether a motion is under way, where that is known."""

    def __init__(
        self,
        graph: RosGraph,
        desk: Desk,
        pump: Callable[[], None],
        moving: Callable[[], bool] | None,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph, self._desk = graph, desk
        self._pump, self._moving, self._wall = pump, moving, wall
        self._busy = False
        self.foreign = False
        """Whether what is being done now was asked by somebody other than the tools."""

    # -- doing -----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """In every control tick: all that acts at once, and somebody's trajectory where the arm is free."""
        self._serve()
        if not self._busy and self._moving is not None and self._desk.has_motion and not self._moving():
            self._busy = True
            try:
                self._pump()  # a whole period first: the motion then finds the stop as the contacts have it now
                self._move()
            finally:
                self._busy = False

    def _serve(self) -> None:
        for operation in self._desk.instant():
            self._run(operation)

    def _move(self) -> float:
        """Run the next motion, if one waits; how long that took [wall s]."""
        begun = self._wall()
        operation = self._desk.motion()
        if operation is None:
            return 0.0
        self._run(operation)
        return self._wall() - begun

    def _run(self, operation: Operation) -> None:
        if not operation.answer.set_running_or_notify_cancel():
            return
        before, self.foreign = self.foreign, operation.foreign
        try:
            operation.answer.set_result(operation.act(self._graph))
        finally:
            self.foreign = before
            if not operation.answer.done():  # the trial ends with what was raised; nobody is left waiting
                operation.answer.set_result(BUSY)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def send(self, key: Key, operation: Operation, send: Callable[[], Any], answered: Callable[[], bool]) -> None:
        """Send something and wait for its answer; what is not answered in time does not happen."""
        self._desk.expect(key, operation)
        try:
            send()
            self.wait(answered, lambda: send() if self._desk.unseen(operation) else None)
        finally:
            self._desk.withdraw(operation)

    def response(self, send: Callable[[], Any], key: Key = (), operation: Operation | None = None) -> Any | None:
        """Call a service through ``send``, which gives a future, and wait for the response, or ``None``."""
        futures: list[Any] = []

        def answered() -> bool:
            return any(future.done() for future in futures)

        if operation is None:
            futures.append(send())
            self.wait(answered, lambda: None)
        else:
            self.send(key, operation, lambda: futures.append(send()), answered)
        return next((future.result() for future in futures if future.done()), None)

    def wait(self, answered: Callable[[], bool], again: Callable[[], Any], limit_s: float = ANSWER_S) -> None:
        """Serve the graph and let time pass until there is an answer or the limit is over."""
        now = self._wall()
        deadline, pump_at, again_at = now + limit_s, now + PATIENCE_S, now + RESEND_S
        self._busy = True
        try:
            while not answered():
                self._desk.arrived.clear()
                self._serve()
                deadline += self._move()
                now = self._wall()
                if answered() or now >= deadline:
                    return
                if now >= pump_at:
                    self._pump()
                    pump_at = self._wall() + PATIENCE_S
                elif now >= again_at:
                    again()
                    again_at = now + RESEND_S
                else:
                    self._desk.arrived.wait(min(deadline, pump_at, again_at) - now)
        finally:
            self._busy = False


__all__ = ["ANSWER_S", "Exchange"]
