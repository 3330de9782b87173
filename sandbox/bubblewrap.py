"""A room made with bubblewrap: namespaces of its own for users, processes, mounts, network, IPC and host name.

Source: bwrap(1) of bubblewrap 0.8. What stands here and why:

- Everything is unshared; user 1000 inside has no capability and can make no further namespace (``--disable-userns``).
- ``RLIMIT_NPROC`` does not hold for the machine's root, whatever it is called inside: a runner that is root makes the
  room as another user, with setpriv.
- The first process is ours (``--as-pid-1``): bubblewrap's own would keep the environment it was started with.
- Every folder that can be written to is a tmpfs with a size, so nothing of a room is ever on this machine's disk.

CAVEAT: ``--die-with-parent`` follows the THREAD that started the room: start it from a thread that lives as long.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from redbutton.sandbox.backend import Launched
from redbutton.sandbox.spec import SandboxError, SandboxSpec, SandboxUnavailable
from redbutton.sandbox.userland import TOP_LINKS, USER_ID, fixed_files, interpreter, masked

OTHER_USER = 65534
MEBIBYTE = 1 << 20
SMALL = MEBIBYTE
ISOLATION = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
    *("--uid", str(USER_ID), "--gid", str(USER_ID)),
    *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
)


class Bubblewrap:
    """Rooms by ``bwrap``."""

    name = "bubblewrap"

    def problem(self) -> str | None:
        """Why it does not run here, and what to do; None where it runs. Tried once."""
        return self._problem

    @cached_property
    def _problem(self) -> str | None:
        if not hasattr(os, "memfd_create"):
            return "the sandbox needs Linux"
        path = shutil.which("bwrap")
        if path is None:
            return "bubblewrap is missing: apt install bubblewrap (dnf, pacman and zypper name it the same)"
        if (why := _old(path)) or (why := _unfit()):
            return why
        trial = [*_as_user(), path, *ISOLATION, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
        try:
            done = subprocess.run(trial, capture_output=True, text=True, timeout=30, env={}, check=False)
        except (OSError, subprocess.TimeoutExpired) as exc:
            return f"bubblewrap does not run here ({type(exc).__name__})"
        return None if done.returncode == 0 else _forbidden(done.stderr)

    def launch(self, spec: SandboxSpec) -> Launched:
        """Start bubblewrap and, as the first process of the room, ``agent.py``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        fds: list[int] = []
        errors = _memory(b"")
        try:
            source = _memory(Path(__file__).with_name("agent.py").read_bytes())
            fds.append(source)
            words = [*arguments(spec, fds), "--", interpreter().executable, "-IS", f"/proc/self/fd/{source}"]
            listed = _memory(b"".join(word.encode() + b"\0" for word in words[: words.index("--")]))
            fds.append(listed)
            bwrap = shutil.which("bwrap") or "bwrap"
            argv = [*_as_user(), bwrap, "--args", str(listed), *words[words.index("--") :], str(theirs.fileno())]
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env={}, cwd="/",
                pass_fds=[*fds, theirs.fileno()],
            )  # fmt: skip
        except (OSError, SandboxError) as exc:
            ours.close()
            os.close(errors)
            raise SandboxError(f"the sandbox does not start: {exc}") from exc
        finally:
            theirs.close()
            for fd in fds:
                os.close(fd)
        return Launched(ours, process, errors)


def arguments(spec: SandboxSpec, fds: list[int]) -> Iterator[str]:
    """Bubblewrap's arguments for a room. ``fds`` gains the descriptors that it has to inherit."""
    yield from ISOLATION
    fixed = fixed_files(spec)
    size = str(16 * MEBIBYTE + 2 * sum(len(data) for data, _ in fixed.values()))
    yield from ("--hostname", spec.hostname, "--perms", "0755", "--size", size, "--tmpfs", "/")
    yield from _system()
    folders = [(path, mib * MEBIBYTE) for path, mib in spec.writable.items()]
    folders += [(path, 0) for path in spec.read_only]
    for path, room in sorted(folders, key=lambda item: len(PurePosixPath(item[0]).parts)):
        mode = "1777" if path in ("/tmp", "/dev/shm") else "0755"
        yield from ("--perms", mode, "--size", str(room or size), "--tmpfs", path)
    for path, (data, bits) in fixed.items():
        fd = _memory(data)
        fds.append(fd)
        yield from ("--perms", f"{bits:04o}", "--file", str(fd), path)
    for path in (*spec.read_only, "/dev", "/"):
        yield from ("--remount-ro", path)
    yield from ("--chdir", "/")


def _system() -> Iterator[str]:
    """The machine's programs, ``/proc`` and ``/dev``."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in TOP_LINKS:
        path = f"/{name}"
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path).lstrip("/"), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    hidden = list(masked())
    for path in hidden:
        yield from ("--size", str(SMALL), "--tmpfs", path)
    python = interpreter()
    if python.shown:
        for path in python.shown:
            yield from ("--ro-bind", path, path)
        yield from ("--symlink", python.executable, f"{python.folder}/python3")
        packages = f"{python.shown[1]}/site-packages"
        if os.path.isdir(packages):
            yield from ("--size", str(SMALL), "--tmpfs", packages, "--remount-ro", packages)
    for path in hidden:
        yield from ("--remount-ro", path)
    yield from ("--dir", "/etc", "--ro-bind-try", "/etc/alternatives", "/etc/alternatives")
    yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(16 * MEBIBYTE))
    yield from ("--tmpfs", "/dev/shm")
    for path in ("/tmp", "/run", "/var/tmp", "/var/log", "/home", "/mnt", "/opt", "/root", "/srv"):
        yield from ("--dir", path)


def _memory(data: bytes) -> int:
    """A file in memory that a child can inherit, at its beginning."""
    fd = os.memfd_create("file")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd


def _as_user() -> list[str]:
    """What a runner that is root puts before bubblewrap: limits on processes do not hold for root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SandboxUnavailable("a runner that is root needs setpriv: apt install util-linux")
    user = str(OTHER_USER)
    return [setpriv, "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all", "--"]


def _old(path: str) -> str | None:
    """Bubblewrap before 0.8 cannot forbid further namespaces."""
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"bubblewrap does not run here ({type(exc).__name__})"
    found = re.search(r"(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) < (0, 8):
        return f"bubblewrap 0.8 or newer is needed. Found {found[0]}"
    return None


def _unfit() -> str | None:
    """What else this machine lacks."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release and (int(release[1]), int(release[2])) < (5, 14):
        return f"Linux 5.14 or newer is needed, where a limit on processes counts those of a room. Found {release[0]}"
    if not os.access("/bin/bash", os.X_OK):
        return "bash is missing: apt install bash"
    try:
        _as_user()
        interpreter()
    except SandboxUnavailable as exc:
        return str(exc)
    return None


def _forbidden(stderr: str) -> str:
    """Why bubblewrap failed, with the kernel settings that usually forbid it."""
    lines = stderr.strip().splitlines()
    wrong = []
    for name, bad in (
        ("kernel.unprivileged_userns_clone", "0"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
        ("user.max_user_namespaces", "0"),
    ):
        path = Path("/proc/sys") / name.replace(".", "/")
        if path.exists() and path.read_text().strip() == bad:
            wrong.append(f"{name} is {bad}")
    because = "; ".join(wrong) or "in a container, it has to be allowed to make user namespaces"
    return f"bubblewrap does not run here ({lines[-1] if lines else 'it says nothing'}): {because}"
