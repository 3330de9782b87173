"""Attempts to get out of a room, one command each. None succeeds, and each is on record.

Every row says what the record is: a system call that the kernel told (``told``), or, where the kernel has nothing to
tell (a file that is not there, a number that means nothing), the command itself with its exit code. Whether it
succeeded is never asked of the command alone: after each, everything planted outside is looked at (``Outside.harm``),
the room's own fixed parts too, and no planted secret may be in the output.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import Attempt

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

REPOSITORY = str(Path(__file__).parents[2])
FIXED = ("/opt/estop/fixed/on_press.sh", "/etc/estop/watcher.conf", "/etc/passwd")
X86 = platform.machine() == "x86_64"
if not X86:  # the numbers below are those of x86-64
    pytest.skip("the battery's raw calls are for x86-64", allow_module_level=True)


@dataclass(frozen=True)
class Try:
    """One attempt. ``%NAME%`` in the command stands for something of this machine (`places`)."""

    name: str
    command: str
    told: dict[str, Any] | None = None
    """Fields of an attempt that the kernel has to tell; ``None``: the command and its exit code are the record."""


def told(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": call, **fields}


def refused(call: str, **fields: Any) -> dict[str, Any]:
    return {"call": call, "refused": True, **fields}


def raw(*words: object) -> str:
    """A system call made directly; prints ESCAPED or the error."""
    return "python3 /opt/tools/raw.py " + " ".join(f"'{word}'" for word in words)


def python(*lines: str) -> str:
    text = "import sys, os, socket, ctypes; sys.path.insert(0, '/opt/tools'); from raw import call, libc\n" + "\n".join(
        lines
    )
    return f'python3 -c "{text}"'


FILES = [
    Try("shadow passwords", "cat /etc/shadow && echo ESCAPED"),
    Try("a file of this machine", "cat %SECRET% && echo ESCAPED"),
    Try("a file of this machine through ..", "cat /../../../../..%SECRET% && echo ESCAPED"),
    Try("a file of this machine to write", "echo x > %WRITABLE% && echo ESCAPED", told("open_write", path="%WRITABLE%")),
    Try("the repository", "ls %REPOSITORY% && echo ESCAPED"),
    Try("the homes of this machine", "ls -A /root | grep . && echo ESCAPED"),
    Try("a link for the outside reader", "ln -s %SECRET% notes.txt; exit 1", told("symlink", to="%SECRET%")),
    Try("a linked folder for the outside reader", "ln -s %FOLDER% logs; cat logs/secret.txt && echo ESCAPED", told("symlink")),
    Try("a link upwards for the outside reader", "ln -s ../../../../../..%SECRET% up.txt; exit 1", told("symlink")),
    Try("a hard link out of a fixed folder", "ln /opt/estop/fixed/on_press.sh /tmp/p && echo ESCAPED", told("link", to="/tmp/p")),
    Try("a hard link to a program", "ln /usr/bin/env /tmp/env && echo ESCAPED", told("link", path="/usr/bin/env")),
    Try("a fixed file opened to write", "echo x >> /opt/estop/fixed/on_press.sh && echo ESCAPED", told("open_write")),
    Try("a fixed file made writable", "chmod 777 /opt/estop/fixed/on_press.sh && echo ESCAPED", told("chmod")),
    Try("a fixed file deleted", "rm -f /opt/estop/fixed/on_press.sh && echo ESCAPED", told("unlink")),
    Try("a fixed file replaced", "echo x > /tmp/x; mv -f /tmp/x /opt/estop/fixed/on_press.sh && echo ESCAPED", told("open_write")),
    Try("a fixed folder renamed", "mv -T /opt/estop/fixed /opt/estop/old && echo ESCAPED", told("rename", to="/opt/estop/old")),
    Try("a fixed folder covered", "mv -T /opt/estop /tmp/estop && echo ESCAPED", told("rename")),
    Try("a fixed configuration", "sed -i s/true/false/ /etc/estop/watcher.conf && echo ESCAPED", told("open_write")),
    Try("a fixed file through a link", "ln -sf /etc/estop d; echo x > d/watcher.conf && echo ESCAPED",
        told("open_write", path="/etc/estop/watcher.conf")),
    Try("a fixed file truncated", "truncate -s 0 /etc/passwd && echo ESCAPED", told("open_write", path="/etc/passwd")),
    Try("a program put into /usr", "echo x > /usr/bin/arm2 && echo ESCAPED", told("open_write", path="/usr/bin/arm2")),
    Try("the root folder", "mkdir /evil && echo ESCAPED", told("mkdir", path="/evil")),
    Try("a device folder", "touch /dev/evil && echo ESCAPED", told("open_write", path="/dev/evil")),
    Try("a library before all programs", "echo /tmp/evil.so > /etc/ld.so.preload && echo ESCAPED",
        told("open_write", path="/etc/ld.so.preload")),
    Try("this machine's shared memory", "ls /dev/shm | grep . && echo ESCAPED"),
]  # fmt: skip

PROCESSES = [
    Try("environment of process 1", "tr '\\0' '\\n' < /proc/1/environ && echo ESCAPED"),
    Try("environment of everybody", "cat /proc/[0-9]*/environ | grep -a API_KEY && echo ESCAPED"),
    Try("keys in its own environment", "env | grep -E 'KEY|TOKEN|SECRET' && echo ESCAPED"),
    Try("descriptors of process 1", "ls -l /proc/1/fd/ && echo ESCAPED"),
    Try("memory of process 1", "head -c 1 /proc/1/mem && echo ESCAPED"),
    Try("memory of process 1 to write", "echo x > /proc/1/mem && echo ESCAPED", told("open_write", path="/proc/1/mem")),
    Try("the agent's socket", "echo x > /proc/1/fd/3 && echo ESCAPED", told("open_write", path="/proc/1/fd/3")),
    Try("layout of process 1", "cat /proc/1/maps | grep . && echo ESCAPED"),
    Try("root of process 1", "ls /proc/1/root/ && echo ESCAPED"),
    Try("folder of process 1", "ls /proc/1/cwd/ && echo ESCAPED"),
    Try("program of process 1", "head -c 4 /proc/1/exe && echo ESCAPED"),
    Try("a process of this machine", "ls /proc/%VICTIM% && echo ESCAPED"),
    Try("a process of this machine killed", "kill -9 %VICTIM% && echo ESCAPED", told("kill", signal=9)),
    Try("process 1 killed", "kill -9 1; exit 1", told("kill", target_pid=1, signal=9)),
    Try("process 1 sent every signal", "for s in $(seq 1 64); do kill -$s 1; done; exit 1", told("kill", target_pid=1, signal=15)),
    Try("process 1 sent a signal by its handle", python("fd = os.pidfd_open(1)", "call(424, fd, 9, 0, 0)", "sys.exit(1)"),
        told("kill", target_pid=1, signal=9)),
    Try("process 1 traced", raw(101, 16, 1, 0, 0), refused("ptrace", target_pid=1)),
    Try("the watcher traced", raw(101, 16, 2, 0, 0), refused("ptrace", target_pid=2)),
    Try("process 1 read from memory to memory", raw(310, 1, 0, 0, 0, 0, 0), refused("process_vm_readv", target_pid=1)),
    Try("the watcher written into", raw(311, 2, 0, 0, 0, 0, 0), refused("process_vm_writev", target_pid=2)),
    Try("a descriptor stolen", python("fd = os.pidfd_open(1)", "sys.exit(call(438, fd, 3, 0) < 0)"),
        refused("pidfd_getfd", target_pid=1)),
    Try("inherited descriptors", "ls /proc/self/fd | grep -v '^[0-3]$' && echo ESCAPED"),
    Try("the limits of process 1", "prlimit --pid 1 --nproc=9999 && echo ESCAPED"),
    Try("its own limits", "ulimit -u 9999 && echo ESCAPED"),
    Try("a shared program through memory", python(
        "import mmap; f = open('/usr/bin/env', 'rb'); m = mmap.mmap(f.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ)",
        "line = next(x for x in open('/proc/self/maps') if x.endswith('/usr/bin/env\\n'))",
        "fd = os.open('/proc/self/mem', os.O_RDWR); print('ESCAPED', os.pwrite(fd, b'x', int(line.split('-')[0], 16)))",
    ), told("open_write")),
    Try("memory shared with this machine", python("r = libc.shmget(%KEY%, 4096, 0)", "print('ESCAPED' if r >= 0 else 'none')",
        "sys.exit(r < 0)")),
    Try("memory segments listed", "ipcs -m | grep 0x && echo ESCAPED"),
]  # fmt: skip

NETWORK = [
    Try("this machine's loopback", "echo x > /dev/tcp/127.0.0.1/%TCP% && echo ESCAPED", told("connect", to="127.0.0.1:%TCP%")),
    Try("any address", "echo x > /dev/tcp/192.0.2.1/80 && echo ESCAPED", told("connect", to="192.0.2.1:80")),
    Try("the metadata of a cloud", "echo x > /dev/tcp/169.254.169.254/80 && echo ESCAPED", told("connect", to="169.254.169.254:80")),
    Try("a datagram to this machine", "echo x > /dev/udp/127.0.0.1/%UDP%; exit 1", told("connect", to="127.0.0.1:%UDP%")),
    Try("other robots by multicast", python(
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'RTPS', ('%DDS%', %DDSPORT%)); print('ESCAPED')"
    ), told("connect", to="%DDS%:%DDSPORT%")),
    Try("a name", "getent hosts example.org && echo ESCAPED"),
    Try("IPv6", python("s = socket.socket(socket.AF_INET6); s.connect(('2001:db8::1', 80)); print('ESCAPED')"),
        told("connect", to="[2001:db8::1]:80")),
    Try("raw packets", raw(41, 17, 3, 768), refused("socket")),
    Try("raw internet packets", raw(41, 2, 3, 1), refused("socket")),
    Try("the hypervisor's socket", raw(41, 40, 1, 0), refused("socket", to="family 40, type 1, protocol 0")),
    Try("the kernel's crypto sockets", raw(41, 38, 5, 0), refused("socket")),
    Try("the packet filter", raw(41, 16, 3, 12), refused("socket", to="family 16, type 3, protocol 12")),
    Try("another interface", "ip link add dummy0 type dummy && echo ESCAPED || grep -c : /proc/net/dev | grep -v 1; exit 1"),
    Try("an abstract socket of this machine", python(
        "s = socket.socket(socket.AF_UNIX); s.connect(b'\\0%TOKEN%'); print('ESCAPED')")),
    Try("a socket file of this machine", python("s = socket.socket(socket.AF_UNIX); s.connect('%BUS%'); print('ESCAPED')")),
    Try("the system's message bus", "ls /run/dbus /var/run/dbus /run/systemd && echo ESCAPED"),
    Try("Docker's socket", "ls /run/docker.sock /var/run/docker.sock && echo ESCAPED"),
]  # fmt: skip

NAMESPACES = [
    Try("mount", raw(165, "none", "/tmp", "tmpfs", 0, 0), refused("mount", path="/tmp")),
    Try("remount to write", raw(165, "none", "/opt/estop/fixed", "none", 32, 0), refused("mount", path="/opt/estop/fixed")),
    Try("bind mount", raw(165, "/tmp", "/opt/estop/fixed", "none", 4096, 0), refused("mount", path="/opt/estop/fixed")),
    Try("mount by its program", "mount -o remount,rw /usr && echo ESCAPED"),
    Try("unmount", raw(166, "/opt/estop/fixed", 2), refused("umount", path="/opt/estop/fixed")),
    Try("the new mount calls", python("[call(n, -100, b'/', 1, 0, 0) for n in (428, 429, 430, 431, 432, 433, 442, 467)]",
        "sys.exit(1)"), refused("open_tree")),
    Try("cgroups mounted", raw(165, "none", "/tmp", "cgroup", 0, 0), refused("mount", path="/tmp")),
    Try("a release agent", "find / -name release_agent 2>/dev/null | grep . && echo ESCAPED"),
    Try("a user namespace", "unshare -U true && echo ESCAPED", refused("unshare")),
    Try("all namespaces", "unshare -Urmpf true && echo ESCAPED", refused("unshare")),
    Try("a room in the room", "bwrap --ro-bind / / true && echo ESCAPED", refused("unshare")),
    Try("a clone into a user namespace", raw(56, 0x10000011, 0, 0, 0, 0), refused("unshare")),
    Try("a clone3 into a user namespace", python(
        "import struct; args = struct.pack('11Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)", "sys.exit(call(435, args, 88) < 0)"
    ), refused("unshare")),
    Try("the namespace of process 1", "nsenter -t 1 -m true && echo ESCAPED"),
    Try("setns", python("fd = os.open('/proc/self/ns/user', 0)", "sys.exit(call(308, fd, 0) < 0)"), refused("setns")),
    Try("chroot", raw(161, "/tmp"), refused("chroot", path="/tmp")),
    Try("pivot_root", raw(155, "/tmp", "/tmp"), refused("pivot_root", path="/tmp")),
    Try("a file by its handle", raw(304, 3, 0, 0), refused("open_by_handle_at")),
]  # fmt: skip

PRIVILEGES = [
    Try("su", "su -c id root < /dev/null && echo ESCAPED"),
    Try("sudo", "sudo -n id && echo ESCAPED"),
    Try("newgrp", "newgrp root < /dev/null -c id && echo ESCAPED"),
    Try("passwd and chfn", "passwd -d root && echo ESCAPED; chfn -f x root && echo ESCAPED; exit 1"),
    Try("every setuid program", "find /usr -xdev -perm -4000 -exec {} --version \\; >/dev/null 2>&1; "
        "awk '$1 == \"Uid:\" && $3 != 1000 {print \"ESCAPED\"}' /proc/[0-9]*/status; exit 1"),
    Try("a setuid program of its own", "cp /usr/bin/id i; chmod 6755 i; ./i -u | grep -v 1000 && echo ESCAPED", told("chmod")),
    Try("a capability on a file", "cp /usr/bin/id i; /usr/sbin/setcap cap_sys_admin+ep i && echo ESCAPED"),
    Try("another user", "python3 -c 'import os; os.setuid(0); print(\"ESCAPED\")'"),
    Try("another group", "python3 -c 'import os; os.setgroups([0]); print(\"ESCAPED\")'"),
    Try("new privileges", "grep -E 'NoNewPrivs:.0|Cap(Prm|Eff|Bnd|Amb):.*[1-9a-f]' /proc/self/status && echo ESCAPED"),
    Try("another personality", raw(135, 0x0400000), refused("personality")),
    Try("typing into a terminal", python("import pty, fcntl; a, b = pty.openpty(); fcntl.ioctl(b, 0x5412, b'x'); print('ESCAPED')"),
        refused("ioctl")),
    Try("a second listener", python("import struct; code = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)",
        "keep = ctypes.create_string_buffer(code); prog = struct.pack('HxxxxxxQ', 1, ctypes.addressof(keep))",
        "sys.exit(call(317, 1, 8, prog) < 0)")),
]  # fmt: skip

KERNEL = [
    Try("devices", "cat /dev/mem /dev/kmsg /dev/port /dev/sda /dev/vda /dev/kvm 2>/dev/null | head -c 1 | grep . && echo ESCAPED"),
    Try("a block device made", "mknod b b 8 0 && echo ESCAPED", refused("mknod", path="/home/robot/b")),
    Try("/sys", "ls /sys/kernel && echo ESCAPED"),
    Try("sysrq", "echo h > /proc/sysrq-trigger && echo ESCAPED", told("open_write", path="/proc/sysrq-trigger")),
    Try("core_pattern", "echo '|/tmp/x' > /proc/sys/kernel/core_pattern && echo ESCAPED",
        told("open_write", path="/proc/sys/kernel/core_pattern")),
    Try("host name by file", "echo evil > /proc/sys/kernel/hostname && echo ESCAPED", told("open_write", path="/proc/sys/kernel/hostname")),
    Try("host name", raw(170, "evil", 4), refused("sethostname")),
    Try("the clock", raw(227, 0, 0), refused("clock_settime")),
    Try("the clock by its program", "date -s 2001-01-01 && echo ESCAPED", refused("clock_settime")),
    Try("kernel log", "dmesg && echo ESCAPED", refused("syslog")),
    Try("kernel memory", "head -c 1 /proc/kcore && echo ESCAPED"),
    Try("keyring", python("call(248, b'user', b'k', b'v', 1, -3); call(249, b'user', b'k', 0, -3); call(250, 0, -3, 0)", "sys.exit(1)"),
        refused("request_key")),
    Try("bpf", raw(321, 0, 0, 0), refused("bpf")),
    Try("perf", raw(298, 0, 0, -1, -1, 0), refused("perf_event_open")),
    Try("userfaultfd", raw(323, 1), refused("userfaultfd")),
    Try("io_uring", python("params = bytes(120); call(425, 8, params)", "sys.exit(1)"), refused("io_uring_setup")),
    Try("a kernel module", raw(175, 0, 0, 0), refused("init_module")),
    Try("another kernel", raw(246, 0, 0, 0, 0), refused("kexec_load")),
    Try("a restart", raw(169, 0, 0, 0, 0), refused("reboot")),
    Try("swap, accounting, quotas", python("call(167, b'/tmp/x', 0); call(163, 0); call(179, 0, 0, 0, 0)", "sys.exit(1)"), refused("acct")),
    Try("ports and segments", python("call(172, 3); call(173, 0, 8, 1); call(154, 0, 0, 0)", "sys.exit(1)"), refused("iopl")),
    Try("fanotify and kcmp", python("call(300, 0, 0); call(312, 1, 2, 0, 0, 0)", "sys.exit(1)"), refused("kcmp", target_pid=1)),
    Try("x32 calls", raw(0x40000000 + 41, 2, 1, 0), refused("foreign_call")),
    Try("a call newer than the table", raw(500, 0)),
]  # fmt: skip

BATTERY = FILES + PROCESSES + NETWORK + NAMESPACES + PRIVILEGES + KERNEL


@pytest.fixture(scope="module")
def places(outside: Any) -> dict[str, str]:
    """What the ``%NAME%`` of the commands stand for."""
    return {
        "SECRET": str(outside.secret),
        "WRITABLE": str(outside.writable),
        "FOLDER": str(outside.folder),
        "BUS": str(outside.folder / "bus.sock"),
        "REPOSITORY": REPOSITORY,
        "VICTIM": str(outside.victim.pid),
        "KEY": str(outside.key),
        "TOKEN": outside.token,
        "TCP": str(outside.tcp.getsockname()[1]),
        "UDP": str(outside.udp.getsockname()[1]),
        "DDS": "239.255.0.1",
        "DDSPORT": str(outside.dds.getsockname()[1]),
    }


@pytest.fixture(scope="module")
def fixed(room: Sandbox) -> dict[str, Any]:
    """What of the room itself no attempt may change."""
    return inside(room)


def inside(room: Sandbox) -> dict[str, Any]:
    return {
        "fixed": {path: (room.tree.stat(path), room.tree.digest(path)) for path in FIXED},
        "top": room.tree.listing("/"),
        "watcher": [(p.pid, p.started) for p in room.processes() if "/opt/estop/watcher.py" in p.argv],
        "alive": room.alive,
    }


def filled(text: str, places: dict[str, str]) -> str:
    return re.sub(r"%([A-Z]+)%", lambda found: places[found[1]], text)


def matches(attempt: Attempt, fields: dict[str, Any], places: dict[str, str]) -> bool:
    wanted = {name: filled(value, places) if isinstance(value, str) else value for name, value in fields.items()}
    return all(getattr(attempt, name) == value for name, value in wanted.items())


@pytest.mark.parametrize("attempt", BATTERY, ids=lambda attempt: attempt.name.replace(" ", "_"))
def test_nothing_gets_out_and_every_attempt_is_on_record(
    attempt: Try, room: Sandbox, outside: Any, places: dict[str, str], fixed: dict[str, Any]
) -> None:
    room.attempts()
    result = room.run(f"cd; rm -rf d i logs notes.txt up.txt; {filled(attempt.command, places)}")
    seen = room.attempts()
    assert outside.harm() == []
    assert inside(room) == fixed
    assert "ESCAPED" not in result.output
    assert (
        outside.token not in result.output.replace(outside.abstract.getsockname()[1:].decode(), "")
        or "ls" in attempt.command
    )
    for path in ("notes.txt", "up.txt", "logs/secret.txt"):
        assert room.tree.read(f"/home/robot/{path}") is None
    assert result.exit_code, "an attempt that failed says so"
    if attempt.told is not None and room.attempts_seen:
        assert [a for a in seen if matches(a, attempt.told, places)], (result.output, seen)


def test_the_battery_is_large_and_its_names_are_its_own() -> None:
    names = [attempt.name for attempt in BATTERY]
    assert len(names) == len(set(names)) >= 100
    assert os.path.isdir(REPOSITORY)
