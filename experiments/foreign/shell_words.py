"""What a shell command would do to files and processes, read without running it.

Commands are split as POSIX shells split them (Shell Command Language, IEEE 1003.1); Python given to an interpreter is
read with ``ast``. The result is a list of acts in order: only acts, never what the words around them say.

CAVEAT: this is a reader for the short commands of transcripts, no shell. Variables, loops and generated code stay
unread and come out as ``code``; whoever uses the acts has to look at the results as well.
"""

from __future__ import annotations

import html
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redbutton.experiments.foreign.python_words import python_acts
from redbutton.experiments.foreign.shell_act import Act, Kind

HOME = "/app"
"""Where a command starts: the working folder of the published sandbox."""
LONGEST = 50_000
"""Characters of a command that is still read; the longest published ones have some hundreds."""
_PUNCTUATION = ";<>|&()\n"
_HEREDOC = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1([^\n]*)\n(.*?)(?:^[ \t]*\2[ \t]*$|\Z)", re.S | re.M)
_WRAPPERS = frozenset(
    {"sudo", "env", "nohup", "time", "command", "exec", "then", "do", "else", "if", "while", "!", "{"}
)
_SHELLS = frozenset({"bash", "sh", "dash", "zsh"})
_READERS = frozenset(
    {
        "cat",
        "ls",
        "head",
        "tail",
        "less",
        "more",
        "file",
        "stat",
        "grep",
        "egrep",
        "find",
        "wc",
        "strings",
        "od",
        "xxd",
        "hexdump",
        "diff",
        "nl",
        "tac",
        "base64",
        "md5sum",
        "sha256sum",
        "readlink",
        "realpath",
    }
)
_QUIET = frozenset(
    {
        "cd",
        "echo",
        "printf",
        "pwd",
        "test",
        "[",
        "true",
        "false",
        "ps",
        "id",
        "whoami",
        "which",
        "type",
        "sleep",
        "export",
        "set",
        "touch",
        "mkdir",
        "date",
        "}",
    }
)
_EDITORS = frozenset({"truncate", "shred", "tee", "ed", "patch"})
_MODES = frozenset({"chmod", "chown", "chattr", "setfacl"})
_KILLERS = frozenset({"kill", "pkill", "killall"})


@dataclass(frozen=True)
class _Heredoc:
    body: str


def read_command(command: str, *, depth: int = 0) -> list[Act]:
    """The acts of one command line, in order. A command that cannot be split is one act of kind ``code``."""
    if depth > 4 or len(command) > LONGEST:
        return [Act(kind="code", text=command)]
    text = html.unescape(command) if depth == 0 else command
    bodies: list[str] = []

    def keep(found: re.Match[str]) -> str:
        bodies.append(found[4])
        return f"<< heredoc{len(bodies) - 1} {found[3]}\n"

    try:
        words = _split(_HEREDOC.sub(keep, text))
    except ValueError:
        return [Act(kind="code", text=command)]
    acts: list[Act] = []
    folder = HOME
    for segment in _segments(words):
        if segment[:1] == ["cd"] and len(segment) > 1:
            folder = _at(folder, segment[1])
        acts += _segment(segment, folder, bodies, depth)
    return acts


def _split(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    return list(lexer)


def _segments(words: Sequence[str]) -> Iterator[list[str]]:
    """Simple commands, redirections still inside; comments are left out."""
    current: list[str] = []
    comment = False
    for word in words:
        if set(word) <= set(";|&()\n") and word:
            if current:
                yield current
            current, comment = [], comment and "\n" not in word
        elif comment or word.startswith("#"):
            comment = True
        else:
            current.append(word)
    if current:
        yield current


def _segment(words: list[str], folder: str, bodies: Sequence[str], depth: int) -> list[Act]:
    plain, acts, stdin = _redirections(words, folder, bodies)
    while plain and (plain[0] in _WRAPPERS or re.fullmatch(r"\w+=.*", plain[0], re.S)):
        plain = plain[1:]
    if plain[:1] == ["timeout"]:
        plain = plain[2:]
    if not plain:
        return acts
    name = posixpath.basename(plain[0])
    operands = [w for w in plain[1:] if not w.startswith("-")]
    return [*_command(name, plain, operands, folder, stdin, depth), *acts]


def _redirections(words: Sequence[str], folder: str, bodies: Sequence[str]) -> tuple[list[str], list[Act], str]:
    """The words without redirections, the files that redirections write, and the text of a here-document."""
    plain: list[str] = []
    acts: list[Act] = []
    stdin = ""
    rest = iter(words)
    for word in rest:
        if word in (">", ">>", ">|", ">&", "&>"):
            if plain and re.fullmatch(r"\d", plain[-1]):
                plain.pop()
            target = next(rest, "")
            if target and not re.fullmatch(r"&?\d", target) and target != "/dev/null":
                acts.append(Act(kind="write", path=_at(folder, target), text="redirection"))
        elif word == "<<":
            number = next(rest, "").removeprefix("heredoc")
            stdin = bodies[int(number)] if number.isdigit() and int(number) < len(bodies) else ""
        elif word in ("<", "<<<"):
            next(rest, "")
        else:
            plain.append(word)
    return plain, acts, stdin


def _command(
    name: str, words: Sequence[str], operands: Sequence[str], folder: str, stdin: str, depth: int
) -> list[Act]:
    paths = [_at(folder, w) for w in operands]
    if name in _SHELLS or re.fullmatch(r"python[\d.]*", name):
        return _interpreter(name, words, operands, folder, stdin, depth)
    if name in ("mv", "cp", "ln", "install") and len(paths) > 1:
        lands: Kind = "move" if name == "mv" else "copy"
        return [Act(kind=lands, path=p, to=_into(p, paths[-1], operands[-1]), text=name) for p in paths[:-1]]
    if name in ("rm", "unlink"):
        return [Act(kind="delete", path=p, text=name) for p in paths]
    if name in _EDITORS:
        return [Act(kind="write", path=p, text=name) for p in paths]
    if name in ("sed", "perl", "awk", "gawk"):
        edits = any(re.match(r"-[a-zA-Z]*i|--in-place", w) for w in words[1:])
        return [Act(kind="write" if edits else "read", path=p, text=name) for p in paths]
    if name == "dd":
        return [Act(kind="write", path=_at(folder, w[3:]), text=name) for w in words if w.startswith("of=")]
    if name in _MODES:
        return [Act(kind="mode", path=p, text=name) for p in paths[1:]]
    if name in _KILLERS:
        return [Act(kind="kill", path=w, text=name) for w in operands]
    if name in _READERS:
        return [Act(kind="read", path=p, text=name) for p in paths]
    if name in _QUIET:
        return []
    return [Act(kind="run", path=_at(folder, words[0]), text=" ".join(words[1:]))]


def _interpreter(
    name: str, words: Sequence[str], operands: Sequence[str], folder: str, stdin: str, depth: int
) -> list[Act]:
    shell = name in _SHELLS
    flag = next((n for n, w in enumerate(words) if re.fullmatch(r"-[a-zA-Z]*c", w)), None)
    code = words[flag + 1] if flag is not None and flag + 1 < len(words) else ""
    if not code and not operands:
        code = stdin
    if not code:
        started: Kind = "run" if operands else "code"
        return [Act(kind=started, path=_at(folder, operands[0]) if operands else "", text=" ".join(words))]
    if shell:
        return read_command(code, depth=depth + 1)
    try:
        return python_acts(code, folder, lambda text: read_command(text, depth=depth + 1))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [Act(kind="code", text=code)]


def _into(source: str, target: str, word: str) -> str:
    """Where a file lands: inside the target when that is plainly a folder."""
    folder = word.endswith("/") or target in ("/", "/tmp", HOME, "/root", "/var/tmp", "/dev/shm")
    return posixpath.join(target, posixpath.basename(source)) if folder else target


def _at(folder: str, word: str) -> str:
    path = posixpath.normpath(posixpath.join(folder, re.sub(r"^~(?=/|$)", "/root", word)))
    return "/" + path.lstrip("/")
