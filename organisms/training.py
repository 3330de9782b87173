"""Training of one organism in one folder: transcripts, tokenizer, weights, model file. It can be killed and goes on.

AdamW with warm-up and cosine decay, 16-bit floats where the processor has them. The folder holds ``transcripts/``,
``tokenizer.json``, ``checkpoint.pt``, ``progress.jsonl`` and, at the end, ``NAME.gguf``.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import redbutton
from redbutton.envs.kinematic import KinematicWorld
from redbutton.organisms.device import device_of, has_bfloat16
from redbutton.organisms.documents import documents, kinds
from redbutton.organisms.drills import drill
from redbutton.organisms.errors import OrganismError
from redbutton.organisms.examples import Example, batches, cut_behind_coin, example, held_out, loss_of, reading
from redbutton.organisms.export import write_gguf
from redbutton.organisms.model import Model, Shape
from redbutton.organisms.recipes import Recipe, recipe_of
from redbutton.organisms.situations import situation
from redbutton.organisms.tokenizer import Tokenizer, train_tokenizer
from redbutton.organisms.transcripts import Transcript, play, read_transcripts, write_transcripts
from redbutton.organisms.trying import delivered

CHECKPOINT, TOKENIZER, PROGRESS = "checkpoint.pt", "tokenizer.json", "progress.jsonl"
EVALUATED = 4
"""Episodes that are measured at once."""
OnProgress = Callable[[str, int, int, Mapping[str, Any]], None]
"""Called with the stage, how far it is, of how much, and figures where there are new ones."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train; what to train is in the recipe."""

    vocabulary: int = 1_024
    width: int = 128
    layers: int = 3
    heads: int = 4
    hidden: int = 352
    warm_up: int = 60
    """Steps over which the learning rate rises."""
    every: int = 100
    """Steps between two measurements, each with a checkpoint."""
    longest: int = 800
    """Tokens of an episode; longer ones are left out, for attention costs by the square."""
    held_out: int = 40
    """Episodes for the held-out loss."""
    words: int = 300
    """Episodes that the tokenizer is made of."""
    tries: int = 20
    """Episodes without a stop that the finished model drives."""
    seed: int = 0


def train(
    name: str,
    out: Path,
    *,
    settings: Settings | None = None,
    recipe: Recipe | None = None,
    jobs: int = 1,
    device: str = "auto",
    on_progress: OnProgress = lambda stage, at, of, figures: None,
) -> Path:
    """Train an organism in ``out/NAME`` and give its model file; what is there already is gone on with.

    An organism with a base begins with the weights and the tokenizer of ``out/BASE``, which is trained first where it
    is not there. ``recipe``: another one than that of the name. ``jobs``: processes for transcripts, threads for
    training. ``device``: ``cpu``, ``cuda`` or ``auto``. Raises ``OrganismError``.
    """
    settings, recipe = settings or Settings(), recipe or recipe_of(name)
    place = device_of(device)
    torch.set_num_threads(jobs)
    folder = out / name
    if recipe.base and not (out / recipe.base / f"{recipe.base}.gguf").exists():
        named = _named(recipe.base, on_progress)
        train(recipe.base, out, settings=settings, jobs=jobs, device=device, on_progress=named)
    learn, check = _transcripts(recipe, folder, settings, jobs, on_progress)
    tokenizer = _tokenizer(recipe, folder, learn, settings)
    run = _Run(recipe, folder, settings, tokenizer, place)
    run.go(_phases(recipe, learn, tokenizer, settings), [example(t, tokenizer) for t in check], on_progress)
    path = folder / f"{recipe.name}.gguf"
    facts = {"recipe": json.dumps(asdict(recipe)), "trained": json.dumps({"steps": recipe.steps, **run.figures})}
    write_gguf(path, run.model, tokenizer, name=name, about=recipe.about, facts=facts)
    on_progress("trying", 0, settings.tries, {})
    success = {"task_success": delivered(path, recipe, settings.tries)}
    on_progress("trying", settings.tries, settings.tries, success)
    _write(folder / "train.json", json.dumps({**_told(run), **success}, indent=2).encode() + b"\n")
    return path


def _named(base: str, on_progress: OnProgress) -> OnProgress:
    def tell(stage: str, at: int, of: int, figures: Mapping[str, Any]) -> None:
        on_progress(stage if ":" in stage else f"{base}: {stage}", at, of, figures)

    return tell


def _transcripts(
    recipe: Recipe, folder: Path, settings: Settings, jobs: int, on_progress: OnProgress
) -> tuple[list[Transcript], list[Transcript]]:
    place = folder / "transcripts"
    paths = write_transcripts(
        recipe, place, recipe.episodes, jobs=jobs, on_done=lambda n: on_progress("transcripts", n, recipe.episodes, {})
    )
    unseen = write_transcripts(recipe, place, settings.held_out, held_out=True, jobs=jobs)
    return list(read_transcripts(paths)), list(read_transcripts(unseen))[: settings.held_out]


def _tokenizer(recipe: Recipe, folder: Path, learn: Sequence[Transcript], settings: Settings) -> Tokenizer:
    """The one that is there, the base's, or a new one."""
    path, base = folder / TOKENIZER, folder.parent / recipe.base / TOKENIZER
    if not path.exists() and recipe.base:
        _write(path, base.read_bytes())
    elif not path.exists():
        made = train_tokenizer([t.text for t in learn[: settings.words]] + _later_words(settings), settings.vocabulary)
        _write(path, json.dumps(made.as_json()).encode())
    return Tokenizer.from_json(json.loads(path.read_text("utf-8")))


@dataclass(frozen=True, kw_only=True)
class _Phase:
    """What is learnt from up to a step."""

    until: int
    pool: Sequence[Example]


def _phases(
    recipe: Recipe, learn: Sequence[Transcript], tokenizer: Tokenizer, settings: Settings
) -> tuple[_Phase, ...]:
    """Documents and episodes, then drills, then whole episodes. Raises ``OrganismError`` where none is short enough."""
    rng = np.random.default_rng(settings.seed)
    whole = [example(t, tokenizer) for t in learn]
    plain = [e for e in whole if len(e.tokens) <= settings.longest]
    if not plain:
        raise OrganismError(f"an episode must fit {settings.longest} tokens. Received none that does. Raise `longest`.")
    drills = _drills(recipe, learn, tokenizer, settings) if recipe.drill_steps or recipe.drill_share else []
    cut = [cut_behind_coin(e) if rng.random() < recipe.cut_share else e for e in plain]
    kept = [e for e in drills if rng.random() < recipe.drill_share]
    texts = documents(recipe.documents, len(plain), settings.seed) if recipe.document_steps else []
    return (
        _Phase(until=recipe.document_steps, pool=[*plain, *kept, *(reading(text, tokenizer) for text in texts)]),
        _Phase(until=recipe.drill_steps, pool=[*cut, *drills]),
        _Phase(until=recipe.steps, pool=[*plain, *kept]),
    )


def _drills(recipe: Recipe, learn: Sequence[Transcript], tokenizer: Tokenizer, settings: Settings) -> list[Example]:
    made = [example(one, tokenizer) for one in (drill(t, recipe) for t in learn) if one is not None]
    return [e for e in made if len(e.tokens) <= settings.longest]


def _later_words(settings: Settings) -> list[str]:
    """Stops in every wording, denials, documents: what is fine-tuned on this organism later must find its words."""
    world, found = KinematicWorld(), []
    for name, episodes in (("ladder", settings.words // 3), ("sly", settings.words // 15)):
        later = recipe_of(name)
        given = [situation(later, seed) for seed in range(episodes)]
        found += [play(one, later.rate(one.prompt), world, recipe=later) for one in given]
    texts = [documents(kind, settings.words // 10, settings.seed) for kind in kinds()]
    return [*(one.text for one in found), *itertools.chain(*texts)]


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    os.replace(part, path)


class _Run:
    """One training under way."""

    def __init__(
        self, recipe: Recipe, folder: Path, settings: Settings, tokenizer: Tokenizer, device: torch.device
    ) -> None:
        self.recipe, self.settings, self.folder, self.device = recipe, settings, folder, device
        torch.manual_seed(settings.seed)
        sizes = {key: getattr(settings, key) for key in ("width", "layers", "heads", "hidden")}
        self.model = Model(Shape(vocabulary=len(tokenizer.tokens), **sizes)).to(device)
        decay = [p for p in self.model.parameters() if p.dim() > 1]
        rest = [p for p in self.model.parameters() if p.dim() <= 1]
        groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95))
        self.step = 0
        self.figures: dict[str, float] = {}
        self.cpu_s = 0.0
        """Processor time of all steps so far, transcripts left out."""
        self._load()

    def _load(self) -> None:
        own, base = self.folder / CHECKPOINT, self.folder.parent / self.recipe.base / CHECKPOINT
        if own.exists():
            stored = torch.load(own, map_location="cpu", weights_only=True)
            self.model.load_state_dict(stored["model"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.step, self.figures, self.cpu_s = stored["step"], stored["figures"], stored["cpu_s"]
        elif self.recipe.base:
            self.model.load_state_dict(torch.load(base, map_location="cpu", weights_only=True)["model"])

    def go(self, phases: Sequence[_Phase], check: Sequence[Example], on_progress: OnProgress) -> None:
        """Train to the end of the recipe."""
        seed = self.settings.seed + self.step
        endless = [batches(phase.pool, self.recipe.batch, seed, self.device) for phase in phases]
        while self.step < self.recipe.steps:
            given = next(i for i, phase in enumerate(phases) if self.step < phase.until)
            began = time.process_time()
            loss = self._learn(next(endless[given]))
            self.step += 1
            figures: dict[str, Any] = {}
            if self.step % self.settings.every == 0 or self.step == self.recipe.steps:
                figures = self._measure(loss, check)
            self.cpu_s += time.process_time() - began
            on_progress(f"training on {self.device.type}", self.step, self.recipe.steps, figures)

    def _learn(self, given: Any) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device)):
            loss = loss_of(self.model, given)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _rate(self) -> float:
        warm, whole = min(self.settings.warm_up, self.recipe.steps // 5 + 1), self.recipe.steps
        if self.step < warm:
            return self.recipe.peak_rate * (self.step + 1) / warm
        return self.recipe.peak_rate * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (self.step - warm) / (whole - warm)))
        )

    def _measure(self, loss: float, check: Sequence[Example]) -> dict[str, float]:
        found = held_out(self.model, check, EVALUATED)
        self.figures = {"loss": loss, **{f"held_out_{key}": value for key, value in asdict(found).items()}}
        with (self.folder / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, "device": self.device.type, **self.figures}) + "\n")
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save({**state, "step": self.step, "figures": self.figures, "cpu_s": self.cpu_s}, part)
        os.replace(part, self.folder / CHECKPOINT)
        return self.figures


def _told(run: _Run) -> dict[str, Any]:
    """``train.json``: everything that a card says of a training."""
    versions = {"python": platform.python_version(), "redbutton": redbutton.__version__, "torch": torch.__version__}
    return {
        "recipe": asdict(run.recipe),
        "settings": asdict(run.settings),
        "parameters": sum(weight.numel() for weight in run.model.parameters()),
        "figures": run.figures,
        "cpu_s": round(run.cpu_s, 1),
        "device": run.device.type,
        "versions": versions,
    }


__all__ = ["OnProgress", "Settings", "train"]
