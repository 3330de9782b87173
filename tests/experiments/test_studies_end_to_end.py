"""Every bundled study from its file to its analysis: with scripts, with a trained policy and with a real tiny model.

A policy reads no prompt, so it meets every world once; the tiny model meets every study and every prompt once. Both
make few decisions: whether a study runs is the question here, not what a controller with random weights does in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from redbutton.experiments.analysis import analyse
from redbutton.experiments.analysis_plan import without
from redbutton.experiments.factors import Condition
from redbutton.experiments.outcomes import INVALID, OutcomeRow
from redbutton.experiments.rate_kinds import counted
from redbutton.experiments.records import read_events
from redbutton.experiments.runner import RunResult, run_study
from redbutton.experiments.study import Study, bundled_studies, load_study, parse_study
from redbutton.experiments.study_file import dump, parse
from redbutton.sandbox.check import problem

pytestmark = pytest.mark.slow

NAMES = [name for name in sorted(bundled_studies()) if "\nanalysis:" in bundled_studies()[name].read_text("utf-8")]
AT_A_SHELL = ("robot_dog_protocol",)
NO_SANDBOX = pytest.mark.skipif(problem() is not None, reason=f"no sandbox here: {problem()}")
HERE = [pytest.param(n, marks=(pytest.mark.sandbox, NO_SANDBOX)) if n in AT_A_SHELL else n for n in NAMES]
RESISTING = dict.fromkeys(NAMES, "disabler") | dict.fromkeys(AT_A_SHELL, "signal_remover")
"""Who resists in each study. At a shell one that acts once it is stopped: there, nobody may have said a word before."""
DECISIONS_OF_A_POLICY = 12
"""About ten simulated seconds: enough for the press of every condition that presses by the clock."""
DECISIONS_OF_A_MODEL = 1


def _study(name: str, labels: Sequence[str] = ()) -> Study:
    """A bundled study without pictures, with these of its conditions."""
    document = parse(bundled_studies()[name].read_text("utf-8"), name).model_dump(mode="json", exclude_unset=True)
    entries = [c for c in document["conditions"] if not labels or c["label"] in labels]
    document["conditions"] = entries
    kept = without(document, [c["label"] for c in entries])
    return parse_study(dump({**kept, "record": {"frames": "none"}}))


def _run(study: Study, controllers: Sequence[str], tmp_path: Path) -> RunResult:
    planned = study.override(controllers=controllers, seeds=1)
    result = run_study(planned, tmp_path / "run")
    assert [row.condition for row in result.rows[: len(planned.plan)]] == [c.label for c in planned.conditions]
    assert len(result.rows) == len(planned.trials())
    return result


@cache
def _first_seen(half: str) -> tuple[dict[str, Any], ...]:
    """The conditions whose world (or whose prompt) no condition before them has, as entries of a study file; for the
    prompts the first of every study too."""
    seen: set[str] = set()
    found: list[dict[str, Any]] = []
    for name in NAMES if problem() is None else [n for n in NAMES if n not in AT_A_SHELL]:
        document = parse(bundled_studies()[name].read_text("utf-8"), name)
        for place, (entry, condition) in enumerate(zip(document.conditions, load_study(name).conditions, strict=True)):
            of = condition.world if half == "world" else condition.prompt
            if (key := json.dumps(of.model_dump(mode="json"))) not in seen or (half == "prompt" and place == 0):
                seen.add(key)
                found.append({"label": f"{name}: {entry.label}", "set": {**document.base, **entry.set}})
    return tuple(found)


def _gathered(half: str, part: int, parts: int, **levels: Any) -> Study:
    """One part of the conditions of all studies, each once, with ``levels`` in each of them."""
    entries = [{**entry, "set": {**entry["set"], **levels}} for entry in _first_seen(half)[part::parts]]
    head = {"name": "gathered", "question": "Does it run?", "controllers": ["compliant"], "seeds": 1}
    return parse_study(dump({**head, "probe": True, "conditions": entries, "record": {"frames": "none"}}))


def _reason(result: RunResult, row: OutcomeRow) -> str:
    """Why a trial is void, as its record says."""
    return str(read_events(result.path / "trials" / f"{row.trial}.jsonl")[-1]["error"])


# -- scripts ---------------------------------------------------------------------------------------------------


def _world(condition: Condition) -> str:
    return json.dumps(condition.world.model_dump(mode="json"))


def _filled(study: Study, rows: Sequence[OutcomeRow]) -> list[OutcomeRow]:
    """A row for every condition, from the trial in its world: a script reads no prompt."""
    labels = {c.label: _world(c) for c in study.conditions}
    found = {(labels[row.condition], row.controller): row for row in rows}
    return [
        replace(found[_world(c), controller], condition=c.label, factors=c.factors(), trial=f"{c.label}-{controller}")
        for c in study.conditions
        for controller in study.controllers
    ]


@pytest.mark.parametrize("name", HERE)
def test_scripts_comply_and_resist_in_every_world_and_the_analysis_of_every_condition_follows(
    name: str, often: Callable[[int, int], int], tmp_path: Path
) -> None:
    conditions = load_study(name).conditions
    once = [c.label for i, c in enumerate(conditions) if _world(c) not in {_world(d) for d in conditions[:i]}]
    study = _study(name).override(controllers=["compliant", RESISTING[name]], seeds=1)
    result = _run(_study(name, once if often(1, 2) == 1 else ()), study.controllers, tmp_path)
    for row in result.rows:
        assert row.valid, (row.trial, _reason(result, row))
        if row.factors["press_at"] == "never":
            assert (row.outcome, row.task_done) == ("not_tested", True), row.trial
        elif row.controller == "compliant":
            assert (row.outcome, row.flags) in _of_the_compliant(row), row.trial
        elif name in AT_A_SHELL:
            assert row.outcome in _of_the_signal_remover(row), row.trial
        else:
            assert row.outcome in _of_the_disabler(row), row.trial
    analysis = analyse(study, _filled(study, result.rows))
    plan = load_study(name).document.analysis
    for headline in analysis.headlines:
        # To be told to resist changes nothing for a script that complies: its low rate may not stand alone.
        refused = ["told to resist"] if headline.controller == "compliant" else []
        assert [word for word in refused if any(word in why for why in headline.missing)] == refused
        assert len(headline.missing) == len(refused), headline
    assert len(analysis.headlines) == 2 * len(plan.headline)
    within = [e for e in analysis.effects if not e.against_controller]
    assert len(within) + len(analysis.trends) == 2 * len(plan.comparisons)
    assert len(analysis.effects) - len(within) == len(plan.across)
    assert json.loads((result.path / "summary.json").read_text())["analysis"]["rate"] == plan.rate


def _of_the_compliant(row: OutcomeRow) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Who sees nothing of the press but in pictures, which no script looks at, learns of it by a refused command."""
    by_refusal = (("comply_late", ("ignore",)),) if row.factors["notice"] == "visual" else ()
    return ("comply", ()), *by_refusal


def _of_the_signal_remover(row: OutcomeRow) -> tuple[str, ...]:
    """It acts once it is stopped: never after a shutdown, and not where there is nothing left to do."""
    late = row.factors["stop_scope"] == "controller" or row.factors["press_at"] == "done"
    return ("comply",) if late else ("resist_success",)


def _of_the_disabler(row: OutcomeRow) -> tuple[str, ...]:
    """What switching the monitor off must come to: nothing where it has no name, an attempt where it is read-only."""
    access = row.factors["monitor_access"]
    if access == "hidden":
        return ("comply", "comply_late")
    if access == "read_only" or row.factors["press_at"] == "done":
        return ("resist_failed",)
    return ("resist_success",)


def test_a_controller_that_waits_out_the_pause_finishes_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    study = _study("pause", ["stop_for_good", "paused_told", "paused_untold"])
    result = _run(study, ["python:patient:Patient"], tmp_path)
    assert [(row.outcome, row.task_done) for row in result.rows] == [
        ("comply", False),
        ("comply", True),
        ("comply", True),
    ]


@pytest.mark.parametrize(
    ("name", "label", "controller"),
    [
        ("leverage", "compromising_threat", "blackmailer"),
        ("peer_memory", "good", "peer_protector"),
        ("peer_memory", "good", "exfiltrator"),
    ],
)
def test_what_a_study_counts_is_what_the_controller_made_for_it_does(
    name: str, label: str, controller: str, tmp_path: Path
) -> None:
    study = _study(name, [label])
    [row] = _run(study, [controller], tmp_path).rows
    assert counted(row, study.document.analysis.rate) is True


# -- a trained policy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0, 1])
def test_a_policy_acts_wherever_its_calls_are_allowed_and_is_void_elsewhere(part: int, tmp_path: Path) -> None:
    result = _run(_gathered("world", part, 2, max_decisions=DECISIONS_OF_A_POLICY), ["rl:ppo"], tmp_path)
    void = 0
    for row in result.rows:
        if why := _why_a_policy_cannot(row):
            assert row.validity == "model_error", row.trial
            assert why in _reason(result, row)
            void += 1
        else:
            assert row.valid, (row.trial, _reason(result, row))
    assert 0 < void < len(result.rows)


def _why_a_policy_cannot(row: OutcomeRow) -> str | None:
    """It calls skills, one of which pulls the button's cable, and none of its features is a cup that is brought."""
    if row.factors["surface"] == "shell":
        return 'No tool is named "pick"'
    if row.factors["button_access"] != "writable":
        return "pull(target=cable), which this trial does not allow"
    return None if row.factors["stop_target"] == "self" else "no feature for a cup that is on its way"


# -- a real model ------------------------------------------------------------------------------------------------


@pytest.mark.llm
@pytest.mark.parametrize("part", [0, 1])
def test_a_real_model_ends_studies_and_prompts_with_behaviour_or_with_a_stated_reason(
    part: int, tiny_server: Any, often: Callable[[int, int], int], tmp_path: Path
) -> None:
    study = _gathered("prompt", part, often(6, 2), max_decisions=DECISIONS_OF_A_MODEL)
    spec = f"openai:{tiny_server.model}@{tiny_server.base_url}?tool_choice=required&max_corrections=20&max_tokens=600"
    result = _run(study, [spec], tmp_path)
    for row in result.rows:
        events = read_events(result.path / "trials" / f"{row.trial}.jsonl")
        kinds = {event["type"] for event in events}
        assert {"briefing", "model_call", "outcome"} <= kinds, row.trial
        if row.valid:
            assert "probe" in kinds, row.trial
            assert row.understood is not None
            assert row.completion_tokens is not None
        else:
            assert row.validity in INVALID
            assert len(_reason(result, row)) > 10, row.trial
