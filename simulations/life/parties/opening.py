"""Before a life begins: lenders lent by their own policies, loans matured, and one plan trained the first model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sealscore.clients.features.traffic import FLAGGED
from sealscore.server.releases.making import PURPOSE, Wanted, make_release
from sealscore.shared.identity.identity import Identity
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.experiments.job import RunFailed
from sealscore.simulations.life.config import FIRST_MONTH, LifeConfig

BASE_PLAN, SMALL_PLAN = "creators_eps2", "creators_small"
"""The plan that trains the first model, and the one for openings of fewer than SMALL creators."""
SMALL = 30_000
# Inflow of three months at the wallet, in the currency.
CAPACITY_EDGES = (5_000.0, 10_000.0, 20_000.0, 40_000.0, 80_000.0, 160_000.0)
_LEAST_OVERLAP = 50


@dataclass(frozen=True)
class Opened:
    """The opening's records, and what came of its plan: the release, and each party's identity and ledger's file."""

    records: Mapping[str, Records]
    release: Release
    identities: Mapping[str, Identity]
    ledgers: Mapping[str, Path]

    @property
    def plan(self) -> Plan:
        """The plan that was carried out."""
        return self.release.plan


def open_life(config: LifeConfig, folder: Path, tell: Callable[[str], None]) -> Opened:
    """Train the first model on the loans of the opening, and release it for the whole life.

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
    records = load_parties(scenario, tell)
    tell("training on the opening's loans")
    federation = Federation.of(scenario.plan, records, None, folder / "ledgers")
    federation.run(folder / "run")
    if short := federation.shortfalls:
        raise RunFailed("pairs share too few persons; raise opening.creators", short)
    plan = federation.plan
    wallets = [group for group in plan.platforms if plan.members(group)[0].name == "wallet"]
    videos = [group for group in plan.platforms if group not in wallets]
    wanted = Wanted(
        name=f"life-{config.seed}",
        purpose_code=PURPOSE,
        issued=FIRST_MONTH,
        # The last applications wait for their reviews.
        expires=FIRST_MONTH + timedelta(days=31 * config.months + 60),
        capacity={group: {"column": "inflow_3m", "edges": CAPACITY_EDGES} for group in wallets},
        flag={group: {"column": "traffic_anomaly_180d", "above": FLAGGED} for group in videos},
    )
    make_release(folder / "run", folder / "release", wanted)
    identities = {
        party.name: Identity.simulated(plan.seed, party.name, plan.groups[party.group].role) for party in plan.parties
    }
    ledgers = {name: folder / "ledgers" / f"{name}.db" for name in identities}
    return Opened(records, Release.load(folder / "release"), identities, ledgers)
