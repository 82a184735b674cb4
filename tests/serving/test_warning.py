"""Early warning by commands alone: a release with the watch bit, a consent, a quarter's batch, a list, and its end."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from partners import Partners

import sealscore.clients.commands.serving.scores as score_commands
import sealscore.clients.commands.serving.tokens as token_commands
import sealscore.clients.commands.serving.warning as warning_commands
from sealscore.clients.setup.serving_dir import today
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.serving.watch import last_day, quarter_after, quarter_of

pytestmark = pytest.mark.slow

# The records have no consents: what the operator types is one.
SERVING = '\n[serving]\nconsents = "request"\n'

# The worst 80 %, so that of few persons some have a bit of 1.
OPTIONS = ("--watch", "wallet:0.8:3", "--days", "900")


@pytest.fixture
def allowed(partners: Partners) -> Partners:
    """A wallet whose operator allows the watch bit."""
    config = partners.town.node("wallet").config_file
    text = config.read_text("utf-8")
    config.write_text(
        f'{text}\n[serving]\nconsents = "request"\nlimits.watch = {{ quarter = 1, life = 6 }}\n', encoding="utf-8"
    )
    return partners


def on(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    """Commands that are typed on another day."""
    for module in (score_commands, token_commands, warning_commands):
        monkeypatch.setattr(module, "today", lambda: day)


def passed_on(partners: Partners) -> str:
    """The day's batch by hand, and its receipt back; what the lender's command says."""
    batch, receipt = partners.file("batch.txt"), partners.file("receipt.txt")
    partners.good("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", batch)
    said = partners.good("lender-1", "batch", "take", batch, "-o", receipt)
    partners.good("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", batch, "--receipt", receipt)
    return said.text


def listed(partners: Partners, *options: object) -> list[dict[str, object]]:
    """The lender's list."""
    said = partners.good("lender-1", "warning", "list", partners.file("repayments.csv"), *options)
    return [json.loads(line) for line in said.out.strip().splitlines() if line.startswith("{")]


def test_a_watched_borrower_is_listed_until_the_consent_ends(allowed: Partners, monkeypatch: pytest.MonkeyPatch):
    partners, day = allowed, today()
    partners.prepared(("wallet",), *OPTIONS)
    known = partners.town.records()
    shared = [one for one in known["lender-1"].person if one in known["wallet"].person]
    persons = list(dict.fromkeys(shared))[:6]
    for person in persons:
        row = known["lender-1"].person.index(person)
        assert partners.token("wallet", person, f"k-{person}").code == 0
        partners.scored(partners.town.application(person, row, tokens=partners.tokens(f"wallet-k-{person}")))
        asked = ("--lender", "lender-1", "--person", person, "--text", partners.file("consent.txt"))
        said = partners.good("wallet", "warning", "begin", "first", *asked, "--key", f"k-{person}", "--quarters", 2)
        assert quarter_after(quarter_of(day), 2) in said.text
    rows = [f"L-{person},{person},2036-01-01," for person in persons]
    partners.file("repayments.csv").write_text("\n".join(["loan,person,due_at,paid_at", *rows]), encoding="utf-8")
    assert "no bit" in partners.good("wallet", "warning", "tell").text
    assert listed(partners) == []

    # The first day of the next quarter: bits of all, in a batch of the size of each other day.
    first = partners.file("batch.txt")
    partners.good("wallet", "batch", "make", "first", "--lender", "lender-1", "-o", first)
    size = first.stat().st_size
    next_quarter = date.fromordinal(last_day(quarter_of(day)).toordinal() + 1)
    on(monkeypatch, next_quarter)
    partners.exchange_keys(("wallet",))
    assert "6 watch bits" in partners.good("wallet", "warning", "tell").text
    assert "0 tokens withdrawn" in passed_on(partners)
    assert first.stat().st_size == size
    found = listed(partners)
    assert 1 < len(found) <= len(persons)
    for one in found:
        assert [reason["code"] for reason in one["reasons"]] == ["watch"]  # type: ignore[attr-defined]
        assert one["priority"] == 3
    told = [
        json.loads(line) for line in partners.good("wallet", "token", "told", "--person", persons[0]).out.splitlines()
    ]
    assert [(row["kind"], row["bits"]) for row in told if row["kind"] == "watch"] == [("watch", 1)]

    # One borrower ends the watch, another withdraws, a third is erased; the tables are written for officers.
    ends, leaves = (str(one["person"]) for one in found[:2])
    assert "1 watch " in partners.good("wallet", "warning", "end", "--lender", "lender-1", "--person", ends).text
    partners.good("wallet", "token", "withdraw", "--lender", "lender-1", "--person", leaves)
    on(monkeypatch, date.fromordinal(next_quarter.toordinal() + 1))
    assert "1 token withdrawn" in passed_on(partners)
    left = [one["person"] for one in listed(partners)]
    assert left == [one["person"] for one in found[2:]]
    for name in ("list.csv", "list.json"):
        partners.good("lender-1", "warning", "list", partners.file("repayments.csv"), "-o", partners.file(name))
        assert partners.file(name).stat().st_mode & 0o077 == 0
    assert pl.read_csv(partners.file("list.csv")).height == len(left)

    # All is counted, and nothing of a person stands in a ledger.
    verified = verify_ledger(partners.town.node("wallet").ledger_file)
    assert not verified.findings, verified.findings
    assert verified.scoring.bits["watch"] == 2
    assert "watch" in partners.good("wallet", "budget").text


def test_a_release_with_the_bit_is_approved_only_where_the_operator_allows_it(partners: Partners):
    folder = partners.release("first", *OPTIONS)
    said = partners.node("wallet", "release", "approve", folder, "--yes", "--unranked")
    assert said.code == 1
    assert "watch = { quarter = 1, life = 3 }" in said.text
    config = partners.town.node("wallet").config_file
    text = config.read_text("utf-8")
    for limit, code in (("month = 1, life = 9", 2), ("quarter = 1, life = 2", 1), ("quarter = 1, life = 3", 0)):
        config.write_text(f'{text}\n[serving]\nconsents = "request"\nlimits.watch = {{ {limit} }}\n', encoding="utf-8")
        assert partners.node("wallet", "release", "approve", folder, "--yes", "--unranked").code == code, limit
    # Others have nothing to allow, and no bit of theirs is told.
    for name in ("video-1", "lender-1"):
        partners.good(name, "release", "approve", folder, "--yes", "--unranked")
    said = partners.node("video-1", "warning", "begin", "first", *_asked(partners))
    assert (said.code, "kind" in said.text) == (1, True)


def _asked(partners: Partners) -> tuple[object, ...]:
    text: Path = partners.file("consent.txt")
    text.write_text("I agree to be watched.", encoding="utf-8")
    return ("--lender", "lender-1", "--person", "p00001", "--text", text, "--key", "k1", "--quarters", 1)


def test_commands_are_of_their_role_and_refuse_what_cannot_be_read(partners: Partners):
    partners.file("none.csv").write_text("loan,person\n", encoding="utf-8")
    assert partners.node("lender-1", "warning", "tell").code == 2
    assert partners.node("wallet", "warning", "list", partners.file("none.csv")).code == 2
    assert partners.node("lender-1", "warning", "list", partners.file("none.csv")).code == 2
    assert partners.node("lender-1", "warning", "list", partners.file("missing.csv")).code == 2
    for option in (("--as-of", "2999-01-01"), ("--as-of", "x"), ("-o", partners.file("x.txt"))):
        assert partners.node("lender-1", "warning", "list", partners.file("none.csv"), *option).code == 2
