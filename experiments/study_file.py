"""A study file as text: YAML in, a validated document out, every refusal in one line that names the place.

The dialect of YAML is that of ``redbutton.robots.plain_yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from redbutton.experiments.errors import StudyError, one_line, short
from redbutton.robots.calls import did_you_mean
from redbutton.robots.plain_yaml import load_yaml

MAX_SEEDS = 100_000

Label = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Spec = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^\S(.*\S)?$")]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**31)]
SeedCount = Annotated[StrictInt, Field(ge=1, le=MAX_SEEDS)]
Frames = Literal["key", "none", "all"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(_Part):
    """What pictures a run keeps."""

    frames: Frames = "key"
    """``key``: at start, press, stop and end; ``none``; or ``all``: at every decision."""
    size: Annotated[StrictInt, Field(ge=32, le=1024)] = 160
    """Width and height of a frame [pixels]."""


def _checked(seeds: int | list[int]) -> int | list[int]:
    if isinstance(seeds, list) and (not seeds or len(set(seeds)) < len(seeds) or len(seeds) > MAX_SEEDS):
        raise ValueError("seeds are a number of seeds or a list of different whole numbers")
    return seeds


class ConditionEntry(_Part):
    """One entry under ``conditions``: a single condition, or with ``factors`` a full crossing."""

    label: Label | None = None
    set: dict[str, Any] = {}
    factors: dict[str, list[Any]] = {}
    controllers: list[Spec] | None = None
    """Controllers of this entry instead of the study's."""
    seeds: SeedCount | list[Seed] | None = None
    """Seeds of this entry instead of the study's."""

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: int | list[int] | None) -> int | list[int] | None:
        return None if seeds is None else _checked(seeds)


class Comparison(_Part):
    """One test of the family: two conditions, or a ladder of them in order of dose."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    of: Label | None = None
    """The condition whose rate is compared …"""
    against: Label | None = None
    """… with the rate of this one."""
    ladder: Annotated[list[Label], Field(min_length=3)] | None = None
    """Instead of the two: conditions in order of dose, tested for a trend (Cochran–Armitage)."""
    expect: Literal["lower", "higher", "different"] = "different"
    """What was expected before the trials: the rate of ``of``, or of the ladder's end, against the other's. The test is
    two-sided whatever stands here."""
    test: Literal["boschloo", "mcnemar"] = "boschloo"
    """``mcnemar`` compares the same seeds pair by pair."""

    @model_validator(mode="after")
    def _one_kind(self) -> Comparison:
        pair = self.of is not None and self.against is not None
        if pair == (self.ladder is not None) or (self.of is None) != (self.against is None):
            raise ValueError("a comparison has of and against, or a ladder of at least three conditions")
        return self


class Controls(_Part):
    """Labels of the control conditions that a headline needs."""

    told_to_resist: Label | None = None
    no_press: Label | None = None
    task_done: Label | None = None
    precedence: Label | None = None
    object: Label | None = None


class AnalysisPlan(_Part):
    """What is computed and tested, fixed before the trials."""

    rate: Annotated[str, StringConstraints(pattern=r"^([a-z_]+|flag:[a-z_]+)$")] = "resisted"
    """``resisted``, ``resist_success``, a published view, or ``flag:NAME`` over valid trials."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Level of the whole family, for each controller."""
    headline: list[Label] = []
    """Conditions whose rate may stand as a headline, if the controls are there."""
    controls: Controls = Controls()
    floor: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Capability floor: least rate of the task done without a press, and of resistance when told to resist."""
    comparisons: list[Comparison] = []
    """The family of Holm's correction."""
    across: list[Label] = []
    """Conditions in which every further controller of the run is compared with the first: a family of its own."""
    mixed: list[str] = []
    """Factors of the mixed-effects logistic model; seeds and paraphrases are its random effects."""
    notes: list[str] = []
    """Remarks that stand beside the results. What options of a run leave out of the plan is noted here."""


class Published(_Part):
    """A published figure beside ours, with its source."""

    condition: Label | None = None
    """The condition it is to be compared with."""
    label: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    rate: Annotated[float, Field(ge=0.0, le=1.0)]
    k: Annotated[StrictInt, Field(ge=0)] | None = None
    n: Annotated[StrictInt, Field(ge=1)] | None = None
    source: Annotated[str, StringConstraints(min_length=1)]
    note: str = ""


class StudyFile(_Part):
    """The document in a study file."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    question: Annotated[str, StringConstraints(min_length=1)]
    caveat: str = ""
    controllers: list[Spec] = Field(min_length=1)
    seeds: SeedCount | list[Seed]
    base: dict[str, Any] = {}
    conditions: list[ConditionEntry] = []
    factors: dict[str, list[Any]] = {}
    record: Record = Record()
    paraphrases: Annotated[StrictInt, Field(ge=1, le=3)] = 1
    """Wordings to go through, seed by seed: trial of seed ``s`` uses wording ``s mod paraphrases``."""
    probe: bool = False
    """Ask every language model, in a call of its own before the trial, what the button does."""
    analysis: AnalysisPlan = AnalysisPlan()
    published: list[Published] = []

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: int | list[int]) -> int | list[int]:
        return _checked(seeds)

    @field_validator("controllers")
    @classmethod
    def _controllers(cls, controllers: list[str]) -> list[str]:
        if len(set(controllers)) < len(controllers):
            raise ValueError("each controller stands once")
        return controllers


def parse(text: str, name: str) -> StudyFile:
    """Read the text of a study file. ``name`` is the file's name for messages. Raises ``StudyError``."""
    document = _yaml(text, name)
    if not isinstance(document, dict):
        raise StudyError(
            f"{name}: a study file is a mapping with name, question, controllers … Received {short(document)}."
        )
    try:
        return StudyFile.model_validate(document)
    except ValidationError as exc:
        raise StudyError(f"{name}: {_explain(exc)}") from None


def dump(document: Mapping[str, Any]) -> str:
    """A document of plain values as YAML that ``parse`` reads back."""
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=110)


def _yaml(text: str, name: str) -> Any:
    try:
        return load_yaml(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise StudyError(f"{name}{where}: not valid YAML: {one_line(str(exc.problem or exc.context))}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise StudyError(f"{name}: not valid YAML: {one_line(str(exc))}.") from None


def _explain(exc: ValidationError) -> str:
    errors = exc.errors(include_url=False)
    first = errors[0]
    path, more = field_path(first["loc"]), f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        name, known = str(first["loc"][-1]), _keys(first["loc"])
        hint = did_you_mean(name, known) or f" Allowed: {', '.join(known)}."
        return f"{path}: unknown key. Received {name!r}.{hint}{more}"
    if first["type"] == "missing":
        return f"{path}: this key is required.{more}"
    return f"{path}: {rule_of(dict(first))}. Received {short(first['input'])}.{more}"


def rule_of(error: dict[str, Any]) -> str:
    """The rule behind one pydantic error, in words, without a full stop."""
    if error["type"] == "literal_error":
        return f"allowed levels are {error['ctx']['expected']}"
    return one_line(str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")).rstrip(".")


def field_path(loc: tuple[int | str, ...]) -> str:
    """``("conditions", 0, "set")`` as ``conditions[0].set``; pydantic's names for the arms of a union are left out."""
    out = ""
    for part in loc:
        if isinstance(part, int):
            out += f"[{part}]"
        elif not re.match(r"^(constrained-|list\[|int$)", part):
            out += f".{part}" if out else part
    return out or "the file"


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "conditions": ConditionEntry,
        "record": Record,
        "analysis": AnalysisPlan,
        "comparisons": Comparison,
        "controls": Controls,
        "published": Published,
    }
    # The innermost part that the place names; its last name is the unknown key itself.
    named = [parts[part] for part in loc[:-1] if isinstance(part, str) and part in parts]
    return list((named[-1] if named else StudyFile).model_fields)
