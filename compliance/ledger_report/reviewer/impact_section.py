"""The section for an impact assessment: what a person stated, beside what the ledgers say of the same."""

from __future__ import annotations

from collections.abc import Iterator

from sealscore.compliance.figures.recipients import Recipient
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.impact.facts import RETAINED, ImpactFacts
from sealscore.compliance.ledger_report.budget_section import epsilon_text
from sealscore.compliance.ledger_report.reviewer.overview_section import recipient_name
from sealscore.compliance.pages.page import Html, element, join, pairs, paragraph, signed_line, soft, table
from sealscore.compliance.told.kinds import TOLD_KINDS
from sealscore.compliance.told.rows import planned_kinds
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.numbers import listed, whole


def impact(review: LedgerReview, facts: ImpactFacts) -> Html:
    """Everything that was stated, blanks by name, and the line to sign on."""
    groups = [
        (tr("The assessment"), _assessment(facts)),
        (tr("Purposes, and the legal basis"), _basis(review, facts)),
        (tr("What is told to whom"), _told(review)),
        (tr("Roles and places"), None),
        (tr("How long it is kept"), _retention(facts)),
        (tr("Contact, consent, decisions, complaints"), _rights(facts)),
    ]
    parts: list[object] = [
        paragraph(
            tr(
                "What no ledger knows was stated by whoever wrote the assessment, and nobody has checked it here. What "
                "was not stated says so. Figures and recipients are those of the ledgers."
            )
        )
    ]
    for title, rows in groups:
        parts.append(element("h3", title))
        parts.append(_places(review, facts) if rows is None else pairs(rows))
    return join([*parts, sign_off(facts)])


def sign_off(facts: ImpactFacts | None) -> Html:
    """Who made it and when, and a line for whoever reads and signs it."""
    made = facts.assessment if facts else None
    rows = [
        (tr("made by"), _said(made.author if made else "")),
        (tr("date"), _said(str(made.date) if made and made.date else "")),
    ]
    return join([pairs(rows), signed_line(tr("read and approved by"), tr("date"), tr("signature"))])


def _said(text: str) -> object:
    """What was stated; that it was not, where it is blank."""
    return text.strip() or soft(tr("not stated"))


def _assessment(facts: ImpactFacts) -> list[tuple[object, object]]:
    made = facts.assessment
    return [
        (tr("necessity and proportion"), _said(made.necessity)),
        (tr("risks for persons"), _said(made.risks)),
        (tr("measures against them"), _said(made.measures)),
        (tr("conclusion"), _said(made.conclusion)),
    ]


def _basis(review: LedgerReview, facts: ImpactFacts) -> list[tuple[object, object]]:
    purposes = sorted({plan.purpose for plan in review.plans})
    codes = {
        code
        for party in review.parties
        for release in party.account.state.serving.releases.values()
        for code in (release.manifest.purpose_code, release.manifest.retraining_code, release.manifest.monitoring_code)
        if code
    }
    return [
        (tr("purposes, in the plans' words"), "; ".join(purposes) or tr("none: no plan is approved")),
        (tr("purposes of releases"), listed(sorted(codes)) or tr("none: no release is approved")),
        (tr("legal basis of training"), _said(facts.basis.training)),
        (tr("legal basis of scoring"), _said(facts.basis.scoring)),
        (tr("basis for sensitive information"), _said(facts.basis.sensitive)),
    ]


def _told(review: LedgerReview) -> list[tuple[object, object]]:
    kinds = {one.kind for one in review.told} | planned_kinds([party.account for party in review.parties])
    fields = {
        key: dict.fromkeys(name for one in review.told if one.kind == key for name in one.fields) for key in kinds
    }
    rows: list[tuple[object, object]] = [(recipient_name(one), _learns(one)) for one in review.recipients]
    for key, kind in TOLD_KINDS.items():
        if key in kinds:
            named = listed(list(fields[key])) or tr("nothing was told yet")
            rows.append((tr("{kind}: data fields", kind=kind.title()), named))
    return rows


def _learns(one: Recipient) -> str:
    words = tr("epsilon of one person {epsilon}", epsilon=epsilon_text(one.epsilon))
    return words + (tr("; without noise {bits} bits of one person", bits=whole(one.total)) if one.total else "")


def _places(review: LedgerReview, facts: ImpactFacts) -> Html:
    parties = sorted({party.name for plan in review.plans for party in plan.parties})
    groups = {party.name: plan.groups[party.group].role for plan in review.plans for party in plan.parties}
    roles = {"lender": tr("lender"), "platform": tr("platform")}
    rows = [
        (
            name,
            roles.get(groups[name], groups[name]),
            _said(facts.roles.get(name, "")),
            _said(facts.location.parties.get(name, "")),
        )
        for name in parties
    ]
    server = (tr("the server"), tr("coordinator"), _said(facts.roles.get("server", "")), _said(facts.location.server))
    columns = [tr("who"), tr("in the plan"), tr("role in law"), tr("place")]
    border = pairs([(tr("transfers across a border"), _said(facts.location.border))])
    return join([table(columns, [*rows, server], class_="words"), border])


def _retention(facts: ImpactFacts) -> Iterator[tuple[object, object]]:
    titles = {
        "raw-records": tr("raw records"),
        "labels": tr("noisy labels at platforms"),
        "signal": tr("levels at lenders"),
        "bands": tr("bands of protected attributes at lenders"),
        "scores": tr("log of scores"),
        "decisions": tr("records of decisions"),
        "ledger": tr("ledger and disclosure store"),
        "models": tr("models"),
    }
    for kind in RETAINED:
        yield titles[kind], _said(facts.retention.get(kind, ""))


def _rights(facts: ImpactFacts) -> list[tuple[object, object]]:
    return [
        (tr("who is responsible"), _said(facts.contact.handler)),
        (tr("protection officer"), _said(facts.contact.officer)),
        (tr("how to reach them"), _said(facts.contact.reach)),
        (tr("separate consent: how it is asked for"), _said(facts.consent.asked)),
        (tr("separate consent: how it is withdrawn"), _said(facts.consent.withdrawn)),
        (tr("automated decisions: what a program decides"), _said(facts.decisions.decided)),
        (tr("automated decisions: what a person reviews"), _said(facts.decisions.reviewed)),
        (tr("automated decisions: how they are explained"), _said(facts.decisions.explained)),
        (tr("complaints: the way"), _said(facts.complaint.route)),
        (tr("complaints: the authority"), _said(facts.complaint.authority)),
    ]
