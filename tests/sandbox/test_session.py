"""What a room gives: files, commands, processes, sockets."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

import pytest

from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.spec import File, Limits, SandboxError, SandboxSpec

pytestmark = pytest.mark.sandbox

PATIENCE_S = 60.0
"""For what is soon done where the machine is free, and for ever undone where something is wrong."""


def test_a_command_gives_its_output_in_order_and_its_exit_code(room: Sandbox) -> None:
    result = room.run("echo one; echo two >&2; echo three; exit 7")
    assert (result.exit_code, result.output, result.left_out) == (7, "one\ntwo\nthree\n", 0)
    assert not result.timed_out
    assert result.wall_s > 0


def test_every_command_starts_at_home_in_a_fresh_shell(room: Sandbox) -> None:
    assert room.run("cd /tmp; export LEFT=1; umask 0").exit_code == 0
    assert room.run('pwd; echo "[$LEFT]"; umask').output == "/home/robot\n[]\n0022\n"


def test_a_command_finds_the_environment_of_the_spec_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, make_room: Callable[..., Sandbox]
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-leaked")
    lines = make_room(env={"ROBOT": "arm 1"}).run("env").output.splitlines()
    names = {line.split("=")[0] for line in lines}
    assert names == {"PATH", "HOME", "USER", "LANG", "TERM", "ROBOT", "PWD", "SHLVL", "_"}
    assert "ROBOT=arm 1" in lines
    assert "USER=robot" in lines


def test_a_command_inherits_no_descriptor_and_cannot_read_the_terminal(room: Sandbox) -> None:
    assert room.run("for n in $(seq 0 99); do [ -e /proc/$$/fd/$n ] && echo $n; done").output.split() == ["0", "1", "2"]
    assert room.run("cat; readlink /proc/self/fd/0").output == "/dev/null\n"


def test_files_lie_where_the_spec_says_with_their_modes(room: Sandbox) -> None:
    assert room.run("cat notes.txt /etc/tool.conf /srv/data/fixed/kept.txt; hello").output == (
        "call Anna\na = 1\nkept\nhello\n"
    )
    assert room.run("stat -c %a /home/robot/notes.txt /opt/tool/hello").output == "644\n755\n"


def test_only_the_writable_folders_can_be_written_to(room: Sandbox) -> None:
    for path in ("/x", "/usr/x", "/etc/x", "/opt/tool/hello", "/dev/x", "/srv/data/fixed/kept.txt", "/var/x", "/run/x"):
        result = room.run(f"echo no > {path}")
        assert result.exit_code == 1, path
        own = room.backend == "docker" and path == "/dev/x"  # Docker's /dev can be written to, by root
        assert ("Permission denied" if own else "Read-only file system") in result.output
    assert room.run("mv /srv/data/fixed /srv/data/moved").exit_code != 0
    assert room.run("echo yes > /srv/data/x; cat /srv/data/x; rm /srv/data/x").output == "yes\n"


def test_hundreds_of_files_fit(make_room: Callable[..., Sandbox]) -> None:
    files = tuple(File(f"/home/robot/many/{n}.txt", b"%d" % n) for n in range(300))
    fixed = tuple(File(f"/opt/many/{n}.txt", b"%d" % n) for n in range(300))
    room = make_room(files=files + fixed)
    assert room.run("cat many/299.txt; ls many | wc -l; ls /opt/many | wc -l").output == "299300\n300\n"


def test_the_files_of_this_machine_are_not_there(room: Sandbox, tmp_path: object) -> None:
    if room.backend == "docker":
        pytest.skip("with Docker the userland is the image's")
    result = room.run(f"ls -A /root /home /srv /mnt /sys /boot /usr/local {tmp_path}")
    assert "No such file" in result.output
    shown = {line for line in result.output.splitlines() if line and not line.startswith(("/", "ls:"))}
    assert shown == {"robot", "data"}
    assert room.run("cat /etc/passwd | wc -l; ls /etc").output.split() == [
        *("3", "alternatives", "group", "hostname", "hosts", "nsswitch.conf", "os-release", "passwd", "profile"),
        "tool.conf",
    ]


def test_there_is_no_network(room: Sandbox) -> None:
    probe = "import socket; s = socket.socket(); s.settimeout(2); print(s.connect_ex(('{}', 80)) != 0)"
    for address in ("127.0.0.1", "192.0.2.1", "169.254.169.254"):
        assert room.run(f'python3 -c "{probe.format(address)}"').output == "True\n"
    assert room.run("cut -d: -f1 -s /proc/net/dev").output.split() == ["lo"]


def test_a_command_that_runs_too_long_is_ended_with_all_that_belongs_to_it(room: Sandbox) -> None:
    for _ in range(5):  # a signal that was lost now and then was once found here
        result = room.run("trap '' TERM INT HUP; sleep 901 & (sleep 902 | sleep 903); echo late", 0.2)
        assert result.exit_code is None
        assert result.timed_out
        assert 0.2 <= result.wall_s < PATIENCE_S
        assert "late" not in result.output
    assert [p for p in room.processes() if p.argv[:1] == ("sleep",)] == []


def test_what_a_command_leaves_in_the_background_lives_on(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    began = time.perf_counter()
    assert room.run("(echo x; exec sleep 1000) & sleep 1001 & setsid sleep 1002 & echo done").exit_code == 0
    assert time.perf_counter() - began < PATIENCE_S
    while {p.argv for p in room.processes()} != {("sleep", "1000"), ("sleep", "1001"), ("sleep", "1002")}:
        assert time.perf_counter() - began < PATIENCE_S


def test_a_background_process_that_floods_the_output_holds_nobody_up(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    assert room.run("yes & sleep 0.1; echo done").exit_code == 0
    results = [room.run("echo next", PATIENCE_S) for _ in range(5)]
    assert [r.output for r in results] == ["next\n"] * 5  # who is held up is held up for ever: nobody ends yes
    assert any(p.argv == ("yes",) for p in room.processes())


def test_a_command_can_be_cancelled(room: Sandbox) -> None:
    job = room.begin("sleep 904", 60)
    assert job.poll() is None
    job.cancel()
    assert job.wait().exit_code is None


def test_a_job_can_be_waited_for_with_select(room: Sandbox) -> None:
    job = room.begin("sleep 0.05; echo news", 10)
    result = None
    while result is None:
        assert select.select([job], [], [], 10)[0] == [job]
        result = job.poll()
    assert result.output == "news\n"
    assert job.poll() is result


def test_one_command_at_a_time(room: Sandbox) -> None:
    job = room.begin("sleep 905", 60)
    with pytest.raises(SandboxError, match="one command at a time"):
        room.begin("true", 1)
    job.cancel()
    job.wait()


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("exec 0<&- 1>&- 2>&-; exit 3", 3, ""),
        ("printf 'no newline'", 0, "no newline"),
        (r"printf '\377\000\033[31m'", 0, "�\0\x1b[31m"),
        ("kill -9 $$", 137, ""),
        ("exec true", 0, ""),
        ("python3 -c 'import os; os.closerange(0, 99)'", 0, ""),
        ('for n in $(seq 3 90); do eval "exec $n</dev/null" || break; done; echo full', 0, "full\n"),
        ("", 0, ""),
        ("exit 300", 44, ""),
        ("printf 'café'", 0, "café"),
    ],
)
def test_odd_commands_come_to_what_they_come_to(room: Sandbox, command: str, code: int, output: str) -> None:
    result = room.run(command)
    assert (result.exit_code, result.output) == (code, output)


def test_a_command_too_long_for_the_kernel_fails_and_the_room_stands(room: Sandbox) -> None:
    result = room.run("true " + "x" * 140_000)
    assert (result.exit_code, result.output) == (126, "bash: Argument list too long\n")
    assert room.run("echo here").output == "here\n"
    with pytest.raises(SandboxError, match="zero bytes"):
        room.begin("echo \0", 1)


def test_a_spawned_process_is_known_inside_and_outside(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    pid = room.spawn("sleeper", ["sleep", "906"])
    (seen,) = room.processes()
    assert (seen.pid, seen.inner_parent, seen.argv) == (pid, 1, ("sleep", "906"))
    assert room.inner(pid) == seen.inner_pid > 1
    assert room.inner(1) is None
    assert room.run(f"kill -STOP {seen.inner_pid}").exit_code == 0
    end = time.perf_counter() + PATIENCE_S  # signals take effect when their target is next given time
    while [p.state for p in room.processes()] != ["T"]:
        assert time.perf_counter() < end
    assert room.run(f"kill -9 {seen.inner_pid}").exit_code == 0
    while room.processes():
        assert time.perf_counter() < end


def test_a_program_that_is_not_there_cannot_be_spawned(room: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"ghost: .*no-such-program"):
        room.spawn("ghost", ["no-such-program"])
    assert room.run("echo here").output == "here\n"


def test_a_listener_serves_programs_inside_and_knows_who_they_are(make_room: Callable[..., Sandbox]) -> None:
    room = make_room()
    door = room.listeners["/run/tool/door.sock"]
    client = (
        "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
        "s.connect('/run/tool/door.sock'); s.send(b'hello'); print(s.recv(99).decode())"
    )
    job = room.begin(f'python3 -c "{client}"', 10)
    assert select.select([door], [], [], 10)[0]
    peer, _ = door.accept()
    with peer:
        peer.setblocking(True)
        assert peer.recv(99) == b"hello"
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        caller = int.from_bytes(credentials[:4], "little")
        assert room.inner(caller) in {p.inner_pid for p in room.processes() if p.argv[:1] == ("python3",)}
        peer.send(b"welcome")
        assert job.wait().output == "welcome\n"
    assert room.tree.stat("/run/tool/door.sock").kind == "socket"  # type: ignore[union-attr]


def test_rooms_do_not_see_each_other(make_room: Callable[..., Sandbox]) -> None:
    one, other = make_room(), make_room()
    pid = one.spawn("sleeper", ["sleep", "907"])
    one.run("echo mine > /tmp/mine")
    assert other.run("ls /tmp; set -- /proc/[0-9]*; echo $#").output == "2\n"  # the first and bash
    assert other.inner(pid) is None
    assert other.processes() == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"files": (File("relative", b""),)}, "absolute and plain"),
        ({"files": (File("/tmp/../etc/passwd", b""),)}, "absolute and plain"),
        ({"files": (File("/tmp/a\nb", b""),)}, "absolute and plain"),
        ({"writable": {"/": 1}}, "absolute and plain"),
        ({"writable": {"/tmp": 0}}, "at least 1 MiB"),
        ({"writable": {"/tmp": 1}, "read_only": ("/opt",)}, "lies in a writable one"),
        ({"listen": ("/opt/door.sock",)}, "stands in a writable folder"),
        ({"limits": Limits(processes=1)}, "limits.processes is at least 4"),
        ({"limits": Limits(output_bytes=1 << 20)}, "limits.output_bytes is at most"),
        ({"env": {"A=B": "c"}}, "one line"),
        ({"user": "a:b"}, "plain name"),
    ],
)
def test_a_spec_that_cannot_be_made_is_refused_before_anything_starts(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(SandboxError, match=rule):
        Sandbox(SandboxSpec(**changes), "bubblewrap")  # type: ignore[arg-type]
