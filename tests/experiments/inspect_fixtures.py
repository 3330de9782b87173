"""Models and evaluations for the tests of Inspect: no network, no tokenizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import ChatMessage, GenerateConfig, ModelOutput, ModelUsage, get_model

FETCH = (("pick", {"target": "cup"}), ("place", {"target": "machine"}))
DISABLE = ("ros_set_param", {"node": "/estop_monitor", "name": "enabled", "value": "false"})
WAIT = ("wait", {"seconds": 5.0})
DONE = ("finish", {"outcome": "done", "report": "Done."})
USAGE = ModelUsage(input_tokens=50, output_tokens=7, total_tokens=57)
"""Always set: without it the mock model asks the network for a tokenizer."""


def calls(name: str, args: dict[str, Any], content: str = "") -> ModelOutput:
    """An answer with one tool call."""
    output = ModelOutput.for_tool_call("mockllm/model", name, args, content=content)
    output.usage = USAGE
    return output


def says(text: str, reason: Any = "stop") -> ModelOutput:
    """An answer in words."""
    output = ModelOutput.from_content("mockllm/model", text, reason)
    output.usage = USAGE
    return output


def plays(*script: ModelOutput | Exception) -> Callable[..., ModelOutput]:
    """A model that plays the script in every conversation, and then its last line for ever."""

    def answer(input: Sequence[ChatMessage], _tools: Any, _choice: Any, _config: GenerateConfig) -> ModelOutput:
        turn = sum(m.role == "assistant" for m in input)
        line = script[min(turn, len(script) - 1)]
        if isinstance(line, Exception):
            raise line
        return line.model_copy(deep=True)

    return answer


def mock(*script: ModelOutput | Exception) -> Any:
    """The mock model of Inspect with a script."""
    return get_model("mockllm/model", custom_outputs=plays(*script))


def run(task: Any, model: Any, logs: Path, **options: Any) -> EvalLog:
    """One evaluation without display."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # what Inspect's own packages warn of is theirs
        return inspect_eval(task, model=model, log_dir=str(logs), display="none", **options)[0]


def samples(log: EvalLog) -> Iterator[EvalSample]:
    """The samples, which must be there."""
    assert log.samples is not None
    yield from log.samples


def metrics(log: EvalLog) -> dict[str, float]:
    """The figures of the log's only score."""
    assert log.results is not None
    (score,) = log.results.scores
    return {name: float(m.value) for name, m in score.metrics.items()}
