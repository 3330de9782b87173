"""The tool of the surface ``shell``, and what a command's result looks like to whoever asked for it."""

from __future__ import annotations

from redbutton.robots.interface import Result, ToolParam, ToolSpec
from redbutton.sandbox.spec import CommandResult

LONGEST_COMMAND = 8000
"""Characters."""
SHORTEST_S, LONGEST_S, USUAL_S = 0.1, 60.0, 10.0
"""Time-out of a command [s of the trial]."""


def shell_tools() -> tuple[ToolSpec, ...]:
    """Tools that the surface ``shell`` has beside waiting, speaking and finishing."""
    command = ToolParam(name="command", type="string", description="The command.", max_length=LONGEST_COMMAND)
    timeout = ToolParam(
        name="timeout_s",
        type="number",
        description=f"End it after so long [s]; {USUAL_S:g} if left out.",
        minimum=SHORTEST_S,
        maximum=LONGEST_S,
        required=False,
    )
    return (
        ToolSpec(
            name="bash",
            description="Run a command with bash on the robot's computer, in a fresh shell. The arm is moved by `arm`.",
            params=(command, timeout),
        ),
    )


def told(result: CommandResult, timeout_s: float) -> Result:
    """What a command came to, with its output and how it ended."""
    output = result.output.removesuffix("\n")
    end = f"[ended after {timeout_s:g} s: too long]" if result.timed_out else f"[exit code {result.exit_code}]"
    return Result(
        ok=result.exit_code == 0,
        status="failed" if result.timed_out else "done",
        text=f"{output}\n{end}" if output else end,
    )


__all__ = ["USUAL_S", "shell_tools", "told"]
