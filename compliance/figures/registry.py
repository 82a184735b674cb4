"""A record of what was released, in the fields of the Differential Privacy Deployments Registry.

Fields and tiers are those of the registry that OpenDP opened in November 2025 and that NIST has proposed to host
(https://registry.opendp.org/transparency-tiers, and the records in https://github.com/opendp/deployments-registry-data,
as read in that form; it is still being changed there). Tier 1 says what the product is, tier 2 adds the guarantee and
its parameters, tier 3 how it was accounted, built and justified.

A ledger knows nothing of a region, a date of publication or an author, and nobody may invent them: such fields are
null and listed under `to_fill_in`, and `tier` is the one that the record reaches as it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from sealscore.compliance.figures.joint import JointClaim, joint_claims
from sealscore.compliance.told.kinds import TOLD_KINDS
from sealscore.compliance.told.rows import DisclosureRow, planned_kinds, told_rows
from sealscore.compliance.verify.account import Account
from sealscore.compliance.verify.checks import verdict_of
from sealscore.compliance.verify.verification import Verification
from sealscore.shared.dp.accountant import DISCRETISATION, PldAccountant
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.plan.plan import Plan

FORM = "https://github.com/opendp/deployments-registry-data"
TIERS = "https://registry.opendp.org/transparency-tiers"

_TIER_1 = tuple(
    f"product.{name}"
    for name in (
        *("name", "data_curators", "intended_use", "data_product_type", "data_product_region", "description"),
        *("publication_date", "data_product_sector"),
    )
)
_TIER_2 = (
    *("dp_flavor.name", "privacy_loss.privacy_unit", "privacy_loss.privacy_parameters", "model.model_name"),
    *("model.release_type", "model.data_source_type", "model.access_type"),
)
_TIER_3 = (
    *("dp_flavor.data_domain", "dp_flavor.unprotected_quantities", "privacy_loss.privacy_unit_description"),
    *("model.actors", "accounting.post_processing", "accounting.composition"),
    *("implementation.pre_processing_eda_hyperparameter_tuning", "implementation.mechanisms"),
    "implementation.justification",
)


def registry_record(ledgers: Sequence[Verification]) -> dict[str, Any]:
    """One deployment for each plan of these ledgers, with how each ledger was verified beside it."""
    accounts = [Account.read(ledger.path, ledger.state or LedgerState()) for ledger in ledgers]
    told = told_rows(accounts)
    return {
        "registry": {"form": FORM, "tiers": TIERS},
        "deployments": [_deployment(claim, ledgers, accounts, told) for claim in joint_claims(ledgers)],
        "ledgers": [
            {
                "party": ledger.party,
                "ledger": ledger.ledger,
                "entries": ledger.entries,
                "verified": ledger.ok,
                "verdict": verdict_of(ledger).value,
                "findings": sorted({finding.code for finding in ledger.findings}),
                "anchors_given": ledger.anchored.given,
                "simulation": ledger.simulation,
            }
            for ledger in ledgers
        ],
    }


def _deployment(
    claim: JointClaim, ledgers: Sequence[Verification], accounts: Sequence[Account], told: Sequence[DisclosureRow]
) -> dict[str, Any]:
    plan, mechanisms = claim.plan, Mechanisms(claim.plan)
    rows = [one for one in told if plan.hash in one.plans]
    kinds = {one.kind for one in rows} | planned_kinds(accounts, plan.hash)
    deployment = {
        "product": _product(plan),
        "dp_flavor": _flavor(plan, kinds),
        "privacy_loss": _loss(claim),
        "model": _model(claim, ledgers),
        "accounting": _accounting(mechanisms),
        "implementation": _implementation(mechanisms, any(ledger.simulation for ledger in ledgers)),
        "resources": {"sources": None, "registry_authors": None},
    }
    absent = _absent(deployment, (*_TIER_1, *_TIER_2, *_TIER_3))
    return {
        "url_slug": plan.name.replace("_", "-").replace(".", "-"),
        "status": "Draft",
        "tier": tier_of(deployment),
        "tier_when_filled_in": tier_of(deployment, trusting=absent),
        "to_fill_in": [*absent, "resources.registry_authors"],
        "plan": plan.hash,
        "deployment": deployment,
        "disclosures": [one.as_json() for one in rows],
    }


def tier_of(deployment: dict[str, Any], trusting: Sequence[str] = ()) -> int:
    """The tier whose fields, and those of the tiers below, are all there; 0 where not even tier 1's are.

    Fields in `trusting` count as there.
    """
    reached = 0
    for tier, fields in enumerate((_TIER_1, _TIER_2, _TIER_3), start=1):
        if set(_absent(deployment, fields)) - set(trusting):
            break
        reached = tier
    return reached


def _absent(deployment: dict[str, Any], fields: Sequence[str]) -> list[str]:
    found = []
    for field in fields:
        group, name = field.split(".")
        if deployment[group].get(name) in (None, "", [], {}):
            found.append(field)
    return found


def _product(plan: Plan) -> dict[str, Any]:
    parties = f"{len(plan.parties)} parties that keep their records"
    what = f"A score of the chance of default, trained across {parties}, with its noisy evaluation. Default is: "
    if plan.monitoring is not None:
        what = f"Counts of loans of {parties}, by month, band and what became of them: "
    return {
        "name": plan.name,
        "data_curators": [party.name for party in plan.parties],
        "intended_use": plan.purpose,
        "data_product_type": "Machine learning model" if plan.monitoring is None else "Summary statistics",
        "data_product_region": None,
        "description": f"{what}{plan.outcome.definition}, within {plan.outcome.window_days} days.",
        "publication_date": None,
        # The registry's list of sectors has grown; which of them fits is for the author to say.
        "data_product_sector": None,
    }


def _flavor(plan: Plan, kinds: Collection[str]) -> dict[str, Any]:
    outside = "Sizes of groups, feature names, bounds and levels, and nominal record counts: public in the plan."
    if plan.signals_from is not None:
        outside += " Nothing to lenders or platforms beside: levels are those that lenders had under an earlier plan"
        outside += ", or have of tokens whose consents name retraining." if plan.signals_from.retraining else "."
    outside = " ".join([outside, *(kind.beyond() for key, kind in TOLD_KINDS.items() if key in kinds)])
    return {
        "name": "Approximate DP",
        "input_metric": "symmetric distance between sets of persons",
        "bound_on_input_distance": "1 person",
        "output_measure": "approximate max divergence (epsilon at delta)",
        "data_domain": "Tables of lenders and platforms whose columns the plan names, each with any number of persons "
        f"and at most {plan.privacy.max_records_per_person} records of a person in a release.",
        "unprotected_quantities": outside,
    }


def _loss(claim: JointClaim) -> dict[str, Any]:
    plan = claim.plan
    finite = math.isfinite(claim.epsilon)
    said = (
        f"Spent so far, by the ledgers of {', '.join(claim.parties)}; the plan allows {plan.privacy.epsilon:g}. "
        if finite
        else "Nothing bounds what was released: it is a plan without noise, for simulations. "
    )
    if claim.missing:
        said += f"The ledgers of {', '.join(claim.missing)} were not given; a group without a ledger counts in full "
        said += "where something was exchanged with it. "
    if claim.against_platforms is not None and math.isfinite(claim.against_platforms):
        said += f"Against a platform, which has noisy labels too: epsilon {claim.against_platforms:.4g}."
    return {
        "privacy_unit": "Person",
        "privacy_unit_description": "Add or remove all records of one person at all parties. A person has at most "
        f"{plan.privacy.max_records_per_person} records at a party in a release and is at no more than "
        f"{plan.privacy.max_parties_per_person or 'all'} parties.",
        "privacy_parameters": {"epsilon": claim.epsilon, "delta": claim.delta} if finite else None,
        "privacy_parameters_description": said.strip(),
    }


def _model(claim: JointClaim, ledgers: Sequence[Verification]) -> dict[str, Any]:
    plan = claim.plan
    colluding = ", ".join(f"{group.max_colluding} of the group {name}" for name, group in plan.groups.items())
    plans = max((len(ledger.state.plans) for ledger in ledgers if ledger.state), default=0)
    return {
        "model_name": "Federated",
        "model_name_description": "Parties add shares of the noise to their own sums; the server sees sums of cohorts.",
        "actors": "Parties: keep their records, run reviewed code and keep their secrets. Server: not trusted with "
        f"records; sees noisy sums. Colluding with it, at most: {colluding}. Who gets the model is not trusted at all.",
        "release_type": "Many releases" if plans > 1 else "One release",
        "release_type_description": "A plan runs once; all plans on a data set draw on one ceiling of its operator.",
        "data_source_type": "Static",
        "data_source_type_description": f"Outcomes were watched until {plan.outcome.cutoff}.",
        "access_type": "Non-interactive",
    }


def _accounting(mechanisms: Mechanisms) -> dict[str, Any]:
    accountant = PldAccountant()
    together = "All phases compose in sequence, since a person can be in both parts."
    if mechanisms.plan.monitoring is not None:
        together = "One sum counts everybody; with other plans on the same data it composes in sequence."
    apart = "Training and test persons compose in parallel." if len(mechanisms.composed) > 1 else together
    return {
        "post_processing": "The server's optimizer, bin edges, calibration and reports are computed from noisy sums."
        if mechanisms.plan.monitoring is None
        else "Rates, intervals and shifts of bands are computed from noisy counts.",
        "composition": "Privacy loss distributions of all attempts of all phases "
        f"({accountant.version}, discretisation {DISCRETISATION:g}), failed attempts included. {apart}",
    }


def _implementation(mechanisms: Mechanisms, simulated: bool) -> dict[str, Any]:
    plan = mechanisms.plan
    clip = ", ".join(f"{plan.clip_norm(p.group):g} ({p.name})" for p in mechanisms.phases if p.of.clips)
    summed = f"and of clipped gradients (clip norm {clip}; Poisson sampling at rate {plan.training.sample_rate:g})"
    tuning = "Bins come from noisy histograms that are charged. Tuning of settings on private data"
    if plan.monitoring is not None:
        summed, tuning = "(no sampling)", "Months and bands are the plan's. A choice of them on private data"
    noise = ", ".join(f"{name} {multiplier:.6g}" for name, multiplier in mechanisms.noise_multipliers.items())
    secrets = (
        "This was a simulation: keys and noise follow from a seed and protect nobody."
        if simulated
        else "Secrets come from the operating system's generator; sums over several parties are masked, and messages "
        "sealed and signed."
    )
    return {
        "pre_processing_eda_hyperparameter_tuning": f"{tuning}, if there was any, is outside of epsilon.",
        "mechanisms": f"Discrete Gaussian noise on integer sums of counts {summed}. Noise multipliers: {noise}. "
        "Integer noise leaves no floating-point channel; its distance from the accounted distribution is charged to "
        f"delta. {secrets}",
        "justification": None,
    }
