"""The section on what failed: requests that were refused, reservations that were given up, answers without a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.ledger_report.told.disclosure_section import phase_words
from sealscore.compliance.pages.page import Column, Html, join, paragraph, table
from sealscore.shared.ledger.entries import Abort, Refuse, Reserve
from sealscore.shared.text.numbers import coded, listed, whole

_SHOWN = 40


def incidents(review: LedgerReview) -> Html:
    """Refusals and failures, of all ledgers."""
    said = paragraph(
        "A node answers what its operator approved, in the order of the plan and within every ceiling, and writes down "
        "what it refused. A refusal releases nothing. Many of them, or for plans that nobody approved, say that "
        "somebody asked for more than is due: ask who runs the server."
    )
    found = [_refused(review), _aborted(review), _lost(review)]
    if not any(found):
        nothing = "Nothing was refused, nothing given up, and every reserved answer has its record."
        return join([said, paragraph(nothing)])
    return join([said, *found])


def _refused(review: LedgerReview) -> Html:
    codes: Counter[str] = Counter()
    rows = []
    for party in review.parties:
        for line, entry in party.account.of(Refuse):
            codes[entry.code] += 1
            asked = f"{phase_words(entry.phase)}, round {entry.round}, attempt {entry.attempt}"
            plan = party.account.plan_name(entry.plan)
            rows.append((party.account.party, whole(line.seq), line.minute, coded(entry.code), plan, asked, entry.why))
    columns = [
        "ledger of",
        Column("entry", number=True),
        Column("time (UTC)", number=True),
        "kind",
        "plan",
        "asked for",
        "why",
    ]
    by_code = ", ".join(f"{coded(code)} {whole(times)}" for code, times in sorted(codes.items()))
    return _table(columns, rows, f"Refused requests: {by_code}")


def _table(columns: Sequence[object], rows: Sequence[Sequence[object]], caption: str) -> Html:
    """The last rows, with how many there are."""
    if not rows:
        return Html("")
    shown = f" (the last {_SHOWN} of {whole(len(rows))})" if len(rows) > _SHOWN else ""
    return table(columns, rows[-_SHOWN:], f"{caption}{shown}")


def _aborted(review: LedgerReview) -> Html:
    rows = []
    for party in review.parties:
        reserved = {line.seq: entry for line, entry in party.account.of(Reserve)}
        for line, entry in party.account.of(Abort):
            of = reserved.get(entry.reserve)
            what = f"{phase_words(of.phase)}, round {of.round}, attempt {of.attempt}" if of else "not known"
            plan = party.account.plan_name(of.plan) if of else "not known"
            rows.append((party.account.party, whole(line.seq), plan, what, whole(entry.count), coded(entry.why)))
    columns = ["ledger of", Column("entry", number=True), "plan", "what", Column("answers never given", number=True)]
    return _table([*columns, "why"], rows, "Reservations given up before an answer left")


def _lost(review: LedgerReview) -> Html:
    """Answers that count as given and of which there is no record: a node that died, or one at work."""
    lost = {party.account.party: party.unrecorded for party in review.parties if party.unrecorded}
    if not lost:
        return Html("")
    named = listed([f"{whole(count)} at {name}" for name, count in lost.items()])
    return paragraph(
        f"Reserved answers without a record of being given: {named}. They may have left before a crash could be noted, "
        "so they count as given."
    )
