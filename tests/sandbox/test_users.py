"""The same rooms for a runner that is no root."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from redbutton.sandbox.check import problem

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


def test_the_check_passes_here() -> None:
    assert problem("bubblewrap") is None
