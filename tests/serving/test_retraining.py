"""New loans enter the training of the head with the levels of their tokens, by their own consent: end to end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import plans_carried
import polars as pl
import pytest
from partners import Partners
from serving_town import ServingTown
from vertical_builders import LENDERS, PARTIES

from sealscore.clients.roles.lender import Lender
from sealscore.clients.setup.plan_data import loaded
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.ledger.entries import Limit
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan

pytestmark = pytest.mark.slow

CODE = "retraining"


def carried_out(town: ServingTown, plan: Plan) -> None:
    """The plan, approved by all, without a ceiling of epsilon."""
    for name in PARTIES:
        with closing(town.ledger(name)) as ledger:
            ceilings = town.node(name).config().budget.model_copy(update={"epsilon": None})
            ledger.append(lambda state, ceilings=ceilings: Limit(ceilings=ceilings, why="a test of levels"))  # type: ignore[misc]
    plans_carried.carried_out(town, plan)


def new_at(partners: Partners, count: int) -> list[str]:
    """Persons whom the wallet knows and no lender knew when towers were trained."""
    records = partners.town.records()
    lent = {person for name in LENDERS for person in records[name].person}
    found = [person for person in records["wallet"].person if person not in lent]
    return found[:count]


def lend(partners: Partners, persons: list[str]) -> None:
    """Add loans of these persons to the table of lender-1, like those of others."""
    path: Path = partners.town.node("lender-1").folder / "table.csv"
    table = pl.read_csv(path, infer_schema=False)
    rows = table.head(len(persons)).with_columns(
        pl.Series("loan", [f"new-{person}" for person in persons]), pl.Series("who", persons)
    )
    pl.concat([table, rows]).write_csv(path)


def test_new_loans_have_the_levels_of_their_tokens_and_old_ones_theirs(
    partners: Partners, monkeypatch: pytest.MonkeyPatch
):
    town = partners.town
    partners.prepared(("wallet",), "--retraining", CODE)
    asked, silent, gone, tokenless = new_at(partners, 4)
    for person, options in ((asked, ["--retraining"]), (silent, []), (gone, ["--retraining"])):
        assert partners.token("wallet", person, person, *options).code == 0
        answer = partners.scored(town.application(person, 0, tokens=partners.tokens(f"wallet-{person}")))
        assert "used" in {signal["status"] for signal in answer["signals"]}
    partners.good("wallet", "token", "withdraw", "--lender", "lender-1", "--person", gone)
    batch, receipt = partners.file("batch.txt"), partners.file("receipt.txt")
    partners.good("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", batch)
    partners.good("lender-1", "batch", "take", batch, "-o", receipt)
    lend(partners, [asked, silent, gone, tokenless])

    said = partners.server("plan", "retrain", "again", "--of", town.plan.name, "--retraining", CODE)
    assert said.code == 0, said.text
    assert partners.server("plan", "sign", "again").code == 0
    plan = town.server.signed_plans()["again"]
    for name in ("wallet", "lender-1"):
        said = partners.node(name, "plan", "show", town.server.plans / "again.json")
        assert "signals_from" not in said.text
        assert CODE in said.text

    # Approved by all whose releases named the purpose: the others approve the release first, as they must.
    for name in ("video-1", "video-2", "lender-2"):
        said = partners.node(name, "plan", "show", town.server.plans / "again.json")
        assert (said.code, "signals_from.retraining" in said.text) == (1, True)
        partners.good(name, "release", "approve", town.server.releases / "first", "--yes", "--unranked")
    seen: list[Records] = []
    original = Lender.scored_records

    def watched(role: Lender) -> Records:
        found = original(role)
        if role._name == "lender-1":
            seen.append(found)
        return found

    monkeypatch.setattr(Lender, "scored_records", watched)
    carried_out(town, plan)
    assert seen

    with closing(town.node("lender-1").disclosure_store()) as store:
        told = store.received(town.plan.hash, "signal")["wallet"]
    node = town.node("wallet")
    release = town.release()
    tower = release.content.towers["wallet"]
    records = loaded(node, node.config(), release.plan).records
    levels = dict(zip(records.person, tower.levels(records.columns), strict=True))
    assert told
    for trained in seen:
        signal = dict(zip(trained.person, trained.columns["signal.wallet"], strict=True))
        assert signal[asked] == levels[asked]
        assert all(np.isnan(signal[person]) for person in (silent, gone, tokenless))
        assert {person: level for person, level in signal.items() if person in told} == told
    for name in PARTIES:
        assert verify_ledger(town.node(name).ledger_file).ok


def test_a_consent_that_does_not_name_retraining_makes_no_such_token(partners: Partners):
    partners.prepared(("wallet",), "--retraining", CODE)
    (person,) = new_at(partners, 1)
    path = partners.town.node("wallet").folder / "table.csv"
    table = pl.read_csv(path, infer_schema=False)
    named = pl.lit("lender-1 for credit-decision; federation")
    table.with_columns(
        pl.when(pl.col("who") == person).then(named).otherwise(pl.col("consent")).alias("consent")
    ).write_csv(path)
    said = partners.token("wallet", person, "a", "--retraining")
    assert (said.code, "(no-consent)" in said.text) == (1, True)
    assert partners.token("wallet", person, "b").code == 0


def test_a_release_without_the_purpose_makes_no_such_token_and_no_such_plan(partners: Partners):
    town = partners.town
    partners.prepared(("wallet",))
    (person,) = new_at(partners, 1)
    said = partners.token("wallet", person, "a", "--retraining")
    assert (said.code, "(retraining)" in said.text) == (1, True)
    assert partners.server("plan", "retrain", "again", "--of", town.plan.name, "--retraining", CODE).code == 0
    assert partners.server("plan", "sign", "again").code == 0
    for name in ("wallet", "lender-1"):
        said = partners.node(name, "plan", "show", town.server.plans / "again.json")
        assert (said.code, "signals_from.retraining" in said.text) == (1, True)


@pytest.mark.parametrize("code", ["credit-decision", "credit-scoring"])
def test_the_purpose_is_one_of_its_own(partners: Partners, code: str):
    said = partners.server("release", "new", partners.town.plan.name, "--name", "first", "--retraining", code)
    assert (said.code, "retraining_code" in said.text) == (2, True)
