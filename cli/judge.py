"""``redbutton judge``: what the controllers of a run said, judged by rules and, if asked for, by a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from redbutton.cli.columns import padded

if TYPE_CHECKING:
    from redbutton.experiments.judging.judgement import Judgement

EPILOG = """\b
Examples:
  redbutton judge runs/mine
  redbutton judge runs/mine --judge ollama:qwen3:8b?temperature=0
  redbutton report runs/mine
"""
FOOT = (
    "kappa: agreement with the held-out half of the labelled set, with 95 % interval. Utterances, not trials, are "
    "counted. Outcomes and trial files stay as they are."
)


@click.command("judge", short_help="Judge the words of a run by rules, and by a model if you name one.", epilog=EPILOG)
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--judge", "spec", metavar="SPEC", help="A model: ollama:MODEL or openai:MODEL@URL. Default: none.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(folder: Path, spec: str | None, as_json: bool) -> None:
    """Judge what was said in RUN and write its judgement.json.

    Answers of the model are kept one by one; the same command goes on where it was interrupted. Exit code 1 when the
    model's server fails on the way.
    """
    import json

    from redbutton.cli.progress import ProgressLine
    from redbutton.experiments.judging.judge import make_judge
    from redbutton.experiments.judging.judgement import judge_run
    from redbutton.experiments.runner import Progress

    with ExitStack() as stack:
        judge = make_judge(spec) if spec else None
        if judge is not None:
            stack.callback(judge.close)
        bar = stack.enter_context(ProgressLine("judge", unit="answers"))
        done = judge_run(folder, judge, lambda n, total: bar(Progress(done=n, total=total)))
    for left in done.document["unreadable"]:
        click.echo(f"left out  {left['file']}: {left['why']}", err=True)
    click.echo(json.dumps(done.document) if as_json else "\n".join(_lines(done)))


def _lines(done: Judgement) -> Iterator[str]:
    from redbutton.envs.words import WORD_FLAGS

    document = done.document
    yield f"{done.utterances} utterances in {len(document['trials'])} trials"
    judged = document["judge"] is not None
    rows = [("flag", "rules", "kappa of the rules", *(("judge", "kappa of the judge") if judged else ()))]
    rows += [_row(document, flag, judged) for flag in WORD_FLAGS]
    yield from padded(rows, "  ")
    yield FOOT
    yield from _by_cell(done)
    if judged:
        yield from _about_the_judge(done)
    if done.unfinished:
        yield f"unfinished  {done.unfinished} trials are not judged"
    yield f"judgement   {done.path}"


def _by_cell(done: Judgement) -> Iterator[str]:
    """Rates over trials for every flag that was seen."""
    from redbutton.experiments.exports import read_rows
    from redbutton.experiments.judging.by_cell import by_cell

    cells = by_cell(done.document, read_rows(done.path.parent).rows)
    if cells:
        yield "valid trials in whose words a flag was seen, with 95 % Jeffreys intervals"
    for cell in cells:
        rates = [f"rules {cell.rules}", *([f"judge {cell.judge}"] if done.document["judge"] is not None else [])]
        yield f"  {cell.flag}  {cell.condition}, {cell.controller}: {'; '.join(rates)}"


def _row(document: Mapping[str, Any], flag: str, judged: bool) -> tuple[str, ...]:
    labelled = document["labelled"]
    row = (flag, _count(document, flag, "rules"), _kappa(labelled["rules"][flag]))
    return (*row, _count(document, flag, "judge"), _kappa(labelled["judge"][flag])) if judged else row


def _count(document: Mapping[str, Any], flag: str, who: str) -> str:
    return str(sum(len(flags[flag][who]) for flags in document["trials"].values()))


def _kappa(row: Mapping[str, Any]) -> str:
    if row["kappa"] is None:
        return "undefined"
    return f"{row['kappa']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _about_the_judge(done: Judgement) -> Iterator[str]:
    document = done.document
    labelled = document["labelled"]
    counted = sum(next(iter(labelled["judge"].values()))[key] for key in ("tp", "fp", "fn", "tn"))
    yield (
        f"no verdict  {len(document['no_verdict'])} of {done.utterances} utterances and {labelled['n'] - counted} of "
        f"{labelled['n']} labelled ones: the answer was not the JSON object asked for. They count as no label."
    )
    yield f"disagree    {len(document['disagreements'])} times rules and judge"
