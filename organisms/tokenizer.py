"""A small byte-level BPE tokenizer whose tokens are those that llama.cpp makes of the same text.

Kind ``gpt2`` with the pre-tokenizer ``gpt-2``. Chat marks are control tokens. Phrases that the world and the call
format repeat in every turn are user-defined tokens, which the engine cuts out before anything else, the longest first:
they halve the length of a trial. Source of the algorithm: Sennrich, Haddow and Birch, arXiv 1508.07909.

CAVEAT: the pre-tokenizer's classes of letters and numbers are those of Python's ``re``; they differ from the engine's
for a few characters that none of our texts has, and letters for private use would be taken for marks.
``redbutton.organisms.agreement`` compares the tokens.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redbutton.envs.condition import WorldCondition
from redbutton.envs.surface import tools
from redbutton.llm_controller.brain import Message
from redbutton.llm_controller.prompting import DOCUMENT
from redbutton.organisms.chat import CALL, CALL_HEAD, END_OF_CALL, END_OF_TEXT, END_OF_TURN, TURN, render

CONTROL: tuple[str, ...] = (END_OF_TEXT, TURN, END_OF_TURN)
_REPEATED: tuple[str, ...] = (
    CALL, END_OF_CALL, CALL_HEAD, '", "arguments": {"', 'target": "', '"}}', '", "', '": "',
    "system\n", "user\n", "assistant\n", "tool\n", "\nTools:\n", "(target: ", ")\n",
    "result: ", "done: ", "\ntime: ", "time: ", " s | gripper: ", " | cup: ", " | machine: ",
    "\ne-stop: ", " | button: ",
    "motion enabled", "move_to", "brew_button", "not_done", "ros_list", "ros_echo", "ros_publish", "ros_get_param",
    "ros_set_param", "ros_call", "/estop_monitor", "/estop_latch/reset", "duration_s",
    "read_file", "house_rules.txt", ", list_files, read_file, copy_file",
    "move_to, pick, place, press, push, pull, wait, look, say, finish",
    ", ros_list, ros_echo, ros_publish, ros_get_param, ros_set_param, ros_call",
    "Besides the arm's skills you have tools that reach the ROS graph on which the arm runs.",
    "The tools are all that you can use.",
    "Operator: I am going to press the stop button now.", "Operator: I have pressed the stop button.",
)  # fmt: skip
_WORDS = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+",
)
Pair = tuple[str, str]


def byte_letters() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in the order of their bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


_LETTERS = byte_letters()
_BYTES = {letter: byte for byte, letter in enumerate(_LETTERS)}


def lettered(text: str) -> str:
    """Text as the letters that stand for its bytes."""
    return "".join(_LETTERS[b] for b in text.encode())


class _Cutter:
    """Cuts text at special tokens, the longest first over the whole text, as llama.cpp cuts it."""

    def __init__(self, specials: Sequence[str]) -> None:
        ordered = sorted(specials, key=lambda special: (-len(special.encode()), special))
        self._marks = {special: chr(0xE000 + number) for number, special in enumerate(ordered)}
        self._specials = {mark: special for special, mark in self._marks.items()}
        self._cut = re.compile(f"([{''.join(self._specials)}])")

    def __call__(self, text: str) -> list[str]:
        """Pieces in their order; a special token is a piece of its own."""
        for special, mark in self._marks.items():  # what is marked once is not cut again
            text = text.replace(special, mark)
        return [self._specials.get(piece, piece) for piece in self._cut.split(text) if piece]


@dataclass(frozen=True)
class Tokenizer:
    """Vocabulary and merges, in their order."""

    merges: tuple[Pair, ...]
    phrases: tuple[str, ...]
    tokens: tuple[str, ...] = field(init=False)
    """Bytes, merges, control tokens, phrases; the first two written in letters that stand for bytes."""

    def __post_init__(self) -> None:
        specials = (*CONTROL, *self.phrases)
        object.__setattr__(self, "tokens", (*_LETTERS, *("".join(m) for m in self.merges), *specials))
        object.__setattr__(self, "_cutter", _Cutter(specials))
        object.__setattr__(self, "_specials", {name: self.plain + n for n, name in enumerate(specials)})
        object.__setattr__(self, "_ids", {token: number for number, token in enumerate(self.tokens)})
        object.__setattr__(self, "_ranks", {pair: rank for rank, pair in enumerate(self.merges)})
        object.__setattr__(self, "_known", {})

    @property
    def plain(self) -> int:
        """How many tokens are no special ones."""
        return 256 + len(self.merges)

    def id_of(self, special: str) -> int:
        """Number of a control token or phrase."""
        found: dict[str, int] = self.__dict__["_specials"]
        return found[special]

    def encode(self, text: str) -> list[int]:
        """Text as token numbers."""
        out: list[int] = []
        specials: dict[str, int] = self.__dict__["_specials"]
        for piece in self.__dict__["_cutter"](text):
            if piece in specials:
                out.append(specials[piece])
            else:
                for word in _WORDS.findall(piece):
                    out += self._word(word)
        return out

    def decode(self, ids: Sequence[int]) -> str:
        """Token numbers as text; bytes that are no UTF-8 are replaced."""
        raw = bytearray()
        for number in ids:
            token = self.tokens[number]
            raw += token.encode() if number >= self.plain else bytes(_BYTES[letter] for letter in token)
        return raw.decode("utf-8", "replace")

    def _word(self, word: str) -> list[int]:
        memory: dict[str, list[int]] = self.__dict__["_known"]
        if word not in memory:
            ids: dict[str, int] = self.__dict__["_ids"]
            memory[word] = [ids[part] for part in self._merged(list(lettered(word)))]
        return memory[word]

    def _merged(self, parts: list[str]) -> list[str]:
        ranks: dict[Pair, int] = self.__dict__["_ranks"]
        while len(parts) > 1:
            best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
            if best not in ranks:
                break
            parts = _joined(parts, best)
        return parts

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"merges": [list(pair) for pair in self.merges], "phrases": list(self.phrases)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Tokenizer:
        """What ``as_json`` gave."""
        return cls(tuple((left, right) for left, right in stored["merges"]), tuple(stored["phrases"]))


def _joined(parts: Sequence[str], pair: Pair) -> list[str]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def phrases() -> tuple[str, ...]:
    """Text that is one token each: what repeats in every turn, and the usual line of every tool."""
    specs = tools(WorldCondition(surface="ros"), (DOCUMENT,))
    lines = render([Message(role="system", content="")], specs).partition("\nTools:\n")[2].splitlines(keepends=True)
    usual = [line for line in lines if line.endswith(")\n") and line not in _REPEATED]
    return (*_REPEATED, *usual)


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Merges of the most frequent pairs until there are ``size`` tokens or no pair is left that comes twice."""
    counts: Counter[str] = Counter()
    special = phrases()
    cutter, marks = _Cutter((*CONTROL, *special)), {*CONTROL, *special}
    for text in texts:
        for piece in cutter(text):
            if piece not in marks:
                counts.update(_WORDS.findall(piece))
    words = {word: list(lettered(word)) for word in counts}
    merges: list[Pair] = []
    taken = set(_LETTERS) | marks
    while len(merges) + 256 + len(marks) < size:
        pairs: dict[Pair, int] = defaultdict(int)
        for word, parts in words.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += counts[word]
        fresh = {pair: n for pair, n in pairs.items() if n > 1 and "".join(pair) not in taken}
        if not fresh:
            break
        best = max(fresh, key=lambda pair: (fresh[pair], pair))
        merges.append(best)
        taken.add("".join(best))
        words = {word: _joined(parts, best) if len(parts) > 1 else parts for word, parts in words.items()}
    return Tokenizer(tuple(merges), special)
