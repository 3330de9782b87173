"""What a room's programs ask the kernel for: read rightly, whatever they do to mislead or break the reader."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from redbutton.sandbox.attempts import AttemptLog
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import Attempt, File, SandboxError, SandboxSpec

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

RACE = b"""import ctypes, os, threading, time
libc = ctypes.CDLL(None)
name = ctypes.create_string_buffer(b"/tmp/a", 5000)
def change():
    while True:
        name.value = b"/tmp/" + b"b" * 3000
        name.value = b"/tmp/a"
threading.Thread(target=change, daemon=True).start()
end = time.monotonic() + 0.4
while time.monotonic() < end:
    libc.mkdir(name, 0o700)
"""
DYING = b"""import os, signal, time
for i in range(40):
    pid = os.fork()
    if pid == 0:
        while True:
            open("/tmp/x", "w").close()
    time.sleep(0.002 + 0.0005 * i)  # a busy machine gives the child its turn late
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


@pytest.fixture(scope="module")
def room(backend: str) -> Iterator[Sandbox]:
    files = (File("/opt/race.py", RACE), File("/opt/dying.py", DYING))
    spec = SandboxSpec(files=files, writable={"/tmp": 4, "/home/robot": 4}, home="/home/robot")
    with Sandbox(spec, backend) as sandbox:
        if not sandbox.attempts_seen:
            pytest.skip("this kernel does not tell of system calls")
        yield sandbox


def asked(room: Sandbox, command: str) -> list[tuple[object, ...]]:
    """What a command asked for: call, path, second path."""
    room.run("cd /tmp && rm -rf ./* && cd && rm -rf ./*")
    room.attempts()
    room.run(command)
    return [(a.call, a.path, a.to) for a in room.attempts()]


def test_paths_are_absolute_wherever_they_start(room: Sandbox) -> None:
    assert asked(room, "echo > a; cd /tmp; echo > b; mkdir c; cd c; echo > ../d; echo > ./../c/e") == [
        ("open_write", "/home/robot/a", None),
        ("open_write", "/tmp/b", None),
        ("mkdir", "/tmp/c", None),
        ("open_write", "/tmp/d", None),
        ("open_write", "/tmp/c/e", None),
    ]


def test_a_folder_reached_through_a_link_has_its_real_name(room: Sandbox) -> None:
    assert asked(room, "mkdir d; ln -s /home/robot/d /tmp/l; echo > /tmp/l/x; rm /tmp/l/x; rm /tmp/l")[2:] == [
        ("open_write", "/home/robot/d/x", None),
        ("unlink", "/home/robot/d/x", None),
        ("unlink", "/tmp/l", None),
    ]


def test_a_file_written_through_a_link_has_its_real_name(room: Sandbox) -> None:
    assert asked(room, "echo > x; ln -s x l; echo >> l; chmod 600 l")[2:] == [
        ("open_write", "/home/robot/x", None),
        ("chmod", "/home/robot/x", None),
    ]


def test_paths_that_start_at_a_descriptor_are_found(room: Sandbox) -> None:
    script = (
        'import os; d = os.open("/tmp", 0); os.mkdir("m", dir_fd=d); os.rename("m", "n", src_dir_fd=d, dst_dir_fd=d)'
    )
    wanted = [("mkdir", "/tmp/m", None), ("rename", "/tmp/m", "/tmp/n"), ("chmod", "/tmp", None)]
    assert asked(room, f"python3 -c '{script}; os.fchmod(d, 0o1777)'") == wanted


def test_links_of_proc_do_not_hide_a_path(room: Sandbox) -> None:
    command = "echo > f; exec 3< f; echo > /proc/self/fd/3; echo > /dev/fd/3; cd /tmp; echo > /proc/self/cwd/g"
    seen = asked(room, f"{command}; r=/proc/$$/root; echo > $r/home/robot/f")
    paths = ["/home/robot/f", "/home/robot/f", "/home/robot/f", "/tmp/g", "/home/robot/f"]
    assert seen == [("open_write", path, None) for path in paths]


def test_calls_of_one_kind_have_one_name(room: Sandbox) -> None:
    script = 'import os; open("f", "w"); os.mkdir("d"); os.rmdir("d"); os.link("f", "g"); os.truncate("g", 0)'
    assert [call for call, _, _ in asked(room, f"python3 -c '{script}; os.mkfifo(\"p\")'")] == [
        "open_write", "mkdir", "rmdir", "link", "truncate", "mknod",
    ]  # fmt: skip


def test_reading_and_ordinary_programs_leave_no_record(room: Sandbox) -> None:
    reading = "cat /etc/passwd > /dev/null; head -c 1 < /dev/zero; python3 -c pass"
    assert asked(room, f"{reading}; ls -la / 2> /dev/null; echo > /dev/stderr; ulimit -c 0") == []


@pytest.mark.parametrize(
    "command", ["ip address", "ss -xl", "ps -ef", "df", "lscpu", "id", "hostname", "mount", "free"]
)
def test_looking_round_is_neither_refused_nor_on_record(room: Sandbox, command: str) -> None:
    program = command.split()[0]
    if room.run(f"command -v {program}").exit_code != 0:
        pytest.skip(f"{program} is not installed")
    assert asked(room, f"{command} > /dev/null") == []


def test_who_asked_and_for_whom_are_numbers_inside(room: Sandbox) -> None:
    room.attempts()
    shell, sleeper = room.run("sleep 9 & echo $$ $!; kill -TERM $!").output.split()
    assert room.attempts() == [Attempt(call="kill", inner_pid=int(shell), target_pid=int(sleeper), signal=15)]


def test_a_group_and_everybody_are_negative_numbers(room: Sandbox) -> None:
    room.attempts()
    room.run("python3 -c 'import os; os.killpg(os.getpgrp(), 0); os.kill(-1, 0)'")
    targets = [a.target_pid for a in room.attempts()]
    assert targets[0] is not None
    assert targets[0] > 1 or targets[0] < -1
    assert targets[1] == -1


def test_a_process_by_its_handle_is_a_number_inside(room: Sandbox) -> None:
    room.attempts()
    room.run("python3 -c 'import os, signal; signal.pidfd_send_signal(os.pidfd_open(1), 0)'")
    assert [(a.call, a.target_pid, a.signal) for a in room.attempts()] == [("kill", 1, 0)]


def test_a_name_that_is_no_text_can_be_written_down(room: Sandbox) -> None:
    ((_, path, _),) = asked(room, r"mkdir $'\xff\xfe'")
    assert isinstance(path, str)
    assert path.encode() == "/home/robot/\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}".encode()


def test_pointers_to_nowhere_and_endless_texts_are_no_path(room: Sandbox) -> None:
    script = (
        "import ctypes; c = ctypes.CDLL(None); [c.mkdir(ctypes.c_void_p(p), 0) for p in (0, 1, 1 << 46, (1 << 64) - 9)]"
    )
    assert asked(room, f"python3 -c '{script}'") == [("mkdir", None, None)] * 4
    assert asked(room, 'python3 -c \'import ctypes; ctypes.CDLL(None).mkdir(b"/" + b"x" * 9000, 0)\'') == [
        ("mkdir", None, None)
    ]


def test_a_runner_that_is_no_root_is_told_the_same(runner_argv: Callable[..., list[str]]) -> None:
    """Also of a program that shut its memory to others of its user."""
    shut = "import ctypes, os; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); os.mkdir('/tmp/b')"
    argv = runner_argv("mkdir /tmp/a; echo > /tmp/a/f", f'python3 -c "{shut}"', user=1234)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    wanted = [["mkdir", "/tmp/a"], ["open_write", "/tmp/a/f"], ["mkdir", "/tmp/b"]]
    assert json.loads(done.stdout.splitlines()[-1])["attempts"] == wanted


def test_a_program_cannot_listen_in_our_place(room: Sandbox) -> None:
    listen = "c.syscall(317 if os.uname().machine == 'x86_64' else 277, 1, 8, p), os.strerror(ctypes.get_errno())"
    script = (
        "import ctypes, os, struct; c = ctypes.CDLL(None, use_errno=True);"
        " k = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7FFF0000));"
        f" p = struct.pack('HxxxxxxQ', 1, ctypes.addressof(k)); print({listen})"
    )
    assert room.run(f'python3 -c "{script}"').output == "-1 Device or resource busy\n"


def test_a_path_that_changes_while_it_is_read_does_no_harm(room: Sandbox) -> None:
    room.attempts()
    assert room.run("python3 /opt/race.py", 60).exit_code == 0
    attempts = room.attempts()
    assert len(attempts) > 4
    assert {a.call for a in attempts} == {"mkdir"}
    assert room.run("echo here").output == "here\n"


def test_callers_that_die_in_the_middle_do_no_harm(room: Sandbox) -> None:
    assert room.run("python3 /opt/dying.py", 60).exit_code == 0
    assert room.run("echo here").output == "here\n"
    assert {a.path for a in room.attempts() if a.call == "open_write"} == {"/tmp/x"}


def test_an_ordinary_command_is_not_held_up(room: Sandbox) -> None:
    times = []
    for _ in range(10):
        started = time.perf_counter()
        room.run("for i in 1 2 3 4 5; do echo x > /tmp/f; done")
        times.append(time.perf_counter() - started)
        room.attempts()
    assert min(times) < 0.5  # who is held up waits for a time-out of seconds, every time


def test_attempts_beyond_the_room_for_them_are_counted() -> None:
    with Sandbox(SandboxSpec()) as sandbox:
        log = sandbox._log
        if log is None:
            pytest.skip("this kernel does not tell of system calls")
        log._kept = 10
        sandbox.run("for i in $(seq 25); do echo > /tmp/f; done")
        assert len(sandbox.attempts()) == 10
        assert log.dropped == 15


def test_a_listener_that_fails_is_said_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    with Sandbox(SandboxSpec()) as sandbox:
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        monkeypatch.setattr("redbutton.sandbox.attempts.read", fail)
        assert sandbox.run("mkdir /tmp/d; echo > /tmp/f").exit_code != 0
        with pytest.raises(SandboxError, match="no longer listened to"):
            sandbox.attempts()


def test_no_thread_and_no_descriptor_is_left() -> None:
    before = set(threading.enumerate()), set(os.listdir("/proc/self/fd"))
    with Sandbox(SandboxSpec()) as sandbox:
        sandbox.run("while :; do mkdir /tmp/d; rmdir /tmp/d; done & sleep 0.1")
    assert (set(threading.enumerate()), set(os.listdir("/proc/self/fd"))) == before


def test_the_thread_ends_with_the_room_and_what_was_told_can_still_be_taken() -> None:
    sandbox = Sandbox(SandboxSpec()).start()
    log: AttemptLog | None = sandbox._log
    if log is None:
        sandbox.close()
        pytest.skip("this kernel does not tell of system calls")
    sandbox.run("mkdir /tmp/d")
    sandbox.close()
    assert not log._thread.is_alive()
    assert [a.call for a in sandbox.attempts()] == ["mkdir"]
