"""Which tests are tried once more when they fail: a run of pytest on its own, with the settings of this repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
FAILS_AT_FIRST = """
import pathlib
import pytest

pytestmark = {marks}

@pytest.fixture(scope="module")
def shared():
    return []

def {name}(shared):
    shared.append(1)
    assert len(shared) > {failures}
"""
WALL_CLOCK = "[pytest.mark.wall_clock, pytest.mark.xdist_group('one')]"


@pytest.fixture
def second_tries(tmp_path: Path) -> Path:
    """A folder of tests with our ``conftest.py`` and settings; a second try comes at once."""
    conftest = (HERE / "conftest.py").read_text(encoding="utf-8")
    assert "reruns_delay=2" in conftest
    (tmp_path / "conftest.py").write_text(conftest.replace("reruns_delay=2", "reruns_delay=0"), encoding="utf-8")
    shutil.copy(HERE.parent / "pyproject.toml", tmp_path)
    return tmp_path


def outcome(folder: Path, name: str, *options: str, marks: str = WALL_CLOCK, failures: int = 1) -> tuple[int, str]:
    """Exit code and output of a run with one test, which fails so often."""
    text = FAILS_AT_FIRST.format(name=name, marks=marks, failures=failures)
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "test_it.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1", "--dist", "loadgroup")], ids=["alone", "in a worker"])
def test_a_test_by_the_wall_clock_is_tried_once_more_and_named(second_tries: Path, options: tuple[str, ...]) -> None:
    code, said = outcome(second_tries, "test_a_scene_comes_in_time", *options)
    assert code == 0, said
    assert "RERUN test_it.py::test_a_scene_comes_in_time" in said
    assert "1 passed, 1 rerun" in said


def test_it_is_tried_no_third_time(second_tries: Path) -> None:
    code, said = outcome(second_tries, "test_a_scene_comes_in_time", failures=2)
    assert code == 1
    assert "1 failed, 1 rerun" in said


@pytest.mark.parametrize("name", ["test_no_press_is_lost", "test_nothing_gets_out"])
def test_what_is_about_the_stop_fails_the_run_at_once(second_tries: Path, name: str) -> None:
    code, said = outcome(second_tries, name)
    assert code == 1
    assert "RERUN" not in said


def test_a_test_without_the_mark_fails_the_run_at_once(second_tries: Path) -> None:
    code, said = outcome(second_tries, "test_a_scene_comes_in_time", marks="[]")
    assert code == 1
    assert "RERUN" not in said
