"""From the log to frames: what was decided, lent and reviewed; what is erased or withdrawn is counted and not read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from policies import INPUTS, asked, decider
from small_release import TODAY, Pair, known_at

from sealscore.clients.decision.loans import LoanBook, LoanRow
from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.register import SCHEMA, Register, loan_name
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.decision.reviews import PersonsWord, ReviewDesk
from sealscore.clients.scoring.replay import replay
from sealscore.clients.watch.errors import WatchError
from sealscore.clients.watch.groups import read_groups
from sealscore.clients.watch.journal import keep_month
from sealscore.clients.watch.judged import Judged, JudgedMonth
from sealscore.clients.watch.months import month_number
from sealscore.clients.watch.reading import WatchReader
from sealscore.clients.watch.run import watched
from sealscore.clients.watch.settings import WatchedRelease, WatchSettings

PERSONS = known_at(count=6)
BAD = INPUTS | {"debt_service": 70_000, "income": 250_000}
MONTH = month_number(str(TODAY))


def read(pair: Pair, **more: Any) -> WatchReader:
    found = WatchReader(pair.release.hash, **more)
    found.read(pair.log.lines(locked=False))
    return found


def loan_book(pair: Pair) -> LoanBook:
    return LoanBook(pair.log, str.strip)


def lived(pair: Pair) -> dict[str, dict[str, Any]]:
    """One application with a token that becomes a loan, one that is overridden, one that is declined."""
    service = decider(pair)
    token = pair.token(PERSONS[0])
    made = {
        "lent": service.decide(asked(PERSONS[0], token), "me", TODAY),
        "over": service.decide(asked(PERSONS[1], inputs=BAD), "me", TODAY),
        "no": service.decide(asked(PERSONS[2], inputs=BAD), "me", TODAY),
    }
    loan_book(pair).start("L-1", made["lent"]["decision_id"], 8000, TODAY + timedelta(days=3))
    desk = ReviewDesk(pair.log, ApprovedPolicies.of(pair.log))
    later = TODAY + timedelta(days=5)
    for name, outcome in (("over", "approve"), ("no", "decline")):
        word = PersonsWord("staff 1", outcome, "papers were looked at", 1000 if name == "over" else None)  # type: ignore[arg-type]
        desk.take(made[name]["decision_id"], word, "me", later)
    return made


def test_frames_say_what_the_log_says(pair: Pair):
    made = lived(pair)
    reader = read(pair, groups={f"app-{PERSONS[0]}": "north"})
    book = reader.book()
    assert (reader.erased, reader.withdrawn, reader.left_out({})) == (0, 0, (set(), 0))
    # The day of the line, not that of the application.
    assert book.first == month_number(str(pair.log.last_at))
    assert book.scores.height == 3
    assert all(len(bins) > 1 for bins in book.scores["bins"].to_list())
    rows = {row["decision"]: row for row in book.decisions.to_dicts()}
    lent, over, no = (rows[made[name]["decision_id"]] for name in ("lent", "over", "no"))
    assert (lent["offered"], lent["waited"], lent["signal"], lent["group"]) == (True, False, True, "north")
    assert (over["offered"], over["waited"], over["signal"], over["group"]) == (True, True, False, None)
    assert (no["offered"], no["waited"]) == (False, True)
    assert book.reviews.select("override", "reversal", "late", "days").rows() == [
        (True, False, True, 5), (False, False, True, 5),
    ]  # fmt: skip
    assert "debt" in book.reviews["rules"].to_list()[0]
    (loan,) = book.loans.to_dicts()
    assert loan["loan"] == loan_name(pair.log.keys, "L-1").hex()
    assert (loan["start"], loan["role"], loan["pd"], loan["over"]) == (
        MONTH, lent["role"], made["lent"]["score"]["pd"], None,
    )  # fmt: skip


def test_the_last_version_of_an_application_counts(pair: Pair):
    service = decider(pair)
    service.decide(asked(PERSONS[0], inputs=BAD), "me", TODAY)
    service.decide(asked(PERSONS[0], features={"income": 20.0, "late": 2}, inputs=BAD), "me", TODAY)
    book = read(pair).book()
    assert book.scores.height == book.decisions.height == 1


def test_lines_of_other_releases_are_left_aside(pair: Pair):
    lived(pair)
    found = WatchReader("cd" * 32)
    found.read(pair.log.lines(locked=False))
    book = found.book()
    assert book.first is None
    assert book.loans.select("role", "pd").rows() == [(None, None)]
    release = WatchedRelease("cd" * 32, 3, {})
    with pytest.raises(WatchError) as caught:
        watched(pair.log, WatchReader("cd" * 32), release, WatchSettings(), None, MONTH, lambda what: None)
    assert caught.value.code == "empty"


def test_what_is_erased_or_withdrawn_is_counted_and_not_read(pair: Pair):
    lived(pair)
    everything = list(pair.log.lines())
    assert all(line.content is not None for line in everything)
    with pair.log.commit() as batch:
        handle = batch.database.execute("SELECT handle FROM handles").fetchone()[0]
        assert batch.withdraw([bytes(handle)], pair.platform, str(TODAY), "2035-01-01") == 1
        assert batch.erase(PERSONS[1], "a right that was used")
        Register(batch, pair.log.keys).forget(pair.log.keys.person(PERSONS[1]))
    reader = read(pair)
    book = reader.book()
    assert book.scores["application"].to_list() == [f"app-{PERSONS[2]}"]
    assert book.loans.height == 0
    # Score, decision and loan of the one; score, decision and review of the other.
    assert (reader.withdrawn, reader.erased) == (3, 3)
    with pair.log.commit() as batch:
        still = Register(batch, pair.log.keys).loans()
    name = loan_name(pair.log.keys, "L-1").hex()
    assert reader.left_out(still) == ({name}, 0)
    # For a replay the locked lines are still there.
    assert sum(line.content is None for line in pair.log.lines()) == 3


def withdrawn(pair: Pair) -> None:
    with pair.log.commit() as batch:
        handle = batch.database.execute("SELECT handle FROM handles").fetchone()[0]
        assert batch.withdraw([bytes(handle)], pair.platform, str(TODAY), "2035-01-01") == 1


def test_later_lines_bring_no_loan_of_who_withdrew_back(pair: Pair):
    lived(pair)
    withdrawn(pair)
    name = loan_name(pair.log.keys, "L-1").hex()
    books = loan_book(pair)
    for principal in (7000, 6000):
        books.read([LoanRow("L-1", PERSONS[0], principal)], TODAY + timedelta(days=40))
    reader = read(pair)
    assert reader.book().loans.height == 0
    assert reader.left_out({}) == ({name}, 0)
    books.close("L-1", TODAY + timedelta(days=70))
    reader = read(pair)
    assert reader.book().loans.height == 0
    assert reader.left_out({}) == ({name}, 0)


def test_lines_of_one_loan_excuse_no_other_loan(pair: Pair):
    lived(pair)
    books = loan_book(pair)
    for principal in range(7000, 6000, -100):
        books.read([LoanRow("L-1", PERSONS[0], principal)], TODAY + timedelta(days=40))
    withdrawn(pair)
    with pair.log.commit() as batch:
        still = Register(batch, pair.log.keys).loans()
    reader = read(pair)
    assert reader.withdrawn > 10
    assert reader.left_out(still) == ({loan_name(pair.log.keys, "L-1").hex()}, 5)


def test_a_late_review_changes_no_month_that_is_over(pair: Pair):
    service = decider(pair)
    groups = {f"app-{PERSONS[1]}": "north"}
    made = service.decide(asked(PERSONS[1], inputs=BAD), "me", TODAY)

    def offers(month: int) -> list[tuple[bool]]:
        decisions = read(pair, groups=groups).book().decisions
        return decisions.filter(decisions["settled"] == month).select("offered").rows()

    assert offers(MONTH) == offers(MONTH + 1) == []
    word = PersonsWord("staff 1", "approve", "papers were looked at", 1000)
    late = TODAY + timedelta(days=25)
    ReviewDesk(pair.log, ApprovedPolicies.of(pair.log)).take(made["decision_id"], word, "me", late)
    assert offers(MONTH) == []
    assert offers(MONTH + 1) == [(True,)]


def test_lines_of_a_watch_change_no_replay(pair: Pair):
    lived(pair)
    keep_month(pair.log, JudgedMonth("ab", MONTH, 0.01, (Judged("m", "population", "shares", 90, 1.0, 2.0),)))
    assert pair.log.check() == []
    assert replay(pair.log.lines(), {pair.release.hash: pair.release}).good
    found = replay_decisions(pair.log.lines(), ApprovedPolicies.of(pair.log).policies, pair.log.keys)
    assert found.good
    assert found.same == 3
    assert len(ApprovedPolicies.of(pair.log).policies) == 1


def test_a_loan_without_a_decision_has_no_start(pair: Pair):
    pair.log.extend(SCHEMA)
    loan_book(pair).open("L-9", PERSONS[3], 500, TODAY)
    loan_book(pair).close("L-9", TODAY + timedelta(days=40))
    (loan,) = read(pair).book().loans.to_dicts()
    assert (loan["start"], loan["role"], loan["over"]) == (None, None, MONTH + 1)


def test_the_shares_of_a_release_are_those_of_its_models(pair: Pair):
    found = WatchedRelease.of(pair.release)
    assert set(found.shares) == {"champion", "fallback"}
    for role, model in (("champion", pair.release.content.model), ("fallback", pair.release.content.fallback)):
        assert model is not None
        assert [len(shares) for shares in found.shares[role].values()] == list(model.binning.sizes)
        assert all(abs(sum(shares) - 1) < 1e-9 for shares in found.shares[role].values())


def test_groups_are_few_and_each_application_has_one(tmp_path: Path):
    path = tmp_path / "groups.csv"
    path.write_text("application_id,group\nA,north\nB,south\n,x\nC,\nA,north\n", encoding="utf-8")
    assert read_groups(path) == {"A": "north", "B": "south"}
    for rows in ("A,north\nA,south\n", "".join(f"A{n},g{n}\n" for n in range(21))):
        path.write_text("application_id,group\n" + rows, encoding="utf-8")
        with pytest.raises(WatchError) as caught:
            read_groups(path)
        assert caught.value.code == "groups"
