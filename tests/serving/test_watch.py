"""The commands of docs/watching.md as a risk officer types them, and what they say of bad input."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from deciding import LENDER, decided, policy
from partners import Partners
from policies import INPUTS

from sealscore.clients.commands.serving import watch
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.setup.serving_dir import today
from sealscore.clients.watch.journal import keep_month
from sealscore.clients.watch.judged import Judged, JudgedMonth, WatchAlert
from sealscore.clients.watch.months import last_day, month_number, month_text

pytestmark = pytest.mark.slow

TABLE = '\n[data.repayments]\nfile = "paid.csv"\nmonth = "month_end"\n\n[watch]\nreference_months = 1\n'


def repaid(partners: Partners, *rows: str) -> None:
    (partners.town.folder / LENDER / "paid.csv").write_text(
        "\n".join(["loan,month_end,days_past_due", *rows, ""]), encoding="utf-8"
    )


def log_of(partners: Partners) -> ScoreLog:
    return partners.town.serving(LENDER).log()


def report(partners: Partners, *options: Any) -> dict[str, Any]:
    said = partners.good(LENDER, "watch", "run", "--json", *options)
    found: dict[str, Any] = json.loads(said.out.strip().splitlines()[-1])
    return found


def test_from_decisions_to_a_report_and_an_alert(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    month = month_number(str(today()))
    later = month + 1
    partners.prepared(())
    run = lambda *typed: partners.node(LENDER, "watch", "run", *typed)  # noqa: E731
    assert run().code == 2  # nothing was scored
    assert partners.node(LENDER, "policy", "approve", policy(partners), "--yes").code == 0
    made = [decided(partners, person) for person in "abc"]
    decided(partners, "d", inputs=INPUTS | {"identity_verified": False})
    for number, one in enumerate(made):
        partners.good(LENDER, "loan", "open", f"L-{number}", "--principal", "1000", "--decision", one["decision_id"])
    assert run().code == 2  # its month is not over
    assert run("--month", month_text(month)).code == 2

    over = last_day(later)
    monkeypatch.setattr(watch, "today", lambda: date(over.year + (over.month == 12), over.month % 12 + 1, 1))
    config = partners.town.folder / LENDER / "node.toml"
    config.write_text(config.read_text() + TABLE, encoding="utf-8")
    rows = [f"L-{number},{day},0" for number in range(3) for day in (last_day(month), last_day(later))]
    repaid(partners, *rows, "L-77,2001-01-31,0")
    said = run()
    assert said.code == 2
    assert "line 8" in said.err
    assert "L-77" not in said.text
    repaid(partners, *(row for row in rows if str(last_day(later)) not in row))
    assert run("--month", month_text(later)).code == 2  # the table ends before it
    repaid(partners, *rows)
    assert run("--month", "2027-13").code == 2
    assert run("--month", month_text(later + 1)).code == 2

    groups = partners.town.folder / "groups.csv"
    groups.write_text("application_id,group\napp-a,north\napp-b,south\n", encoding="utf-8")
    page = partners.town.folder / "watch.html"
    found = report(partners, "--groups", groups, "--out", page)
    assert (found["month"], found["first_month"]) == (month_text(later), month_text(month))
    assert (found["read"]["loans"], found["read"]["loans_left_out"]) == (None, 0)
    assert page.stat().st_mode & 0o777 == 0o600
    assert "<script" not in page.read_text()
    log = log_of(partners)
    head = log.head
    assert [line.content["month"] for line in log.notes("watch") if line.content] == [
        month_text(month),
        month_text(later),
    ]
    log.close()
    # The same again writes no line, and gives the same.
    assert report(partners, "--groups", groups) == found
    assert report(partners, "--month", month_text(later), "--groups", groups) == found
    log = log_of(partners)
    assert log.head == head

    alert = WatchAlert("a" * 12, "m", "high", "model risk")
    keep_month(
        log,
        JudgedMonth(found["release"], later + 1, 0.01, (Judged("m", "population", "shares", 90, 5.0, 1.0),), (alert,)),
    )
    log.close()
    assert alert.id in partners.good(LENDER, "watch", "list").text
    note = ("--note", "the new channel explains it")
    assert partners.node(LENDER, "watch", "acknowledge", alert.id, "--by", "nobody", *note).code == 2
    partners.good(LENDER, "watch", "acknowledge", alert.id, "--by", "staff 9", *note)
    assert partners.node(LENDER, "watch", "acknowledge", alert.id, "--by", "staff 9", *note).code == 2
    assert alert.id not in partners.good(LENDER, "watch", "list").text
    assert "staff 9" in partners.good(LENDER, "watch", "list", "--all").text
    assert run("--release", "ab").code == 2
    assert partners.good(LENDER, "replay").code == 0
