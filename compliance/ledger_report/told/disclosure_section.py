"""The sections on what left without a sum: disclosures in bits, noisy labels, and consents that were withdrawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.ledger_report.budget_section import epsilon_text
from sealscore.compliance.pages.page import Column, Html, bullets, join, paragraph, soft, table
from sealscore.compliance.told.kinds import TOLD_KINDS
from sealscore.compliance.told.rows import DisclosureRow, bits_received
from sealscore.shared.ledger.budget_check import label_epsilon
from sealscore.shared.ledger.entries import Withdraw
from sealscore.shared.phases.order import KINDS
from sealscore.shared.text.catalogue import marked, tr, trn
from sealscore.shared.text.numbers import fixed, listed, percent, plural, short, whole

_STAGES = {"training": marked("in training"), "scoring": marked("to score"), "monitoring": marked("by counts")}
_LIMITS = {"bits": marked("bits"), "label epsilon": marked("label epsilon"), "epsilon": marked("epsilon")}
_KINDS = {kind.value: found.title for kind, found in KINDS.items()}


def phase_words(name: str) -> str:
    """A phase of a ledger in words; the name itself where it is none of ours."""
    kind, _, tower = name.partition(":")
    return f"{_KINDS[kind]} ({tower})" if kind in _KINDS else name


def disclosures(review: LedgerReview) -> Html:
    """Who told whom what: kinds with their data fields, every disclosure, and what each recipient has of one person."""
    said = paragraph(
        tr(
            "Lenders and platforms tell one another some values of persons who consented, sealed so that only the "
            "recipient can read them. All but labels and counts are without noise, so that epsilon does not cover "
            "them: they are counted in bits. One bit is the answer to one question of yes or no, and a number of bits "
            "here is always what one recipient was told of one person. What both sides record is one row. “New” counts "
            "persons of whom the recipient had not been told the same before."
        )
    )
    if not review.told:
        nothing = tr("No ledger here records a disclosure: nothing was disclosed of single persons.")
        return join([said, paragraph(nothing)])
    trained = [one for one in review.told if one.stage == "training"]
    return join([said, _kinds(review), _training(trained), _received(review), _counts(review)])


def _kinds(review: LedgerReview) -> Html:
    """What each kind says, and from which data fields of the plans."""
    fields: dict[tuple[str, str], dict[str, None]] = {}
    for one in review.told:
        fields.setdefault((one.kind, one.stage), {}).update(dict.fromkeys(one.fields))
    rows = [
        (
            TOLD_KINDS[kind].title(),
            tr(_STAGES[stage]),
            TOLD_KINDS[kind].learns(),
            listed(list(names)) if names else tr("none of a plan"),
            tr(_LIMITS[TOLD_KINDS[kind].limit]),
        )
        for (kind, stage), names in fields.items()
    ]
    columns = [tr("kind"), tr("when"), tr("what the recipient learns"), tr("from the data fields"), tr("counted in")]
    return table(columns, rows, tr("What was told, by kind"), class_="kinds")


def _training(rows: Sequence[DisclosureRow]) -> Html:
    if not rows:
        return Html("")
    plans = len({one.plan.hash for one in rows if one.plan}) > 1
    body = [
        (
            one.sender,
            one.recipient,
            one.of.title(),
            *([one.plan.name if one.plan else tr("of no plan")] if plans else []),
            _measure(one),
            whole(one.persons),
            whole(one.fresh),
            whole(one.messages),
            _days(one),
            tr("both") if len(one.by) > 1 else one.by[0],
        )
        for one in rows
    ]
    columns = [
        *(tr("from"), tr("to"), tr("what"), *([tr("plan")] if plans else [])),
        Column(tr("of each person"), number=True),
        Column(tr("persons"), number=True),
        Column(tr("new"), number=True),
        Column(tr("messages"), number=True),
        Column(tr("when"), number=True),
        tr("in the ledger of"),
    ]
    return table(columns, body, tr("Told in training, from whom to whom"))


def _measure(one: DisclosureRow) -> str:
    if one.bits is not None:
        return trn("{count} bit", "{count} bits", one.bits)
    if one.label_epsilon is None:
        return tr("no bound")
    return tr("label epsilon {epsilon}", epsilon=short(one.label_epsilon))


def _days(one: DisclosureRow) -> str:
    return one.first if one.first == one.last else tr("{first} to {last}", first=one.first, last=one.last)


def _counts(review: LedgerReview) -> Html:
    """Counts of monitoring: sums with noise, that everybody gets who sees the result."""
    spent = {claim.plan.hash: claim for claim in review.joint}
    rows = [
        (one.sender, one.plan.name, whole(one.messages), epsilon_text(spent[one.plan.hash].epsilon), listed(one.fields))
        for one in review.told
        if one.kind == "counts" and one.plan is not None
    ]
    if not rows:
        return Html("")
    columns = [
        *(tr("from"), tr("plan")),
        Column(tr("answers"), number=True),
        Column(tr("epsilon of the plan"), number=True),
        tr("counted by"),
    ]
    return table(columns, rows, tr("Counts of monitoring, for everybody who sees the result"))


def _received(review: LedgerReview) -> Html:
    """What each recipient has of one person, from all senders together."""
    received = bits_received(review.told, "training")
    if not received:
        return Html("")
    kinds = [key for key in TOLD_KINDS if any(key in bits for bits in received.values())]
    rows = [
        (name, *(whole(bits[key]) if bits[key] else soft(tr("none")) for key in kinds), whole(bits.total()))
        for name, bits in sorted(received.items(), key=lambda one: (-one[1].total(), one[0]))
    ]
    columns = [
        tr("recipient"),
        *(Column(TOLD_KINDS[key].title(), number=True) for key in kinds),
        Column(tr("all"), number=True),
    ]
    limits = [
        tr(
            "{party} has told levels of at most {bits} bits of any one person, to all lenders together; its operator "
            "allows {limit} over the life of the data set.",
            party=party.account.party,
            bits=whole(party.verification.signal_bits),
            limit=whole(party.account.ceilings.signal_bits),
        )
        for party in review.parties
        if party.account.ceilings is not None and party.verification.signal_bits
    ]
    caption = tr("The most bits that a recipient was told of one person in training, from all senders together")
    return join([table(columns, rows, caption), bullets(limits)])


def labels(review: LedgerReview) -> Html:
    """Releases of noisy labels."""
    rows = [one for one in review.told if one.kind == "labels"]
    if not rows:
        missing = f", and ledgers of {listed(review.missing)} were not given" if review.missing else ""
        return paragraph(f"No ledger here records a release of labels{missing}.")
    said = paragraph(
        "A platform that trains gets one noisy label of each consented person: whether the loan went bad, flipped with "
        "a stated probability. The coin is thrown once and kept, so the same label sent again adds nothing, "
        "and each outcome and label epsilon counts once for a person, to however many platforms it went."
    )
    body = [
        (
            one.sender,
            one.recipient,
            _outcome(one),
            short(one.label_epsilon),
            percent(1 / (1 + math.exp(one.label_epsilon or 0.0)), 1),
            whole(one.persons),
            whole(one.fresh),
        )
        for one in rows
    ]
    columns = [
        *("from", "to", "outcome"),
        Column("label epsilon", number=True),
        Column("flipped", number=True),
        Column("persons", number=True),
        Column("new", number=True),
    ]
    return join([said, table(columns, body, "Releases of labels, from whom to whom"), *_label_totals(review)])


def _label_totals(review: LedgerReview) -> Iterator[Html]:
    """What labels come to, by the ledgers of those who sent them."""
    for party in review.parties:
        total = label_epsilon(party.account.state)
        if not total or party.account.role != "lender":
            continue
        limit = party.account.ceilings.label_epsilon if party.account.ceilings else None
        ceiling = (
            f" of {short(limit)} that the operator allows" if limit is not None else "; the operator set no ceiling"
        )
        figure = ""
        if party.platform is not None:
            known = "has no bound" if math.isinf(party.platform) else f"is {fixed(party.platform)}"
            figure = (
                f" Against a platform, which has these labels, epsilon of a person {known} by this ledger alone: all "
                "of its sums, composed with the labels. Sums of platforms come on top, as the section “One person at "
                "several parties” says."
            )
        yield paragraph(
            f"All labels that {party.account.party} sent of one person together: label epsilon "
            f"{fixed(total, 2)}{ceiling}.{figure}"
        )


def _outcome(one: DisclosureRow) -> str:
    """The outcome in the plan's words."""
    if one.plan is None:
        return "of no plan"
    outcome = one.plan.outcome
    return f"{outcome.definition}, within {plural(outcome.window_days, 'day')}"


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
