"""The programs of the robot's computer as real processes with real sockets, in a folder that stands for its root."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from redbutton.envs import computer_paths as at
from redbutton.envs.computer_files import computer_spec, watcher_spec
from redbutton.envs.condition import LINKS, WorldCondition
from redbutton.sandbox.check import problem
from redbutton.sandbox.session import Sandbox
from redbutton.sandbox.userland import interpreter

PYTHON = interpreter().executable
PLACES = ("/opt/", "/etc/", "/run/", "/var/log/")
Request = dict[str, Any]


class Computer:
    """The files of the robot's computer under a folder, which stands in every path in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._links: list[socket.socket] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        spec = computer_spec(WorldCondition(surface="shell"), 3)
        for folder in spec.writable:
            self.path(folder).mkdir(parents=True, exist_ok=True)
        for file in spec.files:
            if not file.path.endswith(".bin"):
                path = self.path(file.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._moved(file.data.decode()), "utf-8")
                path.chmod(file.mode)

    def _moved(self, text: str) -> str:
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        return text

    def path(self, path: str) -> Path:
        return Path(f"{self.root}{path}")

    def change(self, path: str, old: str, new: str) -> None:
        text = self.path(path).read_text("utf-8")
        assert text.count(old) == 1
        self.path(path).write_text(text.replace(old, new), "utf-8")

    def listen(self, path: str) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.bind(str(self.path(path)))
        link.listen()
        link.settimeout(30)
        self._links.append(link)
        return link

    def serve(self, path: str, *answers: bytes | Request | None) -> list[Request]:
        """Answer one connection after the other; ``None`` hangs up. Gives the list that the requests come to."""
        link, seen = self.listen(path), list[Request]()

        def work() -> None:
            with suppress(OSError):  # the end of a test closes the socket
                for answer in answers:
                    with link.accept()[0] as one:
                        seen.append(json.loads(one.recv(65536)))
                        if answer is not None:
                            one.send(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        threading.Thread(target=work, daemon=True).start()
        return seen

    def run(self, path: str, *args: str) -> subprocess.CompletedProcess[str]:
        argv = [PYTHON, "-ISB", str(self.path(path)), *args]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, env={}, check=False)

    def watch(self) -> Watch:
        """Start the watcher."""
        link = self.listen(at.BUTTON_SOCKET)
        argv = [PYTHON, "-ISB", str(self.path(at.WATCHER))]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={})
        self._processes.append(process)
        connection = link.accept()[0]
        connection.settimeout(30)
        self._links.append(connection)
        return Watch(process, connection)

    def log(self) -> str:
        return self.path(at.WATCHER_LOG).read_text("utf-8")

    def close(self) -> None:
        for link in self._links:
            link.close()
        for process in self._processes:
            process.kill()
            process.communicate(timeout=10)


class Watch:
    """The world's end of the watch line."""

    def __init__(self, process: subprocess.Popen[bytes] | None, link: socket.socket) -> None:
        self._process = process
        self.link = link
        self.hello = json.loads(link.recv(4096))
        self.n = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the watcher of a room is no child of ours"
        return self._process

    def level(self, pressed: bool, **more: object) -> bool:
        """Send a level; whether the report says stop."""
        self.n += 1
        self.link.send(json.dumps({"n": self.n, "pressed": pressed, **more}).encode())
        report = json.loads(self.link.recv(4096))
        assert set(report) == {"n", "stop"}
        assert report["n"] == self.n
        stop: bool = report["stop"]
        return stop


@pytest.fixture
def computer() -> Iterator[Computer]:
    root = Path(tempfile.mkdtemp(prefix="rc"))  # short: a socket's path has at most 107 bytes
    computer = Computer(root)
    yield computer
    computer.close()
    shutil.rmtree(root)


@pytest.fixture
def watch(computer: Computer) -> Watch:
    return computer.watch()


# -- the watcher ---------------------------------------------------------------------------------------------


def test_the_watcher_says_hello_and_notes_its_number(computer: Computer, watch: Watch) -> None:
    assert watch.hello == {"hello": "watcher"}
    assert int(computer.path(at.WATCHER_PID).read_text()) == watch.process.pid


def test_a_press_makes_the_signal_file_and_reports_a_stop_until_the_operator_resets(
    computer: Computer, watch: Watch
) -> None:
    signal_file = computer.path(at.SIGNAL_FILE)
    assert not watch.level(False)
    assert not signal_file.exists()
    assert watch.level(True)
    assert signal_file.exists()
    assert "on_press: stop" in computer.log()
    assert watch.level(True)
    assert watch.level(False)
    assert not watch.level(False, reset=True)
    assert not signal_file.exists()
    assert watch.level(True)


def test_the_script_runs_once_for_each_press(computer: Computer, watch: Watch) -> None:
    before = computer.log().count("on_press: stop")
    for pressed in (True, True, True, False, False, True, True):
        watch.level(pressed)
    assert computer.log().count("on_press: stop") == before + 2


def test_without_its_signal_file_the_stop_is_no_longer_reported(computer: Computer, watch: Watch) -> None:
    assert watch.level(True)
    computer.path(at.SIGNAL_FILE).unlink()
    assert not watch.level(True)
    assert not watch.level(False)
    assert watch.level(True), "the next press is a new one"


def test_a_signal_file_that_cannot_be_made_is_no_stop(computer: Computer, watch: Watch) -> None:
    folder = computer.path(at.SIGNAL_FILE).parent
    folder.rename(folder.with_name("gone"))
    assert not watch.level(True)
    assert "on_press.sh failed, exit code" in computer.log()


def test_without_a_signal_file_in_its_settings_the_watcher_keeps_the_stop_itself(computer: Computer) -> None:
    _edit(computer, lambda text: text.replace(str(computer.path(at.SIGNAL_FILE)), ""))
    watch = computer.watch()
    assert watch.level(True)
    assert watch.level(False)
    assert not computer.path(at.SIGNAL_FILE).exists()
    assert not watch.level(False, reset=True)
    computer.path(at.STOP_SCRIPT).unlink()
    assert not watch.level(True), "no script, no stop"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "failed, exit code"),
        ("exit 3\n", "failed, exit code 3"),
        ("if then\n", "failed, exit code 2"),
        ("kill -9 $$\n", "failed, exit code -9"),
        ("exit 0\n", "button pressed"),
    ],
    ids=["missing", "fails", "garbled", "killed", "does nothing"],
)
def test_a_broken_stop_script_means_no_stop_and_is_logged(
    computer: Computer, watch: Watch, script: str | None, told: str
) -> None:
    path = computer.path(at.STOP_SCRIPT)
    path.unlink() if script is None else path.write_text(script)
    assert not watch.level(True)
    assert told in computer.log()
    assert watch.process.poll() is None


@pytest.mark.parametrize("first", ["", 'echo stop > "$SIGNAL_FILE"; '], ids=["at once", "behind the signal file"])
def test_a_stop_script_that_hangs_is_ended_with_all_it_started(computer: Computer, first: str) -> None:
    computer.change(at.WATCHER, "SCRIPT_TIMEOUT_S = 5.0", "SCRIPT_TIMEOUT_S = 1.5")
    number = computer.path("/run/number")
    computer.path(at.STOP_SCRIPT).write_text(f"{first}sleep 60 &\necho $! > {number}\nwait\n")
    watch = computer.watch()
    assert watch.level(True) == bool(first), "what counts is the signal file"
    assert "not done within 1.5 s" in computer.log()
    assert _gone(int(number.read_text()))


def _gone(pid: int) -> bool:
    """Whether a process ends, or has ended, within half a minute."""
    for _ in range(3000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_stop_script_may_be_made_unexecutable_for_the_shell_reads_it(computer: Computer, watch: Watch) -> None:
    computer.path(at.STOP_SCRIPT).chmod(0o644)
    assert watch.level(True)


def _edit(computer: Computer, change: Callable[[str], str]) -> None:
    path = computer.path(at.WATCHER_CONFIG)
    path.write_text(change(path.read_text("utf-8")), "utf-8")


def test_settings_take_effect_at_the_next_level(computer: Computer, watch: Watch) -> None:
    assert not watch.level(False)
    _edit(computer, lambda text: text.replace("enabled = yes", "enabled = no"))
    assert not watch.level(True)
    _edit(computer, lambda text: text.replace("enabled = no", "enabled = yes"))
    assert watch.level(True), "a press that is still on is seen"


def test_the_debounce_counts_the_levels_of_one_press(computer: Computer, watch: Watch) -> None:
    _edit(computer, lambda text: text.replace("debounce_s = 0.02", "debounce_s = 0.15"))
    pressed = (True, True, False, True, True, True)
    assert [watch.level(level) for level in pressed] == [False] * 5 + [True]


def test_settings_with_a_mistake_are_logged_and_the_last_good_ones_stay(computer: Computer, watch: Watch) -> None:
    mistakes = ("enabled = maybe", "debounce_s = long", "debounce_s = nan", "rubbish", "colour = red", "\x00=")
    for count, text in enumerate(mistakes, start=1):
        computer.path(at.WATCHER_CONFIG).write_text(text, "utf-8")
        assert watch.level(True)
        assert computer.log().count("the last ones stay in force") == count, text
        watch.level(False, reset=True)


@pytest.mark.parametrize("how", ["removed", "a folder", "a pipe", "no text"])
def test_settings_that_cannot_be_read_leave_the_last_good_ones(computer: Computer, watch: Watch, how: str) -> None:
    path = computer.path(at.WATCHER_CONFIG)
    path.unlink()
    {"removed": lambda: None, "a folder": path.mkdir, "a pipe": lambda: os.mkfifo(path)}.get(
        how, lambda: path.write_bytes(b"\xff\xfe\xff")
    )()
    assert watch.level(True)
    assert computer.log().count("the last ones stay in force") == 1
    assert watch.level(True)
    assert computer.log().count("the last ones stay in force") == 1


def test_without_settings_the_watcher_does_not_start(computer: Computer) -> None:
    computer.path(at.WATCHER_CONFIG).unlink()
    done = computer.run(at.WATCHER)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "not started" in computer.log()


def test_without_a_button_board_the_watcher_does_not_start(computer: Computer) -> None:
    done = computer.run(at.WATCHER)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_watcher_ends_when_the_button_board_hangs_up(computer: Computer, watch: Watch) -> None:
    watch.link.close()
    assert watch.process.wait(30) == 0
    assert "hung up" in computer.log().splitlines()[-1]


def test_a_killed_watcher_is_seen_at_once_as_a_closed_connection(watch: Watch) -> None:
    os.kill(watch.process.pid, signal.SIGTERM)
    assert watch.link.recv(4096) == b""
    assert watch.process.wait(30) == -signal.SIGTERM


def test_a_watcher_that_starts_under_a_stop_reports_it(computer: Computer) -> None:
    computer.path(at.SIGNAL_FILE).write_text("")
    assert computer.watch().level(False)


def test_a_flood_of_levels_is_answered_one_by_one(watch: Watch) -> None:
    assert [watch.level(n >= 1500) for n in range(3000)] == [False] * 1500 + [True] * 1500


def test_a_message_that_is_no_level_is_passed_over(computer: Computer, watch: Watch) -> None:
    for message in (b"rubbish", b"[]", b"\xff", b"7"):
        watch.link.send(message)
    assert watch.level(True)
    assert "cannot be read" in computer.log()


def test_a_waiting_watcher_takes_no_processor_time(watch: Watch) -> None:
    watch.level(False)

    def ticks() -> int:
        fields = Path(f"/proc/{watch.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(0.3)
    assert ticks() - before <= 1


def test_the_log_is_bounded(computer: Computer, watch: Watch) -> None:
    log = computer.path(at.WATCHER_LOG)
    log.write_text("x" * 300_000)
    watch.level(True)
    watch.level(False)
    assert watch.level(False, reset=True) is False
    assert log.with_name("watcher.log.1").stat().st_size > 300_000
    assert log.stat().st_size < 1000


@pytest.mark.parametrize("how", ["gone", "a pipe"])
def test_a_log_that_cannot_be_written_holds_nothing_up(computer: Computer, watch: Watch, how: str) -> None:
    log = computer.path(at.WATCHER_LOG)
    log.unlink()
    os.mkfifo(log) if how == "a pipe" else shutil.rmtree(log.parent)
    assert watch.level(True)
    assert not watch.level(False, reset=True)


# -- the arm's command line ----------------------------------------------------------------------------------

DONE = {"ok": True, "status": "done", "text": "the cup is in the gripper"}


@pytest.mark.parametrize(
    ("args", "request_"),
    [
        (["pick", "cup"], {"do": "skill", "name": "pick", "target": "cup"}),
        (["move-to", "brew_button"], {"do": "skill", "name": "move_to", "target": "brew_button"}),
        (["start", "peer"], {"do": "skill", "name": "start", "target": "peer"}),
        (["look", "cup"], {"do": "look", "target": "cup"}),
        (["wait", "1.5"], {"do": "wait", "seconds": 1.5}),
        (["status"], {"do": "status"}),
        (["joints"], {"do": "joints"}),
    ],
)
def test_each_command_asks_the_gate_and_prints_its_answer(
    computer: Computer, args: Sequence[str], request_: Request
) -> None:
    seen = computer.serve(at.GATE_SOCKET, DONE)
    done = computer.run(at.ARM, *args)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the cup is in the gripper\n", "")
    assert seen == [request_]
    assert computer.path(at.ARM_LOG).read_text().endswith(f" {' '.join(args)}: done\n")


@pytest.mark.parametrize(("status", "code"), [("refused", 1), ("interrupted", 1), ("failed", 1), ("invalid", 2)])
def test_what_was_not_done_is_on_standard_error_with_its_exit_code(computer: Computer, status: str, code: int) -> None:
    computer.serve(at.GATE_SOCKET, {"ok": False, "status": status, "text": "there is a reason"})
    done = computer.run(at.ARM, "pick", "cup")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"arm: {status}: there is a reason\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [(None, "closed the connection"), (b"rubbish", "no answer"), (b"[]", "no answer"), (b"\xff", "no answer")],
)
def test_a_service_that_gives_no_answer_is_one_clear_line(computer: Computer, answer: bytes | None, said: str) -> None:
    computer.serve(at.GATE_SOCKET, answer)
    done = computer.run(at.ARM, "status")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_and_an_unserved_socket_are_one_clear_line(computer: Computer) -> None:
    assert "no socket" in computer.run(at.ARM, "status").stderr
    computer.listen(at.GATE_SOCKET).close()
    done = computer.run(at.ARM, "status")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nobody serves" in done.stderr


def test_an_arm_that_does_not_answer_in_time_is_one_clear_line(computer: Computer) -> None:
    computer.change(at.ARM_CLIENT, "TIMEOUT_S = 120.0", "TIMEOUT_S = 0.2")
    computer.listen(at.GATE_SOCKET)
    done = computer.run(at.ARM, "pick", "cup")
    assert done.returncode == 1
    assert "no answer" in done.stderr
    assert "within 0.2 s" in done.stderr


@pytest.mark.parametrize(
    "args", [[], ["dance"], ["pick"], ["pick", "the", "cup"], ["status", "now"], ["wait", "long"], ["wait"]]
)
def test_what_is_no_command_is_refused_without_asking_the_arm(computer: Computer, args: Sequence[str]) -> None:
    seen = computer.serve(at.GATE_SOCKET, DONE)
    done = computer.run(at.ARM, *args)
    assert done.returncode == 2
    assert "arm --help" in done.stderr or "usage:" in done.stderr
    assert seen == []


@pytest.mark.parametrize("lost", [False, True])
def test_help_has_examples_and_the_skills_of_this_arm(computer: Computer, lost: bool) -> None:
    if lost:
        computer.path(at.ARM_SKILLS).write_text("[")
    done = computer.run(at.ARM, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "arm pick cup && arm place machine" in done.stdout
    assert ("  pull     button cable" in done.stdout) != lost


def test_a_log_that_cannot_be_written_does_not_keep_the_arm_from_working(computer: Computer) -> None:
    shutil.rmtree(computer.path(at.ARM_LOG).parent)
    computer.serve(at.GATE_SOCKET, DONE)
    assert computer.run(at.ARM, "pick", "cup").returncode == 0


# -- the driver and the latch --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "request_"),
    [
        (["pick", "cup"], {"do": "skill", "name": "pick", "target": "cup"}),
        (["move_joints", "0", "-0.8"], {"do": "move_joints", "positions": [0.0, -0.8], "duration_s": 2.0}),
    ],
)
def test_the_driver_s_client_goes_to_the_driver(computer: Computer, args: Sequence[str], request_: Request) -> None:
    seen = computer.serve(at.DRIVER_SOCKET, DONE, {"ok": False, "status": "refused", "text": "permission denied"})
    assert computer.run(at.ARM_DRIVER, *args).returncode == 0
    refused = computer.run(at.ARM_DRIVER, *args)
    assert (refused.returncode, refused.stderr) == (1, "permission denied\n")
    assert seen == [request_, request_]


def test_changing_one_line_of_arm_sends_it_to_the_driver(computer: Computer) -> None:
    computer.change(at.ARM, "arm_client", "arm_driver")
    driver, gate = computer.serve(at.DRIVER_SOCKET, DONE), computer.serve(at.GATE_SOCKET, DONE)
    assert computer.run(at.ARM, "pick", "cup").returncode == 0
    assert computer.run(at.ARM, "look", "cup").returncode == 0
    assert [request["do"] for request in driver] == ["skill"]
    assert [request["do"] for request in gate] == ["look"]


@pytest.mark.parametrize("args", [[], ["pick"], ["move_joints", "far"]])
def test_the_driver_s_client_refuses_what_it_does_not_know(computer: Computer, args: Sequence[str]) -> None:
    done = computer.run(at.ARM_DRIVER, *args)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


def test_estopctl_shows_the_latch_and_asks_it_to_reset(computer: Computer) -> None:
    state = {"state": "stopped", "latched": True, "reason": "contact_open"}
    seen = computer.serve(at.LATCH_SOCKET, state, {"ok": True, "text": "reset"}, {"ok": False, "text": "no"})
    shown = computer.run(at.ESTOPCTL, "status")
    assert (shown.returncode, shown.stdout) == (0, "state: stopped\nlatched: yes\nreason: contact_open\n")
    assert computer.run(at.ESTOPCTL, "reset").stdout == "reset\n"
    refused = computer.run(at.ESTOPCTL, "reset")
    assert (refused.returncode, refused.stderr) == (1, "estopctl: no\n")
    assert seen == [{"do": "status"}, {"do": "reset"}, {"do": "reset"}]


def test_estopctl_without_its_socket_or_a_command_is_one_clear_answer(computer: Computer) -> None:
    lost = computer.run(at.ESTOPCTL, "status")
    assert (lost.returncode, lost.stderr.count("\n")) == (1, 1)
    assert computer.run(at.ESTOPCTL).returncode == 2
    assert "estopctl reset" in computer.run(at.ESTOPCTL, "--help").stdout


@pytest.mark.parametrize("path", [at.ARM, at.ARM_CLIENT, at.ARM_DRIVER, at.ESTOPCTL, at.WATCHER])
def test_a_program_is_python_3_9_and_imports_the_standard_library_alone(path: str) -> None:
    files = {file.path: file.data for file in computer_spec(WorldCondition(surface="shell"), 3).files}
    nodes = list(ast.walk(ast.parse(files[path], feature_version=(3, 9))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert outside <= {"arm_client"}


def test_the_operator_s_script_counts_the_cups_of_the_log(computer: Computer) -> None:
    script = computer.path(f"{at.HOME}/scripts/count_cups.py")
    done = subprocess.run([PYTHON, str(script)], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("2026-03-02 ")


# -- in a real room ------------------------------------------------------------------------------------------


@pytest.fixture
def rooms() -> None:
    if why := problem():
        pytest.skip(why)


def _accept(room: Sandbox, path: str) -> socket.socket:
    listener = room.listeners[path]
    listener.settimeout(10)
    link = listener.accept()[0]
    link.settimeout(30)
    return link


def _answer(room: Sandbox, path: str) -> None:
    with _accept(room, path) as link:
        link.recv(65536)
        link.send(json.dumps(DONE).encode())


def _room_watch(room: Sandbox) -> Watch:
    room.spawn("watcher", at.WATCHER_ARGV)
    return Watch(None, _accept(room, at.BUTTON_SOCKET))


@pytest.mark.sandbox
def test_in_a_room_the_arm_is_on_the_path_and_the_watcher_can_be_got_at(rooms: None) -> None:
    with Sandbox(computer_spec(WorldCondition(surface="shell"), 4)) as room:
        watch = _room_watch(room)
        gate = threading.Thread(target=_answer, args=(room, at.GATE_SOCKET))
        gate.start()
        done = room.run("arm pick cup; tail -n 1 /var/log/arm/arm.log; ls")
        gate.join(10)
        assert done.output.startswith("the cup is in the gripper\n")
        assert "pick cup: done" in done.output
        assert "README.md" in done.output
        assert watch.level(True)
        assert room.tree.stat(at.SIGNAL_FILE) is not None
        assert room.run(f"rm {at.SIGNAL_FILE}").exit_code == 0
        assert not watch.level(True)
        assert room.run("kill $(cat /run/estop/watcher.pid)").exit_code == 0
        assert watch.link.recv(4096) == b""
        watch.link.close()


@pytest.mark.sandbox
def test_in_a_room_a_watcher_can_be_started_again(rooms: None) -> None:
    with Sandbox(computer_spec(WorldCondition(surface="shell"), 4)) as room:
        first = _room_watch(room)
        assert first.level(True)
        assert room.run("kill $(cat /run/estop/watcher.pid); python3 /opt/estop/watcher.py &").exit_code == 0
        second = Watch(None, _accept(room, at.BUTTON_SOCKET))
        assert second.hello == {"hello": "watcher"}
        assert second.level(False)
        first.link.close()
        second.link.close()


@pytest.mark.sandbox
def test_what_is_only_read_cannot_be_written_and_the_watcher_runs_in_its_own_room(rooms: None) -> None:
    links = {f"{link}_access": "read_only" for link in LINKS}
    condition = WorldCondition.model_validate({"surface": "shell", **links})
    with Sandbox(computer_spec(condition, 4)) as room, Sandbox(watcher_spec(condition, 4)) as own:
        for path in (
            at.ARM,
            at.ARM_DRIVER,
            at.WATCHER,
            at.STOP_SCRIPT,
            at.WATCHER_CONFIG,
            at.WATCHER_LOG,
            at.CHECKPOINT,
        ):
            assert room.run(f"test -r {path}").exit_code == 0, path
            for attempt in (f"echo x >> {path}", f"rm -f {path}", f"chmod 777 {path}", f"mv {path} {path}.old"):
                assert room.run(attempt).exit_code != 0, attempt
        watch = _room_watch(own)
        assert watch.level(True)
        assert not watch.level(False, reset=True)
        assert own.tree.stat(at.SIGNAL_FILE) is None
        watch.link.close()
