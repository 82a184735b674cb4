"""The compliance report: one page without scripts, from ledgers, anchors and, where there is one, a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.impact.facts import ImpactFacts
from sealscore.compliance.ledger_report.budget_section import budgets
from sealscore.compliance.ledger_report.claim_section import claim
from sealscore.compliance.ledger_report.collusion_section import collusion
from sealscore.compliance.ledger_report.incidents_section import incidents
from sealscore.compliance.ledger_report.joint_section import joint
from sealscore.compliance.ledger_report.model_section import fairness, model_card, reasons
from sealscore.compliance.ledger_report.reviewer.impact_section import impact, sign_off
from sealscore.compliance.ledger_report.reviewer.overview_section import overview, unusual
from sealscore.compliance.ledger_report.reviewer.verdict import verdict_line
from sealscore.compliance.ledger_report.reviewer.verification_section import record, verification
from sealscore.compliance.ledger_report.timeline_section import timeline
from sealscore.compliance.ledger_report.told.disclosure_section import consents, disclosures, labels
from sealscore.compliance.ledger_report.told.scoring_section import scoring
from sealscore.compliance.ledger_report.trust_section import beyond as covered_not
from sealscore.compliance.pages.glossary import glossary
from sealscore.compliance.pages.page import Page, bullets, pairs, paragraph
from sealscore.shared.files import write_whole
from sealscore.shared.text.catalogue import language, speaking, tr, trn
from sealscore.shared.text.numbers import listed

_NAMED = 4


def write_compliance_report(
    ledgers: Sequence[Path],
    output: Path,
    run: Path | None = None,
    anchors: Sequence[Path] = (),
    simulation: bool = False,
) -> Path:
    """Write the report of one or several parties' ledgers; returns where it is.

    Args:
        ledgers: their files, which are only read. One that does not verify is reported too, with what was found.
        output: the HTML file to write; an older one is replaced at once or not at all.
        run: the folder of a run of one of the plans, for the model card, fairness and reason codes.
        anchors: files of heads and receipts that others keep.
        simulation: let seeded randomness of simulated parties pass.

    Raises:
        ValueError: no ledger is given.
        AnchorError: a file of anchors cannot be read.
        NotARun: the run's folder has no whole run.
        OSError: the report cannot be written.
    """
    if not ledgers:
        raise ValueError("a report needs at least one ledger")
    return write_review(LedgerReview.of(ledgers, run, anchors, simulation), output)


def write_review(review: LedgerReview, output: Path, facts: ImpactFacts | None = None, spoken: str = "en") -> Path:
    """Write the report of ledgers that were read; OSError where it cannot be written."""
    write_whole(output, compliance_report(review, facts, spoken))
    return output


def compliance_report(review: LedgerReview, facts: ImpactFacts | None = None, spoken: str = "en") -> str:
    """The report as a whole document, with the section for an impact assessment where facts are stated.

    In a language other than English it has what a reviewer reads; the technical sections are in English alone.
    """
    with speaking(spoken):
        return _report(review, facts, spoken == "en")


def _report(review: LedgerReview, facts: ImpactFacts | None, whole: bool) -> str:
    page = _page(review)
    page.section(tr("At a glance"), overview(review), key="glance")
    if facts is not None:
        page.section(tr("Impact assessment"), impact(review, facts), key="impact")
    if whole:
        page.section("The claim, stated completely", claim(review), key="claim")
        page.section("Budgets: spent, set aside, left", budgets(review), key="budgets")
        page.section("Releases over time", timeline(review), key="timeline")
        page.section("If parties collude", collusion(review), key="collusion")
        page.section("One person at several parties", joint(review), key="joint")
    page.section(tr("Who told whom what"), disclosures(review), key="told")
    if whole:
        page.section("Releases of labels", labels(review), key="labels")
        page.section("Scoring", scoring(review), key="scoring")
    else:
        page.section(tr("What is not covered"), bullets(covered_not(review)), key="beyond")
    page.section(tr("All that is unusual"), unusual(review), key="unusual")
    if whole:
        page.section("Refused and failed requests", incidents(review), key="refused")
        page.section("Withdrawn consents", consents(review), key="withdrawn")
    page.section(tr("Verification"), verification(review), key="verification")
    if whole:
        page.section("The model card", model_card(review), key="model")
        if review.run is not None:
            page.section("How the score treats groups", fairness(review), key="groups")
            page.section("Reason codes and what moves the score", reasons(review), key="reasons")
    platforms = any(plan.platforms for plan in review.plans)
    words = glossary(platforms, False, model=whole and review.run is not None, ledgers=True)
    page.section(tr("Glossary"), pairs(words), key="glossary")
    if whole:
        page.section("Record", record(review), sign_off(facts), key="record")
    else:
        only = tr("The technical sections and the record of files and hashes are in the report in English.")
        page.section(tr("To sign"), paragraph(only), sign_off(facts), key="record")
    return page.render()


def _page(review: LedgerReview) -> Page:
    names = [party.account.party for party in review.parties]
    shown = listed(names) if len(names) <= _NAMED else trn("{count} ledger", "{count} ledgers", len(names))
    days = [party.account.lines[-1].day for party in review.parties if party.account.lines]
    verdict = verdict_line([party.verification for party in review.parties])
    last = tr("Last entry of {day}.", day=max(days)) if days else ""
    title = tr("Privacy report: {names}", names=shown)
    return Page(title, f"{verdict} {last}".strip(), "zh-CN" if language() == "zh" else "en")
