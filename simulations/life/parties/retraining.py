"""In the middle of a life: the head of the model is trained again on all loans whose outcome is known by then.

Towers and edges stay, so platforms tell nothing new: lenders have the levels of the opening's persons from its plan,
and of those who live now the levels of tokens whose consent names retraining.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.data import test_mask
from sealscore.clients.scoring.storage.kept_levels import KeptLevels
from sealscore.server.setup.retraining import retrained
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.consent import FEDERATION, Consent
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.derived import NewPlan
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release
from sealscore.simulations.engine.federation import Federation
from sealscore.simulations.life.config import LifeConfig
from sealscore.simulations.life.features import LifeFeatures
from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.parties.opening import RETRAINING, Opened, released
from sealscore.simulations.life.rows import TOKEN, Played


@dataclass(frozen=True)
class Retrained:
    """What came of a retraining: its release, and of each lender how many of the life's loans it had, with a level of
    any platform and in all.
    """

    release: Release
    loans: Mapping[str, int]
    with_level: Mapping[str, int]

    def plain(self, day: date) -> dict[str, Any]:
        """As the life's record has it."""
        return {
            "day": str(day),
            "plan": self.release.plan.hash,
            "release": self.release.hash,
            "loans": dict(self.loans),
            "with_level": dict(self.with_level),
        }


def retrain(
    config: LifeConfig,
    opened: Opened,
    features: LifeFeatures,
    lenders: Sequence[LifeLender],
    played: Played,
    today: date,
    folder: Path,
) -> Retrained:
    """Carry out the plan of a retraining on a day, and release it.

    Raises:
        LedgerFault: a party's ledger does not bear the plan out, or has no room for it.
    """
    window = opened.plan.outcome.window_days
    records, counts = dict(opened.records), {}
    tokens = {
        row["application_id"]: [name for name in features.platforms if row[name] == TOKEN]
        for row in played.applications
    }
    for lender in lenders:
        loans = [row for row in played.loans if row["lender"] == lender.name]
        own = closed_loans(features, loans, tokens, today, window)
        records[lender.name], counts[lender.name] = joined(opened.records[lender.name], own), len(own)
    plan = retraining_plan(config, opened, today, {lender.name: len(records[lender.name]) for lender in lenders})
    records = {party: _split(of, plan) for party, of in records.items()}
    lifetimes = dict(opened.lifetimes)
    for lender in lenders:
        kept = KeptLevels(lender.log_file, lender.naming)
        lifetimes[lender.name] = dataclasses.replace(lifetimes[lender.name], token_levels=kept)
    ledgers = {name: Ledger(path, opened.identities[name]) for name, path in opened.ledgers.items()}
    federation = Federation.again(plan, records, ledgers, lifetimes, opened.run)
    federation.run(folder / "run")
    found = released(config, federation.plan, folder / "run", folder / "release", f"life-{config.seed}-again", today)
    leveled = {}
    for lender, scored in zip(lenders, federation.scored_records(), strict=True):
        levels = [values for name, values in scored.columns.items() if name.startswith("signal.")]
        known = ~np.isnan(np.stack(levels)).all(axis=0)
        leveled[lender.name] = int(known[len(opened.records[lender.name]) :].sum())
    return Retrained(found, counts, leveled)


def retraining_plan(config: LifeConfig, opened: Opened, today: date, records: Mapping[str, int]) -> Plan:
    """The plan of the retraining, by the code that `sealscore-server plan retrain` runs.

    Identities of a simulation follow from the seed, so it keeps that of the first plan. Who is a test person follows
    from the person: by a date, those who live now would train nothing.
    """
    old = opened.plan
    data = retrained(old, opened.run, NewPlan(f"{old.name}-again", old.seed, today, records), RETRAINING)
    # Nodes go by the clock of this machine, which knows nothing of the life's days.
    del data["expires"]
    data["outcome"]["cutoff"] = today
    data["privacy"]["epsilon"] = config.retraining.epsilon
    fraction = old.evaluation.split.test_fraction
    data["evaluation"]["split"] = {"kind": "hash", "key": "a life's retraining", "test_fraction": fraction}
    return Plan.parse(data, "the life's retraining")


def closed_loans(
    features: LifeFeatures,
    loans: Sequence[Mapping[str, Any]],
    tokens: Mapping[str, Sequence[str]],
    today: date,
    window_days: int,
) -> Records:
    """A lender's records of loans whose window is over on a day, the first of each person; `bad` is their label.

    Their persons consent to sums, and to be joined with the platforms of whose tokens the application had one (by id).
    """
    over = [row for row in loans if row["applied_at"] + timedelta(days=window_days) <= today]
    place = {name: at for at, name in enumerate(features.ids)}
    first: dict[str, Mapping[str, Any]] = {}
    for row in sorted(over, key=lambda row: (row["applied_at"], row["application_id"])):
        first.setdefault(features.own.person[place[row["application_id"]]], row)
    rows = np.array([place[row["application_id"]] for row in first.values()], dtype=np.int64)
    labels = np.array([row["bad"] for row in first.values()], dtype=np.int8)
    consents = tuple(
        (Consent(FEDERATION), *(Consent(name) for name in tokens[row["application_id"]])) for row in first.values()
    )
    return dataclasses.replace(features.own.take(rows), label=labels, consent=consents)


def joined(old: Records, new: Records) -> Records:
    """The records of both, of different persons; who is a test person is for the plan to say."""
    if old.label is None or new.label is None:
        raise ValueError("records of lenders have labels")
    return dataclasses.replace(
        old,
        ids=old.ids + new.ids,
        person=old.person + new.person,
        columns={name: np.concatenate([values, new.columns[name]]) for name, values in old.columns.items()},
        label=np.concatenate([old.label, new.label]),
        test=np.zeros(len(old) + len(new), dtype=bool),
        consent=None if old.consent is None or new.consent is None else old.consent + new.consent,
    )


def _split(records: Records, plan: Plan) -> Records:
    split, form = plan.evaluation.split, plan.alignment.identifier
    return dataclasses.replace(records, test=test_mask(split, records.person, None, Path(), form))
