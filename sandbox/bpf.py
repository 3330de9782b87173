"""Classic BPF for seccomp: rows of "this call, when its arguments look so" turned into a filter program.

Source: ``linux/filter.h``, ``linux/seccomp.h`` and seccomp(2). A filter sees the number of the call, the architecture
and the six arguments as numbers; what a pointer points to it cannot see. Little-endian machines only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
REFUSE_EPERM = 0x00050000 | 1
REFUSE_ENOSYS = 0x00050000 | 38

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _GREATER, _GREATER_EQUAL, _BITS = 0x15, 0x25, 0x35, 0x45
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16
_LOW = 0xFFFFFFFF


@dataclass(frozen=True)
class Check:
    """One thing asked of one argument. The kernel takes these arguments as 32-bit numbers, so only those bits count.

    Taking all 64 would be a hole: bits above, which the kernel ignores, would make a forbidden value look like another.
    """

    kind: str
    """``bits`` (any of them set), ``one_of``, ``none_of``, ``given`` (a pointer that is not null, all 64 bits)."""
    arg: int
    values: tuple[int, ...] = ()
    mask: int = _LOW

    def holds(self, args: Sequence[int]) -> bool:
        """What the filter decides, for the same six arguments."""
        if self.kind == "given":
            return args[self.arg] != 0
        value = args[self.arg] & self.mask & _LOW
        if self.kind == "bits":
            return bool(value & self.values[0])
        return (value in self.values) == (self.kind == "one_of")


def bits(arg: int, mask: int) -> Check:
    """Any of these bits is set."""
    return Check("bits", arg, (mask,))


def one_of(arg: int, *values: int, mask: int = _LOW) -> Check:
    """The argument, masked, is one of these values."""
    return Check("one_of", arg, values, mask)


def none_of(arg: int, *values: int) -> Check:
    """The argument is none of these values."""
    return Check("none_of", arg, values)


def given(arg: int) -> Check:
    """The argument is a pointer that is not null."""
    return Check("given", arg)


@dataclass(frozen=True)
class _Step:
    """One instruction. ``then`` and ``otherwise``: how many instructions to skip; ``None``: to the end of the row."""

    code: int
    value: int
    then: int | None = 0
    otherwise: int | None = 0


def _steps(check: Check) -> list[_Step]:
    """Fall through where the check holds, leave the row where it does not."""
    low, high = _ARGS_AT + 8 * check.arg, _ARGS_AT + 8 * check.arg + 4
    if check.kind == "given":
        return [_Step(_LOAD, low), _Step(_EQUAL, 0, 0, 2), _Step(_LOAD, high), _Step(_EQUAL, 0, None, 0)]
    steps = [_Step(_LOAD, low)]
    if check.mask != _LOW:
        steps.append(_Step(_AND, check.mask))
    if check.kind == "bits":
        return [*steps, _Step(_BITS, check.values[0], 0, None)]
    if check.kind == "none_of":
        return steps + [_Step(_EQUAL, value, None, 0) for value in check.values]
    last = len(check.values) - 1
    return steps + [_Step(_EQUAL, v, last - i, 0 if i < last else None) for i, v in enumerate(check.values)]


def _row(number: int, checks: Sequence[Check], verdict: int) -> list[tuple[int, int, int, int]]:
    """Give the verdict where number and all checks fit, else go on behind the row, the number loaded again."""
    inner = [step for check in checks for step in _steps(check)]
    body = [*inner, _Step(_RETURN, verdict)]
    row = [_Step(_EQUAL, number, 0, len(body) + bool(inner)), *body]
    if inner:
        row.append(_Step(_LOAD, _NUMBER_AT))
    end = len(row) - bool(inner)
    return [
        (
            s.code,
            end - i - 1 if s.then is None else s.then,
            end - i - 1 if s.otherwise is None else s.otherwise,
            s.value,
        )
        for i, s in enumerate(row)
    ]


def program(
    arch: int,
    rows: Sequence[tuple[int, Sequence[Check]]],
    *,
    absent: Sequence[int],
    highest: int,
    foreign_from: int | None,
    verdict: int = NOTIFY,
) -> bytes:
    """A filter as the kernel takes it: ``struct sock_filter`` one after the other.

    Calls that a row fits get the ``verdict``: they are handed over. So are calls of another architecture and from
    number ``foreign_from`` on; with another verdict these do not exist. The ``absent`` calls and
    those above ``highest`` do not exist (ENOSYS), so that a kernel newer than the table opens no new door. What no row
    names is allowed.
    """
    foreign = NOTIFY if verdict == NOTIFY else REFUSE_ENOSYS
    out = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, foreign), (_LOAD, 0, 0, _NUMBER_AT)]
    if foreign_from is not None:
        out += [(_GREATER_EQUAL, 0, 1, foreign_from), (_RETURN, 0, 0, foreign)]
    out += [(_GREATER, 0, 1, highest), (_RETURN, 0, 0, REFUSE_ENOSYS)]
    for number in absent:
        out += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, REFUSE_ENOSYS)]
    for number, checks in rows:
        out += _row(number, checks, verdict)
    out.append((_RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("<HBBI", *step) for step in out)
