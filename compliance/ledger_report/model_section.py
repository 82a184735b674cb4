"""The sections on the model of a run: its card, whether the ledgers agree with the run, and reason-code coverage."""

from __future__ import annotations

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.ledger_report.told.disclosure_section import phase_words
from sealscore.compliance.pages.page import Column, Html, bullets, element, join, pairs, paragraph, table
from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_figures.scorecard import REASONS
from sealscore.compliance.run_report.comparison_sections import scorecard as effects_by_feature
from sealscore.compliance.run_report.fairness_section import fairness_section
from sealscore.compliance.run_report.quality_sections import approved, with_interval
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.numbers import fixed, listed, percent, plural, short, whole

_UNGIVEN = "No run was given with these ledgers, so this report says nothing of a model."


def model_card(review: LedgerReview) -> Html:
    """What the model is, for what it was made, how good it is, and what to be careful about."""
    found = review.run
    if found is None:
        return paragraph(_UNGIVEN)
    return join(
        [
            pairs(_card(found)),
            element("h3", "What to be careful about"),
            bullets(_cautions(found)),
            _agreement(review, found),
        ]
    )


def fairness(review: LedgerReview) -> Html:
    """How the score treats protected groups."""
    return fairness_section(review.run) if review.run else paragraph(_UNGIVEN)


def reasons(review: LedgerReview) -> Html:
    """What moves the score, and for how many applicants its reason codes speak."""
    found = review.run
    if found is None:
        return paragraph(_UNGIVEN)
    effects = found.effects[found.run.plan.lenders]
    covered = sum(effect.first for effect in effects)
    never = [effect.feature for effect in effects if effect.named < 5e-4]
    unnamed = f" Never or hardly ever named: {listed(never)}." if never else ""
    named = f"{whole(len(effects) - len(never))} of {plural(len(effects), 'feature')}"
    said = paragraph(
        f"Coverage: {percent(covered, 1)} of applicants get at least one reason that raises their PD, out of at most "
        f"{REASONS}; the others are safer than the average in every feature that may be named. Of the lenders' score, "
        f"{named} are named as a reason for somebody.{unnamed} Reasons name features as the plan does; "
        "protected attributes are not among them, as they do not enter the score, nor is what the plan "
        "marks as a proxy of one."
    )
    return join([said, effects_by_feature(found)])


def _card(found: Findings) -> list[tuple[object, object]]:
    run, plan = found.run, found.run.plan
    parties = listed(
        [f"{plural(len(plan.members(name)), plan.groups[name].role)}" for name in (plan.lenders, *plan.platforms)]
    )
    protected = [feature.name for group in plan.groups.values() for feature in group.table.protected]
    network = f" and a network of {plan.model.hidden} units" if plan.model.hidden else ""
    records = sum(party.nominal_records for party in plan.members(plan.lenders))
    split, outcome = plan.evaluation.split, plan.outcome
    fallback = [("quality without signals", _quality(found.fallback))] if found.fallback else []
    return [
        ("model", f"{plan.name}: weighted bins, at most {whole(bin_rule(plan, plan.lenders).bins)} a feature{network}"),
        ("run", f"{run.record['run']}, started {run.record['started']}"),
        ("made for", f"{plan.purpose} (purpose code {plan.purpose_code})"),
        ("not made for", "any other purpose, product or population; refusing a person without a human's review"),
        (
            "predicts",
            f"{outcome.definition}; watched for {plural(outcome.window_days, 'day')}, up to {outcome.cutoff}",
        ),
        ("trained by", f"{parties}, {whole(records)} nominal records at lenders; {_algorithm(plan)}"),
        ("features", _features(plan)),
        ("protected, never in the score", listed(protected) if protected else "none named"),
        (
            "judged on",
            f"test persons, {percent(split.test_fraction)} of all, by {split.kind}; 95 % intervals for noise",
        ),
        ("quality", _quality(found.figures)),
        *fallback,
        ("at the cut-off", f"{approved(found)} approved, all with a PD of at most {percent(found.cut.pd, 1)}"),
        ("privacy", _privacy(found)),
    ]


def _quality(figures: TableFigures) -> str:
    shown = (
        ("AUC", figures.auc),
        ("KS", figures.ks),
        ("Brier score", figures.brier),
        ("calibration error", figures.ece),
    )
    return "; ".join(f"{name} {with_interval(figure)}" for name, figure in shown)


def _privacy(found: Findings) -> str:
    epsilon = found.privacy["epsilon"]
    if epsilon is None:
        return "no noise, so no guarantee"
    delta = short(found.run.plan.privacy.delta)
    return f"epsilon {fixed(epsilon)} for a person at delta {delta}, by the run's record"


def _algorithm(plan: Plan) -> str:
    training = plan.training
    if training.auto:
        return f"the additive recipe, {whole(training.rounds)} rounds over all records"
    rate = percent(training.sample_rate, 1)
    return f"{training.algorithm}, {whole(training.rounds)} rounds, each record in a round with probability {rate}"


def _features(plan: Plan) -> str:
    told = []
    for name in (plan.lenders, *plan.platforms):
        scored = [feature.name for feature in plan.groups[name].table.scored]
        told.append(f"{name}: {listed(scored)}")
    return "; ".join(told)


def _cautions(found: Findings) -> list[str]:
    said = [
        "Outcomes are known of loans that were granted: of people who were refused then, the data says nothing.",
        "A model ages: bins, scores and bad rates are to be watched, and the model is to be made again when they move.",
        "Updates are masked, so none was inspected: a party that poisoned its own would not have been seen.",
    ]
    if found.run.plan.privacy.noise == "none":
        said.insert(0, "It was trained without noise: the model itself may reveal single persons.")
    if found.simulated:
        said.insert(0, "The run is a simulation; its records may be invented.")
    said += [f"{phase_words(phase)} ended early: {why}." for phase, why in found.run.record["early"].items()]
    return said


def _agreement(review: LedgerReview, found: Findings) -> Html:
    """Whether the ledgers have every answer that the run's record names."""
    plan, rows, short_of = found.run.plan, [], 0
    ledgers = {party.account.party: party.account for party in review.parties}
    for phase, counts in found.run.record["answered"].items():
        for name, answered in counts.items():
            account = ledgers.get(name)
            state = account.state.plans.get(plan.hash) if account else None
            if state is None:
                continue
            charged = state.spent[phase]
            short_of += charged < answered
            rows.append(
                (name, phase_words(phase), whole(answered), whole(charged), "yes" if charged >= answered else "NO")
            )
    title = element("h3", "Whether run and ledgers agree")
    if not rows:
        return join(
            [title, paragraph("No ledger given here has approved the plan of this run, so they cannot be compared.")]
        )
    verdict = (
        f"{plural(short_of, 'count')} of the run exceed what ledgers charged: a ledger leaves out what was answered."
        if short_of
        else "Every answer that the run's record speaks of is charged in the ledger of the party that gave it."
    )
    columns = [
        *("party", "phase"),
        Column("answered by the run's record", number=True),
        Column("charged in the ledger", number=True),
        "all charged",
    ]
    return join([title, paragraph(verdict), table(columns, rows)])
