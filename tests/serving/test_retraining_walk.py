"""From an alert to a challenger that is promoted and rolled back, by the commands of docs/retraining.md."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from deciding import LENDER, policy
from homes import Said
from partners import Partners
from plans_carried import carried_out, no_ceiling_of_epsilon
from policies import INPUTS
from vertical_builders import PARTIES

from sealscore.clients.commands.serving import decisions as deciding
from sealscore.clients.commands.serving import retraining, scores, watch
from sealscore.clients.decision.loans import LoanBook
from sealscore.clients.setup.serving_dir import today
from sealscore.clients.watch.journal import keep_month
from sealscore.clients.watch.judged import Judged, JudgedMonth, WatchAlert
from sealscore.clients.watch.months import closing_month, last_day, month_number, month_text
from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.plan.plan import Plan

pytestmark = pytest.mark.slow

SIZE = 60
TABLE = '\n[data.repayments]\nfile = "paid.csv"\n'


def last_json(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.text
    found: dict[str, Any] = json.loads(said.out.strip().splitlines()[-1])
    return found


class Book:
    """Applications at the lender, and what became of their loans a year later."""

    def __init__(self, partners: Partners, monkeypatch: pytest.MonkeyPatch) -> None:
        self.partners, self.month = partners, month_number(str(today()))
        self.closes = closing_month(self.month, 365)
        self.monkeypatch, self.day = monkeypatch, today()
        later = last_day(self.closes + 2)
        for command in (retraining, watch):
            monkeypatch.setattr(command, "today", lambda: later)

    def next_month(self) -> None:
        """From now on scores and decisions are of the month after this one."""
        self.day = last_day(month_number(str(self.day))) + timedelta(days=1)
        later = self.day
        for command in (deciding, scores):
            self.monkeypatch.setattr(command, "today", lambda: later)

    def decided(self, start: int) -> list[dict[str, Any]]:
        """The answers to applications of persons from a number on, in one command."""
        town = self.partners.town
        asked = {"amount": 1000, "term_months": 12, "inputs": INPUTS}
        batch = [town.application(f"q{row}", row, **asked) for row in range(start, start + SIZE)]
        said = self.partners.good(LENDER, "decide", town.write("applications.json", batch))
        return [json.loads(line) for line in said.out.strip().splitlines()]

    def repaid(self, decisions: list[dict[str, Any]], bad_rate: float) -> None:
        """Loans, from now on, of what was approved; of all of them so many never pay, by chance alone."""
        town, first = self.partners.town, month_number(str(self.day))
        log = town.serving(LENDER).log()
        loans = LoanBook(log, str)
        rows, random = list[str](), np.random.default_rng(first)
        for one in (one for one in decisions if one["state"] == "approved"):
            name = f"L-{one['decision_id'][:8]}"
            loans.start(name, one["decision_id"], 1000, self.day)
            bad = random.random() < bad_rate
            for month in range(first, self.closes + 2):
                days = (last_day(month) - last_day(first - 1)).days if bad else 0
                rows.append(f"{name},{month_text(month)},{days}")
        log.close()
        folder = town.folder / LENDER
        table = folder / "paid.csv"
        if not table.exists():
            table.write_text("loan,month,days_past_due\n", encoding="utf-8")
            config = folder / "node.toml"
            config.write_text(config.read_text() + TABLE, encoding="utf-8")
        table.write_text(table.read_text() + "\n".join([*rows, ""]), encoding="utf-8")

    def alert(self, measure: str) -> str:
        """An alert of two breaches in a row, as a watch keeps it."""
        found = WatchAlert(f"{measure.encode().hex():0>12}"[:12], measure, "high", "model risk")
        row = Judged(measure, measure.split(".")[0], "a reference", 90, 5.0, 1.0)
        log = self.partners.town.serving(LENDER).log()
        release = self.partners.town.release("first").hash
        keep_month(log, JudgedMonth(release, self.closes, 0.01, (row,), (found,)))
        log.close()
        return found.id

    def used(self) -> list[tuple[str, str | None]]:
        """The log's lines on releases: what was done, and what was live then."""
        log = self.partners.town.serving(LENDER).log()
        lines = [line.content or {} for line in log.notes("release")]
        log.close()
        return [(line["what"], line["live"]) for line in lines]


def test_from_an_alert_to_a_promotion_and_back(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    town = partners.town
    partners.prepared(())
    book = Book(partners, monkeypatch)
    partners.good(LENDER, "policy", "approve", policy(partners), "--yes")
    first = town.release("first")
    # Far more loans go bad than the score says: of two months, the watch of which breaches twice.
    made = book.decided(0)
    role = made[0]["score"]["role"]
    book.repaid(made, 0.9)
    book.next_month()
    book.repaid(book.decided(SIZE), 0.9)
    report = last_json(partners.good(LENDER, "watch", "run", "--json"))
    (alert,) = report["alerts"]
    assert alert["measure"] == f"calibration.{role}"
    partners.good(LENDER, "watch", "acknowledge", alert["id"], "--by", "risk", "--note", "a plan is proposed")

    # What it proposes; the challenger is of a plan that keeps the score and calibrates it.
    draft = town.folder / "draft.toml"
    found = last_json(
        partners.good(LENDER, "watch", "propose", alert["id"], "--json", "--name", "again", "--out", draft)
    )
    assert found["remedy"] in ("recalibrate", "head")
    for name in PARTIES:
        no_ceiling_of_epsilon(partners, name)
    said = partners.server("plan", "recalibrate", "again", "--of", town.plan.name, "--epsilon", "6")
    assert said.code == 0, said.text
    assert partners.server("plan", "recalibrate", "again", "--of", town.plan.name).code == 2
    assert partners.server("plan", "sign", "again").code == 0
    plan = town.server.signed_plans()["again"]
    for name in (LENDER, "wallet"):
        seen = partners.good(name, "plan", "show", town.server.plans / "again.json")
        assert "in the way" not in seen.text
    carried_out(partners.town, plan)
    for name in PARTIES:
        assert verify_ledger(town.node(name).ledger_file).ok
    assert partners.server("release", "new", "again", "--name", "second").code == 0
    partners.good(LENDER, "release", "approve", town.server.releases / "second", "--yes", "--unranked")
    assert partners.node(LENDER, "release", "compare", "first", "second").code == 2  # nobody was scored by both
    assert partners.node(LENDER, "release", "compare", "first", "first").code == 2
    partners.good(LENDER, "release", "use", "second", "--shadow")
    second = town.release("second")

    # In the shadow it scores all of them, and answers nobody.
    decisions = book.decided(2 * SIZE)
    assert {one["score"]["role"] for one in decisions} == {role}
    before = partners.scored(town.application("r1", 1))
    assert before["model"]["release"] == first.hash
    book.repaid(decisions, 0.5)

    page = town.folder / "compare.html"
    found = last_json(partners.good(LENDER, "release", "compare", "first", "second", "--json", "--out", page))
    assert found["scored"]["applications"] >= SIZE
    assert found["scored"]["closed_loans"] == found["outcomes"]["loans"] > 30
    # One curve over the same score: the order is the same, but where a curve is flat or points are rounded.
    assert found["points"]["rank_correlation"] > 0.95
    assert sum(row["applications"] or 0 for row in found["swaps"]) <= found["scored"]["applications"]
    figures = found["outcomes"]["figures"]
    assert figures["auc"]["better"] == "lost in noise"
    assert found["trained_on"][1]["trains"].startswith("nothing")
    assert found["labels"]["with_outcome"] == found["scored"]["closed_loans"]
    assert found["simulated"]["seeds"] > 1
    assert page.stat().st_mode & 0o777 == 0o600
    assert "<script" not in page.read_text()
    said = partners.good(LENDER, "release", "compare", "first", "second")
    assert "rank correlation" in said.text

    # Promotion, and back; the old champion goes into the shadow, and the pair is compared the same.
    partners.good(LENDER, "release", "use", "second")
    partners.good(LENDER, "release", "use", "first", "--shadow")
    after = partners.scored(town.application("r2", 2))
    assert after["model"]["release"] == second.hash
    again = last_json(partners.good(LENDER, "release", "compare", "first", "second", "--json"))
    assert again["scored"]["applications"] == found["scored"]["applications"] + 1
    assert again["outcomes"] == found["outcomes"]
    partners.good(LENDER, "release", "rollback")
    assert partners.scored(town.application("r3", 3))["model"]["release"] == first.hash
    assert book.used() == [
        ("live", first.hash),
        ("shadow", first.hash),
        ("live", second.hash),
        ("shadow", second.hash),
        ("rollback", first.hash),
    ]
    assert "0 differ" in partners.good(LENDER, "replay").text


def test_an_alert_proposes_a_plan_with_its_price(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    town = partners.town
    partners.prepared(())
    book = Book(partners, monkeypatch)
    partners.good(LENDER, "policy", "approve", policy(partners), "--yes")
    decisions = book.decided(0)
    role = decisions[0]["score"]["role"]
    book.repaid(decisions, 0.5)
    calibration, levels, rolls = (
        book.alert(one) for one in (f"calibration.{role}", "psi.champion.signal.wallet", "roll.0.to.1-29")
    )
    log = town.serving(LENDER).log()
    head = log.head
    log.close()
    propose = lambda alert, *more: partners.node(LENDER, "watch", "propose", alert, *more)  # noqa: E731
    drafts = [town.folder / f"draft-{number}.toml" for number in range(2)]

    found = last_json(propose(calibration, "--json", "--name", "again", "--out", drafts[0]))
    # By chance alone who is bad, so the order that the PDs promise may be gone; PDs are off in either case.
    assert found["remedy"] == ("head" if found["evidence"]["order"]["high"] < 0 else "recalibrate")
    assert found["evidence"]["loans"] > 30
    plan = Plan.load(drafts[0])
    assert plan.signals_from is not None
    assert plan.signals_from.plan == town.plan.hash
    price = found["price"]
    assert price["epsilon"] <= plan.privacy.epsilon <= town.plan.privacy.epsilon
    assert 0 < price["spent"] < price["ceiling"] == 100
    # These plans have hardly any noise: together they may take all of delta, and then the draft says so.
    assert any("epsilon" in what for what in price["obstacles"]) == (price["after"] is None)
    assert price["after"] is None or price["spent"] < price["after"] <= price["ceiling"]
    assert {kind: bits["needed"] for kind, bits in price["bits"].items()} == {"video": 0, "wallet": 0}
    assert {kind: bits["used"] for kind, bits in price["bits"].items()} == {"video": 3, "wallet": 3}
    assert any("--of vertical" in step for step in found["next"])
    assert propose(calibration, "--out", drafts[0]).code == 2  # the file is there

    found = last_json(propose(levels, "--json", "--out", drafts[1]))
    assert (found["remedy"], found["code"]) == ("tower", "levels-moved")
    assert {kind: bits["needed"] for kind, bits in found["price"]["bits"].items()} == {"video": 3, "wallet": 3}
    assert any("signal_bits" in what for what in found["price"]["obstacles"])
    plan = Plan.load(drafts[1])
    assert (plan.signals_from, plan.privacy.label_epsilon) == (None, town.plan.privacy.label_epsilon)
    assert found["price"]["label_epsilon"] == 0  # the same labels were released before
    # The server makes a plan of the draft, by the command as it is printed.
    typed = found["next"][0].removeprefix("sealscore-server ").split()
    said = partners.server(*typed)
    assert said.code == 0, said.text
    made = Plan.load(town.server.plans / f"{typed[2]}.toml")
    assert (made.groups, made.parties) == (plan.groups, plan.parties)

    found = last_json(propose(rolls, "--json"))
    assert (found["remedy"], found["code"]) == ("none", "repayment")
    assert "draft" not in found
    assert "repayment" in propose(rolls).text
    assert propose("0" * 12).code == 2
    # Nothing was started: no line, no plan.
    log = town.serving(LENDER).log()
    assert log.head == head
    log.close()
    assert not town.server.signed_plans().keys() - {town.plan.name}
