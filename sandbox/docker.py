"""A room made with Docker, where bubblewrap is not to be had: the same first process, folders, files and filter.

Source: the reference of ``docker run``. What stands here and why:

- No network, no capability, no new privileges, a read-only root; folders that can be written to are tmpfs of a size.
- Docker without user namespaces gives a container's user the number of a user of this machine, and ``RLIMIT_NPROC``
  counts all of that user's processes. So every room has a number of its own that nobody here uses.
- Docker's own filter of system calls would answer first, and what it refuses would never be told. It is taken off where
  this kernel has what our filter needs, and left on elsewhere.
- The first process takes its program from a socket in a folder that is mounted for it; once it has called, the socket
  is gone. When the other end closes it ends, and Docker removes the container.

CAVEAT: files that cannot be changed lie in a folder of this machine (``TMPDIR``), shown read-only, for as long.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path

from redbutton.sandbox import docker_leftovers
from redbutton.sandbox.backend import Launched
from redbutton.sandbox.paths import within
from redbutton.sandbox.spec import SandboxError, SandboxSpec
from redbutton.sandbox.syscalls import filter_program
from redbutton.sandbox.userland import SYSTEM_PYTHON, TOP_LINKS, fixed_files

IMAGE = "REDBUTTON_SANDBOX_IMAGE"
"""Environment variable that names the image of a room."""
OWN_IMAGE = "redbutton-room"
BUILD = (
    r"printf 'FROM debian:stable-slim\nRUN apt-get update && apt-get install -y --no-install-recommends"
    rf" procps python3\n' | docker build -t {OWN_IMAGE} -"
)
"""What makes the image, once."""
START_S = 60.0
USERS = (20_000, 60_000)
"""Numbers of users, which Linux distributions give to nobody: above people, below services of systemd."""
SLACK_MIB = 64
SHARED_MIB = 16
SPARE = 16
DOOR = "/run/init"
CALL_HOME = f"""
import _socket, sys
control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
control.connect("{DOOR}/door")
source = control.recv(1 << 20)
sys.argv = ["init", str(control.detach())]
exec(compile(source, "init", "exec"), {{"__name__": "__main__"}})
"""


class Docker:
    """Rooms by ``docker run``."""

    name = "docker"

    def problem(self) -> str | None:
        """Why it does not run here, and what to do; None where it seems to. Asked once."""
        return self._problem

    @cached_property
    def _problem(self) -> str | None:
        if shutil.which("docker") is None:
            return "docker is missing: install Docker Engine"
        if os.geteuid() != 0:
            return "Docker's rooms can be looked into by root only: run as root, or install bubblewrap"
        try:
            done = docker_leftovers.docker("image", "inspect", "--format", "{{.Os}}", image())
        except SandboxError as exc:
            return str(exc)
        if done.returncode == 0:
            return None if done.stdout.strip() == "linux" else f"Docker's image {image()!r} is no Linux"
        if "no such image" in done.stderr.lower():
            return f"Docker has no image {image()!r}: make it once with  {BUILD}  or name another in {IMAGE}"
        return f"Docker's daemon does not answer ({last_line(done.stderr)}): start it, e.g. systemctl start docker"

    @cached_property
    def _swept(self) -> bool:
        """What runners that were killed left behind is gone; looked for once."""
        docker_leftovers.sweep()
        return True

    def launch(self, spec: SandboxSpec) -> Launched:
        """Start a container and, as its first process, ``agent.py``."""
        assert self._swept
        user = _unused_user()
        fixed = fixed_files(spec, user)
        _check_paths(spec, fixed)
        folder = docker_leftovers.make_folder()
        try:
            _lay(folder / "files", spec, fixed, user)
            control, process, errors = _start(folder, arguments(spec, fixed, folder, user))
        except BaseException as exc:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(exc, OSError):
                raise SandboxError(f"the sandbox does not start: {exc}") from exc
            raise
        return Launched(control, process, errors, partial(shutil.rmtree, folder, ignore_errors=True))


def image() -> str:
    """The image of a room."""
    return os.environ.get(IMAGE) or OWN_IMAGE


def arguments(spec: SandboxSpec, fixed: Mapping[str, tuple[bytes, int]], folder: Path, user: int) -> Iterator[str]:
    """The arguments of ``docker`` for a room whose files lie in ``folder``."""
    limits = spec.limits
    memory = f"{limits.memory_mib + sum(spec.writable.values()) + SHARED_MIB + SLACK_MIB}m"
    yield from ("run", "--rm", "--name", folder.name, "--label", docker_leftovers.LABEL, "--pull", "never")
    yield from ("--init=false", "--attach", "stderr", "--sig-proxy=false", "--log-driver", "none", "--no-healthcheck")
    yield from ("--network", "none", "--ipc", "private", "--read-only", "--cap-drop", "ALL")
    yield from ("--security-opt", "no-new-privileges", "--user", f"{user}:{user}", "--hostname", spec.hostname)
    if _kernel_tells():
        yield from ("--security-opt", "seccomp=unconfined")
    yield from ("--pids-limit", str(limits.processes + SPARE), "--memory", memory, "--memory-swap", memory)
    # As in agent.py: the first process sets its own limits, which it can only lower.
    yield from ("--ulimit", "core=1", "--ulimit", f"nofile={limits.open_files}")
    yield from ("--shm-size", f"{SHARED_MIB}m", "--tmpfs", "/sys:ro,size=4k,mode=0555")
    for path, mib in spec.writable.items():
        mode = "1777" if path == "/tmp" else "0755"
        yield from ("--tmpfs", f"{path}:rw,exec,nosuid,nodev,size={mib}m,mode={mode},uid={user},gid={user}")
    for path in _mounted(spec, fixed):
        yield from ("--mount", f"type=bind,source={folder}/files{path},target={path},readonly")
    yield from ("--mount", f"type=bind,source={folder}/door,target={DOOR},readonly")
    yield from ("--workdir", "/", "--entrypoint", SYSTEM_PYTHON, image(), "-IS", "-c", CALL_HOME)


def _start(folder: Path, arguments: Iterator[str]) -> tuple[socket.socket, subprocess.Popen[bytes], int]:
    """Start a container, wait until its first process calls, give it its program."""
    place = folder / "door"
    place.mkdir()
    place.chmod(0o755)
    errors = os.memfd_create("errors")
    process = None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            _bind(door, place)
            (place / "door").chmod(0o666)  # nobody but the container gets there: the folder above is shut
            door.listen(1)
            process = subprocess.Popen(
                ["docker", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            )  # fmt: skip
            control = _welcome(door, process, errors)
        (place / "door").unlink()
        control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        control.send(Path(__file__).with_name("agent.py").read_bytes())
    except BaseException:
        if process is not None:
            process.kill()
            process.wait()
            docker_leftovers.docker("rm", "--force", folder.name)
        os.close(errors)
        raise
    return control, process, errors


def _bind(door: socket.socket, place: Path) -> None:
    """Let a socket stand in a folder, however long the folder's path is."""
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        door.bind(f"/proc/self/fd/{fd}/door")
    finally:
        os.close(fd)


def _welcome(door: socket.socket, process: subprocess.Popen[bytes], errors: int) -> socket.socket:
    """Wait for the first process. Raises SandboxError with what Docker says where it does not come."""
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(door, select.POLLIN)
        poll.register(ended, select.POLLIN)
        end = time.monotonic() + START_S
        while not (ready := dict(poll.poll(max(0.0, end - time.monotonic()) * 1e3))):
            if time.monotonic() >= end:
                raise SandboxError(f"the sandbox does not start: no container within {START_S:g} s")
    finally:
        os.close(ended)
    if door.fileno() not in ready:
        said = os.pread(errors, 1 << 16, 0).decode(errors="replace")
        raise SandboxError(f"the sandbox does not start: {last_line(said)}")
    return door.accept()[0]


def last_line(said: str) -> str:
    """The last line of what Docker says that is no hint to its help."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(("See ", "Run 'docker"))]
    return lines[-1].strip() if lines else "docker says nothing"


def _unused_user() -> int:
    """The number of a user who has no process here."""
    taken = set()
    for name in os.listdir("/proc"):
        try:
            taken.add(os.stat(f"/proc/{name}").st_uid)
        except OSError:
            continue
    return random.SystemRandom().choice([number for number in range(*USERS) if number not in taken])


def _kernel_tells() -> bool:
    """Whether this kernel has what our own filter needs."""
    try:
        able = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        return False
    return "user_notif" in able and filter_program() is not None


def _mounted(spec: SandboxSpec, fixed: Mapping[str, tuple[bytes, int]]) -> list[str]:
    """Folders and files that are shown from this machine: as few as hide nothing of the image that a room needs."""
    places = set(spec.read_only)
    for path in fixed:
        parts = path.split("/")
        if not within(path, spec.read_only):
            whole = len(parts) <= 3 or parts[1] in ("usr", *TOP_LINKS)
            places.add(path if whole else "/".join(parts[:3]))
    return sorted(places)


def _check_paths(spec: SandboxSpec, fixed: Mapping[str, tuple[bytes, int]]) -> None:
    for path in (*fixed, *spec.writable, *spec.read_only):
        if set(path) & set(':,"'):
            raise SandboxError(f"with Docker a path has no colon, comma or quotation mark. Received {path!r}")


def _lay(root: Path, spec: SandboxSpec, fixed: Mapping[str, tuple[bytes, int]], user: int) -> None:
    """Lay the files that cannot be changed, and a place for every folder that is mounted among them."""
    for path in (*spec.writable, *spec.read_only):
        os.makedirs(f"{root}{path}", exist_ok=True)
    for path, (data, mode) in fixed.items():
        place = Path(f"{root}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)
        os.chown(place, user, user)
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o755)
