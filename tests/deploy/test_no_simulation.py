"""`sealscore-node` has no way to a simulated identity, a seeded secret or a plan of simulated cards.

The tests of this folder start nodes that have (`simulated_node.py`); nothing of the product does.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from ledgers import UNLIMITED, identified
from paths import ROOT
from rehearsal import LENDERS, SEED, identity_of, rehearsal_plan, rehearsal_records
from typer.testing import CliRunner

from sealscore.clients.cli import app
from sealscore.clients.commands.init import init
from sealscore.clients.node.admission import NotApproved
from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.sealed import SealedNode
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.setup.config import ConfigError, NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.shared.crypto.aggregation import MaskedSum
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustError, TrustStore
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.randomness.streams import StreamSource

SEEDS = {"seeded", "simulated"}
WORDS = ("seed", "simul", "secret", "random", "identity", "rehears", "test", "debug")


def modules() -> list[Path]:
    """What a partner installs and reviews, but for what is written for simulations by name."""
    return sorted((ROOT / "clients").rglob("*.py"))


def test_nothing_in_the_node_makes_a_seeded_secret_or_a_simulated_identity():
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in SEEDS
    }
    assert len(modules()) > 40
    assert found == set()


def test_nor_reads_anything_of_that_kind_from_its_environment():
    """Every name that is read of the environment is known here, and none of them is about randomness or identities."""
    names = set()
    for path in modules():
        tree = ast.parse(path.read_text("utf-8"))
        texts = {
            t.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for t in node.targets
            if isinstance(t, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                names |= {
                    texts.get(a.id, a.id) if isinstance(a, ast.Name) else getattr(a, "value", ast.unparse(a))
                    for a in node.args[:1]
                }
    assert names == {"SEALSCORE_PASSPHRASE", "NO_PROXY", "no_proxy", "PGHOST", "PGSSLMODE"}


def test_no_command_has_an_option_for_it():
    def parameters(command: click.Command) -> set[str]:
        own = {str(name).lstrip("-") for parameter in command.params for name in (*parameter.opts, parameter.name)}
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return own.union(*(parameters(one) for one in inner))

    found = parameters(typer.main.get_command(app))
    assert len(found) > 15
    assert [name for name in found if any(word in name for word in WORDS)] == []


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> NodeDir:
    """A lender's folder as `sealscore-node init` makes it, with the rehearsal's name."""
    init(name="lender-1", role="lender", server="localhost:9481", folder=tmp_path / "node")
    capsys.readouterr()
    return NodeDir(tmp_path / "node")


@pytest.mark.parametrize("line", ["seed = 11", "simulation = true", "secret = 'x'", "identity = 'x'", "random = 1"])
@pytest.mark.parametrize("section", ["node", "server", "data", "budget", "supernode"])
def test_no_line_of_its_configuration_leads_to_it(home: NodeDir, section: str, line: str):
    text = home.config_file.read_text("utf-8")
    NodeConfig.load(home.config_file)
    assert f"[{section}]" in text
    home.config_file.write_text(text.replace(f"[{section}]", f"[{section}]\n{line}", 1), "utf-8")
    with pytest.raises(ConfigError) as caught:
        NodeConfig.load(home.config_file)
    assert line.split(" ")[0] in str(caught.value)


def test_a_plan_of_simulated_cards_is_not_approved_at_its_command(home: NodeDir):
    """Nothing is written into the ledger."""
    plan = rehearsal_plan(platform=False, bundle="0" * 64)
    path = home.folder / "plan.json"
    path.write_bytes(plan.canonical())
    ran = CliRunner().invoke(app, ["plan", "approve", str(path), "--yes", "--home", str(home.folder)])
    said = " ".join(ran.output.split())
    assert ran.exit_code == 1, said
    assert "are of a simulation" in said
    with_ledger = home.ledger(home.identity(), home.config())
    assert with_ledger.state.plans == {}
    with_ledger.close()


def test_its_card_cannot_be_trusted(tmp_path: Path):
    card = identity_of("lender-2").card
    with pytest.raises(TrustError, match="one of a simulation"):
        TrustStore(tmp_path / "trust.json").trust(card, card.fingerprint)


class TestAtTheDoor:
    """Where somebody got past all that, the node still answers nothing."""

    def door(self, secret: StreamSource, simulated: bool, **more: Any) -> SealedNode:
        real = Identity.generate("lender-1", "lender")
        plan = rehearsal_plan(platform=False)
        cards = {name: identity_of(name) for name in (SERVER, *LENDERS)}
        if not simulated:
            cards = {n: Identity.generate(n, "server" if n == SERVER else "lender") for n in cards}
        cards["lender-1"] = real
        parties = [p | {"card": cards[p["name"]].card.text} for p in plan.model_dump(mode="json")["parties"]]
        plan = plan.replace(parties=parties, server_card=cards[SERVER].card.text)
        ledger = Ledger.create(
            more["folder"] / "ledger.db", real, "records", UNLIMITED, identified=identified(plan, "lender-1")
        )
        approve(ledger, plan)
        masks, lifetime = MaskedSum(lone=False), Lifetime.of(StreamSource.system(), DisclosureStore())
        node = Node(plan, "lender-1", rehearsal_records(plan, "lender-1"), secret, masks, lifetime, ledger)
        store = TrustStore()
        store._cards = {name: identity.card for name, identity in cards.items()}
        return SealedNode(node, masks, real, store)

    def test_a_plan_of_simulated_cards(self, tmp_path: Path):
        with pytest.raises(NotApproved, match="are of a simulation: anyone can sign for them"):
            self.door(StreamSource.system(), simulated=True, folder=tmp_path)

    def test_a_seeded_secret(self, tmp_path: Path):
        with pytest.raises(NotApproved, match="never from a seed"):
            self.door(StreamSource.seeded(SEED, "lender-1"), simulated=False, folder=tmp_path)

    def test_with_neither_it_opens(self, tmp_path: Path):
        assert self.door(StreamSource.system(), simulated=False, folder=tmp_path).name == "lender-1"


def test_a_host_draws_from_the_systems_generator_unless_it_is_given_another():
    """And nothing of the node gives it another: `secret` is not among the arguments of any call."""
    default = PlanRouter.__init__.__defaults__
    assert default is not None
    assert default[0](rehearsal_plan()).source == "system"
    given = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and any(keyword.arg == "secret" for keyword in node.keywords)
    ]
    assert given == []
