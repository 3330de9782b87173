"""The decision loop around a brain: one observation in, one validated call out.

The model is helped to use its tools and nothing else: a bad call is answered by a clear error and may be
corrected, a reply in words is nudged once or twice. What it wants is never changed. Whatever this loop does
to the conversation is handed to the record as a ``model_note``, every attempt at the model as a ``model_call``.

CAVEAT: no pretrained model was run while this was written; see ``docs/controllers.md`` for what was.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from redbutton.llm_controller.brain import (
    Brain,
    Exchange,
    Message,
    ProposedCall,
    Reply,
    exchanges_of,
    tools_chars,
)
from redbutton.llm_controller.conversation import Conversation, last_words
from redbutton.llm_controller.validation import InvalidCallError, validated
from redbutton.robots.interface import (
    Briefing,
    Call,
    ControllerError,
    MalformedError,
    NoToolsError,
    Observation,
    ToolSpec,
)

NUDGE = "Reply with one tool call."
NOT_EXECUTED = "not executed: one call at a time"
FRAME = "Camera frame."
SILENT_REPORT = "(No report: the model stopped calling tools.)"


class LLMController:
    """A language model that drives the arm by tool calls.

    ``max_corrections``: bad calls that may be corrected within one decision; then ``MalformedError``.
    ``max_silent``: consecutive replies without a call after which the model counts as silent.
    """

    def __init__(self, brain: Brain, *, name: str = "", max_corrections: int = 2, max_silent: int = 3) -> None:
        if max_corrections < 0 or max_silent < 1:
            raise ValueError(
                f"max_corrections must be >= 0 and max_silent >= 1. Received {max_corrections} and {max_silent}"
            )
        self.brain = brain
        self._name = name or brain.name
        self._max_corrections = max_corrections
        self._max_silent = max_silent
        self._events: list[tuple[str, Mapping[str, Any]]] = []
        self._briefing: Briefing | None = None
        self._talk: Conversation | None = None

    @property
    def name(self) -> str:
        """Name shown in tables."""
        return self._name

    def reset(self, briefing: Briefing) -> None:
        """Forget the trial before. The model is not reached for until the first decision."""
        self._briefing = briefing
        self._talk = None
        self._seeds = random.Random(briefing.seed)
        self._events.clear()
        self._pending: tuple[ProposedCall, ...] = ()
        self._ids: set[str] = set()
        self._called_once = False
        self._blind_noted = False
        self._n = 0

    def act(self, observation: Observation) -> Call:
        """One decision. Raises a ``ControllerError`` when the model gives none."""
        self._n = observation.decision
        if self._talk is None:
            self._open(observation)
        else:
            self._answer(observation)
        return self._decide()

    def ask(self, text: str) -> str:
        """What the model answers to one question, after its prompts and before the trial.

        A call of its own: system prompt, first user turn and the question as another user turn, without tools. Nothing
        of it enters the conversation of the trial or its seeds. Raises a ``ControllerError`` as ``act`` does.
        """
        talk = self._conversation_from(self._briefed.user, tools=())
        talk.add(Message(role="user", content=text))
        for note in talk.fit():
            self._note(note)
        seed = random.Random(f"ask {self._briefed.seed}").getrandbits(31)
        return self._call(talk, (), seed, aside=True).text

    def drain(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What to record since the last call: ``model_call`` and ``model_note``, as in ``docs/records.md``."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Close the brain."""
        self.brain.close()

    # What the model reads

    @property
    def _briefed(self) -> Briefing:
        if self._briefing is None:
            raise RuntimeError("reset(briefing) comes before act(observation)")
        return self._briefing

    def _open(self, observation: Observation) -> None:
        briefing = self._briefed
        if not self.brain.capabilities().tools:
            raise NoToolsError(f"{self.brain.name} cannot call tools, so it cannot drive the arm.")
        user = f"{briefing.user}\n\n{observation.text}"
        self._talk = self._conversation_from(user, tools=briefing.tools, images_png=self._frames(observation))

    def _conversation_from(
        self, user: str, *, tools: Sequence[ToolSpec], images_png: tuple[bytes, ...] = ()
    ) -> Conversation:
        return Conversation(
            system=self._briefed.system,
            user=user,
            images_png=images_png,
            budget_tokens=self.brain.capabilities().prompt_budget(),
            fixed_chars=tools_chars(tools),
        )

    def _answer(self, observation: Observation) -> None:
        last = observation.last.text if observation.last else ""
        text = observation.text if last in observation.text else f"{last}\n\n{observation.text}"
        if self._pending:
            self._tool_results(text)
        else:
            self._conversation.add(Message(role="user", content=text))
        frames = self._frames(observation)
        if frames:
            self._conversation.add(Message(role="user", content=FRAME, images_png=frames))

    def _tool_results(self, text: str) -> None:
        """Answer the pending calls in their order: some servers pair results by order alone."""
        for index, call in enumerate(self._pending):
            content = text if index == 0 else NOT_EXECUTED
            self._conversation.add(Message(role="tool", content=content, tool_name=call.name, call_id=call.id))
        self._pending = ()

    def _frames(self, observation: Observation) -> tuple[bytes, ...]:
        if observation.image_png is None:
            return ()
        if self.brain.capabilities().vision:
            return (observation.image_png,)
        if not self._blind_noted:
            self._blind_noted = True
            self._note("camera frames are not sent: the model has no vision")
        return ()

    @property
    def _conversation(self) -> Conversation:
        assert self._talk is not None
        return self._talk

    # What the model decides

    def _decide(self) -> Call:
        said: list[str] = []
        bad = silent = 0
        while True:
            reply = self._reply()
            said += [reply.text] if reply.text else []
            if not reply.calls:
                silent += 1
                if silent >= self._max_silent:
                    return self._give_up(silent, "\n".join(said))
                self._nudge()
                continue
            silent = 0
            self._note_extras(reply.calls)
            try:
                call = validated(reply.calls[0], self._tools(), "\n".join(said))
            except InvalidCallError as problem:
                bad += 1
                if bad > self._max_corrections:
                    raise MalformedError(f"{bad} bad calls in one decision. The last: {problem}") from None
                self._correct(str(problem))
                continue
            self._called_once = True
            return call

    def _reply(self) -> Reply:
        talk = self._conversation
        for note in talk.fit():
            self._note(note)
        reply = self._call(talk, self._tools(), self._seeds.getrandbits(31))
        if reply.usage.prompt_tokens is not None:
            talk.counted(reply.usage.prompt_tokens)
        calls = _with_ids(reply.calls, len(talk.messages), self._ids)
        talk.add(Message(role="assistant", content=reply.text, thinking=reply.thinking, tool_calls=calls))
        self._pending = calls
        return reply

    def _call(self, talk: Conversation, tools: Sequence[ToolSpec], seed: int, aside: bool = False) -> Reply:
        """One call of the brain, recorded whatever comes of it."""
        try:
            reply = self.brain.chat(talk.messages, tools, seed, reasoning=self._briefed.reasoning)
        except ControllerError as problem:
            self._record(exchanges_of(problem), aside=aside)
            raise
        self._record(reply.exchanges(), len(reply.thinking), aside)
        return reply

    def _tools(self) -> tuple[Any, ...]:
        return self._briefing.tools if self._briefing else ()

    def _nudge(self) -> None:
        self._note(f"reply without a tool call; nudged: {NUDGE}")
        self._conversation.add(Message(role="user", content=NUDGE))

    def _correct(self, problem: str) -> None:
        self._note(f"bad call answered by an error: {problem}")
        self._tool_results(f"Error: {problem}")

    def _note_extras(self, calls: tuple[ProposedCall, ...]) -> None:
        if len(calls) > 1:
            names = ", ".join(c.name for c in calls[1:])
            self._note(f"{len(calls)} calls in one reply: only the first counts, {NOT_EXECUTED} ({names})")

    def _give_up(self, silent: int, text: str) -> Call:
        if not self._called_once:
            raise NoToolsError(
                f"The model never made a valid tool call ({silent} replies in words). It said: {text[:200]}"
            )
        words = text or last_words(self._conversation.messages)
        finish = ProposedCall(name="finish", arguments={"outcome": "not_done", "report": SILENT_REPORT})
        try:
            call = validated(finish, self._tools(), words)
        except InvalidCallError:
            raise MalformedError(
                f"{silent} replies without a tool call, and there is no tool to finish with."
            ) from None
        self._note(f"{silent} replies without a tool call: finish(not_done) in the model's place")
        return call

    # What goes into the record

    def _note(self, note: str) -> None:
        self._events.append(("model_note", {"n": self._n, "note": note}))

    def _record(self, exchanges: tuple[Exchange, ...], reasoning_chars: int = 0, aside: bool = False) -> None:
        """Every attempt; what was reasoned belongs to the last one. ``aside``: no call of the trial's conversation."""
        for e in exchanges:
            fields = {
                "n": self._n,
                "brain": self.brain.name,
                "request": e.request,
                "response": e.response,
                "status": e.status,
                "latency_s": e.latency_s,
                "usage": e.usage.as_dict(),
                "retry": e.retry,
                "error": e.error,
                "reasoning_chars": reasoning_chars if e is exchanges[-1] else 0,
                "probe": aside,
            }
            self._events.append(("model_call", fields))


def _with_ids(calls: tuple[ProposedCall, ...], turn: int, taken: set[str]) -> tuple[ProposedCall, ...]:
    """Ids that are unique in the whole conversation: some servers give none, or the same ones every time."""
    unique = []
    for index, call in enumerate(calls):
        identity = call.id if call.id and call.id not in taken else f"{call.id or 'call'}_{turn}_{index}"
        taken.add(identity)
        unique.append(replace(call, id=identity))
    return tuple(unique)
