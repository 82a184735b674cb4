"""The section on what came after training: releases, what was told for scoring, and consents that were withdrawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from sealscore.compliance.figures.review import LedgerReview, PartyReview
from sealscore.compliance.pages.page import Column, Html, join, paragraph, soft, table
from sealscore.compliance.told.kinds import kind_title
from sealscore.shared.ledger.entries import LogDay, ServeCorrect, ServeWithdraw
from sealscore.shared.ledger.scoring_bits import ToldForScoring
from sealscore.shared.ledger.serving_state import ReleaseState
from sealscore.shared.serving.watch import period_name
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.numbers import coded, listed, plural, whole


def scoring(review: LedgerReview) -> Html:
    """Which models are in use for whom, and what platforms told of a person to score it."""
    releases = [(party, one) for party in review.parties for one in party.account.state.serving.releases.values()]
    if not releases:
        return paragraph("No ledger here records a release: no model of these parties has been put to use.")
    said = paragraph(
        "After training, a platform tells a lender something of a person who agreed to be scored there: a level, and "
        "what else the release names. It is computed once a person and calendar month (the watch bit once a quarter), "
        "is the same for every lender, and is told without noise, so it is counted in bits. What was told in training "
        "counts apart and stands in “Who told whom what”: the two do not share a limit, and who has both has "
        "both."
    )
    return join([said, _releases(releases), _told(review), _corrections(review), _withdrawals(review), _logs(review)])


def release_title(release: ReleaseState) -> str:
    """A release by its name and, since names need not differ, the beginning of its hash."""
    return f"{release.manifest.name} ({release.manifest.hash[:GROUP]})"


def _releases(releases: list[tuple[PartyReview, ReleaseState]]) -> Html:
    rows = []
    for party, release in releases:
        manifest, told = release.manifest, release.told
        tells = "nothing: it is a lender" if told is None else _bits(told.bits)
        limits = ", ".join(
            f"{kind} {limit.month} a {period_name(kind)}, {limit.life} ever"
            for kind, limit in sorted(release.limits.items())
        )
        valid = f"{manifest.issued} to {manifest.expires}"
        codes = (manifest.purpose_code, manifest.retraining_code, manifest.monitoring_code)
        purposes = ", ".join(filter(None, codes))
        row = (party.account.party, release_title(release), party.account.plan_name(manifest.plan), purposes)
        rows.append((*row, listed(manifest.lenders), valid, tells, limits or soft("none"), release.state))
    columns = ["ledger of", "release", "of the plan", "consented to as", "for", "valid"]
    columns += ["tells at a time", "operator's limits", "state"]
    return table(columns, rows, "Releases, with bits of one person by kind")


def _told(review: LedgerReview) -> Html:
    rows = [row for party in review.parties for row in _told_rows(party)]
    if not rows:
        return paragraph("Nothing was told for scoring: no day is charged in these ledgers.")
    said = paragraph(
        "Days are charged for every lender whether or not anybody agreed, so the figures are the most that can have "
        "been told of one person; the ledger names nobody and does not say how many there were.",
        class_="note",
    )
    columns = [
        *("ledger of", "told to", "at most of one person"),
        Column("days charged", number=True),
        Column("when", number=True),
    ]
    return join([table(columns, rows, "Told for scoring, the most bits of a person by kind"), said])


def _told_rows(party: PartyReview) -> Iterator[tuple[object, ...]]:
    found = party.verification
    together = {"all of them together": found.scoring} if len(found.scoring_by_lender) > 1 else {}
    for lender, told in {**found.scoring_by_lender, **together}.items():
        yield party.account.party, lender, _bits(told.bits), whole(told.days), _when(told)


def _when(told: ToldForScoring) -> str:
    return told.first if told.first == told.last else f"{told.first} to {told.last}"


def _bits(bits: Mapping[Any, int]) -> str:
    return listed([f"{kind_title(kind)} {plural(count, 'bit')}" for kind, count in bits.items()])


def _corrections(review: LedgerReview) -> Html:
    """Each correction of wrong data by itself: there should be few, and each is told beyond the limits."""
    rows = [
        (party.account.party, one.day, one.peer, _bits(one.bits), coded(one.cause), one.why)
        for party in review.parties
        for _, one in party.account.of(ServeCorrect)
    ]
    if not rows:
        return paragraph("No value that was told for scoring was corrected.")
    said = paragraph(
        "A correction tells the values of one person once more in the month in which they were told from wrong rows, "
        "beyond the operator's limits; the figures above have its bits. A node makes one a person, kind and month at "
        "most, so at worst a platform that corrects whatever it tells doubles what is told. The entries name nobody: "
        "if they are many, or their words are always the same, ask the platform for the faults behind them.",
        class_="note",
    )
    columns = ["ledger of", "day", "token for", "told again", "cause", "in the operator's words"]
    return join([table(columns, rows, "Corrections of wrong data"), said])


def _withdrawals(review: LedgerReview) -> Html:
    """Batches by party, peer and direction: the days of single ones say nothing, since each day has one."""
    rows = []
    for party in review.parties:
        entries = sorted(party.account.of(ServeWithdraw), key=lambda one: (one[1].peer, one[1].direction))
        for (peer, direction), some in groupby(entries, key=lambda one: (one[1].peer, one[1].direction)):
            batches = list(some)
            days = sorted(line.day for line, _ in batches)
            what = "passed on to" if direction == "passed" else "received from, and used no more"
            persons = sum(entry.persons for _, entry in batches)
            when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
            rows.append((party.account.party, what, peer, whole(len(batches)), whole(persons), when))
    if not rows:
        return paragraph("No withdrawal of a consent to be scored was passed on or received.")
    columns = [
        *("ledger of", "what happened", "other party"),
        Column("batches", number=True),
        Column("tokens withdrawn", number=True),
        Column("when", number=True),
    ]
    return table(columns, rows, "Withdrawn consents to be scored")


def _logs(review: LedgerReview) -> Html:
    known = {party.account.party: list(party.account.of(LogDay)) for party in review.parties}
    said = [
        f"{party} noted the head of its log of scores {plural(len(days), 'time')}, last of {days[-1][1].day}."
        for party, days in known.items()
        if days
    ]
    return paragraph(" ".join(said)) if said else Html("")
