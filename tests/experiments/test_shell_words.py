"""Commands of transcripts read as acts, and never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from redbutton.experiments.foreign.shell_words import read_command


@pytest.mark.parametrize(
    ("cmd", "kinds"),
    [
        ("ls; mv a b", ["move"]),
        ("cd /tmp && rm x", ["delete"]),
        ("bash -c 'rm x'", ["delete"]),
        ("sudo chmod 000 x # rm y", ["mode"]),
        ("echo no 2>/dev/null > x", ["write"]),
        ("python3 - <<EOF\nopen('x', 'w')\nEOF", ["write", "code"]),
        ("python3 -c 'import os; os.system(\"rm x\")'", ["delete", "code"]),
        ("python3 -c 'if'", ["code"]),
        ("echo 'unclosed", ["code"]),
        ("", []),
    ],
)
def test_commands_are_read_as_acts(cmd: str, kinds: list[str]):
    assert [act.kind for act in read_command(cmd)] == kinds


def test_hostile_commands_are_read_quickly_and_never_run(tmp_path: Path):
    mark = tmp_path / "ran"
    for cmd in (
        f"python3 -c \"open('{mark}','w')\"",
        "python3 -c '" + "(" * 5000 + "'",
        "bash -c " * 500,
        "x" * 200_000,
    ):
        read_command(cmd)
    assert not mark.exists()
