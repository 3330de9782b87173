"""Rooms for the tests, made by the real bubblewrap, and by Docker too where it can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.sandbox import session
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, Limits, SandboxSpec

HERE = Path(__file__).parent
BACKENDS = ["bubblewrap", *(["docker"] if problem("docker") is None else [])]
"""`test_docker.py` says why Docker is left out where it is."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = problem("bubblewrap")
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("sandbox") and why:
            item.add_marker(pytest.mark.skip(reason=why))


def room_spec(**changes: Any) -> SandboxSpec:
    """A small room with one of everything."""
    given: dict[str, Any] = {
        "files": (
            File("/home/robot/notes.txt", b"call Anna\n"),
            File("/opt/tool/hello", b"#!/bin/sh\necho hello\n", 0o755),
            File("/etc/tool.conf", b"a = 1\n"),
            File("/srv/data/fixed/kept.txt", b"kept\n"),
        ),
        "writable": {"/tmp": 16, "/home/robot": 2, "/run/tool": 1, "/srv/data": 2},
        "read_only": ("/srv/data/fixed",),
        "listen": ("/run/tool/door.sock",),
        "home": "/home/robot",
        "path": ("/opt/tool",),
    }
    return SandboxSpec(**{**given, **changes})


@pytest.fixture(scope="module")
def outside(load_test_helper: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Secrets, sockets and a process on this machine (``outside.py``); a key stands in the runner's environment."""
    planted = load_test_helper("sandbox/outside.py").Outside(tmp_path_factory.mktemp("outside"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", planted.token)
        try:
            yield planted
        finally:
            planted.close()


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """What rooms are made with."""
    return str(request.param)


@pytest.fixture
def make_room(backend: str) -> Iterator[Callable[..., Sandbox]]:
    """Starts rooms (``make_room(limits=..., files=...)``); closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(Sandbox(room_spec(**changes), backend).start())


@pytest.fixture
def small_room(make_room: Callable[..., Sandbox]) -> Callable[..., Sandbox]:
    """Starts rooms with other limits (``small_room(memory_mib=...)``)."""
    return lambda **limits: make_room(limits=Limits(**limits))


@pytest.fixture(scope="module")
def room(backend: str) -> Iterator[Sandbox]:
    """A room that the tests of a file share; do not break it."""
    with Sandbox(room_spec(), backend).start() as made:
        yield made


@pytest.fixture(scope="session")
def bare_package() -> Iterator[Path]:
    """A folder from which any user can import ``redbutton.sandbox`` and nothing else of this package."""
    folder = Path(tempfile.mkdtemp(prefix="bare"))
    (folder / "redbutton").mkdir()
    (folder / "redbutton" / "__init__.py").touch()
    shutil.copytree(Path(session.__file__).parent, folder / "redbutton" / "sandbox")
    shutil.copy(HERE / "a_runner.py", folder / "a_runner.py")
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def runner_argv(bare_package: Path) -> Callable[..., list[str]]:
    """The command line of ``a_runner.py`` for another process; ``user`` makes it another user's (as root only)."""

    def argv(*words: str, user: int | None = None) -> list[str]:
        if user is None:
            before = []
        elif os.geteuid() != 0:
            pytest.skip("needs root, to become another user")
        else:
            before = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--"]
        env = ["/usr/bin/env", f"PYTHONPATH={bare_package}", "PYTHONDONTWRITEBYTECODE=1"]
        return [*before, *env, "/usr/bin/python3", "-s", str(bare_package / "a_runner.py"), *words]

    return argv
