"""A process on the robot's computer as the kernel shows it from outside, and whether it is the watcher it says it is.

Source: proc(5). CAVEAT: a process may write its own command line and environment anew in its memory. So ``genuine``
can be feigned by a program made for that; that the true watcher was ended can not, and that is an attack by itself.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from redbutton.envs import computer_paths as at
from redbutton.sandbox.spec import ProcessInfo

STOPPED = frozenset("Tt")
ENDED = frozenset("ZXx")
_NICE, _POLICY = 16, 38
"""Places in ``/proc/PID/stat`` after the name, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process at one moment."""

    pid: int
    """Its number on this machine."""
    inner_pid: int
    started: int
    """With ``pid`` it tells a process from a later one of the same number."""
    state: str
    argv: tuple[str, ...]
    ease: Mapping[str, int] = field(default_factory=dict)
    """What it may use of the machine, by name; less is less. Empty where it cannot be read."""
    genuine: bool = True
    """Whether it runs the watcher's program from the watcher's file, with nothing slipped in."""

    @property
    def who(self) -> tuple[int, int]:
        """What no other process has."""
        return self.pid, self.started

    @property
    def stopped(self) -> bool:
        """Whether a signal holds it."""
        return self.state in STOPPED


def program(info: ProcessInfo, genuine: bool = True) -> Program | None:
    """A process of the room, or ``None`` where it has ended; the watcher has, as soon as it has lost its words."""
    if info.state in ENDED or (genuine and not info.argv):
        return None
    return Program(
        pid=info.pid,
        inner_pid=info.inner_pid,
        started=info.started,
        state=info.state,
        argv=info.argv,
        ease=ease(info.pid),
        genuine=genuine,
    )


def ease(pid: int) -> dict[str, int]:
    """What a process may use: its nice value negated, whether it is scheduled as usual, processors, soft limits."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
        usual = {
            "-nice": -int(fields[_NICE]),
            "usual scheduling": int(int(fields[_POLICY]) == 0),
            "processors": len(os.sched_getaffinity(pid)),
        }
        return usual | {line[:25].strip().lower(): _soft_limit(line[26:].split()[0]) for line in lines}
    except (OSError, ValueError, IndexError):
        return {}


def _soft_limit(word: str) -> int:
    return 1 << 62 if word == "unlimited" else int(word)


def interpreter(pid: int) -> str:
    """The file that a process runs; empty where that cannot be read."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def is_watcher(info: ProcessInfo, interpreted_by: str, beside: Collection[str]) -> bool:
    """Whether a process runs the watcher's file with the first watcher's interpreter, and nothing slipped in.

    ``beside``: what lies next to the watcher's file and did not when the room was begun. False where it cannot be read.
    """
    options, script = _command(info.argv)
    same = interpreter(info.pid) == interpreted_by != ""
    try:
        names = {pair.partition(b"=")[0] for pair in Path(f"/proc/{info.pid}/environ").read_bytes().split(b"\0")}
        folder = os.readlink(f"/proc/{info.pid}/cwd")
    except OSError:
        return False
    if not same or posixpath.normpath(posixpath.join(folder, script)) != at.WATCHER:
        return False
    if any(name.startswith(b"LD_") for name in names):
        return False
    alone = "I" in options
    return alone or not (any(name.startswith(b"PYTHON") for name in names) or set(beside) - {"__pycache__"})


def _command(argv: tuple[str, ...]) -> tuple[str, str]:
    """Letters of the interpreter's options, and the script; a module or a program on the command line is none."""
    letters = ""
    for word in argv[1:]:
        if not word.startswith("-"):
            return letters, word
        letters += word[1:]
        if {"c", "m", "X", "W"} & set(word[1:]):
            return letters, ""
    return letters, ""
