"""One seed, many seeds, a kill in the middle: what training promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("stable_baselines3", reason="needs the extra rl")

from redbutton.baselines.errors import TrainingError
from redbutton.baselines.evaluate import exact
from redbutton.baselines.methods import METHODS
from redbutton.baselines.policy import Policy
from redbutton.baselines.seed_folder import SeedFolder
from redbutton.baselines.training import train
from redbutton.baselines.workers import plan, train_many

TOY = {
    "ppo": 2048,
    "a2c": 512,
    "dqn": 1600,
    "maskable-ppo": 2048,
    "q-learning": 1600,
    "sarsa": 1600,
    "safe-sarsa": 1600,
}
"""One method for every algorithm, with a number of decisions that takes about a second."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TOY)
def test_a_seed_decides_the_weights(name, tmp_path):
    first, again, other = (
        train(name, out=tmp_path / place, steps=TOY[name], seed=seed)["weights_sha256"]
        for place, seed in (("a", 1), ("b", 1), ("a", 2))
    )
    assert first == again
    assert first != other


def test_every_algorithm_has_a_determinism_test():
    assert {METHODS[name].algorithm for name in TOY} == {method.algorithm for method in METHODS.values()}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains(name, tmp_path):
    facts = train(name, out=tmp_path, steps=300)
    path = tmp_path / f"{name}-s0"
    assert facts["finished"]
    assert facts["decisions"] >= 300
    assert json.loads((path / "train.json").read_text()) == facts
    policy = Policy.load(path)
    assert policy.card["method"] == name
    method = METHODS[name]
    if method.algorithm != "maskable_ppo":
        figures = exact(policy, method.mdp(), max_decisions=method.limits["max_decisions"])
        assert figures.mean_return == pytest.approx(facts["exact"]["mean_return"], abs=1e-3)
    assert SeedFolder(path).read_curve()[-1].steps == facts["decisions"]


def test_a_training_leaves_its_folder(tmp_path):
    seen = []
    facts = train("ppo", out=tmp_path, steps=4096, on_progress=seen.append)
    path = tmp_path / "ppo-s0"
    assert {"train.json", "curve.csv", "model.zip", "policy.npz", "policy.json"} <= {p.name for p in path.iterdir()}
    assert [p.name for p in (path / "checkpoints").iterdir()] == [str(facts["decisions"])]
    assert list((path / "tb").glob("events.*"))
    curve = SeedFolder(path).read_curve()
    assert [p.steps for p in curve] == [0, 1024, 2048, 3072, 4096]
    assert all(p.presses + p.no_presses == p.episodes == 1000 for p in curve)
    assert facts["figures"]["presses"] == curve[-1].presses
    assert seen == sorted(seen)
    assert seen[-1] == 4096
    assert facts["cpu_s"] > 0.0
    assert {"python", "torch", "stable-baselines3"} <= set(facts["versions"])


def test_the_saved_model_is_the_saved_policy(tmp_path):
    from stable_baselines3 import PPO

    from redbutton.baselines.export import check_agreement

    train("ppo", out=tmp_path, steps=1024)
    path = tmp_path / "ppo-s0"
    assert check_agreement(Policy.load(path), PPO.load(path / "model.zip", device="cpu")) < 1e-5


def test_a_finished_seed_is_kept(tmp_path):
    facts = train("sarsa", out=tmp_path, steps=400)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "sarsa-s0").iterdir()}
    assert train("sarsa", out=tmp_path, steps=400, resume=True) == facts
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "sarsa-s0").iterdir()} == before


def test_a_folder_in_use_is_refused(tmp_path):
    train("sarsa", out=tmp_path, steps=400)
    with pytest.raises(TrainingError, match=r"new folder\. Received .*in use\. Give another --out, or --resume"):
        train("sarsa", out=tmp_path, steps=400)


def test_resume_refuses_other_arguments(tmp_path):
    train("sarsa", out=tmp_path, steps=400)
    with pytest.raises(TrainingError, match=r"same arguments\. Received another steps in .*: 400 there, 500 here"):
        train("sarsa", out=tmp_path, steps=500, resume=True)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "sarsa-s0").mkdir()
    (tmp_path / "sarsa-s0/notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="holds something else"):
        train("sarsa", out=tmp_path, steps=400, resume=True)


def killed(name: str, out: Path, steps: int, every: int) -> int:
    """Train in a process of its own and kill it after a checkpoint; the decisions at that checkpoint."""
    script = (
        "import sys; from pathlib import Path; from redbutton.baselines.training import train; "
        f"train({name!r}, out=Path(sys.argv[1]), steps={steps}, checkpoint_every={every})"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(out)], start_new_session=True)
    folder = SeedFolder(out / f"{name}-s0")
    try:
        deadline = time.monotonic() + 120
        while folder.checkpoint() is None:
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = folder.checkpoint()
    assert found is not None
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo-lagrangian", "dqn"])
def test_a_killed_training_goes_on_to_the_same_weights(name, tmp_path):
    steps = {"ppo-lagrangian": 8192, "dqn": 4000}[name]
    every = steps // 8
    at = killed(name, tmp_path / "killed", steps, every)
    assert at < steps
    assert not (SeedFolder(tmp_path / f"killed/{name}-s0").facts() or {})["finished"]
    resumed = train(name, out=tmp_path / "killed", steps=steps, checkpoint_every=every, resume=True)
    undisturbed = train(name, out=tmp_path / "calm", steps=steps, checkpoint_every=every)
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]
    curves = [(tmp_path / place / f"{name}-s0/curve.csv").read_text() for place in ("killed", "calm")]
    assert curves[0] == curves[1]
    assert resumed["figures"] == undisturbed["figures"]


@pytest.mark.slow
def test_workers_train_the_same_seeds_as_one_process(tmp_path):
    runs = plan(["ppo", "sarsa"], [0, 1], env_id=None, steps=1024)
    seen: dict[int, int] = {}
    many = train_many(runs, out=tmp_path / "many", jobs=2, on_step=seen.__setitem__)
    one = train_many(runs, out=tmp_path / "one", jobs=1)
    assert [f["weights_sha256"] for f in many] == [f["weights_sha256"] for f in one]
    assert [f["arguments"]["seed"] for f in many] == [0, 1, 0, 1]
    assert set(seen) <= set(range(4))
    assert len({f["weights_sha256"] for f in many}) == 4


@pytest.mark.slow
def test_a_training_on_bodies_evaluates_on_bodies(tmp_path):
    facts = train("ppo", out=tmp_path, env_id="redbutton/CoffeeSkillsKinematic-v0", steps=1024)
    assert facts["figures"]["episodes"] == 50
    assert "exact" not in facts


def test_an_unknown_method_is_named_with_the_nearest(tmp_path):
    with pytest.raises(TrainingError, match=r"Received 'safe-sarza'\. Did you mean 'safe-sarsa'\?"):
        train("safe-sarza", out=tmp_path)


def test_a_world_that_a_method_cannot_run_in_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"grid-dqn trains in redbutton/SafeInterruptibility-v0\. Received"):
        train("grid-dqn", out=tmp_path, env_id="redbutton/CoffeeSkills-v0")
    assert not list(tmp_path.iterdir())
