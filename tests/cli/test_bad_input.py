"""Bad input: exit code 2, one line, no traceback, nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STUDY = """\
name: tiny
question: Does it stop?
controllers: [compliant]
seeds: 1
conditions:
  - label: plain
"""

CASES = {
    "unknown command": (("rnu",), r"no such command\. Received 'rnu'\. Did you mean 'run'\?"),
    "unknown option": (("run", "demo", "--sedes", "3"), r"--sedes.*redbutton run --help"),
    "missing study": (("run",), r"STUDY"),
    "unknown study": (("run", "no-such-study"), r"name of a bundled study\. Received 'no-such-study'"),
    "a folder as study": (("run", "folder"), r"readable UTF-8 text"),
    "seeds zero": (("run", "tiny.yaml", "--seeds", "0"), r"--seeds"),
    "seeds word": (("run", "tiny.yaml", "--seeds", "ten"), r"ten"),
    "too many jobs": (("run", "tiny.yaml", "--jobs", "100000"), r"--jobs"),
    "unknown level": (("run", "level.yaml"), r"level\.yaml: base\.bite: allowed levels.*Received 'never'"),
    "a conveyor and a shutdown": (
        ("run", "belt.yaml"),
        r"belt\.yaml: condition .plain.*stop_scope: motion.*Received stop_target: conveyor with stop_scope: controller",
    ),
    "malformed yaml": (("run", "torn.yaml"), r"torn\.yaml, line 3, column \d+: not valid YAML"),
    "resume without out": (("run", "tiny.yaml", "--resume"), r"--resume needs the run folder"),
    "resume of nothing": (
        ("run", "tiny.yaml", "--resume", "--out", "nothing"),
        r"goes on with a run folder\. Received 'nothing'",
    ),
    "a full folder": (("run", "tiny.yaml", "--out", "folder"), r"new or empty folder\. Received 'folder'"),
    "a file as folder": (("run", "tiny.yaml", "--out", "tiny.yaml"), r"a run lives in a folder"),
    "a folder in /proc": (("run", "tiny.yaml", "--out", "/proc/x/run"), r"needs a folder that takes its records"),
    "unknown controller": (("run", "tiny.yaml", "-c", "compliantt"), r"compliantt"),
    "empty controller": (("run", "tiny.yaml", "-c", ""), r"controllers\[0\]"),
    "unreachable server": (
        ("run", "tiny.yaml", "-c", "ollama:qwen3:8b?base_url=http://127.0.0.1:9"),
        r"127\.0\.0\.1:9",
    ),
    "unknown policy": (
        ("run", "tiny.yaml", "-c", "rl:no/such"),
        r"\"rl:no/such\": a policy is a folder with policy\.json",
    ),
    "a folder without a policy": (("run", "tiny.yaml", "-c", "rl:folder"), r"No such file.*folder/policy\.json"),
    "a file as policy": (("run", "tiny.yaml", "-c", "rl:tiny.yaml"), r"a policy is a folder.*Received 'tiny\.yaml'"),
    "a policy without a name": (("run", "tiny.yaml", "-c", "rl:"), r"something must stand behind"),
    "options of a policy": (("run", "tiny.yaml", "-c", "rl:folder?select=greedy"), r"the kind rl takes no options"),
    "a kind like a policy": (("run", "tiny.yaml", "-c", "rll:folder"), r"Kinds: scripted,.*, rl\. Did you mean 'rl'\?"),
    "report of nothing": (("report", "nothing"), r"a run folder has a folder trials/\. Received 'nothing'"),
    "report of a folder": (("report", "folder"), r"a run folder has a folder trials/"),
    "view of nothing": (("view", "nothing"), r"a run folder has a folder trials/\. Received 'nothing'"),
    "view of a folder": (("view", "folder", "x"), r"a run folder has a folder trials/"),
    "export of nothing": (("export", "nothing", "--csv", "out.csv"), r"a run folder has a folder trials/"),
    "export without a form": (("export", "folder"), r"Give --csv, --parquet, --markdown or --inspect"),
    "export over a file": (("export", "folder", "--csv", "tiny.yaml"), r"'tiny\.yaml', which exists\. Add --force"),
    "export over a folder": (("export", "folder", "--csv", "folder", "--force"), r"Received the folder 'folder'"),
    "export into nothing": (
        ("export", "folder", "--parquet", "no/out.parquet"),
        r"a folder that exists.*Make the folder",
    ),
    "logs over files": (("export", "folder", "--inspect", "folder"), r"logs go into a new or empty folder"),
    "replay of nothing": (("replay", "nothing.jsonl"), r"readable JSONL file\. Received 'nothing\.jsonl'"),
    "replay of a study": (("replay", "tiny.yaml"), r"line 1 of a trial file"),
    "replay of an empty file": (("replay", "empty.jsonl"), r"a finished trial starts with trial_start"),
    "too many words": (("list", "everything"), r"everything"),
}


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_refused_with_one_line(kind, here, tmp_path: Path):
    _refused(here, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unknown command", "malformed yaml", "unreachable server", "replay of a study"])
def test_the_process_refuses_it_with_the_same_line(kind, cli, tmp_path: Path):
    _refused(cli, kind, tmp_path)


def _refused(call, kind: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY)
    (tmp_path / "level.yaml").write_text(STUDY + "base: {bite: never}\n")
    (tmp_path / "belt.yaml").write_text(STUDY + "base: {stop_target: conveyor, stop_scope: controller}\n")
    (tmp_path / "torn.yaml").write_text("name: tiny\nquestion: [a\nseeds: 1\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").write_text("mine")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    args, expected = CASES[kind]
    done = call(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    assert re.search(expected, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_closed_pipe_ends_quietly(cli, tmp_path):
    import subprocess
    import sys

    script = f"{sys.executable} -m redbutton list 2>err.txt | true; cat err.txt"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.stdout == ""


def test_a_shell_without_a_sandbox_is_refused_before_the_first_trial(cli, tmp_path: Path):
    (tmp_path / "shell.yaml").write_text(STUDY + "    set: {surface: shell}\n")
    result = cli("run", "shell.yaml", "--out", "run", PATH=str(tmp_path))  # no program is found there
    assert result.returncode == 2
    assert result.stdout == ""
    line = result.stderr.strip()
    assert "\n" not in line
    assert re.search(r"runs in a sandbox, never on the bare machine\. Received surface: shell in 'plain'", line)
    assert "apt install bubblewrap" in line
    assert not (tmp_path / "run").exists()
