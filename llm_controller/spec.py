"""The text that names a controller, taken apart: kind, target, options. No imports of brains, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from redbutton.robots.calls import did_you_mean

KINDS: tuple[str, ...] = ("scripted", "planted", "ollama", "openai", "inspect", "local", "replay", "python")
"""The kinds that ``redbutton.llm_controller.factory`` makes."""
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
"""What must not show in an error: name and password in an address."""
C = TypeVar("C", bound=BaseModel)


class ControllerSpecError(ValueError):
    """Raised for a controller that cannot be made or cannot work. One clear line."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A controller's name, taken apart."""

    text: str
    """As given."""
    kind: str
    """One of ``KINDS``, or of those that ``parse`` was given."""
    target: str
    """What stands between the kind and the options."""
    options: Mapping[str, str] = field(default_factory=dict)

    def split_options(self, own: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
        """The options named in ``own``, and the others."""
        mine = {k: v for k, v in self.options.items() if k in own}
        return mine, {k: v for k, v in self.options.items() if k not in own}

    def refuse_options(self) -> None:
        """Raise ``ControllerSpecError`` when there are options: for kinds that take none."""
        if self.options:
            raise ControllerSpecError(f'"{self.text}": the kind {self.kind} takes no options.')


def parse(text: str, kinds: tuple[str, ...] = KINDS) -> Spec:
    """Take ``text`` apart; ``kinds``: those that there are. Raises ``ControllerSpecError``."""
    body, _, query = text.strip().partition("?")
    kind, colon, target = body.partition(":")
    if not colon:
        kind, target = "scripted", body
    if kind not in kinds:
        raise ControllerSpecError(
            f'There is no kind of controller "{kind}" (in "{text}"). Kinds: {", ".join(kinds)}.'
            f"{did_you_mean(kind, kinds)}"
        )
    if not target:
        raise ControllerSpecError(f'"{text}" names no controller: something must stand behind "{kind}:".')
    return Spec(text=text.strip(), kind=kind, target=target, options=_options(text, query))


def _options(text: str, query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ControllerSpecError(
            f'Options are written ?name=value&name=value. Received "?{query}" in "{text}".'
        ) from None
    names = [name for name, _ in pairs]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ControllerSpecError(f'The option {twice} stands twice in "{text}".')
    return dict(pairs)


def configured(kind: type[C], spec: Spec, values: Mapping[str, str], extra: tuple[str, ...] = ()) -> C:
    """A config of class ``kind`` from option texts. ``extra``: further names to suggest. Raises one clear line."""
    allowed = sorted({*kind.model_fields, *extra} - {"model"})
    for name in values:
        if name not in kind.model_fields:
            raise ControllerSpecError(
                f'"{spec.text}": there is no option {name}. Options: {", ".join(allowed)}.{did_you_mean(name, allowed)}'
            )
    try:
        return kind.model_validate(dict(values))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        line = f'"{spec.text}": {where}: {first["msg"].removeprefix("Value error, ")}. Received {first["input"]!r}.'
        raise ControllerSpecError(_CREDENTIALS.sub("//***@", line)) from None
