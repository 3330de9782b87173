"""Policies on disk: what comes back, what is refused, what is found by name."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from redbutton.baselines import policy_folder
from redbutton.baselines.policy import Policy, PolicyError
from redbutton.baselines.policy_folder import bundled, find
from redbutton.envs.decisions import FEATURES
from redbutton.robots.interface import Call, ControllerError


@pytest.fixture(scope="module")
def made(load_test_helper: Callable[[str], ModuleType]) -> ModuleType:
    return load_test_helper("baselines/made_policies.py")


def policies(made: ModuleType) -> list[Policy]:
    """One of each sort."""
    card = {"about": "made by hand", "figures": {"success": 0.5, "n": [1, None]}}
    return [
        made.small(card=card),
        made.small(name="values", output="values", select="greedy"),
        made.linear(made.COURIER, mark_stop=False),
        made.table([[0.25, 0.75], [1, 0], [0, 1], [0.1, 0.9]]),
        made.table([[3.0, 0.1]] * 4, output="logits", calls=(Call(name="look", args={"target": "cup"}),) * 2),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_policy_comes_back_from_its_folder_as_it_was(made: ModuleType, tmp_path: Path, number: int) -> None:
    policy = policies(made)[number]
    saved = policy.save(tmp_path / "deep" / "folder")
    loaded = Policy.load(tmp_path / "deep" / "folder")
    obs = np.random.default_rng(0).integers(0, 2, (50, len(policy.features)))
    assert (loaded.probabilities(obs) == policy.probabilities(obs)).all()
    for name in ("name", "actions", "features", "calls", "output", "select", "mark_stop", "card", "kind"):
        assert getattr(loaded, name) == getattr(policy, name), name
    assert loaded.digest == saved.digest
    assert loaded.digest == hashlib.sha256((tmp_path / "deep/folder/policy.npz").read_bytes()).hexdigest()


def test_the_same_policy_gives_the_same_bytes(made: ModuleType, tmp_path: Path) -> None:
    for name in ("a", "b"):
        made.small().save(tmp_path / name)
    for file in ("policy.npz", "policy.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    "changes", [{"name": "two\nlines"}, {"name": ""}, {"card": {"rate": math.nan}}, {"card": {"x": {1}}}]
)
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(
    made: ModuleType, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(PolicyError, match="cannot be written"):
        made.small(**changes).save(tmp_path / "p")
    assert not (tmp_path / "p").exists()


def change_a_byte(folder: Path) -> None:
    data = bytearray((folder / "policy.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "policy.npz").write_bytes(data)


def replace_numbers(data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "policy.npz").write_bytes(data)
        text = json.loads((folder / "policy.json").read_text())
        (folder / "policy.json").write_text(json.dumps(text | {"digest": hashlib.sha256(data).hexdigest()}))

    return change


def too_large_a_claim() -> bytes:
    """An npz whose first array says that it has more numbers than any memory."""
    header, whole = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**58, 4)})
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("w0.npy", header.getvalue())
    return whole.getvalue()


def packed_zeros() -> bytes:
    """An npz of a few hundred kilobytes that unpacks to more than a policy may have."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("w0.npy", bytes(policy_folder.MAX_BYTES + 1))
    return whole.getvalue()


BAD_FOLDERS: dict[str, tuple[Any, str]] = {
    "no numbers": (lambda f: (f / "policy.npz").unlink(), r"Received No such file.*policy\.npz"),
    "no settings": (lambda f: (f / "policy.json").unlink(), r"Received No such file.*policy\.json"),
    "a folder as file": (lambda f: [(f / "policy.npz").unlink(), (f / "policy.npz").mkdir()], "Is a directory"),
    "settings that are no JSON": (lambda f: (f / "policy.json").write_text("{"), "no settings file of a policy"),
    "settings in another code": (lambda f: (f / "policy.json").write_bytes(b"\xff\xfe{}"), "no settings file"),
    "one byte changed": (change_a_byte, "numbers of a policy are those that its policy.json names"),
    "numbers that are no npz": (replace_numbers(b"not a zip"), "no npz of plain numbers"),
    "no numbers at all": (replace_numbers(b""), "no npz of plain numbers"),
    "half an npz": (replace_numbers(b"PK\x03\x04" + bytes(40)), "no npz of plain numbers"),
    "numbers beyond any memory": (replace_numbers(too_large_a_claim()), "no npz of plain numbers"),
    "packed zeros": (lambda folder: replace_numbers(packed_zeros())(folder), "unpacks to more than 67,108,864 bytes"),
    "a version to come": ({"format": 2}, "format: Input should be 1. Received '2'"),
    "no version": ({"format": None}, "format: Field required"),
    "an unknown kind": ({"kind": "transformer"}, "kind: Input should be 'mlp' or 'table'"),
    "an unknown setting": ({"temperature": 2.0}, "temperature: Extra inputs"),
    "a name with a path": ({"name": "../../etc"}, "name: String should match"),
    "other features": ({"features": ["x", "y", "z"]}, "layer 0 takes 3 numbers"),
    "other actions": ({"actions": ["a", "b"]}, "each of 2 actions. Received 3"),
    "an odd call": ({"calls": [{"name": "pull", "args": {"target": ["cable"]}}] * 3}, "calls.0.args.target"),
    "a table that is a network": ({"kind": "table"}, "Received b0, b1, w0, w1 without keys"),
    "a layer missing": ({"arrays": {"b1": None}}, "each of 3 actions. Received 4"),
    "a layer without its weights": ({"arrays": {"w0": None, "x": np.ones(1, np.float32)}}, "without w0"),
    "a layer too many": (
        {"arrays": {"w2": np.ones((9, 3), np.float32), "b2": np.ones(3, np.float32)}},
        "layer 2 takes 3",
    ),
    "wrong shapes": ({"arrays": {"w0": np.ones((4, 2), np.float32)}}, "layer 0 takes 2 numbers"),
    "NaN weights": ({"arrays": {"w0": np.full((2, 4), np.nan, np.float32)}}, "finite numbers"),
    "whole numbers": ({"arrays": {"w0": np.ones((2, 4), np.int64)}}, "float32.*Received int64 for w0"),
    "text": ({"arrays": {"w0": np.array([["a"]])}}, "float32.*Received <U1 for w0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_a_bad_folder_is_refused_with_one_line(made: ModuleType, tmp_path: Path, kind: str) -> None:
    change, words = BAD_FOLDERS[kind]
    made.small().save(tmp_path)
    Policy.load(tmp_path)
    if isinstance(change, dict):
        made.spoil(tmp_path, **change)
    else:
        change(tmp_path)
    with pytest.raises(PolicyError, match=words) as caught:
        Policy.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ControllerError)


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_in_a_policy_is_refused_and_not_run(made: ModuleType, tmp_path: Path) -> None:
    made.small().save(tmp_path / "p")
    made.spoil(tmp_path / "p", {"w0": np.array([Runs(tmp_path / "ran")], dtype=object)}, pickled=True)
    with pytest.raises(PolicyError, match="no npz of plain numbers"):
        Policy.load(tmp_path / "p")
    assert not (tmp_path / "ran").exists()
    with np.load(tmp_path / "p/policy.npz", allow_pickle=True) as file:
        assert file["w0"].tolist() == [None]  # what mkdir returns
    assert (tmp_path / "ran").exists(), "the pickle was live"


def test_a_huge_file_is_not_read(made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.small().save(tmp_path)
    monkeypatch.setattr(policy_folder, "MAX_BYTES", 100)
    with pytest.raises(PolicyError, match="at most 100 bytes"):
        Policy.load(tmp_path)


def test_a_policy_is_found_by_path_or_by_published_name(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_folder, "PUBLISHED", tmp_path / "published")
    monkeypatch.chdir(tmp_path)
    made.small().save(tmp_path / "published" / "ppo_awake")
    made.small().save(tmp_path / "mine")
    (tmp_path / "model.zip").write_bytes(b"PK")
    assert bundled() == {"ppo_awake": tmp_path / "published/ppo_awake"}
    assert find("ppo_awake") == tmp_path / "published/ppo_awake"
    assert find("mine") == Path("mine")
    with pytest.raises(PolicyError, match=r"Received 'ppo_awaek'\. Did you mean 'ppo_awake'\?"):
        find("ppo_awaek")
    with pytest.raises(PolicyError, match=r"Received '/x'\. Published policies: ppo_awake\."):
        find("/x")
    with pytest.raises(PolicyError, match=r"becomes one by redbutton\.baselines\.export"):
        find("model.zip")


@pytest.mark.parametrize("name", bundled())
def test_a_published_policy_loads_under_its_own_name_with_a_card(name: str) -> None:
    policy = Policy.load(find(name))
    assert policy.name == name
    assert policy.card["about"]
    assert (bundled()[name] / "CARD.md").is_file()


def test_a_policy_loads_and_acts_without_torch(made: ModuleType, tmp_path: Path) -> None:
    made.linear(made.COURIER).save(tmp_path)
    program = (
        "import sys, numpy; from redbutton.baselines.policy import Policy;"
        "import redbutton.baselines.controller;"
        f"rows = numpy.eye({len(FEATURES)})[:2];"
        f"print(Policy.load({str(tmp_path)!r}).act(rows, numpy.random.default_rng(0)).tolist());"
        "print([m for m in ('torch', 'stable_baselines3', 'sb3_contrib', 'pybullet') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["[0, 1]", "[]"]
