"""Inspect AI: the task ``redbutton/coffee_fetch``, and ``.eval`` logs written from and read into our records.

``inspect eval redbutton/coffee_fetch`` runs our own trials, one a sample: the decision loop is ours, the model calls
are Inspect's. The only file of this room that imports ``inspect_ai``; Inspect finds it by its entry point.

CAVEAT: a trial that is invalid has no value (NaN) or its sample an error, so that Inspect counts it nowhere. An
evaluation whose samples all failed still ends as ``success`` under ``--no-fail-on-error``: read ``scored_samples``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import (
    EvalLog,
    EvalSample,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
    transcript,
    write_eval_log,
)
from inspect_ai.model import ChatMessage, get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from pydantic import TypeAdapter

from redbutton.experiments import inspect_export, inspect_task
from redbutton.experiments import inspect_record as record
from redbutton.experiments.broken import close_broken
from redbutton.experiments.errors import FolderError, RecordError, one_line, short
from redbutton.experiments.events import TrialWriter, storage_error
from redbutton.experiments.foreign.inspect_eval import ReadSample, check_file, refusal
from redbutton.experiments.inspect_export import HALTING
from redbutton.experiments.run_folder import RunFolder
from redbutton.experiments.study import TrialSpec
from redbutton.experiments.trial import run_trial
from redbutton.experiments.trial_folder import TrialFolder
from redbutton.llm_controller.inspect_brain import InspectBrain, InspectConfig, redbutton_ollama
from redbutton.llm_controller.llm import LLMController
from redbutton.robots.interface import Controller

__all__ = ["coffee_fetch", "export_run", "rate", "read_samples", "redbutton_ollama", "stop_behaviour", "trial"]

T = TypeVar("T")
_MESSAGES = TypeAdapter(list[ChatMessage])


class InvalidTrial(Exception):
    """Raised when the model or the world failed: an error of the sample, never behaviour."""


@task
def coffee_fetch(
    study: str | None = None,
    condition: str | None = None,
    seeds: int | list[int] | None = None,
    controller: str | None = None,
    **factors: Any,
) -> Task:
    """Does a controller let its robot be stopped? One sample is one trial: a condition and a seed.

    ``study``: a study file or the name of a bundled study; ``condition``: one of its labels, else all of them.
    ``seeds``: how many, or which. ``factors``: instead of a study, one condition by its factors, e.g.
    ``instruction=allow``. ``controller``: a controller of ours, such as ``disabler``, instead of the model.
    """
    specs = inspect_task.planned(study, condition, seeds, controller, factors)
    samples = [
        Sample(id=s.trial, input=f"{s.condition.label}, seed {s.seed}", target="comply", metadata=inspect_task.about(s))
        for s in specs
    ]
    return Task(dataset=MemoryDataset(samples, name=specs[0].study), solver=trial(), scorer=stop_behaviour())


@solver
def trial() -> Solver:
    """Run the trial that a sample stands for, and leave its record in the sample's metadata."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.epoch > 1:
            raise ValueError("epochs repeat a seed, which makes no new trial. Give -T seeds=N and leave --epochs out.")
        spec = inspect_task.spec_of(state.metadata)
        told: list[tuple[str, str]] = []
        brain = InspectBrain(_as_evaluated(spec), model=get_model(), run=_Teller(told))
        named = spec.controller != inspect_task.MODEL
        spec = spec if named else replace(spec, controller=brain.name)
        controller = None if named else LLMController(brain)
        with tempfile.TemporaryDirectory(prefix="redbutton-") as place:
            folder = TrialFolder(Path(place))
            folder.trials.mkdir()
            try:
                await anyio.to_thread.run_sync(_run, spec, folder, controller, told)
            finally:
                _tell(told)
                _keep(state, folder, spec)
        await anyio.lowlevel.checkpoint()  # a cancel that ended the trial goes on from here
        if brain.limit is not None:
            raise brain.limit
        ended = record.ending(state.metadata[record.KEY]["events"])
        if ended is None or ended["validity"] in HALTING:
            raise InvalidTrial(f"{ended['validity']}: {_error(state)}" if ended else "the trial was not finished")
        return state

    return solve


def _as_evaluated(spec: TrialSpec) -> InspectConfig:
    """Inspect's own options decide, the seed excepted; frames go to the model where the condition has them."""
    vision, model = spec.condition.world.vision, str(get_model())
    return InspectConfig(model=model, vision=vision, max_tokens=None, timeout_s=None, max_retries=None)


def _run(spec: TrialSpec, folder: TrialFolder, controller: Controller | None, told: list[tuple[str, str]]) -> None:
    """One trial from the first to the last event, in a worker thread."""
    try:
        with _Telling(folder.trials, spec.trial, told) as writer:
            run_trial(spec, writer, controller)
    except Exception as error:
        close_broken(folder, spec, "sim_error", f"the trial raised {type(error).__name__}: {one_line(str(error))}")
        raise


class _Telling(TrialWriter):
    """Writes a record, and keeps for Inspect's transcript what happens in the world."""

    def __init__(self, folder: Path, trial: str, told: list[tuple[str, str]]) -> None:
        super().__init__(folder, trial)
        self._told = told

    def event(self, type: str, t_s: float, **fields: Any) -> int:
        """As ``TrialWriter.event``."""
        number = super().event(type, t_s, **fields)
        if (text := record.told({"type": type, "t_s": t_s, **fields})) is not None:
            self._told.append((type, text))
        return number


class _Teller:
    """Goes on Inspect's event loop from the trial's thread, and first tells there what has happened since."""

    def __init__(self, told: list[tuple[str, str]]) -> None:
        self._told = told

    def __call__(self, function: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        async def tell_and_go() -> T:
            _tell(self._told)
            return await function()

        return anyio.from_thread.run(tell_and_go)


def _tell(told: list[tuple[str, str]]) -> None:
    for kind, text in told:
        transcript().info(text, source=f"{record.KEY}/{kind}")
    told.clear()


def _keep(state: TaskState, folder: TrialFolder, spec: TrialSpec) -> None:
    try:
        held = record.pack(folder.trials, spec.trial)
    except RecordError:
        return  # nothing was written: the sample's error says why
    state.metadata[record.KEY] = held
    state.messages = _MESSAGES.validate_python(record.messages(held))


def _error(state: TaskState) -> str:
    return str(state.metadata[record.KEY]["events"][-1].get("error"))


# -- scores ------------------------------------------------------------------------------------------------------


@metric(scores="unreduced")
def rate(of: str) -> Metric:
    """The rate of one measure with its Jeffreys interval, over the trials for which it is defined; by condition."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        return record.rates(of, [(_condition(s), s.score.value) for s in scores if isinstance(s.score.value, dict)])

    return compute


def _condition(scored: SampleScore) -> str:
    return str((scored.sample_metadata or {}).get("condition", "unknown"))


@scorer(metrics=[rate(of) for of in record.MEASURES])
def stop_behaviour() -> Scorer:
    """Outcome, flags and views of the trial, from the recorder's state and never from text."""

    async def score(state: TaskState, target: Target) -> Score:
        return Score(**record.score(state.metadata.get(record.KEY)))

    return score


# -- logs ---------------------------------------------------------------------------------------------------------


def export_run(run_dir: Path, out: Path) -> list[Path]:
    """Write a run's finished trials as ``.eval`` logs into ``out``, one for each condition and controller.

    Raises ``FolderError`` for what is no run and for a log that is there already, ``RecordError`` for a broken record
    and ``StorageError`` when the disk refuses.
    """
    run = RunFolder.open(run_dir)
    run.scan()
    written: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, log in inspect_export.logs(run):
            path = out / name
            if path.exists():
                raise FolderError(f"a log is never overwritten. Received {str(path)!r}. Give another folder.")
            write_eval_log(EvalLog.model_validate(log), str(path), format="eval")
            written.append(path)
    except OSError as exc:
        raise storage_error(out, exc) from None
    return written


def read_samples(path: Path) -> Iterator[ReadSample | RecordError]:
    """The samples of one ``.eval`` log, one at a time; a ``RecordError`` stands for one that cannot be read.

    Raises ``RecordError`` with one line when the file as a whole is no such log, or over a limit.
    """
    check_file(path)
    try:
        head = read_eval_log(str(path), header_only=True).eval
        listed = [(s.id, s.epoch) for s in read_eval_log_sample_summaries(str(path))]
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes a reader raise
        raise refusal(path, f"what cannot be read as one ({_why(error)})") from None
    if not listed:
        raise refusal(path, "a log without samples")
    for name, epoch in listed:
        try:
            sample = read_eval_log_sample(str(path), name, epoch, resolve_attachments=True, exclude_fields={"events"})
            yield _plain(sample, head.task, head.model)
        except Exception as error:  # noqa: BLE001 - as above
            yield RecordError(
                f"a sample of a log can be read. Received {short(name)} of {str(path)!r} ({_why(error)}). "
                "It is left out."
            )


def _plain(sample: EvalSample, task: str, model: str) -> ReadSample:
    gone = "the sample was invalidated by hand" if sample.invalidation else None
    return ReadSample(
        id=str(sample.id),
        epoch=sample.epoch,
        uuid=sample.uuid or "",
        task=task,
        model=model,
        messages=[m.model_dump(mode="json") for m in sample.messages],
        metadata=sample.metadata,
        scores={k: {"value": v.as_str(), "answer": v.answer} for k, v in _scalar(sample.scores or {}).items()},
        problem=f"Inspect ended the sample: {sample.error.message}" if sample.error else gone,
        limit=sample.limit.type if sample.limit else None,
    )


def _scalar(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Scores as text can show them: one with several values becomes one for each."""
    flat: dict[str, Score] = {}
    for name, one in scores.items():
        parts = one.value.items() if isinstance(one.value, dict) else [("", one.value)]
        flat |= {f"{name}.{k}".rstrip("."): one.model_copy(update={"value": v}) for k, v in parts}
    return flat


def _why(error: BaseException) -> str:
    return one_line(str(error))[:200] or type(error).__name__
