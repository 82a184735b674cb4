"""The sections on what the check of the ledgers found, and on what this report was made from."""

from __future__ import annotations

from sealscore.compliance.figures.review import LedgerReview, PartyReview
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
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.text.numbers import plural, whole


def verdict(review: LedgerReview) -> str:
    """The result of all checks in one line."""
    failed = [party for party in review.parties if not party.verification.ok]
    if not failed:
        if len(review.parties) == 1:
            return "The ledger verifies: every check passes."
        return f"All {whole(len(review.parties))} ledgers verify: every check passes."
    findings = sum(len(party.verification.findings) + party.verification.dropped for party in failed)
    if len(review.parties) == 1:
        return f"The ledger does NOT verify: {plural(findings, 'finding')}."
    return (
        f"{whole(len(failed))} of {plural(len(review.parties), 'ledger')} "
        f"{'does' if len(failed) == 1 else 'do'} NOT verify: {plural(findings, 'finding')}."
    )


def verification(review: LedgerReview) -> Html:
    """What was checked, and every finding by its code and entry."""
    checked = [
        "the chain: every entry follows the one before it and has the hash of what it says;",
        "signatures: every entry is signed by the key on the card of the party whose ledger it is;",
        "order: every entry is allowed in its place, by the rules that a node itself follows;",
        "plans: noise, sensitivity, shares and cohorts are those that the approved plans prescribe;",
        "random sources: no release took its randomness from a seed"
        + (" (seeds of simulated parties were let pass, as was asked);" if review.simulation else ";"),
        "budgets: epsilon, recomputed from the entries, is within every ceiling in force when something was released;",
        "anchors: what others keep of this ledger is in it.",
    ]
    parts: list[object] = [paragraph(strong(verdict(review))), paragraph("Checked, offline:"), bullets(checked)]
    parts.append(_overview(review))
    parts += [_findings(party) for party in review.parties]
    return join(parts)


def _overview(review: LedgerReview) -> Html:
    rows = [
        (
            party.account.party,
            "verifies" if party.verification.ok else f"fails, exit code {party.verification.exit_code}",
            whole(party.verification.entries),
            whole(party.verification.anchored.given),
            whole(party.verification.anchored.kept),
            whole(party.verification.anchored.up_to),
        )
        for party in review.parties
    ]
    columns = [
        *("ledger of", "result"),
        Column("entries", number=True),
        Column("anchors given that agree", number=True),
        Column("kept in the ledger", number=True),
        Column("anchored up to entry", number=True),
    ]
    said = paragraph(
        "An anchor is the party's signed statement of its ledger at some moment, kept by somebody else: the server or "
        "a peer. Only anchors show that a ledger was rewritten by its own operator, and what came after the last of "
        "them could have been cut off unseen.",
        class_="note",
    )
    return join([table(columns, rows, "Results"), said])


def _findings(party: PartyReview) -> Html:
    found = party.verification
    parts: list[object] = []
    if found.findings:
        rows = [
            (one.code, one.fault.title, whole(one.seq) if one.seq else "whole file", one.what) for one in found.findings
        ]
        columns = ["code", "kind", Column("entry", number=True), "what was found"]
        more = f"; {whole(found.dropped)} more of the same codes are not listed" if found.dropped else ""
        parts.append(table(columns, rows, f"Findings in the ledger of {party.account.party}{more}"))
    if found.warnings:
        parts.append(notice(f"Odd in the ledger of {party.account.party}, though no failure", bullets(found.warnings)))
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
