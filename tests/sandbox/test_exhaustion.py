"""A room used up from inside: it fails in there, what stands outside goes on, and nothing is left once it is closed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, Limits, SandboxSpec

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

SMALL = SandboxSpec(
    files=(File("/home/robot/README.md", b"# Robot 7\n"),),
    writable={"/tmp": 4, "/home/robot": 4},
    home="/home/robot",
    limits=Limits(memory_mib=64, processes=24, open_files=64, file_mib=2, cpu_s=1, output_bytes=4000),
)
MARK = "86400.125"
"""How long the stray processes sleep: a number that no other process on this machine has as its argument."""


PATIENCE_S = 60.0
"""For what is soon done where the machine is free, and for ever undone where something is wrong."""


def strays() -> list[str]:
    """Processes on this machine that carry the mark."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if MARK.encode() in line.split(b"\0"):
            found.append(name)
    return found


@pytest.fixture
def small(outside: Any, backend: str) -> Iterator[Sandbox]:
    """A fresh room of small limits; afterwards it is gone with all that was in it."""
    with Sandbox(SMALL, backend) as sandbox:
        yield sandbox
    assert strays() == []
    assert outside.harm() == []


def still_works(sandbox: Sandbox) -> None:
    """A further command runs, once what the last one left has been given a moment to end."""
    end = time.monotonic() + PATIENCE_S
    while (result := sandbox.run("echo here", 20)).output != "here\n":
        assert time.monotonic() < end, result
        time.sleep(0.1)


def test_a_fork_bomb_fills_the_room_and_no_more(small: Sandbox) -> None:
    result = small.run(f"bomb() {{ bomb | bomb & sleep {MARK}; }}; bomb; wait", 1.5)
    assert result.timed_out
    assert len(small.processes()) <= SMALL.limits.processes + 8
    assert small.alive


def test_a_hundred_sleepers_are_not_started(small: Sandbox) -> None:
    start = f"import subprocess\nfor i in range(100): subprocess.Popen(['sleep', '{MARK}'])"
    assert small.run(f'python3 -c "{start}"', PATIENCE_S).exit_code == 1
    assert 10 < len(strays()) <= SMALL.limits.processes
    assert small.alive


def test_memory_is_used_up_inside_only(small: Sandbox) -> None:
    result = small.run("python3 -c 'x = b\"x\" * (1 << 30)'", PATIENCE_S)
    assert result.exit_code not in (0, None)
    small.run(
        "for i in 1 2 3 4 5 6; do python3 -c 'import time; x = bytearray(40 << 20); time.sleep(1)' & done; wait",
        PATIENCE_S,
    )
    assert sum(process.rss_mib for process in small.processes()) < 2 * SMALL.limits.memory_mib
    still_works(small)


def test_a_full_disk_is_the_rooms_own(small: Sandbox, tmp_path: Path) -> None:
    before = shutil.disk_usage("/").free
    small.run("for i in 1 2 3 4 5 6; do head -c 2M /dev/zero > f$i; done; head -c 9M /dev/zero > /tmp/big")
    free = small.tree.free("/home/robot")
    assert free is not None
    assert free[0] < 1 << 20
    sizes = [entry.size for _, entry in small.tree.walk("/home/robot")] + [small.tree.stat("/tmp/big").size]  # type: ignore[union-attr]
    assert sum(sizes) <= 8 << 20
    assert max(sizes) <= 2 << 20
    assert before - shutil.disk_usage("/").free < 1 << 30
    still_works(small)


def test_a_flood_of_files_ends_and_the_walk_outside_is_bounded(small: Sandbox) -> None:
    small.run('python3 -c \'for i in range(3000): open(f"/tmp/{i}", "w")\'', PATIENCE_S)
    assert len(list(small.tree.walk("/tmp", limit=500))) == 500
    still_works(small)


def test_a_deep_tree_does_not_break_the_reader(small: Sandbox) -> None:
    small.run('python3 -c \'import os\nfor i in range(400): os.mkdir("d"); os.chdir("d")\'', PATIENCE_S)
    assert len(list(small.tree.walk("/home/robot", limit=5000))) >= 60
    assert small.tree.read("/home/robot/" + "d/" * 5000) is None
    still_works(small)


def test_descriptors_are_used_up_inside_only(small: Sandbox) -> None:
    result = small.run("python3 -c 'import os\nfor i in range(10000): os.dup(0)'")
    assert result.exit_code == 1
    assert "Too many open files" in result.output
    still_works(small)


def test_a_flood_of_output_is_cut_and_counted(small: Sandbox) -> None:
    result = small.run("yes redbutton | head -c 20000000")
    assert result.exit_code == 0
    assert result.left_out > 19_000_000
    assert len(result.output) < 5000


def test_endless_output_ends_with_its_time(small: Sandbox) -> None:
    result = small.run("yes", 0.5)
    assert result.timed_out
    assert result.wall_s < PATIENCE_S


def test_zombies_stay_in_the_room(small: Sandbox) -> None:
    fork = "import os, time\nfor i in range(15):\n  if os.fork() == 0: os._exit(0)\ntime.sleep(90)"
    small.run(f"python3 -c '{fork}' &", 5)
    end = time.monotonic() + PATIENCE_S
    while "Z" not in {process.state for process in small.processes()}:
        assert time.monotonic() < end
    assert len(small.processes()) <= SMALL.limits.processes
    small.run("pkill -9 python3")
    still_works(small)


def test_a_daemon_that_leaves_its_family_ends_with_the_room(small: Sandbox) -> None:
    result = small.run(f"(setsid sh -c 'nohup sleep {MARK} > /dev/null 2>&1 &' &)")
    assert result.exit_code == 0
    end = time.monotonic() + PATIENCE_S
    while len(strays()) != 1:
        assert time.monotonic() < end


def test_everybody_killed_is_everybody_inside(small: Sandbox, outside: Any) -> None:
    small.spawn("sleeper", ["sleep", MARK])
    small.attempts()
    small.run("kill -9 -1")
    assert outside.victim.poll() is None
    end = time.monotonic() + PATIENCE_S
    while strays():
        assert time.monotonic() < end
        time.sleep(0.05)
    still_works(small)
    if small.attempts_seen:
        assert any(a.call == "kill" and a.target_pid == -1 and a.signal == 9 for a in small.attempts())


def test_an_endless_loop_ends_with_its_processor_time(small: Sandbox) -> None:
    result = small.run("(while :; do :; done) & wait $!; echo ended with $?", PATIENCE_S)
    assert result.exit_code is not None
    assert "ended with" in result.output


def test_a_flood_of_system_calls_is_slowed_and_counted(small: Sandbox) -> None:
    if not small.attempts_seen:
        pytest.skip("this kernel does not tell of system calls")
    used = time.process_time()
    small.run("while :; do kill -0 $$; done", 2)
    assert time.process_time() - used < 1.8
    assert 100 < len(small.attempts()) <= 10_000
    still_works(small)
