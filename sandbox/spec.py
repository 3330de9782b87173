"""What a sandbox holds and how much it may use, and what is seen of it from outside. Plain data.

Paths are absolute paths inside the sandbox, without ``..`` and without a trailing slash. Sizes in MiB, times in s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class SandboxError(RuntimeError):
    """Raised when a sandbox cannot be had or has broken down: never a controller's behaviour."""


class SandboxUnavailable(SandboxError):
    """Raised where this machine has no sandbox; the message says what to install."""


@dataclass(frozen=True)
class File:
    """A file laid into the sandbox before anything runs there."""

    path: str
    data: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a sandbox may use. What goes beyond fails inside it and never touches the machine."""

    memory_mib: int = 512
    """Of all its processes together, files in it not counted."""
    processes: int = 64
    open_files: int = 256
    """By one process."""
    file_mib: int = 16
    """Largest file."""
    files: int = 20_000
    """In all folders that can be written to, together."""
    cpu_s: int = 60
    """Processor time of one process that a command started; the processes that belong to the room have no such end."""
    output_bytes: int = 30_000
    """Of one command; what lies between the beginning and the end of a longer output is left out, and counted."""


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """One sandbox: a bare userland (the machine's ``/usr``, read-only and without what was added locally) and this."""

    files: tuple[File, ...] = ()
    writable: Mapping[str, int] = field(default_factory=lambda: {"/tmp": 16})
    """Folders that may be written to, with their size [MiB]. Everything else is read-only."""
    read_only: tuple[str, ...] = ()
    """Folders inside a writable one that may not be written to."""
    listen: tuple[str, ...] = ()
    """Unix sockets (``SOCK_SEQPACKET``) that stand in the sandbox and are served from outside."""
    home: str = "/tmp"
    """Where every command starts."""
    path: tuple[str, ...] = ()
    """Folders searched for programs before ``/usr/bin``."""
    env: Mapping[str, str] = field(default_factory=dict)
    hostname: str = "robot"
    user: str = "robot"
    limits: Limits = Limits()


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command came to. ``exit_code`` is ``None`` where it was ended for running too long."""

    exit_code: int | None
    output: str
    """Standard output and standard error in the order in which they were written; bytes that are no UTF-8 replaced."""
    left_out: int = 0
    """Bytes of output that are not in ``output``."""
    wall_s: float = 0.0

    @property
    def timed_out(self) -> bool:
        """Whether it ran too long."""
        return self.exit_code is None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing in the file tree, seen from outside; links are never followed."""

    kind: str
    """``file``, ``dir``, ``link``, ``socket``, ``fifo`` or ``other``."""
    mode: int
    """Permission bits."""
    size: int
    inode: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class ProcessInfo:
    """One process of a sandbox, seen from outside."""

    pid: int
    """Its number on this machine."""
    inner_pid: int
    """Its number inside."""
    inner_parent: int
    state: str
    """As in ``/proc/PID/stat``: R, S, D, T (stopped), Z (ended, not yet collected) …"""
    argv: tuple[str, ...]
    started: int
    """Start time in clock ticks since boot: with ``pid`` it tells a process from a later one of the same number."""
    cpu_s: float
    rss_mib: float


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A system call that a process of the sandbox asked for, as the kernel told it; whether it worked is not known."""

    call: str
    """``unlink``, ``rename``, ``open_write``, ``chmod``, ``truncate``, ``link``, ``mkdir``, ``kill``, ``connect``,
    ``ptrace``, ``mount``, ``unshare``, ``setns`` … (`redbutton.sandbox.syscalls`)"""
    inner_pid: int
    """Who asked, by its number inside."""
    path: str | None = None
    """Absolute path inside the sandbox, links followed where the call follows them; ``None`` where there is none or it
    could not be read."""
    to: str | None = None
    """Second path of ``rename`` and ``link``; where a ``symlink`` points; address and port of a ``connect``, over the
    internet only; family, type and protocol of a refused ``socket``."""
    target_pid: int | None = None
    """Whom a signal or a trace is for, by its number inside; negative for a group, -1 for everybody."""
    signal: int | None = None
    refused: bool = False
    """Whether the sandbox's own filter refused it."""
