"""Raw tables with faults: each is found, named by its row, written to a file and left out, up to a threshold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.data import DataError
from sealscore.clients.features.raw.mapping import PartyMapping
from sealscore.clients.features.raw.tables import Sound, read_tables

TODAY = date(2024, 12, 1)
Lay = Callable[..., Path]


def spoil(frame: pl.DataFrame, row: int, **cells: object) -> pl.DataFrame:
    """The frame with some cells of a row (from 1) replaced."""
    at = pl.int_range(pl.len()) == row - 1
    return frame.with_columns(
        pl.when(at).then(pl.lit(value, dtype=frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in cells.items()
    )


def read(folder: Path, kind: str = "short-video", **options: object) -> dict[str, Sound]:
    return read_tables(folder, kind, TODAY, **{"most_rejected": 0.5} | options)


@pytest.fixture
def table(lay: Lay) -> Callable[[str, str], pl.DataFrame]:
    return lambda kind, name: pl.read_parquet(lay(kind) / f"{name}.parquet")


def test_good_tables_have_no_faults(lay: Lay):
    for kind in ("short-video", "wallet", "lender"):
        for name, sound in read(lay(kind), kind).items():
            assert (sound.bad, sound.problems) == (0, []), name
            assert sound.frame.select(pl.len()).collect().item() == sound.rows


@pytest.mark.parametrize(
    ("kind", "name", "cells", "column", "value"),
    [
        ("short-video", "videos", {"views": -1, "likes": -2}, "views", "it is negative"),
        ("short-video", "videos", {"shares": -1}, "shares", "it is negative"),
        ("short-video", "videos", {"views": 5, "likes": 6}, "likes", "more likes than views"),
        ("short-video", "videos", {"completion_rate": 1.5}, "completion_rate", "it is no share"),
        ("short-video", "videos", {"published_at": datetime(2024, 12, 3)}, "published_at", "it lies in the future"),
        ("short-video", "videos", {"published_at": datetime(1970, 1, 1)}, "published_at", "of a clock never set"),
        ("short-video", "videos", {"creator_id": None}, "creator_id", "a value is missing"),
        (
            "short-video",
            "videos",
            {"video_id": "V00003", "creator_id": "C00032"},
            "video_id",
            "the row repeats an earlier one's video_id",
        ),
        ("short-video", "comments", {"text": "\ufffd\ufffd"}, "text", "the text's encoding is broken"),
        ("short-video", "comments", {"text": "很好用".encode().decode("latin-1")}, "text", "encoding is broken"),
        ("short-video", "comments", {"text": "很好用".encode().decode("cp1252", "replace")}, "text", "broken"),
        ("short-video", "comments", {"text": "a" * 10_001}, "text", "more than 10,000 characters"),
        ("wallet", "flows", {"month": date(2024, 3, 2)}, "month", "it is not the first of a month"),
        ("wallet", "flows", {"month": date(2024, 3, 31)}, "month", "it is not the first of a month"),
        ("short-video", "orders", {"currency": "XBT"}, "currency", "the currency is not known"),
        ("short-video", "orders", {"amount": float("inf")}, "amount", "it is no finite number"),
        ("short-video", "orders", {"amount": float("nan")}, "amount", "a value is missing"),
        ("short-video", "orders", {"channel": "radio"}, "channel", "it is none of its levels"),
        ("short-video", "orders", {"refunded_at": datetime(2023, 1, 1)}, "refunded_at", "refunded before it was"),
        ("short-video", "consents", {"given_at": date(2025, 6, 1)}, "given_at", "it lies in the future"),
        (
            "short-video",
            "consents",
            {"withdrawn_at": date(2020, 1, 1)},
            "withdrawn_at",
            "withdrawn before it was given",
        ),
        ("wallet", "flows", {"inflow": -5.0}, "inflow", "it is negative"),
        ("wallet", "flows", {"currency": "USD"}, "currency", "the currency is not known"),
        ("lender", "applications", {"term_months": 0}, "term_months", "no month at all"),
        ("lender", "outcomes", {"bad": 2}, "bad", "neither 0 nor 1"),
        ("lender", "repayments", {"paid_at": date(2030, 1, 1)}, "paid_at", "it lies in the future"),
    ],
)
def test_one_fault_rejects_one_row(lay: Lay, table, kind: str, name: str, cells, column: str, value: str):
    good = table(kind, name)
    spoilt = spoil(good, 7, **cells)
    sound = read(lay(kind, **{name: spoilt}), kind)[name]
    assert sound.bad == 1
    assert any(p.column == column and value in p.value and p.rows == (7,) for p in sound.problems), sound.problems
    kept = sound.frame.select(pl.len()).collect().item()
    assert kept == good.height - 1
    assert sound.rejected["row"].unique().to_list() == [7]


@pytest.mark.parametrize(
    "text", ["спасибо", "شكرا", "ขอบคุณ", "👍", "café… “très” bien", "한국어", "Ünïcödé Ä Ö", "Prix: 5 €"]
)
def test_other_scripts_are_no_fault(lay: Lay, table, text: str):
    sound = read(lay("short-video", comments=spoil(table("short-video", "comments"), 3, text=text)))["comments"]
    assert sound.bad == 0


def test_bytes_that_are_no_text(lay: Lay, table):
    comments = table("short-video", "comments")
    raw = [text.encode() for text in comments["text"].to_list()]
    raw[4] = "很好".encode("gbk")
    sound = read(lay("short-video", comments=comments.with_columns(text=pl.Series(raw, dtype=pl.Binary))))["comments"]
    assert [(p.value, p.rows) for p in sound.problems] == [("the text's encoding is broken", (5,))]
    assert sound.frame.collect()["text"].to_list() == [t for at, t in enumerate(comments["text"].to_list()) if at != 4]


def test_identifiers_that_are_floats_are_faults_where_they_may_be_several(lay: Lay, table):
    comments = table("short-video", "comments")
    numbers = [float(at + 1) for at in range(comments.height)]
    numbers[1], numbers[2] = 110105194912310021.0, 0.5
    found = read(lay("short-video", comments=comments.with_columns(creator_id=pl.Series(numbers))))["comments"]
    assert [(problem.column, problem.rows) for problem in found.problems] == [("creator_id", (2, 3))]
    assert "several identifiers" in found.problems[0].value
    # Whole numbers stay those that they are as integers.
    assert found.frame.collect()["creator_id"].to_list() == [
        str(at + 1) for at in range(comments.height) if at not in (1, 2)
    ]


def test_identifiers_as_a_spreadsheet_writes_them_are_faults(lay: Lay, table):
    spoilt = spoil(table("short-video", "comments"), 3, creator_id="1.10105E+17")
    found = read(lay("short-video", comments=spoilt))["comments"]
    assert [(problem.column, problem.rows) for problem in found.problems] == [("creator_id", (3,))]


def test_who_has_a_consent_at_fault_has_none(lay: Lay, table):
    """What cannot be read may be a withdrawal."""
    consents = table("short-video", "consents")
    person = consents["creator_id"][4]
    more = pl.concat([consents, consents[4:5], consents[4:5].with_columns(recipient=pl.lit("lender-9"))])
    found = read(lay("short-video", consents=spoil(more, more.height, given_at=None)))["consents"]
    assert found.bad == 1
    left = found.frame.collect()["creator_id"]
    assert person not in left
    assert set(left) == set(consents["creator_id"]) - {person}


def test_numbers_and_days_written_as_text(lay: Lay, table):
    videos = table("short-video", "videos")
    as_text = videos.with_columns(
        pl.col("views").cast(pl.String), pl.col("published_at").dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    )
    as_text = spoil(spoil(as_text, 2, views="many"), 3, published_at="yesterday")
    sound = read(lay("short-video", videos=as_text))["videos"]
    assert {(p.column, p.rows) for p in sound.problems} == {("views", (2,)), ("published_at", (3,))}
    kept = videos.with_row_index().filter(~pl.col("index").is_in([1, 2])).drop("index")
    assert sound.frame.collect().equals(kept)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-05-31", datetime(2024, 5, 31)),
        ("2024-05-31T10:11:12", datetime(2024, 5, 31, 10, 11, 12)),
        ("2024-05-31 10:11:12Z", datetime(2024, 5, 31, 10, 11, 12)),
        ("2024-05-31T10:11:12+08:00", datetime(2024, 5, 31, 2, 11, 12)),
    ],
)
def test_moments_in_text_read_alone(lay: Lay, table, written: str, meant: datetime):
    videos = table("short-video", "videos").head(1).with_columns(published_at=pl.lit(written))
    (found,) = read(lay("short-video", videos=videos))["videos"].frame.collect()["published_at"].to_list()
    assert found.replace(tzinfo=None) == meant


def test_an_empty_table_is_no_fault(lay: Lay, table):
    sound = read(lay("short-video", videos=table("short-video", "videos").clear()))["videos"]
    assert (sound.rows, sound.bad) == (0, 0)


def test_faults_and_rows_are_written_as_they_were(lay: Lay, table, tmp_path: Path):
    videos = spoil(table("short-video", "videos"), 9, views=-1, likes=-1)
    folder = lay("short-video", videos=videos, comments=spoil(table("short-video", "comments"), 2, text="\ufffd"))
    read(folder, rejected_to=tmp_path / "rejected")
    faults = pl.read_csv(tmp_path / "rejected" / "faults.csv")
    assert faults.columns == ["file", "row", "column", "fault", "fix"]
    assert faults.select("file", "row", "column").rows() == [
        ("videos.parquet", 9, "views"),
        ("videos.parquet", 9, "likes"),
        ("comments.parquet", 2, "text"),
    ]
    rows = pl.read_parquet(tmp_path / "rejected" / "videos.parquet")
    assert rows.drop("row").equals(videos[8:9])
    assert rows["row"].to_list() == [9]
    assert {path.name for path in (tmp_path / "rejected").iterdir()} == {
        "faults.csv",
        "videos.parquet",
        "comments.parquet",
    }


def test_the_threshold_is_a_share_of_rows(lay: Lay, table):
    orders = table("short-video", "orders")
    bad = orders.height // 50
    folder = lay(
        "short-video",
        orders=orders.with_columns(
            pl.when(pl.int_range(pl.len()) < bad).then(-1.0).otherwise("amount").alias("amount")
        ),
    )
    assert read(folder, most_rejected=bad / orders.height)["orders"].bad == bad
    with pytest.raises(
        DataError, match=rf"orders.parquet: {bad} of 2,400 rows are bad, more than 1.00%; fix: "
    ) as caught:
        read(folder, most_rejected=0.01)
    assert "it is negative" in str(caught.value)


def test_what_is_missing_is_named_at_once(lay: Lay, table):
    folder = lay("short-video", videos=table("short-video", "videos").rename({"views": "view"}))
    (folder / "orders.parquet").unlink()
    (folder / "comments.parquet").write_text("no parquet")
    with pytest.raises(DataError) as caught:
        read(folder)
    message = str(caught.value)
    assert "videos.parquet, column 'views': the column is missing; fix: name 'view' as views in the mapping" in message
    assert "orders.parquet: there is no such file" in message
    assert "comments.parquet: is no Parquet file" in message


def test_repeats_of_a_key_of_several_columns(lay: Lay, table):
    followers = table("short-video", "followers")
    twice = pl.concat([followers, followers[4:6]])
    sound = read(lay("short-video", followers=twice))["followers"]
    assert sound.problems[0].rows == (followers.height + 1, followers.height + 2)
    assert sound.frame.collect().equals(followers)


def test_a_known_rate_makes_a_currency_known(lay: Lay, table):
    orders = spoil(table("short-video", "orders"), 1, currency="USD")
    folder = lay("short-video", orders=orders)
    assert read(folder)["orders"].bad == 1
    assert read(folder, currencies=("CNY", "USD"))["orders"].bad == 0


def test_a_mapping_reads_another_partys_names(lay: Lay, table):
    videos, orders = table("short-video", "videos"), table("short-video", "orders")
    own = videos.select(
        pl.exclude("views", "published_at", "completion_rate"),
        play_cnt="views",
        created=pl.col("published_at").dt.epoch("ms"),
        finished=(pl.col("completion_rate").cast(pl.Float64) * 100),
    )
    folder = lay(
        "short-video",
        orders=orders.drop("currency").with_columns(channel=pl.col("channel").replace({"live": "2", "shop": "1"})),
    )
    (folder / "videos.parquet").unlink()
    own.write_parquet(folder / "works.parquet")
    mapping = PartyMapping.of(
        {
            "videos": {
                "file": "works.parquet",
                "columns": {
                    "views": "play_cnt",
                    "published_at": {"from": "created", "epoch": "ms"},
                    "completion_rate": {"from": "finished", "factor": 0.01},
                },
            },
            "orders": {
                "columns": {
                    "channel": {"from": "channel", "values": {"1": "shop", "2": "live"}},
                    "currency": {"value": "CNY"},
                }
            },
        },
        "short-video",
    )
    found = read(folder, mapping=mapping)
    assert found["orders"].frame.collect().equals(orders)
    frame = found["videos"].frame.collect()
    assert frame["views"].equals(videos["views"])
    assert (frame["published_at"] - videos["published_at"]).abs().max().total_seconds() < 0.001
    assert (frame["completion_rate"] - videos["completion_rate"]).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"video": {}}, "table 'video' is none that this kind of party has; fix: did you mean 'videos'"),
        ({"videos": {"columns": {"view": "x"}}}, "videos.columns.view is none .* did you mean 'views'"),
        ({"videos": {"columns": {"views": {"from": "x", "value": "y"}}}}, "give either 'from' or 'value'"),
        ({"videos": {"columns": {"views": {"from": "x", "epoch": "s", "factor": 2}}}}, "at most one of"),
    ],
)
def test_a_faulty_mapping_is_explained(tables, message: str):
    with pytest.raises(DataError, match=message):
        PartyMapping.of(tables, "short-video")


def test_a_mapping_from_a_file(tmp_path: Path):
    path = tmp_path / "mapping.toml"
    path.write_text('[bills.columns]\namount = "sum"\n', encoding="utf-8")
    assert PartyMapping.load(path, "wallet").table("bills").column("amount").source == "sum"
    path.write_text("[bills", encoding="utf-8")
    with pytest.raises(DataError, match=r"mapping\.toml: .*TOML"):
        PartyMapping.load(path, "wallet")
