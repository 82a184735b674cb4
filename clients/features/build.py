"""From a party's folder of raw tables to the one table of features that a node reads under a plan.

The only way a feature comes about, in training and in scoring: what differs is who is asked about. Rows with faults
are left out (`tables`); events of the as-of day and later are never seen (`windows`); values are cut to the
dictionary's bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.file_kinds import unchanged
from sealscore.clients.features import bureau, channel, papers, traffic, wallet
from sealscore.clients.features.comments import comment_features
from sealscore.clients.features.dictionary.dictionary import AS_OF, CONSENT, ID, LABEL, PERSON, Kind, bounded
from sealscore.clients.features.dictionary.digest import DIGEST, dictionary_digest
from sealscore.clients.features.raw.consents import PURPOSE, asked_of_lender, asked_of_platform, live_consents
from sealscore.clients.features.raw.mapping import FILE, PartyMapping
from sealscore.clients.features.raw.private import private_folder
from sealscore.clients.features.raw.raw import TABLES
from sealscore.clients.features.raw.tables import MOST_REJECTED, match, read_tables, table_file, too_many
from sealscore.clients.features.sentiment import Sentiment
from sealscore.shared.files import OWNER_ONLY, replacing

REASONS: Mapping[Kind, Mapping[str, dict[str, str]]] = {
    "short-video": traffic.REASONS,
    "wallet": {},
    "lender": papers.REASONS,
}
"""Of each kind of party the flags that it raises, by code: what is told of them."""
MOST_VIDEOS = 100_000
"""A creator with more videos is left out: no channel posts so many, and one row would cost as much as all others."""


@dataclass(frozen=True)
class Settings:
    """How a table is built.

    `recipients` are the parties to whom consents count (None for all), `rates` what a unit of each known currency is
    worth in the plan's, `most_rejected` the share of bad rows of a table up to which a build goes on. `labelled` tells
    a lender to give closed loans with their outcome, and not all applications. `zone` is where the days of moments
    begin and end, UTC where none is given.
    """

    purpose: str = PURPOSE
    recipients: Collection[str] | None = None
    rates: Mapping[str, float] = field(default_factory=lambda: {"CNY": 1.0})
    most_rejected: float = MOST_REJECTED
    mapping: PartyMapping | None = None
    labelled: bool = True
    zone: str | None = None

    def mapping_of(self, folder: Path, kind: Kind) -> PartyMapping | None:
        """The mapping given, or else that in the folder of raw tables, if there is one; DataError where it is none."""
        if self.mapping is None and (folder / FILE).is_file():
            return PartyMapping.load(folder / FILE, kind)
        return self.mapping


@dataclass(frozen=True)
class Built:
    """What was written: the table's path and rows, flags raised, and bad rows of each raw table as (bad, rows).

    A creator with too many videos counts as a bad row of `creators`. `matched` has of each table that names rows of
    another how many of its keys are there, as (found, keys).
    """

    table: Path
    rows: int
    flags: int
    rejected: dict[str, tuple[int, int]]
    problems: list[Problem] = field(repr=False)
    matched: dict[str, tuple[int, int]] = field(default_factory=dict)


def build_table(
    folder: Path,
    kind: Kind,
    out: Path,
    today: date,
    settings: Settings | None = None,
    sentiment: Sentiment | None = None,
) -> Built:
    """Read `folder`, and write into `out` features.parquet, flags.parquet, and rejected/ where rows have faults.

    All are their owner's alone (0600, new folders 0700). features.parquet has `creator_id` (at lenders `application_id`
    too), `as_of`, `consent`, at lenders `bad` where labelled, and the features of the dictionary in its order; its
    metadata tell the dictionary's digest. flags.parquet is for the party's own officers.

    Raises:
        DataError: a table is missing, is changed in the meantime, names next to no row of the table that it belongs to,
            or more of its rows are bad than the settings allow; or nobody is asked about.
    """
    settings = settings or Settings()
    mapping = settings.mapping_of(folder, kind)
    with unchanged(*(folder / table_file(name, mapping) for name in TABLES[kind])):
        return _build(folder, kind, out, today, settings, mapping, sentiment)


def _build(
    folder: Path,
    kind: Kind,
    out: Path,
    today: date,
    settings: Settings,
    mapping: PartyMapping | None,
    sentiment: Sentiment | None,
) -> Built:
    private_folder(out)
    sound = read_tables(
        folder,
        kind,
        today,
        mapping=mapping,
        currencies=settings.rates.keys(),
        rejected_to=out / "rejected",
        most_rejected=settings.most_rejected,
        zone=settings.zone,
    )
    matched = match(sound, kind, folder)
    raw = {name: in_one_currency(table.frame, name, settings.rates) for name, table in sound.items()}
    live = live_consents(raw["consents"], today, settings.purpose, settings.recipients)
    problems = [problem for table in sound.values() for problem in table.problems]
    rejected = {name: (table.bad, table.rows) for name, table in sound.items()}
    if kind == "lender":
        asked = asked_of_lender(raw["applications"], live)
    elif kind == "wallet":
        asked = asked_of_platform(live).join(raw["accounts"].select(PERSON).unique().collect(), on=PERSON, how="semi")
    else:
        asked = asked_of_platform(live).join(raw["creators"].select(PERSON).collect(), on=PERSON, how="semi")
        crowded = _crowded(asked.lazy(), raw["videos"])
        if crowded.height:
            problems.append(_leave_out(crowded, out, sound["creators"].bad > 0, folder))
            rejected["creators"] = (sound["creators"].bad + crowded.height, sound["creators"].rows)
            if over := too_many({f"{folder.name}: creators": rejected["creators"]}, settings.most_rejected):
                raise DataError([*over, *problems])
            asked = asked.join(crowded, on=PERSON, how="anti")
    frame = computed(raw, kind, _asked(asked, folder), sentiment)
    if REASONS[kind]:
        frame = _collected(frame)
    flags = raised(frame, kind).collect() if REASONS[kind] else None
    if kind == "lender" and settings.labelled:
        frame = _labelled(frame, raw["outcomes"])
    table = bounded(frame.drop("at", *REASONS[kind]), kind).sort(ID if kind == "lender" else PERSON).collect()
    with replacing(out / "features.parquet", OWNER_ONLY) as file:
        table.write_parquet(file, metadata={DIGEST: dictionary_digest()})
    if flags is not None:
        with replacing(out / "flags.parquet", OWNER_ONLY) as file:
            flags.write_parquet(file)
    return Built(
        out / "features.parquet", table.height, 0 if flags is None else flags.height, rejected, problems, matched
    )


def _asked(asked: pl.DataFrame, folder: Path) -> pl.LazyFrame:
    if asked.is_empty():
        fix = "give consents for this purpose and these recipients, or name others in the settings"
        raise DataError([Problem(folder.name, "nobody has consented, or nobody who did is in the tables", fix)])
    return asked.lazy()


def in_one_currency(frame: pl.LazyFrame, name: str, rates: Mapping[str, float]) -> pl.LazyFrame:
    """Amounts in the plan's currency; currencies without a rate were rejected before."""
    amounts = {
        "orders": ("amount",),
        "flows": ("inflow", "outflow", "refunds", "balance_mean"),
        "applications": ("amount", "declared_income"),
    }.get(name)
    if amounts is None or set(rates.values()) == {1.0}:
        return frame
    rate = pl.col("currency").replace_strict(dict(rates), return_dtype=pl.Float64)
    return frame.with_columns(pl.col(amount) * rate for amount in amounts)


def _crowded(asked: pl.LazyFrame, videos: pl.LazyFrame) -> pl.DataFrame:
    """`creator_id` and `videos` of those with more than MOST_VIDEOS before their as-of day; the most come first."""
    # Nearly always nobody has as many at all, so the days are looked at for suspects alone.
    suspects = videos.group_by(PERSON).len().filter(pl.col("len") > MOST_VIDEOS).collect(engine="streaming")
    asked = asked.join(suspects.lazy(), on=PERSON, how="semi")
    counts = channel.count_seen(videos.join(suspects.lazy(), on=PERSON, how="semi"), asked)
    found = asked.join(counts, on="at").filter(pl.col("videos") > MOST_VIDEOS)
    return found.select(PERSON, "videos").sort("videos", PERSON, descending=[True, False]).collect(engine="streaming")


def _leave_out(crowded: pl.DataFrame, out: Path, others: bool, folder: Path) -> Problem:
    """Write crowded creators into rejected/creators.parquet, beside rows of that table with faults if there are any."""
    path = out / "rejected" / "creators.parquet"
    private_folder(path.parent)
    left_out = pl.concat([pl.read_parquet(path, glob=False), crowded], how="diagonal_relaxed") if others else crowded
    with replacing(path, OWNER_ONLY) as file:
        left_out.write_parquet(file)
    value = f"{crowded.height:,} with more than {MOST_VIDEOS:,} videos before the as-of day, left out"
    fix = "see in rejected/creators.parquet whether several accounts were exported as one"
    return Problem(folder.name, value, fix, column=PERSON)


def computed(
    raw: Mapping[str, pl.LazyFrame],
    kind: Kind,
    asked: pl.LazyFrame,
    sentiment: Sentiment | None = None,
    *,
    alone: bool = False,
) -> pl.LazyFrame:
    """`asked` with all features that the kind of party computes, and by the codes of REASONS which flags are raised.

    `raw` are sound tables in the plan's currency. `sentiment` is the model that reads comments, the machine's own where
    none is given. `alone` says that `asked` has one row and the tables rows of that person only, as `windows` has them
    where there is nobody to look for; applications and papers are those of the application alone (see
    `papers.failed_checks`). Then nothing is computed yet: what comes back is a query.
    """
    of = None if alone else asked
    if kind == "lender":
        return _joined(asked, _lender(raw, of), bureau.EMPTY)
    if kind == "wallet":
        return _joined(asked, _wallet(raw, of), wallet.EMPTY)
    held = pl.LazyFrame.cache if alone else _collected
    frame = _joined(asked, _short_video(raw, of, sentiment or Sentiment.shipped(), held), channel.EMPTY)
    return frame.with_columns((pl.col("traffic_anomaly_180d") > traffic.FLAGGED).alias(traffic.CODE))


def raised(frame: pl.LazyFrame, kind: Kind) -> pl.LazyFrame:
    """The flags of what `computed` gives, a row each: whose they are, and what REASONS has of them."""
    codes, of = list(REASONS[kind]), [ID] if kind == "lender" else [PERSON, AS_OF]
    known = pl.LazyFrame(list(REASONS[kind].values()))
    flags = frame.select("at", *of, *codes).unpivot(codes, index=["at", *of], variable_name="code", value_name="fails")
    told = flags.filter("fails").join(known, on="code").sort("at" if kind == "lender" else PERSON, "code")
    return told.select(*of, *known.collect_schema())


def _collected(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Of whole tables, what is used several times is small beside them, and is computed once."""
    return frame.collect(engine="streaming").lazy()


def _joined(asked: pl.LazyFrame, parts: list[pl.LazyFrame], empty: Mapping[str, int]) -> pl.LazyFrame:
    """All features of each row; where there was no event of a kind, counts are what `empty` says."""
    for part in parts:
        asked = asked.join(part, on="at", how="left")
    return asked.with_columns(pl.col(name).fill_null(value) for name, value in empty.items())


def _short_video(
    raw: Mapping[str, pl.LazyFrame],
    of: pl.LazyFrame | None,
    sentiment: Sentiment,
    held: Callable[[pl.LazyFrame], pl.LazyFrame],
) -> list[pl.LazyFrame]:
    videos = held(channel.video_window(raw["videos"], of))
    followers = held(channel.follower_window(raw["followers"], of))
    return [
        channel.account_features(raw["creators"], of),
        channel.video_features(videos),
        channel.follower_features(followers),
        channel.audience_features(raw["audience"], of),
        channel.order_features(raw["orders"], of),
        comment_features(raw["comments"], of, sentiment),
        traffic.burst_features(videos),
        traffic.anomaly(traffic.inputs(videos, followers)),
    ]


def _wallet(raw: Mapping[str, pl.LazyFrame], of: pl.LazyFrame | None) -> list[pl.LazyFrame]:
    return [
        wallet.account_features(raw["accounts"], of),
        wallet.flow_features(raw["flows"], raw["accounts"], of),
        wallet.bill_features(raw["bills"], raw["accounts"], of),
    ]


def _lender(raw: Mapping[str, pl.LazyFrame], of: pl.LazyFrame | None) -> list[pl.LazyFrame]:
    return [
        bureau.application_features(raw["applications"], of),
        bureau.report_features(raw["bureau"], of),
        bureau.loan_features(raw["decisions"], raw["applications"], of),
        bureau.repayment_features(raw["repayments"], raw["applications"], of),
        papers.paper_features(papers.failed_checks(raw["identity"], raw["applications"], of)),
    ]


def _labelled(frame: pl.LazyFrame, outcomes: pl.LazyFrame) -> pl.LazyFrame:
    """The closed loans alone, with their outcome."""
    first = ("at", ID, PERSON, AS_OF, CONSENT, LABEL)
    return frame.join(outcomes.select(ID, LABEL), on=ID).select(*first, pl.exclude(*first))
