"""The same rooms for a runner that is no root."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redbutton.sandbox import userland
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.sandbox

PROBES = (
    "id -u; id -un; cat /tmp/notes.txt; cat /proc/1/environ; echo $?",
    "grep -h Cap /proc/self/status | sort -u -k2 | cut -f2",
    "unshare --user true || echo refused",
    "python3 -c 'x = bytearray(600 << 20)' 2>&1 | tail -1",
    "n=0; while [ $n -lt 40 ]; do sleep 30 & n=$((n + 1)); done 2>&1 | grep -m1 -o 'Resource temporarily unavailable'",
    "touch /etc/x /usr/x; cat /etc/tool.conf",
)


def test_a_runner_that_is_no_root_gets_the_same_room(runner_argv: Callable[..., list[str]]) -> None:
    done = subprocess.run(runner_argv(*PROBES, user=1234), capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    outputs = [output for _, output in lines]
    assert outputs[0] == "1000\nrobot\ncall Anna\ncat: /proc/1/environ: Permission denied\n1\n"
    assert outputs[1] == "0000000000000000\n"
    assert outputs[2].endswith("refused\n")
    assert outputs[3] == "MemoryError\n"
    assert outputs[4] == "Resource temporarily unavailable\n"
    assert outputs[5].count("Read-only file system") == 2
    assert last["inner"] > 1
    assert last["notes"] == "call Anna\n"
    assert ["sleep", "1000"] in last["argv"]


@pytest.fixture
def own_python() -> Iterator[Path]:
    """A Python that was installed somewhere else, with a package, and a program beside it."""
    prefix = Path(tempfile.mkdtemp(prefix="prefix", dir="/var/tmp"))
    found = subprocess.run(
        ["/usr/bin/python3", "-c", "import os, sys; print(os.path.realpath(sys.executable))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    name = Path(found).name
    (prefix / "bin").mkdir()
    shutil.copy(found, prefix / "bin" / name)
    (prefix / "bin" / "secret-tool").write_text("#!/bin/sh\necho leaked\n")
    shutil.copytree(
        f"/usr/lib/{name}", prefix / "lib" / name, symlinks=True, ignore=shutil.ignore_patterns("test*", "__pycache__")
    )
    (prefix / "lib" / name / "site-packages").mkdir()
    (prefix / "lib" / name / "site-packages" / "leaked.py").touch()
    subprocess.run(["chmod", "-R", "a+rX", prefix], check=True)
    yield prefix
    shutil.rmtree(prefix)


def test_where_the_machine_has_no_python_the_one_that_runs_here_is_shown_and_nothing_beside_it(
    own_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (library,) = (own_python / "lib").iterdir()
    major, minor = library.name.removeprefix("python").split(".")
    monkeypatch.setattr(userland, "SYSTEM_PYTHON", "/no/such/python3")
    monkeypatch.setattr(sys, "base_prefix", str(own_python))
    monkeypatch.setattr(sys, "version_info", (int(major), int(minor), 0))
    userland.interpreter.cache_clear()
    try:
        room = Sandbox(SandboxSpec(path=(f"{own_python}/bin",)), "bubblewrap").start()
    finally:
        userland.interpreter.cache_clear()
    with room:
        result = room.run("python3 -c 'import json, sys; print(sys.prefix)'; python3 -c 'import leaked'; secret-tool")
    assert result.output.splitlines()[0] == str(own_python)
    assert "No module named 'leaked'" in result.output
    assert "secret-tool: command not found" in result.output


def test_the_check_passes_here() -> None:
    assert problem("bubblewrap") is None
