"""The sections on what left without a sum: disclosures in bits, noisy labels, and consents that were withdrawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.pages.page import Column, Html, bullets, join, paragraph, table
from sealscore.compliance.verify.account import Account, LedgerLine
from sealscore.shared.dp.events import Disclosure, RandomizedResponse
from sealscore.shared.ledger.budget_check import bits_by_recipient, label_epsilon
from sealscore.shared.ledger.entries import Disclose, Withdraw
from sealscore.shared.phases.order import KINDS
from sealscore.shared.text.numbers import fixed, percent, plural, short, whole

_KINDS = {kind.value: found.title for kind, found in KINDS.items()}


@dataclass
class _Told:
    """Disclosures of one kind, to one recipient, with one meaning."""

    recipient: str
    phase: str
    entry: Disclose
    lines: list[LedgerLine] = field(default_factory=list)
    persons: int = 0
    fresh: int = 0


def phase_words(name: str) -> str:
    """A phase of a ledger in words; the name itself where it is none of ours."""
    kind, _, tower = name.partition(":")
    return f"{_KINDS[kind]} ({tower})" if kind in _KINDS else name


def disclosures(review: LedgerReview) -> Html:
    """Who got what of how many persons, without noise."""
    said = paragraph(
        "Lenders and platforms exchange some values as they are, of persons who consented: sealed, so that only "
        "the recipient can read them, and without noise, so that epsilon does not cover what the recipient learns. "
        "They are counted in bits: one bit is the answer to one question of yes or no. “New” counts persons of whom "
        "the recipients had not received the same before. Sender and recipient both record a disclosure."
    )
    rows = [
        (
            party.account.party,
            one.recipient,
            phase_words(one.phase),
            plural(one.entry.event.bits, "bit"),
            whole(one.persons),
            whole(one.fresh),
            whole(len(one.lines)),
            _days(one),
        )
        for party in review.parties
        for one in _gathered(party.account, Disclosure)
        if isinstance(one.entry.event, Disclosure)
    ]
    if not rows:
        return join([said, paragraph("No ledger here records a disclosure: nothing was disclosed of single persons.")])
    columns = [
        *("ledger of", "disclosed to", "in the phase"),
        Column("of each person", number=True),
        Column("persons", number=True),
        Column("of them new", number=True),
        Column("messages", number=True),
        Column("when", number=True),
    ]
    sums = [
        f"By the ledger of {party.account.party}, {recipient} has received at most {plural(bits, 'bit')} of any one "
        f"person.{_signal_limit(party)}"
        for party in review.parties
        for recipient, bits in bits_by_recipient(party.account.state).items()
    ]
    return join([said, table(columns, rows, "Disclosures by recipient"), bullets(sums)])


def _signal_limit(party: PartyReview) -> str:
    ceilings = party.account.ceilings
    if ceilings is None or not party.verification.signal_bits:
        return ""
    return (
        f" Of the signal it is {plural(party.verification.signal_bits, 'bit')} at most; the operator allows "
        f"{whole(ceilings.signal_bits)} over the life of the data set."
    )


def labels(review: LedgerReview) -> Html:
    """Releases of noisy labels."""
    told = [(party, _gathered(party.account, RandomizedResponse)) for party in review.parties]
    if not any(found for _, found in told):
        return paragraph("No ledger here records a release of labels: no platform was sent whether a loan went bad.")
    said = paragraph(
        "A platform that trains gets one noisy label of each consented person: whether the loan went bad, flipped with "
        "a stated probability. The coin is thrown once and kept, so the same label sent again adds nothing, "
        "and each outcome and label epsilon counts once for a person, to however many platforms it went."
    )
    parts: list[Html] = [said]
    for party, found in told:
        rows = []
        for one in found:
            event = one.entry.event
            if isinstance(event, RandomizedResponse):
                flipped = percent(1 / (1 + math.exp(event.epsilon)), 1)
                rows.append(
                    (
                        one.recipient,
                        one.entry.what or "the outcome of the plan",
                        short(event.epsilon),
                        flipped,
                        whole(one.persons),
                        whole(one.fresh),
                        whole(len(one.lines)),
                        _days(one),
                    )
                )
        if not rows:
            continue
        columns = [
            *("sent to", "outcome"),
            Column("label epsilon", number=True),
            Column("flipped", number=True),
            Column("persons", number=True),
            Column("of them new", number=True),
            Column("messages", number=True),
            Column("when", number=True),
        ]
        total = label_epsilon(party.account.state)
        limit = party.account.ceilings.label_epsilon if party.account.ceilings else None
        ceiling = (
            f" of {short(limit)} that the operator allows" if limit is not None else "; the operator set no ceiling"
        )
        parts += [
            table(columns, rows, f"Releases of labels by {party.account.party}"),
            paragraph(f"All releases of a label together: label epsilon {fixed(total, 2)}{ceiling}."),
        ]
        if party.platform is not None:
            figure = "no bound" if math.isinf(party.platform) else fixed(party.platform)
            parts.append(
                paragraph(
                    "Against a platform, which has these labels, epsilon of a person is "
                    f"{figure} by this ledger alone: all of its sums, composed with the labels. Sums of platforms come "
                    "on top, as the section “One person at several parties” says."
                )
            )
    return join(parts)


def consents(review: LedgerReview) -> Html:
    """Consents that were withdrawn."""
    rows = [
        (
            party.account.party,
            line.day,
            "passed on to" if entry.direction == "passed" else "received from, and deleted",
            entry.peer,
            whole(entry.persons),
            party.account.plan_name(entry.plan),
        )
        for party in review.parties
        for line, entry in party.account.of(Withdraw)
    ]
    said = paragraph(
        "A person who withdraws a consent is not used from the next round on. A sealed notice goes to every party that "
        "has that person's label or signal, which deletes it. What was already released stays charged: it cannot be "
        "taken back. The parties' own disclosure stores say whose consents they were, not this report."
    )
    if not rows:
        return join([said, paragraph("No ledger here records a withdrawal.")])
    columns = [
        "ledger of",
        Column("date", number=True),
        "what happened",
        "other party",
        Column("persons", number=True),
        "plan",
    ]
    return join([said, table(columns, rows, "Withdrawn consents")])


def _gathered(account: Account, kind: type[Disclosure] | type[RandomizedResponse]) -> list[_Told]:
    found: dict[tuple[str, ...], _Told] = {}
    for line, entry in account.of(Disclose):
        if not isinstance(entry.event, kind):
            continue
        recipient = entry.event.recipient if isinstance(entry.event, Disclosure) else entry.peer
        key = (recipient, entry.phase, entry.what, entry.event.model_dump_json())
        one = found.setdefault(key, _Told(recipient, entry.phase, entry))
        one.lines.append(line)
        one.persons = max(one.persons, entry.persons)
        one.fresh += entry.fresh
    return list(found.values())


def _days(told: _Told) -> str:
    first, last = told.lines[0].day, told.lines[-1].day
    return first if first == last else f"{first} to {last}"
