"""The commands that pages show, and what the programs say of them."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer
from paths import ROOT

PROGRAMS = {
    "sealscore-sim": "sealscore.simulations.cli",
    "sealscore-node": "sealscore.clients.cli",
    "sealscore-server": "sealscore.server.cli",
    "sealscore-compliance": "sealscore.compliance.cli",
}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Marks of a shell after which another command begins, and what may stand before a command.
_ENDS = {"&&", "||", "|", ";", "&", "(", ")"}
_BEFORE = {"nohup", "$", "setsid", "time", "sudo", "exec"}
_MODULE = re.compile(r"sealscore(\.\w+)+")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """One command of a page: its line, its words, and whether it stands in a block, where it is typed as it is."""

    page: Path
    line: int
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {' '.join(self.words)}"


def text_of(page: Path) -> str:
    """What a page says of this version: of the changelog, what is not released yet."""
    text = page.read_text(encoding="utf-8")
    return text.split("\n## ", 2)[1] if page.name == "CHANGELOG.md" else text


def split(line: str) -> Iterator[tuple[str, ...]]:
    """The simple commands of a line of a shell, without redirections, assignments and comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.wordchars += "@%:,+…#[]{}$!^"
    lexer.commenters = ""
    words: list[str] = []
    skip = False
    try:
        tokens = list(lexer)
    except ValueError:  # a quote that a page cut off
        tokens = line.split()
    for token in tokens:
        if token.startswith("#") and len(token) == 1:
            break
        if token in _ENDS:
            yield tuple(words)
            words = []
        elif skip:
            skip = False
        elif token and set(token) <= set("<>&"):
            skip = True
            if words and words[-1].isdigit():
                words.pop()
        elif words or not (token in _BEFORE or re.match(r"[A-Z_]+=", token)):
            words.append(token)
    yield tuple(words)


def command_of(words: tuple[str, ...]) -> bool:
    """Whether these words call a program that can be asked what it takes."""
    if not words:
        return False
    name = words[0].rpartition("/")[2]
    if name in PROGRAMS or name in ("make", "pytest"):
        return True
    return name in ("python", "python3") and words[1:] != () and (words[1] == "-m" or words[1].endswith(".py"))


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """First line, language and text of each fenced block."""
    text = text_of(page)
    for found in FENCE.finditer(text):
        yield text.count("\n", 0, found.start("body")) + 1, found["language"], found["body"]


def spans(page: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each code span outside of blocks."""
    text = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text_of(page))
    for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


def shown_on(page: Path) -> Iterator[Shown]:
    """Every command on a page, in blocks and in spans."""
    for first, language, body in blocks(page):
        if language not in ("", "sh", "bash", "console"):
            continue
        joined = body.replace("\\\n", " \0")
        at = first
        for line in joined.splitlines():
            for words in split(line.replace("\0", "").split(" # ")[0]):
                if command_of(words):
                    yield Shown(page, at, words, True)
            at += 1 + line.count("\0")
    text = text_of(page)
    for marker in re.finditer(r"<!-- output of: (.+?) -->", text):
        for words in split(marker[1]):
            if command_of(words):
                yield Shown(page, text.count("\n", 0, marker.start()) + 1, words, False)
    for line, span in spans(page):
        # A synopsis has what may be left out in brackets; what follows a semicolon is a message's advice.
        before: tuple[str, ...] = ()
        for words in split(re.sub(r"\[(.*?)\]", r"\1", span.partition("; ")[0])):
            if command_of(words):
                before = words
            elif words and (name := of_a_group(words)):
                before = (name, *words)
            elif words and len(before) > 2 and of_a_group((before[1], words[0])):
                before = (*before[:2], *words)  # `loan open | close`
            else:
                continue
            yield Shown(page, line, before, False)


@cache
def program(name: str) -> Any:
    """The click command of a program."""
    return typer.main.get_command(importlib.import_module(PROGRAMS[name]).app)


def of_a_group(words: tuple[str, ...]) -> str | None:
    """The program that has such a group of commands with such a command in it: `token told` is of sealscore-node."""
    for name in PROGRAMS:
        group = program(name).commands.get(words[0])
        if group is not None and len(words) > 1 and words[1] in getattr(group, "commands", {}):
            return name
    return None


def placeholder(word: str) -> bool:
    """Whether a reader puts something else there: NAME, HOST:PORT, `...`."""
    return word in ("...", "…", "-") or (not re.search(r"[a-z]", word) and bool(re.search(r"[A-Z]", word)))


def fault(shown: Shown) -> str | None:
    """What is wrong with a command, by the program itself; None where nothing is."""
    name, rest = shown.words[0].rpartition("/")[2], list(shown.words[1:])
    if name == "make":
        return _make(rest)
    if name == "pytest":
        return _paths([word for word in rest if not word.startswith("-")])
    if name.startswith("python"):
        return _python(rest)
    return _typed(program(name), rest, shown.whole)


def _typed(command: Any, rest: list[str], whole: bool) -> str | None:
    context = command.make_context(command.name or "", [], resilient_parsing=True)
    while getattr(command, "commands", None):
        if not rest:
            return "a command is missing" if whole else None
        word = rest.pop(0)
        if word.startswith("-") or placeholder(word):
            known = {option for parameter in command.get_params(context) for option in parameter.opts}
            return None if word in known or (placeholder(word) and not whole) else f"no option {word}"
        # A group may have a command for words that name none: `sweep FILE` runs the file.
        asked = command.make_context(command.name or "", [word, *rest], resilient_parsing=True)
        word, *rest = [*asked._protected_args, *asked.args]
        if word not in command.commands:
            return f"no command {word}; there are {', '.join(command.commands)}"
        command = command.commands[word]
    context = command.make_context(command.name or "", [], resilient_parsing=True)
    try:
        given, left, _ = command.make_parser(context).parse_args(
            rest[:-1] if rest[-1:] == ["…"] and not whole else rest
        )
    except Exception as error:
        if not whole and "requires an argument" in str(error):
            return None
        return str(error)
    if left and left != ["..."]:
        return f"too many words: {left}"
    missing, wrong = [], []
    for parameter in command.get_params(context):
        value = given.get(parameter.name)
        if parameter.required and not (isinstance(value, str | list | tuple) and value):
            missing.append(parameter.name)
        for word in value if isinstance(value, list | tuple) else [value]:
            if isinstance(word, str) and not placeholder(word):
                wrong += _misfit(parameter, word, context)
    if wrong:
        return "; ".join(wrong)
    return f"missing: {', '.join(missing)}" if whole and missing else None


def _misfit(parameter: Any, word: str, context: Any) -> list[str]:
    """What a choice or a number says against a word; a path may be that of a file of the reader."""
    kind = parameter.type
    if "ath" in type(kind).__name__ or type(kind).__name__ in ("StringParamType", "FuncParamType", "File", "Tuple"):
        return []
    try:
        kind.convert(word, parameter, context)
    except Exception as error:
        return [f"{parameter.name}: {error}"]
    return []


def _make(rest: list[str]) -> str | None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    wrong = [word for word in rest if re.fullmatch(r"[a-z]+", word) and word not in targets]
    return f"no target {wrong}" if wrong else None


def _paths(words: list[str]) -> str | None:
    absent = [word for word in words if "/" in word and not (ROOT / word.partition("::")[0]).exists()]
    return f"no {absent}" if absent else None


def _python(rest: list[str]) -> str | None:
    if rest[0] != "-m":
        return _paths(rest[:1])
    if rest[1] in ("venv", "pip", "pytest"):
        return _paths(rest[2:]) if rest[1] == "pytest" else None
    if not _MODULE.fullmatch(rest[1]):
        return f"not a module of Sealscore: {rest[1]}"
    inner = ROOT.joinpath(*rest[1].split(".")[1:])
    source = inner / "__main__.py" if inner.is_dir() else inner.with_suffix(".py")
    if not source.is_file() or "__main__" not in source.read_text(encoding="utf-8"):
        return f"{rest[1]} cannot be run"
    options, positional = _arguments(source)
    words = [word for word in rest[2:] if not placeholder(word) and not word.startswith("[")]
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
    if unknown:
        return f"no option {unknown}"
    if inner.is_dir() and words and not ((inner / f"{words[0]}.py").is_file() or (inner / words[0]).is_dir()):
        return f"no {words[0]} in {rest[1]}"
    return None if positional or not [word for word in words if not word.startswith("-")] else "it takes no words"


def _arguments(source: Path) -> tuple[set[str], int]:
    """The options, and how many arguments, that a module gives its argparse parser."""
    names = [
        node.args[0].value
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_argument"
        and isinstance(node.args[0], ast.Constant)
    ]
    return {name for name in names if name.startswith("--")}, sum(not name.startswith("-") for name in names)
