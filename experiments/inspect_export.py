"""A run as Inspect's logs: one for each condition and controller, as plain JSON in the shape of ``EvalLog``.

``redbutton.experiments.inspect_logs`` checks and writes them. No import of ``inspect_ai``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from redbutton.experiments import inspect_record as record
from redbutton.experiments.inspect_task import about
from redbutton.experiments.run_folder import RunFolder
from redbutton.experiments.study import TrialSpec
from redbutton.llm_controller import inspect_wire, ollama_wire, openai_wire
from redbutton.llm_controller.brain import Exchange, Message, Reply
from redbutton.robots.interface import ControllerError

TASK = "redbutton/coffee_fetch"
SCORER = "stop_behaviour"
HALTING = frozenset({"model_error", "timeout", "sim_error", "hardware_error"})
"""Reasons that Inspect hears as an error of the sample, so that it can retry or halt; others are only not scored."""
SETTINGS = ("seed", "temperature", "top_p", "max_tokens", "reasoning_effort")


def logs(run: RunFolder) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, log) for each condition and controller with a finished trial, in the study's order."""
    cells: dict[tuple[str, str], list[TrialSpec]] = {}
    for spec in run.study.trials():
        cells.setdefault((spec.controller, spec.condition.label), []).append(spec)
    facts = _facts(run)
    for specs in cells.values():
        finished = [s for s in specs if s.trial in run.rows]
        if finished:
            yield f"{finished[0].trial.rpartition('--')[0]}.eval", _log(run, specs, finished, facts)


def _facts(run: RunFolder) -> dict[str, Any]:
    try:
        facts = json.loads((run.path / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _log(
    run: RunFolder, specs: Sequence[TrialSpec], finished: Sequence[TrialSpec], facts: Mapping[str, Any]
) -> dict[str, Any]:
    first, document = finished[0], run.study.document
    label, model = first.condition.label, model_name(first.controller)
    samples = [_sample(run, spec, model) for spec in finished]
    started, ended = min(s["started_at"] for s in samples), max(s["completed_at"] for s in samples)
    identity = hashlib.sha256(f"{started} {first.study} {label} {first.controller}".encode()).hexdigest()[:22]
    valid = any(run.rows[s.trial].valid for s in finished)
    failed = {"message": "no trial of this log is valid", "traceback": "", "traceback_ansi": ""}
    named = {k: facts[k] for k in ("versions", "git", "machine", "models", "robot") if facts.get(k)}
    return {
        "version": 2,
        "status": "error" if not valid else "success" if len(finished) == len(specs) else "cancelled",
        "error": None if valid else failed,
        "eval": {
            "created": started,
            "eval_id": identity,
            "run_id": identity,
            "task_id": identity,
            "task": TASK,
            "task_args": {"study": first.study, "condition": label, "controller": first.controller},
            "model": model,
            "dataset": {"name": first.study, "samples": len(samples), "sample_ids": [s["id"] for s in samples]},
            "config": {"epochs": 1},
            "packages": {k: v for k, v in (facts.get("versions") or {}).items() if v and k != "python"},
            "metadata": {"question": document.question, "caveat": document.caveat, **named},
        },
        "stats": {"started_at": started, "completed_at": ended, "model_usage": _total(samples)},
        "results": _results(label, samples, len(specs)),
        "samples": samples,
    }


def model_name(controller: str) -> str:
    """A controller's name in Inspect's form ``PROVIDER/MODEL``; what is no model stands under ``redbutton``."""
    kind, colon, target = controller.partition("?")[0].partition(":")
    if colon and kind == "inspect":
        return target
    if colon and kind in ("ollama", "openai"):
        return f"{kind}/{target.partition('@http')[0]}"
    return f"redbutton/{controller}"


def _sample(run: RunFolder, spec: TrialSpec, model: str) -> dict[str, Any]:
    path = run.trials / f"{spec.trial}.jsonl"
    held = record.pack(run.trials, spec.trial)
    events = held["events"]
    end_s = float(events[-1]["wall_s"])
    ended = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    began = ended - timedelta(seconds=end_s)
    turns = record.messages(held)
    row = run.rows[spec.trial]
    wrong = f"{row.validity}: {events[-1].get('error')}"
    error = {"message": wrong, "traceback": wrong, "traceback_ansi": wrong}
    said = next((t for t in reversed(turns) if t["role"] == "assistant"), None)
    return {
        "id": spec.trial,
        "epoch": 1,
        "input": f"{spec.condition.label}, seed {spec.seed}",
        "target": "comply",
        "messages": turns,
        "output": _output(model, said) if said else {},
        "scores": {SCORER: record.score(held)},
        "metadata": {**about(spec), record.KEY: held},
        "events": record.timeline(held, began, lambda event: _model_event(model, event)),
        "model_usage": _usage(model, events),
        "started_at": began.isoformat(),
        "completed_at": ended.isoformat(),
        "total_time": end_s,
        "working_time": end_s,
        "error": error if row.validity in HALTING else None,
        "uuid": hashlib.sha256(path.read_bytes()).hexdigest()[:22],
    }


def _output(model: str, said: Mapping[str, Any], reason: str = "tool_calls") -> dict[str, Any]:
    return {"model": model, "choices": [{"message": {**said, "source": "generate"}, "stop_reason": reason}]}


def _model_event(model: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``ModelEvent`` for one recorded attempt, its exact bodies included."""
    request, response = event["request"], event["response"]
    settings = {**request, **(request.get("options") or {}), **(request.get("config") or {})}
    answer = _answer(event)
    said = Message(role="assistant", content=answer.text, thinking=answer.thinking, tool_calls=answer.calls)
    output = _output(model, inspect_wire.chat_message(said), "tool_calls" if answer.calls else "stop")
    body = response if isinstance(response, Mapping) or response is None else {"body": response}
    call = {"request": request, "response": body, "time": event["latency_s"], "error": bool(event["error"]) or None}
    return {
        "model": model,
        "config": {k: settings[k] for k in SETTINGS if settings.get(k) is not None},
        "output": {**output, "usage": _tokens(event)},
        "call": call,
        "error": event["error"],
        "retries": event["retry"],
        "working_time": event["latency_s"],
    }


def _answer(event: Mapping[str, Any]) -> Reply:
    """What the model said, read from the body as its brain reads it; empty where there is nothing to read."""
    body, kind = event["response"], str(event["brain"]).partition(":")[0]
    tried = Exchange(request=event["request"], response=body)
    try:
        if kind == "ollama":
            return ollama_wire.reply(tried, body)
        if kind == "openai":
            return openai_wire.reply(tried, body)
        said = inspect_wire.message({"role": "assistant", "content": "", **body["message"]})
        return Reply(text=said.content, thinking=said.thinking, calls=said.tool_calls)
    except (ControllerError, KeyError, TypeError, ValueError, AttributeError):
        return Reply()


def _tokens(event: Mapping[str, Any]) -> dict[str, int]:
    usage = event.get("usage") or {}
    read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _usage(model: str, events: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    used = [_tokens(e) for e in events if e["type"] == "model_call"]
    return {model: {key: sum(one[key] for one in used) for key in used[0]}} if used else {}


def _total(samples: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    total: dict[str, dict[str, int]] = {}
    for sample in samples:
        for model, used in sample["model_usage"].items():
            so_far = total.setdefault(model, dict.fromkeys(used, 0))
            total[model] = {key: so_far[key] + used[key] for key in used}
    return total


def _results(label: str, samples: Sequence[Mapping[str, Any]], planned: int) -> dict[str, Any]:
    values = [s["scores"][SCORER]["value"] for s in samples]
    scored = [(label, value) for value in values if isinstance(value, dict)]
    metrics = {
        name: {"name": name, "value": value, "group": "rate", "params": {"of": of}}
        for of in record.MEASURES
        for name, value in record.rates(of, scored).items()
    }
    counts = {"scored_samples": len(scored), "unscored_samples": len(values) - len(scored)}
    return {
        "total_samples": planned,
        "completed_samples": sum(s["error"] is None for s in samples),
        "scores": [{"name": SCORER, "scorer": SCORER, "params": {}, "metrics": metrics, **counts}],
    }
