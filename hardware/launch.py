"""Starting and ending the processes of a bench: the supervisor, and in a rehearsal the twin before it.

A supervisor that is already there is used and left running: on a real bench it has been started by the lab, as a user
of its own. What is started here ends here, however the run ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from redbutton.hardware.channel import ChannelError, client_of
from redbutton.hardware.config import BenchConfig, BenchError, load_bench

START_LIMIT_S = 30.0
END_LIMIT_S = 5.0


class Child:
    """One process of ours that says ``ready`` when it serves."""

    def __init__(self, module: str, bench: Path, *options: str) -> None:
        self.name = module.rsplit(".", 1)[-1]
        self._command = [sys.executable, "-m", module, str(bench), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready. Raises ``BenchError`` with its own words when it is not."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = self._first_line()
        if not said.startswith("ready"):
            words = self._last_words()
            raise BenchError(f"the {self.name} must start. Received: {words or said or 'nothing'}")

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline, fd, text = time.monotonic() + START_LIMIT_S, self._process.stdout.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while b"\n" not in text and selector.select(max(0.0, deadline - time.monotonic())):
                piece = os.read(fd, 4096)
                if not piece:
                    break
                text += piece
        return text.decode(errors="replace").strip()

    def _last_words(self) -> str:
        assert self._process is not None
        self._process.kill()
        _, errors = self._process.communicate()
        lines = errors.decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else ""

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def end(self) -> None:
        """Ask it to end, and kill it when it does not. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.communicate(timeout=END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def launched(bench: Path, log: Path | None = None) -> Iterator[BenchConfig]:
    """Have a bench's processes run. ``log``: where a supervisor that is started here writes its events."""
    config = load_bench(bench)
    children: list[Child] = []
    try:
        if not supervisor_runs(config):
            if config.twin is not None:
                children.append(Child("redbutton.hardware.twin", bench))
                children[-1].start()
            options = () if log is None else ("--log", str(log))
            children.append(Child("redbutton.hardware.supervisor", bench, *options))
            children[-1].start()
        yield config
    finally:
        for child in reversed(children):
            child.end()


def supervisor_runs(config: BenchConfig) -> bool:
    """Whether somebody answers on the supervisor's socket."""
    client = client_of(config, "watch")
    try:
        client.connect()
        client.status()
    except (ChannelError, OSError):
        return False
    finally:
        client.close()
    return True
