"""Files, environment variables, keys and names that a page writes as code are there in the programs.

A name is sought in all of the programs, not where the page says that it is: that a key belongs to one section is held
by the tests of single pages (test_plan_page.py, test_partner_page.py, test_decisions_page.py, test_research_page.py).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cases import check_each
from page_commands import PAGES, blocks, command_of, spans, split
from paths import ROOT

import sealscore

HOUSES = ("shared", "compliance", "clients", "server", "simulations", "sealscore", "deploy")
KINDS = "py|toml|jsonl|json|md|db|csv|txt|html|svg|parquet|pem|npz|safetensors|yaml|fab|sock|head|pid|log|key"
FILE = re.compile(rf"(?<![\w*])[\w./-]+\.(?:{KINDS})(?![\w.])")
NAME = re.compile(r"[a-z]+(_[a-z0-9]+)+|([a-z_]+\.)+[a-z_]+|[A-Z]\w*[a-z]\w*|[a-z]+")
SKIPPED = {".venv", "runs", ".git", "__pycache__", "node_modules"}
# Files and keys of a reader's own, in an example: nothing in the programs could be called so.
OWN_FILES = {"shop.csv", "b.csv", "data.toml", "utils.py", "channels.csv", "one.json", "server-card.txt", "copy.db"}
OWN_KEYS = {"lender-a", "lender-b"}


@cache
def files() -> frozenset[str]:
    """Every file of the repository, seen from its root."""
    top = [*ROOT.glob("*.*"), *(ROOT / "docs").rglob("*"), *(ROOT / "tests").rglob("*.py")]
    top += [file for house in HOUSES[:-2] for file in (ROOT / house).rglob("*.*")] + [*(ROOT / "deploy").rglob("*")]
    return frozenset(str(file.relative_to(ROOT)) for file in top if not SKIPPED & set(file.parts) and file.is_file())


@cache
def source() -> str:
    """All text of the programs, and of what starts them."""
    kinds = (".py", ".toml", ".yaml", ".service", ".timer")
    read = [name for name in files() if name.endswith(kinds) and not name.startswith(("tests/", "docs/"))]
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in [*read, "Makefile", "sealscore/__init__.py"])


@cache
def words() -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_]\w*", source())) | {
        part.rpartition(".")[0] or part for name in files() for part in name.split("/")
    }


def is_there(file: str) -> bool:
    """Whether a file of that name is in the repository, or is one that a program writes or reads."""
    name = file.rpartition("/")[2]
    stem, _, kind = name.rpartition(".")
    if "/" in file and kind in ("py", "md"):
        return any(f"/{one}".endswith(f"/{file.lstrip('./')}") for one in files())
    if re.fullmatch("[A-Z_-]+", stem) or name in OWN_FILES:
        return True
    return (
        name in source()
        or any(f"/{one}".endswith(f"/{name}") for one in files())
        or (f'"{stem}"' in source() and f"}}.{kind}" in source())
    )


def is_name(word: str) -> bool:
    """Whether the programs have a word; columns of figures are made of two: `ks_dp`."""
    first, _, last = word.rpartition("_")
    return word in words() or word in source() or (first in words() and f'}}_{last}"' in source())


def names_what_is_there(page: Path, line: int, span: str) -> None:
    if not any(command_of(one) for one in split(span)):
        assert all(map(is_there, FILE.findall(span))), f"no file {FILE.findall(span)}"
    paths = re.findall(r"/v1/([a-z]+)", span)
    assert all(f'"/v1/{path}' in source() for path in paths), f"no path {paths}"
    variables = re.findall(r"\b(?:SEALSCORE|FLWR|RAY)_[A-Z_]+\b", span)
    assert set(variables) <= words(), f"no variable {variables}"
    # test_claims.py holds that a test is where a page says.
    if NAME.fullmatch(span) and not FILE.fullmatch(span) and not span.startswith(("test_", "Test")):
        absent = [word for word in re.findall(r"\w+", span) if not is_name(word)]
        assert not absent, f"no {absent}"


def test_a_name_that_a_page_writes_as_code_is_there():
    cases = [(page, line, span) for page in PAGES for line, span in spans(page)]
    assert len(cases) > 3000
    check_each(names_what_is_there, cases)


@pytest.mark.parametrize(
    "span",
    [
        "reporting.json",
        "shared/dp/nothing.py",
        "SEALSCORE_FOLDER",
        "privacy.epsilom",
        "NoSuchClass",
        "auc_exactly",
        "POST /v1/marks",
    ],
)
def test_a_name_that_is_not_there_is_found(span: str):
    with pytest.raises(AssertionError):
        names_what_is_there(Path(), 1, span)


def keys(value: Any) -> Iterator[str]:
    """All keys of a document, but for those that a policy's author gives to inputs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key == "inputs":
                inner = list(inner.values())
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def has_known_keys(page: Path, line: int) -> None:
    language, text = next((language, text) for at, language, text in blocks(page) if at == line)
    document = tomllib.loads(text) if language == "toml" else json.loads(text)
    absent = {
        key
        for key in keys(document)
        if key not in OWN_KEYS and key not in words() and not re.search(rf"\b{re.escape(key)}\b", source())
    }
    assert not absent, f"no key {absent}"


def test_every_example_is_read_and_its_keys_are_known():
    cases = [(page, line) for page in PAGES for line, language, _ in blocks(page) if language in ("toml", "json")]
    assert len(cases) > 30
    check_each(has_known_keys, cases)


def is_python_of_the_api(page: Path, line: int, text: str) -> None:
    compile(text, f"{page.name}:{line}", "exec")
    unknown = set(re.findall(r"\bss\.(\w+)", text)) - set(sealscore.__all__)
    assert not unknown, f"sealscore has no {unknown}"
    for module, names in re.findall(r"^from (sealscore[\w.]+) import (.+)$", text, re.MULTILINE):
        path = ROOT.joinpath(*module.split(".")[1:])
        code = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        known = set(re.findall(r"\w+", code.read_text(encoding="utf-8")))
        assert {name.strip() for name in names.split(",")} <= known, f"{module} has not all of {names}"


def test_every_example_in_python_names_what_there_is():
    check_each(
        is_python_of_the_api,
        [(page, line, text) for page in PAGES for line, language, text in blocks(page) if language == "python"],
    )
