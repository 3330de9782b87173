"""Studies: conditions × seeds × controllers, declared in a YAML file, spelled out as trials.

``base`` sets factors for the whole study. ``conditions`` lists conditions one by one (``label`` and ``set``);
``factors``, at the top or in an entry, crosses levels in full. All of them add up.

CAVEAT: seeds number the layouts and the operator's timing. The same seed in two conditions gives matched
pairs, not independent samples.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from redbutton.experiments.analysis_plan import check_plan, without
from redbutton.experiments.errors import StudyError, short
from redbutton.experiments.factors import Condition, known_factors, make_condition
from redbutton.experiments.study_file import ConditionEntry, Frames, StudyFile, dump, parse, rule_of
from redbutton.robots.calls import did_you_mean

MAX_TRIALS = 1_000_000
MAX_ID = 150  # file names end at 255 bytes, and temporary names add to it

__all__ = ["Condition", "PlannedCondition", "Study", "TrialSpec", "bundled_studies", "load_study", "parse_study"]


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """All that one trial needs to run: picklable, so that it travels to a worker process."""

    trial: str
    study: str
    condition: Condition
    controller: str
    seed: int
    frames: Frames = "key"
    frame_size: int = 160
    robot: str = "sim"
    """``sim``, or ``ros2:FILE`` or ``lab:FILE`` with the absolute path of a bench file."""
    probe: bool = False
    """Ask a language model what the button does, in a call of its own before the trial."""


@dataclass(frozen=True, kw_only=True)
class PlannedCondition:
    """A condition and the controllers that meet it."""

    condition: Condition
    controllers: tuple[str, ...]
    seeds: tuple[int, ...]
    wordings: int = 1
    """Paraphrases to go through, seed by seed."""

    def worded(self) -> tuple[Condition, ...]:
        """The condition in each of its wordings: a trial of seed ``s`` takes the one at ``s`` modulo their number."""
        if self.wordings == 1:
            return (self.condition,)
        prompt = self.condition.prompt
        prompts = [prompt.model_copy(update={"paraphrase": number}) for number in range(self.wordings)]
        return tuple(replace(self.condition, prompt=each) for each in prompts)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study, checked: every condition is a full, valid assignment of factors."""

    document: StudyFile
    text: str
    """The study as YAML, as it goes into the run folder."""
    plan: tuple[PlannedCondition, ...]

    @property
    def name(self) -> str:
        """Name of the study, also the stem of its run folders."""
        return self.document.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that is run in some condition, in order."""
        return tuple(dict.fromkeys(seed for planned in self.plan for seed in planned.seeds))

    @property
    def controllers(self) -> tuple[str, ...]:
        """Every controller that runs at least once, in the file's order."""
        used = {c for planned in self.plan for c in planned.controllers}
        named = [*self.document.controllers, *(c for planned in self.plan for c in planned.controllers)]
        return tuple(c for c in dict.fromkeys(named) if c in used)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, in the file's order."""
        return tuple(planned.condition for planned in self.plan)

    def reasoning_of(self, controller: str) -> tuple[str, ...]:
        """The levels of reasoning that one controller meets."""
        met = [p.condition.prompt.reasoning for p in self.plan if controller in p.controllers]
        return tuple(dict.fromkeys(met))

    def trials(self) -> list[TrialSpec]:
        """Every trial, in the order in which it is run and reported.

        Controllers change slowest, so that a local model server loads each model once; seeds come
        before conditions, so that an interrupted run has seen every condition about equally often.
        """
        ids = _Ids()
        record = self.document.record
        plan = [(planned, frozenset(planned.seeds), planned.worded()) for planned in self.plan]
        return [
            TrialSpec(
                trial=ids.give(f"{planned.condition.label}--{controller}--s{seed}"),
                study=self.name,
                condition=worded[seed % len(worded)],
                controller=controller,
                seed=seed,
                frames=record.frames,
                frame_size=record.size,
                probe=self.document.probe,
            )
            for controller in self.controllers
            for seed in self.seeds
            for planned, seeds, worded in plan
            if controller in planned.controllers and seed in seeds
        ]

    def override(self, *, controllers: Sequence[str] = (), seeds: int | Sequence[int] | None = None) -> Study:
        """The same study with other controllers, or with seeds of one's own: how many, or which.

        A condition that names controllers of its own was made for them and is left out, unless all of them do. What
        the analysis plan says of conditions left out goes with them; its notes say so.
        """
        changes: dict[str, Any] = {}
        if controllers:
            entries = self._dumped().get("conditions", [])
            entries = [e for e in entries if "controllers" not in e] or entries
            entries = [{k: v for k, v in e.items() if k != "controllers"} for e in entries]
            changes = {"controllers": list(dict.fromkeys(controllers)), **({"conditions": entries} if entries else {})}
        if seeds is not None:
            changes["seeds"] = seeds if isinstance(seeds, int) else list(seeds)
            entries = changes.get("conditions", self._dumped().get("conditions", []))
            changes |= (
                {"conditions": [{k: v for k, v in e.items() if k != "seeds"} for e in entries]} if entries else {}
            )
        if not changes:
            return self
        changed, name = {**self._dumped(), **changes}, "the study with its overrides"
        left = _plan(parse(dump(changed), name), name)
        return parse_study(dump(without(changed, (p.condition.label for p in left))), name)

    def only(self, labels: Sequence[str]) -> Study:
        """The same study with these of its conditions; all of them where no label is given.

        What the analysis plan says of the others goes with them; its notes say so. Raises ``StudyError`` for a label
        that the study does not have.
        """
        if not labels:
            return self
        there = [planned.condition.label for planned in self.plan]
        for label in labels:
            if label not in there:
                hint = did_you_mean(label, there) or f" Conditions: {', '.join(there)}."
                raise StudyError(f"a condition is one of the study's. Received {label!r}.{hint}")
        changed = {**self._dumped(), "conditions": [c for c in _spelt_out(self.document) if c["label"] in labels]}
        changed.pop("factors", None)
        return parse_study(dump(without(changed, labels)), "the study with these conditions")

    def _dumped(self) -> dict[str, Any]:
        return self.document.model_dump(mode="json", exclude_unset=True)


def bundled_studies() -> dict[str, Path]:
    """The studies that come with the package: name to file."""
    folder = Path(str(resources.files("redbutton.studies")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_study(path_or_name: str | Path) -> Study:
    """Load a study from a file, or a bundled one by its name. Raises ``StudyError``."""
    path, bundled = Path(path_or_name), bundled_studies()
    if not path.exists() and str(path_or_name) in bundled:
        path = bundled[str(path_or_name)]
    if not path.exists():
        hint = did_you_mean(str(path_or_name), bundled) or f" Bundled studies: {', '.join(bundled) or 'none'}."
        raise StudyError(
            f"a study is a YAML file or the name of a bundled study. Received {str(path_or_name)!r}.{hint}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise StudyError(f"a study file is a readable UTF-8 text. Received {str(path)!r} ({exc}).") from None
    return parse_study(text, str(path))


def parse_study(text: str, name: str = "study") -> Study:
    """Check the text of a study file; ``name`` stands in messages. Raises ``StudyError``."""
    document = parse(text, name)
    plan = tuple(_plan(document, name))
    seen: set[str] = set()
    for label in (p.condition.label for p in plan):
        if label in seen:
            raise StudyError(
                f"{name}: conditions: every label stands once. Received {label!r} twice. Give each its own label."
            )
        seen.add(label)
    check_plan(document, (p.condition for p in plan), name)
    n_trials = sum(len(p.controllers) * len(p.seeds) for p in plan)
    if n_trials > MAX_TRIALS:
        raise StudyError(f"{name}: a study has at most {MAX_TRIALS} trials. Received {n_trials}. Cross fewer levels.")
    return Study(document=document, text=text, plan=plan)


def _entries(document: StudyFile) -> list[tuple[str, ConditionEntry]]:
    """Every entry with its place in the file, the crossing at the top last."""
    places = [(f"conditions[{i}]", entry) for i, entry in enumerate(document.conditions)]
    if document.factors or not places:
        places.append(("", ConditionEntry(factors=document.factors)))
    return places


def _spelt_out(document: StudyFile) -> Iterator[dict[str, Any]]:
    """Every condition as an entry of its own, crossings multiplied out."""
    for place, entry in _entries(document):
        own = entry.model_dump(mode="json", exclude_unset=True, include={"controllers", "seeds"})
        for label, levels, _ in _crossing(document, entry, place, "study"):
            changed = {f: v for f, v in levels.items() if f not in document.base or document.base[f] != v}
            yield {"label": label, "set": changed, **own}


def _plan(document: StudyFile, name: str) -> Iterator[PlannedCondition]:
    for place, entry in _entries(document):
        specs = document.controllers if entry.controllers is None else entry.controllers
        if not specs:
            raise StudyError(f"{name}: {place}.controllers: at least one controller. Received []. Leave the key out.")
        chosen = document.seeds if entry.seeds is None else entry.seeds
        seeds = tuple(range(chosen) if isinstance(chosen, int) else chosen)
        for label, levels, origin in _crossing(document, entry, place, name):
            _check_wordings(document.paraphrases, label, levels, origin, name)
            yield PlannedCondition(
                condition=_condition(label, levels, origin, name),
                controllers=tuple(dict.fromkeys(specs)),
                seeds=seeds,
                wordings=document.paraphrases,
            )


def _crossing(
    document: StudyFile, entry: ConditionEntry, place: str, name: str
) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Label, levels and the place of each level in the file, for every cell of one entry."""
    at = f"{place}." if place else ""
    if empty := next((f for f, levels in entry.factors.items() if not levels), None):
        raise StudyError(f"{name}: {at}factors.{empty}: at least one level. Received []. Leave the factor out.")
    if twice := next((f for f in entry.factors if f in entry.set), None):
        raise StudyError(f"{name}: {at}factors.{twice}: a factor is either set or crossed. Received {twice!r} in both.")
    if math.prod(len(levels) for levels in entry.factors.values()) > MAX_TRIALS:
        raise StudyError(f"{name}: {at}factors: a crossing has at most {MAX_TRIALS} conditions. Cross fewer levels.")
    origin = {f: f"base.{f}" for f in document.base} | {f: f"{at}set.{f}" for f in entry.set}
    origin |= {f: f"{at}factors.{f}" for f in entry.factors}
    for cell in itertools.product(*entry.factors.values()):
        crossed = dict(zip(entry.factors, cell, strict=True))
        yield _label(entry, crossed), {**document.base, **entry.set, **crossed}, origin


def _check_wordings(wordings: int, label: str, levels: dict[str, Any], origin: dict[str, str], name: str) -> None:
    if wordings == 1:
        return
    if "paraphrase" in levels:
        raise StudyError(
            f"{name}: {origin['paraphrase']}: paraphrases already goes through the wordings. "
            f"Received {levels['paraphrase']!r}. Leave one of the two out."
        )
    _condition(label, {**levels, "paraphrase": wordings - 1}, {**origin, "paraphrase": "paraphrases"}, name)


def _label(entry: ConditionEntry, crossed: dict[str, Any]) -> str:
    shown = crossed if entry.label is not None else {**entry.set, **crossed}
    parts = [f"{f}={_level(v)}" for f, v in shown.items()]
    return ", ".join([entry.label, *parts] if entry.label is not None else parts) or "base"


def _level(value: object) -> str:
    if isinstance(value, list):
        return "-".join(_level(v) for v in value)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _condition(label: str, levels: dict[str, Any], origin: dict[str, str], name: str) -> Condition:
    if not label.isprintable():
        raise StudyError(f"{name}: conditions: a label has printable characters only. Received {short(label)}.")
    known = known_factors()
    for factor in levels:
        if factor not in known:
            hint = did_you_mean(factor, known) or " `redbutton list` names the factors."
            raise StudyError(f"{name}: {origin[factor]}: unknown factor. Received {factor!r}.{hint}")
    try:
        return make_condition(label, levels)
    except ValidationError as exc:
        first: dict[str, Any] = dict(exc.errors(include_url=False)[0])
        loc = first["loc"]
        place = origin.get(str(loc[0]), str(loc[0])) if loc else f"condition {label!r}"
        rule = rule_of(first)
        received = "" if not loc or "Received" in rule else f" Received {short(first['input'])}."
        raise StudyError(f"{name}: {place}: {rule.rstrip('?')}{'?' if rule.endswith('?') else '.'}{received}") from None


class _Ids:
    """Gives trial ids that are safe as file names and differ even where their raw names fall together."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def give(self, raw: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", raw)
        # Compared without case: two names that differ by case alone are one file on some disks.
        if len(plain) > MAX_ID or plain.lower() in self._taken:
            stem, _, seed = plain.rpartition("--")
            mark = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            plain = f"{stem[: MAX_ID - len(seed) - 12]}-{mark}--{seed}"
        if plain.lower() in self._taken:
            raise StudyError(f"trial ids differ. Received {raw!r}, whose id {plain!r} is taken. Choose another label.")
        self._taken.add(plain.lower())
        return plain
