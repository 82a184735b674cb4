"""The pages speak of what is there: files, codes, commands, plans and phases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from cases import check_each
from paths import ROOT

from sealscore.server.transport import exchange
from sealscore.shared.phases.kind import Kind
from sealscore.shared.text import terminal
from sealscore.simulations import bench, cli
from sealscore.simulations.bench.__main__ import names as benchmarks
from sealscore.simulations.data import datasets, scenario
from sealscore.simulations.experiments import baselines

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CODE = re.compile(r'(?:Refused\(|_refused?\(\w+, |Refusal\((?:\w+|self\._reply\(header\)), )"([a-z-]+)"')


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    for page in [*PAGES, *DOCS.rglob("*.ipynb")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            yield page, target


def leads_somewhere(page: Path, target: str) -> None:
    assert not target.startswith("/")
    if re.match(r"https?://", target):
        return
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    assert file.exists()
    if anchor:
        assert anchor in anchors(file)


def test_every_link_leads_somewhere():
    check_each(leads_somewhere, dict.fromkeys(links()))


def names_tests_that_are_there(page: Path) -> None:
    cells = re.findall(r"\[(?:\w+/)?test_\w+\.py\]\(([^)]+)\)((?: `\w+`(?:,(?= `))?)*)", prose(page))
    for file, named in cells:
        source = (page.parent / file).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", named):
            assert re.search(rf"(def|class) {name}\b", source), f"{page.name}: no {name} in {file}"


def test_every_named_test_is_there():
    check_each(names_tests_that_are_there, [(page,) for page in PAGES])


def test_every_refusal_code_is_explained_and_no_other():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "clients").rglob("*.py")]
    codes = {code for source in sources for code in CODE.findall(source)}
    assert len(codes) > 20
    section = read("docs/errors.md").split("## Refusal codes of a node")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == codes


def test_every_reason_of_an_exchange_is_explained():
    section = read("docs/errors.md").split("## What a party's failure is called")[1].split("\n## ")[0]
    explained = set(re.findall(r"^\| `([a-z- ]+)` \|", section, re.MULTILINE))
    assert explained >= exchange.REASONS


def test_every_exit_code_is_explained():
    section = read("docs/errors.md").split("\n## ")[1]
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert explained >= {0, terminal.FAILED, terminal.BAD_INPUT, terminal.INTERRUPTED}


def test_every_command_is_shown_and_no_other():
    command = typer.main.get_command(cli.app)
    known = set(getattr(command, "commands"))  # noqa: B009 (typer's group is a click group under another name)
    shown = re.findall(r"^(?:\.venv/bin/)?sealscore-sim (\w+)", read("docs/researcher.md"), re.MULTILINE)
    assert set(shown) == known


def test_plans_baselines_benchmarks_and_data_are_those_there_are():
    figures, page = read("docs/research.md"), read("docs/researcher.md")
    for name in scenario.packaged():
        assert f"`{name}`" in figures, name
    assert f"`{scenario.MAIN_JOB}`" in page
    assert f"`{scenario.MAIN_JOB_WITHOUT_DATA}`" in page
    for name in (*baselines.BASELINES, "platform_alone_dp"):
        assert f"| `{name}` |" in page
    for name in benchmarks():
        assert f"{bench.__name__} {name}" in page
    for file in datasets.REAL.values():
        assert file in page


def test_make_bench_runs_what_the_page_says():
    (loop,) = re.findall(r"^bench:.*\n\tfor name in ([^;]*);", read("Makefile"), re.MULTILINE)
    said = read("docs/researcher.md").split("`make bench` runs")[1].split("\n## ")[0]
    together, _, alone = said.partition("run by their commands above")
    assert re.findall(r"`(\w+)`", together) == loop.split()
    assert set(re.findall(r"`(\w+)`", alone)) == set(benchmarks()) - set(loop.split())


def test_the_walk_names_every_phase():
    diagram = "".join(re.findall(r"```text\n(.*?)```", read("docs/protocol.md"), re.DOTALL)[:2])
    assert set(re.findall(r"^ (\w+)", diagram, re.MULTILINE)) >= {kind.value for kind in Kind}
