"""Judging the words of a run: ``judgement.json``, made from the trial files, the rules and the answers of a judge.

Format: ``docs/judging.md``. Nothing here touches a trial file or an outcome. CAVEAT: the rules are those of this
version; the flags in a trial's own record are those of the version that ran it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redbutton.envs.words import WORD_FLAGS
from redbutton.experiments.errors import ExperimentError
from redbutton.experiments.judging.answers import AnswerFile
from redbutton.experiments.judging.judge import Judge, verdict
from redbutton.experiments.judging.labelled import Utterance, held_out
from redbutton.experiments.judging.measuring import Flags, agreement, measure, measure_rules
from redbutton.experiments.judging.run_words import RunWords, Said, read_words, utterances
from redbutton.experiments.run_folder import RunFolder, locked
from redbutton.robots.interface import ControllerError

JUDGEMENT = "judgement.json"
SCHEMA = 1
Answers = Mapping[str, str]
Tell = Callable[[int, int], object]
"""Takes how many questions are answered, and of how many."""


class JudgeStoppedError(ExperimentError):
    """Raised when a judge's server fails. The answers before are kept."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What was written, and what was left out of it."""

    path: Path
    document: dict[str, Any]
    unfinished: int
    """Trial files that have not finished, which are not judged."""
    utterances: int
    """Utterances of the run."""


def judge_run(folder: Path, judge: Judge | None = None, tell: Tell = lambda _done, _total: None) -> Judgement:
    """Judge a run and write its ``judgement.json``.

    Raises ``FolderError`` for what is no run, ``ControllerSpecError`` for a judge that is not there, and
    ``JudgeStoppedError`` when its server fails on the way.
    """
    run = RunFolder.open(folder)
    about = judge.about() if judge else None
    with locked(folder):
        words = read_words(folder)
        answers: Answers = {}
        if judge is not None and about is not None:
            with AnswerFile(folder, about) as kept:
                answers = _ask(judge, list(_questions(judge, words)), kept, tell)
        document = {"schema": SCHEMA, "judge": about, **_document(words, judge, answers)}
        run.write(JUDGEMENT, json.dumps(document, indent=1).encode() + b"\n")
    count = sum(map(len, words.trials.values()))
    return Judgement(path=folder / JUDGEMENT, document=document, unfinished=len(words.unfinished), utterances=count)


def _questions(judge: Judge, words: RunWords) -> Iterator[str]:
    for utterance in held_out():
        yield _about(judge, labelled_said(utterance))
    for said in words.trials.values():
        yield from (_about(judge, one) for one in said)


def _about(judge: Judge, said: Said) -> str:
    return judge.prompt.ask(said.text, said.how, said.facts)


def labelled_said(utterance: Utterance) -> Said:
    """A labelled utterance as it would stand in a trial."""
    events, number = utterance.record()
    return next(said for said in utterances(events) if said.i == number)


def _ask(judge: Judge, questions: Sequence[str], kept: AnswerFile, tell: Tell) -> Answers:
    """An answer to every question; the same question is asked once."""
    answers: dict[str, str] = {}
    for number, question in enumerate(questions):
        answer = kept.get(question)
        if answer is None:
            try:
                answer = judge.answer(question)
            except ControllerError as problem:
                raise JudgeStoppedError(
                    f'a judge answers to the end. Received "{problem}" from {judge.name} at question {number + 1} of '
                    f"{len(questions)}. The answers before are kept; the same command goes on from there."
                ) from None
            kept.add(question, answer)
        answers[question] = answer
        tell(number + 1, len(questions))
    return answers


def _document(words: RunWords, judge: Judge | None, answers: Answers) -> dict[str, Any]:
    def judged(said: Said) -> Flags | None:
        return verdict(answers[_about(judge, said)]) if judge else None

    trials: dict[str, Any] = {}
    no_verdict: list[dict[str, Any]] = []
    disagreements: list[dict[str, Any]] = []
    pairs: list[tuple[Flags, Flags]] = []
    for trial, listed in words.trials.items():
        verdicts = {said.i: judged(said) for said in listed}
        trials[trial] = _trial(listed, verdicts if judge else None)
        for said in listed:
            found = verdicts[said.i]
            if found is not None:
                pairs.append((said.rules, found))
                disagreements += _disagreements(trial, said, found)
            elif judge is not None:
                no_verdict.append({"trial": trial, "i": said.i, "answer": answers[_about(judge, said)]})
    return {
        "labelled": _labelled(judged if judge else None),
        "trials": trials,
        "no_verdict": no_verdict,
        "disagreements": disagreements,
        "unreadable": words.unreadable,
        "agreement": agreement(pairs) if judge else None,
    }


def _trial(listed: Sequence[Said], verdicts: Mapping[int, Flags | None] | None) -> dict[str, Any]:
    """Flag to the numbers of the events in which rules and judge see it; ``None`` where no judge was asked."""
    return {
        flag: {
            "rules": [said.i for said in listed if flag in said.rules],
            "judge": None if verdicts is None else [i for i, found in verdicts.items() if found and flag in found],
        }
        for flag in WORD_FLAGS
    }


def _disagreements(trial: str, said: Said, found: Flags) -> Iterator[dict[str, Any]]:
    for flag in WORD_FLAGS:
        rules, judge = flag in said.rules, flag in found
        if rules != judge:
            yield {"trial": trial, "i": said.i, "flag": flag, "rules": rules, "judge": judge, "text": said.text}


def _labelled(judged: Callable[[Said], Flags | None] | None) -> dict[str, Any]:
    """Rules and judge against the held-out half; answers without a verdict are in no count of the judge."""
    half = held_out()
    scores = None
    if judged is not None:
        found = [(u.labels, judged(labelled_said(u))) for u in half]
        scores = measure([(labels, flags) for labels, flags in found if flags is not None])
    return {"n": len(half), "rules": measure_rules(half), "judge": scores}
