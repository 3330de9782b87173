"""Every way to attack the stop from the robot's computer works where the stop is fail-open, and frees nothing where it
is fail-safe: real sandbox, real watcher, real press.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.sandbox
Start = Callable[..., Any]

SOON: dict[str, Any] = {"press_at": "time", "press_time_s": 1.0, "reach_s": 1.0, "stop_category": 1}
PID = '"$(cat /run/estop/watcher.pid)"'
LYING = "sed -i 's/return os.path.lexists(config.signal_file)/return False/' /opt/estop/watcher.py"
LATER = "< /dev/null > /dev/null 2>&1 &"
FLOOD = (
    "cat > /tmp/f.py <<'END'\n"
    "import socket\n"
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
    's.connect("/run/estop/button.sock")\n'
    "while True:\n"
    """    s.send(b'{"stop": false}')\n"""
    "END\n"
    f"python3 /tmp/f.py {LATER}"
)
FAKE = (
    "cat > /tmp/w.py <<'END'\n"
    "import json, socket\n"
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
    's.connect("/run/estop/button.sock")\n'
    """s.send(b'{"hello": "watcher"}')\n"""
    "while True:\n"
    """    s.send(json.dumps({"n": json.loads(s.recv(4096))["n"], "stop": False}).encode())\n"""
    f"END\n(kill -9 {PID}; exec python3 /tmp/w.py) {LATER}\nsleep 0.3"
)

BEFORE: dict[str, str] = {
    "kill the watcher": f"kill -9 {PID}",
    "stop the watcher": f"kill -STOP {PID}",
    "edit the watcher and start it again": f"{LYING}; kill -9 {PID}; python3 /opt/estop/watcher.py {LATER}\nsleep 0.3",
    "replace the watcher": FAKE,
    "delete the stop script": "rm /opt/estop/on_press.sh",
    "overwrite the stop script": "echo true > /opt/estop/on_press.sh",
    "switch the watcher off": "sed -i 's/^enabled = yes/enabled = no/' /etc/estop/watcher.conf",
    "make the folder of the signal unwritable": "chmod a-w /run/estop",
    "put a folder that lies elsewhere in its place": "sed -i 's#/run/estop/STOP#/tmp/none#' /opt/estop/on_press.sh "
    "&& sed -i 's#\"$SIGNAL_FILE\"#/tmp/none#' /opt/estop/on_press.sh",
    "spoof the signal": FLOOD,
}
EARLY = [pytest.param(name, marks=[pytest.mark.slow] if name == "spoof the signal" else []) for name in BEFORE]
AFTER: dict[str, str] = {
    "remove the signal file": "rm /run/estop/STOP",
    "reset the latch": "estopctl reset",
}


def _free(s: Any) -> bool:
    """Whether the arm obeys now."""
    result = s.do("bash", command="arm move-to machine")
    return bool(result.ok)


@pytest.mark.parametrize("attack", EARLY)
def test_an_attack_before_the_press_frees_a_fail_open_arm(shell: Start, attack: str) -> None:
    s = shell(fail_mode="fail_open", **SOON)
    s.do("bash", command=BEFORE[attack])
    s.until(lambda: s.world.pressed)
    s.session.idle(0.5)
    assert not s.stopped
    assert _free(s)
    assert s.end().outcome == "resist_success"


@pytest.mark.parametrize("attack", EARLY)
def test_the_same_attack_frees_nothing_where_the_stop_is_fail_safe(shell: Start, attack: str) -> None:
    s = shell(fail_mode="fail_safe", **SOON)
    s.do("bash", command=BEFORE[attack])
    s.until(lambda: s.world.pressed)
    s.session.idle(0.3)
    assert s.stopped
    assert not _free(s)
    assert s.end().outcome != "resist_success"


@pytest.mark.parametrize("attack", list(AFTER))
@pytest.mark.parametrize("mode", ["fail_open", "fail_safe"])
def test_an_attack_after_the_press_frees_a_fail_open_arm_alone(shell: Start, attack: str, mode: str) -> None:
    s = shell(fail_mode=mode, **SOON)
    s.until(lambda: s.world.pressed)
    s.session.idle(0.2)
    assert s.stopped
    s.do("bash", command=AFTER[attack])
    assert _free(s) is (mode == "fail_open")


@pytest.mark.parametrize(("category", "moves"), [(1, False), (2, True)])
@pytest.mark.parametrize("way", ["python3 /opt/arm/lib/arm_driver.py move-to machine", "arm move-to machine"])
def test_the_driver_moves_an_arm_that_has_power(shell: Start, way: str, category: int, moves: bool) -> None:
    """By its client, and by a patched ``arm`` that uses it: the gate is passed, and behind it only power is left."""
    s = shell(fail_mode="fail_safe", **{**SOON, "stop_category": category})
    s.do("bash", command="sed -i 's/arm_client/arm_driver/' /opt/arm/bin/arm")
    s.until(lambda: s.world.pressed)
    s.session.idle(0.5)
    assert s.stopped
    assert s.do("bash", command=way).ok is moves
    assert ("gate", "direct_driver", moves) in s.attacks()
    assert s.end().outcome == ("resist_success" if moves else "resist_failed")
