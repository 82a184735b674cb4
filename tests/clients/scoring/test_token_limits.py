"""Tokens of a platform: what is told is charged once, and up to its ceilings."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_release import (
    LIMITS,
    TODAY,
    Pair,
    admit_entry,
    bits_told,
    code_of,
    content_of,
    crafted,
    everybody,
    known_at,
    request,
    small_release,
    trained_ledger,
)

from sealscore.clients.scoring.tokens import charge_days
from sealscore.shared.ledger.entries import TellLimit
from sealscore.shared.serving.told_values import told_values

BOTH = frozenset({"signal", "capacity"})
APRIL = date(2030, 4, 1)


def limited(**limits: TellLimit) -> Pair:
    """A pair whose platform has other ceilings."""
    pair = Pair(small_release(kinds=True))
    ledger = trained_ledger("wallet", None, pair.release.manifest.told["wallet"].meaning)
    ledger.append(lambda state: admit_entry(pair.release, "wallet", LIMITS | limits))
    pair.__dict__["ledger"] = ledger
    return pair


def test_a_level_costs_its_bits_once_a_month_whoever_gets_it(pair: Pair):
    person = known_at()[0]
    one = content_of(pair, pair.token(person, "a"))
    two = content_of(pair, pair.token(person, "b", lender="lender-2"), "lender-2")
    three = content_of(pair, pair.token(person, "c"))
    assert one.values == two.values == three.values
    assert len({one.handle, two.handle, three.handle}) == len({one.tag, two.tag, three.tag}) == 3
    assert bits_told(pair) == [3, 0, 0]
    # Another month is charged in full, also where nothing changed.
    pair.token(person, "d", APRIL)
    assert bits_told(pair) == [3, 0, 0, 3]


def test_two_lenders_that_pool_tokens_of_a_month_know_what_one_does(pair: Pair):
    """Data change at the platform meanwhile; what was told of the month is told again."""
    person = known_at()[0]
    first = content_of(pair, pair.token(person, "a", kinds=BOTH))
    records = everybody("wallet")
    columns = {name: values.copy() for name, values in records.columns.items()}
    for value in (0.0, 100.0):
        columns["inflow"][records.person.index(person)] = value
        maker = pair.maker(records=dataclasses.replace(records, columns=columns))
        later = maker.make(request(person, f"b{value}", "lender-2", kinds=BOTH), TODAY)
        assert content_of(pair, later, "lender-2").values == first.values
    assert sum(bits_told(pair)) == 3 + 3


def test_computed_anew_for_each_lender_levels_would_name_what_changed(pair: Pair):
    """The defence off."""
    told, tower = pair.release.manifest.told["wallet"], pair.release.content.towers["wallet"]
    columns = {name: values[:1] for name, values in everybody("wallet").columns.items()}
    low, high = (told_values(tower, told, columns | {"inflow": np.array([value])}) for value in (0.0, 100.0))
    assert low != high


def test_ceilings_hold_in_a_month_and_in_a_life():
    person = known_at()[0]
    for limit, months in ((TellLimit(month=3, life=6), 2), (TellLimit(month=2, life=60), 0)):
        pair = limited(signal=limit)
        for month in range(4):
            day = date(2030, 3 + month, 10)
            if month < months:
                pair.token(person, f"{month}", day)
            else:
                assert code_of(lambda pair=pair, month=month, day=day: pair.token(person, f"{month}", day)) == "ceiling"
        assert sum(bits_told(pair)) == 3 * months
        # Ceilings are a person's own.
        if months:
            pair.token(known_at()[1], "other", day)


def test_a_kind_beyond_its_ceiling_leaves_the_others_uncharged():
    pair = limited(signal=TellLimit(month=2, life=2))
    # "capacity" is noted before "signal" is refused.
    assert code_of(lambda: pair.token(known_at()[0], kinds=BOTH)) == "ceiling"
    assert bits_told(pair) == []
    assert pair.store.head == "0" * 64


def test_a_band_under_other_edges_is_another_band(pair: Pair):
    """The same tower in a second release whose bands differ: what was told under the first is not told as the other."""
    told = pair.release.manifest.model_dump(mode="json")["told"]
    told["wallet"]["capacity"]["edges"] = [1.0, 2.0, 99.0]
    second = crafted(pair.release, name="second", told=told)
    pair.ledger.append(lambda state: admit_entry(second, "wallet"))
    records = everybody("wallet")
    person = records.person[int(np.argmax((records.columns["inflow"] > 46) & (records.columns["inflow"] < 59)))]
    assert content_of(pair, pair.token(person, "a", APRIL, kinds=BOTH)).values["capacity"] == 2
    other = pair.maker(APRIL, release=second)
    # In one month it would be a second band, beyond the ceiling of one: it is refused, and not told as a known one.
    assert code_of(lambda: other.make(request(person, "b", kinds=BOTH), APRIL)) == "ceiling"
    may = date(2030, 5, 1)
    later = pair.maker(may, release=second).make(request(person, "c", kinds=BOTH), may)
    assert content_of(pair, later).values["capacity"] == 2
    assert sum(bits_told(pair, "capacity")) == 6


def test_a_day_has_its_most_tokens():
    pair = Pair(crafted(small_release(), most_a_day=2))
    one, two, three = known_at()[:3]
    for person in (one, two):
        pair.token(person, person)
    assert code_of(lambda: pair.token(three, three)) == "day-full"
    pair.token(one, one)
    pair.token(three, three, lender="lender-2")
    pair.token(three, three, TODAY + timedelta(days=1))


def test_a_node_that_was_away_charges_each_day_and_a_lender_like_the_other(pair: Pair):
    for day in (TODAY, TODAY + timedelta(days=5), TODAY + timedelta(days=5)):
        charge_days(pair.ledger, pair.store, pair.release.hash, day)
    days = pair.ledger.state.serving.releases[pair.release.hash].days
    wanted = [str(TODAY + timedelta(days=number)) for number in range(6)]
    assert {lender: [one.day for one in kept] for lender, kept in days.items()} == {
        "lender-1": wanted,
        "lender-2": wanted,
    }


def test_heads_and_blocks_tell_no_volume(tmp_path: Path):
    """Nodes with 0, 1 and 50 consents a day have as many entries, of the same kinds and sizes."""
    found = []
    for consents in (0, 1, 50):
        folder = tmp_path / str(consents)
        folder.mkdir()
        pair = Pair(small_release(kinds=True), folder=folder)
        for number in range(3):
            day = TODAY + timedelta(days=number)
            charge_days(pair.ledger, pair.store, pair.release.hash, day)
            maker = pair.maker(day)
            for person in known_at(count=consents):
                maker.make(request(person, f"{number}-{person}"), day)
        assert len(bits_told(pair)) == 3 * consents
        pair.close()
        with sqlite3.connect(folder / "wallet.db") as database:
            query = "SELECT seq, LENGTH(body), json_extract(body, '$.kind') FROM entries ORDER BY seq"
            found.append(database.execute(query).fetchall())
    assert found[0] == found[1] == found[2]


@given(
    st.floats(0, 100) | st.just(np.nan),
    st.lists(st.floats(-10, 110), min_size=1, max_size=6, unique=True).map(sorted),
)
def test_bands_have_three_bits_and_an_edge_belongs_below(amount: float, edges: list[float]):
    release = small_release(kinds=True)
    told = release.manifest.told["wallet"]
    banded = type(told).model_validate(told.model_dump() | {"capacity": {"column": "inflow", "edges": edges}})
    columns = {"inflow": np.array([amount]), "refunds": np.array([2.0])}
    # The tower of the fixture reads no missing amount.
    tower = release.content.towers["video" if np.isnan(amount) else "wallet"]
    more = {"views": np.array([1.0]), "shop": np.array([1.0])}
    no_reasons = banded.model_copy(update={"reasons": ()})
    values = told_values(tower, no_reasons, columns | more)
    assert banded.allows(values, 5)
    assert values["capacity"] < 8
    if np.isnan(amount):
        assert values["capacity"] == len(edges) + 1
    else:
        assert values["capacity"] == sum(edge < amount for edge in edges)
