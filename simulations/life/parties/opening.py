"""Before a life begins: lenders lent by their own policies, loans matured, and one plan trained the first model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sealscore.clients.features.traffic import FLAGGED
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.server.releases.making import PURPOSE, Wanted, make_release
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.watch import LONGEST_QUARTER
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.experiments.job import RunFailed
from sealscore.simulations.life.config import FIRST_MONTH, LifeConfig

BASE_PLAN, SMALL_PLAN = "creators_eps2", "creators_small"
"""The plan that trains the first model, and the one for openings of fewer than SMALL creators."""
SMALL = 30_000
RETRAINING = "retraining"
"""The purpose under which a consent lets the level of a token enter a later training."""
# Inflow of three months at the wallet, in the currency.
CAPACITY_EDGES = (5_000.0, 10_000.0, 20_000.0, 40_000.0, 80_000.0, 160_000.0)
_LEAST_OVERLAP = 50
# A quarter's bits fill some days' batches, and not weeks of them.
_BATCH_PLACES = 256


@dataclass(frozen=True)
class Opened:
    """The opening's records, and what came of its plan: the folder of its run, the release, and of each party the
    identity, the ledger's file, and what it remembers of its persons.
    """

    records: Mapping[str, Records]
    run: Path
    release: Release
    identities: Mapping[str, Identity]
    ledgers: Mapping[str, Path]
    lifetimes: Mapping[str, Lifetime]

    @property
    def plan(self) -> Plan:
        """The plan that was carried out."""
        return self.release.plan


def open_life(config: LifeConfig, folder: Path, tell: Callable[[str], None]) -> Opened:
    """Train the first model on the loans of the opening, and release it.

    Raises:
        RunFailed: the opening is too small for its plan.
    """
    opening = config.opening
    base = BASE_PLAN if opening.creators >= SMALL else SMALL_PLAN
    scenario = Scenario.load(PLANS / f"{base}.toml").replace(
        seed=config.seed,
        # Private set intersection gives the same pairs and takes minutes of a simulation.
        alignment__method="exact",
        alignment__min_overlap=_LEAST_OVERLAP,
        privacy__epsilon=opening.epsilon,
        training__rounds=opening.rounds,
        simulation__creators=opening.creators,
        simulation__creators_seed=config.opening_seed,
    )
    records = {party: _renamed(of) for party, of in load_parties(scenario, tell).items()}
    tell("training on the opening's loans")
    more = config.retraining.epsilon if config.retrains else 0.0
    ceilings = Ceilings(epsilon=opening.epsilon + more, delta=scenario.plan.privacy.delta)
    federation = Federation.of(scenario.plan, records, None, folder / "ledgers", ceilings=ceilings)
    federation.run(folder / "run")
    if short := federation.shortfalls:
        raise RunFailed("pairs share too few persons; raise opening.creators", short)
    plan = federation.plan
    release = released(config, plan, folder / "run", folder / "release", f"life-{config.seed}", FIRST_MONTH)
    identities = {
        party.name: Identity.simulated(plan.seed, party.name, plan.groups[party.group].role) for party in plan.parties
    }
    ledgers = {name: folder / "ledgers" / f"{name}.db" for name in identities}
    return Opened(records, folder / "run", release, identities, ledgers, federation.lifetimes)


def released(config: LifeConfig, plan: Plan, run: Path, folder: Path, name: str, issued: date) -> Release:
    """The release of a finished run in a life, as all of them are: for the whole life, with all kinds that are told."""
    wallets = [group for group in plan.platforms if plan.members(group)[0].name == "wallet"]
    videos = [group for group in plan.platforms if group not in wallets]
    wanted = Wanted(
        name=name,
        purpose_code=PURPOSE,
        issued=issued,
        # The last applications wait for their reviews, and whoever agreed to be watched last is watched to the end.
        expires=FIRST_MONTH + timedelta(days=31 * config.months + 60) + (config.watch.quarters + 1) * LONGEST_QUARTER,
        batch_places=_BATCH_PLACES,
        capacity={group: {"column": "inflow_3m", "edges": CAPACITY_EDGES} for group in wallets},
        flag={group: {"column": "traffic_anomaly_180d", "above": FLAGGED} for group in videos},
        watch={group: {"worst": config.watch.worst, "quarters": config.watch.quarters} for group in wallets},
        retraining_code=RETRAINING,
    )
    make_release(run, folder, wanted)
    return Release.load(folder)


def _renamed(records: Records) -> Records:
    """The records with other identifiers: worlds number their creators alike, and nobody of the opening lives on."""
    return dataclasses.replace(records, person=tuple(f"before{person}" for person in records.person))
