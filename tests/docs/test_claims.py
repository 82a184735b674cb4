"""Each claim of the pages of threats, of the claim and of the proofs names what plays it, and by its right name."""

from __future__ import annotations

import ast
import re
from asyncio.constants import SSL_SHUTDOWN_TIMEOUT
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cases import check_each
from paths import ROOT
from uvicorn import Config

from sealscore.clients.node.plan_ledger import ALIGNMENT_DAYS, ALIGNMENTS, MAX_REFUSALS
from sealscore.clients.node.plan_router import MAX_PROPOSED
from sealscore.clients.node.sealed import CLOCK_SECONDS
from sealscore.server.deploy.connections import HASTE, MOST, MOST_OF_ONE
from sealscore.server.deploy.gate import STRANGERS
from sealscore.server.setup.server_dir import ServerConfig
from sealscore.shared.ledger import entries
from sealscore.shared.plan.settings import Privacy
from sealscore.simulations.data.scenario import packaged

DOCS = ROOT / "docs"
THREATS, CLAIM = DOCS / "threat-model.md", DOCS / "compliance.md"
PROOFS = sorted((DOCS / "proofs").glob("*.md"))
LINK = re.compile(r"\[([\w/]*test_\w+\.py)\]\(([^)]+)\)")
NAMED = re.compile(r"`((?:test_|Test)\w+)`")
# What a row says that has no test, since there is nothing to play.
OPEN = ("**Not stopped**", "nobody can check it")


@cache
def collected(file: Path) -> frozenset[str]:
    """The names by which pytest collects what is in a file."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            found |= {node.name, *(inner.name for inner in node.body if isinstance(inner, ast.FunctionDef))}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.add(node.targets[0].id)
    return frozenset(name for name in found if name.startswith(("test_", "Test")))


def rows(page: Path) -> Iterator[list[str]]:
    """The rows of a page's tables whose last column is of tests."""
    columns = 0
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" |")]
        if cells[-1] in ("test", "tests"):
            columns = len(cells)
        elif columns and not set(line) <= set("|- "):
            assert len(cells) == columns, line
            yield cells


def has_a_test_or_says_that_it_has_none(page: Path, cells: list[str]) -> None:
    linked = LINK.findall(cells[-1])
    assert linked or any(words in cell for words in OPEN for cell in cells)
    files = []
    for label, target in linked:
        assert target.endswith(f"/{label}"), f"{label} is the name of another file than {target}"
        files.append((page.parent / target).resolve())
    for file in files:
        assert collected(file), f"{file} holds no test"
    for name in re.findall(r"`(\w+)`", cells[-1]):
        assert any(name in collected(file) for file in files), f"there is no {name} in {[file.name for file in files]}"


def test_a_row_has_a_test_or_says_that_it_has_none():
    found = [(page, cells) for page in (THREATS, CLAIM) for cells in rows(page)]
    assert len(found) > 80
    check_each(has_a_test_or_says_that_it_has_none, found)


def links_the_files_of_the_tests_it_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = [(page.parent / target).resolve() for _, target in LINK.findall(text)]
    files += [path for path in cited(page) if path.name.startswith("test_")]
    known = {name for file in files for name in collected(file)} | {file.stem for file in files}
    assert set(NAMED.findall(text)) <= known


def test_a_test_that_is_named_anywhere_on_a_page_is_in_a_file_that_it_links():
    check_each(links_the_files_of_the_tests_it_names, [(page,) for page in (THREATS, CLAIM, *PROOFS)])


def cited(page: Path) -> list[Path]:
    """The files of code and tests that the head of a proof names; one without a folder is beside the one before it."""
    head = re.search(r"^Code: .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    found: list[Path] = []
    for name in re.findall(r"`([\w/]+\.py)`", head[0] if head else ""):
        found.append(ROOT / name if "/" in name else found[-1].parent / name)
    return found


def names_its_code_and_its_tests(page: Path) -> None:
    files = cited(page)
    assert all(file.is_file() for file in files), files
    assert any("tests" in file.parts and collected(file) for file in files)
    assert any("tests" not in file.parts for file in files)


def test_a_proof_names_its_code_and_its_tests():
    check_each(names_its_code_and_its_tests, [(page,) for page in PROOFS if page.stem != "README"])


@cache
def source() -> str:
    """All code of the product."""
    packages = (ROOT / name for name in ("shared", "compliance", "clients", "server", "simulations"))
    return "\n".join(file.read_text(encoding="utf-8") for package in packages for file in package.rglob("*.py"))


def names_what_is_in_the_code(page: Path) -> None:
    spans = re.findall(r"`([^`]+)`", page.read_text(encoding="utf-8"))
    named = [span for span in spans if not re.search(r"\.(py|md)$|^test_", span) and span not in packaged()]
    words = {word for span in named for word in re.findall(r"[A-Za-z_]\w{3,}", span)}
    assert not {word for word in words if word not in source()}


def test_a_name_in_a_proof_is_a_name_in_the_code():
    check_each(names_what_is_in_the_code, [(page,) for page in PROOFS])


KINDS = {
    model.model_fields["kind"].default
    for model in vars(entries).values()
    if isinstance(model, type) and "kind" in getattr(model, "model_fields", {})
}


def test_every_kind_of_entry_is_explained_and_no_other():
    section = CLAIM.read_text(encoding="utf-8").split("## The ledger")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == KINDS


# A number on a page, found by the words around it, and what the code says.
NUMBERS = [
    (THREATS, r"the first (\d+) under a plan are entries", MAX_REFUSALS),
    (CLAIM, r"Refused requests are noted up to (\d+) under a plan", MAX_REFUSALS),
    (THREATS, r"At most (\d+) plans wait", MAX_PROPOSED),
    (THREATS, r"; (\d+) of a lender within", ALIGNMENTS),
    (CLAIM, r"and (\d+) of a lender within", ALIGNMENTS),
    (THREATS, r"of a lender within (\d+) days", ALIGNMENT_DAYS),
    (CLAIM, r"of a lender within (\d+) days", ALIGNMENT_DAYS),
    (THREATS, r"A clock (an) hour off is refused", CLOCK_SECONDS // 3600),
    (THREATS, r"no whole head of a request within (\d+) s", HASTE),
    (THREATS, r"; (\d+) connections of one address at a time", MOST_OF_ONE),
    (THREATS, r"a stranger's body ends at (\d+) KiB", STRANGERS // 1024),
    (THREATS, r"keep opening connections fill its (\d+),", MOST),
    (THREATS, r"a stranger's own address share its (\d+);", MOST_OF_ONE),
    # uvicorn closes a silent connection, and asyncio waits so long for the other side to end TLS.
    (THREATS, r"a silent connection may last (\d+) s", Config("").timeout_keep_alive + SSL_SHUTDOWN_TIMEOUT),
    (THREATS, r"a connection: (\d+) MiB\s+times", ServerConfig.model_fields["body_limit_mib"].default),
    (THREATS, r"MiB\s+times (\d+) of one address", MOST_OF_ONE),
    (CLAIM, r"in blocks of up to (\d+) answers", Privacy.model_json_schema()["properties"]["reserve_block"]["maximum"]),
    (CLAIM, r"`privacy\.reserve_block`, (\d+) by default", Privacy.model_fields["reserve_block"].default),
    (CLAIM, r"`spare_attempts`, default (\d+) %", round(100 * Privacy.model_fields["spare_attempts"].default)),
]


def states_the_number(page: Path, words: str, value: float) -> None:
    found = re.findall(words, page.read_text(encoding="utf-8"))
    assert [1 if one == "an" else int(one) for one in found] == [value]


def test_a_number_on_a_page_is_that_of_the_code():
    check_each(states_the_number, NUMBERS)
