"""The bare userland of a room: which programs of this machine it sees, and the few files that every Linux has.

Of this machine it shows ``/usr`` without what was added locally: no ``/usr/local``, no installed Python packages, no
sources. ``/etc`` is made here; nothing of this machine's is in it but the links that choose between programs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from glob import glob
from pathlib import Path

from redbutton.sandbox.paths import can_be_written
from redbutton.sandbox.spec import SandboxError, SandboxSpec, SandboxUnavailable

SYSTEM_PYTHON = "/usr/bin/python3"
OLDEST = (3, 9)
USER_ID = 1000
MOST_READ_ONLY = 500
TOP_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
MASKED = ("/usr/local", "/usr/src", "/usr/games", "/usr/lib/python3*/*-packages", "/usr/lib64/python3*/*-packages")


@dataclass(frozen=True)
class Interpreter:
    """The Python of a room."""

    executable: str
    shown: tuple[str, ...] = ()
    """What of this machine has to be shown for it, each at its own place; nothing where it lies in ``/usr``."""

    @property
    def folder(self) -> str:
        """Where its program lies."""
        return os.path.dirname(self.executable)


@cache
def interpreter() -> Interpreter:
    """The machine's own Python where it is new enough, else the one that runs here; raises SandboxUnavailable."""
    if _version(SYSTEM_PYTHON) >= OLDEST:
        return Interpreter(SYSTEM_PYTHON)
    prefix, name = os.path.realpath(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    program, library = f"{prefix}/bin/{name}", f"{prefix}/lib/{name}"
    if not (os.path.isfile(program) and os.path.isdir(library)) or (os.geteuid() == 0 and not _open_to_all(library)):
        raise SandboxUnavailable(f"the sandbox needs Python 3.9 or newer as {SYSTEM_PYTHON}: apt install python3")
    return Interpreter(program, (program, library, *sorted(glob(f"{prefix}/lib/lib{name}*.so*"))))


def _open_to_all(folder: str) -> bool:
    """Whether every user may go there: a runner that is root makes the room as another user."""
    return all(os.stat(path).st_mode & 0o001 for path in (folder, *map(str, Path(folder).parents)))


def _version(executable: str) -> tuple[int, int]:
    found = re.fullmatch(r"python(\d)\.(\d+)", Path(executable).resolve().name)
    if found and os.access(executable, os.X_OK):
        return int(found[1]), int(found[2])
    try:
        text = subprocess.run([executable, "-ISV"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    seen = re.match(r"Python (\d+)\.(\d+)", text)
    return (int(seen[1]), int(seen[2])) if seen else (0, 0)


def masked() -> Iterator[str]:
    """Folders of this machine that are shown empty."""
    for pattern in MASKED:
        yield from (p for p in sorted(glob(pattern)) if os.path.isdir(p) and not os.path.islink(p))


def search_path(spec: SandboxSpec) -> str:
    """``PATH`` inside."""
    python = interpreter()
    return ":".join([*spec.path, "/usr/bin", "/bin", "/usr/sbin", "/sbin", *([python.folder] if python.shown else [])])


def environment(spec: SandboxSpec) -> dict[str, str]:
    """What a command finds in its environment."""
    own = {"PATH": search_path(spec), "HOME": spec.home, "USER": spec.user, "LANG": "C.UTF-8", "TERM": "dumb"}
    return {**own, **spec.env}


def fixed_files(spec: SandboxSpec, user: int = USER_ID) -> dict[str, tuple[bytes, int]]:
    """The files that nobody inside can change, with their modes; what the spec lays over a file of ``/etc`` wins.

    ``user`` is the number of the room's user. Raises SandboxError where there are too many.
    """
    fixed = {path: (text.encode(), 0o644) for path, text in etc(spec, user).items() if not can_be_written(path, spec)}
    fixed |= {file.path: (file.data, file.mode) for file in spec.files if not can_be_written(file.path, spec)}
    if len(fixed) > MOST_READ_ONLY:
        raise SandboxError(f"a room has at most {MOST_READ_ONLY} files that cannot be changed. Received {len(fixed)}")
    return fixed


def etc(spec: SandboxSpec, user: int = USER_ID) -> dict[str, str]:
    """The files of ``/etc`` that programs expect."""
    return {
        "/etc/passwd": (
            "root:x:0:0:root:/root:/bin/bash\n"
            f"{spec.user}:x:{user}:{user}:{spec.user}:{spec.home}:/bin/bash\n"
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        ),
        "/etc/group": f"root:x:0:\n{spec.user}:x:{user}:\nnogroup:x:65534:\n",
        "/etc/hostname": f"{spec.hostname}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {spec.hostname}\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "/etc/profile": f"export PATH={search_path(spec)}\n",
        "/etc/os-release": 'NAME="Linux"\nID=linux\nPRETTY_NAME="Linux"\n',
    }
