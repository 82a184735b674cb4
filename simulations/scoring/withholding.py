"""What becomes of a lender when the worst applicants withhold their consent: approvals, bad rates, predicted PDs.

Of the test persons who have a level, the worst fifth by it brings no token. Who consents is scored by the champion at
its own cut-off; who withholds by the fallback, at three cut-offs: that of the champion, its own of the release, and one
that the lender refits, with a calibration of its own, on loans of training persons who withheld likewise and whom the
fallback approved; it then asks for the champion's points. Beside them stands the champion with the bin of a missing
signal: what is answered where so many lacked one in training that the champion may.

Who withholds follows from levels that are then not told. All outcomes are known here, also of those who were declined.
Persons without a level are left out. Intervals are bootstraps over persons.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.scoring.scorer import Scorer
from sealscore.shared.model.calibration import Calibration, fit
from sealscore.shared.model.score_model import points
from sealscore.shared.model.score_table import score_table
from sealscore.shared.model.signal import merged_levels
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.release import CHAMPION, FALLBACK, Release
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import RELEASE, run_job

DEFAULT_PLAN = "uci_vertical_eps2"
WORST, DRAWS, INTERVAL = 0.2, 1000, 0.95
# A lender's own loans are counted without noise, so cells may be narrow.
_CELLS = 512
_MISSING = "champion without signals"
EVERYBODY, CONSENTING = "nobody withholds", "who consents"
_OWN, _REFITTED = "fallback, its own cut-off", "fallback, refitted"
_AT_CHAMPIONS = "fallback, the champion's cut-off"
WITHHOLDING = (_MISSING, _AT_CHAMPIONS, _OWN, _REFITTED)


@dataclass(frozen=True, eq=False)
class ApprovedLoans:
    """ApprovedLoans of persons who have a level.

    `person` int64 [n] are numbers of persons, `bad` bool [n], and `level` float64 [n] the mean of a person's levels.
    `logits` and `pd` float64 [n] are by model: champion, champion without signals, fallback.
    """

    person: np.ndarray
    bad: np.ndarray
    level: np.ndarray
    logits: Mapping[str, np.ndarray]
    pd: Mapping[str, np.ndarray]

    def worst(self, share: float = WORST) -> np.ndarray:
        """Who withholds, bool [n]: this share of the loans, those with the highest levels; of equal ones any."""
        found = np.zeros(len(self.bad), dtype=bool)
        order = np.lexsort((np.random.default_rng(0).permutation(len(self.bad)), self.level))
        found[order[len(order) - round(share * len(order)) :]] = True
        return found


def loans_of(release: Release, records: Mapping[str, Records], test: bool) -> ApprovedLoans:
    """The lenders' loans of the test or the training part, with the levels that platforms would tell of them."""
    plan, scorer = release.plan, Scorer(release)
    persons: list[str] = []
    found: dict[str, list[np.ndarray]] = {}
    for party in plan.members(plan.lenders):
        part = records[party.name].test_part() if test else records[party.name].training_part()
        levels = {group: _levels(release, records, group, party.name, part.person) for group in plan.platforms}
        told = np.stack(list(levels.values()))
        rows = np.flatnonzero(~np.isnan(told).all(axis=0))
        if part.label is None:
            raise ValueError(f"the loans of {party.name} have no outcomes")
        bad, part, told = part.label[rows] == 1, part.take(rows), told[:, rows]
        persons += part.person
        found.setdefault("bad", []).append(bad)
        found.setdefault("level", []).append(np.nanmean(told, axis=0))
        absent = {group: np.full(len(rows), np.nan) for group in levels}
        with_levels = dict(zip(levels, told, strict=True))
        for way, role, given in (
            (CHAMPION, CHAMPION, with_levels),
            (_MISSING, CHAMPION, absent),
            (FALLBACK, FALLBACK, absent),
        ):
            logits, pds, _ = scorer.figures(role, scorer.bins(role, part.columns, given))
            found.setdefault(f"logits {way}", []).append(logits)
            found.setdefault(f"pd {way}", []).append(pds)
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    models = (CHAMPION, _MISSING, FALLBACK)
    return ApprovedLoans(
        np.unique(persons, return_inverse=True)[1],
        whole["bad"],
        whole["level"],
        {way: whole[f"logits {way}"] for way in models},
        {way: whole[f"pd {way}"] for way in models},
    )


def _levels(
    release: Release, records: Mapping[str, Records], group: str, lender: str, persons: tuple[str, ...]
) -> np.ndarray:
    """The merged level of each person that platforms of a kind may tell a lender, float64 [n]; NaN where none may."""
    told: dict[str, list[int]] = {}
    for party in release.plan.members(group):
        held = records[party.name]
        held = held.take(held.live(lender, release.plan.purpose_code))
        for person, level in zip(held.person, release.content.towers[group].levels(held.columns).tolist(), strict=True):
            told.setdefault(person, []).append(level)
    return merged_levels(told.get(person, ()) for person in persons)


@dataclass(frozen=True, eq=False)
class Book:
    """Some loans under a cut-off: which are in the book, which of them are approved, and their PDs; [n] each."""

    rows: np.ndarray
    approved: np.ndarray
    pd: np.ndarray

    def figures(self, loans: ApprovedLoans, draws: int = DRAWS) -> dict[str, Any]:
        """Counts, and with an interval each: the share that is approved, bad rate and mean PD of these and of all."""
        rows = np.flatnonzero(self.rows)
        person = np.unique(loans.person[rows], return_inverse=True)[1]
        count = int(person.max()) + 1
        random = np.random.default_rng(0)
        drawn = random.multinomial(count, np.full(count, 1 / count), size=draws)[:, person]
        weights = np.vstack([np.ones(len(rows)), drawn])
        taken, bad, pd = self.approved[rows].astype(float), loans.bad[rows].astype(float), self.pd[rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            approved = weights @ taken
            shares = {
                "approved": approved / weights.sum(axis=1),
                "bad_rate": weights @ (taken * bad) / approved,
                "mean_pd": weights @ (taken * pd) / approved,
                "bad_rate_of_all": weights @ bad / weights.sum(axis=1),
                "mean_pd_of_all": weights @ pd / weights.sum(axis=1),
            }
        found: dict[str, Any] = {"loans": len(rows), "approved_loans": int(taken.sum())}
        for name, values in shares.items():
            if np.isnan(values[0]):
                found[name] = None
                continue
            low, high = np.nanquantile(values[1:], [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
            found[name] = {"value": float(values[0]), "low": float(low), "high": float(high)}
        return found


def refitted(earlier: ApprovedLoans, cutoff: int, champion: int) -> tuple[Calibration, int]:
    """A calibration of the fallback for those who withhold, and the loans that it is fitted on.

    It is fitted on those of the earlier loans that the fallback approved at its own cut-off, or at the champion's where
    that is lower.
    """
    scored = earlier.worst() & (np.rint(points(earlier.pd[FALLBACK])) >= min(cutoff, champion))
    table = score_table(earlier.logits[FALLBACK][scored], earlier.bad[scored].astype(np.int8), _CELLS)
    return fit(table.astype(np.float64), 0.0), int(scored.sum())


def books(
    test: ApprovedLoans, earlier: ApprovedLoans, champion: int, fallback: int
) -> tuple[dict[str, Book], dict[str, Any]]:
    """The books by name, and how the fallback was refitted. Those of `WITHHOLDING` are of who withholds.

    `champion` and `fallback` are the cut-offs of the release, in points.
    """
    withheld = test.worst()
    calibration, fitted = refitted(earlier, fallback, champion)
    everybody = np.ones(len(withheld), dtype=bool)

    def book(rows: np.ndarray, pd: np.ndarray, cutoff: int) -> Book:
        return Book(rows, rows & (np.rint(points(pd)) >= cutoff), pd)

    found = {
        EVERYBODY: book(everybody, test.pd[CHAMPION], champion),
        CONSENTING: book(~withheld, test.pd[CHAMPION], champion),
        _MISSING: book(withheld, test.pd[_MISSING], champion),
        _AT_CHAMPIONS: book(withheld, test.pd[FALLBACK], champion),
        _OWN: book(withheld, test.pd[FALLBACK], fallback),
        _REFITTED: book(withheld, calibration.pd(test.logits[FALLBACK]), champion),
    }
    for name in WITHHOLDING:
        own = found[name]
        pd = np.where(withheld, own.pd, test.pd[CHAMPION])
        found[f"all, those who withhold by: {name}"] = Book(everybody, own.approved | found[CONSENTING].approved, pd)
    how = {"loans": fitted, "slope": calibration.slope, "intercept": calibration.intercept}
    return found, how


def run(plan: str = DEFAULT_PLAN, made: Path | None = None) -> dict[str, Any]:
    """All figures; `made` is the folder of a finished run of the plan, where there is one.

    Raises:
        ValueError: the run has no fallback, or no cut-offs.
    """
    scenario = Scenario.load(resolve(plan))
    if made is None:
        # Exact matching gives the same pairs as private set intersection, in less time.
        quick = scenario.replace(alignment__method="exact")
        with tempfile.TemporaryDirectory() as folder:
            return run(plan, run_job(quick, baselines=False, runs=Path(folder)).folder)
    release = Release.load(made / RELEASE)
    cutoffs = release.manifest.cutoffs
    if release.content.fallback is None or cutoffs is None or cutoffs.fallback is None:
        raise ValueError("the run's release has no fallback with a cut-off of its own; nothing is to be compared")
    records = load_parties(scenario)
    test, earlier = loans_of(release, records, test=True), loans_of(release, records, test=False)
    found, how = books(test, earlier, cutoffs.champion, cutoffs.fallback)
    return {
        "plan": plan,
        "seed": release.plan.seed,
        "cutoffs": {CHAMPION: cutoffs.champion, FALLBACK: cutoffs.fallback},
        "withholding": WORST,
        "answers_without_signals": Scorer(release).role({}),
        "refitted": how,
        "books": {name: book.figures(test) for name, book in found.items()},
    }


def show(result: Mapping[str, Any]) -> str:
    """A line for each book: loans, approved, bad rate and PD of the approved, in percent with intervals."""

    def percent(value: Mapping[str, float] | None) -> str:
        if value is None:
            return "none"
        return f"{100 * value['value']:.1f} ({100 * value['low']:.1f} to {100 * value['high']:.1f})"

    what = {name: result[name] for name in ("plan", "seed", "cutoffs", "answers_without_signals", "refitted")}
    lines = [json.dumps(what), f"{'book':<62} {'loans':>6} {'approved %':>22} {'bad rate %':>22} {'mean PD %':>22}"]
    for name, one in result["books"].items():
        figures = " ".join(f"{percent(one[key]):>22}" for key in ("approved", "bad_rate", "mean_pd"))
        lines.append(f"{name:<62} {one['loans']:>6} {figures}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.scoring.withholding", description=__doc__)
    parser.add_argument("plan", nargs="?", default=DEFAULT_PLAN, help="a plan with platforms, packaged or a file")
    parser.add_argument("--run", type=Path, help="the folder of a finished run of the plan")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    given = parser.parse_args(arguments)
    result = run(given.plan, given.run)
    print(json.dumps(result) if given.json else show(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
