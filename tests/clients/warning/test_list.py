"""Whom a lender contacts first: own arrears and watch bits, in order, in both languages, and of nobody who is gone."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from small_release import Pair, known_at, watched_release
from watches import NEXT, begun, exchanged, told

from sealscore.clients.commands.serving.warning import _write
from sealscore.clients.decision.register import DecisionError
from sealscore.clients.scoring.storage.watch_bits import WatchBit
from sealscore.clients.warning.arrears import LoanArrears, read_arrears
from sealscore.clients.warning.borrowers import ARREARS, SCORED, URGENT, WATCHED, WarnedLoan, warned_loans
from sealscore.clients.warning.ranking import ranks
from sealscore.clients.warning.rules import ArrearsRules, PointsRule, ShareRule, WarningRules
from sealscore.clients.warning.watching import stop_watching
from sealscore.shared.plan.errors import PlanError

DAY = date(2030, 4, 10)
RULES = WarningRules()


def bit(person: str, value: int = 1) -> WatchBit:
    return WatchBit(person.encode(), "wallet", "2030-q2", value)


def listed(loans: list[LoanArrears], bits: list[WatchBit], erased: set[bytes] = frozenset()) -> list[WarnedLoan]:  # type: ignore[assignment]
    names = {loan.person: loan.person.encode() for loan in loans}
    return warned_loans(loans, RULES, bits, names, erased)


def test_the_most_urgent_come_first_with_their_reasons():
    loans = [
        LoanArrears("quiet", "a", 4, 1),
        LoanArrears("bit", "b", 0, 0),
        LoanArrears("late", "c", 5, 1),
        LoanArrears("later", "d", 20, 2),
        LoanArrears("far", "e", 30, 1),
        LoanArrears("both", "f", 6, 1),
        LoanArrears("none", "g", 0, 0),
    ]
    found = listed(loans, [bit("b"), bit("f"), bit("g", 0), bit("stranger")])
    assert [(one.loan, one.priority) for one in found] == [
        ("far", URGENT),
        ("both", URGENT),
        ("later", ARREARS),
        ("late", ARREARS),
        ("bit", WATCHED),
    ]
    codes = {one.loan: [reason["code"] for reason in one.reasons] for one in found}
    assert codes == {
        "far": ["arrears.days"],
        "both": ["arrears.days", "watch"],
        "later": ["arrears.days", "arrears.missed"],
        "late": ["arrears.days"],
        "bit": ["watch"],
    }
    for one in found:
        assert all(reason["en"] and reason["zh"] for reason in (*one.reasons, one.contact))
        # A bit is used to the end of the quarter after its own.
        assert one.until == ("2030-09-30" if one.loan in ("both", "bit") else None)
    assert found[0].contact != found[-1].contact
    assert "far" not in repr(found)


def test_a_table_of_many_without_a_bit_has_the_bit_of_the_last(tmp_path: Path):
    loans = [LoanArrears(f"L{number}", f"p{number}", 90, 3) for number in range(300)]
    found = listed([*loans, LoanArrears("last", "z", 0, 0)], [bit("z")])
    _write(tmp_path / "list.csv", found)
    rows = pl.read_csv(tmp_path / "list.csv", infer_schema_length=None)
    assert rows["until"].to_list() == [None] * 300 + ["2030-09-30"]
    assert rows["reasons_code"][-1] == "watch"
    _write(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text("utf-8").split(",")[0] == "loan"


def test_who_is_erased_is_absent_whatever_is_owed():
    loans = [LoanArrears("one", "a", 90, 3), LoanArrears("two", "b", 90, 3)]
    assert [one.loan for one in listed(loans, [bit("a")], {b"a"})] == ["two"]


def test_arrears_are_counted_on_the_day_from_what_is_open(tmp_path: Path):
    path = tmp_path / "repayments.csv"
    rows = [
        "loan,person,due_at,paid_at,extra",
        "L1,ann,2030-03-01,2030-03-02,x",
        "L1,ann,2030-04-01,,x",
        "L1,ann,2030-05-01,,x",
        "L2,bob,2030-03-01,,x",
        "L2,bob,2030-04-10,,x",
        "L3,cid,2030-03-01,2030-03-01,x",
        # Paid after the day that is asked for: open on it.
        "L4,dan,2030-04-04,2030-04-20,x",
    ]
    path.write_text("\n".join(rows), encoding="utf-8")
    found = {one.loan: (one.days, one.missed) for one in read_arrears(path, str.strip, DAY)}
    # What is due on the day itself is not late yet, and a loan of which all is paid is over.
    assert found == {"L1": (9, 1), "L2": (40, 1), "L4": (6, 1)}
    assert {one.loan for one in read_arrears(path, str.strip, date(2030, 5, 1))} == {"L1", "L2"}


@pytest.mark.parametrize(
    "rows",
    [
        "loan,person,due_at\nL1,ann,2030-03-01",
        "loan,person,due_at,paid_at\n,ann,2030-03-01,",
        "loan,person,due_at,paid_at\nL1,,2030-03-01,",
        "loan,person,due_at,paid_at\nL1,secret-ann,01.03.2030,",
        "loan,person,due_at,paid_at\nL1,secret-ann,2030-03-01,\nL1,bob,2030-04-01,",
    ],
    ids=["column", "loan", "person", "day", "two persons"],
)
def test_a_table_that_cannot_be_read_is_refused_without_a_cell(tmp_path: Path, rows: str):
    path = tmp_path / "repayments.csv"
    path.write_text(rows, encoding="utf-8")
    with pytest.raises(DecisionError) as error:
        read_arrears(path, str.strip, DAY)
    assert "secret-ann" not in str(error.value)
    assert "L1" not in str(error.value).replace(str(tmp_path), "")


def test_points_say_whom_a_bit_lists_alone_and_whom_a_low_score_does(tmp_path: Path):
    path = tmp_path / "loans.csv"
    rows = [("low", "a", 500), ("high", "b", 560), ("worst", "c", 470), ("good", "d", 600), ("unscored", "e", "")]
    lines = [f"{loan},{person},2030-05-01,,{points}" for loan, person, points in rows]
    path.write_text("\n".join(["loan,person,due_at,paid_at,points", *lines]), encoding="utf-8")
    loans = [*read_arrears(path, str.strip, DAY), LoanArrears("late", "f", 6, 1, 600)]
    names = {loan.person: loan.person.encode() for loan in loans}
    rules = WarningRules(watch=PointsRule(points=520), score=PointsRule(points=480))
    found = warned_loans(loans, rules, [bit(person) for person in "abef"], names, ())
    assert [(one.loan, one.priority, [reason["code"] for reason in one.reasons]) for one in found] == [
        # Beside arrears a bit counts whatever the score was.
        ("late", URGENT, ["arrears.days", "watch"]),
        ("low", WATCHED, ["watch"]),
        ("unscored", WATCHED, ["watch"]),
        ("worst", SCORED, ["score"]),
    ]
    # Without such a rule the column changes nothing, and neither does its absence.
    assert {one.loan for one in warned_loans(loans, RULES, [bit("b")], names, ())} == {"late", "high"}


def test_a_share_of_the_running_loans_is_listed_worst_first():
    """Ten run with nothing in arrears: three of them are the worst share of 0.3, whatever their points are."""
    loans = [LoanArrears(f"L{place}", f"p{place}", 0, 0, 500 + 10 * place) for place in range(10)]
    loans += [LoanArrears("late", "late", 6, 1, 400), LoanArrears("gone", "gone", 0, 0, 300)]
    names = {loan.person: loan.person.encode() for loan in loans}

    def found(of: float, bit_points: int, bits: list[WatchBit]) -> dict[str, WarnedLoan]:
        rules = WarningRules(share=ShareRule(of=of, bit=bit_points))
        return {one.loan: one for one in warned_loans(loans, rules, bits, names, {b"gone"})}

    plain = found(0.3, 0, [])
    assert [*plain] == ["late", "L0", "L1", "L2"]
    assert [one.rank for one in plain.values()] == [None, 0.1, 0.2, 0.3]
    assert [one.priority for one in plain.values()] == [ARREARS, SCORED, SCORED, SCORED]
    assert len(found(0.29, 0, [])) == 3
    assert [*found(0.3, 0, [bit("p9")])] == [*plain]  # a bit that counts nothing is no reason
    # A bit of 1 brings a loan down, one of 0 up; beside arrears it makes urgent.
    told = found(0.3, 25, [bit("p4"), bit("p1", 0), bit("late")])
    assert [*told] == ["late", "L4", "L0", "L2"]
    assert [one.priority for one in told.values()] == [URGENT, WATCHED, SCORED, SCORED]
    assert [reason["code"] for reason in told["L4"].reasons] == ["rank", "watch"]
    assert (told["L4"].until, told["L0"].until) == ("2030-09-30", None)
    # The newest quarter counts.
    older = WatchBit(b"p4", "wallet", "2030-q1", 1)
    assert [*found(0.3, 25, [older, bit("p4", 0)])] == [*plain]


def test_loans_of_one_rank_are_listed_together_or_not_at_all():
    rules = WarningRules(share=ShareRule(of=0.5))
    loans = [LoanArrears(name, name, 0, 0, points) for name, points in zip("abcd", (500, 510, 510, 520), strict=True)]
    names = {loan.person: loan.person.encode() for loan in loans}
    assert [one.loan for one in warned_loans(loans, rules, [], names, ())] == ["a"]
    # Without points a loan ranks as the one in the middle, so that a withdrawal lists nobody.
    loans = [*loans, LoanArrears("e", "e", 0, 0)]
    names["e"] = b"e"
    assert ranks(loans, {}, ShareRule(of=1.0)) == {"a": 0.2, "b": 0.8, "c": 0.8, "d": 1.0, "e": 0.8}
    assert ranks([LoanArrears("e", "e", 0, 0)], {}, ShareRule(of=1.0)) == {"e": 1.0}
    assert warned_loans([], rules, [], {}, ()) == []


def test_a_share_stands_alone():
    for more in ({"score": {"points": 500}}, {"watch": {"points": 500}}):
        with pytest.raises(ValueError, match="share"):
            WarningRules.model_validate({"share": {"of": 0.2}, **more})


@pytest.mark.parametrize("second", ["501", "", "much"])
def test_points_of_a_loan_are_one_whole_number(tmp_path: Path, second: str):
    path = tmp_path / "loans.csv"
    path.write_text(f"loan,person,due_at,paid_at,points\nL1,ann,2030-05-01,,500\nL1,ann,2030-06-01,,{second}\n")
    with pytest.raises(DecisionError, match="row 2"):
        read_arrears(path, str.strip, DAY)


def test_rules_are_read_and_checked(tmp_path: Path):
    path = tmp_path / "warning.toml"
    path.write_text("[arrears]\ndays = 3\nurgent_missed = 2\n", encoding="utf-8")
    assert WarningRules.load(path).arrears == ArrearsRules(days=3, urgent_missed=2)
    for text in ("[arrears]\ndays = 0", "[arrears]\ndays = 31", "[arrears]\nday = 3", "arrears = 3", "x ="):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(PlanError):
            WarningRules.load(path)


def test_bits_of_the_log_list_borrowers_until_the_consent_ends():
    pair = Pair(watched_release(worst=0.6, batch_places=32))
    persons = known_at(count=24)
    for person in persons:
        begun(pair, person)
    told(pair)
    exchanged(pair)
    bits = pair.log.watch_bits(NEXT)
    loans = [LoanArrears(f"loan of {person}", person, 0, 0) for person in persons]
    names = {person: pair.log.keys.person(person) for person in persons}
    found = warned_loans(loans, RULES, bits, names, pair.log.erased())
    flagged = {bit.person for bit in bits if bit.value}
    assert {names[one.person] for one in found} == flagged
    assert 2 < len(found) < len(persons)
    leaves, erased = found[0].person, found[1].person
    stop_watching(pair.store, leaves, pair.lender, NEXT)
    with pair.log.commit() as batch:
        batch.erase(erased, "a right")
    later = NEXT + timedelta(days=1)
    exchanged(pair, later)
    left = warned_loans(loans, RULES, pair.log.watch_bits(later), names, pair.log.erased())
    assert [one.person for one in left] == [one.person for one in found[2:]]
