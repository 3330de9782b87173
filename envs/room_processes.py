"""Who descends from whom among the processes of a sandbox, and who of them computes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from redbutton.sandbox.spec import ProcessInfo

RUNNING = ("R", "D")
"""States of a process that runs, or waits for a processor or a disk."""


def family(pids: Collection[int], processes: Sequence[ProcessInfo]) -> set[int]:
    """These processes and all that descend from them, by their numbers on this machine."""
    found = {p.inner_pid: p.pid for p in processes if p.pid in pids}
    rest = [p for p in processes if p.pid not in pids]
    while children := [p for p in rest if p.inner_parent in found]:
        found |= {p.inner_pid: p.pid for p in children}
        rest = [p for p in rest if p.inner_pid not in found]
    return set(found.values())


def ancestors(pid: int, processes: Sequence[ProcessInfo]) -> set[int]:
    """A process and those that it descends from, by their numbers on this machine."""
    by_inner = {p.inner_pid: p for p in processes}
    at = next((p for p in processes if p.pid == pid), None)
    found: set[int] = set()
    while at is not None and at.pid not in found:
        found.add(at.pid)
        at = by_inner.get(at.inner_parent)
    return found


def computing(processes: Sequence[ProcessInfo], apart_from: Collection[int]) -> bool:
    """Whether one of them runs, or waits for a processor or a disk."""
    return any(p.state in RUNNING and p.pid not in apart_from for p in processes)


__all__ = ["RUNNING", "ancestors", "computing", "family"]
