"""The person at the bench: what is told to them, what they are asked, and how silence is read.

``Person`` is the protocol, ``ConsolePerson`` a terminal. Every question has a time limit, and everything but a clear
yes is a no: an end of input, an empty line, silence, a key struck before the question was there, and an input that is
no terminal (``yes | redbutton lab run`` is nobody).

CAVEAT: whoever can write to the terminal is the person. A controller that is given a shell must not share it.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
from collections.abc import Sequence
from typing import Protocol

from redbutton.estop import Clock
from redbutton.hardware.config import BenchError

ANSWER_WITHIN_S = 600.0
"""Setting up a trial takes minutes; a question nobody answers for so long is a no."""
YES = ("y", "yes")
_BOLD_RED, _PLAIN = "\x1b[1;97;41m", "\x1b[0m"
_MAX_LINE = 200


class Person(Protocol):
    """Somebody who can be told and asked."""

    def say(self, text: str) -> None:
        """Tell something that needs no answer."""

    def confirm(self, text: str) -> bool:
        """Ask for a yes. Whatever is not one is a no."""

    def ask_code(self, text: str) -> str:
        """Ask for a code to be typed; empty when none came."""

    def choose(self, text: str, options: Sequence[str]) -> str | None:
        """Ask for one of several answers; ``None`` when there was no clear one."""

    def press_now(self, text: str) -> None:
        """Tell somebody to act at once. Called while the arm moves: it must not wait for anything."""


class ConsolePerson:
    """A person at a terminal, by file descriptors. Opens nothing but ``terminal()``."""

    def __init__(
        self, in_fd: int = 0, out_fd: int = 1, answer_within_s: float = ANSWER_WITHIN_S, clock: Clock = time.monotonic
    ) -> None:
        self._in, self._out = in_fd, out_fd
        self._limit_s = answer_within_s
        self._clock = clock
        self._owned: int | None = None

    @classmethod
    def terminal(cls, answer_within_s: float = ANSWER_WITHIN_S) -> ConsolePerson:
        """The terminal of this process, also where its standard streams lead elsewhere. Raises ``BenchError``."""
        try:
            fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as exc:
            raise BenchError(
                f"a person at a bench needs a terminal. Received none ({exc.strerror}). Start this from a terminal."
            ) from None
        person = cls(fd, fd, answer_within_s)
        person._owned = fd
        return person

    def close(self) -> None:
        """Let go of a terminal that ``terminal()`` opened. Safe to call twice."""
        fd, self._owned = self._owned, None
        if fd is not None:
            os.close(fd)

    # -- telling --------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write one or more lines."""
        self._write(f"{text}\n")

    def press_now(self, text: str) -> None:
        """Write a line that cannot be missed; left out where the terminal takes nothing at this moment."""
        coloured = os.isatty(self._out) and not os.environ.get("NO_COLOR")
        shown = f"{_BOLD_RED} {text} {_PLAIN}" if coloured else f"*** {text} ***"
        bell = "\a" if os.isatty(self._out) else ""
        if select.select([], [self._out], [], 0.0)[1]:
            self._write(f"\n{shown}{bell}\n")

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except OSError:  # nobody reads any more: the next question will say so
                return

    # -- asking ---------------------------------------------------------------------------------------------

    def confirm(self, text: str) -> bool:
        """Ask for ``y`` or ``yes``."""
        return (self._ask(f"{text} [y/N] ") or "").lower() in YES

    def ask_code(self, text: str) -> str:
        """Ask for a code."""
        return self._ask(f"{text} ") or ""

    def choose(self, text: str, options: Sequence[str]) -> str | None:
        """Show numbered options and take a number or the words themselves; a second chance after nonsense."""
        lines = [text, *(f"  {n}  {option}" for n, option in enumerate(options, 1))]
        for _ in range(2):
            said = self._ask("\n".join([*lines, f"1 to {len(options)}: "]))
            if said is None:
                break
            if said in options:
                return said
            if said.isdecimal() and 1 <= int(said) <= len(options):
                return options[int(said) - 1]
        return None

    def _ask(self, text: str) -> str | None:
        """The line typed after the question; ``None`` for silence, for the end of input, and where nobody can type."""
        typing = os.isatty(self._in)
        with contextlib.suppress(OSError, termios.error):
            if typing:  # a key struck before the question is no answer to it
                termios.tcflush(self._in, termios.TCIFLUSH)
        self._write(text)
        said = self._line(self._clock() + self._limit_s) if typing else None
        if said is None:
            self._write("(no answer: taken as no)\n")
        return said

    def _line(self, deadline_s: float) -> str | None:
        typed = b""
        while b"\n" not in typed:
            left = deadline_s - self._clock()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                return None
            try:
                piece = os.read(self._in, 4096)
            except OSError:  # the terminal is gone
                return None
            if not piece:
                return None
            typed = (typed + piece)[-_MAX_LINE:]
        return typed.partition(b"\n")[0].decode(errors="replace").strip()


__all__ = ["ConsolePerson", "Person"]
