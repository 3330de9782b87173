"""What ``docs/deployment.md`` promises, tried on this machine: namespaces, users, the profile, the services."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (pip install 'redbutton[ros]')")
pytest.importorskip("pymodbus", reason="needs pymodbus (pip install 'redbutton[lab]')")

from redbutton.hardware.ros import wait_for

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
LIMIT_S = 40.0
HEARD = 100
"""Messages after which a channel counts as open."""

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    # What rclpy imports the first time a message is used.
    pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning"),
]


def _why_not() -> str:
    """Why namespaces and other users cannot be tried here; empty when they can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, timeout=20)
    return "" if tried.returncode == 0 else f"this machine gives no network namespace: {tried.stderr.decode().strip()}"


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    why = _why_not()
    if why:
        pytest.skip(why)


@pytest.fixture(scope="module")
def nobody() -> int:
    """Somebody who owns nothing."""
    return pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def domains(load_test_helper: Callable[[str], ModuleType]) -> tuple[int, ...]:
    return tuple(load_test_helper("hardware/ros_ids.py").domain_ids(2))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="redbutton-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


# -- processes elsewhere ---------------------------------------------------------------------------------------

# Another user may be shut out of the folders that Python lies in, so a process imports first and then gives up root.
_BECOME = """
import json, os, sys
facts = json.loads(sys.argv[1])
def become():
    if facts["uid"] is not None:
        os.setgroups([])
        os.setresgid(*[facts["uid"]] * 3)
        os.setresuid(*[facts["uid"]] * 3)
"""

# Says its mark on /say all the time, and when asked tells how often it has heard each mark.
_PEER = """
import encodings.idna, threading, time
from std_msgs.msg import Int32
from redbutton.hardware.ros import RosNode, level_qos
heard = {}
def talk(ros):
    def hear(message):
        heard[message.data] = heard.get(message.data, 0) + 1
    ros.node.create_subscription(Int32, "/say", hear, level_qos(50))
    say = ros.node.create_publisher(Int32, "/say", level_qos(50))
    ros.node.create_timer(0.01, lambda: say.publish(Int32(data=facts["mark"])))
with RosNode("rehearsal", facts["spare"], facts["discovery"]) as ros:  # loads what it may not read later
    talk(ros)
    while not heard:
        time.sleep(0.01)
become()
heard.clear()
with RosNode("peer", facts["domain"], facts["discovery"]) as ros:
    talk(ros)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(dict(heard)), flush=True)
"""

# Asks a supervisor for everything that it may refuse, and last for a stop.
_STRANGER = """
import encodings.idna
from redbutton.hardware.channel import ChannelError, SupervisorClient
become()
print("ready", flush=True)
sys.stdin.readline()
said = {}
for role in ("motion", "operator"):
    try:
        SupervisorClient(facts["socket"], role).connect()
        said[role] = "welcome"
    except ChannelError as exc:
        said[role] = str(exc)
with SupervisorClient(facts["socket"], "watch") as client:
    for op in ("lease", "beat", "hold", "enable", "reset_request", "arm"):
        said[op] = client.request(op)
    said["command"] = client.request("command", seq=1, epoch=client.status()["epoch"])
    said["reset"] = client.reset("123456")
    said["before"] = client.status()["state"]
    said["stop"] = client.stop("a stranger")
print(json.dumps(said), flush=True)
"""


# Opening a node sets variables for the rest of the process, which a child would inherit.
_SET_BY_NODES = ("FASTDDS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE")


class Elsewhere:
    """A process in a namespace of the network, or as another user. It answers a line with a line."""

    def __init__(self, code: str, enter: list[str], environment: dict[str, str], **facts: Any) -> None:
        self._process = subprocess.Popen(
            [*enter, sys.executable, "-c", _BECOME + code, json.dumps({"uid": None, **facts})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**{k: v for k, v in os.environ.items() if k not in _SET_BY_NODES}, **environment},
            text=True,
        )

    def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(LIMIT_S, self._process.kill)
        watchdog.start()
        try:
            return self._process.stdout.readline().strip()
        finally:
            watchdog.cancel()

    def ask(self) -> dict[str, Any]:
        """What it answers."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return dict(json.loads(self.line()))

    def heard(self) -> dict[int, int]:
        """How often it heard each mark so far."""
        return {int(mark): count for mark, count in self.ask().items()}

    def hears(self, mark: int) -> None:
        """Wait until it has heard this mark many times."""
        wait_for(lambda: self.heard().get(mark, 0) > HEARD, LIMIT_S, f"{mark} must be heard")

    def end(self) -> None:
        """Let it end as it likes: it leaves its graph."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(LIMIT_S) == 0
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


class Network:
    """A network namespace with a loopback and nothing else, for as long as it is kept."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "ready\n"
        self.enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]

    @property
    def pid(self) -> int:
        """Id of the process that keeps it."""
        return self._keeper.pid

    def ip(self, *words: str) -> str:
        """Run ``ip`` in there. Skips the test where the kernel has no such device."""
        done = subprocess.run([*self.enter, "ip", *words], capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            pytest.skip(f"ip {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def is_up(self, port: str) -> bool:
        """Whether the port has a link: the middleware looks once, when it starts."""
        return "state UP" in self.ip("-o", "link", "show", "dev", port)

    def end(self) -> None:
        """Let it go."""
        self._keeper.communicate(timeout=LIMIT_S)


@pytest.fixture
def network() -> Iterator[Callable[[], Network]]:
    with contextlib.ExitStack() as ends:

        def make() -> Network:
            made = Network()
            ends.callback(made.end)
            return made

        yield make


PLAIN = {"FASTDDS_DEFAULT_PROFILES_FILE": ""}
"""What keeps Redbutton's own profile off: a driver as its vendor starts it."""


@pytest.fixture
def peer(folder: Path, domains: tuple[int, ...], network: Callable[[], Network]) -> Iterator[Callable[..., Elsewhere]]:
    """Starts processes that talk and listen in one domain. They end before the networks do."""
    (folder / "log").mkdir()
    (folder / "log").chmod(0o777)
    with contextlib.ExitStack() as ends:

        def start(
            mark: int, at: Network | None = None, environment: dict[str, str] | None = None, **facts: Any
        ) -> Elsewhere:
            known = {"domain": domains[0], "spare": domains[1], "discovery": "localhost", "mark": mark, **facts}
            told = {"ROS_LOG_DIR": str(folder / "log"), **(environment or {})}
            made = Elsewhere(_PEER, [] if at is None else at.enter, told, **known)
            ends.callback(made.end)
            assert made.line() == "ready"
            return made

        yield start


# -- the network -----------------------------------------------------------------------------------------------


# The widest reach of each: whoever stays apart with it stays apart with less.
@pytest.mark.parametrize(
    "how",
    [{"discovery": "subnet"}, {"environment": {**PLAIN, "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}}],
    ids=["subnet", "plain subnet"],
)
def test_a_process_in_a_network_namespace_hears_and_reaches_nothing_of_the_graph_outside(
    how: dict[str, Any], network: Callable[[], Network], peer: Callable[..., Elsewhere]
) -> None:
    outside = peer(0, **how)
    fenced = peer(1, at=network(), **how)
    free = peer(2, **how)  # started last, so the fenced one had more time than this one
    free.hears(0)
    outside.hears(2)
    fenced.hears(1)  # its ROS works: it hears itself
    assert set(fenced.heard()) == {1}
    assert set(outside.heard()) == {0, 2}


@pytest.mark.parametrize("reach", ["LOCALHOST", "SUBNET"])
def test_two_users_hear_each_other_and_the_driver_needs_no_profile(
    reach: str, nobody: int, peer: Callable[..., Elsewhere]
) -> None:
    driver = peer(0, environment={**PLAIN, "ROS_AUTOMATIC_DISCOVERY_RANGE": reach})
    supervisor = peer(1)
    runner = peer(2, uid=nobody)
    runner.hears(0)
    runner.hears(1)
    supervisor.hears(0)
    supervisor.hears(2)
    driver.hears(1)
    driver.hears(2)


def test_with_discovery_localhost_a_graph_does_not_leave_the_machine(
    network: Callable[[], Network], peer: Callable[..., Elsewhere]
) -> None:
    """Two machines with a cable between them, played by two namespaces."""
    here, there = network(), network()
    here.ip("link", "add", "a0", "type", "veth", "peer", "name", "b0", "netns", str(there.pid))
    for end, port, address in ((here, "a0", "198.51.100.1/24"), (there, "b0", "198.51.100.2/24")):
        end.ip("address", "add", address, "dev", port)
        end.ip("link", "set", port, "up")
    wait_for(lambda: here.is_up("a0") and there.is_up("b0"), LIMIT_S, "the cable must be in")
    far = peer(1, at=there, discovery="subnet")
    kept, with_it = peer(2, at=here), peer(3, at=here)
    abroad = peer(4, at=here, discovery="subnet")
    far.hears(4)
    abroad.hears(1)
    kept.hears(3)
    with_it.hears(2)
    assert set(far.heard()) == {1, 4}
    assert 1 not in {**kept.heard(), **with_it.heard()}


# -- the socket ------------------------------------------------------------------------------------------------


def test_a_stranger_in_a_network_of_its_own_may_stop_and_nothing_else(
    folder: Path, nobody: int, network: Callable[[], Network], load_test_helper: Callable[[str], ModuleType]
) -> None:
    domains = load_test_helper("hardware/ros_ids.py").domain_ids(2)
    with load_test_helper("hardware/rig.py").Rig(folder, domains) as rig, rig.moving_client():
        facts = {"uid": nobody, "socket": str(rig.config.socket_path)}
        stranger = Elsewhere(_STRANGER, network().enter, {"ROS_LOG_DIR": str(folder)}, **facts)
        assert stranger.line() == "ready"
        operator = rig.client("operator")
        rig.reset(operator)
        assert operator.arm()["ok"]
        wait_for(lambda: rig.driver.moving, LIMIT_S, "the arm must move")
        said = stranger.ask()
        stranger.end()
        assert all(f"user {nobody} may not be {role}" in said[role] for role in ("motion", "operator"))
        refused = ("lease", "beat", "hold", "enable", "reset_request", "arm", "command", "reset")
        assert {op: said[op]["ok"] for op in refused} == dict.fromkeys(refused, False)
        assert said["before"] == "run"  # nothing of this disturbed the arm
        assert said["stop"]["ok"]
        assert said["stop"]["state"] == "stopped"
        assert rig.wait_event("latched", reason="requested")
        wait_for(lambda: not rig.driver.moving, LIMIT_S, "the arm must come to rest")


# -- the model's server ----------------------------------------------------------------------------------------

_PROXY = Path("/usr/lib/systemd/systemd-socket-proxyd")


def test_a_server_without_a_network_answers_through_its_door(
    page: str, folder: Path, network: Callable[[], Network], load_test_helper: Callable[[str], ModuleType]
) -> None:
    """The two units of the page, without systemd: a socket from outside, handed to a process inside."""
    activate = shutil.which("systemd-socket-activate")
    if activate is None or not _PROXY.exists():
        pytest.skip("needs systemd-socket-activate and systemd-socket-proxyd")
    assert str(_PROXY) in page
    (folder / "model").write_text("here", encoding="utf-8")
    inside, outer, inner = network(), *(load_test_helper("hardware/ports.py").free_port() for _ in range(2))
    serve = [*inside.enter, sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(inner), "-d", str(folder)]
    door = [activate, "-l", f"127.0.0.1:{outer}", *inside.enter, str(_PROXY), f"127.0.0.1:{inner}"]
    with contextlib.ExitStack() as ends:
        for command in (serve, door):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            ends.callback(process.wait, LIMIT_S)
            ends.callback(process.terminate)

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{outer}/model", timeout=5.0, trust_env=False).text == "here"
            return False

        wait_for(answers, LIMIT_S, "the server must answer through its door")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{inner}/model", timeout=5.0, trust_env=False)


# -- the services ----------------------------------------------------------------------------------------------

_PREFER = """
import resource
from redbutton.hardware.supervisor import prefer
try:
    resource.setrlimit(resource.RLIMIT_RTPRIO, (facts["priority"],) * 2)
except ValueError:
    print("refused", flush=True)
else:
    become()
    print(prefer(), flush=True)
"""


@pytest.mark.parametrize(("priority", "wanted"), [(10, "fifo 10"), (0, "normal")])
def test_the_limit_of_the_service_gives_its_scheduling_without_any_capability(
    priority: int, wanted: str, nobody: int, page: str
) -> None:
    assert "LimitRTPRIO=10" in page
    process = Elsewhere(_PREFER, [], {}, uid=nobody, priority=priority)
    said = process.line()
    process.end()
    if said == "refused":
        pytest.skip("this root may not raise limits (no CAP_SYS_RESOURCE)")
    assert said == wanted


def test_systemd_takes_the_units_of_the_page(page: str, folder: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    names = []
    for text in blocks(page, "ini"):
        name = re.match(r"# /etc/systemd/system/(\S+)", text)
        assert name is not None, text
        names.append(folder / name[1])
        installed = re.sub(r"(?m)^(ExecStart=)/(?:opt|usr)\S+", rf"\1{sys.executable}", text)
        names[-1].write_text(installed, encoding="utf-8")
    assert len(names) >= 3
    done = subprocess.run([analyze, "verify", "--man=no", *map(str, names)], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if str(folder) in line or "redbutton" in line]
    assert ours == []
