"""The section on where the federation helps: whom it ranks better than each lender does alone, by segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sealscore.compliance.pages.figures import Dot, Panel, dot_figure
from sealscore.compliance.pages.page import Column, Html, element, figure, join, paragraph, table
from sealscore.compliance.pages.svg import STYLES, Axis, span
from sealscore.compliance.run_figures.findings import Findings
from sealscore.shared.text.numbers import fixed, whole

_FEW = "too few"
_SCORES = {
    "federated": "federated",
    "lender_alone": "alone",
    "lender_alone_dp": "alone, private",
    "lender_alone_xgboost": "alone, trees",
    "pooled_xgboost": "pooled trees",
}
_WAYS = {
    "lender_alone": "its own tower, no noise",
    "lender_alone_dp": "its own tower, at the plan's epsilon",
    "lender_alone_xgboost": "boosted trees, no noise",
}
# Where it is kept which lender is best.
_BEST = {"all": "lender", "thin": "thin_lender"}
# Segments in the figure, with their heading and how each is named.
_DRAWN = {
    "lender": "{}",
    "thin file at": "{}, thin file",
    "platforms": "platforms that know: {}",
    "file": "{} file",
    "product": "{} loan",
    "vintage": "applied {}",
}


def segments_section(found: Findings) -> Html:
    """The figure and the tables of a run's segments; for a run that has none, nothing."""
    segments = (found.run.oracle or {}).get("segments")
    if segments is None:
        return Html("")
    rows = segments["rows"]
    words = (
        "Exact AUC on test loans, which only a simulation knows. “Alone” is each lender's own model from its own "
        "columns and records; where a segment has loans of several lenders, each is scored by its own lender's. Pooled "
        "trees see all columns of all parties, whoever consented. Loans are approved ones: of the declined nobody "
        "knows the outcome."
    )
    drawn = figure(
        _figure(rows),
        "The score against going alone.",
        "Left: the federated score. Right: its lead over each loan's own lender alone, without noise.",
        wide=True,
    )
    return join([paragraph(words), drawn, _table(rows), _single(segments, rows)])


def _figure(rows: Sequence[dict[str, Any]]) -> Html:
    shown = [row for by in _DRAWN for row in rows if row["by"] == by]
    ours, leads = [row["auc"]["federated"] for row in shown], [_lead(row) for row in shown]
    left = [Dot(_name(row), value, _text(value, 3), STYLES[0]) for row, value in zip(shown, ours, strict=True)]
    right = [
        Dot(_name(row), value, _FEW if value is None else fixed(value, 3, sign=True), STYLES[1])
        for row, value in zip(shown, leads, strict=True)
    ]
    across = [value for value in ours if value is not None] or [0.5, 1.0]
    ahead = [0.0, *(value for value in leads if value is not None)]
    panels = [
        Panel(Axis("AUC", *span(across, 0.06, 0.02), text=lambda value: fixed(value, 2)), left),
        Panel(
            Axis("AUC ahead of alone", *span(ahead, 0.06, 0.02), text=lambda v: fixed(v, 2)), right, (0.0, "no gain")
        ),
    ]
    return dot_figure("AUC by segment, and the lead over each lender alone", panels)


def _table(rows: Sequence[dict[str, Any]]) -> Html:
    columns = ["segment", Column("loans", number=True), Column("bad", number=True)]
    columns += [Column(_SCORES.get(name, name), number=True) for name in rows[0]["auc"]]
    columns.append(Column("ahead of alone", number=True))
    body = []
    for row in rows:
        lead = _lead(row)
        ahead = _FEW if lead is None else fixed(lead, 4, sign=True)
        figures = [_text(value, 4) for value in row["auc"].values()]
        body.append((_name(row), whole(row["loans"]), whole(row["bad"]), *figures, ahead))
    return table(columns, body, "AUC by segment (simulation only)")


def _single(segments: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Html:
    """The best single lender's model on everybody, beside the federation."""
    ours = {key: _of(rows, *at) for key, at in {"all": ("all", "all"), "thin": ("file", "thin")}.items()}
    body = []
    for name, best in segments["single"].items():
        cells = []
        for key, value in ours.items():
            known = value is not None and best[key] is not None
            ahead = fixed(value - best[key], 4, sign=True) if known else _FEW
            cells += [best[_BEST[key]] or _FEW, _text(best[key], 4), ahead]
        body.append((_WAYS.get(name, name), *cells))
    columns = [
        "how the lender goes alone",
        *("best on all loans", Column("AUC", number=True), Column("this run ahead", number=True)),
        *("best on thin files", Column("AUC", number=True), Column("this run ahead", number=True)),
    ]
    said = paragraph(
        "The lender whose model ranks the test loans of all lenders best, had it gone alone, and the one whose model "
        "ranks their thin files best: the bar that a federation must clear to be worth joining."
    )
    return join([element("h3", "Against the best single lender"), said, table(columns, body)])


def _lead(row: dict[str, Any]) -> float | None:
    ours, alone = row["auc"].get("federated"), row["auc"].get("lender_alone")
    return None if ours is None or alone is None else ours - alone


def _of(rows: Sequence[dict[str, Any]], by: str, name: str) -> float | None:
    return next((row["auc"]["federated"] for row in rows if (row["by"], row["name"]) == (by, name)), None)


def _name(row: dict[str, Any]) -> str:
    return "all" if row["by"] == "all" else _DRAWN.get(row["by"], "{}").format(row["name"])


def _text(value: float | None, digits: int) -> str:
    return _FEW if value is None else fixed(value, digits)
