"""What an operator decides of its own table, against a plan that leaves it out and a message that nobody signed.

A plan is the server's word: it cannot say that nobody's consent is read. A log is read by many: no cell of the table is
in it, whatever is wrong there. And nothing reads the table for who only knows a plan's hash.
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import TABLE, small_records
from defences import Defences
from homes import Said, Town, commands, new_town, node_loader, running, table_of

from sealscore.clients.data import DataError
from sealscore.clients.health.preflight import preflight
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.shared.crypto.sealing import PlanKeys, open_signed, sign_message
from sealscore.shared.fields import pack_fields
from sealscore.shared.identity.identity import Identity
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import Join, Joined, Refusal
from sealscore.shared.plan.plan import SERVER, Plan

WITHDRAWN = "federation withdrawn 2020-01-01"
SECRETS = ("-98765.43", "HIV clinic Ms Zhang 13800138000", "A-7731 Wang Fang", "default of 2019", "31.12.2019 at court")


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return new_town(tmp_path)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], town: Town) -> Callable[..., Said]:
    from sealscore.clients.cli import main
    from sealscore.clients.commands.terminal import console, errors

    call = commands("sealscore-node", main, [console, errors], monkeypatch, capsys)
    return lambda *words: call(*words, "--home", town["lender-1"].folder)


def consented(town: Town, plan: Plan) -> int:
    """How many of the first lender's persons a node would put into sums under a plan."""
    return len(node_loader(town["lender-1"])(plan).consenting("federation", plan.purpose_code))


class TestConsents:
    @pytest.fixture(autouse=True)
    def withdrawn(self, town: Town) -> None:
        """All 400 persons have withdrawn, and 40 of them have another column that says otherwise."""
        table = table_of(small_records(seed=1))
        table = table.with_columns(consent=pl.lit(WITHDRAWN), other=pl.lit("federation"))
        table.write_csv(town["lender-1"].folder / "loans.csv")

    def test_a_plan_cannot_leave_them_out(self, town: Town, defences: Defences):
        plans = [
            town.signed(),
            town.signed(groups__lender__table=TABLE | {"consent": "consent"}),
            town.signed(groups__lender__table=TABLE | {"consent": "other"}),
        ]
        assert [consented(town, plan) for plan in plans] == [0, 0, 0]
        with defences.without("consents of the operator"):
            assert [consented(town, plan) for plan in plans] == [400, 0, 400]

    def test_in_a_table_of_their_own(self, town: Town):
        home = town["lender-1"]
        ids = table_of(small_records(seed=1))["id"].to_list()
        (home.folder / "consents.csv").write_text("who,to\n" + "".join(f"{one},federation\n" for one in ids[:7]))
        section = '[data.consents]\nfile = "consents.csv"\nperson = "who"\nrecipient = "to"\n'
        text = home.config_file.read_text(encoding="utf-8")
        home.config_file.write_text(text.replace("# What may be spent", section + "# What may be spent"))
        for changes in ({}, {"consent": "other"}, {"consent": "consent"}):
            assert consented(town, town.signed(groups__lender__table=TABLE | changes)) == 7

    def test_an_operator_who_has_none_says_so_and_is_told_so(self, town: Town, node: Any, tmp_path: Path):
        home = town["lender-1"]
        text = home.config_file.read_text(encoding="utf-8")
        home.config_file.write_text(text.replace('consent = "required"', 'consent = "none"'), encoding="utf-8")
        (tmp_path / "plan.json").write_bytes(town.plan.canonical())
        assert consented(town, town.plan) == 400
        for words in (("plan", "show"), ("check", "--no-connect")):
            assert "NOBODY'S CONSENT IS READ" in node(*words, tmp_path / "plan.json").text

    def test_the_terminal_says_where_they_are(self, town: Town, node: Any, tmp_path: Path):
        (tmp_path / "plan.json").write_bytes(town.plan.canonical())
        said = node("plan", "show", tmp_path / "plan.json")
        assert "consents read in the column 'consent', whatever the plan says; 1 kind for credit-scoring" in said.text
        assert (
            "reads id id; label bad; 3 scored: income, months, sector; 2 for the evaluation only: age, sex" in said.text
        )
        assert "person id, in the normal form 'exact'" in said.text
        assert "test persons whom a hash under the key 'k' chooses; about 0.25 of all" in said.text
        assert "has at most 1 record in what is computed; is taken for one at 1 of the 3 lender parties" in said.text


def spoilt(rows: list[str], column: str, value: str, line: int = 17) -> list[str]:
    cells = rows[line].split(",")
    cells[rows[0].split(",").index(column)] = value
    return [*rows[:line], ",".join(cells), *rows[line + 1 :]]


def faults() -> dict[str, Callable[[list[str]], list[str]]]:
    """Ways in which a table is at fault, each with secrets in it."""
    number, clinic, person, label, _ = SECRETS
    return {
        "bounds": lambda rows: spoilt(rows, "income", number),
        "whole numbers": lambda rows: spoilt(rows, "months", "7.7731"),
        "levels": lambda rows: spoilt(rows, "sector", clinic),
        "text": lambda rows: spoilt(rows, "income", clinic),
        "ids": lambda rows: spoilt(spoilt(rows, "id", person), "id", person, 18),
        "labels": lambda rows: spoilt(rows, "bad", label),
        "consents": lambda rows: spoilt(rows, "consent", clinic),
        "no header": lambda rows: spoilt(spoilt(rows, "sex", "agee", 1), "sector", "sectorr", 1)[1:],
        "another separator": lambda rows: [row.replace(",", ";") for row in spoilt(rows, "sector", clinic)],
        "a quote": lambda rows: spoilt(rows, "sector", f'"{clinic}'),
        "more cells": lambda rows: spoilt(rows, "sector", f"{clinic},{person}"),
        "nothing": lambda rows: rows[:1],
    }


HIDDEN = (*SECRETS, "7.7731", "agee", "sectorr")


def silent(text: str) -> None:
    assert not [secret for secret in HIDDEN if secret in text], text


class TestFaults:
    @pytest.mark.parametrize("fault", list(faults()))
    def test_no_log_and_no_error_holds_a_cell(
        self, town: Town, node: Any, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
    ):
        home, plan = town["lender-1"], town.plan
        path = home.folder / "loans.csv"
        good = path.read_text(encoding="utf-8").splitlines()
        (tmp_path / "plan.json").write_bytes(plan.canonical())
        with caplog.at_level(logging.DEBUG), running(home, plan) as host:
            caller(town, host)
            path.write_text("\n".join(faults()[fault](good)) + "\n", encoding="utf-8")
            with pytest.raises(DataError) as caught:
                host.reload()
            text = "".join(traceback.format_exception(caught.value))
            silent(text + repr(caught.value) + str(caught.value.problems))
            assert "loans.csv" in text
            host.close()
        with running(home, None) as host:
            assert isinstance(caller(town, host), Joined)
            assert host.without_data == (town.plan.name,)
        silent(caplog.text)
        assert "loans.csv" in caplog.text
        said = node("check", tmp_path / "plan.json", "--no-connect")
        assert said.code == 1
        silent(said.out + said.err)
        silent(str([(found.what, found.words, found.public) for found in preflight(home, [plan], connect=False)]))

    def test_the_operators_own_terminal_shows_what_to_fix(
        self, town: Town, node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        from sealscore.clients.commands.terminal import console

        home = town["lender-1"]
        path = home.folder / "loans.csv"
        (tmp_path / "plan.json").write_bytes(town.plan.canonical())
        path.write_text("\n".join(spoilt(path.read_text().splitlines(), "sector", "zoo\x1b[8m")) + "\n")
        monkeypatch.setattr(console, "_force_terminal", True)
        said = node("check", tmp_path / "plan.json", "--no-connect")
        assert "line 18: a value is none of its levels, 'food', 'fashion', 'other': 'zoo\\x1b[8m'" in said.out
        assert "\x1b[8m" not in said.out

    def test_a_table_of_consents(self, town: Town):
        home = town["lender-1"]
        (home.folder / "consents.csv").write_text(f"who,to,until\n{SECRETS[2]},{SECRETS[1]},{SECRETS[4]}\n")
        text = home.config_file.read_text(encoding="utf-8")
        section = '[data.consents]\nfile = "consents.csv"\nperson = "who"\nrecipient = "to"\nexpires = "until"\n'
        home.config_file.write_text(text.replace("# What may be spent", section + "# What may be spent"))
        with pytest.raises(DataError) as caught:
            consented(town, town.plan)
        silent(str(caught.value))

    def test_columns_of_types_that_list_their_values(self, town: Town):
        home = town["lender-1"]
        path = home.folder / "loans.parquet"
        table = table_of(small_records(seed=1)).with_columns(bad=pl.Series([{"a": SECRETS[1]}] * 400))
        kept = pl.Series("id", [SECRETS[2]] * 400, dtype=pl.Enum([SECRETS[2]]))
        table.with_columns(kept, months=pl.Series([[SECRETS[0]]] * 400)).write_parquet(path)
        text = home.config_file.read_text(encoding="utf-8")
        home.config_file.write_text(text.replace('"loans.csv"', '"loans.parquet"'), encoding="utf-8")
        with pytest.raises(DataError) as caught:
            consented(town, town.plan)
        silent(str(caught.value))

    @pytest.mark.parametrize("expression", ["json_extract(sector, '$.a')", "json_extract('{}', sector)"])
    def test_a_databases_words_on_a_cell(self, town: Town, expression: str):
        """A function in a query may quote what it cannot take."""
        home = town["lender-1"]
        names = [name for name in table_of(small_records(1)).columns if name != "sector"]
        with sqlite3.connect(home.folder / "loans.db") as database:
            columns = ", ".join(f"{name} TEXT" for name in (*names, "sector"))
            database.execute(f"CREATE TABLE loans ({columns})")
            row = [SECRETS[2], "0", "1", "1", "30", "f", "federation", SECRETS[1]]
            database.execute(f"INSERT INTO loans VALUES ({', '.join('?' * len(row))})", row)
        database.close()
        text = home.config_file.read_text(encoding="utf-8")
        query = f"SELECT {', '.join(names)}, {expression} AS sector FROM loans"
        url = f'url = "sqlite:///{home.folder / "loans.db"}"\nquery = "{query}"'
        home.config_file.write_text(text.replace('file = "loans.csv"', url), encoding="utf-8")
        with pytest.raises(DataError, match="SQLite refuses the statement") as caught:
            consented(town, town.plan)
        silent(str(caught.value))

    def test_what_nobody_foresaw(self, town: Town):
        def load(plan: Plan) -> Any:
            raise ValueError(f"cannot take {SECRETS[1]!r}")

        said: list[str] = []
        with running(town["lender-1"], town.plan, load=load, tell=said.append) as host:
            assert isinstance(caller(town, host), Joined)
            assert host.without_data == (town.plan.name,)
        assert "reading them failed (ValueError)" in said[0]
        silent(str(said))


def joining(town: Town, plan: Plan, party: str, attempt: int = 1, when: int = 0) -> Join:
    header = Address(plan.hash, "run-1", "", 0, attempt, SERVER, party)
    keys = PlanKeys.generate(town.server.identity(), plan.hash)
    return Join(header, keys.certificate, when or int(time.time()), ())


def caller(town: Town, host: PlanRouter) -> Joined | Refusal:
    """What a host says to the server that joins a run with it."""
    answer = host.answer(sign_message(joining(town, town.plan, host.name), town.server.identity()))
    return open_signed(answer, {host.name: town[host.name].identity().card}, Joined, Refusal)


class TestForgedMessages:
    """Whoever knows the hash of an approved plan, and no key."""

    def forged(self, town: Town) -> dict[str, bytes]:
        plan, stranger = town.plan, Identity.generate(SERVER, "server")
        own = joining(town, plan, "lender-1")
        peers = dataclasses.replace(own, header=dataclasses.replace(own.header, sender="lender-2"))
        told: dict[str, bytes] = {
            "a Join of a stranger": sign_message(own, stranger),
            "a Join of a peer": sign_message(peers, town["lender-2"].identity()),
            "a Join to another party": sign_message(joining(town, plan, "lender-2"), town.server.identity()),
        }
        whole = sign_message(own, town.server.identity())
        told["a Join cut short"], told["a Join changed"] = whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])
        for phase in ("bin:lender", "x" * 5000, "\x1b[8m\n"):
            for sender, recipient in ((SERVER, "lender-1"), ("lender-2", "lender-1"), (SERVER, "lender-2"), ("", "")):
                info = Address(plan.hash, "r", phase, 1, 1, sender, recipient).encode("x")
                told[f"sealed {phase[:9]!r} {sender} {recipient}"] = pack_fields(info, b"c" * 50, b"s" * 64)
        return told

    def test_make_a_node_read_nothing(self, town: Town, defences: Defences):
        loads: list[str] = []
        said: list[str] = []

        def load(plan: Plan) -> Any:
            loads.append(plan.hash)
            return node_loader(town["lender-1"])(plan)

        with running(town["lender-1"], town.plan, load=load, tell=said.append) as host:
            card = town["lender-1"].identity().card
            codes = {
                name: open_signed(host.answer(request), {"lender-1": card}, Refusal).code
                for name, request in self.forged(town).items()
            }
            assert (loads, said) == ([], [])
            assert {code for name, code in codes.items() if name.startswith("sealed")} == {"not-joined"}
            assert codes.pop("a Join to another party") == "other-plan"
            assert {code for name, code in codes.items() if name.startswith("a Join")} == {"seal"}
            assert isinstance(caller(town, host), Joined)
            assert loads == [town.plan.hash]
        with defences.without("signed before reading"), running(town["lender-1"], load=load) as host:
            loads.clear()
            for request in self.forged(town).values():
                host.answer(request)
            assert loads == [town.plan.hash]

    def test_of_a_plan_that_is_not_approved(self, town: Town):
        other = town.signed(name="other")
        with running(town["lender-1"], load=lambda plan: pytest.fail("read")) as host:
            info = Address(other.hash, "r", "bin:lender", 1, 1, SERVER, "lender-1").encode("x")
            answer = host.answer(pack_fields(info, b"c" * 50, b"s" * 64))
            card = town["lender-1"].identity().card
            assert open_signed(answer, {"lender-1": card}, Refusal).code == "not-approved"
