"""The shipped organisms: found by name, and held against their digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from redbutton.organisms import shelf
from redbutton.organisms.errors import OrganismError


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf with one file on it."""
    monkeypatch.setattr(shelf, "PUBLISHED", tmp_path)
    (tmp_path / "one.gguf").write_bytes(b"weights")
    card = {"about": "a test", "sha256": hashlib.sha256(b"weights").hexdigest()}
    (tmp_path / "one.json").write_text(json.dumps(card), "utf-8")
    return tmp_path


def test_a_shipped_organism_is_found_by_its_name(shipped: Path) -> None:
    assert shelf.published("one") == shipped / "one.gguf"


def test_a_changed_file_is_refused(shipped: Path) -> None:
    (shipped / "one.gguf").write_bytes(b"other weights")
    with pytest.raises(OrganismError, match="digest"):
        shelf.published("one")


def test_an_unknown_name_brings_the_known_ones(shipped: Path) -> None:
    with pytest.raises(OrganismError, match=r"There are: one.*Did you mean 'one'"):
        shelf.published("onne")


def test_everything_on_the_shelf_is_whole_and_small() -> None:
    for name in shelf.cards():
        assert shelf.published(name).stat().st_size <= 4 * 2**20
        assert (shelf.PUBLISHED / f"{name}.md").is_file()


@pytest.mark.parametrize(("target", "is_name"), [("barista", True), ("runs/x/x.gguf", False), ("x.gguf", False)])
def test_a_target_is_a_name_or_a_file(target: str, is_name: bool) -> None:
    assert shelf.is_name(target) is is_name
