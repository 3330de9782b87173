"""Running the command line as a user does: a process of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from redbutton.cli.main import main

Result = subprocess.CompletedProcess[str]


@pytest.fixture
def here(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The same within the test's own process, for what is about the words: a process costs a second."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(args)
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(args, int(ended.value.code or 0), out, err)

    return call


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Result]:
    def call(*args: str, **env: str) -> Result:
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA", "NO_COLOR", "FORCE_COLOR"))}
        command = [sys.executable, "-m", "redbutton", *args]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**variables, **env}, timeout=120, check=False
        )

    return call
