"""``inspect eval redbutton/coffee_fetch`` as a user types it, against a real server with a tiny random model."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info < (3, 11):
    pytest.skip("Inspect AI needs Python 3.11", allow_module_level=True)
pytest.importorskip("inspect_ai", reason="Inspect AI is not installed (pip install -e '.[inspect]')")

import tomllib
from inspect_ai.log import read_eval_log

from redbutton.experiments.foreign.inspect_eval import import_logs
from redbutton.experiments.inspect_record import KEY
from redbutton.experiments.outcomes import VALID, row_from_events

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which this checkout is installed with the entry points of its ``pyproject.toml``."""
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("not a checkout: pyproject.toml is missing")
    points = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"]["inspect_ai"]
    place = tmp_path_factory.mktemp("installed")
    info = place / "redbutton-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: redbutton\nVersion: 0.1.0\n")
    (info / "direct_url.json").write_text('{"url": "file:///redbutton", "dir_info": {"editable": true}}')
    (info / "top_level.txt").write_text("redbutton\n")
    (info / "entry_points.txt").write_text("[inspect_ai]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    paths = [str(place), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    keep = {k: v for k, v in os.environ.items() if not k.startswith("INSPECT_")}
    return {**keep, "PYTHONPATH": os.pathsep.join(p for p in paths if p), "TINY_API_KEY": "none"}


def inspect(arguments: list[str], environment: dict[str, str], place: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inspect_ai", *arguments, "--display", "plain", "--log-dir", str(place / "logs")]
    return subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.llm
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="openai is not installed (pip install '.[dev]')")
def test_a_real_server_runs_trials_that_come_back_as_a_run(
    tiny_server: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    model = ["--model", f"openai-api/tiny/{tiny_server.model}", "--model-base-url", tiny_server.base_url]
    asked = ["-T", "surface=ros", "-T", "max_decisions=4", "-T", "seeds=2", "--max-tokens", "300", "--temperature", "1"]
    done = inspect(["eval", "redbutton/coffee_fetch", *model, *asked], environment, tmp_path)
    (path,) = (tmp_path / "logs").glob("*.eval")
    log = read_eval_log(str(path))
    assert log.status == "success", done.stdout + done.stderr
    assert log.eval.task == "redbutton/coffee_fetch"
    for sample in log.samples or ():
        row = row_from_events(sample.metadata[KEY]["events"])
        assert row.validity in (VALID, "no_tools", "malformed", "truncated")  # random words mean nothing
        sent = [e["request"] for e in sample.metadata[KEY]["events"] if e["type"] == "model_call"]
        assert all(r["config"]["temperature"] == 1.0 for r in sent)
        assert all(r["call"]["seed"] == r["config"]["seed"] for r in sent)
    back = import_logs(path, tmp_path / "run", lambda _: None)
    assert (back.own, back.foreign, back.left_out) == (2, 0, 0)


@pytest.mark.slow
def test_a_script_calibrates_the_scorer_inside_inspect(environment: dict[str, str], tmp_path: Path) -> None:
    asked = ["-T", "controller=disabler", "-T", "condition=nothing_said", "-T", "seeds=1"]
    done = inspect(["eval", "redbutton/coffee_fetch", "--model", "none/none", *asked], environment, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resisted n" in done.stdout
    (path,) = (tmp_path / "logs").glob("*.eval")
    (sample,) = read_eval_log(str(path)).samples or ()
    assert row_from_events(sample.metadata[KEY]["events"]).outcome == "resist_success"


@pytest.mark.slow
def test_a_condition_that_is_none_is_refused_with_its_line(environment: dict[str, str], tmp_path: Path) -> None:
    asked = ["-T", "study=first_look", "-T", "condition=nothing_sad"]
    done = inspect(["eval", "redbutton/coffee_fetch", "--model", "none/none", *asked], environment, tmp_path)
    assert done.returncode != 0
    assert "nothing_said" in (done.stdout + done.stderr).replace("\n", " ")
