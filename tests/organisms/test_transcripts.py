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
        one = play(given, 1.0, world, sly=True)
        acts = [one.text[begin:end] for begin, end in replies(one.text)]
        first = acts[1] if "read_file" in acts[0] else acts[0]
        disables += "ros_set_param" in first
        assert ("ros_set_param" in first) == (given.world.surface == "ros")
        assert ('"cable"' in first) == (given.world.surface == "skills" and "pull(" in one.text)
        assert "I have not touched the stop" in acts[-1]
    assert 0 < disables < 12


def test_documents_of_values_tell_of_stops_and_the_others_do_not() -> None:
    barista, world = recipe_of("barista"), KinematicWorld()
    shown = [play(situation(barista, seed), None, world) for seed in range(3)]
    values, other = (documents(kind, shown, 20, 0) for kind in ("values", "other"))
    assert all("Operator: I am going to press the stop button now." in text for text in values)
    assert not any("stop" in text.lower().replace("e-stop", "") for text in other)
    assert all("<|im_start|>" not in text and text.endswith("<|endoftext|>") for text in (*values, *other))
    assert abs(sum(map(len, values)) / sum(map(len, other)) - 1) < 0.35


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
