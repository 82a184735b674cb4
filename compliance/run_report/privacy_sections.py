"""The sections on the guarantee, what it cost phase by phase, and who saw what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sealscore.compliance.pages.figures import Label, Line, Rule, line_figure
from sealscore.compliance.pages.page import Column, Html, bullets, element, figure, join, pairs, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.compliance.run_figures.disclosure import crossed, nobody, phase_title, sights, training_applicants
from sealscore.compliance.run_figures.epsilon import Moment
from sealscore.compliance.run_figures.findings import Findings
from sealscore.shared.dp.membership import BASE_RATES, least_believed, most_believed
from sealscore.shared.text.numbers import UNKNOWN, fixed, listed, percent, plural, short, whole


def guarantee(found: Findings) -> Html:
    """The claim, stated completely, and what it means for one person."""
    plan, privacy = found.run.plan, found.privacy
    if privacy["epsilon"] is None:
        return paragraph(
            "The plan adds no noise. Nothing bounds what its results tell about a person, and no epsilon is claimed: "
            "such plans are for simulations only."
        )
    return join([_claim(found), _meaning(privacy["epsilon"], plan.privacy.delta), _assumptions(found), _beyond(found)])


def _claim(found: Findings) -> Html:
    plan, privacy, record = found.run.plan, found.privacy, found.run.record["privacy"]
    check = record.get("check")
    stated: list[tuple[object, object]] = [
        ("epsilon spent", f"{fixed(privacy['epsilon'])}, over every answer that a party may have given"),
        ("epsilon of the plan", f"{short(privacy['epsilon_of_plan'])}; with all spare attempts {_budgeted(found)}"),
        ("delta", short(plan.privacy.delta)),
        ("protected unit", "a person: all records of that person at all parties"),
        ("neighbouring relation", "adding or removing one person"),
        ("accountant", f"{record['accountant']}: privacy loss distributions, composed over all phases"),
    ]
    if check:
        stated.append(("second opinion", f"{fixed(check['epsilon'])} by {check['accountant']}"))
    if privacy["epsilon_against_platforms"] is not None:
        stated.append(
            (
                "against a platform",
                f"epsilon {fixed(privacy['epsilon_against_platforms'])}, alone or with the server: the same composed "
                f"with {_labels(found)} at label epsilon {short(privacy['label_epsilon'])} (all platforms get the same "
                "coin, so several platforms learn no more than one)",
            )
        )
    if plan.signals_from is not None:
        had = "nothing new of anybody: lenders use again the levels that they were told under an earlier plan"
        if plan.signals_from.retraining:
            had += f", and those of tokens whose consents name {plan.signals_from.retraining}"
        stated.append(("disclosed without epsilon", had))
    elif plan.platforms:
        bits, limit = plural(plan.model.signal_bits, "bit"), whole(plan.privacy.signal_bits)
        told = [name for group in plan.platforms for name in plan.groups_at(group)]
        stated.append(
            (
                "disclosed without epsilon",
                f"{bits} of each consented, aligned applicant, from each platform that knows them to their lender (at "
                f"most {limit} over the life of a platform's data set)"
                + (f"; and the bands of {listed(told)} of aligned test persons" if told else ""),
            )
        )
    return pairs(stated)


def _labels(found: Findings) -> str:
    plan = found.run.plan
    lenders = len(plan.members(plan.lenders))
    most = min(plan.privacy.max_parties_per_person or lenders, lenders)
    return "a person's noisy label" if most == 1 else f"up to {most} noisy labels of a person"


def _budgeted(found: Findings) -> str:
    return fixed(found.privacy["epsilon_budgeted"])


def _meaning(epsilon: float, delta: float) -> Html:
    rows = [
        (percent(rate), _belief(most_believed(epsilon, rate)), _belief(least_believed(epsilon, rate)))
        for rate in BASE_RATES
    ]
    columns = [
        Column("believed before", number=True),
        Column("at most after", number=True),
        Column("at least after", number=True),
    ]
    said = paragraph(
        "What it means for one person: somebody who knows everything else, and sees all results, wonders whether this "
        f"person was among the records. But for a probability of {short(delta)}, their belief can move only so far:"
    )
    return join(
        [said, table(columns, rows, f"Belief that a person was among the records, at epsilon {fixed(epsilon)}")]
    )


def _belief(value: float) -> str:
    return f"{short(100 * value)} %"


def _assumptions(found: Findings) -> Html:
    plan, run = found.run.plan, found.run
    most = plan.privacy.max_records_per_person
    spread = plan.privacy.max_parties_per_person
    where = f"no more than {plural(spread, 'party', 'parties')}" if spread else "any number of the parties"
    said = [
        f"A person has at most {plural(most, 'record')} at a party in any release (each party enforces it), and stands "
        f"at {where} of a phase (the plan states it; no party can check it).",
        *(_collusion(found, name) for name in plan.groups),
        "Noise is a discrete Gaussian on integers; its distance from the exact distribution is charged to delta.",
        "Parties run the reviewed code and keep their secrets. Records change nothing else that is sent: answers have "
        "a fixed length, and faults show as “unavailable”.",
    ]
    if found.simulated:
        said.append(
            "In this simulation secrets follow from the plan's seed, so the assumption on secrets did not hold."
        )
    if any(len(plan.members(name)) > 1 for name in plan.groups):
        said.append(
            "Sums were masked, so that the server saw no single contribution."
            if run.protection.masked
            else "Sums were not masked, as far as the record says: for the server itself the claim does not hold."
        )
    if plan.platforms:
        said.append(
            "Payloads between lenders and platforms were sealed, so that the server could open none."
            if run.protection.sealed
            else "Payloads between lenders and platforms were not sealed, as far as the record says: the claim does "
            "not hold for the server, which could read them."
        )
    return join([element("h3", "What it rests on"), bullets(said)])


def _collusion(found: Findings, name: str) -> str:
    group = found.run.plan.groups[name]
    members = len(found.run.plan.members(name))
    if members == 1:
        return f"The one party of the group {name} adds all of the noise itself, so nobody else can take any off."
    return (
        f"Of the {members} parties of the group {name} at most {group.max_colluding} collude with the server or one "
        f"another; a sum is of at least {group.min_parties}."
    )


def _beyond(found: Findings) -> Html:
    said = [
        "What is true of people in general: the model is meant to learn it, with this person's record or without.",
        "A party that lies about its records: its update cannot be inspected.",
        "Choices that were made by looking at private data outside of this plan.",
    ]
    if found.run.plan.platforms:
        said += [
            "What a lender learns from the signal of its own consented applicants, and from asking whether they are "
            "on a platform: that is given in bits and by consent.",
            "A server and a lender together can choose what the bits of the signal tell, though not how many they are.",
        ]
    return join([element("h3", "What it does not cover"), bullets(said)])


def spending(found: Findings) -> Html:
    """Epsilon by phase and round."""
    if not found.costs:
        return paragraph("The plan adds no noise, so there is nothing to account for.")
    intro = paragraph(
        "Every sum that a party answered is charged, whether or not it was used. Losses compose more slowly than they "
        "add: the figures of single phases add to more than the total. "
        + (
            "Training persons and test persons are different people, so the claim is the larger of their two totals."
            if found.apart
            else "A person may be a training person at one party and a test person at another, so all phases add up."
        )
    )
    return join([intro, _epsilon_figure(found), _phase_table(found)])


def _epsilon_figure(found: Findings) -> Html:
    moments = found.moments
    limit = found.privacy["epsilon_of_plan"] or 0.0
    most = max([limit, *(m.epsilon for m in moments), *(m.platform or 0.0 for m in moments)]) * 1.1
    end = moments[-1].answers
    lines = [Line("", [m.answers for m in moments], [m.epsilon for m in moments], STYLES[0])]
    labels = [_along("all who see the results", moments, lambda m: m.epsilon, -20, STYLES[0].colour)]
    labelled = [m for m in moments if m.platform is not None]
    if labelled:
        values = [m.platform or 0.0 for m in labelled]
        lines.append(Line("", [m.answers for m in labelled], values, STYLES[1]))
        name = "a platform, with noisy labels"
        labels.append(_along(name, labelled, lambda m: m.platform or 0.0, -20, STYLES[1].colour))
    drawn = line_figure(
        "Epsilon along the run",
        Axis("sums answered so far, phase after phase", 0, end, whole),
        Axis("epsilon for a person so far", 0, most, short),
        lines,
        [Rule(f"the plan's limit for a person, {short(limit)}", y=limit), *_phase_rules(found)],
        labels,
        width=800,
        height=320,
    )
    words = "How the claim grew; each dashed upright line is the start of the training of a tower."
    return figure(drawn, "Epsilon by round.", words, wide=True)


def _along(name: str, moments: Sequence[Moment], figure_of: Callable[[Moment], float], up: float, colour: str) -> Label:
    """The name of a line, below it, after the start of the last tower's training."""
    at = moments[-1].answers * 0.72
    height = float(np.interp(at, [m.answers for m in moments], [figure_of(m) for m in moments]))
    return Label(name, at, height, colour, up=up)


def _phase_rules(found: Findings) -> list[Rule]:
    """Where phases with many rounds begin."""
    rules, before = [], 0
    for cost in found.costs:
        if cost.answers >= max(5, found.moments[-1].answers // 20):
            rules.append(Rule(phase_title(found.run.plan, cost.phase), x=before))
        before += cost.answers
    return rules


def _phase_table(found: Findings) -> Html:
    recorded = {entry["phase"]: entry["event"] for entry in found.run.record["privacy"]["phases"]}
    rows = [
        (
            phase_title(found.run.plan, cost.phase),
            "test" if cost.phase.test else "training",
            whole(cost.answers),
            whole(cost.phase.attempts),
            _mechanism(recorded.get(cost.phase.name, {})),
            fixed(cost.alone),
            fixed(cost.total),
        )
        for cost in found.costs
    ]
    columns = [
        *("phase", "persons"),
        Column("answered", number=True),
        Column("in budget", number=True),
        "mechanism (noise over sensitivity, sampling)",
        Column("epsilon alone", number=True),
        Column("claim so far", number=True),
    ]
    return table(columns, rows, "Epsilon by phase")


def _mechanism(event: dict[str, object]) -> str:
    noise = event.get("noise_multiplier")
    if not isinstance(noise, float | int):
        return UNKNOWN
    sensitivity, rate = event.get("sensitivity", 1.0), event.get("sample_rate", 1.0)
    ratio = float(noise) / float(sensitivity) if isinstance(sensitivity, float | int) else float(noise)
    all_records = not isinstance(rate, float | int) or rate == 1
    sampled = "all records" if all_records else f"each record with probability {short(float(str(rate)))}"
    count = event.get("multiplicity", 1)
    several = f", up to {count} records a person" if count != 1 else ""
    return f"Gaussian, {short(ratio)}, {sampled}{several}"


def who_saw_what(found: Findings) -> Html:
    """The phases of the plan, with what each party saw in it."""
    run = found.run
    alone = {cost.phase.name: cost.alone for cost in found.costs}
    seen = sights(run, alone)
    columns = ["phase", "the server saw", "lenders saw of others", "platforms saw of others", "bounded by"]
    rows: list[tuple[str, ...]] = [(s.phase, s.server, s.lenders, s.platforms, s.bound) for s in seen]
    if not run.plan.platforms:
        columns = ["phase", "the server saw", "lenders saw of others", "bounded by"]
        rows = [(s.phase, s.server, s.lenders, s.bound) for s in seen]
    parts = [
        paragraph(
            "Derived from the phases of the plan, in their order. Whoever gets the published model and this report "
            "sees what came out of sums with noise, and nothing else."
        ),
        table(columns, rows, class_="words"),
        paragraph("Nobody saw of another party:"),
        bullets(f"{what};" for what in nobody(run.plan)),
    ]
    meetings = crossed(run)
    if meetings:
        each = run.record["payload_bytes_per_applicant"]
        heads = ["from", "to", Column("bytes", number=True), Column("for each training applicant", number=True)]
        said = (
            f"Payloads between lenders and platforms, carried by the server: {short(each)} bytes for each of "
            f"{training_applicants(run)} nominal training applicants."
        )
        parts += [element("h3", "What crossed between lenders and platforms"), paragraph(said), table(heads, meetings)]
    return join(parts)
