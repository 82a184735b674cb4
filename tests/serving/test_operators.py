"""What the operators of a platform and of a lender see of serving, and what their running nodes do by themselves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import polars as pl
import pytest
from partners import Partners

from sealscore.clients.commands.run import _daily
from sealscore.clients.setup.serving_dir import today

pytestmark = pytest.mark.slow


def test_commands_say_what_serving_costs_and_who_gave_no_receipt(partners: Partners):
    partners.prepared()
    person, _ = partners.shared_person("video-1")
    assert partners.token("video-1", person).code == 0
    said = partners.good("video-1", "ledger").text
    assert "1 day charged for lender-1, at most signal 3 bits" in said
    assert "serve-day" in said
    assert "at most 3" in partners.good("video-1", "budget").text
    assert "bits for scoring" not in partners.good("lender-1", "budget").text

    partners.good("video-1", "batch", "make", "first", "--lender", "lender-1", "-o", partners.file("batch.txt"))
    with sqlite3.connect(partners.town.serving("video-1").store_file) as database:
        database.execute("UPDATE batches SET day = '2020-01-01'")
    database.close()
    status = partners.node("video-1", "status")
    assert "release first live" in status.text
    assert "NO RECEIPT" in status.text
    found = json.loads(partners.node("video-1", "status", "--json").out)
    assert (found["releases"], found["late_batches"]) == ({"first": "live"}, {"lender-1": [1]})


def test_running_nodes_do_the_days_work(partners: Partners):
    partners.prepared()
    for name in ("wallet", "lender-1"):
        node = partners.town.node(name)
        with closing(partners.town.ledger(name)) as ledger:
            daily = _daily(node, node.config(), node.identity(), ledger)
            for _ in range(2):
                daily.look()
            assert daily.undone == []
            serving = ledger.state.serving
            (release,) = serving.live
            charged = {lender: [day.day for day in days] for lender, days in release.days.items()}
            if name == "wallet":
                assert charged == {lender: [str(today())] for lender in release.manifest.lenders}
            else:
                assert (charged, len(serving.log_days)) == ({}, 1)


def test_a_correction_is_typed_and_shown(partners: Partners):
    partners.prepared()
    person, _ = partners.shared_person("wallet")
    assert partners.token("wallet", person).code == 0
    table = partners.town.node("wallet").folder / "table.csv"
    rows = pl.read_csv(table, infer_schema=False)
    asked = ["token", "correct", "first", "--lender", "lender-1", "--person", person, "--key", "c"]
    asked += ["--text", partners.file("consent.txt"), "--why", "a shifted column", "-o", partners.file("c.txt")]
    same = partners.node("wallet", *asked, "--cause", "wrong-rows")
    assert (same.code, "(unchanged)" in same.text) == (1, True)
    assert "(cause)" in partners.node("wallet", *asked, "--cause", "because").text
    # With what another row says in the place of this person's own the level is another one, for some row.
    names = [name for name in rows.columns if rows[name].n_unique() < len(rows) or name == "inflow"]
    assert person not in str(rows.select(names).rows())
    codes = []
    for other in rows.select(names).iter_rows(named=True):
        changed = [
            pl.when(pl.any_horizontal(pl.all() == person)).then(pl.lit(other[name])).otherwise(pl.col(name)).alias(name)
            for name in names
        ]
        rows.with_columns(changed).write_csv(table)
        codes.append(partners.node("wallet", *asked, "--cause", "wrong-rows").code)
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    told = [json.loads(line) for line in partners.good("wallet", "token", "told", "--person", person).out.splitlines()]
    assert [row.get("corrected") for row in told] == [None, "wrong-rows"]
    assert "with 1 correction of wrong data" in partners.good("wallet", "ledger").text
    assert "serve-correct" in partners.good("wallet", "ledger").text
    assert "1 correction" in partners.good("wallet", "budget").text
    assert json.loads(partners.node("wallet", "status", "--json").out)["corrections"] == 1
