"""What docs/partner.md says is what the software says: its table is checked by its plan, its keys are those read."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from paths import ROOT
from pydantic import BaseModel

from sealscore.clients import cli
from sealscore.clients.commands.init import init
from sealscore.clients.data import read_source
from sealscore.clients.data.consents import ConsentTable
from sealscore.clients.health.preflight import preflight
from sealscore.clients.setup.config import (
    ConsentsSection,
    DataSection,
    NodeConfig,
    NodeSection,
    RepaymentsSection,
    ServerSection,
    ServingSection,
    SuperNodeSection,
    WatchSection,
)
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.server import cli as server_cli
from sealscore.server.setup.server_dir import ServerConfig
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.persons.consent import FEDERATION, parse_consents
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan

PAGE = (ROOT / "docs" / "partner.md").read_text(encoding="utf-8")
SERVER_PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
PLAN = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
HEADER = "application_id,creator_id,applied,defaulted,monthly_income,late_24m,employment,age,consent"
ROWS = [
    f"A{i:03d},C{i:03d},2024-0{1 + i % 9}-15,{i % 2},{3000 + i},{i % 5},other,{20 + i},federation" for i in range(60)
]
GOOD = "\n".join([HEADER, *ROWS]) + "\n"
SECTIONS: dict[str, type[BaseModel]] = {
    "node": NodeSection,
    "server": ServerSection,
    "data": DataSection,
    "data.consents": ConsentsSection,
    "data.repayments": RepaymentsSection,
    "budget": Ceilings,
    "supernode": SuperNodeSection,
    "serving": ServingSection,
    "watch": WatchSection,
}


def block(page: str, language: str) -> str:
    """The first fenced block of that language."""
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def keys(text: str) -> dict[str, str]:
    """Key and default of each row of the first table of a section."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", re.split(r"\n#+ ", text)[0], re.MULTILINE))


def defaults(model: type[BaseModel]) -> dict[str, str]:
    """Key and default of each field of a model, as the pages write them."""
    found = {}
    for name, field in model.model_fields.items():
        value = {} if field.default_factory is dict else field.default
        words = {"None": "none", "{}": "empty"}
        found[name] = "required" if field.is_required() else words.get(str(value)) or json.dumps(value)
    return found


class Console:
    """A lender's node in a folder: what its checks and its plan reading say."""

    def __init__(self, folder: Path, party: str, name: str = "loans.csv") -> None:
        init(name=party, role="lender", folder=folder)
        self.home = NodeDir(folder)
        self.plan = block(PLAN, "toml")
        text = self.home.config_file.read_text().replace("loans.parquet", name)
        text = text.replace("# row_local = true", "row_local = true")
        self.home.config_file.write_text(text)

    def data(self) -> str:
        """What the line on the data says."""
        findings = preflight(self.home, [Plan.loads(self.plan)], connect=False)
        (said,) = [finding.shown or finding.words for finding in findings if finding.what == "data"]
        return said


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., str]:
    """What the check of a table says, at a node of that name."""

    def check(table: str | None, party: str = "lender-a") -> str:
        console = Console(tmp_path / party, party)
        if table is not None:
            (console.home.folder / "loans.csv").write_text(table)
        return console.data().replace(f"{console.home.folder}/", "")

    return check


class TestTheTable:
    def test_a_good_table_gives_one_line(self, checked):
        said = checked(GOOD)
        assert said == "60 records read and checked, 60 persons with a live consent to credit-scoring"

    def test_the_faulty_table_gives_the_lines_on_the_page(self, checked):
        section = PAGE.split("## Check a table")[1]
        assert checked(block(section, "csv")) == block(section.split("on a terminal,\n", 1)[1], "").strip()

    @pytest.mark.parametrize(
        ("table", "party"),
        [
            (None, "lender-a"),
            ("", "lender-a"),
            (GOOD.replace("monthly_income", "Monthly Income"), "lender-a"),
            (GOOD.replace(",", ";"), "lender-a"),
            (GOOD.replace("2024-01-15", "2025-03-01", 1), "lender-a"),
            (re.sub(r"-15,1,", "-15,0,", GOOD), "lender-a"),
            (GOOD, "lender-c"),
        ],
        ids=["absent", "empty", "header", "semicolons", "window", "no bad loan", "party"],
    )
    def test_further_messages_are_on_the_page(self, checked, table: str | None, party: str):
        assert checked(table, party) in block(PAGE.split("Further messages", 1)[1], "").splitlines()

    def test_a_faulty_plan_gives_the_lines_on_the_page(self, tmp_path: Path):
        plan = block(PLAN, "toml").replace("epsilon = 2.0", "epsilonn = 2.0").replace("rate = 0.1", "rate = 1.5")
        path = tmp_path / "plan.toml"
        path.write_text(plan)
        with pytest.raises(PlanError) as caught:
            Plan.load(path)
        said = str(caught.value).replace(f"{tmp_path}/", "")
        assert said == block(PAGE.split("A faulty plan", 1)[1], "").strip()


class TestConfiguration:
    @pytest.mark.parametrize("section", SECTIONS)
    def test_every_key_has_its_row_and_no_other(self, section: str):
        text = PAGE.split(f"### `[{section}]`\n")[1]
        assert keys(text) == defaults(SECTIONS[section])

    def test_every_section_has_its_table(self):
        top = {section.split(".")[0] for section in SECTIONS}
        assert top == set(NodeConfig.model_fields)
        assert re.findall(r"^### `\[(.*)\]`$", PAGE, re.MULTILINE) == list(SECTIONS)

    def test_keys_of_the_server_are_on_its_page(self):
        assert keys(SERVER_PAGE.split("## server.toml\n")[1]) == defaults(ServerConfig)

    def test_the_columns_on_the_page_are_read(self, tmp_path: Path):
        init(name="lender-a", role="lender", folder=tmp_path / "node")
        config = tomllib.loads((tmp_path / "node" / "node.toml").read_text())
        config["data"] |= tomllib.loads(block(PAGE, "toml"))["data"]
        assert NodeConfig.model_validate(config).data.columns == {"bureau_score": "BUREAU_SCORE"}


class TestConsents:
    def test_the_example_is_read_as_the_page_says(self):
        (example,) = re.findall(r"for example `(.*?)`", PAGE)
        found = parse_consents(example)
        assert [consent.recipient for consent in found] == [FEDERATION, "platform-1"]
        assert [str(consent.expires) for consent in found] == ["2027-03-31"] * 2
        assert [consent.purpose for consent in found] == ["credit-scoring", None]

    def test_the_table_of_consents_says_what_a_cell_would(self, tmp_path: Path):
        path = tmp_path / "consents.csv"
        path.write_text(block(PAGE, "csv"))
        assert read_source(path).frame.height == 2
        days = {"given": "given_at", "expires": "expires", "withdrawn": "withdrawn_at"}
        cells = ConsentTable(path, "creator_id", "recipient", "purpose", days).cells("exact")
        federation, lender = parse_consents(cells["C001"])
        assert federation.recipient == FEDERATION
        assert federation.withdrawn is None
        assert str(lender.withdrawn) == "2026-06-30"


def commands(app: typer.Typer) -> set[str]:
    """The commands of a program, with those below them."""
    top = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return set(_names(top))


def _names(found: dict[str, object]) -> Iterator[str]:
    for name, command in found.items():
        inner = getattr(command, "commands", None)
        yield from (f"{name} {below}" for below in inner or ())
        if not inner or getattr(command, "invoke_without_command", False):
            yield name


@pytest.mark.parametrize(
    ("program", "app", "page"), [("sealscore-node", cli.app, PAGE), ("sealscore-server", server_cli.app, SERVER_PAGE)]
)
def test_every_command_is_shown_and_no_other(program: str, app: typer.Typer, page: str):
    shown = re.findall(rf"^(?:nohup )?(?:venv/bin/)?{program} ([a-z-]+(?: [a-z]+\b)?)", page, re.MULTILINE)
    known = commands(app)
    assert {next((c for c in (words, words.split()[0]) if c in known), words) for words in shown} == known
