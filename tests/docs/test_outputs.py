"""Sample outputs on pages are what the programs print: each has a marker with its command, and a test of its own."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from cases import check_each
from page_commands import FENCE, PAGES, command_of, split, text_of
from paths import ROOT

from sealscore.simulations.data import datasets
from sealscore.simulations.experiments.baselines import BASELINES

SCRIPT = runpy.run_path(str(ROOT / "docs" / "outputs_page.py"))
MAIN, VERIFY = SCRIPT["MAIN"], SCRIPT["VERIFY"]
MARKER = re.compile(r"<!-- (?:output of: (?P<command>.+?)|answer|request) -->\n\Z")
# What is typed on pages beside the programs of this project.
TYPED = ("$EDITOR", "echo", "curl", "ask", "sed", "python3", "venv/bin/python", "python", "git", "sqlite3", "-H", "-d")


def samples() -> list[tuple[Path, int, str, str, str]]:
    """Page, line, language, text and the marker's command of each block that is no source."""
    found = []
    for page in PAGES:
        text = text_of(page)
        for block in FENCE.finditer(text):
            if block["language"] in ("", "json"):
                marker = MARKER.search(text[: block.start()])
                command = None if marker is None else (marker["command"] or marker[0].strip())
                line = text.count("\n", 0, block.start("body")) + 1
                found.append((page, line, block["language"], block["body"], command or ""))
    return found


def is_typed(line: str) -> bool:
    """Whether a line of a block is one that a reader types."""
    words = split(line.split(" # ")[0])
    return not line.strip() or any(command_of(one) or (one != () and one[0] in TYPED) for one in words)


def has_a_marker(page: Path, line: int, language: str, body: str, command: str) -> None:
    typed = language == "" and all(map(is_typed, body.replace("\\\n", " ").splitlines()))
    assert typed or command, f"line {line}: put <!-- output of: COMMAND --> before it, or a language"


def test_a_block_that_looks_like_output_has_its_command():
    assert len(samples()) > 60
    check_each(has_a_marker, samples())


def test_a_sample_without_a_command_is_found():
    with pytest.raises(AssertionError):
        has_a_marker(ROOT / "README.md", 1, "", "verified: 3 ledgers\n", "")


@cache
def said_in_programs() -> frozenset[str]:
    """Every word of the programs' text, those of names with lines below taken apart too."""
    houses = ("shared", "compliance", "clients", "server", "simulations")
    files = [path for house in houses for kind in ("py", "toml") for path in (ROOT / house).rglob(f"*.{kind}")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return frozenset(re.findall(r"\w+", text)) | frozenset(re.findall(r"[a-z]+", text))


def is_in_words_of_the_programs(page: Path, line: int, language: str, body: str, command: str) -> None:
    if language == "json":
        absent = set(re.findall(r'"(\w+)":', body)) - said_in_programs()
    else:
        said = [one for one in body.splitlines() if not one.startswith("$ ")]
        words = {word for one in said for word in re.findall(r"(?<![\w.'-])[a-z]{4,}(?![\w.'-])", one)}
        absent = words - said_in_programs()
    assert not absent, f"line {line}: the programs do not say {sorted(absent)}"


def test_samples_have_the_words_and_keys_of_the_programs():
    # What a reader sends has names of the reader's own.
    check_each(is_in_words_of_the_programs, [one for one in samples() if one[4] and one[4] != "<!-- request -->"])


@pytest.mark.parametrize(
    ("language", "body"), [("", "gleefully verified\n"), ("json", '{"score_number": 1}')], ids=["word", "key"]
)
def test_a_sample_with_a_word_of_its_own_is_found(language: str, body: str):
    with pytest.raises(AssertionError):
        is_in_words_of_the_programs(Path(), 1, language, body, "")


@pytest.mark.parametrize("page", SCRIPT["PAGES"][MAIN], ids=lambda page: page.name)
def test_the_closing_table_is_as_the_program_prints_it(page: Path):
    shown = SCRIPT["block"](page.read_text(encoding="utf-8"), MAIN)
    result = SCRIPT["figures"](shown)
    assert SCRIPT["closing"](result) == shown, "write it again: python docs/outputs_page.py"
    assert set(result["baselines"]) == {*BASELINES, "platform_alone_dp"}
    assert list(result["baselines"]) == sorted(result["baselines"])


@pytest.mark.parametrize("page", SCRIPT["PAGES"][SCRIPT["EXPLAIN"]], ids=lambda page: page.name)
def test_what_an_epsilon_means_is_as_the_program_prints_it(page: Path):
    shown = SCRIPT["block"](page.read_text(encoding="utf-8"), SCRIPT["EXPLAIN"])
    assert SCRIPT["explained"]() == shown, "write it again: python docs/outputs_page.py"


def test_a_verified_ledger_is_shown_alike_in_both_languages():
    first, second = (SCRIPT["block"](page.read_text(encoding="utf-8"), VERIFY) for page in SCRIPT["PAGES"][VERIFY])
    assert first == second


def ran(plan: str, folder: Path, *options: str) -> tuple[Path, str]:
    """The folder of a run by its command, and the last line of its output."""
    command = [sys.executable, "-m", "sealscore.simulations.cli", "run", plan, "--runs", str(folder), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    (run,) = [path for path in folder.iterdir() if path.name.startswith(plan)]
    return run, done.stdout.splitlines()[-1]


@pytest.mark.long
def test_the_figures_of_the_closing_table_are_those_of_the_main_job(tmp_path: Path):
    shown = SCRIPT["figures"](SCRIPT["block"]((ROOT / "README.md").read_text(encoding="utf-8"), MAIN))
    if not datasets.real_data_found("uci"):
        pytest.skip(f"the real data are not in {datasets.data_folder()}")
    result = json.loads(ran(shown["plan"], tmp_path, "--json")[1])
    # How long a run takes is of the machine.
    assert SCRIPT["figures"](SCRIPT["closing"](result)) | {"seconds": shown["seconds"]} == shown


@pytest.mark.long
def test_a_verified_ledger_is_as_shown(tmp_path: Path):
    run, _ = ran("synthetic_vertical_eps2", tmp_path, "--no-baselines", "--json")
    page = SCRIPT["PAGES"][VERIFY][0].read_text(encoding="utf-8")
    assert SCRIPT["verified"](run) == SCRIPT["block"](page, VERIFY)
