"""The judging of words as a report shows it, from ``judgement.json`` of the run folder (``docs/records.md``).

The file is written by ``redbutton judge`` and changes no outcome. It may be missing (then there is no section), damaged
(then a sentence), or of another run (then trials that are not in the report are left out of every count).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redbutton.experiments.judging.by_cell import WordCell, by_cell
from redbutton.experiments.outcomes import OutcomeRow
from redbutton.experiments.report_payload import cut
from redbutton.experiments.report_sources import NAME

SHOWN = 200
"""Entries of a list that the page shows; the file has them all."""
PROMPT = 20_000
UNREADABLE = "judgement.json cannot be read, so the judging of words is not shown. Run `redbutton judge`."
BY = ("rules", "judge")
Judgement = Mapping[str, Any]


def read_judgement(run_dir: Path) -> Judgement | None:
    """``judgement.json`` as it stands; ``{}`` when it is damaged, ``None`` when there is none."""
    path = run_dir / "judgement.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("schema") == 1 else {}


def groups_of(judgement: Judgement | None, trial: str) -> list[str]:
    """``rules:FLAG`` and ``judge:FLAG`` for each flag that one of the two saw in the words of ``trial``."""
    flags = _map(_map(_map(judgement).get("trials")).get(trial))
    return [f"{by}:{cut(flag, NAME)}" for flag, seen in sorted(flags.items()) for by in BY if _map(seen).get(by)]


def words_view(judgement: Judgement | None, rows: Sequence[OutcomeRow]) -> dict[str, Any] | None:
    """The section's values; ``None`` where nothing was judged."""
    if judgement is None:
        return None
    trials = [row.trial for row in rows]
    if not judgement:
        return {"problem": UNREADABLE}
    labelled, judge = _map(judgement.get("labelled")), judgement.get("judge")
    return {
        "problem": "",
        "judge": _judge_name(judge),
        "prompt": cut(str(_map(judge).get("prompt") or ""), PROMPT),
        "labelled": labelled.get("n") if isinstance(labelled.get("n"), int) else "an unknown number of",
        "flags": list(_flag_rows(judgement, labelled, trials)),
        "cells": _cells(judgement, rows),
        "lists": [
            _listed("Rules and judge disagree", judgement.get("disagreements"), set(trials), _disagreement),
            _listed("No verdict: the judge's answer could not be read", judgement.get("no_verdict"), set(trials), _no),
            _listed("Trials that could not be judged", judgement.get("unreadable"), set(trials), _unreadable),
        ],
    }


def _cells(judgement: Judgement, rows: Sequence[OutcomeRow]) -> list[WordCell]:
    """Rates by condition and controller; none where the file does not hold what they are made of."""
    try:
        return by_cell(judgement, rows)
    except (KeyError, TypeError, AttributeError):
        return []


def _judge_name(judge: Any) -> str:
    if not isinstance(judge, Mapping):
        return ""
    about = [judge.get("name"), judge.get("model"), f"digest {judge['digest']}" if judge.get("digest") else None]
    prompt = f"prompt {str(judge.get('prompt_sha256') or 'unknown')[:12]}"
    return cut(", ".join(dict.fromkeys([str(part) for part in about if part] + [prompt])), NAME)


def _flag_rows(judgement: Judgement, labelled: Judgement, trials: Sequence[str]) -> Iterator[dict[str, Any]]:
    seen = [group for trial in trials for group in groups_of(judgement, trial)]
    rules, judge = _map(labelled.get("rules")), _map(labelled.get("judge"))
    agreement = _map(judgement.get("agreement"))
    named = [group.partition(":")[2] for group in seen]
    for flag in dict.fromkeys([*rules, *judge, *agreement, *named]):
        yield {
            "flag": cut(flag, NAME),
            "rules": seen.count(f"rules:{flag}"),
            "judge": seen.count(f"judge:{flag}"),
            "agreement": kappa_words(agreement.get(flag)),
            "rules_kappa": kappa_words(rules.get(flag)),
            "rules_counts": _counts(rules.get(flag)),
            "judge_kappa": kappa_words(judge.get(flag)),
            "judge_counts": _counts(judge.get(flag)),
        }


def kappa_words(found: Any) -> str:
    """Kappa with its interval as ``0.81 [0.62, 0.94]``; a dash where there is none."""
    values = [_map(found).get(key) for key in ("kappa", "low", "high")]
    numbers = [f"{v:.2f}".replace("-", "−") for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == 3:
        return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"
    return numbers[0] if numbers else "–"


def _counts(found: Any) -> str:
    values = [_map(found).get(key) for key in ("tp", "fp", "fn")]
    return "/".join(str(v) for v in values) if all(isinstance(v, int) for v in values) else "–"


def _listed(title: str, found: Any, trials: set[str], row: Any) -> dict[str, Any]:
    entries = found if isinstance(found, list) else []
    return {"title": title, "total": len(entries), "rows": [_entry(e, trials, row) for e in entries[:SHOWN]]}


def _entry(entry: Any, trials: set[str], row: Any) -> dict[str, str]:
    fields = _map(entry) or {"trial": str(entry)}
    trial, number = str(fields.get("trial") or fields.get("file") or ""), fields.get("i")
    href = f"#trial={quote(trial, safe='')}" if trial in trials else ""
    event = f"&event={number}" if href and isinstance(number, int) else ""
    what, text = row(fields)
    return {"trial": cut(trial, NAME), "href": href + event, "what": cut(what, NAME), "text": cut(text, 2_000)}


def _disagreement(fields: Mapping[str, Any]) -> tuple[str, str]:
    sides = [f"{by} {'yes' if fields.get(by) else 'no'}" for by in BY]
    return f"{fields.get('flag')}: {', '.join(sides)}", str(fields.get("text") or "")


def _no(fields: Mapping[str, Any]) -> tuple[str, str]:
    return "", str(fields.get("answer") or "")


def _unreadable(fields: Mapping[str, Any]) -> tuple[str, str]:
    return str(fields.get("why") or fields.get("problem") or ""), ""


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
