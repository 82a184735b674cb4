"""A node's folder: its owner's alone, made once, of one data set for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from homes import deployable, new_node

from sealscore.clients.setup.node_dir import NodeDir, NodeDirError
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.ledger.entries import Approve, Ceilings, Identify
from sealscore.shared.ledger.ledger import Ledger, read_ledger
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def coins_of(home: NodeDir) -> list[int]:
    """What follows from the label secret and nothing else."""
    return home.label_secret().stream("run", "labels", 1, 1, "person", Purpose.HANDLES).words(4).tolist()


def test_keys_and_folders_are_their_owners_alone(tmp_path: Path):
    home = new_node(tmp_path / "node")
    for folder in (home.folder, home.folder / "keys", home.plans):
        assert mode(folder) == 0o700
    keys = sorted((home.folder / "keys").iterdir())
    assert [path.name for path in keys] == ["identity", "label-secret", "supernode"]
    assert {mode(path) for path in keys} == {0o600}


def test_a_folder_that_others_could_enter_is_closed(tmp_path: Path):
    (tmp_path / "node").mkdir(mode=0o755)
    assert mode(new_node(tmp_path / "node").folder) == 0o700


def test_a_second_node_is_refused_and_the_first_one_stays(tmp_path: Path):
    home = new_node(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    with pytest.raises(NodeDirError, match="has a node already"):
        home.create("lender-2", "lender")
    assert {path: path.read_bytes() for path in (tmp_path / "keys").iterdir()} == before


def test_the_card_is_that_of_the_keys(tmp_path: Path):
    home = NodeDir(tmp_path)
    identity = home.create("video-1", "platform")
    assert Card.from_text(home.card_file.read_text(encoding="ascii")) == identity.card == home.identity().card
    assert (identity.name, identity.role, identity.simulation) == ("video-1", "platform", False)


def test_the_label_secret_stays_and_is_the_nodes_own(tmp_path: Path):
    one, two = new_node(tmp_path / "1"), new_node(tmp_path / "2", "lender-2")
    assert one.label_secret().source == "system"
    coins = [coins_of(home) for home in (one, NodeDir(one.folder), two)]
    assert coins[0] == coins[1] != coins[2]


class TestPassphrase:
    def test_keys_need_the_one_that_they_were_made_under(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("SEALSCORE_PASSPHRASE", "correct horse")
        home = NodeDir(tmp_path)
        identity = home.create("lender-1", "lender")
        assert home.identity().card == identity.card
        coins = coins_of(home)
        for wrong, what in (("wrong", "passphrase is wrong"), (None, "none was given")):
            if wrong is None:
                monkeypatch.delenv("SEALSCORE_PASSPHRASE")
            else:
                monkeypatch.setenv("SEALSCORE_PASSPHRASE", wrong)
            with pytest.raises(KeyFileError, match=what):
                home.identity()
            with pytest.raises(KeyFileError, match=what):
                home.label_secret()
        monkeypatch.setenv("SEALSCORE_PASSPHRASE", "correct horse")
        assert coins_of(home) == coins

    def test_an_empty_one_makes_no_node(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("SEALSCORE_PASSPHRASE", "")
        with pytest.raises(KeyFileError, match="passphrase is empty"):
            NodeDir(tmp_path).create("lender-1", "lender")
        monkeypatch.delenv("SEALSCORE_PASSPHRASE")
        NodeDir(tmp_path).create("lender-1", "lender")


class TestLedger:
    def test_is_begun_with_the_budget_of_the_configuration(self, tmp_path: Path):
        home = new_node(tmp_path)
        ledger = home.ledger(home.identity(), home.config())
        assert mode(home.ledger_file) == 0o600
        assert ledger.state.opened is not None
        assert ledger.state.opened.data_set == "lender-1"
        assert ledger.state.ceilings == Ceilings(epsilon=10.0, delta=1e-5, signal_bits=4, label_epsilon=2.0)
        ledger.close()

    def test_another_data_set_needs_another_folder(self, tmp_path: Path):
        home = new_node(tmp_path)
        home.ledger(home.identity(), home.config()).close()
        text = home.config_file.read_text(encoding="utf-8").replace('id = "lender-1"', 'id = "others"')
        home.config_file.write_text(text, encoding="utf-8")
        with pytest.raises(NodeDirError, match=r"of the data set 'lender-1', and node\.toml names 'others'"):
            home.ledger(home.identity(), home.config())

    def test_says_what_names_a_person_from_its_beginning(self, tmp_path: Path):
        home = new_node(tmp_path)
        ledger = home.ledger(home.identity(), home.config())
        assert ledger.head.seq == 2
        assert ledger.state.identified == Identify(column="id", form="exact")
        ledger.close()
        home.ledger(home.identity(), home.config()).close()
        assert [stored.kind for stored in read_ledger(home.ledger_file)] == ["open", "identify"]

    @pytest.mark.parametrize(("old", "new"), [('"id"', '"phone"'), ('"exact"', '"creator-id"')])
    def test_that_is_fixed_for_the_data_set(self, tmp_path: Path, old: str, new: str):
        home = new_node(tmp_path)
        home.ledger(home.identity(), home.config()).close()
        text = home.config_file.read_text(encoding="utf-8")
        key = "identifier" if old == '"id"' else "form"
        home.config_file.write_text(text.replace(f"{key} = {old}", f"{key} = {new}"), encoding="utf-8")
        with pytest.raises(NodeDirError, match="both stay for the life of the data set"):
            home.ledger(home.identity(), home.config())

    def old(self, home: NodeDir, plan: Plan) -> None:
        """A ledger from before ledgers said what names a person, with a plan in it."""
        ledger = Ledger.create(home.ledger_file, home.identity(), "lender-1", home.config().budget)
        entry = Approve(plan=plan.hash, text=plan.canonical().decode("ascii"))
        ledger.append(lambda state: entry)
        ledger.close()

    def test_an_older_one_is_told_where_its_plans_agree(self, tmp_path: Path):
        home = new_node(tmp_path)
        self.old(home, deployable())
        home.ledger(home.identity(), home.config()).close()
        assert [stored.kind for stored in read_ledger(home.ledger_file)] == ["open", "approve", "identify"]

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"alignment__identifier": "creator-id"}, "small: the plan names persons in the normal form 'creator-id'"),
            ({"groups__lender__table__person": "who"}, r"small: the plan names persons by 'who' \(table.person\)"),
        ],
    )
    def test_else_its_plans_are_named_and_nothing_is_written(self, tmp_path: Path, change: dict[str, str], what: str):
        home = new_node(tmp_path)
        self.old(home, deployable(**change))
        with pytest.raises(NodeDirError, match=what):
            home.ledger(home.identity(), home.config())
        assert [stored.kind for stored in read_ledger(home.ledger_file)] == ["open", "approve"]

    def test_is_no_other_partys(self, tmp_path: Path):
        home = new_node(tmp_path)
        home.ledger(home.identity(), home.config()).close()
        with pytest.raises(RuntimeError, match="lender-1"):
            home.ledger(Identity.generate("lender-1", "lender"), home.config())


class TestPlans:
    def test_are_kept_by_hash_and_once(self, tmp_path: Path):
        home, plan = new_node(tmp_path), deployable()
        path = home.keep_plan(plan)
        assert path == home.plan_file(plan.hash) == home.keep_plan(plan)
        assert home.kept_plans() == {plan.hash: plan}
        assert [found.name for found in home.plans.iterdir()] == [path.name]

    def test_a_file_that_is_no_plan_is_left_out(self, tmp_path: Path):
        home, plan = new_node(tmp_path), deployable()
        home.keep_plan(plan)
        (home.plans / "other.json").write_text("{}")
        home.plan_file("ab" * 32).write_bytes(b"\xff")
        assert home.kept_plans() == {plan.hash: plan}


def test_the_sockets_lie_in_the_folder_or_where_the_operator_says(tmp_path: Path):
    home = new_node(tmp_path)
    assert home.sockets(home.config()) == tmp_path / "sockets"
    text = home.config_file.read_text(encoding="utf-8").replace('# sockets = "', 'sockets = "')
    home.config_file.write_text(text, encoding="utf-8")
    assert home.sockets(home.config()) == Path("/run/sealscore")
