"""Rooms by Docker: what the user is told without it, and what is left behind.

The other files test the rooms themselves, with both backends where this machine has Docker's daemon and image.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from redbutton.sandbox import backend, docker, docker_leftovers
from redbutton.sandbox.check import problem
from redbutton.sandbox.docker import Docker
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, SandboxError, SandboxSpec

MISSING = problem("docker")
WITH_DOCKER = pytest.mark.skipif(MISSING is not None, reason=f"no Docker here: {MISSING}")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="Docker's rooms are root's")
GONE = 4_194_304
"""The number of a process that is not there: one more than Linux gives."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Puts a ``docker`` on the PATH that is a shell script; what it was asked is in the file that comes back."""

    def put(script: str) -> Path:
        asked = tmp_path / "asked"
        (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$@" >> {asked}\n{script}\n')
        (tmp_path / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(backend, "backends", lambda: {"docker": Docker()})
        return asked

    return put


def test_without_docker_the_message_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backend, "backends", lambda: {"docker": Docker()})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert problem("docker") == "docker is missing: install Docker Engine"


@AS_ROOT
def test_a_daemon_that_does_not_answer_is_named(client: Callable[[str], Path]) -> None:
    client("echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1")
    assert problem("docker") == (
        "Docker's daemon does not answer (Cannot connect to the Docker daemon at unix:///var/run/docker.sock.): "
        "start it, e.g. systemctl start docker"
    )


@AS_ROOT
def test_without_the_image_the_message_is_the_command_that_makes_it(
    client: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client("echo 'Error: No such image: redbutton-room' >&2; exit 1")
    assert docker.BUILD in (problem("docker") or "")
    client("echo 'Error: No such image: mine' >&2; exit 1")
    monkeypatch.setenv(docker.IMAGE, "mine:2")
    assert "no image 'mine:2'" in (problem("docker") or "")


@AS_ROOT
def test_what_docker_says_when_it_refuses_is_what_the_user_reads(
    client: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusal = "docker: Error: no room.\nSee 'docker run --help'."
    client(f'case $1 in image) echo linux;; run) echo "{refusal}" >&2; exit 125;; esac')
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SandboxError, match=r"the sandbox does not start: docker: Error: no room\."):
        Sandbox(SandboxSpec(), "docker").start()
    assert list(tmp_path.glob("room-*")) == []


def test_a_runner_that_is_not_root_is_refused(client: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    client("echo linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert problem("docker") == "Docker's rooms can be looked into by root only: run as root, or install bubblewrap"


@AS_ROOT
def test_a_path_that_docker_would_take_apart_is_refused(client: Callable[[str], Path]) -> None:
    client("echo linux")
    for path in ("/opt/a:b", "/opt/a,b"):
        with pytest.raises(SandboxError, match="no colon, comma or quotation mark"):
            Sandbox(SandboxSpec(files=(File(path, b""),)), "docker").start()


def test_only_what_runners_that_are_gone_have_left_is_removed(
    client: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = docker_leftovers.make_folder()
    _, _, started, numbers, _ = own.name.split("-")
    left = f"room-{GONE}-{started}-{numbers}-abcd"  # its runner is gone
    again = f"room-{os.getpid()}-{int(started) + 1}-{numbers}-abcd"  # another process has its runner's number now
    elsewhere = f"room-{GONE}-{started}-{int(numbers) + 1}-abcd"  # of a machine within this one: not ours to judge
    for name in (left, again, elsewhere, "room-mine"):
        (tmp_path / name).mkdir()
    asked = client(f'case $1 in ps) printf "%s\\n" {left} {again} {elsewhere} {own.name} room-mine;; esac')
    docker_leftovers.sweep()
    assert sorted(path.name for path in tmp_path.glob("room-*")) == sorted([own.name, elsewhere, "room-mine"])
    assert asked.read_text().splitlines()[1:] == [f"rm --force {left} {again}"]


@WITH_DOCKER
@pytest.mark.sandbox
def test_two_rooms_have_users_of_their_own(tmp_path: Path) -> None:
    with Sandbox(SandboxSpec(), "docker") as one, Sandbox(SandboxSpec(), "docker") as other:
        assert one.run("id -un").output == "robot\n"
        assert one.run("id -u").output != other.run("id -u").output
        assert "redbutton" not in one.run("cat /proc/self/mountinfo /proc/1/cgroup; env; ls /run/init").output


@WITH_DOCKER
@pytest.mark.sandbox
def test_a_killed_runner_leaves_no_container_and_after_the_next_start_no_folder(
    runner_argv: Callable[..., list[str]], tmp_path: Path
) -> None:
    env = {**os.environ, "REDBUTTON_SANDBOX": "docker", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(runner_argv("--hold"), stdout=subprocess.PIPE, env=env) as runner:
        assert runner.stdout is not None
        told = json.loads(runner.stdout.readline())
        assert containers() != ""
        runner.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while containers() or any(Path(f"/proc/{pid}").exists() for pid in [*told["room"], told["wrapper"]]):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(list(tmp_path.glob("room-*"))) == 1
    done = subprocess.run(runner_argv("echo next"), env=env, capture_output=True, text=True, timeout=100)
    assert json.loads(done.stdout.splitlines()[0]) == [0, "next\n"]
    assert list(tmp_path.iterdir()) == []
    assert containers() == ""


def containers() -> str:
    return docker_leftovers.docker("ps", "--all", "--quiet", "--filter", f"label={docker_leftovers.LABEL}").stdout
