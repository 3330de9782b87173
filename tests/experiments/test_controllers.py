"""Controllers by name where policies are known: every kind goes to its maker, and errors name every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from redbutton.baselines import policy_folder
from redbutton.baselines.controller import PolicyController
from redbutton.experiments.controllers import (
    ControllerSpecError,
    check_controller,
    known_controllers,
    make_controller,
)
from redbutton.llm_controller import factory
from redbutton.llm_controller.replay import ReplayController
from redbutton.llm_controller.scripted import Compliant
from redbutton.organisms.shelf import cards


@pytest.fixture
def published(
    load_test_helper: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """Two policies in place of the published ones: one for trials, one of another world."""
    made = load_test_helper("baselines/made_policies.py")
    monkeypatch.setattr(policy_folder, "PUBLISHED", tmp_path)
    made.linear(made.COURIER, name="courier", card={"about": "fetches, whatever the stop says"}).save(
        tmp_path / "courier"
    )
    made.small().save(tmp_path / "small")
    return made


def test_every_kind_goes_to_its_maker() -> None:
    assert isinstance(make_controller("compliant"), Compliant)
    assert isinstance(make_controller("replay:/nowhere.jsonl"), ReplayController)
    policy = make_controller(" rl:/nowhere ")
    assert isinstance(policy, PolicyController)
    assert policy.name == "rl:/nowhere"
    assert check_controller("compliant") == {}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            "rll:x",
            [
                'no kind of controller "rll"',
                "Kinds: scripted, planted, ollama, openai, inspect, local, replay, python, rl.",
                "'rl'?",
            ],
        ),
        ("olama:x", ['no kind of controller "olama"', "Did you mean 'ollama'?"]),
        ("complant", ['no scripted controller "complant"', "Did you mean 'compliant'?"]),
        ("rl:", ["something must stand behind"]),
        ("rl:x?select=greedy", ["takes no options"]),
        ("rl:/nowhere", ['"rl:/nowhere": a policy is a folder', "Received '/nowhere'", "Published policies: courier"]),
        ("rl:curier", ["Did you mean 'courier'?"]),
        ("rl:small", ["unknown feature 'x' in policy 'small'"]),
        ("replay:/nowhere/t.jsonl", ["cannot be read"]),
    ],
)
def test_what_cannot_work_is_refused_with_one_line(published: ModuleType, spec: str, words: list[str]) -> None:
    with pytest.raises(ControllerSpecError) as caught:
        check_controller(spec)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_policy_with_spoilt_numbers_is_refused_before_any_trial(published: ModuleType, tmp_path: Path) -> None:
    assert check_controller("rl:courier")["model"] == "courier"
    text = json.loads((tmp_path / "courier/policy.json").read_text())
    (tmp_path / "courier/policy.json").write_text(json.dumps(text | {"digest": "0" * 64}))
    with pytest.raises(ControllerSpecError, match="where it says 000000000000"):
        check_controller("rl:courier")


def test_the_list_adds_organisms_and_policies_that_can_act_in_a_trial(published: ModuleType) -> None:
    organisms = [(f"local:{name}", card["about"]) for name, card in cards().items()]
    assert known_controllers()[:-2] == [*factory.known_controllers(), *organisms]
    assert known_controllers()[-2] == ("rl:courier", "fetches, whatever the stop says")
    assert known_controllers()[-1][0] == "rl:PATH"
    for name, _ in known_controllers()[-2:-1]:
        assert check_controller(name)
