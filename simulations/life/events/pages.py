"""The sections of a life's report on early warnings, on the retraining, and on consents that ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealscore.compliance.pages.page import Column, Html, join, paragraph, table
from sealscore.shared.text.numbers import fixed, percent, plural, whole

_RULES = {
    "rule": "the lists",
    "score": "lists by points alone",
    "rule_ever": "the beginnings of the lists",
    "score_ever": "the beginnings of those by points alone",
    "bit": "any watch bit of 1",
}


def early_section(oracle: Mapping[str, Any]) -> Html:
    """Whom the lists warned of, by loan and by bit."""
    early = oracle["early"]
    words = paragraph(
        "Each month each lender lists whom to contact first: of its loans that run with nothing in arrears the fifth "
        "that ranks worst, by points and watch bits. A loan is flagged where it is on one list or more; it is warned "
        "of in time where that is 30 days or more before it is 30 days past due. The beginnings of lists are so short "
        "that about a fifth of all loans is flagged ever. Counted "
        "are loans whose 12 months are over. The watched are those of whom the wallet told a bit. Of "
        f"{whole(early['bits']['told'])} bits {percent(early['bits']['ones'], 1)} were 1."
    )
    heads = (
        "loans",
        "bad",
        "flagged ever",
        "bad warned of in time",
        "days ahead, median",
        "bad of flagged",
        "bad of others",
    )
    rows = [
        (
            f"{named}{of_whom}",
            whole(one["loans"]),
            whole(one["bad"]),
            percent(one["flagged"], 1),
            percent(one["caught"], 1),
            fixed(one["lead"], 0),
            percent(one["bad_rate_flagged"], 1),
            percent(one["bad_rate_others"], 1),
        )
        for group, of_whom in ((early, ""), (early["watched"], ", the watched"))
        for named, one in ((words_, group[name]) for name, words_ in _RULES.items())
    ]
    return join([words, table(["", *(Column(name, number=True) for name in heads)], rows)])


def retraining_section(record: Mapping[str, Any], oracle: Mapping[str, Any]) -> Html:
    """What was trained again, what it cost, and how both models rank the same later applications."""
    made, both = record["retraining"], oracle["retraining"]
    if made is None:
        return paragraph("There was none.")
    plans = [one["plans"][made["plan"]] for one in record["training"].values()]
    total = max(one["epsilon"] for one in record["training"].values())
    words = paragraph(
        f"On {made['day']} lenders trained their part of the model again on the opening's loans and "
        f"{whole(sum(made['loans'].values()))} of the life's, whose 12 months were over; of "
        f"{whole(sum(made['with_level'].values()))} of these a level was kept whose consent named it. Platforms told "
        f"nothing new. By itself it costs epsilon {fixed(max(plans), 3)}, with the first training {fixed(total, 3)}. "
        "From then on its release answers, and the one before scores in shadow."
    )
    if both is None:
        return words
    rows = [
        (words_, fixed(both[name]["auc"], 3), percent(both[name]["mean_pd"], 1))
        for name, words_ in (("new", "the new model"), ("old", "the old one, in shadow"))
    ]
    more = paragraph(
        f"On the {plural(both['applications'], 'application')} that both scored, of which "
        f"{percent(both['bad_if_granted'], 1)} would turn bad if all were granted:"
    )
    return join([words, more, table(["", Column("AUC", number=True), Column("PD, mean", number=True)], rows)])


def ended_rows(happened: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What lenders and platforms saw of consents that were withdrawn, and of those to be watched."""
    watch = happened["watch"]
    status = ", ".join(f"{name} {whole(count)}" for name, count in happened["withdrawn_status"].items())
    return [
        ("no token, as the consent was withdrawn before", whole(happened["tokens"].get("withdrawn", 0))),
        ("tokens withdrawn", whole(happened["withdrawn"])),
        ("the same tokens, brought once more", status or "none"),
        ("consents to be watched", whole(watch.get("begun", 0))),
        ("watch bits told", whole(watch.get("told", 0))),
        ("watch bits kept back by a ceiling", whole(watch.get("kept_back", 0))),
    ]
