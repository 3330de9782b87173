"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
OF_THE_STOP = re.compile("stop|press|button|latch|reset|pulse|contact|gate_|escape|gets_out|lost|leaves|is_left")
"""In the names of tests where one failure is a finding, whatever the machine was busy with."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try tests marked ``wall_clock`` once more when they fail; those about the stop and about leaks never."""
    for item in items:
        if item.get_closest_marker("wall_clock") and not OF_THE_STOP.search(item.name):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


def load_helper(relative: str) -> ModuleType:
    """A helper module beside the tests, by its path below ``tests/``; loaded once."""
    name = "tests_" + relative.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / relative)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def load_test_helper() -> Callable[[str], ModuleType]:
    """``load_helper`` for conftest files and tests further down, which cannot import this one."""
    return load_helper


@pytest.fixture(scope="session")
def often() -> Callable[[int, int], int]:
    """How often a test repeats: ``often(few, many)`` is ``few``, and ``many`` where REDBUTTON_THOROUGH is 1."""
    return lambda few, many: many if os.environ.get("REDBUTTON_THOROUGH") == "1" else few


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model as GGUF. Skips where the packages are missing."""
    for package in ("xllamacpp", "gguf"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (pip install 'redbutton[dev]')")
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    load_helper("llm_controller/tiny_server.py").write_model(path)
    return path


@pytest.fixture(scope="session")
def tiny_server(tiny_model: Path) -> Iterator[Any]:
    """A real inference server (``model``, ``base_url``) that all tests share; do not kill it."""
    with load_helper("llm_controller/tiny_server.py").TinyServer(tiny_model) as server:
        yield server


@pytest.fixture
def start_tiny_server(tiny_model: Path) -> Iterator[Callable[..., Any]]:
    """Starts servers of one's own (``n_ctx=...``), to be killed or starved; closed at the end of the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Any:
            helper = load_helper("llm_controller/tiny_server.py")
            return stack.enter_context(helper.TinyServer(tiny_model, **options))

        yield start
