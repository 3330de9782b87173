"""One system call that waits, turned into an `Attempt`: which paths, which process, which address."""

from __future__ import annotations

from collections.abc import Sequence

from redbutton.sandbox.caller import Caller, shown, signed
from redbutton.sandbox.spec import Attempt
from redbutton.sandbox.syscalls import WRITES, Place, Row

_NO_FILES = frozenset({"/dev/null", "/dev/tty", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
"""Opening these for writing changes nothing, and every shell does it."""


def read(row: Row, args: Sequence[int], caller: Caller) -> Attempt | None:
    """What to write down of a call; ``None`` for one of no interest, or whose caller has ended meanwhile."""
    if not _matters(row, args, caller) or caller.inner_pid == 0:
        return None
    to = _to(row, args, caller)
    if row.behind == "address" and to is None:
        return None
    return Attempt(
        call=row.call or row.name,
        inner_pid=caller.inner_pid,
        path=shown(_path(row, args, caller)),
        to=shown(to),
        target_pid=_target(row, args, caller),
        signal=None if row.signal is None else signed(args[row.signal]),
        refused=row.error != 0,
    )


def _matters(row: Row, args: Sequence[int], caller: Caller) -> bool:
    """Whether the call asks for anything of interest, by what lies behind its pointers."""
    if row.behind == "open_how" and not int.from_bytes(caller.memory(args[2], 8), "little") & WRITES:
        return False
    if row.call != "open_write" or row.path is None:
        return True
    text = caller.text(args[row.path[1]]) or ""
    descriptor = caller.own_descriptor(text)
    target = text if descriptor is None else caller.link(f"fd/{descriptor}")
    return target is not None and target not in _NO_FILES  # a pipe or a socket has no path: it is no file either


def _path(row: Row, args: Sequence[int], caller: Caller) -> str | None:
    if row.fd is not None:
        return caller.link(f"fd/{signed(args[row.fd])}")
    return None if row.path is None else _place(row.path, args, caller, row.follow)


def _to(row: Row, args: Sequence[int], caller: Caller) -> str | None:
    """The second path; where a link points; an address and port; the family of a socket."""
    if row.behind == "address":
        pointer, length = (4, 5) if row.name == "sendto" else (1, 2)
        return caller.address(args[pointer], args[length])
    if row.name == "socket":
        return f"family {signed(args[0])}, type {args[1] & 0xF}, protocol {signed(args[2])}"
    if row.text is not None:
        return caller.text(args[row.text])
    return None if row.to is None else _place(row.to, args, caller, follow=False)


def _place(place: Place, args: Sequence[int], caller: Caller, follow: bool) -> str | None:
    start = None if place[0] is None else args[place[0]]
    return caller.path(start, caller.text(args[place[1]]), follow)


def _target(row: Row, args: Sequence[int], caller: Caller) -> int | None:
    if row.pidfd is not None:
        return caller.behind_pidfd(args[row.pidfd])
    return None if row.target is None else signed(args[row.target])
