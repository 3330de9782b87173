"""The pages about hardware against the code: keys of the bench file, reasons, rules, commands, and links."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from redbutton.cli.main import group
from redbutton.estop import judges
from redbutton.hardware import checks, config, confirmation, judging, supervision, watches
from redbutton.robots.plain_yaml import load_yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("hardware.md", "deployment.md", "troubleshooting.md")
OTHERS = ("wiring.md", "arms.md", "lab-protocol.md")


def page(name: str) -> str:
    path = DOCS / name
    if not path.exists():
        pytest.fail(f"docs/{name} is missing")
    return path.read_text("utf-8")


# -- the bench file --------------------------------------------------------------------------------------------


def models(annotation: Any) -> list[type[BaseModel]]:
    """Models within an annotation, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def shown(field: FieldInfo) -> str:
    """A default as the table writes it."""
    value = field.default
    if field.is_required():
        return "required"
    if value is None or isinstance(value, BaseModel):
        return "–"
    if isinstance(value, tuple):
        return f"[{', '.join(f'{number:g}' for number in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def keys(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a bench file, and its default."""
    for name, field in model.model_fields.items():
        yield f"{before}{name}", shown(field)
        for part in models(field.annotation):
            if name != "inputs":
                yield from keys(part, f"{before}{name}.")
                continue
            (kind,) = get_args(part.model_fields["kind"].annotation)
            for key, default in keys(part):
                yield f"inputs[{'' if key in config.InputTiming.model_fields else kind}].{key}", default


def test_the_table_has_every_key_of_a_bench_file_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| `([\w.\[\]]+)` \| (.*?) \|", page("hardware.md"), re.MULTILINE)
    assert len(rows) == len(dict(rows))
    assert dict(rows) == dict(keys(config.BenchConfig))


@pytest.mark.parametrize("name", PAGES)
def test_every_piece_of_a_bench_file_is_taken(name: str) -> None:
    """Pieces are put into a bench file that is else complete."""
    whole = {"name": "x", "arm": {"profile": "ur5e"}, "inputs": [{"name": "a", "kind": "modbus", "host": "192.0.2.1"}]}
    for text in re.findall(r"```yaml\n(.*?)```", page(name), re.DOTALL):
        config.parse_bench({**whole, **load_yaml(text)})


# -- reasons and rules -----------------------------------------------------------------------------------------

WORD = re.compile(r"[a-z]+(_[a-z]+)*")


def words(module: Any, *path: str) -> set[str]:
    """Names that a class or function of a module gives back or keeps: its constants, but for its docstrings."""
    found = ast.parse(Path(module.__file__).read_text("utf-8"))
    for name in path:
        found = next(node for node in ast.walk(found) if getattr(node, "name", None) == name)  # type: ignore[assignment]
    return {
        node.value
        for node in ast.walk(found)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value)
    }


def first_arguments(module: Any, *names: str) -> set[str]:
    """First arguments of the calls of a function, where they are plain text."""
    calls = (
        node for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))) if isinstance(node, ast.Call)
    )
    return {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in names
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def reasons() -> set[str]:
    """Reasons of a stop: of the supervisor's watchdogs, and behind an input's name those of its monitor."""
    own = set(judging.MOMENTARY)
    for watch in ("JointWatch", "Lease", "GraphWatch", "SafetyModeWatch"):
        own |= words(watches, watch, "reason")
    return own | words(judges, "SafeJudge") | {"power_on"}


def rules() -> set[str]:
    """Rules under which a command is refused."""
    return first_arguments(checks, "Refused") | first_arguments(supervision, "Refused")


def test_the_names_were_found_in_the_code() -> None:
    assert {"client_lost", "second_publisher", "contact_open", "heartbeat_lost", "overload"} <= reasons()
    assert {"lease", "not_armed", "epoch", "sequence", "step", "workspace"} <= rules()


@pytest.mark.parametrize("name", sorted(reasons()))
def test_every_reason_of_a_stop_is_in_troubleshooting(name: str) -> None:
    assert f"| `{name}`" in page("troubleshooting.md") or f", `{name}`" in page("troubleshooting.md")


@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_for_a_command_is_in_troubleshooting(name: str) -> None:
    part = page("troubleshooting.md").partition("## Refused commands")[2].partition("\n## ")[0]
    assert f"| `{name}` |" in part


@pytest.mark.parametrize("name", sorted({"not_ready", *words(confirmation, "Confirmations", "use")}))
def test_every_reason_why_a_reset_is_refused_is_in_troubleshooting(name: str) -> None:
    assert f"`{name}`" in page("troubleshooting.md")


# -- commands and links ----------------------------------------------------------------------------------------


def commands(text: str) -> list[str]:
    """Every line that calls redbutton: in blocks, and in code within a line."""
    blocks = "\n".join(re.findall(r"```(?:\w*)\n(.*?)```", text, re.DOTALL))
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    quoted = "\n".join(re.findall(r"`([^`\n]+)`", plain))
    joined = f"{blocks}\n{quoted}".replace("\\\n", " ")
    return [m[1].strip() for m in re.finditer(r"(?:^|[\s/=])redbutton ((?!-)[a-z][^\n#]*)", joined)]


CALLS = sorted({call for name in PAGES for call in commands((DOCS / name).read_text("utf-8"))})


@pytest.mark.parametrize("call", CALLS)
def test_every_command_of_the_pages_is_one(call: str) -> None:
    done = CliRunner().invoke(group, [*shlex.split(call), "--help"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Usage:")


def anchor(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_the_pages_leads_somewhere(name: str) -> None:
    for file, part in re.findall(r"\]\((?!http)([\w\-]*(?:\.md)?)(#[\w\-]+)?\)", page(name)):
        target = page(file or name)
        headings = {anchor(line.lstrip("#")) for line in target.splitlines() if line.startswith("#")}
        assert not part or part[1:] in headings, f"{name}: {file}{part}"


def test_the_index_names_every_page_about_hardware() -> None:
    for name in (*PAGES, *OTHERS):
        assert f"]({name})" in page("README.md")
