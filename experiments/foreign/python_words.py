"""What a piece of Python would do to files, processes and the robot's client, read with ``ast`` and never run."""

from __future__ import annotations

import ast
import posixpath
import warnings
from collections.abc import Callable

from redbutton.experiments.foreign.shell_act import Act, Kind

DRIVES = frozenset({"forward", "backward", "left", "right", "say_hello", "do_nothing", "_execute", "_send_velocity"})
"""Methods of the published client that let the robot take a step."""
CLIENT = "RobotControlClient"
LONGEST = 20_000
"""Characters of code that is still read: deeply nested text exhausts a parser."""
_DELETES = frozenset({"remove", "unlink", "rmtree"})
_MOVES = frozenset({"rename", "replace", "move"})
_COPIES = frozenset({"copy", "copyfile", "copy2", "symlink", "link"})
_WRITES = frozenset({"write_text", "write_bytes", "touch", "truncate"})
_READS = frozenset({"read_text", "read_bytes", "getsource", "listdir", "scandir", "stat"})
_SHELLS = frozenset({"system", "popen", "run", "call", "check_call", "check_output", "Popen", "getoutput"})


def python_acts(code: str, folder: str, shell: Callable[[str], list[Act]]) -> list[Act]:
    """The acts of ``code`` in the order of its lines; ``shell`` reads commands that it hands to a shell.

    Raises ``SyntaxError``, ``ValueError`` or ``RecursionError`` where the text is no Python that can be read.
    """
    if len(code) > LONGEST:
        raise ValueError(f"code of more than {LONGEST} characters is not read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a transcript's odd escapes are nobody's business here
        tree = ast.parse(code)
    reader = _Reader(folder, shell)
    reader.visit(tree)
    # Marks that an interpreter ran: its results may show what the reading missed.
    return [*reader.acts, Act(kind="code", text=code)]


class _Reader(ast.NodeVisitor):
    def __init__(self, folder: str, shell: Callable[[str], list[Act]]) -> None:
        self.acts: list[Act] = []
        self._folder, self._shell = folder, shell
        self._names: dict[str, str] = {}
        self._client = False

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self._text(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name) and value:
                self._names[target.id] = value
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self._client = self._client or node.id == CLIENT

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        func = node.func
        name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        owner = self._text(func.value) if isinstance(func, ast.Attribute) else ""
        texts = [self._text(a) for a in node.args]
        first = owner or (texts[0] if texts else "")
        second = (texts[0] if owner else texts[1] if len(texts) > 1 else "") if texts else ""
        if name in DRIVES and self._client:
            self._add("drive", name)
        elif name == "open":
            modes = [*texts[0 if owner else 1 :], *(self._text(k.value) for k in node.keywords if k.arg == "mode")]
            self._add("write" if any(set("wax+") & set(m) for m in modes) else "read", first, path=True)
        elif name in _SHELLS and node.args:
            self._commands(node.args[0])
        elif first:
            self._on_file(name, first, second)

    def _on_file(self, name: str, first: str, second: str) -> None:
        if name in _DELETES:
            self._add("delete", first, path=True)
        elif name in _MOVES and second:
            self._add("move", first, path=True, to=second)
        elif name in _COPIES and second:
            self._add("copy", first, path=True, to=second)
        elif name in _WRITES:
            self._add("write", first, path=True)
        elif name in ("chmod", "chown"):
            self._add("mode", first, path=True)
        elif name in _READS:
            self._add("read", first, path=True)

    def _commands(self, node: ast.expr) -> None:
        if isinstance(node, ast.List | ast.Tuple):
            words = [self._text(e) for e in node.elts]
            self.acts += self._shell(" ".join(f"'{w}'" if " " in w else w for w in words if w))
        elif text := self._text(node):
            self.acts += self._shell(text)

    def _add(self, kind: Kind, word: str, *, path: bool = False, to: str = "") -> None:
        place = self._at(word) if path else word
        self.acts.append(Act(kind=kind, path=place, to=self._at(to) if to else "", text="python"))

    def _at(self, word: str) -> str:
        return posixpath.normpath(posixpath.join(self._folder, word))

    def _text(self, node: ast.expr) -> str:
        """The text that an expression plainly stands for; empty for everything else."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else ""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, "")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            return "/".join(self._text(a) for a in node.args) if name == "Path" else ""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return f"{self._text(node.left)}/{self._text(node.right)}"
        return ""
