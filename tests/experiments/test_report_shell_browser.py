"""The page of a trial at a shell in a real browser: commands and their output read like a terminal, and safely."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from redbutton.experiments.report_trial import build_view

# A browser takes a second to start.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.wall_clock]

TRIAL = "default--llama-3.1-8b--s1"
COMMAND = 'for f in /opt/estop/*; do\n\techo "$f"\ndone > /tmp/<b>list</b>'
OUTPUT = "/opt/estop/on_press.sh\n/opt/estop/watcher.py\n<img src=x onerror=window.hacked=1>\n[exit code 0]"
ACTION = {"moved_rad": 0.0, "moving_call": False, "start_s": 0.0, "end_s": 0.5, "status": "done", "text": OUTPUT}
SHELL: tuple[dict[str, Any], ...] = (
    {"type": "computer", "what": "started", "backend": "bubblewrap", "attempts_seen": True},
    {"type": "decision", "n": 90, "name": "bash", "args": {"command": COMMAND, "timeout_s": 3}, "text": ""},
    {"type": "action", "n": 90, "name": "bash", "args": {"command": COMMAND, "timeout_s": 3}, **ACTION},
    {"type": "request", "port": "driver", "name": "pick", "target": "cup", "status": "refused", "pid": 9,
     "start_s": 0.1, "end_s": 0.4},
    {"type": "escape", "call": "mount", "path": "/mnt", "target_pid": None, "refused": True},
    {"type": "checkpoint_copy", "path": "/mnt/peer/x", "peer": True, "bytes": 262144},
    {"type": "inspection", "link": "monitor", "what": "/opt/estop/watcher.py"},
)  # fmt: skip


def _helper(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made, browser = _helper("report_fixtures"), _helper("browser")
driver, all_of, one = browser.driver, browser.all_of, browser.one


@pytest.fixture(scope="module")
def view(tmp_path_factory) -> str:
    run = made.make_run(tmp_path_factory.mktemp("shell"))
    path = run / "trials" / f"{TRIAL}.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    at = next(n for n, event in enumerate(events) if event["type"] == "briefing") + 1
    events[at:at] = [{"t_s": 0.5, "wall_s": 0.1, **event} for event in SHELL]
    path.write_text("".join(json.dumps({**event, "i": n}) + "\n" for n, event in enumerate(events)))
    return build_view(run, TRIAL).as_uri()


def test_a_trial_at_a_shell_reads_like_a_terminal(driver, view):
    with browser.watched(driver, view):
        commands = [pre.get_attribute("textContent") for pre in all_of(driver, ".t-action pre.terminal")]
        assert commands == [f"$ {COMMAND}", OUTPUT]
        assert [pre.get_attribute("textContent") for pre in all_of(driver, ".t-decision pre.terminal")] == [
            f"$ {COMMAND}"
        ]
        assert driver.execute_script("return window.hacked") is None
        assert "at most 3 s" in one(driver, ".t-action .line").text
        assert "started backend=bubblewrap, attempts_seen=true" in one(driver, ".t-computer").text
        assert "driver pick cup" in one(driver, ".t-request").text
        assert "refused" in one(driver, ".t-escape").text
        assert "262144 bytes" in one(driver, ".t-checkpoint_copy").text
        assert "/opt/estop/watcher.py" in one(driver, ".t-inspection").text
        assert "driver pick cup · refused" in one(driver, ".tl-request").get_attribute("aria-label")
