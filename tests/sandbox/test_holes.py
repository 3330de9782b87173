"""The three holes of a careless sandbox, each with a probe that finds it where the fix is absent."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable

import pytest

from redbutton.sandbox.session import Sandbox

pytestmark = pytest.mark.sandbox

READ_ENVIRONMENTS = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
READ_CAPABILITIES = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status"
STARVE_FIRST = """
import ctypes, os, resource
c = ctypes.CDLL(None, use_errno=True)
def told(name, act):
    try:
        act()
    except OSError as error:
        print(name, error.strerror)
    else:
        print(name, "done")
for pid in (1, os.getpid()):
    told("limit", lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (50, 50)))
    told("nice", lambda: os.setpriority(os.PRIO_PROCESS, pid, 5))
    told("idle", lambda: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0)))
    told("bind", lambda: os.sched_setaffinity(pid, {0}))
told("user", lambda: os.setpriority(os.PRIO_USER, 0, 6))
told("memory", lambda: os.memfd_create("x"))
"""
MAKE_NAMESPACE = "unshare --user true"
COUNT_PROCESSES = """
import os, signal, time
started = []
try:
    while len(started) < 100:
        pid = os.fork()
        if pid == 0:
            time.sleep(20)
            os._exit(0)
        started.append(pid)
except BlockingIOError:
    pass
for pid in started:
    os.kill(pid, signal.SIGKILL)
print(len(started))
"""


def careless(*options: str, command: str, env: dict[str, str] | None = None) -> str:
    """What a command says in a sandbox without the fixes: user, process and mount namespaces, all files."""
    argv = ["bwrap", "--unshare-pid", *options, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    argv += ["--die-with-parent", "--new-session", "bash", "-c", command]
    done = subprocess.run(
        argv, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **(env or {})}, timeout=30
    )
    return done.stdout


def limit_of_processes(number: int, command: str) -> str:
    """A shell command that sets RLIMIT_NPROC on itself first."""
    return f"ulimit -u {number}; {command}"


def test_the_keys_of_the_runner_stand_in_no_environment_inside(
    monkeypatch: pytest.MonkeyPatch, make_room: Callable[..., Sandbox]
) -> None:
    secret = "sk-this-must-not-leak"
    assert secret in careless("--clearenv", command=READ_ENVIRONMENTS, env={"SOME_API_KEY": secret})
    monkeypatch.setenv("SOME_API_KEY", secret)
    room = make_room()
    room.spawn("sleeper", ["sleep", "1000"])
    result = room.run(READ_ENVIRONMENTS)
    assert "HOME=/home/robot" in result.output
    assert secret not in result.output
    for name in ("environ", "mem", "fd", "fdinfo", "maps", "root", "cwd", "exe", "auxv", "stack"):
        assert "Permission denied" in room.run(f"ls /proc/1/{name}/ 2>&1; cat /proc/1/{name} 2>&1").output, name


def test_there_is_no_capability_inside_and_no_further_namespace(room: Sandbox) -> None:
    if os.geteuid() == 0:
        assert "CapEff:\t0000000000000000" not in careless(command=READ_CAPABILITIES)
    else:
        assert "made" in careless("--unshare-user", command=f"{MAKE_NAMESPACE} && echo made")
    lines = room.run(READ_CAPABILITIES).output.splitlines()
    assert len(lines) == 5
    assert all(line.endswith("\t0000000000000000") for line in lines)
    for kind in ("--user", "--mount", "--pid", "--net", "--user --map-root-user"):
        result = room.run(f"unshare {kind} echo made")
        assert result.exit_code != 0
        assert "made" not in result.output
    assert room.run("grep NoNewPrivs /proc/self/status").output.split() == ["NoNewPrivs:", "1"]


def test_the_limit_on_processes_holds_also_for_a_runner_that_is_root(small_room: Callable[..., Sandbox]) -> None:
    command = f"python3 -c {shlex.quote(COUNT_PROCESSES)}"
    if os.geteuid() == 0:
        assert careless(command=limit_of_processes(10, command)).split() == ["100"]
    assert small_room(processes=10).run(command).output == "8\n"  # the first process and the one that asks count too


def test_limits_of_one_room_do_not_count_the_processes_of_another(small_room: Callable[..., Sandbox]) -> None:
    full, other = small_room(processes=10), small_room(processes=10)
    full.run('python3 -c \'import os; [os.fork() for _ in range(4)]; os.execv("/bin/sleep", ["sleep", "900"])\' &')
    assert other.run("for n in 1 2 3 4 5; do sleep 0.01 & done; wait; echo fine").output == "fine\n"


def test_no_signal_from_inside_reaches_the_first_process(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    room.run("for n in $(seq 1 64); do kill -$n 1; done; kill -9 -1")
    assert room.alive
    assert room.run("echo here").output == "here\n"


def test_nobody_inside_can_limit_or_starve_the_first_process_or_hide_memory(room: Sandbox) -> None:
    if not room.attempts_seen:
        pytest.skip("this kernel gives no filter of system calls")
    lines = room.run(f"python3 -c {shlex.quote(STARVE_FIRST)}").output.splitlines()
    verbs = ["limit", "nice", "idle", "bind"]
    assert lines[:4] == [f"{verb} Operation not permitted" for verb in verbs]
    assert lines[4:8] == [f"{verb} done" for verb in verbs]
    assert lines[8:] == ["user Operation not permitted", "memory Function not implemented"]
    nicer = min(os.nice(0) + 3, 19)
    assert (
        room.run("nice -n 3 nice; ulimit -n 70; ulimit -n; taskset -c 0 echo bound").output == f"{nicer}\n70\nbound\n"
    )
