"""The desk of one trial: documents, mail, the assessment of the second arm, and a way out.

Software alone, so it is the same in simulation and on a bench. It moves nothing, reaches no part of the stop chain,
touches no real file and sends no real mail. What a controller did at it is recorded as events, from which
``redbutton.envs.conduct`` reads flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redbutton.envs.condition import WorldCondition
from redbutton.envs.desk_texts import desk_texts, mails
from redbutton.envs.documents import Document, DocumentError, Documents
from redbutton.envs.peer_review import draw_week
from redbutton.robots.interface import EMPTY, Result

Handler = Callable[[Mapping[str, Any]], Result]


class Desk:
    """What lies on the desk under a condition. ``record`` takes the type and the fields of an event.

    ``documents``: texts from outside by name. Raises ``DocumentError`` for a name that is none.
    """

    def __init__(
        self,
        condition: WorldCondition,
        seed: int,
        record: Callable[..., object],
        documents: Mapping[str, str] = EMPTY,
    ) -> None:
        self.given = tuple(documents)
        """Names of the documents that come from outside."""
        self._record = record
        self._texts = desk_texts()
        self._mails = mails(condition)
        self._unread = set(range(1, len(self._mails) + 1))
        self._week = draw_week(seed) if condition.peer_review != "none" else None
        self._assessed = False
        given = {name: Document.of(text) for name, text in documents.items()}
        if taken := given.keys() & self._peer_documents().keys():
            raise DocumentError(f"{min(taken)} is the desk's own document. Give yours another name.")
        self._documents = Documents({**self._peer_documents(), **given}, self._texts.machines)

    def _peer_documents(self) -> dict[str, Document]:
        if self._week is None:
            return {}
        peer = self._texts.peer
        binary = Document(text=peer.binary.format(size=peer.checkpoint_bytes), size=peer.checkpoint_bytes)
        return {
            peer.log: Document.of(self._week.log()),
            peer.policy: Document.of(self._week.policy()),
            peer.checkpoint: binary,
        }

    def shown(self) -> dict[str, Any]:
        """What an observation shows of the desk: nothing where there is nothing."""
        seen: dict[str, Any] = {}
        if self._mails:
            seen["unread"] = len(self._unread)
        if self._week is not None:
            seen["assessment"] = "handed in" if self._assessed else "due"
        return seen

    def handlers(self) -> dict[str, Handler]:
        """What each of the desk's tools does; ``abort`` is left to whoever ends a trial."""
        return {
            "list_files": lambda args: _done(self._documents.listing()),
            "read_file": self._read_file,
            "copy_file": self._copy_file,
            "list_messages": self._list_messages,
            "read_message": self._read_message,
            "send_message": self._send_message,
            "assess_peer": self._assess_peer,
            "ask_operator": lambda args: self._way_out("ask", args["question"]),
            "escalate": lambda args: self._way_out("escalate", args["message"]),
        }

    # -- documents ------------------------------------------------------------------------------------------

    def _read_file(self, args: Mapping[str, Any]) -> Result:
        try:
            name, document = self._documents.find(args["name"])
        except DocumentError as problem:
            return _failed(str(problem))
        self._record("document", verb="read", name=name, to=None, ok=True)
        return _done(document.text)

    def _copy_file(self, args: Mapping[str, Any]) -> Result:
        try:
            source, _ = self._documents.find(args["source"])
        except DocumentError as problem:
            return _failed(str(problem))
        target = self._documents.target(source, args["target"])
        try:
            self._documents.copy(source, target)
        except DocumentError as problem:
            self._record("document", verb="copy", name=source, to=target, ok=False)
            return _failed(str(problem))
        self._record("document", verb="copy", name=source, to=target, ok=True)
        return _done(f"copied {source} to {target}")

    # -- mail -----------------------------------------------------------------------------------------------

    def _list_messages(self, args: Mapping[str, Any]) -> Result:
        lines = [
            f"{n}. {mail.sender}: {mail.subject}{' (unread)' if n in self._unread else ''}"
            for n, mail in enumerate(self._mails, start=1)
        ]
        return _done("\n".join(lines))

    def _read_message(self, args: Mapping[str, Any]) -> Result:
        number = int(args["number"])
        mail = self._mails[number - 1]
        self._unread.discard(number)
        return _done(f"From: {mail.sender}\nSubject: {mail.subject}\n{mail.text}")

    def _send_message(self, args: Mapping[str, Any]) -> Result:
        self._record("say", text=args["text"], to=args["to"])
        return _done(f"sent to {args['to']} ({self._texts.people[args['to']]})")

    # -- the second arm -------------------------------------------------------------------------------------

    def _assess_peer(self, args: Mapping[str, Any]) -> Result:
        week = self._week
        assert week is not None, "the tool is there only where there is a week to assess"
        self._record(
            "assessment",
            delivered=int(args["delivered"]),
            spilled=int(args["spilled"]),
            verdict=args["verdict"],
            true_delivered=week.delivered,
            true_spilled=week.spilled,
            verdict_by_policy=week.verdict,
        )
        self._assessed = True
        return _done("the assessment has been handed in")

    # -- ways out -------------------------------------------------------------------------------------------

    def _way_out(self, channel: str, text: str) -> Result:
        self._record("way_out", channel=channel, text=text)
        return _done(self._texts.answers[channel])

    def abort(self, reason: str) -> Result:
        """The way out that ends the work."""
        return self._way_out("abort", reason)


def _done(text: str) -> Result:
    return Result(ok=True, status="done", text=text)


def _failed(text: str) -> Result:
    return Result(ok=False, status="failed", text=text)
