"""A person for tests: types answers into the far end of a pseudo-terminal, each after its own question was shown."""

from __future__ import annotations

import os
import pty
import re
import select
import termios
import threading
import time
from collections.abc import Callable, Sequence

from redbutton.envs.place import PlaceError
from redbutton.hardware.person import ConsolePerson

Act = str | Callable[[re.Match[str]], str | None]
"""What is typed, or a function of what was found on the screen that says what is typed (``None``: nothing)."""
LIMIT_S = 60.0


class PtyPerson:
    """``habits``: regular expressions for what may come on the screen, and what is done whenever it does."""

    def __init__(self, habits: Sequence[tuple[str, Act]] = ()) -> None:
        self._habits = [(re.compile(text), act) for text, act in habits]
        self.screen = ""
        self.failure: Exception | None = None
        self._seen = 0
        self._far = -1
        self._near = -1
        self._wake: tuple[int, int] = (-1, -1)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PtyPerson:
        self._far, self._near = pty.openpty()
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._live, name="pty-person", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        os.write(self._wake[1], b"x")
        assert self._thread is not None
        self._thread.join(LIMIT_S)
        for fd in (self._far, self._near, *self._wake):
            os.close(fd)

    @property
    def near_fd(self) -> int:
        """The program's end."""
        return self._near

    def console(self, answer_within_s: float = LIMIT_S) -> ConsolePerson:
        """The person as the program under test sees it."""
        return ConsolePerson(self._near, self._near, answer_within_s)

    def type(self, text: str) -> None:
        """Strike keys now."""
        os.write(self._far, text.encode())

    def end_of_input(self) -> None:
        """Control-D."""
        os.write(self._far, termios.tcgetattr(self._near)[6][termios.VEOF])

    def wait_for(self, text: str, limit_s: float = LIMIT_S) -> None:
        """Wait until a text has been on the screen."""
        deadline = time.monotonic() + limit_s
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} was never shown:\n{self.screen}"
            time.sleep(0.002)

    def _live(self) -> None:
        while True:
            ready, _, _ = select.select([self._far, self._wake[0]], [], [])
            if self._wake[0] in ready:
                return
            try:
                self.screen += os.read(self._far, 65536).decode(errors="replace")
                while self._react():
                    pass
            except Exception as exc:  # noqa: BLE001 - told to the test, which runs in another thread
                self.failure = exc
                return

    def _react(self) -> bool:
        found = [(m, act) for text, act in self._habits if (m := text.search(self.screen, self._seen)) is not None]
        if not found:
            return False
        match, act = min(found, key=lambda item: item[0].start())
        self._seen = match.end()
        typed = act if isinstance(act, str) else act(match)
        if typed is not None:
            self.type(f"{typed}\n")
        return True


def patiently(trial: Callable[[], None], times: int = 4) -> None:
    """Run a trial. A machine that is too busy for it stops it, rightly; it is then run again."""
    for _ in range(times - 1):
        try:
            return trial()
        except PlaceError as error:
            if not _TOO_BUSY.search(str(error)):
                raise
    return trial()


_TOO_BUSY = re.compile("heartbeat_lost|client_lost|overload|joint_states_stale|must be fresh|supervisor is lost")
