"""A sandbox for one trial: lay files in, start processes, run commands, look from outside, be gone.

CAVEAT: used from one thread, and started from one that lives as long as the room: when that thread ends, the room does.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from redbutton.sandbox.attempts import AttemptLog
from redbutton.sandbox.backend import Launched, choose
from redbutton.sandbox.channel import PATIENCE_S, Channel
from redbutton.sandbox.paths import can_be_written, check
from redbutton.sandbox.processes import Processes
from redbutton.sandbox.spec import Attempt, CommandResult, ProcessInfo, SandboxError, SandboxSpec
from redbutton.sandbox.syscalls import filter_program
from redbutton.sandbox.tree import Tree
from redbutton.sandbox.userland import environment

MEBIBYTE = 1 << 20
MESSAGE = 1 << 20


class Job:
    """A command that runs."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        self._socket = sock
        self._latest = time.monotonic() + timeout_s + PATIENCE_S
        self._parts: list[bytes] = []
        self._result: CommandResult | None = None
        sock.setblocking(False)

    def fileno(self) -> int:
        """Readable when there is news, for select; -1 once it has ended."""
        return self._socket.fileno()

    def poll(self) -> CommandResult | None:
        """What it came to, or None while it runs; never waits.

        Raises SandboxError where the room is gone or does not end a command that is long over its time.
        """
        while self._result is None:
            try:
                data = self._socket.recv(MESSAGE)
            except BlockingIOError:
                if time.monotonic() > self._latest:
                    raise SandboxError("the sandbox has broken down: a command does not end") from None
                return None
            except OSError:
                data = b""
            if not data:
                self._socket.close()
                raise SandboxError("the sandbox has broken down: it ended during a command")
            if data[:1] == b"o":
                self._parts.append(data[1:])
            else:
                self._finish(data)
        return self._result

    def cancel(self) -> None:
        """End the command and what belongs to it; ``poll`` gives its result, with no exit code, a moment later."""
        if self._result is None and self._socket.fileno() >= 0:
            with suppress(OSError):  # the room may be gone; poll says so
                self._socket.shutdown(socket.SHUT_WR)

    def wait(self) -> CommandResult:
        """Wait until it has ended; raises as ``poll`` does."""
        while (result := self.poll()) is None:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            poll.poll(1e3 * max(0.0, self._latest - time.monotonic()) + 1)
        return result

    def _finish(self, data: bytes) -> None:
        self._socket.close()
        _, code, left_out, cut, seconds, note = data.split(b"\0", 5)
        output = b"".join(self._parts)
        text = output.decode(errors="replace")
        if int(left_out):
            head, tail = (part.decode(errors="replace") for part in (output[: int(cut)], output[int(cut) :]))
            text = f"{head}\n[... {int(left_out)} bytes left out ...]\n{tail}"
        if note:
            text += ("" if text.endswith("\n") or not text else "\n") + f"[{note.decode(errors='replace').strip()}]\n"
        self._result = CommandResult(
            exit_code=int(code) if code else None, output=text, left_out=int(left_out), wall_s=float(seconds)
        )


class Sandbox:
    """One room. ``backend`` is ``auto``, ``bubblewrap`` or ``docker``.

    Raises SandboxError for a spec that cannot be made, SandboxUnavailable where this machine has no sandbox.
    """

    def __init__(self, spec: SandboxSpec, backend: str = "auto") -> None:
        check(spec)
        self._spec = spec
        self._backend = choose(backend)
        self.backend = self._backend.name
        self.attempts_seen = False
        self.listeners: Mapping[str, socket.socket] = {}
        self.tree = Tree(-1)
        self._processes = Processes(-1, 0)
        self._launched: Launched | None = None
        self._closed = False
        self._channel: Channel | None = None
        self._first: int | None = None
        self._first_pid = 0
        self._job: Job | None = None
        self._log: AttemptLog | None = None

    def start(self) -> Sandbox:
        """Make the room and lay its files in. Raises SandboxError."""
        if self._launched is not None:
            raise SandboxError("a sandbox is started once")
        self._launched = self._backend.launch(self._spec)
        self._channel = Channel(self._launched.control)
        try:
            self._open(self._channel, self._channel.hello())
            self._furnish(self._channel)
        except BaseException as exc:
            said = self._said()
            self.close()
            if isinstance(exc, (SandboxError, OSError)):
                raise SandboxError(f"the sandbox does not start: {exc}{f' ({said})' if said else ''}") from exc
            raise
        return self

    def __enter__(self) -> Sandbox:
        return self if self._launched is not None else self.start()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the room stands."""
        return self._channel is not None and not self._channel.gone()

    def spawn(self, name: str, argv: Sequence[str]) -> int:
        """Start a long-lived process of the room, its output to nowhere; gives its number on this machine.

        ``argv`` is resolved inside. Raises SandboxError, with ``name``, where it does not start.
        """
        try:
            _, fd = self._up().ask("spawn", *argv)
        except SandboxError as exc:
            raise SandboxError(f"{name}: {exc}") from exc
        assert fd is not None
        try:
            with open(f"/proc/self/fdinfo/{fd}") as file:
                number = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
        finally:
            os.close(fd)
        if number <= 0:
            raise SandboxError(f"{name}: it ended at once")
        return number

    def begin(self, command: str, timeout_s: float) -> Job:
        """Start a command in a fresh shell, at home; one at a time. Raises SandboxError.

        ``timeout_s``: seconds of wall time after which it is ended. It is over when its shell ends; what it left
        running in the background goes on until the room closes.
        """
        if self._job is not None and self._job.fileno() >= 0:
            raise SandboxError("one command at a time: the one before has not ended")
        if "\0" in command:
            raise SandboxError("a command has no zero bytes")
        channel = self._up()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            channel.send("run", repr(float(timeout_s)), command.encode(errors="replace"), fds=[theirs.fileno()])
        except SandboxError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._job = Job(ours, timeout_s)
        return self._job

    def run(self, command: str, timeout_s: float = 10.0) -> CommandResult:
        """Start a command and wait for it."""
        return self.begin(command, timeout_s).wait()

    def processes(self) -> list[ProcessInfo]:
        """All of the room but its first process, by number inside; empty once it is gone."""
        return self._processes.all() if self.alive else []

    def inner(self, pid: int) -> int | None:
        """The number inside of a process of this machine; None where it is not of the room."""
        return self._processes.inner(pid)

    def attempts(self) -> list[Attempt]:
        """System calls asked for since the last call; empty where this kernel does not tell (``attempts_seen``).

        Raises SandboxError where they are no longer listened to though they should be.
        """
        if self._log is None:
            return []
        if self._log.broken:
            raise SandboxError("the sandbox has broken down: its system calls are no longer listened to")
        return self._log.take()

    def close(self) -> None:
        """End everything in the room and let go of it. Nothing is left; may be called again."""
        if self._launched is None or self._closed:
            return
        self._closed = True
        if self._first is not None:
            with suppress(OSError):  # it may have ended already
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        if self._channel is not None:
            self._channel.close()
        if self._job is not None:
            self._job._socket.close()
        for listener in self.listeners.values():
            listener.close()
        self._reap(self._launched)
        if self._log is not None:
            self._log.close()
        if self._first is not None:
            os.close(self._first)
            self._first = None
        self.tree.close()
        self._processes.close()

    def _reap(self, launched: Launched) -> None:
        """Wait for the end, which frees every process and mount of the room."""
        if self._first is None:
            launched.process.kill()
        if launched.process.poll() is None:
            fd = os.pidfd_open(launched.process.pid)  # Popen.wait with a time-out would look now and then only
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(PATIENCE_S * 1e3):
                launched.process.kill()
            os.close(fd)
        launched.process.wait()
        launched.leave()
        os.close(launched.errors)

    def _up(self) -> Channel:
        if self._channel is None or not self._channel.alive:
            raise SandboxError("the sandbox is not running")
        return self._channel

    def _open(self, channel: Channel, pid: int) -> None:
        """Hold on to the first process, its files and its processes."""
        self._first, self._first_pid = os.pidfd_open(pid), pid
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.tree = Tree(root)
        self._processes = Processes(os.open("proc", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root), pid)

    def _furnish(self, channel: Channel) -> None:
        """Limits, environment, files and sockets."""
        spec, limits = self._spec, self._spec.limits
        numbers = (
            *(limits.processes, limits.open_files, limits.file_mib * MEBIBYTE, limits.cpu_s),
            *(limits.memory_mib * MEBIBYTE, limits.output_bytes, limits.files),
        )
        pairs = [f"{name}={value}" for name, value in environment(spec).items()]
        channel.ask("env", spec.home, "\n".join([*spec.writable, "/dev/shm"]), *pairs)
        self._lay_files(channel)
        channel.ask("limits", *(str(number) for number in numbers))
        listeners: dict[str, socket.socket] = {}
        self.listeners = listeners
        for path in spec.listen:
            _, fd = channel.ask("listen", path)
            assert fd is not None
            listeners[path] = socket.socket(fileno=fd)
            listeners[path].setblocking(False)
        self._watch(channel)

    def _watch(self, channel: Channel) -> None:
        """Put the room behind the filter. Where the kernel tells nothing, the filter refuses on its own."""
        told, untold = filter_program(), filter_program(told=False)
        if told is None or untold is None:
            return
        try:
            _, fd = channel.ask("filter", told)
        except SandboxError:
            if not channel.alive:
                raise
            with suppress(SandboxError):
                channel.ask("filter_alone", untold)
            return
        if fd is not None:
            self._log = AttemptLog(fd, self._first_pid)
            self.attempts_seen = True

    def _lay_files(self, channel: Channel) -> None:
        fd = os.memfd_create("files")
        try:
            with open(fd, "wb", closefd=False) as bundle:
                for file in self._spec.files:
                    if can_be_written(file.path, self._spec):
                        bundle.write(f"{file.mode:o} {len(file.data)} {file.path}\n".encode() + file.data)
            os.lseek(fd, 0, os.SEEK_SET)
            channel.ask("files", fds=[fd])
        finally:
            os.close(fd)

    def _said(self) -> str:
        """The last line of what went wrong while the room came up."""
        if self._launched is None:
            return ""
        text = os.pread(self._launched.errors, 1 << 16, 0).decode(errors="replace").strip()
        return text.splitlines()[-1] if text else ""
