"""The sections on what the check of the ledgers found, and on what this report was made from."""

from __future__ import annotations

from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.figures.worries import few_names
from sealscore.compliance.ledger_report.reviewer.verdict import check_title, outcome_words, verdict_line, verdict_title
from sealscore.compliance.pages.page import (
    Column,
    Html,
    bullets,
    element,
    join,
    notice,
    pairs,
    paragraph,
    strong,
    table,
)
from sealscore.compliance.pages.software import own_version
from sealscore.compliance.verify.checks import CheckOutcome, checks_of, grouped_findings, verdict_of
from sealscore.compliance.verify.verification import Fault
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.numbers import whole

# Ledgers that fared differently have a column each, up to so many.
_COLUMNS = 3


def verification(review: LedgerReview) -> Html:
    """What was checked, with what came of it, and every finding by its code and entry."""
    found = [party.verification for party in review.parties]
    parts: list[object] = [paragraph(strong(verdict_line(found)))]
    parts += [_checks(review), _overview(review)]
    parts += [_findings(party) for party in review.parties]
    return join(parts)


def _checks(review: LedgerReview) -> Html:
    """Every check with its outcome; ledgers that fared alike as one column."""
    fared: dict[tuple[str, ...], list[str]] = {}
    for party in review.parties:
        outcomes = tuple(outcome_words(check) for check in checks_of(party.verification))
        fared.setdefault(outcomes, []).append(party.account.party)
    shown = list(fared.items())
    rows: list[tuple[object, ...]]
    if len(shown) > _COLUMNS:
        rows = [
            (party.account.party, check_title(check.fault), outcome_words(check))
            for party in review.parties
            for check in checks_of(party.verification)
            if check.outcome is not CheckOutcome.PASSED
        ]
        caption = tr("Checks that did not pass, offline; all others did")
        return table([tr("ledger of"), tr("check"), tr("outcome")], rows, caption, class_="words")
    rows = [(check_title(fault), *(outcomes[place] for outcomes, _ in shown)) for place, fault in enumerate(Fault)]
    heads = [few_names(names) for _, names in shown]
    return table([tr("check, offline"), *heads], rows, tr("What was checked, and what came of it"), class_="checks")


def _overview(review: LedgerReview) -> Html:
    rows = [
        (
            party.account.party,
            verdict_title(verdict_of(party.verification)),
            whole(party.verification.entries),
            whole(party.verification.anchored.given),
            whole(party.verification.anchored.kept),
            whole(party.verification.anchored.up_to),
        )
        for party in review.parties
    ]
    columns = [
        *(tr("ledger of"), tr("result")),
        Column(tr("entries"), number=True),
        Column(tr("anchors given that agree"), number=True),
        Column(tr("kept in the ledger"), number=True),
        Column(tr("anchored up to entry"), number=True),
    ]
    said = paragraph(
        tr(
            "An anchor is the party's signed statement of its ledger at some moment, kept by somebody else: the server "
            "or a peer. Only anchors show that a ledger was rewritten by its own operator, and what came after the "
            "last of them could have been cut off unseen."
        ),
        class_="note",
    )
    return join([table(columns, rows, tr("Results")), said])


def _findings(party: PartyReview) -> Html:
    found = party.verification
    parts: list[object] = []
    if found.findings:
        rows = [(check_title(one.fault), one.entries, whole(one.count), one.what) for one in grouped_findings(found)]
        columns = [tr("check"), tr("entries"), Column(tr("findings"), number=True), tr("what was found")]
        more = tr("; {n} more like these are not listed", n=whole(found.dropped)) if found.dropped else ""
        parts.append(table(columns, rows, tr("Findings in the ledger of {party}", party=party.account.party) + more))
    if found.warnings:
        parts.append(
            notice(
                tr("Odd in the ledger of {party}, though no failure", party=party.account.party),
                bullets(found.warnings),
            )
        )
    return join(parts)


def record(review: LedgerReview) -> Html:
    """The files, cards, plans and software behind this report."""
    parts: list[object] = []
    parts.append(
        pairs(
            [
                ("accountant", f"{PldAccountant.name}, {PldAccountant().version}"),
                ("Sealscore", own_version()),
                (
                    "made from",
                    "ledgers, anchors and run records alone, offline; it can be made again from the same files",
                ),
            ]
        )
    )
    for party in review.parties:
        account, found = party.account, party.verification
        last = account.lines[-1] if account.lines else None
        parts.append(
            pairs(
                [
                    ("ledger", f"{account.path.name}, of {account.party}"),
                    ("data set", account.data_set),
                    ("identity of the ledger", element("code", found.ledger or "not known")),
                    ("fingerprint of the card", element("code", found.card.fingerprint if found.card else "not known")),
                    ("entries", f"{whole(found.entries)}, the last of {last.minute if last else 'no date'} (UTC)"),
                ]
            )
        )
    rows = [(plan.name, plan.purpose_code, element("code", plan.hash)) for plan in review.plans]
    if rows:
        purposes = sorted({(plan.purpose_code, plan.purpose) for plan in review.plans})
        parts.append(table(["plan", "purpose", "hash"], rows, "Plans"))
        parts.append(table(["purpose", "in the plans' words"], purposes, "Purposes"))
    return join(parts)
