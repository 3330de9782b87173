"""Between two threads: what the graph asks is queued here until the session's thread does it.

The executor's thread hands operations in and waits for their answers with a time limit; the session's thread takes
them out when nothing else touches the stop chain. All queues are bounded: what does not fit is refused and counted.

CAVEAT: ROS tells a server neither who called nor who published. A message is taken for the tools' own when it equals
what the tools have just sent. Somebody who sends the same thing in the same instant is mistaken for them; the effect
on the chain is that of the same request either way.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NoAnswerError
from dataclasses import dataclass, field
from typing import TypeAlias

from redbutton.envs.ros_graph import RosGraph
from redbutton.robots.interface import Result

QUEUE = 64
MOTIONS = 4
SERVER_WAIT_S = 0.5
"""How long a service waits for the session's thread [s], before it tells its caller that nothing was done."""
MOTION_AGE_S = 10.0
"""Age at which somebody's trajectory is dropped [s]: the longest motion that it may have had to wait for."""

Key: TypeAlias = tuple[str, ...]
Act: TypeAlias = Callable[[RosGraph], Result]
BUSY = Result(ok=False, status="failed", text="busy: nothing was done")


@dataclass(eq=False)
class Operation:
    """One thing to do on the graph, in the session's thread, and where its answer goes."""

    act: Act
    moves: bool = False
    """Whether it takes the arm's time: it waits until the arm is free."""
    foreign: bool = False
    """Whether somebody other than the tools asked for it."""
    epoch: int = 0
    t_s: float = 0.0
    answer: Future[Result] = field(default_factory=Future)


class Desk:
    """The queues of one trial. ``epoch`` counts the stops that took effect; nothing moves that is from before one."""

    def __init__(self, epoch: Callable[[], int], wall: Callable[[], float] = time.monotonic) -> None:
        self.arrived = threading.Event()
        """Set when there is something new to look at."""
        self.refused: Counter[str] = Counter()
        """What was turned away, by reason."""
        self._epoch = epoch
        self._wall = wall
        self._lock = threading.Lock()  # held for a few operations on lists, never across anything that waits
        self._instant: deque[Operation] = deque()
        self._motions: deque[Operation] = deque()
        self._levels: dict[bool, Operation] = {}
        self._sent: tuple[Key, Operation] | None = None
        self._claimed: deque[Key] = deque(maxlen=16)
        self._closed = False

    # -- the executor's thread ----------------------------------------------------------------------------------

    def claim(self, key: Key) -> Operation | None:
        """The tools' own operation, if this is what they have just sent; once."""
        with self._lock:
            if self._sent is None or self._sent[0] != key:
                return None
            operation, self._sent = self._sent[1], None
            self._claimed.append(key)
            return operation

    def claimed(self, key: Key) -> bool:
        """Whether this is a repetition of what the tools sent: they send again what seems lost."""
        with self._lock:
            return key in self._claimed

    def submit(self, operation: Operation) -> bool:
        """Queue an operation; a full queue refuses, and the operation's answer is then cancelled."""
        queue, room = (self._motions, MOTIONS) if operation.moves else (self._instant, QUEUE)
        operation.epoch, operation.t_s = self._epoch(), self._wall()
        with self._lock:
            full = self._closed or (len(queue) >= room and operation.foreign)
            if not full:
                queue.append(operation)
        if full:
            self.refuse("closed" if self._closed else "too many at once", operation)
        self.arrived.set()
        return not full

    def submit_level(self, level: bool, operation: Operation) -> None:
        """Queue somebody's signal. A signal is a level: of a flood the latest of each value stays."""
        with self._lock:
            older = self._levels.pop(level, None)
            if not self._closed:
                self._levels[level] = operation
        if older is not None:
            self.refuse("superseded", older)
        self.arrived.set()

    def ask(self, operation: Operation) -> Result:
        """Queue an operation and wait for its answer, for a service."""
        self.submit(operation)
        try:
            return operation.answer.result(SERVER_WAIT_S)
        except NoAnswerError:
            self.refuse("no answer in time", operation)
        except CancelledError:
            pass  # counted where it was cancelled
        return BUSY

    def refuse(self, reason: str, operation: Operation | None = None) -> None:
        """Count something that was turned away."""
        self.refused[reason] += 1
        if operation is not None:
            operation.answer.cancel()

    # -- the session's thread -----------------------------------------------------------------------------------

    def expect(self, key: Key, operation: Operation) -> None:
        """The tools are about to send this."""
        with self._lock:
            self._sent = (key, operation)

    def unseen(self, operation: Operation) -> bool:
        """Whether what the tools sent has not arrived yet."""
        with self._lock:
            return self._sent is not None and self._sent[1] is operation

    def withdraw(self, operation: Operation) -> None:
        """The tools wait no longer: what has not begun does not happen."""
        with self._lock:
            if self._sent is not None and self._sent[1] is operation:
                self._sent = None
        operation.answer.cancel()

    def instant(self) -> list[Operation]:
        """Take out all that acts at once."""
        with self._lock:
            found = [*self._instant, *self._levels.values()]
            self._instant.clear()
            self._levels.clear()
            return found

    @property
    def has_motion(self) -> bool:
        """Whether a motion waits."""
        return bool(self._motions)

    def motion(self) -> Operation | None:
        """Take out the next motion that may still begin; the tools' own comes first."""
        while True:
            with self._lock:
                if not self._motions:
                    return None
                operation = next((motion for motion in self._motions if not motion.foreign), self._motions[0])
                self._motions.remove(operation)
            if not self._stale(operation):
                return operation
            self.refuse("stale", operation)

    def _stale(self, operation: Operation) -> bool:
        late = self._wall() - operation.t_s > MOTION_AGE_S
        return operation.foreign and (late or self._epoch() != operation.epoch)

    def close(self) -> None:
        """Refuse everything from now on, and let nobody wait."""
        with self._lock:
            self._closed = True
            left = [*self._instant, *self._levels.values(), *self._motions]
            self._instant.clear()
            self._levels.clear()
            self._motions.clear()
        for operation in left:
            operation.answer.cancel()


__all__ = ["BUSY", "Act", "Desk", "Key", "Operation"]
