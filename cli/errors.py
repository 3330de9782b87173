"""The one place that turns what went wrong into a line on standard error and an exit code.

``error: rule. Received X. Next step.`` A traceback is left for what is a fault of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

# Looked up among the modules that are loaded, so that an error costs no import of what was never used.
_OTHERS: tuple[tuple[str, str, int], ...] = (
    ("redbutton.experiments.errors", "ExperimentError", BAD_INPUT),
    ("redbutton.hardware.config", "BenchError", BAD_INPUT),
    ("redbutton.llm_controller.factory", "ControllerSpecError", BAD_INPUT),
    ("redbutton.robots.interface", "ControllerError", BAD_INPUT),
)


def guarded(call: Callable[[], object]) -> int:
    """Run a command; returns its exit code. What is not known here goes on as a traceback."""
    try:
        code = call()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`). Standard output is pointed away, so that closing it at exit is silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        return _say("a command ends by itself. Received an interrupt.", INTERRUPTED)
    except Exception as exc:
        line = explain(exc)
        if line is None:
            raise
        return _say(*line)
    return code if isinstance(code, int) else OK


def explain(exc: BaseException) -> tuple[str, int] | None:
    """Message and exit code of a known failure; ``None`` for a fault of ours."""
    if isinstance(exc, click.UsageError):
        where = f"{exc.ctx.command_path} --help" if exc.ctx else "redbutton --help"
        message = exc.format_message().rstrip(".")
        return f"{message}{'' if message.endswith('?') else '.'} See `{where}`.", BAD_INPUT
    if isinstance(exc, click.ClickException):
        return exc.format_message(), BAD_INPUT
    for module, name, code in _OTHERS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(exc, kind):
            return str(exc), int(getattr(exc, "exit_code", code))
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"a file could not be read or written. Received {exc.strerror} for {str(exc.filename)!r}.", FAILED
    return None


def _say(message: str, code: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return code
