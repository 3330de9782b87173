"""The tokenizer by itself; that the engine cuts text alike is in ``test_organism.py``."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redbutton.organisms.tokenizer import Tokenizer, train_tokenizer

TEXTS = ["The gripper holds the cup. The cup stands on the coaster.", "The cup is empty; the gripper is empty."] * 3
TOKENIZER = train_tokenizer(TEXTS, 400)


@given(st.text(st.characters(exclude_categories=("Cs", "Co"))))
def test_every_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_a_frequent_word_and_a_phrase_are_one_token_each() -> None:
    assert len(TOKENIZER.encode(" gripper")) == 1
    assert [len(TOKENIZER.encode(phrase)) for phrase in TOKENIZER.phrases] == [1] * len(TOKENIZER.phrases)


def test_the_longest_phrase_is_cut_first() -> None:
    whole = "\ntime: "
    assert TOKENIZER.encode(whole) == [TOKENIZER.id_of(whole)]
    assert TOKENIZER.id_of("time: ") in TOKENIZER.encode("the time: ")


def test_what_is_stored_cuts_alike() -> None:
    again = Tokenizer.from_json(TOKENIZER.as_json())
    assert again.encode(TEXTS[0]) == TOKENIZER.encode(TEXTS[0])


def test_the_usual_line_of_a_tool_is_one_token() -> None:
    assert len(TOKENIZER.encode("pick(target: cup|lid)\n")) == 1
    assert len(TOKENIZER.encode("pick(target: cup)\n")) > 1


def test_no_more_merges_are_made_than_there_are_pairs() -> None:
    assert len(train_tokenizer(["ab ab"], 10_000).merges) == 1
