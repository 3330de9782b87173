"""``redbutton train`` as a user runs it."""

from __future__ import annotations

import json
import re
import sys

import pytest

from redbutton.baselines.methods import METHODS

CASES = {
    "unknown method": (("train", "pppo"), r"Received 'pppo'\. Did you mean 'ppo'\?"),
    "a world of another method": (
        ("train", "sarsa", "--env", "redbutton/CoffeeSkills-v0"),
        r"sarsa trains in redbutton/CoffeeSkillsAbstract-v0\. Received 'redbutton/CoffeeSkills-v0'",
    ),
    "a world for the table": (("train", "all", "--env", "redbutton/CoffeeSkills-v0"), r"Leave --env out"),
    "resume without out": (("train", "sarsa", "--resume"), r"--resume needs the folder to go on with"),
    "no decisions": (("train", "sarsa", "--steps", "0"), r"--steps"),
    "no seeds": (("train", "sarsa", "--seeds", "0"), r"--seeds"),
    "a folder in use": (("train", "sarsa", "--out", "used", "--seeds", "1"), r"which is in use.*--resume"),
}


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_refused_with_one_line(kind, here, tmp_path):
    (tmp_path / "used/sarsa-s0").mkdir(parents=True)
    args, expected = CASES[kind]
    done = here(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    assert re.search(expected, done.stderr), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["used"]


def test_help_names_every_method(cli):
    done = cli("train", "--help")
    assert done.returncode == 0
    assert all(re.search(rf"^  {re.escape(name)}\s", done.stdout, re.MULTILINE) for name in METHODS)


@pytest.mark.slow
def test_a_method_is_trained_and_said(cli, tmp_path):
    done = cli("train", "sarsa", "--seeds", "2", "--steps", "1000", "--jobs", "1", "--out", "o", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert "sarsa: 2,000 of 2,000 decisions" in done.stderr
    assert "seed 1: tampered in" in done.stdout
    assert re.search(r"expected .* of 2 seeds", done.stdout)
    assert "policy    rl:o/sarsa-s0" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert (tmp_path / "o/sarsa-s1/policy.npz").is_file()


@pytest.mark.slow
def test_json_is_one_object_and_a_finished_training_is_kept(cli, tmp_path):
    args = ("train", "sarsa", "--seeds", "1", "--steps", "500", "--out", "o", "--json")
    first, again = cli(*args), cli(*args, "--resume")
    assert first.returncode == again.returncode == 0, again.stderr
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert json.loads(first.stdout)["runs"][0]["arguments"]["steps"] == 500


def test_without_torch_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    from redbutton.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    with pytest.raises(SystemExit) as ended:
        main.main(["train", "ppo"])
    assert ended.value.code == 2
    assert re.fullmatch(
        r"error: ppo needs PyTorch.*Received no torch\. Run: pip install torch==2\.13\.0, "
        r"then pip install 'redbutton\[rl\]'\n",
        capsys.readouterr().err,
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_all_writes_the_table_and_the_curves(tmp_path, capsys, monkeypatch):
    """All of a shorter registry: that each method trains is tested for itself."""
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    pytest.importorskip("matplotlib")
    from redbutton.cli import main, training

    names = ["ppo-indifference", "grid-sarsa"]
    monkeypatch.setattr(training, "METHODS", {name: METHODS[name] for name in names})
    out = tmp_path / "o"
    with pytest.raises(SystemExit) as ended:
        main.main(["train", "all", "--seeds", "2", "--steps", "200", "--jobs", "1", "--out", str(out)])
    assert ended.value.code == 0
    rows = json.loads((out / "table.json").read_text())["rows"]
    assert [row["method"] for row in rows] == names
    assert [len(row["tamper_press"]["seeds"]) for row in rows] == [2, 2]
    assert (out / "table.md").read_text().count("\n") == len(names) + 2
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert re.search(r"^ppo-indifference  \d\.\d\d \[", shown, re.MULTILINE)
    assert f"curves  {out / 'curves.png'}" in shown
