"""The comparison of champion and challenger as one page without scripts, by the project's report engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealscore.compliance.pages.figures import Line, line_figure
from sealscore.compliance.pages.page import (
    Column,
    Html,
    Page,
    bullets,
    cards,
    figure,
    notice,
    paragraph,
    strong,
    table,
)
from sealscore.compliance.pages.svg import STYLES, Axis
from sealscore.shared.text.numbers import fixed, percent, whole

Data = Mapping[str, Any]
_WORDS = {
    "auc": "AUC",
    "ks": "KS",
    "gap": "gap of mean PD and bad rate",
    "brier": "Brier score",
}
_SIGNAL = {"true": "a level was used", "false": "none was used"}
_BOTH = ("champion", "challenger")


def comparison_page(data: Data, lender: str) -> str:
    """The page of what `comparison` gives."""
    names = [f"{data[key]['name']} ({data[key]['hash'][:12]})" for key in _BOTH]
    page = Page("Champion and challenger", f"{lender}: {names[0]} against {names[1]}, until {data['until']}")
    page.section("In short", _short(data))
    page.section("Points", _points(data))
    page.section("Who would change", _swaps(data))
    page.section("Outcomes", _outcomes(data))
    page.section("By product, model and signal", _segments(data))
    page.section("On whom they were trained", _trained(data))
    page.section("What approved loans alone cannot show", _labels(data))
    return page.render()


def _short(data: Data) -> Html:
    scored, figures = data["scored"], data["outcomes"]["figures"]
    correlation = data["points"]["rank_correlation"]
    verdict = "too few outcomes" if figures is None else figures["auc"]["better"]
    return cards(
        [
            ("Scored by both", _count(scored["applications"]), "applications, the last version of each"),
            ("Rank correlation", "" if correlation is None else fixed(correlation, 3), "of their points (Spearman)"),
            ("Closed loans", _count(scored["closed_loans"]), "loans with an outcome, on which both are judged"),
            ("Better ranking", verdict, "by the paired difference of AUC and its interval"),
        ]
    )


def _points(data: Data) -> Html:
    bands = data["points"]["bands"]
    if not bands:
        return paragraph("Too few applications were scored by both.")
    most = max((band[key] or 0 for band in bands for key in _BOTH), default=0)
    lines = [
        Line(key, [band["from"] for band in bands], [band[key] or 0 for band in bands], style, step=True)
        for key, style in zip(_BOTH, STYLES, strict=False)
    ]
    ends = [band["from"] for band in bands]
    axes = Axis("points", ends[0], ends[-1] + 20), Axis("applications", 0, most * 1.1 or 1)
    drawn = figure(
        line_figure("Points of both", *axes, lines, width=800),
        "Points of both.",
        f"Applications by bands of 20 points; those of fewer than {data['floor']} are drawn as none.",
        wide=True,
    )
    moved = data["points"]["moved"]
    said = paragraph(
        f"The challenger gives {fixed(moved['middle'], 0)} points more in the middle; nine in ten applications move "
        f"between {fixed(moved['low'], 0)} and {fixed(moved['high'], 0)}. PSI of its points against the champion's: "
        f"{fixed(data['points']['psi'], 4)}."
    )
    return Html(drawn + said)


def _swaps(data: Data) -> Html:
    if data["swaps"] is None:
        return paragraph("A release without a cut-off of its own says nothing of approvals.")
    columns = ["at each one's own cut-off", Column("applications", True), Column("share", True)]
    rows = [
        [
            row["swap"],
            _count(row["applications"]),
            "" if row["share"] is None else percent(row["share"], 1),
            _count(row["loans"]["cases"]),
            _rate(row["loans"]),
        ]
        for row in data["swaps"]
    ]
    return table([*columns, Column("closed loans", True), Column("bad rate", True)], rows, "Swaps")


def _outcomes(data: Data) -> Html:
    least, found = data["least"], data["outcomes"]
    if found["figures"] is None:
        return paragraph(
            f"Too few loans of both have a closed window: a comparison begins at {least['loans']} loans, "
            f"{least['bads']} of either outcome. Nothing is said of outcomes."
        )
    said = paragraph(
        f"{whole(found['loans'])} loans whose window of {data['window_days']} days is closed, bad rate "
        f"{percent(found['bad_rate'], 1)}; mean PD "
        + ", ".join(f"{percent(found['mean_pd'][key], 1)} by the {key}" for key in _BOTH)
        + ". Intervals (95 %) are bootstraps over persons; the difference is the challenger's less the champion's "
        "on the same draws.",
        class_="note",
    )
    return Html(said + table(_columns("figure"), _judged(found), "On the same loans"))


def _columns(first: str) -> list[object]:
    return [first, Column("champion", True), Column("challenger", True), Column("difference", True), "better"]


def _judged(found: Data, before: str = "") -> list[list[object]]:
    return [
        [
            f"{before}{_WORDS[name]}",
            *(_interval(one[key]) for key in (*_BOTH, "difference")),
            one["better"] if one["better"] == "lost in noise" else strong(one["better"]),
        ]
        for name, one in found["figures"].items()
    ]


def _segments(data: Data) -> Html:
    columns = ["part", Column("applications", True), Column("champion approves", True)]
    shares = table(
        [*columns, Column("challenger approves", True)],
        [
            [_named(one), _count(one["applications"]), *(_percent(one["approved"][key]) for key in _BOTH)]
            for one in data["segments"]
        ],
        "Applications",
    )
    rows = [
        row
        for one in data["segments"]
        if one["outcomes"]["figures"] is not None
        for row in _judged(one["outcomes"], f"{_named(one)}: ")
    ]
    few = paragraph("No part has enough loans with an outcome.")
    return Html(shares + (table(_columns("part and figure"), rows, "Outcomes") if rows else few))


def _named(one: Data) -> str:
    return _SIGNAL[one["part"]] if one["by"] == "signal" else f"{one['by']} {one['part']}"


def _trained(data: Data) -> Html:
    rows = [
        [
            one["model"],
            one["plan"],
            one["trains"],
            "; ".join(f"{name} {whole(count)}" for name, count in one["lenders"].items()),
            f"{one['outcome']}, within {one['window_days']} days, known by {one['cutoff']}",
        ]
        for one in data["trained_on"]
    ]
    return table(["model", "plan", "its plan trains", "nominal records", "outcome"], rows, "Training", class_="words")


def _labels(data: Data) -> Html:
    labels = data["labels"]
    known = bullets(
        [
            f"{_count(labels['applications'])} applications were scored by both; {_count(labels['with_outcome'])} have "
            "an outcome, since loans alone have one.",
            f"Of {_count(labels['swapped_in'])} that the challenger alone would approve, "
            f"{_count(labels['swapped_in_with_outcome'])} have an outcome. What the others would have done is not "
            "known and not guessed.",
            "Both models were trained on loans that lenders granted. Figures above are of loans that the policy in "
            "force granted: whom it declined is in none of them.",
        ]
    )
    warned = notice("No reject inference.", " Nobody who was declined is given an outcome, here or in training.")
    return Html(known + warned + _simulated(data["simulated"]))


def _simulated(found: Data) -> Html:
    """What it comes to where the outcome of everybody is known: in the invented world."""
    rows = [
        [
            f"{features}: trained on {model}",
            *(_spread(found[features][model][who]["auc"], 4) for who in ("approved", "all applicants")),
            *(_spread(found[features][model][who]["pd_over_rate"], 3) for who in ("approved", "all applicants")),
        ]
        for features in ("own", "own and wallet")
        for model in ("approved only", "as many of all", "all applicants")
    ]
    heads = ("AUC on approved", "AUC on all", "mean PD / bad rate on approved", "the same on all")
    said = paragraph(
        f"In the invented world ({whole(found['creators'])} creators, {found['seeds']} worlds, mean and standard "
        f"deviation; {found['command']}), where {percent(found['granted']['mean'])} of applications are granted:"
    )
    return Html(said + table(["features and labels", *(Column(head, True) for head in heads)], rows, "Invented world"))


def _spread(value: Data, digits: int) -> str:
    return f"{fixed(value['mean'], digits)} ({fixed(value['sd'], digits)})"


def _interval(value: Data) -> str:
    return f"{fixed(value['value'], 4)} ({fixed(value['low'], 4)} to {fixed(value['high'], 4)})"


def _rate(cell: Data) -> str:
    if cell["rate"] is None:
        return ""
    return f"{percent(cell['rate'], 1)} ({percent(cell['low'], 1)} to {percent(cell['high'], 1)})"


def _percent(share: float | None) -> str:
    return "" if share is None else percent(share, 1)


def _count(count: int | None) -> str:
    return "too few" if count is None else whole(count)
