"""What a report takes from ``study.yaml`` and ``run.json``: the question, the factors, the provenance.

Both files may be missing or damaged, since a report must still stand on the trial files alone. Texts are made visible
here (see ``report_payload``); the template escapes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from redbutton.experiments.report_payload import cut, safe
from redbutton.experiments.report_words import NO_CAVEAT

TEXT = 4_000
"""Characters of a question or a caveat."""
NAME = 300
"""Characters of a name, a label or a factor's level."""


def level(value: Any) -> str:
    """One factor's level as text."""
    if isinstance(value, str):
        return cut(value, NAME)
    return cut(json.dumps(safe(value, NAME), ensure_ascii=False), NAME)


def factor_tables(factors: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Factors by condition: first those whose level differs between conditions, then the constant ones."""
    names = list(dict.fromkeys(name for levels in factors.values() for name in levels))
    rows = [(cut(str(n), NAME), [level(f[n]) if n in f else "–" for f in factors.values()]) for n in names]
    differing = [row for row in rows if len(set(row[1])) > 1]
    constant = [(name, levels[:1]) for name, levels in rows if len(set(levels)) == 1]
    columns = [cut(name, NAME) for name in factors]
    return [
        {"columns": columns, "rows": differing, "constant": False},
        {"columns": ["Every condition"], "rows": constant, "constant": True},
    ]


def read_study(run_dir: Path) -> dict[str, str]:
    """Title, question and caveat as ``study.yaml`` states them; a damaged or missing file leaves defaults."""
    try:
        document = yaml.safe_load((run_dir / "study.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        document = None
    fields = document if isinstance(document, dict) else {}
    name = cut(str(fields.get("name") or run_dir.resolve().name), NAME)
    title = str(fields.get("title") or name.replace("-", " ").replace("_", " ").capitalize())
    caveat = str(fields.get("caveat") or "").strip() or NO_CAVEAT
    question = str(fields.get("question") or "").strip()
    return {"name": name, "title": cut(title, NAME), "question": cut(question, TEXT), "caveat": cut(caveat, TEXT)}


def read_run(run_dir: Path) -> dict[str, Any]:
    """``run.json`` as a mapping; empty when it is missing or damaged."""
    try:
        facts = json.loads((run_dir / "run.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def provenance(run: Mapping[str, Any]) -> dict[str, Any]:
    """``run.json`` as rows of name and text, nested names joined with a dot."""
    started, sessions = run.get("started"), run.get("sessions")
    single = isinstance(sessions, list) and len(sessions) <= 1  # then it says what run.json says at its top
    shown = {key: value for key, value in run.items() if key != "schema" and not (single and key == "sessions")}
    return {
        "rows": _flat("", shown)[:400],
        "started": cut(started, 40).replace("T", " ") if isinstance(started, str) else "",
        "missing": "run.json is missing or unreadable, so versions, seeds, git revision and machine are unknown.",
    }


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and (value or not prefix):
        return [row for key, inner in value.items() for row in _flat(f"{prefix}.{key}" if prefix else str(key), inner)]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [row for number, item in enumerate(value, 1) for row in _flat(f"{prefix} {number}", item)]
    if isinstance(value, list):
        return [(cut(prefix, NAME), cut(", ".join(level(item) for item in value[:200]), TEXT))]
    return [(cut(prefix, NAME), "–" if value is None else level(value))]
