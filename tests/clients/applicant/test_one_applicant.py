"""One applicant's features and flags are those of the whole table, to the last bit, on the invented world."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_tables import TABLES as DRAWN

from sealscore.clients.applicant.features import OneApplicant
from sealscore.clients.applicant.rows import read_by
from sealscore.clients.applicant.used_numbers import KEY_BYTES, UsedNumbers
from sealscore.clients.data import DataError
from sealscore.clients.features import PartyMapping, Sentiment, Settings, build_table, entries
from sealscore.clients.features.papers import filed_papers
from sealscore.clients.features.raw.tables import read_tables
from sealscore.simulations.bench.features.applicant import draw_lender, rows_of
from sealscore.simulations.world.build import build
from sealscore.simulations.world.config import load_config

KINDS = {"video": "short-video", "wallet": "wallet", "lender": "lender"}
DAY = date(2030, 1, 1)
TODAY = date(2024, 12, 1)


class Party:
    """A party of the world: its whole table of features, its flags, and what asks about one applicant."""

    def __init__(self, folder: Path, out: Path, held: dict, sentiment: Sentiment) -> None:
        self.kind = KINDS[held["kind"]]
        columns = {name: {"columns": table["columns"]} for name, table in held["tables"].items()}
        mapping = PartyMapping.of(columns, self.kind)
        settings = Settings(mapping=mapping, labelled=False, most_rejected=0)
        self.table = pl.read_parquet(build_table(folder, self.kind, out, DAY, settings, sentiment).table)
        flags = out / "flags.parquet"
        self.flags = pl.read_parquet(flags) if flags.exists() else None
        sound = read_tables(folder, self.kind, DAY, mapping=mapping)
        self.frames = {name: sound[name].frame.collect() for name in read_by(self.kind)}
        numbers = None
        if self.kind == "lender":
            numbers = UsedNumbers(bytes(KEY_BYTES))
            numbers.build(filed_papers(sound["identity"].frame, sound["applications"].frame))
        self.one = OneApplicant(self.kind, numbers=numbers, sentiment=sentiment)

    def body(self, row: dict) -> dict[str, Any]:
        """The question about a row of the table, as it comes over a wire."""
        key = {"application_id": row["application_id"]} if self.kind == "lender" else {"as_of": str(row["as_of"])}
        return json.loads(json.dumps(key | {"tables": rows_of(self.frames, self.kind, row["creator_id"])}))

    def raised(self, row: dict) -> list[dict]:
        key = "application_id" if self.kind == "lender" else "creator_id"
        if self.flags is None:
            return []
        return self.flags.filter(pl.col(key) == row[key]).drop("application_id", "creator_id", "as_of", strict=False)\
            .to_dicts()  # fmt: skip


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory, sentiment: Sentiment) -> dict[str, Party]:
    folder = tmp_path_factory.mktemp("world") / "world"
    manifest = build(load_config("default", creators=600, seed=11), folder)
    return {
        held["kind"]: Party(folder / party, tmp_path_factory.mktemp("out") / party, held, sentiment)
        for party, held in reversed(manifest["parties"].items())
    }


@pytest.mark.parametrize("kind", ["lender", "video", "wallet"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), order=st.randoms(use_true_random=False))
def test_bit_for_bit_as_in_the_whole_table(parties: dict[str, Party], kind: str, place: float, order):
    """In whichever order the rows come."""
    party = parties[kind]
    row = party.table.row(int(place * party.table.height), named=True)
    body = party.body(row)
    for rows in body["tables"].values():
        order.shuffle(rows)
    found = party.one.of(body, DAY)
    protected = {entry.name for entry in entries(party.kind) if entry.protected}
    assert found.features == {entry.name: row[entry.name] for entry in entries(party.kind) if not entry.protected}
    assert list(map(str, found.features.values())) == [str(row[name]) for name in found.features]
    assert found.features.keys().isdisjoint(protected)
    assert found.flags == party.raised(row)


def test_every_flag_of_the_book_is_found_one_by_one(parties: dict[str, Party]):
    """The flags that compare applicants are among them: numbers are lent to others before."""
    lender = parties["lender"]
    first = lender.table.sort("as_of").row(0, named=True)
    papers = lender.frames["identity"].filter(pl.col("application_id") == first["application_id"]).row(0, named=True)
    last = lender.table.filter(pl.col("as_of") > first["as_of"], pl.col("creator_id") != first["creator_id"])
    row = last.row(0, named=True)
    body = lender.body(row)
    for paper in body["tables"]["identity"]:
        if paper["application_id"] == row["application_id"]:
            paper |= {"id_number": papers["id_number"], "licence_number": "L-1"}
    codes = {flag["code"] for flag in lender.one.of(body, DAY).flags}
    assert "ID07" in codes
    assert "LC06" not in codes
    lender.one.numbers.add("nobody-else", first["as_of"], {"licence": "L-1"})
    assert {flag["code"] for flag in lender.one.of(body, DAY).flags} == codes | {"LC06"}


def lender_body() -> tuple[OneApplicant, dict[str, Any]]:
    tables = DRAWN["lender"]()
    frames = {name: tables[name] for name in read_by("lender")}
    numbers = UsedNumbers(bytes(KEY_BYTES))
    numbers.build(filed_papers(frames["identity"].lazy(), frames["applications"].lazy()))
    return OneApplicant("lender", numbers=numbers), {
        "application_id": "A00003",
        "tables": rows_of(frames, "lender", "C00003"),
    }


def test_rows_of_an_application_that_is_not_there_are_nobodys(parties: dict[str, Party]):
    """As in whole tables; they count neither as loans nor as instalments, and rules look at them all the same."""
    lender = parties["lender"]
    row = lender.table.sort("earlier_loans").row(-1, named=True)
    body = lender.body(row)
    assert row["earlier_loans"] > 0
    found = lender.one.of(body, DAY)
    for name in ("decisions", "repayments"):
        rows = body["tables"][name]
        rows += [one | {"application_id": f"not-there-{at}"} for at, one in enumerate(rows)]
    assert lender.one.of(body, DAY) == found
    body["tables"]["repayments"][-1]["due_amount"] = -1.0
    with pytest.raises(DataError, match="due_amount"):
        lender.one.of(body, DAY)


def test_threads_that_ask_at_once_get_their_own_answers(parties: dict[str, Party]):
    wallet = parties["wallet"]
    bodies = [wallet.body(row) for row in wallet.table.head(12).iter_rows(named=True)]
    alone = [wallet.one.of(body, DAY) for body in bodies]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            assert list(threads.map(lambda body: wallet.one.of(body, DAY), bodies)) == alone


def spoilt(body: dict[str, Any], table: str, **changed: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    made["tables"][table][0] |= changed
    return made


@pytest.mark.parametrize(
    ("table", "changed", "column"),
    [
        ("applications", {"amount": -1.0}, "amount"),
        ("applications", {"amount": "secret"}, "amount"),
        ("applications", {"amount": True}, "amount"),
        ("applications", {"amount": 10**400}, "amount"),
        ("applications", {"amount": float("inf")}, "amount"),
        ("applications", {"amount": None}, "amount"),
        ("applications", {"age": 1.5}, "age"),
        ("applications", {"age": 2**70}, "age"),
        ("applications", {"applied_at": "2024-W01-1"}, "applied_at"),
        ("applications", {"applied_at": "20240101"}, "applied_at"),
        ("applications", {"applied_at": "2031-01-01"}, "applied_at"),
        ("applications", {"applied_at": 20240101}, "applied_at"),
        ("applications", {"currency": "secret"}, "currency"),
        ("applications", {"product": "secret"}, "product"),
        ("applications", {"application_id": 3}, "application_id"),
        ("applications", {"region": "\ud800"}, "region"),
        ("applications", {"creator_id": "n/a"}, "creator_id"),
        ("repayments", {"due_amount": -1}, "due_amount"),
    ],
)
def test_a_row_at_fault_refuses_all_and_is_not_quoted(table: str, changed: dict, column: str):
    one, body = lender_body()
    with pytest.raises(DataError) as refused:
        one.of(spoilt(body, table, **changed), TODAY)
    found = [one for one in refused.value.problems if (one.file, one.column) == (table, column)]
    assert [problem.rows for problem in found] == [(1,)]
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("application_id"),
        lambda body: body.update(secret=1),
        lambda body: body.update(application_id="secret"),
        lambda body: body.update(application_id=["secret"]),
        lambda body: body.update(tables=[]),
        lambda body: body["tables"].pop("bureau"),
        lambda body: body["tables"].update(secret=[]),
        lambda body: body["tables"].update(consents=[]),
        lambda body: body["tables"].update(bureau="secret"),
        lambda body: body["tables"].update(bureau=["secret"]),
        lambda body: body["tables"]["bureau"].append({"secret": 1}),
        lambda body: body["tables"]["bureau"].append(dict(body["tables"]["bureau"][0])),
        lambda body: body["tables"]["bureau"].append(body["tables"]["bureau"][0] | {"creator_id": "secret"}),
        lambda body: body["tables"].update(applications=[]),
    ],
)
def test_a_body_that_asks_about_nobody_or_two_is_refused(change):
    one, body = lender_body()
    change(body)
    with pytest.raises(DataError) as refused:
        one.of(body, TODAY)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("day", ["2024-12-02", "secret", None, "2024-11-31"])
def test_a_platform_is_asked_as_of_a_day_that_has_come(day: str | None):
    tables = DRAWN["wallet"]()
    body = {"as_of": day, "tables": rows_of(tables, "wallet", "C00003")}
    with pytest.raises(DataError, match="as_of"):
        OneApplicant("wallet").of(body, TODAY)
    assert OneApplicant("wallet").of(body | {"as_of": "2024-12-01"}, TODAY).features["inflow_3m"] is not None


def test_only_the_features_of_the_plan_and_no_protected_one():
    one, body = lender_body()
    chosen = OneApplicant("lender", names={"age", "gender", "amount", "term_months"}, numbers=one.numbers)
    assert chosen.of(body, TODAY).features.keys() == {"amount", "term_months"} | (
        {"age"} & one.of(body, TODAY).features.keys()
    )
    with pytest.raises(ValueError, match="index"):
        OneApplicant("lender")


@pytest.mark.parametrize(("offset", "posts"), [("+08:00", 1), ("", 0)])
def test_moments_are_as_a_clock_of_the_zone_shows_them(sentiment: Sentiment, offset: str, posts: int):
    """Two in the morning of the as-of day in Shanghai is the day before in UTC."""
    tables = DRAWN["short-video"]()
    body = {"as_of": "2024-10-01", "tables": rows_of(tables, "short-video", "C00003")}
    video = body["tables"]["videos"][0] | {"published_at": f"2024-10-01T02:00:00{offset}"}
    body["tables"] |= {"videos": [video], "comments": []}
    assert OneApplicant("short-video", sentiment=sentiment).of(body, TODAY).features["posts_30d"] == posts
    shanghai = OneApplicant("short-video", sentiment=sentiment, zone="Asia/Shanghai")
    assert shanghai.of(body, TODAY).features["posts_30d"] == 0


def test_the_book_of_the_bench_has_shared_numbers():
    tables = draw_lender(3000)
    numbers = UsedNumbers(bytes(KEY_BYTES))
    numbers.build(filed_papers(tables["identity"].lazy(), tables["applications"].lazy()))
    one, raised = OneApplicant("lender", numbers=numbers), set()
    for application, person in tables["applications"].tail(300).select("application_id", "creator_id").rows():
        found = one.of({"application_id": application, "tables": rows_of(tables, "lender", person)}, DAY)
        raised |= {flag["code"] for flag in found.flags}
    assert "ID07" in raised
