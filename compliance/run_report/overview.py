"""The first page of a run's report: what was trained, for whom, how good it is and what it cost."""

from __future__ import annotations

import math

from sealscore.compliance.pages.figures import gauge_figure
from sealscore.compliance.pages.page import Column, Html, bullets, cards, figure, join, notice, paragraph, strong, table
from sealscore.compliance.run_figures.fairness import FOUR_FIFTHS
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_report.quality_sections import approved, with_interval
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.numbers import (
    LOST,
    between,
    data_size,
    fixed,
    known,
    listed,
    plural,
    short,
    whole,
)

# Parties of a group that the first page names.
_NAMED = 6


def glance(found: Findings) -> Html:
    """The section."""
    return join([_lead(found), _cautions(found), _cards(found), _gauge(found), _parties(found.run.plan)])


def _lead(found: Findings) -> Html:
    plan = found.run.plan
    who = listed([_group(plan, name) for name in (plan.lenders, *plan.platforms)])
    outcome = plan.outcome
    ends = f" The plan expires on {plan.expires}." if plan.expires else ""
    return paragraph(
        strong(who),
        " trained one score of the risk that a loan goes bad. Each kept its records; what left them is listed under "
        "“Who saw what”. ",
        strong("Purpose: "),
        f"{plan.purpose}. ",
        strong("Bad means: "),
        f"{outcome.definition}; watched for {plural(outcome.window_days, 'day')}, up to {outcome.cutoff}.{ends}",
        class_="lead",
    )


def _group(plan: Plan, name: str) -> str:
    role = plan.groups[name].role
    count = plural(len(plan.members(name)), role)
    return count if name == role else f"{count} ({name})"


def _cautions(found: Findings) -> Html:
    """What keeps the figures from being taken for more than they are."""
    run, said = found.run, []
    if found.simulated:
        said.append(
            "This is a simulation. Its secrets follow from a seed, so it protected nobody: the privacy figures are "
            "those that the same plan gives among real parties. Figures marked “simulation only” could not be known "
            "outside of it."
        )
    if run.plan.privacy.noise == "none":
        said.append("This plan adds no noise, so it gives no guarantee of privacy whatever.")
    several = [name for name in run.plan.groups if len(run.plan.members(name)) > 1]
    whose = "the group" if len(several) == 1 else "the groups"
    if run.unsealed:
        said.append(
            "The research engine carried this run out: nothing was sealed, masked or written into a ledger, and no "
            "message was sent. Samples, noise, sums and accounting are those that the same plan has among nodes."
        )
    elif several and not run.protection.masked:
        said.append(
            "The record does not say that sums were masked. Without masks the server sees each party's own "
            f"contribution (of {whose} {listed(several)}), which carries only a part of the noise: epsilon then holds "
            "for the results, and not against the server."
        )
    if run.plan.platforms and not run.protection.sealed and not run.unsealed:
        said.append(
            "The record does not say that payloads between lenders and platforms were sealed. Without seals the "
            "server can read them: noisy labels, signal levels and groups."
        )
    warnings = (run.oracle or {}).get("warnings", ())
    said += [f"{warning['words'][0].upper()}{warning['words'][1:]}." for warning in warnings]
    said += [f"The record contradicts its plan: {fault}." for fault in found.faults]
    said += [f"{phase} ended early: {why}." for phase, why in run.record["early"].items()]
    return notice("Read this first", bullets(said)) if said else Html("")


def _cards(found: Findings) -> Html:
    figures, exact = found.figures, found.exact

    def known_exactly(name: str) -> str:
        return f" Exact: {fixed(exact[name], 4)} (simulation only)." if name in exact else ""

    entries: list[tuple[object, object, object]] = [
        (
            "Ranking: AUC",
            with_interval(figures.auc),
            "Of a bad and a good loan, how often the bad one has the riskier score. 0.5 is guessing."
            + known_exactly("auc"),
        ),
        (
            "Separation: KS",
            with_interval(figures.ks),
            "At the best cut-off, bad loans refused less good loans refused." + known_exactly("ks"),
        ),
        (
            "Calibration error",
            with_interval(figures.ece),
            "How far predicted probabilities are from bad rates, on average." + known_exactly("ece"),
        ),
        *_privacy_cards(found),
        _fairness_card(found),
        _traffic_card(found),
    ]
    return cards(entries)


def _privacy_cards(found: Findings) -> list[tuple[object, object, object]]:
    plan, privacy = found.run.plan, found.privacy
    epsilon, platform = privacy["epsilon"], privacy["epsilon_against_platforms"]
    if epsilon is None:
        return [("Epsilon for a person", "none", "The plan adds no noise: nothing bounds what its results tell.")]
    made: list[tuple[object, object, object]] = [
        (
            "Epsilon for a person",
            fixed(epsilon),
            f"Of {short(privacy['epsilon_of_plan'])} allowed. From all results together, nobody's doubt whether a "
            f"given person was among the records shifts by more than a factor of {short(math.exp(epsilon))}.",
        )
    ]
    if platform is not None:
        made.append(
            (
                "Epsilon against a platform",
                fixed(platform),
                "The same against a platform, which also holds noisy labels: a factor of at most "
                f"{short(math.exp(platform))}.",
            )
        )
    if plan.platforms and plan.signals_from is None:
        bits = plural(plan.model.signal_bits, "bit")
        alone = sum(len(plan.members(name)) for name in plan.platforms) == 1
        made.append(
            (
                "Disclosed by consent",
                bits if alone else f"{bits} a platform",
                f"One of {plan.model.signal_levels} levels of each consented applicant goes from a platform to that "
                "applicant's lender. Epsilon does not cover what the lender learns from it.",
            )
        )
    return made


def _fairness_card(found: Findings) -> tuple[object, object, object]:
    name, told = "Lowest approval ratio", found.told
    cut = f"at the cut-off that approves {approved(found)}"
    if not found.groups:
        return name, "not asked", "The plan reports no groups."
    if not told:
        return name, "cannot tell", f"No group is large enough for the noise, {cut}."
    attribute, band = min(told, key=lambda pair: pair[1].ratio.value if pair[1].ratio else math.inf)
    below = sum(band.verdict == "below four fifths" for _, band in told)
    ratio = band.ratio
    shown = between(ratio.value, ratio.low, ratio.high, 2) if ratio else LOST
    verdict = (
        f"The lowest of {plural(len(told), 'group')} that can be told; of {whole(below)} the whole 95 % interval, "
        f"corrected for all groups at once, is below {short(FOUR_FIFTHS)}."
    )
    called = found.run.plan.band_names(attribute)[band.band]
    return (
        name,
        shown,
        f"{attribute}: {called}, against the group with the most approvals, {cut}. {verdict}",
    )


def _traffic_card(found: Findings) -> tuple[object, object, object]:
    record = found.run.record
    each = record["payload_bytes_per_applicant"]
    seconds = f"The run took {short(record['seconds'])} seconds"
    if found.run.unsealed:
        return "What crossed", "nothing", f"The research engine sends no messages. {seconds}."
    moved = f"{data_size(record['bytes_per_party'])} went to and from the busiest party"
    if known(each):
        said = f"Between lenders and platforms, for each training applicant. {moved}. {seconds}."
        return "What crossed", f"{short(each)} bytes", said
    return "What crossed", data_size(record["bytes_per_party"]), f"To and from the busiest party. {seconds}."


def _gauge(found: Findings) -> Html:
    privacy = found.privacy
    spent, reserved, limit = (privacy[name] for name in ("epsilon", "epsilon_budgeted", "epsilon_of_plan"))
    if spent is None or reserved is None or limit is None:
        return Html("")
    drawn = gauge_figure(
        f"Epsilon spent {fixed(spent)} of {fixed(limit)}",
        spent,
        reserved,
        limit,
        ("spent", "with all spare attempts", "the plan's limit"),
    )
    words = "The dark bar is what the run spent, the pale one what spare attempts, set aside for failures, would add."
    return figure(drawn, "The privacy budget of a person, in epsilon.", words, wide=True)


def _parties(plan: Plan) -> Html:
    rows = []
    for name in (plan.lenders, *plan.platforms):
        members = plan.members(name)
        named = [party.name for party in members[:_NAMED]]
        if len(members) > _NAMED:
            named.append(f"{whole(len(members) - _NAMED)} more")
        records = whole(sum(party.nominal_records for party in members))
        rows.append((name, plan.groups[name].role, listed(named), records, _holds(plan, name)))
    columns = ["group", "role", "parties", Column("nominal records", number=True), "each party holds"]
    return table(columns, rows, "Who took part")


def _holds(plan: Plan, group: str) -> str:
    schema = plan.groups[group].table
    scored = f"{plural(len(schema.scored), 'scored feature')}"
    protected = [feature.name for feature in schema.protected]
    label = ", the outcome" if schema.label else ""
    kept = f", {listed(protected)} (protected: for evaluation only)" if protected else ""
    return f"{scored}{label}{kept}"
