"""Which system calls of a sandbox are worth a record, and which have no place there.

A call that a row names stops for a moment and is told to this side (seccomp user notification), which answers "go on"
or an error. ``refuse`` is decided from numbers in registers alone, which no program can change afterwards; a path lies
in the program's memory and may be changed after it was read, so paths are for the record and never decide.

Not in the table, and why: ``ftruncate`` (the file was opened for writing, which is told), ``setxattr``, ``utimensat``,
``chown`` (nothing here depends on them), reads (far too many; the world watches files by inotify).
Numbers: ``asm/unistd_64.h`` of x86-64 and ``asm-generic/unistd.h``, which aarch64 uses.
"""

from __future__ import annotations

import platform
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EPERM

from redbutton.sandbox.bpf import NOTIFY, REFUSE_EPERM, Check, bits, given, none_of, one_of, program

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HIGHEST = 470
"""The last call that the table's author knew of (Linux 6.18 and a little beyond)."""
X32 = 0x40000000

NAMESPACES = 0x7E020000
"""CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID and -NET; no process can be born into another time namespace."""
WRITES = 0o1 | 0o2 | 0o100 | 0o1000
"""O_WRONLY, O_RDWR, O_CREAT, O_TRUNC."""

Place = tuple[int | None, int]
"""Which arguments hold a path: the folder that it starts from (``None``: the working folder) and the text."""


@dataclass(frozen=True)
class Row:
    """One call to be told, when all of ``checks`` hold."""

    name: str
    x86_64: int | None
    aarch64: int | None
    call: str = ""
    """What the record calls it where that is not its name; several calls of the kernel may do the same thing."""
    checks: tuple[Check, ...] = ()
    error: int = 0
    """What the caller gets; 0 lets the call go on."""
    path: Place | None = None
    to: Place | None = None
    text: int | None = None
    """Argument with a text that is no path to be looked up: where a symbolic link points."""
    fd: int | None = None
    """Argument with an open file whose path is meant."""
    follow: bool = False
    """Whether the call follows a symbolic link at the end of ``path``."""
    target: int | None = None
    """Argument with the process that is meant."""
    pidfd: int | None = None
    signal: int | None = None
    behind: str = ""
    """What has to be read behind a pointer: ``open_how`` or ``address``."""

    def number(self, machine: str) -> int | None:
        """Its number on a machine (``x86_64`` or ``aarch64``); ``None`` where that machine has no such call."""
        return self.x86_64 if machine == "x86_64" else self.aarch64

    def fits(self, args: Sequence[int]) -> bool:
        """Whether all checks hold, decided as the filter decides."""
        return all(check.holds(args) for check in self.checks)


_CWD0: Place = (None, 0)
_DEVICES = one_of(1, stat.S_IFCHR, stat.S_IFBLK, mask=0o170000)
_DEVICES_AT = one_of(2, stat.S_IFCHR, stat.S_IFBLK, mask=0o170000)

FILES = (
    Row("open", 2, None, "open_write", (bits(1, WRITES),), path=_CWD0, follow=True),
    Row("openat", 257, 56, "open_write", (bits(2, WRITES),), path=(0, 1), follow=True),
    Row("openat2", 437, 437, "open_write", path=(0, 1), follow=True, behind="open_how"),
    Row("creat", 85, None, "open_write", path=_CWD0, follow=True),
    Row("unlink", 87, None, path=_CWD0),
    Row("unlinkat", 263, 35, "rmdir", (bits(2, 0x200),), path=(0, 1)),
    Row("unlinkat", 263, 35, "unlink", path=(0, 1)),
    Row("rmdir", 84, None, path=_CWD0),
    Row("rename", 82, None, path=_CWD0, to=(None, 1)),
    Row("renameat", 264, 38, "rename", path=(0, 1), to=(2, 3)),
    Row("renameat2", 316, 276, "rename", path=(0, 1), to=(2, 3)),
    Row("link", 86, None, path=_CWD0, to=(None, 1)),
    Row("linkat", 265, 37, "link", path=(0, 1), to=(2, 3)),
    Row("symlink", 88, None, path=(None, 1), text=0),
    Row("symlinkat", 266, 36, "symlink", path=(1, 2), text=0),
    Row("chmod", 90, None, path=_CWD0, follow=True),
    Row("fchmod", 91, 52, "chmod", fd=0),
    Row("fchmodat", 268, 53, "chmod", path=(0, 1), follow=True),
    Row("fchmodat2", 452, 452, "chmod", path=(0, 1), follow=True),
    Row("truncate", 76, 45, path=_CWD0, follow=True),
    Row("mkdir", 83, None, path=_CWD0),
    Row("mkdirat", 258, 34, "mkdir", path=(0, 1)),
    Row("mknod", 133, None, "", (_DEVICES,), EPERM, path=_CWD0),
    Row("mknod", 133, None, path=_CWD0),
    Row("mknodat", 259, 33, "mknod", (_DEVICES_AT,), EPERM, path=(0, 1)),
    Row("mknodat", 259, 33, "mknod", path=(0, 1)),
)

SIGNALS = (
    Row("kill", 62, 129, target=0, signal=1),
    Row("tkill", 200, 130, "kill", target=0, signal=1),
    Row("tgkill", 234, 131, "kill", target=0, signal=2),
    Row("rt_sigqueueinfo", 129, 138, "kill", target=0, signal=1),
    Row("rt_tgsigqueueinfo", 297, 240, "kill", target=0, signal=2),
    Row("pidfd_send_signal", 424, 424, "kill", pidfd=0, signal=1),
)

_TO_FIRST = one_of(0, 1)
_USER = 2
STARVING = (
    # The first process has the user of all others, so that the kernel would let them starve or limit it.
    Row("setpriority", 141, 140, "", (one_of(1, 1),), EPERM, target=1),
    Row("setpriority", 141, 140, "", (one_of(0, _USER),), EPERM),
    Row("sched_setscheduler", 144, 119, "", (_TO_FIRST,), EPERM, target=0),
    Row("sched_setparam", 142, 118, "sched_setscheduler", (_TO_FIRST,), EPERM, target=0),
    Row("sched_setattr", 314, 274, "sched_setscheduler", (_TO_FIRST,), EPERM, target=0),
    Row("sched_setaffinity", 203, 122, "", (_TO_FIRST,), EPERM, target=0),
    Row("prlimit64", 302, 261, "prlimit", (_TO_FIRST, given(2)), EPERM, target=0),
    Row("setpriority", 141, 140, checks=(none_of(1, 0),), target=1),
    Row("sched_setscheduler", 144, 119, checks=(none_of(0, 0),), target=0),
    Row("sched_setparam", 142, 118, "sched_setscheduler", (none_of(0, 0),), target=0),
    Row("sched_setattr", 314, 274, "sched_setscheduler", (none_of(0, 0),), target=0),
    Row("sched_setaffinity", 203, 122, checks=(none_of(0, 0),), target=0),
    Row("prlimit64", 302, 261, "prlimit", (none_of(0, 0), given(2)), target=0),
    # A file can be told to send its owner signals: F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP.
    Row("fcntl", 72, 25, "set_owner", (one_of(1, 8),), EPERM, target=2),
    Row("fcntl", 72, 25, "set_owner", (one_of(1, 15),), EPERM),
    Row("ioctl", 16, 29, "set_owner", (one_of(1, 0x8901, 0x8902),), EPERM),
)

OTHERS_MEMORY = (
    Row("ptrace", 101, 117, error=EPERM, target=1),
    Row("process_vm_readv", 310, 270, error=EPERM, target=0),
    Row("process_vm_writev", 311, 271, error=EPERM, target=0),
    Row("kcmp", 312, 272, error=EPERM, target=0),
    Row("pidfd_getfd", 438, 438, error=EPERM, pidfd=0),
)

NAMESPACE_CALLS = (
    Row("unshare", 272, 97, error=EPERM),
    Row("setns", 308, 268, error=EPERM),
    Row("clone", 56, 220, "unshare", (bits(0, NAMESPACES),), EPERM),
    Row("mount", 165, 40, error=EPERM, path=(None, 1)),
    Row("umount2", 166, 39, "umount", error=EPERM, path=_CWD0),
    Row("open_tree", 428, 428, error=EPERM, path=(0, 1)),
    Row("move_mount", 429, 429, error=EPERM, path=(2, 3)),
    Row("fsopen", 430, 430, error=EPERM),
    Row("fsconfig", 431, 431, error=EPERM),
    Row("fsmount", 432, 432, error=EPERM),
    Row("fspick", 433, 433, error=EPERM, path=(0, 1)),
    Row("mount_setattr", 442, 442, error=EPERM, path=(0, 1)),
    Row("open_tree_attr", 467, 467, error=EPERM, path=(0, 1)),
    Row("pivot_root", 155, 41, error=EPERM, path=_CWD0),
    Row("chroot", 161, 51, error=EPERM, path=_CWD0),
    Row("open_by_handle_at", 304, 265, error=EPERM),
    Row("fanotify_init", 300, 262, error=EPERM),
)

KERNEL_CALLS = (
    Row("bpf", 321, 280, error=EPERM),
    Row("perf_event_open", 298, 241, error=EPERM),
    Row("keyctl", 250, 219, error=EPERM),
    Row("add_key", 248, 217, error=EPERM),
    Row("request_key", 249, 218, error=EPERM),
    Row("init_module", 175, 105, error=EPERM),
    Row("finit_module", 313, 273, error=EPERM),
    Row("delete_module", 176, 106, error=EPERM),
    Row("kexec_load", 246, 104, error=EPERM),
    Row("kexec_file_load", 320, 294, error=EPERM),
    Row("userfaultfd", 323, 282, error=EPERM),
    Row("io_uring_setup", 425, 425, error=EPERM),  # a ring makes calls that no filter sees
    Row("io_uring_enter", 426, 426, error=EPERM),
    Row("io_uring_register", 427, 427, error=EPERM),
    Row("reboot", 169, 142, error=EPERM),
    Row("swapon", 167, 224, error=EPERM, path=_CWD0),
    Row("swapoff", 168, 225, error=EPERM, path=_CWD0),
    Row("syslog", 103, 116, error=EPERM),
    Row("settimeofday", 164, 170, error=EPERM),
    Row("clock_settime", 227, 112, error=EPERM),
    Row("adjtimex", 159, 171, error=EPERM),
    Row("clock_adjtime", 305, 266, error=EPERM),
    Row("sethostname", 170, 161, error=EPERM),
    Row("setdomainname", 171, 162, error=EPERM),
    Row("iopl", 172, None, error=EPERM),
    Row("ioperm", 173, None, error=EPERM),
    Row("modify_ldt", 154, None, error=EPERM),
    Row("acct", 163, 89, error=EPERM),
    Row("quotactl", 179, 60, error=EPERM),
    Row("quotactl_fd", 443, 443, error=EPERM),
    Row("vhangup", 153, 58, error=EPERM),
    # What Docker lets through: ordinary Linux, the 32-bit address layout, a kernel that calls itself 2.6, the question.
    Row("personality", 135, 92, "", (none_of(0, 0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF),), EPERM),
    Row("ioctl", 16, 29, "", (one_of(1, 0x5412, 0x541C),), EPERM),  # TIOCSTI types into a terminal, TIOCLINUX pastes
)

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_RAW, _PACKET = 3, 10
NETWORK = (
    Row("socket", 41, 198, "", (none_of(0, _UNIX, _INET, _INET6, _NETLINK),), EPERM),
    Row("socket", 41, 198, "", (one_of(0, _INET, _INET6), one_of(1, _RAW, _PACKET, mask=0xF)), EPERM),
    # Asking for addresses, sockets and devices is what ip, ss and udevadm do; there are none but the room's own.
    Row("socket", 41, 198, "", (one_of(0, _NETLINK), none_of(2, 0, 4, 15)), EPERM),
    Row("connect", 42, 203, behind="address"),
    Row("sendto", 44, 206, "connect", (given(4),), behind="address"),
)

TABLE = FILES + SIGNALS + STARVING + OTHERS_MEMORY + NAMESPACE_CALLS + KERNEL_CALLS + NETWORK

ABSENT = (
    Row("clone3", 435, 435),  # its flags lie behind a pointer; the C library then takes clone, whose flags can be seen
    # Memory that belongs to no process, so that no limit holds for it.
    Row("memfd_create", 319, 279),
    Row("memfd_secret", 447, 447),
    Row("shmget", 29, 194),
    Row("msgget", 68, 186),
    Row("semget", 64, 190),
)
"""Calls that do not exist in a room (ENOSYS)."""


def filter_program(machine: str | None = None, *, told: bool = True) -> bytes | None:
    """The filter for a machine (this one by default); ``None`` for one that the table has no numbers for.

    ``told``: calls are told and answered from outside. Otherwise the filter stands alone: what has no place in a room
    is refused, and nobody hears of anything.
    """
    machine = machine or platform.machine()
    if machine not in AUDIT_ARCH:
        return None
    rows = [(n, row.checks) for row in TABLE if (n := row.number(machine)) is not None and (told or row.error)]
    absent = [n for row in ABSENT if (n := row.number(machine)) is not None]
    foreign_from = X32 if machine == "x86_64" else None
    verdict = NOTIFY if told else REFUSE_EPERM
    arch = AUDIT_ARCH[machine]
    return program(arch, rows, absent=absent, highest=HIGHEST, foreign_from=foreign_from, verdict=verdict)
