"""The filter decides as the table says: its instructions are executed here, for both machines, as the kernel would."""

import functools
import itertools
import re
import struct
from pathlib import Path

import pytest

from redbutton.sandbox.bpf import ALLOW, NOTIFY, REFUSE_ENOSYS, REFUSE_EPERM
from redbutton.sandbox.syscalls import ABSENT, AUDIT_ARCH, HIGHEST, NAMESPACES, TABLE, X32, Row, filter_program

MACHINES = ["x86_64", "aarch64"]
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
INTERESTING = [0, 2, 3, 8, 10, 16, 40, 0x241, 0x5412, 0x541C, 0x6180, 0x10000000, 0xFFFFFFFF, 1 << 32]


@functools.cache
def instructions(machine: str, told: bool) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack("<HBBI", filter_program(machine, told=told) or b""))


def decide(
    machine: str, number: int, args: tuple[int, ...] = (0,) * 6, arch: int | None = None, told: bool = True
) -> int:
    """Run the filter on one call. Only the instructions that the kernel's own documentation gives for seccomp."""
    data = struct.pack("<IIQ6Q", number, AUDIT_ARCH[machine] if arch is None else arch, 0, *args)
    steps = instructions(machine, told)
    at, value = 0, 0
    while True:
        code, then, otherwise, k = steps[at]
        at += 1
        if code == 0x06:
            return k
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            value &= k
        else:
            true = {0x15: value == k, 0x25: value > k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            at += then if true else otherwise


def numbered(machine: str) -> dict[int, list[Row]]:
    rows: dict[int, list[Row]] = {}
    for row in TABLE:
        if (number := row.number(machine)) is not None:
            rows.setdefault(number, []).append(row)
    return rows


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_hands_over_exactly_what_a_row_fits(machine: str) -> None:
    outcomes = set()
    for number, rows in numbered(machine).items():
        used = sorted({check.arg for row in rows for check in row.checks})
        for values in itertools.product(INTERESTING, repeat=len(used)):
            args = [0] * 6
            for arg, value in zip(used, values, strict=True):
                args[arg] = value
            wanted = NOTIFY if any(row.fits(args) for row in rows) else ALLOW
            assert decide(machine, number, tuple(args)) == wanted, (rows[0].name, args)
            first = next((row for row in rows if row.fits(args)), None)
            alone = REFUSE_EPERM if first is not None and first.error else ALLOW
            assert decide(machine, number, tuple(args), told=False) == alone, (rows[0].name, args)
            outcomes |= {wanted, alone}
    assert outcomes == {NOTIFY, ALLOW, REFUSE_EPERM}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_that_no_row_names_is_allowed(machine: str) -> None:
    named, absent = numbered(machine), {row.number(machine) for row in ABSENT}
    others = [number for number in range(HIGHEST + 1) if number not in named and number not in absent]
    assert len(others) > 250
    assert {decide(machine, number, (1,) * 6) for number in others} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_absent_calls_and_those_newer_than_the_table_do_not_exist(machine: str) -> None:
    absent = [row.number(machine) for row in ABSENT] + [HIGHEST + 1, HIGHEST + 100]
    assert {decide(machine, number, (1,) * 6) for number in absent if number is not None} == {REFUSE_ENOSYS}


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_are_handed_over_whatever_their_number(machine: str) -> None:
    i386 = 0x40000003
    assert {decide(machine, number, arch=i386) for number in range(500)} == {NOTIFY}
    assert {decide(machine, number, arch=i386, told=False) for number in range(500)} == {REFUSE_ENOSYS}


def test_x32_calls_are_handed_over() -> None:
    assert {decide("x86_64", X32 + number) for number in (0, 1, 16, 512, 547)} == {NOTIFY}
    assert decide("x86_64", 0xFFFFFFFF) == NOTIFY


def test_bits_that_the_kernel_ignores_do_not_hide_a_forbidden_value() -> None:
    assert decide("x86_64", 16, (0, 0x5412 | 1 << 40, 0, 0, 0, 0)) == NOTIFY
    assert decide("x86_64", 41, (40 | 1 << 33, 1, 0, 0, 0, 0)) == NOTIFY


@pytest.mark.parametrize("machine", MACHINES)
def test_ordinary_opens_clones_and_sockets_are_not_held_up(machine: str) -> None:
    openat, clone, socket = (257, 56, 41) if machine == "x86_64" else (56, 220, 198)
    assert decide(machine, openat, (0, 0, 0o2000000, 0, 0, 0)) == ALLOW  # read-only, close on exec
    assert decide(machine, openat, (0, 0, 0o1101, 0, 0, 0)) == NOTIFY
    assert decide(machine, clone, (0x01200011, 0, 0, 0, 0, 0)) == ALLOW  # fork
    assert decide(machine, clone, (NAMESPACES & 0x10000000 | 17, 0, 0, 0, 0, 0)) == NOTIFY
    assert decide(machine, socket, (2, 1, 0, 0, 0, 0)) == ALLOW
    assert decide(machine, socket, (16, 3, 0, 0, 0, 0)) == ALLOW  # netlink, to ask for addresses
    assert decide(machine, socket, (2, 3, 255, 0, 0, 0)) == NOTIFY  # raw


def test_a_machine_without_numbers_has_no_filter() -> None:
    assert filter_program("riscv64") is None


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"{HEADERS[machine]} is not installed")
    text = HEADERS[machine].read_text()
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    compared = [row for row in TABLE + ABSENT if row.name in numbers and row.number(machine) is not None]
    assert [row.name for row in compared if row.number(machine) != numbers[row.name]] == []
    assert len(compared) > 70
    absent = {row.name for row in TABLE if row.number(machine) is None}
    assert absent & numbers.keys() == set()
