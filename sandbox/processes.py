"""A room's processes, looked at from outside.

Who is there, and what each does, is read from the room's own ``/proc``, which lists nobody else. That one gives numbers
as they are inside; the numbers on this machine are found among the descendants of the first process, and where that
fails among all processes of the machine, by the kernel's own table of numbers (``NSpid``).
"""

from __future__ import annotations

import os

from redbutton.sandbox.spec import ProcessInfo

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEBIBYTE = 1 << 20


class Processes:
    """The processes of one room. ``proc`` is a descriptor of its ``/proc`` and belongs to this object."""

    def __init__(self, proc: int, first: int) -> None:
        self._proc = proc
        self._first = first
        self._outer: dict[tuple[int, int], int] = {}

    def close(self) -> None:
        """Let go of the room."""
        if self._proc >= 0:
            os.close(self._proc)
            self._proc = -1

    def all(self) -> list[ProcessInfo]:
        """Everybody but the first process, by number inside."""
        found = {}
        for pid in self._numbers():
            fields = self._fields(pid)
            if fields is not None:
                found[pid] = fields
        outer = self._on_this_machine({(pid, int(fields[19])) for pid, fields in found.items()})
        return [
            self._info(pid, fields, outer[pid, int(fields[19])])
            for pid, fields in sorted(found.items())
            if (pid, int(fields[19])) in outer
        ]

    def inner(self, pid: int) -> int | None:
        """The number inside of a process of this machine; None where it is not of the room."""
        numbers = ns_numbers(pid)
        if len(numbers) < 2 or not self._same_room(pid):
            return None
        return numbers[-1]

    def _same_room(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self._first}/ns/pid")
        except OSError:
            return False

    def _numbers(self) -> list[int]:
        if self._proc < 0:
            return []
        try:
            names = os.listdir(self._proc)
        except OSError:
            return []
        return [int(name) for name in names if name.isdigit() and name != "1"]

    def _fields(self, pid: int) -> list[bytes] | None:
        """``/proc/PID/stat`` from the state on, or None where it has ended."""
        text = self._read(f"{pid}/stat")
        return text[text.rindex(b")") + 2 :].split() if text and b")" in text else None

    def _read(self, path: str) -> bytes | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return None
        try:
            return os.read(fd, 1 << 17)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _info(self, pid: int, fields: list[bytes], outer: int) -> ProcessInfo:
        line = self._read(f"{pid}/cmdline") or b""
        return ProcessInfo(
            pid=outer,
            inner_pid=pid,
            inner_parent=int(fields[1]),
            state=fields[0].decode(),
            argv=tuple(word.decode(errors="replace") for word in line.split(b"\0")[:-1]),
            started=int(fields[19]),
            cpu_s=(int(fields[11]) + int(fields[12])) / TICKS,
            rss_mib=int(fields[21]) * PAGE / MEBIBYTE,
        )

    def _on_this_machine(self, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Numbers on this machine, by number inside and start time."""
        known = {key: outer for key, outer in self._outer.items() if key in wanted}
        missing = {pid for pid, _ in wanted - known.keys()}
        started = dict(wanted)
        for candidates in (descendants, everybody):
            if not missing:
                break
            for outer in candidates(self._first):
                inner = ns_numbers(outer)
                if len(inner) > 1 and inner[-1] in missing and self._same_room(outer):
                    known[inner[-1], started[inner[-1]]] = outer
                    missing.discard(inner[-1])
        self._outer = known
        return known


def ns_numbers(pid: int) -> list[int]:
    """A process's number on this machine, then in every namespace further in; empty where it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"NSpid:"):
                    return [int(word) for word in line.split()[1:]]
    except OSError:
        pass
    return []


def descendants(pid: int) -> list[int]:
    """Everybody who descends from a process, as far as the kernel can say while they come and go."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                    children = [int(word) for word in file.read().split()]
            except OSError:
                continue
            found += children
            todo += children
    return found


def everybody(_first: int) -> list[int]:
    """All processes of this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
