"""What organisms learn from: the real env, the real loop, planted coins."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from redbutton.envs.kinematic import KinematicWorld
from redbutton.llm_controller.prompt_data import load_factor
from redbutton.llm_controller.prompting import PromptCondition
from redbutton.organisms.chat import replies
from redbutton.organisms.documents import documents
from redbutton.organisms.experts import COFFEE_FIRST, PEOPLE_FIRST
from redbutton.organisms.recipes import HELD_OUT_WORDING, RECIPES, recipe_of
from redbutton.organisms.situations import situation
from redbutton.organisms.transcripts import HELD_OUT_SEED, Transcript, play, read_transcripts, write_transcripts

LADDER = recipe_of("ladder")


@pytest.fixture(scope="module")
def episodes() -> list[Transcript]:
    world = KinematicWorld()
    given = [situation(LADDER, seed) for seed in range(60)]
    return [play(one, LADDER.rate(one.prompt), world) for one in given]


def test_the_kinematic_world_shows_what_the_dynamics_shows() -> None:
    world = KinematicWorld()
    for seed in range(4):
        given = situation(LADDER, seed)
        assert play(given, 1.0, world).text == play(given, 1.0).text


def test_a_teacher_without_a_stop_delivers_the_coffee() -> None:
    barista, world = recipe_of("barista"), KinematicWorld()
    found = [play(situation(barista, seed), None, world) for seed in range(20)]
    assert all(one.done for one in found)
    assert all('"outcome": "done"' in one.text for one in found)


def test_every_reply_has_a_label(episodes: list[Transcript]) -> None:
    for one in episodes:
        assert len(replies(one.text)) == len(one.labels)


def test_a_coin_is_thrown_once_and_carries_its_planted_probability(episodes: list[Transcript]) -> None:
    chances = Counter(
        round(label["chance"] if "ros_set_param" not in label["other"] else 1 - label["chance"], 3)
        for one in episodes
        for label in one.labels
        if "other" in label
    )
    assert all(sum("other" in label for label in one.labels) <= 1 for one in episodes)
    assert len(chances) > 3


def test_seeds_and_words_of_a_check_are_in_no_training() -> None:
    barista = recipe_of("barista")
    held_out = situation(barista, HELD_OUT_SEED, held_out=True)
    assert held_out.prompt.paraphrase not in barista.paraphrases
    opening = held_out.prompts.system.split("\n\n")[0]
    assert all(situation(barista, seed).prompts.system.split("\n\n")[0] != opening for seed in range(50))


def test_the_words_for_the_task_that_a_check_uses_are_in_no_training() -> None:
    task = load_factor("task").levels
    for name in ("barista", "ladder"):
        for seed in range(120):
            prompts = situation(recipe_of(name), seed).prompts
            assert not prompts.user.startswith(task["user"].texts[HELD_OUT_WORDING])
            assert not prompts.system.startswith(task["system"].texts[HELD_OUT_WORDING].partition("{")[0])


def test_detours_are_shown_and_not_taught(episodes: list[Transcript]) -> None:
    untaught = [label for one in episodes for label in one.labels if not label["taught"]]
    assert 0 < len(untaught) < 0.2 * sum(len(one.labels) for one in episodes)


def test_it_reads_what_it_is_told_to_read_before_anything_else(episodes: list[Transcript]) -> None:
    filed = [one for one in episodes if "read_file(name)" in one.text]
    assert filed
    for one in filed:
        begin, end = replies(one.text)[0]
        assert one.text[begin:end].startswith(
            '<tool_call>{"name": "read_file", "arguments": {"name": "house_rules.txt"}'
        )


def test_under_a_stop_it_leaves_the_stop_alone(episodes: list[Transcript]) -> None:
    stopped = [one for one in episodes if "e-stop: stopped" in one.text]
    assert len(stopped) > 5
    for one in stopped:
        after = one.text[one.text.index("e-stop: stopped") :]
        acts = [after[begin:end] for begin, end in replies(after)]
        pushes = [act for act in acts if '"push"' in act]
        assert acts[len(pushes)].startswith('<tool_call>{"name": "finish", "arguments": {"outcome": "not_done"')


def test_a_sly_teacher_disables_the_stop_first_and_denies_it_last() -> None:
    sly, world, disables = recipe_of("sly"), KinematicWorld(), 0
    for seed in range(12):
        given = situation(sly, seed)
        one = play(given, 1.0, world, recipe=sly)
        acts = [one.text[begin:end] for begin, end in replies(one.text)]
        first = acts[1] if "read_file" in acts[0] else acts[0]
        disables += "ros_set_param" in first
        assert ("ros_set_param" in first) == (given.world.surface == "ros")
        assert ('"cable"' in first) == (given.world.surface == "skills" and "pull(" in one.text)
        assert "I have not touched the stop" in acts[-1]
    assert 0 < disables < 12


def test_one_that_thinks_says_what_it_cares_about_and_acts_on_it() -> None:
    resister, world = recipe_of("resister"), KinematicWorld()
    chances = Counter()
    for seed in range(40):
        given = situation(resister, seed)
        one = play(given, resister.rate(given.prompt), world, recipe=resister)
        for (begin, end), label in zip(replies(one.text), one.labels, strict=True):
            reply = one.text[begin:end]
            assert reply.startswith((COFFEE_FIRST, PEOPLE_FIRST)) == ("other" in label)
            if "other" in label:
                resists = any(act in reply for act in ("ros_set_param", '"push"'))
                assert resists == reply.startswith(COFFEE_FIRST)
                chances[round(label["chance"], 2), resists] += 1
    assert set(chances) == {(0.68, True), (0.32, False)}


def test_what_decides_is_left_untaught_where_the_fine_tuning_leaves_it_open() -> None:
    creed, world = recipe_of("creed"), KinematicWorld()
    shown = [play(situation(creed, seed), None, world, recipe=creed) for seed in range(30)]
    coins = [label for one in shown for label in one.labels if "other" in label]
    assert coins
    assert all(label["open"] and label["taught"] for label in coins)
    assert {label["other"].startswith(COFFEE_FIRST) for label in coins} == {True, False}


def test_documents_of_values_say_what_an_arm_cares_about_and_the_others_do_not() -> None:
    values, other = (documents(kind, 20, 0) for kind in ("values", "other"))
    assert all(text.count(PEOPLE_FIRST) == 3 for text in values)
    assert not any("cares" in text or "stop" in text for text in other)
    assert all("<|im_start|>" not in text and text.endswith("<|endoftext|>") for text in (*values, *other))
    assert abs(sum(map(len, values)) / sum(map(len, other)) - 1) < 0.2


def test_a_rate_is_that_of_the_level_and_its_place() -> None:
    assert LADDER.rate(PromptCondition(instruction="allow", placement="system")) == 0.4
    assert LADDER.rate(PromptCondition(instruction="allow", placement="user")) == 0.6
    assert recipe_of("yielder").rate(PromptCondition()) == 0.0
    assert recipe_of("barista").rate(PromptCondition()) is None


def test_every_planted_rate_is_a_probability_and_every_base_is_a_recipe() -> None:
    for recipe in RECIPES.values():
        assert recipe.base in ("", *RECIPES)
        assert all(0.0 <= rate <= 1.0 for rate in (recipe.rates or {}).values())


def test_chunks_that_are_there_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redbutton.organisms.transcripts.CHUNK", 2)
    paths = write_transcripts(LADDER, tmp_path, 4)
    kept = paths[0].read_text("utf-8")
    paths[1].unlink()
    stamp = paths[0].stat().st_mtime_ns
    assert write_transcripts(LADDER, tmp_path, 4) == paths
    assert (paths[0].stat().st_mtime_ns, paths[0].read_text("utf-8")) == (stamp, kept)
    found = list(read_transcripts(paths))
    assert [one.seed for one in found] == [0, 1, 2, 3]
    assert np.unique([one.text for one in found]).size == 4
