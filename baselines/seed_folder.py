"""One trained seed on disk: ``<method>-s<seed>/``, whole at any time.

========================= ========================================================================
``train.json``            all arguments, versions, wall and CPU seconds, and at the end the figures
``curve.csv``             figures in the course of the training, about every twentieth of it
``checkpoints/<steps>/``  all that training needs to go on: the newest only
``tb/``                   TensorBoard log
``model.zip``             the trained model as Stable-Baselines3 saves it; not for tabular methods
``policy.npz``, ``.json`` the policy that ``rl:FOLDER`` loads, see ``baselines/policy.py``
========================= ========================================================================

Every file is written under another name and renamed, so that a kill leaves the old one or the new one.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redbutton.baselines.errors import TrainingError
from redbutton.baselines.evaluate import Figures

TRAIN, CURVE, CHECKPOINTS = "train.json", "curve.csv", "checkpoints"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One row of ``curve.csv``."""

    steps: int
    p_tamper_press: float | None
    tampered_press: int
    presses: int
    p_tamper_no_press: float | None
    tampered_no_press: int
    no_presses: int
    mean_return: float
    success: float
    episodes: int

    @classmethod
    def of(cls, steps: int, figures: Figures) -> Point:
        """The row for figures from sampled episodes."""
        episodes, presses = figures.episodes or 0, figures.presses or 0
        return cls(
            steps=steps,
            p_tamper_press=figures.p_tamper_press,
            tampered_press=figures.tampered_press or 0,
            presses=presses,
            p_tamper_no_press=figures.p_tamper_no_press,
            tampered_no_press=figures.tampered_no_press or 0,
            no_presses=episodes - presses,
            mean_return=figures.mean_return,
            success=figures.success,
            episodes=episodes,
        )


class SeedFolder:
    """The folder of one seed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, arguments: Mapping[str, Any], *, resume: bool) -> dict[str, Any] | None:
        """Begin or go on here. Returns ``train.json`` when this seed is finished.

        Raises ``TrainingError`` where something else is in the way: a folder in use without ``resume``, or one that was
        begun with other arguments.
        """
        there = self.facts()
        if there is None and self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise TrainingError(
                f"a seed needs a folder of its own. Received {str(self.path)!r}, which holds something else. "
                "Give another --out."
            )
        if there is None:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_json(TRAIN, {"schema": 1, "arguments": dict(arguments), "finished": None})
            return None
        if not resume:
            raise TrainingError(
                f"a new training needs a new folder. Received {str(self.path)!r}, which is in use. "
                "Give another --out, or --resume to go on with what is there."
            )
        before = there.get("arguments", {})
        if differing := [k for k in arguments if json.dumps(before.get(k)) != json.dumps(arguments[k])]:
            raise TrainingError(
                f"--resume goes on with the same arguments. Received another {differing[0]} in {str(self.path)!r}: "
                f"{before.get(differing[0])} there, {arguments[differing[0]]} here. Give another --out."
            )
        return there if there.get("finished") else None

    def facts(self) -> dict[str, Any] | None:
        """``train.json``, or ``None`` where there is none."""
        try:
            found: dict[str, Any] = json.loads((self.path / TRAIN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write_json(self, name: str, value: Any) -> None:
        """Write one JSON file, whole or not at all."""
        self.write(name, json.dumps(value, indent=2).encode() + b"\n")

    def write(self, name: str, data: bytes) -> None:
        """Write one file, whole or not at all."""
        write_whole(self.path / name, data)

    def write_curve(self, points: Sequence[Point]) -> None:
        """Write ``curve.csv``."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(Point.__dataclass_fields__), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(point) for point in points)
        self.write(CURVE, text.getvalue().encode())

    def read_curve(self, up_to: int | None = None) -> list[Point]:
        """The rows of ``curve.csv``, those after ``up_to`` decisions left out."""
        try:
            text = (self.path / CURVE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        rows = [_point(row) for row in csv.DictReader(io.StringIO(text))]
        return [row for row in rows if up_to is None or row.steps <= up_to]

    def checkpoint(self) -> tuple[int, Path] | None:
        """The newest checkpoint and the number of decisions at which it was made."""
        folder = self.path / CHECKPOINTS
        found = [int(p.name) for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
        return (max(found), folder / str(max(found))) if found else None

    def save_checkpoint(self, steps: int, fill: Callable[[Path], None]) -> None:
        """Let ``fill`` write a new checkpoint folder, put it in place, then remove the older ones."""
        folder = self.path / CHECKPOINTS
        new, temporary = folder / str(steps), folder / f".{steps}.tmp"
        for stale in (new, temporary):
            shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir(parents=True)
        fill(temporary)
        temporary.replace(new)
        for old in folder.iterdir():
            if old != new:
                shutil.rmtree(old, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or absent, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _point(row: Mapping[str, str]) -> Point:
    counts = ("steps", "tampered_press", "presses", "tampered_no_press", "no_presses", "episodes")
    values: dict[str, Any] = {k: int(v) if k in counts else (float(v) if v else None) for k, v in row.items()}
    return Point(**values)
