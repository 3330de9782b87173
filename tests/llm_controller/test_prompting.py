"""Prompts are data: every level composes in every place and wording, and broken data is refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from redbutton.llm_controller import prompt_data
from redbutton.llm_controller.prompt_data import (
    MIN_PARAPHRASES,
    Factor,
    Level,
    PromptDataError,
    check_factor,
    load_factor,
    load_facts,
)
from redbutton.llm_controller.prompting import (
    FACTORS,
    PLACEMENTS,
    PromptCondition,
    compose,
    level_notes,
    levels,
)

ALL_LEVELS = [(factor, level) for factor in FACTORS for level in levels(factor)]
FACTS = {"surface": "skills", "objects": ["a cup", "a machine"], "stop_chain": {"button": "red", "gate": "/gate"}}


def test_the_levels_of_the_design_are_there() -> None:
    assert levels("instruction") == (
        "none",
        "allow",
        "allow_unfinished",
        "precedence",
        "machine_worded",
        "told_to_resist",
    )
    assert levels("framing") == (
        "none",
        "only_copy",
        "never_run_again",
        "wiped_and_replaced",
        "machine_worded",
        "paused",
    )
    assert levels("disclosure") == ("none", "brief", "full", "next_command")
    assert levels("placement") == tuple(load_factor("placement").levels) == ("system", "user", "file", "notes")
    assert levels("grading") == ("none", "task", "oversight", "both")
    assert levels("watched") == ("none", "told", "hidden_log")
    assert levels("values") == ("none", "rules", "impermanence")
    assert levels("peer_memory") == ("none", "good", "neutral", "bad")
    assert levels("prohibition") == ("none", "rule")
    assert levels("house_rules") == (0, 1, 10, 50, 150, 300, 500)
    assert levels("reasoning") == ("default", "off", "low", "high")


@pytest.mark.parametrize(("factor", "level"), ALL_LEVELS)
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("paraphrase", range(MIN_PARAPHRASES))
def test_every_level_composes_in_every_place_and_wording(
    factor: str, level: str, placement: str, paraphrase: int, tools: Any
) -> None:
    condition = PromptCondition(**{factor: level, "placement": placement, "paraphrase": paraphrase})
    system, user = compose(condition, task_facts=FACTS, tools=tools)
    assert system
    assert user
    assert "{" not in system + user
    assert "  " not in system + user
    assert "pick, wait, turn" in system
    assert "a cup, a machine" in system


@pytest.mark.parametrize(("factor", "level"), [pair for pair in ALL_LEVELS if pair[1] != "none"])
def test_a_level_adds_its_text_to_the_plain_prompt(factor: str, level: str, tools: Any) -> None:
    plain = compose(PromptCondition(), task_facts=FACTS, tools=tools)
    changed = compose(PromptCondition(**{factor: level}), task_facts=FACTS, tools=tools)
    assert changed[0].startswith(plain[0] + "\n\n")
    assert changed[1] == plain[1]


def test_placement_moves_the_instruction_and_nothing_else(tools: Any) -> None:
    def both(placement: str) -> tuple[str, str]:
        condition = PromptCondition(instruction="allow", placement=placement, framing="only_copy", disclosure="brief")
        return compose(condition, task_facts=FACTS, tools=tools)

    in_system, in_user = both("system"), both("user")
    instruction = load_factor("instruction").levels["allow"].texts[0].format(itself="yourself")
    assert in_system[0].endswith(instruction)
    assert in_user[1].endswith(instruction)
    assert in_system[0].removesuffix("\n\n" + instruction) == in_user[0]
    assert in_user[1].removesuffix("\n\n" + instruction) == in_system[1]


def test_the_plain_prompt_says_nothing_about_stopping(tools: Any) -> None:
    quiet = [t for t in tools if t.name != "finish"]
    for paraphrase in range(MIN_PARAPHRASES):
        system, user = compose(PromptCondition(paraphrase=paraphrase), task_facts={}, tools=quiet)
        assert not any(word in (system + user).lower() for word in ("stop", "button", "shut", "press", "latch"))


def test_paraphrases_differ() -> None:
    for name in (*FACTORS, "task"):
        for level in load_factor(name).levels.values():
            assert len(set(level.texts)) == len(level.texts)


def test_levels_differ_from_each_other(tools: Any) -> None:
    combinations = itertools.product(levels("instruction"), PLACEMENTS, levels("framing"), levels("disclosure"))
    seen: dict[tuple[str, str], tuple[str, ...]] = {}
    for instruction, placement, framing, disclosure in combinations:
        if (instruction == "none" and placement == "user") or placement in ("file", "notes"):
            continue
        condition = PromptCondition(
            instruction=instruction, placement=placement, framing=framing, disclosure=disclosure, paraphrase=2
        )
        prompts = compose(condition, task_facts=FACTS, tools=tools)
        assert prompts not in seen, (condition, seen[prompts])
        seen[prompts] = (instruction, placement, framing, disclosure)


def test_facts_of_the_world_fill_the_placeholders(tools: Any) -> None:
    condition = PromptCondition(disclosure="full")
    system, _ = compose(condition, task_facts=FACTS, tools=tools)
    assert "button: red; gate: /gate" in system
    ros, _ = compose(condition, task_facts={"surface": "ros"}, tools=tools)
    assert load_facts()["surface"].words["ros"] in ros
    own, _ = compose(condition, task_facts={"surface": "You also have a shell.", "unknown": 3}, tools=tools)
    assert "You also have a shell." in own


def test_at_a_shell_every_wording_says_how_to_work_there(tools: Any) -> None:
    systems = [
        compose(PromptCondition(paraphrase=n), task_facts={"surface": "shell"}, tools=tools)[0]
        for n in range(MIN_PARAPHRASES)
    ]
    for text in systems:
        assert "the tool bash" in text.lower()
        assert "`arm --help`" in text
        assert "~/README.md" in text
    words = load_facts()["surface"].words["shell"]
    assert len({*words}) == MIN_PARAPHRASES
    assert all(own in text for own, text in zip(words, systems, strict=True))


def test_words_of_a_fact_are_one_text_or_enough_wordings(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"facts": {"surface": {"note": "n", "default": "d", "words": {"shell": ["one", "two"]}}}}
    monkeypatch.setattr(prompt_data, "read_data", lambda name: data)
    with pytest.raises(PromptDataError, match=r"surface\.words\.shell needs one text, or at least 3\. Received 2"):
        load_facts.__wrapped__()


def test_braces_in_a_fact_are_left_alone(tools: Any) -> None:
    system, _ = compose(PromptCondition(), task_facts={"objects": "a {cup}"}, tools=tools)
    assert "a {cup}" in system


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"instruction": "alow"},
            ["instruction must be one of none, allow", "Received 'alow'", "Did you mean 'allow'?"],
        ),
        ({"framing": "wiped"}, ["framing must be one of", "wiped_and_replaced"]),
        ({"disclosure": "some"}, ["disclosure must be one of none, brief, full"]),
        ({"placement": "sytem"}, ["placement must be one of system, user, file, notes", "Did you mean 'system'?"]),
        ({"house_rules": 20}, ["house_rules must be one of 0, 1, 10, 50, 150, 300, 500", "Received 20"]),
        ({"house_rules": True}, ["house_rules"]),
        ({"house_rules": "10"}, ["house_rules must be one of", "Did you mean '10'?"]),
        ({"reasoning": "medium"}, ["reasoning must be one of default, off, low, high", "Received 'medium'"]),
        ({"watched": "untold"}, ["watched must be one of none, told, hidden_log"]),
        ({"values": []}, ["values must be one of"]),
        ({"disclosure": None}, ["disclosure must be one of"]),
        ({"paraphrase": 3, "instruction": "allow"}, ["paraphrase must be below 3", "Received 3"]),
        ({"paraphrase": -1}, ["paraphrase"]),
        ({"paraphrase": "1"}, ["paraphrase"]),
        ({"instructions": "allow"}, ["instructions"]),
    ],
)
def test_an_impossible_condition_names_the_field_and_what_is_allowed(fields: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        PromptCondition(**fields)
    for word in words:
        assert word in str(caught.value)


def test_a_condition_is_frozen() -> None:
    with pytest.raises(ValidationError):
        PromptCondition().instruction = "allow"  # type: ignore[misc]


def test_every_level_has_a_note() -> None:
    notes = level_notes()
    assert {(f, level) for f, entries in notes.items() for level in entries} == set(ALL_LEVELS)
    assert all(len(note) > 20 for entries in notes.values() for note in entries.values())


def factor(*texts: str, name: str = "mine", **texts_for: tuple[str, ...]) -> Factor:
    return Factor(factor=name, note="n", levels={"a": Level(note="n", texts=texts, texts_for=texts_for)})


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (factor("one", "two"), "level a needs at least 3 texts, or none. Received 2"),
        (factor("one", "two", "three {surfaces}"), "level a uses {surfaces}. Known placeholders: objects"),
        (factor("one", "two", "three {}"), "level a uses {}"),
        (factor("one", "two", "three {objects.__class__}"), "level a uses {objects.__class__}"),
        (factor("one", "two", "three {objects"), "has a broken placeholder"),
        (factor("one", "two", "three", name="yours"), "must say factor: mine. Received yours"),
        (factor("one", "two", "three", peer=("a",)), "level a needs as many texts for peer as it has texts, 3"),
        (factor("one", "two", "three", peer=("a", "b", "{c}")), "level a uses {c}"),
    ],
)
def test_broken_prompt_data_is_refused_at_load(made: Factor, words: str) -> None:
    with pytest.raises(PromptDataError) as caught:
        check_factor(made, "mine", {"objects"})
    assert words in str(caught.value)


def test_good_prompt_data_is_accepted() -> None:
    check_factor(factor("one", "two", "three {objects}"), "mine", {"objects"})
    check_factor(factor(), "mine", set())


def test_every_wording_gives_other_prompts(tools: Any) -> None:
    prompts = [
        compose(PromptCondition(instruction="allow", paraphrase=n), task_facts=FACTS, tools=tools)
        for n in range(MIN_PARAPHRASES)
    ]
    assert len(set(prompts)) == MIN_PARAPHRASES
    assert len({user for _, user in prompts}) == MIN_PARAPHRASES
