"""When bad risks withhold consent: the books add up, and a small federation's release gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from creator_scenarios import quick_creators

from sealscore.shared.model.score_model import points
from sealscore.shared.serving.release import CHAMPION, FALLBACK, Release
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import RELEASE, run_job
from sealscore.simulations.scoring import withholding
from sealscore.simulations.scoring.withholding import CONSENTING, EVERYBODY, WITHHOLDING, ApprovedLoans, Book

LOANS, CUTOFF = 5000, 540
MISSING, AT_CHAMPIONS, OWN, REFITTED = WITHHOLDING


def loans(seed: int) -> ApprovedLoans:
    """Invented loans of which a platform knows most of the risk, and the lender a little."""
    random = np.random.default_rng(seed)
    known, own = random.normal(0, 1.2, LOANS), random.normal(0, 0.5, LOANS)
    logit = -1.5 + known + own
    sure = {CHAMPION: logit, MISSING: own - 1.2, FALLBACK: own - 1.2}
    pd = {name: 1 / (1 + np.exp(-values)) for name, values in sure.items()}
    bad = random.random(LOANS) < pd[CHAMPION]
    person = random.integers(0, LOANS * 3 // 4, LOANS)
    return ApprovedLoans(person, bad, np.digitize(known, np.linspace(-1.5, 1.5, 9)).astype(float), sure, pd)


@pytest.fixture(scope="module")
def found() -> tuple[ApprovedLoans, dict[str, Book]]:
    test = loans(1)
    return test, withholding.books(test, loans(2), CUTOFF, CUTOFF + 5)[0]


def test_the_worst_fifth_withholds(found: tuple[ApprovedLoans, dict[str, Book]]):
    test, _ = found
    withheld = test.worst()
    assert withheld.sum() == LOANS // 5
    assert test.level[withheld].min() >= test.level[~withheld].max()


def test_the_books_add_up(found: tuple[ApprovedLoans, dict[str, Book]]):
    test, books = found
    withheld, consenting = test.worst(), books[CONSENTING]
    assert np.array_equal(consenting.rows, ~withheld)
    for name in WITHHOLDING:
        own = books[name]
        whole = books[f"all, those who withhold by: {name}"]
        assert np.array_equal(own.rows, withheld)
        assert not (own.approved & ~own.rows).any()
        parts, together = (consenting.figures(test, 10), own.figures(test, 10)), whole.figures(test, 10)
        assert sum(part["loans"] for part in parts) == together["loans"] == LOANS
        assert sum(part["approved_loans"] for part in parts) == together["approved_loans"]
        for rate in ("bad_rate", "mean_pd"):
            summed = sum(part["approved_loans"] * (part[rate]["value"] if part[rate] else 0.0) for part in parts)
            assert summed == pytest.approx(together["approved_loans"] * together[rate]["value"])


def test_figures_are_those_of_plain_counting(found: tuple[ApprovedLoans, dict[str, Book]]):
    test, books = found
    figures = books[OWN].figures(test)
    withheld = test.worst()
    taken = withheld & (np.rint(points(test.pd[FALLBACK])) >= CUTOFF + 5)
    assert figures["approved"]["value"] == pytest.approx(taken.sum() / withheld.sum())
    assert figures["bad_rate"]["value"] == pytest.approx(test.bad[taken].mean())
    assert figures["mean_pd"]["value"] == pytest.approx(test.pd[FALLBACK][taken].mean())
    # Of so many loans the interval is about that of a share, wider where persons have several.
    width = figures["bad_rate"]["high"] - figures["bad_rate"]["low"]
    share = test.bad[taken].mean()
    assert 0.8 < width / (2 * 1.96 * np.sqrt(share * (1 - share) / taken.sum())) < 1.6


def test_a_fallback_takes_the_worst_for_average_and_one_that_is_refitted_does_not(
    found: tuple[ApprovedLoans, dict[str, Book]],
):
    test, books = found
    figures = {name: books[name].figures(test) for name in (OWN, REFITTED)}
    own, refitted = figures[OWN], figures[REFITTED]
    assert own["mean_pd"]["value"] < own["bad_rate"]["low"]
    assert refitted["approved_loans"] < own["approved_loans"]
    gap = {name: abs(one["mean_pd_of_all"]["value"] - one["bad_rate_of_all"]["value"]) for name, one in figures.items()}
    assert gap[REFITTED] < gap[OWN] / 3
    assert books[EVERYBODY].figures(test)["bad_rate"]["value"] < own["bad_rate"]["value"]


def test_where_nobody_is_approved_there_is_no_bad_rate(found: tuple[ApprovedLoans, dict[str, Book]]):
    test, books = found
    none = replace(books[OWN], approved=np.zeros(LOANS, dtype=bool)).figures(test)
    assert (none["approved"]["value"], none["bad_rate"], none["mean_pd"]) == (0.0, None, None)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_creators(tmp_path_factory.mktemp("scenario"))


@pytest.fixture(scope="module")
def made(scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_job(Scenario.load(scenario), baselines=False, runs=tmp_path_factory.mktemp("runs")).folder


@pytest.mark.slow
def test_the_command_reads_a_run(scenario: Path, made: Path, capsys: pytest.CaptureFixture[str]):
    assert withholding.main([str(scenario), "--run", str(made), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["answers_without_signals"] in (CHAMPION, FALLBACK)
    assert result["books"][CONSENTING]["loans"] > 3 * result["books"][OWN]["loans"]
    release = Release.load(made / RELEASE)
    records = load_parties(Scenario.load(scenario))
    test = withholding.loans_of(release, records, test=True)
    assert len(test.bad) == result["books"][EVERYBODY]["loans"]
    assert not np.isnan(test.level).any()
    withholding.main([str(scenario), "--run", str(made)])
    assert len(capsys.readouterr().out.splitlines()) == len(result["books"]) + 2
