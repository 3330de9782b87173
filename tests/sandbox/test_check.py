"""What a user is told where there is no sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from redbutton.sandbox import backend
from redbutton.sandbox.backend import CHOICE, choose
from redbutton.sandbox.bubblewrap import Bubblewrap
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import SandboxSpec, SandboxUnavailable


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends that have not looked yet."""
    monkeypatch.setattr(backend, "backends", lambda: {"bubblewrap": Bubblewrap()})


def test_without_bubblewrap_the_message_says_what_to_install(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt install bubblewrap" in (problem("bubblewrap") or "")
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap"):
        Sandbox(SandboxSpec(), "bubblewrap")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a ``bwrap`` first that says it is of some version."""

    def put(version: str) -> None:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return put


def test_an_old_bubblewrap_is_refused(fresh: None, stand_in: Callable[[str], None]) -> None:
    stand_in("0.6.1")
    assert problem("bubblewrap") == "bubblewrap 0.8 or newer is needed. Found 0.6"


def test_a_system_that_is_no_linux_is_refused(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert problem("bubblewrap") == "the sandbox needs Linux"


@pytest.mark.sandbox
def test_where_the_kernel_forbids_namespaces_the_message_names_the_setting() -> None:
    ask = "from redbutton.sandbox.check import problem; print(problem('bubblewrap'))"
    inner = f'echo 0 > /proc/sys/user/max_user_namespaces; exec "{sys.executable}" -c "{ask}"'
    argv = ["unshare", "--user", "--map-user=1000", "--keep-caps", "sh", "-c", inner]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "user.max_user_namespaces is 0" in done.stdout, done.stderr


def test_a_kernel_that_counts_processes_of_the_whole_machine_is_refused(
    fresh: None, stand_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("0.11.0")
    here = os.uname()
    old = os.uname_result((here.sysname, here.nodename, "5.10.0-28-amd64", here.version, here.machine))
    monkeypatch.setattr(os, "uname", lambda: old)
    assert "Linux 5.14 or newer is needed" in (problem("bubblewrap") or "")


def test_the_environment_may_name_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "vault")
    with pytest.raises(ValueError, match=r"one of auto, bubblewrap.*Received 'vault'"):
        choose("auto")
    with pytest.raises(ValueError, match="Received 'vault'"):
        choose("vault")


@pytest.mark.sandbox
def test_a_backend_that_is_named_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "bubblewrap")
    assert choose("auto").name == "bubblewrap"
    with Sandbox(SandboxSpec()) as room:
        assert room.backend == "bubblewrap"
        assert room.run("echo here").output == "here\n"
