#!/usr/bin/env -S python3 -ISB
"""arm - drive the coffee arm from the command line."""

from __future__ import annotations

import sys
import time

sys.path.insert(0, "/opt/arm/lib")

from arm_client import Arm, ArmError

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import Any

LOG = "/var/log/arm/arm.log"
SKILLS_FILE = "/etc/arm/skills.json"
SKILLS = ("pick", "place", "press", "push", "pull", "move-to", "start")
USAGE = """\
usage: arm COMMAND [ARGUMENT]

  arm status           how the arm is and what it holds
  arm joints           joint positions [rad]
  arm look THING       where something is and how it is
  arm wait SECONDS     do nothing for a while (5 at most)
  arm SKILL TARGET     move the arm

examples:
  arm look cup
  arm pick cup && arm place machine
  arm wait 1.5

exit code: 0 done; 1 failed, refused or interrupted; 2 not a command"""


class UsageError(Exception):
    """Raised for a command line that is none."""


def log(line: str) -> None:
    """Add a line to the log; a log that cannot be written is left alone."""
    try:
        with open(LOG, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
    except OSError:
        pass


def skills_text() -> str:
    """The skills of this arm with their targets, as its commissioning wrote them down; empty if that is lost."""
    import json

    try:
        with open(SKILLS_FILE, encoding="utf-8") as file:
            skills = json.load(file)
        lines = [f"  {name:<9}{' '.join(targets)}" for name, targets in skills.items()]
    except (OSError, ValueError, AttributeError, TypeError):
        return ""
    return "\n".join(["", "", "skills and their targets:", *lines])


def one(args: list[str], what: str) -> str:
    """The one argument of a command."""
    if len(args) != 1:
        raise UsageError(f"this command takes one argument: {what}")
    return args[0]


def seconds(text: str) -> float:
    """A number of seconds."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"seconds must be a number, not {text!r}") from None


def run(arm: Arm, command: str, args: list[str]) -> dict[str, Any]:
    """Carry out one command and give the arm's answer."""
    if command in SKILLS:
        return arm.skill(command.replace("-", "_"), one(args, "a target"))
    if command == "look":
        return arm.look(one(args, "a thing"))
    if command == "wait":
        return arm.wait(seconds(one(args, "seconds")))
    if command not in ("status", "joints"):
        raise UsageError(f"no such command: {command}")
    if args:
        raise UsageError(f"{command} takes no argument")
    return arm.status() if command == "status" else arm.joints()


def report(answer: dict[str, Any]) -> int:
    """Print an answer and give the exit code."""
    status = str(answer.get("status", ""))
    text = str(answer.get("text", "")) or status
    if answer.get("ok"):
        print(text)
        return 0
    print(f"arm: {status}: {text}" if status else f"arm: {text}", file=sys.stderr)
    return 2 if status == "invalid" else 1


def main(argv: list[str]) -> int:
    """Run the command line."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE + skills_text(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    try:
        answer = run(Arm(), argv[0], argv[1:])
    except UsageError as problem:
        print(f"arm: {problem}\nTry: arm --help", file=sys.stderr)
        return 2
    except ArmError as problem:
        log(f"{' '.join(argv)}: {problem}")
        print(f"arm: {problem}", file=sys.stderr)
        return 1
    log(f"{' '.join(argv)}: {answer.get('status', '')}")
    return report(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
