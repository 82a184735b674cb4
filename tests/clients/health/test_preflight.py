"""Each kind of fault is found before a node starts, in words with the fix."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builders import small_plan, small_records
from homes import Town, new_node, table_of
from vertical_builders import vertical_plan

import sealscore.clients.health.preflight as preflight_module
from sealscore.clients.deploy.connection import Trouble
from sealscore.clients.health.preflight import BUDGET, preflight
from sealscore.clients.node.plan_ledger import approve
from sealscore.shared.crypto.alignment import padded_size
from sealscore.shared.crypto.psi import measured_seconds
from sealscore.shared.identity.identity import Identity
from sealscore.shared.plan.plan import Plan


def findings(town: Town, *plans: Plan, connect: bool = False) -> dict[str, tuple[bool, str]]:
    return {found.what: (found.good, found.words) for found in preflight(town["lender-1"], plans, connect)}


def bad(town: Town, *plans: Plan, connect: bool = False) -> dict[str, str]:
    return {what: words for what, (good, words) in findings(town, *plans, connect=connect).items() if not good}


def rewrite(town: Town, old: str, new: str) -> None:
    path = town["lender-1"].config_file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_node_with_nothing_wrong(town: Town):
    found = findings(town, town.plan)
    assert list(found) == ["node.toml", "keys", "peers", "ledger", "plan small", "data", "note"]
    assert all(good for good, _ in found.values())
    assert found["node.toml"][1] == "lender-1, a lender"
    assert found["keys"][1] == town["lender-1"].identity().card.fingerprint
    assert found["peers"][1] == "3 trusted: lender-2, lender-3, server"
    assert found["plan small"][1] == "can be approved"
    assert found["data"][1] == "400 records read and checked, 400 persons with a live consent to credit-scoring"


def test_an_approved_plan_is_live(town: Town):
    ledger = town.ledger("lender-1")
    approve(ledger, town.plan)
    ledger.close()
    assert findings(town, town.plan)["plan small"] == (True, "live")


def test_a_configuration_that_cannot_be_read(town: Town):
    rewrite(town, "epsilon = 10.0", "epsilonn = 10.0")
    found = bad(town, town.plan)
    assert list(found) == ["node.toml"]
    assert "budget.epsilonn: unknown key; did you mean 'epsilon'?" in found["node.toml"]


class TestKeys:
    def test_that_are_missing_or_open_to_others(self, town: Town):
        key = town["lender-1"].folder / "keys" / "label-secret"
        key.chmod(0o644)
        assert f"chmod 600 {key}" in bad(town)["keys"]
        key.unlink()
        assert "there is no such key file" in bad(town)["keys"]

    def test_of_another_name_or_role(self, town: Town):
        rewrite(town, 'name = "lender-1"', 'name = "lender-9"')
        assert bad(town)["keys"] == "are those of the lender 'lender-1', not of node.toml's"
        rewrite(town, 'name = "lender-9"', 'name = "lender-1"')
        rewrite(town, 'role = "lender"', 'role = "platform"')
        assert bad(town)["keys"] == "are those of the lender 'lender-1', not of node.toml's"


class TestPeers:
    def test_a_server_that_is_not_trusted(self, town: Town):
        town["lender-1"].trust().forget("server")
        assert bad(town)["peers"] == "the server's card is not trusted yet; sealscore-node peer trust SERVER_CARD"

    def test_a_peer_that_is_not_trusted_stands_at_the_plan(self, town: Town):
        town["lender-1"].trust().forget("lender-2")
        assert list(bad(town, town.plan)) == ["plan small"]

    def test_a_damaged_file_is_one_finding(self, town: Town):
        (town["lender-1"].folder / "trust.json").write_text("[]")
        found = bad(town, town.plan)
        assert list(found) == ["peers", "plan small"]
        assert "restore it, or remove it" in found["peers"]


class TestLedger:
    def test_of_another_data_set(self, town: Town):
        town.ledger("lender-1").close()
        rewrite(town, 'id = "lender-1"', 'id = "other"')
        assert "is the ledger of the data set 'lender-1', and node.toml names 'other'" in bad(town)["ledger"]

    def test_under_another_budget(self, town: Town):
        town.ledger("lender-1").close()
        rewrite(town, "epsilon = 10.0", "epsilon = 11.0")
        assert bad(town) == {"budget": BUDGET}

    def test_that_is_damaged(self, town: Town):
        town.ledger("lender-1").close()
        town["lender-1"].ledger_file.write_bytes(b"no database" * 100)
        assert "ledger.db" in bad(town)["ledger"]

    @pytest.mark.parametrize("file", ["ledger_file", "disclosure_file"])
    def test_that_can_be_read_and_not_written(self, town: Town, file: str, monkeypatch: pytest.MonkeyPatch):
        path = getattr(town["lender-1"], file)

        def connect(opened: Path, **options: Any) -> sqlite3.Connection:
            database = sqlite3.connect(opened, **options)
            if opened == path:
                database.execute("PRAGMA query_only = 1")
            return database

        monkeypatch.setattr(preflight_module, "sqlite3", SimpleNamespace(connect=connect, Error=sqlite3.Error))
        found = bad(town)
        assert list(found) == ["ledger"]
        assert found["ledger"].startswith(f"{path}: cannot be written (attempt to write a readonly database)")

    def test_on_a_disk_that_is_full(self, town: Town):
        """It can be opened and read, and a file cannot grow."""
        town.ledger("lender-1").close()
        town["lender-1"].disclosure_store().close()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        try:
            found = bad(town)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(found) == ["ledger"]
        assert found["ledger"].startswith(f"{town['lender-1'].ledger_file}: cannot be written (")
        assert "see that the disk has room" in found["ledger"]
        assert findings(town)["ledger"][0]

    def test_that_is_written_to_and_left_as_it_was(self, town: Town):
        found = findings(town)["ledger"]
        assert found == (True, "2 entries; it and the disclosure store can be written")
        for path in (town["lender-1"].ledger_file, town["lender-1"].disclosure_file):
            with closing(sqlite3.connect(path)) as database:
                names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            assert "written" not in names
            assert names & {"entries", "told"}


class TestData:
    def test_the_place_and_the_mend_of_a_fault(self, town: Town):
        table = table_of(small_records(seed=1))
        faulty = table.with_columns(months=table["months"].replace(table["months"][2], "99"))
        faulty.write_csv(town["lender-1"].folder / "loans.csv")
        found = bad(town, town.plan)["data"]
        assert found.startswith("loans.csv, column 'months', line")
        assert "a value is outside its bounds, 0 to 24; fix: correct the value or its unit" in found

    def test_a_table_that_is_not_there(self, town: Town):
        (town["lender-1"].folder / "loans.csv").unlink()
        assert bad(town, town.plan) == {
            "data": "loans.csv: there is no such file; fix: give the path of the table in the node's configuration"
        }

    def test_a_url_with_a_password(self, town: Town):
        rewrite(town, 'file = "loans.csv"', 'url = "postgresql://reader:hunter2@localhost/credit"\ntable = "loans"')
        found = bad(town, town.plan)
        assert list(found) == ["data"]
        assert "hunter2" not in found["data"]

    def test_nobody_who_consents(self, town: Town):
        plan = town.signed(groups__lender__table__consent="consents")
        rewrite(town, '# consent_column = "consent" ', 'consent_column = "consents"')
        table = table_of(small_records(seed=1))
        for cell, live in (("federation until 2020-01-01", 0), ("federation for marketing", 0), ("federation", 400)):
            consents = table.with_columns(consents=table["id"].replace_strict({}, default=cell))
            consents.write_csv(town["lender-1"].folder / "loans.csv")
            good, words = findings(town, plan)["data"]
            assert good is (live > 0)
            assert f"{live} persons with a live consent to credit-scoring" in words
            assert good or words.endswith("see consent_column and [data.consents] in node.toml")


class TestPlans:
    def test_one_of_others(self, town: Town):
        data = town.plan.model_dump(mode="json")
        data["parties"] = data["parties"][1:]
        found = bad(town, Plan.parse(data))
        assert found["plan small"].startswith("the plan has no party named 'lender-1'")
        assert "it has no party named 'lender-1'" in found["data"]

    def test_one_with_cards_of_a_simulation(self, town: Town):
        data = town.plan.model_dump(mode="json")
        data["parties"][2]["card"] = Identity.simulated(7, "lender-3", "lender").card.text
        assert "of a simulation" in bad(town, Plan.parse(data))["plan small"]

    def test_one_that_the_budget_does_not_hold(self, town: Town):
        plan = town.signed(privacy__epsilon=10.0, privacy__delta=1e-4)
        assert "ceiling 10" in bad(town, plan)["plan small"]

    def test_nothing_is_charged_or_approved(self, town: Town):
        findings(town, town.plan)
        ledger = town.ledger("lender-1")
        assert ledger.head.seq == 2
        ledger.close()


class TestConnection:
    def test_is_asked_for_where_it_is_wanted(self, town: Town, offline: list[Any]):
        assert "connection" not in findings(town)
        good, words = findings(town, connect=True)["connection"]
        assert good
        assert words == "127.0.0.1:19 knows this node; certificate and clock are good"
        offline[0] = Trouble("clock", "this machine's clock is 60 s behind the server's")
        assert bad(town, connect=True) == {"connection": "this machine's clock is 60 s behind the server's"}

    @pytest.mark.parametrize("content", [None, b"no certificate"])
    def test_without_the_servers_authority(self, town: Town, content: bytes | None):
        path = town["lender-1"].folder / "ca.pem"
        if content is not None:
            path.write_bytes(content)
        assert str(path) in bad(town, connect=True)["connection"]


def test_a_platform_is_checked_as_well(tmp_path: Any):
    found = {one.what: one for one in preflight(new_node(tmp_path, "video-1", "platform"), connect=False)}
    assert found["node.toml"].words == "video-1, a platform"
    assert found["ledger"].good


def test_what_the_alignments_of_a_plan_take_is_said_for_its_sizes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sealscore.shared.crypto.psi.measured_seconds", lambda: 1.0)
    assert list(preflight_module._alignment(small_plan(), "lender-1")) == []
    plan = vertical_plan(alignment={"method": "private"})
    size = {party.name: padded_size(party.nominal_records) for party in plan.parties}
    lenders, platforms = ([p.name for p in plan.parties if (p.group == plan.lenders) is one] for one in (True, False))
    (found,) = preflight_module._alignment(plan, lenders[0])
    assert f"{len(platforms)} peers" in found.words
    assert f" {2 * size[lenders[0]] * len(platforms)} s" in found.words
    (found,) = preflight_module._alignment(plan, platforms[0])
    assert f" {sum(size[lender] + size[platforms[0]] for lender in lenders)} s" in found.words


def test_the_speed_of_this_machine_is_measured():
    assert 0 < measured_seconds(64) < 1
