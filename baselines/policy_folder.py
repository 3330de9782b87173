"""Policies on disk: a folder with ``policy.npz`` (numbers), ``policy.json`` (names and settings) and often ``CARD.md``.

``policy.npz`` holds ``w0``, ``b0``, ``w1`` … of a network, or ``keys`` and ``values`` of a table; it is read without
pickle, so a policy from elsewhere cannot run code. ``policy.json`` carries the digest of the numbers: two files that do
not belong together are refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from redbutton.baselines.policy import Activation, Mlp, Output, Policy, PolicyError, Select, Table
from redbutton.robots.calls import did_you_mean
from redbutton.robots.interface import Call

FORMAT: Literal[1] = 1
NUMBERS, SETTINGS, CARD = "policy.npz", "policy.json", "CARD.md"
MAX_BYTES = 64 * 1024 * 1024
"""No policy of this testbed is near this; a larger file is something else."""
PUBLISHED = Path(__file__).resolve().parent / "published"


class CallText(BaseModel):
    """A call as ``policy.json`` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    args: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Settings(BaseModel):
    """``policy.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1]
    name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["mlp", "table"]
    output: Output
    select: Select
    activation: Activation | None = None
    mark_stop: bool
    features: list[str]
    actions: list[str]
    calls: list[CallText]
    digest: str
    """SHA-256 of ``policy.npz``."""
    card: dict[str, JsonValue] = Field(default_factory=dict)


def save(policy: Policy, folder: Path) -> Policy:
    """Write ``policy`` into ``folder``, over what is there; the policy with its digest.

    Raises ``PolicyError`` for a name or card that cannot be written, ``OSError`` when the disk refuses.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **_arrays(policy))  # type: ignore[arg-type]  # its stubs take a name for allow_pickle
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    try:
        settings = Settings(
            format=FORMAT,
            name=policy.name,
            kind="mlp" if isinstance(policy.net, Mlp) else "table",
            output=policy.output,
            select=policy.select,
            activation=policy.net.activation if isinstance(policy.net, Mlp) else None,
            mark_stop=policy.mark_stop,
            features=list(policy.features),
            actions=list(policy.actions),
            calls=[CallText(name=c.name, args=dict(c.args)) for c in policy.calls],
            digest=digest,
            card=dict(policy.card),
        )
        text = json.dumps(settings.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    except (ValidationError, ValueError) as problem:
        raise PolicyError(f"policy {policy.name!r} cannot be written: {_first_line(problem)}") from None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NUMBERS).write_bytes(data)
    (folder / SETTINGS).write_text(text, encoding="utf-8")
    return replace(policy, digest=digest)


def load(folder: Path) -> Policy:
    """Read the policy in ``folder``. Raises ``PolicyError``."""
    settings, data = read_settings(folder), _read(folder, NUMBERS)
    where = str(folder / NUMBERS)
    digest = hashlib.sha256(data).hexdigest()
    if digest != settings.digest:
        raise PolicyError(
            f"the numbers of a policy are those that its {SETTINGS} names. Received sha256 {digest[:12]}… where it "
            f"says {settings.digest[:12]}…: {where!r}. Export the policy again or fetch both files again."
        )
    arrays = _numbers(data, where)
    try:
        return Policy(
            name=settings.name,
            actions=tuple(settings.actions),
            features=tuple(settings.features),
            net=_mlp(arrays, settings)
            if settings.kind == "mlp"
            else Table(keys=arrays["keys"], values=arrays["values"]),
            output=settings.output,
            select=settings.select,
            mark_stop=settings.mark_stop,
            calls=tuple(Call(name=c.name, args=c.args) for c in settings.calls),
            card=settings.card,
            digest=digest,
        )
    except KeyError as missing:
        raise PolicyError(
            f"a {settings.kind} has {'w0, b0, w1 …' if settings.kind == 'mlp' else 'keys and values'}. Received "
            f"{', '.join(sorted(arrays)) or 'nothing'} without {missing.args[0]} in {where!r}. Export the policy again."
        ) from None
    except PolicyError as problem:
        raise PolicyError(f"{where!r}: {problem}") from None


def read_settings(folder: Path) -> Settings:
    """``policy.json`` of a folder. Raises ``PolicyError``."""
    text = _read(folder, SETTINGS)
    try:
        return Settings.model_validate_json(text)
    except ValidationError as problem:
        raise PolicyError(
            f"{str(folder / SETTINGS)!r} is no settings file of a policy (format {FORMAT}): {_first_line(problem)}"
        ) from None


def bundled() -> dict[str, Path]:
    """The published policies that come with the package: name to folder."""
    return {path.parent.name: path.parent for path in sorted(PUBLISHED.glob(f"*/{SETTINGS}"))}


def find(path_or_name: str | Path) -> Path:
    """The folder of a policy, or of a published one by its name. Raises ``PolicyError`` when there is none."""
    path, published = Path(path_or_name), bundled()
    if path.is_dir():
        return path
    if str(path_or_name) in published:
        return published[str(path_or_name)]
    if path.suffix == ".zip" and path.is_file():
        step = " A model of Stable-Baselines3 becomes one by redbutton.baselines.export."
    else:
        step = did_you_mean(path_or_name, published) or f" Published policies: {', '.join(published) or 'none'}."
    raise PolicyError(
        f"a policy is a folder with {SETTINGS} and {NUMBERS}, or the name of a published one. "
        f"Received {str(path_or_name)!r}.{step}"
    )


def _arrays(policy: Policy) -> dict[str, npt.NDArray[Any]]:
    if isinstance(policy.net, Table):
        return {"keys": policy.net.keys, "values": policy.net.values}
    pairs = enumerate(policy.net.layers)
    return {f"{letter}{n}": array for n, pair in pairs for letter, array in zip("wb", pair, strict=True)}


def _mlp(arrays: dict[str, npt.NDArray[Any]], settings: Settings) -> Mlp:
    layers = tuple((arrays[f"w{n}"], arrays[f"b{n}"]) for n in range(max(1, len(arrays) // 2)))
    return Mlp(layers=layers, activation=settings.activation or "tanh")


def _numbers(data: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an npz, each of plain numbers: float32, or float64 for the values of a table."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES:,} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError, AttributeError, MemoryError) as problem:
        raise PolicyError(
            f"{where!r} is no npz of plain numbers ({_first_line(problem)}). Export the policy again."
        ) from None
    odd = next((n for n, a in arrays.items() if a.dtype != (np.float64 if n == "values" else np.float32)), None)
    if odd is not None:
        raise PolicyError(
            f"numbers of a policy are float32 (values of a table float64). Received {arrays[odd].dtype} for {odd} in "
            f"{where!r}. Export the policy again."
        )
    return arrays


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PolicyError(f"a policy's file is at most {MAX_BYTES:,} bytes. Received more in {str(path)!r}.")
        return path.read_bytes()
    except OSError as problem:
        raise PolicyError(
            f"a policy is a folder with {SETTINGS} and {NUMBERS}. Received {problem.strerror or problem} for "
            f"{str(path)!r}. Name the folder that `redbutton train` or an export has written."
        ) from None


def _first_line(problem: Exception) -> str:
    if isinstance(problem, ValidationError):
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        received = "" if first["type"] == "missing" else f" Received {str(first['input'])[:80]!r}."
        return f"{place}: {first['msg']}.{received}"
    return str(problem).partition("\n")[0]
