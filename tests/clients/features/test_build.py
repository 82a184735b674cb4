"""From a folder of raw tables to records under a plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sealscore.clients.data import DataError, load_records
from sealscore.clients.features import Sentiment, Settings, build, build_table, entries, table_schema
from sealscore.shared.plan.plan import Plan

TODAY = date(2024, 12, 1)
Lay = Callable[..., Path]

PLAN = """
name = "creators"
purpose = "testing"
seed = 1
[groups.lender]
role = "lender"
min_parties = 1
max_colluding = 0
[groups.short-video]
role = "platform"
min_parties = 1
max_colluding = 0
[groups.wallet]
role = "platform"
min_parties = 1
max_colluding = 0
[groups.lender.table]
id = "application_id"
features = [{ name = "amount", lower = 0, upper = 1 }]
label = "bad"
date = "as_of"
[groups.short-video.table]
id = "creator_id"
date = "as_of"
features = [{ name = "followers", lower = 0, upper = 1 }]
[groups.wallet.table]
id = "creator_id"
date = "as_of"
features = [{ name = "inflow_3m", lower = 0, upper = 1 }]
[[parties]]
name = "lender-1"
group = "lender"
nominal_records = 100
[[parties]]
name = "video-1"
group = "short-video"
nominal_records = 100
[[parties]]
name = "wallet"
group = "wallet"
nominal_records = 100
[outcome]
definition = "90 days past due"
window_days = 90
cutoff = 2024-11-30
[privacy]
epsilon = 1
delta = 1e-5
label_epsilon = 1
[training]
rounds = 10
sample_rate = 0.1
[evaluation]
split = { kind = "date", test_fraction = 0.3, first_test_day = "2024-01-01" }
"""
PARTY = {"short-video": "video-1", "wallet": "wallet", "lender": "lender-1"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    tables = {f"groups__{kind}__table": table_schema(kind).model_dump(mode="json") for kind in PARTY}
    return Plan.loads(PLAN).replace(**tables)


@pytest.mark.parametrize("kind", PARTY)
def test_a_node_reads_the_table_under_a_plan(kind: str, lay: Lay, tmp_path: Path, plan: Plan, sentiment: Sentiment):
    built = build_table(lay(kind), kind, tmp_path / "out", TODAY, sentiment=sentiment)
    records = load_records(built.table, plan, PARTY[kind])
    assert len(records) >= 40
    assert set(records.columns) == {found.name for found in entries(kind)}
    assert records.consent is not None
    assert all(records.consent)
    assert (records.label is not None) == (kind == "lender")
    assert built.rejected
    assert sum(bad for bad, _ in built.rejected.values()) == 0
    # Each feature is known of somebody, and is not the same for everybody.
    flat = {"region", "term_months", "inflow_months_6m", "identity_flags", "licence_flags"}
    table = pl.read_parquet(built.table)
    for name in set(records.columns) - flat:
        assert table[name].drop_nulls().n_unique() > 1, name


def test_a_build_twice_is_the_same(lay: Lay, tmp_path: Path, sentiment: Sentiment):
    folder = lay("short-video")
    first = build_table(folder, "short-video", tmp_path / "a", TODAY, sentiment=sentiment)
    second = build_table(folder, "short-video", tmp_path / "b", TODAY, sentiment=sentiment)
    assert_frame_equal(pl.read_parquet(first.table), pl.read_parquet(second.table), check_exact=True)


def test_one_creator_scores_as_among_all(lay: Lay, tmp_path: Path, sentiment: Sentiment):
    folder = lay("short-video")
    whole = pl.read_parquet(build_table(folder, "short-video", tmp_path / "a", TODAY, sentiment=sentiment).table)
    one = pl.read_parquet(folder / "consents.parquet").head(1)
    folder = lay("short-video", consents=one)
    alone = pl.read_parquet(build_table(folder, "short-video", tmp_path / "b", TODAY, sentiment=sentiment).table)
    same = whole.filter(pl.col("creator_id") == one["creator_id"].item())
    assert_frame_equal(alone, same, check_exact=True)
    assert alone["traffic_anomaly_180d"].null_count() == 0


def test_consents_decide_who_is_asked_about_and_as_of_when(lay: Lay, tmp_path: Path):
    given = date(2024, 9, 10)
    rows = [
        ("C00000", "credit-scoring", "lender-1", given, date(2025, 9, 10), None),
        ("C00000", "credit-scoring", "lender-2", given - timedelta(days=20), None, None),
        ("C00001", "credit-scoring", "lender-1", given, None, given + timedelta(days=3)),  # withdrawn
        ("C00002", "advertising", "lender-1", given, None, None),
        ("C00003", "credit-scoring", "lender-2", given, None, None),
        ("C99999", "credit-scoring", "lender-1", given, None, None),  # has no account
    ]
    schema = pl.read_parquet(lay("wallet") / "consents.parquet").schema
    folder = lay("wallet", consents=pl.DataFrame(rows, schema=schema, orient="row"))
    found = pl.read_parquet(build_table(folder, "wallet", tmp_path / "out", TODAY).table)
    assert found.select("creator_id", "as_of", "consent").rows() == [
        ("C00000", given - timedelta(days=20), "lender-1 until 2025-09-10; lender-2"),
        ("C00003", given, "lender-2"),
    ]
    only = Settings(recipients=("lender-1",))
    found = pl.read_parquet(build_table(folder, "wallet", tmp_path / "out", TODAY, only).table)
    assert found.select("creator_id", "as_of", "consent").rows() == [("C00000", given, "lender-1 until 2025-09-10")]
    with pytest.raises(DataError, match="nobody has consented"):
        build_table(folder, "wallet", tmp_path / "out", TODAY, Settings(purpose="marketing"))


def test_a_day_of_a_consent_withdrawn_since_stays_the_as_of_day(lay: Lay, tmp_path: Path):
    """A lender may know of the first loan still, and what came after its day may be that loan's own trace."""
    first, second = date(2024, 5, 1), date(2024, 9, 10)
    rows = [
        ("C00000", "credit-scoring", "lender-1", first, None, first + timedelta(days=40)),
        ("C00000", "credit-scoring", "lender-1", second, None, None),
        ("C00001", "advertising", "lender-1", first, None, None),
        ("C00001", "credit-scoring", "lender-1", second, None, None),
    ]
    schema = pl.read_parquet(lay("wallet") / "consents.parquet").schema
    folder = lay("wallet", consents=pl.DataFrame(rows, schema=schema, orient="row"))
    found = pl.read_parquet(build_table(folder, "wallet", tmp_path / "out", TODAY).table)
    assert found.select("creator_id", "as_of", "consent").rows() == [
        ("C00000", first, "lender-1"),
        ("C00001", second, "lender-1"),
    ]


def test_an_application_has_the_consents_of_its_day_and_before(lay: Lay, tmp_path: Path):
    """Creator C00000 applies twice, with A00000 and A00040."""
    folder = lay("lender")
    days = dict(pl.read_parquet(folder / "applications.parquet").select("application_id", "applied_at").rows())
    earlier, later = sorted(("A00000", "A00040"), key=lambda application: days[application])
    end = days[earlier] + timedelta(days=730)
    rows = [
        ("C00000", "credit-scoring", "video-1", days[earlier], end, None),
        ("C00000", "credit-scoring", "video-1", days[later], None, None),
        ("C00000", "credit-scoring", "video-2", days[earlier], None, days[earlier] + timedelta(days=1)),
        ("C00000", "credit-scoring", "video-2", days[later], None, None),
        ("C00000", "credit-scoring", "wallet", days[earlier] + timedelta(days=1), None, None),
        ("C00000", "credit-scoring", "federation", days[earlier] - timedelta(days=1), None, None),
    ]
    schema = pl.read_parquet(folder / "consents.parquet").schema
    lay("lender", consents=pl.DataFrame(rows, schema=schema, orient="row"))
    found = pl.read_parquet(build_table(folder, "lender", tmp_path / "out", TODAY).table)
    cells = dict(found.select("application_id", "consent").rows())
    assert cells[earlier] == f"federation; video-1 until {end}"
    assert cells[later] == "federation; video-1; video-2; wallet"
    assert {cells[application] for application in cells.keys() - {earlier, later}} == {None}


def test_a_lender_asks_about_open_applications_too(lay: Lay, tmp_path: Path):
    outcomes = pl.read_parquet(lay("lender") / "outcomes.parquet").head(50)
    folder = lay("lender", outcomes=outcomes)
    closed = pl.read_parquet(build_table(folder, "lender", tmp_path / "a", TODAY).table)
    every = pl.read_parquet(build_table(folder, "lender", tmp_path / "b", TODAY, Settings(labelled=False)).table)
    assert (closed.height, every.height) == (50, 60)
    assert closed.columns[:5] == ["application_id", "creator_id", "as_of", "consent", "bad"]
    assert "bad" not in every.columns
    assert_frame_equal(closed.drop("bad"), every.join(closed, on="application_id", how="semi"))


def test_applications_of_a_person_enter_that_persons_records_only(lay: Lay, tmp_path: Path, plan: Plan):
    """One application is one record: of twenty more, with papers, loans and outcomes, one at most counts at all."""
    folder = lay("lender")
    tables = {path.stem: pl.read_parquet(path) for path in folder.glob("*.parquet")}
    first = tables["applications"].filter(pl.col("creator_id") == "C00003").sort("applied_at").head(1)
    mine = pl.col("application_id") == first["application_id"].item()
    more = {
        name: [
            frame.filter(mine).with_columns(pl.format(f"{at}-{{}}", "application_id").alias("application_id"))
            for at in range(20)
        ]
        for name, frame in tables.items()
        if "application_id" in frame.columns
    }
    crowded = lay("lender", **{name: pl.concat([tables[name], *frames]) for name, frames in more.items()})
    after = build_table(crowded, "lender", tmp_path / "b", TODAY)
    before = build_table(lay("lender"), "lender", tmp_path / "a", TODAY)
    assert after.rows == before.rows + 20
    found, known = (load_records(built.table, plan, "lender-1") for built in (after, before))
    assert plan.privacy.max_records_per_person == 1
    assert sorted(found.person) == sorted(known.person) == sorted(set(known.person))
    others = [pl.read_parquet(built.table).filter(pl.col("creator_id") != "C00003") for built in (after, before)]
    assert_frame_equal(*others, check_exact=True)


def test_an_empty_channel_has_counts_of_nothing(lay: Lay, tmp_path: Path, sentiment: Sentiment):
    folder = lay("short-video")
    for name in ("videos", "comments", "followers", "orders", "audience"):
        path = folder / f"{name}.parquet"
        pl.read_parquet(path).filter(pl.col("creator_id") != "C00005").write_parquet(path)
    built = build_table(folder, "short-video", tmp_path / "out", TODAY, sentiment=sentiment)
    (row,) = pl.read_parquet(built.table).filter(pl.col("creator_id") == "C00005").to_dicts()
    for found in entries("short-video"):
        if row[found.name] is None:
            assert found.missing is not None, found.name
    counts = {"posts_30d": 0, "active_weeks_180d": 0, "longest_gap_180d": 180, "views_30d": 0, "turnover_180d": 0}
    assert {name: row[name] for name in counts} == counts
    assert row["likes_per_view_90d"] is row["traffic_anomaly_180d"] is row["followers"] is None


def crowd(lay: Lay, most: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, pl.DataFrame]:
    """The tables with a limit above which `most` creators are; who they are, the most videos first."""
    folder = lay("short-video")
    days = pl.read_parquet(folder / "consents.parquet").select("creator_id", "given_at")
    seen = (
        pl.read_parquet(folder / "videos.parquet")
        .join(days, on="creator_id")
        .filter(pl.col("published_at").dt.date() < pl.col("given_at"))
    )
    counts = (
        seen.group_by("creator_id").agg(pl.len().alias("videos")).sort("videos", "creator_id", descending=[True, False])
    )
    monkeypatch.setattr(build, "MOST_VIDEOS", counts["videos"][most])
    return folder, counts.filter(pl.col("videos") > counts["videos"][most])


def test_a_creator_with_too_many_videos_is_left_out_counted_and_written(
    lay: Lay, tmp_path: Path, monkeypatch, sentiment: Sentiment
):
    folder, crowded = crowd(lay, 6, monkeypatch)
    everybody = set(pl.read_parquet(folder / "creators.parquet")["creator_id"])
    assert 3 < crowded.height <= 6
    most = Settings(most_rejected=0.1)
    built = build_table(folder, "short-video", tmp_path / "out", TODAY, most, sentiment)
    found = pl.read_parquet(built.table)
    assert everybody - set(found["creator_id"]) == set(crowded["creator_id"])
    assert_frame_equal(pl.read_parquet(tmp_path / "out" / "rejected" / "creators.parquet"), crowded)
    assert built.rejected["creators"] == (crowded.height, len(everybody))
    (problem,) = built.problems
    assert problem.value == f"{crowded.height} with more than {build.MOST_VIDEOS} videos before the as-of day, left out"
    assert not any(creator in str(problem) for creator in crowded["creator_id"])
    with pytest.raises(DataError, match=rf"creators: {crowded.height} of 120 rows are bad, more than 1.00%"):
        build_table(folder, "short-video", tmp_path / "again", TODAY, sentiment=sentiment)


def test_crowded_creators_stand_beside_rows_with_faults(lay: Lay, tmp_path: Path, monkeypatch, sentiment: Sentiment):
    folder, crowded = crowd(lay, 1, monkeypatch)
    creators = pl.read_parquet(folder / "creators.parquet")
    other = creators.filter(pl.col("creator_id") != crowded["creator_id"][0])["creator_id"][0]
    never = pl.when(pl.col("creator_id") != other).then("registered_at").otherwise(date(1970, 1, 1))
    lay("short-video", creators=creators.with_columns(never.alias("registered_at")))
    monkeypatch.setattr(build, "MOST_VIDEOS", crowded["videos"][0] - 1)
    built = build_table(folder, "short-video", tmp_path / "out", TODAY, Settings(most_rejected=0.1), sentiment)
    assert built.rejected["creators"] == (2, 120)
    written = pl.read_parquet(tmp_path / "out" / "rejected" / "creators.parquet")
    assert written.select("creator_id", "videos").rows() == [(other, None), crowded.row(0)]


def test_amounts_are_in_one_currency(lay: Lay, tmp_path: Path):
    folder = lay("wallet")
    plain = pl.read_parquet(build_table(folder, "wallet", tmp_path / "a", TODAY).table)
    flows = pl.read_parquet(folder / "flows.parquet").with_columns(currency=pl.lit("USD"))
    settings = Settings(rates={"CNY": 1.0, "USD": 7.0})
    dollars = pl.read_parquet(build_table(lay("wallet", flows=flows), "wallet", tmp_path / "b", TODAY, settings).table)
    assert_frame_equal(dollars.select(pl.col("inflow_3m")), plain.select(pl.col("inflow_3m") * 7), rel_tol=1e-9)
    with pytest.raises(DataError, match="the currency is not known"):
        build_table(folder, "wallet", tmp_path / "c", TODAY)


def test_flags_are_for_officers(lay: Lay, tmp_path: Path, sentiment: Sentiment):
    built = build_table(lay("short-video"), "short-video", tmp_path / "out", TODAY, sentiment=sentiment)
    flags = pl.read_parquet(built.table.parent / "flags.parquet")
    assert flags.height == built.flags > 3
    assert flags.columns == ["creator_id", "as_of", "code", "reason_en", "reason_zh"]
    # Every tenth channel of these tables buys views.
    assert flags["creator_id"].str.ends_with("0").mean() > 0.8


def test_rejected_rows_are_written_and_the_build_goes_on(lay: Lay, tmp_path: Path):
    bills = pl.read_parquet(lay("wallet") / "bills.parquet")
    folder = lay("wallet", bills=bills.with_columns(due_at=pl.when(pl.int_range(pl.len()) > 0).then("due_at")))
    built = build_table(folder, "wallet", tmp_path / "out", TODAY)
    assert built.rejected["bills"] == (1, bills.height)
    assert (tmp_path / "out" / "rejected" / "faults.csv").is_file()
    with pytest.raises(DataError, match=r"1 of 240 rows are bad, more than 0.10%"):
        build_table(folder, "wallet", tmp_path / "out", TODAY, Settings(most_rejected=0.001))
