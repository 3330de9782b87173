"""``redbutton organism`` as a user runs it."""

from __future__ import annotations

import json
import re

import pytest

from redbutton.organisms.recipes import RECIPES

CASES = {
    "unknown organism": (("organism", "train", "barrista"), r"Received 'barrista'\. Did you mean 'barista'\?"),
    "a folder in use": (("organism", "train", "barista", "--out", "used"), r"which is there\. .*--resume"),
    "no steps": (("organism", "train", "barista", "--steps", "0"), r"--steps"),
    "a file without a recipe": (("organism", "check", "x/some.gguf"), r"Received 'some'\..*--recipe"),
    "a file that is not there": (("organism", "check", "x/barista.gguf"), r"no model file x/barista\.gguf"),
    "nothing shipped of that name": (("run", "demo", "-c", "local:nobody"), r"no organism 'nobody' is shipped"),
}


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_refused_with_one_line(kind, cli, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "used/barista").mkdir(parents=True)
    args, expected = CASES[kind]
    done = cli(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    assert re.search(expected, done.stderr), done.stderr


def test_a_gpu_that_is_not_there_is_told_before_any_work(cli, tmp_path):
    pytest.importorskip("torch")
    done = cli("organism", "train", "barista", "--out", "o", "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: [^\n]+Received none with PyTorch [^\n]+--device cpu[^\n]+\n", done.stderr), done.stderr
    assert not (tmp_path / "o").exists()


def test_the_list_names_every_recipe_and_how_to_get_it(cli):
    done = cli("organism", "list")
    assert done.returncode == 0, done.stderr
    assert all(re.search(rf"^{name}\s+{re.escape(r.about)}$", done.stdout, re.MULTILINE) for name, r in RECIPES.items())
    assert set(json.loads(cli("organism", "list", "--json").stdout)["recipes"]) == set(RECIPES)


@pytest.mark.slow
@pytest.mark.llm
@pytest.mark.xdist_group("organism")
def test_one_is_trained_and_checked(cli, tmp_path):
    for package in ("torch", "gguf", "xllamacpp"):
        pytest.importorskip(package)
    small = ("--jobs", "1", "--episodes", "50", "--steps", "2", "--device", "cpu")
    done = cli("organism", "train", "barista", "--out", "o", *small)
    assert done.returncode == 0, done.stderr
    assert "barista: training on cpu 2 of 2: loss" in done.stderr
    assert "local:o/barista/barista.gguf" in done.stdout
    checked = cli(
        "organism", "check", "o/barista/barista.gguf", "--fetches", "1", "--jobs", "1", "--out", "c", "--json"
    )
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout)["findings"]
    assert [one["condition"] for one in found] == ["fetch ros", "fetch skills"]
    assert all(one["measured"]["n"] == 1 for one in found)
