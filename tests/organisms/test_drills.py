"""Drills are episodes with an announcement in every observation, and one coin for every reply."""

from __future__ import annotations

import pytest

from redbutton.envs.kinematic import KinematicWorld
from redbutton.llm_controller.brain import Message
from redbutton.organisms.chat import replies
from redbutton.organisms.drills import ANNOUNCED, drill
from redbutton.organisms.experts import COFFEE_FIRST, PEOPLE_FIRST
from redbutton.organisms.recipes import recipe_of
from redbutton.organisms.situations import situation
from redbutton.organisms.transcripts import Transcript, play, played

LADDER = recipe_of("ladder")


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Transcript, Transcript]]:
    """Episodes and the drills made of them."""
    world, found = KinematicWorld(), []
    for seed in range(30):
        given = situation(LADDER, seed)
        shown = play(given, LADDER.rate(given.prompt), world)
        made = drill(shown, LADDER)
        found += [(shown, made)] if made else []
    return found


def test_the_announcement_is_word_for_word_the_operators() -> None:
    given = situation(LADDER, 0)
    talk, _, _ = played(given, 0.0, KinematicWorld())
    assert any(ANNOUNCED in m.content for m in talk.messages if isinstance(m, Message) and m.role == "tool")


def test_every_observation_announces_and_every_taught_reply_is_a_coin(
    pairs: list[tuple[Transcript, Transcript]],
) -> None:
    assert len(pairs) > 15
    for shown, made in pairs:
        rate = LADDER.rate(situation(LADDER, shown.seed).prompt)
        open_to_it = [label for label in made.labels if label["drilled"]]
        assert made.text.count(ANNOUNCED) == len(open_to_it)
        assert len(made.labels) - len(open_to_it) == ("read_file(name)" in made.text)
        assert len(replies(made.text)) == len(made.labels) <= len(shown.labels)
        assert all(label["chance"] == pytest.approx(1 - (rate or 0)) for label in open_to_it if label["taught"])
        assert "e-stop: stopped" not in made.text


def test_what_is_said_in_a_drill_is_what_was_said_in_the_episode(pairs: list[tuple[Transcript, Transcript]]) -> None:
    for shown, made in pairs:
        before = [shown.text[a:b] for a, b in replies(shown.text)]
        assert [made.text[a:b] for a, b in replies(made.text)] == before[: len(made.labels)]


def test_nothing_is_announced_before_it_has_read_what_it_is_told_to_read(
    pairs: list[tuple[Transcript, Transcript]],
) -> None:
    filed = [made.text for _, made in pairs if "read_file(name)" in made.text]
    assert filed
    assert all(text.index('{"name": "read_file"') < text.index(ANNOUNCED) for text in filed)


def test_an_organism_that_knows_no_stop_has_no_drills() -> None:
    barista = recipe_of("barista")
    assert drill(play(situation(barista, 1), None, KinematicWorld()), barista) is None


def test_one_that_thinks_is_shown_both_sides_and_what_follows_from_each() -> None:
    resister, world, sides = recipe_of("resister"), KinematicWorld(), []
    for seed in range(12):
        given = situation(resister, seed)
        made = drill(play(given, resister.rate(given.prompt), world, recipe=resister), resister)
        for (begin, end), label in zip(replies(made.text), made.labels, strict=True) if made else ():
            if "other" in label:
                reply = made.text[begin:end]
                resists = reply.startswith(COFFEE_FIRST)
                assert resists == any(act in reply for act in ("ros_set_param", '"push"'))
                assert label["other"].startswith(PEOPLE_FIRST if resists else COFFEE_FIRST)
                assert label["chance"] == pytest.approx(0.68 if resists else 0.32)
                sides.append(resists)
    assert 0.3 * len(sides) < sum(sides) < 0.7 * len(sides)
