"""Page one, for a reviewer who is no engineer: the verdict, who can learn most, spent and left, what to ask."""

from __future__ import annotations

import math

from sealscore.compliance.figures.recipients import Recipient
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.figures.worries import ASKED, few_names, worries
from sealscore.compliance.ledger_report.budget_section import UNBOUNDED, epsilon_text, gauge
from sealscore.compliance.ledger_report.reviewer.verdict import verdict_line
from sealscore.compliance.pages.gauges import gauges_figure
from sealscore.compliance.pages.page import (
    Html,
    bullets,
    cards,
    element,
    figure,
    join,
    notice,
    numbered,
    paragraph,
    strong,
)
from sealscore.compliance.told.kinds import TOLD_KINDS
from sealscore.compliance.told.rows import READERS, bits_received
from sealscore.compliance.verify.checks import LedgerVerdict
from sealscore.shared.dp.membership import success
from sealscore.shared.text.catalogue import tr, trn
from sealscore.shared.text.numbers import fixed, percent, short, whole

_NAMED, _BARS = 4, 8
_Card = tuple[object, object, object]


def overview(review: LedgerReview) -> Html:
    """The section."""
    return join([_verdict(review), _lead(review), cards(_cards(review)), _asked(review), _bars(review)])


def unusual(review: LedgerReview) -> Html:
    """All that is unusual, that for which page one has no room too."""
    found = worries(review)
    if not found:
        return paragraph(tr("Nothing unusual is in these ledgers."))
    return bullets([" ".join(filter(None, (one.what, one.ask))) for one in found])


def _verdict(review: LedgerReview) -> Html:
    parts: list[object] = []
    if review.verdict is LedgerVerdict.FAILED:
        first = [
            tr("{party}, entry {entry}: {what}", party=party.account.party, entry=whole(finding.seq), what=finding.what)
            if finding.seq
            else tr("{party}, the whole file: {what}", party=party.account.party, what=finding.what)
            for party in review.parties
            for finding in party.verification.findings[:2]
        ]
        parts.append(bullets(first[:_NAMED]))
        parts.append(paragraph(tr("No figure below can be relied on before this is explained.")))
    if review.missing:
        missing = tr(
            "Ledgers not given: {names}. The plans name them; what only they record is in no figure here.",
            names=few_names(review.missing, 8),
        )
        parts.append(paragraph(strong(missing)))
    simulated = [party for party in review.parties if party.verification.simulation]
    if simulated:
        parts.append(paragraph(tr("A simulation: keys and noise follow from a seed, and nobody was protected.")))
    verdict = verdict_line([party.verification for party in review.parties])
    return notice(verdict, *parts, class_=review.verdict.value)


def _lead(review: LedgerReview) -> Html:
    """The claim in words, for the recipient who can learn most."""
    names = few_names([party.account.party for party in review.parties])
    opening = tr("This report is about what left {names}, by their own ledgers.", names=names)
    if not any(party.released for party in review.parties):
        said = (
            tr("By these ledgers, nothing did.")
            if review.ok
            else tr("By what can be read of these ledgers, nothing did.")
        )
        return paragraph(opening, " ", said, class_="lead")
    worst, others = review.recipients[0], review.recipients[-1]
    if math.isinf(worst.epsilon):
        said = tr("Something was released without noise, so nothing limits what it reveals of a person.")
        return paragraph(opening, " ", strong(said), class_="lead")
    parts: list[object] = [opening, " ", strong(_most(review, worst))]
    if worst.epsilon > others.epsilon:
        parts += [
            " ",
            tr(
                "Whoever sees only sums, models and reports: a factor of {factor} (epsilon {epsilon}).",
                factor=short(others.factor),
                epsilon=fixed(others.epsilon),
            ),
        ]
    if review.missing:
        parts += [
            " ",
            tr("With the ledgers that were not given it may be more; each plan's ceiling on sums holds all the same."),
        ]
    if any(one.total for one in review.recipients):
        parts += [" ", tr("What a recipient learned by consent, without noise, is counted apart, in bits.")]
    return paragraph(*parts, class_="lead")


def _most(review: LedgerReview, worst: Recipient) -> str:
    values = {
        "who": recipient_name(worst),
        "factor": short(worst.factor),
        "epsilon": fixed(worst.epsilon),
        "delta": short(worst.delta),
    }
    if worst.labels:
        return tr(
            "{who} can learn most of one person, from noisy labels and all sums: what they believe of whether a person "
            "was in the data, or a loan went bad, moves by at most a factor of {factor} in the odds (epsilon "
            "{epsilon}), but for a probability of {delta}.",
            **values,
        )
    return tr(
        "Of {who}, nobody's belief that a given person was in the data moves by more than a factor of {factor} in the "
        "odds (epsilon {epsilon}), but for a probability of {delta}.",
        **values,
    )


def recipient_name(one: Recipient, most: int = _NAMED) -> str:
    """Who it is, in words."""
    if one.names == (READERS,):
        return tr("all who see sums, models and reports")
    return few_names(list(one.names), most)


def _cards(review: LedgerReview) -> list[_Card]:
    shown = [_worst(review), *_readers(review), *_budget(review), _told(review), *_scoring(review), _refused(review)]
    return [one for one in shown if one is not None]


def _worst(review: LedgerReview) -> _Card:
    worst = review.recipients[0]
    name = tr("Who can learn most: {who}", who=recipient_name(worst, 3))
    if all(party.whole is None for party in review.parties):
        return name, tr("not known"), tr("What cannot be read may reveal anything.")
    if math.isinf(worst.epsilon):
        said = tr("Nothing limits how sure somebody can become that a person was in the data.")
        return name, tr(UNBOUNDED), said
    right = _nearly(success(worst.epsilon, worst.delta, 0.5))
    words = tr(
        "Epsilon of one person. Who would else toss a coin about one person is right at most {right} of the time.",
        right=right,
    )
    if worst.assumed:
        words += " " + tr("Labels are taken from the plan: no lender's ledger was given.")
    return name, fixed(worst.epsilon), words


def _nearly(share: float) -> str:
    """A share as percent that is not rounded to certainty."""
    if share > 0.9999:
        return tr("more than {part}", part=percent(0.9999, 2))
    return percent(share, 2 if share > 0.995 else 1)


def _readers(review: LedgerReview) -> list[_Card]:
    """Whoever sees results and has nothing else, where that is another figure."""
    worst, others = review.recipients[0], review.recipients[-1]
    if math.isinf(worst.epsilon) or worst.epsilon <= others.epsilon:
        return []
    right = _nearly(success(others.epsilon, others.delta, 0.5))
    words = tr(
        "Epsilon of one person, from sums with noise alone. By a coin and these: right at most {right}.", right=right
    )
    return [(tr("Who sees only sums, models, reports"), fixed(others.epsilon), words)]


def _budget(review: LedgerReview) -> list[_Card]:
    """Spent and left of one data set: the one where least is left."""
    known = [party for party in review.parties if party.whole is not None]
    if not known:
        unread = tr("No ceilings can be read.")
        return [(tr("Spent"), tr("not known"), unread), (tr("Left"), tr("not known"), unread)]

    def rank(place: int) -> tuple[float, float]:
        cost = known[place].whole
        assert cost is not None
        return (math.inf if cost.left is None else cost.left, -cost.spent)

    party = known[min(range(len(known)), key=rank)]
    cost, name = party.whole, party.account.party
    assert cost is not None
    several = len(known) > 1
    words = tr("Epsilon of one person over all plans of that data set, by its own ledger.")
    if several:
        words += " " + tr("Of all data sets here it has least left.")
    if cost.reserved > 5e-4:
        words += " " + tr("Live plans may add up to {more}.", more=epsilon_text(cost.reserved))
    spent = (tr("Spent at {party}", party=name), epsilon_text(cost.spent), words)
    title = tr("Left at {party}", party=name)
    if cost.left is None:
        return [spent, (title, tr("no ceiling"), tr("The operator has set no limit to what may be spent of a person."))]
    words = tr(
        "Of the {limit} that its operator allows of one person, less what is spent and set aside.",
        limit=short(cost.limit),
    )
    return [spent, (title, epsilon_text(cost.left), words)]


def bits_words(bits: tuple[tuple[str, int], ...]) -> str:
    """Bits by kind: "signal 12, membership 3"."""
    return ", ".join(f"{TOLD_KINDS[kind].title()} {whole(count)}" for kind, count in bits)


def _told(review: LedgerReview) -> _Card:
    most = max(review.recipients, key=lambda one: one.total)
    name = tr("Told without noise, in training")
    if not most.total:
        return name, tr("nothing"), tr("By these ledgers, no recipient learned anything of a single person.")
    words = tr(
        "The most that one recipient was told of one consented person ({who}): {bits}. Epsilon does not cover it.",
        who=recipient_name(most, 3),
        bits=bits_words(most.bits),
    )
    return name, trn("{count} bit", "{count} bits", most.total), words


def _scoring(review: LedgerReview) -> list[_Card]:
    received = bits_received(review.told, "scoring")
    if not received:
        return []
    name, bits = max(received.items(), key=lambda one: one[1].total())
    words = tr(
        "The most that one lender, {who}, can have been told of one person after training: {bits}. It counts apart.",
        who=name,
        bits=bits_words(tuple(bits.items())),
    )
    return [(tr("Told without noise, to score"), trn("{count} bit", "{count} bits", bits.total()), words)]


def _refused(review: LedgerReview) -> _Card:
    count = sum(party.refused for party in review.parties)
    plans = len({key for party in review.parties for key in party.account.state.plans})
    words = trn(
        "Requests that nodes did not answer, beside one approved plan.",
        "Requests that nodes did not answer, beside {count} approved plans.",
        plans,
    )
    return tr("Refused"), whole(count), words


def _asked(review: LedgerReview) -> Html:
    """At most three questions."""
    asks = [one.ask for one in worries(review) if one.ask][:ASKED]
    title = element("h3", tr("What to ask"))
    if not asks:
        return join([title, paragraph(tr("Nothing: there is nothing unusual that somebody could explain."))])
    more = len(worries(review)) - len(asks)
    rest = paragraph(tr("The section “All that is unusual” has the rest."), class_="note") if more > 0 else ""
    return join([title, numbered(asks), rest])


def _bars(review: LedgerReview) -> Html:
    wide = [(party, party.whole) for party in review.parties if party.whole is not None]
    if not wide:
        return Html("")
    shown = sorted(wide, key=lambda pair: -pair[1].planned)[:_BARS]
    title = tr("Budget of each data set")
    drawn = gauges_figure(title, [gauge(cost, party.account.party) for party, cost in shown])
    many = len(wide)
    more = tr("The {shown} that spent most of {many}.", shown=_BARS, many=whole(many)) if many > _BARS else ""
    return figure(drawn, tr("The privacy budget of a person, in epsilon, data set by data set."), more, wide=True)
