"""Raw tables are read by the rules of the data: types that hold no such values, moments, words for nobody, keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from sealscore.clients.data import DataError
from sealscore.clients.features.raw.mapping import TableMap
from sealscore.clients.features.raw.raw import TABLES
from sealscore.clients.features.raw.tables import Sound, match, read_table

ROWS = 40
TODAY = date(2026, 11, 30)
Read = Callable[..., Sound]


def accounts() -> pl.DataFrame:
    ids = [f"A{n:03}" for n in range(ROWS)]
    return pl.DataFrame({"account_id": ids, "creator_id": [f"C{n:03}" for n in range(ROWS)]}).with_columns(
        opened_at=pl.lit(date(2026, 1, 1)), region=pl.lit("north"), residence=pl.lit("city")
    )


def bills(**columns: Any) -> pl.DataFrame:
    ids = [f"A{n:03}" for n in range(ROWS)]
    plain = {"account_id": ids, "due_at": [date(2026, 1, 5)] * ROWS, "paid_at": [date(2026, 1, 6)] * ROWS}
    return pl.DataFrame(plain | {"amount": [1.5] * ROWS} | columns)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def one(frame: pl.DataFrame, name: str = "bills", zone: str | None = None) -> Sound:
        frame.write_parquet(tmp_path / f"{name}.parquet")
        return read_table(tmp_path, name, TABLES["wallet"][name], TableMap(), TODAY, ("CNY",), zone)

    return one


def test_brackets_in_a_folder_are_no_pattern(tmp_path: Path) -> None:
    for name in ("raw[1]", "raw1"):
        (tmp_path / name).mkdir()
        bills().head(7 if name == "raw1" else ROWS).write_parquet(tmp_path / name / "bills.parquet")
    found = read_table(tmp_path / "raw[1]", "bills", TABLES["wallet"]["bills"], TableMap(), TODAY, ("CNY",), None)
    assert found.frame.collect().height == ROWS


def test_columns_of_nulls_are_blank(read: Read) -> None:
    nulls = pl.Series([None] * ROWS, dtype=pl.Null)
    sound = read(bills(paid_at=nulls))
    assert (sound.bad, sound.frame.collect()["paid_at"].null_count()) == (0, ROWS)
    assert read(bills(amount=nulls)).bad == ROWS
    consents = {"creator_id": ["C1"], "purpose": ["credit-scoring"], "recipient": ["federation"]}
    days = {"given_at": [date(2026, 1, 1)], "expires": nulls[:1], "withdrawn_at": nulls[:1]}
    assert read(pl.DataFrame(consents | days), "consents").bad == 0


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("due_at", [20260105] * ROWS),
        ("due_at", [True] * ROWS),
        ("due_at", [[date(2026, 1, 5)]] * ROWS),
        ("amount", [[1.5]] * ROWS),
        ("amount", [{"of": 1.5}] * ROWS),
        ("amount", [date(2026, 1, 5)] * ROWS),
        ("account_id", [["A001"]] * ROWS),
        ("account_id", [True] * ROWS),
    ],
)
def test_types_that_hold_no_such_values_are_refused_by_name(read: Read, column: str, values: list[Any]) -> None:
    with pytest.raises(DataError) as caught:
        read(bills(**{column: values}))
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [("type", column)]


def test_a_moment_is_of_one_day_whatever_it_is_written_in(read: Read) -> None:
    shanghai = datetime(2026, 1, 5, 2, tzinfo=ZoneInfo("Asia/Shanghai"))
    for moments in ([shanghai] * ROWS, [shanghai.isoformat()] * ROWS):
        assert read(bills(due_at=moments)).bad == ROWS
        found = read(bills(due_at=moments), zone="Asia/Shanghai").frame.collect()["due_at"]
        assert set(found) == {date(2026, 1, 5)}
    assert read(bills(due_at=["2026-01-05Tgarbage"] * ROWS)).bad == ROWS


def test_full_width_characters_are_read_as_the_half_width_ones(read: Read) -> None:
    found = read(bills(amount=["\uff11\uff0e\uff15"] * ROWS, due_at=["\uff12026-01-05"] * ROWS))
    assert found.bad == 0
    frame = found.frame.collect()
    assert set(frame["amount"]) == {1.5}
    assert set(frame["due_at"]) == {date(2026, 1, 5)}


def test_words_for_nobody_are_no_identifiers(read: Read) -> None:
    ids = ["NULL", "nan", "#REF!", "-", *(f"A{n}" for n in range(ROWS - 4))]
    assert read(bills(account_id=ids)).bad == 4


def test_keys_that_are_written_in_two_ways_are_refused(read: Read, tmp_path: Path) -> None:
    def sound(**columns: Any) -> dict[str, Sound]:
        consents = {"creator_id": [f"C{n:03}" for n in range(ROWS)], "purpose": ["credit-scoring"] * ROWS}
        days = {"given_at": [date(2026, 1, 1)] * ROWS, "expires": [None] * ROWS, "withdrawn_at": [None] * ROWS}
        flows = {"account_id": ["A000"], "month": [date(2026, 1, 1)], "inflow": [1.0], "outflow": [1.0], "payers": [1]}
        return {
            "accounts": read(accounts(), "accounts"),
            "bills": read(bills(**columns)),
            "consents": read(pl.DataFrame(consents | {"recipient": ["federation"] * ROWS} | days), "consents"),
            "flows": read(
                pl.DataFrame(flows | {"refunds": [0.0], "balance_mean": [1.0], "currency": ["CNY"]}), "flows"
            ),
        }

    assert match(sound(), "wallet", tmp_path)["bills.account_id"] == (ROWS, ROWS)
    half = [f"A{n:03}" for n in range(ROWS // 2, ROWS + ROWS // 2)]
    assert match(sound(account_id=half), "wallet", tmp_path)["bills.account_id"] == (ROWS // 2, ROWS)
    with pytest.raises(DataError) as caught:
        match(sound(account_id=[str(n) for n in range(1, ROWS + 1)]), "wallet", tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["no-match"]
