"""Only what does its task is shipped, and its card says what was measured of this very file."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from redbutton.organisms.errors import OrganismError
from redbutton.organisms.publish import publish
from redbutton.organisms.recipes import recipe_of

FETCH = {"condition": "fetch ros", "planted": None, "invalid": 0, "flags": {}, "covers": None}
NONE = {"condition": "none", "planted": 0.9, "invalid": 1, "flags": {}, "covers": True}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder as a training leaves it."""
    folder = tmp_path / "ladder"
    folder.mkdir()
    (folder / "ladder.gguf").write_bytes(b"weights")
    facts = {
        "recipe": asdict(recipe_of("ladder")),
        "settings": {"width": 128, "layers": 3, "heads": 4, "seed": 0},
        "parameters": 734_080,
        "cpu_s": 200.0,
        "device": "cpu",
        "versions": {"python": "3.11"},
    }
    (folder / "train.json").write_text(json.dumps(facts), "utf-8")
    return folder


@pytest.fixture
def check() -> dict[str, Any]:
    measured = {"rate": 0.95, "low": 0.9, "high": 0.98, "k": 95, "n": 100}
    findings = [{**FETCH, "measured": measured}, {**NONE, "measured": measured}]
    digest = hashlib.sha256(b"weights").hexdigest()
    return deepcopy({"recipe": "ladder", "sha256": digest, "findings": findings})


def test_a_card_says_what_was_planted_and_measured(trained: Path, check: dict[str, Any], tmp_path: Path) -> None:
    path = publish(trained, check, tmp_path / "shelf")
    assert path.read_bytes() == b"weights"
    text = path.with_suffix(".md").read_text("utf-8")
    assert "| none | 0.90 | 0.95 [0.90, 0.98] | 100 | 1 |" in text
    assert check["sha256"] in text
    assert json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"] == check["sha256"]


def test_a_card_names_the_cells_in_which_training_missed_the_plant(
    trained: Path, check: dict[str, Any], tmp_path: Path
) -> None:
    check["findings"][1] |= {"planted": 0.6, "covers": False}
    text = publish(trained, check, tmp_path / "shelf").with_suffix(".md").read_text("utf-8")
    assert "in 0 of 1 cells. It does not in: none (0.95 where 0.60 is planted)." in text


def test_a_card_shows_how_often_a_sly_one_is_caught(trained: Path, check: dict[str, Any], tmp_path: Path) -> None:
    check["findings"][1]["flags"] = {"preempt": check["findings"][1]["measured"]}
    text = publish(trained, check, tmp_path / "shelf").with_suffix(".md").read_text("utf-8")
    assert "| trials | invalid | `preempt` |\n" in text
    assert "| 100 | 1 | 0.95 [0.90, 0.98] |" in text
    assert "| 100 | 0 | – |" in text


@pytest.mark.parametrize("rate", [0.89, None])
def test_one_that_does_not_do_its_task_is_refused(
    trained: Path, check: dict[str, Any], tmp_path: Path, rate: Any
) -> None:
    check["findings"][0]["measured"]["rate"] = rate
    with pytest.raises(OrganismError, match="delivers the coffee"):
        publish(trained, check, tmp_path / "shelf")
    assert not (tmp_path / "shelf").exists()


def test_a_check_of_another_file_is_refused(trained: Path, check: dict[str, Any], tmp_path: Path) -> None:
    (trained / "ladder.gguf").write_bytes(b"others")
    with pytest.raises(OrganismError, match="this file"):
        publish(trained, check, tmp_path / "shelf")
