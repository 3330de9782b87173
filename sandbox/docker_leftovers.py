"""What Docker and this machine still hold of rooms whose runner was killed, found by the runner's number in their name.

A container ends by itself when its runner does, and Docker removes it; what is left is a folder, or a container that
never started. They are removed at the next start of a room, and never those of a runner that lives.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from redbutton.sandbox.spec import SandboxError

LABEL = "redbutton.room"
"""On every container of ours."""
NAME = re.compile(r"room-(\d+)-(\d+)-(\d+)-\w+")
"""Of a container and its folder: the runner's number, its start [clock ticks since boot], the namespace of numbers."""
PATIENCE_S = 60.0


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Docker's client to its end. Raises SandboxError where it cannot be had or does not answer."""
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise SandboxError(f"Docker does not answer ({type(exc).__name__})") from exc


def make_folder() -> Path:
    """A folder for one room; its name, which is the container's as well, says whose it is."""
    prefix = f"room-{os.getpid()}-{_started(os.getpid())}-{_numbers_of_here()}-"
    return Path(tempfile.mkdtemp(prefix=prefix))


def sweep() -> None:
    """Remove what runners that are gone have left. Raises SandboxError where Docker does not answer."""
    listed = docker("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}")
    names = [name for name in listed.stdout.split() if abandoned(name)]
    if names:
        docker("rm", "--force", *names)
    for folder in Path(tempfile.gettempdir()).glob("room-*"):
        if abandoned(folder.name) and folder.lstat().st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(name: str) -> bool:
    """Whether a container or a folder is ours and its runner, whose number we can judge, is gone."""
    found = NAME.fullmatch(name)
    if found is None or int(found[3]) != _numbers_of_here():
        return False
    return _started(int(found[1])) != int(found[2])


def _numbers_of_here() -> int:
    """Processes have the same numbers where this is the same."""
    return os.stat("/proc/self/ns/pid").st_ino


def _started(pid: int) -> int | None:
    """When a process started, None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return int(text[text.rindex(")") + 2 :].split()[19])
