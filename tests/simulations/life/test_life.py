"""A small life: what holds at its end, what it writes, and that nothing of the oracle stands elsewhere."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sealscore.simulations.life.checks import LifeCheck
from sealscore.simulations.life.compare import WAYS
from sealscore.simulations.life.config import (
    FraudWave,
    LifeConfig,
    LifeConsents,
    LifeRetraining,
    LifeWatch,
    Opening,
    PlatformAway,
    Shock,
)
from sealscore.simulations.life.events.warnings import LISTS, POINTS
from sealscore.simulations.life.life import CONSENTS, ORACLE, TABLES, LifeFailed, run_life
from sealscore.simulations.life.report import changes, life_report

pytestmark = pytest.mark.slow

LENDERS, PLATFORMS = ("lender-1", "lender-2", "lender-3"), ("video-1", "video-2", "wallet")
CONFIG = LifeConfig(
    creators=300,
    months=4,
    futures=5,
    opening=Opening(creators=2000, rounds=2),
    wave=FraudWave(month=1, months=1, share=0.5),
    shock=Shock(month=2),
    away=PlatformAway(party="wallet", month=1, days=7),
    consents=LifeConsents(withdraws=0.2),
    retraining=LifeRetraining(month=2, epsilon=1.0),
    watch=LifeWatch(worst=0.4),
)


@dataclass(frozen=True)
class Lived:
    """A life's folder and record."""

    folder: Path
    record: dict[str, Any]

    def table(self, name: str) -> pl.DataFrame:
        """One of its tables."""
        return pl.read_parquet(self.folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("life") / "out"
    return Lived(folder, run_life(CONFIG, folder, lambda what: None))


def test_the_end_holds_at_every_party(lived: Lived):
    checks = [LifeCheck(**one) for one in lived.record["checks"]]
    assert all(one.good for one in checks)
    wanted = {(lender, what) for lender in LENDERS for what in ("log", "scores", "decisions", "ledger", "withdrawals")}
    wanted |= {(platform, what) for platform in PLATFORMS for what in ("bits", "ledger")}
    assert {(one.party, one.what) for one in checks} == wanted
    applications = lived.record["happened"]["applications"]
    # The score of an application of which a token was withdrawn is asked for once more.
    again = lived.record["happened"]["withdrawn"]
    for what, count in (("scores", applications + again), ("decisions", applications)):
        assert sum(one.looked_at for one in checks if one.what == what) == count
    assert lived.record["happened"]["loans"] > 0


def test_who_withdraws_is_scored_without_the_token_and_stays_counted(lived: Lived):
    withdrawals, applications = lived.table("withdrawals"), lived.table("applications")
    # A serving key is destroyed in the third month after its own, and then nobody opens its tokens.
    both = withdrawals.join(applications, on="application_id")
    readable = both["day"].dt.month() - both["applied_at"].dt.month() <= 2
    assert set(both.filter(readable)["status"]) == {"withdrawn"}
    assert set(both.filter(~readable)["status"]) <= {"expired"}
    first = withdrawals.group_by("platform").agg(pl.col("day").min())
    for platform, day in first.iter_rows():
        gone = applications.filter(pl.col(platform) == "withdrawn")
        assert (gone["applied_at"] >= day).all()
    assert any("withdrawn" in set(applications[name]) for name in PLATFORMS)
    # Whoever got a token is counted, also after a withdrawal.
    checks = {(one["party"], one["what"]): one for one in lived.record["checks"]}
    for name in PLATFORMS:
        assert checks[name, "bits"]["least"] <= lived.record["bits"][name]["signal"]["persons"]
    assert sum(checks[name, "withdrawals"]["looked_at"] for name in LENDERS) == len(withdrawals) > 0


def test_the_wallet_tells_one_bit_a_quarter_of_those_who_agreed(lived: Lived):
    watch, applications, happened = lived.table("watch"), lived.table("applications"), lived.record["happened"]
    assert set(watch["day"]) == {date(2025, 7, 5)}
    agreed = applications.filter("watched")
    assert (agreed["wallet"] == "token").all()
    assert len(agreed) == happened["watch"]["begun"]
    assert set(watch["application_id"]) < set(agreed["application_id"])
    assert set(watch["value"]) == {0, 1}
    bits = lived.record["bits"]["wallet"]["watch"]
    # A bit that two lenders are told is one bit.
    assert (bits["mean"], bits["most"]) == (1.0, 1)
    assert 0 < bits["persons"] <= happened["watch"]["told"]
    # A list names a bit for those alone of whom it is 1, and of loans with nothing in arrears it has a fifth at most.
    ones = set(watch.filter(pl.col("value") == 1)["application_id"])
    listed = lived.table("warnings").filter(pl.col("day") == date(2025, 7, 5))
    assert set(listed.filter(pl.col("reasons").list.contains("watch"))["application_id"]) <= ones
    ranked = listed.drop_nulls("rank")
    assert set(ranked["list"]) == {LISTS, POINTS}
    assert 0 < ranked["rank"].max() <= 0.2
    assert (listed.filter(pl.col("rank").is_null())["days_past_due"] >= 5).all()


def test_a_retraining_is_charged_and_its_release_answers(lived: Lived):
    made, oracle = lived.record["retraining"], lived.record["oracle"]["retraining"]
    assert made["day"] == "2025-06-01"
    # No loan's window is over after two months.
    assert sum(made["loans"].values()) == 0
    for budget in lived.record["training"].values():
        assert 0.5 < budget["plans"][made["plan"]] <= 1.0
        assert max(budget["plans"].values()) < budget["epsilon"] <= 3.0
    later = lived.table("applications").filter(pl.col("applied_at") >= date(2025, 6, 1))
    assert oracle["applications"] == len(later) > 0


def test_a_life_that_does_not_hold_is_named():
    failed = LifeCheck("lender-2", "scores", 100, 3)
    assert not failed.good
    assert not LifeCheck("lender-2", "scores", 0, 0).good
    assert not LifeCheck("lender-2", "scores", 99, 0, least=100).good
    assert LifeCheck("video-1", "bits", 0, 0, least=0).good
    assert any("lender-2" in line for line in LifeFailed([failed]).lines)


def test_tables_fit_together(lived: Lived):
    applications, scores, decisions, loans, repayments = map(lived.table, TABLES)
    ids = set(applications["application_id"])
    assert len(ids) == len(applications) == len(scores) == len(decisions)
    assert set(scores["application_id"]) == set(decisions["application_id"]) == ids
    approved = decisions.filter("approved")
    assert (approved["amount"] > 0).all()
    lent = loans.join(approved, on="application_id")
    assert len(lent) == len(loans)
    assert (lent["principal"] == lent["amount"]).all()
    assert (decisions["decided_at"] >= decisions["day"]).all()
    due = repayments.group_by("application_id").len().join(loans, on="application_id")
    assert 0 < len(due) <= len(loans)
    assert (due["len"] <= due["term_months"]).all()
    paths = pl.read_parquet(lived.folder / ORACLE / "repayments.parquet")
    assert len(paths) == loans["term_months"].sum()
    tokens = sum((applications[name] == "token").cast(pl.Int64).sum() for name in PLATFORMS)
    assert tokens == scores["levels"].sum() > 0
    assert {*applications["product"]} == {"traffic", "starter", "consumer", "invoices"}


def test_a_platform_that_is_away_makes_no_token(lived: Lived):
    applications = lived.table("applications")
    of = pl.col("applied_at").is_between(pl.date(2025, 5, 1), pl.date(2025, 5, 7))
    away = applications.filter(of)
    assert "token" not in set(away["wallet"])
    assert "away" in set(away["wallet"])
    assert "away" not in set(applications.filter(~of)["wallet"])


def test_what_nobody_may_know_stays_with_the_oracle(lived: Lived):
    oracle = set(pl.read_parquet(lived.folder / ORACLE / "applications.parquet").columns)
    hidden = oracle - {"application_id", "lender", "instalment"}
    assert {"true_pd", "fraud", "wave", "bad_if_granted", "owed", "income"} <= hidden
    for path in lived.folder.glob("*.parquet"):
        assert not hidden & set(pl.read_parquet(path).columns), path.name
    # Outcomes are those of loans that started, and of no other application.
    loans, decisions = lived.table("loans"), lived.table("decisions")
    assert set(loans["application_id"]) < set(decisions["application_id"])
    record = json.loads((lived.folder / "life.json").read_text(encoding="utf-8"))
    assert "oracle" not in record
    assert "fraud" not in json.dumps({name: value for name, value in record.items() if name != "config"})


def test_nothing_after_the_last_day_stands_outside_the_oracle(lived: Lived):
    last = date.fromisoformat(lived.record["happened"]["last_day"])
    assert last >= date(2025, 7, 31)
    for path in lived.folder.glob("*.parquet"):
        for column in pl.read_parquet(path).select(pl.col(pl.Date)):
            assert column.is_null().all() or column.max() <= last, (path.name, column.name)
    # No loan of four months has twelve behind it.
    loans, months = lived.table("loans"), lived.table("months")
    assert loans["bad"].is_null().all()
    assert loans["loss"].is_null().all()
    assert months["bad_rate"].is_null().all()
    assert months["lost"].is_null().all()
    happened = lived.record["happened"]
    assert (happened["bad_known"], happened["bad_rate"], happened["loss_rate"]) == (0, None, None)
    paths = pl.read_parquet(lived.folder / ORACLE / "loans.parquet")
    assert set(paths["application_id"]) == set(loans["application_id"])
    assert paths["bad"].any()
    assert not paths["bad"].all()
    assert pl.read_parquet(lived.folder / ORACLE / "repayments.parquet")["paid_at"].max() > last


def test_a_life_in_which_nobody_consents_ends_well(tmp_path: Path):
    config = CONFIG.model_copy(
        update={
            "creators": 200,
            "months": 2,
            "futures": 0,
            "consents": LifeConsents(given=0.0),
            "wave": FraudWave(months=0),
        }
    )
    lived = Lived(tmp_path / "out", run_life(config, tmp_path / "out", lambda what: None))
    assert all(set(lived.table("applications")[name]) <= {"unknown", "withheld"} for name in PLATFORMS)
    assert lived.record["bits"] == {name: {} for name in PLATFORMS}
    assert lived.record["oracle"]["ways"]["federation"]["wave_stopped"] is None


def test_a_failure_beside_the_folder_is_not_laid_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        run_life(CONFIG, tmp_path / "out", lambda what: None)
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_decides_every_applicant_in_every_way(lived: Lived):
    ways = pl.read_parquet(lived.folder / ORACLE / "ways.parquet")
    assert dict(ways["way"].value_counts().iter_rows()) == dict.fromkeys(WAYS, len(lived.table("decisions")))
    own = ways.filter(pl.col("way") == "federation").join(lived.table("decisions"), on="application_id")
    # What the policy settles by itself is what was lived; persons draw their own chance.
    alone = own.filter(pl.col("proposal").is_in(["approve", "counter"]))
    assert (alone["amount"] == alone["offered"]).all()
    assert (own.filter(pl.col("proposal") == "decline-proposed")["queue"] == "declines").all()
    # A person lends nothing below the smallest loan, as in the life.
    assert ways.filter(pl.col("amount") > 0)["amount"].min() >= 500
    figures = lived.record["oracle"]
    assert sum(of["share"] for of in figures["consents"].values()) == pytest.approx(1)
    assert 0 < figures["ways"]["federation"]["bad_rate"] < 1
    assert set(changes(figures)) >= {"bad_rate_at_equal_approvals", "thin_files_at_equal_bad_rate", "beyond_capacity"}


def test_the_report_stands_by_itself(lived: Lived):
    page = (lived.folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    again = json.loads((lived.folder / ORACLE / "figures.json").read_text(encoding="utf-8"))
    assert life_report(lived.record, again, lived.table("months")) == page


def test_the_same_seed_gives_the_same_tables(lived: Lived, tmp_path: Path):
    again = Lived(tmp_path / "again", run_life(CONFIG, tmp_path / "again", lambda what: None))
    for name in (*TABLES, *CONSENTS, "months", f"{ORACLE}/applications", f"{ORACLE}/ways"):
        assert again.table(name).equals(lived.table(name)), name


def test_an_interrupted_life_leaves_nothing(tmp_path: Path):
    def stop(what: str) -> None:
        if what.startswith("training"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_life(CONFIG, tmp_path / "out", stop)
    assert list(tmp_path.iterdir()) == []
