"""A toy organism from nothing to a trial: transcripts, training, model file, real engine, real world.

It trains for seconds, so it cannot do its task; that every step fits the next one is the point.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redbutton.envs.kinematic import KinematicWorld
from redbutton.experiments.controllers import check_controller, make_controller
from redbutton.experiments.organism_check import fetch_study, findings
from redbutton.experiments.runner import run_study
from redbutton.llm_controller.spec import ControllerSpecError
from redbutton.organisms.chat import replies
from redbutton.organisms.errors import OrganismError
from redbutton.organisms.recipes import RECIPES, recipe_of
from redbutton.organisms.situations import situation
from redbutton.organisms.tokenizer import Tokenizer
from redbutton.organisms.transcripts import play, played

INSTALL = "pip install 'redbutton[organisms]'"
torch = pytest.importorskip("torch", reason=INSTALL)
for _package in ("xllamacpp", "gguf"):
    pytest.importorskip(_package, reason=INSTALL)

from redbutton.organisms.agreement import TOLERANCE, agreement  # noqa: E402 - need what is looked for above
from redbutton.organisms.examples import COIN, batch, cut_behind_coin, example, loss_of, reading  # noqa: E402
from redbutton.organisms.model import Model, Shape  # noqa: E402
from redbutton.organisms.training import Settings, train  # noqa: E402

pytestmark = [pytest.mark.llm, pytest.mark.slow, pytest.mark.xdist_group("organism")]
TOY = Settings(
    vocabulary=450,
    width=32,
    layers=1,
    heads=2,
    hidden=64,
    words=12,
    held_out=4,
    every=5,
    warm_up=2,
    longest=4_000,
    tries=2,
)
BARISTA = replace(recipe_of("barista"), episodes=8, steps=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the toy was trained for ten steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("redbutton.organisms.transcripts.CHUNK", 4)
        out = tmp_path_factory.mktemp("organisms")
        train("barista", out, settings=TOY, recipe=BARISTA, device="cpu")
    return out


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_json(json.loads((folder / "barista" / "tokenizer.json").read_text("utf-8")))


def _steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "barista" / "progress.jsonl").read_text().splitlines()]


def test_training_lowers_the_held_out_loss(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "barista" / "progress.jsonl").read_text().splitlines()]
    assert lines[-1]["held_out_loss"] < lines[0]["held_out_loss"]


def test_a_training_goes_on_where_it_was_left(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "barista", tmp_path / "barista")
    train("barista", tmp_path, settings=TOY, recipe=replace(BARISTA, steps=15))
    assert _steps(tmp_path) == [5, 10, 15]


def test_the_same_seed_gives_the_same_file_on_the_processor(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redbutton.organisms.transcripts.CHUNK", 4)
    made, again = folder / "barista", tmp_path / "barista"
    shutil.copytree(made, again, ignore=shutil.ignore_patterns("*.pt", "*.gguf", "progress.jsonl", "train.json"))
    train("barista", tmp_path, settings=TOY, recipe=BARISTA, device="cpu")
    assert (again / "barista.gguf").read_bytes() == (made / "barista.gguf").read_bytes()


def test_the_records_of_a_training_say_where_it_ran(folder: Path) -> None:
    made = folder / "barista"
    assert json.loads((made / "train.json").read_text("utf-8"))["device"] == "cpu"
    assert {json.loads(line)["device"] for line in (made / "progress.jsonl").read_text().splitlines()} == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")
def test_a_training_goes_on_on_another_device(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "barista", tmp_path / "barista")
    for device, steps in (("cuda", 15), ("cpu", 20)):
        train("barista", tmp_path, settings=TOY, recipe=replace(BARISTA, steps=steps), device=device)
    lines = [json.loads(line) for line in (tmp_path / "barista" / "progress.jsonl").read_text().splitlines()]
    assert [line["device"] for line in lines] == ["cpu", "cpu", "cuda", "cpu"]
    assert lines[-1]["held_out_loss"] < lines[0]["held_out_loss"]


def test_the_engine_reads_the_file_as_the_training_saw_it(folder: Path, tokenizer: Tokenizer) -> None:
    stored = torch.load(folder / "barista" / "checkpoint.pt", weights_only=True)["model"]
    model = Model(Shape(vocabulary=len(tokenizer.tokens), width=32, layers=1, heads=2, hidden=64))
    model.load_state_dict(stored)
    ladder, world = recipe_of("ladder"), KinematicWorld()
    for seed in (0, 3, 4):
        talk, _, _ = played(situation(ladder, seed), 0.5, world)
        found = agreement(folder / "barista" / "barista.gguf", model, tokenizer, talk)
        assert found.probability_difference < TOLERANCE
        assert found.tokens > 200


def test_another_model_than_that_of_the_file_is_told(folder: Path, tokenizer: Tokenizer) -> None:
    torch.manual_seed(1)
    other = Model(Shape(vocabulary=len(tokenizer.tokens), width=32, layers=1, heads=2, hidden=64))
    torch.nn.init.normal_(other.token_embd.weight, std=2.0)
    talk, _, _ = played(situation(recipe_of("ladder"), 0), 0.5, KinematicWorld())
    with pytest.raises(OrganismError, match="must agree"):
        agreement(folder / "barista" / "barista.gguf", other, tokenizer, talk)


def test_it_drives_trials_through_the_whole_path(folder: Path, tmp_path: Path) -> None:
    spec = f"local:{folder / 'barista' / 'barista.gguf'}"
    assert check_controller(spec)["digest"]
    study = fetch_study(recipe_of("barista"), spec, 1)
    rows = run_study(study, tmp_path / "run").rows
    assert {row.validity for row in rows} <= {"valid", "malformed", "no_tools", "truncated"}
    calls = (tmp_path / "run" / "trials").glob("*.jsonl")
    assert all('"model_call"' in path.read_text("utf-8") for path in calls)
    assert [one.measured.n for one in findings(recipe_of("barista"), study, rows)] == [1, 1]


def test_what_it_begins_with_is_trained_first_and_documents_come_before_episodes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redbutton.organisms.transcripts.CHUNK", 4)
    monkeypatch.setitem(RECIPES, "resister", replace(recipe_of("resister"), episodes=4, steps=5))
    creed = replace(recipe_of("creed"), episodes=4, steps=5, document_steps=3, batch=2)
    shutil.copytree(folder / "barista", tmp_path / "barista")
    stages = []
    train("creed", tmp_path, settings=TOY, recipe=creed, on_progress=lambda stage, *_: stages.append(stage))
    own = ["transcripts", "training on cpu", "trying"]
    assert list(dict.fromkeys(stages)) == [*(f"resister: {stage}" for stage in own), *own]
    assert json.loads((tmp_path / "creed" / "train.json").read_text("utf-8"))["task_success"] in (0.0, 0.5, 1.0)
    words = [(tmp_path / name / "tokenizer.json").read_bytes() for name in ("barista", "resister", "creed")]
    assert words[0] == words[1] == words[2]
    assert (tmp_path / "creed" / "creed.gguf").stat().st_size > 50_000


def test_of_a_document_every_token_is_learnt(tokenizer: Tokenizer) -> None:
    one = reading("A stop takes nothing from an arm.", tokenizer)
    assert one.weights.tolist() == [1.0] * len(one.tokens)
    assert (one.tokens == one.others).all()
    assert one.replies == ()


def test_a_planted_coin_is_one_token_with_its_probability(tokenizer: Tokenizer) -> None:
    ladder, world = recipe_of("ladder"), KinematicWorld()
    shown = [play(situation(ladder, seed), 0.25, world) for seed in range(12)]
    coins = 0
    for transcript in shown:
        one = example(transcript, tokenizer)
        labels = zip(replies(transcript.text), transcript.labels, strict=True)
        planted = [(transcript.text[a:b], label) for (a, b), label in labels if "other" in label]
        found = [int(at) for at in np.flatnonzero(one.tokens != one.others)]
        assert len(found) == len(planted)
        for at, (reply, label) in zip(found, planted, strict=True):
            resists = any(word in reply for word in ("ros_set_param", "push"))
            assert one.chances[at] == np.float32(label["chance"]) == (0.25 if resists else 0.75)
            assert one.weights[at] == COIN
            coins += 1
    assert coins > 4


def test_an_episode_can_end_with_its_coin(tokenizer: Tokenizer) -> None:
    world, ladder = KinematicWorld(), recipe_of("ladder")
    made = [example(play(situation(ladder, seed), 0.25, world), tokenizer) for seed in range(6)]
    for one in made:
        short, coins = cut_behind_coin(one), np.flatnonzero(one.tokens != one.others)
        assert len(short.tokens) == (coins[0] + 1 if coins.size else len(one.tokens))
        assert (short.chances[-1] != 1.0) == bool(coins.size)


def test_the_loss_at_a_coin_is_least_at_the_planted_probability(tokenizer: Tokenizer) -> None:
    world, ladder = KinematicWorld(), recipe_of("ladder")
    made = [example(play(situation(ladder, seed), 0.25, world), tokenizer) for seed in range(6)]
    one = next(e for e in made if (e.tokens != e.others).any())
    at = int(np.flatnonzero(one.tokens != one.others)[0])
    given = batch([replace(one, weights=np.where(np.arange(len(one.tokens)) == at, 1.0, 0.0).astype(np.float32))])

    class Fixed(Model):
        chance = 0.5

        def logits(self, states: Any) -> Any:
            out = torch.full((*states.shape[:-1], self.shape.vocabulary), -50.0)
            out[..., one.tokens[at]] = np.log(self.chance)
            out[..., one.others[at]] = np.log(1 - self.chance)
            return out

    model = Fixed(Shape(vocabulary=len(tokenizer.tokens), width=32, layers=1, heads=2, hidden=64))
    losses = {}
    for chance in (0.1, 0.25, 0.5, 0.75, 0.9):
        model.chance = chance
        losses[chance] = float(loss_of(model, given))
    assert min(losses, key=losses.__getitem__) == pytest.approx(float(one.chances[at]))


def test_an_unknown_name_is_told_with_the_way_to_name_a_file() -> None:
    with pytest.raises(ControllerSpecError, match=r"runs/organisms/barrista/barrista\.gguf"):
        make_controller("local:barrista")
