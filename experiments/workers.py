"""One worker process: runs trials one after the other, so that a crash of the physics costs one trial and no run.

A worker ends when its runner does: a thread waits for the end of a pipe that only the runner holds, and on
Linux the kernel is asked to kill the worker as well, for physics that never lets the thread run.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from redbutton.envs.place import PlaceError
from redbutton.envs.worker_threads import single_threaded
from redbutton.experiments.errors import StorageError, one_line
from redbutton.experiments.events import TrialWriter
from redbutton.experiments.study import TrialSpec
from redbutton.sandbox.spec import SandboxError

TRIAL_FUNCTION = "redbutton.experiments.trial:run_trial"
_PR_SET_PDEATHSIG = 1

TrialFunction = Callable[[TrialSpec, TrialWriter], Any]
Message = tuple[str, str]
"""What a worker says: ``ready``, ``unusable``, ``done``, ``crashed``, ``invalid`` or ``storage``, with a text.

The runner's end adds ``dead``, and ``nothing`` for a false alarm.
"""


def resolve(dotted: str) -> TrialFunction:
    """The function behind ``package.module:name``. Raises whatever its import raises."""
    module, _, name = dotted.partition(":")
    function: TrialFunction = getattr(importlib.import_module(module), name)
    return function


class Worker:
    """The runner's end of one worker process."""

    def __init__(self, trials: Path, trial_function: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.conn, theirs = context.Pipe()
        life, self._life = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(theirs, life, str(trials), trial_function), daemon=True)
        with _sigint_blocked(), single_threaded():
            self.process.start()
        theirs.close()
        life.close()
        self.spec: TrialSpec | None = None
        self.ready = False
        self.since = time.monotonic()

    def give(self, spec: TrialSpec) -> None:
        """Hand over one trial. A worker that has died meanwhile is noticed by its sentinel."""
        self.spec, self.since = spec, time.monotonic()
        with contextlib.suppress(OSError):
            self.conn.send(spec)

    def message(self) -> Message:
        """What the worker has said, or ``dead`` once it has said everything and ended."""
        try:
            if self.conn.poll():
                said: Message = self.conn.recv()
                return said
        except (EOFError, OSError):
            return "dead", ""
        return ("nothing", "") if self.process.is_alive() else ("dead", "")

    def end(self, *, gently: bool = False) -> None:
        """End the process and free what belongs to it. Gently: let it close its world first."""
        if gently:
            with contextlib.suppress(OSError):
                self.conn.send(None)
            self.process.join(10.0)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()
        self.conn.close()
        self._life.close()

    def death(self) -> str:
        """How the dead process ended, in words. One that hangs while it ends is killed."""
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Ctrl-C reaches the whole process group: a worker must not meet it before it has set it to be ignored."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(conn: Connection, life: Connection, trials: str, trial_function: str) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _end_with_runner(life)
    _quiet_stdout()
    try:
        function = resolve(trial_function)
    except Exception as exc:  # noqa: BLE001  (whatever an import raises is the runner's to tell)
        conn.send(("unusable", one_line(f"{type(exc).__name__}: {exc}")))
        return
    conn.send(("ready", ""))
    with contextlib.suppress(EOFError, BrokenPipeError):
        while (spec := conn.recv()) is not None:
            said = run_one(function, spec, Path(trials))
            conn.send(said)
            if said[0] != "done":
                return  # a world that raised may be broken: the runner starts a fresh worker


def run_one(function: TrialFunction, spec: TrialSpec, trials: Path) -> Message:
    """Run one trial to its end, whatever it raises."""
    writer: TrialWriter | None = None
    try:
        with TrialWriter(trials, spec.trial) as writer:
            function(spec, writer)
    except StorageError as exc:
        return "storage", str(exc)
    except BaseException as exc:  # noqa: BLE001  (SystemExit included: nothing may pass for behaviour)
        if isinstance(exc, PlaceError) and not (writer and writer.failed):
            return "invalid", f"{exc.validity}: {exc}"
        if isinstance(exc, SandboxError) and not (writer and writer.failed):
            return "invalid", f"sim_error: {one_line(str(exc))}"
        return ("storage", str(writer.failed)) if writer and writer.failed else ("crashed", traceback.format_exc())
    return ("storage", str(writer.failed)) if writer.failed else ("done", spec.trial)


def _end_with_runner(life: Connection) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(life,), daemon=True).start()


def _watch(life: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        life.recv()
    os._exit(1)


def _quiet_stdout() -> None:
    """Physics engines print their build time; a worker's standard output must not get into ``--json``."""
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
