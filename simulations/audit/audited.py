"""One audit: a federation with canaries at one party, the server's guesses, and the bound held against the claim."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from sealscore.clients.roles.role import PartyRole
from sealscore.server.run.rounds import Observer
from sealscore.server.transport.exchange import Exchange, MissingParties, PhaseFailed
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import SampledGaussian
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.plan.towers import group_of, towers
from sealscore.simulations.audit import CANARIES, CONFIDENCE, GUESSES
from sealscore.simulations.audit.bound import curve_epsilon, one_run_epsilon
from sealscore.simulations.audit.breaks import claimed_event
from sealscore.simulations.audit.canaries import LEAST_CANARIES
from sealscore.simulations.audit.faults import Break
from sealscore.simulations.audit.parties import ToldSums, WidenedRole
from sealscore.simulations.audit.server import Attack, AuditingServer, Seen
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.engine.grid import run_in_process
from sealscore.simulations.experiments.job import RunFailed
from sealscore.simulations.experiments.seeds import Unheard, Watching, seeds_of
from sealscore.simulations.world.seeding import generator


@dataclass(frozen=True)
class Setting:
    """What is fixed before a run: whom to audit, how many canaries and guesses, and what is broken on purpose.

    `group` names the tower: a group's, or the fallback.
    Half of the guesses say "in" of the canaries with the highest scores, half say "out" of those with the lowest. Each
    of the two bounds holds with half of what `confidence` leaves, so with `confidence` both hold.

    Raises:
        ValueError: fewer than 1000 canaries, an odd number of guesses, more of them than canaries, or no confidence.
    """

    group: str
    party: str
    canaries: int = CANARIES
    guesses: int = GUESSES
    confidence: float = CONFIDENCE
    fault: Break | None = None

    def __post_init__(self) -> None:
        if self.canaries < LEAST_CANARIES:
            raise ValueError(f"{self.canaries} canaries: with fewer than {LEAST_CANARIES} an audit finds little")
        if not (0 < self.guesses <= self.canaries and self.guesses % 2 == 0):
            raise ValueError(f"{self.guesses} guesses: an even number from 2 to the canaries, {self.canaries}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence {self.confidence}: must be between 0 and 1")

    @classmethod
    def of(cls, plan: Plan, group: str | None = None, party: str | None = None, **more: Any) -> Setting:
        """The setting for a plan: by default its lenders' tower, and the first party of the group.

        Raises:
            PlanError: the plan has no such group or party, or claims nothing.
        """
        if plan.privacy.noise == "none":
            raise PlanError(plan.name, ["privacy.noise = 'none': the plan claims nothing that could be audited"])
        if plan.monitoring is not None:
            raise PlanError(plan.name, ["monitoring: the audit puts canaries into towers; neighbours reads counts"])
        if plan.training.auto:
            raise PlanError(plan.name, ['training = "auto": the audit puts canaries into towers; neighbours reads it'])
        if group is None:
            group = plan.party(party).group if party in {p.name for p in plan.parties} else plan.lenders
        known = [tower.name for tower in towers(plan)]
        if group not in known:
            raise PlanError(plan.name, [f"no group {group!r}; there are {', '.join(sorted(known))}"])
        members = [member.name for member in plan.members(group_of(plan, group))]
        if (party or members[0]) not in members:
            raise PlanError(plan.name, [f"no party {party!r} in group {group!r}; there are {', '.join(members)}"])
        return cls(group, party or members[0], **more)


@dataclass(frozen=True)
class Audit:
    """What one run showed.

    `claim` is epsilon at `delta` of `event`, by the claim's accountant; `one_run` and `curve` are the lower bounds of
    the two tests. `reach` says how much of the clip norm a canary moved a sum by, at least.
    """

    plan: str
    seed: int
    setting: Setting
    event: SampledGaussian
    delta: float
    claim: float
    right: int
    one_run: float
    curve: float
    reach: float

    @property
    def bound(self) -> float:
        """The larger of the two bounds; with the setting's confidence epsilon is at least this."""
        return max(self.one_run, self.curve)

    @property
    def exceeded(self) -> bool:
        """Whether the claim is refuted."""
        return self.bound > self.claim

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        setting = dataclasses.asdict(self.setting)
        setting["fault"] = self.setting.fault.value if self.setting.fault else None
        found = {"plan": self.plan, "seed": self.seed, **setting, "event": self.event.model_dump(mode="json")}
        figures = {"delta": self.delta, "claim": self.claim, "right": self.right, "reach": self.reach}
        bounds = {"one_run": self.one_run, "curve": self.curve, "bound": self.bound, "exceeded": self.exceeded}
        return found | figures | bounds


def audit_seeds(
    scenario: Scenario,
    count: int,
    setting: Setting,
    watching: Watching = lambda seed: Unheard(),
    attack: Attack | None = None,
) -> list[Audit]:
    """Audit a scenario under `count` seeds, counted up from its own. Raises as `audit_run`, and BadSetting."""
    audits = []
    for seed in seeds_of(scenario, count):
        with watching(seed) as watch:
            watch.tell(f"seed {seed}: reading and checking records")
            audits.append(audit_run(scenario.with_seed(seed), setting, watch, attack))
    return audits


def audit_run(scenario: Scenario, setting: Setting, observer: Observer, attack: Attack | None = None) -> Audit:
    """Run the scenario's plan up to the audited phase and through it, once, and bound its epsilon from below.

    Persons of lenders and platforms are matched by `exact`, which finds the same pairs in less time and is no part of
    the audited phase.

    Raises:
        DataError, PlanError, RunFailed: as for a run; PlanError too where the tower has no room for the canaries.
    """
    plan = scenario.plan.replace(alignment__method="exact") if scenario.plan.platforms else scenario.plan
    coins = generator(plan.seed, "coins of canaries").integers(0, 2, setting.canaries).astype(bool)
    federation = Federation.of(plan, load_parties(scenario))
    torch.set_num_threads(1)
    try:
        seen = observe(federation, setting, np.flatnonzero(coins), observer, attack)
    except (PhaseFailed, MissingParties) as error:
        raise RunFailed(str(error), federation.faults) from error
    finally:
        for name, door in federation.doors.items():
            door.close()
            federation.ledgers[name].close()
    right = right_guesses(seen.scores, coins, setting.guesses)
    event = claimed_event(setting.fault, _released(plan, setting.group, seen.answers))
    delta, significance = plan.privacy.delta, (1 - setting.confidence) / 2
    return Audit(
        plan=plan.name,
        seed=plan.seed,
        setting=setting,
        event=event,
        delta=delta,
        claim=PldAccountant().epsilon([event], delta),
        right=right,
        one_run=one_run_epsilon(setting.canaries, setting.guesses, right, delta, significance),
        curve=curve_epsilon(event, setting.canaries, setting.guesses, right, delta, significance),
        reach=seen.reach,
    )


def right_guesses(scores: np.ndarray, coins: np.ndarray, guesses: int) -> int:
    """How many guesses are right: "in" of the `guesses` / 2 highest scores, "out" of as many lowest."""
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    return int(np.sum(coins[order[-half:]]) + np.sum(~coins[order[:half]]))


def observe(
    federation: Federation,
    setting: Setting,
    numbers: np.ndarray,
    observer: Observer,
    attack: Attack | None = None,
) -> Seen:
    """What the server sees where the canaries of these numbers are in; as many parties collude with it as may.

    The nodes of the audited group get their audited roles here, so a federation serves one audit.
    """
    plan, tower = federation.plan, setting.group
    members = plan.members(group_of(plan, tower))
    mechanisms, told = Mechanisms(plan), ToldSums()
    loss = federation.nodes[setting.party].role.loss
    others = [member.name for member in members if member.name != setting.party]
    colluding = others[: plan.groups[group_of(plan, tower)].max_colluding]
    for member in members:
        node = federation.nodes[member.name]
        widened = WidenedRole(
            node.role,
            plan,
            tower,
            mechanisms,
            setting.canaries,
            numbers if member.name == setting.party else numbers[:0],
            setting.fault,
            told.add if member.name in colluding else None,
        )
        node.role = cast(PartyRole, widened)

    def main(exchange: Exchange) -> Seen:
        run = f"audit-{plan.hash[:16]}"
        sealed = SealedExchange(exchange, plan, run, Identity.simulated(plan.seed, SERVER, "server"))
        try:
            settled = (setting.canaries, loss, told, setting.fault, attack)
            server = AuditingServer(plan, run, sealed, observer, *settled)
            return server.audit(tower)
        finally:
            sealed.close()

    return run_in_process(federation.doors, main)


def _released(plan: Plan, tower: str, answers: int) -> SampledGaussian:
    """The event of the audited phase over so many answers."""
    mechanisms = Mechanisms(plan)
    phase = next(p for p in mechanisms.phases if (p.kind, p.tower) == (Kind.TRAIN, tower))
    event = mechanisms.event(phase)
    assert isinstance(event, SampledGaussian), "a plan with noise trains by sampled Gaussians"
    return event.model_copy(update={"count": phase.steps * answers})
