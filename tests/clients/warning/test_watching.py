"""The watch bit from platform to lender: charged, told once a quarter to its last day, forgotten when it ends."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import date, timedelta

import pytest
from small_release import (
    LIMITS,
    TODAY,
    Pair,
    admit_entry,
    agreed,
    application,
    bits_told,
    code_of,
    everybody,
    known_at,
    trained_ledger,
)
from small_release import watched_release as release_with
from watches import NEXT, batch_of, begun, bits_of, exchanged, opened, taken, told, watch_request, watching

from sealscore.clients.scoring.batches import late_batches, take_batch
from sealscore.clients.warning.watching import ToldQuarter, stop_watching
from sealscore.shared.ledger.entries import EndRelease, TellLimit
from sealscore.shared.ledger.scoring_bits import ToldForScoring
from sealscore.shared.persons.consent import Consent, parse_consents
from sealscore.shared.serving.watch import LONGEST_QUARTER, quarter_after, quarter_of

QUARTERS = [date(2030, 4, 1), date(2030, 7, 2), date(2030, 10, 3), date(2031, 1, 4), date(2031, 4, 5)]


def score(pair: Pair, person: str) -> float:
    rows = everybody("wallet")
    at = rows.person.index(person)
    columns = {name: values[at : at + 1] for name, values in rows.columns.items()}
    return float(pair.release.content.towers["wallet"].model.logits(columns)[0])


def limited(limit: TellLimit, **fields: object) -> Pair:
    pair = Pair(release_with(**fields))
    ledger = trained_ledger("wallet", None, pair.release.manifest.told["wallet"].meaning)
    ledger.append(lambda state: admit_entry(pair.release, "wallet", LIMITS | {"watch": limit}))
    pair.__dict__["ledger"] = ledger
    return pair


def test_both_bits_arrive_and_are_those_of_the_rule(pair: Pair):
    persons = known_at(count=8)
    for person in persons:
        begun(pair, person)
    assert told(pair) == ToldQuarter(told=8)
    assert exchanged(pair) == 0
    found = {person: bits_of(pair, person) for person in persons}
    assert {person: bit.value for person, (bit,) in found.items()} == {
        person: int(score(pair, person) > 0.0) for person in persons
    }
    assert {bit.value for (bit,) in found.values()} == {0, 1}
    assert {(bit.platform, bit.quarter) for (bit,) in found.values()} == {("wallet", "2030-q2")}


def test_a_bit_is_told_each_quarter_until_the_last_day_and_never_twice(pair: Pair):
    person = known_at()[0]
    one = begun(pair, person, quarters=3)
    assert (one.first, one.last) == ("2030-q2", "2030-q4")
    # Nothing in the quarter of the consent: the level of the token is of it.
    assert told(pair, TODAY) == ToldQuarter()
    counts = []
    for day in QUARTERS:
        counts.append(told(pair, day).told)
        assert told(pair, day) == ToldQuarter()
        exchanged(pair, day)
        bits = bits_of(pair, person, day)
        assert [bit.quarter for bit in bits] == ([quarter_of(day)] if counts[-1] else ["2030-q4"] * (day.month == 1))
    assert counts == [1, 1, 1, 0, 0]
    assert sum(bits_told(pair, "watch")) == 3
    assert [row["month"] for row in pair.store.told_of(person) if row["kind"] == "watch"] == [
        "2030-q2",
        "2030-q3",
        "2030-q4",
    ]


def test_bits_of_a_quarter_are_gone_when_the_next_but_one_begins(pair: Pair):
    person = known_at()[0]
    begun(pair, person, quarters=1)
    told(pair)
    exchanged(pair)
    assert len(bits_of(pair, person, date(2030, 9, 30))) == 1
    assert bits_of(pair, person, date(2030, 10, 1)) == []
    with pair.log.commit() as batch:
        batch.destroy_expired("2030-09-30")
    assert pair.log._database.execute("SELECT COUNT(*) FROM watch_bits").fetchone() == (1,)
    with pair.log.commit() as batch:
        batch.destroy_expired("2030-10-01")
    assert pair.log._database.execute("SELECT COUNT(*) FROM watch_bits").fetchone() == (0,)


def test_two_lenders_cost_one_bit_and_get_the_same(pair: Pair):
    person = known_at()[0]
    begun(pair, person)
    pair.token(person, person, lender="lender-2")
    watching(pair).begin(watch_request(person, lender="lender-2"), TODAY)
    assert told(pair).told == 2
    assert bits_told(pair, "watch") == [1, 0]
    values = {row["value"] for row in pair.store.told_of(person) if row["kind"] == "watch"}
    assert len(values) == 1


def test_ceilings_of_a_quarter_and_of_a_life_hold():
    person, other = known_at()[:2]
    pair = limited(TellLimit(month=1, life=6))
    begun(pair, person, quarters=6)
    # All of a consent has to fit when it is given.
    small = limited(TellLimit(month=1, life=3))
    small.token(person, person)
    assert code_of(lambda: watching(small).begin(watch_request(person, 4), TODAY)) == "ceiling"
    assert bits_told(small, "watch") == []
    # A second rule in the same quarter is another bit: the ceiling of one keeps it back.
    second = release_with(worst=0.3, name="second")
    pair.ledger.append(lambda state: admit_entry(second, "wallet"))
    twin = dataclasses.replace(pair, release=second)
    twin.__dict__.update({name: getattr(pair, name) for name in ("ledger", "store", "log", "lender_ledger")})
    twin.token(person, "again", NEXT - timedelta(days=1))
    watching(twin).begin(watch_request(person, 1, key="again"), NEXT - timedelta(days=1))
    assert told(pair) == ToldQuarter(told=1)
    limits = {"watch": TellLimit(month=1, life=12)}
    assert pair.ledger.state.serving.releases[second.hash].limits["watch"] == limits["watch"]
    assert told(twin) == ToldQuarter(kept_back=1)
    assert sum(bits_told(pair, "watch")) == 1
    assert other not in {row[0] for row in pair.store._database.execute("SELECT person FROM told")}


def test_what_the_ledger_says_bounds_what_was_told(pair: Pair):
    for person in known_at(count=3):
        begun(pair, person)
    for day in QUARTERS[:3]:
        told(pair, day)
        bound = ToldForScoring.of(pair.ledger.state.serving).bits["watch"]
        assert pair.store.most_bits()["watch"] <= bound
        # The days charged lie in four quarters at most: that of the tokens, too.
        assert bound == 1 + QUARTERS.index(day) + 1
    assert pair.store.check() is None


def test_withdrawing_ends_all_and_a_late_batch_restores_nothing(pair: Pair):
    person = known_at()[0]
    begun(pair, person)
    told(pair)
    first = batch_of(pair)
    taken(pair, first)
    assert bits_of(pair, person)
    later = NEXT + timedelta(days=1)
    with pair.store.transaction() as own:
        own.withdraw(person, pair.lender, str(later))
    assert exchanged(pair, later) == 1
    for _ in range(2):
        assert bits_of(pair, person) == []
        taken(pair, first, receipted=False)
    assert told(pair, QUARTERS[1]) == ToldQuarter()
    assert bits_told(pair, "watch") == [1]


def test_a_bit_that_waits_is_not_sent_after_a_withdrawal(pair: Pair):
    person = known_at()[0]
    begun(pair, person)
    told(pair)
    with pair.store.transaction() as own:
        own.withdraw(person, pair.lender, str(NEXT))
        number, handles, entries = own.take_batch(pair.lender, str(NEXT), 8)
    assert (number, len(handles), entries) == (1, 1, [])


@pytest.mark.parametrize("change", ["end", "withdraw", "tell", "release"])
def test_a_batch_that_is_made_again_on_its_day_holds_the_same(pair: Pair, change: str):
    """What differed would tell who opens both which entries are dummies, and whom a change is of."""
    persons = known_at(count=3)
    for person in persons:
        begun(pair, person)
    told(pair)
    day = NEXT if change != "tell" else date(2030, 7, 1)
    first = opened(pair, batch_of(pair, day), day)
    if change == "end":
        stop_watching(pair.store, persons[0], pair.lender, day)
    elif change == "withdraw":
        with pair.store.transaction() as own:
            own.withdraw(persons[0], pair.lender, str(day))
    elif change == "tell":
        assert told(pair, day).told == 3
    else:
        hash = pair.release.hash
        pair.ledger.append(lambda state: EndRelease(release=hash, why="a test"))
    again = batch_of(pair, day)
    assert opened(pair, again, day) == first
    taken(pair, again, day)
    # The change comes with the next one.
    after = day + timedelta(days=1)
    withdrawn = taken(pair, batch_of(pair, after), after)
    assert withdrawn == (change == "withdraw")
    found = [[bit.quarter for bit in bits_of(pair, person, after)] for person in persons]
    assert (
        found
        == {
            "end": [[], ["2030-q2"], ["2030-q2"]],
            "withdraw": [[], ["2030-q2"], ["2030-q2"]],
            "tell": [["2030-q3"]] * 3,
            "release": [[]] * 3,
        }[change]
    )
    with pair.store.transaction() as own:
        assert own.take_batch(pair.lender, str(after + timedelta(days=1)), 8)[1:] == ([], [])


@pytest.mark.parametrize("by", ["command", "table"])
def test_ending_the_consent_deletes_the_bits_and_leaves_the_token(pair: Pair, by: str):
    person = known_at()[0]
    begun(pair, person)
    told(pair)
    first = batch_of(pair)
    taken(pair, first)
    if by == "command":
        assert stop_watching(pair.store, person, pair.lender, NEXT) == 1
        assert stop_watching(pair.store, person, pair.lender, NEXT) == 0
        day = NEXT + timedelta(days=1)
    else:
        # The table's consent to monitoring is gone; that to scoring stays.
        records, day = everybody("wallet"), QUARTERS[1]
        cell = parse_consents("lender-1 for credit-decision; federation")
        table = tuple(cell for _ in records.person)
        assert watching(pair, dataclasses.replace(records, consent=table)).tell(day) == ToldQuarter(ended=1)
    assert exchanged(pair, day) == 0
    assert bits_of(pair, person, day) == []
    taken(pair, first, receipted=False)
    assert bits_of(pair, person) == []
    assert told(pair, QUARTERS[2]) == ToldQuarter()
    assert code_of(lambda: watching(pair).begin(watch_request(person), day)) == "withdrawn"


def test_an_erased_person_gets_no_bits_any_more(pair: Pair):
    person = known_at()[0]
    begun(pair, person)
    told(pair)
    text = batch_of(pair)
    taken(pair, text)
    with pair.log.commit() as batch:
        assert batch.erase(person, "a right")
    assert bits_of(pair, person) == []
    taken(pair, text)
    told(pair, QUARTERS[1])
    exchanged(pair, QUARTERS[1])
    assert bits_of(pair, person, QUARTERS[1]) == []
    assert pair.log.keys.person(person) in pair.log.erased()


def test_what_does_not_fit_waits_behind_withdrawals_and_is_sent_again_until_receipted():
    pair = Pair(release_with(batch_places=8))
    persons = known_at(count=10)
    for person in persons:
        begun(pair, person)
    leaving = persons[0]
    told(pair)
    with pair.store.transaction() as own:
        own.withdraw(leaving, pair.lender, str(NEXT))
    lost = batch_of(pair)
    taken(pair, lost, receipted=False)
    arrived = [person for person in persons[1:] if bits_of(pair, person)]
    assert len(arrived) == 7
    # The receipt was lost: the same again, and the rest on the day after.
    second, third = NEXT + timedelta(days=1), NEXT + timedelta(days=2)
    exchanged(pair, second)
    assert [person for person in persons[1:] if bits_of(pair, person)] == arrived
    exchanged(pair, third)
    assert all(bits_of(pair, person) for person in persons[1:])
    with pair.store.transaction() as own:
        assert own.take_batch(pair.lender, str(third + timedelta(days=1)), 8)[1:] == ([], [])


def test_an_end_that_no_batch_has_is_missed_after_three_days(pair: Pair):
    persons = known_at(count=10)
    for person in persons:
        begun(pair, person)
        stop_watching(pair.store, person, pair.lender, NEXT)
    third = NEXT + timedelta(days=3)
    assert late_batches(pair.store, NEXT) == {}
    assert late_batches(pair.store, third) == {pair.lender: []}
    # Eight places: two wait for another batch.
    exchanged(pair)
    assert late_batches(pair.store, third) == {pair.lender: []}
    exchanged(pair, third)
    assert late_batches(pair.store, third + timedelta(days=9)) == {}


def test_what_the_lender_never_used_says_nothing_to_it(pair: Pair):
    person = known_at()[0]
    begun(pair, person, used=False)
    assert told(pair) == ToldQuarter(told=1)
    exchanged(pair)
    assert pair.log.watch_bits(NEXT) == []


def test_a_bit_of_the_last_quarter_waits_for_the_first_use_of_its_token(pair: Pair):
    person, start, used = known_at()[0], date(2030, 6, 25), date(2030, 7, 3)
    token = pair.token(person, person, start)
    watching(pair).begin(watch_request(person), TODAY)
    told(pair, start)
    exchanged(pair, start)
    pair.service(used, start).score(application(person, token, day=used), "me", used)
    assert [bit.quarter for bit in bits_of(pair, person, used)] == ["2030-q2"]


def test_a_lender_whose_clock_is_behind_at_a_quarters_midnight_loses_no_bit(pair: Pair):
    person, eve = known_at()[0], NEXT - timedelta(days=1)
    begun(pair, person)
    told(pair)
    text = batch_of(pair)
    releases, lender = {pair.release.hash: pair.release}, pair.identity(pair.lender)
    take_batch(text, lender, pair.lender_ledger, pair.log, releases, [pair.keys(NEXT)], eve, 100)
    assert [bit.quarter for bit in bits_of(pair, person)] == ["2030-q2"]


def test_another_platform_tells_nothing_by_a_handle_that_it_learned(pair: Pair):
    person = known_at()[0]
    begun(pair, person)
    told(pair)
    (entry,) = [bytes(row[0]) for row in pair.store._database.execute("SELECT entry FROM watch_outbox")]
    with pair.log.commit() as batch:
        assert batch.take_watch([entry], "video-1", NEXT) == [entry]
    assert bits_of(pair, person) == []
    with pair.log.commit() as batch:
        assert batch.take_watch([entry], "wallet", NEXT) == []
    assert len(bits_of(pair, person)) == 1


def test_what_changed_while_entries_were_looked_up_counts(pair: Pair):
    """Looking up takes seconds at a large lender, so it is done before the commit."""
    stays, leaves = known_at()[:2]
    begun(pair, leaves)
    before = pair.log.watch_meanings("wallet", NEXT)
    begun(pair, stays)
    told(pair)
    query = "SELECT entry FROM watch_outbox ORDER BY number"
    entries = [bytes(row[0]) for row in pair.store._database.execute(query)]
    handle = next(iter(before.handles))
    with pair.log.commit() as batch:
        batch.withdraw([handle], "wallet", str(NEXT), "2035-01-01")
    with pair.log.commit() as batch:
        assert batch.take_watch(entries, "wallet", NEXT, before) == entries[:1]
    assert (len(bits_of(pair, stays)), bits_of(pair, leaves)) == (1, [])


def test_begin_refuses_what_cannot_be_and_keeps_nothing(pair: Pair):
    person, other = known_at()[:2]
    pair.token(person, person)
    cases = {
        "no-token": watch_request(person, key="none"),
        "lender": watch_request(person, lender="lender-9"),
        "quarters": watch_request(person, 7),
        "person": watch_request("\ud800", key=person),
        "malformed": watch_request(person, language="x"),
    }
    for code, asked in cases.items():
        assert code_of(lambda asked=asked: watching(pair).begin(asked, TODAY)) == code
    # A token of somebody else, and a consent that the table does not have.
    assert code_of(lambda: watching(pair).begin(watch_request(other, key=person), TODAY)) == "no-token"
    records = everybody("wallet")
    cells = tuple(parse_consents("lender-1 for credit-decision") for _ in records.person)
    strict = dataclasses.replace(records, consent=cells)
    assert code_of(lambda: watching(pair, strict).begin(watch_request(person), TODAY)) == "no-consent"
    assert pair.store._database.execute("SELECT COUNT(*) FROM subscriptions").fetchone() == (0,)
    # One for every purpose is none to be watched, nor is what the data do not say.
    for cell in (Consent("lender-1"), Consent("lender-1", withdrawn=date(2031, 1, 1))):
        wide = dataclasses.replace(records, consent=tuple((cell,) for _ in records.person))
        assert code_of(lambda wide=wide: watching(pair, wide).begin(watch_request(person), TODAY)) == "no-consent"
    assert code_of(lambda: watching(pair, records).begin(watch_request(person), TODAY)) == "no-consent"
    # A withdrawal without a purpose ends also a consent that names one.
    ended = (Consent("lender-1", "monitoring"), Consent("lender-1", withdrawn=TODAY))
    gone = dataclasses.replace(records, consent=tuple(ended for _ in records.person))
    assert code_of(lambda: watching(pair, gone).begin(watch_request(person), TODAY)) == "no-consent"
    assert watching(pair, strict, asking=True).begin(watch_request(person), TODAY).first == "2030-q2"
    # A consent that was a request ends by a withdrawal alone.
    assert watching(pair, strict).tell(NEXT) == ToldQuarter(told=1)
    # The same request again is the same subscription; another length is none.
    assert watching(pair).begin(watch_request(person), TODAY).last == quarter_after("2030-q1", 4)
    assert code_of(lambda: watching(pair).begin(watch_request(person, 5), TODAY)) == "key-used"
    short = Pair(release_with(expires="2030-12-30"))
    short.token(person, person)
    assert code_of(lambda: watching(short).begin(watch_request(person, 3), TODAY)) == "release-expired"
    assert watching(short).begin(watch_request(person, 2), TODAY).last == "2030-q3"


def test_rows_that_are_missing_for_a_day_end_no_watch(pair: Pair):
    person = known_at()[0]
    begun(pair, person)
    records = agreed("wallet")
    rows = [at for at, one in enumerate(records.person) if one != person]
    without = dataclasses.replace(
        records,
        person=tuple(records.person[at] for at in rows),
        consent=tuple((records.consent or ())[at] for at in rows),
        columns={name: values[rows] for name, values in records.columns.items()},
    )
    assert watching(pair, without).tell(NEXT) == ToldQuarter(absent=1)
    # Nor does an export without its column of consents.
    assert watching(pair, everybody("wallet")).tell(NEXT) == ToldQuarter(absent=1)
    assert bits_told(pair, "watch") == []
    assert told(pair) == ToldQuarter(told=1)


def test_a_token_that_ended_more_than_a_quarter_ago_begins_no_watch(pair: Pair):
    person, other = known_at()[:2]
    for one in (person, other):
        pair.token(one, one)
    last = TODAY + timedelta(days=pair.release.manifest.token_days) + LONGEST_QUARTER
    assert watching(pair).begin(watch_request(person), last).first == quarter_after(quarter_of(last), 1)
    after = last + timedelta(days=1)
    assert code_of(lambda: watching(pair).begin(watch_request(other), after)) == "withdrawn"
    # One that began comes again.
    assert watching(pair).begin(watch_request(person), after).day == str(last)


def test_the_quarters_of_a_consent_cannot_be_changed(pair: Pair):
    begun(pair, known_at()[0])
    with pytest.raises(sqlite3.IntegrityError):
        pair.store._database.execute("UPDATE subscriptions SET last = '2030-q2'")
