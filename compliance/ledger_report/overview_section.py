"""Page one, for a reviewer who is no engineer: does it verify, what was spent and left, what to worry about."""

from __future__ import annotations

import math

from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.figures.worries import worries
from sealscore.compliance.ledger_report.budget_section import UNBOUNDED, epsilon_text, gauge
from sealscore.compliance.ledger_report.verification_section import verdict
from sealscore.compliance.pages.gauges import gauges_figure
from sealscore.compliance.pages.page import Html, bullets, cards, element, figure, join, notice, paragraph, strong
from sealscore.shared.dp.membership import success
from sealscore.shared.ledger.budget_check import bits_by_recipient
from sealscore.shared.text.numbers import fixed, listed, percent, plural, short, whole

_NAMED, _BARS = 4, 8
_Card = tuple[object, object, object]


def overview(review: LedgerReview) -> Html:
    """The section."""
    said = worries(review)
    nothing = "Nothing unusual is in these ledgers." if review.ok else "First of all, what the check found, above."
    shown = bullets(said) if said else paragraph(nothing)
    what = join([element("h3", "What to look at"), shown])
    return join([_verdict(review), _lead(review), cards(_cards(review)), _bars(review), what])


def _verdict(review: LedgerReview) -> Html:
    first = [
        f"{party.account.party}, {f'entry {whole(finding.seq)}' if finding.seq else 'the whole file'}: {finding.what} "
        f"({finding.code})"
        for party in review.parties
        for finding in party.verification.findings[:2]
    ]
    if not first:
        return notice(verdict(review))
    said = "No figure below can be relied on before this is explained. All findings are in the section “Verification”."
    return notice(verdict(review), bullets(first[:_NAMED]), paragraph(said))


def _lead(review: LedgerReview) -> Html:
    """The claim in words."""
    names = [f"{party.account.party} ({party.account.data_set})" for party in review.parties]
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{whole(len(names) - _NAMED + 1)} more"]
    opening = strong(f"This report is about what left {listed(names)}: ")
    spent = review.together.epsilon
    if not any(party.released for party in review.parties):
        said = "by these ledgers, nothing." if review.ok else "by what can be read of these ledgers, nothing."
        return paragraph(opening, said, class_="lead")
    if math.isinf(spent):
        said = "something was released without noise, so nothing limits what it reveals of a person."
        return paragraph(opening, said, class_="lead")
    consent = " What a recipient learned by consent is counted apart, in bits." if _bits(review) else ""
    return paragraph(
        opening,
        "sums with noise, which reveal what is true of many people and little of any one. ",
        strong(
            "From all of them together, nobody's odds that a given person was in the data move by more than a factor "
            f"of {short(math.exp(spent))}"
        ),
        f" (epsilon {fixed(spent)}), but for a probability of {short(review.together.delta)}.{consent}",
        class_="lead",
    )


def _bits(review: LedgerReview) -> int:
    """The most bits that one recipient got of one person."""
    return max(
        (bits for party in review.parties for bits in bits_by_recipient(party.account.state).values()), default=0
    )


def _cards(review: LedgerReview) -> list[_Card]:
    shown = [*_spent(review), _person(review), _told(review), _platform(review)]
    return [*shown, *_scoring(review), _refused(review)]


def _spent(review: LedgerReview) -> list[_Card]:
    known = [party for party in review.parties if party.whole is not None]
    if not known:
        unread = "No ceilings can be read."
        return [("Spent", "not known", unread), ("Left", "not known", unread)]
    several = len(review.parties) > 1
    of = "Of a person at all of these parties, over all plans" if several else "Over all plans of the data set"
    kept = max(party.whole.reserved for party in known if party.whole)
    more = f"; live plans may add up to {epsilon_text(kept)}{' at a party' if several else ''}" if kept > 5e-4 else ""
    spent = ("Spent: epsilon of a person", epsilon_text(review.together.epsilon), f"{of}{more}.")
    limited = [(party.whole.left, party.whole.limit, party.account.party) for party in known if party.whole]
    left = [(left, limit, name) for left, limit, name in limited if left is not None]
    if not left:
        return [spent, ("Left", "no ceiling", "No operator has set a limit to what may be spent of a person.")]
    least, limit, name = min(left)
    where = f" at {name}, where least is left" if several else ""
    return [spent, ("Left", epsilon_text(least), f"Of {short(limit)} that the operator allows{where}.")]


def _person(review: LedgerReview) -> _Card:
    name, spent = "What it means for one person", review.together.epsilon
    if all(party.whole is None for party in review.parties):
        return name, "not known", "What cannot be read may reveal anything."
    if math.isinf(spent):
        return name, UNBOUNDED, "Nothing limits how sure somebody can become that a person was in the data."
    likely = percent(success(spent, review.together.delta, 0.5))
    words = "So often at most is somebody right who else would toss a coin whether a given person was in the data."
    return name, likely, words


def _told(review: LedgerReview) -> _Card:
    bits = _bits(review)
    if not bits:
        return "Disclosed by consent", "nothing", "No recipient learned anything of a single person."
    words = "The most that one recipient learned of one consented person. Epsilon does not cover it."
    return "Disclosed by consent", plural(bits, "bit"), words


def _scoring(review: LedgerReview) -> list[_Card]:
    most = [sum(party.verification.scoring.bits.values()) for party in review.parties if party.verification.scoring]
    if not most:
        return []
    words = "The most that a platform can have told of one person to score it, all kinds together; beside training."
    return [("Told for scoring", plural(max(most), "bit"), words)]


def _platform(review: LedgerReview) -> _Card:
    sent = any(party.platform is not None for party in review.parties)
    if not sent or review.together.platform is None:
        return "Labels", "none sent", "No ledger here records that a platform was sent labels."
    words = "Epsilon against a platform, which was also sent noisy labels: whether a loan went bad."
    return "With noisy labels", epsilon_text(review.together.platform), words


def _refused(review: LedgerReview) -> _Card:
    count = sum(party.refused for party in review.parties)
    plans = len({key for party in review.parties for key in party.account.state.plans})
    words = f"Requests that nodes did not answer, beside {plural(plans, 'approved plan')}."
    return "Refused", whole(count), words


def _bars(review: LedgerReview) -> Html:
    wide = [(party, party.whole) for party in review.parties if party.whole is not None]
    if not wide:
        return Html("")
    shown = sorted(wide, key=lambda pair: -pair[1].planned)[:_BARS]
    drawn = gauges_figure("Budget of each data set", [gauge(cost, party.account.party) for party, cost in shown])
    more = f" The {_BARS} that spent most of {whole(len(wide))}." if len(wide) > _BARS else ""
    return figure(drawn, "The privacy budget of a person, in epsilon.", more, wide=True)
